/// One parser under test: what its inputs look like, and how it is called.
public struct Fuzzer: Sendable {
    /// What the mutator may know of an input's structure besides its bytes.
    public enum Shape: Sendable { case bytes, json, protobuf, lines }

    /// Parses one input. The bytes end where memory ends: reading one more is a crash.
    ///
    /// Returns what came of it in a few words ("ok", an error's message). Inputs whose outcome is a new one, its numbers
    /// and quoted texts aside, are kept and mutated further.
    /// - Throws: `FuzzFinding` if the parser did what it must not.
    public typealias Case = (UnsafeRawBufferPointer) throws -> String

    public let name: String
    /// One line for the list.
    public let about: String
    public let shape: Shape
    /// Whole and correct inputs.
    public let seeds: [[UInt8]]
    /// Words of the format, put in where they do not belong.
    public let dictionary: [[UInt8]]
    /// Inputs are not made longer than this.
    public let maximumBytes: Int
    /// Fails deliberately, and is run to see that it is noticed.
    public let canary: FuzzFailure.Kind?
    /// Makes what the cases share, in the process that runs them.
    public let prepare: @Sendable () throws -> Case

    public init(
        _ name: String, _ about: String, shape: Shape = .bytes, seeds: [[UInt8]], dictionary: [String] = [],
        maximumBytes: Int = 32 << 10, canary: FuzzFailure.Kind? = nil, prepare: @escaping @Sendable () throws -> Case
    ) {
        precondition(!seeds.isEmpty, "the fuzzer \(name) needs an input to begin with")
        self.name = name
        self.about = about
        self.shape = shape
        self.seeds = seeds
        self.dictionary = dictionary.map { Array($0.utf8) }
        self.maximumBytes = maximumBytes
        self.canary = canary
        self.prepare = prepare
    }
}

/// What a parser did and must not: an answer that is none, two readings of one input, an error without a cause.
public struct FuzzFinding: Error, CustomStringConvertible {
    public var description: String
    public init(_ description: String) { self.description = description }
}

/// Why a fuzzer has failed.
public struct FuzzFailure: Sendable {
    public enum Kind: String, Sendable {
        /// The process ended by a signal: a trap, memory that is not there, more memory than allowed.
        case crash
        /// A `FuzzFinding`.
        case finding
        /// One input took longer than the limit.
        case hang
        /// The same inputs again and again take more and more memory.
        case leak
    }

    public var kind: Kind
    /// The signal, the finding's words, the bytes that were not given back.
    public var problem: String
    /// What it failed at; empty for a leak.
    public var input: [UInt8]
}
