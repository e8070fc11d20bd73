/// Reads a complete request head. Strict where leniency lets one request be taken for two: no folded lines, no space
/// before a colon, no bare line feed, no doubtful length.
struct HTTPHeadReader {
    let bytes: UnsafeRawBufferPointer
    private let names: HTTPFieldNames
    private var head = HTTPHead()

    /// - Parameter bytes: the head up to and with its empty line.
    init(_ bytes: UnsafeRawBufferPointer, asking names: HTTPFieldNames) {
        self.bytes = bytes
        self.names = names
    }

    mutating func read() throws(HTTPFailure) -> HTTPHead {
        head.end = bytes.count
        var at = try readRequestLine()
        while bytes[at] != UInt8(ascii: "\r") { at = try readField(at) }
        guard at == bytes.count - 2 else {
            throw HTTPFailure(status: 400, message: "a header field begins with a carriage return")
        }
        if !head.hasHost && !head.isHTTP10 {
            throw HTTPFailure(status: 400, message: "the header field Host is missing")
        }
        if head.isChunked {
            if head.contentLength != nil {
                throw HTTPFailure(status: 400, message: "both Content-Length and Transfer-Encoding are given")
            }
            if head.isHTTP10 {
                throw HTTPFailure(status: 400, message: "Transfer-Encoding is not part of HTTP/1.0")
            }
        }
        return head
    }

    private mutating func readRequestLine() throws(HTTPFailure) -> Int {
        let malformed = HTTPFailure(status: 400, message: "the request line is not METHOD /path HTTP/1.1")
        var at = 0
        while at < bytes.count, isTokenCharacter(bytes[at]) { at += 1 }
        guard at > 0, bytes[at] == 0x20 else { throw malformed }
        head.method = method(0..<at)
        at += 1
        var start = at
        var mark: Int?
        while bytes[at] > 0x20, bytes[at] < 0x7f {
            if bytes[at] == UInt8(ascii: "?"), mark == nil { mark = at }
            at += 1
        }
        guard at > start, bytes[at] == 0x20 else { throw malformed }
        let end = at
        if bytes[start] != UInt8(ascii: "/") {
            // `http://host/path`, as sent to proxies; `*` and `host:port` lead to no route.
            guard end - start > 7, equals(start..<(start + 7), "http://") else { throw malformed }
            start += 7
            while start < (mark ?? end), bytes[start] != UInt8(ascii: "/") { start += 1 }
        }
        head.path = start..<(mark ?? end)
        if let mark { head.query = (mark + 1)..<end }
        at += 1
        guard at + 10 <= bytes.count, equals(at..<(at + 5), "http/"), bytes[at + 6] == UInt8(ascii: "."),
            bytes[at + 8] == 0x0d, bytes[at + 9] == 0x0a
        else { throw malformed }
        let minor = bytes[at + 7]
        guard bytes[at + 5] == UInt8(ascii: "1"), minor == UInt8(ascii: "0") || minor == UInt8(ascii: "1") else {
            throw HTTPFailure(status: 505, message: "only HTTP/1.1 and HTTP/1.0 are spoken here")
        }
        head.isHTTP10 = minor == UInt8(ascii: "0")
        head.keepsAlive = !head.isHTTP10
        return at + 10
    }

    private mutating func readField(_ start: Int) throws(HTTPFailure) -> Int {
        var at = start
        while isTokenCharacter(bytes[at]) { at += 1 }
        guard at > start, bytes[at] == UInt8(ascii: ":") else {
            if bytes[start] == 0x20 || bytes[start] == 0x09 {
                throw HTTPFailure(status: 400, message: "a header field is folded over two lines")
            }
            throw HTTPFailure(status: 400, message: "a header field's name is malformed")
        }
        let name = start..<at
        at += 1
        while bytes[at] == 0x20 || bytes[at] == 0x09 { at += 1 }
        let valueStart = at
        while bytes[at] >= 0x20 && bytes[at] != 0x7f || bytes[at] == 0x09 { at += 1 }
        guard bytes[at] == 0x0d, bytes[at + 1] == 0x0a else {
            throw HTTPFailure(status: 400, message: "a header field holds a control character")
        }
        var valueEnd = at
        while valueEnd > valueStart, bytes[valueEnd - 1] == 0x20 || bytes[valueEnd - 1] == 0x09 { valueEnd -= 1 }
        try take(name, valueStart..<valueEnd)
        return at + 2
    }

    private mutating func take(_ name: Range<Int>, _ value: Range<Int>) throws(HTTPFailure) {
        switch name.count {
        case 4 where equals(name, "host"):
            if head.hasHost { throw HTTPFailure(status: 400, message: "Host is given twice") }
            head.hasHost = true
        case 6 where equals(name, "expect"):
            guard equals(value, "100-continue") else {
                throw HTTPFailure(status: 417, message: "only Expect: 100-continue can be met")
            }
            head.expectsContinue = !head.isHTTP10
        case 10 where equals(name, "connection"): readConnection(value)
        case 14 where equals(name, "content-length"): try readLength(value)
        case 15 where equals(name, "accept-encoding"): head.acceptEncoding = value
        case 16 where equals(name, "content-encoding"): head.contentEncoding = value
        case 17 where equals(name, "transfer-encoding"):
            guard equals(value, "chunked"), !head.isChunked else {
                throw HTTPFailure(status: 501, message: "the only Transfer-Encoding carried out is chunked, once")
            }
            head.isChunked = true
        default:
            try keep(name, names.first, value, &head.asked.0)
            try keep(name, names.second, value, &head.asked.1)
            try keep(name, names.third, value, &head.asked.2)
            try keep(name, names.fourth, value, &head.asked.3)
        }
    }

    @inline(__always)
    private func keep(
        _ name: Range<Int>, _ asked: StaticString?, _ value: Range<Int>, _ place: inout Range<Int>
    ) throws(HTTPFailure) {
        guard let asked, name.count == asked.utf8CodeUnitCount, equals(name, asked) else { return }
        guard place.upperBound == 0 else { throw HTTPFailure(status: 400, message: "\(asked) is given twice") }
        place = value
    }

    private mutating func readLength(_ value: Range<Int>) throws(HTTPFailure) {
        guard let length = decimal(value) else {
            throw HTTPFailure(status: 400, message: "Content-Length is not a whole number")
        }
        if let earlier = head.contentLength, earlier != length {
            throw HTTPFailure(status: 400, message: "Content-Length is given twice with different values")
        }
        head.contentLength = length
    }

    /// A list of words, of which two matter.
    private mutating func readConnection(_ value: Range<Int>) {
        var start = value.lowerBound
        while start < value.upperBound {
            var end = start
            while end < value.upperBound, bytes[end] != UInt8(ascii: ",") { end += 1 }
            var word = start..<end
            while let last = word.last, bytes[last] == 0x20 { word = word.lowerBound..<last }
            while let first = word.first, bytes[first] == 0x20 { word = (first + 1)..<word.upperBound }
            if equals(word, "close") { head.keepsAlive = false }
            if head.isHTTP10, equals(word, "keep-alive") { head.keepsAlive = true }
            start = end + 1
        }
    }

    // MARK: Characters

    func decimal(_ range: Range<Int>) -> Int? { decimalNumber(UnsafeRawBufferPointer(rebasing: bytes[range])) }

    private func equals(_ range: Range<Int>, _ lowercase: StaticString) -> Bool {
        equalsIgnoringCase(UnsafeRawBufferPointer(rebasing: bytes[range]), lowercase)
    }

    private func method(_ range: Range<Int>) -> HTTPHead.Method {
        func exactly(_ word: StaticString) -> Bool {
            guard range.count == word.utf8CodeUnitCount else { return false }
            for index in range where bytes[index] != word.utf8Start[index] { return false }
            return true
        }
        if exactly("POST") { return .post }
        if exactly("GET") { return .get }
        if exactly("HEAD") { return .head }
        if exactly("OPTIONS") { return .options }
        return .other
    }

    @inline(__always)
    private func isTokenCharacter(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "!"),
            UInt8(ascii: "#")...UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "."),
            UInt8(ascii: "^"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
            true
        default: false
        }
    }
}
