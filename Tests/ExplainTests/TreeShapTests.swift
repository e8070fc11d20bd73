import AerieCore
import Testing

@testable import Explain

/// A small ensemble of two outputs, made by hand: columns are asked about twice on one way, in different trees.
final class HandMadeTrees: DecisionTrees {
    let featureCount: Int
    private let told: Forest
    private let thresholds: [Double]

    init(features: Int, depth: Int, seed: UInt64) {
        var random = SplitMix(seed: seed)
        var forest = Forest(
            featureCount: features, outputCount: 2, start: [0.5, -0.25], trees: [], nodes: [], values: [],
            hasCovers: true)
        var thresholds: [Double] = []
        func grow(_ at: Int, _ level: Int, _ cover: Float) {
            if level == depth || (level > 0 && random.unit() < 0.15) {
                forest.nodes[at] = .init(feature: -1, next: Int32(forest.values.count), cover: cover)
                forest.values.append(random.unit() * 2 - 1)
                return
            }
            let left = forest.nodes.count
            let share = Float(0.2 + 0.6 * random.unit())
            forest.nodes[at] = .init(
                feature: Int32(random.below(UInt64(features))), next: Int32(left), cover: cover)
            thresholds[at] = random.unit()
            for _ in 0..<2 {
                forest.nodes.append(.init(feature: -1, next: 0, cover: 0))
                thresholds.append(0)
            }
            grow(left, level + 1, cover * share)
            grow(left + 1, level + 1, cover * (1 - share))
        }
        for tree in 0..<6 {
            forest.trees.append(.init(root: Int32(forest.nodes.count), output: Int32(tree % 2)))
            forest.nodes.append(.init(feature: -1, next: 0, cover: 0))
            thresholds.append(0)
            grow(forest.nodes.count - 1, 0, 100)
        }
        featureCount = features
        told = forest
        self.thresholds = thresholds
    }

    func forest() throws(AerieError) -> Forest { told }

    func decide(_ row: UnsafeBufferPointer<Double>, into decisions: UnsafeMutableBufferPointer<UInt8>) {
        for (index, node) in told.nodes.enumerated() {
            decisions[index] = !node.isLeaf && row[Int(node.feature)] < thresholds[index] ? 1 : 0
        }
    }

    /// What an output answers if only the columns of `known` are, the others left to the covers.
    func expectation(_ row: [Double], known: Int, output: Int32) -> Double {
        func visit(_ at: Int) -> Double {
            let node = told.nodes[at]
            if node.isLeaf { return told.values[Int(node.next)] }
            let left = Int(node.next)
            if known >> Int(node.feature) & 1 == 1 {
                return visit(row[Int(node.feature)] < thresholds[at] ? left : left + 1)
            }
            let share = Double(told.nodes[left].cover) / Double(node.cover)
            return share * visit(left) + (Double(told.nodes[left + 1].cover) / Double(node.cover)) * visit(left + 1)
        }
        return told.trees.filter { $0.output == output }.reduce(told.start[Int(output)]) { $0 + visit(Int($1.root)) }
    }

    func answer(_ row: [Double], output: Int32) -> Double {
        expectation(row, known: (1 << featureCount) - 1, output: output)
    }
}

@Suite("Shapley values of trees")
struct TreeShapTests {
    private let row = [0.3, 0.8, 0.1, 0.55, 0.6]
    private let others = [[0.9, 0.2, 0.4, 0.1, 0.7], [0.35, 0.75, 0.9, 0.5, 0.2], [0.1, 0.1, 0.1, 0.9, 0.95]]

    /// By their definition: a mean over all sets of the other columns.
    private func shapley(_ features: Int, _ game: (Int) -> Double) -> [Double] {
        let factorial = (0...features).map { (1...max($0, 1)).reduce(1.0) { $0 * Double($1) } }
        return (0..<features).map { feature in
            (0..<(1 << features)).filter { $0 >> feature & 1 == 0 }.reduce(0.0) { sum, set in
                let size = set.nonzeroBitCount
                let weight = factorial[size] * factorial[features - size - 1] / factorial[features]
                return sum + weight * (game(set | 1 << feature) - game(set))
            }
        }
    }

    private func interaction(_ features: Int, _ first: Int, _ second: Int, _ game: (Int) -> Double) -> Double {
        let factorial = (0...features).map { (1...max($0, 1)).reduce(1.0) { $0 * Double($1) } }
        let both = 1 << first | 1 << second
        return (0..<(1 << features)).filter { $0 & both == 0 }.reduce(0.0) { sum, set in
            let size = set.nonzeroBitCount
            let weight = factorial[size] * factorial[features - size - 2] / (2 * factorial[features - 1])
            let gain = game(set | both) - game(set | 1 << first) - game(set | 1 << second) + game(set)
            return sum + weight * gain
        }
    }

    private func check(_ trees: HandMadeTrees, _ result: Attribution, _ game: (Int32, Int) -> Double) throws {
        let interactions = try #require(result.interactions)
        for output in 0..<2 {
            let expected = shapley(5) { game(Int32(output), $0) }
            for (ours, theirs) in zip(result.values(row: 0, output: output), expected) {
                #expect(abs(ours - theirs) < 1e-12)
            }
            #expect(abs(result.base[output] - game(Int32(output), 0)) < 1e-6)
            #expect(abs(result.answer(row: 0, output: output) - trees.answer(row, output: Int32(output))) < 1e-12)
            for first in 0..<5 {
                let line = interactions[((output * 5 + first) * 5)..<((output * 5 + first + 1) * 5)]
                #expect(abs(line.reduce(0, +) - expected[first]) < 1e-12)
                for second in 0..<5 where second != first {
                    let theirs = interaction(5, first, second) { game(Int32(output), $0) }
                    #expect(abs(line[line.startIndex + second] - theirs) < 1e-12)
                }
            }
        }
    }

    @Test("by the covers they are those of the definition", arguments: [2, 4, 9])
    func pathDependent(_ depth: Int) throws {
        let trees = HandMadeTrees(features: 5, depth: depth, seed: UInt64(depth))
        let result = try TreeShap(trees).explain(Table(columnCount: 5, values: row), interactions: true)
        try check(trees, result) { trees.expectation(row, known: $1, output: $0) }
    }

    @Test("against background rows they are those of the definition", arguments: [2, 4, 9])
    func interventional(_ depth: Int) throws {
        let trees = HandMadeTrees(features: 5, depth: depth, seed: UInt64(depth))
        let background = Table(columnCount: 5, values: others.flatMap { $0 })
        let result = try TreeShap(trees, background: background)
            .explain(Table(columnCount: 5, values: row), interactions: true)
        try check(trees, result) { output, known in
            others.reduce(0) { sum, other in
                let mixed = (0..<5).map { known >> $0 & 1 == 1 ? row[$0] : other[$0] }
                return sum + trees.answer(mixed, output: output) / Double(others.count)
            }
        }
    }

    @Test("a rule of n points integrates what it promises", arguments: [1, 2, 3, 4, 5, 9, 40])
    func quadrature(_ count: Int) {
        let rule = GaussLegendre(count: count)
        for power in 0..<(2 * count) {
            var sum = 0.0
            for group in rule.points.indices {
                for lane in 0..<4 {
                    var value = rule.weights[group][lane]
                    for _ in 0..<power { value *= rule.points[group][lane] }
                    sum += value
                }
            }
            #expect(abs(sum - 1 / Double(power + 1)) < 1e-14)
        }
    }

    @Test("a background of other columns is refused, and one of no rows")
    func background() {
        let trees = HandMadeTrees(features: 5, depth: 3, seed: 1)
        for background in [Table(columnCount: 4, values: [1, 2, 3, 4]), Table(columnCount: 5, values: [])] {
            #expect(throws: AerieError.self) { try TreeShap(trees, background: background) }
        }
    }

    @Test("what nobody waits for is not finished")
    func cancelled() throws {
        let shap = try TreeShap(HandMadeTrees(features: 5, depth: 3, seed: 1))
        let error = #expect(throws: AerieError.self) {
            try shap.explain(Table(columnCount: 5, values: row), isCancelled: { true })
        }
        #expect(error?.code == .cancelled)
    }
}
