import AerieJSON
import Testing

@testable import InferenceAPI

@Suite("Wrong input over HTTP is answered with its status and a reason")
struct WrongInputTests {
    static let infer = "/v2/models/fraud/infer"
    static let cases: [(request: String, status: Int, says: String)] = [
        (post(infer, ""), 400, "an object was expected"),
        (post(infer, "[]"), 400, "an object was expected"),
        (post(infer, "{"), 400, "the text ends"),
        (post(infer, "{}"), 400, "no inputs"),
        (post(infer, #"{"inputs":[]}"#), 400, "empty"),
        (post(infer, #"{"inputs":[1]}"#), 400, "an object was expected"),
        (post(infer, #"{"inputs":[{"name":"i","shape":[1,3],"data":[1,2,3]}]}"#), 400, "inputs[0].datatype: missing"),
        (post(infer, #"{"inputs":[{"name":"i","datatype":"FP32","data":[1,2,3]}]}"#), 400, "inputs[0].shape: missing"),
        (post(infer, #"{"inputs":[{"name":"i","datatype":"FP32","shape":[1,3]}]}"#), 400, "inputs[0].data: missing"),
        (post(infer, inferBody(type: "FP31")), 400, "no such datatype: FP31"),
        (post(infer, inferBody(type: "FP16")), 400, "no JSON form"),
        (post(infer, inferBody(type: "BYTES")), 400, "BYTES are no numbers"),
        (post(infer, inferBody("[1,2]")), 400, "has 2 elements, but shape [1, 3] needs 3"),
        (post(infer, inferBody("[1,2,3,4]")), 400, "has 4 elements"),
        (post(infer, inferBody("[1,2,\"a\"]")), 400, "a number was expected, not text"),
        (post(infer, inferBody("[1,2,{}]")), 400, "a number was expected"),
        (post(infer, inferBody("7")), 400, "a list was expected"),
        (post(infer, inferBody("[1,2,]")), 400, "a value was expected after the comma"),
        (post(infer, inferBody("[1,,2]")), 400, "unexpected ','"),
        (post(infer, inferBody("[1,null,2]", type: "INT64")), 400, "a missing value in INT64"),
        (post(infer, inferBody("[[1,2,3],[4,5]]", shape: "[2,3]")), 400, "differ in length"),
        (post(infer, inferBody("[1,2,3]", shape: "[-1,3]")), 400, "negative dimension"),
        (post(infer, inferBody("[1]", shape: "[4611686018427387904,4611686018427387904]")), 400, "too large"),
        (post(infer, inferBody("[1,2]", shape: "[1,2]")), 400, "takes [rows, 3]"),
        (post(infer, inferBody("[1,2,3]", shape: "[1,1,3]")), 400, "takes [rows, 3]"),
        (post(infer, inferBody(String(repeating: "[", count: 100))), 400, "nested more than 64 deep"),
        (post(infer, inferBody(rest: #","outputs":[{"name":"nope"}]"#)), 400, "no output nope"),
        (post(infer, inferBody(rest: #","outputs":[{"name":"predict"},{"name":"predict"}]"#)), 400, "twice"),
        (post(infer, inferBody(rest: #","outputs":[{}]"#)), 400, "without name"),
        (post(infer, inferBody(rest: ",\"id\":7")), 400, "a string was expected"),
        (post(infer, inferBody() + "x"), 400, "after the end"),
        (post(infer, #"{"inputs":[{"name":"amount","shape":[1],"datatype":"FP32","data":[1]}]}"#), 400, "column hour"),
        (post(infer, "{}", headers: "Inference-Header-Content-Length: x\r\n"), 400, "not a whole number"),
        (post(infer, "{}", headers: "Inference-Header-Content-Length: 3\r\n"), 400, "more than the body's 2"),
        (post(infer, inferBody() + "abc", headers: "Inference-Header-Content-Length: \(inferBody().utf8.count)\r\n"), 400,
         "unexpected additional input data"),
        (post(infer, "abcde", headers: "Inference-Header-Content-Length: 0\r\n"), 400, "not whole rows"),
        (post(infer, #"{"inputs":[{"name":"i","shape":[1,3],"datatype":"FP32","parameters":{"binary_data_size":12}}]}"#),
         400, "12 bytes are promised"),
        (post(infer, #"{"inputs":[{"name":"i","shape":[1,3],"datatype":"FP32","parameters":{"binary_data_size":-1}}]}"#),
         400, "negative"),
        (post(infer, inferBody(), headers: "Content-Encoding: gzip\r\n"), 415, "Content-Encoding"),
        ("GET \(infer) HTTP/1.1\r\nHost: a\r\n\r\n", 405, "use POST"),
        (post("/v2/health/live", ""), 405, "use GET"),
        (post("/v2/models/none/infer", inferBody()), 404, "no model none"),
        (post("/v2/models/fraud/versions/9/infer", inferBody()), 404, "no version 9"),
        (post("/v2/models/fraud/infer/more", inferBody()), 404, "nothing at"),
        ("GET /v2/models/fr%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, "percent sign"),
        ("GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request line"),
    ]

    @Test("Each is refused, and the next request on a sound connection is answered", arguments: cases.indices)
    func refuses(_ index: Int) async throws {
        let (request, status, says) = Self.cases[index]
        try await withPlane([deployment("fraud", SumModel())]) { port, _, _ in
            let good = "GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n"
            let answers = splitAnswers(try await exchange(port, [Array((request + good).utf8)], answers: 2))
            let first = try #require(answers.first)
            #expect(first.status == status)
            let error = try JSONValue.parse(first.text)["error"]?.string ?? ""
            #expect(error.contains(says), "\(error)")
            if first.head.contains("Connection: close") {
                #expect(answers.count == 1)
            } else {
                #expect(answers.last?.text == #"{"live":true}"#)
            }
        }
    }

    @Test("Noise on the gRPC port closes the connection and nothing else")
    func grpcNoise() async throws {
        try await withPlane([deployment("fraud", SumModel())]) { http, grpc, _ in
            var generator = SeededGenerator(state: 5)
            for round in 0..<20 {
                var bytes = (0..<200).map { _ in UInt8.random(in: 0...255, using: &generator) }
                if round % 2 == 0 { bytes = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + bytes }
                _ = try await exchange(grpc, [bytes])
            }
            let answer = try await exchange(http, "GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(answer.hasSuffix("{\"live\":true}"))
        }
    }
}
