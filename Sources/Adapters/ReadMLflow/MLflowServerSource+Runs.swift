public import AerieCore
import AerieJSON
public import Experiments
public import Imports

extension MLflowServerSource {
    /// Values of one answer; the server gives no more.
    private static let historyLimit = 25_000

    public func runs(after place: String?, limit: Int) async throws(AerieError) -> ImportPage<Run> {
        try await page(after: place, per: Self.experimentsPerCall) { experiments, token throws(AerieError) in
            try await self.runs(in: experiments, after: token, limit: limit)
        }
    }

    /// One page of a search.
    func runs(
        in experiments: [ExperimentID], after token: String?, limit: Int
    ) async throws(AerieError) -> ImportPage<Run> {
        var body: JSONObject = [
            "experiment_ids": .array(experiments.map { .string($0.text) }), "run_view_type": "ALL",
            "max_results": .int(Int64(limit)),
            // New runs come at the end, where they do not move the pages that follow.
            "order_by": ["attributes.start_time ASC"],
        ]
        body["page_token"] = token.map(JSONValue.string)
        let answer = try await server.post("/api/2.0/mlflow/runs/search", .object(body))
        var runs: [Run] = []
        for value in answer["runs"]?.array ?? [] { runs.append(try Self.run(value)) }
        return ImportPage(runs, next: answer.nextPage)
    }

    private static func run(_ value: JSONValue) throws(AerieError) -> Run {
        let (info, data) = (value["info"] ?? .null, value["data"] ?? .null)
        // Older servers have the one name, newer ones both.
        let key = info["run_id"] == nil ? "run_uuid" : "run_id"
        var run = Run(
            info: RunInfo(
                id: RunID(try info.required(key)),
                experimentID: ExperimentID(try info.required("experiment_id")), name: info["run_name"]?.string ?? "",
                userID: info["user_id"]?.string ?? "",
                status: RunStatus(rawValue: info["status"]?.string ?? "") ?? .finished,
                startTime: info.time("start_time") ?? Timestamp(milliseconds: 0),
                endTime: info.time("end_time").flatMap { $0.milliseconds > 0 ? $0 : nil },
                artifactURI: info["artifact_uri"]?.string ?? "",
                stage: info["lifecycle_stage"]?.string == "deleted" ? .deleted : .active))
        run.metrics = (data["metrics"]?.array ?? []).compactMap { metric($0) }
        run.params = data.tags("params").map { Param(key: $0.key, value: $0.value) }
        run.tags = data.tags("tags")
        run.datasets = (value["inputs"]?["dataset_inputs"]?.array ?? []).compactMap { input in
            guard let dataset = input["dataset"], let name = dataset["name"]?.string else { return nil }
            return DatasetInput(
                name: name, digest: dataset["digest"]?.string ?? "",
                sourceType: dataset["source_type"]?.string ?? "", source: dataset["source"]?.string ?? "",
                schema: dataset["schema"]?.string, profile: dataset["profile"]?.string, tags: input.tags("tags"))
        }
        run.modelInputs = (value["inputs"]?["model_inputs"]?.array ?? []).compactMap { input in
            input["model_id"]?.string.map { LoggedModelID($0) }
        }
        run.modelOutputs = (value["outputs"]?["model_outputs"]?.array ?? []).compactMap { output in
            output["model_id"]?.string.map {
                ModelOutput(modelID: LoggedModelID($0), step: output.integer("step") ?? 0)
            }
        }
        return run
    }

    static func metric(_ value: JSONValue) -> Metric? {
        guard let key = value["key"]?.string, let number = value["value"]?.measured else { return nil }
        return Metric(
            key: key, value: number, timestamp: value.time("timestamp") ?? Timestamp(milliseconds: 0),
            step: value.integer("step") ?? 0, modelID: value.text(at: "model_id").map { LoggedModelID($0) },
            datasetName: value.text(at: "dataset_name"), datasetDigest: value.text(at: "dataset_digest"))
    }

    // MARK: Histories

    /// One call a metric for all of the runs, as the server's own pages ask; those that are longer than an answer are
    /// read run by run.
    public func completed(_ runs: [Run]) async throws(AerieError) -> [Run] {
        var owners: [String: [RunID]] = [:]
        for run in runs { for metric in run.metrics { owners[metric.key, default: []].append(run.info.id) } }
        var histories: [RunID: [Metric]] = [:]
        let asked = owners.sorted { $0.key < $1.key }.map { (key: $0.key, runs: $0.value) }
        for found in try await together(asked, { asked throws(AerieError) in try await self.history(asked) }) {
            histories.merge(found) { $0 + $1 }
        }
        return runs.map { run in
            var run = run
            run.metrics = histories[run.info.id] ?? []
            return run
        }
    }

    private func history(_ asked: (key: String, runs: [RunID])) async throws(AerieError) -> [RunID: [Metric]] {
        let query =
            asked.runs.map { ("run_id", $0.text) }
            + [("metric_key", asked.key), ("max_results", "\(Self.historyLimit)")]
        do throws(AerieError) {
            let answer = try await server.get("/ajax-api/2.0/mlflow/metrics/get-history-bulk", query)
            let values = answer["metrics"]?.array ?? []
            if values.count < Self.historyLimit {
                var histories: [RunID: [Metric]] = [:]
                for value in values {
                    guard let run = value["run_id"]?.string, let metric = Self.metric(value) else { continue }
                    histories[RunID(run), default: []].append(metric)
                }
                return histories
            }
        } catch {
            // Not every server has the call, or lets others than its own pages use it.
            guard [.notFound, .permissionDenied, .failedPrecondition].contains(error.code) else { throw error }
        }
        var histories: [RunID: [Metric]] = [:]
        for run in asked.runs { histories[run] = try await history(of: asked.key, run) }
        return histories
    }

    private func history(of key: String, _ run: RunID) async throws(AerieError) -> [Metric] {
        var metrics: [Metric] = []
        var token: String?
        repeat {
            var query = [("run_id", run.text), ("metric_key", key), ("max_results", "\(Self.historyLimit)")]
            if let token { query.append(("page_token", token)) }
            let answer = try await server.get("/api/2.0/mlflow/metrics/get-history", query)
            metrics += (answer["metrics"]?.array ?? []).compactMap { Self.metric($0) }
            token = answer.nextPage
        } while token != nil
        return metrics
    }
}
