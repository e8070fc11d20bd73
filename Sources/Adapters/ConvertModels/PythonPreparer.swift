public import AerieCore
import AerieData
import AerieJSON
import Foundation
public import Optimization
public import Pipelines

/// Converts and quantizes models with the libraries of a Python environment, in a step's process.
public struct PythonPreparer: ModelPreparer {
    private let makeExecutor: @Sendable (_ script: String) -> any StepExecutor

    /// - Parameter executor: runs `python SCRIPT --spec FILE`.
    public init(executor: @escaping @Sendable (_ script: String) -> any StepExecutor) { makeExecutor = executor }

    public func prepare(
        _ request: PreparationRequest, progress: @escaping @Sendable (Double, String) -> Void
    ) async throws(AerieError) -> PreparedModel {
        let script = request.folder + ".prepare.py"
        do { try PrepareScript.text.write(toFile: script, atomically: true, encoding: .utf8) } catch {
            throw AerieError(.permissionDenied, "\(script) cannot be written", cause: error)
        }
        defer { try? FileManager.default.removeItem(atPath: script) }
        var parameters: JSONObject = [
            "model": .string(request.model), "data": .string(request.data), "rows": .int(Int64(request.rows)),
            "calibration": .int(Int64(request.calibration)), "seed": .int(Int64(clamping: request.seed)),
        ]
        parameters["label"] = request.label.map { .string($0) }
        let job = StepJob(
            pipeline: "optimize", runID: "optimize", step: "prepare", uses: "prepare", attempt: 1,
            workDirectory: request.folder, parameters: parameters, limits: StepLimits(nice: 0))
        defer { try? FileManager.default.removeItem(atPath: request.folder + ".job") }
        let result = try await makeExecutor(script).run(job, log: { _ in }, progress: progress)
        return try Self.read(result.values, in: request.folder)
    }

    private static func read(_ values: JSONObject, in folder: String) throws(AerieError) -> PreparedModel {
        var inputs: [Tensor] = []
        for value in values["inputs"]?.array ?? [] { inputs.append(try tensor(value, in: folder)) }
        guard !inputs.isEmpty else { throw AerieError(.internal, "the preparation gave no inputs") }
        let candidates = (values["variants"]?.array ?? []).map { value in
            PreparedModel.Candidate(
                name: value["name"]?.string ?? "", path: value["file"]?.string.map { "\(folder)/\($0)" },
                reason: value["skipped"]?.string ?? "")
        }
        var reference: Tensor?
        if let value = values["reference"], !value.isNull { reference = try tensor(value, in: folder) }
        return PreparedModel(
            kind: values["kind"]?.string ?? "", isClassifier: values["isClassifier"]?.bool, inputs: inputs,
            reference: reference, referenceSeconds: values["referenceSeconds"]?.double,
            columns: (values["columns"]?.array ?? []).compactMap(\.string),
            calibrationRows: Int(values["calibration"]?.int ?? 0), candidates: candidates)
    }

    /// Numbers as they lie in a file, little-endian.
    private static func tensor(_ value: JSONValue, in folder: String) throws(AerieError) -> Tensor {
        let shape = (value["shape"]?.array ?? []).map { Int($0.int ?? -1) }
        guard let file = value["file"]?.string, let data = FileManager.default.contents(atPath: "\(folder)/\(file)"),
            let type = value["datatype"]?.string.flatMap({ DataType(rawValue: $0) }), let width = type.byteCount,
            let count = Tensor.elementCount(of: shape), data.count == count * width
        else { throw AerieError(.internal, "the preparation's numbers do not fit \(shape)") }
        return Tensor(name: value["name"]?.string ?? "", dataType: type, shape: shape, bytes: Array(data))
    }
}
