import AerieCore
import ErrorMapping
import Experiments
import Hummingbird
import NIOCore
import Pipelines
import Registry

extension ConsoleRoutes {
    func registerRuns(on router: Router<some RequestContext>) {
        page(router, "/console/experiments/:id") { _, context throws(AerieError) in
            let experiment = try await services.experiments.experiment(ExperimentID(try parameter("id", context)))
            let found = try await services.experiments.searchRuns(in: [experiment.id], limit: 500)
            return ExperimentPages.runs(
                of: experiment, found.elements, isCut: found.next != nil, now: services.clock.now())
        }
        page(router, "/console/runs/:id") { request, context throws(AerieError) in
            try await run(try parameter("id", context), folder: request.uri.queryParameters["folder"].map(String.init) ?? "")
        }
        page(router, "/console/runs/:id/artifact") { request, context throws(AerieError) in
            let run = try await services.experiments.run(RunID(try parameter("id", context)))
            return try await artifact(of: run, path: try query("path", request))
        }
        router.get("/console/runs/:id/file") { request, context -> Response in
            do throws(AerieError) {
                let run = try await services.experiments.run(RunID(try parameter("id", context)))
                return try await file(of: run, path: try query("path", request))
            } catch { return failure(error, request: request) }
        }
        page(router, "/console/compare") { request, _ throws(AerieError) in
            let ids = try query("runs", request).split(separator: ",").prefix(20).map { RunID(String($0)) }
            return try await comparison(ids)
        }
        page(router, "/console/pipelines/runs/:id") { request, context throws(AerieError) in
            let run = try await services.runner.run(try parameter("id", context))
            let asked = request.uri.queryParameters["step"].map(String.init)
            let chosen = asked.flatMap { run[$0] } ?? run.steps.first { $0.state == .failed }
                ?? run.steps.first { $0.state == .running || $0.state == .waiting } ?? run.steps.last { $0.started != nil }
            var log = ""
            if let chosen { log = try await services.runner.log(run: run.id, step: chosen.name, offset: 0).text }
            return PipelinePages.run(run, step: chosen, log: log, now: services.clock.now())
        }
    }

    func query(_ name: String, _ request: Request) throws(AerieError) -> String {
        guard let value = request.uri.queryParameters[name[...]], !value.isEmpty else {
            throw .invalid(name, "is missing in the address")
        }
        return String(value)
    }

    private func run(_ id: String, folder: String) async throws(AerieError) -> ConsolePage {
        let run = try await services.experiments.run(RunID(id))
        var histories: [(key: String, values: [Metric])] = []
        for metric in run.metrics.prefix(12) {
            let values = try await services.experiments.metricHistory(of: [run.info.id], key: metric.key, limit: 600)
            histories.append((metric.key, values.map(\.1)))
        }
        let versions = try await services.registry.searchVersions(filter: "run_id = '\(run.info.id.text)'", limit: 20)
        let experiment = try? await services.experiments.experiment(run.info.experimentID)
        return ExperimentPages.run(
            run, experiment: experiment, histories: histories, artifacts: try await entries(of: run, folder: folder),
            models: versions.elements.map { ($0.name, "\($0.version)") }, folder: folder, now: services.clock.now())
    }

    /// The run's own files, and at the top those of the models it made.
    private func entries(of run: Run, folder: String) async throws(AerieError) -> [ArtifactEntry] {
        let root = try ArtifactPath(location: run.info.artifactURI)
        return try await services.artifacts.list(root.appending(try ArtifactPath(folder)))
    }

    private func comparison(_ ids: [RunID]) async throws(AerieError) -> ConsolePage {
        let runs = try await services.experiments.runs(ids)
        guard runs.count > 1 else { throw .invalid("runs", "name two or more runs that exist, separated by commas") }
        var keys: [String] = []
        for run in runs { for metric in run.metrics where !keys.contains(metric.key) { keys.append(metric.key) } }
        var histories: [(key: String, values: [(run: Run, metrics: [Metric])])] = []
        for key in keys.prefix(12) {
            let found = try await services.experiments.metricHistory(of: runs.map(\.info.id), key: key, limit: 300)
            let byRun = Dictionary(grouping: found, by: \.0)
            histories.append((key, runs.map { run in (run, (byRun[run.info.id] ?? []).map(\.1)) }))
        }
        return ExperimentPages.comparison(runs, histories: histories)
    }

    private static let previewLimit: Int64 = 256 << 10

    private func artifact(of run: Run, path: String) async throws(AerieError) -> ConsolePage {
        let place = try ArtifactPath(location: run.info.artifactURI).appending(try ArtifactPath(path))
        guard let entry = try await services.artifacts.entry(place), !entry.isDirectory, let size = entry.size else {
            throw .notFound("the run has no file \(path)")
        }
        let preview: HTML
        if Self.pictureType(path) != nil {
            preview = "<img alt=\"\(path)\" style=\"max-width:100%\" src=\"\(ExperimentPages.download(run, path))\">"
        } else {
            let reader = try await services.artifacts.open(place, range: 0..<min(size, Self.previewLimit))
            var bytes: [UInt8] = []
            while let piece = try await reader.next() { bytes += piece }
            let cut: HTML = size > Self.previewLimit ? "<p class=\"soft\">Only the beginning is shown.</p>" : ""
            if let text = String(validating: bytes, as: UTF8.self), !text.contains("\0") {
                preview = "<pre class=\"mono\">\(text)</pre>\(cut)"
            } else {
                preview = "<div class=\"empty\">This file is not text; download it to look at it.</div>"
            }
        }
        return ExperimentPages.artifact(run: run, path: path, preview: preview, size: size)
    }

    /// The file's bytes, streamed. Only pictures are shown in place; nothing a user wrote can run as a page.
    private func file(of run: Run, path: String) async throws(AerieError) -> Response {
        let place = try ArtifactPath(location: run.info.artifactURI).appending(try ArtifactPath(path))
        let reader = try await services.artifacts.open(place, range: nil)
        let type = Self.pictureType(path)
        return Response(
            status: .ok,
            headers: [
                .contentType: type ?? "application/octet-stream",
                .contentDisposition: type == nil ? "attachment" : "inline",
                .contentSecurityPolicy: "default-src 'none'; style-src 'unsafe-inline'; sandbox",
                .xContentTypeOptions: "nosniff",
            ],
            body: ResponseBody(contentLength: Int(reader.size)) { writer in
                while let piece = try await reader.next() { try await writer.write(ByteBuffer(bytes: piece)) }
                try await writer.finish(nil)
            })
    }

    private static func pictureType(_ path: String) -> String? {
        switch path.split(separator: ".").last?.lowercased() {
        case "png": "image/png"
        case "jpg", "jpeg": "image/jpeg"
        case "gif": "image/gif"
        case "webp": "image/webp"
        case "svg": "image/svg+xml"
        default: nil
        }
    }
}
