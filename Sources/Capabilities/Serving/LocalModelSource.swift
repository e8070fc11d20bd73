public import AerieCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Models that lie in this machine's files already: `file://` and plain paths. The answer for every other scheme is
/// the reason why not.
public struct LocalModelSource: ModelSource {
    public init() {}

    public func fetch(_ uri: String) async throws(AerieError) -> ModelLocation { try Self.locate(uri) }

    /// A few system calls; nothing is read.
    public static func locate(_ uri: String) throws(AerieError) -> ModelLocation {
        try locate(try path(of: uri), for: uri)
    }

    /// Of files that were brought here.
    public static func locate(_ path: String, for uri: String) throws(AerieError) -> ModelLocation {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw AerieError(.notFound, "modelUri \(uri): there is no file or folder \(path) on this machine")
        }
        if status.st_mode & S_IFMT == S_IFDIR {
            guard stat(path + "/MLmodel", &status) == 0 else {
                throw AerieError(
                    .failedPrecondition,
                    "modelUri \(uri): the folder holds no MLmodel file; name an MLflow model folder or a model file")
            }
        }
        let stamp = "\(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)"
        let trimmed = path.split(separator: "/").last.map(String.init) ?? path
        return ModelLocation(
            path: path, name: trimmed, version: String(status.st_mtim.tv_sec),
            identity: "\(path)|\(status.st_size)|\(stamp)|\(status.st_ino)", uri: uri)
    }

    private static func path(of uri: String) throws(AerieError) -> String {
        switch ModelURI.scheme(uri) {
        case nil: return uri
        case "file":
            let rest = uri.dropFirst("file:".count)
            guard rest.hasPrefix("//") else { return String(rest) }
            let path = rest.dropFirst(2)
            if path.hasPrefix("localhost/") { return String(path.dropFirst("localhost".count)) }
            guard path.hasPrefix("/") else {
                throw AerieError.invalid("modelUri", "\(uri): a file URI has three slashes: file:///path")
            }
            return String(path)
        case let scheme?:
            if scheme == "gs" || scheme == "s3" {
                throw AerieError(
                    .unsupported,
                    "modelUri \(uri): a bucket's models are fetched by a server that deploys them; "
                        + "copy the model to a file and use its path")
            }
            throw AerieError(.unsupported, "modelUri \(uri): the scheme \(scheme): is not fetched here")
        }
    }
}
