import AerieArrow
import AerieCore
import Datasets
import StoreDuckDB
import Testing

@Suite("Tables in Arrow's form")
struct DuckDBArrowTests {
    private static let everything = """
        SELECT i AS big, i::INTEGER AS small, (i % 256)::UTINYINT AS tiny, i / 4 AS real, (i / 4)::FLOAT AS single,
            CASE WHEN i % 3 = 0 THEN NULL ELSE 'città ' || i END AS text, i % 2 = 0 AS flag,
            make_timestamp(i * 1000003) AS moment, make_timestamp(i)::TIMESTAMPTZ AS zoned,
            (DATE '2026-01-01' + i::INT) AS day,
            (i * 1.25)::DECIMAL(18, 3) AS decimal, ('x' || i)::BLOB AS bytes,
            CASE WHEN i % 5 = 0 THEN NULL ELSE [i, NULL, i + 1] END AS list,
            {'a': i, 'b': ['t' || i]} AS nested,
            MAP {'k' || i: i} AS map, [i, i + 1]::BIGINT[2] AS pair, NULL::INTEGER AS nothing
        FROM range(5000) t(i)
        """

    /// The table as it would come over the wire.
    private func sent(_ table: ArrowTable) throws(AerieError) -> ArrowTable {
        let header = try ArrowMessage.header(table.schema)
        guard case .schema(let schema) = try ArrowMessage(header: header, body: []) else {
            throw AerieError(.internal, "no schema")
        }
        var copy = ArrowTable(schema: schema, batches: [])
        for batch in table.batches {
            if case .batch(let read) = try ArrowMessage(header: ArrowMessage.header(batch), body: batch.body) {
                copy.batches.append(read)
            }
        }
        return copy
    }

    @Test("every type goes out, over the wire and in again as it was")
    func roundTrip() async throws {
        let engine = DuckDBEngine()
        let table = try await engine.arrow(Self.everything)
        #expect(table.batches.reduce(0) { $0 + $1.length } == 5000)
        let copy = try sent(table)
        #expect(copy.schema == table.schema)
        for batch in copy.batches { try await engine.append(batch, of: copy.schema, to: "copy") }
        let differences = try await engine.query(
            "SELECT count(*) FROM ((FROM copy EXCEPT ALL (\(Self.everything))) UNION ALL "
                + "((\(Self.everything)) EXCEPT ALL FROM copy))")
        #expect(differences.columns.first?[0] == .int(0))
        #expect(try await engine.query("SELECT count(*) FROM copy").columns.first?[0] == .int(5000))
    }

    @Test("a table without rows has its columns")
    func empty() async throws {
        let engine = DuckDBEngine()
        let table = try await engine.arrow("SELECT 1 AS a, 'x' AS b WHERE false")
        #expect(table.schema.fields.map(\.name) == ["a", "b"] && table.batches.isEmpty)
        #expect(try sent(table).schema == table.schema)
    }

    @Test("indices of a dictionary are looked up, and must be in it")
    func dictionaries() async throws {
        let engine = DuckDBEngine()
        let values = try await engine.arrow("SELECT * FROM (VALUES ('red'), ('green')) t(v)")
        let schema = ArrowSchema(fields: [
            ArrowField(
                name: "colour", format: "c",
                dictionary: ArrowDictionary(id: 7, values: ArrowField(name: "", format: "u")))
        ])
        func batch(_ indices: [Int8]) -> ArrowBatch {
            var batch = ArrowBatch(length: indices.count, nodes: [.init(length: indices.count, nullCount: 0)])
            batch.append(UnsafeRawBufferPointer(start: nil, count: 0))
            indices.withUnsafeBytes { batch.append($0) }
            batch.dictionaries = [7: values.batches[0]]
            return batch
        }
        try await engine.append(batch([1, 0, 1]), of: schema, to: "t")
        let found = try await engine.query("SELECT string_agg(colour::VARCHAR, ',') FROM t")
        #expect(found.columns.first?[0] == .text("green,red,green"))
        for wrong in [[0, 2], [-1, 0]] as [[Int8]] {
            await #expect(throws: AerieError.self) { try await engine.append(batch(wrong), of: schema, to: "t") }
        }
    }

    @Test("messages that are cut or changed are refused, or hold rows that can be read")
    func fuzz() async throws {
        let engine = DuckDBEngine()
        let table = try await engine.arrow(Self.everything + " LIMIT 40")
        let batch = try #require(table.batches.first)
        let headers = [try ArrowMessage.header(table.schema), ArrowMessage.header(batch)]
        for header in headers {
            for count in stride(from: 0, to: header.count, by: 3) {
                _ = try? ArrowMessage(header: Array(header[..<count]), body: batch.body)
            }
        }
        var state: UInt64 = 42
        func next(_ limit: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(limit))
        }
        var (refused, taken) = (0, 0)
        for _ in 0..<3000 {
            var header = headers[next(2)]
            var body = batch.body
            if next(2) == 0 { for _ in 0...next(3) { header[next(header.count)] = UInt8(next(256)) } }
            if next(2) == 0 { body[next(body.count)] = UInt8(next(256)) }
            do throws(AerieError) {
                if case .batch(let read) = try ArrowMessage(header: header, body: body) {
                    try read.check(against: table.schema)
                    taken += 1
                }
            } catch { refused += 1 }
        }
        #expect(refused > 500 && taken > 100)
    }
}
