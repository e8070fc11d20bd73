import AerieCore
import AerieJSON
import Expressions

/// Features on demand within a plan of an online read.
struct PlannedComputation: Sendable {
    var plan: OnDemandPlan
    /// The place of the feature in its view.
    var feature: Int
    /// For each input of the plan where its value is read: a part, and a place in it.
    var sources: [(part: Int, place: Int)]
    /// Where a function gives it: the call, and the place among its features; `nil` for an expression.
    var call: (place: Int, feature: Int)?
}

extension FeatureStore {
    /// The columns of a request that the computations of a plan read, by name.
    /// - Throws: `notFound` (`request_data.missing`) for one that is not there, `invalidArgument` for one of another
    ///   type.
    static func requestColumns(
        _ plan: OnlinePlan, _ entities: [(name: String, values: [JSONValue])]
    ) throws(AerieError) -> [String: [FeatureValue]] {
        var columns: [String: [FeatureValue]] = [:]
        for column in plan.computations.flatMap(\.plan.request) where columns[column.name] == nil {
            guard let given = entities.first(where: { $0.name == column.name }) else {
                throw AerieError(
                    .notFound,
                    "Required request data source features missing from entity dataframe: ['\(column.name)']",
                    reason: "request_data.missing")
            }
            var values: [FeatureValue] = []
            values.reserveCapacity(given.values.count)
            for (row, value) in given.values.enumerated() {
                values.append(
                    try FeatureValue(json: value, type: column.type, field: "entities.\(column.name)[\(row)]"))
            }
            columns[column.name] = values
        }
        return columns
    }

    /// One computed column. An input that is older than its view's time to live counts as null, as offline.
    static func computed(
        _ computation: PlannedComputation, name: String, _ plan: OnlinePlan, _ records: [[OnlineRecord?]],
        _ request: [String: [FeatureValue]], _ results: CallResults, rows: Int, isStrict: Bool, now: Int64
    ) -> OnlineAnswer.Column {
        var column = OnlineAnswer.Column(name: name, values: [], statuses: [], times: [])
        column.times = Array(repeating: 0, count: rows)
        if let call = computation.call {
            // Without results nothing was called, as the store could not be read.
            column.values = results.isEmpty ? Array(repeating: .null, count: rows) : results[call.place][call.feature]
            column.statuses = column.values.map { isStrict && $0.isNull ? .nullValue : .present }
            return column
        }
        column.values.reserveCapacity(rows)
        var values: [ExpressionValue] = []
        for row in 0..<rows {
            values.removeAll(keepingCapacity: true)
            for source in computation.sources {
                let limit = plan.parts[source.part].view.definition.timeToLive
                guard let record = records[source.part][row], limit.map({ now - record.time <= $0 }) ?? true else {
                    values.append(.null)
                    continue
                }
                values.append(ExpressionValue(record.values[source.place]))
            }
            for one in computation.plan.request {
                values.append(ExpressionValue(request[one.name]?[row] ?? .null))
            }
            let value = computation.plan.value(computation.feature, values)
            column.values.append(value)
            column.statuses.append(isStrict && value.isNull ? .nullValue : .present)
        }
        return column
    }
}
