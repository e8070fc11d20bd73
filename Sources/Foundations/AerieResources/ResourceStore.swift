public import AerieCore
public import AerieJSON

/// A change of a resource, in the order in which the store made them.
public struct ResourceEvent: Sendable {
    public enum Change: String, Sendable { case added = "ADDED", modified = "MODIFIED", deleted = "DELETED" }
    public var change: Change
    /// As it is after the change; for a deletion as it was last.
    public var resource: Resource
    /// The store's own count of changes. Watching from here gives what came after.
    public var sequence: Int64

    public init(change: Change, resource: Resource, sequence: Int64) {
        self.change = change
        self.resource = resource
        self.sequence = sequence
    }
}

/// One line of the audit trail: who changed what, and when.
public struct ResourceAuditEntry: Sendable, Hashable {
    public var sequence: Int64
    public var time: Timestamp
    public var actor: String
    public var action: String
    public var key: ResourceKey
    public var generation: Int64
    /// What the object said after the change, or last before it was deleted.
    public var declaration: JSONValue

    public init(
        sequence: Int64, time: Timestamp, actor: String, action: String, key: ResourceKey, generation: Int64,
        declaration: JSONValue
    ) {
        self.sequence = sequence
        self.time = time
        self.actor = actor
        self.action = action
        self.key = key
        self.generation = generation
        self.declaration = declaration
    }
}

/// Keeps the resources.
///
/// Contract: each call is atomic and durable when it returns. Every write of an object raises its `resourceVersion`;
/// a write that names the version it read (`expecting`) fails with `conflict` if another came between, and 0 there
/// means "must not exist" (`alreadyExists`); `nil` writes in any case. `generation` grows only when `spec` changes; a
/// write that changes nothing writes nothing and gives back what is there. Events come in `sequence` order, without
/// gaps to a watcher that is connected, and at least the last 1,000 are kept.
public protocol ResourceStore: ResourceListing {
    /// - Throws: `notFound` naming kind, namespace and name.
    func get(_ key: ResourceKey) async throws(AerieError) -> Resource
    /// Creates or replaces labels, annotations and spec; leaves `status` as it is.
    func put(_ resource: Resource, expecting version: Int64?, actor: String) async throws(AerieError) -> Resource
    /// Changes `status` of the object with that uid, out of what it is at that moment: of several who change it at
    /// once, each sees what those before it have made. Does nothing if the object is gone.
    /// - Parameter change: pure; may be called again. An object without a status has an empty one.
    func changeStatus(
        _ key: ResourceKey, uid: String, _ change: @escaping @Sendable (inout JSONObject) -> Void
    ) async throws(AerieError)
    /// - Throws: `notFound`.
    func delete(_ key: ResourceKey, actor: String) async throws(AerieError) -> Resource
    /// The changes after `sequence`, at most `limit`, oldest first.
    /// - Throws: `failedPrecondition` (`watch.expired`) if some of them are no longer kept.
    func events(after sequence: Int64, limit: Int) async throws(AerieError) -> [ResourceEvent]
    /// The sequence of the newest change.
    func latestSequence() async throws(AerieError) -> Int64
    /// The audit trail of an object, newest first.
    func audit(_ key: ResourceKey, limit: Int) async throws(AerieError) -> [ResourceAuditEntry]
}
