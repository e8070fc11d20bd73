/// What became of an event.
public enum StreamVerdict: String, Sendable, Hashable, CaseIterable {
    case counted
    /// Its identity was there already.
    case duplicate
    /// It arrived later after its time than is allowed.
    case late
    /// Its time is further ahead of its arrival than clocks may differ, or before 1970.
    case implausible
    /// The entity has more events within the allowed lateness than can be told apart.
    case crowded

    /// Among all cases.
    var place: Int {
        switch self {
        case .counted: 0
        case .duplicate: 1
        case .late: 2
        case .implausible: 3
        case .crowded: 4
        }
    }
}

/// All that is kept of one entity: its tiles, the identities of recent events, and events whose time has not come.
///
/// A state machine without I/O: the same events in the same order give the same state. The order does not matter for
/// the answers, apart from events of one time, of which the one that arrived last is the `last`.
public struct EntityWindows: Sendable, Hashable {
    /// Events that came by the stream and belong to its source, between two readings of that.
    struct Early: Sendable, Hashable {
        /// The reading before them; `Int64.min` for none.
        var reading: Int64
        var tiles: EventTiles
    }

    /// The greatest event time.
    public internal(set) var latest = Int64.min
    /// Grows with each event that is counted.
    public internal(set) var version: Int64 = 0
    /// Of the events that belong to the stream.
    var tiles: EventTiles
    /// In the order of readings.
    var early: [Early] = []
    var identities = EventIdentities()

    public init(_ plan: WindowPlan) { tiles = EventTiles(plan) }

    /// Takes an event in. The event's key is not looked at.
    public mutating func apply(
        _ event: StreamEvent, _ plan: WindowPlan, _ seam: StreamSeam = StreamSeam()
    ) -> StreamVerdict {
        let delay = event.arrival - event.time
        if delay > plan.allowedLateness { return .late }
        if delay < -WindowPlan.futureLimit || event.time < 0 { return .implausible }
        if let id = event.id {
            let verdict = identities.insert(id, event.time, plan)
            guard verdict == .counted else { return verdict }
            identities.forget(before: event.arrival - plan.allowedLateness - WindowPlan.futureLimit, plan)
        }
        if seam.owns(time: event.time, arrival: event.arrival) {
            tiles.take(event, plan)
        } else {
            take(event, after: seam.reading(before: event.arrival), plan)
        }
        latest = max(latest, event.time)
        version += 1
        return .counted
    }

    /// Knows an event that was counted elsewhere, so that a copy of it is not.
    /// - Returns: whether that changed anything.
    mutating func know(_ event: StreamEvent, _ plan: WindowPlan) -> Bool {
        guard let id = event.id, identities.insert(id, event.time, plan) == .counted else { return false }
        latest = max(latest, event.time)
        return true
    }

    private mutating func take(_ event: StreamEvent, after reading: Int64, _ plan: WindowPlan) {
        var place = early.count
        while place > 0, early[place - 1].reading > reading { place -= 1 }
        if place > 0, early[place - 1].reading == reading {
            place -= 1
        } else {
            early.insert(Early(reading: reading, tiles: EventTiles(plan)), at: place)
        }
        early[place].tiles.take(event, plan)
    }

    /// Lets go of the early events that no window can need any more. To be called once before a state is kept, and not
    /// at each event: what is left lying until then is counted by no window.
    mutating func forgetEarly(_ plan: WindowPlan) {
        guard !early.isEmpty else { return }
        for place in early.indices { early[place].tiles.forget(at: latest, plan) }
        early.removeAll(where: \.tiles.isEmpty)
    }

    /// The aggregates at an instant, which must not be before the arrival of an event that was taken in by more than
    /// `WindowPlan.futureLimit`.
    /// - Parameter history: what the batch source has; it holds what came by the stream, belongs to the source and had
    ///   arrived when that was read.
    /// - Returns: one value for each aggregation.
    public func values(at time: Int64, _ plan: WindowPlan, history: WindowHistory? = nil) -> [StreamValue] {
        var parts = [tiles]
        for one in early where one.reading >= history?.reading ?? .min { parts.append(one.tiles) }
        if let history { parts.append(history.tiles) }
        return EventTiles.values(of: parts, at: time, plan)
    }
}
