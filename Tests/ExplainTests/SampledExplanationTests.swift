import AerieCore
import AerieJSON
import Testing

@testable import Explain

/// A model by a formula, which counts what it is asked.
private struct Formula: RowModel {
    var featureCount: Int
    var outputCount = 1
    var formula: @Sendable (ArraySlice<Double>) -> [Double]

    func predict(_ rows: Table) throws(AerieError) -> [Double] {
        (0..<rows.rowCount).flatMap { formula(rows.row($0)) }
    }
}

@Suite("explanations by asking the model")
struct SampledExplanationTests {
    private let trees = HandMadeTrees(features: 5, depth: 4, seed: 4)
    private let row = Table(columnCount: 5, values: [0.3, 0.8, 0.1, 0.55, 0.6])
    private let background = Table(
        columnCount: 5, values: [0.9, 0.2, 0.4, 0.1, 0.7, 0.35, 0.75, 0.9, 0.5, 0.2, 0.1, 0.1, 0.1, 0.9, 0.95])

    private var model: Formula {
        Formula(featureCount: 5, outputCount: 2) { [trees] row in
            [trees.answer(Array(row), output: 0), trees.answer(Array(row), output: 1)]
        }
    }

    @Test("with all sets asked about, the values are the exact ones")
    func exact() throws {
        let exact = try TreeShap(trees, background: background).explain(row)
        let kernel = try KernelShap(model, background: background)
        let ours = try kernel.explain(row)
        for (one, other) in zip(ours.values, exact.values) { #expect(abs(one - other) < 1e-9) }
        for (one, other) in zip(ours.base, exact.base) { #expect(abs(one - other) < 1e-9) }
    }

    @Test("a column that never differs has no part, and a single one has all of it")
    func constantColumns() throws {
        let model = Formula(featureCount: 3) { row in [row.reduce(1, *)] }
        let kernel = try KernelShap(model, background: Table(columnCount: 3, values: [2, .nan, 3]))
        let ours = try kernel.explain(Table(columnCount: 3, values: [5, .nan, 3]))
        #expect(ours.values[1] == 0 && ours.values[2] == 0)
        let alone = try KernelShap(
            Formula(featureCount: 2) { row in [row.reduce(1, *)] }, background: Table(columnCount: 2, values: [2, 3]))
        #expect(try alone.explain(Table(columnCount: 2, values: [5, 3])).values == [9, 0])
    }

    @Test("a model that does not answer each row by itself is refused, and is no error of the server's own")
    func fixedAnswer() throws {
        let model = Formula(featureCount: 2, outputCount: 3) { row in row.first == 1 ? [1, 2, 3] : [] }
        let error = #expect(throws: AerieError.self) {
            try KernelShap(model, background: Table(columnCount: 2, values: [1, 2, 4, 5]))
        }
        #expect(error?.code == .unsupported && error?.message.contains("3 numbers for 2 rows of 3") == true)
    }

    @Test("a sample is balanced, has the kernel's weights, and comes again for its seed", arguments: [12, 13, 40])
    func coalitions(_ columns: Int) {
        let sets = Coalitions(columnCount: columns, budget: 600, seed: 3)
        #expect(!sets.isComplete)
        #expect(sets.count <= 600)
        #expect(abs(sets.weights.reduce(0, +) - 1) < 1e-9)
        for column in 0..<columns {
            let known = (0..<sets.count).reduce(0.0) {
                $0 + (sets.members[$1 * columns + column] == 1 ? sets.weights[$1] : 0)
            }
            #expect(abs(known - 0.5) < 1e-9)
        }
        #expect(Coalitions(columnCount: columns, budget: 600, seed: 3).members == sets.members)
        #expect(Coalitions(columnCount: columns, budget: 600, seed: 4).members != sets.members)
    }

    @Test("up to eleven columns every set fits the usual budget", arguments: 2...11)
    func completeCoalitions(_ columns: Int) {
        let sets = Coalitions(columnCount: columns, budget: 2 * columns + 2048, seed: 0)
        #expect(sets.isComplete)
        #expect(sets.count == (1 << columns) - 2)
        let distinct = Set((0..<sets.count).map { Array(sets.members[($0 * columns)..<(($0 + 1) * columns)]) })
        #expect(distinct.count == sets.count)
    }

    @Test("a model that adds up is explained by its summands, however few sets are asked about")
    func additive() throws {
        let model = Formula(featureCount: 30) { row in
            [zip(row, 1...).reduce(0) { $0 + $1.0 * Double($1.1) }]
        }
        let kernel = try KernelShap(
            model, background: Table(columnCount: 30, values: [Double](repeating: 0, count: 30)), samples: 200)
        let ours = try kernel.explain(Table(columnCount: 30, values: [Double](repeating: 1, count: 30)))
        for (place, value) in ours.values.enumerated() { #expect(abs(value - Double(place + 1)) < 1e-6) }
    }

    @Test("quartiles, labels and drawn numbers of a column are those of its rows")
    func bins() {
        let column = BinnedColumn([1, 2, 3, 4, 5, 6, 7, 8, .nan], isCategorical: false)
        #expect(column.borders == [2.75, 4.5, 6.25])
        #expect([1, 2.75, 3, 100].map { column.bin(of: $0) } == [0, 0, 1, 3])
        #expect(column.bin(of: .nan) == -1)
        #expect(column.label(1, "age") == "2.75 < age <= 4.50")
        #expect(column.label(3, "age") == "age > 6.25")
        var random = SplitMix(seed: 1)
        for _ in 0..<500 {
            let (bin, value) = column.draw(&random)
            #expect(column.bin(of: value) == bin || value == column.bins[bin].minimum)
        }
        let kinds = BinnedColumn([3, 1, 3, 7], isCategorical: true)
        #expect(kinds.bins.map(\.share) == [0.25, 0.5, 0.25])
        #expect(kinds.bin(of: 2) == -1)
        #expect(kinds.label(1, "kind") == "kind = 3")
    }

    @Test("LIME finds the columns that matter, and only so many as it may", arguments: [2, 10])
    func lime(_ kept: Int) throws {
        var random = SplitMix(seed: 5)
        let rows = Table(columnCount: 8, values: (0..<800).map { _ in random.unit() })
        let model = Formula(featureCount: 8) { row in [row[row.startIndex] * 3 - row[row.startIndex + 4]] }
        let lime = try Lime(model, background: rows, samples: 2000, kept: kept)
        let (ours, fits) = try lime.explain(Table(columnCount: 8, values: [Double](repeating: 0.9, count: 8)))
        #expect(ours.values[0] > 0.5)
        #expect(ours.values[4] < -0.1)
        let others = [1, 2, 3, 5, 6, 7].map { abs(ours.values[$0]) }
        #expect((others.max() ?? 0) < (kept == 2 ? 1e-12 : 0.1))
        #expect(fits[0].score > 0.5)
        let again = try lime.explain(Table(columnCount: 8, values: [Double](repeating: 0.9, count: 8)))
        #expect(again.attribution.values == ours.values)
    }

    @Test("settings say what is wrong with them", arguments: [
        ("AnchorTabular", "{}", "not carried out"), ("KernelShap", "{}", "background"),
        ("TreeShap", #"{"nsamples": 0}"#, "nsamples"), ("TreeShap", #"{"oracle": 1}"#, "oracle"),
        ("TreeShap", #"{"model_output": "probability"}"#, "raw"),
        ("LIME", #"{"background": "x.csv", "kernel_width": "-1"}"#, "kernel_width"),
        ("TreeShap", #"{"background": "x.csv", "feature_perturbation": "tree_path_dependent"}"#, "takes no background"),
    ])
    func settings(_ type: String, _ parameters: String, _ words: String) throws {
        let value = try JSONValue.parse(parameters)
        let error = try #require(throws: AerieError.self) {
            try ExplainerSettings(type: type, parameters: value, at: "explainer")
        }
        #expect(error.message.contains(words))
        #expect(!error.details.isEmpty)
    }

    @Test("one request's rows, numbers and predictions are limited")
    func limits() throws {
        var settings = ExplainerSettings(.kernelShap)
        settings.background = "rows"
        settings.samples = 1_000_000
        let explainer = try Explainer(
            settings, model: model, trees: nil, featureNames: [], isClassifier: false, background: background)
        let rows = { (count: Int) in Table(columnCount: 5, values: [Double](repeating: 1, count: 5 * count)) }
        for (table, reason) in [(rows(257), "explain.rows"), (rows(20), "explain.predictions")] {
            let error = #expect(throws: AerieError.self) { try explainer.explain(table) }
            #expect(error?.reason == reason)
        }
        #expect(throws: AerieError.self) { try explainer.explain(rows(1), interactions: true) }
        #expect(throws: AerieError.self) {
            try Explainer(
                ExplainerSettings(.treeShap), model: model, trees: nil, featureNames: [], isClassifier: false,
                background: nil)
        }
    }

    @Test("the JSON has alibi's shape")
    func json() throws {
        let explainer = try Explainer(
            ExplainerSettings(.treeShap), model: model, trees: trees, featureNames: ["a", "b", "c", "d", "e"],
            isClassifier: true, background: nil)
        let json = try explainer.explain(row, interactions: true).json
        #expect(json["meta"]?["name"] == "TreeShap")
        #expect(json["data"]?["shap_values"]?.array?.count == 2)
        #expect(json["data"]?["shap_values"]?[1]?[0]?.array?.count == 5)
        #expect(json["data"]?["expected_value"]?.array?.count == 2)
        #expect(json["data"]?["shap_interaction_values"]?[0]?[0]?[4]?.array?.count == 5)
        #expect(json["data"]?["raw"]?["instances"]?[0]?[1]?.double == 0.8)
        #expect(json["data"]?["raw"]?["importances"]?["aggregated"]?["names"]?.array?.count == 5)
    }
}
