import AerieCore
import Datasets

extension PointInTimeJoin {
    /// A function that is called over all rows, for all features that are wanted of its view.
    public struct FunctionJoin: Sendable {
        var plan: OnDemandPlan
        /// The columns of the entity table that hold the keys among the call's columns.
        var keys: [String]
        var call: FunctionCall
        /// Places of the wanted features in their view.
        var features: [Int]
        /// The Parquet file with the results, once it is there.
        var results = ""
    }

    /// The `SELECT` that gives a function what it computes from, as the online store would have it.
    func input(of join: FunctionJoin) -> String {
        var columns = join.keys.map { "e.\(sqlIdentifier($0))" }
        columns += join.plan.inputs.map { $0.type.stored(value(of: $0.reference)) }
        columns += join.plan.request.map { $0.type.stored("e.\(sqlIdentifier($0.name))") }
        let list = columns.enumerated().map { "\($1) AS c\($0)" }
        return "SELECT \((["e.\(Self.row) AS row"] + list).joined(separator: ", ")) FROM \(entitiesAndValues) "
            + "ORDER BY e.\(Self.row)"
    }

    /// How a function's results stand beside the entity rows.
    func results(of place: Int) -> String {
        " LEFT JOIN read_parquet(\(sqlString(functions[place].results))) AS r\(place) ON e.\(Self.row) = r\(place).row"
    }
}

extension FeatureStore {
    /// Adds the computation of a feature, and for the first one of a view with a function its call.
    /// - Parameter views: those that the plan reads, with the entity table's columns of their keys.
    static func add(
        _ reference: FeatureReference, _ view: FeatureCatalog.View, _ plan: OnDemandPlan, place: Int,
        reading views: [FeatureCatalog.View], to work: inout ComputedWork
    ) {
        var computation = PointInTimeJoin.Computation(
            view: reference.outputView, feature: reference.feature, plan: plan, place: place)
        defer { work.computations.append(computation) }
        let declared = view.definition.features[place]
        let wanted = FunctionCall.Feature(name: declared.name, type: declared.type)
        if let known = work.functions.firstIndex(where: { $0.call.view == reference.outputView }) {
            let at = work.functions[known].features.firstIndex(of: place) ?? work.functions[known].features.count
            if at == work.functions[known].features.count {
                work.functions[known].features.append(place)
                work.functions[known].call.features.append(wanted)
            }
            computation.call = (known, at)
            return
        }
        var keys: [FeatureCatalog.JoinKey] = []
        for key in views.flatMap(\.joinKeys) where !keys.contains(where: { $0.name == key.name }) { keys.append(key) }
        guard let call = plan.call(view: reference.outputView, keys: keys, features: [wanted]) else { return }
        computation.call = (work.functions.count, 0)
        work.functions.append(.init(plan: plan, keys: keys.map(\.name), call: call, features: [place]))
    }

    /// What is computed of a join's rows.
    struct ComputedWork: Sendable {
        var computations: [PointInTimeJoin.Computation] = []
        var functions: [PointInTimeJoin.FunctionJoin] = []
    }
}
