import AerieCore
import AerieJSON
import AerieResources
import Datasets
import Features
import StoreDuckDB
import Testing

@Suite struct PointInTimeJoinTests {
    private func view(_ name: String, ttl: JSONValue = nil, created: Bool = true) throws -> FeatureViewDefinition {
        var source: JSONObject = ["table": .string(name), "timestampField": "ts"]
        if created { source["createdTimestampColumn"] = "created" }
        return try .parse(
            [
                "entities": ["user"], "ttl": ttl, "source": .object(source),
                "features": [["name": "v", "dtype": "FLOAT64"]],
            ], name: name)
    }

    @Test("Rows are kept with their order, doubles and nulls; the newest value up to the row's time is taken")
    func join() async throws {
        let engine = DuckDBEngine()
        try await engine.execute(
            """
            CREATE TABLE rows AS SELECT * FROM (VALUES (1, TIMESTAMP '2026-01-02 00:00:00'), (1, \
            TIMESTAMP '2026-01-01 00:00:00'), \
            (NULL, TIMESTAMP '2026-01-02 00:00:00'), (1, NULL), (1, TIMESTAMP '2026-01-02 00:00:00'), (9, \
            TIMESTAMP '2026-01-02 00:00:00'), \
            (1, TIMESTAMP '2026-01-03 00:00:00'), (1, TIMESTAMP '2026-01-03 00:00:01'), (1, \
            TIMESTAMP '2025-12-31 00:00:00')) t(user_id, moment)
            """)
        try await engine.execute(
            """
            CREATE TABLE a AS SELECT * FROM (VALUES (1, TIMESTAMP '2026-01-01 00:00:00', 1.0, 1), (1, \
            TIMESTAMP '2026-01-02 00:00:00', 3.0, 9), \
            (1, TIMESTAMP '2026-01-02 00:00:00', 2.0, 5), (1, TIMESTAMP '2026-02-01 00:00:00', 7.0, 1)) t(user_id, \
            ts, v, created)
            """)
        let join = PointInTimeJoin(
            entities: "rows", entityColumns: ["user_id", "moment"], timestamp: "moment",
            views: [.init(try view("a", ttl: "86400s"), keys: [(entity: "user_id", view: "user_id")])])
        let table = try await engine.query(try join.sql())
        let values = (0..<table.rowCount).map { table["v"]?[$0] ?? .null }.map { value -> Double? in
            if case .double(let number) = value { number } else { nil }
        }
        // A day old exactly still counts (inclusive), a second more does not; of two at one time the later created.
        #expect(values == [3, 1, nil, nil, 3, nil, 3, nil, nil])
    }

    @Test("Two views of different keys, a view without keys and a mapped column join at once") func several()
        async throws
    {
        let engine = DuckDBEngine()
        try await engine.execute("CREATE TABLE rows AS SELECT 1 AS user_id, 'x' AS shop, TIMESTAMP '2026-01-02' AS at")
        try await engine.execute("CREATE TABLE a AS SELECT 1 AS user_id, TIMESTAMP '2026-01-01' AS ts, 1.5 AS v")
        try await engine.execute("CREATE TABLE b AS SELECT 'x' AS shop_name, TIMESTAMP '2026-01-01' AS ts, 2.5 AS v")
        try await engine.execute("CREATE TABLE c AS SELECT TIMESTAMP '2026-01-01' AS ts, 3.5 AS v")
        var b = try view("b", created: false)
        b.fieldMapping = ["shop_name": "shop"]
        var join = PointInTimeJoin(
            entities: "rows", entityColumns: ["user_id", "shop", "at"], timestamp: "at",
            views: [
                .init(try view("a", created: false), keys: [(entity: "user_id", view: "user_id")]),
                .init(b, keys: [(entity: "shop", view: "shop")]), .init(try view("c", created: false), keys: []),
            ], usesFullNames: true)
        let table = try await engine.query(try join.sql())
        #expect(table.columns.map(\.name) == ["user_id", "shop", "at", "a__v", "b__v", "c__v"])
        #expect(table.columns.suffix(3).map { $0.doubles[0] } == [1.5, 2.5, 3.5])
        join.usesFullNames = false
        #expect(throws: AerieError.self) { try join.sql() }
    }

    @Test("Names that differ in case alone, which a table does not tell apart, are refused") func sameButForCase() throws {
        func named(_ names: String...) -> Resource {
            Resource(
                apiVersion: "aerie.dev/v1", kind: "FeatureView", metadata: .init(name: names[0] + "s"),
                spec: [
                    "source": ["path": "a.parquet"],
                    "features": .array(names.map { ["name": .string($0), "dtype": "INT64"] }),
                ])
        }
        let problems = FeatureViewKind().validate(named("NR", "nr", "other"))
        #expect(problems.map(\.field) == ["spec.features"] && problems[0].problem.contains("'NR' and 'nr'"))
        #expect(FeatureViewKind().validate(named("nr", "other")).isEmpty)
        let views = try [named("NR"), named("nr")].map {
            PointInTimeJoin.View(try FeatureViewDefinition.parse($0.spec, name: $0.metadata.name), keys: [])
        }
        var join = PointInTimeJoin(
            entities: "rows", entityColumns: ["at"], timestamp: "at", views: [views[0]], usesFullNames: false)
        _ = try join.sql()
        join = PointInTimeJoin(
            entities: "rows", entityColumns: ["at"], timestamp: "at", views: views, usesFullNames: false)
        let error = #expect(throws: AerieError.self) { try join.sql() }
        #expect(error?.message.contains("'nr'") == true)
    }

    @Test("Wrong definitions are reported with their paths") func mistakes() {
        let view = Resource(
            apiVersion: "aerie.dev/v1", kind: "FeatureView", metadata: .init(name: "a:b"),
            spec: [
                "ttl": "soon", "source": ["type": "parquet"],
                "features": [["name": "x", "dtype": "QUATERNION"], ["name": "y:z", "dtype": "INT64"]],
            ])
        #expect(
            FeatureViewKind().validate(view).map(\.field) == [
                "metadata.name", "spec.source", "spec.ttl", "spec.features[0].dtype", "spec.features[1].name",
            ])
        let service = Resource(
            apiVersion: "aerie.dev/v1", kind: "FeatureService", metadata: .init(name: "s"),
            spec: ["features": ["a:b", "a/b", "nothing"]])
        #expect(FeatureServiceKind().validate(service).map(\.field) == ["spec.features[1]", "spec.features[2]"])
        let entity = Resource(
            apiVersion: "aerie.dev/v1", kind: "Entity", metadata: .init(name: "user"),
            spec: ["joinKey": "", "valueType": "THING"])
        #expect(EntityKind().validate(entity).map(\.field) == ["spec.joinKey", "spec.valueType"])
    }

    @Test(
        "Durations and types are read in their usual forms",
        arguments: [
            ("86400s", 86_400_000_000), ("90m", 5_400_000_000), ("24h", 86_400_000_000), ("7d", 604_800_000_000),
        ] as [(String, Int64)])
    func durations(text: String, microseconds: Int64) throws {
        #expect(try view("a", ttl: .string(text)).timeToLive == microseconds)
        #expect(try view("a", ttl: "0s").timeToLive == nil)
        #expect(FeatureType(name: "Array(Int64)") == .int64List)
        #expect(FeatureType(name: "Float32") == .float)
    }
}
