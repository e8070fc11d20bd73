public import AerieCore
import AerieJSON
public import AerieResources

/// `kind: HorizontalPodAutoscaler`, accepted as it stands in people's repositories. One process serves all replicas
/// here, so it steers nothing.
public struct AutoscalerKind: ResourceKind {
    public init() {}

    public var name: String { "HorizontalPodAutoscaler" }
    public var apiVersions: [String] { ["autoscaling/v2", "autoscaling/v2beta2", "autoscaling/v1"] }
    public var aliases: [String] { ["horizontalpodautoscaler", "horizontalpodautoscalers", "hpa"] }
    public var columns: [(title: String, path: String)] {
        [("TARGET", "spec.scaleTargetRef.name"), ("MIN", "spec.minReplicas"), ("MAX", "spec.maxReplicas")]
    }

    public var schema: FieldSchema {
        .object([
            Field(
                "scaleTargetRef",
                .object([
                    Field("apiVersion", .string), Field("kind", .string, required: true),
                    Field("name", .string, required: true),
                ]), required: true),
            Field("minReplicas", .integer(0...1_000_000)),
            Field("maxReplicas", .integer(1...1_000_000), required: true),
            Field("metrics", .array(.any)), Field("behavior", .any),
            Field("targetCPUUtilizationPercentage", .integer(1...1000)),
        ])
    }

    public func validate(_ resource: Resource) -> [AerieError.Detail] {
        guard let least = resource.spec["minReplicas"]?.int, let most = resource.spec["maxReplicas"]?.int, least > most
        else { return [] }
        return [.init(field: "spec.maxReplicas", problem: "\(most) is below minReplicas, \(least)")]
    }

    public func warnings(_ resource: Resource) -> [String] {
        ["spec: one process serves all replicas here, so nothing is scaled"]
    }
}
