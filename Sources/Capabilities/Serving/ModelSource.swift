public import AerieCore

/// Where a model lies on this machine, and which one it is.
public struct ModelLocation: Hashable, Sendable {
    /// A file, or an MLflow model folder (one that holds `MLmodel`).
    public var path: String
    /// The registered model's name, or another name that a person knows it by.
    public var name: String
    /// The registered model's version; of a bare file what tells it from the next, such as its time.
    public var version: String
    /// Another text whenever the content is another: what models are cached by.
    public var identity: String
    /// As it was asked for.
    public var uri: String
    /// What is to compute it, in the order of preference; empty for what the model itself says.
    public var providers: [ExecutionProvider] = []

    public init(path: String, name: String, version: String, identity: String, uri: String) {
        self.path = path
        self.name = name
        self.version = version
        self.identity = identity
        self.uri = uri
    }
}

/// Brings a model's files to this machine.
///
/// Contract: `models:/name/3`, `models:/name/Production`, `models:/name@alias`, `runs:/id/path`, `s3://bucket/path`,
/// `gs://bucket/path`, `file://` and plain paths. Asked again every few seconds for a URI whose meaning may move (a
/// stage, an alias), so it must be cheap when nothing has changed. What it gives stays readable until the process ends.
public protocol ModelSource: Sendable {
    /// - Throws: `notFound` naming the model, version or file; `invalidArgument` for a URI of the wrong form;
    ///   `unsupported` for a scheme that this source does not fetch, with the way out; what a bucket's service says.
    func fetch(_ uri: String) async throws(AerieError) -> ModelLocation
}

/// The forms of a model's URI, by their text alone.
public enum ModelURI {
    static let knownSchemes = ["models", "runs", "file", "gs", "s3"]

    /// The part before `:` if it looks like a scheme; `nil` for a plain path.
    public static func scheme(_ uri: String) -> String? {
        guard let colon = uri.firstIndex(of: ":"), uri[uri.index(after: colon)...].hasPrefix("/") else { return nil }
        let scheme = uri[..<colon]
        return scheme.allSatisfy { $0.isLetter || $0.isNumber || $0 == "+" || $0 == "-" } ? String(scheme) : nil
    }

    /// Whether the same text may mean another model tomorrow: a stage, an alias or `latest`.
    public static func isMoving(_ uri: String) -> Bool {
        guard uri.hasPrefix("models:/") else { return false }
        let rest = uri.dropFirst("models:/".count).drop { $0 == "/" }
        if rest.contains("@") { return true }
        let parts = rest.split(separator: "/")
        return parts.count == 2 && UInt64(parts[1]) == nil
    }

    /// What is wrong with a URI's form; `nil` if nothing is.
    static func problem(_ uri: String) -> String? {
        if uri.isEmpty { return "is empty; write models:/NAME/VERSION, runs:/ID/PATH, file:///PATH or a path" }
        if uri.utf8.count > 2048 { return "is longer than 2048 characters" }
        guard let scheme = scheme(uri) else { return nil }
        guard knownSchemes.contains(scheme) else {
            return "the scheme \"\(scheme)\" is not known; known are "
                + knownSchemes.map { "\($0):/" }.joined(separator: ", ") + " and plain paths"
        }
        let rest = uri.dropFirst(scheme.count + 1).drop { $0 == "/" }
        if rest.isEmpty { return "names nothing behind \(scheme):/" }
        if scheme == "models" {
            let named = rest.split(separator: "@", omittingEmptySubsequences: false)
            let parts = rest.split(separator: "/", omittingEmptySubsequences: false)
            let hasVersion = parts.count == 2 && !parts[0].isEmpty && !parts[1].isEmpty && named.count == 1
            let hasAlias = named.count == 2 && !named[0].isEmpty && !named[1].isEmpty && parts.count <= 2
            let isLoggedModel = parts.count == 1 && rest.hasPrefix("m-")
            if !hasVersion, !hasAlias, !isLoggedModel {
                return "\"\(uri)\" needs a version, a stage or an alias: "
                    + "models:/NAME/3, models:/NAME/Production or models:/NAME@champion"
            }
        }
        return nil
    }
}
