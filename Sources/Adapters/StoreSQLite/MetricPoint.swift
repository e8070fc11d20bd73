import AerieCore
import Experiments

/// One value of a metric as it is kept: without its key, its value finite or NaN.
struct MetricPoint {
    /// What few points have: the model and the dataset that the value was measured on.
    final class Origin: Sendable {
        let modelID: String?
        let datasetName: String?
        let datasetDigest: String?

        /// `nil` if there is nothing to say.
        init?(modelID: String?, datasetName: String?, datasetDigest: String?) {
            if modelID == nil, datasetName == nil, datasetDigest == nil { return nil }
            self.modelID = modelID
            self.datasetName = datasetName
            self.datasetDigest = datasetDigest
        }
    }

    var step: Int64
    var timestamp: Int64
    var value: Double
    var origin: Origin?

    init(step: Int64, timestamp: Int64, value: Double, origin: Origin? = nil) {
        self.step = step
        self.timestamp = timestamp
        self.value = value
        self.origin = origin
    }

    init(_ metric: Metric) {
        step = metric.step
        timestamp = metric.timestamp.milliseconds
        value = Self.kept(metric.value)
        origin = Origin(
            modelID: metric.modelID?.text, datasetName: metric.datasetName, datasetDigest: metric.datasetDigest)
    }

    func metric(_ key: String) -> Metric {
        Metric(
            key: key, value: value, timestamp: Timestamp(milliseconds: timestamp), step: step,
            modelID: origin?.modelID.map { LoggedModelID($0) }, datasetName: origin?.datasetName,
            datasetDigest: origin?.datasetDigest)
    }

    /// Infinities are kept as the greatest numbers, as clients read them back.
    static func kept(_ value: Double) -> Double {
        value.isNaN ? value : min(max(value, -Double.greatestFiniteMagnitude), Double.greatestFiniteMagnitude)
    }

    /// The value as a column that can be compared: 0 beside a mark for NaN.
    var column: Double { value.isNaN ? 0 : value }

    /// The order of a history, in which the greatest is the latest: by step, timestamp and value, NaN as 0.
    static func < (a: MetricPoint, b: MetricPoint) -> Bool {
        (a.step, a.timestamp, a.column, a.value.isNaN ? 0 : 1) < (b.step, b.timestamp, b.column, b.value.isNaN ? 0 : 1)
    }

    /// Whether the two are one point logged twice. NaN is the same as NaN here.
    func isSame(as other: MetricPoint) -> Bool {
        step == other.step && timestamp == other.timestamp
            && (value == other.value || value.isNaN && other.value.isNaN)
    }

    /// Sorts a history and keeps of equal points the first.
    static func settle(_ points: inout [MetricPoint]) {
        var isSorted = true
        for index in points.indices.dropFirst() where !(points[index - 1] < points[index]) {
            isSorted = false
            break
        }
        if isSorted { return }
        points.sort(by: <)
        var kept = 0
        for index in points.indices {
            if kept > 0, points[kept - 1].isSame(as: points[index]) { continue }
            points[kept] = points[index]
            kept += 1
        }
        points.removeLast(points.count - kept)
    }
}
