import AerieCore
import Experiments

/// One import on its way.
struct ImportPass {
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

    /// - Returns: `known`, or what all the pages hold together.
    func length(
        _ kind: ImportKind, _ known: Int?,
        _ page: (_ after: String?) async throws(AerieError) -> (count: Int, next: String?)
    ) async throws(AerieError) -> Int {
        if let known { return known }
        var (total, place): (Int, String?) = (0, nil)
        repeat {
            let found = try await page(place)
            total += found.count
            place = found.next
            try await each(.progress(kind: kind, done: total, added: 0))
        } while place != nil
        return total
    }

    func tell(_ kind: ImportKind) async throws(AerieError) {
        try await each(.progress(kind: kind, done: done[kind] ?? 0, added: report.added[kind] ?? 0))
    }

    mutating func warn(_ text: String) async throws(AerieError) {
        report.warnings.append(text)
        try await each(.warning(text))
    }
}
