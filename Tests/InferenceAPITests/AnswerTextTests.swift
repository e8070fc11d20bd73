import AerieData
import NIOCore
import Serving
import Testing

@testable import AerieHTTP
@testable import InferenceAPI

@Suite("The text of answers")
struct AnswerTextTests {
    @Test("Numbers of every magnitude read back with the same bits, in the shortest form")
    func numbers() {
        var random = SeededGenerator(state: 7)
        var buffer = ByteBuffer()
        var wrong: [String] = []
        for index in 0..<200_000 {
            var value = Double(bitPattern: random.next())
            if index % 4 == 0 { value = Double.random(in: 0...1, using: &random) }
            if !value.isFinite { continue }
            buffer.clear()
            buffer.writeNumber(value)
            let text = String(buffer: buffer)
            if Double(text)?.bitPattern != value.bitPattern || text.utf8.count > 24 { wrong.append(text) }
        }
        #expect(wrong.isEmpty, "\(wrong.prefix(3))")
        for _ in 0..<100_000 {
            let value = Float(bitPattern: UInt32(truncatingIfNeeded: random.next()))
            if !value.isFinite { continue }
            buffer.clear()
            buffer.writeNumber(value)
            if Float(String(buffer: buffer))?.bitPattern != value.bitPattern { wrong.append("\(value)") }
        }
        #expect(wrong.isEmpty, "\(wrong.prefix(3))")
    }

    @Test("Edges of numbers are what JSON knows")
    func edges() {
        func text(_ write: (inout ByteBuffer) -> Void) -> String {
            var buffer = ByteBuffer()
            write(&buffer)
            return String(buffer: buffer)
        }
        #expect(text { $0.writeNumber(-0.0 as Double) } == "-0.0")
        #expect(text { $0.writeNumber(-Double.greatestFiniteMagnitude) } == "-1.7976931348623157e+308")
        #expect(text { $0.writeNumber(Double.leastNonzeroMagnitude) } == "5e-324")
        #expect(text { $0.writeNumber(Float.nan) } == "null")
        #expect(text { $0.writeDecimal(.min) } == "-9223372036854775808")
        #expect(text { $0.writeDecimal(UInt.max) } == "18446744073709551615")
        let elements: [UInt64] = [0, .max]
        #expect(text { out in
            elements.withUnsafeBytes { writeElements($0, .uint64, to: &out) }
        } == "0,18446744073709551615")
    }

    @Test("The date is written as HTTP wants it")
    func dates() {
        #expect(HTTPDate.text(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(HTTPDate.text(0) == "Thu, 01 Jan 1970 00:00:00 GMT")
        #expect(HTTPDate.text(951_782_400) == "Tue, 29 Feb 2000 00:00:00 GMT")
        #expect(HTTPDate.text(4_107_542_400) == "Mon, 01 Mar 2100 00:00:00 GMT")
        #expect(HTTPDate.text(1_798_761_599) == "Thu, 31 Dec 2026 23:59:59 GMT")
        var date = HTTPDate(seconds: 0)
        date.update(seconds: 1)
        #expect(String(decoding: date.line, as: UTF8.self) == "Date: Thu, 01 Jan 1970 00:00:01 GMT\r\n")
    }

    @Test("Every answer tells the date, and Seldon's a new identifier of its own")
    func identifiers() async throws {
        try await withPlane([deployment("fraud", SumModel())]) { port, _, _ in
            var seen: Set<String> = []
            let request = post("/api/v1.0/predictions", #"{"data":{"ndarray":[[1,2,3]]}}"#)
            let answers = splitAnswers(try await exchange(
                port, [Array(String(repeating: request, count: 50).utf8)], answers: 50))
            for answer in answers {
                let line = answer.head.split(separator: "\r\n").first { $0.hasPrefix("Seldon-Puid: ") }
                let puid = String(try #require(line).dropFirst(13))
                let uuid = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/
                #expect(puid.wholeMatch(of: uuid) != nil)
                #expect(answer.text.contains("\"puid\":\"\(puid)\""))
                #expect(answer.head.contains("\r\nDate: "))
                seen.insert(puid)
            }
            #expect(seen.count == 50)
        }
    }

    @Test("Thousands of requests at once are answered in order, without the answers piling up in one piece")
    func manyAtOnce() async throws {
        try await withPlane([deployment("fraud", SumModel())]) { port, _, _ in
            let one = "GET /v2/models/fraud HTTP/1.1\r\nHost: a\r\n\r\n"
            let last = post("/v2/models/fraud/infer", inferBody(rest: #","id":"last""#), headers: "Connection: close\r\n")
            let bytes = Array((String(repeating: one, count: 4000) + last).utf8)
            let answers = splitAnswers(try await exchange(port, [bytes], answers: .max))
            #expect(answers.count == 4001)
            #expect(answers.allSatisfy { $0.status == 200 })
            #expect(answers.last?.text.contains(#""id":"last""#) ?? false)
        }
    }

    @Test("A large answer before the end of the connection reaches a slow client whole")
    func slowClient() async throws {
        try await withPlane([deployment("fraud", SumModel(features: 1))]) { port, _, _ in
            let count = 500_000
            let body = inferBody("[" + String(repeating: "1e6,", count: count - 1) + "1e6]", shape: "[\(count),1]")
            let request = post("/v2/models/fraud/infer", body, headers: "Connection: close\r\n")
            let bytes = try await exchange(port, [Array(request.utf8)], answers: .max, pause: 4_000_000)
            let answer = try #require(splitAnswers(bytes).first)
            #expect(answer.status == 200)
            let isWhole = answer.text.hasSuffix("1000000.0]}]}")
            #expect(isWhole)
        }
    }
}
