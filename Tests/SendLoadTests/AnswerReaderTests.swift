import AerieCore
import Testing

@testable import SendLoad

@Suite struct HTTPAnswerReaderTests {
    private static let answers =
        "HTTP/1.1 100 Continue\r\n\r\n"
        + "HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\nX: content-length: 9\r\n\r\nhello"
        + "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\nA;x=1\r\n0123456789\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n"
        + "HTTP/1.1 204 Nothing\r\n\r\n" + "HTTP/1.1 429 Later\r\nContent-Length: 0\r\n\r\n"

    @Test("answers are found however their bytes are cut", arguments: 1...40)
    func pieces(size: Int) throws {
        var reader = HTTPAnswerReader()
        var statuses: [Int] = []
        var pending: [UInt8] = []
        var rest = Array(Self.answers.utf8)[...]
        while !rest.isEmpty {
            pending += rest.prefix(size)
            rest = rest.dropFirst(size)
            let used = try pending.withUnsafeBytes { try reader.read($0) { statuses.append($0) } }
            pending.removeFirst(used)
        }
        #expect(statuses == [200, 503, 204, 429])
        #expect(pending.isEmpty)
        #expect(!reader.closes)
    }

    @Test("a server that closes says so")
    func closing() throws {
        var reader = HTTPAnswerReader()
        let answer = Array("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n".utf8)
        _ = try answer.withUnsafeBytes { try reader.read($0) { _ in } }
        #expect(reader.closes)
    }

    @Test(
        "what is no HTTP is refused",
        arguments: ["SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 abc\r\n\r\n....", "HTTP/1.1 200 OK\r\n\r\n"])
    func foreign(text: String) {
        var reader = HTTPAnswerReader()
        #expect(throws: AerieError.self) {
            try Array(text.utf8).withUnsafeBytes { try reader.read($0) { _ in } }
        }
    }
}

@Suite struct GRPCMessageCounterTests {
    @Test("messages are counted however their bytes are cut, and those with an error told apart", arguments: 1...12)
    func pieces(size: Int) {
        let messages: [[UInt8]] = [[0x12, 1, 7], [], [0x0a, 1, 0x61], [0x12, 0]]
        let bytes: [UInt8] = messages.flatMap { message -> [UInt8] in [0, 0, 0, 0, UInt8(message.count)] + message }
        var counter = GRPCMessageCounter()
        var errors: [Bool] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            let piece = Array(bytes[start..<min(start + size, bytes.count)])
            piece.withUnsafeBytes { counter.read($0) { errors.append($0) } }
        }
        #expect(errors == [false, false, true, false])
    }
}
