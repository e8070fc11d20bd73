public import AerieCore

/// Keeps records in the order in which they came, as many as a bound allows: statistics, rows in quarantine, reads that
/// were sampled.
///
/// Contract: a record is one line of text without line breaks. What `append` has acknowledged survives a crash of the
/// process; records of one call stay together and in order. When a log has grown past its bound its oldest records go,
/// never the newest half. Logs are made by the first record; their names are like paths. Any task.
public protocol FeatureLog: Sendable {
    func append(_ log: String, _ records: [[UInt8]]) async throws(AerieError)
    /// The last records, the oldest of them first; none for a log that is not there.
    func read(_ log: String, last limit: Int) async throws(AerieError) -> [[UInt8]]
    /// Names that begin with a prefix, in order.
    func names(_ prefix: String) async throws(AerieError) -> [String]
    /// Forgets a log.
    func remove(_ log: String) async throws(AerieError)
    /// Bytes of all logs.
    func size() async throws(AerieError) -> Int64
}
