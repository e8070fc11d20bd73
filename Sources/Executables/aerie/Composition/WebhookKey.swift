import AerieCore
import Foundation
import Webhooks

/// The key under which webhooks' secrets are sealed: 32 bytes in `webhook.key` in the data folder, for its owner alone.
///
/// It lies apart from the metadata, so that a copy of the database gives no secret away. Servers that share a
/// PostgreSQL database need the same file.
enum WebhookKey {
    /// Reads the key, or makes one. It is durable when this returns.
    /// - Throws: `unavailable` if the file cannot be read or made, `dataLoss` if it is none.
    static func open(folder: String) throws(AerieError) -> WebhookSecrets {
        let path = folder + "/webhook.key"
        if let bytes = FileManager.default.contents(atPath: path) {
            guard bytes.count == 32 else {
                throw AerieError(.dataLoss, "\(path) is damaged: it must hold 32 bytes, not \(bytes.count)")
            }
            return try WebhookSecrets(key: Array(bytes))
        }
        let key = (0..<32).map { _ in UInt8.random(in: .min ... .max) }
        let temporary = path + ".new"
        unlink(temporary)
        let file = Glibc.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure(path) }
        let isWritten = write(file, key, key.count) == key.count && fsync(file) == 0
        close(file)
        guard isWritten, rename(temporary, path) == 0 else { throw failure(path) }
        return try WebhookSecrets(key: key)
    }

    private static func failure(_ path: String) -> AerieError {
        AerieError(.unavailable, "cannot make \(path): \(String(cString: strerror(errno)))")
    }
}
