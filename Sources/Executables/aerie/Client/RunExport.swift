import AerieCore
import AerieJSON
import Foundation
import StoreDuckDB

/// Rows on their way into a file, of a form that the file's ending says.
///
/// JSON goes out as it comes. CSV and Parquet need all column names before the first row: the rows lie in a file beside
/// the output until all are there. Memory: the names of the columns and one row.
final class TableExport {
    enum Format: String { case csv, json, ndjson, parquet }

    /// A column and its type in Parquet.
    struct Column: Hashable {
        enum Kind: String {
            case text = "VARCHAR"
            case number = "DOUBLE"
            case integer = "BIGINT"
            case time = "TIMESTAMP"
        }
        var name: String
        var kind: Kind
    }

    let format: Format
    private let output: ExportFile
    private let spool: ExportFile?
    private(set) var count = 0
    private var longest = 0
    /// Numbers of the columns in the order in which they came up: what rows call them until all are known.
    private var places: [String: Int] = [:]

    /// - Throws: `invalidArgument` for an unknown ending, or where the file cannot be written.
    init(path: String) throws(AerieError) {
        let ending = URL(fileURLWithPath: path).pathExtension.lowercased()
        guard let format = Format(rawValue: ending) else {
            throw .invalid(
                "--output", "\"\(path.visible)\" must end in .csv, .parquet, .json or .ndjson, which says the format")
        }
        self.format = format
        output = try ExportFile(path: path)
        switch format {
        case .json, .ndjson: spool = nil
        case .csv, .parquet:
            do throws(AerieError) { spool = try ExportFile(path: path, suffix: ".rows") } catch {
                output.discard()
                throw error
            }
        }
    }

    /// - Parameters:
    ///   - nested: the row as JSON shows it.
    ///   - flat: the values by the names of the columns; those that are missing or null may be left out.
    func add(nested: @autoclosure () -> JSONValue, flat: @autoclosure () -> JSONObject) throws(AerieError) {
        switch format {
        case .json: try output.write((count == 0 ? "[\n" : ",\n") + nested().text())
        case .ndjson: try output.write(nested().text() + "\n")
        case .csv, .parquet:
            let line =
                JSONValue.object(JSONObject(flat().members.map { ("c\(place($0.key))", $0.value) })).text() + "\n"
            longest = max(longest, line.utf8.count)
            try spool?.write(line)
        }
        count += 1
    }

    private func place(_ name: String) -> Int {
        if let place = places[name] { return place }
        places[name] = places.count
        return places.count - 1
    }

    func discard() {
        output.discard()
        spool?.discard()
    }

    /// Makes the file of what was added, and puts it under its name.
    func finish(_ columns: [Column], progress: (Double) -> Void = { _ in }) async throws(AerieError) {
        switch format {
        case .json: try output.write(count == 0 ? "[]\n" : "\n]\n")
        case .ndjson: break
        case .csv: try writeCSV(columns, progress)
        case .parquet: try await writeParquet(columns)
        }
        spool?.discard()
        try output.finish()
    }

    private func writeCSV(_ columns: [Column], _ progress: (Double) -> Void) throws(AerieError) {
        guard let spool, let lines = LineReader(path: spool.temporaryPath) else { throw Self.lost }
        try output.write(CSVRow.text(columns.map { .string($0.name) }))
        var indices: [String: Int] = [:]
        for (index, column) in columns.enumerated() { indices["c\(place(column.name))"] = index }
        var done = 0
        var text = ""
        while let line = lines.next() {
            let row: JSONValue
            do throws(JSONError) { row = try JSONValue.parse(line) } catch { throw Self.lost }
            var cells = [JSONValue](repeating: .null, count: columns.count)
            for member in row.object?.members ?? [] {
                if let index = indices[member.key] { cells[index] = member.value }
            }
            text += CSVRow.text(cells)
            done += 1
            if text.utf8.count > 1 << 16 {
                try output.write(text)
                text = ""
                progress(Double(done) / Double(max(count, 1)))
            }
        }
        try output.write(text)
        guard done == count else { throw Self.lost }
    }

    private func writeParquet(_ columns: [Column]) async throws(AerieError) {
        guard let spool else { throw Self.lost }
        let engine = DuckDBEngine(options: .init(threads: 2, memoryLimit: "1GB"))
        let types = columns.map { "c\(place($0.name)): '\($0.kind.rawValue)'" }.joined(separator: ", ")
        let names = columns.map { "c\(place($0.name)) AS \(Self.identifier($0.name))" }.joined(separator: ", ")
        let source = """
            read_json(\(Self.string(Self.literal(spool.temporaryPath))), format = 'newline_delimited', \
            maximum_object_size = \(max(longest * 2, 1 << 20)), columns = {\(types)})
            """
        do throws(AerieError) {
            try await engine.execute("SET preserve_insertion_order = true", [])
            try await engine.execute(
                "COPY (SELECT \(names) FROM \(source)) TO \(Self.string(output.temporaryPath)) "
                    + "(FORMAT PARQUET, COMPRESSION ZSTD)", [])
        } catch {
            await engine.close()
            throw error
        }
        await engine.close()
    }

    private static func string(_ text: String) -> String { "'" + text.replacing("'", with: "''") + "'" }

    private static func identifier(_ text: String) -> String { "\"" + text.replacing("\"", with: "\"\"") + "\"" }

    /// The engine reads file names as patterns: each of its signs in brackets stands for itself.
    private static func literal(_ path: String) -> String {
        String(path.flatMap { "*?[".contains($0) ? "[\($0)]" : String($0) })
    }

    private static let lost = AerieError(
        .dataLoss, "the rows that were fetched cannot be read again; is the disk full?")
}

/// A file line by line. Memory: the longest line and 1 MiB.
final class LineReader {
    private let handle: FileHandle
    private var buffer: [UInt8] = []
    private var at = 0

    init?(path: String) {
        guard let handle = FileHandle(forReadingAtPath: path) else { return nil }
        self.handle = handle
    }

    func next() -> [UInt8]? {
        var scanned = at
        while true {
            if let end = buffer[scanned...].firstIndex(of: 0x0a) {
                defer { at = end + 1 }
                return Array(buffer[at..<end])
            }
            buffer.removeFirst(at)
            at = 0
            scanned = buffer.count
            guard let piece = try? handle.read(upToCount: 1 << 20), !piece.isEmpty else {
                defer { buffer = [] }
                return buffer.isEmpty ? nil : buffer
            }
            buffer += piece
        }
    }
}

/// Runs, or the history of their metrics, into a file.
struct RunExport {
    let tracking: TrackingClient
    let export: TableExport
    var progress = ProgressLine()
    private var params: Set<String> = []
    private var metrics: Set<String> = []
    private var tags: Set<String> = []

    init(_ tracking: TrackingClient, path: String) throws(AerieError) {
        self.tracking = tracking
        export = try TableExport(path: path)
    }

    /// - Returns: how many rows there are now in the file.
    mutating func run(_ search: TrackingClient.Search, history: Bool) async throws(AerieError) -> Int {
        do throws(AerieError) {
            var runs = 0
            let (tracking, export) = (tracking, export)
            try await tracking.pages(search) { page throws(AerieError) in
                for json in page {
                    let run = RunRecord(json)
                    runs += 1
                    if history { try await Self.addHistory(run, tracking, export) } else { try add(run) }
                    progress.show("\(runs) runs, \(export.count) rows fetched")
                }
            }
            let columns = history ? Self.historyColumns : columns
            try await export.finish(columns) { progress.show("writing", share: $0) }
            progress.clear()
            return export.count
        } catch {
            progress.clear()
            export.discard()
            throw error
        }
    }

    private mutating func add(_ run: RunRecord) throws(AerieError) {
        params.formUnion(run.params.keys)
        metrics.formUnion(run.metrics.keys)
        tags.formUnion(run.tags.keys)
        try export.add(nested: Self.nested(run), flat: Self.flat(run))
    }

    private var columns: [TableExport.Column] {
        RunColumn.exported.map { .init(name: $0.title, kind: $0 == .start || $0 == .end ? .time : .text) }
            + params.sorted().map { .init(name: "params.\($0)", kind: .text) }
            + metrics.sorted().map { .init(name: "metrics.\($0)", kind: .number) }
            + tags.sorted().map { .init(name: "tags.\($0)", kind: .text) }
    }

    static func nested(_ run: RunRecord) -> JSONValue {
        var object = JSONObject(RunColumn.exported.map { ($0.title, $0.value(run)) })
        object["params"] = .object(
            JSONObject(run.params.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
        object["metrics"] = .object(
            JSONObject(run.metrics.sorted { $0.key < $1.key }.map { ($0.key, RunColumn.number($0.value)) }))
        object["tags"] = .object(JSONObject(run.tags.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
        return .object(object)
    }

    static func flat(_ run: RunRecord) -> JSONObject {
        var members = RunColumn.exported.map { ($0.title, $0.value(run)) }
        members += run.params.map { ("params.\($0.key)", .string($0.value)) }
        members += run.metrics.map { ("metrics.\($0.key)", RunColumn.number($0.value)) }
        members += run.tags.map { ("tags.\($0.key)", .string($0.value)) }
        return JSONObject(members)
    }

    // MARK: History

    private static let historyColumns: [TableExport.Column] = [
        .init(name: "run_id", kind: .text), .init(name: "metric", kind: .text), .init(name: "step", kind: .integer),
        .init(name: "time", kind: .time), .init(name: "value", kind: .number),
    ]

    private static func addHistory(
        _ run: RunRecord, _ tracking: TrackingClient, _ export: TableExport
    ) async throws(AerieError) {
        for key in run.metrics.keys.sorted() {
            try await tracking.history(run.id, key: key) { points throws(AerieError) in
                for point in points {
                    let row: JSONObject = [
                        "run_id": .string(run.id), "metric": .string(key), "step": .int(point["step"]?.int ?? 0),
                        "time": RunRecord.time(point["timestamp"]).map { .string($0.iso8601Milliseconds) } ?? .null,
                        "value": RunColumn.number(RunRecord.number(point["value"])),
                    ]
                    try export.add(nested: .object(row), flat: row)
                }
            }
        }
    }
}
