import AerieCore
import EmbedTexts
import Experiments
import Features
import Foundation
import Logging
import Registry
import RunSubprocess
import StoreDuckDB
import StorePostgres
import StorePushedRows
import Steps
import Synchronization

/// What the feature store is made of, besides its online store.
struct FeatureParts {
    /// A new engine for each piece of offline work.
    let engine: @Sendable () throws(AerieError) -> DuckDBEngine
    let datasets: SavedDatasets
    let readers: FeatureReaders
    let access: SourceAccess
    let functions: PythonFunctions?
    let embedder: HTTPTextEmbedder?

    init(
        _ configuration: Configuration, folder: String, _ stores: MetadataStores, _ artifacts: any ArtifactStore,
        _ registry: RegistryService, _ logger: Logger
    ) throws(AerieError) {
        functions = try FeatureFunctions.make(configuration, logger: logger)
        embedder = try TextEmbedding.make(configuration.embedding)
        let options = DuckDBEngine.Options(
            memoryLimit: configuration.sqlMemory.map { "\($0 / 1024)KiB" },
            temporaryFolder: folder + "/features/spill", nativeFolder: configuration.nativeDirectory)
        engine = { () throws(AerieError) in DuckDBEngine(options: options) }
        datasets = SavedDatasets(
            archive: ArtifactArchive(artifacts: artifacts), resources: stores.resources, engine: engine)
        readers = FeatureReaders(resources: stores.resources, registry: registry, datasets: datasets)
        let pushed = PushedRowFiles(
            folder: folder + "/pushed",
            engine: DuckDBEngine(
                options: .init(threads: 1, memoryLimit: "256MB", nativeFolder: configuration.nativeDirectory)))
        access = SourceAccess(
            tables: PostgresSourceTables(environment: ProcessInfo.processInfo.environment), pushed: pushed,
            folder: folder + "/features")
    }
}

/// The feature store for steps of pipelines, which are declared before it is made.
final class LateFeatures: Sendable {
    private let made = Mutex<HistoricalStep.Source?>(nil)

    func fill(_ source: HistoricalStep.Source) { made.withLock { $0 = source } }

    /// `nil` until it is filled.
    @Sendable func source() -> HistoricalStep.Source? { made.withLock { $0 } }
}
