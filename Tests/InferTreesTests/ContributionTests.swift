import AerieCore
import Explain
import Testing

@testable import InferTrees

@Suite("explanations of the libraries")
struct ContributionTests {
    private static let explained = TreeCase.all.filter { $0.contributions > 0 }
    private static let byShap = TreeCase.all.filter { $0.shap > 0 }

    /// Numbers of 64 bits, and those of 32 widened.
    private func numbers(_ item: TreeCase, _ file: String, singles: Bool = false) throws -> [Double] {
        try item.bytes(item.name + file).withUnsafeBytes { raw in
            singles ? raw.bindMemory(to: Float.self).map { Double($0) } : Array(raw.bindMemory(to: Double.self))
        }
    }

    /// The largest difference, as a part of the largest number or of 1.
    private func distance(_ ours: some Sequence<Double>, _ theirs: some Sequence<Double>) -> Double {
        let scale = theirs.reduce(1) { max($0, abs($1)) }
        return zip(ours, theirs).reduce(0) { max($0, abs($1.0 - $1.1)) } / scale
    }

    /// XGBoost adds up in 32 bits, hence the tolerance.
    @Test("contributions are the library's own", arguments: explained)
    func contributions(_ item: TreeCase) throws {
        let rows = try numbers(item, ".rows", singles: item.library == "xgboost")
        let expected = try numbers(item, ".contributions")
        for walk in [nil, TreeWalk.general] {
            // All rows of the small cases, a few of the many large ones.
            let count = item.rows <= 48 ? item.contributions : min(item.contributions, walk == nil ? 8 : 2)
            let table = Table(columnCount: item.features, values: Array(rows.prefix(count * item.features)))
            let model = try #require(try item.load(walk: walk) as? any DecisionTrees)
            let ours = try TreeShap(model).explain(table)
            let stride = item.features + 1
            #expect(expected.count == item.contributions * ours.outputCount * stride)
            var worst = 0.0
            for row in 0..<count {
                for output in 0..<ours.outputCount {
                    let first = (row * ours.outputCount + output) * stride
                    let values = ours.values(row: row, output: output)
                    worst = max(worst, distance(values + [ours.base[output]], expected[first..<(first + stride)]))
                    let sum = values.reduce(ours.base[output], +)
                    #expect(abs(sum - ours.answer(row: row, output: output)) < 1e-6 * max(1, abs(sum)))
                }
            }
            #expect(worst < 2e-5, "\(item.name)")
        }
    }

    @Test("values against background rows and interactions are those of shap", arguments: byShap)
    func shap(_ item: TreeCase) throws {
        let rows = Table(columnCount: item.features, values: try numbers(item, ".shap-rows"))
        let background = rows.prefix(rows.rowCount - item.shap)
        let explained = Table(
            columnCount: item.features, values: Array(rows.values.suffix(item.shap * item.features)))
        let expected = try numbers(item, ".shap")
        let model = try #require(try item.load() as? any DecisionTrees)
        let against = try TreeShap(model, background: background).explain(explained, interactions: true)
        #expect(distance(against.values, expected.prefix(against.values.count)) < 2e-5)
        let byCovers = try TreeShap(model).explain(explained, interactions: true)
        let interactions = try #require(byCovers.interactions)
        #expect(expected.count == against.values.count + interactions.count)
        #expect(distance(interactions, expected.suffix(interactions.count)) < 2e-5)
    }

    @Test("linear leaves are refused by name")
    func linear() throws {
        let item = try #require(TreeCase.committed.first { $0.name == "lgb-linear" })
        let model = try #require(try item.load() as? any DecisionTrees)
        let error = try #require(throws: AerieError.self) { try TreeShap(model) }
        #expect(error.code == .unsupported)
        #expect(error.message.contains("KernelShap"))
    }

    @Test("leaves with a value for each output are explained for each")
    func vectorLeaves() throws {
        let item = try #require(TreeCase.committed.first { $0.name == "xgb-vector-leaf.json" })
        let model = try #require(try item.load() as? any DecisionTrees)
        let rows = Table(columnCount: item.features, values: try numbers(item, ".rows", singles: true)).prefix(8)
        let expected = try numbers(item, ".expected", singles: true)
        let ours = try TreeShap(model).explain(rows)
        #expect(ours.outputCount == item.outputs)
        for row in 0..<rows.rowCount {
            for output in 0..<item.outputs {
                let sum = ours.values(row: row, output: output).reduce(ours.base[output], +)
                #expect(abs(sum - expected[row * item.outputs + output]) < 1e-5)
            }
        }
    }
}
