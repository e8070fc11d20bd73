public import AerieCore
import CLMDB
import Crypto
public import Streaming
import Synchronization

/// The state of streams in one memory-mapped LMDB file. A commit is on the disk when it returns; those of several
/// streams that come at the same time share one.
///
/// The file's keys are a letter and the first eight bytes of the SHA-256 of the stream's name, then
///
/// - `S`: nothing; the value is the name
/// - `P` and a partition: where its next message is (8 bytes, little-endian)
/// - `E` and an entity (under its hash if it is too long): the latest event's time (8 bytes), then the state
/// - `J` and a step (8 bytes, big-endian): the entities that it changed, each with its length (4 bytes) before it
/// - `B`: the numbers of the seam (8 bytes each, little-endian)
/// - `D` and a number (8 bytes, big-endian): a dead letter
public final class LMDBStreamStore: StreamStateStore {
    private enum Kind {
        static let stream = UInt8(ascii: "S"), position = UInt8(ascii: "P"), entity = UInt8(ascii: "E")
        static let seam = UInt8(ascii: "B")
        static let step = UInt8(ascii: "J"), deadLetter = UInt8(ascii: "D")
    }

    private static let deadLetterLimit: UInt64 = 10_000
    /// The longest key that LMDB takes as it is built by default.
    private static let keyLimit = 511

    private let environment: LMDBEnvironment
    private let commits: LMDBGroupCommit

    /// - Parameters:
    ///   - path: the file, made if it is not there; its lock stands beside it.
    ///   - mapSize: the greatest size in bytes. Costs address space only.
    public init(path: String, mapSize: Int = 1 << 38) throws(AerieError) {
        environment = try LMDBEnvironment(path: path, mapSize: mapSize, name: "the state of streams")
        commits = LMDBGroupCommit(environment)
    }

    public func load(_ stream: String, _ keys: [[UInt8]]) async throws(AerieError) -> [[UInt8]?] {
        try environment.read { transaction throws(AerieError) in
            let view = LMDBEntries(transaction, environment)
            let prefix = Self.name(Kind.entity, stream)
            return try keys.map { key throws(AerieError) in
                try view.find(Self.entity(prefix, key)).map { Array($0.dropFirst(8)) }
            }
        }
    }

    public func commit(_ stream: String, _ change: StreamChange) async throws(AerieError) {
        _ = try await commits.run { transaction, environment throws(AerieError) in
            let entries = LMDBEntries(transaction, environment)
            let name = Self.name(Kind.stream, stream)
            if try entries.find(name) == nil { try entries.put(name, Array(stream.utf8)) }
            let prefix = Self.name(Kind.entity, stream)
            var value: [UInt8] = []
            for state in change.states {
                value.removeAll(keepingCapacity: true)
                withUnsafeBytes(of: state.latest.littleEndian) { value.append(contentsOf: $0) }
                value.append(contentsOf: state.bytes)
                try entries.put(Self.entity(prefix, state.key), value)
            }
            for (partition, next) in change.positions {
                try entries.put(Self.name(Kind.position, stream) + Array(partition.utf8), Self.little(next))
            }
            if let seam = change.seam {
                try entries.put(Self.name(Kind.seam, stream), seam.numbers.flatMap(Self.little))
            }
            try Self.journal(stream, change, entries)
            try Self.setAside(stream, change.deadLetters, entries)
            return change.states.count
        }
    }

    public func positions(_ stream: String) async throws(AerieError) -> [String: Int64] {
        try environment.read { transaction throws(AerieError) in
            var positions: [String: Int64] = [:]
            let prefix = Self.name(Kind.position, stream)
            try LMDBEntries(transaction, environment).scan(prefix) { key, value in
                positions[String(decoding: key.dropFirst(prefix.count), as: UTF8.self)] = Self.number(value)
                return true
            }
            return positions
        }
    }

    public func seam(_ stream: String) async throws(AerieError) -> StreamSeam {
        try environment.read { transaction throws(AerieError) in
            guard let value = try LMDBEntries(transaction, environment).find(Self.name(Kind.seam, stream)) else {
                return StreamSeam()
            }
            return StreamSeam(
                numbers: stride(from: 0, to: value.count - 7, by: 8).map { Self.number(.init(rebasing: value[$0...])) })
        }
    }

    public func unpublished(
        _ stream: String
    ) async throws(AerieError) -> (states: [StoredState], step: Int64) {
        try environment.read { transaction throws(AerieError) in
            let entries = LMDBEntries(transaction, environment)
            let prefix = Self.name(Kind.step, stream)
            var keys: Set<[UInt8]> = []
            var step: Int64 = 0
            try entries.scan(prefix) { key, value in
                step = max(step, Int64(truncatingIfNeeded: Self.big(key.dropFirst(prefix.count))))
                keys.formUnion(Self.keys(value))
                return true
            }
            var states: [StoredState] = []
            let entities = Self.name(Kind.entity, stream)
            for key in keys {
                guard let value = try entries.find(Self.entity(entities, key)) else { continue }
                states.append(StoredState(key: key, latest: Self.number(value), bytes: Array(value.dropFirst(8))))
            }
            return (states, step)
        }
    }

    public func deadLetters(_ stream: String, limit: Int) async throws(AerieError) -> [DeadLetter] {
        try environment.read { transaction throws(AerieError) in
            var letters: [DeadLetter] = []
            var problem: AerieError?
            try LMDBEntries(transaction, environment).scan(Self.name(Kind.deadLetter, stream)) { _, value in
                do throws(AerieError) { letters.append(try DeadLetterCoding.decode(value)) } catch { problem = error }
                if letters.count > 2 * max(limit, 0) { letters.removeFirst(letters.count - max(limit, 0)) }
                return problem == nil
            }
            if let problem { throw problem }
            return letters.suffix(max(limit, 0)).reversed()
        }
    }

    public func sweep(_ stream: String, before time: Int64) async throws(AerieError) -> Int {
        let prefix = Self.name(Kind.entity, stream)
        let place = Mutex<[UInt8]?>(prefix)
        var removed = 0
        // In steps, so that commits come in between.
        while place.withLock({ $0 != nil }) {
            removed += try await commits.run { transaction, environment throws(AerieError) in
                let start = place.withLock { $0 } ?? prefix
                let step = try LMDBEntries(transaction, environment).remove(prefix, from: start, limit: 10_000) {
                    Self.number($0) < time
                }
                place.withLock { $0 = step.next }
                return step.removed
            }
        }
        return removed
    }

    public func drop(_ stream: String) async throws(AerieError) {
        for kind in [Kind.entity, Kind.step, Kind.deadLetter, Kind.position, Kind.seam, Kind.stream] {
            let prefix = Self.name(kind, stream)
            let isDone = Mutex(false)
            while !isDone.withLock({ $0 }) {
                _ = try await commits.run { transaction, environment throws(AerieError) in
                    let step = try LMDBEntries(transaction, environment).remove(prefix, from: prefix, limit: 10_000) {
                        _ in true
                    }
                    isDone.withLock { $0 = step.next == nil }
                    return step.removed
                }
            }
        }
    }

    public func streams() async throws(AerieError) -> [String] {
        try environment.read { transaction throws(AerieError) in
            var names: [String] = []
            try LMDBEntries(transaction, environment).scan([Kind.stream]) { _, value in
                names.append(String(decoding: value, as: UTF8.self))
                return true
            }
            return names.sorted()
        }
    }

    // MARK: Inside a commit

    private static func journal(
        _ stream: String, _ change: StreamChange, _ entries: LMDBEntries
    ) throws(AerieError) {
        let prefix = name(Kind.step, stream)
        _ = try entries.remove(prefix, from: prefix, limit: .max, stopsAtFirstKept: true) { key, _ in
            Int64(truncatingIfNeeded: big(key.dropFirst(prefix.count))) <= change.published
        }
        guard !change.states.isEmpty else { return }
        var keys: [UInt8] = []
        for state in change.states {
            withUnsafeBytes(of: UInt32(state.key.count).littleEndian) { keys.append(contentsOf: $0) }
            keys += state.key
        }
        try entries.put(prefix + big(UInt64(bitPattern: change.step)), keys)
    }

    private static func setAside(
        _ stream: String, _ letters: [DeadLetter], _ entries: LMDBEntries
    ) throws(AerieError) {
        if letters.isEmpty { return }
        let prefix = name(Kind.deadLetter, stream)
        var last: UInt64 = 0
        try entries.scan(prefix) { key, _ in
            last = big(key.dropFirst(prefix.count))
            return true
        }
        for letter in letters {
            last += 1
            try entries.put(prefix + big(last), DeadLetterCoding.encode(letter))
        }
        guard last > deadLetterLimit else { return }
        _ = try entries.remove(prefix, from: prefix, limit: .max, stopsAtFirstKept: true) { key, _ in
            big(key.dropFirst(prefix.count)) <= last - deadLetterLimit
        }
    }

    // MARK: Names and numbers

    private static func name(_ kind: UInt8, _ stream: String) -> [UInt8] {
        [kind] + SHA256.hash(data: Array(stream.utf8)).prefix(8)
    }

    /// - Parameter prefix: the name of the stream's entities.
    private static func entity(_ prefix: [UInt8], _ key: [UInt8]) -> [UInt8] {
        prefix.count + key.count <= keyLimit ? prefix + key : prefix + [0xff] + Array(SHA256.hash(data: key))
    }

    private static func little(_ number: Int64) -> [UInt8] { withUnsafeBytes(of: number.littleEndian) { Array($0) } }
    private static func big(_ number: UInt64) -> [UInt8] { withUnsafeBytes(of: number.bigEndian) { Array($0) } }
    private static func big(_ bytes: some Sequence<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

    private static func number(_ bytes: UnsafeRawBufferPointer) -> Int64 {
        bytes.count < 8 ? 0 : Int64(littleEndian: bytes.loadUnaligned(as: Int64.self))
    }

    private static func keys(_ bytes: UnsafeRawBufferPointer) -> [[UInt8]] {
        var keys: [[UInt8]] = []
        var at = 0
        while bytes.count - at >= 4 {
            let length = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
            at += 4
            guard length <= bytes.count - at else { break }
            keys.append(Array(bytes[at..<(at + length)]))
            at += length
        }
        return keys
    }
}
