import AerieCore
import AerieData
import AerieHTTP
import AerieJSON
import AerieTelemetry
import Explain
import NIOCore
import Serving

/// What a request wants explained.
enum ExplainAsk: Sendable {
    case values
    /// How columns work together as well.
    case interactions
}

/// One request for an explanation, by whichever protocol it came.
struct ExplainRun: Sendable {
    let plan: PredictorPlan
    var message: GraphMessage
    let ask: ExplainAsk
    /// Whether the model's own outputs are in the answer too.
    var withOutputs = false
    var deadline = RequestDeadline()

    /// An explanation as the protocols answer it, made into text where there is time for it.
    struct Answer: Sendable {
        /// alibi's JSON, by itself and as an output.
        var json: String
        var tensor: Tensor
        var outputs: [Tensor] = []
        var features: FeatureReport?
    }

    /// Blocks for as long as the method takes.
    fileprivate func run(_ interest: Interest, features: FeatureReport?) -> Result<Answer, AerieError> {
        do throws(AerieError) {
            let explanation = try plan.served.explainer.explain(
                message, interactions: ask == .interactions, interest: interest)
            let json = explanation.json.text()
            var answer = Answer(json: json, tensor: Explanation.tensor(json), features: features)
            if withOutputs { answer.outputs = try plan.model.infer(try plan.served.inputs(of: message)) }
            return .success(answer)
        } catch { return .failure(error) }
    }
}

extension LoopState {
    /// Explains on the pool for explanations, after the features have been read where the deployment names a feature
    /// service. `completion` is called on this loop, once; not at all if `interest` has ended.
    /// - Throws: `resourceExhausted` if too many explanations are waiting; what the request itself has wrong.
    func explain(
        _ run: ExplainRun, _ service: ServiceKind, interest: Interest,
        completion: @escaping @Sendable (Result<ExplainRun.Answer, AerieError>) -> Void
    ) throws(AerieError) {
        // The answer always comes later.
        _ = try within(run.deadline, interest, completion) { interest, completion throws(AerieError) in
            try begin(run, service, interest, completion)
            return nil
        }
    }

    private func begin(
        _ run: ExplainRun, _ service: ServiceKind, _ interest: Interest,
        _ completion: @escaping @Sendable (Result<ExplainRun.Answer, AerieError>) -> Void
    ) throws(AerieError) {
        guard let binding = run.plan.features, let columns = run.message.namedColumns,
            let fetch = try FeatureFetch(binding, columns)
        else { return try submit(run, features: nil, interest, completion) }
        if let read = try readFeatures(fetch, run.plan, service) {
            return try submit(try run.filled(fetch, read), features: read.report, interest, completion)
        }
        readFeaturesLater(fetch, run.plan, service, interest: interest) { [self] result in
            do throws(AerieError) {
                let read = try result.get()
                try submit(try run.filled(fetch, read), features: read.report, interest, completion)
            } catch { completion(.failure(error)) }
        }
    }

    /// A request's inputs as tensors, however much of them has been read into rows already.
    func explainedTensors(
        _ plan: PredictorPlan, _ body: UnsafeRawBufferPointer, isWhole: Bool
    ) throws(AerieError) -> [Tensor] {
        guard plan.directType != nil, !isWhole else { return try TensorBuilder(scratch: scratch, body: body).build() }
        let (rows, count) = try RowAssembler(plan: plan, scratch: scratch).assemble()
        return [rowTensor(plan, rows, count)]
    }

    /// Which outputs a request with `explain` wants: the model's as ever, and `explanation` at the end, whether it is
    /// asked for by name or not.
    /// - Parameter alone: to leave the model's outputs out.
    func selectExplained(_ plan: PredictorPlan, alone: Bool) throws(AerieError) -> [SelectedOutput] {
        var isBinary = scratch.binaryByDefault
        let names = scratch.outputs.count
        scratch.outputs.removeAll { ask in
            guard scratch.string(ask.name) == "explanation" else { return false }
            isBinary = ask.isBinary ?? isBinary
            return true
        }
        let isOnly = alone || names > 0 && scratch.outputs.isEmpty
        try selectOutputs(plan, into: &selection)
        let models = isOnly ? [] : selection
        return models + [SelectedOutput(index: alone ? 0 : plan.outputs.count, isBinary: isBinary)]
    }

    private func submit(
        _ run: ExplainRun, features: FeatureReport?, _ interest: Interest,
        _ completion: @escaping @Sendable (Result<ExplainRun.Answer, AerieError>) -> Void
    ) throws(AerieError) {
        let eventLoop = self.eventLoop
        try explanations.submit {
            if interest.hasEnded { return }
            let result = run.run(interest, features: features)
            eventLoop.execute { if !interest.hasEnded { completion(result) } }
        }
    }
}

extension ExplainRun {
    fileprivate func filled(_ fetch: FeatureFetch, _ read: ReadFeatures) throws(AerieError) -> ExplainRun {
        var run = self
        run.message = GraphMessage(.tensors([try fetch.rows(read.features)]))
        return run
    }
}
