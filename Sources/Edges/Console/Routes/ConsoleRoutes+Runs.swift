import AerieCore
import ErrorMapping
import Experiments
import Hummingbird
import NIOCore
import Pipelines
import Registry

extension ConsoleRoutes {
    func registerRuns(on router: Router<some RequestContext>) {
        router.get("/console/experiments/:id") { request, context -> Response in
            do throws(AerieError) {
                let experiment = try await services.experiments.experiment(ExperimentID(try parameter("id", context)))
                return try await runs(of: experiment, request)
            } catch { return failure(error, request: request) }
        }
        page(router, "/console/runs/:id") { request, context throws(AerieError) in
            try await run(try parameter("id", context), ChartOptions(request))
        }
        page(router, "/console/pipelines/runs/:id") { request, context throws(AerieError) in
            let run = try await services.runner.run(try parameter("id", context))
            let asked = request.uri.queryParameters["step"].map(String.init)
            let chosen =
                asked.flatMap { run[$0] } ?? run.steps.first { $0.state == .failed }
                ?? run.steps.first { $0.state == .running || $0.state == .waiting }
                ?? run.steps.last { $0.started != nil }
            var log = ""
            if let chosen { log = try await logEnd(run: run.id, step: chosen.name) }
            return PipelineRunPage.page(run, step: chosen, log: log, now: services.clock.now())
        }
    }

    /// The columns that were chosen last are the reader's own for this experiment, kept in a cookie.
    private func runs(of experiment: Experiment, _ request: Request) async throws(AerieError) -> Response {
        func values(_ name: String) -> [String] { FormFields.values(request.uri.query, of: name) }
        var query = RunsQuery(values: values)
        let path = "/console/experiments/\(urlEncoded(experiment.id.text))"
        if values("columns").last == "keep" || values("columns").last == "usual" {
            if values("columns").last == "usual" { query.columns = [] }
            var answer = Response.redirect(to: path + query.address, type: .normal)
            answer.headers[.setCookie] = query.columnsCookie(path: path)
            return answer
        }
        if query.columns.isEmpty { query.columns = RunsQuery.columns(inCookies: request.headers[.cookie]) }
        return try await runsTable(of: experiment, query).response(version: services.version)
    }

    /// One page out of the store, never a count of all. A wrong filter leaves the table empty and says where.
    private func runsTable(of experiment: Experiment, _ query: RunsQuery) async throws(AerieError) -> ConsolePage {
        var table = RunsTable(experiment: experiment, query: query, runs: [], now: services.clock.now())
        do throws(AerieError) {
            let found = try await services.experiments.searchRuns(
                in: [experiment.id], filter: query.filter, orderBy: query.order,
                view: query.deleted ? .deletedOnly : .activeOnly, limit: query.size, pageToken: query.token)
            table.runs = found.elements
            table.next = found.next?.token
        } catch {
            guard error.code == .invalidArgument else { throw error }
            table.problem = error.message
        }
        return table.page()
    }

    func query(_ name: String, _ request: Request) throws(AerieError) -> String {
        guard let value = request.uri.queryParameters[name[...]], !value.isEmpty else {
            throw .invalid(name, "is missing in the address")
        }
        return String(value)
    }

    /// The last part of a step's log, at most 256 KiB. A longer log's end is looked for by halving.
    private func logEnd(run: String, step: String) async throws(AerieError) -> String {
        let part: Int64 = 256 << 10
        let start = try await services.runner.log(run: run, step: step, offset: 0, limit: Int(part))
        guard start.nextOffset > part / 2 else { return start.text }
        var low: Int64 = 0
        var high: Int64 = 64 << 20
        while high - low > part / 4 {
            let middle = (low + high) / 2
            let found = try await services.runner.log(run: run, step: step, offset: middle, limit: 16 << 10)
            if found.nextOffset > middle { low = middle } else { high = middle }
        }
        guard low > part / 2 else { return start.text }
        let text = try await services.runner.log(run: run, step: step, offset: low - part / 2, limit: Int(part)).text
        return "…\n" + (text.firstIndex(of: "\n").map { String(text[text.index(after: $0)...]) } ?? text)
    }

    private func run(_ id: String, _ options: ChartOptions) async throws(AerieError) -> ConsolePage {
        let run = try await services.experiments.run(RunID(id))
        var histories: [(key: String, values: [Metric])] = []
        for metric in run.metrics.prefix(24) {
            let values = try await services.experiments.metricHistory(of: [run.info.id], key: metric.key, limit: 600)
            histories.append((metric.key, values.map(\.1)))
        }
        let versions = try await services.registry.searchVersions(filter: "run_id = '\(run.info.id.text)'", limit: 20)
            .elements
        var made: [RunPage.Made] = []
        for model in try await services.experiments.models(run.modelOutputs.prefix(20).map(\.modelID)) {
            let keys = versions.filter { $0.modelID == model.id }.map(\.key)
            made.append(.init(model: model, versions: keys, files: await files(at: model.artifactURI, limit: 50)))
        }
        return RunPage.page(
            run, experiment: try? await services.experiments.experiment(run.info.experimentID), histories: histories,
            files: await files(at: run.info.artifactURI, limit: 200), models: made, versions: versions.map(\.key),
            options: options, now: services.clock.now())
    }

    /// Every file below a place, folder by folder, up to a limit. What is not kept here shows as nothing.
    func files(at location: String, limit: Int) async -> RunPage.FileList {
        var found = RunPage.FileList(files: [], isCut: false)
        guard let root = try? ArtifactPath(location: location) else { return found }
        var folders = [root]
        var looked = 0
        while let folder = folders.popLast() {
            looked += 1
            guard looked <= 100, found.files.count < limit else {
                found.isCut = true
                break
            }
            for entry in (try? await services.artifacts.list(folder)) ?? [] {
                let path = folder.appending(entry.path.components.last.flatMap { try? ArtifactPath($0) } ?? .root)
                if entry.isDirectory {
                    folders.append(path)
                } else {
                    let shown = path.components.dropFirst(root.components.count).joined(separator: "/")
                    found.files.append((shown, entry.size ?? 0))
                }
            }
        }
        if found.files.count > limit { found = .init(files: Array(found.files.prefix(limit)), isCut: true) }
        found.files.sort { $0.path < $1.path }
        return found
    }
}
