/// Writes one flatbuffer, from its end to its beginning, as the format has it: what is pointed at comes before what
/// points at it. Format: flatbuffers.dev, "Internals".
///
/// Bytes are kept in reverse, and a place is its distance from the end, so that nothing moves while the buffer grows.
struct FlatBufferBuilder {
    /// A table or vector that has been written.
    struct Place: Sendable {
        fileprivate var fromEnd: Int
    }

    private var reversed: [UInt8] = []

    /// Fills up so that what follows `extra` further bytes is at a multiple of `size` from the end.
    private mutating func align(_ size: Int, after extra: Int = 0) {
        while (reversed.count + extra) % size != 0 { reversed.append(0) }
    }

    private mutating func push<Number: FixedWidthInteger>(_ number: Number) {
        for shift in stride(from: Number.bitWidth - 8, through: 0, by: -8) {
            reversed.append(UInt8(truncatingIfNeeded: number >> Number(shift)))
        }
    }

    /// The distance to something that is written already.
    private mutating func push(_ place: Place) { push(UInt32(reversed.count + 4 - place.fromEnd)) }

    private var here: Place { Place(fromEnd: reversed.count) }

    mutating func text(_ text: String) -> Place {
        let bytes = Array(text.utf8)
        align(4, after: bytes.count + 1)
        reversed.append(0)
        reversed.append(contentsOf: bytes.reversed())
        push(UInt32(bytes.count))
        return here
    }

    mutating func vector(of places: [Place]) -> Place {
        align(4, after: places.count * 4)
        for place in places.reversed() { push(place) }
        push(UInt32(places.count))
        return here
    }

    /// A vector of structures of two 64-bit numbers.
    mutating func vector(of pairs: [(Int64, Int64)]) -> Place {
        align(8, after: pairs.count * 16)
        for pair in pairs.reversed() {
            push(pair.1)
            push(pair.0)
        }
        push(UInt32(pairs.count))
        return here
    }

    /// Where a message lies in a file: `Block` of Arrow's `File.fbs`, whose second number is of 32 bits and filled up.
    struct Block: Sendable {
        var offset: Int64
        var header: Int64
        var body: Int64
    }

    mutating func vector(of blocks: [Block]) -> Place {
        align(8, after: blocks.count * 24)
        for block in blocks.reversed() {
            push(block.body)
            push(block.header)
            push(block.offset)
        }
        push(UInt32(blocks.count))
        return here
    }

    /// A field of a table; its number is its place in the list.
    enum Field {
        case none
        case bool(Bool)
        case byte(UInt8)
        case short(Int16)
        case int(Int32)
        case long(Int64)
        case place(Place)
    }

    mutating func table(_ fields: [Field]) -> Place {
        let start = reversed.count
        var places = [Int?](repeating: nil, count: fields.count)
        for (number, field) in fields.enumerated().reversed() {
            switch field {
            case .none: continue
            case .bool(let value): push(UInt8(value ? 1 : 0))
            case .byte(let value): push(value)
            case .short(let value):
                align(2)
                push(value)
            case .int(let value):
                align(4)
                push(value)
            case .long(let value):
                align(8)
                push(value)
            case .place(let value):
                align(4)
                push(value)
            }
            places[number] = reversed.count
        }
        align(4)
        push(Int32(0))
        let table = reversed.count
        for place in places.reversed() { push(UInt16(place.map { table - $0 } ?? 0)) }
        push(UInt16(table - start))
        push(UInt16(4 + 2 * fields.count))
        let distance = UInt32(reversed.count - table)
        for byte in 0..<4 { reversed[table - 1 - byte] = UInt8(truncatingIfNeeded: distance >> (8 * UInt32(byte))) }
        return Place(fromEnd: table)
    }

    /// The whole, whose root is that table; its length is a multiple of 8.
    consuming func finished(root: Place) -> [UInt8] {
        align(8, after: 4)
        push(root)
        return reversed.reversed()
    }
}
