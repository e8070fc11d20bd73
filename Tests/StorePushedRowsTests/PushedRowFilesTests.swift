import AerieCore
import Datasets
import Features
import Foundation
import StoreDuckDB
import StorePushedRows
import Testing

@Suite struct PushedRowFilesTests {
    private let columns = [
        PushedColumn(name: "k", type: "BIGINT"), PushedColumn(name: "t", type: "TIMESTAMPTZ"),
        PushedColumn(name: "v", type: "DOUBLE"), PushedColumn(name: "b", type: "BLOB"),
        PushedColumn(name: "l", type: "BIGINT[]"),
    ]

    private func line(_ number: Int) -> String {
        #"{"k": \#(number), "t": "2026-01-01T00:00:00.250Z", "v": "NaN", "b": "AAEC", "l": [\#(number), 2]}"#
    }

    @Test("Rows are read in the order in which they came, also after files were merged and what a crash left is there")
    func order() async throws {
        let folder = NSTemporaryDirectory() + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let engine = DuckDBEngine(options: .init(threads: 1))
        let store = PushedRowFiles(folder: folder, engine: engine)
        #expect(try await store.files(of: "default/v").isEmpty)
        let count = PushedRowFiles.mergeCount + 5
        for number in 0..<count {
            try await store.append([line(number), line(number)], columns: columns, to: "default/v")
        }
        for left in ["000000000000000001.parquet.part", ".000000000000000002.json"] {
            FileManager.default.createFile(atPath: "\(folder)/default/v/\(left)", contents: Data("x".utf8))
        }
        // Another process, later.
        let files = try await PushedRowFiles(folder: folder, engine: engine).files(of: "default/v")
        #expect(files.count < PushedRowFiles.mergeCount)
        let list = files.map(sqlString).joined(separator: ", ")
        let table = try await engine.query(
            "SELECT k, epoch_ms(t) AS ms, isnan(v) AS n, octet_length(b) AS o, l[1] AS f FROM read_parquet([\(list)])")
        #expect((0..<table.rowCount).map { table["k"]?[$0] } == (0..<count * 2).map { .int(Int64($0 / 2)) })
        #expect(table["ms"]?[0] == .int(1_767_225_600_250) && table["n"]?[0] == .bool(true))
        #expect(table["o"]?[0] == .int(3) && table["f"]?[9] == .int(4))
    }

    @Test("A large file is left alone until what is newer has grown to its size") func merges() async throws {
        let folder = NSTemporaryDirectory() + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let engine = DuckDBEngine(options: .init(threads: 1))
        let store = PushedRowFiles(folder: folder, engine: engine)
        let many = (0..<20_000).map(line)
        try await store.append(many, columns: columns, to: "default/v")
        let large = try await store.files(of: "default/v")
        for number in 0..<(PushedRowFiles.mergeCount + 5) {
            try await store.append([line(20_000 + number)], columns: columns, to: "default/v")
        }
        let files = try await store.files(of: "default/v")
        #expect(files.first == large.first && files.count > 2 && files.count < PushedRowFiles.mergeCount)
        let list = files.map(sqlString).joined(separator: ", ")
        let table = try await engine.query("SELECT k FROM read_parquet([\(list)])")
        #expect(table.rowCount == 20_005 + PushedRowFiles.mergeCount)
        #expect((0..<table.rowCount).allSatisfy { table["k"]?[$0] == .int(Int64($0)) })
    }

    @Test("Rows that do not fit leave nothing") func wrong() async throws {
        let folder = NSTemporaryDirectory() + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let store = PushedRowFiles(folder: folder, engine: DuckDBEngine(options: .init(threads: 1)))
        await #expect(throws: AerieError.self) {
            try await store.append([#"{"k": "many", "t": "then"}"#], columns: columns, to: "default/v")
        }
        #expect(try await store.files(of: "default/v").isEmpty)
        let left = try FileManager.default.contentsOfDirectory(atPath: folder + "/default/v")
        #expect(left.isEmpty)
    }
}
