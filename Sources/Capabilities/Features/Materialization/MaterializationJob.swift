import AerieCore
import AerieJSON
import AerieResources
import Datasets

/// What a view's status says of a materialization that has begun: its range, and the parts that are written. Parts are
/// told apart by the hash of the key, so that a process that goes on finds the same entities in them.
struct MaterializationMark: Sendable {
    var range: ClosedRange<Int64>
    /// 0 while the source is still being read: nothing is written then.
    var parts: Int64
    var done: Set<Int64>
    var rows: Int64
    /// What the rows are made of; `nil` if it is not known.
    var origin: RowOrigin?
    /// Of a window view, when the reading of its source first began: rows of earlier ones go at the end.
    var reading: Int64?

    init(range: ClosedRange<Int64>, origin: RowOrigin) {
        self.range = range
        self.origin = origin
        parts = 0
        done = []
        rows = 0
    }

    /// - Returns: `nil` if none has begun.
    init?(_ status: JSONObject) {
        guard let mark = status["materializing"]?.object, let from = mark["start"]?.string.flatMap(FeatureTime.parse),
            let to = mark["end"]?.string.flatMap(FeatureTime.parse), from <= to, let parts = mark["parts"]?.int, parts >= 0
        else { return nil }
        range = from...to
        self.parts = parts
        done = Set((mark["done"]?.array ?? []).compactMap(\.int))
        rows = mark["rows"]?.int ?? 0
        origin = RowOrigin(mark["as"])
        reading = mark["reading"]?.string.flatMap(FeatureTime.parse)
    }

    var json: JSONValue {
        var object: JSONObject = [
            "start": .string(FeatureTime.text(range.lowerBound)), "end": .string(FeatureTime.text(range.upperBound)),
            "parts": .int(parts), "done": .array(done.sorted().map(JSONValue.int)), "rows": .int(rows),
            "as": origin?.json ?? .null,
        ]
        if let reading { object["reading"] = .string(FeatureTime.text(reading)) }
        return .object(object)
    }

    var left: [Int64] { (0..<parts).filter { !done.contains($0) } }
}

/// One view's materialization: reads a part out of the source while the part before it is written.
struct MaterializationJob: Sendable {
    /// What is to be copied.
    struct Plan: Sendable {
        /// The range, and what is done of it already.
        var mark: MaterializationMark
        /// Whether the range reaches as far back as that of one that begins from nothing.
        var isWhole: Bool
        /// What is to be said of the run.
        var notes: [String] = []
    }

    let id: String
    private let view: FeatureCatalog.View
    private let plan: Plan
    private let store: FeatureStore

    init(_ view: FeatureCatalog.View, _ plan: Plan, store: FeatureStore, trigger: String) {
        self.view = view
        self.plan = plan
        self.store = store
        id = store.materializations.begin(
            view, plan.mark.range, trigger: trigger, at: store.clock.now().milliseconds * 1000)
    }

    private var now: Int64 { store.clock.now().milliseconds * 1000 }

    /// Says in the view's status that it has begun: from here on the next process does it, if this one ends.
    func announce() async throws(AerieError) { try await keep(plan.mark) }

    /// Takes back what `announce` has said, of one that is not to be run.
    func withdraw() async {
        try? await store.changeStatus(view) { $0["materializing"] = nil }
        store.materializations.drop(id)
    }

    /// A cancellation of the caller, or by the run's id, interrupts what is being read.
    func run(
        _ report: @escaping @Sendable (MaterializationProgress) -> Void
    ) async throws(AerieError) -> MaterializationProgress {
        let task = Task { await attempt { () async throws(AerieError) in try await work(report) } }
        store.materializations.hold(id) { task.cancel() }
        let outcome = await withTaskCancellationHandler { await task.value } onCancel: { task.cancel() }
        do throws(AerieError) {
            let progress = try outcome.get()
            store.materializations.end(id, at: now, notes: progress.notes)
            return progress
        } catch {
            // What was refused or cancelled does not go on by itself; what the store failed at may.
            try? await store.changeStatus(view) { $0["materializing"] = nil }
            store.materializations.end(id, at: now, error: error)
            throw error
        }
    }

    private func work(
        _ report: @Sendable (MaterializationProgress) -> Void
    ) async throws(AerieError) -> MaterializationProgress {
        tell(MaterializationProgress(view: view.definition.name, rows: plan.mark.rows, total: 0), report)
        let engine = try store.engine()
        let left = plan.mark.parts > 0 ? (parts: plan.mark.left, of: plan.mark.parts) : nil
        if view.online.windows != nil { return try await fill(with: engine, left, report) }
        let range = plan.mark.range
        let source =
            view.onDemand == nil
            ? try await MaterializationSource(view, in: range, engine: engine, access: store.access, left: left)
            : try await MaterializationSource(computing: view, in: range, engine: engine, store: store, left: left)
        let notes = plan.notes + (try await store.checkQuality(of: source))
        var (mark, progress, parts) = try await begin(source, report)
        let total = progress.total - progress.rows
        let first = parts.isEmpty ? [] : try await source.rows(part: parts[0], of: mark.parts)
        // Only now, so that the store has something to write meanwhile: the engine describes the rows whenever it has
        // none to give.
        async let described = attempt { () async throws(AerieError) -> JSONValue? in
            // A `nil` here would be JSON's null, and a record of nothing.
            total > 0 ? try await FeatureStatistics.collect(source) : JSONValue?.none
        }
        let newest = try await write(parts, of: source, beginningWith: first, &mark, &progress, report)
        let statistics = try await described.get()
        try await finish(progress.total, newest, statistics, notes)
        progress.notes = notes
        return progress
    }

    /// Of a window view: the rows of all its history, in the place of those that an earlier run has written.
    private func fill(
        with engine: any SQLEngine, _ left: (parts: [Int64], of: Int64)?,
        _ report: @Sendable (MaterializationProgress) -> Void
    ) async throws(AerieError) -> MaterializationProgress {
        let source = try await WindowBackfill(view, in: plan.mark.range, store: store, engine: engine, left: left)
        var (mark, progress, parts) = try await begin(source, report)
        let reading = mark.reading ?? source.reading
        mark.reading = reading
        let first = parts.isEmpty ? [] : try await source.rows(part: parts[0], of: mark.parts)
        _ = try await write(parts, of: source, beginningWith: first, &mark, &progress, report)
        _ = try await store.online.sweep(source.target, before: reading)
        let notes =
            source.beginning < plan.mark.range.upperBound
            ? ["what happened since \(FeatureTime.text(source.beginning)) comes by the stream"] : []
        try await finish(progress.total, .min, nil, notes)
        progress.notes = notes
        return progress
    }

    /// Counts what there is to be written.
    /// - Returns: besides, the parts that are left.
    private func begin(
        _ source: some OnlineRowSource, _ report: @Sendable (MaterializationProgress) -> Void
    ) async throws(AerieError) -> (MaterializationMark, MaterializationProgress, [Int64]) {
        var mark = plan.mark
        if mark.parts == 0 { mark.parts = try await source.parts() }
        let progress = MaterializationProgress(
            view: view.definition.name, rows: mark.rows, total: mark.rows + (try await source.count()))
        tell(progress, report)
        return (mark, progress, progress.total > progress.rows ? mark.left : [])
    }

    /// - Parameter rows: of the first part.
    /// - Returns: the newest time that was written.
    private func write(
        _ left: [Int64], of source: some OnlineRowSource, beginningWith rows: consuming [OnlineRow],
        _ mark: inout MaterializationMark, _ progress: inout MaterializationProgress,
        _ report: @Sendable (MaterializationProgress) -> Void
    ) async throws(AerieError) -> Int64 {
        var newest = Int64.min
        if mark.parts > 1 { try await keep(mark) }
        for (place, part) in left.enumerated() {
            if Task.isCancelled {
                throw AerieError(.cancelled, "the materialization was cancelled")
            }
            let present = rows
            let parts = mark.parts
            async let written = attempt { () async throws(AerieError) in
                try await store.online.write(source.target, present)
            }
            rows = place + 1 < left.count ? try await source.rows(part: left[place + 1], of: parts) : []
            store.counters.wrote(try await written.get(), of: view)
            for row in present { newest = max(newest, row.time) }
            progress.rows += Int64(present.count)
            mark.done.insert(part)
            mark.rows = progress.rows
            if place + 1 < left.count { try await keep(mark) }
            tell(progress, report)
        }
        return newest
    }

    private func attempt<Value: Sendable>(
        _ body: @Sendable () async throws(AerieError) -> Value
    ) async -> Result<Value, AerieError> {
        do throws(AerieError) { return .success(try await body()) } catch { return .failure(error) }
    }

    private func keep(_ mark: MaterializationMark) async throws(AerieError) {
        try await store.changeStatus(view) { $0["materializing"] = mark.json }
    }

    private func tell(_ progress: MaterializationProgress, _ report: @Sendable (MaterializationProgress) -> Void) {
        store.materializations.move(id, progress)
        report(progress)
    }

    private func finish(
        _ rows: Int64, _ newest: Int64, _ statistics: JSONValue?, _ notes: [String]
    ) async throws(AerieError) {
        let at = now
        if let statistics {
            let record: JSONValue = [
                "at": .string(FeatureTime.text(at)), "start": .string(FeatureTime.text(plan.mark.range.lowerBound)),
                "end": .string(FeatureTime.text(plan.mark.range.upperBound)), "rows": .int(rows), "features": statistics,
            ]
            try await store.log?.append(FeatureStatistics.log(view), [record.utf8()])
        }
        let record = MaterializationRecord(
            range: plan.mark.range, origin: RowOrigin(view), isWhole: plan.isWhole, rows: rows, notes: notes, at: at)
        // A row of tomorrow makes no view fresher than it is now.
        let seen = min(newest, at)
        try await store.changeStatus(view) { status in
            record.add(to: &status)
            let known = status["newestEvent"]?.string.flatMap(FeatureTime.parse) ?? .min
            if seen > known { status["newestEvent"] = .string(FeatureTime.text(seen)) }
            status["materializing"] = nil
        }
        store.counters.saw(seen, of: view)
    }
}
