import NIOCore
import AerieCore
import AerieData
import AerieTelemetry
import ErrorMapping
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
        let width = plan.outputs[0].dataType.byteCount ?? 8
        scratch.results.resize(to: count * plan.outputCount * width)
        let start = monotonicNanoseconds()
        model.predict(rows: rows, count: count, into: scratch.results.base)
        metrics.recordModel(
            slot: plan.served.metricsSlot, service: service, code: service.success,
            nanoseconds: monotonicNanoseconds() &- start)
    }

    /// Counts what was predicted, by side of the threshold where the deployment has one.
    /// - Parameter first: the first output's elements.
    func count(_ plan: PredictorPlan, rows: Int, _ first: UnsafeRawBufferPointer) {
        let slot = plan.served.metricsSlot
        metrics.recordRows(slot: slot, count: rows)
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

    /// Runs a job that may be slow: here if it is estimated to be quick, else on the pool.
    ///
    /// - Returns: the result, or `nil` if it will come later through `completion`, on this loop.
    /// - Parameter interest: ended once nobody waits for the answer: work that has not begun is left out, and
    ///   `completion` is not called.
    /// - Throws: `resourceExhausted` if the pool's queue is full.
    func run(
        _ job: ModelJob, _ service: ServiceKind, interest: Interest,
        completion: @escaping @Sendable (Result<[Tensor], AerieError>) -> Void
    ) throws(AerieError) -> Result<[Tensor], AerieError>? {
        if job.estimatedNanoseconds <= options.inlineNanoseconds {
            let start = monotonicNanoseconds()
            let result = job.run()
            record(job, service, result, nanoseconds: monotonicNanoseconds() &- start)
            return result
        }
        let eventLoop = eventLoop
        let isAccepted = pool.submit {
            if interest.hasEnded { return }
            let start = monotonicNanoseconds()
            let result = job.run()
            let duration = monotonicNanoseconds() &- start
            eventLoop.execute {
                self.record(job, service, result, nanoseconds: duration)
                if !interest.hasEnded { completion(result) }
            }
        }
        guard isAccepted else {
            throw AerieError(
                .resourceExhausted, "\(pool.capacity) requests are waiting for slow models; try again shortly")
        }
        return nil
    }

    private func record(
        _ job: ModelJob, _ service: ServiceKind, _ result: Result<[Tensor], AerieError>, nanoseconds: UInt64
    ) {
        let code =
            switch result {
            case .success: service.success
            case .failure(let error): service.isHTTP ? error.code.httpStatus : error.code.grpcStatus
            }
        metrics.recordModel(
            slot: job.plan.served.metricsSlot, service: service, code: code, nanoseconds: nanoseconds)
    }
}

extension ServiceKind {
    var isHTTP: Bool { self == .infer || self == .predictions }
    /// The code of an answer without an error: 200 in HTTP, 0 in gRPC.
    var success: Int { isHTTP ? 200 : 0 }
}

/// One call of a model with its own memory, to be run on any thread.
struct ModelJob: Sendable {
    enum Input: Sendable {
        case tensors([Tensor])
        case rows([UInt8], count: Int)
    }

    let plan: PredictorPlan
    let input: Input
    let rows: Int

    init(_ plan: PredictorPlan, tensors: [Tensor]) {
        self.plan = plan
        input = .tensors(tensors)
        rows = max(1, tensors.first?.shape.first ?? 1)
    }

    init(_ plan: PredictorPlan, rows: UnsafeRawPointer, count: Int) {
        self.plan = plan
        let size = plan.featureCount * (plan.rowType == .fp64 ? 8 : 4)
        input = .rows(Array(UnsafeRawBufferPointer(start: rows, count: size * count)), count: count)
        self.rows = count
    }

    var estimatedNanoseconds: Double { plan.nanosecondsPerRow * Double(rows) }

    func run() -> Result<[Tensor], AerieError> {
        switch input {
        case .tensors(let tensors):
            do throws(AerieError) {
                let outputs = try plan.model.infer(tensors)
                guard outputs.count == plan.outputs.count else {
                    throw AerieError(.internal, "the model gave \(outputs.count) outputs, not \(plan.outputs.count)")
                }
                return .success(outputs)
            } catch { return .failure(error) }
        case .rows(let bytes, let count):
            guard let model = plan.tabular, let spec = plan.outputs.first else {
                return .failure(AerieError(.internal, "the model takes no rows"))
            }
            // An array's memory is aligned to 16 bytes, which is enough for its elements.
            let size = count * plan.outputCount * (spec.dataType.byteCount ?? 8)
            let result = [UInt8](unsafeUninitializedCapacity: size) { output, used in
                bytes.withUnsafeBytes { input in
                    if let rows = input.baseAddress, let base = output.baseAddress {
                        model.predict(rows: rows, count: count, into: base)
                        used = size
                    }
                }
            }
            let shape = outputShape(plan, rows: count)
            return .success([Tensor(name: spec.name, dataType: spec.dataType, shape: shape, bytes: result)])
        }
    }
}

/// The first output's shape for that many rows: [rows] or [rows, columns], by its description.
func outputShape(_ plan: PredictorPlan, rows: Int) -> [Int] {
    guard let spec = plan.outputs.first, spec.shape.count >= 2 else {
        return plan.outputCount > 1 ? [rows, plan.outputCount] : [rows]
    }
    return [rows, plan.outputCount]
}
