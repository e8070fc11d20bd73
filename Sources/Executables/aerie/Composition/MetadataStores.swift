import AerieCore
import AerieResources
import Experiments
import Imports
import Logging
import Pipelines
import Registry
import Retention
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

    /// Resources, pipeline runs and webhooks stay with the data folder; experiments, runs, models and traces, of which
    /// there are many and which several processes share, are in the database, and deleted for good there.
    private static func postgres(url: String, folder: String) async throws(AerieError) -> MetadataStores {
        var stores = try sqlite(folder: folder)
        let database = try await PostgresDatabase(url: url)
        stores.experiments = PostgresExperimentStore(database)
        stores.runs = PostgresRunStore(database)
        stores.loggedModels = PostgresLoggedModelStore(database)
        stores.traces = PostgresTraceStore(database)
        stores.registeredModels = PostgresRegistryStore(database)
        stores.modelVersions = PostgresModelVersionStore(database)
        stores.imports = PostgresImportStore(database)
        stores.purge = PostgresPurgeStore(database)
        return stores
    }

    private static func sqlite(folder: String) throws(AerieError) -> MetadataStores {
        let database = try MetadataDatabase(path: folder + "/metadata.db", migrations: migrations)
        let runs = SQLiteRunStore(database)
        return MetadataStores(
            experiments: SQLiteExperimentStore(database), runs: runs,
            loggedModels: SQLiteLoggedModelStore(database), traces: SQLiteTraceStore(database),
            registeredModels: SQLiteRegistryStore(database), modelVersions: SQLiteModelVersionStore(database),
            resources: SQLiteResourceStore(database: database), pipelineRuns: SQLitePipelineRunStore(database),
            webhooks: SQLiteWebhookStore(database), purge: SQLitePurgeStore(database),
            imports: SQLiteImportStore(database),
            close: {
                try? await runs.settle()
                database.checkpoint()
            })
    }

    /// The tables of every store, in the order in which they came to be.
    private static let migrations: [Migration] =
        SQLiteExperimentStore.migrations + SQLiteRegistryStore.migrations + SQLiteResourceStore.migrations
        + SQLitePipelineRunStore.migrations + SQLiteWebhookStore.migrations
        + SQLitePurgeStore.migrations
}
