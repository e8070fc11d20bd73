public import AerieCore
public import Experiments
public import Logging
import Synchronization

/// What one pass of `RetentionService` tells while it works.
public enum RetentionEvent: Sendable {
    /// Of a dry run: this would go.
    /// - Parameters:
    ///   - bytes: of its files. Those of an experiment include its runs' and models'.
    ///   - holder: who still refers to the files, which therefore stay.
    case candidate(PurgeCandidate, bytes: Int64, holder: String?)
    /// So many of a kind have been removed from the metadata.
    case removed(PurgeKind, count: Int)
    case filesDeleted(OrphanedFiles, bytes: Int64)
    /// Files that stay, and why.
    case kept(OrphanedFiles, why: String)
    /// Asked for by name, or in the way of something that was, and not removed.
    case skipped(PurgeKind, id: String, why: String)
}

/// What a pass came to.
public struct RetentionReport: Hashable, Sendable {
    public var isDryRun: Bool
    /// Removed, or to be removed in a dry run.
    public var counts: [PurgeKind: Int] = [:]
    public var bytes: Int64 = 0
    /// Places whose files stay.
    public var kept = 0
    public var skipped = 0
    public init(isDryRun: Bool) { self.isDryRun = isDryRun }
}

/// Deletes for good what was deleted long ago: runs, logged models, experiments with their traces, and their files.
///
/// The rows go first, in batches, and each batch lists its files as orphaned in the same step; then the files go, and
/// with them the entries of the list. So a run that is restored meanwhile either comes back with its files or is not
/// found, and a pass that ends halfway is taken up by the next one. Files that something live refers to stay on the
/// list, and go with a later pass once nothing does. One pass at a time.
public final class RetentionService: Sendable {
    private let store: any PurgeStore
    private let artifacts: any ArtifactStore
    private let clock: any WallClock
    private let logger: Logger
    private let isRunning = Mutex(false)
    private let batch: Int

    /// - Parameter batch: things removed in one step, at most 500.
    public init(
        store: any PurgeStore, artifacts: any ArtifactStore, clock: any WallClock = SystemClock(), batch: Int = 200,
        logger: Logger
    ) {
        precondition((1...500).contains(batch), "a batch has 1 to 500 things")
        self.store = store
        self.artifacts = artifacts
        self.clock = clock
        self.batch = batch
        self.logger = logger
    }

    /// One pass over what the selection names, and over files that earlier passes left.
    /// - Parameters:
    ///   - isDryRun: changes nothing.
    ///   - tell: called with each step; what it throws ends the pass, as does cancelling the task, between two steps.
    /// - Throws: `conflict` if another pass is under way.
    public func run(
        _ selection: PurgeSelection, isDryRun: Bool, tell: (RetentionEvent) async throws(AerieError) -> Void
    ) async throws(AerieError) -> RetentionReport {
        let isFirst = isRunning.withLock { running in
            defer { running = true }
            return !running
        }
        guard isFirst else {
            throw AerieError(.conflict, "a garbage collection is under way; wait for its end", reason: "gc.running")
        }
        defer { isRunning.withLock { $0 = false } }
        var report = RetentionReport(isDryRun: isDryRun)
        if isDryRun {
            try await preview(selection, &report, tell)
        } else {
            try await remove(selection, &report, tell)
            try await deleteFiles(&report, tell)
            logger.notice(
                "garbage collection ended",
                metadata: ["removed": "\(report.counts.values.reduce(0, +))", "bytes": "\(report.bytes)"])
        }
        return report
    }

    private static func kinds(_ selection: PurgeSelection) -> [PurgeKind] {
        selection.runs.isEmpty ? PurgeKind.allCases : [.run]
    }

    private static func checkCancelled() throws(AerieError) {
        if Task.isCancelled { throw AerieError(.cancelled, "cancelled; what is left goes with the next pass") }
    }

    // MARK: A dry run

    private func preview(
        _ selection: PurgeSelection, _ report: inout RetentionReport,
        _ tell: (RetentionEvent) async throws(AerieError) -> Void
    ) async throws(AerieError) {
        var whole: Set<ExperimentID> = []
        var seen: Set<String> = []
        // Experiments first, as their bytes hold those of what is in them.
        for kind in Self.kinds(selection).reversed() {
            var last: Int64 = 0
            while true {
                try Self.checkCancelled()
                let page = try await store.candidates(kind, selection, after: last, limit: batch)
                guard let end = page.last else { break }
                last = end.sequence
                let holders = try await store.holders(
                    of: page.filter { !$0.location.isEmpty }.map {
                        OrphanedFiles(sequence: 0, kind: kind, owner: $0.id, location: $0.location)
                    }, onlyVersions: true)
                for one in page {
                    let bytes = one.location.isEmpty ? 0 : try await size(one.location)
                    let holder = holders[one.location]
                    try await tell(.candidate(one, bytes: bytes, holder: holder))
                    report.counts[kind, default: 0] += 1
                    if holder != nil {
                        report.kept += 1
                    } else if kind == .experiment || !whole.contains(one.experiment) {
                        report.bytes += bytes
                    }
                    if kind == .experiment, holder == nil { whole.insert(one.experiment) }
                    seen.insert(one.id)
                }
            }
        }
        try await tellMissing(selection, seen, &report, tell)
    }

    private func tellMissing(
        _ selection: PurgeSelection, _ seen: Set<String>, _ report: inout RetentionReport,
        _ tell: (RetentionEvent) async throws(AerieError) -> Void
    ) async throws(AerieError) {
        for id in selection.runs where !seen.contains(id.text) {
            report.skipped += 1
            try await tell(
                .skipped(.run, id: id.text, why: "it does not exist, is not deleted, or was deleted too recently"))
        }
    }

    // MARK: Rows

    private func remove(
        _ selection: PurgeSelection, _ report: inout RetentionReport,
        _ tell: (RetentionEvent) async throws(AerieError) -> Void
    ) async throws(AerieError) {
        var seen: Set<String> = []
        for kind in Self.kinds(selection) {
            var last: Int64 = 0
            while true {
                try Self.checkCancelled()
                let page = try await store.candidates(kind, selection, after: last, limit: batch)
                guard let end = page.last else { break }
                last = end.sequence
                let gone = try await store.purge(kind, page, selection, at: clock.now())
                if kind == .run { seen.formUnion(gone) }
                report.counts[kind, default: 0] += gone.count
                if !gone.isEmpty { try await tell(.removed(kind, count: gone.count)) }
                for one in page where kind == .experiment && !gone.contains(one.id) {
                    report.skipped += 1
                    try await tell(
                        .skipped(
                            kind, id: one.id, why: "it still holds runs that are live or were deleted too recently"))
                }
            }
        }
        try await tellMissing(selection, seen, &report, tell)
    }

    // MARK: Files

    private func deleteFiles(
        _ report: inout RetentionReport, _ tell: (RetentionEvent) async throws(AerieError) -> Void
    ) async throws(AerieError) {
        var last: Int64 = 0
        while true {
            try Self.checkCancelled()
            let page = try await store.orphanedFiles(after: last, limit: batch)
            guard let end = page.last else { return }
            last = end.sequence
            for files in page {
                try Self.checkCancelled()
                // Asked for each one, as a version may have been registered a moment ago.
                if let holder = try await store.holders(of: [files], onlyVersions: false)[files.location] {
                    report.kept += 1
                    try await tell(.kept(files, why: "\(holder) refers to them"))
                    continue
                }
                guard let path = try? ArtifactPath(location: files.location), !path.isRoot else {
                    report.kept += 1
                    try await tell(.kept(files, why: "they are not kept by this server"))
                    try await store.forget([files.sequence])
                    continue
                }
                let bytes = try await size(files.location)
                do throws(AerieError) { try await artifacts.delete(path) } catch {
                    guard error.code == .notFound else { throw error }
                }
                try await store.forget([files.sequence])
                report.bytes += bytes
                try await tell(.filesDeleted(files, bytes: bytes))
            }
        }
    }

    /// Bytes of all files at a place; 0 where there is nothing, or nothing of this server's.
    private func size(_ location: String) async throws(AerieError) -> Int64 {
        guard let path = try? ArtifactPath(location: location), !path.isRoot else { return 0 }
        var total: Int64 = 0
        var folders = [path]
        while let folder = folders.popLast() {
            try Self.checkCancelled()
            for entry in try await artifacts.list(folder) {
                if entry.isDirectory { folders.append(entry.path) } else { total += entry.size ?? 0 }
            }
        }
        return total
    }
}
