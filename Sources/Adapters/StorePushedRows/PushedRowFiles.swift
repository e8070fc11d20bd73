public import AerieCore
public import Datasets
public import Features
import Foundation
import Synchronization

/// Pushed rows as Parquet files, one for each call and now and then one for many, below a folder of the data folder.
///
/// A file is written under another name, synced and renamed, and then its folder synced: what was acknowledged is there
/// after a crash, and nothing else. Files of one view are written one after the other; their names are in the order of
/// their rows.
public final class PushedRowFiles: PushedRows {
    /// At so many files of a view the newest are made into one.
    public static let mergeCount = 64

    private let folder: String
    private let engine: any SQLEngine
    private let clock: any WallClock
    private let turn = Turn()

    /// - Parameter engine: of its own, as calls wait for each other.
    public init(folder: String, engine: any SQLEngine, clock: any WallClock = SystemClock()) {
        self.folder = folder
        self.engine = engine
        self.clock = clock
    }

    public func append(_ lines: [String], columns: [PushedColumn], to view: String) async throws(AerieError) {
        if lines.isEmpty { return }
        await turn.take()
        let result = await attempt { () async throws(AerieError) in
            let place = try directory(view)
            let name = next(after: try names(place))
            let text = "\(place)/.\(name).json"
            defer { try? FileManager.default.removeItem(atPath: text) }
            let content = Data((lines.joined(separator: "\n") + "\n").utf8)
            guard FileManager.default.createFile(atPath: text, contents: content) else { throw Self.full(text) }
            // JSON has bytes as text.
            let types = columns.map { column in
                let type = column.type.hasPrefix("BLOB") ? "VARCHAR" + column.type.dropFirst("BLOB".count) : column.type
                return "\(sqlString(column.name)): \(sqlString(type))"
            }
            let wanted = columns.map { column in
                let name = sqlIdentifier(column.name)
                return switch column.type {
                case "BLOB": "from_base64(\(name)) AS \(name)"
                case "BLOB[]": "[from_base64(x) FOR x IN \(name)] AS \(name)"
                default: name
                }
            }
            try await write(
                "SELECT \(wanted.joined(separator: ", ")) FROM read_json(\(sqlString(text)), format = "
                    + "'newline_delimited', columns = {\(types.joined(separator: ", "))})",
                to: "\(place)/\(name).parquet")
            try await merge(place)
        }
        turn.give()
        try result.get()
    }

    public func files(of view: String) async throws(AerieError) -> [String] {
        let place = "\(folder)/\(view)"
        guard FileManager.default.fileExists(atPath: place) else { return [] }
        return try names(place).map { "\(place)/\($0).parquet" }
    }

    // MARK: Inside

    private func attempt(_ work: () async throws(AerieError) -> Void) async -> Result<Void, AerieError> {
        do throws(AerieError) { return .success(try await work()) } catch { return .failure(error) }
    }

    private func directory(_ view: String) throws(AerieError) -> String {
        let place = "\(folder)/\(view)"
        guard !view.contains("..") else { throw .invalid("view", "'\(view)' is no view") }
        do { try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true) } catch {
            throw AerieError(.unavailable, "cannot make \(place)", cause: error)
        }
        return place
    }

    private func names(_ place: String) throws(AerieError) -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: place)
                .filter { $0.hasSuffix(".parquet") && !$0.hasPrefix(".") }.map { String($0.dropLast(8)) }.sorted()
        } catch { throw AerieError(.unavailable, "cannot read \(place)", cause: error) }
    }

    /// Later than all names that are there, whatever the clock says.
    private func next(after names: [String]) -> String {
        let last = names.last.flatMap { Int64($0) } ?? 0
        return Self.padded(max(clock.now().milliseconds * 1000, last + 1))
    }

    private static func padded(_ number: Int64) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, 18 - text.count)) + text
    }

    private func write(_ select: String, to path: String) async throws(AerieError) {
        let temporary = path + ".part"
        do { try await engine.execute("COPY (\(select)) TO \(sqlString(temporary)) (FORMAT parquet)") } catch {
            try? FileManager.default.removeItem(atPath: temporary)
            throw error
        }
        try Self.sync(temporary)
        guard rename(temporary, path) == 0 else { throw Self.full(path) }
        try Self.sync(NSString(string: path).deletingLastPathComponent)
    }

    /// The rows of the newest files in their order, under the name of the last, which is replaced at once; a crash
    /// before the others are gone leaves rows twice, which reads do not notice: they are equal.
    ///
    /// An older file joins them only if it is no larger than all that is newer, so that a row is written again as often
    /// as the whole doubles, and not at each merge.
    private func merge(_ place: String) async throws(AerieError) {
        let all = try names(place)
        guard all.count >= Self.mergeCount, let last = all.last else { return }
        var (first, size) = (all.count, Int64(0))
        while first > 0 {
            let next = Self.size("\(place)/\(all[first - 1]).parquet")
            if all.count - first >= Self.mergeCount / 2, next > size { break }
            (first, size) = (first - 1, size + next)
        }
        let names = all[first...]
        let files = names.map { sqlString("\(place)/\($0).parquet") }.joined(separator: ", ")
        try await write(
            "SELECT * FROM read_parquet([\(files)], union_by_name = true)", to: "\(place)/\(last).parquet")
        for name in names.dropLast() { try? FileManager.default.removeItem(atPath: "\(place)/\(name).parquet") }
    }

    private static func size(_ path: String) -> Int64 {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.size] as? NSNumber)?.int64Value ?? 0
    }

    private static func sync(_ path: String) throws(AerieError) {
        let file = open(path, O_RDONLY)
        defer { if file >= 0 { close(file) } }
        guard file >= 0, fsync(file) == 0 else { throw full(path) }
    }

    private static func full(_ path: String) -> AerieError {
        AerieError(.resourceExhausted, "\(path) cannot be written: the disk may be full")
    }
}

/// One at a time, in the order of asking.
private final class Turn: Sendable {
    private struct State {
        var isTaken = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    func take() async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if state.isTaken {
                    state.waiting.append(continuation)
                    return false
                }
                state.isTaken = true
                return true
            }
            if isFree { continuation.resume() }
        }
    }

    func give() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            if state.waiting.isEmpty {
                state.isTaken = false
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.resume()
    }
}
