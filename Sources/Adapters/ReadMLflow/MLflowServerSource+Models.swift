public import AerieCore
import AerieJSON
public import Experiments
public import Imports
import Registry

extension MLflowServerSource {
    private static let isPrompt = "tags.`mlflow.prompt.is_prompt` = 'true'"

    public func loggedModels(after place: String?, limit: Int) async throws(AerieError) -> ImportPage<LoggedModel> {
        do throws(AerieError) {
            return try await page(after: place, per: Self.experimentsPerCall) { experiments, token throws(AerieError) in
                var body: JSONObject = [
                    "experiment_ids": .array(experiments.map { .string($0.text) }),
                    "max_results": .int(Int64(min(limit, 50))),
                    "order_by": [["field_name": "creation_timestamp", "ascending": true]],
                ]
                body["page_token"] = token.map(JSONValue.string)
                let answer = try await server.post("/api/2.0/mlflow/logged-models/search", .object(body))
                var models: [LoggedModel] = []
                for value in answer["models"]?.array ?? [] { models.append(try Self.loggedModel(value)) }
                return ImportPage(models, next: answer.nextPage)
            }
        } catch {
            // Servers before MLflow 3 do not have them.
            guard error.code == .notFound, place == nil else { throw error }
            return ImportPage()
        }
    }

    private static func loggedModel(_ value: JSONValue) throws(AerieError) -> LoggedModel {
        let (info, data) = (value["info"] ?? .null, value["data"] ?? .null)
        let id = LoggedModelID(try info.required("model_id"))
        let created = info.time("creation_timestamp_ms") ?? Timestamp(milliseconds: 0)
        return LoggedModel(
            id: id, experimentID: ExperimentID(try info.required("experiment_id")),
            name: info["name"]?.string ?? "", modelType: info["model_type"]?.string ?? "",
            sourceRunID: info.text(at: "source_run_id").map { RunID($0) },
            artifactURI: info["artifact_uri"]?.string ?? "",
            status: LoggedModelStatus(rawValue: info["status"]?.string ?? "") ?? .unspecified, creationTime: created,
            lastUpdateTime: info.time("last_updated_timestamp_ms") ?? created,
            params: data.tags("params").map { Param(key: $0.key, value: $0.value) }, tags: info.tags("tags"),
            metrics: (data["metrics"]?.array ?? []).compactMap { value in
                guard let run = value.text(at: "run_id"), var metric = metric(value) else { return nil }
                metric.modelID = id
                return LoggedModelMetric(metric: metric, runID: RunID(run))
            })
    }

    // MARK: The registry

    public func registeredModels() async throws(AerieError) -> [ImportedModel] {
        var found: [(value: JSONValue, isPrompt: Bool)] = []
        var names: Set<String> = []
        // MLflow 3 gives prompts only to those who ask for them.
        for filter in [nil, Self.isPrompt] {
            for value in try await models(filter) where names.insert(try value.required("name")).inserted {
                found.append((value, filter != nil))
            }
        }
        return try await together(found) { found throws(AerieError) in
            try await self.model(found.value, isPrompt: found.isPrompt)
        }.sorted { $0.model.name < $1.model.name }
    }

    /// Of every prompt every version, as `name/version`.
    func promptVersions() async throws(AerieError) -> [String] {
        var found: [String] = []
        for value in try await models(Self.isPrompt) {
            let name = try value.required("name")
            found += try await versions(of: name, isPrompt: true).map { "\(name)/\($0.version)" }
        }
        return found
    }

    private func models(_ filter: String?) async throws(AerieError) -> [JSONValue] {
        var found: [JSONValue] = []
        var token: String?
        repeat {
            var query = [("max_results", "100")]
            if let filter { query.append(("filter", filter)) }
            if let token { query.append(("page_token", token)) }
            let answer = try await server.get("/api/2.0/mlflow/registered-models/search", query)
            found += answer["registered_models"]?.array ?? []
            token = answer.nextPage
        } while token != nil
        return found
    }

    private func model(_ value: JSONValue, isPrompt: Bool) async throws(AerieError) -> ImportedModel {
        let name = try value.required("name")
        let created = value.time("creation_timestamp") ?? Timestamp(milliseconds: 0)
        let aliases = (value["aliases"]?.array ?? []).compactMap { alias -> ModelAlias? in
            guard let text = alias["alias"]?.string, let version = alias.integer("version") else { return nil }
            return ModelAlias(alias: text, version: Int(version))
        }
        return ImportedModel(
            model: RegisteredModel(
                name: name, description: value["description"]?.string ?? "", creationTime: created,
                lastUpdateTime: value.time("last_updated_timestamp") ?? created, tags: value.tags("tags"),
                aliases: aliases),
            versions: try await versions(of: name, isPrompt: isPrompt))
    }

    private func versions(of name: String, isPrompt: Bool) async throws(AerieError) -> [ModelVersion] {
        let quote = name.contains("'") ? "\"" : "'"
        let filter = "name = \(quote)\(name)\(quote)" + (isPrompt ? " AND \(Self.isPrompt)" : "")
        var versions: [ModelVersion] = []
        var token: String?
        repeat {
            var query = [("filter", filter), ("max_results", "1000")]
            if let token { query.append(("page_token", token)) }
            let answer = try await server.get("/api/2.0/mlflow/model-versions/search", query)
            for value in answer["model_versions"]?.array ?? [] { versions.append(try Self.version(value, of: name)) }
            token = answer.nextPage
        } while token != nil
        guard !isPrompt else { return versions }
        for index in versions.indices {
            let query = [("name", name), ("version", "\(versions[index].version)")]
            let answer = try await server.get("/api/2.0/mlflow/model-versions/get-download-uri", query)
            if let location = answer.text(at: "artifact_uri") { versions[index].location = location }
        }
        return versions
    }

    private static func version(_ value: JSONValue, of name: String) throws(AerieError) -> ModelVersion {
        guard let number = value.integer("version") else {
            throw AerieError(.dataLoss, "the MLflow server gave a version of '\(name)' without its number")
        }
        let created = value.time("creation_timestamp") ?? Timestamp(milliseconds: 0)
        let source = value["source"]?.string ?? ""
        return ModelVersion(
            name: name, version: Int(number), creationTime: created,
            lastUpdateTime: value.time("last_updated_timestamp") ?? created, userID: value["user_id"]?.string ?? "",
            stage: ModelStage(rawValue: value["current_stage"]?.string ?? "None") ?? .none,
            description: value["description"]?.string ?? "", source: source, location: source,
            runID: value.text(at: "run_id").map { RunID($0) }, runLink: value["run_link"]?.string ?? "",
            modelID: LoggedModelID(versionSource: source),
            status: ModelVersion.Status(rawValue: value["status"]?.string ?? "READY") ?? .ready,
            tags: value.tags("tags"))
    }
}

extension LoggedModelID {
    /// The logged model that a version was made from, if its source says so.
    init?(versionSource source: String) {
        guard source.hasPrefix("models:/m-") else { return nil }
        self.init(String(source.dropFirst("models:/".count)))
    }
}
