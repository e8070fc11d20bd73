import AerieCore
import AerieJSON
import AerieResources
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import Pipelines
import PlatformAPI
import StoreSQLite
import Testing

@Suite("Pipeline runs over HTTP") struct PipelineRoutesTests {
    private struct Work: Step {
        var name: String { "work" }
        var parameters: FieldSchema { .object([Field("n", .anyInteger)]) }
        var outputs: [String] { ["n"] }
        var placement: StepPlacement { .server }
        var isCacheable: Bool { false }
        func run(_ context: StepContext) async throws(AerieError) -> StepResult {
            context.log("n is \(context.parameters["n"]?.text() ?? "?")")
            return StepResult(values: ["n": context.parameters["n"] ?? .null])
        }
    }

    private struct Gate: Step {
        var name: String { "gate" }
        var parameters: FieldSchema { .object([]) }
        var outputs: [String] { [] }
        var placement: StepPlacement { .server }
        var isCacheable: Bool { false }
        func run(_ context: StepContext) async throws(AerieError) -> StepResult {
            while !Task.isCancelled {
                if let decision = try await context.services?.decision(runID: context.runID, step: context.step) {
                    if decision.isApproved { return StepResult() }
                    throw AerieError(.failedPrecondition, "rejected by \(decision.by): \(decision.comment)")
                }
                try? await Task.sleep(for: .milliseconds(10))
            }
            throw AerieError(.cancelled, "cancelled")
        }
    }

    private struct NoExecutor: StepExecutor {
        func run(
            _ job: StepJob, log: @escaping @Sendable (String) -> Void,
            progress: @escaping @Sendable (Double, String) -> Void
        ) async throws(AerieError) -> StepResult { throw AerieError(.unsupported, "no processes here") }
    }

    /// Knows the one pipeline `demo`.
    private struct Services: PlatformServices {
        func resource(_ key: ResourceKey) async throws(AerieError) -> Resource {
            guard key.name == "demo" else { throw .notFound("there is no \(key)") }
            let steps: JSONValue = [
                ["name": "a", "uses": "work", "with": ["n": "${parameters.n}"]],
                ["name": "ok", "uses": "gate", "needs": ["a"]],
            ]
            return Resource(
                apiVersion: "aerie.dev/v1", kind: "Pipeline", metadata: ResourceMetadata(name: "demo"),
                spec: ["parameters": ["n": 1], "steps": steps])
        }
        func findRun(experiment: String, tag: String, value: String) async throws(AerieError) -> String? { nil }
        func startRun(experiment: String, name: String, tags: [String: String]) async throws(AerieError) -> String {
            ""
        }
        func log(run: String, params: [String: String], metrics: [StepMetric], tags: [String: String])
            async throws(AerieError)
        {}
        func logArtifact(run: String, path: String, from local: String) async throws(AerieError) {}
        func finishRun(run: String, succeeded: Bool) async throws(AerieError) {}
        func registerModel(name: String, run: String, artifactPath: String, description: String, tags: [String: String])
            async throws(AerieError) -> String
        { "1" }
        func transition(model: String, version: String, stage: String, archiveExisting: Bool) async throws(AerieError) {
        }
        func apply(_ resource: Resource, timeout: Duration) async throws(AerieError) {}
        func decision(runID: String, step: String) async throws(AerieError) -> StepDecision? { nil }
    }

    private static func withServer(_ body: @Sendable (Client) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "aerie-pipeline-routes-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let database = try MetadataDatabase(
            path: folder + "/metadata.db", migrations: SQLitePipelineRunStore.migrations)
        let runner = PipelineRunner(
            configuration: .init(folder: folder + "/pipelines"), catalog: StepCatalog([Work(), Gate()]),
            store: SQLitePipelineRunStore(database), executor: NoExecutor(), services: Services(), logger: logger)
        let router = Router()
        PipelineRoutes(runner: runner).addRoutes(to: router)
        try await Application(router: router, logger: logger).test(.router) { client in
            try await body(Client(client: client))
        }
        await runner.stop()
    }

    private struct Client: Sendable {
        let client: any TestClientProtocol

        func send(
            _ method: HTTPRequest.Method, _ path: String, _ body: String = "", accept: String = "application/json"
        ) async throws
            -> (status: Int, json: JSONValue, text: String, headers: HTTPFields)
        {
            try await client.execute(
                uri: "/api/v1/\(path)", method: method, headers: [.accept: accept], body: ByteBuffer(string: body)
            ) { response in
                let text = String(buffer: response.body)
                return (response.status.code, (try? JSONValue.parse(text)) ?? .null, text, response.headers)
            }
        }

        func start(_ body: String = "") async throws -> String {
            let answer = try await send(.post, "namespaces/default/pipelines/demo/runs", body)
            #expect(answer.status == 201, "\(answer.text)")
            return answer.json["id"]?.string ?? ""
        }

        func wait(_ id: String, for state: String) async throws -> JSONValue {
            for _ in 0..<2000 {
                let run = try await send(.get, "pipeline-runs/\(id)").json
                if run["state"]?.string == state { return run }
                try await Task.sleep(for: .milliseconds(5))
            }
            return try await send(.get, "pipeline-runs/\(id)").json
        }
    }

    @Test("a run is started with parameters, waits, is approved, and its log can be read")
    func lifeCycle() async throws {
        try await Self.withServer { client in
            let id = try await client.start(#"{"parameters": {"n": "7"}}"#)
            let waiting = try await client.wait(id, for: "waiting")
            #expect(waiting["steps"]?[0]?["values"]?["n"] == 7)
            #expect(waiting["spec"] == nil)
            let text = try await client.send(.get, "pipeline-runs/\(id)/steps/a/log", accept: "text/plain")
            #expect(text.text.contains("n is 7"))
            let next = try #require(HTTPField.Name("x-next-offset").flatMap { text.headers[$0] })
            let rest = try await client.send(.get, "pipeline-runs/\(id)/steps/a/log?offset=\(next)")
            #expect(rest.json["text"] == "" && rest.json["complete"] == true)
            #expect(
                try await client.send(.post, "pipeline-runs/\(id)/steps/ok/approve", #"{"comment": "good"}"#).json[
                    "approved"] == true)
            #expect(try await client.wait(id, for: "succeeded")["state"] == "succeeded")
            let events = try await client.send(.get, "pipeline-runs/\(id)/events").text
            #expect(events.hasPrefix(#"{"type":"run""#) && events.split(separator: "\n").count == 1)
        }
    }

    @Test("events tell the whole run first and end with it")
    func events() async throws {
        try await Self.withServer { client in
            let id = try await client.start()
            _ = try await client.wait(id, for: "waiting")
            async let lines = client.send(.get, "pipeline-runs/\(id)/events").text
            try await Task.sleep(for: .milliseconds(50))
            _ = try await client.send(.post, "pipeline-runs/\(id)/reject", #"{"comment": "no"}"#)
            let events = try await lines.split(separator: "\n").map { try JSONValue.parse(String($0)) }
            #expect(events.first?["run"]?["steps"]?.array?.count == 2)
            #expect(events.last?["run"]?["state"] == "failed")
            #expect(events.last?["run"]?["message"]?.string?.contains(": no") == true)
        }
    }

    @Test("cancel, retry, list and an inline pipeline")
    func commands() async throws {
        try await Self.withServer { client in
            let id = try await client.start()
            _ = try await client.wait(id, for: "waiting")
            #expect(try await client.send(.post, "pipeline-runs/\(id)/cancel").status == 200)
            _ = try await client.wait(id, for: "cancelled")
            #expect(try await client.send(.post, "pipeline-runs/\(id)/retry").json["state"] != "cancelled")
            _ = try await client.wait(id, for: "waiting")
            let inline =
                #"{"pipeline": {"apiVersion": "aerie.dev/v1", "kind": "Pipeline", "metadata": {"name": "x"}, "spec": {"steps": [{"name": "only", "uses": "work"}]}}}"#
            let other =
                try await client.send(.post, "namespaces/team/pipelines/x/runs", inline).json["id"]?.string ?? ""
            _ = try await client.wait(other, for: "succeeded")
            func listed(_ query: String) async throws -> [String] {
                (try await client.send(.get, "pipeline-runs\(query)").json["items"]?.array ?? []).compactMap {
                    $0["id"]?.string
                }
            }
            #expect(try await listed("") == [other, id])
            #expect(try await listed("?pipeline=demo") == [id])
            #expect(try await listed("?namespace=team&state=succeeded") == [other])
            #expect(try await listed("?limit=1&before=\(other)") == [id])
        }
    }

    @Test(
        "wrong requests are answered with their code and place",
        arguments: [
            ("POST", "namespaces/default/pipelines/nope/runs", "", 404, ""),
            ("POST", "namespaces/default/entities/demo/runs", "", 404, ""),
            ("POST", "namespaces/default/pipelines/demo/runs", "{", 400, "the request body"),
            ("POST", "namespaces/default/pipelines/demo/runs", "[]", 400, ""),
            ("POST", "namespaces/default/pipelines/demo/runs", #"{"params": {}}"#, 400, "params"),
            ("POST", "namespaces/default/pipelines/demo/runs", #"{"parameters": []}"#, 400, "parameters"),
            ("POST", "namespaces/default/pipelines/demo/runs", #"{"parameters": {"m": 1}}"#, 400, "parameters.m"),
            ("POST", "namespaces/default/pipelines/demo/runs", #"{"parameters": {"n": "x"}}"#, 400, "parameters.n"),
            ("POST", "namespaces/default/pipelines/demo/runs", #"{"pipeline": {"kind": "Job"}}"#, 400, "pipeline.kind"),
            ("GET", "pipeline-runs/none", "", 404, ""), ("GET", "pipeline-runs/none/events", "", 404, ""),
            ("GET", "pipeline-runs?state=done", "", 400, "state"), ("GET", "pipeline-runs?limit=0", "", 400, "limit"),
            ("GET", "pipeline-runs?limit=many", "", 400, "limit"), ("GET", "pipeline-runs?before=none", "", 404, ""),
            ("POST", "pipeline-runs/none/cancel", "", 404, ""), ("POST", "pipeline-runs/none/retry", "", 404, ""),
            ("GET", "pipeline-runs/RUN/steps/none/log", "", 404, ""),
            ("GET", "pipeline-runs/RUN/steps/a/log?offset=-1", "", 400, "offset"),
            ("POST", "pipeline-runs/RUN/steps/a/approve", "", 412, ""),
            ("POST", "pipeline-runs/RUN/steps/none/reject", "", 404, ""),
            ("POST", "pipeline-runs/RUN/approve", #"{"comment": 5}"#, 400, "comment"),
            ("POST", "pipeline-runs/RUN/retry", "", 412, ""),
        ])
    func wrong(_ method: String, _ path: String, _ body: String, _ status: Int, _ field: String) async throws {
        try await Self.withServer { client in
            let id = try await client.start()
            _ = try await client.wait(id, for: "waiting")
            let verb: HTTPRequest.Method = method == "POST" ? .post : .get
            let answer = try await client.send(verb, path.replacingOccurrences(of: "RUN", with: id), body)
            #expect(answer.status == status, "\(answer.text)")
            #expect(answer.json["error"]?["message"]?.string?.isEmpty == false)
            if !field.isEmpty {
                #expect(answer.json["error"]?["details"]?[0]?["field"]?.string == field, "\(answer.text)")
            }
        }
    }
}
