public import AerieCore
public import Experiments
import Registry

/// What an import has done so far.
public enum ImportEvent: Sendable {
    case began(ImportCounts)
    /// So many of a kind have been looked at, of which so many were new.
    case progress(kind: ImportKind, done: Int, added: Int)
    case warning(String)
}

public enum ImportKind: String, Sendable, CaseIterable {
    case experiments
    case loggedModels = "logged_models"
    case runs, traces
    case registeredModels = "registered_models"
    case files
}

/// What came over, what was there already, and what did not come.
public struct ImportReport: Sendable {
    public var added: [ImportKind: Int] = [:]
    public var present: [ImportKind: Int] = [:]
    public var bytes: Int64 = 0
    public var warnings: [String] = []
    public var isDryRun = false
}

/// Brings another tracking server's data over.
///
/// Everything keeps its identifier, so that an import that was interrupted is finished by running it again: what is
/// there already is left as it is. A run comes over with all it logged in one transaction, or not at all. Experiments
/// of a name that exists become one with it; their numbers stay where they are free.
public struct ImportService: Sendable {
    private let experiments: any ExperimentStore
    private let runs: any RunStore
    private let models: any LoggedModelStore
    private let traces: any TraceStore
    private let registry: any ImportStore
    private let artifacts: any ArtifactStore

    private static let pageSize = 500
    /// Runs or traces that are read whole, and written in one transaction, at a time.
    private static let wholeSize = 50

    public init(
        experiments: any ExperimentStore, runs: any RunStore, models: any LoggedModelStore, traces: any TraceStore,
        registry: any ImportStore, artifacts: any ArtifactStore
    ) {
        self.experiments = experiments
        self.runs = runs
        self.models = models
        self.traces = traces
        self.registry = registry
        self.artifacts = artifacts
    }

    /// - Parameters:
    ///   - isDryRun: counts what there is and changes nothing.
    ///   - each: is told of every step; what it throws ends the import, of which everything done so far stays.
    public func run(
        from source: any ImportSource, isDryRun: Bool = false,
        each: @escaping @Sendable (ImportEvent) async throws(AerieError) -> Void
    ) async throws(AerieError) -> ImportReport {
        var pass = ImportPass(source: source, each: each)
        let counts = try await source.counts()
        try await each(.began(counts))
        guard !isDryRun else { return try await count(counts, &pass) }
        let found = try await source.experiments()
        try await bringExperiments(found, &pass)
        try await bringLoggedModels(&pass)
        try await bringRuns(&pass)
        try await bringTraces(&pass)
        try await bringRegistry(&pass)
        // Deleting an experiment takes its runs along, so that comes last.
        for experiment in found where experiment.stage == .deleted {
            guard let id = pass.numbers[experiment.id] else { continue }
            if try await experiments.get([id]).first?.stage == .active {
                try await experiments.update(id, ExperimentChange(stage: .deleted), at: experiment.lastUpdateTime)
            }
        }
        return pass.report
    }

    private func bringExperiments(_ found: [Experiment], _ pass: inout ImportPass) async throws(AerieError) {
        for experiment in found {
            if let present = try await experiments.find(name: experiment.name) {
                pass.map(experiment, to: present)
                pass.count(.experiments, added: 0, of: 1)
            } else {
                let isFree = try await experiments.get([experiment.id]).isEmpty
                let made = try await experiments.create(
                    ExperimentDraft(
                        id: isFree ? experiment.id : nil, name: experiment.name, artifactLocation: nil,
                        artifactRoot: "mlflow-artifacts:", time: experiment.creationTime, tags: experiment.tags))
                if !isFree {
                    try await pass.warn(
                        "experiment '\(experiment.name)' is number \(made.id) here; \(experiment.id) was taken")
                }
                pass.map(experiment, to: made)
                pass.count(.experiments, added: 1, of: 1)
            }
            try await pass.tell(.experiments)
        }
    }

    /// What there is, where the source cannot tell by reading all of it.
    private func count(_ counts: ImportCounts, _ pass: inout ImportPass) async throws(AerieError) -> ImportReport {
        let source = pass.source
        pass.report.isDryRun = true
        pass.report.added[.experiments] = counts.experiments
        pass.report.added[.runs] = try await pass.length(.runs, counts.runs) { after throws(AerieError) in
            let page = try await source.runs(after: after, limit: Self.pageSize)
            return (page.elements.count, page.next)
        }
        pass.report.added[.loggedModels] = try await pass.length(.loggedModels, counts.loggedModels) {
            after throws(AerieError) in
            let page = try await source.loggedModels(after: after, limit: Self.pageSize)
            return (page.elements.count, page.next)
        }
        pass.report.added[.traces] = try await pass.length(.traces, counts.traces) { after throws(AerieError) in
            let page = try await source.traces(after: after, limit: Self.pageSize)
            return (page.elements.count, page.next)
        }
        if let models = counts.registeredModels {
            pass.report.added[.registeredModels] = models
        } else {
            pass.report.added[.registeredModels] = try await source.registeredModels().count
        }
        return pass.report
    }

    private func bringRuns(_ pass: inout ImportPass) async throws(AerieError) {
        var place: String?
        repeat {
            let page = try await pass.source.runs(after: place, limit: Self.pageSize)
            place = page.next
            var seen = Set(try await runs.get(page.elements.map(\.info.id)).map(\.info.id))
            var new: [Run] = []
            for run in page.elements where seen.insert(run.info.id).inserted {
                if pass.numbers[run.info.experimentID] != nil {
                    new.append(run)
                } else {
                    try await pass.warn("run \(run.info.id) belongs to no experiment and did not come over")
                }
            }
            pass.count(.runs, added: 0, of: page.elements.count - new.count)
            try await pass.tell(.runs)
            for start in stride(from: 0, to: new.count, by: Self.wholeSize) {
                let whole = try await pass.source.completed(Array(new[start..<min(start + Self.wholeSize, new.count)]))
                try await bring(whole, &pass)
            }
        } while place != nil
    }

    private func bring(_ found: [Run], _ pass: inout ImportPass) async throws(AerieError) {
        var new: [Run] = []
        for var run in found {
            guard let experiment = pass.numbers[run.info.experimentID] else { continue }
            let old = run.info.artifactURI
            run.info.experimentID = experiment
            run.info.artifactURI = pass.relocated(old) ?? "mlflow-artifacts:/\(experiment)/\(run.info.id)/artifacts"
            try await bringFiles(from: old, to: run.info.artifactURI, "run \(run.info.id)", &pass)
            new.append(run)
        }
        try await runs.create(new)
        pass.count(.runs, added: new.count, of: new.count)
        try await pass.tell(.runs)
    }

    private func bringLoggedModels(_ pass: inout ImportPass) async throws(AerieError) {
        var place: String?
        repeat {
            let page = try await pass.source.loggedModels(after: place, limit: Self.pageSize)
            place = page.next
            let present = Set(try await models.get(page.elements.map(\.id)).map(\.id))
            for var model in page.elements where !present.contains(model.id) {
                guard let experiment = pass.numbers[model.experimentID] else { continue }
                let old = model.artifactURI
                model.experimentID = experiment
                model.artifactURI =
                    pass.relocated(old) ?? "mlflow-artifacts:/\(experiment)/models/\(model.id)/artifacts"
                pass.locations[old] = model.artifactURI
                try await bringFiles(from: old, to: model.artifactURI, "model \(model.id)", &pass)
                try await models.create(model)
                pass.count(.loggedModels, added: 1, of: 0)
            }
            pass.count(.loggedModels, added: 0, of: page.elements.count)
            try await pass.tell(.loggedModels)
        } while place != nil
    }

    private func bringTraces(_ pass: inout ImportPass) async throws(AerieError) {
        var place: String?
        repeat {
            let page = try await pass.source.traces(after: place, limit: Self.pageSize)
            place = page.next
            let present = Set(try await traces.get(page.elements.map(\.id)).map(\.id))
            let new = page.elements.filter { !present.contains($0.id) && pass.numbers[$0.experimentID] != nil }
            pass.count(.traces, added: 0, of: page.elements.count - new.count)
            for start in stride(from: 0, to: new.count, by: Self.wholeSize) {
                let some = Array(new[start..<min(start + Self.wholeSize, new.count)])
                for imported in try await pass.source.completed(some) { try await bring(imported, &pass) }
                try await pass.tell(.traces)
            }
            try await pass.tell(.traces)
        } while place != nil
    }

    /// The spans go with the trace in one transaction, so that a trace that is there has them.
    private func bring(_ imported: ImportedTrace, _ pass: inout ImportPass) async throws(AerieError) {
        var trace = imported.trace
        guard let experiment = pass.numbers[trace.experimentID] else { return }
        trace.experimentID = experiment
        for index in trace.tags.indices where trace.tags[index].key == "mlflow.artifactLocation" {
            let old = trace.tags[index].value
            let new = pass.relocated(old) ?? "mlflow-artifacts:/\(experiment)/traces/\(trace.id)/artifacts"
            trace.tags[index].value = new
            try await bringFiles(from: old, to: new, "trace \(trace.id)", &pass)
        }
        do throws(AerieError) {
            try await traces.record([SpanBatch(trace: trace, spans: imported.spans)])
        } catch {
            guard error.code == .resourceExhausted else { throw error }
            try await pass.warn("\(error.message); its spans did not come over")
            try await traces.put(trace)
        }
        if !imported.runs.isEmpty { try await traces.link([trace.id], .run, to: imported.runs) }
        if !imported.prompts.isEmpty { try await traces.link([trace.id], .prompt, to: imported.prompts) }
        pass.count(.traces, added: 1, of: 1)
    }

    private func bringRegistry(_ pass: inout ImportPass) async throws(AerieError) {
        for var found in try await pass.source.registeredModels() {
            // The text of a prompt is in its tags; it has no files.
            let isPrompt = found.model.tags.contains { $0.key == "mlflow.prompt.is_prompt" && $0.value == "true" }
            for index in found.versions.indices where !isPrompt {
                let old = found.versions[index].location
                guard let new = pass.locations[old] ?? pass.relocated(old) else {
                    let key = found.versions[index].key
                    try await pass.warn("the files of model version \(key) at \(old) stay where they are")
                    continue
                }
                found.versions[index].location = new
                if found.versions[index].source == old { found.versions[index].source = new }
                try await bringFiles(from: old, to: new, "model version \(found.versions[index].key)", &pass)
            }
            let isNew = try await registry.put(found)
            if !isNew {
                try await pass.warn("the registered model '\(found.model.name)' is there already and was left as it is")
            }
            pass.count(.registeredModels, added: isNew ? 1 : 0, of: 1)
            try await pass.tell(.registeredModels)
        }
    }

    /// Copies what is not there yet. A file of the same size is the same: files are written whole.
    private func bringFiles(
        from old: String, to new: String, _ what: String, _ pass: inout ImportPass
    ) async throws(AerieError) {
        guard let files = try await pass.source.files(at: old) else {
            if !pass.isUnreachableTold {
                pass.isUnreachableTold = true
                try await pass.warn(
                    "the artifacts of \(what) and of others at \(old) cannot be reached; --artifacts names their folder"
                )
            }
            return
        }
        let root = try ArtifactPath(location: new)
        for file in files {
            let path = root.appending(try ArtifactPath(file.path))
            if try await artifacts.entry(path)?.size == file.size {
                pass.count(.files, added: 0, of: 1)
                continue
            }
            let artifacts = artifacts
            do throws(AerieError) {
                try await pass.source.read(file) { next throws(AerieError) in
                    _ = try await artifacts.put(path, next: next)
                }
            } catch {
                guard error.code == .dataLoss else { throw error }
                try await pass.warn("a file of \(what) was left out: \(error.message)")
                continue
            }
            pass.report.bytes += file.size
            pass.count(.files, added: 1, of: 1)
        }
    }
}
