import AerieCore

/// What one watcher has still to see. Pulled by it, so that a slow one costs no memory.
actor EventFeed {
    struct Filter: Sendable {
        var kind: String?
        var namespace: String?
        var name: String?

        func admits(_ resource: Resource) -> Bool {
            (kind == nil || kind == resource.kind) && (namespace == nil || namespace == resource.metadata.namespace)
                && (name == nil || name == resource.metadata.name)
        }
    }

    private static let page = 200

    private let store: any ResourceStore
    private let filter: Filter
    private let signal: AsyncStream<Void>
    private var sequence: Int64?
    private var waiting: [ResourceEvent] = []
    private var at = 0
    /// The versions that the watcher has seen in the first listing.
    private var listed: [ResourceKey: Int64] = [:]

    init(store: any ResourceStore, filter: Filter, after sequence: Int64?, signal: AsyncStream<Void>) {
        self.store = store
        self.filter = filter
        self.sequence = sequence
        self.signal = signal
    }

    /// The next event; `nil` once the watcher's task is cancelled, or the store fails, or it no longer has the events
    /// that come next: the watcher then lists and watches anew.
    func next() async -> ResourceEvent? {
        while !Task.isCancelled {
            if at < waiting.count {
                defer { at += 1 }
                return waiting[at]
            }
            waiting = []
            at = 0
            do {
                if try await fill() { continue }
            } catch { return nil }
            var changes = signal.makeAsyncIterator()
            guard await changes.next() != nil else { return nil }
        }
        return nil
    }

    /// False if the store has nothing new.
    private func fill() async throws(AerieError) -> Bool {
        guard let after = sequence else {
            let latest = try await store.latestSequence()
            if let kind = filter.kind {
                for resource in try await store.list(
                    kind: kind, namespace: filter.namespace) where filter.admits(resource) {
                    listed[resource.key] = resource.metadata.resourceVersion
                    waiting.append(
                        ResourceEvent(change: .added, resource: resource, sequence: resource.metadata.resourceVersion))
                }
            }
            sequence = latest
            return true
        }
        let events = try await store.events(after: after, limit: Self.page)
        guard let last = events.last else { return false }
        sequence = last.sequence
        waiting = events.filter { event in
            filter.admits(event.resource) && event.sequence > listed[event.resource.key] ?? -1
        }
        return true
    }
}
