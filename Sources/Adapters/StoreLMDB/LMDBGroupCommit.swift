import AerieCore
import CLMDB
import Dispatch
import Synchronization

/// The writers of one LMDB file: those that come at the same time share one commit, which is on the disk when they
/// return. Blocks a queue of its own, never the caller's thread.
final class LMDBGroupCommit: Sendable {
    typealias Work = @Sendable (clmdb_txn, LMDBEnvironment) throws(AerieError) -> Int

    private struct Pending {
        let work: Work
        let done: CheckedContinuation<Result<Int, AerieError>, Never>
    }

    private let environment: LMDBEnvironment
    private let queue = DispatchQueue(label: "aerie.lmdb")
    private let pending = Mutex<[Pending]>([])

    init(_ environment: LMDBEnvironment) { self.environment = environment }

    /// - Returns: what the work counts.
    func run(_ work: @escaping Work) async throws(AerieError) -> Int {
        let result = await withCheckedContinuation { continuation in
            let isFirst = pending.withLock { pending in
                pending.append(Pending(work: work, done: continuation))
                return pending.count == 1
            }
            if isFirst { queue.async { self.drain() } }
        }
        return try result.get()
    }

    /// One commit for all that wait; if it fails, one for each, so that a bad batch costs only itself.
    private func drain() {
        let all = pending.withLock { pending in
            defer { pending = [] }
            return pending
        }
        do throws(AerieError) {
            let counts = try environment.write { transaction throws(AerieError) in
                var counts: [Int] = []
                for entry in all { counts.append(try entry.work(transaction, environment)) }
                return counts
            }
            for (entry, count) in zip(all, counts) { entry.done.resume(returning: .success(count)) }
        } catch {
            for entry in all {
                do throws(AerieError) {
                    let count = try environment.write { transaction throws(AerieError) in
                        try entry.work(transaction, environment)
                    }
                    entry.done.resume(returning: .success(count))
                } catch { entry.done.resume(returning: .failure(error)) }
            }
        }
    }
}
