import AerieCore
import AerieData
import AerieHTTP
import AerieJSON
import AerieTelemetry
import ErrorMapping
import NIOCore
import Serving

/// Seldon's protocol in every form: what the path of plain rows in `InferenceConnection+Seldon` does not answer.
extension InferenceConnection {
    /// - Parameter puid: of the request's header, or one that was made.
    func predictMessage(
        _ exchange: HTTPExchange, _ deployment: DeploymentPlan, puid: String, _ request: UnsafeRawBufferPointer,
        _ body: UnsafeRawBufferPointer
    ) throws(AerieError) {
        let value = try seldonBody(exchange, request, body)
        let envelope = try SeldonJSON.read(value)
        let puid = envelope.message.meta.puid.isEmpty ? puid : envelope.message.meta.puid
        let plan = chooseForMessage(deployment, envelope, puid: puid, exchange, request)
        state.route(to: plan)
        var run = try SeldonRun(plan, envelope, puid: puid, service: .predictions)
        run.deadline = try deadline(plan.served.limits, exchange, request)
        let event = CloudEventHead(exchange, request, puid: puid, deployment: plan.deploymentName)
        let result = try state.run(run, interest: interest) { [self, run] result in
            complete(exchange) { writeMessage(result, run, event, exchange) }
        }
        if let result { writeMessage(result, run, event, exchange) } else { isBusy = true }
    }

    private func chooseForMessage(
        _ deployment: DeploymentPlan, _ envelope: SeldonEnvelope, puid: String, _ exchange: HTTPExchange,
        _ request: UnsafeRawBufferPointer
    ) -> PredictorPlan {
        if let column = deployment.served.sticky?.column, let key = envelope.message.text(ofColumn: column) {
            return deployment.plan(of: deployment.served.pick(key: key.utf8))
        }
        state.scratch.clear()
        let kept = Array(puid.utf8).withUnsafeBytes { state.scratch.keep($0) }
        return state.choose(deployment, puid: kept) { exchange.header($0, in: request) }
    }

    /// The message in a request's body: JSON, or JSON in the field `json` of a form, or a form's parts.
    func seldonBody(
        _ exchange: HTTPExchange, _ request: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer
    ) throws(AerieError) -> JSONValue {
        let type = exchange.header("content-type", in: request).map { String(decoding: $0, as: UTF8.self) } ?? ""
        if let form = try SeldonForm(body, contentType: type) { return try form.message() }
        do throws(JSONError) { return try JSONValue.parse(Array(body)) } catch {
            throw error.asAerieError(in: "request body")
        }
    }

    private func writeMessage(
        _ result: Result<GraphMessage, AerieError>, _ run: SeldonRun, _ event: CloudEventHead?, _ exchange: HTTPExchange
    ) {
        let slot = run.plan.served.metricsSlot
        do throws(AerieError) {
            let answer = try result.get()
            state.flow.timeline.markSerialize()
            let payload = try SeldonPayload(answer, as: run.envelope.form)
            let json = try SeldonJSON.write(payload, meta: answer.meta)
            writeSeldon(json.utf8(), puid: answer.meta.puid, event, exchange)
            record(exchange, slot, 200, .predictions)
        } catch {
            writeSeldonError(error, exchange)
            record(exchange, slot, error.code.httpStatus, .predictions)
        }
    }

    func writeSeldon(_ json: [UInt8], puid: String, _ event: CloudEventHead?, _ exchange: HTTPExchange) {
        let answer = Array(puid.utf8).withUnsafeBytes {
            HTTPAnswer(
                200, .json, keepsAlive: exchange.keepsAlive, isHTTP10: exchange.head.isHTTP10, puid: $0, isSeldon: true,
                lines: event?.lines ?? [], date: state.date, into: &state.out)
        }
        state.out.writeBytes(json)
        answer.end(&state.out)
    }

    /// `POST /api/v1.0/feedback`
    func takeFeedback(
        _ exchange: HTTPExchange, _ route: HTTPRoute, _ request: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer
    ) {
        do throws(AerieError) {
            let named = UnsafeRawBufferPointer(rebasing: request[exchange.head.seldonModel])
            let deployment = try findDeployment(route, seldonModel: named)
            guard let service = state.options.feedback else {
                throw AerieError(.unsupported, "this server takes no feedback")
            }
            let value = try seldonBody(exchange, request, body)
            var feedback = try Self.feedback(value)
            if feedback.puid.isEmpty {
                feedback.puid = String(decoding: request[exchange.head.seldonPuid], as: UTF8.self)
            }
            let asked = feedback
            isBusy = true
            let (eventLoop, served) = (state.eventLoop, deployment.served)
            Task { [self] in
                let result: Result<FeedbackService.Outcome, AerieError>
                do throws(AerieError) { result = .success(try await service.take(asked, for: served)) } catch {
                    result = .failure(error)
                }
                eventLoop.execute { self.complete(exchange) { self.writeFeedback(result, asked, exchange) } }
            }
        } catch { writeSeldonError(error, exchange) }
    }

    private static func feedback(_ value: JSONValue) throws(AerieError) -> Feedback {
        guard value.object != nil else { throw .invalid("", "feedback is an object") }
        guard let reward = value["reward"] == nil ? 0 : value["reward"]?.double else {
            throw .invalid("reward", "is no number")
        }
        var request: (meta: GraphMeta, envelope: SeldonEnvelope?)?
        if let asked = value["request"], !asked.isNull {
            let meta = try SeldonJSON.readMeta(asked["meta"])
            let hasPayload = asked.object?.keys.contains { $0 == "data" || $0.hasSuffix("Data") } ?? false
            request = (meta, hasPayload ? try SeldonJSON.read(asked) : nil)
        }
        let response = try value["response"].map { value throws(AerieError) in try SeldonJSON.readMeta(value["meta"]) }
        let said = value["truth"].flatMap { $0.object?.members.isEmpty == false ? $0 : nil }
        let truth = try said.map { value throws(AerieError) in try SeldonJSON.read(value) }
        return Feedback(request: request, response: response, reward: reward, truth: truth)
    }

    private func writeFeedback(
        _ result: Result<FeedbackService.Outcome, AerieError>, _ feedback: Feedback, _ exchange: HTTPExchange
    ) {
        switch result {
        case .success(let outcome):
            let meta = GraphMeta(puid: feedback.puid, routing: outcome.routing)
            let json: JSONValue = ["meta": SeldonJSON.write(meta), "status": ["code": 200, "status": "SUCCESS"]]
            writeSeldon(json.utf8(), puid: feedback.puid, nil, exchange)
        case .failure(let error): writeSeldonError(error, exchange)
        }
    }
}

/// What a request that is a CloudEvent gets back: an event of its own, in header fields.
struct CloudEventHead: Sendable {
    /// Header lines, each with its end.
    let lines: [UInt8]

    /// `nil` for a request that is no event.
    init?(_ exchange: HTTPExchange, _ request: UnsafeRawBufferPointer, puid: String, deployment: String) {
        guard let version = exchange.header("ce-specversion", in: request) else { return nil }
        let path = String(decoding: request[exchange.head.path], as: UTF8.self)
        // What the caller wrote goes back only where it cannot end a line.
        let known = version.allSatisfy { $0 > 0x20 && $0 < 0x7f } ? String(decoding: version, as: UTF8.self) : "1.0"
        lines = Array(
            ("Ce-Id: \(puid)\r\nCe-Specversion: \(known)\r\nCe-Path: \(path)\r\n"
                + "Ce-Type: io.seldon.serving.inference.response\r\nCe-Source: /seldon/\(deployment)\r\n").utf8)
    }
}
