import AerieCore
import AerieJSON
import Experiments
import HTTPTypes

extension Endpoint {
    static let experiments: [Endpoint] = [
        Endpoint(.post, "/mlflow/experiments/create") { routes, call throws(AerieError) in
            let made = try await routes.experiments.createExperiment(
                name: try call.fields.required("name"), artifactLocation: try call.fields.string("artifact_location"),
                tags: try call.fields.tags())
            return ["experiment_id": .string(made.id.text)]
        },
        Endpoint(.get, "/mlflow/experiments/get") { routes, call throws(AerieError) in
            ["experiment": try await routes.experiments.experiment(try call.fields.experimentID()).mlflow]
        },
        Endpoint(.get, "/mlflow/experiments/get-by-name") { routes, call throws(AerieError) in
            [
                "experiment": try await routes.experiments.experiment(name: try call.fields.required("experiment_name"))
                    .mlflow
            ]
        },
        Endpoint(.post, "/mlflow/experiments/delete") { routes, call throws(AerieError) in
            try await routes.experiments.setExperimentStage(try call.fields.experimentID(), .deleted)
            return [:]
        },
        Endpoint(.post, "/mlflow/experiments/restore") { routes, call throws(AerieError) in
            try await routes.experiments.setExperimentStage(try call.fields.experimentID(), .active)
            return [:]
        },
        Endpoint(.post, "/mlflow/experiments/update") { routes, call throws(AerieError) in
            let name = try call.fields.required("new_name")
            do throws(AerieError) {
                try await routes.experiments.renameExperiment(try call.fields.experimentID(), to: name)
            } catch {
                guard error.code == .alreadyExists else { throw error }
                throw AerieError(error.code, error.message, reason: AerieError.takenByRename, cause: error)
            }
            return [:]
        },
        Endpoint(.post, "/mlflow/experiments/set-experiment-tag") { routes, call throws(AerieError) in
            let tag = Tag(key: try call.fields.required("key"), value: try call.fields.string("value") ?? "")
            try await routes.experiments.setExperimentTags(try call.fields.experimentID(), [tag])
            return [:]
        },
        Endpoint(.post, "/mlflow/experiments/delete-experiment-tag") { routes, call throws(AerieError) in
            try await routes.experiments.deleteExperimentTag(
                try call.fields.experimentID(), key: try call.fields.required("key"))
            return [:]
        },
        Endpoint(.post, "/mlflow/experiments/search", searchExperiments),
        Endpoint(.get, "/mlflow/experiments/search", searchExperiments),
        Endpoint(.post, "/mlflow/experiments/search-datasets") { routes, call throws(AerieError) in
            let found = try await routes.experiments.searchDatasets(in: try call.fields.experimentIDs())
            return [
                "dataset_summaries": .array(
                    found.map { summary in
                        var object: JSONObject = [
                            "experiment_id": .string(summary.experimentID.text), "name": .string(summary.name),
                            "digest": .string(summary.digest),
                        ]
                        object.add("context", summary.context)
                        return .object(object)
                    })
            ]
        },
    ]

    private static let searchExperiments: Handler = { routes, call throws(AerieError) in
        let fields = call.fields
        let page = try await routes.experiments.searchExperiments(
            filter: try fields.string("filter"), orderBy: try fields.strings("order_by"),
            view: try fields.view("view_type"), limit: try fields.limit(otherwise: 1000),
            pageToken: try fields.string("page_token"))
        var body = JSONObject()
        body.add("experiments", page.elements.map(\.mlflow))
        body.add(nextPage: page.next)
        return body
    }
}

extension Fields {
    /// Identifiers of experiments are whole numbers.
    func experimentID() throws(AerieError) -> ExperimentID {
        let text = try required("experiment_id")
        guard Int64(text) != nil else {
            throw .invalid("experiment_id", "Invalid experiment ID '\(text)': it must be a whole number")
        }
        return ExperimentID(text)
    }
    func experimentIDs() throws(AerieError) -> [ExperimentID] {
        try strings("experiment_ids").map { ExperimentID($0) }
    }
}
