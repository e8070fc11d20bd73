/// The rows that are nearest of all that have been offered, at most a given number of them, in their order. Of equal
/// distances the key that comes first by its bytes is nearer, so that the order in which rows are offered says nothing.
struct NearestRows {
    struct Row {
        var distance: Float
        /// Of the entity.
        var key: [UInt8]
    }

    private(set) var rows: [Row] = []
    private let limit: Int
    private var keys: Set<[UInt8]> = []

    init(limit: Int) {
        self.limit = limit
        rows.reserveCapacity(limit + 1)
    }

    /// Costs a comparison for a row that is too far. An entity that is there already is passed over, as a store may
    /// show it twice; so is a distance that is no number.
    mutating func offer(_ distance: Float, _ key: UnsafeRawBufferPointer) {
        if distance.isNaN { return }
        if rows.count == limit, let last = rows.last {
            let isNearer =
                distance < last.distance || distance == last.distance && key.lexicographicallyPrecedes(last.key)
            guard isNearer else { return }
        }
        let row = Row(distance: distance, key: Array(key))
        guard keys.insert(row.key).inserted else { return }
        rows.insert(row, at: place(of: row))
        if rows.count > limit { keys.remove(rows.removeLast().key) }
    }

    private func place(of row: Row) -> Int {
        var (low, high) = (0, rows.count)
        while low < high {
            let middle = (low + high) / 2
            let other = rows[middle]
            let isBefore =
                other.distance < row.distance
                || other.distance == row.distance && other.key.lexicographicallyPrecedes(row.key)
            if isBefore { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
