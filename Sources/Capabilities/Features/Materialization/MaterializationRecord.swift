public import AerieCore
import AerieJSON
import AerieResources

/// An interval of a view's source that has been copied into the online store, as the view's status keeps it.
///
/// Members of the status: `materializations`, the last fifty; `materializedUntil`, where Aerie's own have ended; and
/// `materializedAs`, the `RowOrigin` that both hold for.
struct MaterializationRecord: Sendable {
    private static let limit = 50

    var range: ClosedRange<Int64>
    var origin: RowOrigin
    /// Whether it reaches as far back as one that begins from nothing.
    var isWhole: Bool
    /// Whether a client has copied the rows by itself, maybe into a store of its own: Aerie does not go on from there.
    var isClients = false
    var rows: Int64?
    var notes: [String] = []
    /// Microseconds since 1970.
    var at: Int64

    /// Why what a status says was materialized does not hold for a view; `nil` if it does, or says nothing.
    static func gap(_ status: JSONObject, _ view: FeatureCatalog.View) -> String? {
        gap(status, RowOrigin(view))
    }

    private static func gap(_ status: JSONObject, _ wanted: RowOrigin) -> String? {
        guard let origin = RowOrigin(status["materializedAs"]) else {
            return status["materializedUntil"] == nil ? nil : "it is not known what its rows were made of"
        }
        return origin.gap(to: wanted)
    }

    /// Notes the interval. After a change of the definition an interval that does not reach all the way back leaves the
    /// rest to be read again; the one that does begins the record anew.
    func add(to status: inout JSONObject) {
        let isStale = Self.gap(status, origin) != nil
        if isStale, isWhole {
            status["materializations"] = nil
            status["materializedUntil"] = nil
        }
        var interval: JSONObject = [
            "start": .string(FeatureTime.text(range.lowerBound)), "end": .string(FeatureTime.text(range.upperBound)),
        ]
        if let rows { interval["rows"] = .int(rows) }
        interval["at"] = .string(FeatureTime.text(at))
        interval["notes"] = .array(notes.map(JSONValue.string))
        if isClients { interval["by"] = "client" }
        let intervals = (status["materializations"]?.array ?? []) + [.object(interval)]
        status["materializations"] = .array(Array(intervals.suffix(Self.limit)))
        guard !isStale || isWhole else { return }
        status["materializedAs"] = origin.json
        guard !isClients else { return }
        let until = max(range.upperBound, status["materializedUntil"]?.string.flatMap(FeatureTime.parse) ?? .min)
        status["materializedUntil"] = .string(FeatureTime.text(until))
    }
}

extension FeatureCatalog.View {
    /// The intervals that were materialized and hold for the present definition, the oldest first; microseconds since
    /// 1970.
    public var materializedIntervals: [ClosedRange<Int64>] {
        guard rereadReason == nil else { return [] }
        return (status["materializations"]?.array ?? []).compactMap { interval in
            guard let from = interval["start"]?.string.flatMap(FeatureTime.parse),
                let to = interval["end"]?.string.flatMap(FeatureTime.parse), from <= to
            else { return nil }
            return from...to
        }
    }
}

extension FeatureStore {
    /// Notes an interval that a client has copied by itself, for that client to go on from.
    /// - Throws: `invalidArgument` for one that ends before it begins.
    public func noteMaterialization(
        of view: FeatureCatalog.View, from: Int64, to: Int64
    ) async throws(AerieError) {
        guard from <= to else {
            throw .invalid("start_date", "\(FeatureTime.text(from)) is after the end, \(FeatureTime.text(to))")
        }
        let record = MaterializationRecord(
            range: from...to, origin: RowOrigin(view),
            isWhole: from <= Self.wholeStart(view.definition.lifetime, to: to), isClients: true,
            at: clock.now().milliseconds * 1000)
        try await changeStatus(view) { record.add(to: &$0) }
    }

    /// Where a materialization begins that has nothing to go on from.
    static func wholeStart(_ life: Int64?, to end: Int64) -> Int64 { life.map { end - $0 } ?? 0 }
}
