import AerieCore
import AerieJSON
import Experiments
import HTTPTypes
import Registry

extension Endpoint {
    static let registry: [Endpoint] = [
        Endpoint(.post, "/mlflow/registered-models/create") { routes, call throws(AerieError) in
            let model = try await routes.registry.createModel(
                name: try call.fields.required("name"), description: try call.fields.string("description") ?? "",
                tags: try call.fields.tags())
            return ["registered_model": model.mlflow]
        },
        Endpoint(.post, "/mlflow/registered-models/rename") { routes, call throws(AerieError) in
            let model = try await routes.registry.renameModel(
                try call.fields.required("name"), to: try call.fields.required("new_name"))
            return ["registered_model": model.mlflow]
        },
        Endpoint(.patch, "/mlflow/registered-models/update") { routes, call throws(AerieError) in
            let model = try await routes.registry.describeModel(
                try call.fields.required("name"), try call.fields.string("description") ?? "")
            return ["registered_model": model.mlflow]
        },
        Endpoint(.delete, "/mlflow/registered-models/delete") { routes, call throws(AerieError) in
            try await routes.registry.deleteModel(try call.fields.required("name"))
            return [:]
        },
        Endpoint(.get, "/mlflow/registered-models/get") { routes, call throws(AerieError) in
            ["registered_model": try await routes.registry.model(try call.fields.required("name")).mlflow]
        },
        Endpoint(.get, "/mlflow/registered-models/search") { routes, call throws(AerieError) in
            let fields = call.fields
            let page = try await routes.registry.searchModels(
                filter: try fields.string("filter"), orderBy: try fields.strings("order_by"),
                limit: try fields.limit(otherwise: 100), pageToken: try fields.string("page_token"))
            var body = JSONObject()
            body.add("registered_models", page.elements.map(\.mlflow))
            body.add(nextPage: page.next)
            return body
        },
        Endpoint(.post, "/mlflow/registered-models/get-latest-versions", latest),
        Endpoint(.get, "/mlflow/registered-models/get-latest-versions", latest),
        Endpoint(.post, "/mlflow/registered-models/set-tag") { routes, call throws(AerieError) in
            let tag = Tag(key: try call.fields.required("key"), value: try call.fields.string("value") ?? "")
            try await routes.registry.setModelTags(try call.fields.required("name"), [tag])
            return [:]
        },
        Endpoint(.delete, "/mlflow/registered-models/delete-tag") { routes, call throws(AerieError) in
            try await routes.registry.deleteModelTag(
                try call.fields.required("name"), key: try call.fields.required("key"))
            return [:]
        },
        Endpoint(.post, "/mlflow/registered-models/alias") { routes, call throws(AerieError) in
            let key = try call.fields.versionKey()
            try await routes.registry.setAlias(try call.fields.required("alias"), of: key.name, to: key.version)
            return [:]
        },
        Endpoint(.delete, "/mlflow/registered-models/alias") { routes, call throws(AerieError) in
            try await routes.registry.deleteAlias(
                try call.fields.required("alias"), of: try call.fields.required("name"))
            return [:]
        },
        Endpoint(.get, "/mlflow/registered-models/alias") { routes, call throws(AerieError) in
            let version = try await routes.registry.version(
                of: try call.fields.required("name"), alias: try call.fields.required("alias"))
            return ["model_version": version.mlflow]
        },
    ]

    private static let latest: Handler = { routes, call throws(AerieError) in
        var stages: [ModelStage] = []
        for stage in try call.fields.strings("stages") {
            stages.append(
                try ModelStage(
                    parsing: stage,
                    field: "stages"))
        }
        let found = try await routes.registry.latestVersions(of: try call.fields.required("name"), stages: stages)
        return ["model_versions": .array(found.map(\.mlflow))]
    }

    static let versions: [Endpoint] = [
        Endpoint(.post, "/mlflow/model-versions/create") { routes, call throws(AerieError) in
            let fields = call.fields
            let version = try await routes.registry.createVersion(
                of: try fields.required("name"), source: try fields.required("source"),
                runID: try fields.string("run_id").flatMap { $0.isEmpty ? nil : RunID($0) },
                modelID: try fields.string("model_id").flatMap { $0.isEmpty ? nil : LoggedModelID($0) },
                runLink: try fields.string("run_link") ?? "", description: try fields.string("description") ?? "",
                tags: try fields.tags())
            return ["model_version": version.mlflow]
        },
        Endpoint(.patch, "/mlflow/model-versions/update") { routes, call throws(AerieError) in
            let version = try await routes.registry.describeVersion(
                try call.fields.versionKey(), try call.fields.string("description") ?? "")
            return ["model_version": version.mlflow]
        },
        Endpoint(.post, "/mlflow/model-versions/transition-stage") { routes, call throws(AerieError) in
            let version = try await routes.registry.transition(
                try call.fields.versionKey(), to: try ModelStage(parsing: try call.fields.required("stage")),
                archivingExisting: try call.fields.bool("archive_existing_versions") ?? false, actor: call.actor)
            return ["model_version": version.mlflow]
        },
        Endpoint(.delete, "/mlflow/model-versions/delete") { routes, call throws(AerieError) in
            try await routes.registry.deleteVersion(try call.fields.versionKey())
            return [:]
        },
        Endpoint(.get, "/mlflow/model-versions/get") { routes, call throws(AerieError) in
            ["model_version": try await routes.registry.version(try call.fields.versionKey()).mlflow]
        },
        Endpoint(.get, "/mlflow/model-versions/search") { routes, call throws(AerieError) in
            let fields = call.fields
            let page = try await routes.registry.searchVersions(
                filter: try fields.string("filter"), orderBy: try fields.strings("order_by"),
                limit: try fields.limit(otherwise: 10_000), pageToken: try fields.string("page_token"))
            var body = JSONObject()
            body.add("model_versions", page.elements.map(\.mlflow))
            body.add(nextPage: page.next)
            return body
        },
        Endpoint(.get, "/mlflow/model-versions/get-download-uri") { routes, call throws(AerieError) in
            let version = try await routes.registry.version(try call.fields.versionKey())
            return ["artifact_uri": .string(version.location)]
        },
        Endpoint(.post, "/mlflow/model-versions/set-tag") { routes, call throws(AerieError) in
            let tag = Tag(key: try call.fields.required("key"), value: try call.fields.string("value") ?? "")
            try await routes.registry.setVersionTags(try call.fields.versionKey(), [tag])
            return [:]
        },
        Endpoint(.delete, "/mlflow/model-versions/delete-tag") { routes, call throws(AerieError) in
            try await routes.registry.deleteVersionTag(
                try call.fields.versionKey(), tag: try call.fields.required("key"))
            return [:]
        },
    ]

    /// What clients ask before they choose how to talk.
    static let server: [Endpoint] = [
        Endpoint(.get, "/mlflow/server-info") { routes, _ throws(AerieError) in
            let isDirect = JSONValue.bool(routes.artifacts is any DirectArtifactStore)
            return [
                "store_type": "SqlStore", "workspaces_enabled": false, "trace_archival_enabled": false,
                "multipart_uploads_enabled": isDirect, "multipart_downloads_enabled": isDirect,
            ]
        }
    ]
}

extension Fields {
    func versionKey() throws(AerieError) -> ModelVersionKey {
        let name = try required("name")
        let text = try required("version")
        guard let version = Int(text), version > 0 else {
            throw .invalid("version", "Parameter 'version' must be an integer, got '\(text)'.")
        }
        return ModelVersionKey(name, version)
    }
}
