import AerieCore
import AerieResources
import Pipelines
import Serving
import StorePostgres
import StoreSQLite
import Testing
import Webhooks

/// The stores of resources, pipeline runs, webhooks and learning routers of one backend, fresh.
struct PlatformStores: Sendable {
    var resources: any ResourceStore
    var pipelineRuns: any PipelineRunStore
    var webhooks: any WebhookStore
    var bandits: any BanditStore
    var verifyAudit: @Sendable () async throws -> Int
}

/// The promises of those ports, one check each, for any backend.
struct PlatformConformance: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let body: @Sendable (PlatformStores) async throws -> Void

    init(_ promise: String, _ body: @escaping @Sendable (PlatformStores) async throws -> Void) {
        testDescription = promise
        self.body = body
    }

    static let all = ResourceConformance.all + PipelineRunConformance.all + WebhookConformance.all
        + BanditConformance.all
}

/// A kind of store that can be made fresh for one check.
struct PlatformBackend: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let withStores: @Sendable ((PlatformStores) async throws -> Void) async throws -> Void

    static let all = [sqlite, postgres]

    static let sqlite = PlatformBackend(testDescription: "SQLite") { body in
        try await MetadataBackend.withSQLite(
            SQLiteResourceStore.migrations + SQLitePipelineRunStore.migrations + SQLiteWebhookStore.migrations
                + SQLiteBanditStore.migrations
        ) { database in
            try await body(PlatformStores(sqlite: database))
        }
    }

    static let postgres = PlatformBackend(testDescription: "PostgreSQL") { body in
        let database = try await PostgresDatabase(url: try PostgresServer.shared.get().freshDatabase(), connections: 4)
        try await body(PlatformStores(postgres: database))
    }
}

extension PlatformStores {
    init(sqlite database: MetadataDatabase) {
        let resources = SQLiteResourceStore(database: database)
        self.init(
            resources: resources, pipelineRuns: SQLitePipelineRunStore(database),
            webhooks: SQLiteWebhookStore(database), bandits: SQLiteBanditStore(database),
            verifyAudit: { try await resources.verifyAudit() })
    }

    init(postgres database: PostgresDatabase) {
        let resources = PostgresResourceStore(database)
        self.init(
            resources: resources, pipelineRuns: PostgresPipelineRunStore(database, home: "here"),
            webhooks: PostgresWebhookStore(database), bandits: PostgresBanditStore(database),
            verifyAudit: { try await resources.verifyAudit() })
    }
}
