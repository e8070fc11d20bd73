import AerieCore
import AerieJSON
import Foundation
import InferONNX
import Optimization
import Serving

/// Brings registered models to this machine and takes optimized ones back.
struct OptimizedModels: Sendable {
    /// A model on the disk, and which registered version it is, if it is one.
    struct Source: Sendable {
        var path: String
        var name: String?
        var version: String?
    }

    let tracking: TrackingClient

    /// Copies the files of `models:/NAME/VERSION`, `models:/NAME@ALIAS` or `runs:/RUN/PATH` below a folder.
    func fetch(_ uri: String, to folder: String) async throws(AerieError) -> Source {
        let rest = uri.split(separator: ":", maxSplits: 1).last.map { String($0.drop { $0 == "/" }) } ?? ""
        if uri.hasPrefix("runs:/") {
            let (run, path) = (rest.prefix { $0 != "/" }, rest.drop { $0 != "/" }.dropFirst())
            let artifacts = try await tracking.artifacts(of: String(run))
            try await copy(artifacts, below: String(path), to: folder)
            return Source(path: path.isEmpty ? folder : "\(folder)/\(path)")
        }
        guard uri.hasPrefix("models:/") else {
            throw .notFound("there is no file \(uri.visible), and it is neither models:/NAME/VERSION nor runs:/RUN/PATH")
        }
        let (name, reference): (String, String)
        if let at = rest.lastIndex(of: "@") {
            (name, reference) = (String(rest[..<at]), String(rest[at...]))
        } else if let slash = rest.lastIndex(of: "/") {
            (name, reference) = (String(rest[..<slash]), String(rest[rest.index(after: slash)...]))
        } else {
            (name, reference) = (rest, "latest")
        }
        let version = try await tracking.version(name, reference)["version"]?.string ?? ""
        let query = [("name", name), ("version", version)]
        let location = try await tracking.get("model-versions/get-download-uri", query)["artifact_uri"]?.string ?? ""
        try await copy(try TrackingArtifacts(client: tracking.client, location: location), below: "", to: folder)
        return Source(path: folder, name: name, version: version)
    }

    private func copy(_ artifacts: TrackingArtifacts, below path: String, to folder: String) async throws(AerieError) {
        let files = try await artifacts.files(below: path)
        guard !files.isEmpty else { throw .notFound("the model has no files") }
        for file in files {
            let target = "\(folder)/\(file.path)"
            let parent = URL(fileURLWithPath: target).deletingLastPathComponent().path
            do { try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true) } catch {
                throw AerieError(.permissionDenied, "\(parent) cannot be made", cause: error)
            }
            try await artifacts.download(file, to: target)
        }
    }

    /// Logs the variant with its report as a run, and registers it.
    /// - Returns: the new version.
    func register(
        _ variant: OptimizationReport.Variant, _ report: OptimizationReport, as name: String, from source: Source,
        providers: [ExecutionProvider], in folder: String
    ) async throws(AerieError) -> String {
        let experiment = try await experimentID("aerie-optimize")
        let now = JSONValue.int(SystemClock().now().milliseconds)
        let origin = source.version.map { "models:/\(source.name ?? name)/\($0)" } ?? report.model
        let run = try await tracking.send(
            "runs/create", [
                "experiment_id": .string(experiment), "start_time": now,
                "run_name": .string("optimize \(name): \(variant.name)"),
                "tags": [["key": "aerie.optimized_from", "value": .string(origin)]],
            ])["run"] ?? .null
        let id = TrackingClient.id(run)
        try await log(report, run: id, at: now)
        let files = try write(variant, report, providers: providers, in: folder)
        let artifacts = try await tracking.artifacts(of: id)
        for (path, file) in files { try await artifacts.upload(file, to: path) }
        try await tracking.send("runs/update", ["run_id": .string(id), "status": "FINISHED", "end_time": now])
        do throws(AerieError) {
            try await tracking.send("registered-models/create", ["name": .string(name)])
        } catch { if error.code != .alreadyExists { throw error } }
        let tags = tags(variant, report, origin).map { ["key": .string($0), "value": .string($1)] as JSONValue }
        let location = run["info"]?["artifact_uri"]?.string ?? ""
        let made = try await tracking.send(
            "model-versions/create", [
                "name": .string(name), "source": .string("\(location)/model"), "run_id": .string(id),
                "description": .string(report.markdown()), "tags": .array(tags),
            ])
        return made["model_version"]?["version"]?.string ?? ""
    }

    private func experimentID(_ name: String) async throws(AerieError) -> String {
        do throws(AerieError) { return try await tracking.experimentID(name) } catch {
            guard error.code == .notFound else { throw error }
            return try await tracking.send("experiments/create", ["name": .string(name)])["experiment_id"]?.string ?? ""
        }
    }

    private func tags(
        _ variant: OptimizationReport.Variant, _ report: OptimizationReport, _ origin: String
    ) -> [(String, String)] {
        var tags = [("aerie.optimized_from", origin), ("aerie.variant", variant.name)]
        if let parity = variant.parity {
            tags.append(("aerie.max_abs_difference", "\(parity.maximumDifference)"))
            if let agreement = parity.labelAgreement { tags.append(("aerie.label_agreement", "\(agreement)")) }
        }
        if let speed = variant.speed {
            tags.append(("aerie.rows_per_second", String(Int(speed.rowsPerSecond))))
            let served = report.variants.first(where: \.isBaseline)?.speed?.rowsPerSecond
            if let base = served ?? report.libraryRowsPerSecond {
                tags.append(("aerie.speedup", String(format: "%.2f", speed.rowsPerSecond / base)))
            }
        }
        return tags
    }

    private func log(_ report: OptimizationReport, run: String, at now: JSONValue) async throws(AerieError) {
        var metrics: [JSONValue] = []
        func add(_ key: String, _ value: Double?) {
            guard let value, value.isFinite else { return }
            metrics.append(["key": .string(key), "value": .double(value), "timestamp": now, "step": 0])
        }
        for variant in report.variants {
            add("\(variant.name)/rows_per_second", variant.speed?.rowsPerSecond)
            add("\(variant.name)/p99_seconds", variant.speed?.p99)
            add("\(variant.name)/max_abs_difference", variant.parity?.maximumDifference)
            add("\(variant.name)/label_agreement", variant.parity?.labelAgreement)
        }
        let params: [JSONValue] = [
            ["key": "kind", "value": .string(report.kind)], ["key": "held_out_rows", "value": .string("\(report.rows)")],
            ["key": "goal", "value": .string(report.rule.goal.rawValue)],
        ]
        try await tracking.send(
            "runs/log-batch", ["run_id": .string(run), "metrics": .array(metrics), "params": .array(params)])
    }

    /// The MLflow folder of the model and the report, as files of the disk by artifact path.
    private func write(
        _ variant: OptimizationReport.Variant, _ report: OptimizationReport, providers: [ExecutionProvider],
        in folder: String
    ) throws(AerieError) -> [(String, String)] {
        let wanted = providers.isEmpty ? [.cpu] : providers
        let manifest = """
            flavors:
              onnx:
                data: model.onnx
                onnx_version: ""
                providers: [\(wanted.map(\.runtimeName).joined(separator: ", "))]
              python_function:
                data: model.onnx
                loader_module: mlflow.onnx
            """
        let texts = [
            ("model/MLmodel", manifest + "\n"), ("report.md", report.markdown()),
            ("report.json", report.json().text(indent: 2) + "\n"),
        ]
        var files = [("model/model.onnx", variant.path ?? "")]
        for (path, text) in texts {
            let file = "\(folder)/\(path.split(separator: "/").last ?? "")"
            do { try text.write(toFile: file, atomically: true, encoding: .utf8) } catch {
                throw AerieError(.permissionDenied, "\(file) cannot be written", cause: error)
            }
            files.append((path, file))
        }
        return files
    }
}
