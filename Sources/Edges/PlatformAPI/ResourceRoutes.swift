import AerieCore
import AerieJSON
import AerieResources
import HTTPTypes
import Hummingbird
import NIOCore

/// One object or the objects of one kind. The namespace `-` stands for all of them.
extension PlatformRoutes {
    func addResources(to api: RouterGroup<Context>) {
        api.get("kinds") { _, _ in
            Response(json: ["kinds": .array(resources.kinds.all.map(Self.describe))])
        }
        api.get("namespaces/:namespace/:kind") { request, context in
            try await list(request, context)
        }
        api.post("namespaces/:namespace/:kind") { request, context in
            let kind = try kind(context)
            let text = try await Self.body(request)
            let namespace = try namespace(context) ?? "default"
            let applied = try await resources.put(
                text, kind: kind.name, namespace: namespace, expecting: 0, dryRun: try Self.flag("dryRun", request),
                actor: Self.actor(request))
            return Response(json: applied.resource.json, status: .created)
        }
        api.get("namespaces/:namespace/:kind/:name") { request, context in
            let key = try key(context)
            if try Self.flag("watch", request) {
                return try watch(request, kind: key.kind, namespace: key.namespace, name: key.name)
            }
            return Response(json: try await resources.get(key).json)
        }
        api.put("namespaces/:namespace/:kind/:name") { request, context in
            let key = try key(context)
            let applied = try await resources.put(
                try await Self.body(request), key: key, namespace: key.namespace,
                dryRun: try Self.flag("dryRun", request), actor: Self.actor(request))
            return Response(json: applied.resource.json, status: applied.outcome == .created ? .created : .ok)
        }
        api.delete("namespaces/:namespace/:kind/:name") { request, context in
            let key = try key(context)
            if try Self.flag("dryRun", request) { return Response(json: try await resources.get(key).json) }
            return Response(json: try await resources.delete(key, actor: Self.actor(request)).json)
        }
        api.get("namespaces/:namespace/:kind/:name/audit") { _, context in
            let entries = try await resources.audit(try key(context))
            return Response(json: ["entries": .array(entries.map(Self.describe))])
        }
    }

    private func list(_ request: Request, _ context: Context) async throws -> Response {
        let kind = try kind(context)
        let namespace = try namespace(context)
        if try Self.flag("watch", request) {
            return try watch(request, kind: kind.name, namespace: namespace, name: nil)
        }
        let selector = request.uri.queryParameters["labelSelector"].map(String.init)
        // Before the listing: watching from here may show a change again, but never misses one.
        let sequence = try await resources.latestSequence()
        let found = try await resources.list(
            kind: kind.name, namespace: namespace, labels: try selector.map { try LabelSelector($0) })
        return Response(json: [
            "apiVersion": "aerie.dev/v1", "kind": "List", "metadata": ["resourceVersion": .string("\(sequence)")],
            "items": .array(found.map(\.json)),
        ])
    }

    /// One event a line, as they happen: `{"type": "ADDED", "sequence": …, "object": {…}}`. Ends when the server shuts
    /// down; the client then watches again after the last `sequence` it saw.
    private func watch(
        _ request: Request, kind: String, namespace: String?, name: String?
    ) throws(AerieError) -> Response {
        var after: Int64?
        if let version = request.uri.queryParameters["resourceVersion"], !version.isEmpty {
            guard let number = Int64(version), number >= 0 else {
                throw .invalid(
                    "resourceVersion", "\"\(version.prefix(40))\" is not a version that this server gave out")
            }
            after = number
        }
        let events = resources.watch(kind: kind, namespace: namespace, name: name, after: after)
        return Response(
            status: .ok, headers: [.contentType: "application/x-ndjson"],
            body: ResponseBody { writer in
                try await Self.untilClientLeaves(request) {
                    for await event in events {
                        let line: JSONValue = [
                            "type": .string(event.change.rawValue), "sequence": .int(event.sequence),
                            "object": event.resource.json,
                        ]
                        try await writer.write(ByteBuffer(string: line.text() + "\n"))
                    }
                }
                try await writer.finish(nil)
            })
    }

    // MARK: The address

    private func kind(_ context: Context) throws -> any ResourceKind {
        try resources.kinds.resolve(try context.part("kind"))
    }

    private func namespace(_ context: Context) throws -> String? {
        let namespace = try context.part("namespace")
        guard namespace != "-" else { return nil }
        if let problem = NameRules.problem(namespace: namespace) {
            throw AerieError.invalid("namespace", problem)
        }
        return namespace
    }

    private func key(_ context: Context) throws -> ResourceKey {
        let kind = try kind(context)
        guard let namespace = try namespace(context) else {
            throw AerieError.invalid("namespace", "one object was named, so its namespace must be, too")
        }
        return ResourceKey(kind: kind.name, namespace: namespace, name: try context.part("name"))
    }

    // MARK: JSON

    private static func describe(_ kind: any ResourceKind) -> JSONValue {
        [
            "name": .string(kind.name), "apiVersions": .array(kind.apiVersions.map { .string($0) }),
            "aliases": .array(kind.aliases.map { .string($0) }),
            "columns": .array(kind.columns.map { ["title": .string($0.title), "path": .string($0.path)] }),
        ]
    }

    private static func describe(_ entry: ResourceAuditEntry) -> JSONValue {
        [
            "sequence": .int(entry.sequence), "time": .string(entry.time.iso8601), "actor": .string(entry.actor),
            "action": .string(entry.action), "generation": .int(entry.generation),
        ]
    }
}
