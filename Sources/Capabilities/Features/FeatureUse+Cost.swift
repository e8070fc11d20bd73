public import AerieCore
import AerieJSON
public import AerieResources
import Streaming

extension FeatureUse {
    /// Which views have to be materialized from the beginning, and whose windows begin anew, with why.
    public func cost(
        from old: Resource, to new: Resource, in store: any ResourceListing
    ) async throws(AerieError) -> [String] {
        guard ["Entity", "FeatureView", "SourceConnection"].contains(old.kind) else { return [] }
        let namespace = old.metadata.namespace
        func list(_ kind: String) async throws(AerieError) -> [Resource] {
            try await store.list(kind: kind, namespace: namespace)
        }
        let (entities, views) = (try await list("Entity"), try await list("FeatureView"))
        let connections = try await list("SourceConnection")
        func catalog(with one: Resource) -> FeatureCatalog {
            func changed(_ all: [Resource]) -> [Resource] { all.map { $0.key == one.key ? one : $0 } }
            return FeatureCatalog(
                namespace: namespace, entities: changed(entities), views: changed(views), services: [],
                connections: changed(connections))
        }
        var declared = new
        (declared.metadata.uid, declared.status) = (old.metadata.uid, old.status)
        let (before, after) = (catalog(with: old), catalog(with: declared))
        var lines: [String] = []
        for name in views.map(\.metadata.name).sorted() {
            guard let was = before.declaredView(name), let view = after.declaredView(name) else { continue }
            if let reason = view.rereadReason, reason != was.rereadReason {
                lines.append("feature view '\(name)': the next materialization reads everything again, as \(reason)")
            }
            if let reason = Self.newWindows(was, view) {
                let kafka = view.streamSource?.kafka.map { ", out of the topic '\($0.topic)' from its beginning" } ?? ""
                lines.append("feature view '\(name)': its windows begin with nothing\(kafka), as \(reason)")
            }
        }
        return lines
    }

    /// Why what was counted of a view's windows counts no more; `nil` if it does.
    private static func newWindows(_ old: FeatureCatalog.View, _ new: FeatureCatalog.View) -> String? {
        guard let before = old.online.windows, let after = new.online.windows, before.stream != after.stream else {
            return nil
        }
        if before.keys != after.keys { return "their keys have changed" }
        if before.plan.aggregations != after.plan.aggregations { return "their aggregations have changed" }
        return before.plan == after.plan
            ? "what says which and when their events are has changed" : "their allowedLateness has changed"
    }
}
