public import AerieCore

extension ExperimentService {
    /// Announces a model; its files are put at its `artifactURI`, and `finalizeModel` says that they are there.
    public func createModel(
        in experimentID: ExperimentID, name: String? = nil, modelType: String = "", sourceRunID: RunID? = nil,
        params: [Param] = [], tags: [Tag] = []
    ) async throws(AerieError) -> LoggedModel {
        let experiment = try await experiment(experimentID)
        guard experiment.stage == .active else {
            throw AerieError(
                .failedPrecondition, "The experiment \(experimentID) must be in the 'active' state; it is deleted",
                reason: "experiment.deleted")
        }
        if let name, name.contains(where: { "/:.%\"'".contains($0) }) {
            throw .invalid("name", "Invalid model name ('\(name)'): it may not hold any of / : . % \" '")
        }
        let id = LoggedModelID("m-" + identifiers.hex32())
        let now = clock.now()
        let model = LoggedModel(
            id: id, experimentID: experimentID,
            name: name.flatMap { $0.isEmpty ? nil : $0 } ?? RunNames.name(identifiers),
            modelType: modelType, sourceRunID: sourceRunID,
            artifactURI: "\(experiment.artifactLocation)/models/\(id)/artifacts", creationTime: now,
            lastUpdateTime: now,
            params: try checkedParams(params), tags: try checkedTags(tags))
        try await models.create(model)
        return model
    }

    public func model(_ id: LoggedModelID) async throws(AerieError) -> LoggedModel {
        guard let model = try await models.get([id]).first else {
            throw .notFound("Logged model with ID '\(id)' not found.")
        }
        return model
    }

    /// Several at once, in the order asked for; those that do not exist are left out.
    public func models(_ ids: [LoggedModelID]) async throws(AerieError) -> [LoggedModel] { try await models.get(ids) }

    public func finalizeModel(
        _ id: LoggedModelID, _ status: LoggedModelStatus
    ) async throws(AerieError) -> LoggedModel {
        try await models.update(id, LoggedModelChange(status: status), at: clock.now())
    }

    public func setModelTags(_ id: LoggedModelID, _ tags: [Tag]) async throws(AerieError) -> LoggedModel {
        try await models.update(id, LoggedModelChange(setTags: try checkedTags(tags)), at: clock.now())
    }

    public func deleteModelTag(_ id: LoggedModelID, key: String) async throws(AerieError) {
        _ = try await models.update(id, LoggedModelChange(deleteTags: [key]), at: clock.now())
    }

    /// - Throws: `failedPrecondition` for a model that is finished: its parameters describe what was made.
    public func logModelParams(_ id: LoggedModelID, _ params: [Param]) async throws(AerieError) {
        let status = try await model(id).status
        guard status == .pending || status == .unspecified else {
            throw AerieError(
                .failedPrecondition,
                "The model '\(id)' is finished (\(status.rawValue)); its parameters stay as they are",
                reason: "model.finished")
        }
        _ = try await models.update(id, LoggedModelChange(addParams: try checkedParams(params)), at: clock.now())
    }

    public func deleteModel(_ id: LoggedModelID) async throws(AerieError) {
        try await models.delete(
            id,
            at: clock.now())
    }

    /// - Parameters:
    ///   - orderBy: attributes have no prefix, metrics begin with `metrics.`.
    ///   - datasets: conditions on metrics count for values measured on one of these; empty means on any. At most 100.
    public func searchModels(
        in experimentIDs: [ExperimentID], filter: String? = nil, orderBy: [ModelOrder] = [],
        datasets: [DatasetReference] = [], limit: Int = 100, pageToken: String? = nil
    ) async throws(AerieError) -> Page<LoggedModel> {
        try ExperimentLimits.checkLimit(limit)
        guard datasets.count <= 100 else {
            throw .invalid("datasets", "names \(datasets.count) data sets, at most 100")
        }
        var order = try SearchParser.orders(orderBy.map(\.text), subject: .loggedModels)
        for (index, asked) in orderBy.enumerated() where order[index].field.kind == .metric {
            order[index].datasetName = asked.datasetName
            order[index].datasetDigest = asked.datasetDigest
        }
        var query = SearchQuery(
            experimentIDs: experimentIDs, conditions: try SearchParser.conditions(filter, subject: .loggedModels),
            order: order, limit: limit, position: try Self.position(pageToken))
        query.datasets = datasets
        return try await models.search(query)
    }

    private func checkedParams(_ params: [Param]) throws(AerieError) -> [Param] {
        var result: [Param] = []
        for (index, param) in params.enumerated() {
            try ExperimentLimits.checkKey(param.key, "params[\(index)].key")
            result.append(
                Param(key: param.key, value: ExperimentLimits.cut(param.value, to: ExperimentLimits.paramValueLength)))
        }
        return result
    }
}

/// What logged models are ordered by.
public struct ModelOrder: Sendable {
    /// Such as `metrics.auc DESC`, in the grammar of orders.
    public var text: String
    /// Of metrics: only values that were measured on a data set of this name, of this digest, count.
    public var datasetName: String?
    public var datasetDigest: String?

    public init(_ text: String, datasetName: String? = nil, datasetDigest: String? = nil) {
        self.text = text
        self.datasetName = datasetName
        self.datasetDigest = datasetDigest
    }
}
