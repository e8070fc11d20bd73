import AerieCore
import AerieData
import AerieHTTP
import AerieJSON
import AerieTelemetry
import ErrorMapping
import NIOCore
import Serving

/// Explanations: of Seldon's and KServe's paths in alibi's JSON, and as an output of the Open Inference Protocol.
extension InferenceConnection {
    /// `POST /api/v1.0/explain`, also behind `/seldon/{namespace}/{name}-explainer/{predictor}`.
    func explainSeldon(
        _ exchange: HTTPExchange, _ route: HTTPRoute, _ request: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer
    ) {
        var slot = -1
        do throws(AerieError) {
            let named = UnsafeRawBufferPointer(rebasing: request[exchange.head.seldonModel])
            let deployment = try findDeployment(route, seldonModel: named)
            let value = try seldonBody(exchange, request, body)
            let message = try SeldonJSON.read(value).message
            let plan = try explained(deployment, route, exchange, request)
            slot = plan.served.metricsSlot
            // A message's tag says what the parameter of the other protocol does.
            let ask: ExplainAsk = message.meta.tags["explain"]?.string == "interactions" ? .interactions : .values
            var run = ExplainRun(plan: plan, message: message, ask: ask)
            run.deadline = try deadline(plan.served.limits, exchange, request)
            try explain(run, exchange, isSeldon: true)
        } catch {
            writeSeldonError(error, exchange)
            record(exchange, slot, error.code.httpStatus, .explain)
        }
    }

    /// `POST /v1/models/{model}:explain`
    func explainV1(
        _ exchange: HTTPExchange, _ route: HTTPRoute, _ request: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer
    ) {
        var slot = -1
        do throws(AerieError) {
            let deployment = try findDeployment(route, seldonModel: nil)
            let message = try messageV1(body).message
            let plan = try explained(deployment, route, exchange, request)
            slot = plan.served.metricsSlot
            let isAsked = try interactionsV1(body)
            var run = ExplainRun(plan: plan, message: message, ask: isAsked ? .interactions : .values)
            run.deadline = try deadline(plan.served.limits, exchange, request)
            try explain(run, exchange, isSeldon: false)
        } catch {
            writeError(error, exchange)
            record(exchange, slot, error.code.httpStatus, .explain)
        }
    }

    /// `interactions` beside the rows: true or false.
    private func interactionsV1(_ body: UnsafeRawBufferPointer) throws(AerieError) -> Bool {
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(Array(body)) } catch {
            throw error.asAerieError(in: "request body")
        }
        guard let asked = value["interactions"] else { return false }
        guard let flag = asked.bool else { throw .invalid("interactions", "is neither true nor false") }
        return flag
    }

    /// The predictor that the path names, else one by its share.
    private func explained(
        _ deployment: DeploymentPlan, _ route: HTTPRoute, _ exchange: HTTPExchange, _ request: UnsafeRawBufferPointer
    ) throws(AerieError) -> PredictorPlan {
        guard let name = route.predictor else {
            state.scratch.clear()
            return state.choose(deployment) { exchange.header($0, in: request) }
        }
        for predictor in deployment.predictors where predictor.served.name.utf8.elementsEqual(name) { return predictor }
        throw .notFound(
            "\(deployment.served.name) has no predictor \(String(decoding: name, as: UTF8.self)), only "
                + deployment.predictors.map(\.served.name).joined(separator: ", "))
    }

    private func explain(_ run: ExplainRun, _ exchange: HTTPExchange, isSeldon: Bool) throws(AerieError) {
        let slot = run.plan.served.metricsSlot
        try state.explain(run, .explain, interest: interest) { [self] result in
            complete(exchange) {
                switch result {
                case .success(let answer):
                    write(exchange, answer.json, isSeldon: isSeldon)
                    record(exchange, slot, 200, .explain)
                case .failure(let error):
                    if isSeldon { writeSeldonError(error, exchange) } else { writeError(error, exchange) }
                    record(exchange, slot, error.code.httpStatus, .explain)
                }
            }
        }
        isBusy = true
    }

    /// An Open Inference Protocol request with the parameter `explain`: the model's outputs, and `explanation` behind
    /// them. To the explainer's own path the explanation alone.
    func explainInfer(
        _ plan: PredictorPlan, _ ask: ExplainAsk, _ body: UnsafeRawBufferPointer, _ exchange: HTTPExchange,
        isWhole: Bool, alone: Bool
    ) throws(AerieError) {
        let selection = try state.selectExplained(plan, alone: alone)
        let message = GraphMessage(.tensors(try state.explainedTensors(plan, body, isWhole: isWhole)))
        var run = ExplainRun(plan: plan, message: message, ask: ask, withOutputs: !alone)
        run.deadline = state.scratch.terms.deadline
        var asked = keepAsked()
        asked.selection = selection
        let kept = asked
        let slot = plan.served.metricsSlot
        try state.explain(run, .explain, interest: interest) { [self] result in
            complete(exchange, kept) {
                switch result {
                case .success(let answer):
                    writeInfer(
                        plan, .tensors(answer.outputs + [answer.tensor]), exchange, answer.features?.parameters ?? [])
                    record(exchange, slot, 200, .explain)
                case .failure(let error):
                    writeError(error, exchange)
                    record(exchange, slot, error.code.httpStatus, .explain)
                }
            }
        }
        isBusy = true
    }
}
