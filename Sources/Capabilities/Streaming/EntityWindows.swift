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
    /// The greatest event time.
    public internal(set) var latest = Int64.min
    /// Grows with each event that is counted.
    public internal(set) var version: Int64 = 0
    var rings: [TileRing]
    var identities = EventIdentities()
    var ahead: [StreamEvent] = []

    public init(_ plan: WindowPlan) { rings = Array(repeating: TileRing(), count: plan.resolutions.count) }

    /// Takes an event in. The event's key is not looked at.
    public mutating func apply(_ event: StreamEvent, _ plan: WindowPlan) -> StreamVerdict {
        let delay = event.arrival - event.time
        if delay > plan.allowedLateness { return .late }
        if delay < -WindowPlan.futureLimit || event.time < 0 { return .implausible }
        if let id = event.id {
            let verdict = identities.insert(id, event.time, plan)
            guard verdict == .counted else { return verdict }
            identities.forget(before: event.arrival - plan.allowedLateness - WindowPlan.futureLimit, plan)
        }
        if !ahead.isEmpty { settle(at: event.arrival, plan) }
        if event.time > event.arrival { ahead.append(event) } else { add(event, plan) }
        latest = max(latest, event.time)
        version += 1
        return .counted
    }

    private mutating func add(_ event: StreamEvent, _ plan: WindowPlan) {
        for place in plan.resolutions.indices {
            let resolution = plan.resolutions[place]
            let oldest = Self.oldest(at: max(event.arrival, event.time), resolution)
            rings[place].forget(before: oldest, resolution)
            if event.time / resolution.slide >= oldest { rings[place].add(event, resolution) }
        }
    }

    /// The first tile that a window can still need, when one of its clocks says `time` and another may be behind.
    private static func oldest(at time: Int64, _ resolution: WindowPlan.Resolution) -> Int64 {
        (time - WindowPlan.futureLimit) / resolution.slide - resolution.span
    }

    /// Counts events whose time has come.
    private mutating func settle(at time: Int64, _ plan: WindowPlan) {
        guard ahead.contains(where: { $0.time <= time }) else { return }
        let due = ahead.filter { $0.time <= time }
        ahead.removeAll { $0.time <= time }
        for event in due { add(event, plan) }
    }

    /// The aggregates at an instant, which must not be before the arrival of an event that was taken in by more than
    /// `WindowPlan.futureLimit`.
    /// - Returns: one value for each aggregation.
    public func values(at time: Int64, _ plan: WindowPlan) -> [StreamValue] {
        if ahead.contains(where: { $0.time <= time }) {
            var settled = self
            settled.settle(at: time, plan)
            return settled.values(at: time, plan)
        }
        return plan.outputs.map { output in
            let resolution = plan.resolutions[output.resolution]
            let current = time / resolution.slide
            return rings[output.resolution].value(output.reading, current - output.tiles + 1, current, resolution)
        }
    }
}
