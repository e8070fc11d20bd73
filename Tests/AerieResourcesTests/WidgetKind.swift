import AerieCore
import AerieJSON
import AerieResources

/// A kind with a field of every sort, for tests.
struct WidgetKind: ResourceKind {
    var name = "Widget"
    var apiVersions = ["aerie.dev/v1", "aerie.dev/v1beta1"]
    var aliases = ["wd"]
    var columns: [(title: String, path: String)] { [("Size", "spec.size")] }
    var schema: FieldSchema {
        .object([
            Field("size", .integer(1...10), required: true),
            Field("ratio", .number(0...1)),
            Field("color", .choice(["red", "green", "blue"])),
            Field("enabled", .bool),
            Field("title", .string),
            Field("env", .map(.string)),
            Field("parts", .array(.object([Field("name", .string, required: true), Field("weight", .anyNumber)]))),
            Field("explainer", .any, support: .accepted(note: "predictions are not explained yet")),
            Field("tree", .deferred { Self.node }),
        ])
    }
    static var node: FieldSchema {
        .object([Field("name", .string), Field("children", .array(.deferred { node }))])
    }

    func validate(_ resource: Resource) -> [AerieError.Detail] {
        let weights = resource.spec["parts"]?.array?.compactMap { $0["weight"]?.double } ?? []
        guard !weights.isEmpty, weights.reduce(0, +) != 100 else { return [] }
        return [.init(field: "spec.parts[0].weight", problem: "the weights must add up to 100")]
    }

    func warnings(_ resource: Resource) -> [String] {
        resource.spec["title"] == "old" ? ["spec.title: \"old\" is an old title"] : []
    }
}

struct PlainKind: ResourceKind {
    var name = "Policy"
    var apiVersions = ["aerie.dev/v1"]
    var aliases: [String] = []
    var schema: FieldSchema { .any }
}

let testKinds = KindRegistry([WidgetKind(), PlainKind()])

func widget(_ name: String, size: Int64 = 1, labels: [String: String] = [:]) -> Resource {
    Resource(
        apiVersion: "aerie.dev/v1", kind: "Widget", metadata: ResourceMetadata(name: name, labels: labels),
        spec: ["size": .int(size)])
}
