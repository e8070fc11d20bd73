public import AerieCore

/// A feature service as a model reads it: its features as numbers, by entity. Every name is resolved; immutable, for
/// any thread.
public struct FeatureVectors: Sendable {
    /// One number for each row of each feature.
    public struct Columns: Sendable {
        /// By feature, then by row; NaN where there is no value and none is declared as its default.
        public var values: [[Double]]
        /// By feature, the rows that nothing was known for, or null.
        public var missing: [Int]
        /// By feature, the rows whose value was older than the view's time to live.
        public var stale: [Int]
        /// When each view was read, on the monotonic clock; where that was asked for.
        public var reads: [(view: String, start: UInt64, end: UInt64)] = []
    }

    public let service: String
    public let names: [String]
    /// Over all views, in the order in which they are first needed.
    public let keys: [FeatureCatalog.JoinKey]
    private let plan: OnlinePlan
    /// For each feature what stands in for a value.
    private let fallbacks: [Double]
    /// For each part the places of its keys in `keys`.
    private let keyPlaces: [[Int]]
    private let online: any OnlineStore
    private let clock: any WallClock

    init(
        service: String, plan: OnlinePlan, online: any OnlineStore, clock: any WallClock
    ) throws(AerieError) {
        self.service = service
        self.plan = plan
        self.online = online
        self.clock = clock
        names = plan.outputs.map(\.name)
        if let output = plan.outputs.first(where: { $0.computation != nil }) {
            throw AerieError(
                .invalidArgument,
                "feature \(output.name) is computed on demand, which predictions do not do: leave it out of the service, "
                    + "and compute it in the request", reason: "feature.onDemand")
        }
        var fallbacks: [Double] = []
        for output in plan.outputs {
            let part = plan.parts[output.part]
            let feature = part.view.definition.features[part.features[output.place]]
            guard feature.type.isNumeric else {
                throw AerieError(
                    .invalidArgument,
                    "feature \(part.view.definition.name):\(feature.name) is \(feature.type.rawValue); a model takes "
                        + "numbers, so leave it out of the service or declare it as one",
                    reason: "feature.notNumeric")
            }
            fallbacks.append(feature.fallback?.number ?? .nan)
        }
        self.fallbacks = fallbacks
        var keys: [FeatureCatalog.JoinKey] = []
        var keyPlaces: [[Int]] = []
        for part in plan.parts {
            var places: [Int] = []
            for key in part.view.joinKeys {
                let place = keys.firstIndex { $0.name == key.name } ?? keys.count
                if place == keys.count { keys.append(key) }
                places.append(place)
            }
            keyPlaces.append(places)
        }
        self.keys = keys
        self.keyPlaces = keyPlaces
    }

    /// The same text for what a reader could not tell apart.
    public var fingerprint: String {
        let parts = plan.parts.map { part in
            let view = part.view
            let life = view.definition.timeToLive.map(String.init) ?? ""
            let name = view.online.windows?.rowName ?? view.online.name
            return "\(view.online.project)/\(name)=\(view.definition.name)[\(life)]\(part.features)"
        }
        let columns = zip(names, fallbacks).map { "\($0)=\($1)" }
        let keys = keys.map { "\($0.name)/\($0.entity):\($0.type?.rawValue ?? "")" }
        return [service, parts.joined(separator: ";"), columns.joined(separator: ","), keys.joined(separator: ",")]
            .joined(separator: "|")
    }

    /// On the caller's thread; `nil` where the store is not in this process.
    /// - Parameters:
    ///   - entities: a column of `rows` values for each of `keys`.
    ///   - timed: whether each view is read by itself, and its time told.
    /// - Throws: `invalidArgument` for a key that is null; `unavailable`.
    public func readNow(
        _ entities: [[FeatureValue]], rows: Int, timed: Bool = false
    ) throws(AerieError) -> Columns? {
        guard let store = online as? any ImmediateOnlineStore else { return nil }
        let reads = try reads(entities, rows)
        guard timed else { return columns(try store.readNow(reads), rows) }
        var records: [[OnlineRecord?]] = []
        var times: [(view: String, start: UInt64, end: UInt64)] = []
        for (part, read) in zip(plan.parts, reads) {
            let start = monotonicNanoseconds()
            records += try store.readNow([read])
            times.append((part.view.definition.name, start, monotonicNanoseconds()))
        }
        var columns = columns(records, rows)
        columns.reads = times
        return columns
    }

    /// As `readNow`, over the network: all views in one message, which therefore share its time.
    public func read(
        _ entities: [[FeatureValue]], rows: Int, timed: Bool = false
    ) async throws(AerieError) -> Columns {
        let start = monotonicNanoseconds()
        var columns = columns(try await online.read(try reads(entities, rows)), rows)
        if timed {
            let end = monotonicNanoseconds()
            columns.reads = plan.parts.map { ($0.view.definition.name, start, end) }
        }
        return columns
    }

    /// What stands in for features that could not be read.
    public func defaults(rows: Int) -> Columns {
        Columns(
            values: fallbacks.map { Array(repeating: $0, count: rows) },
            missing: fallbacks.map { _ in rows }, stale: fallbacks.map { _ in 0 })
    }

    private func reads(_ entities: [[FeatureValue]], _ rows: Int) throws(AerieError) -> [OnlineRead] {
        var reads: [OnlineRead] = []
        reads.reserveCapacity(plan.parts.count)
        for (part, places) in zip(plan.parts, keyPlaces) {
            var names: [[UInt8]] = []
            names.reserveCapacity(rows)
            for row in 0..<rows {
                let key = places.isEmpty ? [FeatureValue.string("")] : places.map { entities[$0][row] }
                names.append(try part.view.entityKey.bytes(key))
            }
            reads.append(OnlineRead(view: part.view.online, features: part.features, keys: names))
        }
        return reads
    }

    private func columns(_ records: [[OnlineRecord?]], _ rows: Int) -> Columns {
        let now = clock.now().milliseconds * 1000
        var columns = Columns(values: [], missing: [], stale: [])
        for (place, output) in plan.outputs.enumerated() {
            let limit = plan.parts[output.part].view.definition.timeToLive
            var values = [Double](repeating: fallbacks[place], count: rows)
            var (missing, stale) = (0, 0)
            for (row, record) in records[output.part].enumerated() {
                guard let record, let number = record.values[output.place].number else {
                    missing += 1
                    continue
                }
                if let limit, now - record.time > limit { stale += 1 } else { values[row] = number }
            }
            columns.values.append(values)
            columns.missing.append(missing)
            columns.stale.append(stale)
        }
        return columns
    }
}

extension FeatureStore {
    /// A feature service for a model's reads.
    /// - Throws: `notFound`, or `invalidArgument` for features that are no numbers.
    public func vectors(service: String, namespace: String = "default") async throws(AerieError) -> FeatureVectors {
        let plan = try await plan(Selection(service: service), namespace: namespace)
        return try FeatureVectors(service: service, plan: plan, online: online, clock: clock)
    }
}

extension FeatureType {
    /// Whether a model can take it as a number.
    public var isNumeric: Bool {
        switch self {
        case .bool, .int32, .int64, .float, .double, .timestamp: true
        default: false
        }
    }
}

extension FeatureValue {
    /// As a model takes it: a flag as 0 or 1, a moment in seconds; `nil` for what is no number.
    public var number: Double? {
        switch self {
        case .bool(let flag): flag ? 1 : 0
        case .int32(let value): Double(value)
        case .int64(let value): Double(value)
        case .float(let value): Double(value)
        case .double(let value): value
        case .timestamp(let seconds): Double(seconds)
        case .null, .string, .bytes, .list: nil
        }
    }
}
