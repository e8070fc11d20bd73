import AerieCore
import AerieJSON
import Expressions

/// Views that are computed of others and kept online: computed when rows are written, as Feast does it with
/// `write_to_online_store`, where an ordinary one is computed at each read.
extension FeatureStore {
    typealias NamedColumns = [(name: String, values: [JSONValue])]

    /// The rows with the view's features beside what these are computed of; as they came for any other view, and where
    /// they bring every feature and not every input, as what Feast's SDK has computed itself.
    ///
    /// Rows without a time are of now.
    /// - Parameter computes: whether the rows are inputs, and not yet the features.
    /// - Throws: `invalidArgument` for an input that is not there or of another type, before anything is computed; what
    ///   the runner of functions throws.
    func computed(
        _ columns: NamedColumns, of view: FeatureCatalog.View, computes: Bool
    ) async throws(AerieError) -> NamedColumns {
        guard let plan = view.onDemand else { return columns }
        let features = view.definition.features
        var rows = WrittenRows(columns)
        let time = view.definition.timestampField ?? "event_timestamp"
        if rows[time] == nil { rows.add(time, .string(FeatureTime.text(clock.now().milliseconds * 1000))) }
        guard computes else { return rows.columns }
        if let missing = rows.missing(of: plan) {
            if features.allSatisfy({ rows[$0.name] != nil }) { return rows.columns }
            if !rows.areEnough(for: plan) {
                throw .invalid("df.\(missing)", "is missing: the features of '\(view.definition.name)' are computed of it")
            }
        }
        let keys = try rows.keys(view.joinKeys)
        let inputs = try rows.inputs(of: plan)
        guard rows.count > 0 else { return rows.columns }
        let values: [[FeatureValue]]
        let wanted = features.map { FunctionCall.Feature(name: $0.name, type: $0.type) }
        if var call = plan.call(view: view.definition.name, keys: view.joinKeys, features: wanted) {
            let given = inputs.indices.filter { inputs[$0] != nil }
            call.columns = call.columns[..<keys.count] + given.map { call.columns[keys.count + $0] }
            values = try await call.runner(of: self).run(call, keys + inputs.compactMap(\.self), rows: rows.count)
        } else {
            let inputs = inputs.compactMap(\.self)
            values = features.indices.map { feature in
                (0..<rows.count).map { row in plan.value(feature, inputs.map { ExpressionValue($0[row]) }) }
            }
        }
        for (feature, column) in zip(features, values) { rows.put(feature.name, column.map(\.json)) }
        return rows.columns
    }
}

/// The columns of a write, as a view that is computed of them reads them.
private struct WrittenRows {
    private(set) var columns: FeatureStore.NamedColumns
    let count: Int

    init(_ columns: FeatureStore.NamedColumns) {
        self.columns = columns
        count = columns.first?.values.count ?? 0
    }

    subscript(name: String) -> [JSONValue]? { columns.first { $0.name == name }?.values }

    mutating func add(_ name: String, _ value: JSONValue) {
        columns.append((name, Array(repeating: value, count: count)))
    }

    mutating func put(_ name: String, _ values: [JSONValue]) {
        columns.removeAll { $0.name == name }
        columns.append((name, values))
    }

    /// The first input or column of the request that is not there; `nil` for none.
    func missing(of plan: OnDemandPlan) -> String? {
        plan.request.first { self[$0.name] == nil }?.name
            ?? plan.inputs.first { name(of: $0) == nil }?.reference.feature
    }

    /// Whether a function can be asked: Feast names whole views as its inputs, of which it may read some features.
    func areEnough(for plan: OnDemandPlan) -> Bool {
        plan.function != nil && plan.request.allSatisfy { self[$0.name] != nil }
            && (plan.inputs.isEmpty || plan.inputs.contains { name(of: $0) != nil })
    }

    /// By the plan's inputs and the columns of the request; `nil` for what is not there.
    func inputs(of plan: OnDemandPlan) throws(AerieError) -> [[FeatureValue]?] {
        var inputs: [[FeatureValue]?] = []
        for input in plan.inputs {
            inputs.append(try name(of: input).map { name throws(AerieError) in try values(name, input.type) })
        }
        for column in plan.request { inputs.append(try values(column.name, column.type)) }
        return inputs
    }

    func keys(_ keys: [FeatureCatalog.JoinKey]) throws(AerieError) -> [[FeatureValue]] {
        var columns: [[FeatureValue]] = []
        for key in keys {
            guard let given = self[key.name] else { throw .invalid("df.\(key.name)", "is missing: it is a join key") }
            var column: [FeatureValue] = []
            for (row, value) in given.enumerated() {
                column.append(try key.value(value, field: "df.\(key.name)[\(row)]"))
            }
            columns.append(column)
        }
        return columns
    }

    /// An input stands under its own name, or that with its view's before it.
    private func name(of input: OnDemandPlan.Input) -> String? {
        let full = "\(input.reference.view)__\(input.reference.feature)"
        return [full, input.reference.feature].first { self[$0] != nil }
    }

    private func values(_ name: String, _ type: FeatureType) throws(AerieError) -> [FeatureValue] {
        let given = self[name] ?? []
        guard given.count == count else {
            throw .invalid("df.\(name)", "has \(given.count) values, the first column has \(count)")
        }
        var values: [FeatureValue] = []
        for (row, value) in given.enumerated() {
            values.append(try FeatureValue(json: value, type: type, field: "df.\(name)[\(row)]"))
        }
        return values
    }
}
