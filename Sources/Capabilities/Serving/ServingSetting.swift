import AerieCore
import AerieJSON

/// How a deployment says how its model is served: an annotation of the object, the spec or the predictor, or a
/// parameter of the graph; the nearest to the model counts.
enum ServingSetting: String, CaseIterable {
    /// A model configuration by Triton's names, as JSON.
    case config = "aerie.dev/model-config"
    /// `true` for dynamic batching as it is usual, or Triton's `dynamic_batching` as JSON, before what the
    /// configuration says of it.
    case batching = "aerie.dev/batching"
    /// Rows of one call at most.
    case batchSize = "aerie.dev/max-batch-size"
    /// Whether answers are kept and given again.
    case cache = "aerie.dev/response-cache"
    /// The share of the requests whose predictions are logged, from 0 to 1.
    case predictionLog = "aerie.dev/prediction-log"
    /// `always`, or `on-demand`: in memory while it is asked for.
    case load = "aerie.dev/load"
    /// What a model that is loaded on demand needs, such as `64MB`.
    case memory = "aerie.dev/memory"
    /// What computes an ONNX model, such as `tensorrt,cuda,cpu`: the first of them that is there.
    case providers = "aerie.dev/execution-providers"

    /// What is wrong with the setting's value; `nil` if nothing is.
    func problem(_ value: String) -> String? {
        var policy = ServingPolicy()
        do throws(AerieError) { try apply(value, to: &policy) } catch { return error.message }
        return nil
    }

    /// The policy that a deployment's settings make together.
    /// - Precondition: none of them has a problem; one that does is passed over.
    static func policy(_ settings: [String: String]) -> ServingPolicy {
        var policy = ServingPolicy()
        for setting in allCases {
            guard let value = settings[setting.rawValue] else { continue }
            try? setting.apply(value, to: &policy)
        }
        return policy
    }

    private func apply(_ value: String, to policy: inout ServingPolicy) throws(AerieError) {
        switch self {
        case .config: policy = try ServingPolicy(modelConfig: try json(value))
        case .batching:
            switch value {
            case "true": policy.batching = policy.batching ?? BatchingPolicy()
            case "false": policy.batching = nil
            default:
                let size = policy.batching?.maximumBatchSize ?? BatchingPolicy.usualBatchSize
                policy.batching = try BatchingPolicy(dynamicBatching: try json(value), maximumBatchSize: size)
            }
        case .batchSize:
            guard let size = Int(value), (1...(1 << 20)).contains(size) else {
                throw .invalid("", "\"\(value)\" is not a number of rows from 1 to \(1 << 20)")
            }
            policy.batching?.maximumBatchSize = size
        case .cache:
            guard value == "true" || value == "false" else {
                throw .invalid("", "\"\(value)\" is neither true nor false")
            }
            policy.cachesResponses = value == "true"
        case .predictionLog:
            guard let share = Double(value), share >= 0, share <= 1 else {
                throw .invalid("", "\"\(value)\" is no share of the requests; write a number from 0 to 1")
            }
            policy.logShare = share
        case .load:
            guard value == "always" || value == "on-demand" else {
                throw .invalid("", "\"\(value)\" is neither always nor on-demand")
            }
            policy.isOnDemand = value == "on-demand"
        case .memory:
            guard let bytes = Self.bytes(value), bytes > 0 else {
                throw .invalid("", "\"\(value)\" is no size, such as 64MB")
            }
            policy.memory = bytes
        case .providers: policy.providers = try ExecutionProvider.list(value)
        }
    }

    /// `1048576`, `64KB`, `16MiB`, `1Gi`; a K is 1024.
    private static func bytes(_ text: String) -> Int? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        var unit = text.dropFirst(digits.count).lowercased()
        for suffix in ["ib", "i", "b"] where unit.hasSuffix(suffix) && unit.count > suffix.count {
            unit.removeLast(suffix.count)
            break
        }
        let factors = ["": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30]
        guard let value = Int(digits), let factor = factors[unit] else { return nil }
        let (bytes, overflow) = value.multipliedReportingOverflow(by: factor)
        return overflow ? nil : bytes
    }

    private func json(_ text: String) throws(AerieError) -> JSONValue {
        do throws(JSONError) { return try JSONValue.parse(text) } catch { throw error.asAerieError(in: rawValue) }
    }
}
