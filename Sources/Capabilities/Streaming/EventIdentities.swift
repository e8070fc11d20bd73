/// The identities of an entity's recent events, in shares of time: copies of an event have its time, so that each is
/// looked for in one share, and a share goes as a whole.
struct EventIdentities: Sendable, Hashable {
    /// Identities that are kept of one entity.
    static let limit = 100_000
    /// Shares of the allowed lateness.
    private static let shareCount: Int64 = 8

    struct Share: Sendable, Hashable {
        /// `floor(time / length)`.
        var index: Int64
        var list: [UInt64]
    }

    /// In the order of time.
    private(set) var shares: [Share] = []
    private(set) var count = 0

    private static func length(_ plan: WindowPlan) -> Int64 { max(plan.allowedLateness / shareCount, 1_000_000) }

    /// Takes an identity in.
    /// - Returns: `duplicate` if it is there already and `crowded` if there are too many, with nothing changed; else
    ///   `counted`.
    mutating func insert(_ id: UInt64, _ time: Int64, _ plan: WindowPlan) -> StreamVerdict {
        let index = time / Self.length(plan)
        var place = shares.count
        while place > 0, shares[place - 1].index > index { place -= 1 }
        let isThere = place > 0 && shares[place - 1].index == index
        if isThere, shares[place - 1].list.contains(id) { return .duplicate }
        if count >= Self.limit { return .crowded }
        if isThere {
            shares[place - 1].list.append(id)
        } else {
            shares.insert(Share(index: index, list: [id]), at: place)
        }
        count += 1
        return .counted
    }

    /// Lets go of shares that hold nothing as late as `time`: what comes with such a time is late by itself.
    mutating func forget(before time: Int64, _ plan: WindowPlan) {
        let index = time / Self.length(plan)
        guard let first = shares.first, first.index < index else { return }
        let gone = shares.firstIndex { $0.index >= index } ?? shares.count
        count -= shares[..<gone].reduce(0) { $0 + $1.list.count }
        shares.removeFirst(gone)
    }

    /// Puts a share back that was written down; in the order of time.
    mutating func restore(_ index: Int64, _ list: [UInt64]) {
        shares.append(Share(index: index, list: list))
        count += list.count
    }
}
