public import AerieCore

/// The state of an entity as it is kept.
public struct StoredState: Sendable, Hashable {
    public var key: [UInt8]
    /// The greatest event time, by which `sweep` finds what nobody needs any more.
    public var latest: Int64
    public var bytes: [UInt8]

    public init(key: [UInt8], latest: Int64, bytes: [UInt8]) {
        self.key = key
        self.latest = latest
        self.bytes = bytes
    }
}

/// The state of an entity as its readers get it, without what only the writer needs.
public struct PublishedState: Sendable, Hashable {
    public var key: [UInt8]
    public var latest: Int64
    /// Grows with each state of an entity.
    public var version: Int64
    public var bytes: [UInt8]
}

/// A message that could not be taken in, set aside with the reason.
public struct DeadLetter: Sendable, Hashable {
    /// When it was set aside, in microseconds since 1970.
    public var time: Int64
    public var reason: String
    /// Where it came from, such as `transactions[3]@1041`.
    public var origin: String
    public var content: [UInt8]

    public init(time: Int64, reason: String, origin: String, content: [UInt8]) {
        self.time = time
        self.reason = reason
        self.origin = origin
        self.content = content
    }
}

/// What a step of a stream changes, all of it or nothing.
public struct StreamChange: Sendable {
    public var states: [StoredState] = []
    /// For each partition that came further, where its next message is.
    public var positions: [String: Int64] = [:]
    public var deadLetters: [DeadLetter] = []
    /// The seam, if it has changed.
    public var seam: StreamSeam?
    /// The number of the step.
    public var step: Int64 = 0
    /// Steps up to and including this one have been published.
    public var published: Int64 = 0

    public init() {}
    public var isEmpty: Bool {
        states.isEmpty && positions.isEmpty && deadLetters.isEmpty && seam == nil
    }
}

/// Keeps the state of streams together with how far each has been read, so that an event counts exactly once whenever
/// the process ends.
///
/// Contract: `commit` makes everything of a change lasting, or nothing, and returns when it is; a later `load`,
/// `positions` or `seam` sees it, also in another process after a crash. Each stream has one writer at a time; streams
/// do not touch each other. Safe to call from any task.
public protocol StreamStateStore: Sendable {
    /// - Returns: for each key its state's bytes; `nil` if there is none.
    func load(_ stream: String, _ keys: [[UInt8]]) async throws(AerieError) -> [[UInt8]?]
    func commit(_ stream: String, _ change: StreamChange) async throws(AerieError)
    func positions(_ stream: String) async throws(AerieError) -> [String: Int64]
    func seam(_ stream: String) async throws(AerieError) -> StreamSeam
    /// The states of every step that was committed and is not said to be published, and the last step's number (0 for
    /// none).
    func unpublished(_ stream: String) async throws(AerieError) -> (states: [StoredState], step: Int64)
    /// The newest first; at most 10,000 are kept of a stream, and older ones go.
    func deadLetters(_ stream: String, limit: Int) async throws(AerieError) -> [DeadLetter]
    /// Removes states whose `latest` is before a moment.
    /// - Returns: how many went.
    func sweep(_ stream: String, before time: Int64) async throws(AerieError) -> Int
    /// Removes everything of a stream.
    func drop(_ stream: String) async throws(AerieError)
    /// The streams of which anything is kept.
    func streams() async throws(AerieError) -> [String]
}
