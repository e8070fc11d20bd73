import AerieCore
import AerieJSON
import Logging

/// The loop of one kind: follows the changes, keeps the queue, runs the workers and writes what they found.
actor KindReconciliation {
    private let service: ResourceService
    private let reconciler: any Reconciler
    private let clock: any WallClock
    private let logger: Logger
    private let sleep: @Sendable (Duration) async throws -> Void

    private var queue = ReconcileQueue()
    /// As last seen: a change of `status` alone is no reason to look again.
    private var seen: [ResourceKey: Resource] = [:]
    /// Deleted, and not yet taken down.
    private var deleted: [ResourceKey: Resource] = [:]
    private var timers: [ResourceKey: Task<Void, Never>] = [:]
    /// Workers with nothing to do.
    private var idle: [CheckedContinuation<Void, Never>] = []

    init(
        service: ResourceService, reconciler: any Reconciler, clock: any WallClock, logger: Logger,
        sleep: @escaping @Sendable (Duration) async throws -> Void
    ) {
        self.service = service
        self.reconciler = reconciler
        self.clock = clock
        self.logger = logger
        self.sleep = sleep
    }

    func run(workers: Int) async {
        await withTaskCancellationHandler {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.follow() }
                for _ in 0..<workers {
                    group.addTask { await self.serve() }
                }
            }
        } onCancel: {
            Task { await self.wake() }
        }
        for timer in timers.values { timer.cancel() }
        timers = [:]
    }

    /// Watches without end: a stream that breaks off is begun anew with a listing.
    private func follow() async {
        while !Task.isCancelled {
            for await event in service.watch(kind: reconciler.kind) { note(event) }
            guard !Task.isCancelled, !service.hasEndedWatches else { return }
            logger.warning("watching resources broke off; beginning anew", metadata: ["kind": "\(reconciler.kind)"])
            do { try await sleep(.seconds(1)) } catch { return }
            await findDeleted()
        }
    }

    /// What was deleted while nobody watched.
    private func findDeleted() async {
        let before = seen
        guard let there = try? await service.list(kind: reconciler.kind) else { return }
        let keys = Set(there.map(\.key))
        for (key, resource) in before where !keys.contains(key) {
            note(ResourceEvent(change: .deleted, resource: resource, sequence: 0))
        }
    }

    private func note(_ event: ResourceEvent) {
        let key = event.resource.key
        switch event.change {
        case .deleted:
            deleted[key] = event.resource
            seen[key] = nil
        case .added, .modified:
            let metadata = event.resource.metadata
            let old = seen[key]?.metadata
            seen[key] = event.resource
            // A change of the status alone is the reconciler's own; settings may stand in annotations and labels, too.
            let isKnown =
                old.map {
                    $0.uid == metadata.uid && $0.generation >= metadata.generation
                        && $0.annotations == metadata.annotations && $0.labels == metadata.labels
                } ?? false
            if isKnown { return }
        }
        add(key)
    }

    private func add(_ key: ResourceKey) {
        timers.removeValue(forKey: key)?.cancel()
        queue.add(key)
        wake()
    }

    private func wake() {
        let workers = idle
        idle = []
        for worker in workers { worker.resume() }
    }

    /// One worker. Each wake-up may find nothing, if another worker was quicker.
    private func serve() async {
        while !Task.isCancelled {
            guard let key = queue.take() else {
                await withCheckedContinuation { idle.append($0) }
                continue
            }
            let (failed, again) = await look(at: key)
            let pause = queue.finish(key, failed: failed) ?? again
            if let pause { schedule(key, after: pause) }
            // One that changed meanwhile is queued again.
            wake()
        }
    }

    private func schedule(_ key: ResourceKey, after pause: Duration) {
        timers.removeValue(forKey: key)?.cancel()
        timers[key] = Task { [weak self, sleep] in
            do { try await sleep(pause) } catch { return }
            await self?.expire(key)
        }
    }

    private func expire(_ key: ResourceKey) {
        guard !Task.isCancelled else { return }
        timers[key] = nil
        queue.add(key)
        wake()
    }

    /// - Returns: whether it must be tried again, and when to look again though all went well.
    private func look(at key: ResourceKey) async -> (failed: Bool, again: Duration?) {
        // Not kept over a restart: whoever is told of deletions may hold only what ends with the process, such as
        // the deployments that are being served. A reconciler with effects outside must look for leftovers itself.
        if let gone = deleted[key] {
            do throws(AerieError) { try await reconciler.removed(gone) } catch {
                logger.warning("taking down failed", metadata: ["resource": "\(key)", "error": "\(error)"])
                return (true, nil)
            }
            if deleted[key]?.metadata.uid == gone.metadata.uid { deleted[key] = nil }
        }
        let resource: Resource
        do throws(AerieError) { resource = try await service.get(key) } catch {
            return (error.code != .notFound, nil)
        }
        do throws(AerieError) {
            let result = try await reconciler.reconcile(resource)
            let now = clock.now()
            try await service.changeStatus(key, uid: resource.metadata.uid) {
                $0 = Self.completed(result, over: $0, resource, at: now)
            }
            return (false, result.requeueAfter)
        } catch {
            // Work that was cut off by a shutdown is no failure of the resource's.
            guard !Task.isCancelled else { return (true, nil) }
            logger.warning("reconciling failed", metadata: ["resource": "\(key)", "error": "\(error)"])
            let now = clock.now()
            do throws(AerieError) {
                try await service.changeStatus(key, uid: resource.metadata.uid) {
                    $0 = Self.failed(error, over: $0, resource, at: now)
                }
            } catch {
                logger.warning("writing the status failed", metadata: ["resource": "\(key)", "error": "\(error)"])
            }
            return (true, nil)
        }
    }

    /// What a reconciler has found, in the place of what was there, or over it.
    private static func completed(
        _ result: Reconciliation, over present: JSONObject, _ resource: Resource, at now: Timestamp
    ) -> JSONObject {
        var status = result.status
        if status["observedGeneration"] == nil { status["observedGeneration"] = .int(resource.metadata.generation) }
        if status["conditions"] == nil {
            let ready = ResourceCondition(isTrue: true, reason: "Reconciled", since: now)
            status = ready.put(into: status, previous: present)
        }
        guard result.keepsRest else { return status }
        var whole = present
        for member in status.members { whole[member.key] = member.value }
        return whole
    }

    /// The last good status, with the failure as its condition.
    private static func failed(
        _ error: AerieError, over present: JSONObject, _ resource: Resource, at now: Timestamp
    ) -> JSONObject {
        var status = present
        status["observedGeneration"] = .int(resource.metadata.generation)
        let condition = ResourceCondition(
            isTrue: false, reason: error.reason ?? "\(error.code)", message: error.message, since: now)
        return condition.put(into: status, previous: present)
    }
}
