public import AerieHTTP
public import AerieTelemetry
public import Features
public import NIOCore

extension FeastRoutes {
    /// Opens a port that speaks the same protocol on the event loops of the data plane, where online features are read
    /// without a web framework: see `FeastConnection`.
    /// - Parameters:
    ///   - reader: a way to the online store for one loop; `nil` where only the general way leads to it.
    /// - Throws: NIO's error if the address cannot be bound.
    public func serve(
        on group: any EventLoopGroup, host: String, port: Int, metrics: MetricsRegistry,
        reader: (any EventLoop) -> (any OnlineReader)?
    ) async throws -> HTTPServer {
        var options = HTTPLoop.Options()
        options.limits.bodyBytes = Self.bodyLimit
        var loops: [FeastLoop] = []
        for eventLoop in group.makeIterator() {
            loops.append(
                FeastLoop(
                    eventLoop: eventLoop, options: options, routes: self, reader: reader(eventLoop),
                    counters: FeastCounters(metrics, loop: loops.count)))
        }
        for loop in loops {
            loop.eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in loop.sweep() }
        }
        return try await HTTPServer.start(on: group, loops: loops, host: host, port: port) { FeastConnection(loop: $0) }
    }
}
