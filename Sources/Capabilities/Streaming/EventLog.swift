public import AerieCore

/// A message of a log.
public struct EventMessage: Sendable {
    public var partition: String
    public var offset: Int64
    /// When it came to the log, in microseconds since 1970; `nil` if the log does not say.
    public var arrival: Int64?
    public var content: [UInt8]

    public init(partition: String, offset: Int64, arrival: Int64?, content: [UInt8]) {
        self.partition = partition
        self.offset = offset
        self.arrival = arrival
        self.content = content
    }
}

/// Which log is read, by whom, and from where.
public struct EventSubscription: Sendable {
    /// `host:port`, comma-separated.
    public var brokers: String
    public var topic: String
    public var group: String
    /// Further settings of the log's client.
    public var options: [String: String]
    /// Where a partition's next message is; `nil` for its beginning. Asked when a partition is given to the consumer;
    /// may be behind, if what is read again is passed over.
    public var position: @Sendable (_ partition: String) -> Int64?

    public init(
        brokers: String, topic: String, group: String, options: [String: String],
        position: @escaping @Sendable (_ partition: String) -> Int64?
    ) {
        self.brokers = brokers
        self.topic = topic
        self.group = group
        self.options = options
        self.position = position
    }
}

/// A log of messages in partitions, which the consumers of a group share.
public protocol EventLog: Sendable {
    /// Joins the group. The log need not be there yet.
    /// - Throws: `invalidArgument` for settings that the client does not take; `unavailable` if its library is missing.
    func consume(_ subscription: EventSubscription) throws(AerieError) -> any EventConsumer
}

/// One member of a group.
///
/// Contract: `poll` gives each partition's messages in order and without gaps from the subscription's position on, at
/// least once; after a partition was given to another member and back, again from there. A log that is away is waited
/// for. One task polls and closes; the rest is safe to call from any.
public protocol EventConsumer: Sendable {
    /// Waits up to a second for messages; an empty list means nothing.
    func poll(limit: Int) async throws(AerieError) -> [EventMessage]
    /// Tells those who look at the group how far it has come. May be lost.
    func acknowledge(_ positions: [String: Int64])
    /// How many messages are behind the log's end over the partitions of this member, as far as it is known; and what
    /// was wrong with the log last, if nothing came since.
    func state() -> (lag: Int64, problem: String?)
    /// Leaves the group, within a few seconds also if the log is away.
    func close() async
}
