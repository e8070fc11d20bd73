import Synchronization

/// Where everything that is measured comes together, and what `/metrics` prints.
///
/// Thread-safe. The data plane registers its loops once; the control plane asks for an instrument by name and labels
/// and keeps it. Asking again for the same gives the same instrument.
public final class MetricsRegistry: Sendable {
    enum Instrument: Sendable {
        case counter(Counter)
        case gauge(Gauge)
        case reading(@Sendable () -> Double)
        case readings(@Sendable () -> [Reading])
        case histogram(Histogram)
    }

    struct Family: Sendable {
        var help: String
        var type: String
        /// By the text of their labels, such as `{route="/x",code="200"}`.
        var instruments: [(labels: String, instrument: Instrument)]
    }

    struct State: Sendable {
        var loops: [LoopMetrics] = []
        var families: [String: Family] = [:]
        var slotLabels: (@Sendable (Int) -> SlotLabels?)?
    }

    let state = Mutex(State())

    public init() {}

    /// Adds a loop's measurements to every later scrape. For as long as the process lives.
    public func register(_ loop: LoopMetrics) { state.withLock { $0.loops.append(loop) } }

    /// How slots are named. Slots without a name are left out of the exposition.
    public func describeSlots(_ labels: @escaping @Sendable (Int) -> SlotLabels?) {
        state.withLock { $0.slotLabels = labels }
    }

    /// Sets `aerie_build_info`, by which a dashboard tells versions apart.
    public func describeBuild(version: String) {
        gauge("aerie_build_info", help: "The version that runs", labels: [("version", version)]).set(1)
    }

    /// A number that only grows. By Prometheus' custom its name ends in `_total`.
    public func counter(_ name: String, help: String, labels: [(String, String)] = []) -> Counter {
        let made = instrument(name, help, "counter", labels) { .counter(Counter()) }
        if case .counter(let counter) = made { return counter }
        return Counter()
    }

    /// A number that goes up and down.
    public func gauge(_ name: String, help: String, labels: [(String, String)] = []) -> Gauge {
        let made = instrument(name, help, "gauge", labels) { .gauge(Gauge()) }
        if case .gauge(let gauge) = made { return gauge }
        return Gauge()
    }

    /// A number that is read at each scrape; `read` must be quick and may be called from any thread.
    public func gauge(
        _ name: String, help: String, labels: [(String, String)] = [], read: @escaping @Sendable () -> Double
    ) {
        _ = instrument(name, help, "gauge", labels) { .reading(read) }
    }

    /// One of several numbers of a family that are read together.
    public struct Reading: Sendable {
        public var labels: [(String, String)]
        public var value: Double

        public init(labels: [(String, String)], value: Double) {
            self.labels = labels
            self.value = value
        }
    }

    /// Numbers of which only a scrape knows how many there are. Once a name; `read` as for a gauge.
    /// - Parameter isCounter: whether they only grow.
    public func readings(
        _ name: String, help: String, isCounter: Bool, read: @escaping @Sendable () -> [Reading]
    ) {
        _ = instrument(name, help, isCounter ? "counter" : "gauge", []) { .readings(read) }
    }

    /// Durations in the buckets of `LatencyBuckets`.
    public func histogram(_ name: String, help: String, labels: [(String, String)] = []) -> Histogram {
        let made = instrument(name, help, "histogram", labels) { .histogram(Histogram()) }
        if case .histogram(let histogram) = made { return histogram }
        return Histogram()
    }

    /// An instrument that is there already keeps its type: the first to ask decides, another type gets an instrument
    /// that nobody reads, since a defect in measuring must not stop what is measured.
    private func instrument(
        _ name: String, _ help: String, _ type: String, _ labels: [(String, String)], _ make: () -> Instrument
    ) -> Instrument {
        let text = Exposition.labels(labels)
        return state.withLock { state in
            var family = state.families[name] ?? Family(help: help, type: type, instruments: [])
            guard family.type == type else { return make() }
            if let found = family.instruments.first(where: { $0.labels == text }) { return found.instrument }
            let made = make()
            family.instruments.append((text, made))
            state.families[name] = family
            return made
        }
    }
}
