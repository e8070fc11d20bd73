import NIOCore

/// A reply of a Redis server (the protocol RESP, version 2; redis.io, "Redis serialization protocol specification").
enum RESPValue: Sendable {
    case simple(String)
    case error(String)
    case integer(Int64)
    case bulk([UInt8])
    case null
    case array([RESPValue])

    var bytes: [UInt8]? { if case .bulk(let bytes) = self { bytes } else { nil } }
    var array: [RESPValue]? { if case .array(let values) = self { values } else { nil } }
    var error: String? { if case .error(let words) = self { words } else { nil } }
    var integer: Int64? { if case .integer(let value) = self { value } else { nil } }

    /// As it came over the wire.
    func write(into buffer: inout ByteBuffer) {
        switch self {
        case .simple(let text): buffer.writeString("+\(text)\r\n")
        case .error(let words): buffer.writeString("-\(words)\r\n")
        case .integer(let value): buffer.writeString(":\(value)\r\n")
        case .bulk(let bytes):
            buffer.writeString("$\(bytes.count)\r\n")
            buffer.writeBytes(bytes)
            buffer.writeString("\r\n")
        case .null: buffer.writeString("$-1\r\n")
        case .array(let values):
            buffer.writeString("*\(values.count)\r\n")
            for value in values { value.write(into: &buffer) }
        }
    }

    var text: String? {
        switch self {
        case .simple(let text): text
        case .bulk(let bytes): String(decoding: bytes, as: UTF8.self)
        default: nil
        }
    }
}

/// What is read so far of replies.
struct RESPReader {
    struct Malformed: Error {}

    private static let depthLimit = 8

    /// The next whole reply; `nil` if more bytes are needed, with nothing taken then.
    static func next(_ buffer: inout ByteBuffer) throws -> RESPValue? {
        let start = buffer.readerIndex
        guard let value = try read(&buffer, depth: 0) else {
            buffer.moveReaderIndex(to: start)
            return nil
        }
        return value
    }

    private static func read(_ buffer: inout ByteBuffer, depth: Int) throws -> RESPValue? {
        guard depth <= depthLimit else { throw Malformed() }
        guard let kind = buffer.readInteger(as: UInt8.self), let line = line(&buffer) else { return nil }
        switch kind {
        case UInt8(ascii: "+"): return .simple(line)
        case UInt8(ascii: "-"): return .error(line)
        case UInt8(ascii: ":"):
            guard let value = Int64(line) else { throw Malformed() }
            return .integer(value)
        case UInt8(ascii: "$"):
            guard let length = Int(line), length >= -1 else { throw Malformed() }
            if length == -1 { return .null }
            guard buffer.readableBytes >= length + 2, let bytes = buffer.readBytes(length: length) else { return nil }
            buffer.moveReaderIndex(forwardBy: 2)
            return .bulk(bytes)
        case UInt8(ascii: "*"):
            guard let count = Int(line), count >= -1 else { throw Malformed() }
            if count == -1 { return .null }
            var values: [RESPValue] = []
            for _ in 0..<count {
                guard let value = try read(&buffer, depth: depth + 1) else { return nil }
                values.append(value)
            }
            return .array(values)
        default: throw Malformed()
        }
    }

    private static func line(_ buffer: inout ByteBuffer) -> String? {
        let view = buffer.readableBytesView
        guard let end = view.firstIndex(of: UInt8(ascii: "\r")), end + 1 < view.endIndex else { return nil }
        let length = end - view.startIndex
        let text = buffer.readString(length: length)
        buffer.moveReaderIndex(forwardBy: 2)
        return text
    }
}

/// A command as the server reads it: an array of its words.
struct RedisCommand: Sendable {
    /// As it goes over the wire.
    private(set) var bytes: [UInt8] = []

    init(_ words: [[UInt8]]) {
        begin(words.count)
        for word in words { append(word) }
    }

    init(_ words: String...) { self.init(words.map { Array($0.utf8) }) }

    /// A row's read.
    init(_ read: ReadCommand, _ key: UnsafeRawBufferPointer) {
        var buffer = ByteBuffer()
        read.write(key, into: &buffer)
        bytes = Array(buffer.readableBytesView)
    }

    /// Begins a command whose words are appended one by one.
    /// - Parameter capacity: about how many bytes it will have.
    init(count: Int, capacity: Int = 0) {
        bytes.reserveCapacity(capacity)
        begin(count)
    }

    private mutating func begin(_ count: Int) {
        bytes.append(UInt8(ascii: "*"))
        append(decimal: count)
    }

    mutating func append(_ word: some Collection<UInt8>) {
        bytes.append(UInt8(ascii: "$"))
        append(decimal: word.count)
        bytes.append(contentsOf: word)
        end()
    }

    /// A whole number as a word.
    mutating func append(number: Int64) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            append(UnsafeBufferPointer(rebasing: UnsafeBufferPointer(digits)[Self.digits(number, digits)...]))
        }
    }

    private mutating func append(decimal value: Int) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            bytes.append(contentsOf: digits[Self.digits(Int64(value), digits)...])
        }
        end()
    }

    private mutating func end() {
        bytes.append(0x0d)
        bytes.append(0x0a)
    }

    /// - Returns: where the digits begin; they end with the room.
    private static func digits(_ value: Int64, _ room: UnsafeMutableBufferPointer<UInt8>) -> Int {
        var rest = value.magnitude
        var at = room.count
        repeat {
            at -= 1
            room[at] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        if value < 0 {
            at -= 1
            room[at] = UInt8(ascii: "-")
        }
        return at
    }

    func write(into buffer: inout ByteBuffer) { buffer.writeBytes(bytes) }
}
