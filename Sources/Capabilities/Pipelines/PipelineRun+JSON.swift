public import AerieCore
public import AerieJSON

// The one JSON form of runs and steps: it is stored, answered by the API and read by the console and the command line.
// Times are milliseconds since 1970; absent members are unset.

extension PipelineRun {
    /// - Parameter includesSpec: false leaves out `spec`, which only the store needs.
    public func json(includesSpec: Bool = true, includesSteps: Bool = true) -> JSONObject {
        var object: JSONObject = [
            "id": .string(id), "namespace": .string(namespace), "pipeline": .string(pipeline),
            "state": .string(state.rawValue), "message": .string(message), "progress": .double(progress),
            "parameters": .object(parameters), "cancelRequested": .bool(isCancelRequested),
            "startedBy": .string(startedBy), "created": .int(created.milliseconds),
        ]
        object["finished"] = finished.map { .int($0.milliseconds) }
        object["experiment"] = experiment.map(JSONValue.string)
        object["trackingRun"] = trackingRun.map(JSONValue.string)
        if includesSpec { object["spec"] = .object(spec) }
        if includesSteps { object["steps"] = .array(steps.map { .object($0.json()) }) }
        return object
    }

    /// - Throws: `dataLoss` naming the member that is missing or wrong.
    public init(json object: JSONObject) throws(AerieError) {
        let reader = StoredObject(object: object, what: "pipeline run")
        var steps: [StepRun] = []
        for step in object["steps"]?.array ?? [] { steps.append(try StepRun(json: step.object ?? [:])) }
        self.init(
            id: try reader.string("id"), namespace: try reader.string("namespace"),
            pipeline: try reader.string("pipeline"), spec: object["spec"]?.object ?? [:],
            parameters: object["parameters"]?.object ?? [:], startedBy: object["startedBy"]?.string ?? "",
            created: try reader.time("created"), experiment: object["experiment"]?.string, steps: steps)
        state = try reader.word("state")
        message = object["message"]?.string ?? ""
        isCancelRequested = object["cancelRequested"]?.bool ?? false
        finished = object["finished"]?.int.map(Timestamp.init(milliseconds:))
        trackingRun = object["trackingRun"]?.string
    }
}

extension StepRun {
    public func json() -> JSONObject {
        var object: JSONObject = [
            "name": .string(name), "uses": .string(uses), "needs": .array(needs.map(JSONValue.string)),
            "state": .string(state.rawValue), "attempt": .int(Int64(attempt)), "failures": .int(Int64(failures)),
            "message": .string(message), "progress": .double(progress),
        ]
        object["retryAt"] = retryAt.map { .int($0.milliseconds) }
        object["started"] = started.map { .int($0.milliseconds) }
        object["finished"] = finished.map { .int($0.milliseconds) }
        object["cacheKey"] = cacheKey.map(JSONValue.string)
        object["cachedFrom"] = cachedFrom.map(JSONValue.string)
        let results = CachedStep(
            runID: "", artifacts: artifacts, values: values, params: params, metrics: metrics, logged: logged)
        object.members += results.resultMembers
        return object
    }

    /// - Throws: `dataLoss` naming the member that is missing or wrong.
    public init(json object: JSONObject) throws(AerieError) {
        let reader = StoredObject(object: object, what: "pipeline step")
        self.init(
            name: try reader.string("name"), uses: try reader.string("uses"),
            needs: (object["needs"]?.array ?? []).compactMap(\.string))
        state = try reader.word("state")
        attempt = Int(object["attempt"]?.int ?? 0)
        failures = Int(object["failures"]?.int ?? 0)
        message = object["message"]?.string ?? ""
        progress = object["progress"]?.double ?? 0
        retryAt = object["retryAt"]?.int.map(Timestamp.init(milliseconds:))
        started = object["started"]?.int.map(Timestamp.init(milliseconds:))
        finished = object["finished"]?.int.map(Timestamp.init(milliseconds:))
        cacheKey = object["cacheKey"]?.string
        cachedFrom = object["cachedFrom"]?.string
        let results = try CachedStep(json: object, runID: "")
        artifacts = results.artifacts
        values = results.values
        params = results.params
        metrics = results.metrics
        logged = results.logged
    }
}

extension CachedStep {
    public func json() -> JSONObject {
        var object: JSONObject = ["run": .string(runID)]
        object.members += resultMembers
        return object
    }

    /// - Throws: `dataLoss` naming the member that is missing or wrong.
    public init(json object: JSONObject) throws(AerieError) {
        try self.init(json: object, runID: try StoredObject(object: object, what: "cached step").string("run"))
    }

    fileprivate init(json object: JSONObject, runID: String) throws(AerieError) {
        var artifacts: [String: StepArtifact] = [:]
        for member in object["artifacts"]?.object?.members ?? [] {
            let reader = StoredObject(object: member.value.object ?? [:], what: "artifact '\(member.key)'")
            artifacts[member.key] = StepArtifact(
                path: try reader.string("path"), digest: try reader.string("digest"),
                bytes: member.value["bytes"]?.int ?? 0)
        }
        self.init(
            runID: runID, artifacts: artifacts, values: object["values"]?.object ?? [:],
            params: Self.strings(object["params"]),
            metrics: (object["metrics"]?.array ?? []).compactMap(StepMetric.init(json:)),
            logged: Self.strings(object["logged"]))
    }

    fileprivate var resultMembers: [JSONObject.Member] {
        let files = artifacts.sorted { $0.key < $1.key }.map { name, artifact in
            (name, JSONValue.object([
                "path": .string(artifact.path), "digest": .string(artifact.digest), "bytes": .int(artifact.bytes),
            ]))
        }
        return [
            .init(key: "artifacts", value: .object(JSONObject(files))), .init(key: "values", value: .object(values)),
            .init(key: "params", value: .object(JSONObject(strings: params))),
            .init(key: "metrics", value: .array(metrics.map { .object($0.json()) })),
            .init(key: "logged", value: .object(JSONObject(strings: logged))),
        ]
    }

    static func strings(_ value: JSONValue?) -> [String: String] {
        var strings: [String: String] = [:]
        for member in value?.object?.members ?? [] { strings[member.key] = member.value.string }
        return strings
    }
}

extension StepMetric {
    /// JSON has no word for the infinities and NaN that a metric may be: those are text.
    func json() -> JSONObject {
        ["key": .string(key), "value": value.isFinite ? .double(value) : .string("\(value)"), "step": .int(step)]
    }

    init?(json: JSONValue) {
        guard let key = json["key"]?.string, let text = json["value"],
            let value = text.double ?? text.string.flatMap(Double.init)
        else { return nil }
        self.init(key: key, value: value, step: json["step"]?.int ?? 0)
    }
}

extension StepResult {
    /// As it is handed from a step's process to the server.
    public func json() -> JSONObject {
        [
            "artifacts": .object(JSONObject(strings: artifacts)), "values": .object(values),
            "params": .object(JSONObject(strings: params)), "metrics": .array(metrics.map { .object($0.json()) }),
            "logged": .object(JSONObject(strings: logged)),
        ]
    }

    public init(json object: JSONObject) {
        self.init(
            artifacts: CachedStep.strings(object["artifacts"]), values: object["values"]?.object ?? [:],
            params: CachedStep.strings(object["params"]),
            metrics: (object["metrics"]?.array ?? []).compactMap(StepMetric.init(json:)),
            logged: CachedStep.strings(object["logged"]))
    }
}

extension StepDecision {
    public func json() -> JSONObject {
        [
            "approved": .bool(isApproved), "by": .string(by), "comment": .string(comment),
            "time": .int(time.milliseconds),
        ]
    }

    public init?(json object: JSONObject) {
        guard let isApproved = object["approved"]?.bool else { return nil }
        self.init(
            isApproved: isApproved, by: object["by"]?.string ?? "", comment: object["comment"]?.string ?? "",
            time: Timestamp(milliseconds: object["time"]?.int ?? 0))
    }
}

extension JSONObject {
    init(strings: [String: String]) {
        self.init(strings.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })
    }
}

/// Members that stored JSON must have.
private struct StoredObject {
    var object: JSONObject
    var what: String

    func string(_ key: String) throws(AerieError) -> String {
        guard let value = object[key]?.string else { throw AerieError(.dataLoss, "a stored \(what) has no '\(key)'") }
        return value
    }

    func time(_ key: String) throws(AerieError) -> Timestamp {
        guard let value = object[key]?.int else { throw AerieError(.dataLoss, "a stored \(what) has no '\(key)'") }
        return Timestamp(milliseconds: value)
    }

    func word<Word: RawRepresentable<String>>(_ key: String) throws(AerieError) -> Word {
        let text = try string(key)
        guard let word = Word(rawValue: text) else {
            throw AerieError(.dataLoss, "a stored \(what) has the unknown \(key) '\(text)'")
        }
        return word
    }
}
