import AerieCore
import AerieJSON
import AerieResources
import Datasets
import Features
import Foundation
import StoreDuckDB
import Testing

@Suite struct FeatureSourceTests {
    private func view(_ source: JSONObject, ttl: JSONValue = nil) throws -> FeatureViewDefinition {
        try .parse(
            [
                "entities": ["user"], "ttl": ttl, "source": .object(source),
                "features": [["name": "v", "dtype": "INT64"]],
            ], name: "v")
    }

    @Test("A table of a DuckDB file is read beside the engine's own, by two views at once")
    func attached() async throws {
        let path = NSTemporaryDirectory() + UUID().uuidString + ".duckdb"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let other = DuckDBEngine(path: path)
        try await other.execute(
            """
            CREATE SCHEMA stats; CREATE TABLE stats.users AS SELECT 1 AS user_id, TIMESTAMP '2026-01-01' AS ts, 7 AS v;
            CREATE TABLE plain AS SELECT 1 AS user_id, TIMESTAMP '2026-01-01' AS ts, 8 AS v
            """)
        await other.close()
        let engine = DuckDBEngine()
        try await engine.execute("CREATE TABLE rows AS SELECT 1 AS user_id, TIMESTAMP '2026-01-02' AS at")
        let keys = [(entity: "user_id", view: "user_id")]
        var views: [PointInTimeJoin.View] = []
        for (name, table) in [("a", "stats.users"), ("b", "plain")] {
            var definition = try view(["type": "duckdb", "path": .string(path), "table": .string(table)])
            definition.name = name
            views.append(.init(definition, keys: keys, source: try await definition.source(engine)))
        }
        let join = PointInTimeJoin(
            entities: "rows", entityColumns: ["user_id", "at"], timestamp: "at", views: views, usesFullNames: true)
        let table = try await engine.query(try join.sql())
        #expect(table["a__v"]?[0] == .int(7) && table["b__v"]?[0] == .int(8))
        let missing = try view(["type": "duckdb", "path": "/nowhere/x.duckdb", "table": "t"])
        await #expect(throws: AerieError.self) { try await missing.source(engine) }
    }

    @Test("Sources that cannot be are refused with the field that is wrong")
    func problems() {
        func fields(_ source: JSONValue) -> [String] {
            let resource = Resource(
                apiVersion: "aerie.dev/v1", kind: "FeatureView", metadata: .init(name: "v"),
                spec: ["source": source, "features": [["name": "v", "dtype": "INT64"]]])
            return FeatureViewKind().validate(resource).map(\.field)
        }
        #expect(fields(["type": "duckdb", "path": "x.duckdb"]) == ["spec.source.table"])
        #expect(fields(["type": "postgres", "table": "t"]) == ["spec.source.connection"])
        #expect(fields(["type": "push"]) == [])
        #expect(fields(["type": "push", "path": "x"]) == ["spec.source"])
        #expect(fields(["path": "ftp://host/x.parquet"]) == ["spec.source.path"])
        #expect(fields(["path": "s3://bucket/x.parquet"]) == [])
    }

    @Test("A password does not stand in a connection") func passwords() {
        func fields(_ spec: JSONObject) -> [String] {
            SourceConnectionKind().validate(
                Resource(apiVersion: "aerie.dev/v1", kind: "SourceConnection", metadata: .init(name: "c"), spec: spec)
            ).map(\.field)
        }
        #expect(fields(["type": "postgres", "url": "postgresql://me:secret@host/db"]) == ["spec.url"])
        #expect(fields(["type": "postgres", "url": "postgresql://host/db?password=secret"]) == ["spec.url"])
        #expect(fields(["type": "postgres", "url": "postgresql://me@host:5432/db"]) == [])
        #expect(fields(["type": "files"]) == ["spec.tables"])
    }

    @Test("Work that does not fit into memory spills, and gives the same", arguments: [false, true])
    func spills(searches: Bool) async throws {
        let folder = NSTemporaryDirectory() + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let rows = 600_000
        let maker = DuckDBEngine(options: .init(threads: 2))
        try await maker.execute(
            "COPY (SELECT (i * 7919) % 5000 AS user_id, make_timestamp(1790000000000000 + i * 1000000)::TIMESTAMPTZ "
                + "AS ts, i AS v FROM range(\(rows)) t(i)) TO '\(folder)/v.parquet' (FORMAT parquet)")
        let definition = try view(["path": .string("\(folder)/v.parquet")])
        func sum(_ options: DuckDBEngine.Options) async throws -> [SQLValue] {
            let engine = DuckDBEngine(options: options)
            let file = "read_parquet('\(folder)/v.parquet')"
            var join = PointInTimeJoin(
                entities: "(SELECT user_id, ts, v AS own FROM \(file))", entityColumns: ["user_id", "ts", "own"],
                timestamp: "ts", timestampType: "TIMESTAMP WITH TIME ZONE",
                views: [
                    .init(
                        definition, keys: [(entity: "user_id", view: "user_id")],
                        source: try await definition.source(engine))
                ])
            join.searches = searches
            for stage in try join.stages() { try await stage.make(on: engine) }
            let table = try await engine.query(
                "SELECT count(*), count(*) FILTER (v = own), sum(v * 3 + own)::BIGINT FROM (\(join.result))")
            return table.columns.map { $0[0] }
        }
        let whole = try await sum(.init(threads: 2))
        #expect(whole[0] == .int(Int64(rows)) && whole[1] == .int(Int64(rows)))
        #expect(try await sum(.init(threads: 2, memoryLimit: "96MB", temporaryFolder: folder + "/spill")) == whole)
    }

    @Test("Files that come between the two readings of a source are noticed") func changed() async throws {
        let folder = NSTemporaryDirectory() + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let engine = DuckDBEngine(options: .init(threads: 2))
        func write(_ name: String, user: Int) async throws {
            try await engine.execute(
                "COPY (SELECT \(user) AS user_id, TIMESTAMP '2026-01-01' AS ts, 7 AS v) TO '\(folder)/\(name).parquet'")
        }
        try await write("b", user: 1)
        let definition = try view(["path": .string("\(folder)/*.parquet")])
        var join = PointInTimeJoin(
            entities: "(SELECT 1 AS user_id, TIMESTAMP '2026-01-02' AS at)", entityColumns: ["user_id", "at"],
            timestamp: "at",
            views: [
                .init(
                    definition, keys: [(entity: "user_id", view: "user_id")],
                    source: try await definition.source(engine))
            ])
        join.searches = true
        var stages = try join.stages()
        let last = stages.removeLast()
        for stage in stages { try await stage.make(on: engine) }
        // Sorts first, so that the places of all other rows are others.
        try await write("a", user: 2)
        let error = await #expect(throws: AerieError.self) { try await last.make(on: engine) }
        #expect(error?.code == .conflict)
    }
}
