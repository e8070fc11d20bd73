import AerieCore
import AerieJSON
import AerieResources
import Explain

/// The parts of a `SeldonDeployment` that are carried out, read out of a spec of the right shape.
struct SeldonDeploymentSpec {
    struct Predictor {
        var name: String
        /// Percent; what was left out is filled in.
        var traffic: Int
        var isShadow: Bool
        /// From the annotation or label `version`.
        var version: String
        var modelName: String
        var modelURI: String
        /// The whole graph, and its text, by which one graph is told from another.
        var graph: GraphSpec
        var graphText: String
        /// What one request may take and be.
        var limits = RequestLimits()
        /// What the deployment says of its classes; `nil` where it says nothing.
        var labels: PredictionLabels?
        /// The feature service that the model reads, and the milliseconds it may take.
        var featureService: String?
        var featureTimeout = FeatureBinding.usualTimeout
        var policy = ServingPolicy()
        var explainer: ExplainerSettings?
    }

    var predictors: [Predictor]
    /// What keeps a user's requests with one predictor.
    var sticky: StickyRule?

    init(_ resource: Resource) {
        let shared = Self.texts(resource.spec["annotations"]).merging(resource.metadata.annotations) { near, _ in near }
        let all = resource.spec["predictors"]?.array ?? []
        let header = shared[TrafficSetting.stickyHeader.rawValue]?.lowercased()
        let column = shared[TrafficSetting.stickyColumn.rawValue]
        sticky = header == nil && column == nil ? nil : StickyRule(header: header, column: column)
        let taking = all.filter { $0["shadow"]?.bool != true }.count
        predictors = all.map { predictor in
            let isShadow = predictor["shadow"]?.bool == true
            let annotations = Self.texts(predictor["annotations"])
            let graph = predictor["graph"]
            let settings = Self.parameters(graph).merging(annotations) { near, _ in near }
                .merging(shared) { near, _ in near }
            let traffic = predictor["traffic"]?.int.map { Int(clamping: $0) } ?? 0
            return Predictor(
                name: predictor["name"]?.string ?? "",
                traffic: isShadow ? 0 : taking == 1 ? 100 : min(max(traffic, 0), 100),
                isShadow: isShadow,
                version: annotations["version"] ?? Self.texts(predictor["labels"])["version"] ?? "",
                modelName: graph?["name"]?.string ?? "",
                modelURI: graph?["modelUri"]?.string ?? "",
                graph: GraphSpec(graph),
                graphText: (graph ?? .null).text(),
                limits: LimitSetting.limits(settings),
                labels: Self.labels(settings),
                featureService: settings[FeatureSetting.service.rawValue],
                featureTimeout: settings[FeatureSetting.timeout.rawValue].flatMap { Int($0) }
                    ?? FeatureBinding.usualTimeout,
                policy: ServingSetting.policy(settings), explainer: try? Self.explainer(predictor["explainer"], at: ""))
        }
    }

    /// A predictor's explainer: its type, the URI of its background rows, and its parameters, which are a text of JSON
    /// as Seldon has it, or a map.
    /// - Throws: as `ExplainerSettings`.
    static func explainer(_ explainer: JSONValue?, at path: String) throws(AerieError) -> ExplainerSettings? {
        guard let explainer, let type = explainer["type"]?.string, !type.isEmpty else { return nil }
        var parameters = explainer["config"]?.object ?? JSONObject()
        if let text = explainer["initParameters"]?.string, !text.isEmpty {
            let value: JSONValue
            do throws(JSONError) { value = try JSONValue.parse(text) } catch {
                throw .invalid(path + ".initParameters", "is no JSON: \(error.problem)")
            }
            guard let object = value.object else { throw .invalid(path + ".initParameters", "is no JSON object") }
            for member in object.members { parameters[member.key] = member.value }
        }
        let uri = explainer["modelUri"]?.string.flatMap { $0.isEmpty ? nil : $0 }
        return try ExplainerSettings(type: type, parameters: .object(parameters), background: uri, at: path)
    }

    private static func labels(_ settings: [String: String]) -> PredictionLabels? {
        let keys = LabelSetting.allCases.compactMap { settings[$0.rawValue] }
        guard !keys.isEmpty else { return nil }
        let defaults = PredictionLabels()
        return PredictionLabels(
            threshold: settings[LabelSetting.threshold.rawValue].flatMap { Double($0) } ?? defaults.threshold,
            negative: settings[LabelSetting.negative.rawValue] ?? defaults.negative,
            positive: settings[LabelSetting.positive.rawValue] ?? defaults.positive)
    }

    static func texts(_ value: JSONValue?) -> [String: String] {
        var texts: [String: String] = [:]
        for member in value?.object?.members ?? [] { texts[member.key] = member.value.string }
        return texts
    }

    private static func parameters(_ graph: JSONValue?) -> [String: String] {
        var values: [String: String] = [:]
        for parameter in graph?["parameters"]?.array ?? [] {
            if let name = parameter["name"]?.string { values[name] = parameter["value"]?.string }
        }
        return values
    }
}

/// How a deployment names its classes: an annotation of the object, the spec or the predictor, or a parameter of the
/// graph; the nearest to the model counts.
enum LabelSetting: String, CaseIterable {
    case positive = "aerie.dev/positive-label"
    case negative = "aerie.dev/negative-label"
    case threshold = "aerie.dev/threshold"

    /// What is wrong with the setting's value; `nil` if nothing is.
    func problem(_ value: String) -> String? {
        switch self {
        case .threshold:
            guard let number = Double(value), number >= 0, number <= 1 else {
                return "\"\(value)\" is not a threshold; it must be a number from 0 to 1"
            }
            return nil
        case .positive, .negative:
            if value.isEmpty { return "a label must not be empty" }
            return value.utf8.count > 63 ? "a label has at most 63 bytes" : nil
        }
    }
}
