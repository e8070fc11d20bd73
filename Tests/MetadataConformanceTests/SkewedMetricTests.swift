import AerieCore
import Experiments
import GRDB
import Testing

@testable import StorePostgres
@testable import StoreSQLite

/// A metric whose value thousands of runs share, as an accuracy of 1: more of them than are sorted for a page.
@Suite struct SkewedMetricTests {
    private static let count = 11_500

    /// The value of a run's metric; `nil` for none.
    private static func value(_ number: Int) -> Double? {
        switch number {
        case ...5500: 1
        case ...6100: 0.5
        case ...6130: Double(number)
        case ...11_230: .nan
        default: nil
        }
    }

    private static func start(_ number: Int) -> Int64 { Int64(number * 7919 % 1000) }

    private static let statements: [String] = [
        """
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < \(count))
        INSERT INTO runs (seq, id, experiment, name, user_id, status, start_time, artifact_uri, stage)
        SELECT i, 'r' || i, 0, 'n', 'u', 'FINISHED', (i * 7919) % 1000, '', 'active' FROM n
        """,
        """
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 11230)
        INSERT INTO latest_metrics (owner, key, step, timestamp, value, is_nan)
        SELECT i, 'm', 0, 1, CASE WHEN i <= 5500 THEN 1.0 WHEN i <= 6100 THEN 0.5 WHEN i <= 6130 THEN i ELSE 0 END,
            CASE WHEN i > 6130 THEN 1 ELSE 0 END FROM n
        """,
    ]

    /// Runs with a value by it, then NaN, then none; those of one value by their start, newest first, and identifier.
    private static func expected(ascending: Bool, where isIn: @escaping (Double?) -> Bool = { _ in true }) -> [RunID] {
        func rank(_ value: Double?) -> Int { value.map { $0.isNaN ? 1 : 0 } ?? 2 }
        return (1...count).filter { isIn(value($0)) }.sorted { a, b in
            let (left, right) = (value(a), value(b))
            if rank(left) != rank(right) { return rank(left) < rank(right) }
            if rank(left) == 0, let left, let right, left != right { return ascending ? left < right : left > right }
            if start(a) != start(b) { return start(a) > start(b) }
            return "r\(a)" < "r\(b)"
        }.map { RunID("r\($0)") }
    }

    private static func check(_ runs: any RunStore) async throws {
        let metric = SearchField(.metric, "m")
        for ascending in [true, false] {
            let few: @Sendable (Double?) -> Bool = { ($0 ?? .nan) <= 1 }
            let every: @Sendable (Double?) -> Bool = { _ in true }
            let none: @Sendable (Double?) -> Bool = { _ in false }
            let cases: [(conditions: [SearchCondition], isIn: @Sendable (Double?) -> Bool)] = [
                ([], every), ([SearchCondition(metric, .lessOrEqual, .number(1))], few),
                ([SearchCondition(SearchField(.attribute, "start_time"), .less, .number(-1))], none),
            ]
            for (conditions, isIn) in cases {
                var query = SearchQuery(
                    experimentIDs: ["0"], conditions: conditions, order: [SearchOrder(metric, ascending: ascending)],
                    limit: 2300)
                var found: [RunID] = []
                repeat {
                    let page = try await runs.search(query)
                    found += page.elements.map(\.info.id)
                    query.position = page.next
                } while query.position != nil
                #expect(found == expected(ascending: ascending, where: isIn))
            }
        }
        // A second order within one value.
        let both = SearchQuery(
            experimentIDs: ["0"], order: [SearchOrder(metric), SearchOrder(SearchField(.attribute, "run_name"))],
            limit: 2000)
        let page = try await runs.search(both)
        #expect(page.elements.map(\.info.id) == Array(expected(ascending: true).prefix(2000)))
    }

    @Test("pages follow each other through SQLite") func sqlite() async throws {
        try await MetadataBackend.withSQLite(MetadataDatabase.migrations) { database in
            try await database.write { db in for one in Self.statements { try db.execute(sql: one) } }
            try await Self.check(SQLiteRunStore(database))
        }
    }

    @Test("pages follow each other through PostgreSQL") func postgres() async throws {
        let url = try PostgresServer.shared.get().freshDatabase()
        let database = try await PostgresDatabase(url: url, connections: 2)
        try await database.write { db in for one in Self.statements + ["ANALYZE"] { try db.run(one) } }
        try await Self.check(PostgresRunStore(database))
    }
}
