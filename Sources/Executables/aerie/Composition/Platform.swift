import AerieCore
import AerieResources
import AerieTelemetry
import EmbedTexts
import Experiments
import FeastAPI
import Features
import Foundation
import Imports
import InferONNX
import InferTrees
import LogKafka
import Logging
import Pipelines
import Predictions
import Quality
import Registry
import Retention
import RunSubprocess
import SendWebhooks
import Serving
import Steps
import StoreDuckDB
import StoreFiles
import StoreLMDB
import StoreObjects
import StorePredictions
import StoreRedis
import Streaming
import RequestTracing
import TrainLightGBM
import Webhooks

/// Every capability with its adapters, made for one data folder. The only place where ports and adapters meet.
struct Platform: Sendable {
    let stores: MetadataStores
    let artifacts: any ArtifactStore
    let experiments: ExperimentService
    let registry: RegistryService
    let traces: TraceService
    let resources: ResourceService
    let features: FeatureStore
    let feastRegistry: FeastRegistry
    let feastFlight: FeastFlightService
    let streams: StreamSupervisor
    let featureUpkeep: FeatureUpkeep
    let datasets: SavedDatasets
    let serving: ServingService
    let graphs: GraphServices
    let metrics: MetricsRegistry
    let sampler: DeploymentSampler
    let runner: PipelineRunner
    let predictions: PredictionLog
    let tracer: Tracer?
    let reconcile: ReconcileLoop
    let deployments: SeldonDeploymentController
    /// `nil` where no Python is configured.
    let functions: PythonFunctions?
    /// `nil` where no model is configured.
    let embedder: HTTPTextEmbedder?
    let retention: RetentionService
    let imports: ImportService
    let tables: ParquetPreviewer
    let webhooks: WebhookService
    let webhookDispatcher: WebhookDispatcher
    let webhookSender: HTTPWebhookSender
    let logger: Logger

    /// Opens the stores below `folder`, which this process must hold.
    /// - Parameter inferenceURL: where the data plane answers; asked after it has been bound.
    init(
        _ configuration: Configuration, folder: String, logger: Logger,
        inferenceURL: @escaping @Sendable () -> String
    ) async throws(AerieError) {
        self.logger = logger
        let nativeFolder = configuration.nativeDirectory
        stores = try await MetadataStores.open(configuration.metadata, folder: folder, logger: logger)
        artifacts = try await Self.artifacts(configuration.artifacts, folder: folder, logger: logger)
        experiments = ExperimentService(experiments: stores.experiments, runs: stores.runs, models: stores.loggedModels)
        let artifacts = artifacts
        retention = RetentionService(store: stores.purge, artifacts: artifacts, logger: logger)
        imports = ImportService(
            experiments: stores.experiments, runs: stores.runs, models: stores.loggedModels, traces: stores.traces,
            registry: stores.imports, artifacts: artifacts)
        tables = ParquetPreviewer(
            artifacts: artifacts,
            engine: DuckDBEngine(options: .init(threads: 1, memoryLimit: "256MB", nativeFolder: nativeFolder)))
        let bell = WebhookDispatcher.Bell()
        webhookSender = HTTPWebhookSender()
        webhooks = WebhookService(
            store: stores.webhooks, sender: webhookSender, secrets: try WebhookKey.open(folder: folder),
            wake: { bell.ring() })
        webhookDispatcher = WebhookDispatcher(service: webhooks, bell: bell, logger: logger)
        registry = RegistryService(
            models: stores.registeredModels, versions: stores.modelVersions, experiments: experiments,
            artifacts: artifacts, observer: webhooks)
        traces = TraceService(traces: stores.traces, experiments: experiments, artifacts: artifacts)
        metrics = Self.registry()
        sampler = DeploymentSampler(registry: metrics)
        serving = ServingService(metrics: metrics)
        predictions = Self.predictionLog(configuration, folder: folder, metrics, logger)
        tracer = try TracingParts.tracer(configuration.tracing, metrics: metrics, logger: logger)
        graphs = GraphServices(store: stores.bandits, predictions: predictions, metrics: metrics, logger: logger)
        let joins = LateFeatures()
        let catalog = Self.steps(nativeFolder: nativeFolder, features: joins.source)
        let parts = try FeatureParts(configuration, folder: folder, stores, artifacts, registry, logger)
        (datasets, functions, embedder) = (parts.datasets, parts.functions, parts.embedder)
        resources = ResourceService(
            store: stores.resources, kinds: Self.kinds(catalog),
            guards: [FeatureUse(consumers: parts.readers), OnDemandInputs(), MissingNames()])
        features = FeatureStore(
            resources: resources, online: try Self.onlineStore(configuration, folder: folder, metrics),
            access: parts.access, documents: stores.definitions, functions: functions, embedder: embedder,
            states: try Self.streamStates(folder), keepsVersions: configuration.keepsFeatureViewVersions,
            log: try FileFeatureLog(root: folder + "/feature-log"), metrics: metrics,
            sampleEvery: configuration.featureSample, engine: parts.engine)
        streams = StreamSupervisor(store: features, log: KafkaLog(), logger: logger)
        featureUpkeep = FeatureUpkeep(store: features, metrics: metrics, logger: logger)
        feastRegistry = FeastRegistry(resources: resources, store: features, documents: stores.definitions)
        feastFlight = FeastFlightService(registry: feastRegistry, folder: folder + "/features", engine: parts.engine)
        joins.fill(.init(store: features, datasets: datasets))
        let services = PipelineServices(
            experiments: experiments, registry: registry, artifacts: artifacts, resources: resources)
        runner = PipelineRunner(
            configuration: .init(folder: folder + "/pipelines"), catalog: catalog, store: stores.pipelineRuns,
            executor: Self.executor(nativeFolder), services: services, logger: logger)
        let loader = ModelLoader(formats: [XGBoostFormat(), LightGBMFormat(), ONNXFormat(nativeFolder: nativeFolder)])
        deployments = SeldonDeploymentController(
            service: serving,
            source: RegistryModelSource(
                registry: registry, artifacts: artifacts, copies: ModelCopies(folder: folder + "/model-copies")),
            loader: loader, features: ServingFeatures(store: features), bandits: graphs.bandits,
            metrics: graphs.nodes, registry: metrics, modelMemory: configuration.modelMemory,
            uploads: Self.emptied(folder + "/loaded-models"), logger: logger, inferenceURL: inferenceURL)
        reconcile = ReconcileLoop(
            service: resources,
            reconcilers: ServingKinds.reconcilers(deployments, serving, inferenceURL: inferenceURL) + [
                MaterializationScheduleController(store: features)
            ], logger: logger)
    }

    private static func executor(_ nativeFolder: String?) -> SubprocessExecutor {
        SubprocessExecutor(
            executable: SubprocessExecutor.ownExecutable,
            environment: nativeFolder.map { ["AERIE_NATIVE_DIR": $0] } ?? [:])
    }

    private static func kinds(_ catalog: StepCatalog) -> KindRegistry {
        KindRegistry(
            ServingKinds.all + [
                PipelineKind(catalog: catalog), EntityKind(), FeatureViewKind(), FeatureServiceKind(),
                SourceConnectionKind(), MaterializationScheduleKind(), ExpectationSuiteKind(),
            ], foreign: [FeastManifest()])
    }

    /// A folder without what the process before left in it.
    private static func emptied(_ folder: String) -> String {
        try? FileManager.default.removeItem(atPath: folder)
        return folder
    }

    private static func registry() -> MetricsRegistry {
        let metrics = MetricsRegistry()
        metrics.describeBuild(version: Aerie.version)
        return metrics
    }

    private static func predictionLog(
        _ configuration: Configuration, folder: String, _ metrics: MetricsRegistry, _ logger: Logger
    ) -> PredictionLog {
        let engine = DuckDBEngine(
            options: .init(
                threads: 1, memoryLimit: "512MB", temporaryFolder: folder + "/predictions/spill",
                nativeFolder: configuration.nativeDirectory))
        let files = PredictionFiles(
            folder: folder + "/predictions", options: .init(limit: Int64(configuration.predictionLogBytes)),
            engine: engine)
        return PredictionLog(store: files, metrics: metrics, logger: logger)
    }

    private static func artifacts(
        _ location: ArtifactLocation, folder: String, logger: Logger
    ) async throws(AerieError) -> any ArtifactStore {
        switch location {
        case .files(let path): return try FileArtifactStore(root: path ?? folder + "/artifacts")
        case .objects(let location):
            let settings = try ObjectSettings(for: location, environment: ProcessInfo.processInfo.environment)
            let store = try ObjectArtifactStore(location, settings: settings)
            do throws(AerieError) { try await store.check() } catch {
                // A store that is away may come back; one that refuses needs a person.
                guard error.code == .unavailable else { throw error }
                logger.warning("the artifact store does not answer", metadata: ["why": "\(error.message)"])
            }
            return store
        }
    }

    private static func onlineStore(
        _ configuration: Configuration, folder: String, _ metrics: MetricsRegistry
    ) throws(AerieError) -> any OnlineStore {
        if case .redis(let url) = configuration.online {
            let bytes = configuration.onlineCache
            return try RedisOnlineStore(url: url, cache: bytes > 0 ? .init(bytes: bytes, metrics: metrics) : nil)
        }
        do throws(AerieError) { return try LMDBOnlineStore(path: folder + "/online.mdb") } catch {
            guard error.reason == "native.lmdb" else { throw error }
            return MissingOnlineStore(error: error)
        }
    }

    /// `nil` where LMDB is not installed.
    private static func streamStates(_ folder: String) throws(AerieError) -> (any StreamStateStore)? {
        do throws(AerieError) { return try LMDBStreamStore(path: folder + "/streams.mdb") } catch {
            guard error.reason == "native.lmdb" else { throw error }
            return nil
        }
    }

    /// The kinds of steps; the libraries are opened in a step's own process, when it needs them.
    /// - Parameter features: for the steps that run in the server.
    static func steps(
        nativeFolder: String?, features: @escaping @Sendable () -> HistoricalStep.Source? = { nil }
    ) -> StepCatalog {
        StepCatalog(
            BuiltInSteps.all(
                engine: { () throws(AerieError) in DuckDBEngine(options: .init(nativeFolder: nativeFolder)) },
                trainer: { () throws(AerieError) in LightGBMTrainer(nativeFolder: nativeFolder) },
                features: features))
    }
}

extension StepCommand {
    /// The kinds of steps that a step's process can be asked for.
    static let catalog: @Sendable () throws(AerieError) -> StepCatalog = { () throws(AerieError) in
        Platform.steps(nativeFolder: nil)
    }
}
