import AerieCore
import AerieJSON
import AerieResources
import Datasets
import Foundation
import StoreDuckDB
import StoreLMDB
import Streaming
import Synchronization
import Testing

@testable import Features

/// One definition, two executions: what the stream gives online is what the SQL gives offline at the same instant, over
/// seeded streams with events that are late, known, out of order and ahead of their time, with crashes in between.
@Suite struct WindowAgreementTests {
    private static let second: Int64 = 1_000_000
    private static let start: Int64 = 1_790_000_000 * second

    /// An event as its source has it.
    struct Event {
        var user: Int
        var time: Int64
        var arrival: Int64
        var id: Int
        var amount: Double?
        var city: String?

        func read(by reader: StreamEventReader) throws -> StreamEvent {
            try reader.event(
                arrival: arrival,
                {
                    switch $0 {
                    case "user_id": .int(Int64(user))
                    case "ts": .string(FeatureTime.text(time))
                    case "id": .int(Int64(id))
                    case "amount": amount.map(JSONValue.double) ?? .null
                    case "city": city.map(JSONValue.string) ?? .null
                    default: nil
                    }
                }, place: { $0 })
        }
    }

    struct Case {
        var events: [Event] = []
        var view: FeatureCatalog.View
        var spec: JSONObject
        var random: SeededGenerator

        /// - Parameters:
        ///   - source: a path; `nil` for the table `events`.
        ///   - knowsArrivals: whether the source has them, so that events may be late.
        init(seed: UInt64, source: String? = nil, knowsArrivals: Bool = true) throws {
            random = SeededGenerator(seed: seed)
            let lateness = [600, 3600, 20_000][random.below(3)]
            var aggregations: [JSONValue] = []
            let words = ["600s", "1h", "6h", "24h", "7d"]
            for function in AggregateFunction.allCases {
                for column in function == .count ? [nil, "amount", "city"] : [String?.some("amount")] {
                    guard random.chance(0.7) || aggregations.isEmpty else { continue }
                    var one: JSONObject = [
                        "name": .string("f\(aggregations.count)"), "function": .string(function.rawValue),
                        "window": .string(words[random.below(words.count)]),
                    ]
                    if let column { one["column"] = .string(column) }
                    if random.chance(0.3) { one["slide"] = .string(["60s", "300s", "600s"][random.below(3)]) }
                    if one["window"]?.string == "7d" { one["slide"] = "1h" }
                    aggregations.append(.object(one))
                }
            }
            aggregations.append([
                "name": "city", "function": "last", "column": "city", "window": "6h", "dtype": "STRING",
            ])
            aggregations.append(["name": "cities", "function": "distinct_count", "column": "city", "window": "24h"])
            let hasIdentities = random.chance(0.8)
            var stream: JSONObject = ["type": "push", "allowedLateness": .string("\(lateness)s")]
            if hasIdentities { stream["eventId"] = "id" }
            var place: JSONObject = ["timestampField": "ts"]
            if knowsArrivals { place["createdTimestampColumn"] = "arrived" }
            if let source { place["path"] = .string(source) } else { place["table"] = "events" }
            spec = [
                "entities": ["user"], "stream": .object(stream), "aggregations": .array(aggregations),
                "source": .object(place),
            ]
            let catalog = FeatureCatalog(
                namespace: "default",
                entities: [
                    Resource(
                        apiVersion: "aerie.dev/v1", kind: "Entity", metadata: .init(name: "user"),
                        spec: ["joinKey": "user_id", "valueType": "INT64"])
                ],
                views: [
                    Resource(
                        apiVersion: "aerie.dev/v1", kind: "FeatureView", metadata: .init(name: "spend", uid: "\(seed)"),
                        spec: spec)
                ], services: [])
            #expect(catalog.problems == [])
            view = try catalog.view("spend")
            makeEvents(lateness: Int64(lateness), twice: hasIdentities, allOnTime: !knowsArrivals)
        }

        private mutating func makeEvents(lateness: Int64, twice: Bool, allOnTime: Bool) {
            let span = [7200, 100_000, 900_000][random.below(3)]
            for id in 0..<random.integer(40, 220) {
                let time = WindowAgreementTests.start + Int64(random.below(span * 1000)) * 1000
                var delay = Int64(random.below(60_000)) * 1000
                if random.chance(0.25) { delay = Int64(random.below(Int(lateness) * 1300)) * 1000 }
                if random.chance(0.1) { delay = -Int64(random.below(700_000)) * 1000 }
                if allOnTime { delay = min(max(delay, 0), lateness * 1_000_000) }
                let amount: Double? =
                    random.chance(0.1) ? nil : random.chance(0.3) ? Double(random.below(5)) : random.uniform(-50, 900)
                events.append(
                    Event(
                        user: random.below(4), time: time, arrival: time + delay, id: id, amount: amount,
                        city: random.chance(0.2) ? nil : "città \(random.below(5))"))
                while twice, random.chance(0.25), var copy = events.last {
                    copy.arrival += Int64(random.below(Int(lateness) * 1200)) * 1000
                    if allOnTime { copy.arrival = min(copy.arrival, copy.time + lateness * 1_000_000) }
                    events.append(copy)
                }
            }
            events.sort { ($0.arrival, $0.id) < ($1.arrival, $1.id) }
        }
    }

    /// The online store of a process that may die between its commit and its publishing.
    final class BreakableStore: OnlineStore {
        let base: any OnlineStore
        let isBroken = Mutex(false)
        init(_ base: any OnlineStore) { self.base = base }
        func read(_ reads: [OnlineRead]) async throws(AerieError) -> [[OnlineRecord?]] { try await base.read(reads) }
        func write(_ view: OnlineView, _ rows: [OnlineRow]) async throws(AerieError) -> Int {
            if isBroken.withLock({ $0 }) { throw AerieError(.unavailable, "gone") }
            return try await base.write(view, rows)
        }
        func scan(
            _ view: OnlineView, features: [Int], _ body: (ScannedRow) throws(AerieError) -> Void
        ) async throws(AerieError) { try await base.scan(view, features: features, body) }
        func sweep(_ view: OnlineView, before time: Int64) async throws(AerieError) -> Int {
            try await base.sweep(view, before: time)
        }
        func drop(_ view: OnlineView) async throws(AerieError) -> Int { try await base.drop(view) }
        func usage() async throws(AerieError) -> (bytes: Int64, rows: Int64) { try await base.usage() }
    }

    /// What ends with a process.
    final class Process {
        let online: BreakableStore
        let streams: FeatureStreams
        let clock: ManualClock

        init(_ folder: String, _ clock: ManualClock) throws {
            online = BreakableStore(try LMDBOnlineStore(path: folder + "/online.mdb", mapSize: 1 << 28))
            streams = FeatureStreams(
                states: try LMDBStreamStore(path: folder + "/streams.mdb", mapSize: 1 << 28), online: online,
                clock: clock)
            self.clock = clock
        }

        func read(_ view: FeatureCatalog.View) async throws -> [[FeatureValue]] {
            let keys = try (0..<4).map { try view.entityKey.bytes([.int64(Int64($0))]) }
            let read = OnlineRead(view: view.online, features: Array(view.online.features.indices), keys: keys)
            return try await online.answeringWindows(clock).read([read])[0].map { $0?.values ?? [] }
        }
    }

    static func makeTable(in engine: DuckDBEngine) async throws {
        try await engine.execute(
            "CREATE OR REPLACE TABLE events (user_id BIGINT, ts TIMESTAMP, arrived TIMESTAMP, id BIGINT, "
                + "amount DOUBLE, city VARCHAR)")
    }

    static func insert(_ events: ArraySlice<Event>, into engine: DuckDBEngine) async throws {
        guard !events.isEmpty else { return }
        let rows = events.map { event in
            "(\(event.user), make_timestamp(\(event.time)), make_timestamp(\(event.arrival)), \(event.id), "
                + "\(event.amount.map { "\($0)" } ?? "NULL"), \(event.city.map { "'\($0)'" } ?? "NULL"))"
        }
        try await engine.execute("INSERT INTO events VALUES \(rows.joined(separator: ", "))")
    }

    static func offline(
        _ view: FeatureCatalog.View, at moment: Int64, _ engine: DuckDBEngine
    ) async throws -> [[SQLValue]] {
        let join = PointInTimeJoin(
            entities: "(SELECT range AS user_id, make_timestamp(\(moment)) AS moment FROM range(4))",
            entityColumns: ["user_id", "moment"], timestamp: "moment",
            views: [.init(view.definition, keys: [(entity: "user_id", view: "user_id")])])
        let table = try await engine.query(try join.sql())
        return (0..<table.rowCount).map { row in table.columns.dropFirst(2).map { $0[row] } }
    }

    static func agree(_ online: FeatureValue, _ offline: SQLValue) -> Bool {
        switch (online, offline) {
        case (.null, .null): true
        case (.int64(let a), .int(let b)): a == b
        case (.double(let a), .double(let b)): abs(a - b) <= 1e-7 + 1e-9 * abs(b)
        case (.string(let a), .text(let b)): a == b
        default: false
        }
    }

    @Test("60 generated streams agree online and offline at every instant looked at", arguments: 0..<6)
    func agreement(part: Int) async throws {
        let engine = DuckDBEngine(options: .init(threads: 2))
        var (cells, filled) = (0, 0)
        for seed in UInt64(part * 10)..<UInt64(part * 10 + 10) {
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent("windows-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            var one = try Case(seed: seed)
            let reader = StreamEventReader(one.view, try #require(one.view.definition.windows))
            let clock = ManualClock(Timestamp(milliseconds: 0))
            var process = try Process(folder.path, clock)
            var (place, crashes) = (folder, 0)
            try await Self.makeTable(in: engine)
            var next = 0
            while next < one.events.count {
                let end = min(one.events.count, next + one.random.integer(1, 25))
                let batch = one.events[next..<end]
                clock.set(milliseconds: batch[end - 1].arrival / 1000)
                process.online.isBroken.withLock { $0 = one.random.chance(0.3) }
                let events = try batch.map { try $0.read(by: reader) }
                _ = try await process.streams.processor(one.view).ingest(StreamBatch(events: events))
                // What was acknowledged is there after a crash, also if nobody could be told of it.
                if one.random.chance(0.3) {
                    // What is in the files is all that the next process has.
                    crashes += 1
                    let next = folder.appendingPathComponent("\(crashes)")
                    try FileManager.default.createDirectory(at: next, withIntermediateDirectories: true)
                    for file in ["online.mdb", "streams.mdb"] {
                        try FileManager.default.copyItem(
                            at: place.appendingPathComponent(file), to: next.appendingPathComponent(file))
                    }
                    place = next
                    process = try Process(place.path, clock)
                }
                process.online.isBroken.withLock { $0 = false }
                try await process.streams.processor(one.view).catchUp()
                try await Self.insert(batch, into: engine)
                let limit =
                    end < one.events.count ? one.events[end].arrival : one.events[end - 1].arrival + 90_000_000_000
                next = end
                let pause = (limit / 1000) - clock.now().milliseconds
                clock.advance(milliseconds: Int64(one.random.below(Int(max(1, pause)))))
                guard one.random.chance(0.5) || next == one.events.count else { continue }
                let got = try await process.read(one.view)
                let want: [[SQLValue]] = try await Self.offline(one.view, at: clock.now().milliseconds * 1000, engine)
                for user in 0..<4 {
                    for (number, feature) in one.view.online.features.enumerated() {
                        #expect(
                            Self.agree(got[user][number], want[user][number]),
                            "seed \(seed) after \(next), user \(user), \(feature): \(got[user][number]) online, \(want[user][number]) offline"
                        )
                        cells += 1
                        if got[user][number] != .null, got[user][number] != .int64(0) { filled += 1 }
                    }
                }
            }
        }
        // The streams must be worth something.
        #expect(cells > 1000 && filled > cells / 5)
    }
}
