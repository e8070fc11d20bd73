import AerieCore
import NIOCore
import NIOHPACK
import NIOHTTP2

/// One HTTP/2 stream: finds the method, cuts the data into messages, writes answers and trailers.
///
/// While a message is being answered, or the client does not take its answers, nothing more is read: HTTP/2's windows
/// then hold the client back.
final class GRPCStream: ChannelDuplexHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias OutboundIn = HTTP2Frame.FramePayload
    typealias OutboundOut = HTTP2Frame.FramePayload

    private let services: [String: GRPCMethod]
    private let maximumMessageBytes: Int
    private let connection: Int
    private let coder: (any ContentCoder)?
    /// What the client's messages may be packed with.
    private var coding: ContentCoding?
    /// Whether the client packs, and is answered alike: decided by its first message, told in the head.
    private var packs = false
    private var context: ChannelHandlerContext?
    private var method: GRPCMethod?
    private var call: GRPCCall?
    private var pending = ByteBuffer()
    /// Answers in their frames, to leave together as one of HTTP/2's.
    private var outgoing = ByteBuffer()
    /// Between the first part of a read and its end: what is answered meanwhile leaves at the end.
    private var isReading = false
    private var needsFlush = false
    private var messages = 0
    /// Whether the method has been asked by the beginning of a message.
    private var hasMet = false
    private var isBusy = false
    private var isTaking = false
    private var hasSentHead = false
    /// Metadata of the answer, beside what every answer has.
    private var told: [(name: String, value: String)] = []
    private var isFinished = false
    private var inputEnded = false
    private var hasToldEnd = false
    private var holdsRead = false
    private var deadline: Scheduled<Void>?

    private static let head = HPACKHeaders([(":status", "200"), ("content-type", "application/grpc")])
    private static let success = HPACKHeaders([("grpc-status", "0")])

    private static let packedHeads = Dictionary(
        uniqueKeysWithValues: ContentCoding.allCases.map { coding in
            var headers = head
            headers.add(name: "grpc-encoding", value: coding.rawValue)
            return (coding, headers)
        })
    /// Shorter messages are sent as they are.
    private static let shortestPacked = 256

    /// - Parameters:
    ///   - services: methods by path, such as `/grpc.health.v1.Health/Check`.
    ///   - coder: for messages that are packed; `nil` to refuse them.
    init(
        services: [String: GRPCMethod], maximumMessageBytes: Int, connection: Int, coder: (any ContentCoder)? = nil
    ) {
        self.services = services
        self.connection = connection
        self.coder = coder
        self.maximumMessageBytes = maximumMessageBytes
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        end(status: 1)
    }

    func read(context: ChannelHandlerContext) {
        if canRead(context) { context.read() } else { holdsRead = true }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            // Not at once: HTTP/2's handler tells of it while it has the last frame in its hand, and trailers written
            // now would overtake that frame.
            context.eventLoop.assumeIsolated().execute { [weak self] in
                guard let self else { return }
                call?.onWritable?()
                if !isTaking { takeMessages() }
                releaseRead()
            }
        }
        context.fireChannelWritabilityChanged()
    }

    private func canRead(_ context: ChannelHandlerContext) -> Bool {
        isFinished || !isBusy && context.channel.isWritable || method?.kind == .serverStreaming
    }

    private func releaseRead() {
        guard holdsRead, let context, canRead(context) else { return }
        holdsRead = false
        context.read()
    }

    /// Marks the call as over, whoever ended it.
    private func end(status: Int) {
        deadline?.cancel()
        deadline = nil
        isFinished = true
        pending = ByteBuffer()
        call?.endEarly(status: status)
        call = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        if needsFlush { flush() }
        context.fireChannelReadComplete()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isFinished else { return }
        isReading = true
        switch unwrapInboundIn(data) {
        case .headers(let frame):
            // A second block of headers are the client's trailers, which say nothing here.
            if method == nil { begin(frame.headers) }
            if frame.endStream { inputEnded = true }
        case .data(let frame):
            if case .byteBuffer(var bytes) = frame.data {
                if pending.readableBytes == 0 { pending = bytes } else { pending.writeBuffer(&bytes) }
            }
            if frame.endStream { inputEnded = true }
            if isBusy, pending.readableBytes > maximumMessageBytes {
                return finish(status: 8, message: "more messages wait than \(maximumMessageBytes) bytes")
            }
        default: return
        }
        takeMessages()
    }

    private func begin(_ headers: HPACKHeaders) {
        guard let context else { return }
        guard headers.first(name: ":method") == "POST",
            headers.first(name: "content-type")?.hasPrefix("application/grpc") ?? false
        else {
            let refusal = HPACKHeaders([
                (":status", "415"), ("grpc-status", "13"), ("grpc-message", "a POST of application/grpc was expected"),
            ])
            isFinished = true
            context.writeAndFlush(wrapOutboundOut(.headers(.init(headers: refusal, endStream: true))), promise: nil)
            return
        }
        let path = headers.first(name: ":path") ?? ""
        guard let found = services[path] else {
            return finish(status: 12, message: "there is no method \(path)")
        }
        if let name = headers.first(name: "grpc-encoding"), name != "identity" {
            coding = coder == nil ? nil : ContentCoding(rawValue: name)
            if coding == nil {
                let fix = "send gzip, deflate or plain"
                return finish(status: 12, message: "grpc-encoding \(name) is not carried out; \(fix)")
            }
        }
        method = found
        call = GRPCCall(
            eventLoop: context.eventLoop, connection: connection, stream: self, headers: headers)
        guard let text = headers.first(name: "grpc-timeout") else { return }
        guard let limit = grpcTimeout(text) else {
            return finish(status: 13, message: "grpc-timeout is not a number of up to eight digits and a unit")
        }
        call?.deadline = monotonicNanoseconds() &+ UInt64(max(0, limit.nanoseconds))
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: limit) { [weak self] in
            self?.finish(status: 4, message: "the deadline has passed")
        }
    }

    private func takeMessages() {
        guard let channel = context?.channel else { return }
        isTaking = true
        defer { isTaking = false }
        while !isBusy, !isFinished, channel.isWritable, let method, let call {
            guard pending.readableBytes >= 5 else { break }
            let start = pending.readerIndex
            guard let flag = pending.getInteger(at: start, as: UInt8.self),
                let length = pending.getInteger(at: start + 1, as: UInt32.self)
            else { break }
            if flag > 1 { return finish(status: 13, message: "the message's flag is \(flag)") }
            if flag == 1, coding == nil {
                return finish(status: 13, message: "the message is compressed, and grpc-encoding does not say how")
            }
            if Int(length) > maximumMessageBytes {
                return finish(
                    status: 8, message: "the message of \(length) bytes is longer than \(maximumMessageBytes)")
            }
            guard pending.readableBytes - 5 >= Int(length) else {
                meet(call, method, length: Int(length), isPacked: flag == 1)
                break
            }
            pending.moveReaderIndex(forwardBy: 5)
            guard var message = pending.readSlice(length: Int(length)) else { break }
            if flag == 1 {
                guard let plain = unpacked(message) else { return }
                message = plain
                if messages == 0 { packs = true }
            }
            messages += 1
            if method.kind != .bidirectional, messages > 1 {
                return finish(status: 13, message: "the method takes one message")
            }
            isBusy = true
            method.answer(call, message)
        }
        guard inputEnded, !isBusy, !isFinished, channel.isWritable else { return }
        if pending.readableBytes > 0 { return finish(status: 13, message: "the last message is cut short") }
        if messages == 0, method?.kind != .bidirectional {
            return finish(status: 13, message: "the call ended without a message")
        }
        guard method?.kind == .bidirectional, !hasToldEnd else { return }
        hasToldEnd = true
        if let call, let told = method?.inputEnded { told(call) } else { finish(status: 0, message: "") }
    }

    /// The method may end the call by the beginning of its message.
    private func meet(_ call: GRPCCall, _ method: GRPCMethod, length: Int, isPacked: Bool) {
        guard !hasMet, !isPacked, messages == 0, let meet = method.meet, pending.readableBytes >= Self.beginning,
            let beginning = pending.getSlice(at: pending.readerIndex + 5, length: pending.readableBytes - 5)
        else { return }
        hasMet = true
        meet(call, beginning, length)
    }

    /// As much of a message says who is to answer it.
    private static let beginning = 512
    /// How long a client may go on sending after its call has ended.
    private static let patience = TimeAmount.seconds(5)

    var isWritable: Bool { !isFinished && context?.channel.isWritable ?? false }

    func flush() {
        needsFlush = false
        guard let context else { return }
        writeOutgoing(context)
        context.flush()
    }

    private func writeOutgoing(_ context: ChannelHandlerContext) {
        guard outgoing.readableBytes > 0 else { return }
        context.write(wrapOutboundOut(.data(.init(data: .byteBuffer(outgoing)))), promise: nil)
        outgoing = ByteBuffer()
    }

    /// The message as it was before it was packed; `nil` if the call has ended for it.
    private func unpacked(_ message: ByteBuffer) -> ByteBuffer? {
        guard let coder, let coding else { return nil }
        let result = message.withUnsafeReadableBytes { bytes -> Result<[UInt8], AerieError> in
            Result { () throws(AerieError) in try coder.unpack(bytes, coding, limit: maximumMessageBytes) }
        }
        switch result {
        case .success(let bytes): return ByteBuffer(bytes: bytes)
        case .failure(let error):
            finish(status: error.code == .resourceExhausted ? 8 : 13, message: error.message)
            return nil
        }
    }

    private func packed(_ message: ByteBuffer) -> [UInt8]? {
        guard packs, let coder, let coding, message.readableBytes >= Self.shortestPacked else { return nil }
        return message.withUnsafeReadableBytes { bytes in try? coder.pack(bytes, coding) }
    }

    func send(_ message: ByteBuffer) {
        guard let context, !isFinished else { return }
        sendHead(context)
        let packed = packed(message)
        let count = packed?.count ?? message.readableBytes
        if outgoing.readableBytes == 0 { outgoing = context.channel.allocator.buffer(capacity: count + 5) }
        outgoing.writeInteger(UInt8(packed == nil ? 0 : 1))
        outgoing.writeInteger(UInt32(truncatingIfNeeded: count))
        if let packed { outgoing.writeBytes(packed) } else { outgoing.writeImmutableBuffer(message) }
        if outgoing.readableBytes >= Self.frameBytes { writeOutgoing(context) }
    }

    /// HTTP/2's usual limit of a frame; there is nothing to gain from waiting for more.
    private static let frameBytes = 16 << 10

    private func sendHead(_ context: ChannelHandlerContext) {
        guard !hasSentHead else { return }
        hasSentHead = true
        var head = (packs ? coding.flatMap { Self.packedHeads[$0] } : nil) ?? Self.head
        for (name, value) in told { head.add(name: name, value: value) }
        context.write(wrapOutboundOut(.headers(.init(headers: head))), promise: nil)
    }

    func tell(_ name: String, _ value: String) { told.append((name, value)) }

    func next() {
        if isReading { needsFlush = true } else { flush() }
        guard isBusy else { return }
        // A server's stream stays open, and takes no second message.
        if method?.kind == .serverStreaming { return }
        isBusy = false
        // The loop that gave out the message goes on by itself; an answer that came later starts it again.
        if !isTaking { takeMessages() }
        releaseRead()
    }

    func finish(status: Int, message: String) {
        guard let context, !isFinished else { return }
        end(status: status)
        var trailers = Self.success
        if status != 0 {
            trailers = HPACKHeaders([("grpc-status", String(status)), ("grpc-message", percentEncoded(message))])
        }
        if !hasSentHead, status != 0 {
            trailers = HPACKHeaders([
                (":status", "200"), ("content-type", "application/grpc"), ("grpc-status", String(status)),
                ("grpc-message", percentEncoded(message)),
            ])
            for (name, value) in told { trailers.add(name: name, value: value) }
            hasSentHead = true
        }
        sendHead(context)
        writeOutgoing(context)
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(.headers(.init(headers: trailers, endStream: true))), promise: written)
        releaseRead()
        if inputEnded { return }
        // A client that goes on sending after its call has ended is told to stop, once it has the whole answer. After
        // a good answer all that can be missing is the mark of the end, which some send by itself. Who is refused by
        // the beginning of a message is still sending the rest, and stops by itself: told to at once, gRPC's own client
        // forgets why.
        let patience = status == 0 || hasMet ? Self.patience : .zero
        written.futureResult.assumeIsolated().whenSuccess { [weak self] in self?.stopClient(after: patience) }
    }

    private func stopClient(after patience: TimeAmount) {
        guard let context else { return }
        if patience == .zero { return context.close(promise: nil) }
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: patience) { [weak self] in
            self?.context?.close(promise: nil)
        }
    }
}

/// A deadline as gRPC writes it, such as `250m`; `nil` for anything else.
func grpcTimeout(_ text: String) -> TimeAmount? {
    guard let unit = text.last, (2...9).contains(text.utf8.count) else { return nil }
    let digits = text.utf8.dropLast()
    guard digits.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let number = Int64(text.dropLast()) else { return nil }
    // Eight digits of hours are more nanoseconds than a whole number holds; a year is as good as forever.
    let year: Int64 = 365 * 24 * 3600
    switch unit {
    case "H": return .seconds(min(number * 3600, year))
    case "M": return .seconds(min(number * 60, year))
    case "S": return .seconds(min(number, year))
    case "m": return .milliseconds(number)
    case "u": return .microseconds(number)
    case "n": return .nanoseconds(number)
    default: return nil
    }
}

/// gRPC's form of a status message: printable ASCII stays, all else and the percent sign become `%XX`.
func percentEncoded(_ message: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var result: [UInt8] = []
    for byte in message.utf8 {
        if byte >= 0x20, byte < 0x7f, byte != UInt8(ascii: "%") {
            result.append(byte)
        } else {
            result += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }
    return String(decoding: result, as: UTF8.self)
}
