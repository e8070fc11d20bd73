/// The aggregations of one view, made ready: which columns are read, which tiles are kept, and what each tile holds.
///
/// Aggregations that slide alike share tiles, and what several need of a column is kept once. Immutable.
public struct WindowPlan: Sendable, Hashable {
    /// What a tile keeps as numbers.
    enum Partial: Sendable, Hashable {
        /// Events; those with a value in a column.
        case events
        case count(column: Int)
        case sum(column: Int)
        /// Count, mean and sum of squared distances from the mean, which can be merged without loss of digits (Chan,
        /// Golub, LeVeque 1979).
        case moments(column: Int)
        case minimum(column: Int)
        case maximum(column: Int)

        var width: Int { if case .moments = self { 3 } else { 1 } }
    }

    /// Tiles of one length. Immutable; an object, so that it is handed on without touching its lists.
    final class Resolution: Sendable {
        let slide: Int64
        /// Tiles of the longest window.
        let span: Int64
        let partials: [Partial]
        /// Where each partial begins among a tile's numbers.
        let offsets: [Int]
        /// Numbers of a tile; the first is its index.
        let stride: Int
        /// Columns whose last value, and whose distinct values, are kept.
        let lasts: [Int]
        let sets: [Int]

        fileprivate init(_ draft: Draft) {
            (slide, span, partials) = (draft.slide, draft.span, draft.partials)
            (offsets, stride, lasts, sets) = (draft.offsets, draft.stride, draft.lasts, draft.sets)
        }
    }

    /// A resolution that is being put together.
    fileprivate struct Draft {
        var slide: Int64
        var span: Int64 = 0
        var partials: [Partial] = []
        var offsets: [Int] = []
        var stride = 1
        var lasts: [Int] = []
        var sets: [Int] = []
    }

    /// Where an aggregation finds what it is made of.
    enum Reading: Sendable, Hashable {
        case count(Int)
        case sum(Int)
        case mean(sum: Int, count: Int)
        case deviation(Int)
        case minimum(Int)
        case maximum(Int)
        case last(Int)
        case distinct(Int)
    }

    struct Output: Sendable, Hashable {
        var resolution: Int
        var tiles: Int64
        var reading: Reading
    }

    public let aggregations: [WindowAggregation]
    /// The columns of an event, in the order of its values.
    public let columns: [String]
    /// An event that arrives later than this after its time is left out, in microseconds. Also how long an event's
    /// identity is kept.
    public let allowedLateness: Int64
    let resolutions: [Resolution]
    let outputs: [Output]
    /// The answers where nothing has happened.
    public private(set) var emptyValues: [StreamValue] = []

    /// How far an event's time may be ahead of its arrival: clocks differ. It counts once its time has come.
    public static let futureLimit: Int64 = 600 * 1_000_000

    public init(_ aggregations: [WindowAggregation], allowedLateness: Int64) {
        self.aggregations = aggregations
        self.allowedLateness = allowedLateness
        var columns: [String] = []
        var drafts: [Draft] = []
        var outputs: [Output] = []
        for slide in Set(aggregations.map(\.slide)).sorted() { drafts.append(Draft(slide: slide)) }
        for aggregation in aggregations {
            let place = drafts.firstIndex { $0.slide == aggregation.slide } ?? 0
            var column = -1
            if let name = aggregation.column {
                column = columns.firstIndex(of: name) ?? columns.count
                if column == columns.count { columns.append(name) }
            }
            let tiles = aggregation.window / aggregation.slide
            drafts[place].span = max(drafts[place].span, tiles)
            outputs.append(
                Output(
                    resolution: place, tiles: tiles,
                    reading: drafts[place].reading(aggregation.function, column)))
        }
        self.columns = columns
        resolutions = drafts.map(Resolution.init)
        self.outputs = outputs
        emptyValues = EntityWindows(self).values(at: 0, self)
    }

    /// The longest window, in microseconds.
    public var retention: Int64 { aggregations.map(\.window).max() ?? 0 }

    /// Everything else follows from these.
    public static func == (a: WindowPlan, b: WindowPlan) -> Bool {
        a.aggregations == b.aggregations && a.allowedLateness == b.allowedLateness
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(aggregations)
        hasher.combine(allowedLateness)
    }

    /// What a state of this plan can be told by from one of another.
    public var fingerprint: UInt64 {
        let parts = aggregations.map {
            "\($0.name)\u{1}\($0.function.rawValue)\u{1}\($0.column ?? "")\u{1}\($0.window)\u{1}\($0.slide)"
        }
        return StableHash.of((["1", "\(allowedLateness)"] + parts).joined(separator: "\u{2}").utf8)
    }

}

extension WindowPlan.Draft {
    fileprivate mutating func reading(_ function: AggregateFunction, _ column: Int) -> WindowPlan.Reading {
        switch function {
        case .count: .count(place(column < 0 ? .events : .count(column: column)))
        case .sum: .sum(place(.sum(column: column)))
        case .mean: .mean(sum: place(.sum(column: column)), count: place(.count(column: column)))
        case .deviation: .deviation(place(.moments(column: column)))
        case .minimum: .minimum(place(.minimum(column: column)))
        case .maximum: .maximum(place(.maximum(column: column)))
        case .last: .last(Self.place(column, &lasts))
        case .distinctCount: .distinct(Self.place(column, &sets))
        }
    }

    /// Where a partial stands among a tile's numbers.
    private mutating func place(_ partial: WindowPlan.Partial) -> Int {
        if let known = partials.firstIndex(of: partial) { return offsets[known] }
        partials.append(partial)
        offsets.append(stride)
        stride += partial.width
        return stride - partial.width
    }

    private static func place(_ column: Int, _ list: inout [Int]) -> Int {
        if let known = list.firstIndex(of: column) { return known }
        list.append(column)
        return list.count - 1
    }
}
