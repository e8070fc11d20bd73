public import AerieCore
import AerieJSON
public import AerieResources
import HTTPTypes
public import Hummingbird
import NIOCore

/// One thing that must work before the process takes requests.
public struct ReadinessCheck: Sendable {
    public var name: String
    /// `nil` if it works, else what is wrong.
    public var check: @Sendable () async -> String?

    public init(_ name: String, _ check: @escaping @Sendable () async -> String?) {
        self.name = name
        self.check = check
    }
}

/// Aerie's own REST API: resources, health and metrics.
public struct PlatformRoutes<Context: RequestContext>: Sendable {
    /// Bytes of a request body.
    public static var maximumBody: Int { 4 << 20 }

    let resources: ResourceService
    private let readiness: [ReadinessCheck]
    private let metrics: @Sendable () async -> String

    /// - Parameters:
    ///   - readiness: asked at each `/readyz`, one after the other; they should take milliseconds.
    ///   - metrics: the exposition text of `/metrics`.
    public init(
        resources: ResourceService, readiness: [ReadinessCheck] = [], metrics: @escaping @Sendable () async -> String
    ) {
        self.resources = resources
        self.readiness = readiness
        self.metrics = metrics
    }

    /// Adds `/healthz`, `/readyz`, `/metrics` and everything about resources under `/api/v1`.
    public func addRoutes(to router: some RouterMethods<Context>) {
        addHealth(to: router)
        let api = router.group("api/v1").add(middleware: JSONErrorMiddleware())
        addResources(to: api)
        addDeclarations(to: api)
        // Whatever else is asked for below this path is answered as JSON, too.
        for method in [HTTPRequest.Method.get, .post, .put, .patch, .delete] {
            api.on("**", method: method) { _, _ -> Response in throw HTTPError(.notFound) }
        }
    }

    private func addHealth(to router: some RouterMethods<Context>) {
        router.get("healthz") { _, _ in Self.text("ok\n") }
        router.get("readyz") { _, _ in
            var problems: [String] = []
            for check in readiness {
                if let problem = await check.check() { problems.append("\(check.name): \(problem)") }
            }
            return problems.isEmpty
                ? Self.text("ready\n")
                : Self.text(problems.joined(separator: "\n") + "\n", status: .serviceUnavailable)
        }
        router.get("metrics") { _, _ in
            Self.text(await metrics(), type: "text/plain; version=0.0.4; charset=utf-8")
        }
    }

    private static func text(
        _ text: String, type: String = "text/plain; charset=utf-8", status: HTTPResponse.Status = .ok
    ) -> Response {
        Response(
            status: status, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    // MARK: What handlers need

    /// Who asks, for the audit trail: what the client calls itself. There is no authentication yet.
    static func actor(_ request: Request) -> String {
        guard let field = HTTPField.Name("x-aerie-user"), let name = request.headers[field], !name.isEmpty else {
            return "anonymous"
        }
        return String(name.prefix(100))
    }

    static func body(_ request: Request) async throws -> String {
        let buffer = try await request.body.collect(upTo: maximumBody)
        guard let text = String(validating: buffer.readableBytesView, as: UTF8.self) else {
            throw AerieError.invalid("", "the request body is not UTF-8")
        }
        return text
    }

    /// Cancels endless work when the connection closes: without anything to write, nothing else would show it.
    /// - Precondition: the request's body is not read before or after.
    static func untilClientLeaves(_ request: Request, _ work: () async throws -> Void) async throws {
        try await request.body.consumeWithCancellationOnInboundClose { _ in try await work() }
    }

    /// `?name=true`, `?name` and `?name=All` mean yes.
    static func flag(_ name: String, _ request: Request) throws(AerieError) -> Bool {
        guard let value = request.uri.queryParameters[name[...]] else { return false }
        switch value.lowercased() {
        case "", "true", "1", "all": return true
        case "false", "0": return false
        default: throw .invalid(name, "\"\(value.prefix(40))\" is neither true nor false")
        }
    }
}
