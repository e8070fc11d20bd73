public import AerieCore

/// What a write makes of what is there, for every store alike. Pure: the store reads before and writes after, in one
/// transaction.
public enum ResourceWrite {
    /// The object as it is to be kept: with the old one's status, name and time of creation, and a generation that grew
    /// if its spec did. `resourceVersion` is still the old one's; the store gives the new one.
    /// - Parameters:
    ///   - old: what is there.
    ///   - version: as in `ResourceStore.put`.
    ///   - uid: for an object that is new; likewise `now`.
    /// - Returns: `nil` if the write changes nothing.
    /// - Throws: `alreadyExists`, `conflict`.
    public static func next(
        _ wanted: Resource, over old: Resource?, expecting version: Int64?, uid: String, now: Timestamp
    ) throws(AerieError) -> Resource? {
        try check(old, expecting: version, key: wanted.key)
        var new = wanted
        new.status = old?.status
        new.metadata.uid = old?.metadata.uid ?? uid
        new.metadata.created = old?.metadata.created ?? now
        new.metadata.resourceVersion = old?.metadata.resourceVersion ?? 0
        new.metadata.generation = old?.metadata.generation ?? 0
        if let old, new == old { return nil }
        if old?.spec != new.spec { new.metadata.generation += 1 }
        return new
    }

    /// What a store throws where there is no such object.
    public static func missing(_ key: ResourceKey) -> AerieError {
        .notFound("there is no \(key.kind) \"\(key.name)\" in the namespace \"\(key.namespace)\"")
    }

    /// What a store throws to a watcher that fell too far behind.
    public static func expired(after sequence: Int64) -> AerieError {
        AerieError(
            .failedPrecondition, "the changes after \(sequence) are no longer kept; list, and watch from there",
            reason: "watch.expired")
    }

    private static func check(_ old: Resource?, expecting version: Int64?, key: ResourceKey) throws(AerieError) {
        guard let version else { return }
        if version == 0, old != nil { throw AerieError(.alreadyExists, "\(key) exists already") }
        guard version > 0 else { return }
        guard let old else {
            throw AerieError(
                .conflict, "\(key) is gone; it was expected at version \(version)", reason: "resource.version")
        }
        guard old.metadata.resourceVersion == version else {
            throw AerieError(
                .conflict,
                "\(key) is at version \(old.metadata.resourceVersion), not \(version); read it again and retry",
                reason: "resource.version")
        }
    }
}
