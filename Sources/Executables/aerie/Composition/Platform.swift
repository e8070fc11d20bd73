import AerieCore
import AerieResources
import AerieTelemetry
import Experiments
import Features
import InferONNX
import InferTrees
import Logging
import Pipelines
import Quality
import Registry
import RunSubprocess
import Serving
import Steps
import StoreDuckDB
import StoreFiles
import StoreSQLite
import TrainLightGBM

/// Every capability with its adapters, made for one data folder. The only place where ports and adapters meet.
struct Platform: Sendable {
    let database: MetadataDatabase
    let artifacts: FileArtifactStore
    let experiments: ExperimentService
    let registry: RegistryService
    let traces: TraceService
    let resources: ResourceService
    let serving: ServingService
    let metrics: MetricsRegistry
    let sampler: DeploymentSampler
    let runner: PipelineRunner
    let reconcile: ReconcileLoop
    let logger: Logger

    /// Opens the stores below `folder`, which this process must hold.
    /// - Parameter inferenceURL: where the data plane answers; asked after it has been bound.
    init(folder: String, nativeFolder: String?, logger: Logger, inferenceURL: @escaping @Sendable () -> String)
        throws(AerieError)
    {
        self.logger = logger
        database = try MetadataDatabase(path: folder + "/metadata.db", migrations: Self.migrations)
        artifacts = try FileArtifactStore(root: folder + "/artifacts")
        experiments = ExperimentService(
            experiments: SQLiteExperimentStore(database), runs: SQLiteRunStore(database),
            models: SQLiteLoggedModelStore(database))
        registry = RegistryService(
            models: SQLiteRegistryStore(database), versions: SQLiteModelVersionStore(database),
            experiments: experiments,
            artifacts: artifacts)
        traces = TraceService(traces: SQLiteTraceStore(database), experiments: experiments, artifacts: artifacts)
        metrics = MetricsRegistry()
        metrics.describeBuild(version: Aerie.version)
        sampler = DeploymentSampler(registry: metrics)
        serving = ServingService(metrics: metrics)
        let catalog = Self.steps(nativeFolder: nativeFolder)
        resources = ResourceService(
            store: SQLiteResourceStore(database: database),
            kinds: KindRegistry([
                SeldonDeploymentKind(), PipelineKind(catalog: catalog), EntityKind(), FeatureViewKind(),
                FeatureServiceKind(), ExpectationSuiteKind(),
            ]))
        let services = PipelineServices(
            experiments: experiments, registry: registry, artifacts: artifacts, resources: resources)
        runner = PipelineRunner(
            configuration: .init(folder: folder + "/pipelines"), catalog: catalog,
            store: SQLitePipelineRunStore(database),
            executor: SubprocessExecutor(
                executable: SubprocessExecutor.ownExecutable,
                environment: nativeFolder.map { ["AERIE_NATIVE_DIR": $0] } ?? [:]),
            services: services, logger: logger)
        let loader = ModelLoader(
            formats: [XGBoostFormat(), LightGBMFormat(), ONNXFormat(nativeFolder: nativeFolder)])
        reconcile = ReconcileLoop(
            service: resources,
            reconcilers: [
                SeldonDeploymentController(
                    service: serving, source: RegistryModelSource(registry: registry), loader: loader, logger: logger,
                    inferenceURL: inferenceURL)
            ], logger: logger)
    }

    /// The tables of every store, in the order in which they came to be.
    static let migrations: [Migration] =
        SQLiteExperimentStore.migrations + SQLiteRegistryStore.migrations + SQLiteResourceStore.migrations
        + SQLitePipelineRunStore.migrations

    /// The kinds of steps; the libraries are opened in a step's own process, when it needs them.
    static func steps(nativeFolder: String?) -> StepCatalog {
        StepCatalog(
            BuiltInSteps.all(
                engine: { () throws(AerieError) in DuckDBEngine(options: .init(nativeFolder: nativeFolder)) },
                trainer: { () throws(AerieError) in LightGBMTrainer(nativeFolder: nativeFolder) }))
    }
}

extension StepCommand {
    /// The kinds of steps that a step's process can be asked for.
    static let catalog: @Sendable () throws(AerieError) -> StepCatalog = { () throws(AerieError) in
        Platform.steps(nativeFolder: nil)
    }
}
