import NIOCore
import Testing

@testable import AerieHTTP

@Suite("Requests are cut out of a connection's bytes")
struct HTTPRequestParserTests {
    static let stream =
        "GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n"
        + "\r\nPOST /v2/models/m/infer?x=1 HTTP/1.1\r\nhOsT: a\r\nCONTENT-length:  5 \r\n\r\nhello"
        + "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n4\r\nwiki\r\nA;x=y\r\n0123456789\r\n0\r\nT: v\r\n\r\n"
        + "GET /old HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
        + "POST /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    static let expected = [
        "get /v2/health/live [] true", "post /v2/models/m/infer [hello] true", "post /a [wiki0123456789] true",
        "get /old [] true", "post /end [] false",
    ]

    /// Feeds pieces and tells what came out.
    private func requests(_ pieces: [[UInt8]]) -> [String] {
        var parser = HTTPRequestParser()
        var buffer = ByteBuffer()
        var seen: [String] = []
        for piece in pieces {
            buffer.writeBytes(piece)
            loop: while true {
                switch parser.next(&buffer) {
                case .needMore: break loop
                case .head(let head): if head.expectsContinue { seen.append("continue") }
                case .request(let head, let body, let consumed):
                    buffer.withUnsafeReadableBytes { bytes in
                        let path = String(decoding: bytes[head.path], as: UTF8.self)
                        let text = String(decoding: bytes[body], as: UTF8.self)
                        seen.append("\(head.method) \(path) [\(text)] \(head.keepsAlive)")
                    }
                    buffer.moveReaderIndex(forwardBy: consumed)
                case .failure(let failure):
                    seen.append("\(failure.status)")
                    return seen
                }
            }
        }
        return seen
    }

    @Test("The same requests come out of one piece and of single bytes")
    func wholeAndByteByByte() {
        #expect(requests([Array(Self.stream.utf8)]) == Self.expected)
        #expect(requests(Self.stream.utf8.map { [$0] }) == Self.expected)
    }

    @Test("The same requests come out of 500 random cuts")
    func randomCuts() {
        var generator = SeededGenerator(state: 11)
        let bytes = Array(Self.stream.utf8)
        for _ in 0..<500 {
            var pieces: [[UInt8]] = []
            var at = 0
            while at < bytes.count {
                let count = min(bytes.count - at, Int.random(in: 1...40, using: &generator))
                pieces.append(Array(bytes[at..<(at + count)]))
                at += count
            }
            #expect(requests(pieces) == Self.expected)
        }
    }

    @Test("A changed byte gives an error or another request, and never a crash")
    func changedBytes() {
        var generator = SeededGenerator(state: 12)
        for _ in 0..<3000 {
            var bytes = Array(Self.stream.utf8)
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            #expect(requests([bytes]).count <= 12)
        }
    }

    @Test("100 Continue is asked for once, and only while the body is not there")
    func continues() {
        let head = "POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        #expect(requests([Array(head.utf8), Array("h".utf8), Array("i".utf8)]) == ["continue", "post /a [hi] true"])
        #expect(requests([Array((head + "hi").utf8)]) == ["post /a [hi] true"])
    }

    /// Drops every body that does not come with its head.
    private func requestsWithoutBodies(_ pieces: [[UInt8]], mostBuffered: inout Int) -> [String] {
        var limits = HTTPRequestParser.Limits()
        limits.bodyBytes = 1 << 20
        var parser = HTTPRequestParser(limits: limits)
        var buffer = ByteBuffer()
        var seen: [String] = []
        for piece in pieces {
            buffer.writeBytes(piece)
            loop: while true {
                switch parser.next(&buffer) {
                case .needMore: break loop
                case .head(let head):
                    let path = buffer.getString(at: buffer.readerIndex + head.path.lowerBound, length: head.path.count)
                    seen.append("dropped \(path ?? "")")
                    parser.discardBody()
                case .request(let head, _, let consumed):
                    let path = buffer.getString(at: buffer.readerIndex + head.path.lowerBound, length: head.path.count)
                    seen.append(path ?? "")
                    buffer.moveReaderIndex(forwardBy: consumed)
                case .failure(let failure):
                    #expect(parser.isDiscarding)
                    return seen + ["\(failure.status)"]
                }
            }
            mostBuffered = max(mostBuffered, buffer.readableBytes)
        }
        #expect(!parser.isDiscarding && !parser.isInsideBody)
        return seen
    }

    @Test("A body that nobody wants is read past without being kept, and the next request is found")
    func droppedBodies() {
        let filler = String(repeating: "z", count: 100_000)
        let chunk = "186A0\r\n\(filler)\r\n"
        let stream = Array(
            ("POST /fixed HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n\(filler)\(filler)GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
                + "POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(chunk)\(chunk)0\r\nT: v\r\n\r\n"
                + "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").utf8)
        var generator = SeededGenerator(state: 13)
        for most in [1, 700, 5000, 5000, 5000] {
            var pieces: [[UInt8]] = []
            var at = 0
            while at < stream.count {
                let count = min(stream.count - at, Int.random(in: 1...most, using: &generator))
                pieces.append(Array(stream[at..<(at + count)]))
                at += count
            }
            var mostBuffered = 0
            let seen = requestsWithoutBodies(pieces, mostBuffered: &mostBuffered)
            #expect(seen == ["dropped /fixed", "/a", "dropped /chunked", "/b"])
            #expect(mostBuffered < 6000)
        }
    }

    @Test("A body in chunks that is read past has the same limit as another")
    func droppedBodyLimit() {
        let head = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        let chunk = Array(("40000\r\n" + String(repeating: "1", count: 0x40000) + "\r\n").utf8)
        var mostBuffered = 0
        let pieces = [Array(head.utf8)] + [[UInt8]](repeating: chunk, count: 5)
        #expect(requestsWithoutBodies(pieces, mostBuffered: &mostBuffered) == ["dropped /a", "413"])
    }

    @Test("A chunked body of single bytes takes no more room than its bytes")
    func smallChunks() {
        var parser = HTTPRequestParser()
        var buffer = ByteBuffer()
        buffer.writeString("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in 0..<5000 {
            buffer.writeString("1\r\nx\r\n")
            _ = parser.next(&buffer)
        }
        #expect(buffer.readableBytes < 5100)
    }

    @Test("A wrong request is refused with its status", arguments: [
        ("GET / HTTP/1.1\n\n", 400), ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505), ("GET /\r\n\r\n", 400),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400), ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\u{0}\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\nab\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n", 413),
        ("POST / HTTP/1.1\r\nHost: a\r\nExpect: cake\r\n\r\n", 417),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "y", count: 17000))\r\n\r\n", 431),
    ])
    func wrongRequests(_ text: String, _ status: Int) {
        #expect(requests([Array(text.utf8)]) == ["\(status)"])
        #expect(requests(text.utf8.map { [$0] }) == ["\(status)"])
    }

    @Test("Header fields that are asked for are found by their name in either case, and once")
    func askedFields() throws {
        func asked(_ fields: String) -> (HTTPHead, [UInt8])? {
            let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n".utf8)
            var buffer = ByteBuffer(bytes: bytes)
            var parser = HTTPRequestParser(asking: HTTPFieldNames("x-a", "x-b"))
            guard case .request(let head, _, _) = parser.next(&buffer) else { return nil }
            return (head, bytes)
        }
        let (head, bytes) = try #require(asked("X-B:  two \r\nx-ab: no\r\n"))
        #expect(String(decoding: bytes[head.asked.1], as: UTF8.self) == "two")
        #expect(head.asked.0 == 0..<0)
        #expect(asked("x-a: 1\r\nX-A: 2\r\n") == nil)
    }
}

/// splitmix64, so that a failure can be seen again.
private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
        return bits ^ (bits >> 31)
    }
}
