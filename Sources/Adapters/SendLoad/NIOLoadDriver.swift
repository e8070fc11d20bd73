public import AerieCore
public import Load
import NIOCore
import NIOPosix

/// Loads a server from event loops of its own, which end with the run.
public struct NIOLoadDriver: LoadDriver {
    public init() {}

    public func run(
        _ plan: LoadPlan, _ payload: LoadPayload, progress: @escaping @Sendable (LoadProgress) -> Void
    ) async throws(AerieError) -> LoadResult {
        try plan.validate()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: plan.threads)
        let result: Result<LoadResult, AerieError>
        do throws(AerieError) {
            result = .success(try await Self.run(plan, payload, group, progress))
        } catch {
            result = .failure(error)
        }
        try? await group.shutdownGracefully()
        return try result.get()
    }

    private static func run(
        _ plan: LoadPlan, _ payload: LoadPayload, _ group: MultiThreadedEventLoopGroup,
        _ progress: @escaping @Sendable (LoadProgress) -> Void
    ) async throws(AerieError) -> LoadResult {
        let requests = payload.requests.map { bytes in
            plan.transport == .http ? ByteBuffer(bytes: bytes) : HTTP2LoadConnection.message(bytes)
        }
        var engines: [LoadEngine] = []
        var opening: [EventLoopFuture<Void>] = []
        for index in 0..<plan.threads {
            let loop = group.next()
            let engine = LoadEngine(loop: loop, plan: plan, payload: payload) { engine in
                connect(engine, loop, plan, payload, requests)
            }
            engines.append(engine)
            let share = plan.connections / plan.threads + (index < plan.connections % plan.threads ? 1 : 0)
            opening += (0..<share).map { _ in connect(engine, loop, plan, payload, requests) }
        }
        let running = engines
        let finished = running.map(\.finished)
        do {
            for future in opening { try await future.get() }
        } catch {
            for (engine, future) in zip(running, finished) {
                future.eventLoop.execute { engine.cancel() }
                _ = try? await future.get()
            }
            throw AerieError(
                .unavailable, "cannot connect to \(plan.host):\(plan.port): \(error); is the server running there?",
                cause: error)
        }
        for (engine, future) in zip(running, finished) { future.eventLoop.execute { engine.start() } }
        let watch = Task { await follow(running, finished.map(\.eventLoop), progress) }
        defer { watch.cancel() }
        var total = LoadResult(rowsPerRequest: payload.rows)
        do {
            try await withTaskCancellationHandler {
                for future in finished { total.add(try await future.get()) }
            } onCancel: {
                for (engine, future) in zip(running, finished) { future.eventLoop.execute { engine.cancel() } }
            }
        } catch {
            throw AerieError(.internal, "the load ended early: \(error)", cause: error)
        }
        if total.succeeded == 0, let problem = try? await firstProblem(running, finished.map(\.eventLoop)) {
            throw problem
        }
        return total
    }

    private static func firstProblem(_ engines: [LoadEngine], _ loops: [any EventLoop]) async throws -> AerieError? {
        for (engine, loop) in zip(engines, loops) {
            if let problem = try await loop.submit({ engine.lastProblem }).get() { return problem }
        }
        return nil
    }

    private static func connect(
        _ engine: LoadEngine, _ loop: any EventLoop, _ plan: LoadPlan, _ payload: LoadPayload, _ requests: [ByteBuffer]
    ) -> EventLoopFuture<Void> {
        ClientBootstrap(group: loop)
            .connectTimeout(.seconds(5))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if plan.transport == .http {
                        try channel.pipeline.syncOperations.addHandler(
                            HTTPLoadConnection(engine: engine, requests: requests, inFlight: plan.inFlight))
                    } else {
                        try channel.pipeline.syncOperations.addHandler(
                            HTTP2LoadConnection(
                                engine: engine, method: payload.method, authority: "\(plan.host):\(plan.port)",
                                messages: requests, inFlight: plan.inFlight, isStream: plan.transport == .grpcStream))
                    }
                }
            }
            .connect(host: plan.host, port: plan.port).map { _ in }
    }

    private static func follow(
        _ engines: [LoadEngine], _ loops: [any EventLoop], _ progress: @escaping @Sendable (LoadProgress) -> Void
    ) async {
        var before = 0
        var then = monotonicNanoseconds()
        while !Task.isCancelled {
            do { try await Task.sleep(for: .milliseconds(250)) } catch { return }
            var total = LoadResult(rowsPerRequest: 1)
            var isWarmingUp = false
            var fraction = 0.0
            for (engine, loop) in zip(engines, loops) {
                let part = try? await loop.submit { (engine.snapshot, engine.isWarmingUp, engine.fraction) }.get()
                guard let part else { return }
                total.add(part.0)
                isWarmingUp = part.1
                fraction = max(fraction, part.2)
            }
            let now = monotonicNanoseconds()
            let seconds = Double(now &- then) / 1e9
            progress(
                LoadProgress(
                    isWarmingUp: isWarmingUp, fraction: fraction, answered: total.succeeded, failed: total.failed,
                    perSecond: seconds > 0 ? Double(total.succeeded - before) / seconds : 0,
                    p50: total.latency.quantile(0.5), p99: total.latency.quantile(0.99)))
            before = total.succeeded
            then = now
        }
    }
}
