import AerieCore
import AerieJSON
import Experiments
import HTTPTypes

extension Endpoint {
    static let loggedModels: [Endpoint] = [
        Endpoint(.post, "/mlflow/logged-models") { routes, call throws(AerieError) in
            let fields = call.fields
            let model = try await routes.experiments.createModel(
                in: try fields.experimentID(), name: try fields.string("name"),
                modelType: try fields.string("model_type") ?? "",
                sourceRunID: try fields.string("source_run_id").flatMap { $0.isEmpty ? nil : RunID($0) },
                params: try fields.params(), tags: try fields.tags())
            return ["model": model.mlflow]
        },
        Endpoint(.post, "/mlflow/logged-models/search") { routes, call throws(AerieError) in
            let fields = call.fields
            let experiments = try fields.experimentIDs()
            guard !experiments.isEmpty else { throw fields.missing("experiment_ids") }
            let page = try await routes.experiments.searchModels(
                in: experiments, filter: try fields.string("filter"), orderBy: try fields.modelOrders(),
                datasets: try fields.datasets(),
                limit: try fields.limit(otherwise: 100), pageToken: try fields.string("page_token"))
            var body = JSONObject()
            body.add("models", page.elements.map(\.mlflow))
            body.add(nextPage: page.next)
            return body
        },
        Endpoint(.get, "/mlflow/logged-models/:model_id") { routes, call throws(AerieError) in
            ["model": try await routes.experiments.model(try call.fields.modelID()).mlflow]
        },
        Endpoint(.patch, "/mlflow/logged-models/:model_id") { routes, call throws(AerieError) in
            guard let status = try call.fields.word("status", LoggedModelStatus.self, first: 0) else {
                throw call.fields.missing("status")
            }
            return ["model": try await routes.experiments.finalizeModel(try call.fields.modelID(), status).mlflow]
        },
        Endpoint(.delete, "/mlflow/logged-models/:model_id") { routes, call throws(AerieError) in
            try await routes.experiments.deleteModel(try call.fields.modelID())
            return [:]
        },
        Endpoint(.patch, "/mlflow/logged-models/:model_id/tags") { routes, call throws(AerieError) in
            _ = try await routes.experiments.setModelTags(try call.fields.modelID(), try call.fields.tags())
            return [:]
        },
        Endpoint(.delete, "/mlflow/logged-models/:model_id/tags/:tag_key") { routes, call throws(AerieError) in
            try await routes.experiments.deleteModelTag(
                try call.fields.modelID(), key: try call.fields.required("tag_key"))
            return [:]
        },
        Endpoint(.post, "/mlflow/logged-models/:model_id/params") { routes, call throws(AerieError) in
            try await routes.experiments.logModelParams(try call.fields.modelID(), try call.fields.params())
            return [:]
        },
        Endpoint(.get, "/mlflow/logged-models/:model_id/artifacts/directories") { routes, call throws(AerieError) in
            let model = try await routes.experiments.model(try call.fields.modelID())
            return try await routes.listing(
                of: model.artifactURI, below: try call.fields.string("artifact_directory_path") ?? "")
        },
    ]
}

extension Fields {
    func modelID() throws(AerieError) -> LoggedModelID { LoggedModelID(try required("model_id")) }

    func datasets() throws(AerieError) -> [DatasetReference] {
        var datasets: [DatasetReference] = []
        for dataset in try objects("datasets") {
            let digest = try dataset.string("dataset_digest").flatMap { $0.isEmpty ? nil : $0 }
            datasets.append(DatasetReference(name: try dataset.required("dataset_name"), digest: digest))
        }
        return datasets
    }

    /// Orders come as messages here, and as text elsewhere.
    func modelOrders() throws(AerieError) -> [ModelOrder] {
        var orders: [ModelOrder] = []
        for order in try objects("order_by") {
            let name = try order.required("field_name")
            guard !name.contains(where: { $0 == "`" }) else {
                throw .invalid(
                    "order_by.field_name",
                    "may not hold a backtick")
            }
            // A key with spaces or slashes needs quotes in the grammar.
            let quoted = name.split(separator: ".", maxSplits: 1).enumerated()
                .map { $0.offset == 0 ? String($0.element) : "`\($0.element)`" }.joined(separator: ".")
            func named(_ key: String) throws(AerieError) -> String? {
                try order.string(key).flatMap { $0.isEmpty ? nil : $0 }
            }
            orders.append(
                ModelOrder(
                    quoted + (try order.bool("ascending") ?? true ? " ASC" : " DESC"),
                    datasetName: try named("dataset_name"), datasetDigest: try named("dataset_digest")))
        }
        return orders
    }
}
