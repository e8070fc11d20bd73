import AerieCore
import AerieJSON
public import HTTPTypes
public import Hummingbird
public import Registry

/// Who moved which version of a model to which stage, and when: `GET /api/aerie/v1/models/{name}/stage-history`.
///
/// `?version=3` asks for one version's, `?limit=20` for the newest so many (100, at most 10,000). The newest is first:
/// `{"transitions": [{"name", "version", "from", "to", "user", "timestamp"}]}`, with the time in milliseconds.
public struct StageHistoryRoutes<Context: RequestContext>: Sendable {
    private let registry: RegistryService

    public init(registry: RegistryService) { self.registry = registry }

    public func addRoutes(to router: some RouterMethods<Context>) {
        let api = router.group("api/aerie/v1").add(middleware: JSONErrorMiddleware())
        api.get("models/:name/stage-history") { request, context in try await history(request, context) }
    }

    private func history(_ request: Request, _ context: Context) async throws -> Response {
        let name = try context.part("name")
        let version = try Self.number("version", request)
        let limit = try Self.number("limit", request) ?? 100
        guard limit <= 10_000 else { throw AerieError.invalid("limit", "must be from 1 to 10000") }
        _ = try await registry.model(name)
        let transitions = try await registry.stageHistory(of: name, version: version, limit: limit)
        return Response(json: [
            "transitions": .array(
                transitions.map { one in
                    [
                        "name": .string(one.name), "version": .string("\(one.version)"),
                        "from": .string(one.from.rawValue), "to": .string(one.to.rawValue),
                        "user": .string(one.actor), "timestamp": .int(one.time.milliseconds),
                    ]
                })
        ])
    }

    private static func number(_ name: String, _ request: Request) throws(AerieError) -> Int? {
        guard let text = request.uri.queryParameters[name[...]] else { return nil }
        guard let number = Int(text), number > 0 else {
            throw .invalid(name, "\"\(text.prefix(40))\" is no whole number from 1 on")
        }
        return number
    }
}

/// Who asks, as the client itself says in `x-aerie-user`: for histories, and no proof of anything.
public enum RequestUser {
    /// - Returns: at most 100 characters; `local` if the client does not say.
    public static func name(_ head: HTTPRequest) -> String {
        guard let field = HTTPField.Name("x-aerie-user"), let name = head.headerFields[field], !name.isEmpty else {
            return "local"
        }
        return String(name.prefix(100))
    }
}
