import AerieCore

/// A function that an online read calls once, for all features that are wanted of its view.
struct PlannedCall: Sendable {
    var call: FunctionCall
    /// The join keys among the call's columns, which come first, by name.
    var keys: [String]
    /// For each input of the plan where its value is read.
    var sources: [(part: Int, place: Int)]
    /// The columns of the request, which come last.
    var request: [OnDemandDefinition.Column]
    /// Places of the wanted features in their view.
    var features: [Int]
}

extension OnDemandPlan {
    /// The call that gives features of the view; `nil` for a plan of expressions.
    /// - Parameter keys: the join keys of the views that are read, as the function sees them too.
    func call(view: String, keys: [FeatureCatalog.JoinKey], features: [FunctionCall.Feature]) -> FunctionCall? {
        guard let function else { return nil }
        var columns = keys.map { FunctionCall.Column(names: [$0.name], type: $0.type) }
        for input in inputs {
            let full = "\(input.reference.view)__\(input.reference.feature)"
            let isAlone = inputs.count { $0.reference.feature == input.reference.feature } == 1
            columns.append(.init(names: isAlone ? [input.reference.feature, full] : [full], type: input.type))
        }
        for column in request { columns.append(.init(names: [column.name], type: column.type)) }
        return FunctionCall(view: view, function: function, columns: columns, features: features)
    }
}

extension [PlannedCall] {
    /// One call for all features of a view.
    /// - Returns: where the feature stands; `nil` for a view of expressions.
    mutating func add(
        _ view: FeatureCatalog.View, _ plan: OnDemandPlan, feature: Int, _ sources: [(part: Int, place: Int)],
        keysOf parts: [OnlinePlan.Part]
    ) -> (place: Int, feature: Int)? {
        let declared = view.definition.features[feature]
        let wanted = FunctionCall.Feature(name: declared.name, type: declared.type)
        if let known = firstIndex(where: { $0.call.view == view.definition.name }) {
            self[known].features.append(feature)
            self[known].call.features.append(wanted)
            return (known, self[known].features.count - 1)
        }
        var keys: [FeatureCatalog.JoinKey] = []
        for key in sources.flatMap({ parts[$0.part].view.joinKeys })
        where !keys.contains(where: { $0.name == key.name }) {
            keys.append(key)
        }
        guard let call = plan.call(view: view.definition.name, keys: keys, features: [wanted]) else { return nil }
        append(
            PlannedCall(
                call: call, keys: keys.map(\.name), sources: sources, request: plan.request, features: [feature]))
        return (count - 1, 0)
    }
}

/// The answers of an online read's calls: by call, then by its features, then by row.
typealias CallResults = [[[FeatureValue]]]

extension FeatureStore {
    /// Makes the calls of a plan. An input that is older than its view's time to live counts as null, as offline.
    /// - Parameters:
    ///   - keys: the entities' values by the names of the join keys.
    ///   - now: microseconds since 1970.
    func results(
        _ plan: OnlinePlan, _ records: [[OnlineRecord?]], keys: [String: [FeatureValue]],
        request: [String: [FeatureValue]], rows: Int, now: Int64
    ) async throws(AerieError) -> CallResults {
        var results: CallResults = []
        for planned in plan.calls {
            guard rows > 0 else {
                results.append(planned.features.map { _ in [] })
                continue
            }
            let unknown = [FeatureValue](repeating: .null, count: rows)
            var values = planned.keys.map { keys[$0] ?? unknown }
            for source in planned.sources {
                let limit = plan.parts[source.part].view.definition.timeToLive
                values.append(
                    records[source.part].map { record in
                        guard let record, limit.map({ now - record.time <= $0 }) ?? true else { return .null }
                        return record.values[source.place]
                    })
            }
            for column in planned.request { values.append(request[column.name] ?? unknown) }
            results.append(try await planned.call.runner(of: self).run(planned.call, values, rows: rows))
        }
        return results
    }
}
