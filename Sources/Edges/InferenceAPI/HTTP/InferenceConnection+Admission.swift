import AerieCore
import AerieHTTP
import AerieTelemetry
import ErrorMapping
import Serving

extension InferenceConnection {
    /// Refuses a prediction by its head, where it would wait for its model longer than it may.
    func refuseUnread(_ exchange: HTTPExchange, _ head: UnsafeRawBufferPointer) -> Bool {
        guard exchange.head.method == .post else { return false }
        let route = HTTPRoute(UnsafeRawBufferPointer(rebasing: head[exchange.head.path]))
        guard route.isPrediction, route.predictor == nil else { return false }
        let named = UnsafeRawBufferPointer(rebasing: head[exchange.head.seldonModel])
        // Whoever is not found is told so once the request is read.
        guard let deployment = try? findDeployment(route, seldonModel: route.kind == .predictions ? named : nil) else {
            return false
        }
        let plan = state.choose(deployment) { exchange.header($0, in: head) }
        do throws(AerieError) {
            try admit(plan, exchange, head)
            return false
        } catch {
            begin(exchange, route, head)
            state.route(to: plan)
            let isSeldon = route.kind == .predictions
            if isSeldon { writeSeldonError(error, exchange) } else { writeError(error, exchange) }
            record(exchange, plan.served.metricsSlot, error.code.httpStatus, isSeldon ? .predictions : .infer)
            return true
        }
    }

    /// As `LoopState.admit`, by a request's head.
    func admit(_ plan: PredictorPlan, _ exchange: HTTPExchange, _ head: UnsafeRawBufferPointer) throws(AerieError) {
        guard state.pool.isPressed else { return }
        // A body in chunks does not tell its length.
        let length = exchange.head.contentLength ?? 0
        let described = exchange.head.inferenceHeaderLength
        let json = described.isEmpty ? nil : decimalNumber(UnsafeRawBufferPointer(rebasing: head[described]))
        try state.admit(plan, bytes: length - min(json ?? 0, length), isText: json == nil)
    }
}
