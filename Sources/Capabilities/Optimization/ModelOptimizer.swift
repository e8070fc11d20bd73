public import AerieCore
import AerieData
import Foundation
import Serving
import Synchronization

/// Prepares a model's variants, holds each against the model itself, measures it, and chooses.
public struct ModelOptimizer: Sendable {
    private let preparer: any ModelPreparer
    private let engine: any OptimizationEngine
    private let rule: OptimizationRule
    /// Seconds that each variant is measured for.
    private let seconds: Double
    private let batch: Int

    public init(
        preparer: any ModelPreparer, engine: any OptimizationEngine, rule: OptimizationRule, seconds: Double, batch: Int
    ) {
        self.preparer = preparer
        self.engine = engine
        self.rule = rule
        self.seconds = seconds
        self.batch = batch
    }

    /// - Parameter progress: called with the share of the work that is done and what is at hand.
    /// - Throws: what the preparation throws; `cancelled` if the task is.
    public func run(
        _ request: PreparationRequest, machine: String, progress: @escaping @Sendable (Double, String) -> Void
    ) async throws(AerieError) -> OptimizationReport {
        let prepared = try await preparer.prepare(request) { progress($0 * 0.4, $1) }
        let isCancelled = Atomic<Bool>(false)
        let result: Result<OptimizationReport, AerieError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                // Measured on a thread of its own, which nothing else waits for.
                let thread = Thread {
                    continuation.resume(
                        returning: Result { () throws(AerieError) in
                            try measure(
                                prepared, request, machine, isCancelled: { isCancelled.load(ordering: .relaxed) },
                                progress)
                        })
                }
                thread.stackSize = 8 << 20
                thread.start()
            }
        } onCancel: {
            isCancelled.store(true, ordering: .relaxed)
        }
        return try result.get()
    }

    private func measure(
        _ prepared: PreparedModel, _ request: PreparationRequest, _ machine: String, isCancelled: () -> Bool,
        _ progress: (Double, String) -> Void
    ) throws(AerieError) -> OptimizationReport {
        var variants = try levels(prepared, request)
        let bench = VariantBenchmark(inputs: prepared.inputs, batch: batch, seconds: seconds)
        var reference = prepared.reference
        var isClassifier = prepared.isClassifier
        for index in variants.indices {
            progress(0.4 + 0.6 * Double(index) / Double(variants.count), "measuring \(variants[index].name)")
            if isCancelled() { throw AerieError(.cancelled, "cancelled") }
            guard let path = variants[index].path, variants[index].problem.isEmpty else { continue }
            variants[index].bytes = Self.size(path)
            do throws(AerieError) {
                let model = try load(variants[index], path, kind: prepared.kind)
                let answer = try bench.answer(of: model)
                // An ONNX model is held against itself as it was given.
                isClassifier = isClassifier ?? (model.description.isProbability == true)
                reference = reference ?? answer
                variants[index].parity = try OutputParity(
                    of: answer, to: reference ?? answer, isClassifier: isClassifier ?? false)
                variants[index].speed = try bench.run(model, isCancelled: isCancelled)
            } catch {
                if error.code == .cancelled { throw error }
                variants[index].problem = error.message
            }
            if let parity = variants[index].parity, let refusal = rule.refusal(parity) {
                variants[index].problem = refusal
            }
        }
        let rows = prepared.inputs.first?.shape.first ?? 0
        return OptimizationReport(
            model: request.model, kind: prepared.kind, rows: rows, calibrationRows: prepared.calibrationRows,
            libraryRowsPerSecond: prepared.referenceSeconds.map { Double(rows) / max($0, 1e-9) }, variants: variants,
            chosen: rule.choose(variants)?.name, rule: rule, machine: machine)
    }

    private func load(
        _ variant: OptimizationReport.Variant, _ path: String, kind: String
    ) throws(AerieError) -> any InferenceModel {
        if variant.isBaseline, let native = try engine.native(path, kind: kind) { return native }
        return try engine.graph(path)
    }

    /// The model as it is served, then the graph with each level of optimization, then the quantized ones.
    private func levels(
        _ prepared: PreparedModel, _ request: PreparationRequest
    ) throws(AerieError) -> [OptimizationReport.Variant] {
        var variants: [OptimizationReport.Variant] = []
        if prepared.kind == "xgboost" || prepared.kind == "lightgbm" {
            var native = OptimizationReport.Variant(name: "native", path: request.model)
            native.isBaseline = true
            variants.append(native)
        }
        for candidate in prepared.candidates {
            var variant = OptimizationReport.Variant(name: candidate.name, path: candidate.path)
            variant.problem = candidate.reason
            variant.isBaseline = candidate.name == "onnx" && prepared.kind == "onnx"
            variants.append(variant)
            guard candidate.name == "onnx", let path = candidate.path else { continue }
            for level in OptimizationLevel.allCases {
                var optimized = OptimizationReport.Variant(name: "onnx-\(level.rawValue)")
                let output = request.folder + "/onnx-\(level.rawValue).onnx"
                do throws(AerieError) {
                    try engine.optimize(path, level, to: output)
                    optimized.path = output
                } catch { optimized.problem = error.message }
                variants.append(optimized)
            }
        }
        return variants
    }

    private static func size(_ path: String) -> Int64 {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.size] as? NSNumber)?.int64Value ?? 0
    }
}
