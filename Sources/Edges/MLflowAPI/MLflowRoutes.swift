public import AerieCore
import AerieJSON
public import Experiments
public import HTTPTypes
public import Hummingbird
public import Logging
import NIOCore
public import Registry
public import Webhooks

/// MLflow's REST API, as the unmodified Python client speaks it.
///
/// Every endpoint is decode, one call of a capability, encode. The paths are served below `/api/2.0` and
/// `/ajax-api/2.0`, and below `3.0` of both, as clients use either. Bodies of JSON are limited to 16 MiB; artifacts are
/// streamed and have no limit.
public struct MLflowRoutes: Sendable {
    let experiments: ExperimentService
    let registry: RegistryService
    let traces: TraceService
    let artifacts: any ArtifactStore
    let webhooks: WebhookService?
    let logger: Logger
    let actor: @Sendable (HTTPRequest) -> String

    /// The version of the protocol that clients are told.
    public static let version = "3.18.0"
    static let jsonLimit = 16 << 20

    /// - Parameter actor: who sends a request, for the history of stages; called once a request that changes one.
    public init(
        experiments: ExperimentService, registry: RegistryService, traces: TraceService,
        artifacts: any ArtifactStore, webhooks: WebhookService? = nil,
        logger: Logger = Logger(label: "aerie.mlflow"),
        actor: @escaping @Sendable (HTTPRequest) -> String = { _ in "local" }
    ) {
        self.experiments = experiments
        self.registry = registry
        self.traces = traces
        self.artifacts = artifacts
        self.webhooks = webhooks
        self.logger = logger
        self.actor = actor
    }

    /// Adds the endpoints to a router, with `GET /health` and `GET /version`, which clients ask for.
    public func register<Context: RequestContext>(on router: Router<Context>) {
        router.get("/health") { _, _ in "OK" }
        router.get("/version") { _, _ in Self.version }
        router.post("/v1/traces") { request, _ in
            do throws(AerieError) { return try await SpanIntake.handle(request, self) } catch {
                return failure(error, request)
            }
        }
        for prefix in ["/api/2.0", "/ajax-api/2.0", "/api/3.0", "/ajax-api/3.0"] {
            for endpoint in Endpoint.all {
                router.on(RouterPath(prefix + endpoint.path), method: endpoint.method) { request, context in
                    await answer(request, context, endpoint)
                }
            }
            registerArtifacts(on: router, prefix: prefix)
            for method: HTTPRequest.Method in [.get, .post, .put, .patch, .delete] {
                router.on(RouterPath(prefix + "/mlflow/**"), method: method) { request, _ in
                    Self.response(
                        .notFound, code: "ENDPOINT_NOT_FOUND",
                        "No endpoint \(request.method.rawValue) \(request.uri.path) is served here")
                }
            }
        }
    }

    private func answer<Context: RequestContext>(
        _ request: Request, _ context: Context,
        _ endpoint: Endpoint
    ) async -> Response {
        do throws(AerieError) {
            let body = try await Call.body(of: request)
            if let answer = try await endpoint.shortcut?(self, body) { return Self.response(.ok, answer) }
            let call = try Call(request.head, body: body, parameters: context.parameters, actor: actor)
            return Self.response(.ok, try await endpoint.handle(self, call))
        } catch {
            return failure(error, request)
        }
    }

    func failure(_ error: AerieError, _ request: Request) -> Response {
        let mapped = error.mlflow
        if mapped.status.code >= 500 && error.code != .unsupported || error.code == .dataLoss {
            logger.error(
                "request failed",
                metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
        }
        return Self.response(mapped.status, code: mapped.code, error.message)
    }

    static func response(_ status: HTTPResponse.Status, code: String, _ message: String) -> Response {
        response(status, ["error_code": .string(code), "message": .string(message)])
    }

    static func response(_ status: HTTPResponse.Status, _ body: JSONObject) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: JSONValue.object(body).utf8())))
    }
}

/// One endpoint: a path below the prefix, and what it does.
struct Endpoint: Sendable {
    typealias Handler = @Sendable (MLflowRoutes, Call) async throws(AerieError) -> JSONObject
    let method: HTTPRequest.Method
    let path: String
    /// Answers a body in the plain form that clients write without building its fields; `nil` where it is not.
    let shortcut: (@Sendable (MLflowRoutes, ByteBuffer) async throws(AerieError) -> JSONObject?)?
    let handle: Handler

    init(
        _ method: HTTPRequest.Method, _ path: String,
        shortcut: (@Sendable (MLflowRoutes, ByteBuffer) async throws(AerieError) -> JSONObject?)? = nil,
        _ handle: @escaping Handler
    ) {
        self.method = method
        self.path = path
        self.shortcut = shortcut
        self.handle = handle
    }

    static let all: [Endpoint] = experiments + runs + loggedModels + registry + versions + traces + webhooks + server
}
