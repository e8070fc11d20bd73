import Synchronization

/// Whether the plane wants requests. False from the moment that a server begins to shut down; any thread.
final class Readiness: Sendable {
    private let isDraining = Atomic<Bool>(false)
    var isReady: Bool { !isDraining.load(ordering: .relaxed) }
    func end() { isDraining.store(true, ordering: .relaxed) }
}
