import AerieCore

/// Which objects of one kind are to be looked at: in order, each by one worker at a time. Pure state; no clock.
///
/// An object that changes while a worker has it is queued again when the worker is done, so that no change is lost and
/// none is seen by two workers.
struct ReconcileQueue: Sendable {
    private var waiting: [ResourceKey] = []
    private var queued: Set<ResourceKey> = []
    private var running: Set<ResourceKey> = []
    private var dirty: Set<ResourceKey> = []
    private var failures: [ResourceKey: Int] = [:]
    private static let backoff = Backoff(base: .seconds(1), cap: .seconds(60))

    var isIdle: Bool { waiting.isEmpty && running.isEmpty }

    mutating func add(_ key: ResourceKey) {
        if running.contains(key) { dirty.insert(key) }
        else if queued.insert(key).inserted { waiting.append(key) }
    }

    mutating func take() -> ResourceKey? {
        guard !waiting.isEmpty else { return nil }
        let key = waiting.removeFirst()
        queued.remove(key)
        running.insert(key)
        return key
    }

    /// The worker is done with it.
    /// - Returns: after a failure, how long to wait before the next try: 1, 2, 4 … 60 seconds.
    mutating func finish(_ key: ResourceKey, failed: Bool) -> Duration? {
        running.remove(key)
        if dirty.remove(key) != nil { add(key) }
        guard failed else {
            failures[key] = nil
            return nil
        }
        let count = failures[key, default: 0] + 1
        failures[key] = count
        return Self.backoff.pause(afterFailures: count)
    }
}
