import AerieCore
import Experiments
import Foundation
import GRDB
import Pipelines
import Registry
import Testing

@testable import StorePostgres
@testable import StoreSQLite

/// Databases of every earlier version, made by that version's own steps and filled as it filled them, opened today.
@Suite struct MigrationTests {
    // MARK: SQLite

    private static let sqliteRows: [String: EarlierRows] = [
        "experiments.1": .experiments(EarlierRows.points), "registry.1": .registry, "resources-1": .resources(),
        "pipelines.1": .pipelines(), "pipelines.2": .none, "traces.1": .traces,
        // One more point, as the log of metrics keeps it.
        "experiments.2": .only(["INSERT INTO metric_batches (owner, body) VALUES (102, x'\(batch)')"]),
        "webhooks.1": .webhooks(secret: "x'01ff'"), "retention.1": .retention, "registry.2": .none,
        "traces.2": .traceParts(valid: "1"), "traces.3": .traceFacts,
        "definition_documents.1": .only([document("x'0a01'")]),
        "bandits.1": .bandits,
    ]

    /// As a client of Feast's registry left it.
    private static func document(_ bytes: String) -> String {
        "INSERT INTO definition_documents (project, kind, name, bytes, resource_uid, resource_generation, problem) "
            + "VALUES ('default', 'Entity', 'driver', \(bytes), 'u', 1, '')"
    }

    private static let batch = Hexadecimal.encode(
        MetricCoding.batch([Metric(key: "late", value: 0.5, timestamp: Timestamp(milliseconds: 9), step: 4)]))

    @Test("an SQLite database of every earlier version is brought up with all that was in it",
        arguments: 1...MetadataDatabase.migrations.count)
    func sqlite(_ version: Int) async throws {
        try await withFolder { folder in
            let path = folder + "/metadata.db"
            let steps = MetadataDatabase.migrations.prefix(version)
            for (number, step) in steps.enumerated() {
                let rows = try #require(Self.sqliteRows[step.name], "no rows for \(step.name)")
                let database = try MetadataDatabase(path: path, migrations: Array(steps.prefix(number + 1)))
                try await database.write { db in for one in rows.statements { try db.execute(sql: one) } }
            }
            let database = try MetadataDatabase(path: path, migrations: MetadataDatabase.migrations)
            let (tracking, platform) = (TrackingStores(sqlite: database), PlatformStores(sqlite: database))
            for step in steps { try await Self.sqliteRows[step.name]?.check(tracking, platform) }
            if steps.contains(where: { $0.name == "experiments.2" }) {
                let late = MetricHistoryQuery(runIDs: ["r2"], key: "late")
                #expect(try await tracking.runs.history(late).map(\.1.step) == [4])
            }
            try await Self.works(tracking)
        }
    }

    @Test("an SQLite database that a newer version wrote is refused by name and left as it is")
    func newerSQLite() async throws {
        try await withFolder { folder in
            let path = folder + "/metadata.db"
            let newer = MetadataDatabase.migrations + [
                StoreSQLite.Migration("experiments.99") { try $0.execute(sql: "CREATE TABLE future (x INTEGER)") }
            ]
            _ = try MetadataDatabase(path: path, migrations: newer)
            let error = #expect(throws: AerieError.self) {
                _ = try MetadataDatabase(path: path, migrations: MetadataDatabase.migrations)
            }
            #expect(error?.code == .failedPrecondition && error?.reason == "database.newer")
            #expect(error?.message.contains("newer version of Aerie") == true)
            _ = try MetadataDatabase(path: path, migrations: newer)
        }
    }

    // MARK: PostgreSQL

    private static let postgresRows: [String: EarlierRows] = [
        "experiments.1": .experiments(EarlierRows.points), "traces.1": .traces, "registry.1": .registry,
        "traces.2": .traceParts(valid: "1"), "retention.1": .retention, "traces.3": .traceFacts,
        "resources.1": .resources(["UPDATE resource_sequence SET last = 2"]),
        "pipelines.1": .pipelines(home: ("home", "here")), "webhooks.1": .webhooks(secret: "'\\x01ff'::bytea"),
        "definition_documents.1": .only([document("'\\x0a01'::bytea")]), "bandits.1": .bandits,
    ]

    @Test("a PostgreSQL database of every earlier version is brought up with all that was in it",
        arguments: 1...PostgresMigrations.all.count)
    func postgres(_ version: Int) async throws {
        let url = try PostgresServer.shared.get().freshDatabase()
        let steps = PostgresMigrations.all.prefix(version)
        for (number, step) in steps.enumerated() {
            let rows = try #require(Self.postgresRows[step.name], "no rows for \(step.name)")
            let connection = try PostgresConnection(url: url)
            try PostgresMigrations.run(connection, Array(steps.prefix(number + 1)))
            for one in rows.statements { try connection.run(one) }
        }
        let database = try await PostgresDatabase(url: url, connections: 2)
        let (tracking, platform) = (TrackingStores(postgres: database), PlatformStores(postgres: database))
        for step in steps { try await Self.postgresRows[step.name]?.check(tracking, platform) }
        try await Self.works(tracking)
    }

    @Test("a PostgreSQL database that a newer version wrote is refused by name and left as it is")
    func newerPostgres() async throws {
        let url = try PostgresServer.shared.get().freshDatabase()
        let newer = PostgresMigrations.all + [
            PostgresMigration(name: "experiments.99", statements: ["CREATE TABLE future (x BIGINT)"])
        ]
        try PostgresMigrations.run(try PostgresConnection(url: url), newer)
        do throws(AerieError) {
            _ = try await PostgresDatabase(url: url, connections: 1)
            Issue.record("a newer database was opened")
        } catch {
            #expect(error.code == .failedPrecondition && error.reason == "database.newer")
            #expect(error.message.contains("experiments.99"))
        }
        try PostgresMigrations.run(try PostgresConnection(url: url), newer)
    }

    @Test("a step that fails leaves the version before it, whole")
    func failing() async throws {
        let url = try PostgresServer.shared.get().freshDatabase()
        let connection = try PostgresConnection(url: url)
        let broken = PostgresMigration(
            name: "broken.1", statements: ["CREATE TABLE half (x BIGINT)", "SELECT no_such_column FROM experiments"])
        #expect(throws: (any Error).self) {
            try PostgresMigrations.run(connection, PostgresMigrations.all + [broken])
        }
        #expect(try connection.query("SELECT 1 FROM pg_tables WHERE tablename = 'half'").isEmpty)
        try await Self.works(TrackingStores(postgres: try await PostgresDatabase(url: url, connections: 1)))
    }

    /// What is written today finds its place beside what was there.
    private static func works(_ stores: TrackingStores) async throws {
        let experiment = try await TrackingConformance.experiment(stores, "new")
        try await TrackingConformance.run(stores, "new", in: experiment.id)
        let metric = Metric(key: "m", value: 1, timestamp: Timestamp(milliseconds: 1), step: 0)
        try await stores.runs.log([RunBatch(runID: "new", metrics: [metric])])
        #expect(try await stores.runs.get(["new"]).first?.metrics == [metric])
    }

    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "aerie-versions-" + IdentifierSource.system.hex32()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }
}
