import AerieJSON
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Testing

@Suite struct TraceRoutesTests {
    private func withClient(
        _ body: @escaping @Sendable (any TestClientProtocol) async throws -> Void
    ) async throws {
        let fixture = try MLflowFixture()
        defer { fixture.remove() }
        try await Application(router: fixture.router).test(.router) { try await body($0) }
    }

    private func info(_ id: String, time: String = "2026-03-01T12:00:00.250Z", experiment: String = "0") -> JSONValue {
        [
            "trace": [
                "trace_info": [
                    "trace_id": .string(id),
                    "trace_location": [
                        "type": "MLFLOW_EXPERIMENT", "mlflow_experiment": ["experiment_id": .string(experiment)],
                    ],
                    "request_time": .string(time), "execution_duration": "1.005s", "state": "OK",
                    "request_preview": "{\"x\": 1}", "trace_metadata": ["mlflow.sourceRun": "run1"],
                    "tags": ["mlflow.traceName": .string("name-\(id)"), "mlflow.artifactLocation": "file:/etc"],
                ]
            ]
        ]
    }

    private let root = "/api/3.0/mlflow/traces"

    @Test("a trace is kept, read, found by what is known of it, tagged and deleted")
    func life() async throws {
        try await withClient { client in
            let made = try await client.send(.post, root, info("tr-1"))
            // Sent again after a lost answer, it changes nothing.
            #expect(try await client.send(.post, root, info("tr-1")).json == made.json)
            let kept = made.json["trace"]?["trace_info"]
            #expect(kept?["tags"]?["mlflow.artifactLocation"] == "mlflow-artifacts:/0/traces/tr-1/artifacts")
            #expect(kept?["request_time"] == "2026-03-01T12:00:00.250Z" && kept?["execution_duration"] == "1.005s")
            #expect(try await client.send(.get, root + "/tr-1").json["trace"]?["trace_info"]?["state"] == "OK")
            _ = try await client.send(.post, root, info("tr-2", time: "2026-03-01T12:00:01Z"))
            func found(_ filter: String, limit: JSONValue = 10) async throws -> [String] {
                let answer = try await client.send(
                    .post, root + "/search",
                    [
                        "locations": [["type": 1, "mlflow_experiment": ["experiment_id": "0"]]],
                        "filter": .string(filter), "max_results": limit,
                    ])
                #expect(answer.status == .ok, "\(answer.text)")
                return answer.json["traces"]?.array?.compactMap { $0["trace_id"]?.string } ?? []
            }
            #expect(try await found("") == ["tr-2", "tr-1"])
            #expect(try await found("", limit: 1) == ["tr-2"])
            #expect(try await found("trace.name = 'name-tr-1' AND attributes.status = 'OK'") == ["tr-1"])
            #expect(try await found("timestamp_ms > 1772366400250") == ["tr-2"])
            #expect(try await found("attributes.run_id = 'run1' AND metadata.mlflow.sourceRun = 'run1'").count == 2)
            #expect(try await client.send(.patch, root + "/tr-1/tags", ["key": "seen", "value": "yes"]).status == .ok)
            #expect(try await found("tags.seen = 'yes'") == ["tr-1"])
            #expect(try await client.send(.delete, root + "/tr-1/tags", ["key": "seen"]).status == .ok)
            #expect(try await client.send(.delete, root + "/tr-1/tags", ["key": "seen"]).status == .notFound)

            let file = "/api/2.0/mlflow-artifacts/artifacts/0/traces/tr-1/artifacts/traces.json"
            #expect(try await client.send(.put, file, bytes: [1, 2]).status == .ok)
            let gone = try await client.send(
                .post, root + "/delete-traces", ["experiment_id": "0", "request_ids": ["tr-1", "tr-9"]])
            #expect(gone.json["traces_deleted"] == 1)
            #expect(try await client.send(.get, file).status == .notFound)
            #expect(try await client.send(.get, root + "/tr-1").code == "RESOURCE_DOES_NOT_EXIST")
            let older = try await client.send(
                .post, root + "/delete-traces", ["experiment_id": "0", "max_timestamp_millis": 1_772_366_401_000])
            #expect(older.json["traces_deleted"] == 1)
        }
    }

    @Test(
        "what is wrong with a trace is said by its field",
        arguments: [
            ("2026-13-01T12:00:00Z", "0", "request_time"), ("yesterday", "0", "request_time"),
            ("2026-03-01T12:00:00Z", "77", "77"), ("2026-03-01T12:00:00Z", "", "experiment_id"),
        ])
    func wrong(_ time: String, _ experiment: String, _ said: String) async throws {
        try await withClient { client in
            let answer = try await client.send(.post, root, info("tr-1", time: time, experiment: experiment))
            #expect((400..<500).contains(answer.status.code) && answer.text.contains(said), "\(answer.text)")
            #expect(try await client.send(.post, root, info("../../etc")).status == .badRequest)
            let both = try await client.send(.post, root + "/delete-traces", ["experiment_id": "0"])
            #expect(both.code == "INVALID_PARAMETER_VALUE")
        }
    }

    private func otlp(_ spans: [JSONValue]) -> JSONValue {
        ["resourceSpans": [["scopeSpans": [["spans": .array(spans)]]]]]
    }

    private func span(_ id: String, parent: String? = nil, status: JSONValue = ["code": 1]) -> JSONValue {
        var object: JSONObject = [
            "traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": .string(id), "name": .string("n-\(id)"),
            "startTimeUnixNano": "1772366400250000000", "endTimeUnixNano": "1772366401250000000", "status": status,
            "attributes": [
                ["key": "mlflow.spanInputs", "value": ["stringValue": "{\"x\": 1}"]],
                ["key": "n", "value": ["intValue": 7]], ["key": "d", "value": ["doubleValue": 0.5]],
            ],
        ]
        if let parent { object["parentSpanId"] = .string(parent) }
        return .object(object)
    }

    private func headers(_ type: String = "application/json") throws -> HTTPFields {
        [.contentType: type, try #require(HTTPField.Name("x-mlflow-experiment-id")): "0"]
    }

    @Test("spans sent as OTLP make their trace, are read back, and end the trace with the first one")
    func otlp() async throws {
        try await withClient { client in
            let child = otlp([span("00f067aa0ba902b7", parent: "00f067aa0ba902b8")])
            #expect(try await client.send(.post, "/v1/traces", child, headers: headers()).status == .ok)
            let id = "tr-0af7651916cd43dd8448eb211c80319c"
            func read() async throws -> JSONValue? {
                try await client.send(.get, "/api/3.0/mlflow/traces/get?trace_id=\(id)").json["trace"]
            }
            #expect(try await read()?["trace_info"]?["state"] == "IN_PROGRESS")
            let first = otlp([span("00f067aa0ba902b8", status: ["code": "STATUS_CODE_ERROR"])])
            for _ in 0..<2 {
                #expect(try await client.send(.post, "/v1/traces", first, headers: headers()).status == .ok)
            }
            let trace = try await read()
            let info = trace?["trace_info"]
            #expect(info?["state"] == "ERROR" && info?["execution_duration"] == "1.000s")
            #expect(info?["tags"]?["mlflow.trace.spansLocation"] == "TRACKING_STORE")
            #expect(info?["tags"]?["mlflow.traceName"] == "n-00f067aa0ba902b8")
            #expect(info?["request_preview"] == "{\"x\": 1}")
            #expect(trace?["spans"]?.array?.count == 2)
            let kept = trace?["spans"]?.array?.first { $0["parent_span_id"] != nil }
            #expect(kept?["trace_id"] == "CvdlGRbNQ92ESOshHIAxnA==" && kept?["span_id"] == "APBnqgupArc=")
            #expect(kept?["attributes"]?[1]?["value"]?["int_value"] == "7")
        }
    }

    @Test(
        "what is no OTLP is said to be none",
        arguments: [
            ("application/x-protobuf", [UInt8]([0x0a, 0x05, 0x01])), ("application/x-protobuf", [0x0b]),
            ("application/json", Array("{\"resourceSpans\": 1}".utf8)), ("text/plain", []), ("application/json", []),
        ])
    func broken(_ type: String, _ bytes: [UInt8]) async throws {
        try await withClient { client in
            let answer = try await client.send(.post, "/v1/traces", bytes: bytes, headers: headers(type))
            #expect(answer.status == .badRequest && answer.code == "INVALID_PARAMETER_VALUE", "\(answer.text)")
            #expect(try await client.send(.post, "/v1/traces", bytes: bytes).text.contains("x-mlflow-experiment-id"))
        }
    }

    @Test("the descriptions of a run's models outgrow a tag and stay whole; other tags and params are cut")
    func longText() async throws {
        try await withClient { client in
            let run = try await client.send(.post, "runs/create", ["experiment_id": "0"])
            let id = try #require(run.json["run"]?["info"]?["run_id"])
            let model = JSONValue.object([
                "flavors": .string(String(repeating: "f", count: 5000)), "run_id": id, "artifact_path": "model",
                "utc_time_created": "2026-03-01 12:00:00",
            ])
            for _ in 0..<3 {
                let body: JSONValue = ["run_id": id, "model_json": .string(model.text())]
                #expect(try await client.send(.post, "runs/log-model", body).status == .ok)
            }
            let long = String(repeating: "e\u{301}", count: 5000)
            let body: JSONValue = [
                "run_id": id, "params": [["key": "p", "value": .string(long)]],
                "tags": [["key": "t", "value": .string(long)]],
            ]
            #expect(try await client.send(.post, "runs/log-batch", body).status == .ok)
            let data = try await client.send(.get, "runs/get?run_id=\(id.string ?? "")").json["run"]?["data"]
            func tag(_ key: String) -> String? {
                data?["tags"]?.array?.first { $0["key"]?.string == key }?["value"]?.string
            }
            #expect(try JSONValue.parse(tag("mlflow.log-model.history") ?? "").array?.count == 3)
            #expect(data?["params"]?[0]?["value"]?.string?.unicodeScalars.count == 6000)
            #expect(tag("t")?.unicodeScalars.count == 8000)
        }
    }
}
