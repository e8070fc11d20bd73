public import AerieCore
import AerieResources
import Synchronization

/// One view's materialization as others see it.
public struct MaterializationRun: Sendable {
    public enum State: String, Sendable { case running, succeeded, failed, cancelled }

    public var id: String
    public var namespace: String
    public var view: String
    /// What began it: `request`, `restart`, or the schedule's name.
    public var trigger: String
    public var from: Int64
    public var to: Int64
    public var rows: Int64 = 0
    /// Entities; 0 while the source is being read.
    public var total: Int64 = 0
    public var state = State.running
    public var began: Int64
    public var ended: Int64?
    public var error: String?
    public var notes: [String] = []
}

/// The materializations of this process: those at work, and the last few hundred that have ended. Any thread.
public final class MaterializationRuns: Sendable {
    private struct State {
        var runs: [MaterializationRun] = []
        /// What ends those at work.
        var cancels: [String: @Sendable () -> Void] = [:]
    }

    private let state = Mutex(State())
    private static let limit = 500

    init() {}

    /// Newest first.
    public func list(_ namespace: String, view: String? = nil) -> [MaterializationRun] {
        state.withLock { $0.runs }.reversed().filter { $0.namespace == namespace && (view == nil || $0.view == view) }
    }

    /// Ends a run: while its source is read at once, else after the part that is being written.
    /// - Throws: `notFound`; `failedPrecondition` if it has ended, or has not begun as others come before it.
    public func cancel(_ id: String) throws(AerieError) {
        let (found, cancel) = state.withLock { ($0.runs.first { $0.id == id }?.state, $0.cancels[id]) }
        if let cancel { return cancel() }
        guard let found else { throw .notFound("there is no materialization \(id)") }
        guard found == .running else {
            throw AerieError(.failedPrecondition, "materialization \(id) has \(found.rawValue) already")
        }
        throw AerieError(.failedPrecondition, "materialization \(id) waits for others that were asked for with it")
    }

    /// Says what ends a run that begins its work.
    func hold(_ id: String, cancel: @escaping @Sendable () -> Void) { state.withLock { $0.cancels[id] = cancel } }

    func begin(_ view: FeatureCatalog.View, _ range: ClosedRange<Int64>, trigger: String, at now: Int64) -> String {
        let id = String(IdentifierSource.system.hex32().prefix(16))
        let run = MaterializationRun(
            id: id, namespace: view.key.namespace, view: view.definition.name, trigger: trigger, from: range.lowerBound,
            to: range.upperBound, began: now)
        state.withLock { state in
            state.runs.append(run)
            if state.runs.count > Self.limit, let old = state.runs.firstIndex(where: { $0.state != .running }) {
                state.runs.remove(at: old)
            }
        }
        return id
    }

    func move(_ id: String, _ progress: MaterializationProgress) {
        change(id) { ($0.rows, $0.total) = (progress.rows, progress.total) }
    }

    func end(_ id: String, at now: Int64, notes: [String] = [], error: AerieError? = nil) {
        change(id) { run in
            run.ended = now
            run.notes = notes
            run.error = error?.message
            run.state = error == nil ? .succeeded : error?.code == .cancelled ? .cancelled : .failed
        }
        state.withLock { $0.cancels[id] = nil }
    }

    /// One that was reserved and will not be run.
    func drop(_ id: String) { state.withLock { $0.runs.removeAll { $0.id == id } } }

    private func change(_ id: String, _ body: (inout MaterializationRun) -> Void) {
        state.withLock { state in
            guard let place = state.runs.lastIndex(where: { $0.id == id }) else { return }
            body(&state.runs[place])
        }
    }
}
