import AerieCore
import AerieData
import AerieHTTP
import AerieJSON
import AerieTelemetry
import ErrorMapping
import NIOCore
import Serving

/// Graphs behind the Open Inference Protocol: the answer's parameters tell what Seldon's `meta` does, so that feedback
/// finds its way.
extension InferenceConnection {
    /// - Returns: true if the answer is written, false if it will come from the pool.
    func inferGraph(
        _ plan: PredictorPlan, _ body: UnsafeRawBufferPointer, _ exchange: HTTPExchange
    ) throws(AerieError) -> Bool {
        let tensors = try TensorBuilder(scratch: state.scratch, body: body).build()
        let asked = keepAsked()
        let envelope = SeldonEnvelope(form: .tensor, message: GraphMessage(.tensors(tensors)))
        var run = try SeldonRun(plan, envelope, puid: state.puid(named: asked.id ?? []), service: .infer)
        run.deadline = state.scratch.terms.deadline
        let result = try state.run(run, interest: interest) { [self, run] result in
            complete(exchange, asked) { finishGraph(run, result, exchange) }
        }
        if let result { finishGraph(run, result, exchange) } else { isBusy = true }
        return false
    }

    private func finishGraph(_ run: SeldonRun, _ result: Result<GraphMessage, AerieError>, _ exchange: HTTPExchange) {
        let slot = run.plan.served.metricsSlot
        do throws(AerieError) {
            let answer = try result.get()
            guard let graph = run.plan.served.graph else { throw AerieError(.internal, "the predictor is no graph") }
            writeInfer(run.plan, .tensors(try graph.outputs(of: answer)), exchange, answer.meta.parameters)
            record(exchange, slot, 200, .infer)
        } catch {
            writeError(error, exchange)
            record(exchange, slot, error.code.httpStatus, .infer)
        }
    }
}

extension GraphMeta {
    /// As parameters of an Open Inference Protocol answer.
    var parameters: [(name: String, value: FeatureReport.Value)] {
        var all: [(name: String, value: FeatureReport.Value)] = [("puid", .text(puid))]
        let routing = JSONObject(routing.sorted { $0.key < $1.key }.map { ($0.key, .int(Int64($0.value))) })
        all.append(("routing", .text(JSONValue.object(routing).text())))
        if !tags.isEmpty { all.append(("tags", .text(JSONValue.object(tags).text()))) }
        return all
    }
}
