public import AerieCore
import AerieJSON
public import AerieResources
import Streaming

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
        let places = Dictionary(zip(after.features.map(\.name), 0...)) { first, _ in first }
        var kept: [String] = []
        for (place, feature) in before.features.enumerated() {
            func add(_ what: String, isRemoval: Bool = false) {
                changes.append(FeatureChange(view: name, features: [feature.name], what: what, isRemoval: isRemoval))
            }
            guard let newPlace = places[feature.name] else {
                add("is removed", isRemoval: true)
                continue
            }
            kept.append(feature.name)
            let now = after.features[newPlace]
            if now.type != feature.type {
                add("changes its type from \(feature.type.rawValue) to \(now.type.rawValue)")
            }
            if now.fallback != feature.fallback { add("changes its default") }
            if before.column(of: feature.name) != after.column(of: feature.name) {
                add("is read from the column \(after.column(of: feature.name))")
            }
            if before.calculation(at: place) != after.calculation(at: newPlace) { add("is computed otherwise") }
        }
        var forAll = differences(before, after)
        if isOnline(old) != isOnline(new) { forAll.append("are \(isOnline(new) ? "now" : "no longer") kept online") }
        for what in forAll where !kept.isEmpty {
            changes.append(FeatureChange(view: name, features: kept, what: what, isRemoval: false))
        }
        return changes
    }

    private static func read(_ resource: Resource) -> FeatureViewDefinition {
        var problems: [AerieError.Detail] = []
        return FeatureViewDefinition.read(
            resource.spec, name: resource.metadata.name, path: "spec", problems: &problems)
    }

    private static func isOnline(_ view: Resource) -> Bool { view.spec["online"]?.bool ?? true }

    /// What concerns all features of a view. Two ways of writing the same are no difference.
    private static func differences(_ old: FeatureViewDefinition, _ new: FeatureViewDefinition) -> [String] {
        var found: [String] = []
        if old.entities != new.entities { found.append("are kept by other entities") }
        if old.timeToLive != new.timeToLive { found.append("count for another time") }
        if old.source != new.source { found.append("come from another source") }
        if (old.stream ?? old.windows?.stream) != (new.stream ?? new.windows?.stream) {
            found.append("are read from their stream otherwise")
        }
        if old.onDemand?.withoutExpressions != new.onDemand?.withoutExpressions {
            found.append("are computed of something else")
        }
        return found
    }
}

extension FeatureViewDefinition {
    /// How one feature is made of its source.
    fileprivate enum Calculation: Hashable {
        case copied
        case expression(String)
        case aggregation(WindowAggregation)
    }

    fileprivate func calculation(at place: Int) -> Calculation {
        if let windows { return .aggregation(windows.plan.aggregations[place]) }
        if let onDemand, onDemand.expressions.indices.contains(place) {
            return .expression(onDemand.expressions[place])
        }
        return .copied
    }

    /// Where the rows are and what tells their times; how columns are called is told of the features.
    fileprivate var source: [String?] {
        [sourceType, location, database, connectionName, timestampField, createdTimestampColumn]
    }
}

extension OnDemandDefinition {
    fileprivate var withoutExpressions: OnDemandDefinition {
        var rest = self
        rest.expressions = []
        return rest
    }
}
