import AerieCore
import AerieResources
import AerieTelemetry
import Console
import FeastAPI
import Hummingbird
import Logging
import MLflowAPI
import NIOCore
import PlatformAPI
import ServiceLifecycle
import Serving
import Synchronization

/// The control plane's HTTP server: every REST edge and the console on one port.
final class ControlServer: Sendable {
    private let group: ServiceGroup
    private let task: Task<Void, any Error>
    let port: Int

    private init(group: ServiceGroup, task: Task<Void, any Error>, port: Int) {
        self.group = group
        self.task = task
        self.port = port
    }

    /// Binds, and returns once it accepts.
    static func start(
        platform: Platform, address: ListenAddress, folder: String, inferenceURL: @escaping @Sendable () -> String,
        logger: Logger
    ) async throws -> ControlServer {
        let router = Router()
        PlatformRoutes(
            resources: platform.resources,
            readiness: [
                ReadinessCheck("metadata") {
                    do throws(AerieError) { _ = try await platform.resources.latestSequence() } catch {
                        return error.message
                    }
                    return nil
                }
            ],
            metrics: {
                await StreamMetrics.refresh(platform.metrics, from: platform.streams)
                return platform.metrics.exposition()
            }
        ).addRoutes(to: router)
        PipelineRoutes(runner: platform.runner).addRoutes(to: router)
        RetentionRoutes(retention: platform.retention).addRoutes(to: router)
        ImportRoutes(imports: platform.imports) { from, artifacts throws(AerieError) in
            try ImportOrigin.open(from, artifacts: artifacts)
        }.addRoutes(to: router)
        ExplainRoutes(serving: platform.serving).addRoutes(to: router)
        PredictionRoutes(log: platform.predictions, folder: folder + "/predictions").addRoutes(to: router)
        StageHistoryRoutes(registry: platform.registry).addRoutes(to: router)
        MLflowRoutes(
            experiments: platform.experiments, registry: platform.registry, traces: platform.traces,
            artifacts: platform.artifacts, webhooks: platform.webhooks, actor: RequestUser.name
        ).register(on: router)
        FeatureRoutes(
            store: platform.features, streams: platform.streams, datasets: platform.datasets,
            resources: platform.resources, folder: folder + "/features"
        ).addRoutes(to: router)
        FeastRoutes(store: platform.features, logger: logger).register(on: router)
        FeastImportRoutes(registry: platform.feastRegistry).addRoutes(
            to: router.group("api/aerie/v1").add(middleware: JSONErrorMiddleware()))
        ConsoleRoutes(
            services: ConsoleServices(
                experiments: platform.experiments, registry: platform.registry, traces: platform.traces,
                artifacts: platform.artifacts, resources: platform.resources, runner: platform.runner,
                serving: platform.serving,
                stats: { name in
                    let namespace = platform.serving.state(named: name)?.namespace ?? "default"
                    return platform.sampler.stats(namespace: namespace, deployment: name)
                },
                inferenceAddress: inferenceURL, tables: platform.tables, features: platform.features,
                dataDirectory: folder,
                version: Aerie.version, latency: platform.latency(of:)), logger: logger
        ).register(on: router)

        let (bound, running) = AsyncThrowingStream<Int, any Error>.makeStream()
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .notice)
        let application = Application(
            router: router, server: .http1(configuration: .init(additionalChannelHandlers: [ContinueHandler()])),
            configuration: .init(address: .hostname(address.host, port: address.port), serverName: nil),
            onServerRunning: { channel in running.yield(channel.localAddress?.port ?? 0) }, logger: quiet)
        let group = ServiceGroup(configuration: .init(services: [application], logger: quiet))
        let task = Task {
            do { try await group.run() } catch {
                running.finish(throwing: error)
                throw error
            }
        }
        for try await port in bound { return ControlServer(group: group, task: task, port: port) }
        throw AerieError(.unavailable, "the control server ended before it was bound")
    }

    /// Stops accepting and waits for the requests in flight.
    func stop() async {
        await group.triggerGracefulShutdown()
        _ = try? await task.value
    }
}
