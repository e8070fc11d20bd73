import AerieCore
import AerieHTTP
import NIOCore
import Serving

extension LoopState {
    /// The name as text, if it is that of a deployment whose models come into memory when they are asked for.
    func sleepingName(_ name: UnsafeRawBufferPointer) -> String? {
        guard !plan.table.sleeping.isEmpty, options.repository != nil, plan.deployment(named: name) == nil else {
            return nil
        }
        let text = String(decoding: name, as: UTF8.self)
        return plan.table.sleeping.contains(text) ? text : nil
    }

    /// A model may leave for others between its coming and the request that waited for it.
    func checkWakes(_ count: Int, _ name: String) throws(AerieError) {
        guard count >= 3 else { return }
        throw AerieError(
            .unavailable, "\(name) leaves memory for other models as soon as it is there; give the server more with "
                + "--model-memory, or try again shortly", reason: "serving.memory")
    }

    /// Brings a deployment's models into memory. `completion` is called on this loop, once, at the latest when the time
    /// for it or for the request is up; not at all if `interest` has ended. The plan then has the deployment.
    /// - Throws: `resourceExhausted` if too many requests wait, `deadlineExceeded` for a request that is late already.
    func wake(
        _ name: String, deadline: RequestDeadline = RequestDeadline(), interest: Interest,
        completion: @escaping @Sendable (Result<Void, AerieError>) -> Void
    ) throws(AerieError) {
        guard let repository = options.repository else { throw .notFound("there is no model \(name)") }
        let limit = options.loadTimeoutSeconds
        _ = try within(deadline, interest, completion) { interest, completion throws(AerieError) in
            try pool.enter()
            let isDone = Interest()
            let (loop, pool) = (eventLoop, pool)
            let finish: @Sendable (Result<Void, AerieError>) -> Void = { result in
                guard !isDone.hasEnded else { return }
                isDone.end()
                pool.leave()
                if !interest.hasEnded { completion(result) }
            }
            let timer = loop.scheduleTask(in: .seconds(Int64(limit))) { finish(.failure(.stillLoading(name, limit))) }
            Task {
                let result: Result<Void, AerieError>
                do throws(AerieError) {
                    try await repository.wake(name)
                    result = .success(())
                } catch { result = .failure(error) }
                loop.execute {
                    timer.cancel()
                    finish(result)
                }
            }
            return nil
        }
    }
}

extension AerieError {
    fileprivate static func stillLoading(_ name: String, _ seconds: Int) -> AerieError {
        AerieError(
            .unavailable, "\(name) is still being loaded after \(seconds) s; try again shortly",
            reason: "serving.loading")
    }
}

extension InferenceConnection {
    /// Whether the request waits for a model that sleeps; it is then answered once that is in memory.
    func waitsForModel(
        _ exchange: HTTPExchange, _ route: HTTPRoute, _ request: UnsafeRawBufferPointer, _ body: Range<Int>
    ) -> Bool {
        let header = UnsafeRawBufferPointer(rebasing: request[exchange.head.seldonModel])
        guard let asked = route.deployment ?? route.model ?? (header.isEmpty ? nil : header),
            let name = state.sleepingName(asked)
        else { return false }
        let kept = Array(request[..<body.upperBound])
        do throws(AerieError) {
            try state.checkWakes(wakes, name)
            let limits = state.plan.table.limits(ofSleeping: name)
            let deadline = try deadline(limits, exchange, request)
            try state.wake(name, deadline: deadline, interest: interest) { [self] result in
                complete(exchange) {
                    switch result {
                    case .success:
                        wakes += 1
                        kept.withUnsafeBytes { answer(exchange, $0, body) }
                    case .failure(let error): writeError(error, exchange)
                    }
                }
            }
            isBusy = true
        } catch { writeError(error, exchange) }
        return true
    }
}
