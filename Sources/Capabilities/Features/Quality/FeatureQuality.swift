public import AerieCore
public import AerieJSON
import AerieResources
import Datasets
import Quality

/// What a view's rows must look like before they are written, and what becomes of those that do not.
public struct FeatureQuality: Sendable, Hashable {
    public enum Action: String, Sendable, CaseIterable {
        /// Nothing of the batch is written.
        case reject
        /// The rows that are wrong are kept aside, the others are written.
        case quarantine
        /// All is written, and it is said.
        case warn
    }

    /// The name of an `ExpectationSuite`.
    public var suite: String
    public var onFailure: Action

    /// Reads `spec.quality`; `nil` where there is none.
    init?(_ value: JSONValue?) {
        guard let suite = value?["suite"]?.string else { return nil }
        self.suite = suite
        onFailure = value?["onFailure"]?.string.flatMap(Action.init) ?? .reject
    }
}

/// Rows in a table of the engine, by the names that their users know.
struct CheckedRows: Sendable {
    let engine: any SQLEngine
    let view: FeatureCatalog.View
    /// The table; its `rowid` tells the rows apart.
    let table: String
    /// Where the rows were chosen from; `nil` if there are no others.
    var origin: Origin?
    /// What each column is selected as.
    let columns: [(sql: String, name: String)]

    /// A table with the same columns, of which some rows are chosen.
    struct Origin: Sendable {
        let table: String
        /// The `SELECT` that chooses.
        let choice: String
    }

    func select(with extra: String = "", from table: String) -> String {
        let list = columns.map { "\($0.sql) AS \(sqlIdentifier($0.name))" }.joined(separator: ", ")
        return "SELECT \(extra)\(list) FROM \(table)"
    }
}

extension FeatureStore {
    /// Rows that are kept aside at one time.
    private static let quarantineLimit = 10_000

    static func quarantineLog(_ view: FeatureCatalog.View) -> String {
        "quarantine/\(view.key.namespace)/\(view.definition.name)"
    }

    /// The rows of a view that were kept aside last, the newest first, each with why and when.
    public func quarantine(
        view name: String, namespace: String = "default", limit: Int = 100
    ) async throws(AerieError) -> [JSONValue] {
        try await records(Self.quarantineLog(try await catalog(namespace).view(name)), limit: limit)
    }

    func checkQuality(of source: MaterializationSource) async throws(AerieError) -> [String] {
        let view = source.view
        guard let quality = view.quality else { return [] }
        var columns = view.joinKeys.enumerated().map { (sql: "k\($0)", name: $1.name) }
        columns += view.definition.features.enumerated().map { (sql: "f\($0)", name: $1.name) }
        columns.append((sql: "make_timestamp(t)", name: view.definition.timestampField ?? "event_timestamp"))
        let rows = CheckedRows(
            engine: source.engine, view: view, table: "newest", origin: source.origin, columns: columns)
        let notes = try await check(rows, quality)
        if let origin = source.origin { try await source.engine.execute("DROP TABLE \(origin.table)") }
        return notes
    }

    /// Checks rows, and takes those out of the table that are kept aside.
    /// - Returns: what is to be said of rows that are written.
    /// - Throws: `failedPrecondition` (`quality.rejected`) with what is not as it should be.
    func check(_ rows: CheckedRows, _ quality: FeatureQuality) async throws(AerieError) -> [String] {
        let key = ResourceKey(kind: "ExpectationSuite", namespace: rows.view.key.namespace, name: quality.suite)
        let suite = try ExpectationSuite.parse(try await resources.get(key).spec, name: quality.suite)
        let evaluator = ExpectationEvaluator(engine: rows.engine)
        let result = try await evaluator.evaluate(suite, relation: "(\(rows.select(from: rows.table)))")
        let failures = result.results.filter { !$0.success }
        let critical = result.criticalFailures
        let notes = failures.map(\.summary)
        counters.failed(failures.count, of: rows.view)
        guard !critical.isEmpty, quality.onFailure != .warn else { return notes }
        let refused = AerieError(
            .failedPrecondition,
            "rows of feature view \(rows.view.definition.name) are not as suite \(quality.suite) has them: "
                + critical.map(\.summary).joined(separator: "; "), reason: "quality.rejected")
        guard quality.onFailure == .quarantine, critical.allSatisfy({ $0.failure == nil }),
            let condition = evaluator.condition(
                critical.map(\.expectation), columns: rows.columns.map(\.name))
        else { throw refused }
        let taken = try await setAside(rows, condition, quality, critical)
        return notes + ["\(taken) rows are in quarantine"]
    }

    private func setAside(
        _ rows: CheckedRows, _ condition: String, _ quality: FeatureQuality, _ failures: [ExpectationResult]
    ) async throws(AerieError) -> Int64 {
        // Where rows are judged one by one, so are those that were not chosen, and the next takes a wrong one's place.
        // What must be unique is so among the chosen.
        let origin = failures.allSatisfy(\.expectation.isOfSingleRows) ? rows.origin : nil
        let table = origin?.table ?? rows.table
        let all = rows.select(with: "rowid AS \"__aerie_row\", ", from: table)
        let judged = "SELECT *, (\(condition)) AS \"__aerie_bad\" FROM (\(all))"
        try await rows.engine.execute(
            "CREATE OR REPLACE TEMP TABLE \"__aerie_aside\" AS SELECT * EXCLUDE (\"__aerie_bad\") FROM (\(judged)) "
                + "WHERE \"__aerie_bad\"")
        let aside = try await rows.engine.query(
            "SELECT to_json(r)::VARCHAR AS j FROM (SELECT * EXCLUDE (\"__aerie_row\") FROM \"__aerie_aside\" "
                + "ORDER BY \"__aerie_row\" LIMIT \(Self.quarantineLimit)) AS r")
        let at = FeatureTime.text(clock.now().milliseconds * 1000)
        let reasons = JSONValue.array(failures.map { .string($0.expectation.type) })
        var records: [[UInt8]] = []
        for row in 0..<aside.rowCount {
            guard case .text(let text)? = aside["j"]?[row], let json = try? JSONValue.parse(text) else { continue }
            let record: JSONValue = [
                "at": .string(at), "suite": .string(quality.suite), "expectations": reasons, "row": json,
            ]
            records.append(record.utf8())
        }
        // First kept, then taken out: a row is never in neither place.
        try await log?.append(Self.quarantineLog(rows.view), records)
        let count = try await rows.engine.query("SELECT count(*) AS n FROM \"__aerie_aside\"")
        try await rows.engine.execute(
            "DELETE FROM \(table) WHERE rowid IN (SELECT \"__aerie_row\" FROM \"__aerie_aside\")")
        if let origin {
            try await rows.engine.execute("CREATE OR REPLACE TEMP TABLE \(rows.table) AS \(origin.choice)")
        }
        guard case .int(let taken)? = count["n"]?[0] else { return 0 }
        counters.setAside(Int(taken), of: rows.view)
        return taken
    }
}
