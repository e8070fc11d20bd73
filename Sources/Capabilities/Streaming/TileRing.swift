/// The tiles of one length of one entity, those that hold events, in the order of time. All numbers of all tiles lie in
/// one array: among very many entities what costs is how many places in memory an event touches.
struct TileRing: Sendable, Hashable {
    /// The value of the latest event in a tile.
    struct Last: Sendable, Hashable {
        var time = Int64.min
        var arrival = Int64.min
        var value = StreamValue.null

        mutating func take(_ time: Int64, _ arrival: Int64, _ value: StreamValue) {
            if (time, arrival) < (self.time, self.arrival) { return }
            (self.time, self.arrival, self.value) = (time, arrival, value)
        }
    }

    /// Values of a column that a tile tells apart; further ones are not counted.
    static let setLimit = 4096

    /// Of each tile its index, `floor(time / slide)`, which a number has exactly, then what its partials keep. The
    /// indices ascend.
    var numbers: [Double] = []
    var lasts: [Last] = []
    /// Hashes of distinct values, each list ascending.
    var sets: [[UInt64]] = []

    mutating func add(_ event: StreamEvent, _ resolution: WindowPlan.Resolution) {
        let base = tile(at: event.time / resolution.slide, resolution)
        for (partial, offset) in zip(resolution.partials, resolution.offsets) {
            add(event, partial, at: base + offset)
        }
        if resolution.lasts.isEmpty, resolution.sets.isEmpty { return }
        let position = base / resolution.stride
        for (place, column) in resolution.lasts.enumerated() where !event.values[column].isNull {
            lasts[position * resolution.lasts.count + place].take(event.time, event.arrival, event.values[column])
        }
        for (place, column) in resolution.sets.enumerated() where !event.values[column].isNull {
            Self.insert(event.values[column].stableHash, &sets[position * resolution.sets.count + place])
        }
    }

    private mutating func add(_ event: StreamEvent, _ partial: WindowPlan.Partial, at place: Int) {
        switch partial {
        case .events: numbers[place] += 1
        case .count(let column): if !event.values[column].isNull { numbers[place] += 1 }
        case .sum(let column): if let value = event.values[column].number { numbers[place] += value }
        case .minimum(let column):
            // An empty one is NaN, which is less than nothing.
            if let value = event.values[column].number, !(numbers[place] <= value) { numbers[place] = value }
        case .maximum(let column):
            if let value = event.values[column].number, !(numbers[place] >= value) { numbers[place] = value }
        case .moments(let column):
            guard let value = event.values[column].number else { return }
            numbers[place] += 1
            let distance = value - numbers[place + 1]
            numbers[place + 1] += distance / numbers[place]
            numbers[place + 2] += distance * (value - numbers[place + 1])
        }
    }

    static func insert(_ hash: UInt64, _ set: inout [UInt64]) {
        var (low, high) = (0, set.count)
        while low < high {
            let middle = (low + high) / 2
            if set[middle] < hash { low = middle + 1 } else { high = middle }
        }
        if low < set.count && set[low] == hash || set.count >= setLimit { return }
        set.insert(hash, at: low)
    }

    /// Where a tile's numbers begin. It is made if it is not there.
    private mutating func tile(at index: Int64, _ resolution: WindowPlan.Resolution) -> Int {
        let wanted = Double(index)
        let stride = resolution.stride
        var start = numbers.count
        // Most events belong to the last tile or a new one.
        while start > 0, numbers[start - stride] > wanted { start -= stride }
        if start > 0, numbers[start - stride] == wanted { return start - stride }
        numbers.insert(contentsOf: repeatElement(0, count: stride), at: start)
        numbers[start] = wanted
        for (partial, offset) in zip(resolution.partials, resolution.offsets) {
            switch partial {
            case .minimum, .maximum: numbers[start + offset] = .nan
            default: break
            }
        }
        let position = start / stride
        if !resolution.lasts.isEmpty {
            let count = resolution.lasts.count
            lasts.insert(contentsOf: repeatElement(Last(), count: count), at: position * count)
        }
        if !resolution.sets.isEmpty {
            let count = resolution.sets.count
            sets.insert(contentsOf: repeatElement([], count: count), at: position * count)
        }
        return start
    }

    /// Forgets tiles before an index.
    mutating func forget(before index: Int64, _ resolution: WindowPlan.Resolution) {
        let limit = Double(index)
        guard let first = numbers.first, first < limit else { return }
        var end = 0
        while end < numbers.count, numbers[end] < limit { end += resolution.stride }
        numbers.removeFirst(end)
        let count = end / resolution.stride
        lasts.removeFirst(count * resolution.lasts.count)
        sets.removeFirst(count * resolution.sets.count)
    }
}
