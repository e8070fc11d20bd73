import AerieCore
import Experiments

extension PipelineServices {
    func findRun(experiment: String, tag: String, value: String) async throws(AerieError) -> String? {
        let found: Experiment
        do throws(AerieError) { found = try await experiments.experiment(name: experiment) } catch {
            if error.code == .notFound { return nil }
            throw error
        }
        // Run identifiers hold no quotes; the words around them are ours.
        let filter = "tags.`\(tag)` = '\(value)'"
        return try await experiments.searchRuns(in: [found.id], filter: filter, limit: 1).elements.first?.info.id.text
    }
}
