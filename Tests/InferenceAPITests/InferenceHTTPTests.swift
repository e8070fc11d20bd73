import AerieData
import AerieJSON
import Serving
import Testing

@testable import InferenceAPI

@Suite("Inference over HTTP")
struct InferenceHTTPTests {
    private func get(_ port: Int, _ path: String) async throws -> Answer {
        try await ask(port, "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n")
    }

    @Test("Health, metadata and index answer as clients expect")
    func metadata() async throws {
        try await withPlane([deployment("fraud", SumModel())]) { port, _, _ in
            #expect(try await get(port, "/v2/health/live").text == #"{"live":true}"#)
            #expect(try await get(port, "/v2/health/ready").text == #"{"ready":true}"#)
            #expect(try await get(port, "/v2/models/fraud/ready").text == #"{"name":"fraud","ready":true}"#)
            #expect(try await get(port, "/v2/models/fraud/versions/3/ready").status == 200)
            #expect(try await get(port, "/v2/models").text == #"{"models":["fraud"]}"#)
            let model = try JSONValue.parse(try await get(port, "/v2/models/fraud").text)
            #expect(model["inputs"]?[0]?["shape"] == [-1, 3])
            #expect(model["versions"] == ["3"])
            let server = try await get(port, "/v2")
            #expect(server.text.contains("binary_tensor_data"))
            let index = try await ask(port, post("/v2/repository/index", ""))
            #expect(index.text == #"[{"name":"fraud","version":"3","state":"READY","reason":""}]"#)
            let head = try await exchange(port, "HEAD /v2/health/live HTTP/1.0\r\n\r\n")
            #expect(head.hasSuffix("Content-Length:         13\r\n\r\n"))
        }
    }

    @Test("Rows come as one tensor, nested or flat, as one row, or as a tensor for each column")
    func forms() async throws {
        let answer = #"{"model_name":"fraud","model_version":"3","outputs":[{"name":"predict","datatype":"FP32","shape":[1],"data":[17.0]}]}"#
        let columns = #"{"inputs":[{"name":"gr\u00f6\u00dfe","shape":[1,1],"datatype":"INT64","data":[3]},"#
            + #"{"name":"amount","shape":[1],"datatype":"FP64","data":[1.0]},"#
            + #"{"name":"hour","shape":[1],"datatype":"BOOL","data":[true]}]}"#
        try await withPlane([deployment("fraud", SumModel())]) { port, _, _ in
            for body in [
                inferBody(), inferBody("[[1,2,3]]"), inferBody("[1,2,3]", shape: "[3]"), inferBody(type: "INT32"),
                #"{"inputs":[{"data":[1,2,3],"datatype":"FP64","shape":[1,3],"name":"x","parameters":{"a":1}}]}"#,
            ] {
                #expect(try await ask(port, post("/v2/models/fraud/infer", body)).text == answer)
            }
            let turned = try await ask(port, post("/v2/models/fraud/infer", columns))
            #expect(turned.text.contains(#""data":[15.0]"#))
            let two = try await ask(port, post("/v2/models/fraud/versions/3/infer", inferBody(
                "[[1,2,3],[null,0,\"NaN\"]]", shape: "[2,3]", rest: ",\"id\":\"a\\\"b\"")))
            #expect(two.text.contains(#""id":"a\"b","outputs":[{"name":"predict","datatype":"FP32","shape":[2],"data":[17.0,5000.0]}]"#))
        }
    }

    @Test("FP64 models keep every digit, and what is not finite is null")
    func doubles() async throws {
        try await withPlane([deployment("fraud", SumModel(features: 1, rowType: .fp64))]) { port, _, _ in
            let body = inferBody("[0.1234567890123456, 1e-7, \"Infinity\", 5]", shape: "[4,1]", type: "FP64")
            let text = try await ask(port, post("/v2/models/fraud/infer", body)).text
            #expect(text.contains(#""shape":[4],"data":[0.1234567890123456,1e-07,null,5.0]"#))
        }
    }

    @Test("Binary tensors come in and go out, mixed with JSON")
    func binary() async throws {
        try await withPlane([deployment("fraud", SumModel())]) { port, _, _ in
            let json = #"{"id":"7","inputs":[{"name":"i","shape":[2,3],"datatype":"FP32","parameters":{"binary_data_size":24}}],"parameters":{"binary_data_output":true}}"#
            let numbers: [Float] = [1, 2, 3, 4, 5, 6]
            let tail = numbers.withUnsafeBytes { Array($0) }
            let head = "POST /v2/models/fraud/infer HTTP/1.1\r\nHost: a\r\nInference-Header-Content-Length: \(json.utf8.count)\r\nContent-Length: \(json.utf8.count + 24)\r\n\r\n"
            let bytes = try await exchange(port, [Array(head.utf8) + Array(json.utf8) + tail])
            let answer = try #require(splitAnswers(bytes).first)
            let results = answer.body.suffix(8)
            #expect(Array(results) == [Float(17), 38].withUnsafeBytes { Array($0) })
            let text = String(decoding: answer.body.dropLast(8), as: UTF8.self)
            #expect(text == #"{"model_name":"fraud","model_version":"3","id":"7","outputs":[{"name":"predict","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":8}}]}"#)
            #expect(answer.head.contains("Inference-Header-Content-Length:        \(text.utf8.count)"))
            let raw = "POST /v2/models/fraud/infer HTTP/1.1\r\nHost: a\r\nInference-Header-Content-Length: 0\r\nContent-Length: 24\r\n\r\n"
            let second = try #require(splitAnswers(try await exchange(port, [Array(raw.utf8) + tail])).first)
            #expect(Array(second.body.suffix(8)) == Array(results))
        }
    }

    @Test("Requests sent at once are answered in their order, slow ones included")
    func pipelining() async throws {
        let models = [deployment("fraud", SumModel()), deployment("slow", DoublingModel(nanosecondsPerRow: 1e9), slot: 1)]
        try await withPlane(models) { port, _, _ in
            let slow = #"{"id":"s","inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[[1,2.5]]}],"outputs":[{"name":"rows"},{"name":"y"}]}"#
            var text = ""
            for index in 0..<20 {
                text += post("/v2/models/fraud/infer", inferBody("[\(index),0,0]"))
                text += post("/v2/models/slow/infer", slow)
            }
            let answers = splitAnswers(try await exchange(port, [Array(text.utf8)], answers: 40))
            #expect(answers.count == 40)
            for (index, answer) in answers.enumerated() {
                if index % 2 == 0 {
                    #expect(answer.text.contains("\"data\":[\(index / 2).0]"))
                } else {
                    #expect(answer.text.hasSuffix(
                        #""id":"s","outputs":[{"name":"rows","datatype":"INT64","shape":[1],"data":[1]},{"name":"y","datatype":"FP32","shape":[1,2],"data":[2.0,5.0]}]}"#))
                }
            }
        }
    }

    @Test("Seldon's forms are answered in the form asked, columns put in order by name")
    func seldon() async throws {
        try await withPlane([deployment("fraud", SumModel())]) { port, _, _ in
            let one = try await ask(port, post(
                "/api/v1.0/predictions", #"{"meta":{"puid":"p1"},"data":{"ndarray":[[1,2,3],[0,0,1]]}}"#))
            #expect(one.text == #"{"meta":{"puid":"p1","routing":{"fraud":0},"requestPath":{"classifier":"models:/fraud/3"}},"data":{"names":["t:0"],"ndarray":[[17.0],[4.0]]}}"#)
            #expect(one.head.contains("Seldon-Puid: p1\r\n"))
            let two = try await ask(port, post(
                "/seldon/default/fraud/api/v0.1/predictions",
                #"{"data":{"tensor":{"shape":[1,3],"values":[3,2,1]},"names":["größe","hour","amount"]}}"#))
            #expect(two.text.contains(#""tensor":{"shape":[1,1],"values":[17.0]}"#))
            let wrong = try await ask(port, post("/api/v1.0/predictions", #"{"data":{"ndarray":[[1,2]]}}"#))
            #expect(wrong.status == 400)
            #expect(wrong.text == #"{"status":{"code":400,"info":"data: the rows have 2 columns, the model takes 3","reason":"MICROSERVICE_BAD_DATA","status":"FAILURE"}}"#)
            #expect(try await ask(port, post("/api/v1.0/predictions", #"{"strData":"x"}"#)).status == 400)
        }
    }

    @Test("A new table answers the next request; the connection stays")
    func newTable() async throws {
        try await withPlane([]) { port, _, plane in
            let request = post("/v2/models/fraud/infer", inferBody())
            let before = try await ask(port, request)
            #expect(before.status == 404)
            plane.update(ServingTable(generation: 2, deployments: [deployment("fraud", SumModel())]))
            let after = try await ask(port, request)
            #expect(after.status == 200)
        }
    }

    @Test("The pool's full queue refuses with 429")
    func fullQueue() async throws {
        try await withPlane([deployment("slow", DoublingModel(nanosecondsPerRow: 1e9))], options: { $0.poolCapacity = 0 }) {
            port, _, _ in
            let body = #"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}"#
            let answer = try await ask(port, post("/v2/models/slow/infer", body))
            #expect(answer.status == 429)
        }
    }
}
