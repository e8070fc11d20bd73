import AerieCore
import AerieJSON
import Datasets
import Features
import StoreDuckDB
import Testing

/// Generated cases against an oracle of two nested loops that knows nothing of SQL.
@Suite struct PointInTimeOracleTests {
    /// A row of a view or of the entity table. Keys and times may be missing.
    struct Row {
        var keys: [Int?]
        var time: Int?
        var created: Int?
        var value: Int?
    }

    struct View {
        var name: String
        /// The view whose source this is under another name, joined by other keys; its own name otherwise.
        var source: String
        /// Which of the entity table's keys it is joined by.
        var keys: [Int]
        var timeToLive: Int?
        var hasCreated: Bool
        /// Whether its columns have other names in the source.
        var isMapped: Bool
        var rows: [Row]
    }

    struct Case {
        var entities: [Row]
        var views: [View]

        /// Few keys and moments, so that equal ones, exact limits and gaps are many.
        init(seed: UInt64) {
            var random = SeededGenerator(seed: seed)
            func key() -> Int? { random.chance(0.06) ? nil : random.below(4) }
            func time() -> Int? { random.chance(0.04) ? nil : random.below(60) }
            entities = (0..<random.below(25)).map { _ in Row(keys: [key(), key()], time: time()) }
            for _ in 0..<(entities.isEmpty ? 0 : random.below(4)) {
                entities.append(entities[random.below(entities.count)])
            }
            views = []
            for number in 0..<random.integer(1, 3) {
                let keys = [[0], [1], [0, 1], []][random.below(4)]
                let hasCreated = random.chance(0.6)
                let rows = (0..<random.below(45)).map { _ in
                    Row(
                        keys: keys.map { _ in key() }, time: time(),
                        created: !hasCreated || random.chance(0.1) ? nil : random.below(5),
                        value: random.chance(0.15) ? nil : random.below(1_000_000))
                }
                views.append(
                    View(
                        name: "v\(number)", source: "v\(number)", keys: keys, timeToLive: random.chance(0.35) ? nil : random.integer(1, 25),
                        hasCreated: hasCreated, isMapped: random.chance(0.3), rows: rows))
            }
            if random.chance(0.5), var again = views.first(where: { !$0.keys.isEmpty }) {
                again.name = "again"
                again.keys = again.keys.map { 1 - $0 }
                views.append(again)
            }
        }

        /// For each entity row the value of each view.
        var expected: [[Int?]] {
            entities.map { entity in views.map { Self.newest($0, for: entity) } }
        }

        private static func newest(_ view: View, for entity: Row) -> Int? {
            guard let at = entity.time else { return nil }
            var best: Row?
            for row in view.rows {
                guard let time = row.time, time <= at else { continue }
                if let limit = view.timeToLive, at - time > limit { continue }
                let matches = zip(view.keys, row.keys).allSatisfy { key, value in
                    value != nil && value == entity.keys[key]
                }
                guard matches else { continue }
                // Of equal times the one that was created last, and of those the last in the source.
                if let held = best, let heldTime = held.time, (time, row.created ?? -1) < (heldTime, held.created ?? -1)
                {
                    continue
                }
                best = row
            }
            return best?.value
        }
    }

    private func text(_ value: Int?) -> String { value.map { "\($0)" } ?? "NULL" }

    /// Moments a second apart; with a zone in every second table, which must not matter.
    private func moment(_ value: Int?, zoned: Bool) -> String {
        guard let value else { return zoned ? "NULL::TIMESTAMPTZ" : "NULL::TIMESTAMP" }
        let time = "make_timestamp(\(1_790_000_000_000_000 + Int64(value) * 1_000_000))"
        return zoned ? "(\(time))::TIMESTAMPTZ" : time
    }

    private func create(_ view: View, in engine: DuckDBEngine, zoned: Bool) async throws {
        if view.source != view.name { return }
        let mark = view.isMapped ? "src_" : ""
        let keys = view.keys.indices.map { "\(mark)k\($0) BIGINT, " }.joined()
        try await engine.execute(
            "CREATE OR REPLACE TABLE \(view.name) (\(keys)ts \(zoned ? "TIMESTAMPTZ" : "TIMESTAMP"), "
                + "\(view.hasCreated ? "created TIMESTAMP, " : "")\(mark)f_\(view.name) BIGINT)")
        guard !view.rows.isEmpty else { return }
        let rows = view.rows.map { row in
            let created = view.hasCreated ? moment(row.created, zoned: false) + ", " : ""
            return "(\(row.keys.map { text($0) + ", " }.joined())\(moment(row.time, zoned: zoned)), \(created)"
                + "\(text(row.value)))"
        }
        try await engine.execute("INSERT INTO \(view.name) VALUES \(rows.joined(separator: ", "))")
    }

    private func definition(_ view: View) throws -> FeatureViewDefinition {
        var source: JSONObject = ["table": .string(view.source), "timestampField": "ts"]
        if view.hasCreated { source["createdTimestampColumn"] = "created" }
        if view.isMapped {
            var mapping: JSONObject = [:]
            for key in view.keys.indices { mapping["src_k\(key)"] = .string("k\(key)") }
            mapping["src_f_\(view.source)"] = .string("f_\(view.source)")
            source["fieldMapping"] = .object(mapping)
        }
        return try .parse(
            [
                "entities": .array(view.keys.indices.map { .string("k\($0)") }), "source": .object(source),
                "ttl": .string("\(view.timeToLive ?? 0)s"),
                "features": [["name": .string("f_\(view.source)"), "dtype": "INT64"]],
            ], name: view.name)
    }

    /// By turns in one statement, in one that knows the sources, and in steps that read only what the times can see; a
    /// search is always in steps.
    private func run(_ one: Case, _ seed: UInt64, searches: Bool, _ engine: DuckDBEngine) async throws -> SQLTable {
        let isBlind = seed % 3 == 0 && !searches
        var views: [PointInTimeJoin.View] = []
        for view in one.views {
            let definition = try definition(view)
            let keys = view.keys.enumerated().map { (entity: "k\($1)", view: "k\($0)") }
            var source = isBlind ? nil : try await definition.source(engine)
            if searches { source?.position = "rowid" }
            views.append(.init(definition, keys: keys, source: source))
        }
        var join = PointInTimeJoin(
            entities: "rows", entityColumns: ["place", "k0", "k1", "moment"], timestamp: "moment",
            timestampType: isBlind ? nil : "TIMESTAMP", views: views, usesFullNames: true)
        join.searches = searches
        guard searches || seed % 3 == 2 else { return try await engine.query(try join.sql()) }
        let times = one.entities.compactMap(\.time).map { 1_790_000_000_000_000 + Int64($0) * 1_000_000 }
        if seed % 3 == 2, let first = times.min(), let last = times.max() { join.times = first...last }
        let stages = try join.stages()
        #expect(stages.count { if case .search = $0.work { true } else { false } } == (searches ? views.count : 0))
        for stage in stages { try await stage.make(on: engine) }
        let table = try await engine.query(join.result)
        let freed = Set(stages.flatMap(\.frees))
        for stage in stages where !freed.contains(stage.table) {
            try await engine.execute("DROP TABLE \(stage.table)")
        }
        return table
    }

    @Test(
        "240 generated cases: every row is kept, in its order, and every cell is the oracle's", arguments: [false, true])
    func oracle(searches: Bool) async throws {
        let engine = DuckDBEngine(options: .init(threads: 2))
        var (cells, filled) = (0, 0)
        for seed in UInt64(1)...240 {
            let one = Case(seed: seed)
            for view in one.views { try await create(view, in: engine, zoned: seed % 2 == 0) }
            try await engine.execute("CREATE OR REPLACE TABLE rows (place BIGINT, k0 BIGINT, k1 BIGINT, moment TIMESTAMP)")
            if !one.entities.isEmpty {
                let rows = one.entities.enumerated().map { place, row in
                    "(\(place), \(text(row.keys[0])), \(text(row.keys[1])), \(moment(row.time, zoned: false)))"
                }
                try await engine.execute("INSERT INTO rows VALUES \(rows.joined(separator: ", "))")
            }
            let table = try await run(one, seed, searches: searches, engine)
            let places = try #require(table["place"])
            #expect(
                (0..<table.rowCount).map { places[$0] } == one.entities.indices.map { .int(Int64($0)) }, "seed \(seed)")
            for (index, view) in one.views.enumerated() {
                let column = try #require(table["\(view.name)__f_\(view.source)"])
                let got = (0..<table.rowCount).map { row -> Int? in
                    if case .int(let value) = column[row] { Int(value) } else { nil }
                }
                let want = one.expected.map { $0[index] }
                #expect(got == want, "seed \(seed), \(view.name)")
                cells += want.count
                filled += want.count { $0 != nil }
            }
        }
        // The cases must be worth something: many cells with a value, many without.
        #expect(cells > 4000 && filled > cells / 5 && filled < cells * 4 / 5)
    }
}
