public import NIOCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Cuts a connection's bytes into requests, however they arrive. Nothing is copied; a chunked body is put together in
/// place, behind its head.
public struct HTTPRequestParser {
    public struct Limits: Sendable {
        public var headBytes = 16 << 10
        public var bodyBytes = 64 << 20
        public init() {}
    }

    public enum Step {
        case needMore
        /// The head of a request whose body is not whole yet. Told once: a client that waits for `100 Continue` is now
        /// to be told so, or the body is dropped by `discardBody`.
        case head(HTTPHead)
        /// A whole request: the body's place and the bytes to drop afterwards, both from the reader index.
        case request(HTTPHead, body: Range<Int>, consumed: Int)
        case failure(HTTPFailure)
    }

    private enum State {
        case head
        case fixedBody
        case chunkSize, chunkData(Int), chunkEnd, trailer
    }

    private let limits: Limits
    private let names: HTTPFieldNames
    private var state = State.head
    private var head = HTTPHead()
    /// In the head: where the search for its end goes on. In a chunked body: the next byte to decode.
    private var position = 0
    private var lineStart = 0
    /// The end of the decoded part of a chunked body.
    private var decodedEnd = 0
    private var trailerBytes = 0
    private var hasToldHead = false
    /// Nobody wants the present request's body: it is dropped as it comes.
    private var discards = false
    /// Bytes of it that have been dropped.
    private var discarded = 0

    public init(limits: Limits = Limits(), asking names: HTTPFieldNames = HTTPFieldNames()) {
        self.limits = limits
        self.names = names
    }

    /// True between the first byte of a request and its last.
    public var isInsideBody: Bool { if case .head = state { false } else { true } }

    /// True from `discardBody` to the last byte of that body.
    public var isDiscarding: Bool { discards }

    /// Drops the present request, whose head was told, with what has come of its body and what will. Then the next
    /// request follows.
    public mutating func discardBody() { discards = true }

    public mutating func next(_ buffer: inout ByteBuffer) -> Step {
        do throws(HTTPFailure) {
            if discards { guard try dropBody(&buffer) else { return .needMore } }
            if case .head = state {
                guard try findHead(&buffer) else { return .needMore }
            }
            if case .fixedBody = state { return fixedBody(buffer.readableBytes) }
            return try chunkedBody(&buffer)
        } catch {
            return .failure(error)
        }
    }

    private mutating func reset() {
        state = .head
        position = 0
        lineStart = 0
        trailerBytes = 0
        hasToldHead = false
        discards = false
        discarded = 0
    }

    // MARK: Head

    private mutating func findHead(_ buffer: inout ByteBuffer) throws(HTTPFailure) -> Bool {
        // Empty lines before a request are left over by some clients.
        while position == 0, buffer.readableBytes >= 2,
            buffer.getInteger(at: buffer.readerIndex, as: UInt16.self) == 0x0d0a
        {
            buffer.moveReaderIndex(forwardBy: 2)
        }
        if position == 0, buffer.readableBytes == 1, buffer.getInteger(at: buffer.readerIndex, as: UInt8.self) == 0x0d {
            return false
        }
        let result = buffer.withUnsafeReadableBytes { bytes -> Result<Bool, HTTPFailure> in
            do throws(HTTPFailure) { return .success(try searchHead(bytes)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    private mutating func searchHead(_ bytes: UnsafeRawBufferPointer) throws(HTTPFailure) -> Bool {
        let limit = min(bytes.count, limits.headBytes)
        while position < limit, let found = memchr(bytes.baseAddress! + position, 0x0a, limit - position) {
            let at = bytes.baseAddress!.distance(to: UnsafeRawPointer(found))
            guard at > 0, bytes[at - 1] == 0x0d else {
                throw HTTPFailure(status: 400, message: "a line of the request's head ends without a carriage return")
            }
            position = at + 1
            if at - 1 == lineStart, at > 1 {
                var reader = HTTPHeadReader(UnsafeRawBufferPointer(rebasing: bytes[..<(at + 1)]), asking: names)
                head = try reader.read()
                try startBody()
                return true
            }
            lineStart = at + 1
        }
        position = limit
        if bytes.count >= limits.headBytes {
            throw HTTPFailure(status: 431, message: "the request's head is longer than \(limits.headBytes) bytes")
        }
        return false
    }

    private mutating func startBody() throws(HTTPFailure) {
        if head.isChunked {
            state = .chunkSize
            position = head.end
            decodedEnd = head.end
        } else {
            if let length = head.contentLength, length > limits.bodyBytes { throw tooLarge }
            state = .fixedBody
        }
    }

    private var tooLarge: HTTPFailure {
        HTTPFailure(status: 413, message: "the request's body is longer than \(limits.bodyBytes) bytes")
    }

    // MARK: Bodies

    private mutating func fixedBody(_ available: Int) -> Step {
        let end = head.end + (head.contentLength ?? 0)
        guard available >= end else { return waiting() }
        defer { reset() }
        return .request(head, body: head.end..<end, consumed: end)
    }

    private mutating func waiting() -> Step {
        if hasToldHead { return .needMore }
        hasToldHead = true
        return .head(head)
    }

    private mutating func chunkedBody(_ buffer: inout ByteBuffer) throws(HTTPFailure) -> Step {
        if try readChunks(&buffer) {
            let consumed = position
            defer { reset() }
            return .request(head, body: head.end..<decodedEnd, consumed: consumed)
        }
        closeGap(&buffer)
        return waiting()
    }

    private mutating func readChunks(_ buffer: inout ByteBuffer) throws(HTTPFailure) -> Bool {
        let result = buffer.withUnsafeMutableReadableBytes { bytes -> Result<Bool, HTTPFailure> in
            do throws(HTTPFailure) { return .success(try decodeChunks(bytes)) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// Takes what is there of a body that nobody wants out of the buffer. The head stays until the body has ended, as
    /// its end is counted from there.
    /// - Returns: whether it has ended.
    private mutating func dropBody(_ buffer: inout ByteBuffer) throws(HTTPFailure) -> Bool {
        let hasEnded: Bool
        if case .fixedBody = state {
            let length = head.contentLength ?? 0
            position = min(head.end + length - discarded, buffer.readableBytes)
            discarded += position - head.end
            hasEnded = discarded == length
        } else {
            hasEnded = try readChunks(&buffer)
            discarded += decodedEnd - head.end
        }
        decodedEnd = head.end
        closeGap(&buffer)
        guard hasEnded else { return false }
        buffer.moveReaderIndex(forwardBy: head.end)
        reset()
        return true
    }

    /// Moves what is not decoded yet down to what is, so that framing takes no room however small the chunks are.
    private mutating func closeGap(_ buffer: inout ByteBuffer) {
        let gap = position - decodedEnd
        guard gap > 0 else { return }
        let rest = buffer.readableBytes - position
        buffer.withUnsafeMutableReadableBytes { bytes in
            _ = memmove(bytes.baseAddress! + decodedEnd, bytes.baseAddress! + position, rest)
        }
        buffer.moveWriterIndex(to: buffer.writerIndex - gap)
        position = decodedEnd
    }

    /// Decodes as far as the bytes go. True at the end of the body.
    private mutating func decodeChunks(_ bytes: UnsafeMutableRawBufferPointer) throws(HTTPFailure) -> Bool {
        while true {
            switch state {
            case .chunkSize:
                guard let line = try line(in: bytes) else { return false }
                let size = try chunkSize(bytes, line)
                if size == 0 { state = .trailer } else { state = .chunkData(size) }
            case .chunkData(let left):
                let count = min(left, bytes.count - position)
                guard count > 0 else { return false }
                memmove(bytes.baseAddress! + decodedEnd, bytes.baseAddress! + position, count)
                decodedEnd += count
                position += count
                state = count == left ? .chunkEnd : .chunkData(left - count)
            case .chunkEnd:
                guard bytes.count - position >= 2 else { return false }
                guard bytes[position] == 0x0d, bytes[position + 1] == 0x0a else {
                    throw HTTPFailure(status: 400, message: "a chunk is longer than its size says")
                }
                position += 2
                state = .chunkSize
            case .trailer:
                guard let line = try line(in: bytes) else { return false }
                trailerBytes += line.count
                if line.isEmpty { return true }
                if trailerBytes > limits.headBytes {
                    throw HTTPFailure(status: 431, message: "the trailer is longer than \(limits.headBytes) bytes")
                }
            case .head, .fixedBody: return false
            }
        }
    }

    /// The next line without its end, or nothing if it is not all there.
    private mutating func line(in bytes: UnsafeMutableRawBufferPointer) throws(HTTPFailure) -> Range<Int>? {
        let limit = min(bytes.count - position, limits.headBytes)
        guard limit > 0, let found = memchr(bytes.baseAddress! + position, 0x0a, limit) else {
            if limit == limits.headBytes {
                throw HTTPFailure(status: 400, message: "a chunk's size line is too long")
            }
            return nil
        }
        let at = UnsafeMutableRawPointer(bytes.baseAddress!).distance(to: found)
        guard at > position, bytes[at - 1] == 0x0d else {
            throw HTTPFailure(status: 400, message: "a line of the chunked body ends without a carriage return")
        }
        defer { position = at + 1 }
        return position..<(at - 1)
    }

    private func chunkSize(_ bytes: UnsafeMutableRawBufferPointer, _ line: Range<Int>) throws(HTTPFailure) -> Int {
        var size = 0
        var digits = 0
        for index in line {
            let byte = bytes[index]
            if byte == UInt8(ascii: ";"), digits > 0 { break }
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw HTTPFailure(status: 400, message: "a chunk's size is not a hexadecimal number")
            }
            digits += 1
            size = size << 4 | Int(digit)
            if discarded + decodedEnd - head.end + size > limits.bodyBytes || digits > 15 { throw tooLarge }
        }
        if digits == 0 { throw HTTPFailure(status: 400, message: "a chunk's size is missing") }
        return size
    }
}
