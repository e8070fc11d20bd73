import AerieCore
import AerieHTTP
import AerieJSON
import ErrorMapping
import NIOCore
import Serving

/// What is asked about models and of their repository, Triton's extensions of the protocol. None of it is hot.
extension InferenceConnection {
    func answerRepository(_ exchange: HTTPExchange, _ route: HTTPRoute, _ body: UnsafeRawBufferPointer) {
        do throws(AerieError) {
            switch route.kind {
            case .statistics: write(exchange, try statisticsJSON(route))
            case .modelConfig: write(exchange, try configJSON(route))
            case .repositoryIndex: write(exchange, try indexJSON(body))
            case .repositoryLoad, .repositoryUnload: try change(exchange, route, body)
            case .logging, .traceSetting:
                let isLogging = route.kind == .logging
                guard exchange.head.method != .post else { throw Self.fixedSetting(isLogging) }
                write(exchange, isLogging ? serverSettings.logging.text() : serverSettings.tracing.text())
            default:
                throw AerieError(
                    .unsupported, "shared memory is not carried out; send tensors in the request (JSON or binary)")
            }
        } catch { writeError(error, exchange) }
    }

    private var serverSettings: ServerSettings { ServerSettings(logLevel: state.options.logLevel) }

    private static func fixedSetting(_ isLogging: Bool) -> AerieError {
        AerieError(
            .unsupported,
            isLogging
                ? "what is logged is decided at the start: aerie up --log-level"
                : "traces are not switched by requests")
    }

    private func statisticsJSON(_ route: HTTPRoute) throws(AerieError) -> String {
        let version = route.version.map { String(decoding: $0, as: UTF8.self) } ?? ""
        let deployments = route.model == nil ? state.plan.deployments : [try findDeployment(route, seldonModel: nil)]
        let forms = StatisticsForm.of(deployments, version: version, state.statistics.bySlot())
        if !version.isEmpty, forms.isEmpty { throw .notFound("the model has no version \(version)") }
        return JSONValue.object(["model_stats": .array(forms.map(\.json))]).text()
    }

    private func configJSON(_ route: HTTPRoute) throws(AerieError) -> String {
        let deployment = try findDeployment(route, seldonModel: nil)
        guard let version = route.version else {
            return ModelConfigForm(deployment, deployment.predictors[0]).json.text()
        }
        guard let predictor = deployment.predictor(version: version) else { throw noSuchVersion(deployment, version) }
        return ModelConfigForm(deployment, predictor).json.text()
    }

    private func indexJSON(_ body: UnsafeRawBufferPointer) throws(AerieError) -> String {
        var onlyReady = false
        if !body.isEmpty {
            let asked: JSONValue
            do throws(JSONError) { asked = try JSONValue.parse(Array(body)) } catch {
                throw error.asAerieError(in: "request body")
            }
            onlyReady = asked["ready"]?.bool ?? false
        }
        return JSONValue.array(
            RepositoryIndex(state).lines(onlyReady: onlyReady).map {
                [
                    "name": .string($0.name), "version": .string($0.version), "state": .string($0.state),
                    "reason": .string($0.reason),
                ]
            }).text()
    }

    /// Loads or unloads, and answers once it is done.
    private func change(
        _ exchange: HTTPExchange, _ route: HTTPRoute, _ body: UnsafeRawBufferPointer
    ) throws(AerieError) {
        guard let repository = state.options.repository, let model = route.model else {
            throw AerieError(.unsupported, "this server has no model repository")
        }
        let isLoad = route.kind == .repositoryLoad
        let name = String(decoding: model, as: UTF8.self)
        let asked = isLoad ? try RepositoryRequest(json: body) : RepositoryRequest()
        isBusy = true
        let eventLoop = state.eventLoop
        Task { [self] in
            let result: Result<Void, AerieError>
            do throws(AerieError) {
                if isLoad {
                    try await repository.load(name, policy: asked.policy, files: asked.files)
                } else {
                    try await repository.unload(name)
                }
                result = .success(())
            } catch { result = .failure(error) }
            eventLoop.execute {
                self.complete(exchange) {
                    switch result {
                    case .success: self.write(exchange, "{}")
                    case .failure(let error): self.writeError(error, exchange)
                    }
                }
            }
        }
    }
}

/// Settings as Triton tells them.
struct ServerSettings {
    /// By the names of swift-log.
    let logLevel: String

    private static let levels = ["trace", "debug", "info", "notice", "warning", "error", "critical"]
    private func logs(_ level: String) -> Bool {
        (Self.levels.firstIndex(of: logLevel) ?? 2) <= (Self.levels.firstIndex(of: level) ?? 2)
    }

    var verbosity: Int { logLevel == "trace" ? 2 : logLevel == "debug" ? 1 : 0 }
    var flags: [(name: String, value: Bool)] {
        [("log_info", logs("info")), ("log_warning", logs("warning")), ("log_error", logs("error"))]
    }

    var logging: JSONValue {
        var settings = JSONObject([("log_file", "")])
        for flag in flags { settings[flag.name] = .bool(flag.value) }
        settings["log_verbose_level"] = .int(Int64(verbosity))
        settings["log_format"] = "default"
        return .object(settings)
    }

    static let tracing: [(name: String, values: [String])] = [
        ("trace_level", ["OFF"]), ("trace_rate", ["1000"]), ("trace_count", ["-1"]), ("log_frequency", ["0"]),
        ("trace_file", [""]), ("trace_mode", ["opentelemetry"]),
    ]

    var tracing: JSONValue {
        .object(
            JSONObject(
                Self.tracing.map { setting in
                    let values = setting.values.map { JSONValue.string($0) }
                    return (setting.name, setting.name == "trace_level" ? .array(values) : values[0])
                }))
    }
}

/// The repository's models, loaded or not: a line for each version that answers, one for each model that does not.
struct RepositoryIndex {
    private let plan: ServingPlan
    private let states: [DeploymentState]

    init(_ state: LoopState) {
        plan = state.plan
        states = state.options.repository?.index() ?? []
    }

    func lines(onlyReady: Bool) -> [(name: String, version: String, state: String, reason: String)] {
        var lines: [(name: String, version: String, state: String, reason: String)] = []
        let reasons = Dictionary(states.map { ($0.name, $0.reason) }) { first, _ in first }
        for deployment in plan.deployments {
            let reason = reasons[deployment.served.name] ?? ""
            for version in versions(of: deployment) { lines.append((deployment.served.name, version, "READY", reason)) }
        }
        if onlyReady { return lines }
        let ready = Set(lines.map(\.name))
        for state in states where !ready.contains(state.name) {
            lines.append((state.name, "", state.state.rawValue, state.reason))
        }
        return lines.sorted { ($0.name, $0.version) < ($1.name, $1.version) }
    }
}
