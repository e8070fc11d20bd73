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
        if let type = resource.spec["valueType"]?.string, FeatureType(name: type) == nil {
            problems.append(
                .init(
                    field: "spec.valueType",
                    problem: "'\(type)' is no type; there are "
                        + FeatureType.names.joined(separator: ", ")))
        }
        return problems
    }

    /// The column that names the entity: `spec.joinKey`, else its name.
    public static func joinKey(_ resource: Resource) -> String {
        resource.spec["joinKey"]?.string ?? resource.metadata.name
    }
}
