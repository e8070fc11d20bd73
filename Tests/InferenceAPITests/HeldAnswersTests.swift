import AerieHTTP
import NIOCore
import Testing

@testable import InferenceAPI

/// Answers of one turn of the event loop leave together; each client gets its own all the same, whole and in order.
@Suite("Held answers", .timeLimit(.minutes(1)))
struct HeldAnswersTests {
    private func request(_ id: String, _ data: String = "[1,2,3]", shape: String = "[1,3]") -> String {
        post("/v2/models/fraud/infer", inferBody(data, shape: shape, rest: #","id":"\#(id)""#))
    }

    private func ids(_ answers: [Answer]) -> [String] {
        answers.map { answer in
            guard answer.status == 200, let start = answer.text.firstRange(of: #""id":""#)?.upperBound else { return "" }
            return String(answer.text[start...].prefix { $0 != "\"" })
        }
    }

    @Test("many clients that ask at once, some of them for more than one answer")
    func manyClients() async throws {
        try await withPlane([deployment("fraud", SumModel())]) { port, _, _ in
            try await withThrowingTaskGroup(of: Void.self) { clients in
                for client in 0..<24 {
                    clients.addTask {
                        let asked = (0..<60).map { "\(client)-\($0)" }
                        // As many requests in a piece as the client's number says: from one to eight.
                        let size = client % 8 + 1
                        let pieces = stride(from: 0, to: asked.count, by: size).map { first in
                            Array(asked[first..<min(first + size, asked.count)].map { request($0) }.joined().utf8)
                        }
                        let bytes = try await exchange(port, pieces, answers: asked.count)
                        #expect(ids(splitAnswers(bytes)) == asked)
                    }
                }
                try await clients.waitForAll()
            }
        }
    }

    @Test("answers behind one that its socket does not take whole, while another client is answered")
    func behindLargeAnswer() async throws {
        try await withPlane([deployment("fraud", SumModel(features: 1))]) { port, _, _ in
            let count = 150_000
            let numbers = "[" + String(repeating: "1e6,", count: count - 1) + "1e6]"
            let large = request("large", numbers, shape: "[\(count),1]")
            let small = ["first", "second", "third"]
            let all = Array((large + small.map { request($0, "[1]", shape: "[1,1]") }.joined()).utf8)
            async let slow = exchange(port, [all], answers: 4, pause: 1_000_000)
            for turn in 0..<20 {
                let answer = try await ask(port, request("other-\(turn)", "[1]", shape: "[1,1]"))
                #expect(ids([answer]) == ["other-\(turn)"])
            }
            let answers = splitAnswers(try await slow)
            #expect(ids(answers) == ["large"] + small)
            #expect(answers.first?.text.hasSuffix("1000000.0]}]}") ?? false)
        }
    }

    @Test("an answer's head is the same with and without further fields, but for those")
    func heads() {
        let date = HTTPDate(seconds: 784_111_777)
        for (keepsAlive, isHTTP10) in [(true, false), (false, false), (true, true), (false, true)] {
            var (usual, general) = (ByteBuffer(), ByteBuffer())
            HTTPAnswer.json(date: date, keepsAlive: keepsAlive, isHTTP10: isHTTP10, into: &usual).end(&usual)
            HTTPAnswer(200, .json, keepsAlive: keepsAlive, isHTTP10: isHTTP10, date: date, into: &general) { _ in }
                .end(&general)
            #expect(String(buffer: usual) == String(buffer: general))
            #expect(String(buffer: usual).contains("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"))
        }
    }
}
