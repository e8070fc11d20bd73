import AerieCore
import Foundation

/// A local file in pieces of 1 MiB.
final class LocalFile: @unchecked Sendable {
    // Safety: read by the one task that asked for it.
    private let handle: FileHandle
    private let path: String

    init(_ path: String) throws(AerieError) {
        guard let handle = FileHandle(forReadingAtPath: path) else { throw .notFound("cannot read \(path)") }
        self.handle = handle
        self.path = path
    }

    func next() throws(AerieError) -> [UInt8]? {
        do {
            guard let data = try handle.read(upToCount: 1 << 20), !data.isEmpty else { return nil }
            return Array(data)
        } catch { throw AerieError(.unavailable, "cannot read \(path)", cause: error) }
    }

    deinit { try? handle.close() }
}
