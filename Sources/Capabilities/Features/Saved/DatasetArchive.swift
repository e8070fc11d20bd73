public import AerieCore

/// A file as it was kept.
public struct ArchivedFile: Sendable, Hashable {
    public var bytes: Int64
    /// SHA-256, in hexadecimal digits.
    public var digest: String

    public init(bytes: Int64, digest: String) {
        self.bytes = bytes
        self.digest = digest
    }
}

/// Where saved datasets lie.
///
/// Contract: paths are relative, with `/` between parts. A file appears whole and is durable when `put` returns, and is
/// never changed by anybody else. Memory use does not depend on a file's size.
public protocol DatasetArchive: Sendable {
    /// Keeps a file of this machine.
    func put(_ path: String, from file: String) async throws(AerieError) -> ArchivedFile
    func put(_ path: String, text: String) async throws(AerieError)
    /// The text of a small file; `nil` if it is not there.
    func text(_ path: String) async throws(AerieError) -> String?
    /// Copies a file to a path on this machine.
    /// - Throws: `notFound`.
    func fetch(_ path: String, to file: String) async throws(AerieError)
    /// The names in a folder, in order; none if it is not there.
    func names(in folder: String) async throws(AerieError) -> [String]
    func delete(_ path: String) async throws(AerieError)
    /// The SHA-256 of a file of this machine, in hexadecimal digits.
    func digest(of file: String) async throws(AerieError) -> String
}
