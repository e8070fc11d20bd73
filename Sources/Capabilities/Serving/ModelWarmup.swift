import AerieCore
import AerieData

/// Runs synthetic requests through a model before it takes traffic, so that the first client does not wait for memory
/// to be touched and kernels to be chosen.
struct ModelWarmup {
    let model: any InferenceModel

    /// Blocking.
    /// - Throws: what the model throws: one that fails its warm-up is not ready.
    func run(_ warmups: [ServingPolicy.Warmup]) throws(AerieError) {
        for warmup in warmups {
            let name = warmup.name.isEmpty ? "" : " \(warmup.name)"
            do throws(AerieError) {
                let inputs = try tensors(warmup)
                for _ in 0..<warmup.count { _ = try model.infer(inputs) }
            } catch {
                throw AerieError(
                    error.code, "the warm-up\(name) failed: \(error.message)", reason: "serving.warmup", cause: error)
            }
        }
    }

    private func tensors(_ warmup: ServingPolicy.Warmup) throws(AerieError) -> [Tensor] {
        for name in warmup.inputs.keys where !model.description.inputs.contains(where: { $0.name == name }) {
            throw .invalid("model_warmup.inputs.\(name)", "the model has no input of that name")
        }
        var tensors: [Tensor] = []
        for spec in model.description.inputs {
            let asked = warmup.inputs[spec.name]
            var shape = spec.shape
            if let dims = asked?.dims, !dims.isEmpty {
                // Triton leaves the batch's dimension out; with it is as good.
                shape = dims.count == spec.shape.count ? dims : [warmup.batchSize] + dims
            }
            if shape.first == -1 { shape[0] = warmup.batchSize }
            shape = shape.map { $0 < 0 ? 1 : $0 }
            guard let count = Tensor.elementCount(of: shape), count <= 1 << 26 else {
                throw .invalid("model_warmup.inputs.\(spec.name)", "\(shape) is too large")
            }
            guard let width = spec.dataType.byteCount else {
                // Texts of no length.
                tensors.append(
                    Tensor(
                        name: spec.name, dataType: spec.dataType, shape: shape,
                        bytes: [UInt8](repeating: 0, count: count * 4)))
                continue
            }
            var bytes = [UInt8](repeating: 0, count: count * width)
            if asked?.isRandom == true { fill(&bytes, spec.dataType) }
            tensors.append(Tensor(name: spec.name, dataType: spec.dataType, shape: shape, bytes: bytes))
        }
        return tensors
    }

    /// Numbers from 0 to 1 for real types, 0 or 1 for whole ones: what every model takes, such as one that looks words
    /// up by their numbers. The same in every run.
    private func fill(_ bytes: inout [UInt8], _ type: DataType) {
        var state: UInt64 = 1
        func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 33
        }
        let width = type.byteCount ?? 1
        for at in stride(from: 0, to: bytes.count, by: width) {
            let bits = next()
            bytes.withUnsafeMutableBytes { raw in
                switch type {
                case .fp32:
                    raw.storeBytes(of: Float(bits & 0xffff) / 65536, toByteOffset: at, as: Float.self)
                case .fp64:
                    raw.storeBytes(of: Double(bits & 0xffff) / 65536, toByteOffset: at, as: Double.self)
                case .fp16, .bf16: break
                default: raw[at] = UInt8(bits & 1)
                }
            }
        }
    }
}
