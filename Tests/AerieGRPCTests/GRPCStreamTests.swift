import NIOCore
import NIOEmbedded
import NIOHPACK
import NIOHTTP2
import Testing

@testable import AerieGRPC

/// One HTTP/2 stream without a network: frames in, frames out.
private struct StreamUnderTest {
    let channel = NIOAsyncTestingChannel()

    init(_ service: GRPCService) async throws {
        var methods: [String: GRPCMethod] = [:]
        for (name, method) in service.methods { methods["/\(service.name)/\(name)"] = method }
        let channel = channel
        try await channel.testingEventLoop.executeInContext { [methods] in
            try channel.pipeline.syncOperations.addHandler(
                GRPCStream(services: methods, maximumMessageBytes: 1000, connection: 1))
        }
        try await channel.connect(to: SocketAddress(unixDomainSocketPath: "/stream")).get()
    }

    func begin(_ path: String) async throws {
        let head = HPACKHeaders([(":method", "POST"), (":path", path), ("content-type", "application/grpc")])
        try await channel.writeInbound(HTTP2Frame.FramePayload.headers(.init(headers: head)))
    }

    /// - Parameter ends: half-closes with it.
    func send(_ message: String?, ends: Bool = false) async throws {
        var bytes = ByteBuffer()
        if let message {
            bytes.writeInteger(UInt8(0))
            bytes.writeInteger(UInt32(message.utf8.count))
            bytes.writeString(message)
        }
        try await channel.writeInbound(
            HTTP2Frame.FramePayload.data(.init(data: .byteBuffer(bytes), endStream: ends)))
    }

    /// The next message or the status that ends the call.
    func next() async throws -> String {
        while true {
            switch try await channel.waitForOutboundWrite(as: HTTP2Frame.FramePayload.self) {
            case .headers(let frame):
                guard let status = frame.headers.first(name: "grpc-status") else { continue }
                return "status \(status) \(frame.headers.first(name: "grpc-message") ?? "")"
            case .data(let frame):
                guard case .byteBuffer(var bytes) = frame.data else { continue }
                bytes.moveReaderIndex(forwardBy: 5)
                return String(buffer: bytes)
            default: continue
            }
        }
    }
}

@Suite("A gRPC stream")
struct GRPCStreamTests {
    private let echo = GRPCService(name: "t.Echo", methods: [
        "Each": .streaming(.bidirectional) { exchange throws(GRPCFailure) in
            while let message = await exchange.next() {
                if String(buffer: message) == "no" { throw GRPCFailure(status: 9, message: "not ä") }
                try await exchange.send(message)
            }
            try await exchange.send(ByteBuffer(string: "end"))
        },
        "Many": .streaming(.serverStreaming) { exchange throws(GRPCFailure) in
            guard let message = await exchange.next() else { return }
            for _ in 0..<3 { try await exchange.send(message) }
        },
        "One": .unary { message, _ throws(GRPCFailure) in
            if message.readableBytes == 0 { throw GRPCFailure(status: 3, message: "empty") }
            return message
        },
    ])

    @Test("A task answers messages in their order, is told the end, and ends the call")
    func bidirectional() async throws {
        let stream = try await StreamUnderTest(echo)
        try await stream.begin("/t.Echo/Each")
        try await stream.send("a")
        #expect(try await stream.next() == "a")
        try await stream.send("b")
        try await stream.send("c", ends: true)
        #expect(try await stream.next() == "b")
        #expect(try await stream.next() == "c")
        #expect(try await stream.next() == "end")
        #expect(try await stream.next() == "status 0 ")
    }

    @Test("A call without a message is a call all the same, for a method of streams")
    func noMessages() async throws {
        let stream = try await StreamUnderTest(echo)
        try await stream.begin("/t.Echo/Each")
        try await stream.send(nil, ends: true)
        #expect(try await stream.next() == "end")
        #expect(try await stream.next() == "status 0 ")
    }

    @Test("A task's failure is the call's status, its words percent-encoded")
    func failure() async throws {
        let stream = try await StreamUnderTest(echo)
        try await stream.begin("/t.Echo/Each")
        try await stream.send("no")
        #expect(try await stream.next() == "status 9 not %C3%A4")
        let one = try await StreamUnderTest(echo)
        try await one.begin("/t.Echo/One")
        try await one.send("", ends: true)
        #expect(try await one.next() == "status 3 empty")
    }

    @Test("Answers wait while the client does not take them")
    func backpressure() async throws {
        let stream = try await StreamUnderTest(echo)
        stream.channel.isWritable = false
        try await stream.begin("/t.Echo/Many")
        stream.channel.isWritable = true
        try await stream.send("x", ends: true)
        var answers: [String] = []
        for _ in 0..<4 { answers.append(try await stream.next()) }
        #expect(answers == ["x", "x", "x", "status 0 "])
    }

    @Test("A message longer than the limit is refused before it has come")
    func limit() async throws {
        let stream = try await StreamUnderTest(echo)
        try await stream.begin("/t.Echo/One")
        try await stream.send(String(repeating: "x", count: 1001))
        #expect(try await stream.next().hasPrefix("status 8 "))
    }

    @Test("Health answers for the server, and not for what it does not know")
    func health() async throws {
        for (name, answer) in [("", "\u{8}\u{1}"), ("\n\u{1}x", "status 5 there is no such service"),
                               ("\n\u{9}x", "status 3 the message is no HealthCheckRequest")] {
            let stream = try await StreamUnderTest(.health())
            try await stream.begin("/grpc.health.v1.Health/Check")
            try await stream.send(name, ends: true)
            #expect(try await stream.next() == answer)
        }
    }

    @Test("Deadlines are read in every unit, and nothing else is")
    func deadlines() {
        #expect(grpcTimeout("99999999H") == .seconds(365 * 24 * 3600))
        #expect(grpcTimeout("20u") == .microseconds(20) && grpcTimeout("3S") == .seconds(3))
        for text in ["", "S", "1", "-1S", "123456789S", "1x", "1.5S", "ä"] { #expect(grpcTimeout(text) == nil) }
    }

    @Test("Status messages are percent-encoded")
    func statusMessages() {
        #expect(percentEncoded("a b%\u{e9}\n") == "a b%25%C3%A9%0A")
    }
}
