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
        var pass = Pass(source: source, each: each)
        let counts = try await source.counts()
        try await each(.began(counts))
        guard !isDryRun else {
            pass.report.isDryRun = true
            pass.report.added = [
                .experiments: counts.experiments, .runs: counts.runs, .loggedModels: counts.loggedModels,
                .traces: counts.traces, .registeredModels: counts.registeredModels,
            ]
            return pass.report
        }
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

    private func bringExperiments(_ found: [Experiment], _ pass: inout Pass) async throws(AerieError) {
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

    private func bringRuns(_ pass: inout Pass) async throws(AerieError) {
        var last: RunID?
        while true {
            let page = try await pass.source.runs(after: last, limit: Self.pageSize)
            guard let end = page.last else { return }
            last = end.info.id
            let present = Set(try await runs.get(page.map(\.info.id)).map(\.info.id))
            var new: [Run] = []
            for var run in page where !present.contains(run.info.id) {
                guard let experiment = pass.numbers[run.info.experimentID] else {
                    try await pass.warn("run \(run.info.id) belongs to no experiment and did not come over")
                    continue
                }
                let old = run.info.artifactURI
                run.info.experimentID = experiment
                run.info.artifactURI = pass.relocated(old) ?? "mlflow-artifacts:/\(experiment)/\(run.info.id)/artifacts"
                try await bringFiles(from: old, to: run.info.artifactURI, "run \(run.info.id)", &pass)
                new.append(run)
            }
            try await runs.create(new)
            pass.count(.runs, added: new.count, of: page.count)
            try await pass.tell(.runs)
        }
    }

    private func bringLoggedModels(_ pass: inout Pass) async throws(AerieError) {
        var last: LoggedModelID?
        while true {
            let page = try await pass.source.loggedModels(after: last, limit: Self.pageSize)
            guard let end = page.last else { return }
            last = end.id
            let present = Set(try await models.get(page.map(\.id)).map(\.id))
            for var model in page where !present.contains(model.id) {
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
            pass.count(.loggedModels, added: 0, of: page.count)
            try await pass.tell(.loggedModels)
        }
    }

    private func bringTraces(_ pass: inout Pass) async throws(AerieError) {
        var last: TraceID?
        while true {
            let page = try await pass.source.traces(after: last, limit: Self.pageSize)
            guard let end = page.last else { return }
            last = end.id
            let present = Set(try await traces.get(page.map(\.id)).map(\.id))
            for var trace in page where !present.contains(trace.id) {
                guard let experiment = pass.numbers[trace.experimentID] else { continue }
                trace.experimentID = experiment
                for index in trace.tags.indices where trace.tags[index].key == "mlflow.artifactLocation" {
                    let old = trace.tags[index].value
                    let new = pass.relocated(old) ?? "mlflow-artifacts:/\(experiment)/traces/\(trace.id)/artifacts"
                    trace.tags[index].value = new
                    try await bringFiles(from: old, to: new, "trace \(trace.id)", &pass)
                }
                try await traces.put(trace)
                pass.count(.traces, added: 1, of: 0)
            }
            pass.count(.traces, added: 0, of: page.count)
            try await pass.tell(.traces)
        }
    }

    private func bringRegistry(_ pass: inout Pass) async throws(AerieError) {
        for var found in try await pass.source.registeredModels() {
            for index in found.versions.indices {
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
        from old: String, to new: String, _ what: String, _ pass: inout Pass
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
            try await pass.source.read(file) { next throws(AerieError) in _ = try await artifacts.put(path, next: next)
            }
            pass.report.bytes += file.size
            pass.count(.files, added: 1, of: 1)
        }
    }
}

/// One import on its way.
private struct Pass {
    let source: any ImportSource
    let each: @Sendable (ImportEvent) async throws(AerieError) -> Void
    var report = ImportReport()
    /// This server's experiment by the source's.
    var numbers: [ExperimentID: ExperimentID] = [:]
    private var roots: [(old: String, new: String)] = []
    /// Where models' files went.
    var locations: [String: String] = [:]
    var isUnreachableTold = false
    private var done: [ImportKind: Int] = [:]

    init(source: any ImportSource, each: @escaping @Sendable (ImportEvent) async throws(AerieError) -> Void) {
        self.source = source
        self.each = each
    }

    mutating func map(_ experiment: Experiment, to present: Experiment) {
        numbers[experiment.id] = present.id
        roots.append((experiment.artifactLocation, present.artifactLocation))
    }

    /// Where what lies below an experiment's folder lies here.
    func relocated(_ location: String) -> String? {
        for root in roots where location.hasPrefix(root.old + "/") {
            return root.new + location.dropFirst(root.old.count)
        }
        return nil
    }

    mutating func count(_ kind: ImportKind, added: Int, of seen: Int) {
        report.added[kind, default: 0] += added
        done[kind, default: 0] += seen
        report.present[kind] = (done[kind] ?? 0) - (report.added[kind] ?? 0)
    }

    func tell(_ kind: ImportKind) async throws(AerieError) {
        try await each(.progress(kind: kind, done: done[kind] ?? 0, added: report.added[kind] ?? 0))
    }

    mutating func warn(_ text: String) async throws(AerieError) {
        report.warnings.append(text)
        try await each(.warning(text))
    }
}
