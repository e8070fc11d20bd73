public import AerieCore
public import AerieJSON
public import AerieResources
import Crypto
public import Datasets
import Foundation
public import Pipelines

/// `uses: ingest`: brings CSV or Parquet files, or a generated stream of card transactions, into one Parquet file.
///
/// `path` may be a pattern (`data/*.csv`); `generate: {rows, seed, users, days}` is used where `path` is missing or
/// empty. Outputs: `table` (Parquet), `profile` (JSON: rows, and for each column its type, nulls, distinct values,
/// smallest and largest), `rows`, `columns`, and `hash`, the SHA-256 of the bytes that came in.
public struct IngestStep: Step {
    private let engine: @Sendable () throws(AerieError) -> any SQLEngine

    public init(engine: @escaping @Sendable () throws(AerieError) -> any SQLEngine) { self.engine = engine }

    public var name: String { "ingest" }
    public var outputs: [String] { ["table", "profile", "rows", "columns", "hash"] }
    public var placement: StepPlacement { .process }
    /// The cache's key holds the content of every file that a parameter names.
    public var isCacheable: Bool { true }
    public var parameters: FieldSchema {
        .object([
            Field("path", .string),
            Field(
                "generate",
                .object([
                    Field("rows", .integer(100...5_000_000)), Field("seed", .integer(0 ... .max)),
                    Field("users", .integer(1...1_000_000)), Field("days", .integer(1...3650)),
                ])),
        ])
    }

    public func run(_ context: StepContext) async throws(AerieError) -> StepResult {
        let input = StepInput(context.parameters)
        let folder = WorkFolder(path: context.workDirectory)
        let engine = try engine()
        var result = StepResult()
        let source: String
        let given = try input.text("path")
        if let path = given {
            source = path
            result.params["data.path"] = path
        } else if let options = try input.object("generate") {
            let stream = TransactionStream(try Self.options(StepInput(options, path: "with.generate")))
            context.progress(0.1, "generating \(stream.options.rows) transactions")
            try folder.write(stream.csv(), to: "source.csv")
            source = folder.file("source.csv")
            result.params["data.seed"] = "\(stream.options.seed)"
        } else {
            throw .invalid("with", "needs either a path or generate: {rows, seed}")
        }
        let relation = try TableSource(path: source, field: "with.path").relation
        let files = try await Self.files(source, relation, engine)
        let hash = try Self.hash(files)
        try checkCancelled()
        context.progress(0.4, "reading \(files.count) file\(files.count == 1 ? "" : "s")")
        let table = folder.file("table.parquet")
        try await engine.execute("COPY (SELECT * FROM \(relation)) TO \(sqlString(table)) (FORMAT parquet)")
        context.progress(0.7, "profiling")
        let profile = try await Self.profile(table, engine)
        try folder.write(["hash": .string(hash), "profile": profile], to: "profile.json")
        let rows = profile["rows"]?.int ?? 0
        guard rows > 0 else { throw .invalid("with.path", "'\(source)' has no rows") }
        context.log("\(rows) rows, \(profile["columns"]?.array?.count ?? 0) columns, sha256 \(hash.prefix(12))")
        if given == nil { try? FileManager.default.removeItem(atPath: source) }
        result.artifacts = ["table": "table.parquet", "profile": "profile.json"]
        let names = (profile["columns"]?.array ?? []).compactMap { $0["name"] }
        result.values = ["rows": .int(rows), "columns": .array(names), "hash": .string(hash)]
        result.params["data.rows"] = "\(rows)"
        result.params["data.sha256"] = hash
        result.logged = ["data/profile.json": "profile"]
        return result
    }

    private static func options(_ input: StepInput) throws(AerieError) -> TransactionStream.Options {
        TransactionStream.Options(
            rows: try input.whole("rows", in: 100...5_000_000, default: 10_000),
            seed: UInt64(try input.whole("seed", in: 0 ... .max, default: 7)),
            users: try input.whole("users", in: 1...1_000_000, default: 600),
            days: try input.whole("days", in: 1...3650, default: 45))
    }

    /// What the path means, in the order of names.
    private static func files(
        _ path: String, _ relation: String, _ engine: any SQLEngine
    ) async throws(AerieError) -> [String] {
        let table = try await engine.query("SELECT file FROM glob(\(sqlString(path))) ORDER BY file")
        let files = (0..<table.rowCount).compactMap { table.text("file", $0) }
        guard !files.isEmpty else {
            throw .invalid(
                "with.path",
                "there is no file '\(path)' (relative to "
                    + "\(FileManager.default.currentDirectoryPath))")
        }
        return files
    }

    private static func hash(_ files: [String]) throws(AerieError) -> String {
        var hasher = SHA256()
        for file in files {
            guard let handle = FileHandle(forReadingAtPath: file) else {
                throw .invalid("with.path", "cannot read '\(file)'")
            }
            defer { try? handle.close() }
            do {
                while let chunk = try handle.read(upToCount: 1 << 20), !chunk.isEmpty { hasher.update(data: chunk) }
            } catch {
                throw AerieError(.unavailable, "reading '\(file)' failed: \(error.localizedDescription)", cause: error)
            }
        }
        return hasher.finalize().map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }

    private static func profile(_ path: String, _ engine: any SQLEngine) async throws(AerieError) -> JSONValue {
        let source = try TableSource(path: path, field: "table")
        let columns = try await source.columns(engine)
        var parts = ["count(*) AS n"]
        for (index, column) in columns.enumerated() {
            let name = sqlIdentifier(column.name)
            parts.append("count(\(name)) AS c\(index), count(DISTINCT \(name)) AS d\(index)")
            parts.append("min(\(name))::VARCHAR AS l\(index), max(\(name))::VARCHAR AS h\(index)")
        }
        let table = try await engine.query("SELECT \(parts.joined(separator: ", ")) FROM \(source.relation)")
        let rows = table.int("n")
        let described = columns.enumerated().map { index, column -> JSONValue in
            [
                "name": .string(column.name), "type": .string(column.type),
                "nulls": .int(rows - table.int("c\(index)")),
                "distinct": .int(table.int("d\(index)")), "min": JSONValue(table["l\(index)"]?[0] ?? .null),
                "max": JSONValue(table["h\(index)"]?[0] ?? .null),
            ]
        }
        return ["rows": .int(rows), "columns": .array(described)]
    }
}
