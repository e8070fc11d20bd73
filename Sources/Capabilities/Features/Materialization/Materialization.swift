public import AerieCore
import AerieJSON
import AerieResources
import Datasets
import Synchronization

/// How far a materialization has come.
public struct MaterializationProgress: Sendable {
    public var view: String
    public var rows: Int64
    /// Of all entities with a value in the range; 0 while the source is being read.
    public var total: Int64
    /// Once it has ended: what is to be said of the rows, such as how many are in quarantine.
    public var notes: [String] = []
}

extension FeatureStore {
    /// Copies the newest values of each entity with a time from `start` to `end`, both included, into the online store.
    ///
    /// Reads go on meanwhile. It can be run again at any time: values that are newer stay. What ends early has written
    /// some entities and has not moved the view's mark, so that the next incremental one begins where this one did;
    /// what ended with the process goes on at the next start: see `resumeMaterializations`. A view that fails holds up
    /// none of the others; the error then says what is wrong with each.
    /// - Parameters:
    ///   - start: microseconds since 1970; `nil` begins where the last one ended, and without one at the view's age
    ///     limit before `end`, or at the beginning of time for a view without a limit.
    ///   - names: the views; `nil` for all that are online and whose source can be read here.
    ///   - version: of the one view that is named; `nil` for the present one. It is read by its own declaration, and
    ///     has its own mark.
    /// - Throws: `conflict` if one of them is being materialized already.
    public func materialize(
        _ names: [String]?, version: Int? = nil, from start: Int64?, to end: Int64, namespace: String = "default",
        trigger: String = "request",
        progress: @escaping @Sendable (MaterializationProgress) -> Void = { _ in }
    ) async throws(AerieError) -> [MaterializationProgress] {
        let reserved = try await reserve(
            names, version: version, from: start, to: end, namespace: namespace, trigger: trigger)
        return try await reserved.run(progress)
    }

    /// The views that are to be online and are passed over where no views are named: their sources are elsewhere.
    public func unconnected(_ namespace: String = "default") async throws(AerieError) -> [FeatureCatalog.View] {
        let catalog = try await catalog(namespace)
        return catalog.views.values.filter { $0.isMaterialized && !catalog.isConnected($0) }
            .sorted { $0.definition.name < $1.definition.name }
    }

    /// Views that nobody else materializes until `run` has ended. It must be run.
    public struct ReservedMaterialization: Sendable {
        public let views: [FeatureCatalog.View]
        fileprivate let store: FeatureStore
        fileprivate let jobs: [MaterializationJob]

        public func run(
            _ progress: @escaping @Sendable (MaterializationProgress) -> Void = { _ in }
        ) async throws(AerieError) -> [MaterializationProgress] {
            defer { store.end(views) }
            do throws(AerieError) { for job in jobs { try await job.announce() } } catch {
                for job in jobs { await job.withdraw() }
                throw error
            }
            var results: [MaterializationProgress] = []
            var failures: [AerieError] = []
            for (place, job) in jobs.enumerated() {
                do throws(AerieError) { results.append(try await job.run(progress)) } catch {
                    failures.append(error)
                    guard Task.isCancelled else { continue }
                    for other in jobs[(place + 1)...] { await other.withdraw() }
                    break
                }
            }
            guard var failure = failures.first else { return results }
            if jobs.count > 1 {
                // The message has those of all.
                failure.details = []
                failure.message = failures.map(\.message).joined(separator: "; ")
                    + " (\(results.count) of \(jobs.count) feature views are materialized)"
            }
            throw failure
        }
    }

    /// The first half of `materialize`: everything that can be wrong with the question is said here.
    public func reserve(
        _ names: [String]?, version: Int? = nil, from start: Int64?, to end: Int64, namespace: String = "default",
        trigger: String = "request"
    ) async throws(AerieError) -> ReservedMaterialization {
        let views = try await materializable(names, version: version, namespace)
        let catalog = try await catalog(namespace)
        var plans: [MaterializationJob.Plan] = []
        for view in views {
            if view.online.windows != nil {
                let range = try Self.history(of: view, from: start, to: end)
                plans.append(.init(mark: MaterializationMark(range: range, origin: RowOrigin(view)), isWhole: true))
                continue
            }
            // A view that is computed of others changes with any of them, and is made anew.
            let done = view.onDemand == nil ? view.materializedUntil : nil
            let whole = Self.wholeStart(catalog.lifetime(view), to: end)
            let from = start ?? done ?? whole
            guard from <= end else {
                throw .invalid("start_ts", "\(FeatureTime.text(from)) is after the end, \(FeatureTime.text(end))")
            }
            let mark = MaterializationMark(range: from...end, origin: RowOrigin(view))
            var plan = MaterializationJob.Plan(mark: mark, isWhole: from <= whole)
            if start == nil, let reason = view.rereadReason { plan.notes = ["everything is read again: \(reason)"] }
            plans.append(plan)
        }
        try begin(views)
        let jobs = zip(views, plans).map { MaterializationJob($0, $1, store: self, trigger: trigger) }
        return ReservedMaterialization(views: views, store: self, jobs: jobs)
    }

    /// What a backfill of a window view reads: all that its longest window can need, whatever the start, and not less
    /// than an earlier one has read.
    private static func history(
        of view: FeatureCatalog.View, from start: Int64?, to end: Int64
    ) throws(AerieError) -> ClosedRange<Int64> {
        if let start, start > end {
            throw .invalid("start_ts", "\(FeatureTime.text(start)) is after the end, \(FeatureTime.text(end))")
        }
        let first = max(0, Self.wholeStart(view.definition.lifetime, to: end))
        return first...max(end, view.materializedUntil ?? first)
    }

    /// Goes on with what a process that is gone has begun and not ended. To be called once, after the start.
    /// - Returns: what became of each, by its view.
    public func resumeMaterializations() async throws(AerieError) -> [(view: String, rows: Result<Int64, AerieError>)] {
        var results: [(view: String, rows: Result<Int64, AerieError>)] = []
        let all = try await resources.list(kind: "FeatureView")
        for namespace in Set(all.map(\.metadata.namespace)).sorted() {
            let catalog = try await catalog(namespace)
            for view in catalog.everyVersion {
                guard let left = MaterializationMark(view.status) else { continue }
                do throws(AerieError) {
                    try begin([view])
                    defer { end([view]) }
                    let whole = Self.wholeStart(catalog.lifetime(view), to: left.range.upperBound)
                    var plan = MaterializationJob.Plan(mark: left, isWhole: left.range.lowerBound <= whole)
                    // Parts that were written of another definition are written again.
                    let origin = RowOrigin(view)
                    if left.origin != origin { plan.mark = MaterializationMark(range: left.range, origin: origin) }
                    let job = MaterializationJob(view, plan, store: self, trigger: "restart")
                    results.append((view.definition.name, .success(try await job.run { _ in }.rows)))
                } catch { results.append((view.definition.name, .failure(error))) }
            }
        }
        return results
    }

    /// The views that `materialize` would take.
    public func materializable(
        _ names: [String]?, version: Int? = nil, _ namespace: String = "default"
    ) async throws(AerieError) -> [FeatureCatalog.View] {
        let catalog = try await catalog(namespace)
        if version != nil, names?.count != 1 {
            throw .invalid("version", "is of one feature view: name exactly one")
        }
        guard let names else {
            return catalog.views.values.filter { $0.isMaterialized && catalog.isConnected($0) }
                .sorted { $0.definition.name < $1.definition.name }
        }
        var views: [FeatureCatalog.View] = []
        for name in names {
            let view = try catalog.view(name, version: version)
            guard view.isOnline else {
                throw .invalid("feature_views", "Feature view \(name) is not configured to be served online")
            }
            guard view.isMaterialized else {
                let reason =
                    view.online.windows != nil
                    ? "fed by its stream alone; name a source with the history of its events by spec.source"
                    : view.isComputedAtReads
                        ? "computed at each read, out of other views"
                        : "computed of columns of a request too, which stand in no source; write rows to it"
                throw .invalid("feature_views", "feature view \(name) is \(reason)")
            }
            views.append(view)
        }
        return views
    }

    private func begin(_ views: [FeatureCatalog.View]) throws(AerieError) {
        let taken = busy.withLock { busy -> String? in
            if let taken = views.first(where: { busy.contains($0.key) }) { return taken.definition.name }
            busy.formUnion(views.map(\.key))
            return nil
        }
        if let taken {
            throw AerieError(
                .conflict, "Feature view \(taken) is already being materialized", reason: "materialization.running")
        }
    }

    private func end(_ views: [FeatureCatalog.View]) { busy.withLock { $0.subtract(views.map(\.key)) } }

    /// Changes a view's status, which others change as well.
    func changeStatus(
        _ view: FeatureCatalog.View, _ change: @escaping @Sendable (inout JSONObject) -> Void
    ) async throws(AerieError) {
        try await resources.changeStatus(view.key, uid: view.uid) { view.change(&$0, change) }
    }
}
