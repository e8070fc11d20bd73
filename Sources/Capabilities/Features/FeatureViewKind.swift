public import AerieCore
import AerieJSON
public import AerieResources

/// `kind: FeatureView`: features of some entities, and the table of their values over time.
public struct FeatureViewKind: ResourceKind {
    public init() {}

    public var name: String { "FeatureView" }
    public var allowsUnderscores: Bool { true }
    public var apiVersions: [String] { ["aerie.dev/v1"] }
    public var aliases: [String] { ["featureview", "featureviews", "fv"] }
    public var columns: [(title: String, path: String)] {
        [("ENTITIES", "spec.entities"), ("TTL", "spec.ttl"), ("SOURCE", "spec.source.type"), ("ONLINE", "spec.online")]
    }

    public var filePaths: [[String]] { [["source", "path"]] }
    public var schema: FieldSchema { Self.specSchema }

    public static let specSchema = FieldSchema.object([
        Field("entities", .array(.string)),
        Field("ttl", .any),
        Field("dropExpired", .bool),
        Field(
            "source",
            .object([
                Field("type", .choice(["parquet", "csv", "file", "table", "duckdb", "postgres", "push", "bigquery"])),
                Field("path", .string),
                Field("table", .string),
                Field("connection", .string),
                Field("timestampField", .string),
                Field("createdTimestampColumn", .string),
                Field("fieldMapping", .map(.string)),
            ])),
        Field("stream", StreamFields.stream),
        Field(
            "onDemand",
            .object([
                Field("inputs", .array(.string)),
                Field(
                    "request",
                    .array(
                        .object([Field("name", .string, required: true), Field("dtype", .string, required: true)]))),
                Field("mode", .string),
                Field("singleton", .bool),
                Field("writeToOnlineStore", .bool),
                Field("function", .any),
            ])),
        Field("aggregations", StreamFields.aggregations),
        Field(
            "features",
            .array(
                .object([
                    Field("name", .string, required: true),
                    Field("dtype", .string, required: true),
                    Field("description", .string),
                    Field("default", .any),
                    Field("expression", .string),
                    Field("vectorIndex", .bool),
                    Field("vectorLength", .any),
                    Field("vectorSearchMetric", .string),
                    Field("tags", .map(.string)),
                ]))),
        Field("online", .bool),
        Field("disabled", .bool),
        Field("pushSource", .string),
        Field("freshness", .any),
        Field("futureLimit", .any),
        Field(
            "quality",
            .object([
                Field("suite", .string, required: true),
                Field("onFailure", .choice(FeatureQuality.Action.allCases.map(\.rawValue))),
            ])),
        Field("description", .string),
        Field("owner", .string),
        Field("tags", .map(.string)),
    ])

    public func validate(_ resource: Resource) -> [AerieError.Detail] {
        var problems: [AerieError.Detail] = []
        let view = FeatureViewDefinition.read(
            resource.spec, name: resource.metadata.name, path: "spec", problems: &problems)
        // What is stored already stays readable, so this is no part of reading a definition.
        var names: [String: String] = [:]
        for feature in view.features {
            guard let other = names.updateValue(feature.name, forKey: feature.name.lowercased()), other != feature.name
            else { continue }
            problems.append(
                .init(
                    field: view.windows == nil ? "spec.features" : "spec.aggregations",
                    problem: "'\(other)' and '\(feature.name)' differ in case alone, which tells no columns of a source apart"
                ))
        }
        return problems
    }

    public func warnings(_ resource: Resource) -> [String] {
        var problems: [AerieError.Detail] = []
        let view = FeatureViewDefinition.read(
            resource.spec, name: resource.metadata.name, path: "spec", problems: &problems)
        if view.onDemand != nil { return [] }
        if !view.hasSource {
            return ["spec.source: without the files or the table of its events, the view gives no training data"]
        }
        if view.isConnected { return [] }
        return [
            "spec.source: the BigQuery table \(view.location) is not connected; until spec.source.path, or a "
                + "SourceConnection, names files with its rows, features can be pushed and read online, and not be "
                + "materialized or joined"
        ]
    }
}
