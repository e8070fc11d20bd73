public import AerieCore
public import AerieJSON

/// A pipeline that has been checked: what runs, after what, with what. Pure, and the same for the same spec.
///
/// It is also what other front ends compile into: each step has the names of a component (`uses`), dependencies,
/// inputs that are values or artifacts of other steps, a retry policy, a cache switch, a condition and a trigger.
public struct PipelinePlan: Sendable {
    public var name: String
    public var description: String
    /// The experiment in which a run is tracked; may refer to parameters. `nil` for no tracking.
    public var experiment: String?
    public var parameters: [PipelineParameter]
    /// In the order in which they were written.
    public var steps: [PlannedStep]

    /// Checks the spec and plans it.
    /// - Throws: `invalidArgument` with every problem and its path.
    public static func make(name: String, spec: JSONObject, catalog: StepCatalog) throws(AerieError) -> PipelinePlan {
        var builder = PipelinePlanBuilder(name: name, catalog: catalog)
        let plan = builder.build(spec)
        if let error = AerieError.invalid("pipeline '\(name)' is wrong", problems: builder.problems) { throw error }
        return plan
    }

    /// Everything that is wrong with the spec, with paths such as `spec.steps[2].needs[0]`.
    public static func problems(name: String, spec: JSONObject, catalog: StepCatalog) -> [AerieError.Detail] {
        var builder = PipelinePlanBuilder(name: name, catalog: catalog)
        _ = builder.build(spec)
        return builder.problems
    }

    public subscript(step: String) -> PlannedStep? { steps.first { $0.name == step } }
}

/// One step of a plan.
public struct PlannedStep: Sendable {
    /// When a step may start.
    public enum Trigger: String, Sendable {
        /// All that it needs have succeeded.
        case succeeded
        /// All that it needs have ended, however.
        case completed
    }

    public var name: String
    public var uses: String
    /// Written or implied by a reference, without doubles, in the order of the pipeline's steps.
    public var needs: [String]
    public var with: JSONObject
    public var timeout: Duration?
    public var retry: RetryPolicy
    public var isCached: Bool
    public var condition: PipelineCondition?
    public var trigger: Trigger
    public var placement: StepPlacement
    /// Bytes of private memory, or `nil` for the runner's own limit.
    public var memoryLimit: Int64?
    /// From 0 to 19: how far behind others the step stands for the processor; `nil` for the runner's own.
    public var nice: Int?
}

/// How often and after which pauses a failed step is tried again.
public struct RetryPolicy: Hashable, Sendable {
    /// Tries after the first one; from 0 to 20.
    public var limit: Int
    /// Its factor is from 1 to 10.
    public var backoff: Backoff

    public init(limit: Int = 0, backoff: Backoff = Backoff(base: .seconds(1), cap: .seconds(300))) {
        self.limit = limit
        self.backoff = backoff
    }
}

extension Duration {
    /// Reads `90`, `1.5` (seconds), `500ms`, `30s`, `10m`, `2h` or `1d`; `nil` for all else and beyond 366 days.
    init?(pipelineText value: JSONValue) {
        var seconds: Double
        if let number = value.double {
            seconds = number
        } else if let text = value.string {
            let digits = text.prefix { $0.isNumber || $0 == "." }
            guard let number = Double(digits) else { return nil }
            switch text.dropFirst(digits.count) {
            case "ms": seconds = number / 1000
            case "", "s": seconds = number
            case "m", "min": seconds = number * 60
            case "h": seconds = number * 3600
            case "d": seconds = number * 86400
            default: return nil
            }
        } else {
            return nil
        }
        guard seconds > 0, seconds <= 366 * 86400 else { return nil }
        self = .milliseconds(Int64((seconds * 1000).rounded(.up)))
    }
}
