import Synchronization

/// How far what was served differs from what training data would say of the same entities and instants.
public struct SkewReport: Sendable {
    public struct Line: Sendable {
        public var namespace: String
        public var view: String
        public var feature: String
        public var compared: Int64 = 0
        public var different: Int64 = 0
        /// Of the numbers that were compared.
        public var meanOnline: Double?
        public var meanOffline: Double?
        /// The first difference that was seen, in words.
        public var example: String?
    }

    /// Microseconds since 1970.
    public var at: Int64
    public var reads: Int64
    public var features: [Line]
    /// Views that could not be compared, each as `namespace/view: why`.
    public var problems: [String] = []

    /// The share of sampled reads of a feature that differ; `nil` where none was compared.
    public func share(view: String, feature: String) -> Double? {
        guard let line = features.first(where: { $0.view == view && $0.feature == feature }), line.compared > 0 else {
            return nil
        }
        return Double(line.different) / Double(line.compared)
    }
}

/// The last comparison. Any thread.
public final class SkewBoard: Sendable {
    private let report = Mutex<SkewReport?>(nil)
    public var latest: SkewReport? { report.withLock { $0 } }
    func put(_ report: SkewReport) { self.report.withLock { $0 = report } }
}
