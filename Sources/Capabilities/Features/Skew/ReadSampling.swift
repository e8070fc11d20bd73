public import AerieCore
import AerieJSON
import AerieResources
import Synchronization

/// Which of the reads are kept beside, to be compared with the offline value at the same instant.
///
/// However many reads there are, no more are kept than a comparison gains from: each takes the processors 0.3 ms, with
/// a synced write to the disk.
public final class ReadSampling: Sendable {
    /// One read in so many; 0 for none.
    public let every: Int
    private let pending = Atomic<Int>(0)
    private let count = Atomic<Int>(0)
    /// The moment up to which the reads that were kept have used up their rate.
    private let usedUntil = Atomic<Int64>(0)

    /// Microseconds from one read that is kept to the next, once `burst` of them were kept at once.
    private static let interval: Int64 = 500_000
    private static let burst: Int64 = 50

    /// Samples that may wait for the disk; more are passed over, as reads never wait for it.
    private static let limit = 64

    public init(every: Int) { self.every = every }

    /// Whether the read that asks is one of those; counts it. Readers of one loop count by themselves.
    func isDue() -> Bool { every > 0 && count.wrappingAdd(1, ordering: .relaxed).newValue % every == 0 }

    /// - Parameter now: microseconds since 1970.
    fileprivate func begin(at now: Int64) -> Bool {
        guard takesTurn(at: now) else { return false }
        if pending.add(1, ordering: .relaxed).newValue <= Self.limit { return true }
        end()
        return false
    }

    /// The generic cell rate algorithm (ITU-T I.371): a rate with bursts, of one number.
    private func takesTurn(at now: Int64) -> Bool {
        var known = usedUntil.load(ordering: .relaxed)
        while true {
            // What lies further ahead was counted before the clock was set back.
            let used = known > now + Self.interval * Self.burst ? now : max(known, now)
            guard used - now <= Self.interval * (Self.burst - 1) else { return false }
            let (taken, found) = usedUntil.weakCompareExchange(
                expected: known, desired: used + Self.interval, ordering: .relaxed)
            if taken { return true }
            known = found
        }
    }

    fileprivate func end() { pending.subtract(1, ordering: .relaxed) }
}

extension FeatureStore {
    /// Entities of one read that are kept.
    private static let entitiesPerSample = 20

    /// Keeps what a read has found, off the caller's thread. The lookups are looked at before this returns.
    public func sample(_ lookups: OnlineLookups) {
        let now = clock.now().milliseconds * 1000
        guard let log, let layout = lookups.layout, sampling.begin(at: now) else { return }
        var records: [(log: String, lines: [[UInt8]])] = []
        for (part, plan) in layout.parts.enumerated() {
            var lines: [[UInt8]] = []
            for entity in 0..<min(lookups.count, Self.entitiesPerSample) {
                if let line = Self.record(lookups, layout, part: part, entity: entity, at: now) { lines.append(line) }
            }
            if !lines.isEmpty { records.append(("reads/\(plan.view.project)/\(plan.view.name)", lines)) }
        }
        keep(records, in: log)
    }

    /// After `begin`.
    private func keep(_ records: [(log: String, lines: [[UInt8]])], in log: any FeatureLog) {
        let gate = sampling
        Task {
            for record in records { try? await log.append(record.log, record.lines) }
            gate.end()
        }
    }

    /// The same for one view's records.
    /// - Parameters:
    ///   - keys: a column for each key of the view, in its order.
    ///   - features: the places in the view of a record's values.
    func sample(
        _ records: [OnlineRecord?], keys: [[FeatureValue]], of view: OnlineView, _ features: [Int], at now: Int64
    ) {
        guard let log, sampling.begin(at: now) else { return }
        var lines: [[UInt8]] = []
        for (row, record) in records.prefix(Self.entitiesPerSample).enumerated() {
            guard let record else { continue }
            var values = JSONObject()
            for (place, value) in zip(features, record.values) { values[view.features[place]] = value.json }
            let names = keys.map { column -> JSONValue in
                if case .timestamp(let seconds) = column[row] { return .int(seconds) }
                return column[row].json
            }
            lines.append(Self.line(at: now, keys: names, values))
        }
        keep([("reads/\(view.project)/\(view.name)", lines)], in: log)
    }

    private static func line(at now: Int64, keys: [JSONValue], _ values: JSONObject) -> [UInt8] {
        let record: JSONValue = ["at": .int(now), "keys": .array(keys), "values": .object(values)]
        return record.utf8()
    }

    /// - Returns: `nil` for an entity that is not known, of which there is nothing to compare.
    private static func record(
        _ lookups: OnlineLookups, _ layout: OnlineLayout, part: Int, entity: Int, at now: Int64
    ) -> [UInt8]? {
        guard lookups.row(part: part, entity: entity).isFound else { return nil }
        let plan = layout.parts[part]
        var keys: [JSONValue] = []
        for place in plan.keys {
            keys.append(
                lookups.key(place, entity: entity) { type, bytes -> JSONValue in
                    switch type {
                    case 2: .string(String(decoding: bytes, as: UTF8.self))
                    case 3: .int(Int64(Int32(littleEndian: bytes.loadUnaligned(as: Int32.self))))
                    default: .int(Int64(littleEndian: bytes.loadUnaligned(as: Int64.self)))
                    }
                })
        }
        var values = JSONObject()
        for (field, hash) in plan.fields.enumerated() {
            guard let place = plan.view.fields.firstIndex(of: hash),
                let value = try? FeatureValue(protobuf: lookups.value(part: part, entity: entity, field: field))
            else { continue }
            values[plan.view.features[place]] = value.json
        }
        return line(at: now, keys: keys, values)
    }

    /// How many sampled reads are kept.
    public func sampledReads() async throws(AerieError) -> Int {
        var count = 0
        for name in try await log?.names("reads/") ?? [] { count += try await log?.read(name, last: 5000).count ?? 0 }
        return count
    }
}
