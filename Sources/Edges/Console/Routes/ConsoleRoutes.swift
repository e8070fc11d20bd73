import AerieCore
import AerieJSON
import AerieResources
import ErrorMapping
import Experiments
import Foundation
public import Hummingbird
public import Logging
import NIOCore
import Pipelines
import Registry
import Serving

/// The console's addresses, all below `/console`.
public struct ConsoleRoutes: Sendable {
    let services: ConsoleServices
    let logger: Logger

    public init(services: ConsoleServices, logger: Logger) {
        self.services = services
        self.logger = logger
    }

    public func register(on router: Router<some RequestContext>) {
        router.get("/") { _, _ in Response.redirect(to: "/console", type: .found) }
        let asset: @Sendable (String, String) -> Response = { text, type in
            Response(
                status: .ok, headers: [.contentType: type, .cacheControl: "max-age=300"],
                body: .init(byteBuffer: ByteBuffer(string: text)))
        }
        router.get("/console/style.css") { _, _ in asset(ConsoleStyle.css, "text/css; charset=utf-8") }
        router.get("/console/script.js") { _, _ in asset(ConsoleScript.javaScript, "text/javascript; charset=utf-8") }
        router.get("/console/icon.svg") { _, _ in asset(ConsoleIcon.file, "image/svg+xml") }
        registerPages(on: router)
        registerRuns(on: router)
        registerCompare(on: router)
        registerModels(on: router)
        registerArtifacts(on: router)
        registerTraces(on: router)
        registerFeatures(on: router)
        registerActions(on: router)
        registerExplanations(on: router)
        page(router, "/console/**") { request, _ throws(AerieError) in
            throw .notFound("there is no page \(request.uri.path)")
        }
    }

    /// A page at an address; what it throws becomes a page too.
    func page<Context: RequestContext>(
        _ router: Router<Context>, _ path: RouterPath,
        _ make: @escaping @Sendable (Request, Context) async throws(AerieError) -> ConsolePage
    ) {
        router.get(path) { request, context -> Response in
            do throws(AerieError) { return try await make(request, context).response(version: services.version) } catch
            {
                return failure(error, request: request)
            }
        }
    }

    func failure(_ error: AerieError, request: Request) -> Response {
        if error.code == .internal {
            logger.error("console page failed", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
        }
        return ErrorPage.page(error, path: request.uri.path)
            .response(version: services.version, status: .init(code: error.httpStatus))
    }

    private func registerPages(on router: Router<some RequestContext>) {
        page(router, "/console") { _, _ throws(AerieError) in try await home() }
        page(router, "/console/experiments") { _, _ throws(AerieError) in try await experiments() }
        page(router, "/console/models") { _, _ throws(AerieError) in
            ModelPages.list(try await services.registry.searchModels(limit: 500).elements, now: services.clock.now())
        }
        page(router, "/console/pipelines") { _, _ throws(AerieError) in
            PipelinePages.list(
                pipelines: try await list("Pipeline"),
                runs: try await services.runner.runs(PipelineRunFilter(limit: 100)),
                now: services.clock.now())
        }
        page(router, "/console/deployments") { _, _ in
            DeploymentPages.list(
                services.serving.states(), stats: { services.stats($0.name) }, now: services.clock.now())
        }
        page(router, "/console/deployments/:name") { _, context throws(AerieError) in
            let name = try parameter("name", context)
            guard let state = services.serving.state(named: name) else {
                throw .notFound("no deployment is named \(name)")
            }
            return DeploymentPages.deployment(
                state, stats: services.stats(name), inference: services.inferenceAddress(), now: services.clock.now())
        }
        page(router, "/console/deployments/:name/latency") { request, context throws(AerieError) in
            let name = try parameter("name", context)
            guard services.serving.state(named: name) != nil else { throw .notFound("no deployment is named \(name)") }
            let chosen = request.uri.queryParameters.get("trace")
            return LatencyPage.page(name, services.latency(name), chosen: chosen)
        }
        page(router, "/console/resources") { _, _ throws(AerieError) in
            var all: [Resource] = []
            for kind in services.resources.kinds.all { all += try await list(kind.name) }
            return ResourcePages.list(all, now: services.clock.now())
        }
        page(router, "/console/resources/:namespace/:kind/:name") { _, context throws(AerieError) in
            let key = ResourceKey(
                kind: try parameter("kind", context), namespace: try parameter("namespace", context),
                name: try parameter("name", context))
            return ResourcePages.resource(
                try await services.resources.get(key), audit: try await services.resources.audit(key))
        }
    }

    func parameter(_ name: String, _ context: some RequestContext) throws(AerieError) -> String {
        guard let value = context.parameters.get(name)?.removingPercentEncoding, !value.isEmpty else {
            throw .invalid(name, "is missing in the address")
        }
        return value
    }

    private func list(_ kind: String) async throws(AerieError) -> [Resource] {
        try await services.resources.store.list(kind: kind, namespace: nil)
    }

    private func home() async throws(AerieError) -> ConsolePage {
        let counts = HomePage.Counts(
            experiments: try await services.experiments.searchExperiments(limit: 1000).elements.count,
            models: try await services.registry.searchModels(limit: 1000).elements.count,
            pipelines: try await list("Pipeline").count, deployments: services.serving.states().count)
        return HomePage.page(
            counts: counts, runs: try await services.runner.runs(PipelineRunFilter(limit: 20)),
            deployments: services.serving.states(), stats: { services.stats($0.name) },
            dataDirectory: services.dataDirectory, now: services.clock.now())
    }

    /// Counts from the newest runs of all in one search; an experiment without any of them is asked for its last run.
    private func experiments() async throws(AerieError) -> ConsolePage {
        let found = try await services.experiments.searchExperiments(limit: 200).elements
        let newest = try await services.experiments.searchRuns(in: found.map(\.id), limit: 400)
        let byExperiment = Dictionary(grouping: newest.elements, by: \.info.experimentID)
        let isMore = newest.next != nil
        var items: [(experiment: Experiment, runs: (count: Int, isMore: Bool)?, last: Timestamp?)] = []
        for experiment in found {
            let runs = byExperiment[experiment.id] ?? []
            var last = runs.map(\.info.startTime).max()
            if runs.isEmpty, isMore {
                last = try await services.experiments.searchRuns(in: [experiment.id], limit: 1).elements.first?.info
                    .startTime
            }
            let isEmpty = runs.isEmpty && last == nil
            items.append((experiment, runs.isEmpty && !isEmpty ? nil : (runs.count, isMore && !isEmpty), last))
        }
        return ExperimentPages.list(items, now: services.clock.now())
    }
}
