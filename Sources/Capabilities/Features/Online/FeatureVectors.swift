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
    /// What comes with a request for the features that are computed of it, by name.
    public let request: [OnDemandDefinition.Column]
    let plan: OnlinePlan
    /// For each feature what stands in for a value; NaN for what is computed.
    let fallbacks: [Double]
    /// For each part the places of its keys in `keys`.
    private let keyPlaces: [[Int]]
    let store: FeatureStore

    init(service: String, plan: OnlinePlan, store: FeatureStore) throws(AerieError) {
        self.service = service
        self.plan = plan
        self.store = store
        names = plan.outputs.map(\.name)
        request = try Self.request(plan)
        var fallbacks: [Double] = []
        for output in plan.outputs {
            if let place = output.computation {
                let computation = plan.computations[place]
                try Self.check(computation.plan.types[computation.feature], output.name)
                fallbacks.append(.nan)
                continue
            }
            let part = plan.parts[output.part]
            let feature = part.view.definition.features[part.features[output.place]]
            try Self.check(feature.type, "\(part.view.definition.name):\(feature.name)")
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

    private static func check(_ type: FeatureType, _ name: String) throws(AerieError) {
        guard type.isNumeric else {
            throw AerieError(
                .invalidArgument,
                "feature \(name) is \(type.rawValue); a model takes numbers, so leave it out of the service or declare it "
                    + "as one", reason: "feature.notNumeric")
        }
    }

    /// The columns that all computations read together.
    private static func request(_ plan: OnlinePlan) throws(AerieError) -> [OnDemandDefinition.Column] {
        var columns: [OnDemandDefinition.Column] = []
        for column in plan.computations.flatMap(\.plan.request) {
            guard let known = columns.first(where: { $0.name == column.name }) else {
                columns.append(column)
                continue
            }
            guard known.type == column.type else {
                throw AerieError(
                    .invalidArgument,
                    "two views on demand take the request's column \(column.name) as \(known.type.rawValue) and as "
                        + "\(column.type.rawValue)", reason: "feature.onDemand")
            }
        }
        return columns
    }

    /// The same text for what a reader could not tell apart.
    public var fingerprint: String {
        let parts = plan.parts.map { part in
            let view = part.view
            let life = view.definition.timeToLive.map(String.init) ?? ""
            let name = view.online.windows?.rowName ?? view.online.name
            return "\(view.online.project)/\(name)=\(view.definition.name)[\(life)]\(part.features)\(Self.defaults(part))"
        }
        let columns = zip(names, fallbacks).map { "\($0)=\($1)" }
        let keys = keys.map { "\($0.name)/\($0.entity):\($0.type?.rawValue ?? "")" }
        let computed = plan.computations.map { "\($0.plan) \($0.feature) \($0.sources)" }
        return [
            service, parts.joined(separator: ";"), columns.joined(separator: ","), keys.joined(separator: ","),
            computed.joined(separator: ";"),
        ].joined(separator: "|")
    }

    /// On the caller's thread; `nil` where the store is not in this process, or a function is to be run in another.
    /// - Parameters:
    ///   - entities: a column of `rows` values for each of `keys`.
    ///   - request: the same for each of `request`.
    ///   - timed: whether each view is read by itself, and its time told.
    /// - Throws: `invalidArgument` for a key that is null; `unavailable`.
    public func readNow(
        _ entities: [[FeatureValue]], request: [[FeatureValue]] = [], rows: Int, timed: Bool = false
    ) throws(AerieError) -> Columns? {
        guard plan.calls.isEmpty, let online = store.online as? any ImmediateOnlineStore else { return nil }
        let reads = try reads(entities, rows)
        let now = store.clock.now().milliseconds * 1000
        guard timed else { return columns(try online.readNow(reads), entities, request, [], rows, now) }
        var records: [[OnlineRecord?]] = []
        var times: [(view: String, start: UInt64, end: UInt64)] = []
        for (part, read) in zip(plan.parts, reads) {
            let start = monotonicNanoseconds()
            records += try online.readNow([read])
            times.append((part.view.definition.name, start, monotonicNanoseconds()))
        }
        var columns = columns(records, entities, request, [], rows, now)
        columns.reads = times
        return columns
    }

    /// As `readNow`, over the network: all views in one message, which therefore share its time.
    public func read(
        _ entities: [[FeatureValue]], request: [[FeatureValue]] = [], rows: Int, timed: Bool = false
    ) async throws(AerieError) -> Columns {
        let start = monotonicNanoseconds()
        let records = try await store.online.read(try reads(entities, rows))
        let end = monotonicNanoseconds()
        let now = store.clock.now().milliseconds * 1000
        let keys = Dictionary(zip(self.keys.map(\.name), entities).map { ($0, $1) }) { first, _ in first }
        let results = try await store.results(
            plan, records, keys: keys, request: brought(request), rows: rows, now: now)
        var columns = columns(records, entities, request, results, rows, now)
        if timed {
            columns.reads = plan.parts.map { ($0.view.definition.name, start, end) }
        }
        return columns
    }

    /// What stands in for features that could not be read: their defaults, and what the features on demand are of the
    /// defaults of their inputs; nothing for those that a function gives. Counted as a degraded read.
    /// - Parameter request: a column of `rows` values for each of `request`; without them they are null.
    public func defaults(request: [[FeatureValue]] = [], rows: Int) -> Columns {
        store.counters.degrade()
        let brought = brought(request)
        let records = plan.parts.map { part in
            [OnlineRecord?](repeating: OnlineRecord(time: 0, values: Self.defaults(part)), count: rows)
        }
        let values = plan.outputs.enumerated().map { place, output in
            guard let computation = output.computation else {
                return [Double](repeating: fallbacks[place], count: rows)
            }
            return FeatureStore.computed(
                plan.computations[computation], name: output.name, plan, records, brought, [], rows: rows,
                isStrict: false, now: 0
            ).values.map { $0.number ?? .nan }
        }
        return Columns(values: values, missing: fallbacks.map { _ in rows }, stale: fallbacks.map { _ in 0 })
    }

    private static func defaults(_ part: OnlinePlan.Part) -> [FeatureValue] {
        part.features.map { part.view.definition.features[$0].fallback ?? .null }
    }

    private func brought(_ request: [[FeatureValue]]) -> [String: [FeatureValue]] {
        Dictionary(zip(self.request.map(\.name), request).map { ($0, $1) }, uniquingKeysWith: { first, _ in first })
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

    private func columns(
        _ records: [[OnlineRecord?]], _ entities: [[FeatureValue]], _ request: [[FeatureValue]],
        _ results: CallResults, _ rows: Int, _ now: Int64
    ) -> Columns {
        if store.sampling.isDue() { sample(records, entities, at: now) }
        let brought = brought(request)
        var columns = Columns(values: [], missing: [], stale: [])
        for (place, output) in plan.outputs.enumerated() {
            var values = [Double](repeating: fallbacks[place], count: rows)
            var (missing, stale) = (0, 0)
            if let computation = output.computation {
                let column = FeatureStore.computed(
                    plan.computations[computation], name: output.name, plan, records, brought, results, rows: rows,
                    isStrict: false, now: now)
                for (row, value) in column.values.enumerated() {
                    if let number = value.number { values[row] = number } else { missing += 1 }
                }
            } else {
                let limit = plan.parts[output.part].view.definition.timeToLive
                for (row, record) in records[output.part].enumerated() {
                    guard let record, let number = record.values[output.place].number else {
                        missing += 1
                        continue
                    }
                    if let limit, now - record.time > limit { stale += 1 } else { values[row] = number }
                }
            }
            columns.values.append(values)
            columns.missing.append(missing)
            columns.stale.append(stale)
        }
        return columns
    }

    private func sample(_ records: [[OnlineRecord?]], _ entities: [[FeatureValue]], at now: Int64) {
        for (place, part) in plan.parts.enumerated() where part.view.online.windows == nil {
            let keys = keyPlaces[place].map { entities[$0] }
            store.sample(records[place], keys: keys, of: part.view.online, part.features, at: now)
        }
    }
}

extension FeatureStore {
    /// A feature service for a model's reads.
    /// - Throws: `notFound`, or `invalidArgument` for features that are no numbers.
    public func vectors(service: String, namespace: String = "default") async throws(AerieError) -> FeatureVectors {
        let plan = try await plan(Selection(service: service), namespace: namespace)
        for planned in plan.calls { _ = try planned.call.runner(of: self) }
        return try FeatureVectors(service: service, plan: plan, store: self)
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
        case .null, .string, .bytes, .text, .list, .set, .nested: nil
        }
    }
}
