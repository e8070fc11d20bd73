public import AerieCore
public import AerieResources
public import AerieTelemetry
public import Experiments
public import Features
public import Pipelines
public import Registry
public import Serving

/// What the console reads and what it may ask for.
public struct ConsoleServices: Sendable {
    public var experiments: ExperimentService
    public var registry: RegistryService
    public var traces: TraceService
    public var artifacts: any ArtifactStore
    public var resources: ResourceService
    public var runner: PipelineRunner
    public var serving: ServingService
    /// The live numbers of a deployment; `nil` while there are none.
    public var stats: @Sendable (_ deployment: String) -> DeploymentStats?
    /// Where the time of a deployment's requests goes.
    public var latency: @Sendable (_ deployment: String) -> LatencyReport
    /// Where the data plane listens, for the examples.
    public var inferenceAddress: @Sendable () -> String
    /// Shows Parquet files as tables; `nil` where nothing can.
    public var tables: (any TablePreviewer)?
    /// `nil` where there is no feature store to show.
    public var features: FeatureStore?
    public var dataDirectory: String
    public var version: String
    public var clock: any WallClock

    public init(
        experiments: ExperimentService, registry: RegistryService, traces: TraceService, artifacts: any ArtifactStore,
        resources: ResourceService, runner: PipelineRunner, serving: ServingService,
        stats: @escaping @Sendable (_ deployment: String) -> DeploymentStats?,
        inferenceAddress: @escaping @Sendable () -> String, tables: (any TablePreviewer)? = nil,
        features: FeatureStore? = nil, dataDirectory: String,
        version: String,
        latency: @escaping @Sendable (_ deployment: String) -> LatencyReport = { _ in LatencyReport() },
        clock: any WallClock = SystemClock()
    ) {
        self.experiments = experiments
        self.registry = registry
        self.traces = traces
        self.artifacts = artifacts
        self.resources = resources
        self.runner = runner
        self.serving = serving
        self.stats = stats
        self.inferenceAddress = inferenceAddress
        self.tables = tables
        self.features = features
        self.dataDirectory = dataDirectory
        self.version = version
        self.latency = latency
        self.clock = clock
    }
}
