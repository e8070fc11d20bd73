import AerieCore
import Experiments
import Foundation
import GRDB

/// The tables of metrics, and how what waits gets into them.
enum MetricTables {
    /// Replaces the table of one row a point that was there before.
    static func create(_ db: Database) throws {
        try db.execute(
            sql: """
                CREATE TABLE metric_batches (
                    seq INTEGER PRIMARY KEY AUTOINCREMENT, owner INTEGER NOT NULL, body BLOB NOT NULL);
                CREATE TABLE metric_chunks (
                    id INTEGER PRIMARY KEY, owner INTEGER NOT NULL REFERENCES runs(seq) ON DELETE CASCADE,
                    key TEXT NOT NULL, number INTEGER NOT NULL, first_step INTEGER NOT NULL, last_step INTEGER NOT NULL,
                    points INTEGER NOT NULL, body BLOB NOT NULL);
                CREATE UNIQUE INDEX metric_chunks_by_key ON metric_chunks (owner, key, number);
                CREATE INDEX runs_by_name ON runs (experiment, stage, name);
                """)
        let rows = try Row.fetchCursor(
            db,
            sql: """
                SELECT owner, key, step, timestamp, value, is_nan, model_id, dataset_name, dataset_digest FROM metrics
                ORDER BY owner, key, step, timestamp, value
                """)
        var place: MetricFold.Place?
        var points: [MetricPoint] = []
        while let row = try rows.next() {
            let next = MetricFold.Place(owner: row[0], key: row[1])
            if let place, place != next || points.count == 1000 {
                try MetricFold.append(db, place, points)
                points.removeAll(keepingCapacity: true)
            }
            place = next
            var point = MetricPoint(step: row[2], timestamp: row[3], value: row[5] ? .nan : row[4])
            let origin = MetricPoint.Origin(modelID: row[6], datasetName: row[7], datasetDigest: row[8])
            if origin != MetricPoint.Origin() { point.origin = origin }
            points.append(point)
        }
        if let place { try MetricFold.append(db, place, points) }
        try db.execute(sql: "DROP TABLE metrics")
    }
}

/// Moves waiting batches to the histories and the latest values that they belong to.
enum MetricFold {
    struct Place: Hashable {
        var owner: Int64
        var key: String
    }

    /// A chunk of so many bytes gets no more: reading one costs little, and so does writing it anew with more in it.
    private static let chunkBytes = 4096
    private static let segmentPoints = 400

    static func run(_ db: Database) throws {
        var groups: [Place: [MetricPoint]] = [:]
        var last: Int64 = 0
        let batches = try Row.fetchCursor(
            try db.cachedStatement(sql: "SELECT seq, owner, body FROM metric_batches ORDER BY seq"))
        while let row = try batches.next() {
            last = row[0]
            let owner: Int64 = row[1]
            try row.withUnsafeData(atIndex: 2) { data in
                try data?.withUnsafeBytes { bytes in
                    try MetricCoding.readBatch(bytes) { key, point in
                        groups[Place(owner: owner, key: key), default: []].append(point)
                    }
                }
            }
        }
        guard last > 0 else { return }
        var exists: [Int64: Bool] = [:]
        let find = try db.cachedStatement(sql: "SELECT 1 FROM runs WHERE seq = ?")
        for place in groups.keys where exists[place.owner] == nil {
            exists[place.owner] = try Bool.fetchOne(find, arguments: [place.owner]) ?? false
        }
        for (place, points) in groups where exists[place.owner] == true {
            try append(db, place, points)
            try keepLatest(db, place, points)
        }
        try db.execute(sql: "DELETE FROM metric_batches WHERE seq <= ?", arguments: [last])
    }

    /// Puts the points behind those that the history has, a new chunk where the last one is full.
    static func append(_ db: Database, _ place: Place, _ points: [MetricPoint]) throws {
        let find = try db.cachedStatement(
            sql: """
                SELECT number, length(body) FROM metric_chunks WHERE owner = ? AND key = ? ORDER BY number DESC LIMIT 1
                """)
        var number: Int64 = 0
        var room = chunkBytes
        if let row = try Row.fetchOne(find, arguments: [place.owner, place.key]) {
            number = row[0]
            room = chunkBytes - (row[1] as Int)
        }
        let write = try db.cachedStatement(
            sql: """
                INSERT INTO metric_chunks (owner, key, number, first_step, last_step, points, body)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (owner, key, number) DO UPDATE SET first_step = MIN(first_step, excluded.first_step),
                    last_step = MAX(last_step, excluded.last_step), points = points + excluded.points,
                    body = body || excluded.body
                """)
        for part in points.chunks(of: segmentPoints) {
            let bytes = MetricCoding.segment(part)
            if room <= 0 {
                number += 1
                room = chunkBytes
            }
            room -= bytes.count
            let steps = part.lazy.map(\.step)
            try write.execute(arguments: [
                place.owner, place.key, number, steps.min() ?? 0, steps.max() ?? 0, part.count, Data(bytes),
            ])
        }
    }

    private static func keepLatest(_ db: Database, _ place: Place, _ points: [MetricPoint]) throws {
        guard let latest = points.max(by: <) else { return }
        let write = try db.cachedStatement(
            sql: """
                INSERT INTO latest_metrics
                (owner, key, step, timestamp, value, is_nan, model_id, dataset_name, dataset_digest)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (owner, key) DO UPDATE SET step = excluded.step, timestamp = excluded.timestamp,
                    value = excluded.value, is_nan = excluded.is_nan, model_id = excluded.model_id,
                    dataset_name = excluded.dataset_name, dataset_digest = excluded.dataset_digest
                WHERE (excluded.step, excluded.timestamp, excluded.value) > (step, timestamp, value)
                """)
        try write.execute(arguments: [
            place.owner, place.key, latest.step, latest.timestamp, latest.column, latest.value.isNaN,
            latest.origin?.modelID, latest.origin?.datasetName, latest.origin?.datasetDigest,
        ])
    }
}
