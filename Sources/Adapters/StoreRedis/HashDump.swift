import AerieWire
import Features

/// A row as the hash of an entity that has nothing else, in the one word that `DUMP` gives and `RESTORE` takes.
///
/// The layout is that of Redis' snapshots (RDB version 10: Redis 7 and Valkey) with a small hash as a listpack, which
/// the server makes its own without looking at each field: the type (16), the length of the listpack (0x80, then four
/// bytes, big-endian), the listpack, the version (2 bytes, little-endian), and the CRC of all that (8 bytes). In the
/// listpack: its length in bytes (4) and its elements (2); for each field and value a byte with its length, its bytes,
/// and how many bytes that was, so that it can be read backwards; then 0xff (github.com/antirez/listpack).
struct HashDump {
    private static let type: UInt8 = 16
    private static let version: UInt16 = 10
    /// Where the listpack begins.
    private static let head = 6
    /// The longest field or value that has a length of six bits. Servers keep longer ones otherwise by default.
    private static let wordLimit = 63
    private static let fieldLimit = 512

    /// The row that was encoded last.
    private(set) var bytes: [UInt8] = []
    private let fields: [UInt32]
    private let timeField: [UInt8]
    private let createdField: [UInt8]
    private var value = ProtobufWriter()

    /// - Returns: `nil` for a view that has too many features, too long a name, or two features with one hash.
    init?(_ view: OnlineView) {
        timeField = RedisOnlineStore.timeField(view)
        createdField = RedisOnlineStore.createdField(view)
        fields = view.fields
        guard createdField.count <= Self.wordLimit, fields.count <= Self.fieldLimit, Set(fields).count == fields.count
        else { return nil }
    }

    /// - Returns: false for a row with a value that is too long, which has not been encoded then.
    mutating func encode(_ row: OnlineRow) -> Bool {
        bytes.removeAll(keepingCapacity: true)
        bytes.append(Self.type)
        bytes.append(0x80)
        // The two lengths and the number of elements are known at the end.
        bytes.append(contentsOf: repeatElement(0, count: Self.head - 2 + 6))
        append(timeField)
        append(RowScript.moment(row.time))
        var words = 2
        if row.created != 0 {
            append(createdField)
            append(Array("\(row.created)".utf8))
            words += 2
        }
        for (field, said) in zip(fields, row.values) {
            guard let said else { continue }
            value.clear()
            said.write(to: &value)
            guard value.bytes.count <= Self.wordLimit else { return false }
            bytes.append(0x80 | 4)
            append(number: field)
            bytes.append(5)
            append(value.bytes)
            words += 2
        }
        bytes.append(0xff)
        let length = UInt32(bytes.count - Self.head)
        bytes.withUnsafeMutableBytes { bytes in
            bytes.storeBytes(of: length.bigEndian, toByteOffset: 2, as: UInt32.self)
            bytes.storeBytes(of: length.littleEndian, toByteOffset: Self.head, as: UInt32.self)
            bytes.storeBytes(of: UInt16(words).littleEndian, toByteOffset: Self.head + 4, as: UInt16.self)
        }
        append(number: Self.version)
        append(number: bytes.withUnsafeBytes(CRC64.of))
        return true
    }

    /// - Precondition: no more than `wordLimit` bytes.
    private mutating func append(_ word: [UInt8]) {
        bytes.append(0x80 | UInt8(word.count))
        bytes.append(contentsOf: word)
        bytes.append(UInt8(1 + word.count))
    }

    private mutating func append(number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }
}

/// The checksum of Redis' snapshots: CRC-64 with Jones' polynomial, reflected, beginning with zero. Of "123456789" it is
/// e9c6d914c4b8d9ca.
enum CRC64 {
    private static let polynomial: UInt64 = 0x95ac_9329_ac4b_c9b5

    /// For each byte what it makes of the sum, and behind each table the same a byte earlier, so that eight bytes go at
    /// once (Kounavis and Berry, "A systematic approach to building high performance software-based CRC generators").
    private static let tables: [UInt64] = {
        var tables = [UInt64](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var sum = UInt64(byte)
            for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ polynomial : sum >> 1 }
            tables[byte] = sum
        }
        for place in 256..<tables.count {
            let before = tables[place - 256]
            tables[place] = before >> 8 ^ tables[Int(before & 0xff)]
        }
        return tables
    }()

    static func of(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        tables.withUnsafeBufferPointer { tables in
            var sum: UInt64 = 0
            var at = 0
            while bytes.count - at >= 8 {
                sum ^= UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
                var next: UInt64 = 0
                for place in 0..<8 { next ^= tables[(7 - place) << 8 | Int(sum >> UInt64(8 * place) & 0xff)] }
                sum = next
                at += 8
            }
            while at < bytes.count {
                sum = sum >> 8 ^ tables[Int((sum ^ UInt64(bytes[at])) & 0xff)]
                at += 1
            }
            return sum
        }
    }
}
