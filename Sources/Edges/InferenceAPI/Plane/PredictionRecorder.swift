import AerieCore
import AerieData
import Serving

/// Collects one loop's sampled predictions, and hands them over by the block.
///
/// Recording copies a request's rows and results into the block; the block's memory is the only allocation, once for
/// many requests. On its loop only.
final class PredictionRecorder {
    private static let blockBytes = 64 << 10
    /// A request with more than this is not logged whole, and so not at all.
    private static let largest = 1 << 20

    private let sink: any PredictionSink
    private var block = PredictionBlock()

    init(sink: any PredictionSink) { self.sink = sink }

    func record(
        _ plan: PredictorPlan, rows: Int, input: UnsafeRawBufferPointer, output: UnsafeRawBufferPointer,
        id: UnsafeRawBufferPointer
    ) {
        guard input.count + output.count <= Self.largest else { return }
        if block.bytes.capacity == 0 { block.bytes.reserveCapacity(Self.blockBytes + Self.blockBytes / 4) }
        block.append(
            deployment: plan.deploymentName, namespace: plan.deploymentNamespace, predictor: plan.served,
            index: plan.index, time: SystemClock().now().milliseconds * 1000, rows: rows, input: input, output: output,
            id: id)
        if block.byteCount >= Self.blockBytes { flush() }
    }

    func record(_ plan: PredictorPlan, _ exchange: PredictionExchange) {
        guard exchange.byteCount <= Self.largest else { return }
        block.append(
            deployment: plan.deploymentName, namespace: plan.deploymentNamespace, predictor: plan.served,
            index: plan.index, time: SystemClock().now().milliseconds * 1000, exchange: exchange)
        if block.byteCount >= Self.blockBytes { flush() }
    }

    /// Hands over what there is. Called by the loop's sweep, too, so that nothing waits longer than a second.
    func flush() {
        guard !block.entries.isEmpty else { return }
        _ = sink.accept(block)
        block = PredictionBlock()
    }
}

extension LoopState {
    /// Whether this request's predictions are kept.
    func isLogged(_ plan: PredictorPlan) -> Bool {
        recorder != nil && plan.logTickets > 0 && random() >> 32 < plan.logTickets
    }

    /// Keeps what the loop predicted in its own memory.
    func log(_ plan: PredictorPlan, _ rows: UnsafeRawPointer, _ count: Int) {
        let size = count * plan.featureCount * (plan.rowType == .fp64 ? 8 : 4)
        scratch.text.withUnsafeBytes { text in
            recorder?.record(
                plan, rows: count, input: UnsafeRawBufferPointer(start: rows, count: size),
                output: scratch.results.bytes, id: UnsafeRawBufferPointer(rebasing: text[scratch.id ?? 0..<0]))
        }
    }

    /// Keeps what a job was given and gave, if it is to be kept.
    func log(_ job: ModelJob, _ result: Result<[Tensor], AerieError>) {
        guard let id = job.logID, case .success(let outputs) = result, let output = outputs.first else { return }
        func record(_ input: [UInt8]) {
            input.withUnsafeBytes { input in
                output.bytes.withUnsafeBytes { output in
                    id.withUnsafeBytes {
                        recorder?.record(job.plan, rows: job.rows, input: input, output: output, id: $0)
                    }
                }
            }
        }
        switch job.input {
        case .rows(let bytes, _): record(bytes)
        case .tensors(let tensors):
            // Rows of one type, as a tabular model has them.
            if tensors.count == 1, job.plan.tabular != nil, tensors[0].dataType == job.plan.rowType {
                return record(tensors[0].bytes)
            }
            let meta = GraphMeta(puid: String(decoding: id, as: UTF8.self))
            let answer = GraphMessage(.tensors(outputs), meta: meta)
            recorder?.record(job.plan, PredictionExchange(given: GraphMessage(.tensors(tensors)), answer: answer))
        }
    }

    /// Keeps what a message was answered, if it is to be kept.
    func log(_ run: SeldonRun, _ answer: GraphMessage) {
        guard isLogged(run.plan) else { return }
        recorder?.record(
            run.plan, PredictionExchange(asked: run.asked, given: run.envelope.message, answer: answer))
    }
}
