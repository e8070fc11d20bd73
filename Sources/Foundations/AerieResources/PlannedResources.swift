public import AerieCore

/// Lists resources, without changing them.
public protocol ResourceListing: Sendable {
    /// In the order of namespace and name; of all namespaces if that is `nil`.
    func list(kind: String, namespace: String?) async throws(AerieError) -> [Resource]
}

/// What a store will hold when some more resources have been written: what one document of a text says of another can
/// be checked before the first is written.
public struct PlannedResources: ResourceListing {
    private let store: any ResourceStore
    private var planned: [ResourceKey: Resource] = [:]

    init(_ store: any ResourceStore) { self.store = store }

    mutating func add(_ resource: Resource) { planned[resource.key] = resource }

    public func list(kind: String, namespace: String?) async throws(AerieError) -> [Resource] {
        let stored = try await store.list(kind: kind, namespace: namespace)
        let coming = planned.values.filter {
            $0.kind == kind && (namespace == nil || $0.metadata.namespace == namespace)
        }
        if coming.isEmpty { return stored }
        return (stored.filter { planned[$0.key] == nil } + coming).sorted {
            ($0.metadata.namespace, $0.metadata.name) < ($1.metadata.namespace, $1.metadata.name)
        }
    }
}
