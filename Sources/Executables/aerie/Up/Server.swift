import AerieCore
import AerieGRPC
import AerieHTTP
import AerieJSON
import AerieResources
import AerieTelemetry
import CloudEvents
import CompressZlib
import Console
import EmbedTexts
import ErrorMapping
import FeastAPI
import Features
import Foundation
import Hummingbird
import InferenceAPI
import Logging
import MLflowAPI
import NIOCore
import Pipelines
import PlatformAPI
import Predictions
import RunSubprocess
import SendWebhooks
import Serving
import StoreRedis
import StoreSQLite
import Synchronization
import RequestTracing
import Webhooks

/// The running process: both planes bound, the loops at work.
final class Server: Sendable {
    private let platform: Platform
    private let plane: InferencePlane
    private let inferenceHTTP: HTTPServer
    private let inferenceGRPC: GRPCServer
    private let feastHTTP: HTTPServer?
    private let controlGRPC: GRPCServer
    private let control: ControlServer
    private let loops: Task<Void, Never>
    let readyLine: String

    private init(
        platform: Platform, plane: InferencePlane, inferenceHTTP: HTTPServer,
        inferenceGRPC: GRPCServer, feastHTTP: HTTPServer?,
        controlGRPC: GRPCServer, control: ControlServer, loops: Task<Void, Never>, readyLine: String
    ) {
        self.platform = platform
        self.plane = plane
        self.inferenceHTTP = inferenceHTTP
        self.inferenceGRPC = inferenceGRPC
        self.feastHTTP = feastHTTP
        self.controlGRPC = controlGRPC
        self.control = control
        self.loops = loops
        self.readyLine = readyLine
    }

    /// Opens the stores, loads what is deployed, binds the ports, in this order.
    static func start(_ configuration: Configuration, folder: String) async throws -> Server {
        let logger = Logger(label: "aerie")
        let inferenceURL = LateText()
        let platform = try await Platform(configuration, folder: folder, logger: logger) { inferenceURL.text }
        try await platform.features.renameStreams()
        let plane = InferencePlane(options: try options(configuration, platform))
        plane.register(with: platform.metrics) { [serving = platform.serving] in serving.slotLabels($0) }
        platform.serving.subscribe { plane.update($0) }

        let inferenceHTTP = try await bound(configuration.inferenceHTTP, "--inference-http") {
            try await plane.serveHTTP(host: $0.host, port: $0.port)
        }
        inferenceURL.set(
            "http://" + ListenAddress(host: configuration.inferenceHTTP.host, port: inferenceHTTP.port).description)
        let inferenceGRPC = try await bound(configuration.inferenceGRPC, "--inference-grpc") {
            try await GRPCServer.start(
                group: plane.group, services: .inferencePort(plane), host: $0.host, port: $0.port,
                maximumMessageBytes: configuration.maximumBody, coder: plane.coder)
        }
        let controlGRPC = try await bound(configuration.grpc, "--grpc") {
            try await GRPCServer.start(
                group: plane.group,
                services: [
                    .health(of: plane), .serverInfo(version: Aerie.version),
                    FeastRegistryService(registry: platform.feastRegistry).service, platform.feastFlight.service,
                ], host: $0.host, port: $0.port,
                maximumMessageBytes: max(configuration.maximumBody, FeastFlightService.messageBytes))
        }
        let feastHTTP = try await serveFeatures(
            configuration.feastHTTP, platform: platform, plane: plane, logger: logger)
        let deployed = try await platform.resources.list(kind: "SeldonDeployment")
        let loops = work(platform, logger)
        await settle(deployed.map(\.metadata.name), platform.serving)
        let control = try await bound(configuration.http, "--http") {
            try await ControlServer.start(
                platform: platform, address: $0, folder: folder, inferenceURL: { inferenceURL.text }, logger: logger)
        }
        let line: JSONValue = [
            "ready": true,
            "http": .string("http://" + ListenAddress(host: configuration.http.host, port: control.port).description),
            "grpc": .string(ListenAddress(host: configuration.grpc.host, port: controlGRPC.port).description),
            "inference_http": .string(inferenceURL.text),
            "inference_grpc": .string(
                ListenAddress(host: configuration.inferenceGRPC.host, port: inferenceGRPC.port).description),
            "feast_http": feastHTTP.map { server in
                let host = configuration.feastHTTP?.host ?? feastPort.host
                return .string("http://" + ListenAddress(host: host, port: server.port).description)
            } ?? .null,
            "data_dir": .string(folder), "version": .string(Aerie.version),
        ]
        return Server(
            platform: platform, plane: plane, inferenceHTTP: inferenceHTTP, inferenceGRPC: inferenceGRPC,
            feastHTTP: feastHTTP, controlGRPC: controlGRPC, control: control, loops: loops, readyLine: line.text())
    }

    /// What the data plane is given of the settings and of the platform.
    private static func options(
        _ configuration: Configuration, _ platform: Platform
    ) throws(AerieError) -> InferencePlane.Options {
        var options = InferencePlane.Options()
        options.loops = configuration.inferenceLoops ?? 0
        options.queueDelayTarget = UInt64(configuration.queueDelayTarget) * 1_000_000
        options.http.limits.bodyBytes = configuration.maximumBody
        options.allowedOrigins = configuration.allowedOrigins
        options.version = Aerie.version
        options.coder = try? ZlibCoder()
        options.repository = platform.deployments
        options.logLevel = configuration.logLevel.rawValue
        if let url = configuration.sharedResponses { options.sharedResponses = try RedisResponses(url: url) }
        options.responseCache = ResponseCache(capacity: configuration.responseCache)
        platform.graphs.connect(&options)
        options.metricsText = { platform.metrics.exposition() }
        options.predictionSink = platform.predictions
        options.tracer = platform.tracer
        options.events = platform.graphs.events
        options.featureLanes = { platform.featureLanes(on: $0) }
        return options
    }

    /// Stops accepting, answers what has begun, ends the steps' processes, and closes the stores.
    func stop() async {
        plane.beginDraining()
        platform.resources.endWatches()
        platform.runner.endEvents()
        await control.stop()
        async let http: Void = inferenceHTTP.shutdown()
        async let grpc: Void = inferenceGRPC.shutdown()
        async let feast: Void? = feastHTTP?.shutdown()
        async let health: Void = controlGRPC.shutdown()
        _ = await (http, grpc, feast, health)
        loops.cancel()
        await loops.value
        await plane.shutdown()
        platform.functions?.close()
        await platform.embedder?.close()
        await platform.predictions.write()
        await platform.webhookSender.close()
        await platform.stores.close()
    }

    /// What goes on beside the answering of requests, until the task is cancelled.
    private static func work(_ platform: Platform, _ logger: Logger) -> Task<Void, Never> {
        Task {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await platform.reconcile.run() }
                if platform.stores.isShared {
                    group.addTask { await platform.resources.followOthers() }
                    group.addTask { await platform.graphs.bandits.followOthers() }
                }
                group.addTask { await platform.sampler.run() }
                group.addTask { await platform.graphs.bandits.decisions.run() }
                group.addTask { await platform.featureUpkeep.run() }
                group.addTask { await platform.streams.run() }
                group.addTask { await platform.webhookDispatcher.run() }
                group.addTask { await platform.predictions.run() }
                group.addTask { await platform.graphs.events.run() }
                if let tracer = platform.tracer { group.addTask { await tracer.run() } }
                group.addTask {
                    do { try await platform.runner.run() } catch {
                        logger.error("the pipeline runner ended", metadata: ["error": "\(error)"])
                    }
                }
            }
        }
    }

    /// Waits a moment for what was deployed before to answer again, so that ready means ready; a model that takes
    /// longer, or fails, does not hold the process up.
    private static func settle(_ names: [String], _ serving: ServingService) async {
        let deadline = ContinuousClock.now + .milliseconds(700)
        while ContinuousClock.now < deadline {
            let isSettled = names.allSatisfy { name in
                serving.state(named: name).map { $0.state != .loading } ?? false
            }
            if isSettled { return }
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    static func bound<Bound>(
        _ address: ListenAddress, _ flag: String, _ bind: (ListenAddress) async throws -> Bound
    ) async throws(AerieError) -> Bound {
        do { return try await bind(address) } catch let error as AerieError { throw error } catch {
            throw AerieError(
                .unavailable, "cannot listen on \(address): \(error); choose another address with \(flag)", cause: error
            )
        }
    }
}

/// Text that is set once, after those who will read it were made.
private final class LateText: Sendable {
    private let value = Mutex("")
    var text: String { value.withLock { $0 } }
    func set(_ text: String) { value.withLock { $0 = text } }
}
