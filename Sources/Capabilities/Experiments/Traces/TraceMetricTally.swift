import AerieCore
import AerieJSON

/// Brings the rows of a measurement into groups and sums them up.
///
/// Memory goes with the number of groups, and with that of different values where percentiles are asked for.
/// Percentiles are interpolated linearly between neighbours (Hyndman and Fan's seventh definition).
struct TraceMetricTally {
    private struct Key: Hashable {
        var time: Int64?
        var dimensions: [String]
    }

    private struct Group {
        var count: Int64 = 0
        var sum = 0.0
        var minimum = Double.infinity
        var maximum = -Double.infinity
        var values: [(value: Double, count: Int64)] = []

        mutating func add(_ value: Double, _ times: Int64, isKept: Bool) {
            count += times
            sum += value * Double(times)
            minimum = min(minimum, value)
            maximum = max(maximum, value)
            if isKept { values.append((value, times)) }
        }

        func value(_ aggregation: TraceAggregation) -> Double {
            switch aggregation.kind {
            case .count: Double(count)
            case .sum: sum
            case .average: sum / Double(count)
            case .minimum: minimum
            case .maximum: maximum
            case .percentile: percentile(aggregation.percentile ?? 50)
            }
        }

        /// The values are in order.
        private func percentile(_ percent: Double) -> Double {
            let place = percent / 100 * Double(count - 1)
            let below = Int64(place)
            func at(_ index: Int64) -> Double {
                var passed: Int64 = 0
                for entry in values {
                    passed += entry.count
                    if passed > index { return entry.value }
                }
                return maximum
            }
            let low = at(below)
            return low + (at(min(below + 1, count - 1)) - low) * (place - Double(below))
        }
    }

    static func points(_ rows: [TraceMetricRow], _ query: TraceMetricQuery) -> [TraceMetricPoint] {
        let isKept = query.aggregations.contains { $0.kind == .percentile }
        var groups: [Key: Group] = [:]
        for row in rows {
            guard let (value, count) = counted(row, query.measure.source) else { continue }
            groups[Key(time: row.time, dimensions: row.dimensions), default: Group()].add(value, count, isKept: isKept)
        }
        // Of nothing there is one number: that there is nothing.
        if groups.isEmpty, query.interval == nil, query.dimensions.isEmpty, query.measure.kinds == [.count] {
            return [TraceMetricPoint(time: nil, dimensions: [], values: query.aggregations.map { _ in 0 })]
        }
        let sorted = groups.sorted { a, b in
            if a.key.time != b.key.time { return a.key.time ?? 0 < b.key.time ?? 0 }
            return a.key.dimensions.lexicographicallyPrecedes(b.key.dimensions) { first, second in
                first.utf8.lexicographicallyPrecedes(second.utf8)
            }
        }
        return sorted.prefix(query.limit).map { key, group in
            var group = group
            group.values.sort { $0.value < $1.value }
            return TraceMetricPoint(
                time: key.time.map { Timestamp(milliseconds: $0) }, dimensions: key.dimensions,
                values: query.aggregations.map { group.value($0) })
        }
    }

    /// What a row adds, and how often; `nil` if it holds no number.
    private static func counted(_ row: TraceMetricRow, _ source: TraceMeasure.Source) -> (Double, Int64)? {
        switch source {
        case .row: (1, row.count)
        case .session: (1, 1)
        case .latency, .cost, .number: number(row.value).map { ($0, row.count) }
        case .metadata(_, let member): json(row.value)?[member]?.double.map { ($0, row.count) }
        }
    }

    private static func number(_ value: PageValue) -> Double? {
        switch value {
        case .integer(let number): Double(number)
        case .number(let number): number
        case .none, .text: nil
        }
    }

    private static func json(_ value: PageValue) -> JSONValue? {
        if case .text(let text) = value { try? JSONValue.parse(text) } else { nil }
    }
}
