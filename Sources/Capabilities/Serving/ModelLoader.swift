public import AerieCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Turns a model's files into a model in memory: a bare file by its content and ending, an MLflow model folder by its
/// `MLmodel`.
public struct ModelLoader: Sendable {
    private let formats: [any ModelFormat]

    /// - Parameter formats: in the order of preference where a folder holds several flavors.
    public init(formats: [any ModelFormat]) { self.formats = formats }

    /// Blocking, for as long as reading and building takes: never on the cooperative pool or an event loop.
    /// - Throws: `notFound`, `invalidArgument` with the place in the file, or `unsupported` with the flavors that were
    ///   found and the way to log the model so that it loads.
    public func load(_ location: ModelLocation) throws(AerieError) -> any InferenceModel {
        var status = stat()
        guard stat(location.path, &status) == 0 else {
            throw AerieError(.notFound, "\(location.uri): there is no file or folder \(location.path)")
        }
        if status.st_mode & S_IFMT == S_IFDIR { return try load(folder: location.path, location) }
        let options = ModelLoadOptions(providers: location.providers)
        return try format(ofFile: location.path).load(file: location.path, options: options)
    }

    private func load(folder: String, _ location: ModelLocation) throws(AerieError) -> any InferenceModel {
        let uri = location.uri
        let text = try TextFile.read(folder + "/MLmodel", maximumBytes: 4 << 20)
        let manifest = try MLmodelManifest(text: text, of: uri)
        for format in formats {
            guard let flavor = manifest.flavors.first(where: { $0.name == format.flavor }) else { continue }
            guard let data = flavor.data else {
                throw AerieError(
                    .invalidArgument, "\(uri): the flavor \(flavor.name) in MLmodel names no data file")
            }
            let path = try Self.resolve(data, in: folder, uri: uri)
            if let pickle = Self.pickleProblem(flavor, data: data) {
                throw AerieError(.unsupported, "\(uri): \(pickle)", reason: "model.pickled")
            }
            let model = try (flavor.name == "onnx" ? format : self.format(ofFile: path, unless: format))
                .load(
                    file: path,
                    options: ModelLoadOptions(
                        providers: location.providers.isEmpty ? flavor.providers : location.providers))
            return model.withFeatureNames(manifest.featureNames)
        }
        throw unsupported(manifest, uri: uri)
    }

    private func unsupported(_ manifest: MLmodelManifest, uri: String) -> AerieError {
        let found = manifest.flavors.map(\.name)
        let flavors = found.isEmpty ? "no flavor" : "the flavors " + found.joined(separator: ", ")
        let known = formats.map(\.flavor).joined(separator: ", ")
        let fix = found.contains("sklearn")
            ? "log an sklearn model as ONNX (skl2onnx, then mlflow.onnx.log_model), or train it with xgboost or "
                + "lightgbm and log it with that library's flavor"
            : "log it with mlflow.xgboost, mlflow.lightgbm or mlflow.onnx"
        return AerieError(
            .unsupported,
            "\(uri): the model has \(flavors), and a model served without Python needs one of \(known): \(fix)",
            reason: "model.flavor")
    }

    /// A file inside the folder: no absolute path, no `..`, and no link that leads out of it.
    static func resolve(_ data: String, in folder: String, uri: String) throws(AerieError) -> String {
        let parts = data.split(separator: "/", omittingEmptySubsequences: false)
        let isInside = !data.isEmpty && !data.hasPrefix("/") && !data.contains("\0") && !parts.contains("..")
        guard isInside else {
            throw AerieError(
                .invalidArgument,
                "\(uri): MLmodel names the data file \"\(data)\", which is outside of the model's folder")
        }
        let path = folder + "/" + data
        guard let real = TextFile.realPath(path), let root = TextFile.realPath(folder) else {
            throw AerieError(.notFound, "\(uri): MLmodel names the data file \"\(data)\", which is not there")
        }
        guard real.hasPrefix(root.hasSuffix("/") ? root : root + "/") else {
            throw AerieError(
                .invalidArgument, "\(uri): the data file \"\(data)\" is a link that leads out of the model's folder")
        }
        return real
    }

    private static func pickleProblem(_ flavor: MLmodelManifest.Flavor, data: String) -> String? {
        let ending = data.split(separator: ".").last.map { $0.lowercased() } ?? ""
        guard ["pkl", "pickle", "skops", "joblib"].contains(ending) else { return nil }
        let model = flavor.modelClass.map { " (\($0))" } ?? ""
        let fix = flavor.name == "lightgbm"
            ? "log its booster: mlflow.lightgbm.log_model(model.booster_, …)"
            : "log the library's own booster instead"
        return "\(data) is a Python object\(model) that cannot be read without Python; \(fix)"
    }
}

// MARK: Recognizing a file

extension ModelLoader {
    /// By ending where exactly one format has it, else by the first bytes.
    private func format(ofFile path: String, unless preferred: (any ModelFormat)? = nil) throws(AerieError)
        -> any ModelFormat
    {
        if let preferred { return preferred }
        let head = try TextFile.head(path, count: 64)
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let ending = name.contains(".") ? name.split(separator: ".").last.map { $0.lowercased() } ?? "" : ""
        let byEnding = formats.filter { $0.fileExtensions.contains(ending) }
        if byEnding.count == 1 { return byEnding[0] }
        let candidates = byEnding.isEmpty ? formats : byEnding
        if let flavor = Self.flavor(head: head), let format = candidates.first(where: { $0.flavor == flavor }) {
            return format
        }
        throw AerieError(
            .unsupported,
            "\(path): neither its ending nor its content is that of a known model format; known endings are "
                + formats.flatMap(\.fileExtensions).map { ".\($0)" }.joined(separator: ", "))
    }

    /// XGBoost's JSON and UBJSON begin with `{`, LightGBM's text with `tree`, and a serialized ONNX model with the tag
    /// of its first field, a small whole number.
    static func flavor(head: [UInt8]) -> String? {
        let first = head.drop { $0 == 0x20 || $0 == 0x0a || $0 == 0x0d || $0 == 0x09 }
        if first.starts(with: Array("tree".utf8)) { return "lightgbm" }
        if first.first == UInt8(ascii: "{") { return "xgboost" }
        if head.first == 0x08, head.count > 1, head[1] < 0x20 { return "onnx" }
        return nil
    }
}
