public import AerieCore

/// The bytes that name an entity in an online store: Feast's entity key serialization, version 3, so that data that
/// Feast has written is found.
///
/// Layout, little-endian: the number of keys; for each by name its type (2, string), length and UTF-8; then for each in
/// the same order the value's type, length and bytes.
public struct EntityKey: Sendable, Hashable {
    /// The join keys in the order of their names.
    public let names: [String]
    /// The bytes before the values.
    let head: [UInt8]

    /// What Feast calls the key of a view without entities.
    public static let none = EntityKey(names: ["__dummy_id"])

    public init(names: [String]) {
        self.names = names.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
        var head: [UInt8] = []
        Self.append(UInt32(names.count), to: &head)
        for name in self.names {
            Self.append(2, to: &head)
            Self.append(UInt32(name.utf8.count), to: &head)
            head += Array(name.utf8)
        }
        self.head = head
    }

    /// - Parameter values: one for each of `names`.
    /// - Throws: `invalidArgument` for a null, or a type that cannot be a key.
    public func bytes(_ values: [FeatureValue]) throws(AerieError) -> [UInt8] {
        var bytes = head
        bytes.reserveCapacity(head.count + 16 * values.count)
        for (index, value) in values.enumerated() {
            switch value {
            case .string(let text): Self.append(2, Array(text.utf8), to: &bytes)
            case .bytes(let content): Self.append(1, content, to: &bytes)
            case .int32(let number): Self.append(3, number, to: &bytes)
            case .int64(let number): Self.append(4, number, to: &bytes)
            case .timestamp(let number): Self.append(8, number, to: &bytes)
            case .null: throw .invalid("entities.\(names[index])", "a key must not be null")
            default:
                throw .invalid(
                    "entities.\(names[index])", "a key is a text, bytes, a whole number or a time, not \(value)")
            }
        }
        return bytes
    }

    private static func append(_ number: UInt32, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }

    private static func append(_ type: UInt32, _ content: [UInt8], to bytes: inout [UInt8]) {
        append(type, to: &bytes)
        append(UInt32(content.count), to: &bytes)
        bytes += content
    }

    private static func append<Number: FixedWidthInteger>(_ type: UInt32, _ number: Number, to bytes: inout [UInt8]) {
        append(type, to: &bytes)
        append(UInt32(MemoryLayout<Number>.size), to: &bytes)
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }
}

/// MurmurHash3, 32 bits, seed 0 (Austin Appleby's public-domain function): the name of a feature's field in Redis.
public func murmur3(_ bytes: some Collection<UInt8>) -> UInt32 {
    func mixed(_ block: UInt32) -> UInt32 {
        let product = block &* 0xcc9e_2d51
        return (product << 15 | product >> 17) &* 0x1b87_3593
    }
    var hash: UInt32 = 0
    var block: UInt32 = 0
    var filled: UInt32 = 0
    for byte in bytes {
        block |= UInt32(byte) << (8 * filled)
        filled += 1
        guard filled == 4 else { continue }
        hash ^= mixed(block)
        hash = (hash << 13 | hash >> 19) &* 5 &+ 0xe654_6b64
        (block, filled) = (0, 0)
    }
    if filled > 0 { hash ^= mixed(block) }
    hash ^= UInt32(truncatingIfNeeded: bytes.count)
    hash = (hash ^ hash >> 16) &* 0x85eb_ca6b
    hash = (hash ^ hash >> 13) &* 0xc2b2_ae35
    return hash ^ hash >> 16
}
