import AerieCore
import Foundation
import Webhooks

/// The key under which webhooks' secrets are sealed: 32 bytes in `webhook.key` in the data folder, for its owner alone.
///
/// It lies apart from the metadata, so that a copy of the database gives no secret away. Servers that share a
/// PostgreSQL database need the same file.
enum WebhookKey {
    static func open(folder: String) throws(AerieError) -> WebhookSecrets {
        try WebhookSecrets(key: try FolderSecret.open("webhook.key", in: folder))
    }
}

/// 32 random bytes in a file of the data folder, made once and readable by its owner alone.
enum FolderSecret {
    private static let size = 32

    /// Reads the file, or makes it. It is durable when this returns.
    /// - Throws: `unavailable` if the file cannot be read or made, `dataLoss` if it is none.
    static func open(_ name: String, in folder: String) throws(AerieError) -> [UInt8] {
        let path = folder + "/" + name
        if let bytes = FileManager.default.contents(atPath: path) {
            guard bytes.count == size else {
                throw AerieError(.dataLoss, "\(path) is damaged: it must hold \(size) bytes, not \(bytes.count)")
            }
            return Array(bytes)
        }
        let bytes = (0..<size).map { _ in UInt8.random(in: .min ... .max) }
        let temporary = path + ".new"
        unlink(temporary)
        let file = Glibc.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure(path) }
        let isWritten = write(file, bytes, bytes.count) == bytes.count && fsync(file) == 0
        close(file)
        guard isWritten, rename(temporary, path) == 0 else { throw failure(path) }
        return bytes
    }

    private static func failure(_ path: String) -> AerieError {
        AerieError(.unavailable, "cannot make \(path): \(String(cString: strerror(errno)))")
    }
}
