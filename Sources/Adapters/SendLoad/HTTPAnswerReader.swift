import AerieCore

/// Finds the ends of HTTP/1.1 answers in a stream of bytes, and their status. Bodies are passed over. No allocation.
struct HTTPAnswerReader {
    private enum State {
        case head
        /// Bytes that are left of a body with a length.
        case body(Int)
        case chunkHead
        /// Bytes that are left of a chunk, the line's end after it included.
        case chunk(Int)
        case trailer
    }

    private var state = State.head
    private var status = 0
    /// Whether the server closes the connection after the answer.
    private(set) var closes = false

    /// - Parameter answered: called with the status of each answer that is complete.
    /// - Returns: how many bytes were used; the others are to come again with what follows them.
    /// - Throws: `internal` for what is no HTTP.
    mutating func read(
        _ bytes: UnsafeRawBufferPointer, _ answered: (Int) -> Void
    ) throws(AerieError) -> Int {
        var at = 0
        while at < bytes.count {
            switch state {
            case .head:
                guard let end = Self.headEnd(bytes, from: at) else { return at }
                try readHead(UnsafeRawBufferPointer(rebasing: bytes[at..<end]))
                at = end
                // After an interim answer (1xx) the real one follows.
                if case .body(0) = state { finish(answered) }
            case .body(let left):
                let used = min(left, bytes.count - at)
                at += used
                state = .body(left - used)
                if used == left { finish(answered) }
            case .chunkHead:
                guard let end = Self.lineEnd(bytes, from: at) else { return at }
                let size = try Self.chunkSize(UnsafeRawBufferPointer(rebasing: bytes[at..<end]))
                at = end
                state = size == 0 ? .trailer : .chunk(size + 2)
            case .chunk(let left):
                let used = min(left, bytes.count - at)
                at += used
                state = used == left ? .chunkHead : .chunk(left - used)
            case .trailer:
                guard let end = Self.lineEnd(bytes, from: at) else { return at }
                let isEmpty = end - at <= 2
                at = end
                if isEmpty { finish(answered) }
            }
        }
        return at
    }

    private mutating func finish(_ answered: (Int) -> Void) {
        state = .head
        answered(status)
    }

    private static func lineEnd(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        for index in start..<bytes.count where bytes[index] == 0x0a { return index + 1 }
        return nil
    }

    /// After the empty line.
    private static func headEnd(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        var index = start
        while index + 3 < bytes.count {
            let isEnd =
                bytes[index + 3] == 0x0a && bytes[index] == 0x0d && bytes[index + 1] == 0x0a
                && bytes[index + 2] == 0x0d
            if isEnd { return index + 4 }
            index += 1
        }
        return nil
    }

    private mutating func readHead(_ head: UnsafeRawBufferPointer) throws(AerieError) {
        guard head.count >= 12, head.starts(with: "HTTP/1.".utf8), head[8] == 0x20 else {
            throw AerieError(.internal, "the server's answer is no HTTP/1.1")
        }
        status = 0
        for index in 9..<12 {
            guard (0x30...0x39).contains(head[index]) else {
                throw AerieError(.internal, "the server's answer has no status")
            }
            status = status * 10 + Int(head[index] - 0x30)
        }
        var length: Int?
        var isChunked = false
        var at = Self.lineEnd(head, from: 0) ?? head.count
        while at < head.count, let end = Self.lineEnd(head, from: at) {
            let line = UnsafeRawBufferPointer(rebasing: head[at..<end])
            if Self.has(line, "content-length:") { length = Self.number(line, after: 15) }
            if Self.has(line, "transfer-encoding:") { isChunked = true }
            if Self.has(line, "connection:"), Self.contains(line, "close") { closes = true }
            at = end
        }
        if status < 200 {
            state = .head
            return
        }
        if status == 204 || status == 304 {
            state = .body(0)
            return
        }
        if isChunked {
            state = .chunkHead
            return
        }
        guard let length else { throw AerieError(.internal, "the server's answer has no length") }
        state = .body(length)
    }

    private static func has(_ line: UnsafeRawBufferPointer, _ name: StaticString) -> Bool {
        guard line.count >= name.utf8CodeUnitCount else { return false }
        for index in 0..<name.utf8CodeUnitCount where line[index] | 0x20 != name.utf8Start[index] | 0x20 {
            return false
        }
        return true
    }

    private static func contains(_ line: UnsafeRawBufferPointer, _ word: StaticString) -> Bool {
        let count = word.utf8CodeUnitCount
        guard line.count >= count else { return false }
        for start in 0...(line.count - count)
        where has(UnsafeRawBufferPointer(rebasing: line[start...]), word) { return true }
        return false
    }

    private static func number(_ line: UnsafeRawBufferPointer, after start: Int) -> Int? {
        var value: Int?
        for byte in line[start...] {
            if (0x30...0x39).contains(byte) {
                guard (value ?? 0) < 1 << 50 else { return nil }
                value = (value ?? 0) * 10 + Int(byte - 0x30)
            } else if value != nil {
                break
            }
        }
        return value
    }

    private static func chunkSize(_ line: UnsafeRawBufferPointer) throws(AerieError) -> Int {
        var size = 0
        var digits = 0
        for byte in line {
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x61...0x66: digit = byte - 0x61 + 10
            case 0x41...0x46: digit = byte - 0x41 + 10
            default:
                guard digits > 0 else { throw AerieError(.internal, "the server's answer has a broken chunk") }
                return size
            }
            digits += 1
            guard digits <= 12 else { throw AerieError(.internal, "the server's answer has a broken chunk") }
            size = size << 4 | Int(digit)
        }
        return size
    }
}
