public import AerieCore
public import AerieJSON

/// Something declared: what it should be (`spec`) and what it is (`status`), in the shape of a Kubernetes object.
public struct Resource: Sendable, Hashable {
    public var apiVersion: String
    public var kind: String
    public var metadata: ResourceMetadata
    public var spec: JSONObject
    /// Written by the kind's reconciler only; an applied `status` is ignored.
    public var status: JSONObject?

    public init(
        apiVersion: String, kind: String, metadata: ResourceMetadata, spec: JSONObject, status: JSONObject? = nil
    ) {
        self.apiVersion = apiVersion
        self.kind = kind
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }

    public var key: ResourceKey { ResourceKey(kind: kind, namespace: metadata.namespace, name: metadata.name) }
}

/// What names a resource: no two have the same.
public struct ResourceKey: Sendable, Hashable, CustomStringConvertible {
    public var kind: String
    public var namespace: String
    public var name: String
    public init(kind: String, namespace: String = "default", name: String) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
    }
    public var description: String { namespace == "default" ? "\(kind)/\(name)" : "\(kind)/\(namespace)/\(name)" }
}

public struct ResourceMetadata: Sendable, Hashable {
    public var name: String
    public var namespace: String
    public var labels: [String: String]
    public var annotations: [String: String]
    /// Given by the store: a name for this very object, new when one of the same name is deleted and made again.
    public var uid: String
    /// Given by the store: larger after each write of the object, `status` included. 0 before the first.
    public var resourceVersion: Int64
    /// Given by the store: larger after each change of `spec`.
    public var generation: Int64
    public var created: Timestamp?

    public init(
        name: String, namespace: String = "default", labels: [String: String] = [:],
        annotations: [String: String] = [:],
        uid: String = "", resourceVersion: Int64 = 0, generation: Int64 = 0, created: Timestamp? = nil
    ) {
        self.name = name
        self.namespace = namespace
        self.labels = labels
        self.annotations = annotations
        self.uid = uid
        self.resourceVersion = resourceVersion
        self.generation = generation
        self.created = created
    }
}
