#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Weighted rendezvous hashing: the same key goes to the same name, and where weights change, only keys that have to
/// move do, towards the names whose share grew.
///
/// Each name scores `-weight / ln(u)` with u in (0, 1) hashed from key and name; the largest wins. Shares are
/// proportional to the weights (Thaler and Ravishankar 1998; the weighted form by Schindelhauer and Schomaker 2005). No
/// allocation.
enum RendezvousHash {
    /// FNV-1a of 64 bits, mixed as splitmix64 ends: even keys of few bytes fill all bits.
    static func hash(_ key: some Sequence<UInt8>, _ name: some Sequence<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in key { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        // A byte that UTF-8 does not have keeps ("ab", "c") from being ("a", "bc").
        hash = (hash ^ 0xff) &* 0x0000_0100_0000_01b3
        for byte in name { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return SplitMix.mix(hash)
    }

    static func score(_ hash: UInt64, weight: Double) -> Double {
        guard weight > 0 else { return -1 }
        let unit = (Double(hash >> 11) + 0.5) / 9_007_199_254_740_992
        return -weight / log(unit)
    }

    /// The place of the name that the key belongs to; 0 if no weight is greater than 0.
    static func choose(_ key: some Sequence<UInt8>, among shares: [(name: String, weight: Double)]) -> Int {
        var best = 0
        var highest = -1.0
        for (place, share) in shares.enumerated() {
            let score = score(hash(key, share.name.utf8), weight: share.weight)
            if score > highest {
                highest = score
                best = place
            }
        }
        return best
    }
}

/// Random numbers that a seed decides (splitmix64, Steele et al. 2014): for sampling, not for secrets.
struct SplitMix: RandomNumberGenerator, Sendable {
    private var state: UInt64

    init(seed: UInt64?) { state = seed ?? .random(in: .min ... .max) }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return Self.mix(state)
    }

    static func mix(_ value: UInt64) -> UInt64 {
        var bits = value
        bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
        return bits ^ (bits >> 31)
    }

    /// A number in (0, 1).
    mutating func unit() -> Double { (Double(next() >> 11) + 0.5) / 9_007_199_254_740_992 }
}
