import AerieCore
import AerieJSON
import AerieResources
import Streaming

/// The log of one view without windows: each message is a whole row, with null for a member that it leaves out. It is
/// written online as a push of it would be, and kept for reading offline, so that both say the same.
///
/// Rows are written and kept before it is noted how far the log is, so that after a crash some are there twice, which
/// changes nothing: of an entity the newest time counts, and of equal rows offline any.
actor RowStream: StreamIntake {
    typealias Columns = [(name: String, values: [JSONValue])]

    let stream: String
    private let names: [String]
    /// Places in `names` of the features.
    private let features: Range<Int>
    private let states: any StreamStateStore
    private let clock: any WallClock
    private let write: @Sendable (Columns) async throws(AerieError) -> [Int]?
    private let keep: (@Sendable (Columns) async throws(AerieError) -> Void)?
    private let definition: FeatureViewDefinition
    private let turn = Turn()

    private struct Row {
        var message: EventMessage
        var values: [JSONValue]
    }

    private var known: [String: Int64]?
    private var step: Int64 = 0
    private(set) var totals = StreamTotals()

    init(
        _ view: FeatureCatalog.View, stream: String, states: any StreamStateStore, clock: any WallClock,
        writer: RowWriter
    ) {
        self.stream = stream
        self.states = states
        self.clock = clock
        write = writer.write
        keep = writer.keep
        definition = view.definition
        features = view.joinKeys.count..<(view.joinKeys.count + definition.features.count)
        names =
            view.joinKeys.map(\.name) + definition.features.map(\.name)
            + [definition.timestampField ?? "event_timestamp"] + [definition.createdTimestampColumn].compactMap(\.self)
    }

    /// Where the next message of each partition is; what lies before it has been written.
    func positions() async throws(AerieError) -> [String: Int64] {
        if let known { return known }
        let (found, last) = (try await states.positions(stream), try await states.unpublished(stream).step)
        step = max(step, last)
        let merged = found.merging(known ?? [:]) { max($0, $1) }
        known = merged
        return merged
    }

    func take(_ messages: [EventMessage]) async throws(AerieError) {
        guard let first = messages.first, let last = messages.last else { return }
        await turn.enter()
        let result = await attempt(messages, first.partition, next: last.offset + 1)
        await turn.leave()
        try result.get()
    }

    private func attempt(
        _ messages: [EventMessage], _ partition: String, next: Int64
    ) async -> Result<Void, AerieError> {
        do throws(AerieError) {
            var places = try await positions()
            let start = places[partition] ?? 0
            var result = StreamTotals()
            var change = StreamChange()
            var rows: [Row] = []
            for message in messages where message.offset >= start {
                do throws(AerieError) {
                    rows.append(try row(message))
                } catch { change.deadLetters.append(message.deadLetter(error, at: now)) }
            }
            var kept: [Row] = []
            let refused = try await put(rows[...], passed: &kept)
            change.deadLetters += refused
            result.verdicts[.counted, default: 0] += rows.count - refused.count
            if let keep, !kept.isEmpty { try await keep(columns(kept[...])) }
            change.positions[partition] = max(next, start)
            step += 1
            (change.step, change.published) = (step, step)
            try await states.commit(stream, change)
            places[partition] = max(next, start)
            known = places
            result.deadLetters = change.deadLetters.count
            result.commits = 1
            result.latestArrival = messages.compactMap(\.arrival).max() ?? now
            totals.add(result)
            return .success(())
        } catch { return .failure(error) }
    }

    private var now: Int64 { clock.now().milliseconds * 1000 }

    /// - Throws: `invalidArgument` for what is no object, or has none of the features.
    private func row(_ message: EventMessage) throws(AerieError) -> Row {
        let object = try message.object()
        // A source may call them otherwise.
        let found = names.map { object[$0] ?? object[definition.column(of: $0)] }
        guard found[features].contains(where: { $0 != nil }) else {
            throw .invalid("message", "has none of the features of view '\(definition.name)'")
        }
        return Row(message: message, values: found.map { $0 ?? .null })
    }

    /// Writes the rows; where they are refused, each half by itself, until those are found that are wrong.
    private func put(_ rows: ArraySlice<Row>, passed: inout [Row]) async throws(AerieError) -> [DeadLetter] {
        guard let first = rows.first else { return [] }
        do throws(AerieError) {
            let places = try await write(columns(rows))
            passed += places.map { $0.map { rows[rows.startIndex + $0] } } ?? Array(rows)
            return []
        } catch {
            guard error.code == .invalidArgument || error.code == .failedPrecondition else { throw error }
            if rows.count == 1 { return [first.message.deadLetter(error, at: now)] }
            let middle = rows.startIndex + rows.count / 2
            let earlier = try await put(rows[..<middle], passed: &passed)
            return earlier + (try await put(rows[middle...], passed: &passed))
        }
    }

    private func columns(_ rows: ArraySlice<Row>) -> Columns {
        names.enumerated().map { place, name in (name, rows.map { $0.values[place] }) }
    }
}

/// Where the rows of a stream go.
struct RowWriter: Sendable {
    /// Takes all of the rows, or throws `invalidArgument` or `failedPrecondition` and takes none.
    /// Returns the places of those that were not set aside; `nil` for all.
    var write: @Sendable (RowStream.Columns) async throws(AerieError) -> [Int]?
    /// Keeps rows that were written for reading offline; `nil` where they are not to be kept.
    var keep: (@Sendable (RowStream.Columns) async throws(AerieError) -> Void)?
}

extension FeatureCatalog.View {
    /// The name of the view's stream in the store of states; `nil` for a view that has none.
    var streamName: String? {
        if let windows = online.windows { return windows.stream }
        guard definition.stream != nil else { return nil }
        // Rows by other keys are others: what was read of the log was not read of them.
        let identity = ([uid] + joinKeys.map(\.description)).joined(separator: "\u{1}")
        return "\(key.namespace)/\(definition.name)#rows-" + String(StableHash.of(identity.utf8), radix: 16)
    }

    /// What says where the view's events or rows come from.
    var streamSource: StreamSource? { definition.windows?.stream ?? definition.stream }
}
