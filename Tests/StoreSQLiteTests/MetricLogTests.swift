import AerieCore
import Experiments
import Foundation
import GRDB
import Synchronization
import Testing

@testable import StoreSQLite

@Suite struct MetricLogTests {
    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "aerie-metrics-" + IdentifierSource.system.hex32()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }

    private func open(_ folder: String) throws -> MetadataDatabase {
        try MetadataDatabase(path: folder + "/metadata.db", migrations: SQLiteExperimentStore.migrations)
    }

    private func makeRun(_ store: SQLiteRunStore, _ id: RunID) async throws {
        let info = RunInfo(
            id: id, experimentID: "0", name: "n", userID: "u", startTime: Timestamp(milliseconds: 1), artifactURI: "a")
        try await store.create([Run(info: info)])
    }

    private static func point(_ step: Int64, _ value: Double, time: Int64 = 0) -> Metric {
        Metric(key: "m", value: value, timestamp: Timestamp(milliseconds: time), step: step)
    }

    @Test("every metric comes back from its bytes, whatever its numbers and texts")
    func coding() throws {
        var metrics: [Metric] = []
        for (index, step) in [Int64.min, -1, 0, 1, 7, .max, .min].enumerated() {
            let value = [0.1, -.pi, .nan, .infinity, -.infinity, 5e-324, 0][index]
            metrics.append(
                Metric(
                    key: "k\(index)ä", value: value, timestamp: Timestamp(milliseconds: .max &- step &* 3), step: step))
        }
        metrics[3].modelID = "m-1"
        metrics[4].datasetName = "d"
        metrics[5].datasetDigest = ""
        var read: [String] = []
        try MetricCoding.batch(metrics).withUnsafeBytes { bytes in
            try MetricCoding.readBatch(bytes) { key, point in
                read.append("\(point.metric(String(decoding: key, as: UTF8.self)))")
            }
        }
        var expected = metrics
        for index in expected.indices { expected[index].value = MetricPoint.kept(expected[index].value) }
        #expect(read == expected.map { "\($0)" })
        let points = metrics.map { MetricPoint($0) }
        var back: [MetricPoint] = []
        let bytes = MetricCoding.segment(points[...]) + MetricCoding.segment(points[1..<2])
        try bytes.withUnsafeBytes { try MetricCoding.readSegments($0, into: &back) }
        #expect(back.map { "\($0.metric("k"))" } == (points + [points[1]]).map { "\($0.metric("k"))" })
    }

    @Test("bytes that are cut or altered are an error and no crash")
    func damage() throws {
        let bytes = MetricCoding.batch((0..<20).map { Self.point($0, Double($0)) })
        for count in 1..<bytes.count {
            #expect(throws: AerieError.self) {
                try bytes.prefix(count).withUnsafeBytes { try MetricCoding.readBatch($0) { _, _ in } }
            }
        }
        // Knuth's multiplier: every run alters the same places.
        var number: UInt64 = 7
        func next(below count: Int) -> Int {
            number = number &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(number >> 33) % count
        }
        for _ in 0..<2000 {
            var altered = bytes
            altered[next(below: altered.count)] = UInt8(next(below: 256))
            altered.withUnsafeBytes { raw in try? MetricCoding.readBatch(raw) { _, _ in } }
        }
    }

    @Test("what waits when the process ends is there when the next one looks")
    func reopened() async throws {
        try await withFolder { folder in
            do {
                let store = SQLiteRunStore(try open(folder))
                try await makeRun(store, "r")
                for step in 0..<50 {
                    try await store.log([RunBatch(runID: "r", metrics: [Self.point(Int64(step), Double(step))])])
                }
            }
            let database = try open(folder)
            let waiting = try await database.read { try Int.fetchOne($0, sql: "SELECT COUNT(*) FROM metric_batches") }
            #expect(waiting == 50)
            let store = SQLiteRunStore(database)
            #expect(try await store.get(["r"]).first?.metrics.first?.value == 49)
            #expect(try await store.history(MetricHistoryQuery(runIDs: ["r"], key: "m")).count == 50)
        }
    }

    @Test("a long history is paged and thinned the same however it was logged")
    func history() async throws {
        try await withFolder { folder in
            let store = SQLiteRunStore(try open(folder))
            try await makeRun(store, "r")
            // In pieces, the later steps first, every point twice, and folded in between.
            for start in stride(from: 9000, through: 0, by: -1000) {
                let points = (0..<1000).map {
                    Self.point(Int64(start + $0), Double(start + $0) / 3, time: Int64($0 % 5))
                }
                try await store.log([RunBatch(runID: "r", metrics: points), RunBatch(runID: "r", metrics: points)])
                try await store.settle()
            }
            let all = try await store.history(MetricHistoryQuery(runIDs: ["r"], key: "m")).map(\.1)
            #expect(all.map(\.step) == Array(0..<10_000))
            var paged: [Metric] = []
            while true {
                let query = MetricHistoryQuery(runIDs: ["r"], key: "m", limit: 777, after: paged.last)
                let page = try await store.history(query).map(\.1)
                paged += page
                if page.count < 777 { break }
            }
            #expect(paged == all)
            let thin = try await store.history(MetricHistoryQuery(runIDs: ["r"], key: "m", perRun: 100)).map(\.1)
            #expect(thin.count == 100 && thin.first == all.first && thin.last == all.last)
            let part = try await store.history(MetricHistoryQuery(runIDs: ["r"], key: "m", steps: 500...1499)).map(\.1)
            #expect(part == Array(all[500..<1500]))
        }
    }

    @Test("a reader that comes while a fold is being committed sees what was acknowledged before it")
    func readersDuringFolds() async throws {
        try await withFolder { folder in
            let store = SQLiteRunStore(try open(folder))
            try await makeRun(store, "r")
            try await withThrowingTaskGroup(of: Void.self) { group in
                let written = Written()
                group.addTask {
                    for step in 0..<300 {
                        try await store.log([RunBatch(runID: "r", metrics: [Self.point(Int64(step), 1)])])
                        written.step.withLock { $0 = Int64(step) }
                    }
                }
                for _ in 0..<6 {
                    group.addTask {
                        var seen: Int64 = -1
                        while seen < 299 {
                            let before = written.step.withLock { $0 }
                            seen = try await store.get(["r"]).first?.metrics.first?.step ?? -1
                            #expect(seen >= before)
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("readers who come together count what they fold once")
    func foldsTogether() async throws {
        try await withFolder { folder in
            let database = try open(folder)
            let store = SQLiteRunStore(database)
            let log = MetricLog(database)
            try await makeRun(store, "r")
            for round in 0..<16 {
                try await database.write { db in
                    try log.append(db, owner: 1, [Self.point(Int64(round), 1)])
                }
                #expect(log.waitingBytes > 0)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<64 { group.addTask { try await log.settle() } }
                    try await group.waitForAll()
                }
                #expect(log.waitingBytes == 0)
            }
            #expect(try await store.history(MetricHistoryQuery(runIDs: ["r"], key: "m")).count == 16)
        }
    }

    @Test(
        "a file of every earlier version of the tables comes to the newest",
        arguments: 1...SQLiteExperimentStore.migrations.count)
    func everyVersion(_ steps: Int) async throws {
        try await withFolder { folder in
            let before = Array(SQLiteExperimentStore.migrations.prefix(steps))
            do {
                let old = try MetadataDatabase(path: folder + "/metadata.db", migrations: before)
                try await old.write { db in
                    try db.execute(
                        sql: """
                            INSERT INTO runs (id, experiment, name, user_id, status, start_time, artifact_uri, stage)
                            VALUES ('r', 0, 'n', 'u', 'RUNNING', 1, 'a', 'active')
                            """)
                    try db.execute(sql: "INSERT INTO run_tags (owner, key, value) VALUES (1, 'k', 'v')")
                }
            }
            let store = SQLiteRunStore(try open(folder))
            #expect(try await store.get(["r"]).first?.tags == [Tag(key: "k", value: "v")])
            try await store.log([RunBatch(runID: "r", metrics: [Self.point(1, 2)])])
            #expect(try await store.search(SearchQuery(experimentIDs: ["0"])).elements.first?.metrics.first?.value == 2)
        }
    }

    @Test("rows of the table before are in the histories after")
    func migrated() async throws {
        try await withFolder { folder in
            let before = SQLiteExperimentStore.migrations.filter { $0.name != "experiments.2" }
            do {
                let old = try MetadataDatabase(path: folder + "/metadata.db", migrations: before)
                try await old.write { db in
                    try db.execute(
                        sql: """
                            INSERT INTO runs (seq, id, experiment, name, user_id, status, start_time, artifact_uri, stage)
                            VALUES (1, 'r', 0, 'n', 'u', 'RUNNING', 1, 'a', 'active'),
                                (2, 's', 0, 'n', 'u', 'RUNNING', 1, 'a', 'active')
                            """)
                    for step in 0..<2500 {
                        for owner in [1, 2] {
                            try db.execute(
                                sql: """
                                    INSERT INTO metrics (owner, key, step, timestamp, value, is_nan, model_id)
                                    VALUES (?, 'm', ?, 5, ?, ?, ?)
                                    """,
                                arguments: [
                                    owner, step, step == 7 ? 0 : Double(step), step == 7, owner == 2 ? "x" : nil,
                                ])
                        }
                    }
                }
            }
            let store = SQLiteRunStore(try open(folder))
            let found = try await store.history(MetricHistoryQuery(runIDs: ["r", "s"], key: "m"))
            #expect(found.count == 5000 && found.map(\.1.step) == Array(0..<2500) + Array(0..<2500))
            #expect(found[7].1.value.isNaN && found[8].1.value == 8 && found[8].1.modelID == nil)
            #expect(found[2500].0 == "s" && found[2500].1.modelID == "x")
        }
    }

    @Test("a full disk refuses what does not fit and keeps what was acknowledged")
    func full() async throws {
        try await withFolder { folder in
            let database = try open(folder)
            let store = SQLiteRunStore(database)
            try await makeRun(store, "r")
            try await database.write { db in
                let pages = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
                try db.execute(sql: "PRAGMA max_page_count = \(pages + 40)")
            }
            var kept = 0
            var refusal: AerieError?
            while refusal == nil, kept < 100_000 {
                let metrics = (0..<500).map { Self.point(Int64(kept * 500 + $0), 1) }
                do throws(AerieError) {
                    try await store.log([RunBatch(runID: "r", metrics: metrics)])
                    kept += 1
                } catch { refusal = error }
            }
            #expect(refusal?.code == .resourceExhausted)
            try await database.write { try $0.execute(sql: "PRAGMA max_page_count = 1073741823") }
            let query = MetricHistoryQuery(runIDs: ["r"], key: "m", limit: 10_000_000)
            #expect(try await store.history(query).count == kept * 500)
            try await store.log([RunBatch(runID: "r", metrics: [Self.point(-1, 1)])])
            #expect(try await store.history(query).count == kept * 500 + 1)
        }
    }
}

/// The last step that was acknowledged.
private final class Written: Sendable { let step = Mutex(Int64(-1)) }
