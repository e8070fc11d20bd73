import AerieCore
import Datasets
import Foundation
import StoreDuckDB
import Synchronization
import Testing

@Suite struct DuckDBEngineTests {
    let engine = DuckDBEngine(options: .init(threads: 2))

    @Test("Every scalar type comes back as its Swift value, and null as null")
    func scalarTypes() async throws {
        let cases: [(sql: String, type: String, value: SQLValue)] = [
            ("true", "BOOLEAN", .bool(true)),
            ("(-128)::TINYINT", "TINYINT", .int(-128)),
            ("(-32768)::SMALLINT", "SMALLINT", .int(-32768)),
            ("42::INTEGER", "INTEGER", .int(42)),
            ("9223372036854775807::BIGINT", "BIGINT", .int(.max)),
            ("255::UTINYINT", "UTINYINT", .int(255)),
            ("65535::USMALLINT", "USMALLINT", .int(65535)),
            ("4294967295::UINTEGER", "UINTEGER", .int(4_294_967_295)),
            ("7::UBIGINT", "UBIGINT", .int(7)),
            ("18446744073709551615::UBIGINT", "UBIGINT", .double(18_446_744_073_709_551_615)),
            ("(-170141183460469231731687303715884105727)::HUGEINT", "HUGEINT", .double(-0x1p127)),
            ("(-5)::HUGEINT", "HUGEINT", .double(-5)),
            ("5::UHUGEINT", "UHUGEINT", .double(5)),
            ("0.5::FLOAT", "FLOAT", .double(0.5)),
            ("0.1::DOUBLE", "DOUBLE", .double(0.1)),
            ("12.5::DECIMAL(4,1)", "DECIMAL(4,1)", .double(12.5)),
            ("(-12.34)::DECIMAL(9,2)", "DECIMAL(9,2)", .double(-12.34)),
            ("1234567.25::DECIMAL(18,2)", "DECIMAL(18,2)", .double(1_234_567.25)),
            ("1234567.25::DECIMAL(38,2)", "DECIMAL(38,2)", .double(1_234_567.25)),
            ("''", "VARCHAR", .text("")),
            ("'twelve bytes'", "VARCHAR", .text("twelve bytes")),
            ("'thirteen byte'", "VARCHAR", .text("thirteen byte")),
            ("'Zürich, København, 東京, 🚆'", "VARCHAR", .text("Zürich, København, 東京, 🚆")),
            ("DATE '1970-01-02'", "DATE", .timestamp(86_400_000_000)),
            ("DATE '1969-12-31'", "DATE", .timestamp(-86_400_000_000)),
            ("'infinity'::DATE", "DATE", .timestamp(.max)),
            ("TIMESTAMP '2026-03-01 12:34:56.789012'", "TIMESTAMP", .timestamp(1_772_368_496_789_012)),
            ("TIMESTAMP_S '2026-03-01 12:34:56'", "TIMESTAMP_S", .timestamp(1_772_368_496_000_000)),
            ("TIMESTAMP_MS '2026-03-01 12:34:56.789'", "TIMESTAMP_MS", .timestamp(1_772_368_496_789_000)),
            ("TIMESTAMP_NS '1969-12-31 23:59:59.999999999'", "TIMESTAMP_NS", .timestamp(-1)),
            ("TIMESTAMPTZ '2026-03-01 12:34:56+02:00'", "TIMESTAMP WITH TIME ZONE", .timestamp(1_772_361_296_000_000)),
        ]
        for (sql, type, value) in cases {
            let table = try await engine.query("SELECT \(sql) AS v UNION ALL SELECT NULL")
            let column = try #require(table["v"])
            #expect(column.typeName == type, "\(sql)")
            #expect(column.count == 2, "\(sql)")
            #expect(column[0] == value, "\(sql)")
            #expect(column[1] == .null, "\(sql)")
        }
    }

    @Test("Types without a Swift value come back as text under their own type's name")
    func otherTypesAsText() async throws {
        let table = try await engine.query(
            """
            SELECT 1 AS plain, INTERVAL 3 DAY AS span, [1, 2] AS list, {'a': 1} AS record, TIME '01:02:03' AS clock,
                   'b'::ENUM('a', 'b') AS choice, 'd9428888-122b-11e1-b85c-61cd3cbb3210'::UUID AS id, ? AS given
            ORDER BY 1; -- the end
            """, [.text("x")])
        #expect(table.columns.map(\.typeName) == [
            "INTEGER", "INTERVAL", "LIST", "STRUCT", "TIME", "ENUM", "UUID", "VARCHAR",
        ])
        #expect(table.columns.map { $0[0] } == [
            .int(1), .text("3 days"), .text("[1, 2]"), .text("{'a': 1}"), .text("01:02:03"), .text("b"),
            .text("d9428888-122b-11e1-b85c-61cd3cbb3210"), .text("x"),
        ])
        #expect(table.columns.map(\.name) == ["plain", "span", "list", "record", "clock", "choice", "id", "given"])
    }

    @Test("A parameter of every kind arrives as it was given")
    func parameters() async throws {
        let values: [SQLValue] = [
            .null, .bool(false), .int(.min), .double(-0.1), .text("it's; -- text"), .text(""), .timestamp(-1),
        ]
        let table = try await engine.query("SELECT ?, ?, ?, ?, ?, ?, ?", values)
        #expect(table.columns.map { $0[0] } == values)
        let error = await #expect(throws: AerieError.self) { try await engine.query("SELECT ?", []) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("has 1, but 0 are given") == true)
    }

    @Test("A long result with nulls, constants and long texts is right in every row")
    func longResult() async throws {
        let rows = 10_000
        let table = try await engine.query(
            """
            SELECT i, CASE WHEN i % 3 = 0 THEN NULL ELSE i * 0.5 END AS half, 'same text in every row' AS constant,
                   repeat('x', (i % 40)::INT) AS text, i % 2 = 0 AS even
            FROM range(\(rows)) AS t(i) ORDER BY i
            """)
        #expect(table.rowCount == rows)
        var wrong = 0
        for row in 0..<rows {
            let half: SQLValue = row % 3 == 0 ? .null : .double(Double(row) * 0.5)
            let expected: [SQLValue] = [
                .int(Int64(row)), half, .text("same text in every row"),
                .text(String(repeating: "x", count: row % 40)), .bool(row % 2 == 0),
            ]
            if table.columns.map({ $0[row] }) != expected { wrong += 1 }
        }
        #expect(wrong == 0)
    }

    @Test("Rows are lent as numbers of 64 bits, in their order where it is asked for") func lending() async throws {
        let rows = 300_000
        let sql = """
            SELECT i, make_timestamp(i), CASE WHEN i % 3 = 0 THEN NULL ELSE 5 END::BIGINT FROM range(\(rows)) t(i)
            """
        for isOrdered in [true, false] {
            let seen = Mutex((first: [Int64](), wrong: 0))
            try await engine.lend(sql, isOrdered: isOrdered) { lent in
                seen.withLock { seen in
                    let columns = lent.columns
                    for row in 0..<lent.count {
                        let number = columns[0].values[row]
                        let isNull = columns[2].validity.map { $0[row >> 6] >> UInt64(row & 63) & 1 == 0 } ?? false
                        let isRight =
                            columns[1].values[row] == number && isNull == (number % 3 == 0)
                            && (isNull || columns[2].values[row] == 5)
                        seen.wrong += isRight ? 0 : 1
                        seen.first.append(number)
                    }
                }
            }
            let (numbers, wrong) = seen.withLock { $0 }
            #expect(wrong == 0)
            #expect((isOrdered ? numbers : numbers.sorted()) == (0..<rows).map(Int64.init))
        }
        let error = await #expect(throws: AerieError.self) {
            try await engine.lend("SELECT 1::INTEGER AS small", isOrdered: true) { _ in }
        }
        #expect(error?.code == .invalidArgument)
        let order = try await engine.query("SELECT current_setting('preserve_insertion_order')::VARCHAR AS set")
        #expect(order["set"]?[0] == .text("true"))
    }

    @Test("A million rows are aggregated without leaving the engine")
    func millionRows() async throws {
        try await engine.execute("CREATE TABLE big AS SELECT i, i % 1000 AS k FROM range(1000000) AS t(i)")
        let table = try await engine.query("SELECT count(*) AS n, sum(i) AS total, avg(k) AS mean FROM big")
        #expect(table["n"]?[0] == .int(1_000_000))
        #expect(table["total"]?[0] == .double(499_999_500_000))
        #expect(table["mean"]?[0] == .double(499.5))
    }

    @Test("Rows go to CSV and Parquet and come back the same")
    func filesRoundTrip() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("aerie-duckdb-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await engine.execute(
            """
            CREATE TABLE source AS SELECT i AS id, i / 4.0 AS amount, 'user ' || (i % 7) AS name,
                TIMESTAMP '2026-01-01' + to_seconds(i) AS at FROM range(5000) AS t(i)
            """)
        let csv = sqlString(folder.path + "/rows.csv")
        let parquet = sqlString(folder.path + "/rows.parquet")
        try await engine.execute("COPY source TO \(csv) (HEADER); COPY source TO \(parquet) (FORMAT parquet)")
        for reader in ["read_csv(\(csv))", "read_parquet(\(parquet))", csv] {
            let difference = try await engine.query(
                "SELECT count(*) AS n FROM (SELECT * FROM source EXCEPT SELECT * FROM \(reader))")
            #expect(difference["n"]?[0] == .int(0), "\(reader)")
            let count = try await engine.query("SELECT count(*) AS n FROM \(reader)")
            #expect(count["n"]?[0] == .int(5000), "\(reader)")
        }
    }

    @Test("ASOF JOIN finds the last value before each moment")
    func asOfJoin() async throws {
        try await engine.execute(
            """
            CREATE TABLE events AS SELECT * FROM (VALUES ('a', 10), ('a', 25), ('b', 5)) AS t(who, moment);
            CREATE TABLE features AS
                SELECT * FROM (VALUES ('a', 9, 1.0), ('a', 20, 2.0), ('b', 6, 9.0)) AS t(who, moment, x);
            """)
        let table = try await engine.query(
            """
            SELECT events.who, events.moment, features.x FROM events ASOF LEFT JOIN features
            ON events.who = features.who AND events.moment >= features.moment ORDER BY ALL
            """)
        #expect(table["x"].map { column in (0..<3).map { column[$0] } } == [.double(1), .double(2), .null])
    }

    @Test(
        "Wrong SQL and wrong data are told in the engine's words",
        arguments: [
            ("SELEC 1", "syntax error"), ("SELECT * FROM nowhere", "nowhere"), ("SELECT 'x'::INTEGER", "x"),
            ("SELECT * FROM read_csv('/nonexistent/rows.csv')", "rows.csv"), ("", "no SQL statement"),
            ("SELECT '\0'", "zero byte"), ("SELECT 1; SELECT ?", "single statement"),
        ])
    func errors(_ sql: String, _ words: String) async throws {
        let error = await #expect(throws: AerieError.self) {
            try await engine.query(sql, sql.contains("?") ? [.int(1), .int(2)] : [])
        }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
        #expect(try await engine.query("SELECT 1 AS one")["one"]?[0] == .int(1))
    }

    @Test("A failed statement changes nothing, and the engine goes on")
    func failedStatement() async throws {
        try await engine.execute("CREATE TABLE numbers (n INTEGER CHECK (n < 10))")
        try await engine.execute("INSERT INTO numbers VALUES (1)")
        await #expect(throws: AerieError.self) { try await engine.execute("INSERT INTO numbers VALUES (2), (99)") }
        #expect(try await engine.query("SELECT sum(n)::INTEGER AS s FROM numbers")["s"]?[0] == .int(1))
    }

    @Test("Cancelling the task stops its statement soon, and the engine goes on")
    func cancellation() async throws {
        let engine = engine
        let started = ContinuousClock.now
        let task = Task {
            try await engine.query("SELECT count(*) FROM range(10000000000) AS a(i) WHERE i * i % 7 = 3")
        }
        try await Task.sleep(for: .milliseconds(50))
        task.cancel()
        let error = await #expect(throws: AerieError.self) { try await task.value }
        #expect(error?.code == .cancelled)
        #expect(ContinuousClock.now - started < .seconds(10))
        #expect(try await engine.query("SELECT 1 AS one")["one"]?[0] == .int(1))
    }

    @Test("What is written to a database file is there after it is opened again")
    func databaseFile() async throws {
        let path = FileManager.default.temporaryDirectory.path + "/aerie-\(UUID().uuidString).duckdb"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let first = DuckDBEngine(path: path)
        try await first.execute("CREATE TABLE kept AS SELECT 42 AS n")
        await first.close()
        let second = DuckDBEngine(path: path)
        #expect(try await second.query("SELECT n FROM kept")["n"]?[0] == .int(42))
        await second.close()
    }

    @Test("Extensions are not fetched, and the time zone is UTC")
    func settings() async throws {
        let table = try await engine.query(
            "SELECT current_setting('autoinstall_known_extensions') AS fetches, current_setting('TimeZone') AS zone")
        #expect(table.columns.map { $0[0] } == [.bool(false), .text("UTC")])
        let json = try await engine.query("SELECT json_extract('{\"a\": 7}', '$.a')::INTEGER AS a")
        #expect(json["a"]?[0] == .int(7))
    }

    @Test("A missing library is told with what it costs and the command that installs it")
    func missingLibrary() async throws {
        let engine = DuckDBEngine(options: .init(nativeFolder: "/nonexistent"))
        let error = await #expect(throws: AerieError.self) { try await engine.query("SELECT 1") }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("scripts/bootstrap") == true)
        #expect(error?.message.contains("/nonexistent") == true)
    }

    @Test("The library tells its version")
    func version() throws {
        #expect(try DuckDBEngine.libraryVersion().hasPrefix("v2."))
    }
}
