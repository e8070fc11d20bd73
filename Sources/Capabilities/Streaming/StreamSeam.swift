/// Where what a stream counts is joined to what a batch source has of the time before it.
///
/// An event belongs to the stream if both its time and its arrival are not before the arrival of the stream's first
/// event, and else to the source, which has it however it came. What comes by the stream and belongs to the source is
/// counted apart, and by readers as long as no history was read after it had arrived: so every event counts once,
/// whenever the source is read, and however often.
public struct StreamSeam: Sendable, Hashable {
    /// The arrival of the stream's first event, in microseconds since 1970; `nil` before it.
    public internal(set) var beginning: Int64?
    /// When readings of the source began, ascending, as far as events that belong to it may come after them.
    var readings: [Int64] = []

    /// Readings that events are told apart by. Further ones are possible; what then comes late counts at the next
    /// reading after it.
    private static let limit = 100

    public init() {}

    /// Whether an event counts among those that the stream alone has.
    public func owns(time: Int64, arrival: Int64) -> Bool {
        guard let beginning else { return true }
        return time >= beginning && arrival >= beginning
    }

    /// The last reading before something arrived; `Int64.min` if there was none.
    func reading(before arrival: Int64) -> Int64 { readings.last { $0 <= arrival } ?? .min }

    /// Notes that the source is read from `now` on, which begins a stream that has not begun.
    mutating func read(at now: Int64, lateness: Int64) {
        beginning = beginning ?? now
        guard let beginning, readings.count < Self.limit, now > readings.last ?? .min else { return }
        // Later than that no event comes that is not too late.
        if now - lateness - WindowPlan.futureLimit <= beginning { readings.append(now) }
    }

    /// Begins with a first step's events. Of several parts of a log the one that begins last counts: from then on the
    /// stream has the events of all.
    mutating func begin(with batches: [StreamBatch], now: Int64) {
        guard beginning == nil else { return }
        let limit = now + WindowPlan.futureLimit
        let firsts = batches.compactMap { batch in batch.events.lazy.map(\.arrival).filter { $0 <= limit }.min() }
        beginning = firsts.max()
    }
}

extension StreamSeam {
    /// Numbers that `init(numbers:)` makes the same seam of; none for a stream that has not begun.
    public var numbers: [Int64] { beginning.map { [$0] + readings } ?? [] }

    public init(numbers: [Int64]) {
        beginning = numbers.first
        readings = Array(numbers.dropFirst())
    }
}
