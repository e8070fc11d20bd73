import AerieCore
import AerieData
import AerieHTTP
import AerieTelemetry
import NIOCore
import Serving

/// Where an answer is kept once it is there.
struct KeptAnswer: Sendable {
    let key: ResponseKey
    let cache: ResponseCache
    let shared: (any SharedResponses)?

    /// Failures are not kept.
    func keep(_ result: Result<[Tensor], AerieError>) {
        guard case .success(let outputs) = result else { return }
        cache.keep(outputs, for: key)
        guard let shared else { return }
        Task { [key] in await shared.keep(ResponseCoding.encode(outputs), for: key) }
    }
}

extension LoopState {
    /// What a look-up in the shared cache may take; a model that is slower than the network to it gains, others do not.
    private static let patience = TimeAmount.milliseconds(10)

    /// Asks the cache that servers share, and computes the answer if it is not there in time.
    /// - Throws: `resourceExhausted` if too many requests wait.
    func ask(
        _ shared: any SharedResponses, _ kept: KeptAnswer, _ job: ModelJob, _ service: ServiceKind, interest: Interest,
        completion: @escaping @Sendable (Result<[Tensor], AerieError>) -> Void
    ) throws(AerieError) {
        let executions = job.plan.executions
        try pool.enter()
        executions.begin()
        let start = monotonicNanoseconds()
        let isDone = Interest()
        let goOn: @Sendable ([Tensor]?) -> Void = { [self] outputs in
            guard !isDone.hasEnded else { return }
            isDone.end()
            pool.leave()
            executions.end()
            guard !interest.hasEnded else { return }
            let duration = monotonicNanoseconds() &- start
            if let outputs {
                executions.recordHit(rows: job.rows, nanoseconds: duration)
                kept.cache.keep(outputs, for: kept.key)
                return completion(.success(outputs))
            }
            executions.recordMiss(nanoseconds: duration)
            do throws(AerieError) {
                let result = try compute(job, kept, service, interest: interest, completion: completion)
                if let result { completion(result) }
            } catch { completion(.failure(error)) }
        }
        let loop = eventLoop
        let timer = loop.scheduleTask(in: Self.patience) { goOn(nil) }
        Task {
            let outputs = await shared.answer(for: kept.key).flatMap(ResponseCoding.decode)
            loop.execute {
                timer.cancel()
                goOn(outputs)
            }
        }
    }
}
