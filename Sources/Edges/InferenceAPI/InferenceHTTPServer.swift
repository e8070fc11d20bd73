import AerieCore
public import NIOCore
import NIOPosix

/// The inference port over HTTP/1.1: Open Inference Protocol v2 and Seldon's predictions.
public final class InferenceHTTPServer: Sendable {
    private let channel: any Channel
    private let plane: InferencePlane

    /// The address that was really bound; its port is a free one if 0 was asked for.
    public let address: SocketAddress?
    public var port: Int { address?.port ?? 0 }

    private init(channel: any Channel, plane: InferencePlane) {
        self.channel = channel
        self.plane = plane
        address = channel.localAddress
    }

    /// Binds and begins to accept.
    /// - Throws: NIO's error if the address cannot be bound.
    public static func start(plane: InferencePlane, host: String, port: Int) async throws -> InferenceHTTPServer {
        let channel = try await ServerBootstrap(group: plane.group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let state = plane.state(for: channel.eventLoop)
                    try channel.pipeline.syncOperations.addHandler(HTTPConnection(state: state))
                }
            }
            .bind(host: host, port: port).get()
        return InferenceHTTPServer(channel: channel, plane: plane)
    }

    /// Stops accepting, closes idle connections, lets requests that have begun finish, for at most `seconds`.
    public func shutdown(within seconds: Int = 10) async {
        plane.beginDraining()
        try? await channel.close()
        for state in plane.states { state.eventLoop.execute { state.drain() } }
        let deadline = monotonicNanoseconds() + UInt64(max(0, seconds)) * 1_000_000_000
        while await openConnections() > 0, monotonicNanoseconds() < deadline {
            try? await Task.sleep(for: .milliseconds(20))
        }
        for state in plane.states { state.eventLoop.execute { state.closeAll() } }
    }

    private func openConnections() async -> Int {
        var count = 0
        for state in plane.states {
            count += (try? await state.eventLoop.submit { state.connections.count }.get()) ?? 0
        }
        return count
    }
}
