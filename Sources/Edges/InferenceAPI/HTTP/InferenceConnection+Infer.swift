import AerieCore
import AerieData
import AerieHTTP
import AerieTelemetry
import ErrorMapping
import NIOCore
import Serving

extension InferenceConnection {
    /// `POST /v2/models/{model}[/versions/{version}]/infer`
    func infer(
        _ exchange: HTTPExchange, _ route: HTTPRoute, _ request: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer
    ) {
        var slot = -1
        do throws(AerieError) {
            let deployment = try findDeployment(route, seldonModel: nil)
            deployment.served.touch(exchange.start >> 20)
            var plan = state.choose(deployment) { exchange.header($0, in: request) }
            if let version = route.version {
                guard let named = deployment.predictor(version: version) else {
                    throw noSuchVersion(deployment, version)
                }
                plan = named
            }
            slot = plan.served.metricsSlot
            state.route(to: plan)
            if route.predictor == nil { try admit(plan, exchange, request) }
            let length = exchange.head.inferenceHeaderLength
            let given = length.upperBound > 0 ? UnsafeRawBufferPointer(rebasing: request[length]) : nil
            // Whoever is led by a column's value, of any type, has the inputs kept as they are until it is known.
            let isWhole = deployment.served.sticky?.column != nil && deployment.predictors.count > 1
            try readInfer(plan, body, headerLength: given, isWhole: isWhole)
            if isWhole, route.version == nil, let chosen = try state.chooseByColumn(deployment, body: body) {
                plan = chosen
                state.route(to: plan)
            }
            slot = plan.served.metricsSlot
            state.scratch.terms.deadline = try deadline(plan.served.limits, exchange, request)
            if let ask = state.scratch.explain ?? (route.predictor == nil ? nil : .values) {
                return try explainInfer(plan, ask, body, exchange, isWhole: isWhole, alone: route.predictor != nil)
            }
            if try runInfer(plan, body, exchange, isWhole: isWhole) { record(exchange, slot, 200, .infer) }
        } catch {
            writeError(error, exchange)
            record(exchange, slot, error.code.httpStatus, .infer)
        }
    }

    func record(_ exchange: HTTPExchange, _ slot: Int, _ status: Int, _ service: ServiceKind) {
        let now = monotonicNanoseconds()
        state.metrics.record(slot: slot, service: service, code: status, nanoseconds: now &- exchange.start)
        state.end(exchange.start, slot: slot, service: service, code: status, now: now)
    }

    private func readInfer(
        _ plan: PredictorPlan, _ body: UnsafeRawBufferPointer, headerLength: UnsafeRawBufferPointer?, isWhole: Bool
    ) throws(AerieError) {
        let scratch = state.scratch
        scratch.clear()
        let rowType = isWhole ? nil : plan.directType
        var jsonLength = body.count
        if let headerLength {
            guard let length = decimalNumber(headerLength) else {
                throw .invalid("Inference-Header-Content-Length", "is not a whole number")
            }
            guard length <= body.count else {
                throw .invalid(
                    "Inference-Header-Content-Length", "\(length) is more than the body's \(body.count) bytes")
            }
            jsonLength = length
        }
        if headerLength != nil, jsonLength == 0 {
            try makeRawInput(plan, body)
        } else {
            var reader = InferJSONReader(
                UnsafeRawBufferPointer(rebasing: body[..<jsonLength]), into: scratch, rowType: rowType)
            try reader.read()
            try BinaryTensors(tail: UnsafeRawBufferPointer(rebasing: body[jsonLength...])).attach(to: scratch)
        }
        try BinaryTensors.readRaw(in: scratch, rowType: rowType)
    }

    /// A body that is one tensor and nothing else.
    private func makeRawInput(_ plan: PredictorPlan, _ body: UnsafeRawBufferPointer) throws(AerieError) {
        guard plan.inputs.count == 1, let spec = plan.inputs.first, let width = spec.dataType.byteCount,
            spec.shape.count(where: { $0 < 0 }) <= 1
        else {
            throw .invalid("", "a raw binary request needs a model with one input of numbers and one free dimension")
        }
        let fixed = spec.shape.filter { $0 >= 0 }.reduce(width, &*)
        guard fixed > 0, body.count % fixed == 0, body.count > 0 else {
            throw .invalid("", "\(body.count) bytes are not whole rows of \(spec.dataType.rawValue) \(spec.shape)")
        }
        var part = InputPart()
        part.name =
            spec.name.utf8.withContiguousStorageIfAvailable { state.scratch.keep(UnsafeRawBufferPointer($0)) }
            ?? 0..<0
        part.dims = 0..<spec.shape.count
        state.scratch.dims.append(contentsOf: spec.shape.map { $0 < 0 ? body.count / fixed : $0 })
        part.hasShape = true
        part.hasData = true
        part.dataType = spec.dataType
        part.raw = body
        part.binarySize = body.count
        state.scratch.inputs.append(part)
        state.scratch.binaryByDefault = true
    }

    /// - Returns: true if the answer is written, false if it will come from the pool.
    private func runInfer(
        _ plan: PredictorPlan, _ body: UnsafeRawBufferPointer, _ exchange: HTTPExchange, isWhole: Bool
    ) throws(AerieError) -> Bool {
        try state.selectOutputs(plan, into: &state.selection)
        if plan.served.graph != nil { return try inferGraph(plan, body, exchange) }
        let job: ModelJob
        let terms = state.scratch.terms
        if let features = plan.features {
            if try inferAssembled(plan, features, body, exchange) { return true }
            let tensors = try TensorBuilder(scratch: state.scratch, body: body).build()
            if let fetch = try FeatureFetch(features, tensors) { return try runWithFeatures(plan, fetch, exchange) }
            job = ModelJob(plan, tensors: tensors, terms)
        } else if let tabular = plan.tabular, !isWhole {
            let (rows, count) = try RowAssembler(plan: plan, scratch: state.scratch).assemble()
            try plan.checkRows(count)
            if plan.isInline(rows: count, within: state.options.inlineNanoseconds) {
                state.predict(plan, tabular, rows, count, .infer)
                state.count(plan, rows: count, state.scratch.results.bytes)
                state.mirror(plan, rows, count)
                writeInfer(plan, .rows(count: count), exchange)
                return true
            }
            job =
                plan.isFast
                ? ModelJob(plan, rows: rows, count: count, terms)
                : ModelJob(plan, tensors: [rowTensor(plan, rows, count)], terms)
        } else {
            job = ModelJob(plan, tensors: try TensorBuilder(scratch: state.scratch, body: body).build(), terms)
        }
        return try runSlowly(job, exchange)
    }

    /// The usual request to a model with features in this process, answered in the loop's own memory.
    /// - Returns: false if only the general way answers it.
    private func inferAssembled(
        _ plan: PredictorPlan, _ features: FeatureBinding, _ body: UnsafeRawBufferPointer, _ exchange: HTTPExchange
    ) throws(AerieError) -> Bool {
        guard let tabular = plan.tabular, let assembly = state.assembly(for: features),
            let count = assembly.take(state.scratch, body, plan, within: state.options.inlineNanoseconds)
        else { return false }
        try plan.checkRows(count)
        state.read(assembly, plan, .infer)
        state.predict(plan, tabular, assembly.rows.base, count, .infer)
        state.count(plan, rows: count, state.scratch.results.bytes)
        state.mirror(plan, assembly.rows.base, count)
        writeInfer(plan, .rows(count: count), exchange, assembly: assembly)
        return true
    }

    /// What of a request is needed for its answer, kept while others use the loop's scratch.
    struct Asked: Sendable {
        var id: [UInt8]?
        var selection: [SelectedOutput]
    }

    func keepAsked() -> Asked {
        Asked(id: state.scratch.id.map { Array(state.scratch.text[$0]) }, selection: state.selection)
    }

    /// Answers a request after others have used the scratch.
    func complete(_ exchange: HTTPExchange, _ asked: Asked, _ write: () -> Void) {
        complete(exchange) {
            state.scratch.clear()
            if let id = asked.id { state.scratch.id = id.withUnsafeBytes { state.scratch.keep($0) } }
            state.selection = asked.selection
            write()
        }
    }

    private func runSlowly(
        _ job: ModelJob, _ exchange: HTTPExchange, features: FeatureReport? = nil
    ) throws(AerieError) -> Bool {
        let asked = keepAsked()
        let result = try state.run(job, .infer, interest: interest) { [self] result in
            complete(exchange, asked) { finish(job, result, exchange, features) }
        }
        guard let result else {
            isBusy = true
            return false
        }
        finish(job, result, exchange, features)
        return false
    }

    /// Reads features, then runs the model: at once where the store is in this process.
    private func runWithFeatures(
        _ plan: PredictorPlan, _ fetch: FeatureFetch, _ exchange: HTTPExchange
    ) throws(AerieError) -> Bool {
        try plan.checkRows(fetch.rows.count)
        if let read = try state.readFeatures(fetch, plan, .infer) {
            return try runSlowly(
                ModelJob(plan, tensors: [try fetch.rows(read.features)], state.scratch.terms), exchange,
                features: read.report)
        }
        let asked = keepAsked()
        let terms = state.scratch.terms
        isBusy = true
        state.readFeaturesLater(fetch, plan, .infer, interest: interest) { [self] result in
            do throws(AerieError) {
                let read = try result.get()
                let job = ModelJob(plan, tensors: [try fetch.rows(read.features)], terms)
                let answer = try state.run(job, .infer, interest: interest) { [self] answer in
                    complete(exchange, asked) { finish(job, answer, exchange, read.report) }
                }
                if let answer { complete(exchange, asked) { finish(job, answer, exchange, read.report) } }
            } catch {
                complete(exchange, asked) {
                    writeError(error, exchange)
                    record(exchange, plan.served.metricsSlot, error.code.httpStatus, .infer)
                }
            }
        }
        return false
    }

    private func finish(
        _ job: ModelJob, _ result: Result<[Tensor], AerieError>, _ exchange: HTTPExchange, _ features: FeatureReport?
    ) {
        let plan = job.plan
        switch result {
        case .success(let tensors):
            state.count(plan, rows: job.rows, tensors)
            state.mirror(job, tensors)
            writeInfer(plan, .tensors(tensors), exchange, features?.parameters ?? [])
            record(exchange, plan.served.metricsSlot, 200, .infer)
        case .failure(let error):
            writeError(error, exchange)
            record(exchange, plan.served.metricsSlot, error.code.httpStatus, .infer)
        }
    }

    func writeInfer(
        _ plan: PredictorPlan, _ prediction: Prediction, _ exchange: HTTPExchange,
        _ parameters: [(name: String, value: FeatureReport.Value)] = [], assembly: FeatureAssembly? = nil
    ) {
        state.flow.timeline.markSerialize()
        var isBinary = false
        for output in state.selection where output.isBinary { isBinary = true }
        var jsonLengthEnd = 0
        let (keepsAlive, isHTTP10) = (exchange.keepsAlive, exchange.head.isHTTP10)
        let answer =
            if isBinary {
                HTTPAnswer(
                    200, .octets, keepsAlive: keepsAlive, isHTTP10: isHTTP10, date: state.date, into: &state.out
                ) { jsonLengthEnd = HTTPAnswer.reserveLength("Inference-Header-Content-Length:", &$0) }
            } else {
                HTTPAnswer.json(date: state.date, keepsAlive: keepsAlive, isHTTP10: isHTTP10, into: &state.out)
            }
        state.tail.clear()
        InferAnswer(plan: plan).writeJSON(
            prediction, id: state.scratch.id.map { state.scratch.text[$0] }, selection: state.selection,
            parameters: parameters, assembly: assembly, results: state.scratch.results.bytes, to: &state.out,
            tail: &state.tail)
        if isBinary {
            HTTPAnswer.fill(jsonLengthEnd, state.out.writerIndex - answer.bodyStart, &state.out)
            state.out.writeBuffer(&state.tail)
        }
        answer.end(&state.out)
    }
}

/// Rows as the tensor that a model's general path takes.
func rowTensor(_ plan: PredictorPlan, _ rows: UnsafeRawPointer, _ count: Int) -> Tensor {
    let size = count * plan.featureCount * (plan.rowType == .fp64 ? 8 : 4)
    return Tensor(
        name: plan.inputs.first?.name ?? "input", dataType: plan.rowType, shape: [count, plan.featureCount],
        bytes: Array(UnsafeRawBufferPointer(start: rows, count: size)))
}
