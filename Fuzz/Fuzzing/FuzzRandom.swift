/// Random numbers that are the same for the same seed and name on every machine (splitmix64). Not for secrets.
public struct FuzzRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// - Parameter name: so that fuzzers with one seed go ways of their own.
    public init(seed: UInt64, name: String) {
        state = seed ^ 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 { state = (state ^ UInt64(byte)) &* 0x100_0000_01b3 }
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
        return bits ^ (bits >> 31)
    }

    /// A number from 0 up to but not `limit`; 0 if there is none.
    mutating func below(_ limit: Int) -> Int { limit <= 1 ? 0 : Int(next() % UInt64(limit)) }

    mutating func isOnce(in times: Int) -> Bool { below(times) == 0 }

    /// - Precondition: the list is not empty.
    mutating func pick<Element>(_ list: [Element]) -> Element { list[below(list.count)] }

    /// A range within `0..<count`: short mostly, any at times.
    mutating func range(in count: Int) -> Range<Int> {
        let start = below(count + 1)
        let longest = count - start
        let length = isOnce(in: 4) ? below(longest + 1) : min(longest, 1 + below(16))
        return start..<(start + length)
    }
}
