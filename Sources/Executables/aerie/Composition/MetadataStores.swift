import AerieCore
import AerieResources
import Experiments
import Features
import Imports
import Logging
import Pipelines
import Registry
import Retention
import Serving
import StorePostgres
import StoreSQLite
import Webhooks

/// Every store of the metadata, of one kind: all in the data folder's SQLite file, or all in one PostgreSQL database.
struct MetadataStores: Sendable {
    var experiments: any ExperimentStore
    var runs: any RunStore
    var loggedModels: any LoggedModelStore
    var traces: any TraceStore & TraceMeasureStore
    var registeredModels: any RegistryStore
    var modelVersions: any ModelVersionStore
    var resources: any ResourceStore
    var pipelineRuns: any PipelineRunStore
    var webhooks: any WebhookStore
    var purge: any PurgeStore
    var imports: any ImportStore
    var definitions: any DefinitionDocumentStore
    var bandits: any BanditStore
    /// Whether other servers may change what is in them.
    var isShared: Bool
    /// Leaves everything where the next start finds it fastest; called once, after the last write.
    var close: @Sendable () async -> Void

    /// Opens the stores and brings their tables to the newest version.
    /// - Parameter folder: the data folder, which this process must hold.
    static func open(
        _ location: MetadataLocation, folder: String, logger: Logger
    ) async throws(AerieError) -> MetadataStores {
        switch location {
        case .sqlite: return try sqlite(folder: folder)
        case .postgres(let url): return try await postgres(url: url, folder: folder)
        }
    }

    /// Nothing is in the data folder but files, and what tells this server from the others at the same database.
    private static func postgres(url: String, folder: String) async throws(AerieError) -> MetadataStores {
        let home = Hexadecimal.encode(try FolderSecret.open("server.id", in: folder).prefix(16))
        let database = try await PostgresDatabase(url: url)
        return MetadataStores(
            experiments: PostgresExperimentStore(database), runs: PostgresRunStore(database),
            loggedModels: PostgresLoggedModelStore(database), traces: PostgresTraceStore(database),
            registeredModels: PostgresRegistryStore(database), modelVersions: PostgresModelVersionStore(database),
            resources: PostgresResourceStore(database),
            pipelineRuns: PostgresPipelineRunStore(database, home: home), webhooks: PostgresWebhookStore(database),
            purge: PostgresPurgeStore(database), imports: PostgresImportStore(database),
            definitions: PostgresDefinitionDocumentStore(database),
            bandits: PostgresBanditStore(database), isShared: true, close: {})
    }

    private static func sqlite(folder: String) throws(AerieError) -> MetadataStores {
        let database = try MetadataDatabase(path: folder + "/metadata.db", migrations: MetadataDatabase.migrations)
        let runs = SQLiteRunStore(database)
        return MetadataStores(
            experiments: SQLiteExperimentStore(database), runs: runs,
            loggedModels: SQLiteLoggedModelStore(database), traces: SQLiteTraceStore(database),
            registeredModels: SQLiteRegistryStore(database), modelVersions: SQLiteModelVersionStore(database),
            resources: SQLiteResourceStore(database: database), pipelineRuns: SQLitePipelineRunStore(database),
            webhooks: SQLiteWebhookStore(database), purge: SQLitePurgeStore(database),
            imports: SQLiteImportStore(database), definitions: SQLiteDefinitionDocumentStore(database),
            bandits: SQLiteBanditStore(database), isShared: false,
            close: {
                try? await runs.settle()
                database.checkpoint()
            })
    }
}
