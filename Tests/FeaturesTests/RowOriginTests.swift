import AerieCore
import AerieJSON
import AerieResources
import Features
import StoreLMDB
import Testing

/// What a changed definition leaves of what was materialized.
@Suite struct RowOriginTests {
    private static let key = ResourceKey(kind: "FeatureView", name: "drivers")

    private static func view(_ folder: String, _ changes: [(String, String)] = []) -> String {
        var text = """
            apiVersion: aerie.dev/v1
            kind: FeatureView
            metadata: {name: drivers}
            spec:
              entities: [driver]
              ttl: 60d
              source: {path: \(folder)/drivers.parquet, timestampField: event_timestamp}
              features:
              - {name: rate, dtype: DOUBLE}
              - {name: city, dtype: STRING}
            """
        for (old, new) in changes {
            precondition(text.contains(old), old)
            text = text.replacing(old, with: new)
        }
        return text
    }

    /// 1000 drivers, of which everything is online.
    private func shop() async throws -> Workshop {
        let shop = try Workshop()
        try await shop.makeDrivers(1000)
        _ = try await shop.resources.apply(Self.view(shop.folder), actor: "test")
        #expect(try await materialize(shop) == 1000)
        return shop
    }

    private func materialize(_ shop: Workshop, from start: Int64? = nil) async throws -> Int64 {
        try await shop.store.materialize(nil, from: start, to: Workshop.october.1)[0].rows
    }

    @Test(
        "what changes no row leaves the mark where it is",
        arguments: [
            ("features:", "description: how they drive\n  owner: a@example.com\n  tags: {team: cars}\n  features:"),
            ("features:", "freshness: 36h\n  quality: {suite: sane, onFailure: warn}\n  dropExpired: true\n  features:"),
            ("dtype: DOUBLE}", "dtype: DOUBLE, default: 0.5, description: share, tags: {unit: one}}"),
            ("ttl: 60d", "ttl: 30d"), ("features:", "online: false\n  features:"),
            ("features:", "disabled: true\n  features:"), ("features:", "pushSource: cars\n  futureLimit: 48h\n  features:"),
            ("\n  - {name: city, dtype: STRING}", ""),
        ])
    func kept(_ change: (String, String)) async throws {
        let shop = try await shop()
        defer { shop.end() }
        let applied = try await shop.resources.apply(Self.view(shop.folder, [change]), actor: "test")[0]
        #expect(applied.outcome == .configured && applied.warnings == [])
        let view = try #require(try await shop.store.catalog().declaredView("drivers"))
        #expect(view.materializedUntil == Workshop.october.1 && view.rereadReason == nil)
        #expect(view.materializedIntervals.count == 1)
        // And back: nothing is read again.
        _ = try await shop.resources.apply(Self.view(shop.folder), actor: "test")
        #expect(try await materialize(shop) == 0)
    }

    @Test(
        "what changes rows has them read again, and says so",
        arguments: [
            ("\n  - {name: city", "\n  - {name: digit, dtype: INT64}\n  - {name: city", "feature 'digit' is new"),
            ("dtype: DOUBLE", "dtype: FLOAT", "feature 'rate' is rate FLOAT, and was rate DOUBLE"),
            (", timestampField", ", fieldMapping: {digit: rate}, timestampField", "feature 'rate' is digit DOUBLE"),
            ("drivers.parquet", "*rivers.parquet", "its source has changed (location)"),
            (": event_timestamp", ": event_timestamp, createdTimestampColumn: event_timestamp", "(createdTimestampColumn)"),
            ("ttl: 60d", "ttl: 90d", "its ttl is longer"), ("ttl: 60d", "ttl: 0s", "its ttl is longer"),
        ])
    func forgotten(_ change: (old: String, new: String, why: String)) async throws {
        let shop = try await shop()
        defer { shop.end() }
        let text = Self.view(shop.folder, [(change.old, change.new)])
        for dryRun in [true, false] {
            let warnings = try await shop.resources.apply(text, dryRun: dryRun, actor: "test")[0].warnings
            #expect(warnings.count == 1 && warnings.allSatisfy { $0.contains(change.why) && $0.contains("everything") })
        }
        let view = try await shop.store.catalog().view("drivers")
        #expect(view.materializedUntil == nil && view.rereadReason?.contains(change.why) == true)
        #expect(view.materializedIntervals.isEmpty)
        // A part of the source is not enough to go on from.
        #expect(try await materialize(shop, from: Workshop.october.0 + 500) == 500)
        #expect(try await shop.store.catalog().view("drivers").rereadReason?.contains(change.why) == true)
        #expect(try await materialize(shop) == 1000)
        let run = try #require(shop.store.materializations.list("default").first)
        #expect(run.notes.contains { $0.contains(change.why) })
        let now = try await shop.store.catalog().view("drivers")
        #expect(now.materializedUntil == Workshop.october.1 && now.rereadReason == nil)
        #expect(now.materializedIntervals.count == 1)
        #expect(try await materialize(shop) == 0)
    }

    @Test("a feature that comes back has what it had, unless rows were copied without it")
    func removedAndBack() async throws {
        let shop = try await shop()
        defer { shop.end() }
        let without = Self.view(shop.folder, [("\n  - {name: city, dtype: STRING}", "")])
        for isCopied in [false, true] {
            _ = try await shop.resources.apply(without, actor: "test")
            if isCopied { #expect(try await materialize(shop) == 0) }
            let warnings = try await shop.resources.apply(Self.view(shop.folder), actor: "test")[0].warnings
            #expect(warnings.isEmpty != isCopied)
            #expect(try await materialize(shop) == (isCopied ? 1000 : 0))
        }
    }

    @Test("another type of an entity's key has the views with it read again")
    func keys() async throws {
        let shop = try await shop()
        defer { shop.end() }
        let entity = "apiVersion: aerie.dev/v1\nkind: Entity\nmetadata: {name: driver}\nspec: {joinKey: driver_id, "
        let described = try await shop.resources.apply(entity + "valueType: INT64, owner: ann}\n", actor: "test")[0]
        #expect(described.outcome == .configured && described.warnings == [])
        let typed = try await shop.resources.apply(entity + "valueType: STRING}\n", actor: "test")[0]
        #expect(typed.warnings.count == 1 && typed.warnings.allSatisfy { $0.contains("'drivers'") && $0.contains("keys") })
        #expect(try await materialize(shop) == 1000)
        let view = try await shop.store.catalog().view("drivers")
        let key = try view.entityKey.bytes([.string("123")])
        let rows = try await shop.online.read([OnlineRead(view: view.online, features: [1], keys: [key])])[0]
        #expect(rows[0]?.values == [.string("c0")])
    }

    @Test("parts that a crash has left are not gone on with once the definition is another")
    func resumes() async throws {
        let shop = try await shop()
        defer { shop.end() }
        let view = try await shop.store.catalog().view("drivers")
        let origin = try #require(try await shop.resources.get(Self.key).status?["materializedAs"])
        try await shop.resources.changeStatus(Self.key, uid: view.uid) { status in
            status["materializing"] = [
                "start": "2026-10-01T00:00:00Z", "end": "2026-10-31T00:00:00Z", "parts": 2, "done": [0], "rows": 500,
                "as": origin,
            ]
        }
        let more = Self.view(shop.folder, [("\n  - {name: city", "\n  - {name: digit, dtype: INT64}\n  - {name: city")])
        _ = try await shop.resources.apply(more, actor: "test")
        let resumed = try await shop.store.resumeMaterializations()
        #expect(try resumed.map { try $0.rows.get() } == [1000])
        for driver: Int64 in [7, 8] { #expect(try await shop.digit(of: driver) == .int64(driver)) }
    }
}
