import AerieCore
import Logging

/// Keeps the files of runs bounded.
extension PipelineRunner {
    /// Deletes what is too old, beside everything else. Costs one query if there is nothing.
    func sweepSoon() {
        guard !isSweeping else {
            mustSweepAgain = true
            return
        }
        isSweeping = true
        Task { await self.sweep() }
    }

    private func sweep() async {
        defer { isSweeping = false }
        repeat {
            mustSweepAgain = false
            do throws(AerieError) {
                while !isStopping, try await sweepSome() {}
            } catch {
                logger.warning("cannot delete the files of old pipeline runs", metadata: ["error": "\(error)"])
            }
        } while mustSweepAgain && !isStopping
    }

    /// False if nothing was deleted.
    private func sweepSome() async throws(AerieError) -> Bool {
        let old = try await store.retire(keeping: configuration.keptRuns, limit: 100)
        // From here to `doomed` nothing may suspend: a step that looked into the cache before must be seen here, and
        // one that comes back from there later must see it.
        let used = active.values.reduce(into: Set(active.keys)) { $0.formUnion($1.sources) }
        let gone = old.filter { !used.contains($0) }
        guard !gone.isEmpty else { return false }
        doomed.formUnion(gone)
        defer { doomed.subtract(gone) }
        for id in gone { try await folders.remove(run: id) }
        try await store.retired(gone)
        logger.info("deleted the files of old pipeline runs", metadata: ["runs": "\(gone.count)"])
        return true
    }
}
