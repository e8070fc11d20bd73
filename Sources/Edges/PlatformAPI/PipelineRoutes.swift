import AerieCore
import AerieJSON
import AerieResources
import HTTPTypes
public import Hummingbird
import NIOCore
public import Pipelines

/// Pipeline runs over HTTP, under `/api/v1`: start, look, follow, cancel, retry, approve.
public struct PipelineRoutes<Context: RequestContext>: Sendable {
    private let runner: PipelineRunner

    public init(runner: PipelineRunner) { self.runner = runner }

    public func addRoutes(to router: some RouterMethods<Context>) {
        let api = router.group("api/v1").add(middleware: JSONErrorMiddleware())
        // The same shape as the resources' routes, so that neither hides the other.
        api.post("namespaces/:namespace/:kind/:name/runs") { request, context in try await start(request, context) }
        api.get("pipeline-runs") { request, _ in try await list(request) }
        let run = api.group("pipeline-runs/:id")
        run.get { _, context in Response(json: Self.describe(try await runner.run(try Self.id(context)))) }
        run.get("events") { request, context in try await events(request, context) }
        run.post("cancel") { _, context in Response(json: Self.describe(try await runner.cancel(try Self.id(context))))
        }
        run.post("retry") { _, context in Response(json: Self.describe(try await runner.retry(try Self.id(context)))) }
        run.get("steps/:step/log") { request, context in try await log(request, context) }
        for (verb, isApproved) in [("approve", true), ("reject", false)] {
            run.post("\(verb)") { request, context in
                try await decide(request, context, step: nil, isApproved: isApproved)
            }
            run.post("steps/:step/\(verb)") { request, context in
                try await decide(request, context, step: try context.part("step"), isApproved: isApproved)
            }
        }
    }

    /// `{"parameters": {…}}`; with `"pipeline": {a whole Pipeline}` that one runs, which need not have been applied.
    private func start(_ request: Request, _ context: Context) async throws -> Response {
        let kind = try context.part("kind")
        guard ["pipeline", "pipelines", "pl"].contains(kind.lowercased()) else {
            throw AerieError(
                .notFound, "\"\(kind.prefix(40))\" has no runs; only pipelines do", reason: "route.unknown")
        }
        let namespace = try context.part("namespace")
        let name = try context.part("name")
        let body = try await Self.body(request, known: ["parameters", "pipeline"])
        guard let parameters = (body["parameters"] ?? .object([:])).object else {
            throw AerieError.invalid("parameters", "must be an object: {\"name\": value}")
        }
        let actor = PlatformRoutes<Context>.actor(request)
        let run: PipelineRun
        if let inline = body["pipeline"] {
            run = try await runner.start(
                try Self.pipeline(inline, namespace: namespace, name: name), parameters: parameters, by: actor)
        } else {
            run = try await runner.start(namespace: namespace, pipeline: name, parameters: parameters, by: actor)
        }
        return Response(json: Self.describe(run), status: .created)
    }

    private static func pipeline(_ value: JSONValue, namespace: String, name: String) throws(AerieError) -> Resource {
        guard value["kind"]?.string == "Pipeline", value["apiVersion"]?.string == "aerie.dev/v1" else {
            throw .invalid("pipeline.kind", "must be a Pipeline of apiVersion aerie.dev/v1")
        }
        guard value["metadata"]?["name"]?.string == name else {
            throw .invalid("pipeline.metadata.name", "must be '\(name)', as in the address")
        }
        guard let spec = value["spec"]?.object else { throw .invalid("pipeline.spec", "is required and an object") }
        return Resource(
            apiVersion: "aerie.dev/v1", kind: "Pipeline", metadata: ResourceMetadata(name: name, namespace: namespace),
            spec: spec)
    }

    /// `?pipeline=&namespace=&state=running,waiting&limit=&before=RUN`, newest first.
    private func list(_ request: Request) async throws -> Response {
        let query = request.uri.queryParameters
        var filter = PipelineRunFilter(
            namespace: query["namespace"].map(String.init), pipeline: query["pipeline"].map(String.init),
            before: query["before"].map(String.init))
        for word in query["state"]?.split(separator: ",") ?? [] {
            guard let state = PipelineRun.State(rawValue: String(word)) else {
                let known = PipelineRun.State.allCases.map(\.rawValue).joined(separator: ", ")
                throw AerieError.invalid("state", "\"\(word.prefix(40))\" is no state; there are \(known)")
            }
            filter.states.insert(state)
        }
        if let limit = try Self.number("limit", request) {
            guard (1...1000).contains(limit) else { throw AerieError.invalid("limit", "must be from 1 to 1000") }
            filter.limit = Int(limit)
        }
        let runs = try await runner.runs(filter)
        var answer: JSONObject = ["items": .array(runs.map { Self.describe($0) })]
        if runs.count == filter.limit { answer["next"] = runs.last.map { .string($0.id) } }
        return Response(json: .object(answer))
    }

    /// From `?offset=` on, as text with `X-Next-Offset` and `X-Log-Complete`; as JSON if that is asked for.
    private func log(_ request: Request, _ context: Context) async throws -> Response {
        let chunk = try await runner.log(
            run: try Self.id(context), step: try context.part("step"),
            offset: try Self.number("offset", request) ?? 0)
        if request.headers[.accept]?.contains("application/json") == true {
            return Response(json: [
                "text": .string(chunk.text), "nextOffset": .int(chunk.nextOffset), "complete": .bool(chunk.isComplete),
            ])
        }
        var headers: HTTPFields = [.contentType: "text/plain; charset=utf-8"]
        if let name = HTTPField.Name("x-next-offset") { headers[name] = "\(chunk.nextOffset)" }
        if let name = HTTPField.Name("x-log-complete") { headers[name] = "\(chunk.isComplete)" }
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: chunk.text)))
    }

    private func decide(_ request: Request, _ context: Context, step: String?, isApproved: Bool) async throws
        -> Response
    {
        let id = try Self.id(context)
        let body = try await Self.body(request, known: ["comment"])
        guard let comment = (body["comment"] ?? .string("")).string, comment.utf8.count <= 10_000 else {
            throw AerieError.invalid("comment", "must be a string of at most 10,000 bytes")
        }
        let decided = try await runner.decide(
            run: id, step: step, isApproved: isApproved, by: PlatformRoutes<Context>.actor(request), comment: comment)
        return Response(json: ["run": .string(id), "step": .string(decided), "approved": .bool(isApproved)])
    }

    /// Lines of JSON: first the whole run, then each change as it happens, until the run has ended.
    private func events(_ request: Request, _ context: Context) async throws -> Response {
        let id = try Self.id(context)
        // Listening comes before looking: a change in between is told twice, but never lost.
        let events = runner.events(run: id)
        let now = try await runner.run(id)
        return Response(
            status: .ok, headers: [.contentType: "application/x-ndjson"],
            body: ResponseBody { writer in
                try await writer.write(Self.line(["type": "run", "run": Self.describe(now)]))
                if !now.state.isFinal {
                    try await PlatformRoutes<Context>.untilClientLeaves(request) {
                        for await event in events {
                            try await writer.write(Self.line(.object(event.json)))
                            if case .run(let run) = event, run.state.isFinal { break }
                        }
                    }
                }
                try await writer.finish(nil)
            })
    }

    private static func line(_ value: JSONValue) -> ByteBuffer { ByteBuffer(string: value.text() + "\n") }

    private static func describe(_ run: PipelineRun) -> JSONValue { .object(run.json(includesSpec: false)) }

    private static func id(_ context: Context) throws -> String { try context.part("id") }

    private static func number(_ name: String, _ request: Request) throws(AerieError) -> Int64? {
        guard let text = request.uri.queryParameters[name[...]] else { return nil }
        guard let number = Int64(text), number >= 0 else {
            throw .invalid(name, "\"\(text.prefix(40))\" is no whole number from 0 on")
        }
        return number
    }

    /// An object with known members; an empty body is an empty one.
    private static func body(_ request: Request, known: [String]) async throws -> JSONObject {
        let text = try await PlatformRoutes<Context>.body(request)
        guard text.contains(where: { !$0.isWhitespace }) else { return [:] }
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(text) } catch {
            throw error.asAerieError(in: "the request body")
        }
        guard let object = value.object else { throw AerieError.invalid("", "the request body must be a JSON object") }
        for key in object.keys where !known.contains(key) {
            throw AerieError.invalid(key, "unknown member; there are \(known.joined(separator: ", "))")
        }
        return object
    }
}
