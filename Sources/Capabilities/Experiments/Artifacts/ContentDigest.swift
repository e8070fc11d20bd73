public import AerieCore

/// What tells one content from another: of the same kind, equal for equal contents and different for different ones.
public struct ContentDigest: Hashable, Sendable {
    /// How it was made: `sha-256` and `md5` of the content, or a way of the store's own. Digests of different kinds say
    /// nothing of each other.
    public var kind: String
    /// In hexadecimal digits where the kind is a hash.
    public var text: String

    public init(kind: String, text: String) {
        self.kind = kind
        self.text = text
    }

    public static let sha256 = "sha-256"
    public static let md5 = "md5"
}

extension AerieError {
    /// A file is not what was put there, as its reader noticed before the last of it was given away.
    public static func damaged(_ path: String) -> AerieError {
        AerieError(
            .dataLoss, "The artifact '\(path)' is damaged: its content is not what was stored. Restore it from a backup",
            reason: "artifact.damaged")
    }
}
