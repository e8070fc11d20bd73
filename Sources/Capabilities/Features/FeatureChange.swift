public import AerieCore
import AerieJSON
public import AerieResources

/// What a change of a view means for one of its features, or for all of them.
public struct FeatureChange: Sendable, Hashable {
    public var view: String
    public var features: [String]
    /// Such as `is removed`, or `changes its type from INT64 to FLOAT`.
    public var what: String
    /// Whether who reads the features has to stop.
    public var isRemoval: Bool

    /// Everything that changes between two declarations of a view. New features change nothing for anybody.
    static func between(_ old: Resource, _ new: Resource?) -> [FeatureChange] {
        let name = old.metadata.name
        let before = read(old)
        guard let new else {
            let all = before.features.map(\.name)
            return [FeatureChange(view: name, features: all, what: "is removed", isRemoval: true)]
        }
        if new.spec["disabled"]?.bool == true, old.spec["disabled"]?.bool != true {
            let all = before.features.map(\.name)
            return [FeatureChange(view: name, features: all, what: "is switched off", isRemoval: true)]
        }
        let after = read(new)
        var changes: [FeatureChange] = []
        for feature in before.features {
            func add(_ what: String, isRemoval: Bool = false) {
                changes.append(FeatureChange(view: name, features: [feature.name], what: what, isRemoval: isRemoval))
            }
            guard let now = after.features.first(where: { $0.name == feature.name }) else {
                add("is removed", isRemoval: true)
                continue
            }
            if now.type != feature.type {
                add("changes its type from \(feature.type.rawValue) to \(now.type.rawValue)")
            }
            if now.fallback != feature.fallback { add("changes its default") }
            if before.column(of: feature.name) != after.column(of: feature.name) {
                add("is read from the column \(after.column(of: feature.name))")
            }
        }
        let kept = before.features.map(\.name).filter { name in after.features.contains { $0.name == name } }
        for what in differences(old.spec, new.spec) where !kept.isEmpty {
            changes.append(FeatureChange(view: name, features: kept, what: what, isRemoval: false))
        }
        return changes
    }

    private static func read(_ resource: Resource) -> FeatureViewDefinition {
        var problems: [AerieError.Detail] = []
        return FeatureViewDefinition.read(
            resource.spec, name: resource.metadata.name, path: "spec", problems: &problems)
    }

    private static func differences(_ old: JSONObject, _ new: JSONObject) -> [String] {
        let fields = [
            ("entities", "are kept by other entities"), ("ttl", "count for another time"),
            ("online", "are kept online otherwise"), ("aggregations", "are aggregated otherwise"),
        ]
        var found = fields.filter { old[$0.0] != new[$0.0] }.map { $0.1 }
        var (before, after) = (old["source"]?.object ?? [:], new["source"]?.object ?? [:])
        // What a mapping changes is told of the feature that it concerns.
        before["fieldMapping"] = nil
        after["fieldMapping"] = nil
        if before != after { found.append("come from another source") }
        return found
    }
}
