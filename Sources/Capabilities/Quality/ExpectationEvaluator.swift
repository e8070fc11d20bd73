public import AerieCore
public import AerieJSON
public import Datasets

/// Checks a suite against a table. One scan answers all expectations; each unmet one about rows costs another,
/// for its examples.
public struct ExpectationEvaluator: Sendable {
    let engine: any SQLEngine

    public init(engine: any SQLEngine) { self.engine = engine }

    /// - Parameter relation: what stands after `FROM`, such as `read_parquet('…')` or a quoted table name.
    /// - Throws: what the engine throws if the relation cannot be read. An expectation that cannot be evaluated (no
    ///   such column, a number compared with text) is unmet, and its result says why.
    public func evaluate(_ suite: ExpectationSuite, relation: String) async throws(AerieError) -> SuiteResult {
        let shape = TableShape(relation: relation, columns: try await engine.columns(of: relation))
        let names = Set(shape.columns.map(\.name))
        var results = [ExpectationResult?](repeating: nil, count: suite.expectations.count)
        var open: [(index: Int, query: ExpectationQuery)] = []
        for (index, expectation) in suite.expectations.enumerated() {
            let query = ExpectationQuery(expectation, shape)
            if let missing = query.columns.first(where: { !names.contains($0) }) {
                results[index] = ExpectationResult(
                    expectation, failure: "Error: The column \"\(missing)\" in BatchData does not exist.")
            } else if case .decided(let success, let result) = query.rule {
                results[index] = ExpectationResult(expectation, success: success, result: result)
            } else {
                open.append((index, query))
            }
        }
        do {
            let table = try await scan(open.map(\.query), shape)
            for (position, item) in open.enumerated() {
                results[item.index] = try await result(
                    suite.expectations[item.index], item.query, table, position, shape)
            }
        } catch {
            // One impossible comparison fails the whole statement: ask one by one to find which it is.
            for item in open { results[item.index] = await single(suite.expectations[item.index], item.query, shape) }
        }
        return SuiteResult(suiteName: suite.name, results: results.compactMap(\.self))
    }

    private func single(_ expectation: Expectation, _ query: ExpectationQuery, _ shape: TableShape) async
        -> ExpectationResult
    {
        do throws(AerieError) {
            return try await result(expectation, query, try await scan([query], shape), 0, shape)
        } catch { return ExpectationResult(expectation, failure: error.message) }
    }

    /// Columns `e<position>_…` of one row. Window functions cannot stand in an aggregate, so the rows' verdicts are
    /// made in a subquery.
    private func scan(_ queries: [ExpectationQuery], _ shape: TableShape) async throws(AerieError) -> SQLTable {
        var verdicts: [String] = []
        var aggregates = ["count(*) AS row_count"]
        for (position, query) in queries.enumerated() {
            switch query.rule {
            case .rows(let eligible, let unexpected, _, _):
                verdicts.append(
                    "(\(eligible)) AS \"e\(position)_in\", coalesce((\(eligible)) AND (\(unexpected)), false) AS "
                        + "\"e\(position)_bad\""
                )
                aggregates.append("count(*) FILTER (WHERE \"e\(position)_in\") AS \"e\(position)_eligible\"")
                aggregates.append("count(*) FILTER (WHERE \"e\(position)_bad\") AS \"e\(position)_unexpected\"")
            case .aggregate(let value, let holds):
                aggregates.append("\(value) AS \"e\(position)_value\", (\(holds)) AS \"e\(position)_holds\"")
            case .decided: break
            }
        }
        let inner =
            verdicts.isEmpty ? shape.relation : "(SELECT *, \(verdicts.joined(separator: ", ")) FROM \(shape.relation))"
        return try await engine.query("SELECT \(aggregates.joined(separator: ", ")) FROM \(inner)")
    }

    private func result(
        _ expectation: Expectation, _ query: ExpectationQuery, _ table: SQLTable, _ position: Int, _ shape: TableShape
    ) async throws(AerieError) -> ExpectationResult {
        func count(_ name: String) -> Int64 { if case .int(let value)? = table[name]?[0] { value } else { 0 } }
        switch query.rule {
        case .decided(let success, let result):
            return ExpectationResult(expectation, success: success, result: result)
        case .aggregate:
            let value = table["e\(position)_value"]?[0] ?? .null
            let holds = table["e\(position)_holds"]?[0] ?? .null
            return ExpectationResult(
                expectation, success: holds == .bool(true), result: ["observed_value": JSONValue(value)])
        case .rows(let eligible, let unexpected, let example, let isNullRule):
            let counts = RowCounts(
                rows: count("row_count"), eligible: count("e\(position)_eligible"),
                unexpected: count("e\(position)_unexpected"), isNullRule: isNullRule)
            var examples: [(value: JSONValue, row: Int64)] = []
            if counts.unexpected > 0 {
                examples = try await self.examples(
                    "coalesce((\(eligible)) AND (\(unexpected)), false)", example, shape)
            }
            let mostly = expectation.kwargs["mostly"]?.double ?? 1
            return ExpectationResult(
                expectation, success: counts.share >= mostly, result: counts.result(examples))
        }
    }

    /// The first 20 unexpected values in the order of rows, and their positions counted from 0.
    private func examples(
        _ isUnexpected: String, _ value: String, _ shape: TableShape
    ) async throws(AerieError) -> [(value: JSONValue, row: Int64)] {
        let table = try await engine.query(
            "SELECT v, r FROM (SELECT \(value) AS v, row_number() OVER () - 1 AS r, \(isUnexpected) AS bad "
                + "FROM \(shape.relation)) WHERE bad ORDER BY r LIMIT 20")
        return (0..<table.rowCount).map { row in
            let position: Int64 = if case .int(let value)? = table["r"]?[row] { value } else { 0 }
            return (JSONValue(table["v"]?[row] ?? .null), position)
        }
    }
}

/// The numbers of an expectation about rows.
private struct RowCounts {
    var rows: Int64
    var eligible: Int64
    var unexpected: Int64
    var isNullRule: Bool

    /// 1 where there is nothing to look at.
    var share: Double { eligible == 0 ? 1 : Double(eligible - unexpected) / Double(eligible) }

    func result(_ examples: [(value: JSONValue, row: Int64)]) -> JSONObject {
        func percent(_ part: Int64, of whole: Int64) -> JSONValue {
            whole == 0 ? .null : .double(Double(part) / Double(whole) * 100)
        }
        var result: JSONObject = [
            "element_count": .int(rows), "unexpected_count": .int(unexpected),
            "unexpected_percent": percent(unexpected, of: eligible),
            "partial_unexpected_list": .array(examples.map(\.value)),
        ]
        if !isNullRule {
            result["missing_count"] = .int(rows - eligible)
            result["missing_percent"] = percent(rows - eligible, of: rows)
            result["unexpected_percent_total"] = percent(unexpected, of: rows)
            result["unexpected_percent_nonmissing"] = percent(unexpected, of: eligible)
        }
        result["partial_unexpected_index_list"] = .array(examples.map { .int($0.row) })
        return result
    }
}
