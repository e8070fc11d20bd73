/// Tiles of some events of one entity, and those of the events whose time has not come.
struct EventTiles: Sendable, Hashable {
    /// By the plan's resolutions.
    var rings: [TileRing]
    var ahead: [StreamEvent] = []

    init(_ plan: WindowPlan) { rings = Array(repeating: TileRing(), count: plan.resolutions.count) }

    var isEmpty: Bool { ahead.isEmpty && rings.allSatisfy(\.numbers.isEmpty) }

    mutating func take(_ event: StreamEvent, _ plan: WindowPlan) {
        if !ahead.isEmpty { settle(at: event.arrival, plan) }
        if event.time > event.arrival { ahead.append(event) } else { add(event, plan) }
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

    /// Lets go of what no window can need at `time`.
    mutating func forget(at time: Int64, _ plan: WindowPlan) {
        for (place, resolution) in plan.resolutions.enumerated() {
            rings[place].forget(before: Self.oldest(at: time, resolution), resolution)
        }
    }

    /// Counts events whose time has come.
    mutating func settle(at time: Int64, _ plan: WindowPlan) {
        guard ahead.contains(where: { $0.time <= time }) else { return }
        let due = ahead.filter { $0.time <= time }
        ahead.removeAll { $0.time <= time }
        for event in due { add(event, plan) }
    }

    /// As they are at an instant.
    func settled(at time: Int64, _ plan: WindowPlan) -> EventTiles {
        var settled = self
        settled.settle(at: time, plan)
        return settled
    }

    /// The aggregates at an instant over tiles that hold different events.
    static func values(of parts: [EventTiles], at time: Int64, _ plan: WindowPlan) -> [StreamValue] {
        let settled = parts.map { $0.ahead.isEmpty ? $0 : $0.settled(at: time, plan) }
        return plan.outputs.map { output in
            let resolution = plan.resolutions[output.resolution]
            let current = time / resolution.slide
            return TileReader(
                settled.map { $0.rings[output.resolution] }, current - output.tiles + 1, current, resolution
            ).value(output.reading)
        }
    }
}
