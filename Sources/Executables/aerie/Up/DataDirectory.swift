import AerieCore
import Foundation

/// The folder that holds everything one Aerie knows, held by one process at a time.
///
/// The lock is the kernel's (`flock`), so it goes with the process however it ends. The lock file also holds the
/// process's number, for the message to the second one.
struct DataDirectory: ~Copyable {
    let path: String
    private let descriptor: Int32

    /// Makes the folder if it is missing and takes the lock.
    /// - Throws: `failedPrecondition` naming the folder and the other process if it is in use, `unavailable` if it
    ///   cannot be made or written.
    init(path: String) throws(AerieError) {
        let url = URL(fileURLWithPath: path).standardizedFileURL
        do {
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        } catch {
            throw AerieError(.unavailable, "cannot make the data folder \(url.path): \(error.localizedDescription)")
        }
        let lockPath = url.appendingPathComponent("lock").path
        let descriptor = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw AerieError(
                .unavailable, "cannot write to the data folder \(url.path): \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let owner =
                (try? String(contentsOfFile: lockPath, encoding: .utf8))?
                .trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
            close(descriptor)
            throw AerieError(
                .failedPrecondition,
                "the data folder \(url.path) is in use by another aerie"
                    + (owner.isEmpty ? "" : " (process \(owner))") + "; stop it or name another with --data-dir",
                reason: "data_dir.in_use")
        }
        let text = "\(getpid())\n"
        _ = ftruncate(descriptor, 0)
        _ = text.withCString { write(descriptor, $0, strlen($0)) }
        self.path = url.path
        self.descriptor = descriptor
    }

    func file(_ name: String) -> String { path + "/" + name }

    deinit { close(descriptor) }
}
