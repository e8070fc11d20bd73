import AerieCore
import Experiments
import Foundation
import Synchronization

/// A file descriptor that closes itself. Used by one call at a time.
final class OpenFile: Sendable {
    private let descriptor: Int32
    let size: Int64

    init(creating path: String) throws(AerieError) {
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        size = 0
        guard descriptor >= 0 else { throw Self.failure("create", path) }
    }

    /// - Parameter shown: how the person who asked calls the file.
    init(reading path: String, shown: String) throws(AerieError) {
        descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        var status = stat()
        guard descriptor >= 0, fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            if descriptor >= 0 { close(descriptor) }
            throw .notFound("No such artifact: '\(shown)'")
        }
        size = Int64(status.st_size)
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    func write(_ bytes: [UInt8]) throws(AerieError) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress! + done, $0.count - done) }
            if count < 0 {
                if errno == EINTR { continue }
                throw Self.failure("write", "an artifact")
            }
            done += count
        }
    }

    func sync() throws(AerieError) {
        guard fsync(descriptor) == 0 else { throw Self.failure("sync", "an artifact") }
    }

    func read(at offset: Int64, count: Int) throws(AerieError) -> [UInt8] {
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let got = pread(descriptor, buffer.baseAddress! + filled, count - filled, off_t(offset) + off_t(filled))
                if got < 0 {
                    if errno == EINTR { continue }
                    failed = true
                }
                if got <= 0 { break }
                filled += got
            }
        }
        if failed { throw Self.failure("read", "an artifact") }
        return bytes
    }

    static func syncFolder(_ path: String) {
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { return }
        _ = fsync(folder)
        close(folder)
    }

    /// What `errno` says, in the terms of the product.
    static func failure(_ verb: String, _ path: String) -> AerieError {
        let number = errno
        let why = String(cString: strerror(number))
        return AerieError(
            number == ENOSPC || number == EDQUOT ? .resourceExhausted : .unavailable, "cannot \(verb) \(path): \(why)")
    }
}

/// Reads a file, or a part of it, piece by piece.
final class FileReader: ArtifactReader {
    private static let pieceSize: Int64 = 1 << 18
    private let file: OpenFile
    private let end: Int64
    private let position: Mutex<Int64>
    private let threads: FileThreads
    var size: Int64 { file.size }

    init(file: OpenFile, range: Range<Int64>?, threads: FileThreads) {
        self.file = file
        self.threads = threads
        position = Mutex(min(max(range?.lowerBound ?? 0, 0), file.size))
        end = min(range?.upperBound ?? file.size, file.size)
    }

    func next() async throws(AerieError) -> [UInt8]? {
        let start = position.withLock { $0 }
        guard start < end else { return nil }
        let count = Int(min(Self.pieceSize, end - start))
        let file = file
        let bytes = try await threads.run { () throws(AerieError) in try file.read(at: start, count: count) }
        guard bytes.count == count else { throw AerieError(.dataLoss, "the artifact became shorter while it was read") }
        position.withLock { $0 = start + Int64(count) }
        return bytes
    }
}
