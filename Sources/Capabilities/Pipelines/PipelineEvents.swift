public import AerieCore
public import AerieJSON
import Synchronization

/// Something that changed in a run, for live views.
public enum PipelineEvent: Sendable {
    /// The run's own members; its steps are left out of the JSON form.
    case run(PipelineRun)
    case step(run: String, StepRun)
    case progress(run: String, step: String, fraction: Double, message: String)

    public var runID: String {
        switch self {
        case .run(let run): run.id
        case .step(let run, _): run
        case .progress(let run, _, _, _): run
        }
    }

    /// `{"type": "run", "run": {…}}`, `{"type": "step", "runId", "step": {…}}` or
    /// `{"type": "progress", "runId", "step": "name", "progress", "message"}`.
    public var json: JSONObject {
        switch self {
        case .run(let run):
            ["type": "run", "run": .object(run.json(includesSpec: false, includesSteps: false))]
        case .step(let run, let step): ["type": "step", "runId": .string(run), "step": .object(step.json())]
        case .progress(let run, let step, let fraction, let message):
            [
                "type": "progress", "runId": .string(run), "step": .string(step), "progress": .double(fraction),
                "message": .string(message),
            ]
        }
    }
}

/// Passes events on to those who listen, and keeps the latest progress of running steps, which is not persisted.
///
/// A listener that does not keep up loses its oldest events, never the newest.
final class PipelineEvents: Sendable {
    private struct Listener {
        var run: String?
        var continuation: AsyncStream<PipelineEvent>.Continuation
    }
    private struct Progress {
        var fraction: Double
        var message: String
        var told: UInt64
    }
    private struct State {
        var listeners: [Int: Listener] = [:]
        var next = 0
        var progress: [String: [String: Progress]] = [:]
    }

    private let state = Mutex(State())

    func listen(run: String?) -> AsyncStream<PipelineEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: PipelineEvent.self, bufferingPolicy: .bufferingNewest(1024))
        let id = state.withLock { state in
            state.next += 1
            state.listeners[state.next] = Listener(run: run, continuation: continuation)
            return state.next
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.listeners.removeValue(forKey: id) }
        }
        return stream
    }

    func send(_ events: [PipelineEvent]) {
        for event in events {
            for listener in listeners(of: event.runID) { listener.yield(event) }
        }
    }

    /// Notes the progress; told to listeners at most ten times a second, and at the end.
    func progress(run: String, step: String, fraction: Double, message: String) {
        let fraction = fraction.isFinite ? min(max(fraction, 0), 1) : 0
        let now = monotonicNanoseconds()
        let mustTell = state.withLock { state in
            let told = state.progress[run]?[step]?.told ?? 0
            let isDue = now &- told > 100_000_000 || fraction == 1
            state.progress[run, default: [:]][step] = Progress(
                fraction: fraction, message: message, told: isDue ? now : told)
            return isDue
        }
        if mustTell { send([.progress(run: run, step: step, fraction: fraction, message: message)]) }
    }

    func latest(run: String, step: String) -> (fraction: Double, message: String)? {
        state.withLock { $0.progress[run]?[step].map { ($0.fraction, $0.message) } }
    }

    func forgetProgress(run: String, step: String) {
        state.withLock { state in
            state.progress[run]?[step] = nil
            if state.progress[run]?.isEmpty == true { state.progress[run] = nil }
        }
    }

    func finish() {
        let all = state.withLock { state in
            defer { state.listeners = [:] }
            return state.listeners.values.map(\.continuation)
        }
        for continuation in all { continuation.finish() }
    }

    private func listeners(of run: String) -> [AsyncStream<PipelineEvent>.Continuation] {
        state.withLock { state in
            state.listeners.values.filter { $0.run == nil || $0.run == run }.map(\.continuation)
        }
    }
}
