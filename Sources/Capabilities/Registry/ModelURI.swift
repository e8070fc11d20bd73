public import AerieCore
public import Experiments

/// Names a model, by its registration, its identifier, or the run that made it.
public enum ModelURI: Hashable, Sendable, CustomStringConvertible {
    /// `models:/name/3`
    case version(String, Int)
    /// `models:/name/Production`; `models:/name/latest` is `latest`.
    case stage(String, ModelStage)
    case latest(String)
    /// `models:/name@alias`
    case alias(String, String)
    /// `models:/m-…`
    case loggedModel(LoggedModelID)
    /// `runs:/id/path`
    case run(RunID, String)
    /// A place in the artifact store, such as `mlflow-artifacts:/1/…`
    case location(String)

    /// - Throws: `invalidArgument` naming the field and the forms that are understood.
    public init(_ text: String, field: String = "modelUri") throws(AerieError) {
        if let rest = Self.rest(of: text, scheme: "runs") {
            let parts = rest.split(separator: "/", maxSplits: 1)
            guard let id = parts.first else { throw .invalid(field,
                "\"\(text)\" names no run; write runs:/<run id>/<path>") }
            self = .run(RunID(String(id)), parts.count > 1 ? String(parts[1]) : "")
            return
        }
        guard let rest = Self.rest(of: text, scheme: "models") else {
            guard text.hasPrefix("mlflow-artifacts:") else {
                throw .invalid(
                    field, "\"\(text)\" is no model that can be found here; write models:/<name>/<version or stage>, "
                        + "models:/<name>@<alias>, models:/<model id>, runs:/<run id>/<path> or mlflow-artifacts:/…")
            }
            self = .location(text)
            return
        }
        if let at = rest.lastIndex(of: "@"), !rest[at...].contains("/") {
            let name = rest[..<at], alias = rest[rest.index(after: at)...]
            guard !name.isEmpty, !alias.isEmpty else { throw .invalid(field,
                "\"\(text)\": write models:/<name>@<alias>") }
            self = .alias(String(name), String(alias))
            return
        }
        guard let slash = rest.lastIndex(of: "/") else {
            guard rest.hasPrefix("m-"), rest.count > 2 else {
                throw .invalid(field,
                    "\"\(text)\" names no version; write models:/<name>/<version or stage> or models:/<name>@<alias>")
            }
            self = .loggedModel(LoggedModelID(String(rest)))
            return
        }
        let name = String(rest[..<slash]), last = String(rest[rest.index(after: slash)...])
        guard !name.isEmpty, !last.isEmpty else { throw .invalid(field,
            "\"\(text)\": write models:/<name>/<version or stage>") }
        if let version = Int(last) {
            guard version > 0 else { throw .invalid(field, "versions count from 1, \"\(last)\" is none") }
            self = .version(name, version)
        } else if last.lowercased() == "latest" {
            self = .latest(name)
        } else {
            self = .stage(name, try ModelStage(parsing: last, field: field))
        }
    }

    private static func rest(of text: String, scheme: String) -> Substring? {
        guard text.hasPrefix(scheme + ":/") else { return nil }
        return text.dropFirst(scheme.count + 2).drop { $0 == "/" }
    }

    public var description: String {
        switch self {
        case .version(let name, let version): "models:/\(name)/\(version)"
        case .stage(let name, let stage): "models:/\(name)/\(stage.rawValue)"
        case .latest(let name): "models:/\(name)/latest"
        case .alias(let name, let alias): "models:/\(name)@\(alias)"
        case .loggedModel(let id): "models:/\(id)"
        case .run(let id, let path): path.isEmpty ? "runs:/\(id)" : "runs:/\(id)/\(path)"
        case .location(let location): location
        }
    }
}

/// Where a model's files are, and which registered version it is, if it is one.
public struct ResolvedModel: Hashable, Sendable {
    public var uri: ModelURI
    /// Such as `mlflow-artifacts:/1/models/m-…/artifacts`.
    public var location: String
    public var path: ArtifactPath
    /// The folder on this machine, if the artifact store keeps it here.
    public var localPath: String?
    public var version: ModelVersion?
    public var modelID: LoggedModelID?
    public var runID: RunID?

    public init(
        uri: ModelURI, location: String, path: ArtifactPath, localPath: String?, version: ModelVersion?,
        modelID: LoggedModelID?, runID: RunID?
    ) {
        self.uri = uri
        self.location = location
        self.path = path
        self.localPath = localPath
        self.version = version
        self.modelID = modelID
        self.runID = runID
    }
}
