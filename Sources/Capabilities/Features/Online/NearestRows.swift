/// The rows that are nearest of all that have been offered, at most a given number of them, in their order: those whose
/// texts match better first, and of equal ones those whose vectors are nearer. Of equal distances the key that comes
/// first by its bytes is nearer, so that the order in which rows are offered says nothing.
struct NearestRows {
    struct Row {
        /// How well the texts match; 0 where they do not, or are not looked at.
        var textRank: Float = 0
        /// Infinite where there is no vector, 0 where none is looked at.
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
    mutating func offer(textRank: Float = 0, _ distance: Float, _ key: UnsafeRawBufferPointer) {
        if distance.isNaN { return }
        if rows.count == limit, let last = rows.last {
            guard Self.isNearer(textRank, distance, key, than: last) else { return }
        }
        let row = Row(textRank: textRank, distance: distance, key: Array(key))
        guard keys.insert(row.key).inserted else { return }
        rows.insert(row, at: place(of: row))
        if rows.count > limit { keys.remove(rows.removeLast().key) }
    }

    private func place(of row: Row) -> Int {
        row.key.withUnsafeBytes { key in
            var (low, high) = (0, rows.count)
            while low < high {
                let middle = (low + high) / 2
                let isBefore = Self.isNearer(row.textRank, row.distance, key, than: rows[middle])
                if isBefore { high = middle } else { low = middle + 1 }
            }
            return low
        }
    }

    private static func isNearer(
        _ textRank: Float, _ distance: Float, _ key: UnsafeRawBufferPointer, than other: Row
    ) -> Bool {
        if textRank != other.textRank { return textRank > other.textRank }
        if distance != other.distance { return distance < other.distance }
        return key.lexicographicallyPrecedes(other.key)
    }
}
