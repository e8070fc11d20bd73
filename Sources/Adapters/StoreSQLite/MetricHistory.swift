import AerieCore
import Experiments
import Foundation
import GRDB

/// Reads the history of one metric of one run, chunk by chunk, in the order of step, timestamp and value.
struct MetricHistory {
    private let db: Database
    private let owner: Int64
    private let key: String
    private let steps: ClosedRange<Int64>

    init(_ db: Database, owner: Int64, key: String, steps: ClosedRange<Int64>?) {
        self.db = db
        self.owner = owner
        self.key = key
        self.steps = steps ?? Int64.min...Int64.max
    }

    private func chunks(from step: Int64) throws -> RowCursor {
        let statement = try db.cachedStatement(
            sql: """
                SELECT first_step, body FROM metric_chunks
                WHERE owner = ? AND key = ? AND last_step >= ? AND first_step <= ? ORDER BY first_step, number
                """)
        return try Row.fetchCursor(
            statement, arguments: [owner, key, max(step, steps.lowerBound), steps.upperBound])
    }

    private func read(_ row: Row, into points: inout [MetricPoint]) throws {
        let start = points.count
        try row.withUnsafeData(atIndex: 1) { data in
            try data?.withUnsafeBytes { try MetricCoding.readSegments($0, into: &points) }
        }
        guard steps != Int64.min...Int64.max else { return }
        let inside = points[start...].filter { steps.contains($0.step) }
        points.replaceSubrange(start..., with: inside)
    }

    /// The first so many points, or those that follow a point.
    func points(after: MetricPoint?, limit: Int) throws -> [MetricPoint] {
        var points: [MetricPoint] = []
        let rows = try chunks(from: after?.step ?? .min)
        while let row = try rows.next() {
            // Once the page is full, only chunks that begin before its end can still change it.
            if points.count >= limit {
                MetricPoint.settle(&points)
                if points.count >= limit, points[limit - 1].step < row[0] as Int64 { break }
            }
            let start = points.count
            try read(row, into: &points)
            if let after {
                let rest = points[start...].filter { after < $0 }
                points.replaceSubrange(start..., with: rest)
            }
        }
        MetricPoint.settle(&points)
        return Array(points.prefix(limit))
    }

    /// About so many points, evenly by their number; the first and the last are among them. A long history whose chunks
    /// follow each other, as one logged step by step has, is read with one chunk in memory; another is read whole.
    func thinned(to most: Int) throws -> [MetricPoint] {
        let (total, isOrdered) = try extent()
        guard total > 100_000, isOrdered, most > 1 else {
            return Self.thin(try points(after: nil, limit: total + 1), to: most)
        }
        let stride = (total + most - 1) / most
        var result: [MetricPoint] = []
        var last: MetricPoint?
        var count = 0
        let rows = try chunks(from: .min)
        while let row = try rows.next() {
            var chunk: [MetricPoint] = []
            try read(row, into: &chunk)
            MetricPoint.settle(&chunk)
            for point in chunk {
                if count % stride == 0 { result.append(point) }
                if last.map({ $0 < point }) ?? true { last = point }
                count += 1
            }
        }
        if let last { result.append(last) }
        MetricPoint.settle(&result)
        return Self.thin(result, to: most)
    }

    /// How many points the chunks hold that the steps touch, and whether none of these begins before another ends.
    private func extent() throws -> (total: Int, isOrdered: Bool) {
        let statement = try db.cachedStatement(
            sql: """
                SELECT first_step, last_step, points FROM metric_chunks
                WHERE owner = ? AND key = ? AND last_step >= ? AND first_step <= ? ORDER BY first_step, number
                """)
        var total = 0
        var isOrdered = true
        var end: Int64?
        let rows = try Row.fetchCursor(statement, arguments: [owner, key, steps.lowerBound, steps.upperBound])
        while let row = try rows.next() {
            let (first, last, points): (Int64, Int64, Int) = (row[0], row[1], row[2])
            if let end, first <= end { isOrdered = false }
            end = max(end ?? .min, last)
            total += points
        }
        return (total, isOrdered)
    }

    private static func thin(_ points: [MetricPoint], to most: Int) -> [MetricPoint] {
        guard points.count > most, most > 0 else { return points }
        guard most > 1 else { return Array(points.suffix(1)) }
        // The first of each of `most` shares, as equal as can be, and the last of all, which the last share gives.
        let (share, rest) = points.count.quotientAndRemainder(dividingBy: most)
        return (0..<most - 1).map { points[$0 * share + min($0, rest)] } + points.suffix(1)
    }
}
