public import AerieCore
public import AerieData

/// A model tied to the feature service that its deployment names: where each of its columns comes from. Immutable.
public final class FeatureBinding: Sendable {
    /// What a read may take where the deployment says nothing, in milliseconds.
    public static let usualTimeout = 5

    public let lookup: any FeatureLookup
    /// Milliseconds after which defaults stand in for what a store over the network has not said.
    public let timeout: Int
    /// The model's columns in its own order.
    public let columns: [String]
    /// For each column its place in `lookup.features`; `nil` for what only the request can give.
    public let places: [Int?]
    /// The name and the element type of the model's one input.
    public let inputName: String
    public let rowType: DataType

    /// - Throws: `failedPrecondition` for a model that takes something else than rows of numbers, or whose columns
    ///   nobody names.
    public init(_ lookup: any FeatureLookup, timeout: Int = usualTimeout, model: any InferenceModel) throws(AerieError)
    {
        let description = model.description
        let tabular = model as? any TabularModel
        guard let input = description.inputs.first, tabular != nil || description.inputs.count == 1 else {
            throw Self.refusal(lookup, "the model takes \(description.inputs.count) inputs, not rows of numbers")
        }
        let type = tabular?.rowType ?? input.dataType
        guard type == .fp32 || type == .fp64 else {
            throw Self.refusal(lookup, "the model takes \(type.rawValue), not FP32 or FP64")
        }
        let width = tabular?.featureCount ?? input.shape.last ?? -1
        guard tabular != nil || input.shape.count == 2, width > 0 else {
            throw Self.refusal(lookup, "the model takes \(input.shape), not [rows, columns]")
        }
        var columns = description.featureNames
        if columns.isEmpty {
            guard width == lookup.features.count else {
                throw Self.refusal(
                    lookup,
                    "the model does not know its columns' names and takes \(width), but the service has "
                        + "\(lookup.features.count) features")
            }
            columns = lookup.features
        }
        self.lookup = lookup
        self.timeout = timeout
        self.columns = columns
        places = columns.map { lookup.features.firstIndex(of: $0) }
        inputName = input.name
        rowType = type
        if places.allSatisfy({ $0 == nil }) {
            throw Self.refusal(
                lookup, "none of its features is a column of the model, which takes \(columns.joined(separator: ", "))")
        }
    }

    private static func refusal(_ lookup: any FeatureLookup, _ problem: String) -> AerieError {
        AerieError(.failedPrecondition, "feature service \(lookup.service): \(problem)", reason: "features.unfit")
    }

    /// Whether the data plane could not tell the two apart.
    func isSame(as other: FeatureBinding) -> Bool {
        timeout == other.timeout && lookup.fingerprint == other.lookup.fingerprint && columns == other.columns
    }
}

/// How a deployment asks for features: an annotation of the object, the spec or the predictor, or a parameter of the
/// graph; the nearest to the model counts.
enum FeatureSetting: String, CaseIterable {
    case service = "aerie.dev/feature-service"
    case timeout = "aerie.dev/feature-timeout-ms"

    /// What is wrong with the setting's value; `nil` if nothing is.
    func problem(_ value: String) -> String? {
        switch self {
        case .service:
            let parts = value.split(separator: "/", omittingEmptySubsequences: false)
            return parts.count <= 2 && parts.allSatisfy { !$0.isEmpty }
                ? nil : "\"\(value)\" is no feature service; write its name, or namespace/name"
        case .timeout:
            guard let number = Int(value), (1...10_000).contains(number) else {
                return "\"\(value)\" is not a number of milliseconds from 1 to 10000"
            }
            return nil
        }
    }
}
