import AerieCore
import AerieData
import AerieJSON
import Load
import Serving

/// What one variant does on this machine, in this process, on one thread.
public struct VariantSpeed: Sendable, Hashable {
    /// In batches.
    public var rowsPerSecond: Double
    public var batch: Int
    /// Of one row, in seconds.
    public var p50: Double
    public var p99: Double

    public init(rowsPerSecond: Double, batch: Int, p50: Double, p99: Double) {
        self.rowsPerSecond = rowsPerSecond
        self.batch = batch
        self.p50 = p50
        self.p99 = p99
    }
}

/// Measures a model over held-out rows: half of the time one row a call, half of it batches.
struct VariantBenchmark {
    var inputs: [Tensor]
    var batch: Int
    var seconds: Double

    /// Blocking. Ends early, with `cancelled`, if `isCancelled` says so.
    ///
    /// A tree model is called as the data plane calls it, over rows of its own type; all others with tensors.
    func run(_ model: any InferenceModel, isCancelled: () -> Bool) throws(AerieError) -> VariantSpeed {
        let rows = inputs.first?.shape.first ?? 1
        let size = max(1, min(batch, rows))
        let tabular = inputs.count == 1 ? model as? any TabularModel : nil
        let names = model.description.inputs.map(\.name)
        func part(_ range: Range<Int>) throws(AerieError) -> [Tensor] {
            let tensors = named(inputs.map { $0.rows(range) }, names)
            guard let tabular else { return tensors }
            return [try tensors[0].converted(to: tabular.rowType)]
        }
        var single: [[Tensor]] = []
        for row in 0..<min(rows, 256) { single.append(try part(row..<(row + 1))) }
        var batches: [[Tensor]] = []
        for at in stride(from: 0, through: rows - size, by: size) { batches.append(try part(at..<(at + size))) }
        let width = max(1, tabular?.outputCount ?? 1) * 8
        let output = UnsafeMutableRawPointer.allocate(byteCount: size * width, alignment: 64)
        defer { output.deallocate() }
        func call(_ tensors: [Tensor], _ count: Int) throws(AerieError) {
            guard let tabular else {
                _ = try model.infer(tensors)
                return
            }
            tensors[0].bytes.withUnsafeBytes { tabular.predict(rows: $0.baseAddress!, count: count, into: output) }
        }
        for index in 0..<min(20, single.count) { try call(single[index], 1) }
        var latency = LatencyRecord()
        var at = 0
        try timed(isCancelled) { () throws(AerieError) in
            let start = monotonicNanoseconds()
            try call(single[at % single.count], 1)
            latency.record(nanoseconds: monotonicNanoseconds() - start)
            at += 1
        }
        at = 0
        let elapsed = try timed(isCancelled) { () throws(AerieError) in
            try call(batches[at % batches.count], size)
            at += 1
        }
        return VariantSpeed(
            rowsPerSecond: Double(at * size) / elapsed, batch: size, p50: latency.quantile(0.5),
            p99: latency.quantile(0.99))
    }

    /// The only input has another name in the native engine than in the graph.
    private func named(_ tensors: [Tensor], _ names: [String]) -> [Tensor] {
        guard tensors.count == 1, names.count == 1 else { return tensors }
        var tensor = tensors[0]
        tensor.name = names[0]
        return [tensor]
    }

    @discardableResult
    private func timed(_ isCancelled: () -> Bool, _ body: () throws(AerieError) -> Void) throws(AerieError) -> Double {
        let start = monotonicNanoseconds()
        var now = start
        repeat {
            if isCancelled() { throw AerieError(.cancelled, "cancelled") }
            for _ in 0..<8 { try body() }
            now = monotonicNanoseconds()
        } while Double(now - start) < seconds / 2 * 1e9
        return Double(now - start) / 1e9
    }

    /// All rows in one call.
    func answer(of model: any InferenceModel) throws(AerieError) -> Tensor {
        guard let first = try model.infer(named(inputs, model.description.inputs.map(\.name))).first else {
            throw AerieError(.failedPrecondition, "it answers nothing")
        }
        return first
    }
}

extension Tensor {
    /// Numbers as the other of the two types that tree models take.
    func converted(to type: DataType) throws(AerieError) -> Tensor {
        switch (dataType, type) {
        case let (own, wanted) where own == wanted: self
        case (.fp32, .fp64):
            Tensor(name: name, dataType: type, shape: shape, elements: elements(as: Float.self).map { Double($0) })
        case (.fp64, .fp32):
            Tensor(name: name, dataType: type, shape: shape, elements: elements(as: Double.self).map { Float($0) })
        default: throw AerieError(.unsupported, "\(dataType.rawValue) are no rows of a tree model")
        }
    }

    /// Some of the rows, which are the first dimension.
    func rows(_ range: Range<Int>) -> Tensor {
        let stride = bytes.count / max(1, shape.first ?? 1)
        return Tensor(
            name: name, dataType: dataType, shape: [range.count] + shape.dropFirst(),
            bytes: Array(bytes[(range.lowerBound * stride)..<(range.upperBound * stride)]))
    }
}
