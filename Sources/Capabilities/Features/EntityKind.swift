public import AerieCore
import AerieJSON
public import AerieResources

/// `kind: Entity`: a thing that has features, and the column that names it.
public struct EntityKind: ResourceKind {
    public init() {}

    public var name: String { "Entity" }
    public var allowsUnderscores: Bool { true }
    public var apiVersions: [String] { ["aerie.dev/v1"] }
    public var aliases: [String] { ["entity", "entities"] }
    public var columns: [(title: String, path: String)] {
        [("JOIN KEY", "spec.joinKey"), ("TYPE", "spec.valueType"), ("DESCRIPTION", "spec.description")]
    }

    public var schema: FieldSchema {
        .object([
            Field("joinKey", .string),
            Field("valueType", .string),
            Field("description", .string),
            Field("owner", .string),
            Field("tags", .map(.string)),
        ])
    }

    public func validate(_ resource: Resource) -> [AerieError.Detail] {
        var problems: [AerieError.Detail] = []
        if let problem = FeatureName.problem(resource.metadata.name) {
            problems.append(.init(field: "metadata.name", problem: problem))
        }
        if resource.spec["joinKey"]?.string == "" {
            problems.append(
                .init(field: "spec.joinKey", problem: "must not be empty; leave it out to use the entity's name"))
        }
        if let type = resource.spec["valueType"]?.string, FeatureType(name: type)?.isKey != true {
            let word = FeatureType(name: type) == nil ? "is no type" : "is no type of a key"
            problems.append(
                .init(
                    field: "spec.valueType",
                    problem: "'\(type)' \(word); write one of \(FeatureType.keyNames), or leave it out for whole numbers "
                        + "and texts as they come"))
        }
        return problems
    }

    /// The column that names the entity: `spec.joinKey`, else its name.
    public static func joinKey(_ resource: Resource) -> String {
        resource.spec["joinKey"]?.string ?? resource.metadata.name
    }

    /// What of an entity's key two declarations say differently: what is kept by the one is not found by the other.
    static func differences(_ old: Resource, _ new: Resource) -> [String] {
        func type(_ entity: Resource) -> FeatureType? {
            entity.spec["valueType"]?.string.flatMap { FeatureType(name: $0) }
        }
        var found: [String] = []
        if joinKey(old) != joinKey(new) { found.append("changes its key from \(joinKey(old)) to \(joinKey(new))") }
        if type(old) != type(new) {
            let words = [old, new].map { type($0)?.rawValue ?? "any" }
            found.append("changes its type from \(words[0]) to \(words[1])")
        }
        return found
    }
}
