/// The identities of an entity's recent events, in shares of time: copies of an event have its time, so that each is
/// looked for in one share, and a share goes as a whole.
struct EventIdentities: Sendable, Hashable {
    /// Identities that are kept of one entity.
    static let limit = 100_000
    /// Shares of the allowed lateness.
    private static let shares: Int64 = 8

    /// `floor(time / length)` of each share, ascending.
    private(set) var indices: [Int64] = []
    private(set) var lists: [[UInt64]] = []
    private(set) var count = 0

    private static func length(_ plan: WindowPlan) -> Int64 { max(plan.allowedLateness / shares, 1_000_000) }

    func contains(_ id: UInt64, _ time: Int64, _ plan: WindowPlan) -> Bool {
        let index = time / Self.length(plan)
        for place in indices.indices.reversed() where indices[place] <= index {
            return indices[place] == index && lists[place].contains(id)
        }
        return false
    }

    mutating func insert(_ id: UInt64, _ time: Int64, _ plan: WindowPlan) {
        let index = time / Self.length(plan)
        var place = indices.count
        while place > 0, indices[place - 1] > index { place -= 1 }
        if place > 0, indices[place - 1] == index {
            lists[place - 1].append(id)
        } else {
            indices.insert(index, at: place)
            lists.insert([id], at: place)
        }
        count += 1
    }

    /// Lets go of shares that hold nothing as late as `time`: what comes with such a time is late by itself.
    mutating func forget(before time: Int64, _ plan: WindowPlan) {
        let index = time / Self.length(plan)
        guard let first = indices.first, first < index else { return }
        let gone = indices.firstIndex { $0 >= index } ?? indices.count
        count -= lists[..<gone].reduce(0) { $0 + $1.count }
        indices.removeFirst(gone)
        lists.removeFirst(gone)
    }

    /// Puts a share back that was written down; in the order of time.
    mutating func restore(_ index: Int64, _ list: [UInt64]) {
        indices.append(index)
        lists.append(list)
        count += list.count
    }
}
