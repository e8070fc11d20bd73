import AerieCore
import AerieJSON
import AerieTelemetry
import Features
import Logging
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

    @Test("a view without a ttl has nothing to drop") func noLife() async throws {
        let shop = try Workshop()
        defer { shop.end() }
        let error = await #expect(throws: AerieError.self) {
            try await shop.makeDrivers(20, spec: "dropExpired: true")
        }
        #expect(error?.code == .invalidArgument && error?.message.contains("dropExpired") == true)
    }
}
