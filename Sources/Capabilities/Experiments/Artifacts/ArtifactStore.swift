public import AerieCore

/// A place below the root of the artifacts: components separated by `/`, none of them empty, `.` or `..`. Text that
/// would lead out of the root does not construct.
public struct ArtifactPath: Hashable, Sendable, CustomStringConvertible {
    public let components: [String]

    /// The root itself.
    public static let root = ArtifactPath(checked: [])

    private init(checked components: [String]) { self.components = components }

    /// - Throws: `invalidArgument` naming the field, for `..`, an absolute path, control characters and the like.
    public init(_ text: String, field: String = "path") throws(AerieError) {
        guard text.utf8.count <= 4096 else { throw .invalid(field, "is longer than 4096 bytes") }
        guard !text.hasPrefix("/"), !text.hasPrefix("~") else {
            throw .invalid(field, "Invalid path: it must be relative, and \"\(text)\" is not")
        }
        var components: [String] = []
        for part in text.split(separator: "/") where part != "." {
            guard part != "..", Self.isName(part) else {
                throw .invalid(field, "Invalid path: \"\(part)\" may not be a part of an artifact's path")
            }
            components.append(String(part))
        }
        self.components = components
    }

    /// The path that a location such as `mlflow-artifacts:/1/abc/artifacts` means.
    /// - Throws: `unsupported` for a location that is not kept by this server.
    public init(location: String) throws(AerieError) {
        let scheme = "mlflow-artifacts:"
        guard location.hasPrefix(scheme) else {
            throw AerieError(
                .unsupported, "the artifacts at \(location) are not kept by this server, which keeps \(scheme)/…")
        }
        var rest = location.dropFirst(scheme.count)
        if rest.hasPrefix("//") {
            // An authority (host and port of a server) says nothing about the place.
            rest = rest.dropFirst(2).drop { $0 != "/" }
        }
        while rest.hasPrefix("/") { rest = rest.dropFirst() }
        try self.init(String(rest), field: "artifact location")
    }

    private static func isName(_ part: some StringProtocol) -> Bool {
        part.utf8.count <= 255
            && !part.utf8.contains { $0 < 0x20 || $0 == UInt8(ascii: "\\") || $0 == 0x7f }
    }

    /// What is called so in this folder; `nil` for text that is not the name of one file or folder.
    public func child(_ name: String) -> ArtifactPath? {
        guard !name.isEmpty, name != ".", name != "..", !name.utf8.contains(UInt8(ascii: "/")), Self.isName(name) else {
            return nil
        }
        return ArtifactPath(checked: components + [name])
    }

    public func appending(_ other: ArtifactPath) -> ArtifactPath {
        ArtifactPath(checked: components + other.components)
    }

    public var name: String { components.last ?? "" }
    public var parent: ArtifactPath { ArtifactPath(checked: Array(components.dropLast())) }
    public var isRoot: Bool { components.isEmpty }
    public var description: String { components.joined(separator: "/") }
}

/// A file or a folder.
public struct ArtifactEntry: Hashable, Sendable {
    public var path: ArtifactPath
    public var isDirectory: Bool
    /// Bytes; `nil` for a folder.
    public var size: Int64?
    public init(path: ArtifactPath, isDirectory: Bool, size: Int64?) {
        self.path = path
        self.isDirectory = isDirectory
        self.size = size
    }
}

/// An open file. Read by one task at a time; closed when it goes.
public protocol ArtifactReader: Sendable {
    /// The whole file's size in bytes.
    var size: Int64 { get }
    /// What was kept of the whole file's content when it was put; `nil` if nothing was.
    var digest: ContentDigest? { get }
    /// The next piece, of 1 MiB at most; `nil` at the end.
    /// - Throws: `dataLoss`, in place of the last piece, if a whole file is not what its digest says.
    func next() async throws(AerieError) -> [UInt8]?
}

/// Keeps files by their path.
///
/// Contract: a file appears whole and durable when `put` returns, and never in part; of two that put the same path the
/// last one stays. Memory use does not depend on a file's size. Missing files and folders are `notFound`; listing a
/// folder that does not exist gives nothing, as folders are not made on their own.
public protocol ArtifactStore: Sendable {
    /// - Parameter next: the next piece of the content, `nil` at its end; what it throws leaves nothing behind.
    /// - Returns: the bytes written.
    func put(
        _ path: ArtifactPath, next: () async throws(AerieError) -> [UInt8]?
    ) async throws(AerieError) -> Int64
    /// - Parameter range: only these bytes; `nil` for all. Past the end there is nothing.
    func open(_ path: ArtifactPath, range: Range<Int64>?) async throws(AerieError) -> any ArtifactReader
    /// What is kept of a file's content, without reading it; `nil` where nothing is. Not kept are the digests of files
    /// that other programs put there.
    /// - Throws: `notFound`.
    func digest(_ path: ArtifactPath) async throws(AerieError) -> ContentDigest?
    /// What is there, or `nil`.
    func entry(_ path: ArtifactPath) async throws(AerieError) -> ArtifactEntry?
    /// The direct content of a folder, by name; a file gives itself.
    func list(_ path: ArtifactPath) async throws(AerieError) -> [ArtifactEntry]
    /// A file, or a folder with all that is in it.
    func delete(_ path: ArtifactPath) async throws(AerieError)
}

/// A store whose files can be opened by their path on this machine, as model engines need it.
public protocol LocalArtifactStore: ArtifactStore {
    /// The absolute path, whether or not something is there.
    func localPath(_ path: ArtifactPath) -> String
}

/// A store whose files clients may bring and fetch themselves, by URLs that are good for one thing and a while.
public protocol DirectArtifactStore: ArtifactStore {
    /// Begins a file that comes in parts of 5 MiB or more, the last one aside. Nothing is to be seen of it before
    /// `completeParts`.
    /// - Parameter count: 1 to 10,000.
    /// - Returns: the upload's identifier, and for each part in order the URL that it is to be put to.
    func beginParts(
        _ path: ArtifactPath, count: Int, seconds: Int
    ) async throws(AerieError) -> (id: String, urls: [String])
    /// Makes the file of its parts.
    /// - Parameter parts: their numbers, from 1, and the `ETag` that each was answered with.
    /// - Throws: `notFound` for an upload that is not under way, `invalidArgument` for parts that did not come.
    func completeParts(
        _ path: ArtifactPath, id: String, parts: [(number: Int, tag: String)]
    ) async throws(AerieError)
    /// Gives up what `beginParts` began.
    func abortParts(_ path: ArtifactPath, id: String) async throws(AerieError)
    /// Where the file can be fetched from, and its size in bytes.
    /// - Throws: `notFound`.
    func downloadURL(_ path: ArtifactPath, seconds: Int) async throws(AerieError) -> (url: String, size: Int64)
}
