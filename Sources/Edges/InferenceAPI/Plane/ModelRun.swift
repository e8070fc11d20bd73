import AerieCore
import AerieData
import AerieHTTP
import AerieTelemetry
import ErrorMapping
import NIOCore
import Serving

/// What a request says about how it is to be run.
struct RequestTerms: Sendable, Equatable {
    /// 1 is the most urgent; 0 for the model's default.
    var priority = 0
    /// Nanoseconds that it may wait for its model, which is Triton's `timeout`; 0 for no limit.
    var timeout: UInt64 = 0
    var deadline = RequestDeadline()
}

extension LoopState {
    /// Runs a job that may be slow: answered from the cache, put together with others, run here if it is estimated to
    /// be quick, else on the pool.
    ///
    /// - Returns: the result, or `nil` if it will come later through `completion`, on this loop.
    /// - Parameter interest: ended once nobody waits for the answer: work that has not begun is left out, and
    ///   `completion` is not called.
    /// - Throws: `resourceExhausted` if the pool's queue is full; `deadlineExceeded`; what the batcher refuses.
    func run(
        _ job: ModelJob, _ service: ServiceKind, interest: Interest,
        completion: @escaping @Sendable (Result<[Tensor], AerieError>) -> Void
    ) throws(AerieError) -> Result<[Tensor], AerieError>? {
        let completion = keepingFlow(completion)
        defer { takeRun() }
        guard isLogged(job.plan) else { return try begin(job, service, interest, completion) }
        var job = job
        job.logID = scratch.id.map { Array(scratch.text[$0]) } ?? []
        let logged = job
        let result = try begin(job, service, interest) { [self] result in
            log(logged, result)
            completion(result)
        }
        if let result { log(logged, result) }
        return result
    }

    private func begin(
        _ job: ModelJob, _ service: ServiceKind, _ interest: Interest,
        _ completion: @escaping @Sendable (Result<[Tensor], AerieError>) -> Void
    ) throws(AerieError) -> Result<[Tensor], AerieError>? {
        try within(job.terms.deadline, interest, completion) { interest, completion throws(AerieError) in
            try answer(job, service, interest: interest, completion: completion)
        }
    }

    private func answer(
        _ job: ModelJob, _ service: ServiceKind, interest: Interest,
        completion: @escaping @Sendable (Result<[Tensor], AerieError>) -> Void
    ) throws(AerieError) -> Result<[Tensor], AerieError>? {
        guard job.plan.cachesAnswers, let cache = options.responseCache else {
            return try compute(job, service, interest: interest, completion: completion)
        }
        let start = monotonicNanoseconds()
        let key = job.key
        if let outputs = cache.answer(for: key) {
            job.plan.executions.recordHit(rows: job.rows, nanoseconds: monotonicNanoseconds() &- start)
            return .success(outputs)
        }
        let kept = KeptAnswer(key: key, cache: cache, shared: options.sharedResponses)
        if let shared = options.sharedResponses {
            try ask(shared, kept, job, service, interest: interest, completion: completion)
            return nil
        }
        job.plan.executions.recordMiss(nanoseconds: monotonicNanoseconds() &- start)
        return try compute(job, kept, service, interest: interest, completion: completion)
    }

    /// Computes an answer and keeps it.
    func compute(
        _ job: ModelJob, _ kept: KeptAnswer, _ service: ServiceKind, interest: Interest,
        completion: @escaping @Sendable (Result<[Tensor], AerieError>) -> Void
    ) throws(AerieError) -> Result<[Tensor], AerieError>? {
        let result = try compute(job, service, interest: interest) { result in
            kept.keep(result)
            completion(result)
        }
        if let result { kept.keep(result) }
        return result
    }

    private func compute(
        _ job: ModelJob, _ service: ServiceKind, interest: Interest,
        completion: @escaping @Sendable (Result<[Tensor], AerieError>) -> Void
    ) throws(AerieError) -> Result<[Tensor], AerieError>? {
        let arrived = monotonicNanoseconds()
        if let batcher = job.plan.batcher, case .tensors(let tensors) = job.input, let shape = BatchShape(tensors) {
            let call = ModelBatcher.Call(
                job: job, tensors: tensors, interest: interest, eventLoop: eventLoop, arrived: arrived
            ) { [self] result, times in
                record(job, service, result, times)
                completion(result)
            }
            try batcher.submit(call, shape: shape, on: pool)
            return nil
        }
        let executions = job.plan.executions
        if job.isQuick(within: options.inlineNanoseconds) {
            let result = job.run()
            let duration = monotonicNanoseconds() &- arrived
            if case .success = result { executions.record(rows: job.rows, requests: 1, queued: 0, computed: duration) }
            record(job, service, result, ModelRunTimes(start: arrived, end: arrived &+ duration))
            return result
        }
        let eventLoop = eventLoop
        let delay = job.plan.served.limits.queueDelay
        do throws(AerieError) { try pool.enter(delay) } catch {
            rest()
            throw error
        }
        executions.begin()
        pool.perform { [pool] in
            defer {
                executions.end()
                pool.leave()
            }
            if interest.hasEnded { return }
            let start = monotonicNanoseconds()
            let isLate = job.terms.timeout > 0 && start &- arrived >= job.terms.timeout
            let result = isLate ? .failure(Self.late) : job.run()
            let duration = monotonicNanoseconds() &- start
            if !isLate { pool.record(waited: start &- arrived, service: duration, delay) }
            if case .success = result {
                executions.record(rows: job.rows, requests: 1, queued: start &- arrived, computed: duration)
            }
            eventLoop.execute {
                let times = ModelRunTimes(queued: arrived, start: start, end: start &+ duration)
                if !isLate { self.record(job, service, result, times) }
                if interest.hasEnded { self.lastRun = nil } else { completion(result) }
            }
        }
        return nil
    }

    private static let late = AerieError(
        .deadlineExceeded, "the request's timeout passed before a thread was free", reason: "serving.timeout")

    private func record(
        _ job: ModelJob, _ service: ServiceKind, _ result: Result<[Tensor], AerieError>, _ times: ModelRunTimes
    ) {
        noteRun(times)
        // A graph counts its nodes, each by its own name.
        if job.plan.served.graph != nil { return }
        let code =
            switch result {
            case .success: service.success
            case .failure(let error): service.isHTTP ? error.code.httpStatus : error.code.grpcStatus
            }
        metrics.recordModel(
            slot: job.plan.served.metricsSlot, service: service, code: code, nanoseconds: times.end &- times.start)
    }
}

/// One call of a model with its own memory, to be run on any thread.
struct ModelJob: Sendable {
    enum Input: Sendable {
        case tensors([Tensor])
        case rows([UInt8], count: Int)
    }

    let plan: PredictorPlan
    let input: Input
    let rows: Int
    let terms: RequestTerms
    /// The request's id, if its predictions are to be logged; empty where it has none.
    var logID: [UInt8]?

    init(_ plan: PredictorPlan, tensors: [Tensor], _ terms: RequestTerms) {
        self.plan = plan
        self.terms = terms
        input = .tensors(tensors)
        rows = max(1, tensors.first?.shape.first ?? 1)
    }

    init(_ plan: PredictorPlan, rows: UnsafeRawPointer, count: Int, _ terms: RequestTerms) {
        self.plan = plan
        self.terms = terms
        let size = plan.featureCount * (plan.rowType == .fp64 ? 8 : 4)
        input = .rows(Array(UnsafeRawBufferPointer(start: rows, count: size * count)), count: count)
        self.rows = count
    }

    /// Whether it is run on its loop, at once.
    func isQuick(within nanoseconds: Double) -> Bool {
        plan.batcher == nil && plan.nanosecondsPerRow * Double(rows) <= nanoseconds
    }

    var key: ResponseKey {
        switch input {
        case .tensors(let tensors): ResponseKey(model: plan.served.modelIdentity, inputs: tensors)
        case .rows(let bytes, let count): ResponseKey(model: plan.served.modelIdentity, rows: bytes, count: count)
        }
    }

    func run() -> Result<[Tensor], AerieError> {
        switch input {
        case .tensors(let tensors):
            do throws(AerieError) {
                let outputs = try plan.model.infer(tensors)
                guard outputs.count == plan.outputs.count else {
                    throw AerieError(.internal, "the model gave \(outputs.count) outputs, not \(plan.outputs.count)")
                }
                return .success(outputs)
            } catch { return .failure(error) }
        case .rows(let bytes, let count):
            guard let model = plan.tabular, let spec = plan.outputs.first else {
                return .failure(AerieError(.internal, "the model takes no rows"))
            }
            // An array's memory is aligned to 16 bytes, which is enough for its elements.
            let size = count * plan.outputCount * (spec.dataType.byteCount ?? 8)
            let result = [UInt8](unsafeUninitializedCapacity: size) { output, used in
                bytes.withUnsafeBytes { input in
                    if let rows = input.baseAddress, let base = output.baseAddress {
                        model.predict(rows: rows, count: count, into: base)
                        used = size
                    }
                }
            }
            let shape = outputShape(plan, rows: count)
            return .success([Tensor(name: spec.name, dataType: spec.dataType, shape: shape, bytes: result)])
        }
    }
}
