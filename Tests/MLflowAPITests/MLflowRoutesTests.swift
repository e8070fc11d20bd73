import AerieJSON
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Testing

@Suite struct MLflowRoutesTests {
    private func withClient(_ body: @escaping @Sendable (any TestClientProtocol) async throws -> Void) async throws {
        let fixture = try MLflowFixture()
        defer { fixture.remove() }
        try await Application(router: fixture.router).test(.router) { try await body($0) }
    }

    @Test("a run logs params, metrics and tags and reads them back")
    func run() async throws {
        try await withClient { client in
            let made = try await client.send(.post, "experiments/create", ["name": "fraud"])
            let id = try #require(made.json["experiment_id"]?.string)
            let run = try await client.send(.post, "runs/create", ["experiment_id": .string(id), "run_name": "rf",
                "start_time": 5])
            let runID = try #require(run.json["run"]?["info"]?["run_id"]?.string)
            #expect(run.json["run"]?["info"]?["artifact_uri"]?.string == "mlflow-artifacts:/\(id)/\(runID)/artifacts")
            let batch: JSONValue = [
                "run_id": .string(runID), "metrics": [
                    ["key": "auc", "value": 0.9, "timestamp": "10", "step": 1], ["key": "auc", "value": "NaN",
                        "timestamp": 11, "step": 2],
                    ["key": "loss", "value": "Infinity", "timestamp": 11],
                ], "params": [["key": "depth", "value": "10"]], "tags": [["key": "team", "value": "risk"]],
            ]
            #expect(try await client.send(.post, "runs/log-batch", batch).status == .ok)
            let got = try await client.send(.get, "runs/get?run_id=\(runID)&run_uuid=\(runID)").json["run"]
            #expect(got?["data"]?["metrics"]?[0]?["value"] == "NaN")
            #expect(got?["data"]?["metrics"]?[1]?["value"]?.double ?? 0 >= 1.797e308)
            #expect(got?["data"]?["params"]?[0]?["value"] == "10")
            let tags = got?["data"]?["tags"]?.array ?? []
            #expect(tags.contains(["key": "mlflow.runName", "value": "rf"]))
            let history = try await client.send(.get, "metrics/get-history?run_id=\(runID)&metric_key=auc").json
            #expect(history["metrics"]?.array?.count == 2)
            let again = try await client.send(.post, "runs/log-parameter", ["run_id": .string(runID), "key": "depth",
                "value": "11"])
            #expect(again.status == .badRequest && again.code == "INVALID_PARAMETER_VALUE")
        }
    }

    @Test("errors carry MLflow's codes and name the field", arguments: [
        ("GET", "experiments/get?experiment_id=77", nil, 404, "RESOURCE_DOES_NOT_EXIST", "77"),
        ("GET", "experiments/get", nil, 400, "INVALID_PARAMETER_VALUE", "experiment_id"),
        ("POST", "experiments/create", #"{"name":"Default"}"#, 400, "RESOURCE_ALREADY_EXISTS", "Default"),
        ("POST", "experiments/create", #"{"name":""}"#, 400, "INVALID_PARAMETER_VALUE", "name"),
        ("POST", "experiments/create", #"{"name":"#, 400, "INVALID_PARAMETER_VALUE", "byte"),
        ("POST", "experiments/create", "[1]", 400, "INVALID_PARAMETER_VALUE", "object"),
        ("POST", "runs/log-metric", #"{"run_id":"r","key":"k","timestamp":1}"#, 400, "INVALID_PARAMETER_VALUE",
            "value"),
        ("POST", "runs/log-metric", #"{"run_id":"r","key":"k","value":"x","timestamp":1}"#, 400,
            "INVALID_PARAMETER_VALUE", "value"),
        ("POST", "runs/log-metric", #"{"run_id":"r","key":"k","value":1,"timestamp":1}"#, 404,
            "RESOURCE_DOES_NOT_EXIST", "r"),
        ("POST", "runs/search", #"{"experiment_ids":["0"],"max_results":50001}"#, 400, "INVALID_PARAMETER_VALUE",
            "max_results"),
        ("POST", "runs/search", #"{"experiment_ids":["0"],"filter":"metrics.a >"}"#, 400, "INVALID_PARAMETER_VALUE",
            "filter"),
        ("POST", "runs/search", #"{"experiment_ids":["0"],"page_token":"??"}"#, 400, "INVALID_PARAMETER_VALUE",
            "page_token"),
        ("POST", "runs/update", #"{"run_id":"../x","status":"FINISHED"}"#, 400, "INVALID_PARAMETER_VALUE", "run"),
        ("POST", "runs/update", #"{"run_id":"r","status":"DONE"}"#, 400, "INVALID_PARAMETER_VALUE", "status"),
        ("GET", "registered-models/get?name=none", nil, 404, "RESOURCE_DOES_NOT_EXIST", "none"),
        ("POST", "model-versions/transition-stage", #"{"name":"m","version":"1","stage":"Best"}"#, 400,
            "INVALID_PARAMETER_VALUE", "stage"),
        ("GET", "model-versions/get?name=m&version=x", nil, 400, "INVALID_PARAMETER_VALUE", "version"),
        ("GET", "no/such/thing", nil, 404, "ENDPOINT_NOT_FOUND", "no/such"),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts/nothing", nil, 404, "RESOURCE_DOES_NOT_EXIST", "nothing"),
        ("GET", "/api/2.0/mlflow-artifacts/presigned/x", nil, 501, "NOT_IMPLEMENTED", "presigned"),
    ] as [(String, String, String?, Int, String, String)])
    func errors(
        _ method: String, _ path: String, _ body: String?, _ status: Int, _ code: String, _ named: String
    ) async throws {
        try await withClient { client in
            let answer = try await client.send(
                HTTPRequest.Method(rawValue: method)!, path, bytes: body.map { Array($0.utf8) })
            #expect(answer.status.code == status)
            #expect(answer.code == code)
            if code != "NOT_IMPLEMENTED" { #expect(answer.text.contains(named)) }
        }
    }

    @Test("artifacts go up, are listed, come down whole and in ranges, and are deleted")
    func artifacts() async throws {
        try await withClient { client in
            let root = "/api/2.0/mlflow-artifacts/artifacts"
            let content = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
            #expect(try await client.send(.put, root + "/1/r/artifacts/a%20b.bin", bytes: content).status == .ok)
            let list = try await client.send(.get, root + "?path=1/r/artifacts").json
            #expect(list["files"]?[0] == ["path": "a b.bin", "is_dir": false, "file_size": 1_000_000])
            let whole = try await client.send(.get, root + "/1/r/artifacts/a%20b.bin")
            #expect(whole.bytes == content)
            let part = try await client.send(
                .get, root + "/1/r/artifacts/a%20b.bin", headers: [.range: "bytes=10-19"])
            #expect(part.status == .partialContent && part.bytes == Array(content[10..<20]))
            #expect(try await client.send(.delete, root + "/1/r/artifacts/a%20b.bin").status == .ok)
            #expect(try await client.send(.get, root + "/1/r/artifacts/a%20b.bin").status == .notFound)
        }
    }

    @Test("a range is answered as RFC 9110 says", arguments: [
        ("bytes=0-0", 206, 0..<1, "bytes 0-0/1000"), ("bytes=990-", 206, 990..<1000, "bytes 990-999/1000"),
        ("bytes=-10", 206, 990..<1000, "bytes 990-999/1000"), ("bytes=-5000", 206, 0..<1000, "bytes 0-999/1000"),
        ("bytes=500-5000", 206, 500..<1000, "bytes 500-999/1000"), ("bytes=1000-", 416, 0..<0, "bytes */1000"),
        ("bytes=-0", 416, 0..<0, "bytes */1000"), ("bytes=5-4", 200, 0..<1000, nil), ("bytes=0-1,5-6", 200, 0..<1000, nil),
        ("lines=1-2", 200, 0..<1000, nil), ("bytes=a-b", 200, 0..<1000, nil),
    ] as [(String, Int, Range<Int>, String?)])
    func ranges(_ asked: String, _ status: Int, _ expected: Range<Int>, _ described: String?) async throws {
        try await withClient { client in
            let path = "/api/2.0/mlflow-artifacts/artifacts/1/r"
            let content = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            _ = try await client.send(.put, path, bytes: content)
            let answer = try await client.send(.get, path, headers: [.range: asked])
            #expect(answer.status.code == status && answer.bytes == Array(content[expected]))
            #expect(answer.headers[.contentRange] == described && answer.headers[.acceptRanges] != "none")
        }
    }

    @Test("what comes is held against the digest that was sent with it, and what is given tells its own")
    func digests() async throws {
        try await withClient { client in
            let path = "/api/2.0/mlflow-artifacts/artifacts/1/checked"
            let (md5, sha256) = (HTTPField.Name("Content-MD5")!, HTTPField.Name("Repr-Digest")!)
            // Of the bytes 1, 2, 3.
            let right = "sha-256=:A5BYxvLAy0ksUzsKTRTvd8wPeKvMztUofYShogEc+4E=:"
            let wrong: [HTTPFields] = [
                [md5: "AAAAAAAAAAAAAAAAAAAAAA=="], [sha256: "sha-256=:\(String(repeating: "A", count: 43))=:"],
                [md5: "nonsense"], [sha256: "sha-256=:AAAA:"],
            ]
            for headers in wrong {
                let answer = try await client.send(.put, path, bytes: [1, 2, 3], headers: headers)
                #expect(answer.status == .badRequest && answer.code == "INVALID_PARAMETER_VALUE")
                #expect(try await client.send(.get, path).status == .notFound)
            }
            let headers: HTTPFields = [md5: "Uonfc331cyb83SJZevsfrA==", sha256: "sha-512=:x:, " + right]
            #expect(try await client.send(.put, path, bytes: [1, 2, 3], headers: headers).status == .ok)
            #expect(try await client.send(.get, path).headers[sha256] == right)
        }
    }

    @Test("a path that leads out of the store is refused", arguments: [
        "/%2e%2e/secret", "/a/..%2f..%2fsecret", "/%2fetc/passwd", "/a%5c..%5cb", "/a%00b", "/.incoming/x", "/%zz",
    ])
    func traversal(_ path: String) async throws {
        try await withClient { client in
            for method: HTTPRequest.Method in [.get, .put, .delete] {
                let answer = try await client.send(method, "/api/2.0/mlflow-artifacts/artifacts" + path,
                    bytes: method == .put ? [1] : nil)
                #expect(answer.status == .badRequest, "\(method) \(answer.text)")
            }
        }
    }

    @Test("a model is registered, staged with its predecessor archived, aliased and found")
    func registry() async throws {
        try await withClient { client in
            let model = try await client.send(.post, "logged-models", ["experiment_id": "0",
                "name": "model"]).json["model"]
            let id = try #require(model?["info"]?["model_id"]?.string)
            let done = try await client.send(.patch, "logged-models/\(id)", ["status": "LOGGED_MODEL_READY"]).json
            #expect(done["model"]?["info"]?["status"] == "LOGGED_MODEL_READY")
            #expect(try await client.send(.post, "registered-models/create", ["name": "fraud"]).status == .ok)
            for version in ["1", "2"] {
                let made = try await client.send(
                    .post, "model-versions/create", ["name": "fraud", "source": .string("models:/\(id)"),
                        "model_id": .string(id)])
                #expect(made.json["model_version"]?["version"]?.string == version)
                let moved = try await client.send(
                    .post, "model-versions/transition-stage",
                    ["name": "fraud", "version": .string(version), "stage": "production",
                        "archive_existing_versions": true])
                #expect(moved.json["model_version"]?["current_stage"] == "Production")
            }
            let first = try await client.send(.get, "model-versions/get?name=fraud&version=1").json
            #expect(first["model_version"]?["current_stage"] == "Archived")
            let latest = try await client.send(
                .get, "registered-models/get-latest-versions?name=fraud&stages=Production&stages=Archived").json
            #expect(latest["model_versions"]?.array?.count == 2)
            #expect(try await client.send(.post, "registered-models/alias", ["name": "fraud", "alias": "champion",
                "version": "2"]).status == .ok)
            let champion = try await client.send(.get, "registered-models/alias?name=fraud&alias=champion").json
            #expect(champion["model_version"]?["version"] == "2")
            let uri = try await client.send(.get, "model-versions/get-download-uri?name=fraud&version=2").json
            #expect(uri["artifact_uri"]?.string == "mlflow-artifacts:/0/models/\(id)/artifacts")
            let found = try await client.send(.get, "model-versions/search?filter=name%3D%27fraud%27").json
            #expect(found["model_versions"]?.array?.count == 2)
        }
    }
}
