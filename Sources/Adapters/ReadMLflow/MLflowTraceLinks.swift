import AerieCore
import AerieJSON
import Experiments
import Imports

/// Which runs and prompts the traces of a server are linked to.
///
/// Its API tells it the other way round only, so that the runs of the experiments with traces, and the versions of all
/// prompts, are asked for their traces: one call each, once for an import. A server that cannot be asked has none.
actor MLflowTraceLinks {
    struct Links {
        var runs: [String] = []
        /// As `name/version`.
        var prompts: [String] = []
    }

    private var asked: Set<ExperimentID> = []
    private var prompts: [String]?
    private var found: [TraceID: Links] = [:]
    private static let tracesPerPage = 500

    /// What is known of the traces, and is then forgotten: each trace is asked for once.
    func take(
        _ traces: [Trace], from source: MLflowServerSource
    ) async throws(AerieError) -> [TraceID: Links] {
        let new = Set(traces.map(\.experimentID)).subtracting(asked).sorted { $0.text < $1.text }
        if !new.isEmpty { try await ask(source, new) }
        var taken: [TraceID: Links] = [:]
        for trace in traces { taken[trace.id] = found.removeValue(forKey: trace.id) }
        return taken
    }

    private func ask(_ source: MLflowServerSource, _ experiments: [ExperimentID]) async throws(AerieError) {
        let prompts: [String]
        if let known = self.prompts {
            prompts = known
        } else {
            prompts = try await source.promptVersions()
            self.prompts = prompts
        }
        let ofPrompts = try await source.together(prompts) { prompt throws(AerieError) in
            (prompt, try await Self.traces(of: source, experiments, "prompt = \(Self.quoted(prompt))").map(\.id))
        }
        for (prompt, traces) in ofPrompts { for id in traces { found[id, default: Links()].prompts.append(prompt) } }
        var place: String?
        repeat {
            let page = try await source.runs(in: experiments, after: place, limit: 500)
            let ofRuns = try await source.together(page.elements.map(\.info.id.text)) { run throws(AerieError) in
                // A trace that was made in a run says so itself.
                let traces = try await Self.traces(of: source, experiments, "run_id = \(Self.quoted(run))")
                let linked = traces.filter { trace in
                    !trace.metadata.contains { $0.key == "mlflow.sourceRun" && $0.value == run }
                }
                return (run, linked.map(\.id))
            }
            for (run, traces) in ofRuns { for id in traces { found[id, default: Links()].runs.append(run) } }
            place = page.next
        } while place != nil
        asked.formUnion(experiments)
    }

    private static func quoted(_ text: String) -> String {
        let quote = text.contains("'") ? "\"" : "'"
        return quote + text + quote
    }

    private static func traces(
        of source: MLflowServerSource, _ experiments: [ExperimentID], _ filter: String
    ) async throws(AerieError) -> [Trace] {
        var traces: [Trace] = []
        var token: String?
        do throws(AerieError) {
            repeat {
                let page = try await source.traces(
                    in: experiments, limit: tracesPerPage, token: token, filter: filter)
                traces += page.elements
                token = page.next
            } while token != nil
        } catch {
            // Servers before MLflow 3.5 do not know all of the links.
            guard [.notFound, .failedPrecondition].contains(error.code) else { throw error }
        }
        return traces
    }
}
