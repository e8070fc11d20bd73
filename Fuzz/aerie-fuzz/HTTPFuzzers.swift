import Fuzzing
import NIOCore

@testable import AerieHTTP

/// Heads and bodies of HTTP/1.1.
enum HTTPFuzzers {
    static var all: [Fuzzer] { [parser, requests] }

    private static let infer = #"{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}"#

    private static let seeds: [[UInt8]] = [
        "GET /v2/health/ready HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nContent-Length: \(infer.utf8.count)\r\n\r\n\(infer)",
        "POST /v2/models/echo/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "\(String(infer.utf8.count, radix: 16));x=y\r\n\(infer)\r\n0\r\nTrailer: b\r\n\r\n",
        "POST /a%20b?c=d HTTP/1.1\r\nhost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nabcd"
            + "GET http://a/v2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\nHEAD / HTTP/1.1\r\n"
            + "Host: a\r\nAccept-Encoding: gzip;q=0.5, deflate\r\nConnection: close\r\n\r\n",
    ].map(bytes)

    private static let words = [
        "Content-Length: ", "Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "Expect: 100-continue\r\n",
        "Accept-Encoding: gzip\r\n", "Content-Encoding: deflate\r\n", "Host: a\r\n", "\r\n", "\r\n\r\n", "\n", "0\r\n\r\n",
        "HTTP/1.1", "HTTP/1.0", "GET ", "HEAD ", "OPTIONS ", "POST ", "%00", "%2e%2e", ":", " ", "\t", "chunked, gzip",
    ]

    /// The same bytes give the same requests, whether they come at once or one by one.
    static var parser: Fuzzer {
        Fuzzer(
            "http-parser", "heads and chunked bodies: whole and cut anywhere, to the same requests", shape: .lines,
            seeds: seeds, dictionary: words
        ) {
            { input in
                let whole = read([input])
                var pieces: [UnsafeRawBufferPointer] = []
                var rest = input[...]
                var size = 1
                while !rest.isEmpty {
                    pieces.append(UnsafeRawBufferPointer(rebasing: rest.prefix(size)))
                    rest = rest.dropFirst(size)
                    // 1, 2, 3, 5, 7, 1, …: every border is met.
                    size = size == 7 ? 1 : size < 3 ? size + 1 : size + 2
                }
                let cut = read(pieces)
                if whole != cut { throw FuzzFinding("whole: \(whole.suffix(3)), in pieces: \(cut.suffix(3))") }
                return whole.last ?? "nothing"
            }
        }
    }

    private static func read(_ pieces: [UnsafeRawBufferPointer]) -> [String] {
        var limits = HTTPRequestParser.Limits()
        limits.headBytes = 4 << 10
        limits.bodyBytes = 16 << 10
        var parser = HTTPRequestParser(limits: limits, asking: HTTPFieldNames("seldon-model", "seldon-puid"))
        var buffer = ByteBuffer()
        var seen: [String] = []
        for piece in pieces {
            buffer.writeBytes(piece)
            steps: while true {
                switch parser.next(&buffer) {
                case .needMore: break steps
                case .head: break
                case .request(let head, let body, let consumed):
                    let all = Array(buffer.readableBytesView)
                    let path = String(decoding: all[head.path], as: UTF8.self)
                    seen.append("\(head.method) \(path) \(all[head.query].count) \(all[body]) \(head.keepsAlive)")
                    buffer.moveReaderIndex(forwardBy: consumed)
                case .failure(let failure): return seen + ["\(failure.status) \(failure.message)"]
                }
            }
        }
        return seen
    }

    /// Whatever comes in, what goes out is HTTP, and no error of the server's own.
    static var requests: Fuzzer {
        let paths = [
            "/v2/models/fraud/versions/1/infer", "/seldon/default/fraud/api/v1.0/predictions", "/v1/models/fraud:predict",
            "/v2/repository/index", "/v2/models/fraud/config", "/v2/models/stats", "/v2/logging", "/v2/trace/setting",
            "/api/v1.0/feedback", "/api/v1.0/metadata/m", "/v1/models/fraud/metadata", "/v2/systemsharedmemory/status",
        ]
        return Fuzzer(
            "http-requests", "whole connections to the inference port", shape: .lines, seeds: seeds + paths.map {
                bytes("POST \($0) HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
            }, dictionary: words + paths
        ) {
            let plane = try FuzzedPlane()
            return { input in
                let answer = try plane.exchange([input])
                let isHead = input.starts(with: "HEAD".utf8) || String(decoding: input, as: UTF8.self).contains("HEAD ")
                return try HTTPReply.all(in: answer, isHead: isHead).last?.outcome ?? "nothing"
            }
        }
    }
}
