import AerieCore
import Testing

@testable import InferenceAPI

@Suite("Pages of other origins")
struct CrossOriginTests {
    private static func fields(_ head: String, _ name: String) -> [String] {
        head.split(separator: "\r\n").filter { $0.lowercased().hasPrefix(name.lowercased() + ": ") }
            .map { String($0.dropFirst(name.count + 2)) }
    }

    private static func preflight(_ path: String, _ origin: String, _ more: String = "") -> String {
        "OPTIONS \(path) HTTP/1.1\r\nHost: a\r\nOrigin: \(origin)\r\nAccess-Control-Request-Method: POST\r\n\(more)\r\n"
    }

    private static let shop = "https://shop.example"

    @Test("a preflight is told the path's methods, the fields it asked for, and how long that holds")
    func preflights() async throws {
        let allowed = try AllowedOrigins(" https://Shop.example:443 , http://localhost:3000")
        try await withPlane([deployment("fraud", SumModel())], options: { $0.allowedOrigins = allowed }) { port, _, _ in
            let paths = [
                ("/v2/models/fraud/infer", "POST, OPTIONS"), ("/api/v1.0/predictions", "POST, OPTIONS"),
                ("/v2/models/fraud", "GET, HEAD, OPTIONS"), ("/v2/logging", "GET, HEAD, POST, OPTIONS"),
            ]
            for (path, methods) in paths {
                let text = try await exchange(
                    port, Self.preflight(path, Self.shop, "Access-Control-Request-Headers: content-type,x-mine\r\n"))
                #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n") && text.hasSuffix("\r\n\r\n{}"))
                #expect(Self.fields(text, "Access-Control-Allow-Origin") == [Self.shop])
                #expect(Self.fields(text, "Access-Control-Allow-Methods") == [methods])
                #expect(Self.fields(text, "Access-Control-Allow-Headers") == ["content-type,x-mine"])
                #expect(Self.fields(text, "Access-Control-Max-Age") == ["600"])
                #expect(Self.fields(text, "Vary") == ["Origin"] && Self.fields(text, "Allow") == [methods])
            }
            let other = try await exchange(port, Self.preflight("/v2/models/fraud/infer", "https://other.example"))
            #expect(other.hasPrefix("HTTP/1.1 200 OK\r\n") && !other.contains("Access-Control"))
        }
    }

    @Test("answers, errors and packed answers carry the fields for a page that may, and for no other")
    func answers() async throws {
        let allowed = try AllowedOrigins(Self.shop)
        try await withPlane([deployment("fraud", SumModel())], options: { $0.allowedOrigins = allowed }) { port, _, _ in
            let body = inferBody()
            for (path, body, status) in [
                ("/v2/models/fraud/infer", body, 200), ("/v2/models/fraud/infer", "{", 400),
                ("/v2/models/other/infer", body, 404), ("/nothing", body, 404),
                ("/api/v1.0/predictions", #"{"data":{"ndarray":[[1,2,3]]}}"#, 200),
            ] {
                let asked = try await exchange(
                    port, [Array(post(path, body, headers: "Origin: \(Self.shop)\r\n").utf8)])
                let answer = try #require(splitAnswers(asked).first)
                #expect(answer.status == status)
                #expect(Self.fields(answer.head, "Access-Control-Allow-Origin") == [Self.shop])
                #expect(Self.fields(answer.head, "Access-Control-Expose-Headers").count == 1)
                let plain = try await exchange(port, [Array(post(path, body).utf8)])
                let known = try #require(splitAnswers(plain).first)
                #expect(!known.head.contains("Access-Control"))
                if path.hasPrefix("/v2") { #expect(known.body == answer.body) }
            }
        }
    }

    @Test("two answers of one connection: only the page's own has the fields")
    func pipelined() async throws {
        let allowed = try AllowedOrigins("*")
        try await withPlane([deployment("fraud", SumModel())], options: { $0.allowedOrigins = allowed }) { port, _, _ in
            let asked = post("/v2/models/fraud/infer", inferBody(), headers: "Origin: null\r\n")
            let requests = asked + post("/v2/models/fraud/infer", inferBody())
            let answers = splitAnswers(try await exchange(port, [Array(requests.utf8)], answers: 2))
            #expect(answers.map(\.status) == [200, 200] && answers[0].body == answers[1].body)
            #expect(Self.fields(answers[0].head, "Access-Control-Allow-Origin") == ["*"])
            #expect(!answers[0].head.contains("Vary") && !answers[1].head.contains("Access-Control"))
        }
    }

    @Test("where no origin is allowed, nothing is said of it")
    func off() async throws {
        try await withPlane([deployment("fraud", SumModel())]) { port, _, _ in
            let text = try await exchange(port, Self.preflight("/api/v1.0/predictions", Self.shop))
            #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n") && !text.contains("Access-Control"))
            #expect(Self.fields(text, "Allow") == ["POST, OPTIONS"])
        }
    }

    @Test("what no browser sends as an origin is refused with how to write it", arguments: [
        ("", "is empty"), ("shop.example", "scheme"), ("https://shop.example/", "without a slash"),
        ("https://", "names no host"), ("*, https://shop.example", "write it alone"), ("https://*.example", "no host"),
        ("https://a@b", "more than"), ("https://a b", "no host"),
    ])
    func wrong(_ text: String, _ words: String) {
        let error = #expect(throws: AerieError.self) { _ = try AllowedOrigins(text) }
        #expect(error?.message.contains(words) == true, "\(String(describing: error))")
    }
}
