public import AerieCore
import AerieJSON
public import Features
import HTTPTypes
public import Hummingbird
public import Logging
import NIOCore

/// Feast's feature server over HTTP, as `online_store: {type: remote}` of its Python SDK and people with `curl` use it.
///
/// At the root for the namespace `default`, and below `/feast/{namespace}` for every namespace. Bodies are those of
/// Feast 0.67; what it answers with 500 though the caller is at fault is a 4xx here, with the same body, as its client
/// tries a 5xx again and hides the words. Answers keep the order that was asked for.
public struct FeastRoutes: Sendable {
    /// Bytes of a request's body.
    static let bodyLimit = 256 << 20

    let store: FeatureStore
    let logger: Logger

    public init(store: FeatureStore, logger: Logger) {
        self.store = store
        self.logger = logger
    }

    public func register(on router: some RouterMethods<some RequestContext>) {
        for prefix in ["", "feast/:namespace/"] {
            for endpoint in Self.endpoints { post(router, prefix + endpoint) }
            let stores = prefix + VectorStoreCall.path
            get(router, stores)
            get(router, stores + "/:store")
            post(router, stores + "/:store/search")
        }
    }

    private static let endpoints = [
        "get-online-features", "push", "write-to-online-store", "materialize", "materialize-incremental", "search",
        "retrieve-online-documents",
    ]

    private func answer(_ endpoint: String, _ call: Call) async throws(AerieError) -> FeastReply {
        switch endpoint {
        case "get-online-features": try await online(call)
        case "push": try await push(call)
        case "write-to-online-store": try await write(call)
        case "materialize": try await materialize(call, isIncremental: false)
        case "materialize-incremental": try await materialize(call, isIncremental: true)
        case "search", "retrieve-online-documents": try await search(call)
        default: throw .notFound("there is nothing at \(endpoint)")
        }
    }

    /// Answers a request however it came.
    func reply(to endpoint: String, namespace: String, isAsync: Bool, body: [UInt8]) async -> FeastReply {
        if let call = VectorStoreCall(path: endpoint) { return await reply(to: call, namespace: namespace, body: body) }
        do throws(AerieError) {
            let call = Call(body: try Self.object(body), namespace: namespace, isAsync: isAsync)
            return try await answer(endpoint, call)
        } catch { return Self.failure(error) }
    }

    /// The plan for the next request that asks for the same; `nil` for what only the general way answers.
    func plan(for body: [UInt8], namespace: String, key: [UInt8]) async -> FeastPlan? {
        let count = store.changeCount
        guard let object = try? Self.object(body), let selection = try? Self.selection(object),
            let layout = try? await store.plan(selection, namespace: namespace).layout
        else { return nil }
        return FeastPlan(key: key, changeCount: count, layout: layout)
    }

    /// A request that has been read.
    struct Call: Sendable {
        var body: JSONObject
        var namespace: String
        var isAsync = false
    }

    private func get<Context: RequestContext>(_ router: some RouterMethods<Context>, _ path: String) {
        router.get(RouterPath(path)) { request, context -> Response in await reply(to: request, context, body: []) }
    }

    private func post<Context: RequestContext>(_ router: some RouterMethods<Context>, _ path: String) {
        router.post(RouterPath(path)) { request, context -> Response in
            let buffer: ByteBuffer
            do { buffer = try await request.body.collect(upTo: Self.bodyLimit) } catch {
                let words = "the request's body is longer than \(Self.bodyLimit) bytes or was cut short"
                return Self.failure(AerieError(.resourceExhausted, words, cause: error)).response
            }
            return await reply(to: request, context, body: Array(buffer.readableBytesView))
        }
    }

    private func reply(to request: Request, _ context: some RequestContext, body: [UInt8]) async -> Response {
        let namespace = context.parameters.get("namespace")
        // What stands behind the namespace, or at the root.
        let path = request.uri.path.split(separator: "/").dropFirst(namespace == nil ? 0 : 2)
        return await reply(
            to: path.joined(separator: "/"), namespace: namespace ?? "default",
            isAsync: request.uri.queryParameters["async"].map { $0 == "true" } ?? false, body: body
        ).response
    }

    static func object(_ body: [UInt8]) throws(AerieError) -> JSONObject {
        do throws(JSONError) {
            let value = try JSONValue.parse(body, allowsNonFinite: true)
            guard let object = value.object else { throw JSONError(offset: 0, problem: "an object was expected") }
            return object
        } catch { throw error.asAerieError(in: "request body") }
    }

    // MARK: Endpoints

    private func online(_ call: Call) async throws(AerieError) -> FeastReply {
        let body = call.body
        guard let given = body["entities"]?.object else {
            throw AerieError(
                .invalidArgument, "entities: Field required", reason: "body.missing",
                details: [.init(field: "entities", problem: "Field required")])
        }
        let plan = try await store.plan(try Self.selection(body), namespace: call.namespace)
        let answer = try await store.read(
            plan, entities: try Self.columns(given, "entities"), isStrict: try Self.flag(body, "strict_statuses"))
        let views =
            try Self.flag(body, "include_feature_view_version_metadata") ? plan.viewVersions : nil
        return Self.json(OnlineAnswerJSON.bytes(answer, views: views))
    }

    static func selection(_ body: JSONObject) throws(AerieError) -> FeatureStore.Selection {
        FeatureStore.Selection(
            references: try texts(body, "features"), service: try text(body, "feature_service"),
            usesFullNames: try flag(body, "full_feature_names"))
    }

    private func push(_ call: Call) async throws(AerieError) -> FeastReply {
        let source = try Self.required(call.body, "push_source_name")
        let to = try Self.text(call.body, "to") ?? "online"
        guard let target = PushTarget(rawValue: to) else {
            throw .invalid(
                "to",
                "\(to) is not a supported push format. Please specify one of these ['online', 'offline', "
                    + "'online_and_offline'].")
        }
        let notes = try await store.push(
            source: source, columns: try Self.frame(call.body), to: target, namespace: call.namespace)
        return notes.isEmpty ? .empty : Self.warnings(notes)
    }

    private func write(_ call: Call) async throws(AerieError) -> FeastReply {
        let view = try Self.required(call.body, "feature_view_name")
        let notes = try await store.write(
            view: view, columns: try Self.frame(call.body),
            computes: try Self.flag(call.body, "transform_on_write", unless: true), namespace: call.namespace)
        return notes.isEmpty ? Self.json(Array("null".utf8)) : Self.warnings(notes)
    }

    /// Feast answers a write with nothing, and its clients do not look at the answer's body.
    private static func warnings(_ notes: [String]) -> FeastReply {
        let body: JSONValue = ["warnings": .array(notes.map(JSONValue.string))]
        return json(body.utf8())
    }

    private func materialize(_ call: Call, isIncremental: Bool) async throws(AerieError) -> FeastReply {
        var views: [String]?
        if let names = call.body["feature_views"], !names.isNull { views = try Self.texts(call.body, "feature_views") }
        let now = SystemClock().now().milliseconds * 1000
        var start: Int64?
        var end = now
        if try Self.flag(call.body, "disable_event_timestamp") {
            start = 0
        } else {
            end = try Self.time(call.body, "end_ts")
            if !isIncremental { start = try Self.time(call.body, "start_ts") }
        }
        let reserved = try await store.reserve(
            views, version: try Self.text(call.body, "version").flatMap(FeatureName.version), from: start, to: end,
            namespace: call.namespace)
        if call.isAsync {
            Task {
                do throws(AerieError) { _ = try await reserved.run() } catch {
                    logger.error("materialization failed", metadata: ["error": "\(error)"])
                }
            }
            let names = reserved.views.map { JSONValue.string($0.definition.name) }
            let accepted: JSONValue = ["status": "accepted", "feature_views": .array(names)]
            return Self.json(Array(accepted.text().utf8), status: 202)
        }
        _ = try await reserved.run()
        return Self.json(Array("null".utf8))
    }

    static func json(_ bytes: [UInt8], status: Int = 200) -> FeastReply {
        FeastReply(status: status, body: bytes, isJSON: true)
    }
}
