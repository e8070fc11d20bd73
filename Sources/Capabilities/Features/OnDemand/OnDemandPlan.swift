import AerieCore
import Datasets
import Expressions

/// A view on demand with every name and type resolved. Immutable.
public struct OnDemandPlan: Sendable, Hashable {
    /// A feature of another view that is read.
    struct Input: Sendable, Hashable {
        var reference: FeatureReference
        var type: FeatureType
    }

    /// The expressions' inputs: first features, then columns of the request.
    let inputs: [Input]
    let request: [OnDemandDefinition.Column]
    /// By the view's features.
    let expressions: [Expression]
    let types: [FeatureType]
    /// What gives the features instead of expressions.
    let function: OnDemandFunction?

    /// - Parameter views: every view that is not on demand itself, by name.
    /// - Throws: `invalidArgument` with every problem and its place.
    init(
        _ definition: FeatureViewDefinition, _ views: [String: FeatureViewDefinition]
    ) throws(AerieError) {
        let onDemand = definition.onDemand ?? OnDemandDefinition(inputs: [], request: [], expressions: [])
        var problems: [AerieError.Detail] = []
        var names: [(name: String, type: ExpressionType)] = []
        var inputs: [Input] = []
        for (index, reference) in onDemand.inputs.enumerated() {
            let place = "spec.onDemand.inputs[\(index)]"
            guard let view = views[reference.view] else {
                problems.append(
                    .init(field: place, problem: "there is no feature view '\(reference.view)' to read from"))
                continue
            }
            guard let feature = view.features.first(where: { $0.name == reference.feature }) else {
                problems.append(
                    .init(field: place, problem: "view '\(reference.view)' has no feature '\(reference.feature)'"))
                continue
            }
            guard onDemand.function != nil || feature.type.expression != nil else {
                problems.append(
                    .init(field: place, problem: "\(feature.type.rawValue) is no type that an expression can read"))
                continue
            }
            names.append((reference.feature, feature.type.expression ?? .integer))
            inputs.append(Input(reference: reference, type: feature.type))
        }
        for column in onDemand.request { names.append((column.name, column.type.expression ?? .integer)) }
        // What is called the same is told apart by its view.
        let written = names.map(\.name)
        for (index, input) in inputs.enumerated() where written.count(where: { $0 == written[index] }) > 1 {
            names[index].name = "\(input.reference.view)__\(input.reference.feature)"
        }
        var expressions: [Expression] = []
        if problems.isEmpty {
            for (index, feature) in definition.features.enumerated() where index < onDemand.expressions.count {
                let place = "spec.features[\(index)]"
                do throws(ExpressionProblem) {
                    let expression = try Expression(onDemand.expressions[index], names)
                    expressions.append(expression)
                    let wanted = feature.type.expression
                    if expression.type != wanted, !(expression.type == .integer && wanted == .double) {
                        problems.append(
                            .init(
                                field: "\(place).dtype",
                                problem: "the expression gives \(expression.type.rawValue), which is no "
                                    + "\(feature.type.rawValue); use CAST, or another dtype"))
                    }
                } catch { problems.append(error.detail("\(place).expression")) }
            }
        }
        if let error = AerieError.invalid("the feature view '\(definition.name)' is wrong", problems: problems) {
            throw error
        }
        self.inputs = inputs
        request = onDemand.request
        self.expressions = expressions
        types = definition.features.map(\.type)
        function = onDemand.function
    }

    /// A feature for one row.
    /// - Parameter values: by the expressions' inputs.
    func value(_ feature: Int, _ values: [ExpressionValue]) -> FeatureValue {
        FeatureValue(expressions[feature].evaluate(values), type: types[feature])
    }

    /// A feature in DuckDB's dialect.
    /// - Parameter columns: by the expressions' inputs, each of its feature's type.
    func sql(_ feature: Int, _ columns: [String]) -> String {
        let inputTypes = inputs.map(\.type) + request.map(\.type)
        let text = expressions[feature].sql { inputTypes[$0].stored(columns[$0]) }
        return switch types[feature] {
        case .int32: "TRY_CAST(\(text) AS INTEGER)"
        case .float: "TRY_CAST(\(text) AS FLOAT)"
        case .double: "CAST(\(text) AS DOUBLE)"
        default: text
        }
    }
}

extension FeatureType {
    /// SQL that makes of a source's column what the online store would have of it, as expressions and functions read it
    func stored(_ column: String) -> String {
        switch self {
        case .int32, .int64: "CAST(\(column) AS BIGINT)"
        case .float: "CAST(CAST(\(column) AS FLOAT) AS DOUBLE)"
        case .double: "CAST(\(column) AS DOUBLE)"
        case .bool: "CAST(\(column) AS BOOLEAN)"
        case .timestamp: "CAST(floor(epoch(\(sqlInstant(column)))) AS BIGINT)"
        case .string, .uuid, .timeUUID, .decimal: "CAST(\(column) AS VARCHAR)"
        case .bytes: "CAST(\(column) AS BLOB)"
        // The text of JSON, whether the column has it as text or as what it is.
        case .json, .map, .mapList, .structure, .structureList, .valueList, .valueSet:
            "json_extract_string(to_json(\(column)), '$')"
        default: "[\((element ?? .string).stored("x")) FOR x IN \(column)]"
        }
    }
}

extension ExpressionValue {
    /// A feature as an expression reads it; what is more than one plain value is never asked for.
    init(_ value: FeatureValue) {
        switch value {
        case .int32(let number): self = .integer(Int64(number))
        case .int64(let number), .timestamp(let number): self = .integer(number)
        case .float(let number): self = .double(Double(number))
        case .double(let number): self = .double(number)
        case .string(let text): self = .text(text)
        case .bool(let flag): self = .flag(flag)
        case .null, .bytes, .text, .list, .set, .nested: self = .null
        }
    }
}

extension FeatureValue {
    /// An expression's answer as a feature of a type. What does not fit the type is null.
    init(_ value: ExpressionValue, type: FeatureType) {
        switch (value, type) {
        case (.integer(let number), .int32): self = Int32(exactly: number).map(FeatureValue.int32) ?? .null
        case (.integer(let number), .int64): self = .int64(number)
        case (.integer(let number), .timestamp): self = .timestamp(number)
        case (.integer(let number), .double): self = .double(Double(number))
        case (.integer(let number), .float): self = .float(Float(Double(number)))
        case (.double(let number), .double): self = .double(number)
        case (.double(let number), .float):
            let narrow = Float(number)
            self = narrow.isInfinite && number.isFinite ? .null : .float(narrow)
        case (.text(let text), .string): self = .string(text)
        case (.flag(let flag), .bool): self = .bool(flag)
        default: self = .null
        }
    }
}
