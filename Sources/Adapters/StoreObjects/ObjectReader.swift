import AerieCore
import Crypto
import Experiments
import NIOHTTP1
import Synchronization

/// Reads an object in ranges, the next one fetched while the last is used; all of them are of the object as it was when
/// it was opened. A whole object whose tag is the MD5 of its content is checked against it on the way.
final class ObjectReader: ArtifactReader {
    private static let rangeSize: Int64 = 4 << 20
    private static let pieceSize = 1 << 20

    let size: Int64
    let digest: ContentDigest?
    private let client: ObjectClient
    private let key: String
    private let tag: String
    private let end: Int64

    private struct State {
        /// Where the next range begins.
        var position: Int64
        var ahead: Task<Result<[UInt8], AerieError>, Never>?
        var pieces: ArraySlice<UInt8> = []
        /// How much was given away.
        var given: Int64 = 0
        /// Of that; `nil` where there is nothing to check.
        var hash: Insecure.MD5?
    }
    private let state: Mutex<State>

    init(_ client: ObjectClient, key: String, head: ObjectHead, range: Range<Int64>?) {
        self.client = client
        self.key = key
        size = head.size
        digest = head.digest
        tag = head.tag
        end = min(range?.upperBound ?? size, size)
        let isChecked = range == nil && digest?.kind == ContentDigest.md5
        state = Mutex(
            State(position: min(max(range?.lowerBound ?? 0, 0), size), hash: isChecked ? Insecure.MD5() : nil))
    }

    deinit { state.withLock { $0.ahead?.cancel() } }

    func next() async throws(AerieError) -> [UInt8]? {
        if let piece = state.withLock({ Self.take(&$0) }) { return try checked(piece) }
        guard let range = begin() else { return nil }
        let result = await withTaskCancellationHandler {
            await range.value
        } onCancel: {
            range.cancel()
        }
        let bytes = try result.get()
        let piece = state.withLock { state in
            state.pieces = bytes[...]
            return Self.take(&state)
        }
        // The range behind it comes while this one is handed on.
        if let ahead = begin() { state.withLock { $0.ahead = ahead } }
        return try piece.map { piece throws(AerieError) in try checked(piece) }
    }

    private func checked(_ piece: [UInt8]) throws(AerieError) -> [UInt8] {
        let isIntact = state.withLock { state in
            state.given += Int64(piece.count)
            guard state.hash != nil else { return true }
            piece.withUnsafeBytes { state.hash?.update(bufferPointer: $0) }
            guard state.given == size, let hash = state.hash else { return true }
            return Hexadecimal.encode(hash.finalize()) == digest?.text
        }
        guard isIntact else { throw .damaged(key) }
        return piece
    }

    private static func take(_ state: inout State) -> [UInt8]? {
        guard !state.pieces.isEmpty else { return nil }
        let piece = Array(state.pieces.prefix(pieceSize))
        state.pieces = state.pieces.dropFirst(piece.count)
        return piece
    }

    /// The fetch that is under way, or a new one; `nil` at the end.
    private func begin() -> Task<Result<[UInt8], AerieError>, Never>? {
        state.withLock { state in
            if let ahead = state.ahead {
                state.ahead = nil
                return ahead
            }
            guard state.position < end else { return nil }
            let range = state.position..<min(state.position + Self.rangeSize, end)
            state.position = range.upperBound
            return Task { [client, key, tag] in
                do throws(AerieError) { return .success(try await Self.fetch(client, key, tag, range)) } catch {
                    return .failure(error)
                }
            }
        }
    }

    private static func fetch(
        _ client: ObjectClient, _ key: String, _ tag: String, _ range: Range<Int64>
    ) async throws(AerieError) -> [UInt8] {
        var request = ObjectRequest(
            method: .GET, key: key, headers: [("range", "bytes=\(range.lowerBound)-\(range.upperBound - 1)")])
        if !tag.isEmpty { request.headers.append(("if-match", tag)) }
        let answer = try await client.send(request, expected: [404, 412, 416])
        guard answer.status == 206 || answer.status == 200, answer.body.count == range.count else {
            throw AerieError(.dataLoss, "the artifact \(key) was changed or deleted while it was read")
        }
        return answer.body
    }
}
