import AerieCore
import Crypto
import Experiments
import Synchronization

/// Reads a file, or a part of it, piece by piece. A whole file is checked against its digest on the way.
final class FileReader: ArtifactReader {
    private static let pieceSize: Int64 = 1 << 18

    private struct State {
        var position: Int64
        /// Of what was read so far; `nil` where there is nothing to check, or no more.
        var hash: SHA256?
    }

    private let file: OpenFile
    private let path: String
    private let end: Int64
    private let state: Mutex<State>
    private let threads: FileThreads
    let digest: ContentDigest?
    var size: Int64 { file.size }

    /// - Parameter path: how the person who asked calls the file.
    init(file: OpenFile, range: Range<Int64>?, path: String, threads: FileThreads) {
        self.file = file
        self.path = path
        self.threads = threads
        digest = file.digest
        end = min(range?.upperBound ?? file.size, file.size)
        let start = min(max(range?.lowerBound ?? 0, 0), file.size)
        state = Mutex(State(position: start, hash: range == nil && digest != nil ? SHA256() : nil))
    }

    func next() async throws(AerieError) -> [UInt8]? {
        let start = state.withLock { $0.position }
        let count = Int(min(Self.pieceSize, end - start))
        let bytes = try await threads.run { [self] () throws(AerieError) in
            let bytes = count > 0 ? try file.read(at: start, count: count) : []
            guard bytes.count == max(count, 0) else {
                throw AerieError(.dataLoss, "the artifact became shorter while it was read")
            }
            guard isIntact(bytes, isLast: start + Int64(bytes.count) >= end) else { throw AerieError.damaged(path) }
            return bytes
        }
        state.withLock { $0.position = start + Int64(bytes.count) }
        return bytes.isEmpty ? nil : bytes
    }

    /// Takes the next piece into the digest, which the last one completes.
    private func isIntact(_ bytes: [UInt8], isLast: Bool) -> Bool {
        state.withLock { state in
            guard state.hash != nil else { return true }
            bytes.withUnsafeBytes { state.hash?.update(bufferPointer: $0) }
            guard isLast, let hash = state.hash else { return true }
            state.hash = nil
            return Hexadecimal.encode(hash.finalize()) == digest?.text
        }
    }
}
