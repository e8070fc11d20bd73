import Experiments

/// A walk along the values of the metric, param or tag that is ordered by first.
struct ValueWalk {
    /// Which of `SearchOrdering`'s ranks.
    var rank: Int
    var first: SearchOrder
    var satellite: String
    /// Conditions on the very values that are walked along.
    var same: [SearchCondition]
    var statement: SearchStatement
}

/// Some of the values, in the direction of the walk.
struct ValueRange {
    var start: (value: SQLArgument, isIn: Bool)?
    var end: (value: SQLArgument, isIn: Bool)?

    func restrict(_ statement: inout SearchStatement, _ column: String, ascending: Bool) {
        if let start { statement.require("\(column) \(ascending ? ">" : "<")\(start.isIn ? "=" : "") ?", [start.value]) }
        if let end { statement.require("\(column) \(ascending ? "<" : ">")\(end.isIn ? "=" : "") ?", [end.value]) }
    }
}

/// Values that very many runs share, such as an accuracy of 1.
///
/// Runs of one value come in the order of their start, for which the index of values is no help: a page out of a
/// million of them would sort the million. So the walk goes block by block, and a block of one value is read along the
/// experiment's index of start times instead, asking each run for the value.
extension RunSearch {
    /// Entries of one value that are sorted; reading along the start times pays beyond them.
    private static var tieLimit: Int { 5000 }
    private static var strideLimit: Int { 20_000 }
    /// Runs that are asked for the value, and how many of them must have it, before all are asked.
    private static var sampleSize: Int { 2000 }
    private static var sampleShare: Int64 { 20 }

    func blockwise(_ walk: ValueWalk, after: [PageValue]?, limit: Int) throws -> [SearchRow] {
        var range = ValueRange()
        if let after {
            guard !after[1].isText else { throw PagePosition.wrong() }
            range.start = (try after[1].argument(), true)
        }
        var after = after
        var stride = Self.tieLimit
        var rows: [SearchRow] = []
        while rows.count < limit, let here = try entry(0, walk, range) {
            let missing = limit - rows.count
            guard let edge = try entry(stride - 1, walk, range) else {
                return rows + (try ranked(walk, in: range, after: after, limit: missing))
            }
            if edge == here {
                rows += try tied(walk, here, after: after, limit: missing)
                range.start = (try here.argument(), false)
            } else {
                range.end = (try edge.argument(), false)
                rows += try ranked(walk, in: range, after: after, limit: missing)
                range = ValueRange(start: (try edge.argument(), true))
                stride = min(stride * 2, Self.strideLimit)
            }
            after = nil
        }
        return rows
    }

    /// The value of the entry so many places into a range; `nil` past its end.
    private func entry(_ place: Int, _ walk: ValueWalk, _ range: ValueRange) throws -> PageValue? {
        var entries = SearchStatement(tables, connection.dialect)
        entries.require("s.key = ?", [.text(walk.first.field.key)])
        entries.require("s.is_nan = ?", [.integer(Int64(walk.rank))])
        if walk.rank == 0 {
            for condition in walk.same where Self.isSelective(condition) { entries.compare("s.value", condition) }
        }
        range.restrict(&entries, "s.value", ascending: walk.first.ascending)
        let direction = walk.first.ascending ? "ASC" : "DESC"
        return try connection.rows(
            "SELECT 0, s.value FROM \(walk.satellite) s WHERE \(entries.conditions.joined(separator: " AND "))"
                + " ORDER BY s.value \(direction) LIMIT 1 OFFSET ?",
            entries.arguments + [.integer(Int64(place))]
        ).first?.values[0]
    }

    /// Runs of one value that many have.
    private func tied(_ walk: ValueWalk, _ value: PageValue, after: [PageValue]?, limit: Int) throws -> [SearchRow] {
        let one = ValueRange(start: (try value.argument(), true), end: (try value.argument(), true))
        let rest = Array(ordering.terms.dropFirst(2))
        let isPlain = rest.map(\.sql) == tables.order.map(\.sql)
        guard isPlain, try share(of: walk, value) >= Self.sampleShare else {
            return try ranked(walk, in: one, after: after, limit: limit)
        }
        var statement = walk.statement
        let (condition, arguments) = try Self.has(value, walk, run: "t.seq")
        statement.require(condition, arguments)
        // A page that ended with this value goes on behind its last run.
        let behind = after.flatMap { $0[1] == value ? Array($0.dropFirst(2)) : nil }
        let found = try statement.rows(connection, from: "runs t", [], rest, after: behind, limit: limit)
        return found.map { SearchRow(key: $0.key, values: [.integer(Int64(walk.rank)), value] + $0.values) }
    }

    /// How many of the first runs in the order of their start have the value.
    private func share(of walk: ValueWalk, _ value: PageValue) throws -> Int64 {
        let (condition, arguments) = try Self.has(value, walk, run: "w.seq")
        let order = tables.order.map { "\($0.sql) \($0.ascending ? "ASC" : "DESC")" }.joined(separator: ", ")
        // The first two conditions of every part are its experiment and stage.
        let place = walk.statement.conditions.prefix(2).joined(separator: " AND ")
        return try connection.number(
            "SELECT COUNT(*) FROM (SELECT t.seq FROM runs t WHERE \(place) ORDER BY \(order) LIMIT ?) AS w"
                + " WHERE \(condition)",
            Array(walk.statement.arguments.prefix(2)) + [.integer(Int64(Self.sampleSize))] + arguments) ?? 0
    }

    private static func has(
        _ value: PageValue, _ walk: ValueWalk, run: String
    ) throws -> (String, [SQLArgument]) {
        (
            "EXISTS (SELECT 1 FROM \(walk.satellite) m WHERE m.owner = \(run) AND m.key = ? AND m.is_nan = ?"
                + " AND m.value = ?)",
            [.text(walk.first.field.key), .integer(Int64(walk.rank)), try value.argument()]
        )
    }
}
