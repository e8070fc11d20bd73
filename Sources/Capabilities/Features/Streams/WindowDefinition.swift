import AerieCore
import AerieJSON
public import Streaming

/// What a view computes over its stream: the plan, and how columns and results are typed.
public struct WindowDefinition: Sendable, Hashable {
    /// As what the values of a column are taken.
    public enum ColumnKind: String, Sendable, Hashable {
        case number, text, flag
        /// Only counted: as they come.
        case any
    }

    public var stream: StreamSource
    public var plan: WindowPlan
    /// By the plan's columns.
    public var kinds: [ColumnKind]
    /// By the plan's aggregations.
    public var types: [FeatureType]

    static let resultTypes: [FeatureType] = [.int32, .int64, .float, .double]
    private static let limit = 200

    /// Reads `spec.stream` and `spec.aggregations`.
    /// - Returns: the definition, and the features that it makes; `nil` if something is wrong.
    static func read(
        _ spec: JSONObject, _ view: FeatureViewDefinition, path: String, problems: inout [AerieError.Detail]
    ) -> (WindowDefinition, [FeatureViewDefinition.Feature])? {
        let before = problems.count
        func wrong(_ field: String, _ problem: String) {
            problems.append(.init(field: "\(path).\(field)", problem: problem))
        }
        let stream = StreamSource.read(
            spec["stream"]?.object ?? ["type": "push"], name: view.name, timestampField: view.timestampField,
            path: "\(path).stream", problems: &problems)
        if spec["stream"]?["to"] != nil { wrong("stream.to", "belongs to a view without aggregations: it keeps no rows") }
        let list = spec["aggregations"]?.array ?? []
        if list.isEmpty {
            wrong("aggregations", "must have at least one: a stream's features are computed from windows")
        }
        if list.count > limit { wrong("aggregations", "has \(list.count) aggregations; the limit is \(limit)") }
        if spec["features"] != nil {
            wrong("features", "a view with aggregations has no features besides; their names are those of the features")
        }
        if view.timeToLive != nil { wrong("ttl", "a window says by itself how long an event counts; leave ttl out") }
        var aggregations: [WindowAggregation] = []
        var features: [FeatureViewDefinition.Feature] = []
        var names: Set<String> = []
        for (index, element) in list.enumerated() {
            let place = "\(path).aggregations[\(index)]"
            let feature = FeatureViewDefinition.readFeature(
                element, place, defaultType: defaultType(element), known: &names, &problems)
            let aggregation = self.aggregation(element, place, &problems)
            guard let feature, let aggregation else { continue }
            if let problem = problem(feature.type, aggregation.function) {
                problems.append(.init(field: "\(place).dtype", problem: problem))
            }
            features.append(feature)
            aggregations.append(aggregation)
        }
        guard problems.count == before else { return nil }
        let plan = WindowPlan(aggregations, allowedLateness: stream.allowedLateness)
        var definition = WindowDefinition(stream: stream, plan: plan, kinds: [], types: features.map(\.type))
        for column in plan.columns {
            let kinds = Set(zip(aggregations, features).filter { $0.0.column == column }.map { kind($0.0, $0.1.type) })
                .subtracting([.any])
            if kinds.count > 1 {
                let words = kinds.map(\.rawValue).sorted().joined(separator: " and as ")
                wrong("aggregations", "the column '\(column)' is taken as \(words); one of them must go")
            }
            definition.kinds.append(kinds.first ?? .any)
        }
        return problems.count == before ? (definition, features) : nil
    }

    private static func aggregation(
        _ element: JSONValue, _ place: String, _ problems: inout [AerieError.Detail]
    ) -> WindowAggregation? {
        func length(_ name: String) -> Int64? {
            guard let value = element[name], !value.isNull else { return nil }
            if let length = FeatureViewDefinition.microseconds(value), length > 0 { return length }
            problems.append(
                .init(field: "\(place).\(name)", problem: "\(value.text()) is no duration; write 90m, 24h or 7d"))
            return nil
        }
        let slide = length("slide")
        guard let function = element["function"]?.string.flatMap(AggregateFunction.init(rawValue:)),
            let window = length("window")
        else { return nil }
        let aggregation = WindowAggregation(
            name: element["name"]?.string ?? "", function: function, column: element["column"]?.string, window: window,
            slide: slide)
        if let problem = aggregation.problem {
            problems.append(.init(field: place, problem: problem))
            return nil
        }
        return aggregation
    }

    private static func defaultType(_ element: JSONValue) -> FeatureType {
        switch element["function"]?.string {
        case AggregateFunction.count.rawValue, AggregateFunction.distinctCount.rawValue: .int64
        default: .double
        }
    }

    private static func problem(_ type: FeatureType, _ function: AggregateFunction) -> String? {
        if resultTypes.contains(type) { return nil }
        if function == .last {
            return [.string, .bool].contains(type) ? nil : "a last value is a number, STRING or BOOL"
        }
        return "\(function.rawValue) is one of \(resultTypes.map(\.rawValue).joined(separator: ", "))"
    }

    private static func kind(_ aggregation: WindowAggregation, _ type: FeatureType) -> ColumnKind {
        switch aggregation.function {
        case .count, .distinctCount: .any
        case .last: type == .string ? .text : type == .bool ? .flag : .number
        default: .number
        }
    }
}

extension FeatureValue {
    /// A window's answer as a feature of a type. What does not fit the type is null.
    init(_ value: StreamValue, type: FeatureType) {
        switch (value, type) {
        case (.text(let text), .string): self = .string(text)
        case (.flag(let flag), .bool): self = .bool(flag)
        case (.number(let number), .double): self = number.isFinite ? .double(number) : .null
        case (.number(let number), .float): self = Float(number).isFinite ? .float(Float(number)) : .null
        case (.number(let number), .int64):
            self = Int64(exactly: number.rounded(.toNearestOrEven)).map(FeatureValue.int64) ?? .null
        case (.number(let number), .int32):
            self = Int32(exactly: number.rounded(.toNearestOrEven)).map(FeatureValue.int32) ?? .null
        default: self = .null
        }
    }
}
