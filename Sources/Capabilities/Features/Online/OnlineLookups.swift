public import AerieCore

/// The rows that one answer needs, and the places of their values in the store's own memory.
///
/// Its user names the entities; an `OnlineReader` fills in where the values lie, and calls `finished`. The lists are
/// emptied and filled again for the next answer, so that nothing is allocated once they have grown. One thread at a
/// time.
open class OnlineLookups {
    /// One entity in one view.
    public struct Row {
        public fileprivate(set) var part: Int
        fileprivate var key: Range<Int>
        public fileprivate(set) var isFound = false
        /// Microseconds since 1970.
        public fileprivate(set) var time: Int64 = 0
        fileprivate var firstCell: Int
    }

    public private(set) final var layout: OnlineLayout?
    /// How many entities.
    public private(set) final var count = 0
    /// For each part one row for each entity.
    public private(set) final var rows: [Row] = []
    private final var cells: [UnsafeRawBufferPointer] = []
    private final var keyBytes: [UInt8] = []
    /// For each key of the layout, for each entity, its type, length and bytes as an entity's key has them.
    private final var pieces: [[UInt8]] = []
    private final var pieceEnds: [[Int]] = []

    public init() {}

    /// The rows are filled in, or why they are not. Places are valid until this returns.
    open func finished(_ failure: AerieError?) {}

    // MARK: Naming entities

    public final func begin(_ layout: OnlineLayout) {
        self.layout = layout
        count = 0
        while pieces.count < layout.keys.count {
            pieces.append([])
            pieceEnds.append([])
        }
        for place in pieces.indices {
            pieces[place].removeAll(keepingCapacity: true)
            pieceEnds[place].removeAll(keepingCapacity: true)
        }
    }

    /// The next entity's value of a key: a whole number.
    /// - Returns: false if the key's type does not take it.
    public final func append(_ number: Int64, key place: Int, type: FeatureType?) -> Bool {
        switch type {
        case .int64, nil: append(4, number, place)
        case .timestamp: append(8, number, place)
        case .int32:
            guard let small = Int32(exactly: number) else { return false }
            append(3, small, place)
        default: return false
        }
        return true
    }

    /// The same for a text.
    public final func append(_ text: UnsafeRawBufferPointer, key place: Int, type: FeatureType?) -> Bool {
        guard type == nil || type == .string else { return false }
        append(UInt32(2), place)
        append(UInt32(text.count), place)
        pieces[place].append(contentsOf: text)
        pieceEnds[place].append(pieces[place].count)
        return true
    }

    private final func append<Number: FixedWidthInteger>(_ type: UInt32, _ number: Number, _ place: Int) {
        append(type, place)
        append(UInt32(MemoryLayout<Number>.size), place)
        append(number, place)
        pieceEnds[place].append(pieces[place].count)
    }

    private final func append(_ number: some FixedWidthInteger, _ place: Int) {
        withUnsafeBytes(of: number.littleEndian) { pieces[place].append(contentsOf: $0) }
    }

    /// Puts the entities' keys together.
    /// - Returns: false if the keys have not as many values each.
    public final func seal() -> Bool {
        guard let layout else { return false }
        count = layout.keys.isEmpty ? 0 : pieceEnds[0].count
        for place in layout.keys.indices where pieceEnds[place].count != count { return false }
        rows.removeAll(keepingCapacity: true)
        keyBytes.removeAll(keepingCapacity: true)
        var cellCount = 0
        for part in layout.parts.indices {
            for entity in 0..<count {
                let start = keyBytes.count
                keyBytes.append(contentsOf: layout.parts[part].keyHead)
                for place in layout.parts[part].keys {
                    let from = entity == 0 ? 0 : pieceEnds[place][entity - 1]
                    keyBytes.append(contentsOf: pieces[place][from..<pieceEnds[place][entity]])
                }
                rows.append(Row(part: part, key: start..<keyBytes.count, firstCell: cellCount))
                cellCount += layout.parts[part].fields.count
            }
        }
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        if cells.count < cellCount {
            cells.append(contentsOf: repeatElement(empty, count: cellCount - cells.count))
        }
        return true
    }

    // MARK: For readers

    /// The bytes of a row's entity key.
    public final func withKey<Result>(_ row: Int, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        let range = rows[row].key
        return keyBytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    /// The row is there; its values are null until they are placed.
    public final func found(_ row: Int, time: Int64) {
        rows[row].isFound = true
        rows[row].time = time
        let first = rows[row].firstCell
        let width = layout?.parts[rows[row].part].fields.count ?? 0
        for cell in first..<(first + width) { cells[cell] = UnsafeRawBufferPointer(start: nil, count: 0) }
    }

    public final func date(_ row: Int, _ time: Int64) { rows[row].time = time }

    /// Nothing is known of the row after all.
    public final func missed(_ row: Int) { rows[row].isFound = false }

    /// The protobuf value of a field lies there.
    public final func place(_ row: Int, _ field: Int, _ bytes: UnsafeRawBufferPointer) {
        cells[rows[row].firstCell + field] = bytes
    }

    // MARK: For the answer

    /// The protobuf value of a field; empty for a null.
    public final func value(part: Int, entity: Int, field: Int) -> UnsafeRawBufferPointer {
        cells[rows[part * count + entity].firstCell + field]
    }

    public final func row(part: Int, entity: Int) -> Row { rows[part * count + entity] }

    public final func isFound(part: Int, entity: Int) -> Bool { rows[part * count + entity].isFound }

    /// The value of an entity's key: its type's number in Feast's key format, and its bytes.
    public final func key<Result>(
        _ place: Int, entity: Int, _ body: (_ type: UInt8, _ bytes: UnsafeRawBufferPointer) -> Result
    ) -> Result {
        let from = entity == 0 ? 0 : pieceEnds[place][entity - 1]
        let end = pieceEnds[place][entity]
        return pieces[place].withUnsafeBytes { bytes in
            body(bytes[from], UnsafeRawBufferPointer(rebasing: bytes[(from + 8)..<end]))
        }
    }
}

/// Reads rows for one thread of the data plane.
///
/// Contract: `read` is called on the thread that the reader was made for. It calls `finished` of the lookups once, on
/// that thread: before it returns where the store is in this process, and later else; with an error if the store
/// cannot be reached, at the latest after its own time limit. Values are those of one moment for each row.
public protocol OnlineReader: AnyObject {
    func read(_ lookups: OnlineLookups)
}
