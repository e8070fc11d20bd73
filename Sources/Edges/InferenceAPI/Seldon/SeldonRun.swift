import AerieCore
import AerieData
import AerieHTTP
import AerieJSON
import AerieTelemetry
import ErrorMapping
import NIOCore
import Serving

/// One request by Seldon's protocol, in whatever form and by whichever way it came, run on the predictor that it was
/// led to.
struct SeldonRun: Sendable {
    let plan: PredictorPlan
    var envelope: SeldonEnvelope
    let service: ServiceKind
    var deadline = RequestDeadline()
    /// Takes what happens at the graph's nodes, where somebody looks.
    fileprivate(set) var trail: GraphTrail?
    /// The message as it came, where features have been read for it.
    private(set) var asked: GraphMessage?

    /// - Parameter puid: of the request's header; empty to take the message's own.
    /// - Throws: `invalidArgument` for a puid that no header field can hold.
    init(
        _ plan: PredictorPlan, _ envelope: SeldonEnvelope, puid: String, service: ServiceKind
    ) throws(AerieError) {
        self.plan = plan
        self.envelope = envelope
        self.service = service
        guard puid.utf8.count <= 256, puid.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            throw .invalid("meta.puid", "must be at most 256 visible ASCII characters")
        }
        // What others have said of the request's way is not this graph's.
        self.envelope.message.meta = GraphMeta(puid: puid, tags: envelope.message.meta.tags)
    }

    private var rows: Int {
        if case .tensors(let tensors) = envelope.message.payload { return max(1, tensors.first?.shape.first ?? 1) }
        return 1
    }

    var estimatedNanoseconds: Double { plan.nanosecondsPerRow * Double(rows) }

    /// What the answer says about the way that the request went, before the graph adds to it.
    private func complete(_ answer: GraphMessage) -> GraphMessage {
        var answer = answer
        answer.meta.routing[plan.deploymentName] = plan.index
        return answer
    }

    /// Blocks for as long as the model takes.
    func run() -> Result<GraphMessage, AerieError> {
        do throws(AerieError) {
            if let graph = plan.served.graph {
                let answer = try graph.run(
                    envelope.message, service: service, deadline: deadline.instant, trail: trail)
                return .success(complete(answer))
            }
            var message = envelope.message
            message.payload = .tensors(try plan.served.model.infer(try plan.served.inputs(of: message)))
            message.names = []
            message.meta.requestPath[plan.served.modelName] = plan.served.modelURI
            return .success(complete(message))
        } catch { return .failure(error) }
    }

    /// The request with its rows filled from the feature store; `nil` for one that brings everything along.
    func fetch() throws(AerieError) -> FeatureFetch? {
        guard let binding = plan.features, let columns = envelope.message.namedColumns else { return nil }
        return try FeatureFetch(binding, columns)
    }

    func filled(_ fetch: FeatureFetch, _ read: ReadFeatures) throws(AerieError) -> SeldonRun {
        var run = self
        let report = read.report
        run.asked = envelope.message
        run.envelope.message.payload = .tensors([try fetch.rows(read.features)])
        run.envelope.message.names = []
        for parameter in report.parameters {
            switch parameter.value {
            case .text(let text): run.envelope.message.meta.tags[parameter.name] = .string(text)
            case .number(let number): run.envelope.message.meta.tags[parameter.name] = .int(number)
            }
        }
        return run
    }
}

extension LoopState {
    /// Runs a request: here if it is estimated to be quick, else on the pool. Reads features first where the deployment
    /// names a feature service.
    ///
    /// - Returns: the answer, or `nil` if it will come later through `completion`, on this loop.
    /// - Parameter interest: ended once nobody waits for the answer: `completion` is not called then.
    /// - Throws: `resourceExhausted` if the pool's queue is full; what the request itself has wrong.
    func run(
        _ run: SeldonRun, interest: Interest,
        completion: @escaping @Sendable (Result<GraphMessage, AerieError>) -> Void
    ) throws(AerieError) -> Result<GraphMessage, AerieError>? {
        var run = run
        run.trail = trail(run.plan)
        let followed = run
        return try within(run.deadline, interest, keepingFlow(completion)) { interest, completion throws(AerieError) in
            try begin(followed, interest, completion)
        }
    }

    /// For a graph whose request is traced, or whose nodes have copies made.
    private func trail(_ plan: PredictorPlan) -> GraphTrail? {
        guard let graph = plan.served.graph, flow.note != nil || flow.tap != nil && graph.logsNodes else { return nil }
        let trail = GraphTrail()
        flow.note?.trail = trail
        flow.tap?.trail = trail
        return trail
    }

    private func begin(
        _ run: SeldonRun, _ interest: Interest,
        _ completion: @escaping @Sendable (Result<GraphMessage, AerieError>) -> Void
    ) throws(AerieError) -> Result<GraphMessage, AerieError>? {
        guard let fetch = try run.fetch() else { return try compute(run, interest, completion) }
        if let read = try readFeatures(fetch, run.plan, run.service) {
            return try compute(try run.filled(fetch, read), interest, completion)
        }
        readFeaturesLater(fetch, run.plan, run.service, interest: interest) { [self] result in
            do throws(AerieError) {
                let filled = try run.filled(fetch, try result.get())
                if let answer = try compute(filled, interest, completion) { completion(answer) }
            } catch { completion(.failure(error)) }
        }
        return nil
    }

    private func compute(
        _ run: SeldonRun, _ interest: Interest,
        _ completion: @escaping @Sendable (Result<GraphMessage, AerieError>) -> Void
    ) throws(AerieError) -> Result<GraphMessage, AerieError>? {
        if run.estimatedNanoseconds <= options.inlineNanoseconds {
            let start = monotonicNanoseconds()
            let result = run.run()
            settle(run, result, ModelRunTimes(start: start, end: monotonicNanoseconds()))
            if case .success(let answer) = result { log(run, answer) }
            takeRun()
            return result
        }
        // Features have been read since the request began: that is to be told, too.
        let completion = keepingFlow(completion)
        let queued = monotonicNanoseconds()
        let eventLoop = eventLoop
        let delay = run.plan.served.limits.queueDelay
        try pool.enter(delay)
        pool.perform { [self] in
            defer { pool.leave() }
            if interest.hasEnded { return }
            let start = monotonicNanoseconds()
            let result = run.run()
            let times = ModelRunTimes(queued: queued, start: start, end: monotonicNanoseconds())
            pool.record(waited: start &- queued, service: times.end &- start, delay)
            eventLoop.execute {
                self.settle(run, result, times)
                if interest.hasEnded { return self.lastRun = nil }
                if case .success(let answer) = result { self.log(run, answer) }
                completion(result)
            }
        }
        return nil
    }

    /// Counts, and gives shadows their copy.
    private func settle(_ run: SeldonRun, _ result: Result<GraphMessage, AerieError>, _ times: ModelRunTimes) {
        let plan = run.plan
        noteRun(times)
        if plan.served.graph == nil {
            let code =
                switch result {
                case .success: run.service.success
                case .failure(let error): run.service.isHTTP ? error.code.httpStatus : error.code.grpcStatus
                }
            metrics.recordModel(
                slot: plan.served.metricsSlot, service: run.service, code: code,
                nanoseconds: times.end &- times.start)
        }
        guard case .success(let answer) = result, case .tensors(let tensors) = answer.payload, let first = tensors.first
        else { return }
        count(plan, rows: first.shape.first ?? 1, tensors)
        if let shadowed = plan.shadowed {
            options.shadows?.submit(.init(inputs: .message(run.envelope.message), answer: first), to: shadowed)
        }
    }

    // MARK: Shadows of requests that need no message

    /// Gives shadows a copy of rows that were predicted here. Nothing is copied where there is none.
    func mirror(_ plan: PredictorPlan, _ rows: UnsafeRawPointer, _ count: Int) {
        guard let shadowed = plan.shadowed, let shadows = options.shadows, let spec = plan.outputs.first else { return }
        let size = count * plan.featureCount * (plan.rowType == .fp64 ? 8 : 4)
        let answer = Tensor(
            name: spec.name, dataType: spec.dataType, shape: outputShape(plan, rows: count),
            bytes: Array(scratch.results.bytes))
        let bytes = Array(UnsafeRawBufferPointer(start: rows, count: size))
        shadows.submit(
            .init(inputs: .rows(bytes, type: plan.rowType, count: count, columns: plan.featureCount), answer: answer),
            to: shadowed)
    }

    /// The same for what ran as a job.
    func mirror(_ job: ModelJob, _ outputs: [Tensor]) {
        let plan = job.plan
        guard let shadowed = plan.shadowed, let shadows = options.shadows, let answer = outputs.first else { return }
        switch job.input {
        case .tensors(let tensors): shadows.submit(.init(inputs: .tensors(tensors), answer: answer), to: shadowed)
        case .rows(let bytes, let count):
            shadows.submit(
                .init(
                    inputs: .rows(bytes, type: plan.rowType, count: count, columns: plan.featureCount), answer: answer),
                to: shadowed)
        }
    }

    // MARK: Choosing

    /// The predictor for a request: by the sticky header's value, by its puid where it has one, else by chance.
    /// - Parameter header: looked up only where the deployment is sticky by one.
    func choose(
        _ deployment: DeploymentPlan, puid: Range<Int>? = nil, header: (String) -> UnsafeRawBufferPointer?
    ) -> PredictorPlan {
        if deployment.predictors.count == 1 { return deployment.predictors[0] }
        if let name = deployment.served.sticky?.header, let value = header(name), !value.isEmpty {
            return deployment.plan(of: deployment.served.pick(key: value))
        }
        if let puid { return deployment.plan(of: deployment.served.pick(key: scratch.text[puid])) }
        return deployment.pick(random())
    }

    /// The predictor that an input's value leads to; `nil` where the deployment is not sticky by a column, or the
    /// request has none of that name. An input that is no column of the model is taken out of the request.
    func chooseByColumn(
        _ deployment: DeploymentPlan, body: UnsafeRawBufferPointer
    ) throws(AerieError) -> PredictorPlan? {
        guard let name = deployment.served.sticky?.column, deployment.predictors.count > 1,
            let index = scratch.inputs.firstIndex(where: { scratch.string($0.name) == name })
        else { return nil }
        let tensors = try TensorBuilder(scratch: scratch, body: body).build()
        guard let key = GraphMessage(.tensors([tensors[index]])).text(ofColumn: name) else { return nil }
        let plan = deployment.plan(of: deployment.served.pick(key: key.utf8))
        let isColumn = plan.featureNames.contains(Array(name.utf8)) || plan.inputs.contains { $0.name == name }
        if plan.features == nil, !isColumn { scratch.inputs.remove(at: index) }
        return plan
    }

    /// The client's own name for its request, where a header field can hold it; else a new puid.
    func puid(named id: [UInt8]) -> String {
        let isFit = !id.isEmpty && id.count <= 256 && id.allSatisfy { $0 > 0x20 && $0 < 0x7f }
        return isFit ? String(decoding: id, as: UTF8.self) : newPuid()
    }

    /// A new puid as text.
    func newPuid() -> String { scratch.string(keepNewPuid()) }
}

extension DeploymentPlan {
    func plan(of served: ServedPredictor) -> PredictorPlan {
        for predictor in predictors where predictor.served === served { return predictor }
        return predictors[0]
    }
}
