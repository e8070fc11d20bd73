import AerieCore
import AerieJSON
import AerieResources
import Datasets
@testable import Features
import StoreDuckDB
import StoreLMDB
import Synchronization
import Testing

@Suite struct MaterializationTests {
    @Test("statistics are kept with each materialization")
    func statistics() async throws {
        let shop = try Workshop()
        defer { shop.end() }
        try await shop.makeDrivers(1000)
        for _ in 0..<2 {
            _ = try await shop.store.materialize(nil, from: Workshop.october.0, to: Workshop.october.1)
        }
        let history = try await shop.store.statistics(view: "drivers")
        #expect(history.count == 2)
        let features = try #require(history.first?["features"])
        let rate = try #require(features["rate"])
        #expect(rate["count"]?.int == 1000 && rate["nulls"]?.int == 0 && rate["distinct"]?.int == 1000)
        #expect(abs((rate["mean"]?.double ?? 0) - 499.5 / 7) < 1e-9)
        // The standard deviation of 0 ..< n is sqrt(n (n + 1) / 12).
        #expect(abs((rate["std"]?.double ?? 0) - (1000.0 * 1001 / 12).squareRoot() / 7) < 1e-9)
        #expect(abs((rate["quantiles"]?["0.5"]?.double ?? 0) - 499.5 / 7) < 1e-9)
        #expect(rate["histogram"]?["counts"]?.array?.compactMap(\.int) == Array(repeating: 50, count: 20))
        #expect(features["digit"]?["nulls"]?.int == 100 && features["digit"]?["top"]?.array?.count == 9)
        let top = features["city"]?["top"]?.array?.map { "\($0["value"]?.string ?? "") \($0["count"]?.int ?? 0)" }
        #expect(top == ["c0 334", "c1 333", "c2 333"])
        #expect(try await shop.digit(of: 123) == .int64(3))
    }

    @Test("what a process has begun and not ended goes on where it was, and only there")
    func resumes() async throws {
        let shop = try Workshop(online: { FailingStore($0, after: 1) })
        defer { shop.end() }
        try await shop.makeDrivers()
        let october = Workshop.october
        // The process ends in the middle: nothing clears the mark that it has left.
        let error = await #expect(throws: AerieError.self) {
            _ = try await shop.store.materialize(nil, from: october.0, to: october.1)
        }
        #expect(error?.message == "the store is gone")
        #expect(try await shop.resources.get(ResourceKey(kind: "FeatureView", name: "drivers")).status?["materializing"] == nil)
        let run = try #require(shop.store.materializations.list("default").first)
        #expect(run.state == .failed && run.rows > 0 && run.rows < 50_000)
        // As a kill would have left it.
        let key = ResourceKey(kind: "FeatureView", name: "drivers")
        let view = try await shop.resources.get(key)
        let origin = RowOrigin(try await shop.store.catalog().view("drivers")).json
        try await shop.resources.changeStatus(key, uid: view.metadata.uid) { status in
            status["materializing"] = [
                "start": "2026-10-01T00:00:00Z", "end": "2026-10-31T00:00:00Z", "parts": 3, "done": [0], "rows": 16_000,
                "as": origin,
            ]
        }
        let again = try Workshop(folder: shop.folder, online: { CountingStore($0) })
        let resumed = try await again.store.resumeMaterializations()
        #expect(resumed.map(\.view) == ["drivers"])
        let counted = try #require(again.store.stored as? CountingStore)
        let written = counted.rows.withLock { $0 }
        #expect(written > 25_000 && written < 40_000, "two of three parts are written: \(written)")
        let after = try await again.resources.get(key).status
        #expect(after?["materializing"] == nil && after?["materializedUntil"]?.string == "2026-10-31T00:00:00Z")
        #expect(try await again.store.resumeMaterializations().isEmpty)
        _ = try await again.store.materialize(nil, from: october.0, to: october.1)
        for driver: Int64 in [1, 9999, 25_007, 49_999] {
            #expect(try await again.digit(of: driver) == .int64(driver % 10))
        }
    }

    @Test("a materialization is cancelled between two parts, and another may begin")
    func cancels() async throws {
        let shop = try Workshop()
        defer { shop.end() }
        try await shop.makeDrivers()
        let runs = shop.store.materializations
        let error = await #expect(throws: AerieError.self) {
            _ = try await shop.store.materialize(nil, from: Workshop.october.0, to: Workshop.october.1) { progress in
                if progress.rows > 0, let run = runs.list("default").first { try? runs.cancel(run.id) }
            }
        }
        #expect(error?.code == .cancelled)
        let run = try #require(runs.list("default").first)
        #expect(run.state == .cancelled && run.rows < 50_000)
        #expect(throws: AerieError.self) { try runs.cancel(run.id) }
        #expect(throws: AerieError.self) { try runs.cancel("nobody") }
        let done = try await shop.store.materialize(nil, from: Workshop.october.0, to: Workshop.october.1)
        #expect(done.map(\.rows) == [50_000])
    }

    @Test("rows that a suite finds wrong are refused, kept aside or only told of", arguments: ["reject", "quarantine", "warn"])
    func quality(_ action: String) async throws {
        let shop = try Workshop()
        defer { shop.end() }
        try await shop.makeDrivers(100, spec: "quality: {suite: sane, onFailure: \(action)}")
        _ = try await shop.resources.apply(
            """
            apiVersion: aerie.dev/v1
            kind: ExpectationSuite
            metadata: {name: sane}
            spec:
              expectations:
              - {type: expect_column_values_to_not_be_null, kwargs: {column: digit}}
              - {type: expect_column_values_to_be_in_set, kwargs: {column: city, value_set: [c0, c1, c2]}}
            """, actor: "test")
        let push: [(name: String, values: [JSONValue])] = [
            ("driver_id", [7001, 7002]), ("event_timestamp", ["2026-10-02", "2026-10-02"]), ("rate", [0.5, 0.5]),
            ("digit", [1, 2]), ("city", ["c0", "atlantis"]),
        ]
        let (from, to) = Workshop.october
        if action == "reject" {
            let error = await #expect(throws: AerieError.self) {
                _ = try await shop.store.materialize(nil, from: from, to: to)
            }
            #expect(error?.reason == "quality.rejected" && error?.message.contains("not_be_null") == true)
            #expect(try await shop.digit(of: 1) == nil)
            await #expect(throws: AerieError.self) { _ = try await shop.store.write(view: "drivers", columns: push) }
            #expect(try await shop.digit(of: 7001) == nil)
            return
        }
        let done = try await shop.store.materialize(nil, from: from, to: to)
        let told = try await shop.store.write(view: "drivers", columns: push)
        let aside = try await shop.store.quarantine(view: "drivers")
        #expect(try await shop.digit(of: 7001) == .int64(1))
        if action == "warn" {
            #expect(done[0].rows == 100 && told.count == 1 && aside.isEmpty)
            #expect(told.first?.contains("drivers: expect_column_values_to_be_in_set") == true)
            #expect(try await shop.digit(of: 10) == .null)
        } else {
            #expect(done[0].rows == 90 && done[0].notes.last == "10 rows are in quarantine" && aside.count == 11)
            #expect(told.last == "drivers: 1 rows are in quarantine")
            #expect(try await shop.digit(of: 10) == nil)
            #expect(try await shop.digit(of: 7002) == nil)
            #expect(aside.first?["row"]?["city"]?.string == "atlantis")
            #expect(aside.allSatisfy { $0["suite"]?.string == "sane" })
            let drivers = aside.dropFirst().compactMap { $0["row"]?["driver_id"]?.int }
            #expect(drivers.sorted() == Array(stride(from: 0, to: 100, by: 10)))
        }
        let notes = shop.store.materializations.list("default").first?.notes ?? []
        #expect(notes.contains { $0.contains("not_be_null") })
    }

    @Test(
        "the next older row takes the place of one in quarantine, and none that of one that is not unique",
        arguments: [
            ("{type: expect_column_values_to_not_be_null, kwargs: {column: digit}}", [.int64(2), .int64(5), .int64(7)], 2),
            ("{type: expect_column_values_to_be_unique, kwargs: {column: city}}", [.null, nil, nil], 2),
        ] as [(String, [FeatureValue?], Int)])
    func olderRows(_ expectation: String, _ digits: [FeatureValue?], _ aside: Int) async throws {
        let shop = try Workshop()
        defer { shop.end() }
        try await shop.makeDrivers(10, spec: "quality: {suite: sane, onFailure: quarantine}")
        // Of the first driver the newest two of three have no digit; of two rows of one moment the last one counts.
        let rows = [
            (1, "01", "2", "x"), (1, "02", "NULL", "y"), (1, "03", "NULL", "z"), (2, "01", "4", "p"), (2, "01", "5", "v"),
            (3, "01", "6", "q"), (3, "02", "7", "v"),
        ]
        let values = rows.map { "(\($0.0), TIMESTAMP '2026-10-\($0.1)', 0.5, \($0.2), '\($0.3)')" }
        try await DuckDBEngine(options: .init(threads: 1)).execute(
            "COPY (SELECT * FROM (VALUES \(values.joined(separator: ", "))) AS t(driver_id, event_timestamp, rate, digit, city)) "
                + "TO '\(shop.folder)/drivers.parquet' (FORMAT parquet)")
        _ = try await shop.resources.apply(
            "apiVersion: aerie.dev/v1\nkind: ExpectationSuite\nmetadata: {name: sane}\n"
                + "spec: {expectations: [\(expectation)]}\n", actor: "test")
        let done = try await shop.store.materialize(nil, from: Workshop.october.0, to: Workshop.october.1)
        var found: [FeatureValue?] = []
        for driver in 1...3 { found.append(try await shop.digit(of: Int64(driver))) }
        #expect(found == digits)
        #expect(done[0].rows == Int64(digits.count { $0 != nil }))
        let kept = try await shop.store.quarantine(view: "drivers")
        #expect(kept.count == aside)
    }

    private func moment(_ text: String) -> Timestamp { Timestamp(milliseconds: FeatureTime.parse(text)! / 1000) }

    @Test("a schedule runs when it is due, makes up for one missed run, and skips them if it shall")
    func schedules() async throws {
        let clock = ManualClock(moment("2026-11-01T10:07:00Z"))
        let shop = try Workshop(clock: clock)
        defer { shop.end() }
        try await shop.makeDrivers(100)
        _ = try await shop.resources.apply(
            "apiVersion: aerie.dev/v1\nkind: MaterializationSchedule\nmetadata: {name: often}\n"
                + "spec: {schedule: '*/15 * * * *', featureViews: [drivers], mode: window, window: 60d}\n", actor: "test")
        let controller = MaterializationScheduleController(store: shop.store, clock: clock)
        let key = ResourceKey(kind: "MaterializationSchedule", name: "often")
        func turn() async throws -> JSONObject {
            let schedule = try await shop.resources.get(key)
            let done = try await controller.reconcile(schedule)
            try await shop.resources.changeStatus(key, uid: schedule.metadata.uid) { $0 = done.status }
            return done.status
        }
        #expect(try await turn()["nextRun"]?.string == "2026-11-01T10:15:00Z")
        #expect(try await shop.digit(of: 3) == nil)
        clock.advance(milliseconds: 8 * 60_000)
        var status = try await turn()
        #expect(status["lastResult"]?.string == "succeeded" && status["lastRows"]?.int == 100)
        #expect(status["nextRun"]?.string == "2026-11-01T10:30:00Z")
        #expect(try await shop.digit(of: 3) == .int64(3))
        #expect(shop.store.materializations.list("default").map(\.trigger) == ["often"])
        // Down for two hours: one run, not eight.
        clock.advance(milliseconds: 136 * 60_000)
        status = try await turn()
        #expect(status["nextRun"]?.string == "2026-11-01T12:45:00Z")
        #expect(shop.store.materializations.list("default").count == 2)
        // While another has the view, what is due waits.
        let other = try await shop.store.reserve(["drivers"], from: 0, to: 1)
        let last = status["lastRun"]
        clock.advance(milliseconds: 15 * 60_000)
        status = try await turn()
        #expect(status["nextRun"]?.string == "2026-11-01T12:45:00Z" && status["lastRun"] == last)
        _ = try await other.run()
        status = try await turn()
        #expect(status["lastResult"]?.string == "succeeded" && status["lastRun"] != last)
        #expect(status["nextRun"]?.string == "2026-11-01T13:00:00Z")
    }
}

/// Fails every write after some.
private final class FailingStore: OnlineStore {
    private let store: LMDBOnlineStore
    private let left: Mutex<Int>

    init(_ store: LMDBOnlineStore, after writes: Int) {
        self.store = store
        left = Mutex(writes)
    }

    func read(_ reads: [OnlineRead]) async throws(AerieError) -> [[OnlineRecord?]] { try await store.read(reads) }
    func write(_ view: OnlineView, _ rows: [OnlineRow]) async throws(AerieError) -> Int {
        let isGone = left.withLock { left in
            left -= 1
            return left < 0
        }
        if isGone { throw AerieError(.unavailable, "the store is gone") }
        return try await store.write(view, rows)
    }
    func scan(
        _ view: OnlineView, features: [Int], _ body: (ScannedRow) throws(AerieError) -> Void
    ) async throws(AerieError) { try await store.scan(view, features: features, body) }
    func sweep(_ view: OnlineView, before time: Int64) async throws(AerieError) -> Int { 0 }
    func drop(_ view: OnlineView) async throws(AerieError) -> Int { 0 }
    func usage() async throws(AerieError) -> (bytes: Int64, rows: Int64) { try await store.usage() }
}

private final class CountingStore: OnlineStore {
    private let store: LMDBOnlineStore
    let rows = Mutex(0)

    init(_ store: LMDBOnlineStore) { self.store = store }

    func read(_ reads: [OnlineRead]) async throws(AerieError) -> [[OnlineRecord?]] { try await store.read(reads) }
    func write(_ view: OnlineView, _ rows: [OnlineRow]) async throws(AerieError) -> Int {
        self.rows.withLock { $0 += rows.count }
        return try await store.write(view, rows)
    }
    func scan(
        _ view: OnlineView, features: [Int], _ body: (ScannedRow) throws(AerieError) -> Void
    ) async throws(AerieError) { try await store.scan(view, features: features, body) }
    func sweep(_ view: OnlineView, before time: Int64) async throws(AerieError) -> Int { 0 }
    func drop(_ view: OnlineView) async throws(AerieError) -> Int { 0 }
    func usage() async throws(AerieError) -> (bytes: Int64, rows: Int64) { try await store.usage() }
}
