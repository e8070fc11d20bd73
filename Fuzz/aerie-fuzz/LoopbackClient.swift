import Fuzzing
import NIOCore
import NIOPosix

/// Asks a server on this machine, one connection a request.
struct LoopbackClient: Sendable {
    let port: Int

    /// - Throws: `FuzzFinding` for what is no answer of HTTP, an error of the server's own, and no answer at all.
    func post(_ path: String, _ body: String) async throws -> HTTPReply {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        let head = "POST \(path) HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
        let answer = try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: head + body))
            var answer: [UInt8] = []
            for try await piece in inbound { answer += piece.readableBytesView }
            return answer
        }
        let replies = try HTTPReply.all(in: answer, isHead: false)
        guard replies.count == 1 else { throw FuzzFinding("\(replies.count) answers to \(path)") }
        return replies[0]
    }
}
