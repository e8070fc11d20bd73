/// An entity's key that is hashed once, eight bytes at a time.
struct EntityName: Hashable, Comparable {
    let bytes: [UInt8]
    private let digest: UInt64

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        var digest = UInt64(bytes.count)
        bytes.withUnsafeBytes { raw in
            var at = 0
            while raw.count - at >= 8 {
                digest = StableHash.mix(digest ^ raw.loadUnaligned(fromByteOffset: at, as: UInt64.self))
                at += 8
            }
            var rest: UInt64 = 0
            while at < raw.count {
                rest = rest << 8 | UInt64(raw[at])
                at += 1
            }
            digest = StableHash.mix(digest ^ rest)
        }
        self.digest = digest
    }

    static func == (a: EntityName, b: EntityName) -> Bool { a.digest == b.digest && a.bytes == b.bytes }
    func hash(into hasher: inout Hasher) { hasher.combine(digest) }

    /// By bytes.
    static func < (a: EntityName, b: EntityName) -> Bool {
        let common = min(a.bytes.count, b.bytes.count)
        return a.bytes.withUnsafeBytes { one in
            b.bytes.withUnsafeBytes { two in
                var at = 0
                while common - at >= 8 {
                    let (x, y) = (
                        UInt64(bigEndian: one.loadUnaligned(fromByteOffset: at, as: UInt64.self)),
                        UInt64(bigEndian: two.loadUnaligned(fromByteOffset: at, as: UInt64.self))
                    )
                    if x != y { return x < y }
                    at += 8
                }
                while at < common {
                    if one[at] != two[at] { return one[at] < two[at] }
                    at += 1
                }
                return one.count < two.count
            }
        }
    }
}
