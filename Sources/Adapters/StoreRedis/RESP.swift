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
    var words: [[UInt8]]

    init(_ words: [[UInt8]]) { self.words = words }
    init(_ words: String...) { self.words = words.map { Array($0.utf8) } }

    func write(into buffer: inout ByteBuffer) {
        buffer.writeString("*\(words.count)\r\n")
        for word in words {
            buffer.writeString("$\(word.count)\r\n")
            buffer.writeBytes(word)
            buffer.writeString("\r\n")
        }
    }
}
