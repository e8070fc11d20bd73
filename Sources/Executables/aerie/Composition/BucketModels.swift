import AerieCore
import Experiments
import Foundation
import Serving
import StoreObjects

/// Models that lie in a bucket, as `s3://bucket/fraud/v1/model.ubj` or `gs://bucket/fraud/v1` (an MLflow model folder),
/// read with the environment's credentials.
///
/// What stands there may change: it is copied whenever its deployment is applied or begins, and what tells one version
/// from the next is the hash of what it holds.
struct BucketModels: ModelSource {
    let copies: ModelCopies

    func fetch(_ uri: String) async throws(AerieError) -> ModelLocation {
        let place: (bucket: ObjectLocation, path: ArtifactPath)
        do throws(AerieError) { place = try Self.place(uri) } catch {
            throw AerieError(error.code, "modelUri \(uri): \(error.message)", cause: error)
        }
        let copy: String
        do throws(AerieError) {
            let settings = try ObjectSettings(for: place.bucket, environment: ProcessInfo.processInfo.environment)
            let store = try ObjectArtifactStore(place.bucket, settings: settings)
            copy = try await copies.local(place.path, of: store, as: uri, isFixed: false)
        } catch {
            let problem = error.code == .notFound ? "there is no such file or folder in the bucket" : error.message
            throw AerieError(error.code, "modelUri \(uri): \(problem)", cause: error)
        }
        let hash = ((copy as NSString).deletingLastPathComponent as NSString).lastPathComponent
        var location = try LocalModelSource.locate(copy, for: uri)
        location.version = String(hash.prefix(12))
        location.identity = hash
        return location
    }

    private static func place(_ uri: String) throws(AerieError) -> (bucket: ObjectLocation, path: ArtifactPath) {
        let location = try ObjectLocation(uri)
        guard !location.prefix.isEmpty else {
            throw .invalid("", "names a bucket and no model in it; write \(location)/PATH")
        }
        return (try ObjectLocation("\(location.service.rawValue)://\(location.bucket)"), try ArtifactPath(location.prefix))
    }
}
