import AerieCore

/// Unpacks gzip (RFC 1952), zlib (RFC 1950) and plain deflate (RFC 1951), up to a limit, so that a small body cannot
/// become one that fills the memory.
struct Inflate {
    private let input: [UInt8]
    private var position: Int
    private var hold: UInt32 = 0
    private var held: UInt32 = 0
    private var output: [UInt8] = []
    private let limit: Int

    /// - Throws: `invalidArgument` for what is not packed so, or takes more than `limit` bytes.
    static func unpack(_ bytes: [UInt8], encoding: String, limit: Int) throws(AerieError) -> [UInt8] {
        switch encoding.lowercased() {
        case "", "identity": return bytes
        case "gzip", "x-gzip": return try gzip(bytes, limit)
        case "deflate":
            let isWrapped =
                bytes.count > 2 && bytes[0] & 15 == 8 && (Int(bytes[0]) << 8 | Int(bytes[1])) % 31 == 0
            var reader = Inflate(bytes, at: isWrapped ? 2 : 0, limit)
            return try reader.run()
        default: throw .invalid("Content-Encoding", "\"\(encoding.prefix(40))\" is none of gzip, deflate, identity")
        }
    }

    private static func gzip(_ bytes: [UInt8], _ limit: Int) throws(AerieError) -> [UInt8] {
        guard bytes.count >= 18, bytes[0] == 0x1f, bytes[1] == 0x8b, bytes[2] == 8 else { throw wrong }
        let flags = bytes[3]
        var start = 10
        if flags & 4 != 0 { start += 2 + Int(bytes[10]) + Int(bytes[11]) << 8 }
        for flag in [UInt8(8), 16] where flags & flag != 0 {
            while start < bytes.count, bytes[start] != 0 { start += 1 }
            start += 1
        }
        if flags & 2 != 0 { start += 2 }
        guard start < bytes.count - 8 else { throw wrong }
        var reader = Inflate(bytes, at: start, limit)
        let result = try reader.run()
        let trailer = reader.position - Int(reader.held / 8)
        guard trailer + 8 <= bytes.count else { throw wrong }
        let sum = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[trailer + $1]) << UInt32(8 * $1) }
        guard sum == checksum(result) else { throw wrong }
        return result
    }

    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ value >> 1 : value >> 1 }
    }

    private static func checksum(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(~UInt32(0)) { table[Int(($0 ^ UInt32($1)) & 0xff)] ^ $0 >> 8 }
    }

    private static var wrong: AerieError {
        .invalid("body", "is not packed as Content-Encoding says, or was cut short")
    }

    private init(_ input: [UInt8], at position: Int, _ limit: Int) {
        self.input = input
        self.position = position
        self.limit = limit
    }

    private mutating func run() throws(AerieError) -> [UInt8] {
        var isLast = false
        while !isLast {
            isLast = try bits(1) == 1
            switch try bits(2) {
            case 0: try stored()
            case 1: try block(Self.fixedLiterals, Self.fixedDistances)
            case 2:
                let (literals, distances) = try tables()
                try block(literals, distances)
            default: throw Self.wrong
            }
        }
        return output
    }

    private mutating func bits(_ count: UInt32) throws(AerieError) -> Int {
        while held < count {
            guard position < input.count else { throw Self.wrong }
            hold |= UInt32(input[position]) << held
            position += 1
            held += 8
        }
        defer {
            hold >>= count
            held -= count
        }
        return Int(hold & (1 << count - 1))
    }

    private mutating func grow(by count: Int) throws(AerieError) {
        guard output.count + count <= limit else {
            throw .invalid("body", "is longer than \(limit) bytes once unpacked")
        }
    }

    private mutating func stored() throws(AerieError) {
        position -= Int(held / 8)
        (hold, held) = (0, 0)
        guard position + 4 <= input.count else { throw Self.wrong }
        let length = Int(input[position]) | Int(input[position + 1]) << 8
        let check = Int(input[position + 2]) | Int(input[position + 3]) << 8
        position += 4
        guard length ^ check == 0xffff, position + length <= input.count else { throw Self.wrong }
        try grow(by: length)
        output += input[position..<position + length]
        position += length
    }

    private mutating func block(_ literals: Codes, _ distances: Codes) throws(AerieError) {
        while true {
            let symbol = try next(literals)
            if symbol < 256 {
                try grow(by: 1)
                output.append(UInt8(symbol))
                continue
            }
            if symbol == 256 { return }
            guard symbol - 257 < Self.lengths.count else { throw Self.wrong }
            let length = Self.lengths[symbol - 257] + (try bits(Self.lengthBits[symbol - 257]))
            let place = try next(distances)
            guard place < Self.distances.count else { throw Self.wrong }
            let distance = Self.distances[place] + (try bits(UInt32(max(place / 2 - 1, 0))))
            guard distance <= output.count else { throw Self.wrong }
            try grow(by: length)
            for _ in 0..<length { output.append(output[output.count - distance]) }
        }
    }

    private mutating func next(_ codes: Codes) throws(AerieError) -> Int {
        var code = 0
        var first = 0
        var index = 0
        for length in 1...15 {
            code |= try bits(1)
            let count = codes.counts[length]
            if code - first < count { return codes.symbols[index + code - first] }
            index += count
            first = (first + count) << 1
            code <<= 1
        }
        throw Self.wrong
    }

    private mutating func tables() throws(AerieError) -> (Codes, Codes) {
        let literalCount = try bits(5) + 257
        let distanceCount = try bits(5) + 1
        let lengthCount = try bits(4) + 4
        var lengths = Array(repeating: 0, count: 19)
        for place in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15].prefix(lengthCount) {
            lengths[place] = try bits(3)
        }
        let codes = Codes(lengths)
        var all: [Int] = []
        while all.count < literalCount + distanceCount {
            switch try next(codes) {
            case 16:
                guard let last = all.last else { throw Self.wrong }
                all += Array(repeating: last, count: 3 + (try bits(2)))
            case 17: all += Array(repeating: 0, count: 3 + (try bits(3)))
            case 18: all += Array(repeating: 0, count: 11 + (try bits(7)))
            case let length: all.append(length)
            }
        }
        guard all.count == literalCount + distanceCount else { throw Self.wrong }
        return (Codes(Array(all[..<literalCount])), Codes(Array(all[literalCount...])))
    }

    /// Huffman codes: how many there are of each length, and their symbols in order.
    private struct Codes {
        var counts = Array(repeating: 0, count: 16)
        var symbols: [Int] = []

        init(_ lengths: [Int]) {
            for length in 1...15 {
                for (symbol, own) in lengths.enumerated() where own == length {
                    counts[length] += 1
                    symbols.append(symbol)
                }
            }
        }
    }

    private static let fixedLiterals = Codes(
        Array(repeating: 8, count: 144) + Array(repeating: 9, count: 112) + Array(repeating: 7, count: 24)
            + Array(repeating: 8, count: 8))
    private static let fixedDistances = Codes(Array(repeating: 5, count: 30))

    private static let lengthBits: [UInt32] = (0..<29).map { (place: Int) -> UInt32 in
        place < 8 || place == 28 ? 0 : UInt32(place / 4 - 1)
    }

    /// Each length begins where the one before ends; the last one is 258.
    private static let lengths: [Int] = {
        var bases = [3]
        for bits in lengthBits.dropLast(2) { bases.append(bases[bases.count - 1] + (1 << Int(bits))) }
        return bases + [258]
    }()

    private static let distances: [Int] = {
        var bases = [1]
        for place in 0..<29 { bases.append(bases[place] + (1 << max(place / 2 - 1, 0))) }
        return bases
    }()
}
