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
            point.origin = MetricPoint.Origin(modelID: row[6], datasetName: row[7], datasetDigest: row[8])
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
        var groups = MetricGroups()
        var last: Int64 = 0
        let batches = try Row.fetchCursor(
            try db.cachedStatement(sql: "SELECT seq, owner, body FROM metric_batches ORDER BY seq"))
        while let row = try batches.next() {
            last = row[0]
            groups.begin(owner: row[1])
            try row.withUnsafeData(atIndex: 2) { data in
                try data?.withUnsafeBytes { bytes in
                    try MetricCoding.readBatch(bytes) { key, point in groups.add(key, point) }
                }
            }
        }
        guard last > 0 else { return }
        var exists: [Int64: Bool] = [:]
        let find = try db.cachedStatement(sql: "SELECT 1 FROM runs WHERE seq = ?")
        for group in groups.all where exists[group.place.owner] == nil {
            exists[group.place.owner] = try Bool.fetchOne(find, arguments: [group.place.owner]) ?? false
        }
        for group in groups.all where exists[group.place.owner] == true {
            try append(db, group.place, group.points)
            try keepLatest(db, group.place, group.points)
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
                WHERE (excluded.step, excluded.timestamp, excluded.value, 1 - excluded.is_nan)
                    > (step, timestamp, value, 1 - is_nan)
                """)
        try write.execute(arguments: [
            place.owner, place.key, latest.step, latest.timestamp, latest.column, latest.value.isNaN,
            latest.origin?.modelID, latest.origin?.datasetName, latest.origin?.datasetDigest,
        ])
    }
}

/// Points by run and key. A run logs the same keys in the same order again and again, so that each key is looked for
/// first where the run's last batch had it: one comparison of bytes instead of a hash.
private struct MetricGroups {
    struct Group {
        var place: MetricFold.Place
        var utf8: [UInt8]
        var points: [MetricPoint] = []
    }

    private struct Owner {
        var indices: [String: Int] = [:]
        var order: [Int] = []
    }

    private(set) var all: [Group] = []
    private var owners: [Int64: Owner] = [:]
    private var owner: Int64 = 0
    private var current = Owner()
    private var position = 0

    mutating func begin(owner: Int64) {
        position = 0
        guard owner != self.owner else { return }
        owners[self.owner] = current
        self.owner = owner
        current = owners.removeValue(forKey: owner) ?? Owner()
    }

    mutating func add(_ key: UnsafeRawBufferPointer, _ point: MetricPoint) {
        defer { position += 1 }
        if position < current.order.count {
            let index = current.order[position]
            if all[index].utf8.elementsEqual(key) { return all[index].points.append(point) }
        }
        let text = String(decoding: key, as: UTF8.self)
        let index: Int
        if let known = current.indices[text] {
            index = known
        } else {
            index = all.count
            current.indices[text] = index
            all.append(Group(place: MetricFold.Place(owner: owner, key: text), utf8: Array(key)))
        }
        all[index].points.append(point)
        if position < current.order.count { current.order[position] = index } else { current.order.append(index) }
    }
}
