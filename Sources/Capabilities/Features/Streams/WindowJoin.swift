import Datasets
import Streaming

/// Views of windows in a point-in-time join. It says the same as `EntityWindows` does online.
///
/// An event of the source counts if its time is not null and not before 1970; with a column of arrivals
/// (`createdTimestampColumn`), if it did not arrive too late or too early; and of several with one identity, the one
/// that arrived first.
extension PointInTimeJoin {
    /// For each question the aggregates of its windows.
    func windowed(_ view: View, _ windows: WindowDefinition, _ set: Int) -> String {
        let columns = (view.features + view.inputs).enumerated().map { place, feature in
            let index = windows.plan.aggregations.firstIndex { $0.name == feature } ?? 0
            return "\(Self.aggregate(windows, index)) AS f\(place)"
        }
        let same = view.keys.isEmpty ? "" : "q.id = s.id AND "
        let retention = windows.plan.retention
        return "SELECT q.\(Self.row), \(columns.joined(separator: ", ")) FROM \(questions(set)) AS q LEFT JOIN "
            + "(\(events(view, windows, set))) AS s ON \(same)s.t BETWEEN q.\(Self.time) - \(retention) AND "
            + "q.\(Self.time) GROUP BY q.\(Self.row)"
    }

    /// The events that count: their entity's number, their time as `t`, their arrival as `a` and their place as `n`.
    private func events(_ view: View, _ windows: WindowDefinition, _ set: Int) -> String {
        let definition = view.definition
        func column(_ name: String) -> String { sqlIdentifier(definition.column(of: name)) }
        let arrival = definition.createdTimestampColumn.map {
            sqlMicroseconds(sqlIdentifier($0), type: view.source.types[$0])
        }
        var columns = ["\(arrival ?? "0::BIGINT") AS a", "\(view.source.position ?? "\"__aerie_at\"") AS n"]
        for (index, name) in windows.plan.columns.enumerated() {
            columns.append("\(Self.value(column(name), windows.kinds[index])) AS c\(index)")
        }
        var conditions = ["t >= 0"]
        if arrival != nil {
            let allowed = "\(-WindowPlan.futureLimit) AND \(windows.stream.allowedLateness)"
            conditions.append("coalesce(a - t BETWEEN \(allowed), true)")
        }
        var first = ""
        if let id = windows.stream.eventID {
            columns.append("\(column(id)) AS e")
            conditions.append("e IS NOT NULL")
            let entity = view.keys.isEmpty ? "" : "id, "
            first = " QUALIFY row_number() OVER (PARTITION BY \(entity)e ORDER BY a NULLS FIRST, n) = 1"
        }
        return "SELECT * FROM (\(rows(view, set, columns))) WHERE \(conditions.joined(separator: " AND "))\(first)"
    }

    private static func value(_ column: String, _ kind: WindowDefinition.ColumnKind) -> String {
        switch kind {
        case .number: "CASE WHEN isfinite(\(column)::DOUBLE) THEN \(column)::DOUBLE END"
        case .text: "\(column)::VARCHAR"
        case .flag: "\(column)::BOOLEAN"
        case .any: column
        }
    }

    private static func aggregate(_ windows: WindowDefinition, _ index: Int) -> String {
        let aggregation = windows.plan.aggregations[index]
        let column = aggregation.column.flatMap { windows.plan.columns.firstIndex(of: $0) }.map { "s.c\($0)" } ?? "*"
        let (slide, tiles) = (aggregation.slide, aggregation.window / aggregation.slide)
        let inside = "s.t // \(slide) > q.\(time) // \(slide) - \(tiles)"
        let filter = " FILTER (WHERE \(inside))"
        let value =
            switch aggregation.function {
            case .count: "count(\(column))\(filter)"
            case .sum: "coalesce(sum(\(column))\(filter), 0)"
            case .mean: "avg(\(column))\(filter)"
            case .minimum: "min(\(column))\(filter)"
            case .maximum: "max(\(column))\(filter)"
            case .deviation: "stddev_samp(\(column))\(filter)"
            case .distinctCount: "count(DISTINCT \(column))\(filter)"
            case .last: "last(\(column) ORDER BY s.t, s.a, s.n) FILTER (WHERE \(inside) AND \(column) IS NOT NULL)"
            }
        return switch windows.types[index] {
        case .int32: "TRY_CAST(\(value) AS INTEGER)"
        case .int64: "TRY_CAST(\(value) AS BIGINT)"
        case .float: "TRY_CAST(\(value) AS FLOAT)"
        default: value
        }
    }
}
