import AerieCore
import Experiments
import Hummingbird
import NIOCore

/// The files of runs and of the models they made.
extension ConsoleRoutes {
    func registerArtifacts(on router: Router<some RequestContext>) {
        page(router, "/console/runs/:id/artifact") { request, context throws(AerieError) in
            let run = try await services.experiments.run(RunID(try parameter("id", context)))
            return try await artifact(
                of: run, path: try query("path", request), model: model(request),
                runsScripts: request.uri.queryParameters["scripts"] == "1")
        }
        router.get("/console/runs/:id/file") { request, context -> Response in
            do throws(AerieError) {
                let run = try await services.experiments.run(RunID(try parameter("id", context)))
                return try await file(
                    of: run, path: try query("path", request), model: model(request),
                    framed: request.uri.queryParameters["frame"].map(String.init))
            } catch { return failure(error, request: request) }
        }
    }

    private static var previewLimit: Int64 { 256 << 10 }

    private func model(_ request: Request) -> LoggedModelID? {
        request.uri.queryParameters["model"].map { LoggedModelID(String($0)) }
    }

    /// Where a run's file is: below the run, or below a model that the run made.
    func place(_ path: String, of run: Run, model: LoggedModelID?) async throws(AerieError) -> ArtifactPath {
        var root = run.info.artifactURI
        if let model {
            let found = try await services.experiments.model(model)
            guard found.sourceRunID == run.info.id || run.modelOutputs.contains(where: { $0.modelID == model }) else {
                throw .notFound("the run made no model \(model.text)")
            }
            root = found.artifactURI
        }
        return try ArtifactPath(location: root).appending(try ArtifactPath(path))
    }

    /// A file's first bytes.
    func beginning(of place: ArtifactPath, limit: Int64) async throws(AerieError) -> [UInt8] {
        let reader = try await services.artifacts.open(place, range: 0..<limit)
        var bytes: [UInt8] = []
        while let piece = try await reader.next() { bytes += piece }
        return bytes
    }

    private func artifact(
        of run: Run, path: String, model: LoggedModelID?, runsScripts: Bool
    ) async throws(AerieError) -> ConsolePage {
        let place = try await place(path, of: run, model: model)
        let experiment = try? await services.experiments.experiment(run.info.experimentID)
        let entry = try await services.artifacts.entry(place)
        guard let entry, !entry.isDirectory, let size = entry.size else {
            let content = try await services.artifacts.list(place)
            guard !content.isEmpty else { throw .notFound("the run has no file \(path)") }
            return ArtifactPreview.page(
                run: run, experiment: experiment, path: path,
                preview: ArtifactPreview.folder(content, below: path, run: run, model: model), size: nil, model: model)
        }
        let source = ArtifactPreview.download(run, path, model: model)
        let preview: HTML
        switch ArtifactPreview.kind(path) {
        case .picture: preview = ArtifactPreview.picture(path, source: source, size: size)
        case .page:
            let here = ArtifactPreview.page(run.info.id, path, model: model)
            preview = ArtifactPreview.framed(
                path, source: source + "&frame=\(runsScripts ? "scripts" : "still")", runsScripts: runsScripts,
                toggle: here + (runsScripts ? "" : "&scripts=1"), size: size)
        case .parquet: preview = await parquet(place)
        case .text:
            preview = ArtifactPreview.of(
                try await beginning(of: place, limit: min(size, Self.previewLimit)), path: path,
                isCut: size > Self.previewLimit)
        }
        return ArtifactPreview.page(
            run: run, experiment: experiment, path: path, preview: preview, size: size, model: model)
    }

    /// What cannot be shown says why; the file can still be downloaded.
    private func parquet(_ place: ArtifactPath) async -> HTML {
        guard let tables = services.tables else { return Piece.nothing("This server does not show Parquet files.") }
        do throws(AerieError) { return ArtifactPreview.table(try await tables.parquet(place, rows: 100)) } catch {
            // The engine's advice on its own settings follows its first line.
            let said = error.message.split { $0.isNewline }.first.map(String.init) ?? ""
            return "<div class=\"notice warn\">The table cannot be shown: \(said)</div>"
        }
    }

    /// The file's bytes, streamed. Nothing a user wrote runs as a page of the console: pictures and framed pages come
    /// with a policy that gives them no origin and no way out, all else is downloaded.
    private func file(
        of run: Run, path: String, model: LoggedModelID?, framed: String?
    ) async throws(AerieError) -> Response {
        let place = try await place(path, of: run, model: model)
        let reader = try await services.artifacts.open(place, range: nil)
        var type = ArtifactPreview.pictureType(path)
        var policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        if let framed, ArtifactPreview.kind(path) == .page {
            type = "text/html; charset=utf-8"
            let scripts = framed == "scripts"
            policy = """
                default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; form-action 'none'; \
                base-uri 'none'; frame-ancestors 'self'; \
                \(scripts ? "script-src 'unsafe-inline' 'unsafe-eval' blob:; sandbox allow-scripts" : "sandbox")
                """
        }
        return Response(
            status: .ok,
            headers: [
                .contentType: type ?? "application/octet-stream",
                .contentDisposition: type == nil ? "attachment; filename*=UTF-8''\(urlEncoded(place.name))" : "inline",
                .contentSecurityPolicy: policy, .xContentTypeOptions: "nosniff",
            ],
            body: ResponseBody(contentLength: Int(reader.size)) { writer in
                while let piece = try await reader.next() { try await writer.write(ByteBuffer(bytes: piece)) }
                try await writer.finish(nil)
            })
    }
}
