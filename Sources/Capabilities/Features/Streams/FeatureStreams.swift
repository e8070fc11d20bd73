public import AerieCore
import AerieJSON
public import Streaming
import Synchronization

/// The streams of all views that have windows: one processor each, made when it is first needed.
///
/// Safe to call from any task.
public final class FeatureStreams: Sendable {
    private struct Open {
        var processor: StreamProcessor
        var view: FeatureCatalog.View
    }

    let states: any StreamStateStore
    let online: any OnlineStore
    private let clock: any WallClock
    private let open = Mutex<[String: Open]>([:])
    private let rows = Mutex<[String: RowStream]>([:])

    init(states: any StreamStateStore, online: any OnlineStore, clock: any WallClock) {
        self.states = states
        self.online = online
        self.clock = clock
    }

    /// The processor of a view.
    /// - Throws: `invalidArgument` for a view without windows.
    public func processor(_ view: FeatureCatalog.View) throws(AerieError) -> StreamProcessor {
        guard let windows = view.online.windows else {
            throw .invalid("", "feature view '\(view.definition.name)' has no aggregations, so it has no stream")
        }
        return open.withLock { open in
            if let known = open[windows.stream] { return known.processor }
            let (online, row) = (online, windows.row)
            let processor = StreamProcessor(
                stream: windows.stream, plan: windows.plan, store: states, clock: clock
            ) { states throws(AerieError) in
                var rows: [OnlineRow] = []
                rows.reserveCapacity(states.count)
                for state in states {
                    rows.append(
                        OnlineRow(
                            key: state.key, time: state.latest, created: state.version, values: [.bytes(state.bytes)]))
                }
                if !rows.isEmpty { _ = try await online.write(row, rows) }
            }
            open[windows.stream] = Open(processor: processor, view: view)
            return processor
        }
    }

    /// What takes in the messages of a view's log.
    /// - Parameter writer: takes rows of a view without windows.
    /// - Throws: `invalidArgument` for a view that has no stream.
    func intake(_ view: FeatureCatalog.View, writer: RowWriter) throws(AerieError) -> any StreamIntake {
        if let windows = view.definition.windows {
            return EventIntake(view, windows, processor: try processor(view), clock: clock)
        }
        guard let name = view.streamName else {
            throw .invalid("", "feature view '\(view.definition.name)' has no stream")
        }
        let made = RowStream(view, stream: name, states: states, clock: clock, writer: writer)
        rows.withLock { $0[name] = made }
        return made
    }

    /// What was counted of a view's stream since the start, and how far it is.
    func progress(
        _ view: FeatureCatalog.View
    ) async throws(AerieError) -> (totals: StreamTotals, positions: [String: Int64]) {
        if view.online.windows == nil, let name = view.streamName {
            guard let stream = rows.withLock({ $0[name] }) else { return (.init(), try await states.positions(name)) }
            return (await stream.totals, try await stream.positions())
        }
        let processor = try processor(view)
        return (await processor.totals, try await processor.positions())
    }

    /// Every processor that was needed so far, with its view as it was then.
    public var processors: [(view: FeatureCatalog.View, processor: StreamProcessor)] {
        open.withLock { $0.values.map { ($0.view, $0.processor) } }
    }

    /// Takes rows in; all of them, or after an error none.
    /// - Returns: how many were counted.
    func push(
        _ columns: [(name: String, values: [JSONValue])], to view: FeatureCatalog.View
    ) async throws(AerieError) -> Int {
        let processor = try processor(view)
        let totals = try await processor.ingest(StreamBatch(events: try events(columns, of: view)))
        return totals.verdicts[.counted] ?? 0
    }

    func events(
        _ columns: [(name: String, values: [JSONValue])], of view: FeatureCatalog.View
    ) throws(AerieError) -> [StreamEvent] {
        guard let windows = view.definition.windows else { return [] }
        let reader = StreamEventReader(view, windows)
        let count = columns.first?.values.count ?? 0
        for column in columns where column.values.count != count {
            throw .invalid("df.\(column.name)", "has \(column.values.count) values, the first column has \(count)")
        }
        let places = Dictionary(columns.enumerated().map { ($1.name, $0) }) { first, _ in first }
        let now = clock.now().milliseconds * 1000
        var events: [StreamEvent] = []
        events.reserveCapacity(count)
        for row in 0..<count {
            events.append(
                try reader.event(arrival: now) { name in
                    places[name].map { columns[$0].values[row] }
                } place: {
                    "df.\($0)[\(row)]"
                })
        }
        return events
    }

    /// Drops what is kept of streams that no view has any more.
    /// - Parameters:
    ///   - views: all there are, of every namespace.
    ///   - unreadable: `namespace/name` of views that are there and cannot be read, of which everything stays.
    func clean(_ views: [FeatureCatalog.View], unreadable: Set<String>) async throws(AerieError) {
        let living = Set(views.compactMap(\.streamName))
        for stream in try await states.streams() where !living.contains(stream) {
            if let end = stream.lastIndex(of: "#"), unreadable.contains(String(stream[..<end])) { continue }
            try await drop(stream)
        }
    }

    func drop(_ stream: String) async throws(AerieError) {
        open.withLock { $0[stream] = nil }
        rows.withLock { $0[stream] = nil }
        for row in OnlineWindows.rows(of: stream) { _ = try await online.drop(row) }
        try await states.drop(stream)
    }

    /// Publishes what is still owed.
    func catchUp() async throws(AerieError) {
        for entry in processors { try await entry.processor.catchUp() }
    }

    /// Forgets entities that no window can need any more, here and online. Looks at every entity.
    func sweep() async throws(AerieError) {
        for entry in processors {
            guard let windows = entry.view.online.windows else { continue }
            let limit = clock.now().milliseconds * 1000 - windows.plan.retention - WindowPlan.futureLimit
            if try await entry.processor.sweep() > 0 { _ = try await online.sweep(windows.row, before: limit) }
        }
    }
}
