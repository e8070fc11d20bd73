import AerieCore
import AerieJSON
import AerieResources
import Features
import HTTPTypes
import Hummingbird

/// The versions of a definition: `GET …/definitions/featureview/NAME/versions`, `…/diff?from=1&to=2`, and
/// `POST …/restore?version=1`.
extension FeatureRoutes {
    func addDefinitions(to api: RouterGroup<Context>) {
        api.get("definitions/:kind/:name/versions") { request, context in
            let key = try key(request, context)
            let numbers = try await store.versionNumbers(key)
            let versions = try await resources.versions(key).enumerated().map { place, version in
                Self.describe(version, view: numbers.indices.contains(place) ? numbers[place] : nil)
            }
            return Response(json: ["versions": .array(versions)])
        }
        api.get("definitions/:kind/:name/diff") { request, context in
            let key = try key(request, context)
            let diff = try await resources.difference(
                of: key, from: try Self.number("from", request), to: try Self.number("to", request))
            return Response(json: ["diff": .string(diff)])
        }
        api.post("definitions/:kind/:name/restore") { request, context in
            let applied = try await resources.restore(
                try Self.number("version", request), of: try key(request, context),
                actor: PlatformRoutes<Context>.actor(request))
            return Response(json: [
                "outcome": .string(applied.outcome.rawValue), "warnings": .array(applied.warnings.map { .string($0) }),
            ])
        }
    }

    /// - Parameter number: which version of a view's rows it belongs to, where these are kept apart.
    private static func describe(_ version: ResourceVersion, view number: Int?) -> JSONValue {
        var object: JSONObject = [
            "version": .int(Int64(version.number)), "time": .int(version.time.milliseconds),
            "actor": .string(version.actor), "current": .bool(version.isCurrent), "declaration": version.declaration,
        ]
        if let number { object["feature_view_version"] = .int(Int64(number)) }
        return .object(object)
    }

    private func key(_ request: Request, _ context: Context) throws -> ResourceKey {
        let kind = try resources.kinds.resolve(try context.part("kind"))
        return ResourceKey(
            kind: kind.name, namespace: Self.namespace(request), name: try context.part("name"))
    }

    private static func number(_ name: String, _ request: Request) throws(AerieError) -> Int {
        guard let number = request.uri.queryParameters[name[...]].flatMap({ Int($0) }) else {
            throw .invalid(name, "names the number of a version")
        }
        return number
    }
}
