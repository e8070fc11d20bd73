import AerieCore
import Load
import NIOCore
import NIOHPACK

/// gRPC calls over one HTTP/2 connection: a stream for each request, or one stream whose messages are the requests.
///
/// A client of fixed requests needs no general HTTP/2: headers are the same bytes each time, and of an answer only
/// matters whether it has a message and how it ends. That keeps the sender far below the server's cost.
final class HTTP2LoadConnection: ChannelInboundHandler, LoadConnection {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private struct Call {
        var stream: UInt32 = 0
        var due: UInt64 = 0
        var hasMessage = false
    }

    private let engine: LoadEngine
    private let messages: [ByteBuffer]
    private let headers: [UInt8]
    private let inFlight: Int
    private let isStream: Bool
    private var context: ChannelHandlerContext?
    private var pending = ByteBuffer()
    private var out = ByteBuffer()

    /// Unary calls by their stream; a ring long enough that two that wait never share a place.
    private var calls: [Call]
    private var waitingCalls = 0
    private var nextStream: UInt32 = 1
    /// The messages of a stream that wait, and what is known of the next answer's bytes.
    private var dues: DueTimes
    private var answers = GRPCMessageCounter()

    private var isReady = false
    private var isEnding = false
    private var sendWindow = 65_535
    /// What a new stream may send; for the one long stream, what it still may.
    private var streamWindow = 65_535
    private var initialWindow = 65_535
    private var largestFrame = 16_384
    private var received = 0

    init(
        engine: LoadEngine, method: String, authority: String, messages: [ByteBuffer], inFlight: Int, isStream: Bool
    ) {
        self.engine = engine
        self.messages = messages
        self.inFlight = inFlight
        self.isStream = isStream
        headers = HTTP2Frames.callHeaders(method: method, authority: authority)
        dues = DueTimes(capacity: inFlight)
        var places = 16
        while places < inFlight * 4 { places *= 2 }
        calls = Array(repeating: Call(), count: places)
    }

    /// A message with gRPC's prefix.
    static func message(_ bytes: [UInt8]) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeInteger(UInt8(0))
        buffer.writeInteger(UInt32(bytes.count))
        buffer.writeBytes(bytes)
        return buffer
    }

    // MARK: Sending

    var waiting: Int { isStream ? dues.count : waitingCalls }

    var room: Int {
        guard isReady, !isEnding, context != nil else { return 0 }
        // A message goes out whole or waits: the windows that servers give hold many.
        guard sendWindow >= largestMessage, !isStream || streamWindow >= largestMessage else { return 0 }
        if isStream { return dues.capacity - dues.count }
        guard nextStream < 0x7fff_fff0, calls[place(nextStream)].stream == 0 else { return 0 }
        return inFlight - waitingCalls
    }

    private lazy var largestMessage: Int = messages.map(\.readableBytes).max() ?? 0

    private func place(_ stream: UInt32) -> Int { Int(stream >> 1) & (calls.count - 1) }

    func send(_ index: Int, due: UInt64) {
        let message = messages[index]
        if isStream {
            dues.append(due)
            writeData(message, stream: 1, ends: false)
            streamWindow -= message.readableBytes
        } else {
            let stream = nextStream
            nextStream += 2
            calls[place(stream)] = Call(stream: stream, due: due)
            waitingCalls += 1
            writeHeaders(stream)
            writeData(message, stream: stream, ends: true)
        }
        sendWindow -= message.readableBytes
    }

    private func writeHeaders(_ stream: UInt32) {
        HTTP2Frames.writeHead(
            length: headers.count, HTTP2Frames.Kind.headers, flags: HTTP2Frames.Flag.endHeaders, stream: stream,
            to: &out)
        out.writeBytes(headers)
    }

    private func writeData(_ message: ByteBuffer, stream: UInt32, ends: Bool) {
        var at = 0
        let total = message.readableBytes
        repeat {
            let count = min(largestFrame, total - at)
            let isLast = at + count == total
            HTTP2Frames.writeHead(
                length: count, HTTP2Frames.Kind.data, flags: ends && isLast ? HTTP2Frames.Flag.endStream : 0,
                stream: stream, to: &out)
            message.withUnsafeReadableBytes {
                _ = out.writeBytes(UnsafeRawBufferPointer(rebasing: $0[at..<at + count]))
            }
            at += count
        } while at < total
    }

    func flush() {
        guard out.readableBytes > 0, let context else { return }
        context.writeAndFlush(wrapOutboundOut(out), promise: nil)
        out.clear()
    }

    func close() { context?.close(promise: nil) }

    // MARK: The connection

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        context.writeAndFlush(wrapOutboundOut(HTTP2Frames.opening), promise: nil)
        engine.opened(self)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        while let due = dues.removeFirst() { engine.answered(due: due, status: LoadResult.broken) }
        for index in calls.indices where calls[index].stream != 0 {
            engine.answered(due: calls[index].due, status: LoadResult.broken)
            calls[index] = Call()
        }
        waitingCalls = 0
        engine.closed(self)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        if pending.readableBytes > 0 {
            pending.writeBuffer(&buffer)
            swap(&buffer, &pending)
            pending.clear()
        }
        var used = 0
        var problem: AerieError?
        buffer.withUnsafeReadableBytes { bytes in
            while problem == nil, bytes.count - used >= HTTP2Frames.headLength {
                let length = Int(bytes[used]) << 16 | Int(bytes[used + 1]) << 8 | Int(bytes[used + 2])
                let end = used + HTTP2Frames.headLength + length
                guard length <= 1 << 24, end <= bytes.count else { break }
                let stream =
                    UInt32(
                        bigEndian: bytes.loadUnaligned(fromByteOffset: used + 5, as: UInt32.self)) & 0x7fff_ffff
                let body = UnsafeRawBufferPointer(rebasing: bytes[used + HTTP2Frames.headLength..<end])
                do throws(AerieError) {
                    try read(kind: bytes[used + 3], flags: bytes[used + 4], stream: stream, body)
                } catch {
                    problem = error
                }
                used = end
            }
        }
        if let problem {
            engine.note(problem)
            return context.close(promise: nil)
        }
        buffer.moveReaderIndex(forwardBy: used)
        if buffer.readableBytes > 0 { pending.writeBuffer(&buffer) }
        flush()
        engine.pump()
    }

    // MARK: Frames

    private func read(
        kind: UInt8, flags: UInt8, stream: UInt32, _ body: UnsafeRawBufferPointer
    ) throws(AerieError) {
        switch kind {
        case HTTP2Frames.Kind.data: try readData(flags, stream, body)
        case HTTP2Frames.Kind.headers: try readHeaders(flags, stream, body)
        case HTTP2Frames.Kind.settings: readSettings(flags, body)
        case HTTP2Frames.Kind.windowUpdate where body.count == 4:
            let count = Int(UInt32(bigEndian: body.loadUnaligned(as: UInt32.self)) & 0x7fff_ffff)
            if stream == 0 { sendWindow += count } else if isStream { streamWindow += count }
        case HTTP2Frames.Kind.ping where flags & HTTP2Frames.Flag.acknowledge == 0 && body.count == 8:
            HTTP2Frames.writeHead(
                length: 8, HTTP2Frames.Kind.ping, flags: HTTP2Frames.Flag.acknowledge, stream: 0, to: &out)
            out.writeBytes(body)
        case HTTP2Frames.Kind.reset:
            if isStream { throw AerieError(.unavailable, "the server reset the stream") }
            finish(stream, status: 13)
        case HTTP2Frames.Kind.goAway: isEnding = true
        case HTTP2Frames.Kind.continuation:
            throw AerieError(.unsupported, "the server's headers do not fit one frame")
        default: break
        }
    }

    private func readSettings(_ flags: UInt8, _ body: UnsafeRawBufferPointer) {
        guard flags & HTTP2Frames.Flag.acknowledge == 0 else { return }
        for at in stride(from: 0, to: body.count - body.count % 6, by: 6) {
            let setting = UInt16(bigEndian: body.loadUnaligned(fromByteOffset: at, as: UInt16.self))
            let value = Int(UInt32(bigEndian: body.loadUnaligned(fromByteOffset: at + 2, as: UInt32.self)))
            if setting == 4 {
                streamWindow += value - initialWindow
                initialWindow = value
            }
            if setting == 5 { largestFrame = min(max(value, 16_384), 1 << 20) }
        }
        HTTP2Frames.writeHead(
            length: 0, HTTP2Frames.Kind.settings, flags: HTTP2Frames.Flag.acknowledge, stream: 0, to: &out)
        if isStream, !isReady {
            writeHeaders(1)
            nextStream = 3
        }
        isReady = true
    }

    private func readData(
        _ flags: UInt8, _ stream: UInt32, _ body: UnsafeRawBufferPointer
    ) throws(AerieError) {
        received += body.count
        if received > 1 << 30 {
            HTTP2Frames.writeWindowUpdate(stream: 0, by: UInt32(received), to: &out)
            if isStream { HTTP2Frames.writeWindowUpdate(stream: 1, by: UInt32(received), to: &out) }
            received = 0
        }
        let content = Self.content(flags, body)
        if isStream {
            answers.read(content) { isError in
                if let due = dues.removeFirst() { engine.answered(due: due, status: isError ? 2 : 0) }
            }
            if flags & HTTP2Frames.Flag.endStream != 0 { throw AerieError(.unavailable, "the server ended the stream") }
            return
        }
        let at = place(stream)
        guard calls[at].stream == stream else { return }
        if !content.isEmpty { calls[at].hasMessage = true }
        if flags & HTTP2Frames.Flag.endStream != 0 { finish(stream, status: 13) }
    }

    /// Without padding.
    private static func content(_ flags: UInt8, _ body: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        guard flags & HTTP2Frames.Flag.padded != 0, let padding = body.first, Int(padding) < body.count else {
            return body
        }
        return UnsafeRawBufferPointer(rebasing: body[1..<body.count - Int(padding)])
    }

    private func readHeaders(
        _ flags: UInt8, _ stream: UInt32, _ body: UnsafeRawBufferPointer
    ) throws(AerieError) {
        guard flags & HTTP2Frames.Flag.endHeaders != 0 else {
            throw AerieError(.unsupported, "the server's headers do not fit one frame")
        }
        guard flags & HTTP2Frames.Flag.endStream != 0 else { return }
        if isStream {
            let (status, message) = Self.status(flags, body)
            throw AerieError(.unavailable, "the server ended the stream with status \(status): \(message)")
        }
        let at = place(stream)
        guard calls[at].stream == stream else { return }
        // A call that has got its message ends well: a server that fails after it would be a strange one.
        if calls[at].hasMessage { return finish(stream, status: 0) }
        let (status, message) = Self.status(flags, body)
        engine.note(AerieError(.unavailable, "the server answered status \(status): \(message)"))
        finish(stream, status: status == 0 ? 13 : status)
    }

    /// `grpc-status` and `grpc-message` of trailers.
    private static func status(_ flags: UInt8, _ body: UnsafeRawBufferPointer) -> (Int, String) {
        var block = content(flags, body)
        if flags & HTTP2Frames.Flag.priority != 0, block.count > 5 {
            block = UnsafeRawBufferPointer(rebasing: block[5...])
        }
        var buffer = ByteBuffer(bytes: block)
        var decoder = HPACKDecoder(allocator: ByteBufferAllocator(), maxDynamicTableSize: 0)
        guard let headers = try? decoder.decodeHeaders(from: &buffer) else {
            return (13, "headers that cannot be read")
        }
        if let status = headers.first(name: "grpc-status").flatMap({ Int($0) }) {
            return (status, headers.first(name: "grpc-message") ?? "")
        }
        return (13, "HTTP status \(headers.first(name: ":status") ?? "?")")
    }

    private func finish(_ stream: UInt32, status: Int) {
        let at = place(stream)
        guard calls[at].stream == stream, stream != 0 else { return }
        engine.answered(due: calls[at].due, status: status)
        calls[at] = Call()
        waitingCalls -= 1
    }
}

/// Counts the messages of a gRPC stream of `ModelStreamInferResponse`, which may come in any pieces.
struct GRPCMessageCounter {
    private var prefix: (UInt8, UInt8, UInt8, UInt8, UInt8) = (0, 0, 0, 0, 0)
    private var prefixCount = 0
    private var left = 0
    private var isFirst = false
    private var isError = false

    /// - Parameter answered: called for each complete message; true if it begins with `error_message`, field 1.
    mutating func read(_ bytes: UnsafeRawBufferPointer, _ answered: (Bool) -> Void) {
        var at = 0
        while at < bytes.count || (prefixCount == 5 && left == 0) {
            if prefixCount < 5 {
                withUnsafeMutableBytes(of: &prefix) { $0[prefixCount] = bytes[at] }
                prefixCount += 1
                at += 1
                guard prefixCount == 5 else { continue }
                left = Int(prefix.1) << 24 | Int(prefix.2) << 16 | Int(prefix.3) << 8 | Int(prefix.4)
                isFirst = true
                isError = false
            }
            if left > 0, at < bytes.count {
                if isFirst { isError = bytes[at] == 0x0a }
                isFirst = false
                let used = min(left, bytes.count - at)
                left -= used
                at += used
            }
            guard left == 0, prefixCount == 5 else { continue }
            answered(isError)
            prefixCount = 0
        }
    }
}
