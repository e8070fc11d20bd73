public import AerieCore
public import AerieData
public import AerieTelemetry
import Dispatch
import Synchronization

/// Asks shadows what they would have answered, and compares: on a thread of its own, behind a bounded queue, so that a
/// shadow neither slows nor fails what people get.
///
/// Thread-safe. A copy that finds no room is dropped and counted.
public final class ShadowQueue: Sendable {
    /// One request's inputs and what the primary answered.
    public struct Copy: Sendable {
        public enum Inputs: Sendable {
            case tensors([Tensor])
            /// Rows as a tabular model takes them, in the primary's own element type.
            case rows([UInt8], type: DataType, count: Int, columns: Int)
            /// A message for a graph, or for a model behind Seldon's protocol.
            case message(GraphMessage)
        }

        public var inputs: Inputs
        /// The primary's first output.
        public var answer: Tensor

        public init(inputs: Inputs, answer: Tensor) {
            self.inputs = inputs
            self.answer = answer
        }
    }

    private let registry: MetricsRegistry?
    private let capacity: Int
    private let waiting = Atomic<Int>(0)
    private let sequence = Atomic<Int>(0)
    private let thread = DispatchQueue(label: "aerie.shadows", qos: .utility)

    /// - Parameter capacity: copies that may wait or be at work.
    public init(registry: MetricsRegistry?, capacity: Int = 256) {
        self.registry = registry
        self.capacity = capacity
    }

    /// Copies that wait or are at work.
    public var depth: Int { waiting.load(ordering: .relaxed) }

    /// Gives a copy to every shadow of the deployment; to one with a weight below 100 as many of a hundred. Returns at
    /// once.
    public func submit(_ copy: Copy, to deployment: ServedDeployment) {
        // 61 and 100 have no common factor: the copies are spread evenly over each hundred.
        let turn = sequence.add(1, ordering: .relaxed).newValue &* 61 % 100
        for shadow in deployment.shadows where shadow.weight == 0 || abs(turn) < shadow.weight {
            if waiting.add(1, ordering: .relaxed).newValue > capacity {
                waiting.subtract(1, ordering: .relaxed)
                count(deployment, shadow, "dropped")
                continue
            }
            thread.async { [self] in
                ask(shadow, copy, deployment)
                waiting.subtract(1, ordering: .relaxed)
            }
        }
    }

    private func ask(_ shadow: ServedPredictor, _ copy: Copy, _ deployment: ServedDeployment) {
        let start = monotonicNanoseconds()
        do throws(AerieError) {
            guard let answer = try shadow.answer(copy.inputs).first else {
                throw AerieError(.internal, "the shadow has no output")
            }
            let comparison = try ShadowComparison(
                primary: copy.answer, shadow: answer, threshold: shadow.labels?.threshold ?? 0.5)
            count(deployment, shadow, "compared")
            record(comparison, deployment, shadow)
        } catch { count(deployment, shadow, "failed") }
        registry?.histogram(
            "aerie_shadow_seconds", help: "How long shadows take to answer", labels: labels(deployment, shadow)
        ).record(nanoseconds: monotonicNanoseconds() &- start)
    }

    private func labels(_ deployment: ServedDeployment, _ shadow: ServedPredictor) -> [(String, String)] {
        [
            ("deployment_name", deployment.name), ("predictor_name", shadow.name),
            ("model_version", shadow.modelVersion),
        ]
    }

    private func count(_ deployment: ServedDeployment, _ shadow: ServedPredictor, _ outcome: String) {
        registry?.counter(
            "aerie_shadow_requests_total", help: "Copies of requests for shadows, by what became of them",
            labels: labels(deployment, shadow) + [("outcome", outcome)]
        ).increment()
    }

    private func record(_ comparison: ShadowComparison, _ deployment: ServedDeployment, _ shadow: ServedPredictor) {
        let labels = labels(deployment, shadow)
        registry?.counter(
            "aerie_shadow_rows_total", help: "Rows whose answers were compared", labels: labels
        ).increment(by: comparison.rows)
        registry?.counter(
            "aerie_shadow_disagreements_total", help: "Rows that the shadow puts into another class", labels: labels
        ).increment(by: comparison.disagreements)
        guard let registry else { return }
        let mean = registry.gauge(
            "aerie_shadow_difference_mean",
            help: "The mean absolute difference to the primary's numbers, over the last thousand compared rows or so",
            labels: labels)
        // An exponentially weighted mean: a row counts a thousandth.
        let share = 1 - pow999(comparison.rows)
        mean.set(mean.value + (comparison.meanDifference - mean.value) * share)
    }

    /// 0.999 to the power of the count.
    private func pow999(_ count: Int) -> Double { (0..<min(count, 10_000)).reduce(1.0) { power, _ in power * 0.999 } }
}

/// How far two answers to the same request are from one another.
public struct ShadowComparison: Sendable, Hashable {
    public var rows: Int
    /// Rows of another class: the other side of the threshold for one column, another largest column for several.
    public var disagreements: Int
    public var meanDifference: Double
    public var largestDifference: Double

    /// - Throws: `failedPrecondition` for answers of different shapes, `invalidArgument` for answers without numbers.
    public init(primary: Tensor, shadow: Tensor, threshold: Double) throws(AerieError) {
        let (ours, theirs) = (
            try NumberRows(GraphMessage(.tensors([primary]))), try NumberRows(GraphMessage(.tensors([shadow])))
        )
        guard ours.rows == theirs.rows, ours.columns == theirs.columns else {
            throw AerieError(
                .failedPrecondition, "the shadow answered \(shadow.shape), the primary \(primary.shape)")
        }
        rows = ours.rows
        let differences = zip(ours.values, theirs.values).map { $0.isNaN && $1.isNaN ? 0 : abs($0 - $1) }
        largestDifference = differences.max() ?? 0
        meanDifference = differences.isEmpty ? 0 : differences.reduce(0, +) / Double(differences.count)
        func label(_ rows: NumberRows, _ row: Int) -> Int {
            if rows.columns == 1 { return rows[row, 0] >= threshold ? 1 : 0 }
            return (0..<rows.columns).max { rows[row, $0] < rows[row, $1] } ?? 0
        }
        disagreements = (0..<ours.rows).count { label(ours, $0) != label(theirs, $0) }
    }
}

extension ServedPredictor {
    /// What the predictor answers, in whatever form the request comes.
    fileprivate func answer(_ inputs: ShadowQueue.Copy.Inputs) throws(AerieError) -> [Tensor] {
        switch inputs {
        case .tensors(let tensors): return try model.infer(tensors)
        case .rows(let bytes, let type, let count, let columns):
            let rows = Tensor(name: "", dataType: type, shape: [count, columns], bytes: bytes)
            return try answer(.message(GraphMessage(.tensors([rows]))))
        case .message(let message):
            // What a shadow's routers choose is nobody's answer, so nobody sends feedback for it.
            var message = message
            message.meta.puid = ""
            if let graph { return try graph.outputs(of: graph.run(message, service: .infer)) }
            return try model.infer(try ModelInputs(model).tensors(message))
        }
    }
}
