import Datasets
import Streaming

/// Views of windows in a point-in-time join. It says the same as `EntityWindows` does online.
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

    /// The events that count, with their entity's number.
    private func events(_ view: View, _ windows: WindowDefinition, _ set: Int) -> String {
        let events = WindowEvents(view.definition, windows, view.source)
        return events.counted(of: rows(view, set, events.columns), entity: view.keys.isEmpty ? [] : ["id"])
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
