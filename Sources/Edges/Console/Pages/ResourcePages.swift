import AerieCore
import AerieJSON
import AerieResources
import AerieYAML

/// Everything that has been declared: features, suites, pipelines, deployments, with their status and their history.
enum ResourcePages {
    static func list(_ resources: [Resource], now: Timestamp) -> ConsolePage {
        let rows = resources.map { resource -> [HTML] in
            [
                Piece.link(path(resource.key), resource.metadata.name), "\(resource.kind)", "\(resource.metadata.namespace)",
                readiness(resource), "\(Int(resource.metadata.generation))",
                resource.metadata.created.map { Piece.value($0.milliseconds, "\(Format.ago($0, now: now))") } ?? "",
            ]
        }
        let find: HTML = "<div class=\"bar\"><input type=\"search\" id=\"find\" placeholder=\"Find\" aria-label=\"Find\"></div>"
        return ConsolePage(
            title: "Resources", section: .resources, subtitle: "What has been declared with <code>aerie apply</code>.",
            body: "\(find)\(Piece.table(["Name", "Kind", "Namespace", "Ready", "#Generation", "Created"], rows, empty: "Nothing has been applied yet."))")
    }

    static func resource(_ resource: Resource, audit: [ResourceAuditEntry]) -> ConsolePage {
        let changes = audit.map { entry -> [HTML] in
            ["\(Format.time(entry.time))", "\(entry.action)", "\(entry.actor)", "\(Int(entry.generation))"]
        }
        let body: HTML = """
            <div class="panel"><pre class="mono">\(YAMLWriter.text(resource.json))</pre></div>
            <h2>History</h2>\(Piece.table(["Time", "What", "By", "#Generation"], changes, empty: "none"))
            """
        return ConsolePage(
            title: resource.metadata.name, section: .resources, crumbs: [("Resources", "/console/resources")],
            subtitle: "\(resource.kind) in \(resource.metadata.namespace) \(readiness(resource))", body: body)
    }

    static func path(_ key: ResourceKey) -> String {
        "/console/resources/\(urlEncoded(key.namespace))/\(urlEncoded(key.kind))/\(urlEncoded(key.name))"
    }

    private static func readiness(_ resource: Resource) -> HTML {
        let conditions = resource.status?["conditions"]?.array ?? []
        guard let ready = conditions.first(where: { $0["type"]?.string == "Ready" }) else { return "<span class=\"soft\">–</span>" }
        let isReady = ready["status"]?.string == "True"
        let word = isReady ? "Ready" : ready["reason"]?.string ?? "Not ready"
        return "<span class=\"pill \(isReady ? "good" : "bad")\" title=\"\(ready["message"]?.string ?? "")\">\(word)</span>"
    }
}
