import AerieCore
import AerieJSON
import Experiments
import HTTPTypes

extension Endpoint {
    static let runs: [Endpoint] = lifecycle + logging + reading

    private static let lifecycle: [Endpoint] = [
        Endpoint(.post, "/mlflow/runs/create") { routes, call throws(AerieError) in
            let fields = call.fields
            let experiment = try fields.string("experiment_id").flatMap { $0.isEmpty ? nil : $0 } ?? "0"
            let run = try await routes.experiments.createRun(
                in: Int64(experiment) == nil ? try fields.experimentID() : ExperimentID(experiment),
                name: try fields.string("run_name"),
                userID: try fields.string("user_id") ?? "", startTime: try fields.time("start_time"),
                tags: try fields.tags())
            return ["run": run.mlflow]
        },
        Endpoint(.post, "/mlflow/runs/update") { routes, call throws(AerieError) in
            let info = try await routes.experiments.updateRun(
                try call.fields.runID(), status: try call.fields.word("status", RunStatus.self),
                endTime: try call.fields.time("end_time"), name: try call.fields.string("run_name"))
            return ["run_info": info.mlflow]
        },
        Endpoint(.post, "/mlflow/runs/delete") { routes, call throws(AerieError) in
            try await routes.experiments.setRunStage(try call.fields.runID(), .deleted)
            return [:]
        },
        Endpoint(.post, "/mlflow/runs/restore") { routes, call throws(AerieError) in
            try await routes.experiments.setRunStage(try call.fields.runID(), .active)
            return [:]
        },
    ]

    private static let logging: [Endpoint] = [
        Endpoint(.post, "/mlflow/runs/log-metric") { routes, call throws(AerieError) in
            try await routes.experiments.log(
                RunBatch(
                    runID: try call.fields.runID(),
                    metrics: [try call.fields.metric()]))
            return [:]
        },
        Endpoint(.post, "/mlflow/runs/log-parameter") { routes, call throws(AerieError) in
            let param = Param(key: try call.fields.required("key"), value: try call.fields.string("value") ?? "")
            try await routes.experiments.log(RunBatch(runID: try call.fields.runID(), params: [param]))
            return [:]
        },
        Endpoint(.post, "/mlflow/runs/set-tag") { routes, call throws(AerieError) in
            let tag = Tag(key: try call.fields.required("key"), value: try call.fields.string("value") ?? "")
            try await routes.experiments.log(RunBatch(runID: try call.fields.runID(), tags: [tag]))
            return [:]
        },
        Endpoint(.post, "/mlflow/runs/delete-tag") { routes, call throws(AerieError) in
            try await routes.experiments.deleteRunTag(try call.fields.runID(), key: try call.fields.required("key"))
            return [:]
        },
        Endpoint(
            .post, "/mlflow/runs/log-batch",
            shortcut: { routes, body throws(AerieError) in
                guard let batch = BatchReader.read(body) else { return nil }
                try await routes.experiments.log(batch)
                return [:]
            }
        ) { routes, call throws(AerieError) in
            try await routes.experiments.log(try call.fields.batch())
            return [:]
        },
        Endpoint(.post, "/mlflow/runs/log-model") { routes, call throws(AerieError) in
            try await logModel(routes, call)
            return [:]
        },
        Endpoint(.post, "/mlflow/runs/log-inputs") { routes, call throws(AerieError) in
            var links = RunLinks()
            for input in try call.fields.objects("datasets") {
                let dataset = try input.fields("dataset")
                links.datasets.append(
                    DatasetInput(
                        name: try dataset.required("name"), digest: try dataset.required("digest"),
                        sourceType: try dataset.string("source_type") ?? "", source: try dataset.string("source") ?? "",
                        schema: try dataset.string("schema"), profile: try dataset.string("profile"),
                        tags: try input.tags()))
            }
            for model in try call.fields.objects("models") {
                links.modelInputs.append(LoggedModelID(try model.required("model_id")))
            }
            try await routes.experiments.link(links, to: try call.fields.runID())
            return [:]
        },
        Endpoint(.post, "/mlflow/runs/outputs") { routes, call throws(AerieError) in
            var links = RunLinks()
            for model in try call.fields.objects("models") {
                links.modelOutputs.append(
                    ModelOutput(
                        modelID: LoggedModelID(try model.required("model_id")),
                        step: try model.int("step") ?? 0))
            }
            try await routes.experiments.link(links, to: try call.fields.runID())
            return [:]
        },
    ]

    /// Older clients describe a model in a tag of the run; the tag holds all of them.
    private static func logModel(_ routes: MLflowRoutes, _ call: Call) async throws(AerieError) {
        let key = ExperimentService.modelHistoryTag
        let text = try call.fields.required("model_json")
        let added: JSONValue
        do throws(JSONError) { added = try JSONValue.parse(text) } catch { throw error.asAerieError(in: "model_json") }
        guard added.object != nil else { throw .invalid("model_json", "an object was expected") }
        let missing = ["artifact_path", "flavors", "utc_time_created", "run_id"].filter { added[$0] == nil }
        guard missing.isEmpty else {
            throw .invalid("model_json", "lacks \(missing.joined(separator: ", ")), which describe a model")
        }
        try await routes.experiments.rewriteRunTag(key, of: try call.fields.runID()) { old throws(AerieError) in
            let models = old.flatMap { try? JSONValue.parse($0).array } ?? []
            return JSONValue.array(models + [added]).text()
        }
    }

    private static let reading: [Endpoint] = [
        Endpoint(.get, "/mlflow/runs/get") { routes, call throws(AerieError) in
            // What can be no identifier is no run either.
            let id = try call.fields.runID()
            guard let run = try await routes.experiments.runs([id]).first else {
                throw .notFound("Run with id=\(id) not found")
            }
            return ["run": run.mlflowComplete]
        },
        Endpoint(.post, "/mlflow/runs/search") { routes, call throws(AerieError) in
            let fields = call.fields
            let page = try await routes.experiments.searchRuns(
                in: try fields.experimentIDs(), filter: try fields.string("filter"),
                orderBy: try fields.strings("order_by"),
                view: try fields.view("run_view_type"), limit: try fields.limit(otherwise: 1000),
                pageToken: try fields.string("page_token"))
            var body = JSONObject()
            body.add("runs", page.elements.map(\.mlflowComplete))
            body.add(nextPage: page.next)
            return body
        },
        Endpoint(.get, "/mlflow/metrics/get-history") { routes, call throws(AerieError) in
            let page = try await routes.experiments.metricHistory(
                try call.fields.runID(), key: try call.fields.required("metric_key"),
                limit: try call.fields.limit(otherwise: 25_000), pageToken: try call.fields.string("page_token"))
            var body = JSONObject()
            body.add("metrics", page.elements.map { $0.mlflow() })
            body.add(nextPage: page.next)
            return body
        },
        Endpoint(.get, "/mlflow/metrics/get-history-bulk-interval") { routes, call throws(AerieError) in
            let fields = call.fields
            let start = try fields.int("start_step")
            let end = try fields.int("end_step")
            guard (start == nil) == (end == nil), start ?? 0 <= end ?? 0 else {
                throw .invalid("start_step", "start_step and end_step are given both or neither, the smaller one first")
            }
            let steps = start.flatMap { start in end.map { start...$0 } }
            let found = try await routes.experiments.metricHistory(
                of: try fields.strings("run_ids").map { RunID($0) }, key: try fields.required("metric_key"),
                steps: steps,
                limit: try fields.limit(otherwise: 320))
            return ["metrics": .array(found.map { $1.mlflow(run: $0) })]
        },
        Endpoint(.get, "/mlflow/artifacts/list") { routes, call throws(AerieError) in
            let run = try await routes.experiments.run(try call.fields.runID())
            return try await routes.listing(of: run.info.artifactURI, below: try call.fields.string("path") ?? "")
        },
        Endpoint(.post, "/mlflow/artifacts/presigned-upload-url", presigned),
        Endpoint(.post, "/mlflow/artifacts/presigned-download-url", presigned),
    ]

    private static let presigned: Handler = { _, _ throws(AerieError) in
        throw AerieError(.unsupported, "artifacts kept in files have no presigned URLs; they go through this server")
    }
}

extension MLflowRoutes {
    /// The content of a folder below a location, with paths as the location's own clients call them.
    func listing(of location: String, below path: String) async throws(AerieError) -> JSONObject {
        let relative = try ArtifactPath(path)
        let folder = try ArtifactPath(location: location).appending(relative)
        var files: [JSONValue] = []
        for entry in try await artifacts.list(folder) where entry.path != folder {
            files.append(entry.mlflow(relative.isRoot ? entry.path.name : "\(relative)/\(entry.path.name)"))
        }
        var body: JSONObject = ["root_uri": .string(location)]
        body.add("files", files)
        return body
    }
}
