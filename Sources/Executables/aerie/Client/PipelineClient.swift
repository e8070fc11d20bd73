import AerieCore
import AerieJSON
import Pipelines

/// The pipeline part of the platform API.
struct PipelineClient: Sendable {
    let client: PlatformClient

    func start(_ name: String, namespace: String, parameters: JSONObject) async throws(AerieError) -> PipelineRun {
        let path = "/api/v1/namespaces/\(try Self.plain(namespace, "namespace"))/pipelines/\(try Self.plain(name, "pipeline"))/runs"
        let body = JSONValue.object(["parameters": .object(parameters)])
        return try Self.run(try await client.post(path, body: body.text(), type: "application/json"))
    }

    func runs(pipeline: String?, namespace: String?, limit: Int) async throws(AerieError) -> [JSONValue] {
        var query = [("limit", "\(limit)")]
        if let pipeline { query.append(("pipeline", pipeline)) }
        if let namespace { query.append(("namespace", namespace)) }
        return try await client.get("/api/v1/pipeline-runs", query: query)["items"]?.array ?? []
    }

    func json(_ id: String) async throws(AerieError) -> JSONValue { try await client.get(try path(id)) }

    func run(_ id: String) async throws(AerieError) -> PipelineRun { try Self.run(try await json(id)) }

    /// - Parameter verb: `cancel` or `retry`.
    func change(_ id: String, _ verb: String) async throws(AerieError) -> PipelineRun {
        try Self.run(try await client.post(try path(id) + "/\(verb)", type: "application/json"))
    }

    /// - Returns: the step's name.
    func decide(_ verb: String, run: String, step: String?, comment: String) async throws(AerieError) -> String {
        let middle = try step.map { step throws(AerieError) in "/steps/\(try Self.plain(step, "step"))" } ?? ""
        let body = JSONValue.object(["comment": .string(comment)]).text()
        let answer = try await client.post(try path(run) + "\(middle)/\(verb)", body: body, type: "application/json")
        return answer["step"]?.string ?? step ?? ""
    }

    func log(_ id: String, step: String, offset: Int64) async throws(AerieError) -> StepLogChunk {
        let answer = try await client.get(
            try path(id) + "/steps/\(try Self.plain(step, "step"))/log", query: [("offset", "\(offset)")])
        return StepLogChunk(
            text: answer["text"]?.string ?? "", nextOffset: answer["nextOffset"]?.int ?? offset,
            isComplete: answer["complete"]?.bool ?? true)
    }

    func events(_ id: String, each: (JSONValue) -> Void) async throws(AerieError) {
        try await client.stream(try path(id) + "/events") { (event) async throws(AerieError) in each(event) }
    }

    private func path(_ id: String) throws(AerieError) -> String { "/api/v1/pipeline-runs/\(try Self.plain(id, "run"))" }

    static func run(_ value: JSONValue) throws(AerieError) -> PipelineRun { try PipelineRun(json: value.object ?? [:]) }

    /// What becomes part of an address must not be able to change it.
    private static func plain(_ text: String, _ what: String) throws(AerieError) -> String {
        guard !text.isEmpty, text != ".", text != "..",
            text.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) })
        else { throw .invalid(what, "\"\(text)\" may hold only letters, digits, '-', '_' and '.'") }
        return text
    }
}
