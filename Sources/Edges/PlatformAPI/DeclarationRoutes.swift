import AerieCore
import AerieJSON
import AerieResources
import HTTPTypes
import Hummingbird

/// Whole texts of objects: `apply` and `diff`.
extension PlatformRoutes {
    func addDeclarations(to api: RouterGroup<Context>) {
        api.post("apply") { request, _ in
            let dryRun = try Self.flag("dryRun", request)
            let applied = try await resources.apply(
                try await Self.body(request), namespace: try Self.namespace(request), folder: try Self.folder(request),
                dryRun: dryRun, actor: Self.actor(request))
            return Response(json: ["dryRun": .bool(dryRun), "items": .array(applied.map { Self.describe($0) })])
        }
        api.post("diff") { request, _ in
            let applied = try await resources.apply(
                try await Self.body(request), namespace: try Self.namespace(request), folder: try Self.folder(request),
                dryRun: true, actor: Self.actor(request))
            let items = applied.map { Self.describe($0, ["diff": .string($0.diff)]) }
            return Response(json: ["items": .array(items)])
        }
    }

    /// `?namespace=` for objects that name none.
    private static func namespace(_ request: Request) throws(AerieError) -> String? {
        guard let namespace = request.uri.queryParameters["namespace"].map(String.init) else { return nil }
        if let problem = NameRules.problem(namespace: namespace) {
            throw .invalid("namespace", problem)
        }
        return namespace
    }

    /// `?folder=`, where the text's relative file paths count from.
    private static func folder(_ request: Request) throws(AerieError) -> String? {
        guard let folder = request.uri.queryParameters["folder"].map(String.init) else { return nil }
        guard folder.hasPrefix("/") else {
            throw .invalid("folder", "\"\(folder.prefix(200))\" is not an absolute path, such as /srv/features")
        }
        return folder
    }

    private static func describe(_ applied: AppliedResource, _ more: JSONObject = [:]) -> JSONValue {
        let key = applied.resource.key
        var object: JSONObject = [
            "kind": .string(key.kind), "namespace": .string(key.namespace), "name": .string(key.name),
            "outcome": .string(applied.outcome.rawValue),
            "warnings": .array(applied.warnings.map { .string($0) }),
            "impact": .array(applied.impact.map { .string($0) }),
            "resourceVersion": .string("\(applied.resource.metadata.resourceVersion)"),
        ]
        object.members += more.members
        return .object(object)
    }
}
