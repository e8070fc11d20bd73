import AerieCore
import AerieData
import AerieHTTP
import AerieTelemetry
import Serving

/// An output that will be in the answer.
struct SelectedOutput: Sendable {
    var index: Int
    var isBinary: Bool
}

/// What a model gave: numbers in the loop's own memory (the path without allocation), or tensors.
enum Prediction {
    case rows(count: Int)
    case tensors([Tensor])
}

extension LoopState {
    /// Which outputs the request wants, in its order; all of them if it names none.
    func selectOutputs(_ plan: PredictorPlan, into selection: inout [SelectedOutput]) throws(AerieError) {
        selection.removeAll(keepingCapacity: true)
        if scratch.outputs.isEmpty {
            for index in plan.outputs.indices {
                selection.append(SelectedOutput(index: index, isBinary: scratch.binaryByDefault))
            }
            return
        }
        for ask in scratch.outputs {
            guard let index = plan.outputIndex(ask.name, in: scratch) else {
                let names = plan.outputs.map(\.name).joined(separator: ", ")
                throw .invalid("outputs", "the model has no output \(scratch.string(ask.name)); it has \(names)")
            }
            if selection.contains(where: { $0.index == index }) {
                throw .invalid("outputs", "\(scratch.string(ask.name)) is asked for twice")
            }
            selection.append(SelectedOutput(index: index, isBinary: ask.isBinary ?? scratch.binaryByDefault))
        }
    }

    /// Predicts rows into the loop's own memory. No allocation.
    func predict(
        _ plan: PredictorPlan, _ model: any TabularModel, _ rows: UnsafeRawPointer, _ count: Int, _ service: ServiceKind
    ) {
        hasPredicted = true
        let width = plan.outputs[0].dataType.byteCount ?? 8
        scratch.results.resize(to: count * plan.outputCount * width)
        let start = monotonicNanoseconds()
        model.predict(rows: rows, count: count, into: scratch.results.base)
        let end = monotonicNanoseconds()
        flow.timeline.setInference(start, end)
        metrics.recordModel(
            slot: plan.served.metricsSlot, service: service, code: service.success, nanoseconds: end &- start)
        if isLogged(plan) { log(plan, rows, count) }
    }

    /// Counts what was predicted, by side of the threshold where the deployment has one.
    /// - Parameter first: the first output's elements.
    func count(_ plan: PredictorPlan, rows: Int, _ first: UnsafeRawBufferPointer) {
        let slot = plan.served.metricsSlot
        metrics.recordRows(slot: slot, count: rows, second: second)
        guard let labels = plan.served.labels, let type = plan.outputs.first?.dataType else { return }
        func positives<Scalar: BinaryFloatingPoint & BitwiseCopyable>(_: Scalar.Type) -> Int? {
            let size = MemoryLayout<Scalar>.size
            // More or fewer numbers than rows are no probabilities.
            guard first.count == rows * size else { return nil }
            var count = 0
            for row in 0..<rows {
                let value = first.loadUnaligned(fromByteOffset: row * size, as: Scalar.self)
                if Double(value) >= labels.threshold { count += 1 }
            }
            return count
        }
        let positive = type == .fp32 ? positives(Float.self) : type == .fp64 ? positives(Double.self) : nil
        guard let positive else { return }
        metrics.recordPredictions(slot: slot, negative: rows - positive, positive: positive)
    }

    /// The same for what a model gave as tensors.
    func count(_ plan: PredictorPlan, rows: Int, _ outputs: [Tensor]) {
        guard let first = outputs.first else { return }
        first.bytes.withUnsafeBytes { count(plan, rows: rows, $0) }
    }
}

extension ServiceKind {
    var isHTTP: Bool { self == .infer || self == .predictions || self == .explain }
    /// The code of an answer without an error: 200 in HTTP, 0 in gRPC.
    var success: Int { isHTTP ? 200 : 0 }
}

/// The first output's shape for that many rows: [rows] or [rows, columns], by its description.
func outputShape(_ plan: PredictorPlan, rows: Int) -> [Int] {
    guard let spec = plan.outputs.first, spec.shape.count >= 2 else {
        return plan.outputCount > 1 ? [rows, plan.outputCount] : [rows]
    }
    return [rows, plan.outputCount]
}
