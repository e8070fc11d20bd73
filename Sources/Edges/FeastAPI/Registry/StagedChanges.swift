import AerieCore
import Synchronization

/// Changes that could not be made yet because others stand in their way, until their client says `Commit`.
///
/// Feast's SDK deletes an entity before the views that use it, and views before the services; what it sends before its
/// `Commit` is one change. Kept in memory by connection: what was not committed was not acknowledged.
final class StagedChanges: Sendable {
    enum Change: Sendable {
        case apply(FeastObject, project: String)
        case delete([FeastKind], name: String, project: String)
    }

    private static let connectionLimit = 1000
    private static let changeLimit = 10_000

    private let changes = Mutex<[Int: [Change]]>([:])

    /// - Throws: `resourceExhausted` past a limit that no client reaches by itself.
    func add(_ change: Change, connection: Int) throws(AerieError) {
        let isAdded = changes.withLock { changes in
            guard changes[connection]?.count ?? 0 < Self.changeLimit else { return false }
            changes[connection, default: []].append(change)
            // The oldest connections have the smallest numbers.
            while changes.count > Self.connectionLimit, let oldest = changes.keys.min() { changes[oldest] = nil }
            return true
        }
        guard isAdded else {
            throw AerieError(.resourceExhausted, "\(Self.changeLimit) changes wait for a Commit of this connection")
        }
    }

    func take(connection: Int) -> [Change] { changes.withLock { $0.removeValue(forKey: connection) ?? [] } }
}

extension FeastRegistry {
    /// Makes the change, or keeps it for the client's `Commit` if others stand in its way.
    /// - Parameter isCommitted: the client waits for no `Commit`.
    func change(_ change: StagedChanges.Change, isCommitted: Bool, connection: Int) async throws(AerieError) {
        do throws(AerieError) { try await make(change) } catch {
            guard error.code == .failedPrecondition, !isCommitted else { throw error }
            try staged.add(change, connection: connection)
        }
    }

    private func make(_ change: StagedChanges.Change) async throws(AerieError) {
        switch change {
        case .apply(let object, let project): try await apply(object, project: project)
        case .delete(let kinds, let name, let project): try await delete(kinds, name, project: project)
        }
    }

    /// Makes what waits for it, in whatever order it can be made.
    /// - Throws: `failedPrecondition` with what stands in the way of the first that cannot; they are then given up.
    func commit(connection: Int) async throws(AerieError) {
        var left = staged.take(connection: connection)
        while !left.isEmpty {
            var refused: [StagedChanges.Change] = []
            var first: AerieError?
            for change in left {
                do throws(AerieError) { try await make(change) } catch {
                    guard error.code == .failedPrecondition else { throw error }
                    refused.append(change)
                    first = first ?? error
                }
            }
            if let first, refused.count == left.count { throw first }
            left = refused
        }
    }
}
