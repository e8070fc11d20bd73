/// Sets of columns to be asked about, with their weights in the regression: all of them where the budget allows,
/// otherwise the smallest and largest sets whole and pairs of a set and its complement drawn from the rest.
///
/// The sizes' weights are the Shapley kernel's, `(n - 1) / (s (n - s))` for all sets of size `s` together (Lundberg and
/// Lee, "A unified approach to interpreting model predictions", 2017); the weight of the sizes that are sampled is
/// spread over the samples by how often each came.
struct Coalitions {
    /// A byte for each column of each set: 1 for a known one.
    private(set) var members: [UInt8] = []
    private(set) var weights: [Double] = []
    let columnCount: Int
    /// Whether these are all the sets, so that the values are exact.
    private(set) var isComplete = true

    var count: Int { weights.count }

    /// - Parameter budget: sets to be made, at most; at least two are.
    init(columnCount: Int, budget: Int, seed: UInt64) {
        self.columnCount = columnCount
        guard columnCount > 1 else { return }
        let halves = columnCount / 2
        var sizes = (1...halves).map { size -> (size: Int, weight: Double, isPaired: Bool) in
            let isPaired = size * 2 != columnCount
            let weight = Double(columnCount - 1) / Double(size * (columnCount - size))
            return (size, isPaired ? 2 * weight : weight, isPaired)
        }
        let total = sizes.reduce(0) { $0 + $1.weight }
        for index in sizes.indices { sizes[index].weight /= total }
        let isSmall = columnCount < 31 && (1 << columnCount) - 2 <= budget
        var left = budget
        while let next = sizes.first {
            let number = Self.number(of: next.size, in: columnCount) * (next.isPaired ? 2 : 1)
            let share = sizes.reduce(0) { $0 + $1.weight }
            // As many as its share of what is left would draw anyway: then each of them once.
            let isLast = sizes.count == 1
            guard isSmall || number <= Double(left) * (isLast ? 1 : next.weight / share) * (1 + 1e-9) else { break }
            addAll(next.size, isPaired: next.isPaired, weight: next.weight / number)
            left -= Int(number)
            sizes.removeFirst()
        }
        if !sizes.isEmpty {
            isComplete = false
            draw(sizes, pairs: max(1, left / 2), seed: seed)
        }
    }

    private static func number(of size: Int, in count: Int) -> Double {
        (0..<size).reduce(1.0) { $0 * Double(count - $1) / Double($1 + 1) }.rounded()
    }

    private mutating func add(_ columns: [Int], weight: Double, complement: Bool) {
        let first = members.count
        members += repeatElement(complement ? 1 : 0, count: columnCount)
        for column in columns { members[first + column] = complement ? 0 : 1 }
        weights.append(weight)
    }

    private mutating func addAll(_ size: Int, isPaired: Bool, weight: Double) {
        var columns = Array(0..<size)
        while true {
            add(columns, weight: weight, complement: false)
            if isPaired { add(columns, weight: weight, complement: true) }
            guard let turn = columns.indices.last(where: { columns[$0] < columnCount - size + $0 }) else { return }
            columns[turn] += 1
            for place in (turn + 1)..<max(size, turn + 1) { columns[place] = columns[place - 1] + 1 }
        }
    }

    private mutating func draw(
        _ sizes: [(size: Int, weight: Double, isPaired: Bool)], pairs: Int, seed: UInt64
    ) {
        var random = SplitMix(seed: seed)
        let share = sizes.reduce(0) { $0 + $1.weight }
        var order = Array(0..<columnCount)
        var places: [[Int]: Int] = [:]
        let first = weights.count
        // Sets that come again cost nothing but the draw.
        for _ in 0..<(4 * pairs) where weights.count - first < 2 * pairs {
            var ticket = random.unit() * share
            var size = sizes[sizes.count - 1].size
            for candidate in sizes {
                if ticket < candidate.weight {
                    size = candidate.size
                    break
                }
                ticket -= candidate.weight
            }
            for place in 0..<size {
                order.swapAt(place, place + Int(random.below(UInt64(columnCount - place))))
            }
            let columns = order.prefix(size).sorted()
            if let place = places[columns] {
                weights[place] += 1
                weights[place + 1] += 1
            } else {
                places[columns] = weights.count
                add(columns, weight: 1, complement: false)
                add(columns, weight: 1, complement: true)
            }
        }
        let drawn = weights[first...].reduce(0, +)
        for place in first..<weights.count { weights[place] *= share / drawn }
    }
}
