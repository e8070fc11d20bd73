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

    init(range: ClosedRange<Int64>) {
        self.range = range
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
    }

    var json: JSONValue {
        [
            "start": .string(FeatureTime.text(range.lowerBound)), "end": .string(FeatureTime.text(range.upperBound)),
            "parts": .int(parts), "done": .array(done.sorted().map(JSONValue.int)), "rows": .int(rows),
        ]
    }

    var left: [Int64] { (0..<parts).filter { !done.contains($0) } }
}

/// One view's materialization: reads a part out of the source while the part before it is written.
struct MaterializationJob: Sendable {
    /// Rows that are in memory at a time, twice.
    private static let chunk: Int64 = 40_000

    let id: String
    private let view: FeatureCatalog.View
    private let range: ClosedRange<Int64>
    private let store: FeatureStore
    private let mark: MaterializationMark

    init(
        _ view: FeatureCatalog.View, range: ClosedRange<Int64>, store: FeatureStore, trigger: String,
        mark: MaterializationMark? = nil
    ) {
        self.view = view
        self.range = range
        self.store = store
        self.mark = mark ?? MaterializationMark(range: range)
        id = store.materializations.begin(view, range, trigger: trigger, at: store.clock.now().milliseconds * 1000)
    }

    /// Says in the view's status that it has begun: from here on the next process does it, if this one ends.
    func announce() async throws(AerieError) { try await keep(mark) }

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
            let (progress, notes) = try outcome.get()
            store.materializations.end(id, at: store.clock.now().milliseconds * 1000, notes: notes)
            return progress
        } catch {
            // What was refused or cancelled does not go on by itself; what the store failed at may.
            try? await store.changeStatus(view) { $0["materializing"] = nil }
            store.materializations.end(id, at: store.clock.now().milliseconds * 1000, error: error)
            throw error
        }
    }

    private func work(
        _ report: @Sendable (MaterializationProgress) -> Void
    ) async throws(AerieError) -> (MaterializationProgress, [String]) {
        tell(MaterializationProgress(view: view.definition.name, rows: mark.rows, total: 0), report)
        let engine = try store.engine()
        let left = mark.parts > 0 ? (parts: mark.left, of: mark.parts) : nil
        let source =
            view.onDemand == nil
            ? try await MaterializationSource(view, in: range, engine: engine, access: store.access, left: left)
            : try await MaterializationSource(computing: view, in: range, engine: engine, store: store, left: left)
        let notes = try await store.checkQuality(of: source)
        let total = try await source.count()
        var mark = self.mark
        if mark.parts == 0 { mark.parts = max(1, (total + Self.chunk - 1) / Self.chunk) }
        let known = mark.rows
        var progress = MaterializationProgress(view: view.definition.name, rows: known, total: known + total)
        tell(progress, report)
        // The engine describes the rows whenever it has none to give: they are being written then.
        async let described = attempt { () async throws(AerieError) -> JSONValue? in
            // A `nil` here would be JSON's null, and a record of nothing.
            total > 0 ? try await FeatureStatistics.collect(source) : JSONValue?.none
        }
        var newest = try await write(source, &mark, &progress, report)
        newest = max(newest, view.status["newestEvent"]?.string.flatMap(FeatureTime.parse) ?? .min)
        let statistics = try await described.get()
        try await finish(progress.total, newest, statistics, notes)
        return (progress, notes)
    }

    /// - Returns: the newest time that was written.
    private func write(
        _ source: MaterializationSource, _ mark: inout MaterializationMark, _ progress: inout MaterializationProgress,
        _ report: @Sendable (MaterializationProgress) -> Void
    ) async throws(AerieError) -> Int64 {
        var newest = Int64.min
        let left = progress.total > progress.rows ? mark.left : []
        guard let first = left.first else { return newest }
        if mark.parts > 1 { try await keep(mark) }
        var rows = try await source.rows(part: first, of: mark.parts)
        for (place, part) in left.enumerated() {
            if Task.isCancelled {
                throw AerieError(.cancelled, "the materialization was cancelled")
            }
            let present = rows
            let parts = mark.parts
            async let written = attempt { () async throws(AerieError) in
                try await store.online.write(view.online, present)
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
        let at = FeatureTime.text(store.clock.now().milliseconds * 1000)
        let (from, to) = (FeatureTime.text(range.lowerBound), FeatureTime.text(range.upperBound))
        if let statistics {
            let record: JSONValue = [
                "at": .string(at), "start": .string(from), "end": .string(to), "rows": .int(rows),
                "features": statistics,
            ]
            try await store.log?.append(FeatureStatistics.log(view), [record.utf8()])
        }
        try await store.changeStatus(view) { status in
            var intervals = status["materializations"]?.array ?? []
            intervals.append([
                "start": .string(from), "end": .string(to), "rows": .int(rows), "at": .string(at),
                "notes": .array(notes.map(JSONValue.string)),
            ])
            status["materializations"] = .array(Array(intervals.suffix(50)))
            let until = max(range.upperBound, status["materializedUntil"]?.string.flatMap(FeatureTime.parse) ?? .min)
            status["materializedUntil"] = .string(FeatureTime.text(until))
            if newest > .min { status["newestEvent"] = .string(FeatureTime.text(newest)) }
            status["materializing"] = nil
        }
        store.counters.saw(newest, of: view)
    }
}
