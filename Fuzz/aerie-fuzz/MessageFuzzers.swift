import AerieCore
import AerieWire
import CompressZlib
import Fuzzing
import NIOCore
import NIOEmbedded
import NIOHPACK
import NIOHTTP2

@testable import AerieGRPC
@testable import FeastAPI
@testable import InferenceAPI

private typealias Writer = AerieWire.ProtobufWriter

/// Messages in protobuf, their framing, and what packs them.
enum MessageFuzzers {
    static var all: [Fuzzer] { [modelInfer, framing, http2, gzip, deflate, feast] }

    // MARK: gRPC

    private static let unary = "/inference.GRPCInferenceService/ModelInfer"
    private static let stream = "/inference.GRPCInferenceService/ModelStreamInfer"

    private static func request(_ model: String, _ columns: Int, isRaw: Bool) -> [UInt8] {
        let numbers = (0..<columns).map { Float($0) }
        let packed = numbers.withUnsafeBytes { Array($0) }
        var input = Writer()
        input.field(1, text: "x")
        input.field(2, text: "FP32")
        input.field(3, bytes: [1, UInt8(columns)])
        if !isRaw {
            var contents = Writer()
            contents.field(6, bytes: packed)
            input.field(5, bytes: contents.bytes)
        }
        var message = Writer()
        message.field(1, text: model)
        message.field(3, text: "id")
        var parameter = Writer()
        parameter.field(1, text: "priority")
        parameter.field(2, bytes: [16, 1])
        message.field(4, bytes: parameter.bytes)
        message.field(5, bytes: input.bytes)
        message.field(6, bytes: [10, 1, 120])
        if isRaw { message.field(7, bytes: packed) }
        return message.bytes
    }

    private static let messages = [
        request("echo", 3, isRaw: true), request("echo", 3, isRaw: false), request("fraud", 8, isRaw: true),
        request("churn", 8, isRaw: false),
    ]

    private static let words = [
        "echo", "fraud", "churn", "FP32", "FP64", "INT8", "INT64", "UINT16", "BOOL", "BYTES", "FP16", "priority", "timeout",
        "triton_enable_empty_final_response", "predict",
    ]

    private static func frame(_ message: [UInt8], flag: UInt8 = 0) -> [UInt8] {
        [flag] + withUnsafeBytes(of: UInt32(message.count).bigEndian) { Array($0) } + message
    }

    /// The call's end: its status, or that it is open still.
    private static func call(
        _ plane: FuzzedPlane, _ methods: [String: GRPCMethod], _ path: String, _ pieces: [ByteBuffer]
    ) throws -> String {
        let handler = GRPCStream(
            services: methods, maximumMessageBytes: 64 << 10, connection: 1, coder: plane.state.options.coder)
        let channel = EmbeddedChannel(handler: handler, loop: plane.loop)
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "/stream")).wait()
        let head = HPACKHeaders([
            (":method", "POST"), (":path", path), ("content-type", "application/grpc"), ("grpc-encoding", "gzip"),
        ])
        _ = try? channel.writeInbound(HTTP2Frame.FramePayload.headers(.init(headers: head)))
        for (place, piece) in pieces.enumerated() where channel.isActive {
            let isLast = place == pieces.count - 1
            _ = try? channel.writeInbound(
                HTTP2Frame.FramePayload.data(.init(data: .byteBuffer(piece), endStream: isLast)))
        }
        plane.loop.run()
        var status: String?
        while let payload = try? channel.readOutbound(as: HTTP2Frame.FramePayload.self) {
            guard case .headers(let frame) = payload, let code = frame.headers.first(name: "grpc-status") else { continue }
            if status != nil { throw FuzzFinding("two statuses for one call") }
            status = "\(code) \(frame.headers.first(name: "grpc-message") ?? "")"
        }
        _ = try? channel.finish(acceptAlreadyClosed: true)
        guard let status else { throw FuzzFinding("a call whose client has said all has no status") }
        if status.hasPrefix("13 ") && path == unary && pieces.count == 1 && status.contains("internal") {
            throw FuzzFinding("the server's own error: \(status)")
        }
        return status
    }

    private static var modelInfer: Fuzzer {
        Fuzzer(
            "model-infer", "ModelInferRequest in protobuf, up to the answer", shape: .protobuf, seeds: messages,
            dictionary: words
        ) {
            let plane = try FuzzedPlane()
            let methods = plane.methods
            return { input in
                try call(plane, methods, unary, [ByteBuffer(bytes: frame(Array(input)))])
            }
        }
    }

    /// The first byte says which method, and into how many pieces the rest is cut.
    private static var framing: Fuzzer {
        let packed = (try? ZlibCoder()).flatMap { coder in
            messages[0].withUnsafeBytes { try? coder.pack($0, .gzip) }
        } ?? []
        return Fuzzer(
            "grpc-framing", "gRPC's frames, cut anywhere, one method or a stream", seeds: [
                [0] + frame(messages[0]), [1] + frame(messages[0]) + frame(messages[1]),
                [7] + frame(messages[2]) + frame([]) + frame(messages[0]), [5] + frame(packed, flag: 1),
            ], dictionary: words
        ) {
            let plane = try FuzzedPlane()
            let methods = plane.methods
            return { input in
                guard let first = input.first else { return "empty" }
                let size = first >> 1 == 0 ? input.count : Int(first >> 1)
                var pieces: [ByteBuffer] = []
                var rest = input.dropFirst()
                while !rest.isEmpty {
                    pieces.append(ByteBuffer(bytes: rest.prefix(size)))
                    rest = rest.dropFirst(size)
                }
                if pieces.isEmpty { pieces = [ByteBuffer()] }
                return try call(plane, methods, first & 1 == 0 ? unary : stream, pieces)
            }
        }
    }

    /// HTTP/2 itself is NIO's; what it makes of bytes reaches our streams.
    private static var http2: Fuzzer {
        func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt8, _ payload: [UInt8]) -> [UInt8] {
            [UInt8(payload.count >> 16), UInt8(payload.count >> 8 & 255), UInt8(payload.count & 255), type, flags]
                + [0, 0, 0, stream] + payload
        }
        func literal(_ name: String, _ value: String) -> [UInt8] {
            [0, UInt8(name.utf8.count)] + bytes(name) + [UInt8(value.utf8.count)] + bytes(value)
        }
        let head = literal(":method", "POST") + literal(":scheme", "http") + literal(":path", unary)
            + literal(":authority", "a") + literal("content-type", "application/grpc") + literal("te", "trailers")
        let start = bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + frame(4, 0, 0, [])
        let message = MessageFuzzers.frame(messages[0])
        return Fuzzer(
            "http2", "HTTP/2's frames, down to gRPC's streams", seeds: [
                start + frame(1, 4, 1, head) + frame(0, 1, 1, message),
                start + frame(1, 4, 1, head) + frame(0, 0, 1, message) + frame(3, 0, 1, [0, 0, 0, 8])
                    + frame(6, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]) + frame(8, 0, 0, [0, 0, 1, 0]),
                start + frame(1, 4, 1, head + literal("grpc-timeout", "1m")) + frame(1, 5, 1, literal("x", "y"))
                    + frame(1, 4, 3, head) + frame(0, 1, 3, message),
            ], dictionary: ["grpc-timeout", "grpc-encoding", ":path", "te", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
        ) {
            let plane = try FuzzedPlane()
            let methods = plane.methods
            return { input in
                let channel = EmbeddedChannel(loop: plane.loop)
                _ = try channel.pipeline.syncOperations.configureHTTP2Pipeline(
                    mode: .server, connectionConfiguration: .init(), streamConfiguration: .init()
                ) { child in
                    child.eventLoop.makeCompletedFuture {
                        try child.pipeline.syncOperations.addHandler(
                            GRPCStream(services: methods, maximumMessageBytes: 64 << 10, connection: 1))
                    }
                }
                try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
                var outcome = "ok"
                do { try channel.writeInbound(ByteBuffer(bytes: input)) } catch { outcome = "\(type(of: error))" }
                plane.loop.run()
                while (try? channel.readOutbound(as: ByteBuffer.self)) != nil {}
                _ = try? channel.finish(acceptAlreadyClosed: true)
                plane.loop.run()
                return outcome
            }
        }
    }

    // MARK: Packed bodies

    private static var gzip: Fuzzer { packed(.gzip) }
    private static var deflate: Fuzzer { packed(.deflate) }

    private static func packed(_ coding: ContentCoding) -> Fuzzer {
        let texts = [bytes("hello hello hello"), Array(repeating: 0, count: 4000), []]
        let seeds = (try? ZlibCoder()).map { coder in
            texts.compactMap { text in text.withUnsafeBytes { try? coder.pack($0, coding) } }
        } ?? []
        return Fuzzer(coding.rawValue, "bodies packed with \(coding.rawValue)", seeds: seeds + [[31, 139, 8, 0]]) {
            let coder = try ZlibCoder()
            let limit = 1 << 20
            return { input in
                do throws(AerieError) {
                    let plain = try coder.unpack(input, coding, limit: limit)
                    if plain.count > limit { throw AerieError(.internal, "\(plain.count) bytes of at most \(limit)") }
                    return "ok"
                } catch {
                    if error.code == .internal { throw FuzzFinding(error.message) }
                    return "\(error.code)"
                }
            }
        }
    }

    // MARK: Features

    private static var feast: Fuzzer {
        let seeds = [
            #"{"features":["v:a","v:b"],"entities":{"user_id":[1,2,3]},"full_feature_names":true}"#,
            #"{"feature_service":"s","entities":{"user":["a","b"],"card":["c",4]}}"#,
            #"{"entities":{"u":[1]},"features":null,"strict_statuses":false,"include_feature_view_version_metadata":true}"#,
        ]
        return Fuzzer(
            "feast-request", "requests for online features", shape: .json, seeds: seeds.map(bytes), dictionary: [
                "features", "feature_service", "entities", "full_feature_names", "strict_statuses",
            ]
        ) {
            { input in
                guard let request = FeastRequest.scan(input) else { return "none" }
                let parts = [request.entities, request.features, request.service]
                for range in parts where range.upperBound > input.count {
                    throw FuzzFinding("a part at \(range) of \(input.count) bytes")
                }
                return "\(request.features.isEmpty) \(request.service.isEmpty) \(request.usesFullNames)"
            }
        }
    }
}
