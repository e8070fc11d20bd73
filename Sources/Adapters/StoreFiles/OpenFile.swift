import AerieCore
import CFiles
import Crypto
import Experiments
import Foundation
import Synchronization

/// A file descriptor that closes itself. Used by one call at a time.
final class OpenFile: Sendable {
    private let descriptor: Int32
    let size: Int64
    /// Of what was written so far.
    private let hash = Mutex(SHA256())
    private static let attribute = "user.aerie.sha256"

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
        hash.withLock { hash in bytes.withUnsafeBytes { hash.update(bufferPointer: $0) } }
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

    /// Keeps the digest of what was written with the file, where there are attributes, and makes it durable.
    func seal() throws(AerieError) {
        let digest = hash.withLock { Hexadecimal.encode($0.finalize()) }
        _ = cfiles_set_attribute(descriptor, Self.attribute, digest, digest.utf8.count)
        guard fsync(descriptor) == 0 else { throw Self.failure("sync", "an artifact") }
    }

    /// What was kept of the content when it was written.
    var digest: ContentDigest? {
        var text = [CChar](repeating: 0, count: 65)
        guard cfiles_attribute(descriptor, Self.attribute, &text, 64) == 64 else { return nil }
        let digits = text.prefix(64).map { UInt8(bitPattern: $0) }
        return ContentDigest(kind: ContentDigest.sha256, text: String(decoding: digits, as: UTF8.self))
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
        let message = "cannot \(verb) \(path): \(why)"
        return [ENOSPC, EDQUOT, EFBIG].contains(number) ? .diskFull(message) : AerieError(.unavailable, message)
    }
}
