public import AerieCore

extension ExperimentService {
    /// Starts a run. A name is made up if neither `name` nor the tag `mlflow.runName` gives one.
    /// - Throws: `notFound` for the experiment, `failedPrecondition` if that is deleted.
    public func createRun(
        in experimentID: ExperimentID, name: String? = nil, userID: String = "", startTime: Timestamp? = nil,
        tags: [Tag] = []
    ) async throws(AerieError) -> Run {
        let experiment = try await experiment(experimentID)
        guard experiment.stage == .active else {
            throw AerieError(
                .failedPrecondition, "The experiment \(experimentID) must be in the 'active' state; it is deleted",
                reason: "experiment.deleted")
        }
        var tags = try checkedTags(tags)
        let id = RunID(identifiers.hex32())
        let tagName = tags.first { $0.key == Self.runNameTag }?.value
        let given = name.flatMap { $0.isEmpty ? nil : $0 }
        if let given, let tagName, given != tagName {
            throw .invalid(
                "run_name",
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
                    + "(run_name='\(given)', mlflow.runName='\(tagName)')")
        }
        let runName = given ?? tagName ?? RunNames.name(identifiers)
        if tagName == nil { tags.append(Tag(key: Self.runNameTag, value: runName)) }
        let info = RunInfo(
            id: id, experimentID: experimentID, name: runName, userID: userID, startTime: startTime ?? clock.now(),
            artifactURI: "\(experiment.artifactLocation)/\(id)/artifacts")
        let run = Run(info: info, tags: tags)
        try await runs.create([run])
        return run
    }

    public static let runNameTag = "mlflow.runName"

    public func run(_ id: RunID) async throws(AerieError) -> Run {
        try ExperimentLimits.checkRunID(id)
        guard let run = try await runs.get([id]).first else { throw .notFound("Run with id=\(id) not found") }
        return run
    }

    /// Several at once, in the order asked for; those that do not exist are left out.
    public func runs(_ ids: [RunID]) async throws(AerieError) -> [Run] { try await runs.get(ids) }

    public func updateRun(
        _ id: RunID, status: RunStatus? = nil, endTime: Timestamp? = nil, name: String? = nil
    ) async throws(AerieError) -> RunInfo {
        try ExperimentLimits.checkRunID(id)
        let change = RunChange(name: name.flatMap { $0.isEmpty ? nil : $0 }, status: status, endTime: endTime)
        return try await runs.update(id, change, at: clock.now())
    }

    /// Deletes or restores a run.
    public func setRunStage(_ id: RunID, _ stage: LifecycleStage) async throws(AerieError) {
        try ExperimentLimits.checkRunID(id)
        _ = try await runs.update(id, RunChange(stage: stage), at: clock.now())
    }

    /// Logs all of it or nothing.
    ///
    /// Keys are checked; parameter values past 6,000 and tag values past 8,000 characters are cut. A batch holds at
    /// most 1,000 metrics, 100 params, 100 tags and 1,000 of all together.
    public func log(_ batch: RunBatch) async throws(AerieError) {
        try ExperimentLimits.checkRunID(batch.runID)
        typealias Limits = ExperimentLimits
        for (what, count, limit) in [
            ("metrics", batch.metrics.count, Limits.metricsPerBatch),
            (
                "params", batch.params.count,
                Limits.paramsPerBatch
            ),
            ("tags", batch.tags.count, Limits.tagsPerBatch),
            (
                "metrics, params, and tags", batch.metrics.count + batch.params.count + batch.tags.count,
                Limits.entitiesPerBatch
            ),
        ] where count > limit {
            throw .invalid(
                what,
                "A batch logging request can contain at most \(limit) \(what). Got \(count). "
                    + "Please split up \(what) across multiple requests and try again.")
        }
        var batch = batch
        for (index, metric) in batch.metrics.enumerated() {
            try Limits.checkKey(metric.key, "metrics[\(index)].key")
        }
        var seen: Set<String> = []
        for index in batch.params.indices {
            let param = batch.params[index]
            try Limits.checkKey(param.key, "params[\(index)].key")
            batch.params[index].value = Limits.cut(param.value, to: Limits.paramValueLength)
            guard seen.insert(param.key).inserted else {
                throw .invalid("params[\(index)]", "Duplicate parameter keys have been submitted: \(param.key)")
            }
        }
        batch.tags = try checkedTags(batch.tags)
        try await runs.log([batch])
    }

    public func deleteRunTag(_ id: RunID, key: String) async throws(AerieError) {
        try ExperimentLimits.checkRunID(id)
        try await runs.deleteTag(key, of: id)
    }

    /// Gives a tag the value that `change` makes of its present one, so that none of several changes at once is lost.
    public func rewriteRunTag(
        _ key: String, of id: RunID, _ change: @escaping @Sendable (String?) throws(AerieError) -> String
    ) async throws(AerieError) {
        try ExperimentLimits.checkRunID(id)
        try ExperimentLimits.checkKey(key, "key")
        try await runs.rewriteTag(key, of: id, change)
    }

    /// Adds datasets, models read and models made to a run.
    public func link(_ links: RunLinks, to id: RunID) async throws(AerieError) {
        try ExperimentLimits.checkRunID(id)
        for (index, dataset) in links.datasets.enumerated() {
            let lengths: [(String, Int, Int)] = [
                ("name", dataset.name.count, 500), ("digest", dataset.digest.count, 36),
                ("source", dataset.source.utf8.count, 65_535), ("schema", dataset.schema?.utf8.count ?? 0, 1_048_575),
                ("profile", dataset.profile?.utf8.count ?? 0, 16_777_215),
            ]
            for (what, length, limit) in lengths where length > limit {
                throw .invalid("datasets[\(index)].dataset.\(what)", "exceeds the maximum length of \(limit)")
            }
            guard !dataset.name.isEmpty, !dataset.digest.isEmpty else {
                throw .invalid("datasets[\(index)].dataset", "name and digest are required")
            }
        }
        try await runs.link(links, to: id)
    }

    /// The values of one metric in the order of step, time and value.
    public func metricHistory(
        _ id: RunID, key: String, limit: Int = 25_000, pageToken: String? = nil
    ) async throws(AerieError) -> Page<Metric> {
        try ExperimentLimits.checkRunID(id)
        guard limit >= 1 else { throw .invalid("max_results", "Invalid value \(limit): it must be at least 1") }
        let limit = min(limit, ExperimentLimits.searchMaximum)
        var query = MetricHistoryQuery(runIDs: [id], key: key, limit: limit + 1)
        if let position = try Self.position(pageToken) {
            guard position.after.count == 3, case .integer(let step) = position.after[0],
                case .integer(let time) = position.after[1], case .number(let value) = position.after[2]
            else { throw PagePosition.wrong() }
            query.after = Metric(key: key, value: value, timestamp: Timestamp(milliseconds: time), step: step)
        }
        let found = try await runs.history(query).map(\.1)
        guard found.count > limit else { return Page(found) }
        let last = found[limit - 1]
        let after: [PageValue] = [
            .integer(last.step), .integer(last.timestamp.milliseconds), .number(last.value),
        ]
        return Page(Array(found.prefix(limit)), next: PagePosition(newest: 0, after: after))
    }

    /// The history of one metric of up to 100 runs, thinned out evenly to about `limit` values a run; the first and
    /// the last value stay.
    public func metricHistory(
        of ids: [RunID], key: String, steps: ClosedRange<Int64>? = nil, limit: Int = 320
    ) async throws(AerieError) -> [(RunID, Metric)] {
        guard !ids.isEmpty, ids.count <= 100 else {
            throw .invalid(
                "run_ids",
                "must name 1 to 100 runs, not \(ids.count)")
        }
        guard limit >= 1, limit <= 2500 else { throw .invalid("max_results", "must be from 1 to 2500") }
        for id in ids { try ExperimentLimits.checkRunID(id, "run_ids") }
        return try await runs.history(
            MetricHistoryQuery(runIDs: ids, key: key, steps: steps, limit: ids.count * limit, perRun: limit))
    }

    /// - Parameters:
    ///   - filter: the search grammar over attributes, metrics, params, tags and datasets.
    ///   - limit: 1 to 50,000.
    public func searchRuns(
        in experimentIDs: [ExperimentID], filter: String? = nil, orderBy: [String] = [],
        view: StageView = .activeOnly, limit: Int = 1000, pageToken: String? = nil
    ) async throws(AerieError) -> Page<Run> {
        try ExperimentLimits.checkLimit(limit)
        let conditions = try SearchParser.conditions(filter, subject: .runs)
        let order = try SearchParser.orders(orderBy, subject: .runs)
        let position = try Self.position(pageToken)
        // No experiment named means none, not all.
        guard !experimentIDs.isEmpty else { return Page([]) }
        return try await runs.search(
            SearchQuery(
                experimentIDs: experimentIDs, conditions: conditions, order: order, view: view, limit: limit,
                position: position))
    }

    public func searchDatasets(in experimentIDs: [ExperimentID]) async throws(AerieError) -> [DatasetSummary] {
        guard experimentIDs.count <= 20 else { throw .invalid("experiment_ids", "names more than 20 experiments") }
        return try await runs.datasets(in: experimentIDs, limit: 1000)
    }

    /// Where clients before MLflow 3 keep the descriptions of a run's models, all in one text.
    public static let modelHistoryTag = "mlflow.log-model.history"

    func checkedTags(_ tags: [Tag]) throws(AerieError) -> [Tag] {
        var result: [Tag] = []
        for (index, tag) in tags.enumerated() {
            try ExperimentLimits.checkKey(tag.key, "tags[\(index)].key")
            // Cut JSON is lost JSON.
            let limit = tag.key == Self.modelHistoryTag ? 1 << 20 : ExperimentLimits.tagValueLength
            result.append(Tag(key: tag.key, value: ExperimentLimits.cut(tag.value, to: limit)))
        }
        return result
    }
}
