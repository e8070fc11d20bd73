import AerieCore
public import NIOCore
import NIOPosix

/// A port that speaks HTTP/1.1 on the event loops of a data plane.
public final class HTTPServer: Sendable {
    private let channel: any Channel
    private let loops: [HTTPLoop]

    /// The address that was really bound; its port is a free one if 0 was asked for.
    public let address: SocketAddress?
    public var port: Int { address?.port ?? 0 }

    private init(channel: any Channel, loops: [HTTPLoop]) {
        self.channel = channel
        self.loops = loops
        address = channel.localAddress
    }

    /// Binds and begins to accept.
    /// - Parameters:
    ///   - loops: one for each event loop of the group.
    ///   - connection: called on a loop for each client.
    /// - Throws: NIO's error if the address cannot be bound.
    public static func start<Loop: HTTPLoop>(
        on group: any EventLoopGroup, loops: [Loop], host: String, port: Int,
        connection: @escaping @Sendable (Loop) -> HTTPConnection
    ) async throws -> HTTPServer {
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let loop = loops.first(where: { $0.eventLoop === channel.eventLoop }) else {
                        preconditionFailure("the channel runs on a loop that is not the server's")
                    }
                    try channel.pipeline.syncOperations.addHandler(connection(loop))
                }
            }
            .bind(host: host, port: port).get()
        return HTTPServer(channel: channel, loops: loops)
    }

    /// Stops accepting, closes idle connections, lets requests that have begun finish, for at most `seconds`.
    public func shutdown(within seconds: Int = 10) async {
        try? await channel.close()
        for loop in loops { loop.eventLoop.execute { loop.drain() } }
        let deadline = monotonicNanoseconds() + UInt64(max(0, seconds)) * 1_000_000_000
        while await openConnections() > 0, monotonicNanoseconds() < deadline {
            try? await Task.sleep(for: .milliseconds(20))
        }
        for loop in loops { loop.eventLoop.execute { loop.closeAll() } }
    }

    private func openConnections() async -> Int {
        var count = 0
        for loop in loops { count += (try? await loop.eventLoop.submit { loop.connectionCount }.get()) ?? 0 }
        return count
    }
}
