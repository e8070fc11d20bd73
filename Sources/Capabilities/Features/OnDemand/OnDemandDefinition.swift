import AerieCore
import AerieJSON
import Expressions

/// A view whose features are computed at each read, out of features of other views and what the request brings along.
public struct OnDemandDefinition: Sendable, Hashable {
    /// A column that comes with the request: in `entities` online, in the entity rows offline.
    public struct Column: Sendable, Hashable {
        public var name: String
        public var type: FeatureType
    }

    public var inputs: [FeatureReference]
    public var request: [Column]
    /// By the view's features: what was written; empty for a view with a function.
    public var expressions: [String]
    /// What computes all features, instead of expressions.
    public var function: OnDemandFunction?
    /// Whether the features are computed when rows are written or materialized, and kept online by the view's entities,
    /// instead of at each read. Training data is computed either way.
    public var isStored = false

    private static let limit = 200

    /// What a view's spec reads of other views; empty for one that is not on demand.
    static func inputs(_ spec: JSONObject) -> [FeatureReference] {
        spec["onDemand"]?["inputs"]?.array?.compactMap { $0.string.flatMap { FeatureReference($0) } } ?? []
    }

    /// Reads `spec.onDemand`, and the expressions of `spec.features`. Types are looked at by `OnDemandPlan`, which
    /// knows the other views.
    static func read(
        _ spec: JSONObject, _ features: [FeatureViewDefinition.Feature], path: String,
        problems: inout [AerieError.Detail]
    ) -> OnDemandDefinition {
        func wrong(_ field: String, _ problem: String) {
            problems.append(.init(field: "\(path).\(field)", problem: problem))
        }
        let object = spec["onDemand"]?.object ?? [:]
        var definition = OnDemandDefinition(inputs: [], request: [], expressions: [])
        definition.isStored = object["writeToOnlineStore"]?.bool ?? false
        for field in ["source", "stream", "aggregations", "ttl", "pushSource"] where spec[field] != nil {
            wrong(field, "does not go with onDemand: its features are computed from others")
        }
        if definition.isStored == (spec["entities"]?.array ?? []).isEmpty {
            wrong(
                "entities",
                definition.isStored
                    ? "are required with onDemand.writeToOnlineStore: by them its features are kept"
                    : "do not go with onDemand, whose features are computed at each read; they are kept by entities with "
                        + "onDemand.writeToOnlineStore")
        }
        definition.function = OnDemandFunction.read(object, wrong: wrong)
        let isSQL = definition.function == nil && (object["mode"]?.string?.lowercased() ?? "sql") == "sql"
        for (index, value) in (object["inputs"]?.array ?? []).enumerated() {
            guard let reference = value.string.flatMap({ FeatureReference($0) }) else {
                wrong("onDemand.inputs[\(index)]", "\(value.text()) is no reference; write view:feature")
                continue
            }
            if reference.version != nil { wrong("onDemand.inputs[\(index)]", "is of the view as it is, and of no version") }
            definition.inputs.append(reference)
        }
        for (index, value) in (object["request"]?.array ?? []).enumerated() {
            let name = value["name"]?.string ?? ""
            guard let type = FeatureType(name: value["dtype"]?.string ?? ""), !isSQL || type.expression != nil else {
                wrong("onDemand.request[\(index)].dtype", "is no type that \(isSQL ? "an expression" : "a function") can read")
                continue
            }
            if name.isEmpty || definition.request.contains(where: { $0.name == name }) {
                wrong(
                    "onDemand.request[\(index)].name",
                    name.isEmpty ? "must not be empty" : "'\(name)' is declared twice")
            }
            definition.request.append(Column(name: name, type: type))
        }
        if definition.inputs.count + definition.request.count > limit {
            wrong("onDemand", "reads more than \(limit) columns")
        }
        definition.readExpressions(spec, features, isSQL: isSQL, path: path, problems: &problems)
        return definition
    }

    private mutating func readExpressions(
        _ spec: JSONObject, _ features: [FeatureViewDefinition.Feature], isSQL: Bool, path: String,
        problems: inout [AerieError.Detail]
    ) {
        func wrong(_ field: String, _ problem: String) {
            problems.append(.init(field: "\(path).\(field)", problem: problem))
        }
        guard isSQL else {
            for (index, value) in (spec["features"]?.array ?? []).enumerated() where value["expression"] != nil {
                wrong("features[\(index)].expression", "does not go with a function, which gives all features")
            }
            return
        }
        for (index, value) in (spec["features"]?.array ?? []).enumerated() {
            let text = value["expression"]?.string ?? ""
            expressions.append(text)
            if text.isEmpty { wrong("features[\(index)].expression", "is required for a feature on demand") }
            if !text.isEmpty, let problem = Expression.problem(in: text) {
                problems.append(problem.detail("\(path).features[\(index)].expression"))
            }
        }
        for (index, feature) in features.enumerated() where feature.type.expression == nil {
            wrong("features[\(index)].dtype", "\(feature.type.rawValue) is no type that an expression can give")
        }
    }
}

extension ExpressionProblem {
    func detail(_ field: String) -> AerieError.Detail {
        .init(field: field, problem: "\(message), at character \(position)", column: position)
    }
}

extension FeatureType {
    /// As what an expression reads it, and gives it; `nil` for what is more than one plain value.
    var expression: ExpressionType? {
        switch self {
        case .int32, .int64, .timestamp: .integer
        case .float, .double: .double
        case .string: .text
        case .bool: .flag
        default: nil
        }
    }
}
