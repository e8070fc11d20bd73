public import AerieData
import Crypto
import Synchronization

/// What tells an answer from every other: the model's content and the inputs, features that were fetched for the
/// request included. SHA-256, so that two requests share a key only if they are the same.
///
/// Which outputs were asked for and a request's id are no part of it: an answer is kept with all its outputs, and each
/// request takes from it what it wants.
public struct ResponseKey: Hashable, Sendable {
    public let digest: [UInt8]

    /// - Parameter model: another text whenever the model's content is another (`ServedPredictor.modelIdentity`).
    public init(model: String, inputs: [Tensor]) {
        var hash = SHA256()
        Self.add(model, to: &hash)
        for input in inputs {
            Self.add(input.name, to: &hash)
            Self.add(input.dataType.rawValue, to: &hash)
            Self.add([input.shape.count] + input.shape + [input.bytes.count], to: &hash)
            input.bytes.withUnsafeBytes { hash.update(bufferPointer: $0) }
        }
        digest = Array(hash.finalize())
    }

    /// The same for rows of a tabular model.
    public init(model: String, rows: [UInt8], count: Int) {
        var hash = SHA256()
        Self.add(model, to: &hash)
        Self.add([-1, count, rows.count], to: &hash)
        rows.withUnsafeBytes { hash.update(bufferPointer: $0) }
        digest = Array(hash.finalize())
    }

    private static func add(_ text: String, to hash: inout SHA256) {
        var text = text
        text.withUTF8 { bytes in
            add([bytes.count], to: &hash)
            hash.update(bufferPointer: UnsafeRawBufferPointer(bytes))
        }
    }

    private static func add(_ numbers: [Int], to hash: inout SHA256) {
        numbers.withUnsafeBytes { hash.update(bufferPointer: $0) }
    }
}

/// Answers that were given before, of all models that keep theirs: bounded in bytes, the least recently used leaves
/// first. Thread-safe; a look-up takes a lock for well under a microsecond.
public final class ResponseCache: Sendable {
    public struct Counts: Hashable, Sendable {
        public var entries = 0
        public var bytes = 0
        public var hits = 0
        public var misses = 0
        public var evictions = 0
    }

    /// One answer, in a list from the most to the least recently used; places are indices of `State.entries`.
    private struct Entry {
        var key: ResponseKey
        var outputs: [Tensor]
        var bytes: Int
        var newer: Int
        var older: Int
    }

    private struct State {
        var entries: [Entry?] = []
        var free: [Int] = []
        var places: [ResponseKey: Int] = [:]
        var newest = -1
        var oldest = -1
        var counts = Counts()

        mutating func insert(_ entry: Entry) {
            let place: Int
            if let reused = free.popLast() {
                place = reused
                entries[place] = entry
            } else {
                place = entries.count
                entries.append(entry)
            }
            places[entry.key] = place
            counts.bytes += entry.bytes
            counts.entries += 1
            link(place)
        }

        mutating func remove(_ place: Int) {
            unlink(place)
            guard let entry = entries[place] else { return }
            entries[place] = nil
            places[entry.key] = nil
            free.append(place)
            counts.bytes -= entry.bytes
            counts.entries -= 1
        }

        mutating func link(_ place: Int) {
            entries[place]?.older = newest
            entries[place]?.newer = -1
            if newest >= 0 { entries[newest]?.newer = place }
            newest = place
            if oldest < 0 { oldest = place }
        }

        mutating func unlink(_ place: Int) {
            guard let entry = entries[place] else { return }
            if entry.newer >= 0 { entries[entry.newer]?.older = entry.older } else { newest = entry.older }
            if entry.older >= 0 { entries[entry.older]?.newer = entry.newer } else { oldest = entry.newer }
        }
    }

    public let capacity: Int
    private let state = Mutex(State())

    /// - Parameter capacity: bytes, of the answers and what is needed to find them.
    public init(capacity: Int) { self.capacity = max(0, capacity) }

    public var counts: Counts { state.withLock { $0.counts } }

    public func answer(for key: ResponseKey) -> [Tensor]? {
        state.withLock { state in
            guard let place = state.places[key], let outputs = state.entries[place]?.outputs else {
                state.counts.misses += 1
                return nil
            }
            state.counts.hits += 1
            state.unlink(place)
            state.link(place)
            return outputs
        }
    }

    /// Keeps an answer. One that is larger than the whole cache is not kept.
    public func keep(_ outputs: [Tensor], for key: ResponseKey) {
        let bytes = outputs.reduce(Self.overhead) {
            $0 + $1.bytes.count + $1.name.utf8.count + 8 * $1.shape.count + 64
        }
        guard bytes <= capacity else { return }
        state.withLock { state in
            if let place = state.places[key] { state.remove(place) }
            while state.counts.bytes + bytes > capacity, state.oldest >= 0 {
                state.remove(state.oldest)
                state.counts.evictions += 1
            }
            state.insert(Entry(key: key, outputs: outputs, bytes: bytes, newer: -1, older: -1))
        }
    }

    /// The key, its place in the table and in the list.
    private static let overhead = 160
}
