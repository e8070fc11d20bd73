public import AerieCore
import AerieJSON
public import Datasets
import Foundation
public import Predictions

/// Predictions as files of one folder: lines of JSON while they come in, packed into Parquet once a segment is full.
///
/// ```
/// predictions/open-<start>.ndjson      what is appended to
/// predictions/<start>-<number>.parquet packed, oldest first by name
/// labels/open-<start>.ndjson, labels/<start>-<number>.parquet
/// ```
///
/// An append is one `write` to the open file, so it is with the operating system when it returns. A line that the end
/// of the machine has torn is passed over when it is read. The limit is looked at whenever a segment is full, and
/// counts what is packed and what waits for it, so it holds where packing is slow or fails. Packing writes beside the
/// files, renames, and then removes the lines: after a crash in between both hold the same rows, and the lines' file,
/// named in the Parquet file's name, is removed at the next start.
public actor PredictionFiles: PredictionStore {
    public struct Options: Sendable {
        /// Bytes of all files; the oldest go first.
        public var limit: Int64
        /// Bytes of lines that are packed together, at most an eighth of the limit.
        public var segment: Int64

        public init(limit: Int64 = 1 << 30, segment: Int64 = 16 << 20) {
            self.limit = limit
            self.segment = min(segment, max(1, limit / 8))
        }
    }

    private enum Part: String, CaseIterable {
        case predictions, labels

        /// In the order in which they came to be: earlier files have fewer.
        var columns: [(name: String, type: String)] {
            switch self {
            case .predictions:
                [
                    ("time", "BIGINT"), ("puid", "VARCHAR"), ("row", "BIGINT"), ("deployment", "VARCHAR"),
                    ("namespace", "VARCHAR"), ("predictor", "VARCHAR"), ("model", "VARCHAR"), ("version", "VARCHAR"),
                    ("features", "MAP(VARCHAR, DOUBLE)"), ("outputs", "DOUBLE[]"), ("routing", "MAP(VARCHAR, BIGINT)"),
                    ("versions", "MAP(VARCHAR, VARCHAR)"), ("request", "VARCHAR"), ("answer", "VARCHAR"),
                ]
            case .labels:
                [("puid", "VARCHAR"), ("row", "BIGINT"), ("value", "DOUBLE"), ("time", "BIGINT"), ("reward", "DOUBLE")]
            }
        }

        /// As `read_json` takes them.
        var json: String {
            "{\(columns.map { "\"\($0.name)\": '\($0.type)'" }.joined(separator: ", "))}"
        }

        /// No row, with every column: what earlier files do not have is null.
        var none: String {
            "SELECT \(columns.map { "CAST(NULL AS \($0.type)) AS \"\($0.name)\"" }.joined(separator: ", ")) WHERE false"
        }
    }

    private let folder: String
    private let options: Options
    private let engine: any SQLEngine
    private let clock: any WallClock
    private var open: [String: (path: String, file: FileHandle, size: Int64)] = [:]
    private var number = 0
    private var hasCleaned = false

    /// - Parameter engine: packs and reads; opened at its first use.
    public init(
        folder: String, options: Options = Options(), clock: any WallClock = SystemClock(), engine: any SQLEngine
    ) {
        self.folder = folder
        self.options = options
        self.clock = clock
        self.engine = engine
    }

    // MARK: Writing

    public func append(_ records: [PredictionRecord]) throws(AerieError) {
        try append(records.map { $0.json() }, to: .predictions)
    }

    public func label(_ labels: [PredictionLabel]) throws(AerieError) {
        try append(labels.map { $0.json() }, to: .labels)
    }

    private func append(_ lines: [JSONValue], to part: Part) throws(AerieError) {
        guard !lines.isEmpty else { return }
        try clean()
        var bytes: [UInt8] = []
        for line in lines {
            bytes += line.utf8()
            bytes.append(0x0a)
        }
        var current = if let known = open[part.rawValue] { known } else { try openFile(part) }
        do { try current.file.write(contentsOf: Data(bytes)) } catch {
            // What was written in part is cut off, so that no later line is joined to it.
            try? current.file.truncate(atOffset: UInt64(current.size))
            throw AerieError(
                .resourceExhausted, "\(current.path) cannot be written: the disk may be full", cause: error)
        }
        current.size += Int64(bytes.count)
        open[part.rawValue] = current
        guard current.size >= options.segment else { return }
        try? current.file.close()
        open[part.rawValue] = nil
        _ = trim()
    }

    private func openFile(_ part: Part) throws(AerieError) -> (path: String, file: FileHandle, size: Int64) {
        let place = "\(folder)/\(part.rawValue)"
        number += 1
        let path = "\(place)/open-\(clock.now().milliseconds)-\(number).ndjson"
        do { try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true) } catch {
            throw AerieError(.unavailable, "\(place) cannot be made", cause: error)
        }
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let file = FileHandle(forWritingAtPath: path)
        else { throw AerieError(.unavailable, "\(path) cannot be made") }
        return (path, file, 0)
    }

    /// Removes what a crash has left behind: files that were not renamed, and lines that are packed already.
    private func clean() throws(AerieError) {
        guard !hasCleaned else { return }
        hasCleaned = true
        for part in Part.allCases {
            let names = files(part)
            for name in names where name.hasSuffix(".partial") { remove(part, name) }
            for name in names where name.hasSuffix(".parquet") {
                remove(part, "open-\(name.dropLast(".parquet".count)).ndjson")
            }
        }
    }

    // MARK: Upkeep

    public func tidy() async throws(AerieError) -> Int64 {
        try clean()
        var problem: AerieError?
        for part in Part.allCases {
            do throws(AerieError) { try await pack(part) } catch { problem = problem ?? error }
        }
        let kept = trim()
        if let problem { throw problem }
        return kept
    }

    /// Packs every file of lines that is full, or was left by an earlier process.
    private func pack(_ part: Part) async throws(AerieError) {
        let current = open[part.rawValue]?.path
        for name in files(part) where name.hasPrefix("open-") && name.hasSuffix(".ndjson") {
            let path = "\(folder)/\(part.rawValue)/\(name)"
            // The oldest may have gone while the one before was packed.
            guard path != current, FileManager.default.fileExists(atPath: path) else { continue }
            let packed = "\(folder)/\(part.rawValue)/\(name.dropFirst("open-".count).dropLast(".ndjson".count)).parquet"
            try await engine.execute(
                "COPY (SELECT * FROM \(Self.lines([path], part))) TO \(sqlString(packed + ".partial")) "
                    + "(FORMAT parquet, COMPRESSION zstd)")
            guard rename(packed + ".partial", packed) == 0 else {
                throw AerieError(.resourceExhausted, "\(packed) cannot be written: the disk may be full")
            }
            try? FileManager.default.removeItem(atPath: path)
        }
    }

    /// The oldest predictions go first, then the oldest labels; what is being appended to stays, and has room to become
    /// a segment of each.
    private func trim() -> Int64 {
        var files: [(path: String, size: Int64)] = []
        for part in Part.allCases {
            for name in self.files(part).sorted(by: { Self.start($0) < Self.start($1) }) {
                let path = "\(folder)/\(part.rawValue)/\(name)"
                let size = ((try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int64) ?? 0
                files.append((path, size))
            }
        }
        var total = files.reduce(0) { $0 + $1.size }
        let appended = open.values.map(\.path)
        for (path, size) in files where total > options.limit - 2 * options.segment {
            if appended.contains(path) || path.hasSuffix(".partial") { continue }
            try? FileManager.default.removeItem(atPath: path)
            total -= size
        }
        return total
    }

    /// What a file's name says of its beginning, packed or not.
    private static func start(_ name: String) -> Substring {
        name.hasPrefix("open-") ? name.dropFirst("open-".count) : name[...]
    }

    private func files(_ part: Part) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(part.rawValue)")) ?? []).sorted()
    }

    private func remove(_ part: Part, _ name: String) {
        try? FileManager.default.removeItem(atPath: "\(folder)/\(part.rawValue)/\(name)")
    }

    // MARK: Reading

    public func list(_ query: PredictionQuery) async throws(AerieError) -> [LabelledPrediction] {
        let table = try await read(query) {
            "SELECT time, puid, \"row\", deployment, namespace, predictor, model, version, request, answer, "
                + ["features", "outputs", "routing", "versions"].map { "CAST(to_json(\($0)) AS VARCHAR) AS \($0), " }
                .joined() + "label, reward "
                + "FROM (\($0)) ORDER BY time DESC, puid, \"row\" LIMIT \(max(0, query.limit))"
        }
        guard let table else { return [] }
        var predictions: [LabelledPrediction] = []
        for row in 0..<table.rowCount { predictions.append(try Self.prediction(table, row)) }
        return predictions
    }

    public func export(_ query: PredictionQuery, to path: String) async throws(AerieError) -> Int64 {
        let table = try await read(query) {
            "COPY (SELECT make_timestamp(time) AS time, * EXCLUDE (time) FROM (\($0)) ORDER BY time, puid, \"row\") "
                + "TO \(sqlString(path)) (FORMAT parquet, COMPRESSION zstd)"
        }
        guard let table else {
            throw .notFound(
                "no prediction has been logged; the annotation aerie.dev/prediction-log of a deployment does it")
        }
        guard let count = table.columns.first, count.count > 0, case .int(let rows) = count[0] else { return 0 }
        return rows
    }

    /// - Returns: `nil` if nothing has been logged.
    private func read(
        _ query: PredictionQuery, _ sql: (String) -> String
    ) async throws(AerieError) -> SQLTable? {
        try clean()
        guard let predictions = relation(.predictions) else { return nil }
        let labels = relation(.labels) ?? "(\(Part.labels.none))"
        var conditions = ["true"]
        for (column, value) in [
            ("namespace", query.namespace), ("deployment", query.deployment), ("puid", query.puid),
        ] {
            if let value { conditions.append("p.\(column) = \(sqlString(value))") }
        }
        if let version = query.version.map(sqlString) {
            // A graph's is that of all its models together; each of them has its own.
            conditions.append("(p.version = \(version) OR list_contains(map_values(p.versions), \(version)))")
        }
        if let since = query.since { conditions.append("p.time >= \(since)") }
        if let until = query.until { conditions.append("p.time < \(until)") }
        if query.isLabelled { conditions.append("l.label IS NOT NULL") }
        // A label is of a row, a reward of a request.
        let newest = "(SELECT puid, \"row\", arg_max(\"value\", time) AS label FROM \(labels) "
            + "WHERE \"value\" IS NOT NULL GROUP BY puid, \"row\")"
        let rewards = "(SELECT puid, arg_max(reward, time) AS reward FROM \(labels) "
            + "WHERE reward IS NOT NULL GROUP BY puid)"
        return try await engine.query(
            sql(
                "SELECT p.*, l.label, r.reward FROM \(predictions) p LEFT JOIN \(newest) l "
                    + "ON p.puid = l.puid AND p.\"row\" = l.\"row\" AND p.puid <> '' "
                    + "LEFT JOIN \(rewards) r ON p.puid = r.puid AND p.puid <> '' "
                    + "WHERE \(conditions.joined(separator: " AND "))"))
    }

    /// All files of a part as what stands after `FROM`.
    private func relation(_ part: Part) -> String? {
        let paths = files(part).map { "\(folder)/\(part.rawValue)/\($0)" }
        let packed = paths.filter { $0.hasSuffix(".parquet") }
        let lines = paths.filter { $0.hasSuffix(".ndjson") }
        var parts: [String] = []
        if !packed.isEmpty {
            let list = packed.map(sqlString).joined(separator: ", ")
            parts.append("SELECT * FROM read_parquet([\(list)], union_by_name = true)")
        }
        if !lines.isEmpty { parts.append("SELECT * FROM \(Self.lines(lines, part))") }
        return parts.isEmpty ? nil : "(\((parts + [part.none]).joined(separator: " UNION ALL BY NAME ")))"
    }

    /// Without the rest of a line that was torn.
    private static func lines(_ paths: [String], _ part: Part) -> String {
        let last = part == .predictions ? "outputs" : "time"
        return "(SELECT * FROM read_json([\(paths.map(sqlString).joined(separator: ", "))], format = 'newline_delimited', "
            + "columns = \(part.json), ignore_errors = true) WHERE \(last) IS NOT NULL)"
    }

    private static func prediction(_ table: SQLTable, _ row: Int) throws(AerieError) -> LabelledPrediction {
        func text(_ name: String) -> String {
            if case .text(let text)? = table[name]?[row] { text } else { "" }
        }
        func whole(_ name: String) -> Int64 { if case .int(let value)? = table[name]?[row] { value } else { 0 } }
        func json(_ name: String) throws(AerieError) -> JSONValue {
            let text = text(name)
            if text.isEmpty { return .null }
            do { return try JSONValue.parse(Array(text.utf8)) } catch { throw error.asAerieError(in: name) }
        }
        let features = (try json("features").object?.members ?? []).map { ($0.key, $0.value.double ?? .nan) }
        func number(_ name: String) -> Double? {
            if case .double(let value)? = table[name]?[row] { value } else { nil }
        }
        let routing = (try json("routing").object?.members ?? []).map { ($0.key, Int(clamping: $0.value.int ?? 0)) }
        let versions = (try json("versions").object?.members ?? []).map { ($0.key, $0.value.string ?? "") }
        return LabelledPrediction(
            record: PredictionRecord(
                time: whole("time"), puid: text("puid"), row: Int(whole("row")), deployment: text("deployment"),
                namespace: text("namespace"), predictor: text("predictor"), model: text("model"),
                version: text("version"), features: features.map { (name: $0.0, value: $0.1) },
                outputs: (try json("outputs").array ?? []).map { $0.double ?? .nan },
                routing: Dictionary(uniqueKeysWithValues: routing),
                versions: Dictionary(uniqueKeysWithValues: versions),
                request: text("request"), answer: text("answer")), label: number("label"), reward: number("reward"))
    }
}
