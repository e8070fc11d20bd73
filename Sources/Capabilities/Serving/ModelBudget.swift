import AerieCore

/// The memory of models that come and go: who has to leave for the next one. A state machine without models.
struct ModelBudget {
    /// Bytes, of the models that may leave.
    let capacity: Int
    private var sizes: [String: Int] = [:]
    /// The order in which they came, for those that were used at the same moment.
    private var order: [String: UInt64] = [:]
    private var next: UInt64 = 0

    init(capacity: Int) { self.capacity = capacity }

    var used: Int { sizes.values.reduce(0, +) }
    var count: Int { sizes.count }
    func holds(_ name: String) -> Bool { sizes[name] != nil }

    /// Counts a model in.
    /// - Parameters:
    ///   - bytes: what it is expected to need.
    ///   - staying: models that may not leave now, because they are being loaded.
    ///   - lastUsed: a number that grows with time.
    /// - Returns: the models that have to leave for it, the least recently used first; they are counted out already.
    ///   `nil` if there is no room before one of those that stay may leave; nothing changes then.
    /// - Throws: `resourceExhausted` for one that is larger than the whole budget; nothing leaves then.
    mutating func admit(
        _ name: String, bytes: Int, staying: Set<String> = [], lastUsed: (String) -> UInt64
    ) throws(AerieError) -> [String]? {
        guard bytes <= capacity else {
            throw AerieError(
                .resourceExhausted,
                "\(name) needs about \(bytes) bytes of memory, and all models that are loaded when they are asked for "
                    + "may have \(capacity); give the server more with --model-memory", reason: "serving.memory")
        }
        var leaving: [String] = []
        var free = capacity - used + (sizes[name] ?? 0)
        if free < bytes {
            let candidates = sizes.keys.filter { $0 != name && !staying.contains($0) }
                .map { (name: $0, used: lastUsed($0), came: order[$0] ?? 0) }
                .sorted { ($0.used, $0.came) < ($1.used, $1.came) }
            for candidate in candidates where free < bytes {
                free += sizes[candidate.name] ?? 0
                leaving.append(candidate.name)
            }
            if free < bytes { return nil }
        }
        leaving.forEach { remove($0) }
        sizes[name] = bytes
        order[name] = next
        next += 1
        return leaving
    }

    mutating func remove(_ name: String) {
        sizes[name] = nil
        order[name] = nil
    }
}
