public import AerieCore
public import AerieJSON
import AerieYAML

/// Everything that can be done with resources: what the API, the console and the reconcilers call.
///
/// Checks what comes in against the kinds, keeps it in the store and tells the watchers. Safe to call from any task.
public final class ResourceService: Sendable {
    public let kinds: KindRegistry
    public let store: any ResourceStore
    private let guards: [any ChangeGuard]
    private let signal = ChangeSignal()

    public init(store: any ResourceStore, kinds: KindRegistry, guards: [any ChangeGuard] = []) {
        self.store = store
        self.kinds = kinds
        self.guards = guards
    }

    // MARK: Declaring

    /// Creates or updates every object of a YAML or JSON text.
    ///
    /// Nothing is written unless every document of the text is right, and none is refused for what others rely on; a
    /// document may rely on those before it. The objects are then written in their order, each atomically; a failure of
    /// the store between two leaves the first in place, and applying the text again completes it.
    /// - Parameters:
    ///   - namespace: for objects that name none.
    ///   - folder: the absolute path of the folder that the text's relative file paths count from; `nil` leaves them.
    ///   - dryRun: checks and compares, and writes nothing.
    ///   - actor: who asks; for the audit trail.
    /// - Throws: `invalidArgument` with every problem of the text and its line.
    public func apply(
        _ text: String, namespace: String? = nil, folder: String? = nil, dryRun: Bool = false, actor: String
    ) async throws(AerieError) -> [AppliedResource] {
        var manifests = try ManifestReader(kinds: kinds, namespace: namespace).read(text)
        var planned = PlannedResources(store)
        var applied: [AppliedResource] = []
        for place in manifests.indices {
            if let folder, let kind = kinds.kind(named: manifests[place].resource.kind) {
                for keys in kind.filePaths { manifests[place].resource.spec.anchor(keys[...], in: folder) }
            }
            applied.append(try await plan(manifests[place], in: planned, telling: dryRun))
            planned.add(manifests[place].resource)
        }
        for one in guards {
            let missing = try await one.missing(from: manifests.map(\.resource), in: planned)
            for place in applied.indices { applied[place].warnings += missing[manifests[place].resource.key] ?? [] }
        }
        guard !dryRun else { return applied }
        for place in manifests.indices {
            try await write(manifests[place].resource, as: &applied[place], expecting: nil, actor: actor)
        }
        return applied
    }

    /// Writes the one object of a text.
    /// - Parameters:
    ///   - kind: what it must be; likewise `key`.
    ///   - version: the `resourceVersion` that must be there still: 0 for none at all, `nil` for the one that the text
    ///     names, or any if it names none.
    /// - Throws: `alreadyExists` or `conflict` if another is there; `invalidArgument` as `apply`.
    public func put(
        _ text: String, kind: String? = nil, key: ResourceKey? = nil, namespace: String? = nil,
        expecting version: Int64? = nil, dryRun: Bool = false, actor: String
    ) async throws(AerieError) -> AppliedResource {
        let manifests = try ManifestReader(kinds: kinds, namespace: namespace).read(text)
        guard manifests.count == 1, let manifest = manifests.first else {
            throw .invalid("", "one object was expected, the text holds \(manifests.count)")
        }
        if let kind, manifest.resource.kind != kind {
            throw .invalid("kind", "the text is a \(manifest.resource.kind), the address says \(kind)")
        }
        if let key, manifest.resource.key != key {
            throw .invalid("metadata.name", "the text is \(manifest.resource.key), the address says \(key)")
        }
        let expected = version ?? manifest.version
        var applied = try await plan(manifest, in: store, telling: dryRun)
        guard dryRun else {
            try await write(manifest.resource, as: &applied, expecting: expected, actor: actor)
            return applied
        }
        if expected == 0, applied.previous != nil {
            throw AerieError(.alreadyExists, "\(manifest.resource.key) exists already")
        }
        return applied
    }

    /// Applies an object that a program has made, with the same checks as one from a text.
    public func apply(_ resource: Resource, actor: String) async throws(AerieError) -> AppliedResource {
        try await put(YAMLWriter.text(resource.declaration), actor: actor)
    }

    /// Nothing planned yet.
    public var nothingPlanned: PlannedResources { PlannedResources(store) }

    /// Checks an object as `apply` would after what is planned has been written, and plans it.
    /// - Returns: the object as it would be.
    public func plan(_ resource: Resource, in planned: inout PlannedResources) async throws(AerieError) -> Resource {
        for manifest in try ManifestReader(kinds: kinds, namespace: nil).read(YAMLWriter.text(resource.declaration)) {
            _ = try await plan(manifest, in: planned, telling: false)
        }
        planned.add(resource)
        return resource
    }

    /// What writing the object would come to.
    /// - Parameters:
    ///   - others: what will be there then.
    ///   - telling: whether to say whom the change concerns.
    /// - Throws: what a guard refuses it for.
    private func plan(
        _ manifest: Manifest, in others: any ResourceListing, telling: Bool
    ) async throws(AerieError) -> AppliedResource {
        let wanted = manifest.resource
        let old = try await find(wanted.key)
        let outcome: AppliedResource.Outcome =
            old.map { $0.declaration == wanted.declaration ? .unchanged : .configured } ?? .created
        var result = AppliedResource(resource: wanted, previous: old, outcome: outcome, warnings: manifest.warnings)
        if let old { result.resource.metadata = old.metadata.replacing(wanted.metadata) }
        if outcome != .unchanged {
            for one in guards { try await one.check(from: old, to: wanted, in: others) }
            if let old {
                for one in guards { result.warnings += try await one.cost(from: old, to: wanted, in: others) }
                if telling {
                    for one in guards { result.impact += try await one.impact(from: old, to: wanted, in: others) }
                }
            }
        }
        return result
    }

    private func write(
        _ wanted: Resource, as applied: inout AppliedResource, expecting version: Int64?, actor: String
    ) async throws(AerieError) {
        applied.resource = try await store.put(wanted, expecting: version, actor: actor)
        if applied.outcome != .unchanged { signal.raise() }
    }

    private func find(_ key: ResourceKey) async throws(AerieError) -> Resource? {
        do { return try await store.get(key) } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }

    /// Deletes the object; its reconciler then takes down what it stood for.
    /// - Throws: `notFound`.
    public func delete(_ key: ResourceKey, actor: String) async throws(AerieError) -> Resource {
        if !guards.isEmpty {
            let old = try await store.get(key)
            for one in guards { try await one.check(from: old, to: nil, in: store) }
        }
        let resource = try await store.delete(key, actor: actor)
        signal.raise()
        return resource
    }

    // MARK: Looking

    /// - Throws: `notFound` naming kind, namespace and name.
    public func get(_ key: ResourceKey) async throws(AerieError) -> Resource { try await store.get(key) }

    /// In the order of namespace and name; of all namespaces if that is `nil`.
    public func list(
        kind: String, namespace: String? = nil, labels: LabelSelector? = nil
    ) async throws(AerieError) -> [Resource] {
        let all = try await store.list(kind: kind, namespace: namespace)
        guard let labels else { return all }
        return all.filter { labels.matches($0.metadata.labels) }
    }

    /// The audit trail of an object, newest first, also of one that is gone.
    public func audit(_ key: ResourceKey, limit: Int = 50) async throws(AerieError) -> [ResourceAuditEntry] {
        try await store.audit(key, limit: limit)
    }

    /// Grows with each change that this process knows of: what was read at another count may be old. No system call.
    public var changeCount: Int { signal.countNow }

    public func latestSequence() async throws(AerieError) -> Int64 { try await store.latestSequence() }

    /// The changes as they happen, each once and in order, until the reading task is cancelled.
    ///
    /// - Parameter sequence: begins after that change; `nil` begins with what is there now, as `added` (for which a
    ///   kind must be named). The stream ends early if the store fails or has dropped the changes that come next;
    ///   watch anew without a sequence then.
    public func watch(
        kind: String? = nil, namespace: String? = nil, name: String? = nil, after sequence: Int64? = nil
    ) -> AsyncStream<ResourceEvent> {
        let feed = EventFeed(
            store: store, filter: .init(kind: kind, namespace: namespace, name: name), after: sequence,
            signal: signal.subscribe())
        return AsyncStream(unfolding: { await feed.next() })
    }

    /// Tells the watchers of what other servers change in a store that they share, until its task is cancelled.
    ///
    /// Asks the store for its newest change again and again: a query for one number each time. A store that is away
    /// for a while is asked again.
    /// - Parameter sleep: waits before each time; tests inject one that does not.
    public func followOthers(
        sleep: @Sendable () async throws -> Void = { try await Task.sleep(for: .seconds(1)) }
    ) async {
        var known: Int64?
        while !Task.isCancelled {
            do { try await sleep() } catch { return }
            guard let latest = try? await store.latestSequence() else { continue }
            // The first time, too: a change may have come between a watcher's listing and this.
            if latest != known { signal.raise() }
            known = latest
        }
    }

    /// Ends every watch, now and later: for a shutdown that waits until all answers are finished.
    public func endWatches() { signal.close() }

    /// True after `endWatches`.
    public var hasEndedWatches: Bool { signal.isClosed }

    // MARK: For reconcilers

    /// As `ResourceStore.changeStatus`, and tells the watchers.
    public func changeStatus(
        _ key: ResourceKey, uid: String, _ change: @escaping @Sendable (inout JSONObject) -> Void
    ) async throws(AerieError) {
        try await store.changeStatus(key, uid: uid, change)
        signal.raise()
    }
}

/// What became of one object that was applied.
public struct AppliedResource: Sendable {
    public enum Outcome: String, Sendable { case created, configured, unchanged }

    /// As it is now; after a dry run as it would be.
    public var resource: Resource
    /// As it was before; `nil` for a new one.
    public var previous: Resource?
    public var outcome: Outcome
    public var warnings: [String]
    /// After a dry run: whom the change concerns.
    public var impact: [String] = []

    /// What changes, as a unified diff of YAML; empty if nothing does.
    public var diff: String {
        let name = resource.key.description
        let old = previous.map { YAMLWriter.text($0.declaration) } ?? ""
        return UnifiedDiff.text(
            from: old, to: YAMLWriter.text(resource.declaration), oldName: "live/\(name)", newName: "declared/\(name)")
    }
}

extension ResourceMetadata {
    /// What the server made of the old, and what the user wrote of the new.
    fileprivate func replacing(_ new: ResourceMetadata) -> ResourceMetadata {
        var result = self
        result.labels = new.labels
        result.annotations = new.annotations
        return result
    }
}
