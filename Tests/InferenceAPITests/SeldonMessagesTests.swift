import AerieCore
import AerieData
import AerieGRPC
import AerieJSON
import AerieWire
import NIOCore
import Serving
import Testing

@testable import InferenceAPI

@Suite("Seldon's messages")
struct SeldonMessagesTests {
    private func ask(_ port: Int, _ text: String) async throws -> (status: Int, json: JSONValue, head: String) {
        let answers = splitAnswers(try await exchange(port, [Array(text.utf8)]))
        let answer = try #require(answers.first)
        return (answer.status, try JSONValue.parse(answer.body), answer.head)
    }

    /// 1·1 + 2·2 + 3·4 of `SumModel` is 17.
    private static let payloads: [(body: String, path: [String], expected: JSONValue)] = [
        (#"{"data":{"ndarray":[[1,2,3]]}}"#, ["data", "ndarray"], [[17.0]]),
        (#"{"data":{"tensor":{"shape":[1,3],"values":[1,2,3]}}}"#, ["data", "tensor", "values"], [17.0]),
        (#"{"data":{"tftensor":{"dtype":"DT_FLOAT","tensorShape":{"dim":[{"size":"1"},{"size":"3"}]},"#
            + #""floatVal":[1,2,3]}}}"#, ["data", "tftensor", "floatVal"], [17.0]),
        (#"{"strData":"[[1,2,3]]"}"#, ["strData"], "[[17.0]]"),
        (#"{"jsonData":[[1,2,3]]}"#, ["jsonData"], [[17.0]]),
        (#"{"jsonData":{"größe":3,"hour":2,"amount":1}}"#, ["jsonData"], [[17.0]]),
        // 1, 2, 3 and 17 as little-endian floats.
        (#"{"binData":"AACAPwAAAEAAAEBA"}"#, ["binData"], "AACIQQ=="),
        (#"{"customData":{"@type":"type.googleapis.com/google.protobuf.ListValue","value":[[1,2,3]]}}"#,
         ["customData", "value"], [[17.0]]),
    ]

    @Test("every payload is answered in its own form, with meta", arguments: payloads.indices)
    func forms(_ index: Int) async throws {
        let form = Self.payloads[index]
        try await withPlane([deployment("fraud", SumModel())]) { port, _, _ in
            let answer = try await ask(port, post("/api/v1.0/predictions", form.body, headers: "Seldon-Puid: p7\r\n"))
            #expect(answer.status == 200, "\(answer.json.text())")
            var value = answer.json
            for key in form.path { value = value[key] ?? .null }
            let shown = value.text() == form.expected.text()
            #expect(shown || value == form.expected, "\(answer.json.text())")
            #expect(answer.json["meta"]?["puid"] == "p7")
            #expect(answer.json["meta"]?["routing"]?["fraud"] == 0)
            #expect(answer.json["meta"]?["requestPath"]?["classifier"] == "models:/fraud/3")
            #expect(answer.head.contains("Seldon-Puid: p7") && answer.head.contains("nosniff"))
        }
    }

    @Test("what is no message is refused in Seldon's shape", arguments: [
        #"{"binData":"?"}"#, #"{"strData":1}"#, #"{"strData":"x"}"#, #"{"jsonData":{"amount":"much"}}"#,
        #"{"strData":"[1]","jsonData":[1]}"#, #"{"customData":{"@type":"x/unknown.Type","value":1}}"#,
        #"{"data":{"tftensor":{"dtype":"DT_COMPLEX64"}}}"#, #"{"wrong":1,"strData":"[[1,2,3]]"}"#,
        #"{"data":{"tftensor":{"dtype":"DT_FLOAT","tensorShape":{"dim":[{"size":"9"}]},"floatVal":[]}}}"#,
    ])
    func refused(_ body: String) async throws {
        try await withPlane([deployment("fraud", SumModel())]) { port, _, _ in
            let answer = try await ask(port, post("/api/v1.0/predictions", body))
            #expect((400...501).contains(answer.status) && answer.status != 500)
            #expect(answer.json["status"]?["status"] == "FAILURE")
            #expect(answer.json["status"]?["info"]?.string?.isEmpty == false)
        }
    }

    @Test("forms, both API versions, the prefixes, metadata, CloudEvents and what only tells")
    func paths() async throws {
        try await withPlane([deployment("fraud", SumModel())]) { port, _, _ in
            let json = #"{"data":{"ndarray":[[1,2,3]]}}"#
            let encoded = "json=%7B%22data%22%3A%7B%22ndarray%22%3A%5B%5B1%2C2%2C3%5D%5D%7D%7D"
            let type = "Content-Type: application/x-www-form-urlencoded\r\n"
            #expect(try await ask(port, post("/api/v0.1/predictions", encoded, headers: type)).json["data"]?["ndarray"] == [[17.0]])
            let parts = "--b\r\nContent-Disposition: form-data; name=\"strData\"\r\n\r\n[[1,2,3]]\r\n--b--\r\n"
            let multipart = "Content-Type: multipart/form-data; boundary=b\r\n"
            let form = try await ask(port, post("/api/v1.0/predictions", parts, headers: multipart))
            #expect(form.json["strData"] == "[[17.0]]")
            for prefix in ["/seldon/default/fraud", "/seldon/fraud"] {
                #expect(try await ask(port, post(prefix + "/api/v1.0/predictions", json)).status == 200)
            }
            let event = "Ce-Specversion: 1.0\r\nCe-Id: e1\r\nCe-Type: t\r\nCe-Source: s\r\n"
            let head = try await ask(port, post("/api/v1.0/predictions", #"{"jsonData":[[1,2,3]]}"#, headers: event)).head
            for field in ["Ce-Id: ", "Ce-Specversion: 1.0", "Ce-Path: /api/v1.0/predictions", "Ce-Type: io.seldon"] {
                #expect(head.contains(field))
            }
            func get(_ path: String) async throws -> (status: Int, json: JSONValue, head: String) {
                try await ask(port, "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n")
            }
            #expect(try await get("/api/v1.0/metadata").json["models"]?["classifier"]?["versions"] == ["3"])
            #expect(try await get("/api/v1.0/metadata/classifier").json["name"] == "classifier")
            #expect(try await get("/api/v1.0/metadata/nobody").status == 404)
            #expect(try await get("/api/v0.1/status").status == 200)
            #expect(try await get("/api/v1.0/doc/").json["openapi"] == "3.0.0")
            #expect(try await get("/v1/models").json["models"] == ["fraud"])
            #expect(try await get("/v1/models/fraud").json["model_version_status"]?[0]?["state"] == "AVAILABLE")
            #expect(try await get("/ping").json == "pong")
            #expect(try await get("/").json["status"] == "alive")
        }
    }

    @Test("KServe's :predict takes rows and columns", arguments: [
        (#"{"instances":[[1,2,3],[0,0,0]]}"#, #"{"predictions":[17.0,0.0]}"#),
        (#"{"instances":[{"amount":1,"größe":3,"hour":2}]}"#, #"{"predictions":[17.0]}"#),
        (#"{"instances":[{"input":[1,2,3]}],"signature_name":"serving_default"}"#, #"{"predictions":[17.0]}"#),
        (#"{"inputs":{"amount":[1,0],"hour":[[2],[0]],"größe":[3,1]}}"#, #"{"outputs":[17.0,4.0]}"#),
        (#"{"inputs":[[1,2,3]]}"#, #"{"outputs":[17.0]}"#),
    ])
    func modelsV1(_ body: String, _ expected: String) async throws {
        try await withPlane([deployment("fraud", SumModel())]) { port, _, _ in
            let answer = try await ask(port, post("/v1/models/fraud:predict", body))
            #expect(answer.json.text() == expected)
            #expect(try await ask(port, post("/v1/models/nobody:predict", body)).status == 404)
            #expect(try await ask(port, post("/v1/models/fraud:predict", "{}")).status == 400)
        }
    }

    @Test("the same user stays with one predictor over every protocol")
    func sticky() async throws {
        let sticky = ServedDeployment(
            name: "ab", namespace: "default",
            predictors: ["a", "b"].enumerated().map { index, name in
                ServedPredictor(
                    name: name, weight: 50, modelName: name, modelVersion: name, modelURI: name, model: SumModel(),
                    metricsSlot: index)
            }, sticky: StickyRule(header: "x-user", column: "user"))
        try await withPlane([sticky]) { port, _, _ in
            var seen: Set<String> = []
            for user in 0..<12 {
                let header = "X-User: \(user)\r\n"
                var places: [String] = []
                for _ in 0..<2 {
                    let oip = try await ask(port, post("/v2/models/ab/infer", inferBody(), headers: header))
                    places.append(oip.json["model_version"]?.string ?? "")
                    let rows = #"{"data":{"ndarray":[[1,2,3]]}}"#
                    let seldon = try await ask(port, post("/api/v1.0/predictions", rows, headers: header))
                    places.append(seldon.json["meta"]?["routing"]?["ab"] == 0 ? "a" : "b")
                    let both = #"{"inputs":[{"name":"input","shape":[1,3],"datatype":"FP32","data":[1,2,3]},"#
                        + #"{"name":"user","shape":[1],"datatype":"BYTES","data":["\#(user)"]}]}"#
                    places.append(try await ask(port, post("/v2/models/ab/infer", both)).json["model_version"]?.string ?? "")
                }
                #expect(Set(places).count == 1, "\(places)")
                seen.formUnion(places)
            }
            #expect(seen == ["a", "b"])
        }
    }

    @Test("gRPC: a tensor in, a tensor out, by the metadata's names")
    func grpc() async throws {
        try await withPlane([deployment("fraud", SumModel()), deployment("other", SumModel())]) { _, port, _ in
            var tensor = AerieWire.ProtobufWriter()
            for size in [1, 3] { tensor.field(1, varint: UInt64(size)) }
            for value in [1.0, 2, 3] { tensor.field(2, fixed64: value.bitPattern) }
            var data = AerieWire.ProtobufWriter()
            data.field(2, bytes: tensor.bytes)
            var message = AerieWire.ProtobufWriter()
            message.field(3, bytes: data.bytes)
            let connection = try await GRPCClientConnection.open(port)
            func predict(_ headers: [(String, String)]) async throws -> GRPCResult {
                try await GRPCClientCall(
                    path: "/seldon.protos.Seldon/Predict", messages: [message.bytes], headers: headers
                ).run(connection)
            }
            let found = try await predict([("seldon", "fraud"), ("namespace", "default")])
            #expect(found.status == 0, "\(found.message)")
            let answer = try found.messages[0].withUnsafeBytes { try SeldonProtobuf.read($0) }
            #expect(answer.form == .tensor)
            #expect(answer.message.payload == .tensors([
                Tensor(name: "", dataType: .fp64, shape: [1, 1], elements: [17.0])
            ]))
            #expect(try await predict([]).status == 3)
            #expect(try await predict([("seldon", "nobody")]).status == 5)
            #expect(try await predict([("seldon", "fraud"), ("namespace", "elsewhere")]).status == 5)
            await connection.close()
        }
    }

    @Test("protobuf and JSON say the same of every payload", arguments: [
        SeldonEnvelope.Form.ndarray, .tensor, .tftensor, .binData, .strData, .jsonData,
        .customData("google.protobuf.Struct"), .customData("tensorflow.TensorProto"),
    ])
    func roundTrip(_ form: SeldonEnvelope.Form) throws {
        var message = GraphMessage(
            .tensors([Tensor(name: "y", dataType: .fp32, shape: [2, 1], elements: [Float(0.1), 0.9])]))
        message.meta = GraphMeta(
            puid: "p", tags: ["outlier": [0, 1]], routing: ["r": 1, "all": -1], requestPath: ["m": "uri"],
            metrics: [GraphMetric(key: "k", kind: .timer, value: 2, tags: ["a": "b"])])
        let payload = try SeldonPayload(message, as: form)
        let bytes = try SeldonProtobuf.write(payload, meta: message.meta)
        let proto = try bytes.withUnsafeBytes { try SeldonProtobuf.read($0) }
        let json = try SeldonJSON.read(SeldonJSON.write(payload, meta: message.meta))
        #expect(proto.form == form && json.form == form)
        #expect(proto.message.meta.routing == ["r": 1, "all": -1] && json.message.meta.routing == ["r": 1, "all": -1])
        #expect(proto.message.meta.tags["outlier"]?[1]?.double == 1)
        guard case .tensors(let tensors) = json.message.payload, case .tensors(let others) = proto.message.payload
        else {
            #expect(proto.message.payload == json.message.payload)
            return
        }
        #expect(try tensors[0].doubles().map { Float($0) } == [0.1, 0.9])
        #expect(try others[0].doubles().map { Float($0) } == [0.1, 0.9])
    }

    @Test("a shape that means more lists than anybody sends is refused, however few its numbers")
    func hugeShapes() throws {
        for shape in ["[1099511627776,0]", "[60000,60000,0]", "[0,1099511627776]", "[\(String(repeating: "1,", count: 40))1]"] {
            let values = shape.hasSuffix("1]") ? "[7]" : "[]"
            let value = try JSONValue.parse("{\"data\":{\"tensor\":{\"shape\":\(shape),\"values\":\(values)}}}")
            #expect(throws: AerieError.self, "\(shape)") { try SeldonJSON.read(value) }
        }
        var tensor = AerieWire.ProtobufWriter()
        tensor.field(1, bytes: [UInt8](repeating: 1, count: 20_000))
        tensor.field(2, bytes: [0, 0, 0, 0, 0, 0, 0, 0])
        var data = AerieWire.ProtobufWriter()
        data.field(2, bytes: tensor.bytes)
        var message = AerieWire.ProtobufWriter()
        message.field(3, bytes: data.bytes)
        #expect(throws: AerieError.self) { try message.bytes.withUnsafeBytes { try SeldonProtobuf.read($0) } }
        let empty = try JSONValue.parse("{\"data\":{\"tensor\":{\"shape\":[0,3],\"values\":[]}}}")
        #expect(throws: Never.self) { try SeldonJSON.read(empty) }
    }

    @Test("broken protobuf is an error and no crash")
    func broken() throws {
        var generator = SeededGenerator(state: 4)
        var data = AerieWire.ProtobufWriter()
        data.field(3, bytes: WellKnownValue.message([[1, 2, "x"], ["a": nil]] as [JSONValue]))
        var message = AerieWire.ProtobufWriter()
        message.field(2, bytes: SeldonProtobuf.write(GraphMeta(puid: "p", tags: ["a": 1], routing: ["r": 2])))
        message.field(3, bytes: data.bytes)
        for _ in 0..<3000 {
            var bytes = message.bytes
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            _ = bytes.withUnsafeBytes { try? SeldonProtobuf.read($0) }
            _ = try? TensorProto.read(proto: bytes)
        }
    }
}

@Suite("Base64")
struct Base64Tests {
    @Test("what RFC 4648 gives as examples, both ways", arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func examples(_ plain: String, _ text: String) {
        #expect(Base64.standard.encode(Array(plain.utf8)) == text)
        #expect(Base64.decode(text) == Array(plain.utf8))
        #expect(Base64.decode(text.filter { $0 != "=" }) == Array(plain.utf8))
    }

    @Test("the other alphabet is read; what is no base64 is not")
    func others() {
        #expect(Base64.decode("-_8=") == [0xfb, 0xff])
        for text in ["?", "A", "Zg===", "Z g=", "Zg=a"] { #expect(Base64.decode(text) == nil) }
    }
}
