public import AerieCore
public import AerieJSON

/// Runs the steps that are placed in a process.
///
/// Contract: returns what the step gave, or throws its error. Cancelling the task ends the step, with everything that
/// it started, and throws `cancelled` only after it is gone; going beyond a limit ends it likewise. A step outlives
/// neither its executor nor the process that runs it.
public protocol StepExecutor: Sendable {
    /// - Parameters:
    ///   - log: called with each line that the step writes, in their order, from one thread at a time.
    ///   - progress: called with what the step says of its progress, likewise.
    func run(
        _ job: StepJob, log: @escaping @Sendable (String) -> Void,
        progress: @escaping @Sendable (Double, String) -> Void
    ) async throws(AerieError) -> StepResult
}

/// One attempt at a step, as it is told to its process.
public struct StepJob: Sendable, Hashable {
    public var pipeline: String
    public var runID: String
    public var step: String
    public var uses: String
    public var attempt: Int
    /// Exists and is empty.
    public var workDirectory: String
    /// References replaced by values.
    public var parameters: JSONObject
    public var trackingRun: String?
    public var limits: StepLimits

    public init(
        pipeline: String, runID: String, step: String, uses: String, attempt: Int, workDirectory: String,
        parameters: JSONObject, trackingRun: String? = nil, limits: StepLimits = StepLimits()
    ) {
        self.pipeline = pipeline
        self.runID = runID
        self.step = step
        self.uses = uses
        self.attempt = attempt
        self.workDirectory = workDirectory
        self.parameters = parameters
        self.trackingRun = trackingRun
        self.limits = limits
    }
}

/// How much a step's process may take.
public struct StepLimits: Sendable, Hashable {
    /// Wall-clock time.
    public var timeout: Duration?
    /// Bytes of private, writable memory; files mapped for reading do not count.
    public var memory: Int64?
    /// From 0 to 19: how far it stands behind the server for the processor.
    public var nice: Int

    public init(timeout: Duration? = nil, memory: Int64? = nil, nice: Int = 5) {
        self.timeout = timeout
        self.memory = memory
        self.nice = nice
    }
}

extension StepJob {
    public func json() -> JSONObject {
        var limits: JSONObject = ["nice": .int(Int64(self.limits.nice))]
        limits["timeoutMilliseconds"] = self.limits.timeout.map { .int($0.milliseconds) }
        limits["memory"] = self.limits.memory.map(JSONValue.int)
        var object: JSONObject = [
            "pipeline": .string(pipeline), "run": .string(runID), "step": .string(step), "uses": .string(uses),
            "attempt": .int(Int64(attempt)), "workDirectory": .string(workDirectory),
            "parameters": .object(parameters), "limits": .object(limits),
        ]
        object["trackingRun"] = trackingRun.map(JSONValue.string)
        return object
    }

    /// - Throws: `invalidArgument` naming the member that is missing.
    public init(json object: JSONObject) throws(AerieError) {
        func string(_ key: String) throws(AerieError) -> String {
            guard let value = object[key]?.string else { throw .invalid(key, "is missing from the step's specification") }
            return value
        }
        let limits = object["limits"]
        self.init(
            pipeline: try string("pipeline"), runID: try string("run"), step: try string("step"),
            uses: try string("uses"), attempt: Int(object["attempt"]?.int ?? 1),
            workDirectory: try string("workDirectory"), parameters: object["parameters"]?.object ?? [:],
            trackingRun: object["trackingRun"]?.string,
            limits: StepLimits(
                timeout: limits?["timeoutMilliseconds"]?.int.map { .milliseconds($0) }, memory: limits?["memory"]?.int,
                nice: Int(min(max(limits?["nice"]?.int ?? 5, 0), 19))))
    }
}
