public import AerieCore
import AerieJSON
public import Experiments
public import Imports
import Registry

extension MLflowFolderSource {
    public func loggedModels(after place: String?, limit: Int) async throws(AerieError) -> ImportPage<LoggedModel> {
        try page(modelFolders, after: place, limit: limit) { path throws(AerieError) in
            try self.loggedModel(at: path)
        }
    }

    private func loggedModel(at path: String) throws(AerieError) -> LoggedModel? {
        guard let meta = try Self.meta(path), let id = meta["model_id"]?.text,
            let experiment = meta["experiment_id"]?.text, meta["lifecycle_stage"]?.string != "deleted"
        else { return nil }
        let states: [LoggedModelStatus] = [.unspecified, .pending, .ready, .uploadFailed]
        let status = Int(meta.integer("status") ?? 0)
        let created = meta.time("creation_timestamp") ?? Timestamp(milliseconds: 0)
        var model = LoggedModel(
            id: LoggedModelID(id), experimentID: ExperimentID(experiment), name: meta["name"]?.text ?? "",
            modelType: meta["model_type"]?.text ?? "", sourceRunID: meta["source_run_id"]?.text.map { RunID($0) },
            artifactURI: here(meta["artifact_location"]?.string ?? ""),
            status: states.indices.contains(status) ? states[status] : .unspecified, creationTime: created,
            lastUpdateTime: meta.time("last_updated_timestamp") ?? created,
            params: Self.tags(path + "/params").map { Param(key: $0.key, value: $0.value) },
            tags: Self.tags(path + "/tags"))
        for key in Self.files(in: path + "/metrics") {
            for words in try Self.lines(path + "/metrics/" + key) where words.count > 3 {
                // The run stands between the step and the data set.
                guard var metric = Self.metric(key, words.enumerated().filter { $0.offset != 3 }.map(\.element)) else {
                    continue
                }
                metric.modelID = model.id
                model.metrics.append(LoggedModelMetric(metric: metric, runID: RunID(words[3])))
            }
        }
        return model
    }

    public func traces(after place: String?, limit: Int) async throws(AerieError) -> ImportPage<Trace> {
        try page(traceFolders, after: place, limit: limit) { path throws(AerieError) in try self.trace(at: path) }
    }

    /// Their spans are a file among their artifacts.
    public func completed(_ traces: [Trace]) async throws(AerieError) -> [ImportedTrace] {
        traces.map { ImportedTrace($0) }
    }

    private func trace(at path: String) throws(AerieError) -> Trace? {
        guard let info = try Self.meta(path, "trace_info.yaml"), let id = (info["trace_id"] ?? info["request_id"])?.text
        else { return nil }
        let location = info["trace_location"]?["mlflow_experiment"]?["experiment_id"] ?? info["experiment_id"]
        guard let experiment = location?.text else { return nil }
        var trace = Trace(
            id: TraceID(id), experimentID: ExperimentID(experiment),
            requestTime: info["request_time"]?.string.flatMap { Timestamp(rfc3339: $0) } ?? info.time("timestamp_ms")
                ?? Timestamp(milliseconds: 0),
            duration: info.integer("execution_duration_ms") ?? info.integer("execution_time_ms"),
            state: TraceState(rawValue: (info["state"] ?? info["status"])?.string ?? "") ?? .unspecified,
            clientRequestID: info["client_request_id"]?.text, requestPreview: info["request_preview"]?.text,
            responsePreview: info["response_preview"]?.text, metadata: Self.tags(path + "/request_metadata"),
            tags: Self.tags(path + "/tags"))
        for index in trace.tags.indices where trace.tags[index].key == "mlflow.artifactLocation" {
            trace.tags[index].value = here(trace.tags[index].value)
        }
        for name in Self.files(in: path + "/assessments") {
            guard let value = try Self.meta(path + "/assessments", name) else { continue }
            guard let assessment = MLflowServerSource.assessment(value, of: trace.id) else { continue }
            trace.assessments.append(assessment)
        }
        trace.assessments.sort { $0.createTime < $1.createTime }
        return trace
    }

    // MARK: The registry

    public func registeredModels() async throws(AerieError) -> [ImportedModel] {
        var models: [ImportedModel] = []
        for name in Self.folders(in: folder + "/models") {
            let path = "\(folder)/models/\(name)"
            guard let meta = try Self.meta(path), let title = meta["name"]?.text else { continue }
            let created = meta.time("creation_timestamp") ?? Timestamp(milliseconds: 0)
            let aliases = Self.tags(path + "/aliases").compactMap { alias in
                Int(alias.value).map { ModelAlias(alias: alias.key, version: $0) }
            }
            var versions: [ModelVersion] = []
            for version in Self.folders(in: path) where version.hasPrefix("version-") {
                guard let version = try self.version(of: title, at: path + "/" + version) else { continue }
                versions.append(version)
            }
            models.append(
                ImportedModel(
                    model: RegisteredModel(
                        name: title, description: meta["description"]?.text ?? "", creationTime: created,
                        lastUpdateTime: meta.time("last_updated_timestamp") ?? created,
                        tags: Self.tags(path + "/tags"), aliases: aliases),
                    versions: versions.sorted { $0.version < $1.version }))
        }
        return models
    }

    private func version(of name: String, at path: String) throws(AerieError) -> ModelVersion? {
        guard let meta = try Self.meta(path), let number = meta.integer("version"),
            meta["current_stage"]?.string != "Deleted_Internal"
        else { return nil }
        let created = meta.time("creation_timestamp") ?? Timestamp(milliseconds: 0)
        let source = here(meta["source"]?.text ?? "")
        return ModelVersion(
            name: name, version: Int(number), creationTime: created,
            lastUpdateTime: meta.time("last_updated_timestamp") ?? created, userID: meta["user_id"]?.text ?? "",
            stage: ModelStage(rawValue: meta["current_stage"]?.string ?? "None") ?? .none,
            description: meta["description"]?.text ?? "", source: source,
            location: meta["storage_location"]?.text.map { here($0) } ?? source,
            runID: meta["run_id"]?.text.flatMap { $0.isEmpty ? nil : RunID($0) }, runLink: meta["run_link"]?.text ?? "",
            modelID: LoggedModelID(versionSource: source),
            status: ModelVersion.Status(rawValue: meta["status"]?.string ?? "READY") ?? .ready,
            tags: Self.tags(path + "/tags"))
    }
}
