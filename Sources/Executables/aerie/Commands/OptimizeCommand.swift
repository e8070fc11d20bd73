import AerieCore
import AerieJSON
import ArgumentParser
import ConvertModels
import Foundation
import Optimization
import RunSubprocess
import Serving
import Synchronization

/// `aerie optimize`: variants of a model, held against it, measured here, and the best one registered.
struct OptimizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "optimize", abstract: "Make a model faster, and register what is faster and still right.",
        discussion: """
            Turns the model into ONNX (scikit-learn by skl2onnx, PyTorch by torch, XGBoost and LightGBM by onnxmltools), \
            optimizes the graph at each level, quantizes it to INT8 (dynamic, and static with rows to calibrate by), \
            compares each variant's answers for held-out rows with the model's own, and measures rows a second and \
            latencies in this process. The best one that is near enough becomes a new version of the model, with the \
            report as its description and artifact. Nothing is registered if the model is best as it is.

            Python with the model's own library, onnx and onnxruntime is needed: --python, else AERIE_PYTHON, else python3.

            aerie optimize models:/fraud/3 --data holdout.csv --label is_fraud
            aerie optimize model.pkl --data holdout.parquet --name churn --goal latency
            aerie optimize encoder.onnx --data tokens.npz --output report/
            """)

    @Argument(help: "models:/NAME/VERSION, models:/NAME@ALIAS, runs:/RUN/PATH, a file or an MLflow folder.") var model: String
    @Option(help: "Rows to calibrate and to judge by: .csv, .parquet, .npy, or .npz with an array for each input.")
    var data: String
    @Option(help: "A column of the data that is no feature.") var label: String?
    @Option(help: "Register under this name; else under the model's own.") var name: String?
    @Option(help: "Write the report and the chosen model to this folder.") var output: String?
    @Option(help: "The Python interpreter.") var python: String?
    @Option(help: "throughput (rows a second in batches) or latency (P99 of one row).") var goal = "throughput"
    @Option(help: "Held-out rows at most.") var rows = 2000
    @Option(help: "Rows to calibrate by, at most half of the data.") var calibration = 500
    @Option(help: "Rows of one batch.") var batch = 64
    @Option(help: "Seconds that each variant is measured for.") var seconds = 2.0
    @Option(help: "How the rows are shuffled.") var seed: UInt64 = 1
    @Option(help: "The least share of rows with the same label, for a classifier.") var minAgreement = 0.99
    @Option(help: "The greatest difference: of probabilities; of a regression in standard deviations.")
    var maxDifference = 0.05
    @Option(help: "What is to compute the new version: cpu, cuda, tensorrt, in the order of preference.")
    var providers: String?
    @Flag(help: "Measure and report, and register nothing.") var dryRun = false
    @Flag(help: "Print the report as JSON.") var json = false
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let rule = try rule()
            let providers = try providers.map { text throws(AerieError) in try ExecutionProvider.list(text) } ?? []
            let folder = FileManager.default.temporaryDirectory.path + "/aerie-optimize-\(UUID().uuidString)"
            for inner in ["source", "work", "made"] {
                try FileManager.default.createDirectory(
                    atPath: "\(folder)/\(inner)", withIntermediateDirectories: true)
            }
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let work = Task { () -> Void in try await optimize(rule, providers, in: folder) }
            let signals = Signals()
            let stop = Task {
                await signals.waitForStop()
                work.cancel()
            }
            defer { stop.cancel() }
            try await work.value
        }
    }

    private func optimize(
        _ rule: OptimizationRule, _ providers: [ExecutionProvider], in folder: String
    ) async throws(AerieError) {
        let isLocal = FileManager.default.fileExists(atPath: model)
        let models = OptimizedModels(tracking: try server.tracking())
        let source = isLocal
            ? OptimizedModels.Source(path: Self.absolute(model)) : try await models.fetch(model, to: folder + "/source")
        let report = try await measure(source, rule, folder)
        print(json ? report.json().text(indent: 2) : Self.table(report), terminator: json ? "\n" : "")
        let chosen = report.variants.first { $0.name == report.chosen }
        if let output { try write(report, chosen, to: output) }
        guard let chosen else { return ClientOutput.note("the model is best as it is; nothing is registered") }
        guard !dryRun, let name = name ?? source.name else { return }
        let version = try await models.register(
            chosen, report, as: name, from: source, providers: providers, in: folder + "/made")
        ClientOutput.note("\(chosen.name) is version \(version) of \(name.visible): models:/\(name.visible)/\(version)")
    }

    private func measure(
        _ source: OptimizedModels.Source, _ rule: OptimizationRule, _ folder: String
    ) async throws(AerieError) -> OptimizationReport {
        let interpreter = try interpreter()
        let preparer = PythonPreparer { script in
            SubprocessExecutor(
                executable: interpreter, arguments: [script], environment: ["PYTHONWARNINGS": "ignore"],
                grace: .seconds(2))
        }
        let optimizer = ModelOptimizer(
            preparer: preparer, engine: LocalOptimizationEngine(), rule: rule, seconds: seconds, batch: batch)
        let request = PreparationRequest(
            model: source.path, data: Self.absolute(data), label: label, rows: rows, calibration: calibration,
            seed: seed, folder: folder + "/work")
        let line = Mutex(ProgressLine())
        defer { line.withLock { $0.clear() } }
        var report = try await optimizer.run(request, machine: Self.machine) { share, words in
            line.withLock { $0.show(words, share: share) }
        }
        report.model = model
        return report
    }

    private func rule() throws(AerieError) -> OptimizationRule {
        var rule = OptimizationRule()
        guard let goal = OptimizationRule.Goal(rawValue: goal) else {
            throw .invalid("--goal", "\"\(goal.visible)\" is neither throughput nor latency")
        }
        guard (0...1).contains(minAgreement) else { throw .invalid("--min-agreement", "is a share, from 0 to 1") }
        guard maxDifference >= 0 else { throw .invalid("--max-difference", "is negative") }
        guard (1...10_000_000).contains(rows) else { throw .invalid("--rows", "\(rows) is not from 1 to 10000000") }
        guard (1...1_000_000).contains(calibration) else { throw .invalid("--calibration", "is not from 1 to 1000000") }
        guard (1...65536).contains(batch) else { throw .invalid("--batch", "\(batch) is not from 1 to 65536") }
        guard seconds > 0, seconds <= 3600 else { throw .invalid("--seconds", "is not above 0 and up to 3600") }
        guard FileManager.default.isReadableFile(atPath: data) else { throw .invalid("--data", "\(data) cannot be read") }
        rule.goal = goal
        rule.labelAgreement = minAgreement
        rule.difference = maxDifference
        return rule
    }

    /// An absolute path; a bare name is looked for as a shell does.
    private func interpreter() throws(AerieError) -> String {
        let environment = ProcessInfo.processInfo.environment
        let asked = python ?? environment["AERIE_PYTHON"] ?? "python3"
        let candidates = asked.contains("/")
            ? [Self.absolute(asked)] : (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/\(asked)" }
        guard let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
            throw AerieError(
                .unavailable, "there is no Python interpreter \(asked.visible); name one with --python or AERIE_PYTHON")
        }
        return found
    }

    private func write(
        _ report: OptimizationReport, _ chosen: OptimizationReport.Variant?, to folder: String
    ) throws(AerieError) {
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try report.markdown().write(toFile: folder + "/report.md", atomically: true, encoding: .utf8)
            try report.json().text(indent: 2).write(toFile: folder + "/report.json", atomically: true, encoding: .utf8)
            guard let path = chosen?.path else { return }
            try? FileManager.default.removeItem(atPath: folder + "/model.onnx")
            try FileManager.default.copyItem(atPath: path, toPath: folder + "/model.onnx")
        } catch { throw AerieError(.permissionDenied, "\(folder) cannot be written", cause: error) }
    }

    private static func table(_ report: OptimizationReport) -> String {
        var table = TextTable(OptimizationReport.titles, numbers: Set(1...6))
        for row in report.rowsOfText() { table.add(row) }
        return table.text(width: Terminal.width)
    }

    private static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }

    /// The processor's name and the number of cores.
    private static var machine: String {
        let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
        let name = line?.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "this machine"
        return "\(name), \(ProcessInfo.processInfo.processorCount) cores"
    }
}
