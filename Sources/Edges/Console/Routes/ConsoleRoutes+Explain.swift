import AerieCore
import AerieData
import Explain
import Hummingbird
import Serving

extension ConsoleRoutes {
    func registerExplanations(on router: Router<some RequestContext>) {
        page(router, "/console/deployments/:name/explain") { request, context throws(AerieError) in
            let name = try parameter("name", context)
            guard let state = services.serving.state(named: name) else {
                throw .notFound("no deployment is named \(name)")
            }
            func field(_ name: String) -> String { FormFields.values(request.uri.query, of: name).last ?? "" }
            let asked = field("predictor")
            guard let predictor = state.predictors.first(where: { asked.isEmpty ? !$0.isShadow : $0.name == asked })
            else { throw .notFound("\(name) has no predictor \(asked)") }
            let row = field("row")
            var explanation: Explanation?
            var problem: String?
            if !row.isEmpty {
                do throws(AerieError) {
                    explanation = try await services.serving.explain(
                        deployment: name, predictor: predictor.name, try Self.message(row))
                } catch { problem = error.message }
            }
            let outputs = explanation?.attribution.outputCount ?? 1
            let output = min(max(Int(field("output")) ?? outputs - 1, 0), outputs - 1)
            return ExplanationPage.page(
                state, predictor: predictor, row: row, explanation: explanation, output: output, problem: problem)
        }
    }

    /// A row as people write it: numbers between commas, nothing for a missing value.
    static func message(_ text: String) throws(AerieError) -> GraphMessage {
        guard text.utf8.count <= 1 << 16 else { throw .invalid("row", "is longer than 65,536 characters") }
        var values: [Double] = []
        for (place, cell) in text.split(separator: ",", omittingEmptySubsequences: false).enumerated() {
            let word = cell.trimmed
            guard let value = word.isEmpty ? .nan : Double(word) else {
                throw .invalid("row", "number \(place + 1), \"\(word.prefix(40))\", is no number")
            }
            values.append(value)
        }
        return GraphMessage(
            .tensors([Tensor(name: "", dataType: .fp64, shape: [1, values.count], elements: values)]))
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        var rest = self
        while rest.first?.isWhitespace == true { rest.removeFirst() }
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return rest
    }
}
