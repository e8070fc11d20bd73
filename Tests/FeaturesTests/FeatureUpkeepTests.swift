import AerieCore
import AerieJSON
import AerieResources
import AerieTelemetry
import Datasets
import Features
import Logging
import StoreDuckDB
import StoreLMDB
import Testing

@Suite struct FeatureUpkeepTests {
    @Test("values past their view's ttl go where the view drops what has expired, and stay where it does not")
    func sweep() async throws {
        let noon = FeatureTime.parse("2026-10-01T12:00:00Z")! / 1000
        let clock = ManualClock(Timestamp(milliseconds: noon))
        let shop = try Workshop(clock: clock)
        defer { shop.end() }
        try await shop.makeDrivers(20, spec: "ttl: 3600s")
        // One hour old, which still counts; a second more; half an hour.
        let times = ["11:00:00", "10:59:59", "11:30:00"]
        _ = try await shop.store.write(
            view: "drivers",
            columns: [
                ("driver_id", [1, 2, 3]), ("rate", [0.1, 0.2, 0.3]), ("digit", [1, 2, 3]), ("city", ["a", "b", "c"]),
                ("event_timestamp", times.map { .string("2026-10-01T\($0)Z") }),
            ])
        let metrics = MetricsRegistry()
        let upkeep = FeatureUpkeep(store: shop.store, metrics: metrics, logger: Logger(label: "test"))
        #expect(try await upkeep.sweep() == 0)
        #expect(try await shop.digit(of: 2) == .int64(2))

        try await shop.makeDrivers(20, spec: "ttl: 3600s\n  dropExpired: true")
        #expect(try await upkeep.sweep() == 1)
        #expect(try await shop.digit(of: 2) == nil)
        #expect(try await shop.digit(of: 1) == .int64(1))
        #expect(try await upkeep.sweep() == 0)
        clock.advance(milliseconds: 30 * 60_000)
        #expect(try await upkeep.sweep() == 1)
        #expect(try await shop.digit(of: 1) == nil)
        #expect(try await shop.digit(of: 3) == .int64(3))
        let line = #"aerie_feature_rows_expired_total{namespace="default",view="drivers"} 2"#
        #expect(metrics.exposition().contains(line))
    }

    @Test("a row ahead of the clock makes a view no fresher than it is, and one of a far future is refused")
    func future() async throws {
        let noon = FeatureTime.parse("2026-10-01T12:00:00Z")! / 1000
        let clock = ManualClock(Timestamp(milliseconds: noon))
        let shop = try Workshop(clock: clock)
        defer { shop.end() }
        try await shop.makeDrivers(20)
        func push(_ times: [String]) async throws {
            _ = try await shop.store.write(
                view: "drivers",
                columns: [
                    ("driver_id", times.indices.map { .int(Int64($0)) }), ("digit", times.map { _ in 5 }),
                    ("event_timestamp", times.map { .string($0) }),
                ])
        }
        let error = await #expect(throws: AerieError.self) {
            try await push(["2026-10-02T12:00:00Z", "2026-10-02T12:00:00.000001Z"])
        }
        #expect(error?.code == .invalidArgument && error?.details.first?.field == "df.event_timestamp[1]")
        #expect(try await shop.digit(of: 0) == nil)
        try await push(["2026-10-02T12:00:00Z"])
        let view = try await shop.store.catalog().view("drivers")
        #expect(shop.store.counters.age(of: view) == 0)
        clock.advance(milliseconds: 3_600_000)
        #expect(shop.store.counters.age(of: view).map { $0 / 1_000_000 } == 3600)
        // Nor does a source whose rows are ahead.
        _ = try await shop.resources.apply(
            "apiVersion: aerie.dev/v1\nkind: FeatureView\nmetadata: {name: shifted}\nspec:\n  entities: [driver]\n"
                + "  source: {path: \(shop.folder)/ahead.parquet, timestampField: at}\n"
                + "  features: [{name: rate, dtype: DOUBLE}]\n", actor: "test")
        let engine = DuckDBEngine(options: .init(threads: 1))
        try await engine.execute(
            "COPY (SELECT 1 AS driver_id, 0.5 AS rate, TIMESTAMP '2036-01-01' AS at) TO '\(shop.folder)/ahead.parquet' "
                + "(FORMAT parquet)")
        _ = try await shop.store.materialize(["shifted"], from: 0, to: FeatureTime.parse("2037-01-01")!)
        clock.advance(milliseconds: 60_000)
        let shifted = try await shop.store.catalog().view("shifted")
        #expect(shop.store.counters.age(of: shifted).map { $0 / 1_000_000 } == 60)
    }

    @Test("a view has gauges of its freshness for as long as there is one") func freshness() async throws {
        let shop = try Workshop()
        defer { shop.end() }
        try await shop.makeDrivers(20, spec: "freshness: 24h")
        _ = try await shop.store.materialize(nil, from: Workshop.october.0, to: Workshop.october.1)
        let metrics = MetricsRegistry()
        let upkeep = FeatureUpkeep(store: shop.store, metrics: metrics, logger: Logger(label: "test"))
        let names = ["seconds", "target_seconds", "met"].map { "aerie_feature_freshness_\($0){namespace=\"default\",view=\"drivers\"}" }
        try await upkeep.measure()
        let before = metrics.exposition()
        for name in names { #expect(before.contains(name)) }
        #expect(before.contains("\(names[1]) 86400"))
        _ = try await shop.resources.delete(ResourceKey(kind: "FeatureView", name: "drivers"), actor: "test")
        try await upkeep.measure()
        let after = metrics.exposition()
        for name in names { #expect(!after.contains(name)) }
    }

    @Test("wherever defaults stand in for a store that is away, it is counted")
    func degraded() async throws {
        let metrics = MetricsRegistry()
        let shop = try Workshop(metrics: metrics, online: { AbsentStore($0) })
        defer { shop.end() }
        try await shop.makeDrivers(20)
        _ = try await shop.resources.apply(
            "apiVersion: aerie.dev/v1\nkind: FeatureService\nmetadata: {name: all}\nspec: {features: ['drivers:rate']}\n",
            actor: "test")
        let plan = try await shop.store.plan(.init(service: "all"))
        let answer = try await shop.store.read(plan, entities: [("driver_id", [1])])
        #expect(answer.degraded == "the store is away")
        let vectors = try await shop.store.vectors(service: "all")
        await #expect(throws: AerieError.self) { _ = try await vectors.read([[.int64(1)]], rows: 1) }
        #expect(vectors.defaults(rows: 1).missing == [1])
        #expect(metrics.exposition().contains(#"aerie_feature_reads_degraded_total{loop="none"} 2"#))
    }

    @Test("a view without a ttl has nothing to drop") func noLife() async throws {
        let shop = try Workshop()
        defer { shop.end() }
        let error = await #expect(throws: AerieError.self) {
            try await shop.makeDrivers(20, spec: "dropExpired: true")
        }
        #expect(error?.code == .invalidArgument && error?.message.contains("dropExpired") == true)
    }
}

/// Nothing can be read of it.
private struct AbsentStore: OnlineStore {
    private let store: LMDBOnlineStore

    init(_ store: LMDBOnlineStore) { self.store = store }

    func read(_ reads: [OnlineRead]) async throws(AerieError) -> [[OnlineRecord?]] {
        throw AerieError(.unavailable, "the store is away")
    }
    func write(_ view: OnlineView, _ rows: [OnlineRow]) async throws(AerieError) -> Int {
        try await store.write(view, rows)
    }
    func scan(
        _ view: OnlineView, features: [Int], _ body: (ScannedRow) throws(AerieError) -> Void
    ) async throws(AerieError) { try await store.scan(view, features: features, body) }
    func sweep(_ view: OnlineView, before time: Int64) async throws(AerieError) -> Int { 0 }
    func drop(_ view: OnlineView) async throws(AerieError) -> Int { 0 }
    func usage() async throws(AerieError) -> (bytes: Int64, rows: Int64) { try await store.usage() }
}
