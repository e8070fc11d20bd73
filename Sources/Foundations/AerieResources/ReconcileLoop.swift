public import AerieCore
import AerieJSON
public import Logging

/// Drives every resource to its spec: one queue a kind, one worker at a time for an object.
///
/// `run()` lists what is there, reconciles all of it, and then follows the changes until its task is cancelled. A kind
/// without a reconciler is only kept; its objects become ready with the reason `Declared`.
public final class ReconcileLoop: Sendable {
    private let service: ResourceService
    private let reconcilers: [any Reconciler]
    private let clock: any WallClock
    private let logger: Logger
    private let workers: Int
    private let sleep: @Sendable (Duration) async throws -> Void

    /// - Parameters:
    ///   - workers: how many objects of one kind are reconciled at once.
    ///   - sleep: waits before a retry; tests inject one that does not.
    /// - Precondition: at most one reconciler a kind.
    public init(
        service: ResourceService, reconcilers: [any Reconciler], clock: any WallClock = SystemClock(), logger: Logger,
        workers: Int = 4, sleep: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    ) {
        precondition(Set(reconcilers.map(\.kind)).count == reconcilers.count, "two reconcilers for one kind")
        precondition(workers > 0, "a loop needs a worker")
        self.service = service
        let carried = Set(reconcilers.map(\.kind))
        let rest = service.kinds.all.filter { !carried.contains($0.name) }
        self.reconcilers = reconcilers + rest.map { DeclaredReconciler(kind: $0.name, clock: clock) }
        self.clock = clock
        self.logger = logger
        self.workers = workers
        self.sleep = sleep
    }

    /// Runs until its task is cancelled, and returns once no reconciler is at work any more.
    public func run() async {
        await withTaskGroup(of: Void.self) { group in
            for reconciler in reconcilers {
                let kind = KindReconciliation(
                    service: service, reconciler: reconciler, clock: clock, logger: logger, sleep: sleep)
                group.addTask { await kind.run(workers: self.workers) }
            }
        }
    }
}

/// For kinds that stand for nothing outside the store. What others keep in the status, such as how far a feature view
/// is materialized, is theirs, and no change of a spec takes it away.
struct DeclaredReconciler: Reconciler {
    let kind: String
    let clock: any WallClock

    func reconcile(_ resource: Resource) async throws(AerieError) -> Reconciliation {
        let condition = ResourceCondition(
            isTrue: true, reason: "Declared", message: "the declaration is kept", since: clock.now())
        return Reconciliation(status: condition.put(into: [:], previous: resource.status), keepsRest: true)
    }

    func removed(_ resource: Resource) async throws(AerieError) {}
}
