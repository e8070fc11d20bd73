/// A value of an event's column. Numbers are kept as 64-bit floating point; those that are not finite are null.
public enum StreamValue: Sendable, Hashable {
    case null
    case number(Double)
    case text(String)
    case flag(Bool)

    /// As a number to count with: a flag is 0 or 1, a text none.
    var number: Double? {
        switch self {
        case .number(let value): value.isFinite ? value : nil
        case .flag(let flag): flag ? 1 : 0
        case .null, .text: nil
        }
    }

    /// Whether it counts as a value.
    var isNull: Bool {
        switch self {
        case .null: true
        case .number(let value): !value.isFinite
        case .text, .flag: false
        }
    }

    /// The same for equal values, in every process.
    var stableHash: UInt64 {
        switch self {
        case .null: 0
        // Adding zero makes one zero of the two.
        case .number(let value): StableHash.mix((value + 0).bitPattern &+ 1)
        case .text(let text): StableHash.of(text.utf8)
        case .flag(let flag): flag ? 0x9e37_79b9_7f4a_7c15 : 0xbf58_476d_1ce4_e5b9
        }
    }
}

/// Something that happened to an entity.
public struct StreamEvent: Sendable, Hashable {
    /// The entity, as the online store names it.
    public var key: [UInt8]
    /// When it happened, in microseconds since 1970.
    public var time: Int64
    /// When it came to the stream, likewise. What is too late is told by this, so it must be the same each time the
    /// event is read.
    public var arrival: Int64
    /// Tells an event from others of its entity; `nil` if the source has no such thing, and nothing is known twice.
    public var id: UInt64?
    /// By the plan's columns.
    public var values: [StreamValue]

    public init(key: [UInt8], time: Int64, arrival: Int64, id: UInt64? = nil, values: [StreamValue]) {
        self.key = key
        self.time = time
        self.arrival = arrival
        self.id = id
        self.values = values
    }
}

/// Hashes that are the same in every process and build, which Swift's own are not: FNV-1a over the bytes, mixed by the
/// finalizer of SplitMix64. For telling things apart, not against an adversary.
public enum StableHash {
    public static func of(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return mix(hash)
    }

    static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
