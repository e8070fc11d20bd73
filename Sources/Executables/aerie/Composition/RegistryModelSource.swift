import AerieCore
import Experiments
import Registry
import Serving

/// Where Serving's models come from: the registry and the runs of this server, buckets of object stores, else the
/// machine's own files.
struct RegistryModelSource: ModelSource {
    let registry: RegistryService
    let artifacts: any ArtifactStore
    let copies: ModelCopies

    func fetch(_ uri: String) async throws(AerieError) -> ModelLocation {
        let scheme = Serving.ModelURI.scheme(uri)
        if scheme == "gs" || scheme == "s3" { return try await BucketModels(copies: copies).fetch(uri) }
        guard scheme == "models" || scheme == "runs" || uri.hasPrefix("mlflow-artifacts:") else {
            return try LocalModelSource.locate(uri)
        }
        let model = try await registry.resolve(uri)
        let path: String
        if let local = model.localPath {
            path = local
        } else {
            path = try await copies.local(
                model.path, of: artifacts, as: model.path.description, isFixed: model.version != nil)
        }
        let version = model.version.map { "\($0.version)" } ?? model.modelID?.text ?? model.runID?.text ?? ""
        // A version's files do not change; a run's may until it ends, so their place is told apart by its time too.
        let identity = model.version == nil ? try LocalModelSource.locate(path).identity : model.location
        return ModelLocation(
            path: path, name: model.version?.name ?? model.uri.description, version: version,
            identity: "\(identity)#\(version)", uri: uri)
    }
}
