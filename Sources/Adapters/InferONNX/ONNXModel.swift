public import AerieCore
public import AerieData
import COnnxRuntime
public import Serving

/// A model that ONNX Runtime runs. Safe from any thread at once; each call copies its tensors in and out.
///
/// Numeric inputs are converted to the model's element type where no meaning is lost (see `ONNXInput`). A sequence of
/// maps from a class to its probability, as scikit-learn's converters write, comes out as one FP32 tensor of rows and
/// classes, in the order of the classes. Outputs of other kinds are left out: `skippedOutputs` says why. A classifier's
/// probabilities come before its label.
public final class ONNXModel: InferenceModel {
    public let description: ModelDescription
    /// Outputs that have no tensor form, each with the reason.
    public let skippedOutputs: [(name: String, reason: String)]

    private let session: ONNXSession
    private let inputNames: ONNXNames
    private let outputNames: ONNXNames
    private let inputs: [TensorSpec]
    private let outputs: [TensorSpec]

    init(session: ONNXSession, path: String, notes: [String] = []) throws(AerieError) {
        self.session = session
        let ports = try session.ports()
        var inputs: [TensorSpec] = []
        for port in ports.inputs {
            guard port.type.kind == CORT_KIND_TENSOR.int32, let type = DataType(onnxElement: port.type.element) else {
                throw AerieError(
                    .unsupported, "\(path): input '\(port.name)' is not a tensor of a type that requests can carry",
                    reason: "model.onnx")
            }
            inputs.append(TensorSpec(name: port.name, dataType: type, shape: port.type.shape))
        }
        var outputs: [TensorSpec] = []
        var skipped: [(name: String, reason: String)] = []
        for port in ports.outputs {
            switch Self.spec(of: port) {
            case .success(let spec): outputs.append(spec)
            case .failure(let reason): skipped.append((port.name, reason.text))
            }
        }
        if outputs.isEmpty {
            let reasons = skipped.map { "'\($0.name)' \($0.reason)" }.joined(separator: "; ")
            throw AerieError(.unsupported, "\(path): no output can be answered: \(reasons)", reason: "model.onnx")
        }
        self.inputs = inputs
        self.outputs = Self.probabilitiesFirst(outputs)
        skippedOutputs = skipped
        inputNames = ONNXNames(self.inputs.map(\.name))
        outputNames = ONNXNames(self.outputs.map(\.name))
        let nanoseconds = Self.measure(session, inputs: self.inputs, inputNames, outputs: self.outputs, outputNames)
        var description = ModelDescription(
            platform: "onnxruntime_onnx", inputs: self.inputs, outputs: self.outputs, nanosecondsPerRow: nanoseconds,
            isProbability: self.outputs.first.map(Self.isProbability))
        description.notes = notes
        self.description = description
    }

    public func infer(_ tensors: [Tensor]) throws(AerieError) -> [Tensor] {
        let buffers = try ONNXInput.match(tensors, to: inputs)
        return try Self.run(session, buffers, inputNames, outputs: outputs, outputNames)
    }

    private struct Reason: Error { var text: String }

    private static func spec(of port: ONNXSession.Port) -> Result<TensorSpec, Reason> {
        if port.type.kind == CORT_KIND_TENSOR.int32 {
            guard let type = DataType(onnxElement: port.type.element) else {
                return .failure(Reason(text: "has an element type that answers cannot carry"))
            }
            return .success(TensorSpec(name: port.name, dataType: type, shape: port.type.shape))
        }
        let isProbabilities =
            port.type.kind == CORT_KIND_SEQUENCE.int32 && port.type.inner_kind == CORT_KIND_MAP.int32
            && port.type.element == DataType.fp32.onnxElement
        if isProbabilities { return .success(TensorSpec(name: port.name, dataType: .fp32, shape: [-1, -1])) }
        return .failure(Reason(text: "is a sequence, map or optional, not a tensor"))
    }

    /// A label (one integer or text a row) before numbers with a probability's name changes places with them.
    private static func probabilitiesFirst(_ outputs: [TensorSpec]) -> [TensorSpec] {
        guard let first = outputs.first, first.dataType == .int64 || first.dataType == .bytes else { return outputs }
        let index = outputs.firstIndex { spec in
            isProbability(spec)
        }
        guard let index else { return outputs }
        var moved = outputs
        moved.insert(moved.remove(at: index), at: 0)
        return moved
    }

    /// A graph does not say what its numbers mean, but its outputs have names.
    private static func isProbability(_ spec: TensorSpec) -> Bool {
        (spec.dataType == .fp32 || spec.dataType == .fp64) && spec.name.lowercased().contains("prob")
    }

    private static func run(
        _ session: ONNXSession, _ buffers: [ONNXInput], _ inputNames: ONNXNames, outputs: [TensorSpec],
        _ outputNames: ONNXNames
    ) throws(AerieError) -> [Tensor] {
        var values: [cort_handle?] = []
        defer { for value in values { cort_value_release(value) } }
        for buffer in buffers { values.append(try buffer.makeValue()) }
        var results = [cort_handle?](repeating: nil, count: outputs.count)
        let status = cort_session_run(
            session.handle, inputNames.pointers, values, values.count, outputNames.pointers, outputs.count, &results)
        defer { for result in results { cort_value_release(result) } }
        if let failure = ONNXFailure(status) { throw failure.asRunError() }
        withExtendedLifetime((buffers, inputNames, outputNames)) {}
        var answers: [Tensor] = []
        for (spec, result) in zip(outputs, results) {
            guard let result else { throw AerieError(.internal, "ONNX Runtime gives no output '\(spec.name)'") }
            answers.append(try ONNXOutput.read(result, as: spec))
        }
        return answers
    }

    /// The shortest time of a row of zeros. Models that do not take one, such as those with texts, count as 100 µs.
    private static func measure(
        _ session: ONNXSession, inputs: [TensorSpec], _ inputNames: ONNXNames, outputs: [TensorSpec],
        _ outputNames: ONNXNames
    ) -> Double {
        let unknown = 100_000.0
        var buffers: [ONNXInput] = []
        for spec in inputs {
            let shape = spec.shape.map { $0 < 0 ? 1 : $0 }
            guard let size = spec.dataType.byteCount, let count = Tensor.elementCount(of: shape), count < 1 << 22
            else { return unknown }
            let zeros = [UInt8](repeating: 0, count: count * size)
            let tensor = Tensor(name: spec.name, dataType: spec.dataType, shape: shape, bytes: zeros)
            guard let buffer = try? ONNXInput(tensor, spec) else { return unknown }
            buffers.append(buffer)
        }
        var best = UInt64.max
        for _ in 0..<10 {
            let start = monotonicNanoseconds()
            guard (try? run(session, buffers, inputNames, outputs: outputs, outputNames)) != nil else { return unknown }
            best = min(best, monotonicNanoseconds() - start)
            if best > 5_000_000 { break }
        }
        let rows = inputs.first?.shape.first.map { max(1, $0) } ?? 1
        return Double(best) / Double(rows)
    }
}
