public import AerieCore
public import NIOCore
import NIOHTTP2
import NIOPosix
import Synchronization

/// A gRPC port over plain HTTP/2, with any services.
public final class GRPCServer: Sendable {
    private let channel: any Channel
    private let connections: ConnectionList

    /// The address that was really bound.
    public let address: SocketAddress?
    public var port: Int { address?.port ?? 0 }

    private init(channel: any Channel, connections: ConnectionList) {
        self.channel = channel
        self.connections = connections
        address = channel.localAddress
    }

    /// Binds and begins to accept. Services that keep state by event loop must be given that state's group.
    /// - Parameter coder: for compressed messages, which are answered alike; `nil` to refuse them.
    /// - Throws: NIO's error if the address cannot be bound.
    public static func start(
        group: any EventLoopGroup, services: [GRPCService], host: String, port: Int,
        maximumMessageBytes: Int = 64 << 20, coder: (any ContentCoder)? = nil
    ) async throws -> GRPCServer {
        var methods: [String: GRPCMethod] = [:]
        for service in services {
            for (name, method) in service.methods { methods["/\(service.name)/\(name)"] = method }
        }
        let connections = ConnectionList()
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { [methods] channel in
                let number = connections.add(channel)
                return channel.eventLoop.makeCompletedFuture {
                    try configure(channel) {
                        GRPCStream(
                            services: methods, maximumMessageBytes: maximumMessageBytes, connection: number,
                            coder: coder)
                    }
                }
            }
            .bind(host: host, port: port).get()
        return GRPCServer(channel: channel, connections: connections)
    }

    private static func configure(
        _ channel: any Channel, _ makeStream: @escaping @Sendable () -> GRPCStream
    ) throws {
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: 256),
            HTTP2Setting(parameter: .maxHeaderListSize, value: 16 << 10),
            HTTP2Setting(parameter: .initialWindowSize, value: 1 << 20),
        ]
        connection.targetWindowSize = 4 << 20
        // Clients of gRPC probe the bandwidth with pings, many in a second under load.
        connection.controlFrameRateLimit.maximumCount = 100_000
        var stream = NIOHTTP2Handler.StreamConfiguration()
        stream.targetWindowSize = 1 << 20
        stream.streamResetFrameRateLimit.maximumCount = 2000
        // Sends GOAWAY when the server drains, and closes once the calls that have begun are answered; finds out by a
        // ping whether a silent client is still there.
        let ending = NIOHTTP2ServerConnectionManagementHandler(
            eventLoop: channel.eventLoop,
            configuration: .init(
                maxIdleTime: nil, maxAge: nil, maxGraceTime: nil,
                keepalive: .init(pingInterval: .minutes(5), ackTimeout: .seconds(20))))
        _ = try channel.pipeline.syncOperations.configureHTTP2Pipeline(
            mode: .server, connectionConfiguration: connection, streamConfiguration: stream,
            streamDelegate: ending.http2StreamDelegate
        ) { child in
            child.eventLoop.makeCompletedFuture {
                try child.pipeline.syncOperations.addHandler(makeStream())
            }
        }
        try channel.pipeline.syncOperations.addHandler(ending)
        try channel.pipeline.syncOperations.addHandler(CloseOnError())
    }

    /// Stops accepting, lets calls that have begun finish for at most `seconds`, and closes.
    public func shutdown(within seconds: Int = 10) async {
        try? await channel.close()
        connections.quiesce()
        let deadline = monotonicNanoseconds() + UInt64(max(0, seconds)) * 1_000_000_000
        while connections.count > 0, monotonicNanoseconds() < deadline {
            try? await Task.sleep(for: .milliseconds(20))
        }
        connections.closeAll()
    }
}

/// Closes a connection that does not speak HTTP/2, or breaks its rules.
private final class CloseOnError: ChannelInboundHandler {
    typealias InboundIn = Any
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// The open connections of a server, so that they can be ended.
private final class ConnectionList: Sendable {
    private struct State {
        var channels: [Int: any Channel] = [:]
        var last = 0
    }

    private let state = Mutex(State())

    var count: Int { state.withLock { $0.channels.count } }
    private var open: [any Channel] { state.withLock { Array($0.channels.values) } }

    /// - Returns: the connection's number.
    func add(_ channel: any Channel) -> Int {
        let number = state.withLock { state in
            state.last += 1
            state.channels[state.last] = channel
            return state.last
        }
        channel.closeFuture.whenComplete { [weak self] _ in self?.state.withLock { $0.channels[number] = nil } }
        return number
    }

    /// HTTP/2's own way to say that no further streams are taken.
    func quiesce() {
        for channel in open {
            channel.eventLoop.execute {
                channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
            }
        }
    }

    func closeAll() {
        for channel in open { channel.close(promise: nil) }
    }
}
