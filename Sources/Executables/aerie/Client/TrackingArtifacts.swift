import AerieCore
import AerieJSON
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// The files of a run or of a model version, through the server's artifact proxy.
struct TrackingArtifacts: Sendable {
    struct File: Hashable, Sendable {
        /// Below the root, with `/` between the folders.
        var path: String
        var size: Int64
    }

    /// Files of one tree at most.
    static let limit = 100_000
    private static let scheme = "mlflow-artifacts:"

    let client: PlatformClient
    /// The path in the server's artifact store.
    let root: String

    /// - Throws: `unsupported` for a place that the server does not keep.
    init(client: PlatformClient, location: String) throws(AerieError) {
        guard location.hasPrefix(Self.scheme) else {
            throw AerieError(
                .unsupported, "the files are at \(location.visible), which this server does not hand out")
        }
        var path = location.dropFirst(Self.scheme.count)
        if path.hasPrefix("//") {
            path = path.dropFirst(2)
            path = path[(path.firstIndex(of: "/") ?? path.endIndex)...]
        }
        self.client = client
        root = String(path.drop { $0 == "/" })
    }

    private func place(_ path: String) -> String { path.isEmpty ? root : root.isEmpty ? path : "\(root)/\(path)" }

    private func address(_ path: String) -> String {
        let escaped = place(path).split(separator: "/").map { PlatformClient.escape(String($0)) }
        return "/api/2.0/mlflow-artifacts/artifacts/" + escaped.joined(separator: "/")
    }

    /// All files below a folder, or the one file of that path; ordered by path. Cost: one request a folder.
    func files(below path: String = "") async throws(AerieError) -> [File] {
        let clean = try Self.clean(path)
        if !clean.isEmpty {
            // Asked for the content of a file, the server gives the file, as if it were in itself.
            let (folder, name) = Self.split(clean)
            if let file = try await entries(folder).first(where: { $0.name == name && !$0.isFolder }) {
                return [File(path: clean, size: file.size)]
            }
        }
        var found: [File] = []
        var folders = [clean]
        while let folder = folders.popLast() {
            for entry in try await entries(folder) {
                let inner = folder.isEmpty ? entry.name : "\(folder)/\(entry.name)"
                if entry.isFolder { folders.append(inner) } else { found.append(File(path: inner, size: entry.size)) }
                guard found.count + folders.count <= Self.limit else {
                    throw AerieError(.resourceExhausted, "there are more than \(Self.limit) files; name a folder")
                }
            }
        }
        return found.sorted { $0.path < $1.path }
    }

    private func entries(_ folder: String) async throws(AerieError) -> [(name: String, isFolder: Bool, size: Int64)] {
        let answer: JSONValue
        do throws(AerieError) {
            answer = try await client.get("/api/2.0/mlflow-artifacts/artifacts", query: [("path", place(folder))])
        } catch {
            if error.code == .notFound { return [] }
            throw error
        }
        var entries: [(name: String, isFolder: Bool, size: Int64)] = []
        for entry in answer["files"]?.array ?? [] {
            let name = entry["path"]?.string ?? ""
            // A name that could lead out of the folder is none that the server gives.
            guard !name.isEmpty, name != ".", name != "..", !name.contains("/"), !name.utf8.contains(0) else {
                throw AerieError(.dataLoss, "the server lists a file with the name \"\(name.visible)\"")
            }
            entries.append((name, entry["is_dir"]?.bool ?? false, entry["file_size"]?.int ?? 0))
        }
        return entries
    }

    /// A file's text; `nil` if it is longer than `limit` bytes or no UTF-8.
    func text(_ file: File, limit: Int64 = 1 << 20) async throws(AerieError) -> String? {
        guard file.size <= limit else { return nil }
        var bytes: [UInt8] = []
        try await read(file.path) { piece throws(AerieError) in bytes += piece.readableBytesView }
        return bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
    }

    private func read(
        _ path: String, each: (ByteBuffer) throws(AerieError) -> Void
    ) async throws(AerieError) {
        let response = try await client.execute(
            client.request(.GET, address(path), [], nil), deadline: NIODeadline.now() + TimeAmount.hours(24))
        if response.status.code >= 400 { throw await PlatformClient.error(response) }
        do {
            for try await piece in response.body { try each(piece) }
        } catch let error as AerieError {
            throw error
        } catch {
            throw client.unreachable(error)
        }
    }

    /// Writes a file to the disk under a name of its own until it is whole. Memory: one piece.
    func download(
        _ file: File, to path: String, progress: (Int64) -> Void = { _ in }
    ) async throws(AerieError) {
        let output = try ExportFile(path: path)
        do throws(AerieError) {
            var written: Int64 = 0
            try await read(file.path) { piece throws(AerieError) in
                try output.write(Data(piece.readableBytesView))
                written += Int64(piece.readableBytes)
                progress(Int64(piece.readableBytes))
            }
            guard written == file.size else {
                throw AerieError(
                    .unavailable, "\(file.path.visible) ended after \(written) of \(file.size) bytes; try it again")
            }
            try output.finish()
        } catch {
            output.discard()
            throw error
        }
    }

    /// Sends a file of the disk. Memory: one piece.
    func upload(
        _ source: String, to path: String, progress: @escaping @Sendable (Int64) -> Void = { _ in }
    ) async throws(AerieError) {
        let size = ((try? FileManager.default.attributesOfItem(atPath: source))?[.size] as? NSNumber)?.int64Value
        guard let size, FileManager.default.isReadableFile(atPath: source) else {
            throw AerieError(.permissionDenied, "\(source.visible) cannot be read")
        }
        var request = client.request(.PUT, address(try Self.clean(path)), [], nil)
        request.headers.add(name: "content-type", value: "application/octet-stream")
        request.body = .stream(FilePieces(path: source, progress: progress), length: .known(size))
        let response = try await client.execute(request, deadline: NIODeadline.now() + TimeAmount.hours(24))
        if response.status.code >= 400 { throw await PlatformClient.error(response) }
        _ = try? await response.body.collect(upTo: 1 << 20)
    }

    /// Without slashes at the ends. - Throws: `invalidArgument` for what leads out of the root.
    static func clean(_ path: String) throws(AerieError) -> String {
        let parts = path.split(separator: "/").filter { $0 != "." }
        guard !parts.contains("..") else { throw .invalid("path", "\"\(path.visible)\" leads out of the artifacts") }
        return parts.joined(separator: "/")
    }

    static func split(_ path: String) -> (folder: String, name: String) {
        guard let slash = path.lastIndex(of: "/") else { return ("", path) }
        return (String(path[..<slash]), String(path[path.index(after: slash)...]))
    }
}

/// A file's content in pieces of 1 MiB.
private struct FilePieces: AsyncSequence, Sendable {
    let path: String
    let progress: @Sendable (Int64) -> Void

    func makeAsyncIterator() -> Iterator {
        Iterator(handle: FileHandle(forReadingAtPath: path), path: path, progress: progress)
    }

    struct Iterator: AsyncIteratorProtocol {
        let handle: FileHandle?
        let path: String
        let progress: @Sendable (Int64) -> Void

        mutating func next() async throws -> ByteBuffer? {
            guard let handle else { throw AerieError(.permissionDenied, "\(path.visible) cannot be read") }
            guard let data = try handle.read(upToCount: 1 << 20), !data.isEmpty else { return nil }
            progress(Int64(data.count))
            return ByteBuffer(bytes: data)
        }
    }
}
