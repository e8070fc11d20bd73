import AerieCore
import Datasets

extension PointInTimeJoin {
    /// A feature on demand: computed out of what the join gives.
    public struct Computation: Sendable {
        var view: String
        var feature: String
        var plan: OnDemandPlan
        var place: Int
        /// Where a function gives it: the call, and the place among its features; `nil` for an expression.
        var call: (place: Int, feature: Int)?
    }

    func outputName(_ computation: Computation) -> String {
        usesFullNames ? "\(computation.view)__\(computation.feature)" : computation.feature
    }

    /// The computed columns.
    var computed: [String] {
        computations.map { computation in
            if let call = computation.call {
                return "r\(call.place).f\(call.feature) AS \(sqlIdentifier(outputName(computation)))"
            }
            let columns =
                computation.plan.inputs.map { value(of: $0.reference) }
                + computation.plan.request.map { "e.\(sqlIdentifier($0.name))" }
            return "\(computation.plan.sql(computation.place, columns)) AS \(sqlIdentifier(outputName(computation)))"
        }
    }

    /// - Throws: `invalidArgument` for columns that the entity table does not have, and results of the same name.
    func checkComputations(_ names: inout Set<String>) throws(AerieError) {
        for computation in computations {
            for column in computation.plan.request where !entityColumns.contains(column.name) {
                throw .invalid(
                    "features",
                    "'\(computation.view):\(computation.feature)' is computed from the column '\(column.name)', which the "
                        + "entity table does not have")
            }
            try Self.add(outputName(computation), to: &names)
        }
    }
}
