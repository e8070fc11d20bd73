import AerieData
import Foundation
import Serving
import Testing

@testable import InferTrees

@Suite("agreement with the libraries")
struct LibraryAgreementTests {
    /// The number of answers that differ: by a bit, or by 1e-6 of the value where the library's own exponential
    /// function comes between.
    private func differing(_ answers: [Double], _ expected: [Double], exact: Bool) -> (count: Int, first: String) {
        var count = 0
        var first = ""
        for (index, (answer, wanted)) in zip(answers, expected).enumerated() {
            let agrees = answer.isNaN && wanted.isNaN || answer == wanted
                || !exact && abs(answer - wanted) <= 1e-6 * abs(wanted)
            if !agrees {
                count += 1
                if first.isEmpty { first = "answer \(index) is \(answer), the library's \(wanted)" }
            }
        }
        return (count, first)
    }

    @Test("every prediction is the library's own", arguments: TreeCase.all)
    func agrees(_ item: TreeCase) throws {
        let rows = try item.bytes(item.name + ".rows")
        for walk in [nil] + TreeWalk.allCases {
            let model = try item.load(walk: walk)
            #expect(model.featureCount == item.features)
            #expect(model.outputCount == item.outputs)
            let expected = model.doubles(try item.bytes(item.name + ".expected"))
            #expect(expected.count == item.rows * item.outputs)
            for batch in [item.rows, 1, 13, 50] {
                let answers = model.answers(rows, count: item.rows, batch: batch)
                let (count, first) = differing(answers, expected, exact: item.exact)
                #expect(count == 0, "\(count) of \(expected.count) differ in batches of \(batch): \(first)")
            }
        }
    }

    @Test("the general path gives the same tensor", arguments: TreeCase.all)
    func inference(_ item: TreeCase) throws {
        let model = try item.load()
        let rows = try item.bytes(item.name + ".rows")
        let answer = try model.infer([
            Tensor(name: "anything", dataType: model.rowType, shape: [item.rows, item.features], bytes: rows)
        ])
        #expect(answer.count == 1)
        #expect(answer[0].name == "predict")
        #expect(answer[0].dataType == model.rowType)
        #expect(answer[0].shape == (item.outputs == 1 ? [item.rows] : [item.rows, item.outputs]))
        // Compared through doubles, as NaN differs from itself and its bits are nobody's promise.
        let direct = model.answers(rows, count: item.rows, batch: item.rows)
        let (count, first) = differing(model.doubles(answer[0].bytes), direct, exact: true)
        #expect(count == 0, "\(first)")
    }

    @Test("both encodings of a model are the same model")
    func encodings() throws {
        let json = TreeCase.all.filter { $0.model.hasSuffix(".json") }
        #expect(!json.isEmpty)
        for item in json {
            var other = item
            other.model = item.model.replacing(".json", with: ".ubj")
            let rows = try item.bytes(item.name + ".rows")
            let a = try item.load().answers(rows, count: item.rows, batch: 64)
            let b = try other.load().answers(rows, count: item.rows, batch: 64)
            #expect(differing(a, b, exact: true).count == 0, "\(item.name)")
        }
    }
}
