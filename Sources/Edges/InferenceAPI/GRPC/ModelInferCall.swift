import AerieCore
import AerieData
import AerieGRPC
import AerieHTTP
import AerieTelemetry
import ErrorMapping
import NIOCore
import Serving

/// One `ModelInfer`, or one message of a `ModelStreamInfer`. Lives on its event loop, hence `@unchecked Sendable`.
final class ModelInferCall: @unchecked Sendable {
    private let state: LoopState
    private let call: GRPCCall
    private let isStream: Bool
    private let start = monotonicNanoseconds()
    private var slot = -1
    /// Who answers.
    private var routed: PredictorPlan?
    /// How often it has waited for its model.
    private var wakes = 0
    /// Whether the answer is to say that it is the last one of its request.
    private var marksFinal = false
    private var service: ServiceKind { isStream ? .grpcStream : .grpc }

    init(state: LoopState, call: GRPCCall, isStream: Bool) {
        self.state = state
        self.call = call
        self.isStream = isStream
    }

    func answer(_ message: ByteBuffer) {
        let result = message.withUnsafeReadableBytes { bytes -> Result<Void, AerieError> in
            do throws(AerieError) { return .success(try infer(bytes, message)) } catch { return .failure(error) }
        }
        if case .failure(let error) = result { fail(error) }
    }

    /// Refuses the call by the beginning of its message, before the rest has come.
    /// - Parameter length: bytes that the message will have.
    func meet(_ beginning: ByteBuffer, length: Int) {
        guard state.pool.isPressed else { return }
        let name = beginning.withUnsafeReadableBytes { Array(ModelInferReader.modelName(of: $0)) }
        guard let deployment = name.withUnsafeBytes({ state.plan.deployment(named: $0) }) else { return }
        let plan = choose(deployment)
        do throws(AerieError) { try admit(plan, length) } catch {
            state.begin(at: start, Self.operation) { call.traceContext }
            call.tell(state.flow.note)
            state.route(to: plan)
            fail(error)
        }
    }

    private func admit(_ plan: PredictorPlan, _ bytes: Int) throws(AerieError) {
        slot = plan.served.metricsSlot
        try state.admit(plan, bytes: bytes, isText: false)
    }

    private func infer(_ message: UnsafeRawBufferPointer, _ buffer: ByteBuffer) throws(AerieError) {
        state.begin(at: start, isStream ? Self.streamOperation : Self.operation) { call.traceContext }
        if !isStream { call.tell(state.flow.note) }
        let scratch = state.scratch
        scratch.clear()
        let request = try ModelInferReader(message, into: scratch)
        marksFinal = isStream && request.marksFinal
        guard let deployment = state.plan.deployment(named: request.modelName) else {
            if try waits(for: request.modelName, buffer) { return }
            throw .notFound("there is no model \(String(decoding: request.modelName.prefix(200), as: UTF8.self))")
        }
        deployment.served.touch(start >> 20)
        var plan = choose(deployment)
        if scratch.explain == nil { try admit(plan, message.count) }
        if !request.modelVersion.isEmpty {
            guard let named = deployment.predictor(version: request.modelVersion) else {
                throw .notFound(
                    "\(deployment.served.name) has no version \(String(decoding: request.modelVersion, as: UTF8.self))")
            }
            plan = named
        }
        slot = plan.served.metricsSlot
        state.route(to: plan)
        if let chosen = try state.chooseByColumn(deployment, body: message), request.modelVersion.isEmpty {
            plan = chosen
            state.route(to: plan)
        }
        slot = plan.served.metricsSlot
        tap(message)
        routed = plan
        try plan.checkMessage(message.count, "request")
        scratch.terms.deadline = plan.deadline(of: call.deadline, start: start)
        try BinaryTensors.readRaw(in: scratch, rowType: plan.directType)
        if let ask = scratch.explain { return try explain(plan, ask, message, id: Array(request.id)) }
        try state.selectOutputs(plan, into: &state.selection)
        if plan.served.graph != nil { return try inferGraph(plan, message, id: Array(request.id)) }
        if !request.id.isEmpty { scratch.id = scratch.keep(request.id) }
        let job: ModelJob
        let terms = scratch.terms
        if let features = plan.features {
            let tensors = try TensorBuilder(scratch: scratch, body: message).build()
            if let fetch = try FeatureFetch(features, tensors) {
                return try inferWithFeatures(plan, fetch, id: Array(request.id))
            }
            job = ModelJob(plan, tensors: tensors, terms)
        } else if let tabular = plan.tabular {
            let (rows, count) = try RowAssembler(plan: plan, scratch: scratch).assemble()
            try plan.checkRows(count)
            if plan.isInline(rows: count, within: state.options.inlineNanoseconds) {
                state.predict(plan, tabular, rows, count, service)
                state.count(plan, rows: count, scratch.results.bytes)
                state.mirror(plan, rows, count)
                let spec = plan.outputs[0]
                send(
                    response(plan, request.id, state.selection) { writer, _ in
                        Self.describe(spec.name, spec.dataType, outputShape(plan, rows: count), &writer)
                    } raw: { writer, _ in
                        writer.bytes(6, scratch.results.bytes)
                    })
                return
            }
            job =
                plan.isFast
                ? ModelJob(plan, rows: rows, count: count, terms)
                : ModelJob(plan, tensors: [rowTensor(plan, rows, count)], terms)
        } else {
            job = ModelJob(plan, tensors: try TensorBuilder(scratch: scratch, body: message).build(), terms)
        }
        try run(job, Asked(id: Array(request.id), selection: state.selection))
    }

    private static let operation = "inference.GRPCInferenceService/ModelInfer"
    private static let streamOperation = "inference.GRPCInferenceService/ModelStreamInfer"

    /// Whether the message waits for a model that sleeps; it is then answered once that is in memory.
    private func waits(for name: UnsafeRawBufferPointer, _ message: ByteBuffer) throws(AerieError) -> Bool {
        guard let name = state.sleepingName(name) else { return false }
        try state.checkWakes(wakes, name)
        wakes += 1
        let deadline = state.plan.table.limits(ofSleeping: name).deadline(of: call.deadline, start: start)
        try state.wake(name, deadline: deadline, interest: call.interest) { [self] result in
            call.onEarlyEnd = nil
            switch result {
            case .success: answer(message)
            case .failure(let error): fail(error)
            }
        }
        call.onEarlyEnd = { [self] status in record(status) }
        return true
    }

    /// What of a request is needed for its answer.
    private struct Asked: Sendable {
        var id: [UInt8]
        var selection: [SelectedOutput]
        var features: FeatureReport?
    }

    /// The header field of a sticky deployment is one of the call's metadata here.
    private func choose(_ deployment: DeploymentPlan) -> PredictorPlan {
        if let name = deployment.served.sticky?.header, let key = call.header(name), !key.isEmpty {
            return deployment.plan(of: deployment.served.pick(key: key.utf8))
        }
        return deployment.pick(state.random())
    }

    private func run(_ job: ModelJob, _ asked: Asked) throws(AerieError) {
        let connection = call.connection
        let entered = !job.isQuick(within: state.options.inlineNanoseconds)
        if entered { try state.enter(connection) }
        do throws(AerieError) {
            let result = try state.run(job, service, interest: call.interest) { [self] result in
                if entered { state.leave(connection) }
                call.onEarlyEnd = nil
                finish(job, asked, result)
            }
            guard let result else {
                return call.onEarlyEnd = { [self] status in
                    if entered { state.leave(connection) }
                    record(status)
                }
            }
            if entered { state.leave(connection) }
            finish(job, asked, result)
        } catch {
            if entered { state.leave(connection) }
            throw error
        }
    }

    /// Reads features, then runs the model: at once where the store is in this process.
    private func inferWithFeatures(
        _ plan: PredictorPlan, _ fetch: FeatureFetch, id: [UInt8]
    ) throws(AerieError) {
        try plan.checkRows(fetch.rows.count)
        var asked = Asked(id: id, selection: state.selection)
        if let read = try state.readFeatures(fetch, plan, service) {
            asked.features = read.report
            return try run(ModelJob(plan, tensors: [try fetch.rows(read.features)], state.scratch.terms), asked)
        }
        let terms = state.scratch.terms
        call.onEarlyEnd = { [self] status in record(status) }
        let kept = asked
        state.readFeaturesLater(fetch, plan, service, interest: call.interest) { [self] result in
            call.onEarlyEnd = nil
            do throws(AerieError) {
                let read = try result.get()
                var asked = kept
                asked.features = read.report
                try run(ModelJob(plan, tensors: [try fetch.rows(read.features)], terms), asked)
            } catch { fail(error) }
        }
    }

    private func finish(_ job: ModelJob, _ asked: Asked, _ result: Result<[Tensor], AerieError>) {
        switch result {
        case .success(let tensors):
            state.count(job.plan, rows: job.rows, tensors)
            state.mirror(job, tensors)
            send(
                response(job.plan, asked.id, asked.selection, asked.features?.parameters ?? []) { writer, output in
                    let tensor = tensors[output.index]
                    Self.describe(tensor.name, tensor.dataType, tensor.shape, &writer)
                } raw: { writer, output in
                    tensors[output.index].bytes.withUnsafeBytes { writer.bytes(6, $0) }
                })
        case .failure(let error): fail(error)
        }
    }

    /// A graph's answer, with what Seldon's `meta` tells as its parameters.
    private func inferGraph(
        _ plan: PredictorPlan, _ message: UnsafeRawBufferPointer, id: [UInt8]
    ) throws(AerieError) {
        let tensors = try TensorBuilder(scratch: state.scratch, body: message).build()
        let envelope = SeldonEnvelope(form: .tensor, message: GraphMessage(.tensors(tensors)))
        var run = try SeldonRun(plan, envelope, puid: state.puid(named: id), service: service)
        run.deadline = state.scratch.terms.deadline
        let selection = state.selection
        let result = try state.run(run, interest: call.interest) { [self, run] result in
            call.onEarlyEnd = nil
            finishGraph(run, result, id, selection)
        }
        if let result { return finishGraph(run, result, id, selection) }
        call.onEarlyEnd = { [self] status in record(status) }
    }

    private func finishGraph(
        _ run: SeldonRun, _ result: Result<GraphMessage, AerieError>, _ id: [UInt8], _ selection: [SelectedOutput]
    ) {
        do throws(AerieError) {
            let answer = try result.get()
            guard let graph = run.plan.served.graph else { throw AerieError(.internal, "the predictor is no graph") }
            let tensors = try graph.outputs(of: answer)
            send(
                response(run.plan, id, selection, answer.meta.parameters) { writer, output in
                    let tensor = tensors[output.index]
                    Self.describe(tensor.name, tensor.dataType, tensor.shape, &writer)
                } raw: { writer, output in
                    tensors[output.index].bytes.withUnsafeBytes { writer.bytes(6, $0) }
                })
        } catch { fail(error) }
    }

    /// The model's outputs, and `explanation` behind them.
    private func explain(
        _ plan: PredictorPlan, _ ask: ExplainAsk, _ message: UnsafeRawBufferPointer, id: [UInt8]
    ) throws(AerieError) {
        let tensors = try state.explainedTensors(plan, message, isWhole: false)
        var run = ExplainRun(plan: plan, message: GraphMessage(.tensors(tensors)), ask: ask, withOutputs: true)
        run.deadline = state.scratch.terms.deadline
        let selection = try state.selectExplained(plan, alone: false)
        try state.explain(run, service, interest: call.interest) { [self] result in
            call.onEarlyEnd = nil
            switch result {
            case .success(let answer):
                let outputs = answer.outputs + [answer.tensor]
                send(
                    response(plan, id, selection, answer.features?.parameters ?? []) { writer, output in
                        let tensor = outputs[output.index]
                        Self.describe(tensor.name, tensor.dataType, tensor.shape, &writer)
                    } raw: { writer, output in
                        outputs[output.index].bytes.withUnsafeBytes { writer.bytes(6, $0) }
                    })
            case .failure(let error): fail(error)
            }
        }
        call.onEarlyEnd = { [self] status in record(status) }
    }

    // MARK: Writing

    private func response(
        _ plan: PredictorPlan, _ id: some Collection<UInt8>, _ selection: [SelectedOutput],
        _ parameters: [(name: String, value: FeatureReport.Value)] = [],
        describe: (inout ProtobufWriter, SelectedOutput) -> Void, raw: (inout ProtobufWriter, SelectedOutput) -> Void
    ) -> ByteBuffer {
        state.flow.timeline.markSerialize()
        func body(_ writer: inout ProtobufWriter) {
            writer.text(1, plan.deploymentName.utf8)
            writer.text(2, plan.versionBytes)
            writer.text(3, id)
            for parameter in parameters { writer.message(4) { Self.parameter(parameter, &$0) } }
            if marksFinal { writer.message(4) { Self.flag("triton_final_response", &$0) } }
            for output in selection { writer.message(5) { describe(&$0, output) } }
            for output in selection { raw(&writer, output) }
        }
        // The loop's own memory, which is free again once the message has been copied into its frame.
        var buffer = state.message.capacity > 1 << 20 ? ByteBuffer() : state.message
        state.message = ByteBuffer()
        buffer.clear(minimumCapacity: 512)
        var writer = ProtobufWriter(buffer)
        buffer = ByteBuffer()
        if isStream { writer.message(2, body) } else { body(&writer) }
        state.message = writer.buffer
        return writer.buffer
    }

    /// An entry of the map of parameters: its name, and an `InferParameter` with a number (2) or a text (3).
    private static func parameter(
        _ parameter: (name: String, value: FeatureReport.Value), _ writer: inout ProtobufWriter
    ) {
        writer.text(1, parameter.name.utf8)
        writer.message(2) { value in
            switch parameter.value {
            case .number(let number):
                value.varint(2 << 3)
                value.varint(UInt64(bitPattern: number))
            case .text(let text): value.message(3) { $0.buffer.writeString(text) }
            }
        }
    }

    /// The same with a flag (1) that is set.
    private static func flag(_ name: StaticString, _ writer: inout ProtobufWriter) {
        writer.message(1) { $0.buffer.writeStaticString(name) }
        writer.message(2) { $0.flag(1, true) }
    }

    private static func describe(_ name: String, _ type: DataType, _ shape: [Int], _ writer: inout ProtobufWriter) {
        writer.text(1, name.utf8)
        writer.text(2, type.rawValue.utf8)
        writer.packed(3, shape)
    }

    /// Keeps the request where its deployment logs requests.
    private func tap(_ message: UnsafeRawBufferPointer) {
        guard let tap = state.flow.tap, call.header("seldon-skip-logging") == nil else { return }
        tap.take(message, type: Self.messageType, id: call.header("x-request-id") ?? "", spoken: "v2")
    }

    private static let messageType = "application/x-protobuf"

    private func log(_ answer: ByteBuffer?) {
        guard let tap = state.flow.tap, state.flow.timeline.start == start else { return }
        state.log(tap, answer: answer.map { (Array($0.readableBytesView), Self.messageType, "") })
    }

    private func send(_ message: ByteBuffer) {
        do throws(AerieError) { try routed?.checkMessage(message.readableBytes, "answer") } catch { return fail(error) }
        log(message)
        if isStream {
            call.send(message)
            record(0)
            // The next message may be looked at now.
            call.next()
        } else {
            call.finish(message)
            record(0)
        }
    }

    /// A stream tells an error in a message and goes on.
    private func fail(_ error: AerieError) {
        state.noteFailure(error.message)
        log(nil)
        if isStream {
            var writer = ProtobufWriter()
            writer.text(1, error.message.utf8)
            call.send(writer.buffer)
            record(error.code.grpcStatus)
            call.next()
        } else {
            call.finish(error)
            record(error.code.grpcStatus)
        }
    }

    private func record(_ code: Int) {
        let now = monotonicNanoseconds()
        state.metrics.record(slot: slot, service: service, code: code, nanoseconds: now &- start)
        state.end(start, slot: slot, service: service, code: code, now: now)
    }
}
