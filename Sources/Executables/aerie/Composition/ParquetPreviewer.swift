import AerieCore
import Console
import Datasets
import Experiments
import Foundation

/// Parquet files read by the embedded SQL engine, which is opened at the first look. A file of a store elsewhere is
/// copied to a temporary one first, up to a size; the copy goes when the look is over.
struct ParquetPreviewer: TablePreviewer {
    let artifacts: any ArtifactStore
    let engine: any SQLEngine

    private static let columnLimit = 60
    /// The largest file that is copied from elsewhere.
    private static let copyLimit: Int64 = 256 << 20
    /// A file may be small and hold very much; the look at it ends.
    private static let patience = Duration.seconds(15)

    func parquet(_ path: ArtifactPath, rows: Int) async throws(AerieError) -> TablePreview {
        if let local = artifacts as? any LocalArtifactStore {
            let place = local.localPath(path)
            // The engine reads these as patterns, which could name other files.
            if !place.contains(where: { "*?[]{}".contains($0) }) { return try await look(at: place, rows: rows) }
        }
        let copy = FileManager.default.temporaryDirectory
            .appendingPathComponent("aerie-table-\(UUID().uuidString).parquet").path
        defer { try? FileManager.default.removeItem(atPath: copy) }
        try await self.copy(path, to: copy)
        return try await look(at: copy, rows: rows)
    }

    private func copy(_ path: ArtifactPath, to place: String) async throws(AerieError) {
        let reader = try await artifacts.open(path, range: nil)
        guard reader.size <= Self.copyLimit else {
            throw AerieError(
                .unsupported, "tables above \(Self.copyLimit >> 20) MB are not shown; download it to look at it")
        }
        guard FileManager.default.createFile(atPath: place, contents: nil, attributes: [.posixPermissions: 0o600]),
            let file = FileHandle(forWritingAtPath: place)
        else { throw AerieError(.internal, "no temporary file can be made for a table") }
        defer { try? file.close() }
        while let piece = try await reader.next() {
            do { try file.write(contentsOf: piece) } catch {
                throw AerieError(.internal, "a table cannot be copied to a temporary file", cause: error)
            }
        }
    }

    private func look(at place: String, rows: Int) async throws(AerieError) -> TablePreview {
        let work = Task { () async -> Result<TablePreview, AerieError> in
            do throws(AerieError) { return .success(try await table(place, rows: rows)) } catch {
                return .failure(error)
            }
        }
        let timer = Task {
            try? await Task.sleep(for: Self.patience)
            work.cancel()
        }
        let result = await withTaskCancellationHandler {
            await work.value
        } onCancel: {
            work.cancel()
        }
        timer.cancel()
        if case .failure(let error) = result, error.code == .cancelled, !Task.isCancelled {
            throw AerieError(.resourceExhausted, "reading its beginning took longer than \(Self.patience)")
        }
        return try result.get()
    }

    private func table(_ place: String, rows: Int) async throws(AerieError) -> TablePreview {
        let file = "read_parquet(\(sqlString(place)))"
        let all = try await engine.columns(of: file).map { TablePreview.Column(name: $0.name, type: $0.type) }
        let columns = Array(all.prefix(Self.columnLimit))
        let cells = columns.map { "left(CAST(\(sqlIdentifier($0.name)) AS VARCHAR), 200)" }.joined(separator: ", ")
        let table = try await engine.query("SELECT \(cells) FROM \(file) LIMIT \(max(0, rows))")
        let count = try await engine.query(
            "SELECT CAST(sum(num_rows) AS BIGINT) AS n FROM parquet_file_metadata(\(sqlString(place)))")
        var total: Int64?
        if count.rowCount == 1, case .int(let number)? = count["n"]?[0] { total = number }
        return TablePreview(
            columns: columns,
            rows: (0..<table.rowCount).map { row in table.columns.map { Self.text($0[row]) } },
            rowCount: total, columnCount: all.count)
    }

    private static func text(_ value: SQLValue) -> String? {
        if case .text(let text) = value { text } else { nil }
    }
}
