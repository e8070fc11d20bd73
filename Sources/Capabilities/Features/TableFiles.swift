import AerieCore
import Datasets

extension SQLEngine {
    /// Writes what a `SELECT` gives into a file, a batch at a time.
    /// - Returns: the rows written.
    /// - Throws: `unsupported` for Arrow, of an engine that does not write it.
    func copy(
        _ select: String, to file: String, as format: HistoricalRequest.Format
    ) async throws(AerieError) -> Int64 {
        let options: String
        switch format {
        case .csv: options = "FORMAT csv, HEADER"
        // The lowest level: the usual one takes twice the time for a few per cent.
        case .parquet: options = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"
        case .arrow:
            guard let engine = self as? any ArrowSQLEngine else {
                throw AerieError(.unsupported, "the SQL engine writes no Arrow; ask for parquet or csv")
            }
            return try await engine.exportArrow(select, to: file)
        }
        let written = try await query("COPY (\(select)) TO \(sqlString(file)) (\(options))")
        guard case .int(let count)? = written.columns.first?[0] else { return 0 }
        return count
    }
}
