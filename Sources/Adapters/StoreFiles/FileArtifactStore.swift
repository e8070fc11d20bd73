public import AerieCore
import Dispatch
public import Experiments
import Foundation

/// Artifacts as plain files below one folder.
///
/// A file is written under a temporary name in the same folder tree, synced, renamed, and its folder synced: it is
/// there whole or not at all, also after a power cut. Left-over temporary files are removed when the store opens.
/// The SHA-256 of its content goes with the file as the attribute `user.aerie.sha256`, where the file system keeps
/// attributes; whoever reads the whole file is told if it is not the same any more.
/// All calls into the kernel run on the store's own threads, never on the caller's.
public final class FileArtifactStore: LocalArtifactStore {
    private let root: String
    private let staging: String
    private let threads = FileThreads()

    /// Makes the folder if it is missing.
    /// - Throws: `unavailable` naming the folder and the reason.
    public init(root: String) throws(AerieError) {
        let url = URL(fileURLWithPath: root).standardizedFileURL
        self.root = url.path
        staging = url.path + "/.incoming"
        do {
            try? FileManager.default.removeItem(atPath: staging)
            try FileManager.default.createDirectory(atPath: staging, withIntermediateDirectories: true)
        } catch {
            throw AerieError(.unavailable,
                "cannot make the artifacts' folder \(url.path): \(error.localizedDescription)")
        }
    }

    public func localPath(_ path: ArtifactPath) -> String { path.isRoot ? root : root + "/" + path.description }

    // The staging folder lies beside the experiments' own, where no client may look or write.
    private func place(_ path: ArtifactPath) throws(AerieError) -> String {
        guard path.components.first != ".incoming" else {
            throw .invalid("path", "Invalid path: \".incoming\" is the store's own")
        }
        return localPath(path)
    }

    public func put(
        _ path: ArtifactPath, next: () async throws(AerieError) -> [UInt8]?
    ) async throws(AerieError) -> Int64 {
        guard !path.isRoot else { throw .invalid("path", "Invalid path: a file's name is missing") }
        let target = try place(path)
        let temporary = staging + "/" + IdentifierSource.system.hex32()
        let file = try await threads.run { () throws(AerieError) in try OpenFile(creating: temporary) }
        var written: Int64 = 0
        do throws(AerieError) {
            while let piece = try await next() {
                written += Int64(piece.count)
                try await threads.run { () throws(AerieError) in try file.write(piece) }
            }
            try await threads.run { () throws(AerieError) in
                try file.seal()
                try Self.move(temporary, to: target)
            }
        } catch {
            await threads.perform { unlink(temporary) }
            throw error
        }
        return written
    }

    private static func move(_ temporary: String, to target: String) throws(AerieError) {
        let parent = (target as NSString).deletingLastPathComponent
        // A new folder is only durable once the folder that holds it is synced.
        var toSync = [parent]
        while let last = toSync.last, last.count > 1, access(last, F_OK) != 0 {
            toSync.append((last as NSString).deletingLastPathComponent)
        }
        do {
            try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        } catch {
            throw failure(making: parent, error)
        }
        guard rename(temporary, target) == 0 else {
            if errno == EISDIR || errno == ENOTEMPTY || errno == EEXIST {
                throw AerieError(.invalidArgument, "Invalid path: a folder of that name is there already")
            }
            throw OpenFile.failure("write", target)
        }
        for folder in toSync { OpenFile.syncFolder(folder) }
    }

    /// A path that leads through a file is the caller's mistake; anything else is the disk's.
    private static func failure(making folder: String, _ error: any Error) -> AerieError {
        var path = folder
        var status = stat()
        while path.count > 1, stat(path, &status) != 0 { path = (path as NSString).deletingLastPathComponent }
        if path.count > 1, status.st_mode & S_IFMT != S_IFDIR {
            return .invalid("path", "Invalid path: a part of it is a file and not a folder")
        }
        let message = "cannot make an artifact's folder: \(error.localizedDescription)"
        let isFull = (error as? CocoaError)?.code == .fileWriteOutOfSpace
        return isFull ? .diskFull(message, cause: error) : AerieError(.unavailable, message, cause: error)
    }

    public func open(_ path: ArtifactPath, range: Range<Int64>?) async throws(AerieError) -> any ArtifactReader {
        let name = try place(path)
        let threads = threads
        return try await threads.run { () throws(AerieError) in
            let file = try OpenFile(reading: name, shown: path.description)
            return FileReader(file: file, range: range, path: path.description, threads: threads)
        }
    }

    public func digest(_ path: ArtifactPath) async throws(AerieError) -> ContentDigest? {
        let name = try place(path)
        return try await threads.run { () throws(AerieError) in
            try OpenFile(reading: name, shown: path.description).digest
        }
    }

    public func entry(_ path: ArtifactPath) async throws(AerieError) -> ArtifactEntry? {
        let name = try place(path)
        return try await threads.run { () throws(AerieError) in Self.entry(path, at: name) }
    }

    public func list(_ path: ArtifactPath) async throws(AerieError) -> [ArtifactEntry] {
        let name = try place(path)
        return try await threads.run { () throws(AerieError) in
            guard let found = Self.entry(path, at: name) else { return [] }
            guard found.isDirectory else { return [found] }
            let names = (try? FileManager.default.contentsOfDirectory(atPath: name)) ?? []
            var entries: [ArtifactEntry] = []
            for child in names.sorted() where !(path.isRoot && child == ".incoming") {
                // A name that is no artifact path was put there by other means; it is not shown.
                guard let childPath = path.child(child) else { continue }
                if let entry = Self.entry(childPath, at: name + "/" + child) { entries.append(entry) }
            }
            return entries
        }
    }

    private static func entry(_ path: ArtifactPath, at name: String) -> ArtifactEntry? {
        var status = stat()
        // A link is not followed: it could lead out of the folder.
        guard lstat(name, &status) == 0 else { return nil }
        switch status.st_mode & S_IFMT {
        case S_IFDIR: return ArtifactEntry(path: path, isDirectory: true, size: nil)
        case S_IFREG: return ArtifactEntry(path: path, isDirectory: false, size: Int64(status.st_size))
        default: return nil
        }
    }

    public func delete(_ path: ArtifactPath) async throws(AerieError) {
        guard !path.isRoot else { throw .invalid("path", "Invalid path: the whole store is not deleted at once") }
        let name = try place(path)
        try await threads.run { () throws(AerieError) in
            guard Self.entry(path, at: name) != nil else { throw AerieError.notFound("No artifact at \(path)") }
            do { try FileManager.default.removeItem(atPath: name) } catch {
                throw AerieError(.unavailable, "cannot delete \(path)", cause: error)
            }
            OpenFile.syncFolder((name as NSString).deletingLastPathComponent)
        }
    }
}

/// The threads on which the store waits for the disk: as many as calls are under way, 16 at most.
final class FileThreads: Sendable {
    private let queues: [DispatchQueue] = (0..<16).map { DispatchQueue(label: "aerie.files.\($0)") }

    func run<Value: Sendable>(
        _ body: @escaping @Sendable () throws(AerieError) -> Value
    ) async throws(AerieError) -> Value {
        let result: Result<Value, AerieError> = await withCheckedContinuation { continuation in
            queues[Int.random(in: 0..<queues.count)].async {
                continuation.resume(returning: Result { () throws(AerieError) in try body() })
            }
        }
        return try result.get()
    }

    func perform(_ body: @escaping @Sendable () -> Int32) async {
        await withCheckedContinuation { continuation in
            queues[0].async {
                _ = body()
                continuation.resume()
            }
        }
    }
}
