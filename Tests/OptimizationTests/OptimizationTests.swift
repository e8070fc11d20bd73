import AerieCore
import AerieData
import AerieJSON
import Foundation
import Serving
import Testing

@testable import Optimization

/// A model that answers the first column, off by `error`; as slow as it is told.
private final class FirstColumn: Serving.InferenceModel {
    let error: Float
    let description = ModelDescription(
        platform: "test", inputs: [TensorSpec(name: "x", dataType: .fp32, shape: [-1, 2])],
        outputs: [TensorSpec(name: "p", dataType: .fp32, shape: [-1, 1])], nanosecondsPerRow: 1, isProbability: true)

    init(error: Float) { self.error = error }

    func infer(_ inputs: [Tensor]) throws(AerieError) -> [Tensor] {
        guard inputs[0].name == "x" else { throw .invalid("inputs", "x was expected") }
        let values = inputs[0].elements(as: Float.self)
        let first = stride(from: 0, to: values.count, by: 2).map { values[$0] + error }
        return [Tensor(name: "p", dataType: .fp32, shape: [first.count, 1], elements: first)]
    }
}

private struct Engine: OptimizationEngine {
    func native(_ path: String, kind: String) throws(AerieError) -> (any InferenceModel)? {
        kind == "xgboost" ? FirstColumn(error: 0) : nil
    }
    func graph(_ path: String) throws(AerieError) -> any InferenceModel {
        if path.hasSuffix("broken.onnx") { throw .invalid(path, "no graph") }
        return FirstColumn(error: path.hasSuffix("far.onnx") ? 0.4 : 0.001)
    }
    func optimize(_ path: String, _ level: OptimizationLevel, to output: String) throws(AerieError) {
        if level == .all { throw AerieError(.unsupported, "not here") }
    }
}

private struct Preparer: ModelPreparer {
    var kind = "xgboost"
    func prepare(
        _ request: PreparationRequest, progress: @escaping @Sendable (Double, String) -> Void
    ) async throws(AerieError) -> PreparedModel {
        let rows: [Float] = (0..<80).map { Float($0 % 40) / 40 }
        let reference = stride(from: 0, to: 80, by: 2).map { Double(rows[$0]) }
        return PreparedModel(
            kind: kind, isClassifier: true,
            inputs: [Tensor(name: "given", dataType: .fp32, shape: [40, 2], elements: rows)],
            reference: Tensor(name: "", dataType: .fp64, shape: [40], elements: reference), referenceSeconds: 0.01,
            columns: [], calibrationRows: 10,
            candidates: [
                .init(name: "onnx", path: "/near.onnx"), .init(name: "far", path: "/far.onnx"),
                .init(name: "broken", path: "/broken.onnx"), .init(name: "int8", path: nil, reason: "nothing to quantize"),
            ])
    }
}

@Suite("Optimization of models")
struct OptimizationTests {
    private func column(_ values: [Double]) -> Tensor {
        Tensor(name: "", dataType: .fp64, shape: [values.count], elements: values)
    }

    @Test("Parity is the greatest difference and the share of the same labels")
    func parity() throws {
        let parity = try OutputParity(
            of: column([0.1, 0.6, 0.9, 0.4]), to: column([0.2, 0.4, 0.9, 0.4]), isClassifier: true)
        #expect(abs(parity.maximumDifference - 0.2) < 1e-12)
        #expect(abs(parity.meanDifference - 0.075) < 1e-12)
        #expect(parity.labelAgreement == 0.75)
        let classes = Tensor(name: "", dataType: .fp32, shape: [2, 2], elements: [0.9, 0.1, 0.3, 0.7] as [Float])
        let second = try OutputParity(of: classes, to: column([0.1, 0.7]), isClassifier: true)
        #expect(second.maximumDifference < 1e-6)
        #expect(second.labelAgreement == 1)
        let regression = try OutputParity(of: column([1, 3]), to: column([1, 5]), isClassifier: false)
        #expect(regression.labelAgreement == nil)
        #expect(regression.relativeDifference == 1)
        #expect(try OutputParity(of: column([.nan]), to: column([.nan]), isClassifier: false).maximumDifference == 0)
        let lost = try OutputParity(of: column([.nan]), to: column([1]), isClassifier: false)
        #expect(lost.maximumDifference == .infinity)
        #expect(throws: AerieError.self) {
            try OutputParity(of: column([1, 2, 3]), to: column([1, 2]), isClassifier: false)
        }
    }

    private func variant(
        _ name: String, rate: Double, p99: Double = 1e-4, differs: Double = 0, agrees: Double = 1
    ) throws -> OptimizationReport.Variant {
        var variant = OptimizationReport.Variant(name: name)
        variant.speed = VariantSpeed(rowsPerSecond: rate, batch: 64, p50: p99 / 2, p99: p99)
        var parity = try OutputParity(of: column([0, 1]), to: column([0, 1]), isClassifier: true)
        parity.maximumDifference = differs
        parity.labelAgreement = agrees
        variant.parity = parity
        return variant
    }

    @Test("The fastest of those that are near enough is chosen, ties by the smaller difference")
    func rule() throws {
        var rule = OptimizationRule()
        let onnx = try variant("onnx", rate: 1000, p99: 2e-4)
        let close = try variant("close", rate: 1980, differs: 0.001)
        let fast = try variant("fast", rate: 2000, differs: 0.01)
        let wrong = try variant("wrong", rate: 9000, differs: 0.3)
        let other = try variant("other", rate: 9000, differs: 0.01, agrees: 0.9)
        #expect(rule.choose([onnx, fast, close, wrong, other])?.name == "close")
        #expect(rule.choose([onnx, fast, wrong])?.name == "fast")
        rule.difference = 0.5
        #expect(rule.choose([onnx, fast, wrong])?.name == "wrong")
        rule.goal = .latency
        #expect(rule.choose([onnx, try variant("late", rate: 9000, p99: 1e-2)])?.name == "onnx")
        #expect(rule.choose([]) == nil)
    }

    @Test("A model that is best as it is stays, and so does one that gains next to nothing")
    func baseline() throws {
        let rule = OptimizationRule()
        var native = try variant("native", rate: 1000)
        native.isBaseline = true
        #expect(rule.choose([native, try variant("onnx", rate: 900)]) == nil)
        #expect(rule.choose([native, try variant("onnx", rate: 1030, differs: 0.001)]) == nil)
        #expect(rule.choose([native, try variant("onnx", rate: 1100, differs: 0.001)])?.name == "onnx")
    }

    @Test("Each variant is judged, and one that fails is told in the report and stops nothing")
    func run() async throws {
        let request = PreparationRequest(
            model: "/model.ubj", data: "", label: nil, rows: 40, calibration: 10, seed: 1, folder: "/tmp")
        let optimizer = ModelOptimizer(
            preparer: Preparer(), engine: Engine(), rule: OptimizationRule(), seconds: 0.02, batch: 16)
        let report = try await optimizer.run(request, machine: "here") { _, _ in }
        let names = report.variants.map(\.name)
        #expect(names == ["native", "onnx", "onnx-basic", "onnx-extended", "onnx-all", "far", "broken", "int8"])
        #expect(report.variants[0].isBaseline)
        #expect(report.variants[0].parity?.maximumDifference == 0)
        #expect(report.variants[1].speed.map { $0.rowsPerSecond > 0 && $0.p99 >= $0.p50 } == true)
        #expect(report.variants[4].problem == "not here")
        #expect(report.variants[5].problem.contains("differs by 0.4"))
        #expect(report.variants[6].problem.contains("no graph"))
        #expect(report.variants[7].problem == "nothing to quantize")
        #expect(report.chosen != "far" && report.chosen != "broken" && report.chosen != "int8")
        let text = report.markdown()
        for name in names { #expect(text.contains("| \(name)"), "\(name) is missing") }
        #expect(report.json()["variants"]?.array?.count == names.count)
    }

    @Test("A cancelled task ends the measurement")
    func cancelled() async throws {
        let request = PreparationRequest(
            model: "/model.ubj", data: "", label: nil, rows: 40, calibration: 10, seed: 1, folder: "/tmp")
        let optimizer = ModelOptimizer(
            preparer: Preparer(), engine: Engine(), rule: OptimizationRule(), seconds: 600, batch: 16)
        let begun = AsyncStream<Void>.makeStream()
        let task = Task {
            try await optimizer.run(request, machine: "here") { _, words in
                if words.hasPrefix("measuring") { begun.continuation.yield() }
            }
        }
        for await _ in begun.stream { break }
        task.cancel()
        let error = await #expect(throws: AerieError.self) { _ = try await task.value }
        #expect(error?.code == .cancelled)
    }
}
