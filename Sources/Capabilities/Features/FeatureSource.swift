public import AerieCore
public import Datasets
import Streaming

/// What a view's source turned out to be when it was looked at: where its rows are, and of which types.
public struct FeatureSource: Sendable {
    /// What stands after `FROM`.
    public var relation: String
    /// The column that says when a row was true.
    public var timestamp: String
    /// By name, as the engine calls them; empty if nobody has looked.
    public var types: [String: String]
    /// SQL that grows from row to row in the order of the source, as Parquet knows the places of its rows; `nil` if
    /// they have to be counted, which keeps the reading to one thread.
    public var position: String?

    public init(relation: String, timestamp: String, types: [String: String] = [:], position: String? = nil) {
        self.relation = relation
        self.timestamp = timestamp
        self.types = types
        self.position = position
    }

    /// The row's time in microseconds since 1970.
    var microseconds: String { sqlMicroseconds(sqlIdentifier(timestamp), type: types[timestamp]) }

    /// A condition that the column alone can meet, so that parts of files without such rows are not read: a time from
    /// `first` to `last`. `nil` for types that hold less than microseconds, or text.
    func isBetween(_ first: Int64?, _ last: Int64?) -> String? {
        let types = [
            "TIMESTAMP": "TIMESTAMP", "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ", "TIMESTAMP_NS": "TIMESTAMP_NS",
        ]
        guard let type = types[self.types[timestamp] ?? ""] else { return nil }
        func literal(_ micros: Int64) -> String? {
            // Four digits of a year, and what fits into nanoseconds.
            guard micros > -9_000_000_000_000_000, micros < 9_000_000_000_000_000 else { return nil }
            return "\(type) \(sqlString(FeatureTime.text(micros)))"
        }
        let column = sqlIdentifier(timestamp)
        let bounds = [
            first.flatMap(literal).map { "\(column) >= \($0)" },
            // A nanosecond column may be past the microsecond and still round down to it.
            last.flatMap { literal($0 + 1) }.map { "\(column) < \($0)" },
        ]
        let found = bounds.compactMap(\.self)
        return found.isEmpty ? nil : found.joined(separator: " AND ")
    }
}

extension FeatureViewDefinition {
    /// Looks at the source, after attaching or copying what the engine cannot read by itself. Reads the first rows of
    /// files or their ends, not the whole; a table of PostgreSQL is copied.
    /// - Throws: `invalidArgument` if it cannot be read, has no such column, or has several times and none is named;
    ///   `failedPrecondition` (`source.unconnected`) for a table that is elsewhere.
    public func source(
        _ engine: any SQLEngine, _ access: SourceAccess = .local
    ) async throws(AerieError) -> FeatureSource {
        let (relation, position) = try await SourcePreparation(view: self, engine: engine, access: access).relation()
        let columns: [(name: String, type: String)]
        do { columns = try await engine.columns(of: relation) } catch {
            guard error.code == .invalidArgument else { throw error }
            throw .invalid("spec.source", "the source of view '\(name)' cannot be read: \(error.wordsOnData)")
        }
        let types = Dictionary(columns.map { ($0.name, $0.type) }, uniquingKeysWith: { first, _ in first })
        let needed = windows.map { $0.plan.columns + [$0.stream.eventID].compactMap(\.self) } ?? features.map(\.name)
        for one in needed where types[column(of: one)] == nil {
            throw .invalid(
                "spec.features",
                "the source of view '\(name)' has no column '\(column(of: one))'; there are "
                    + columns.map(\.name).joined(separator: ", "))
        }
        return FeatureSource(
            relation: relation, timestamp: try time(columns), types: types,
            position: types["file_row_number"] == nil && types["file_index"] == nil ? position : nil)
    }

    /// The name in the source of what the view calls otherwise.
    func column(of name: String) -> String { fieldMapping.first { $0.value == name }?.key ?? name }

    private func time(_ columns: [(name: String, type: String)]) throws(AerieError) -> String {
        if let timestampField {
            if columns.contains(where: { $0.name == timestampField }) { return timestampField }
            throw .invalid(
                "spec.source.timestampField",
                "the source of view '\(name)' has no column '\(timestampField)'; there are "
                    + columns.map(\.name).joined(separator: ", "))
        }
        let times = columns.filter { $0.type.hasPrefix("TIMESTAMP") && $0.name != createdTimestampColumn }.map(\.name)
        if times.count == 1 { return times[0] }
        if times.contains("event_timestamp") { return "event_timestamp" }
        throw .invalid(
            "spec.source.timestampField",
            times.isEmpty
                ? "the source of view '\(name)' has no column of type TIMESTAMP"
                : "view '\(name)' must say which of \(times.joined(separator: ", ")) is the event's time")
    }
}

extension AerieError {
    /// What the engine says of data that it cannot take, without its statement, which is not the user's.
    var wordsOnData: String {
        let end = message.firstRange(of: "\n\n")?.lowerBound ?? message.endIndex
        return String(message[..<end]).replacing("\n", with: ": ")
    }
}

/// A column of any type of time, or of ISO text, in microseconds since 1970. The session's time zone must be UTC.
/// - Parameter type: as the engine calls it; `nil` if nobody has looked. With it, no calendar is asked for each row.
func sqlMicroseconds(_ column: String, type: String?) -> String {
    switch type {
    case "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS", "DATE": "epoch_us(\(column))"
    case "TIMESTAMP_NS": "epoch_ns(\(column)) // 1000"
    default: "epoch_us(\(column)::TIMESTAMPTZ)"
    }
}

/// A column of any type of time, or of ISO text, as a moment in UTC of whole microseconds. By way of the type with a
/// zone, as not every type of time can be cast to every other; the session's zone must be UTC.
func sqlInstant(_ column: String) -> String { "\(column)::TIMESTAMPTZ::TIMESTAMP" }
