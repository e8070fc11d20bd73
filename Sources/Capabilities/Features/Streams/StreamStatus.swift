import AerieCore
public import AerieJSON
public import Streaming

/// How a view's stream does.
public struct StreamStatus: Sendable {
    public var namespace: String
    public var view: String
    /// The topic that is read; `nil` for a stream that is pushed only.
    public var topic: String?
    public var totals: StreamTotals
    /// Where the next message of each partition is.
    public var positions: [String: Int64]
    /// Messages behind the log's end, as far as it is known.
    public var lag: Int64
    /// What keeps the stream from going on; `nil` if nothing does.
    public var problem: String?
}

extension StreamStatus {
    /// As it stands in a view's status and in answers.
    public var json: JSONValue {
        var object: JSONObject = [
            "events": .object(
                JSONObject(StreamVerdict.allCases.map { ($0.rawValue, .int(Int64(totals.verdicts[$0] ?? 0))) })),
            "deadLetters": .int(Int64(totals.deadLetters)), "publishFailures": .int(Int64(totals.publishFailures)),
            "lag": .int(lag),
        ]
        if let topic { object["topic"] = .string(topic) }
        if totals.latestEvent > 0 { object["latestEvent"] = .string(FeatureTime.text(totals.latestEvent)) }
        if !positions.isEmpty {
            object["positions"] = .object(
                JSONObject(positions.sorted { $0.key < $1.key }.map { ($0.key, .int($0.value)) }))
        }
        if let problem { object["problem"] = .string(problem) }
        return .object(object)
    }
}
