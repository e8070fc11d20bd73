import AerieCore

/// A table of a flatbuffer, read in place. Never reads past the bytes; a place that is not inside them is an error.
struct FlatTable {
    private let bytes: [UInt8]
    private let position: Int
    private let vtable: Int
    private let vtableSize: Int

    private static let wrong = AerieError.invalid("", "the message's flatbuffer points outside of itself")

    /// The root.
    init(_ bytes: [UInt8]) throws(AerieError) {
        try self.init(bytes, at: Int(try Self.load(bytes, 0, UInt32.self)))
    }

    private init(_ bytes: [UInt8], at position: Int) throws(AerieError) {
        self.bytes = bytes
        self.position = position
        vtable = position - Int(try Self.load(bytes, position, Int32.self))
        vtableSize = Int(try Self.load(bytes, vtable, UInt16.self))
    }

    private static func load<Number: FixedWidthInteger>(
        _ bytes: [UInt8], _ place: Int, _: Number.Type
    ) throws(AerieError) -> Number {
        let size = Number.bitWidth / 8
        guard place >= 0, place <= bytes.count - size else { throw wrong }
        var number: Number = 0
        for byte in 0..<size { number |= Number(truncatingIfNeeded: bytes[place + byte]) << Number(8 * byte) }
        return number
    }

    private func place(_ field: Int) throws(AerieError) -> Int? {
        let entry = 4 + 2 * field
        guard entry + 2 <= vtableSize else { return nil }
        let offset = Int(try Self.load(bytes, vtable + entry, UInt16.self))
        return offset == 0 ? nil : position + offset
    }

    func number<Number: FixedWidthInteger>(_ field: Int, default value: Number) throws(AerieError) -> Number {
        guard let place = try place(field) else { return value }
        return try Self.load(bytes, place, Number.self)
    }

    func flag(_ field: Int) throws(AerieError) -> Bool { try number(field, default: UInt8(0)) != 0 }

    private func target(_ field: Int) throws(AerieError) -> Int? {
        guard let place = try place(field) else { return nil }
        return place + Int(try Self.load(bytes, place, UInt32.self))
    }

    func table(_ field: Int) throws(AerieError) -> FlatTable? {
        guard let target = try target(field) else { return nil }
        return try FlatTable(bytes, at: target)
    }

    func text(_ field: Int) throws(AerieError) -> String? {
        guard let target = try target(field) else { return nil }
        let count = Int(try Self.load(bytes, target, UInt32.self))
        guard target + 4 <= bytes.count, count <= bytes.count - target - 4 else { throw Self.wrong }
        return String(decoding: bytes[(target + 4)..<(target + 4 + count)], as: UTF8.self)
    }

    /// How many elements there are, and where the first is.
    private func vector(_ field: Int, size: Int) throws(AerieError) -> (count: Int, start: Int)? {
        guard let target = try target(field) else { return nil }
        let count = Int(try Self.load(bytes, target, UInt32.self))
        guard count <= (bytes.count - target - 4) / size else { throw Self.wrong }
        return (count, target + 4)
    }

    func tables(_ field: Int) throws(AerieError) -> [FlatTable] {
        guard let (count, start) = try vector(field, size: 4) else { return [] }
        var tables: [FlatTable] = []
        for index in 0..<count {
            let place = start + 4 * index
            tables.append(try FlatTable(bytes, at: place + Int(try Self.load(bytes, place, UInt32.self))))
        }
        return tables
    }

    /// A vector of structures of two 64-bit numbers.
    func pairs(_ field: Int) throws(AerieError) -> [(Int64, Int64)] {
        guard let (count, start) = try vector(field, size: 16) else { return [] }
        var pairs: [(Int64, Int64)] = []
        pairs.reserveCapacity(count)
        for index in 0..<count {
            let place = start + 16 * index
            pairs.append((try Self.load(bytes, place, Int64.self), try Self.load(bytes, place + 8, Int64.self)))
        }
        return pairs
    }
}
