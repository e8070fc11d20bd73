import AerieCore
import AerieData
public import AerieGRPC
import AerieHTTP
import AerieTelemetry
import AerieWire
import ErrorMapping
import NIOCore
import Serving

extension GRPCService {
    /// `seldon.protos.Seldon`, answered on the plane's loops. The deployment is named by the metadata `seldon`, and
    /// `namespace`; where only one is served, it need not be.
    public static func seldon(_ plane: InferencePlane) -> GRPCService {
        GRPCService(name: "seldon.protos.Seldon", methods: [
            "Predict": GRPCMethod(.unary) { call, message in
                SeldonCall(state: plane.state(for: call.eventLoop), call: call).predict(message)
            },
            "SendFeedback": GRPCMethod(.unary) { call, message in
                SeldonCall(state: plane.state(for: call.eventLoop), call: call).takeFeedback(message)
            },
            "ModelMetadata": GRPCMethod(.unary) { call, message in
                SeldonCall(state: plane.state(for: call.eventLoop), call: call).describeModel(message)
            },
            "GraphMetadata": GRPCMethod(.unary) { call, _ in
                SeldonCall(state: plane.state(for: call.eventLoop), call: call).describeGraph()
            },
        ])
    }
}

/// One call of Seldon's service. Lives on its event loop, hence `@unchecked Sendable`.
private final class SeldonCall: @unchecked Sendable {
    private let state: LoopState
    private let call: GRPCCall
    private let start = monotonicNanoseconds()
    /// How often it has waited for its model.
    private var wakes = 0

    init(state: LoopState, call: GRPCCall) {
        self.state = state
        self.call = call
    }

    private func deployment() throws(AerieError) -> DeploymentPlan {
        guard let name = call.header("seldon") ?? call.header("seldon-model"), !name.isEmpty else {
            if let only = state.plan.only { return only }
            throw .invalid("seldon", "the metadata names no deployment, and several or none are served")
        }
        let namespace = call.header("namespace")
        let found = state.plan.deployments.first { $0.served.name == name }
        guard let found, namespace == nil || namespace == found.served.namespace else {
            throw .notFound("there is no deployment \(name)\(namespace.map { " in \($0)" } ?? "")")
        }
        return found
    }

    /// Whether the message waits for a model that sleeps; it is then answered once that is in memory.
    private func waits(_ message: ByteBuffer) throws(AerieError) -> Bool {
        guard let asked = call.header("seldon") ?? call.header("seldon-model") else { return false }
        guard let name = Array(asked.utf8).withUnsafeBytes({ state.sleepingName($0) }) else { return false }
        try state.checkWakes(wakes, name)
        wakes += 1
        let deadline = state.plan.table.limits(ofSleeping: name).deadline(of: call.deadline, start: start)
        try state.wake(name, deadline: deadline, interest: call.interest) { [self] result in
            call.onEarlyEnd = nil
            switch result {
            case .success: predict(message)
            case .failure(let error): fail(error, -1)
            }
        }
        call.onEarlyEnd = { [self] status in record(-1, status) }
        return true
    }

    func predict(_ message: ByteBuffer) {
        var slot = -1
        state.begin(at: start, "seldon.protos.Seldon/Predict") { call.traceContext }
        call.tell(state.flow.note)
        do throws(AerieError) {
            if try waits(message) { return }
            let deployment = try deployment()
            deployment.served.touch(start >> 20)
            if let only = deployment.predictors.first, deployment.predictors.count == 1 {
                slot = only.served.metricsSlot
                // Numbers are FP64 here, whatever the model takes: no less than half of them would be.
                try state.admit(only, bytes: message.readableBytes / 2, isText: false)
            }
            let envelope = try read(message) { bytes throws(AerieError) in try SeldonProtobuf.read(bytes) }
            state.scratch.clear()
            var puid = envelope.message.meta.puid
            if puid.isEmpty { puid = call.header("seldon-puid") ?? state.newPuid() }
            let plan = choose(deployment, envelope, puid)
            slot = plan.served.metricsSlot
            state.route(to: plan)
            tap(message, puid)
            try plan.checkMessage(message.readableBytes, "request")
            var run = try SeldonRun(plan, envelope, puid: puid, service: .grpc)
            run.deadline = plan.deadline(of: call.deadline, start: start)
            let result = try state.run(run, interest: call.interest) { [self, run] result in
                call.onEarlyEnd = nil
                finish(run, result)
            }
            if let result { return finish(run, result) }
            call.onEarlyEnd = { [self] status in record(slot, status) }
        } catch {
            fail(error, slot)
        }
    }

    /// Keeps the request where its deployment logs requests.
    private func tap(_ message: ByteBuffer, _ puid: String) {
        guard let tap = state.flow.tap, call.header("seldon-skip-logging") == nil else { return }
        message.withUnsafeReadableBytes { tap.take($0, type: Self.messageType, id: puid, spoken: "seldon") }
    }

    private static let messageType = "application/x-protobuf"

    private func log(_ answer: [UInt8]?) {
        guard let tap = state.flow.tap, state.flow.timeline.start == start else { return }
        state.log(tap, answer: answer.map { ($0, Self.messageType, "") })
    }

    private func fail(_ error: AerieError, _ slot: Int) {
        state.noteFailure(error.message)
        log(nil)
        call.finish(error)
        record(slot, error.code.grpcStatus)
    }

    private func choose(_ deployment: DeploymentPlan, _ envelope: SeldonEnvelope, _ puid: String) -> PredictorPlan {
        let sticky = deployment.served.sticky
        if let key = sticky?.header.flatMap({ call.header($0) })
            ?? sticky?.column.flatMap({ envelope.message.text(ofColumn: $0) })
        {
            return deployment.plan(of: deployment.served.pick(key: key.utf8))
        }
        return deployment.plan(of: deployment.served.pick(key: puid.utf8))
    }

    private func finish(_ run: SeldonRun, _ result: Result<GraphMessage, AerieError>) {
        let slot = run.plan.served.metricsSlot
        do throws(AerieError) {
            let answer = try result.get()
            state.flow.timeline.markSerialize()
            let payload = try SeldonPayload(answer, as: run.envelope.form)
            let message = try SeldonProtobuf.write(payload, meta: answer.meta)
            try run.plan.checkMessage(message.count, "answer")
            log(message)
            call.finish(ByteBuffer(bytes: message))
            record(slot, 0)
        } catch { fail(error, slot) }
    }

    private func record(_ slot: Int, _ code: Int) {
        let now = monotonicNanoseconds()
        state.metrics.record(slot: slot, service: .grpc, code: code, nanoseconds: now &- start)
        state.end(start, slot: slot, service: .grpc, code: code, now: now)
    }

    func takeFeedback(_ message: ByteBuffer) {
        do throws(AerieError) {
            let served = try deployment().served
            guard let service = state.options.feedback else {
                throw AerieError(.unsupported, "this server takes no feedback")
            }
            let feedback = try read(message) { bytes throws(AerieError) in try SeldonProtobuf.readFeedback(bytes) }
            let eventLoop = call.eventLoop
            Task { [self] in
                let result: Result<FeedbackService.Outcome, AerieError>
                do throws(AerieError) { result = .success(try await service.take(feedback, for: served)) } catch {
                    result = .failure(error)
                }
                eventLoop.execute {
                    switch result {
                    case .success(let outcome):
                        var writer = AerieWire.ProtobufWriter()
                        let meta = GraphMeta(puid: feedback.puid, routing: outcome.routing)
                        writer.field(2, bytes: SeldonProtobuf.write(meta))
                        self.call.finish(ByteBuffer(bytes: writer.bytes))
                    case .failure(let error): self.call.finish(error)
                    }
                }
            }
        } catch { call.finish(error) }
    }

    // MARK: Descriptions

    /// SeldonModelMetadata {name 1, versions 2, platform 3, inputs 4, outputs 5} of a node by its name; of the graph's
    /// first model without one.
    func describeModel(_ message: ByteBuffer) {
        do throws(AerieError) {
            let deployment = try deployment()
            let name = try read(message) { bytes throws(AerieError) -> String in
                var name = ""
                var reader = AerieWire.ProtobufReader(bytes)
                while let field = try reader.next() {
                    if field.number == 1, field.wire == 2 { name = try reader.text() } else { try reader.skip(field) }
                }
                return name
            }
            let models = deployment.served.models
            guard let found = name.isEmpty ? models.first : models.first(where: { $0.name == name }) else {
                throw .notFound("the deployment has no model \(name); it has \(models.map(\.name).joined(separator: ", "))")
            }
            call.finish(ByteBuffer(bytes: Self.write(found)))
        } catch { call.finish(error) }
    }

    /// SeldonGraphMetadata {name 1, models 2, inputs 3, outputs 4}.
    func describeGraph() {
        do throws(AerieError) {
            let deployment = try deployment()
            var writer = AerieWire.ProtobufWriter()
            writer.field(1, text: deployment.served.predictors[0].name)
            for model in deployment.served.models {
                var entry = AerieWire.ProtobufWriter()
                entry.field(1, text: model.name)
                entry.field(2, bytes: Self.write(model))
                writer.field(2, bytes: entry.bytes)
            }
            let description = deployment.served.predictors[0].model.description
            for spec in description.inputs { writer.field(3, bytes: Self.write(spec)) }
            for spec in description.outputs { writer.field(4, bytes: Self.write(spec)) }
            call.finish(ByteBuffer(bytes: writer.bytes))
        } catch { call.finish(error) }
    }

    private static func write(_ model: ServedModel) -> [UInt8] {
        var writer = AerieWire.ProtobufWriter()
        writer.field(1, text: model.name)
        writer.field(2, text: model.version)
        writer.field(3, text: model.description.platform)
        for spec in model.description.inputs { writer.field(4, bytes: write(spec)) }
        for spec in model.description.outputs { writer.field(5, bytes: write(spec)) }
        return writer.bytes
    }

    /// SeldonMessageMetadata {messagetype 1, name 3, datatype 4, shape 5}.
    private static func write(_ spec: TensorSpec) -> [UInt8] {
        var writer = AerieWire.ProtobufWriter()
        writer.field(1, text: "tensor")
        writer.field(3, text: spec.name)
        writer.field(4, text: spec.dataType.rawValue)
        var packed = AerieWire.ProtobufWriter()
        for size in spec.shape { packed.varint(UInt64(bitPattern: Int64(size))) }
        writer.field(5, bytes: packed.bytes)
        return writer.bytes
    }

    private func read<Value>(
        _ message: ByteBuffer, _ body: (UnsafeRawBufferPointer) throws(AerieError) -> Value
    ) throws(AerieError) -> Value {
        let result = message.withUnsafeReadableBytes { bytes -> Result<Value, AerieError> in
            do throws(AerieError) { return .success(try body(bytes)) } catch { return .failure(error) }
        }
        return try result.get()
    }
}
