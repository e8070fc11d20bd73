import AerieHTTP
import Serving
import AerieCore
import ErrorMapping
import NIOCore

extension InferenceConnection {
    /// Writes the answer to one request, or begins to make it on the pool.
    func answer(
        _ exchange: HTTPExchange, _ route: HTTPRoute, _ request: UnsafeRawBufferPointer, _ body: Range<Int>
    ) {
        let head = exchange.head
        if route.kind == .none {
            let path = String(decoding: request[head.path], as: UTF8.self)
            return writeError(404, "there is nothing at \(path.prefix(200))", exchange)
        }
        if head.method == .options { return answerOptions(exchange, route, request) }
        let fits = route.isPost ? head.method == .post : head.method == .get || head.method == .head
        let isAllowed = fits || route.isAnyMethod
        guard isAllowed else {
            return writeError(405, "use \(route.isPost ? "POST" : "GET") here", exchange, allow: route.methods)
        }
        let mayWait = !state.plan.table.sleeping.isEmpty && route.needsModel
        if mayWait, waitsForModel(exchange, route, request, body) { return }
        let encoding = UnsafeRawBufferPointer(rebasing: request[head.contentEncoding])
        if !encoding.isEmpty, !equalsIgnoringCase(encoding, "identity") {
            return answerPacked(exchange, route, request, body)
        }
        dispatch(exchange, route, request, UnsafeRawBufferPointer(rebasing: request[body]))
    }

    /// Answers by the route, once the body is plain.
    func dispatch(
        _ exchange: HTTPExchange, _ route: HTTPRoute, _ request: UnsafeRawBufferPointer, _ bytes: UnsafeRawBufferPointer
    ) {
        if route.isPrediction { begin(exchange, route, request) }
        switch route.kind {
        case .infer: infer(exchange, route, request, bytes)
        case .predictions: predictSeldon(exchange, route, request, bytes)
        case .feedback: takeFeedback(exchange, route, request, bytes)
        case .explain: explainSeldon(exchange, route, request, bytes)
        case .explainV1: explainV1(exchange, route, request, bytes)
        case .predictV1: predictV1(exchange, route, request, bytes)
        case _ where route.isRepository: answerRepository(exchange, route, bytes)
        default: answerOther(exchange, route)
        }
        if route.isPrediction { tapRequest(exchange, route, request, bytes) }
    }

    private func answerOther(_ exchange: HTTPExchange, _ route: HTTPRoute) {
        switch route.kind {
        case .live: write(exchange, "{\"live\":true}")
        case .ready: writeReady(exchange, "{\"ready\":true}", "{\"ready\":false}")
        case .plainLive: write(exchange, "{\"status\":\"ok\"}")
        case .plainReady: writeReady(exchange, "{\"status\":\"ok\"}", "{\"status\":\"draining\"}")
        case .liveV1: write(exchange, "{\"status\":\"alive\"}")
        case .ping: write(exchange, "\"pong\"")
        case .seldonStatus: write(exchange, "{\"data\":{},\"meta\":{}}", isSeldon: true)
        case .seldonDocument: write(exchange, SeldonDocument.text, isSeldon: true)
        case .modelsV1: write(exchange, modelListJSON(state.plan))
        case .server: write(exchange, serverMetadataJSON(version: state.options.version))
        case .models: write(exchange, modelListJSON(state.plan))
        case .metrics: writeMetrics(exchange)
        case .modelMetadata, .modelReady, .seldonMetadata, .modelV1, .modelMetadataV1:
            do throws(AerieError) {
                let deployment = try findDeployment(route, seldonModel: nil)
                if let version = route.version, deployment.predictor(version: version) == nil {
                    throw noSuchVersion(deployment, version)
                }
                if route.kind == .modelReady {
                    write(exchange, "{\"name\":\(quoted(deployment.served.name)),\"ready\":true}")
                } else if route.kind == .modelV1 {
                    write(exchange, modelStatusV1JSON(deployment))
                } else if route.kind == .modelMetadata || route.kind == .modelMetadataV1 {
                    write(exchange, modelMetadataJSON(deployment))
                } else {
                    write(exchange, try seldonMetadataJSON(deployment, model: route.model), isSeldon: true)
                }
            } catch { writeError(error, exchange) }
        default: writeError(404, "there is nothing here", exchange)
        }
    }

    // MARK: Finding the deployment

    func findDeployment(
        _ route: HTTPRoute, seldonModel: UnsafeRawBufferPointer?
    ) throws(AerieError) -> DeploymentPlan {
        let plan = state.plan
        if let name = route.deployment {
            guard let deployment = plan.deployment(named: name),
                route.namespace.map({ deployment.namespace.elementsEqual($0) }) ?? true
            else {
                let namespace = route.namespace.map { String(decoding: $0, as: UTF8.self) } ?? ""
                throw .notFound("there is no deployment \(String(decoding: name, as: UTF8.self)) in \(namespace)")
            }
            // Behind the prefix both the deployment's name and its graph's node are good names for the model.
            if let model = route.model, route.predictor == nil, !deployment.isNamed(model),
                !deployment.served.predictors.contains(where: { $0.modelName.utf8.elementsEqual(model) })
            {
                throw .notFound("the deployment has no model \(String(decoding: model, as: UTF8.self))")
            }
            return deployment
        }
        if !route.isSeldon, let name = route.model {
            guard let deployment = plan.deployment(named: name) else {
                throw .notFound("there is no model \(String(decoding: name, as: UTF8.self))")
            }
            return deployment
        }
        if let name = seldonModel, !name.isEmpty {
            guard let deployment = plan.deployment(named: name) else {
                throw .notFound("seldon-model: there is no deployment \(String(decoding: name, as: UTF8.self))")
            }
            return deployment
        }
        if let only = plan.only { return only }
        if plan.deployments.isEmpty { throw .notFound("nothing is deployed yet") }
        throw .invalid(
            "", "several deployments are served; use /seldon/{namespace}/{name}/api/v1.0/predictions or seldon-model")
    }

    func noSuchVersion(_ deployment: DeploymentPlan, _ version: UnsafeRawBufferPointer) -> AerieError {
        let versions = deployment.served.predictors.map(\.modelVersion).joined(separator: ", ")
        return .notFound(
            "\(deployment.served.name) has no version \(String(decoding: version, as: UTF8.self)), only \(versions)")
    }

    // MARK: Writing

    /// 503 while the server drains, so that probes and load balancers send nothing more.
    private func writeReady(_ exchange: HTTPExchange, _ ready: String, _ draining: String) {
        let isReady = state.readiness.isReady
        write(exchange, isReady ? ready : draining, status: isReady ? 200 : 503)
    }

    /// - Parameter puid: what the request is known by, for a header field.
    func write(
        _ exchange: HTTPExchange, _ json: String, isSeldon: Bool = false, status: Int = 200, puid: String = ""
    ) {
        let answer = Array(puid.utf8).withUnsafeBytes {
            HTTPAnswer(
                status, .json, keepsAlive: exchange.keepsAlive, isHTTP10: exchange.head.isHTTP10, puid: $0,
                isSeldon: isSeldon, date: state.date, into: &state.out)
        }
        state.out.writeString(json)
        end(answer, exchange)
    }

    /// Fills in the length; an answer to HEAD keeps it and loses its body.
    private func end(_ answer: HTTPAnswer, _ exchange: HTTPExchange) {
        answer.end(&state.out)
        if exchange.head.method == .head { state.out.moveWriterIndex(to: answer.bodyStart) }
    }

    func writeError(_ error: AerieError, _ exchange: HTTPExchange) {
        writeError(error.code.httpStatus, error.message, exchange)
    }

    func writeError(_ status: Int, _ message: String, _ exchange: HTTPExchange, allow: StaticString? = nil) {
        state.noteFailure(message)
        let answer = HTTPAnswer(
            status, .json, keepsAlive: exchange.keepsAlive, isHTTP10: exchange.head.isHTTP10, allow: allow,
            date: state.date, into: &state.out)
        state.out.writeStaticString("{\"error\":")
        state.out.writeQuoted(message.utf8)
        state.out.writeStaticString("}")
        end(answer, exchange)
    }

    private func writeMetrics(_ exchange: HTTPExchange) {
        guard let text = state.options.metricsText else {
            return writeError(404, "metrics are served on the control plane's port", exchange)
        }
        let eventLoop = state.eventLoop
        do throws(AerieError) {
            try state.pool.submit { [self] in
                let body = text()
                eventLoop.execute {
                    self.complete(exchange) {
                        let answer = HTTPAnswer(
                            200, .text, keepsAlive: exchange.keepsAlive, isHTTP10: exchange.head.isHTTP10,
                            date: self.state.date, into: &self.state.out)
                        self.state.out.writeString(body)
                        self.end(answer, exchange)
                    }
                }
            }
            isBusy = true
        } catch { writeError(503, "too many requests are waiting", exchange) }
    }
}
