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
            post(router, prefix + "get-online-features", online)
            post(router, prefix + "push", push)
            post(router, prefix + "write-to-online-store", write)
            post(router, prefix + "materialize") { call throws(AerieError) in
                try await materialize(call, isIncremental: false)
            }
            post(router, prefix + "materialize-incremental") { call throws(AerieError) in
                try await materialize(call, isIncremental: true)
            }
        }
    }

    /// A request that has been read.
    struct Call: Sendable {
        var body: JSONObject
        var namespace: String
        var isAsync: Bool
    }

    private func post<Context: RequestContext>(
        _ router: some RouterMethods<Context>, _ path: String,
        _ body: @escaping @Sendable (Call) async throws(AerieError) -> Response
    ) {
        router.post(RouterPath(path)) { request, context -> Response in
            do throws(AerieError) {
                let call = Call(
                    body: try await Self.object(request),
                    namespace: context.parameters.get("namespace") ?? "default",
                    isAsync: request.uri.queryParameters["async"].map { $0 == "true" } ?? false)
                return try await body(call)
            } catch { return Self.failure(error) }
        }
    }

    private static func object(_ request: Request) async throws(AerieError) -> JSONObject {
        let buffer: ByteBuffer
        do { buffer = try await request.body.collect(upTo: bodyLimit) } catch {
            throw AerieError(
                .resourceExhausted, "the request's body is longer than \(bodyLimit) bytes or was cut short",
                cause: error)
        }
        do throws(JSONError) {
            let value = try JSONValue.parse(Array(buffer.readableBytesView), allowsNonFinite: true)
            guard let object = value.object else { throw JSONError(offset: 0, problem: "an object was expected") }
            return object
        } catch { throw error.asAerieError(in: "request body") }
    }

    // MARK: Endpoints

    private func online(_ call: Call) async throws(AerieError) -> Response {
        let body = call.body
        guard let given = body["entities"]?.object else {
            throw AerieError(
                .invalidArgument, "entities: Field required", reason: "body.missing",
                details: [.init(field: "entities", problem: "Field required")])
        }
        let references = try Self.texts(body, "features")
        let selection = FeatureStore.Selection(
            references: references, service: try Self.text(body, "feature_service"),
            usesFullNames: try Self.flag(body, "full_feature_names"))
        let plan = try await store.plan(selection, namespace: call.namespace)
        let answer = try await store.read(
            plan, entities: try Self.columns(given, "entities"), isStrict: try Self.flag(body, "strict_statuses"))
        let views =
            try Self.flag(body, "include_feature_view_version_metadata") ? plan.viewNames : nil
        return Self.json(OnlineAnswerJSON.bytes(answer, views: views))
    }

    private func push(_ call: Call) async throws(AerieError) -> Response {
        let source = try Self.required(call.body, "push_source_name")
        let to = try Self.text(call.body, "to") ?? "online"
        guard ["online", "offline", "online_and_offline"].contains(to) else {
            throw .invalid(
                "to",
                "\(to) is not a supported push format. Please specify one of these ['online', 'offline', "
                    + "'online_and_offline'].")
        }
        guard to == "online" else {
            throw AerieError(
                .unsupported, "rows can be pushed to the online store only; write the source's files for the rest")
        }
        _ = try await store.push(source: source, columns: try Self.frame(call.body), namespace: call.namespace)
        return Response(status: .ok)
    }

    private func write(_ call: Call) async throws(AerieError) -> Response {
        let view = try Self.required(call.body, "feature_view_name")
        _ = try await store.write(view: view, columns: try Self.frame(call.body), namespace: call.namespace)
        return Self.json(Array("null".utf8))
    }

    private func materialize(_ call: Call, isIncremental: Bool) async throws(AerieError) -> Response {
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
        let reserved = try await store.reserve(views, from: start, to: end, namespace: call.namespace)
        if call.isAsync {
            Task {
                do throws(AerieError) { _ = try await reserved.run() } catch {
                    logger.error("materialization failed", metadata: ["error": "\(error)"])
                }
            }
            let names = reserved.views.map { JSONValue.string($0.definition.name) }
            let accepted: JSONValue = ["status": "accepted", "feature_views": .array(names)]
            return Self.json(Array(accepted.text().utf8), status: .accepted)
        }
        _ = try await reserved.run()
        return Self.json(Array("null".utf8))
    }

    static func json(_ bytes: [UInt8], status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
