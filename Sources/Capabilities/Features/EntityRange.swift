import AerieCore
import Datasets

/// The entity table of a range of time: one row for each entity that has a value in it, at the end of the range.
///
/// Entities are those of the views that have all keys; views with some of these keys, or none, are joined to them.
struct EntityRange {
    static let timestamp = "event_timestamp"

    /// What stands after `FROM`; its rows are in the order of their keys.
    let relation: String

    /// - Parameter start: `nil` for the oldest value that still counts at the end.
    /// - Throws: `invalidArgument` if no view has all keys, or the range is empty.
    init(_ views: [FeatureStore.ChosenView], from start: Int64?, to end: Int64) throws(AerieError) {
        if let start, start > end {
            throw .invalid("start", "\(FeatureTime.text(start)) is after the end, \(FeatureTime.text(end))")
        }
        var names: [String] = []
        for view in views {
            for key in view.view.joinKeys where !names.contains(key.name) { names.append(key.name) }
        }
        let whole = views.filter { $0.view.joinKeys.count == names.count }
        guard !whole.isEmpty else {
            throw .invalid(
                "features",
                "no view has all of the keys \(names.joined(separator: ", ")), so a range of time does not say which belong "
                    + "together; give a table of entity rows")
        }
        let lives = views.map(\.view.definition.lifetime)
        let first = start ?? (lives.contains(nil) ? nil : lives.compactMap(\.self).max().map { end - $0 })
        let moment = "make_timestamp(\(end))::TIMESTAMPTZ AS \(Self.timestamp)"
        guard !names.isEmpty else {
            relation = "(SELECT \(moment))"
            return
        }
        let tables = whole.map { one in
            let keys = names.map { name in
                let place = one.view.joinKeys.firstIndex { $0.name == name } ?? 0
                return one.view.definition.column(of: one.view.entityKey.names[place])
            }
            let columns = zip(keys, names).map { "\(sqlIdentifier($0)) AS \(sqlIdentifier($1))" }
            let time = one.source.microseconds
            var conditions = keys.map { "\(sqlIdentifier($0)) IS NOT NULL" }
            conditions += [first.map { "\(time) >= \($0)" }, "\(time) <= \(end)"].compactMap(\.self)
            if let seen = one.source.isBetween(first, end) { conditions.append(seen) }
            return "SELECT \(columns.joined(separator: ", ")) FROM \(one.source.relation) WHERE "
                + conditions.joined(separator: " AND ")
        }
        let list = names.map(sqlIdentifier).joined(separator: ", ")
        // DISTINCT beside UNION, as one table alone has doubles too.
        relation =
            "(SELECT *, \(moment) FROM (SELECT DISTINCT * FROM (\(tables.joined(separator: " UNION ")))) ORDER BY \(list))"
    }
}
