import AerieCore
import AerieJSON
import Datasets
import Foundation

/// A step's parameters, read with their names in every complaint.
struct StepInput {
    let parameters: JSONObject
    let path: String

    init(_ parameters: JSONObject, path: String = "with") {
        self.parameters = parameters
        self.path = path
    }

    /// `nil` if it is missing, null or empty text.
    func text(_ name: String) throws(AerieError) -> String? {
        guard let value = parameters[name], !value.isNull else { return nil }
        guard let text = value.string else { throw wrong(name, "must be a string, not \(value.text())") }
        return text.isEmpty ? nil : text
    }

    func requiredText(_ name: String) throws(AerieError) -> String {
        guard let text = try text(name) else { throw wrong(name, "is required") }
        return text
    }

    func number(_ name: String, in range: ClosedRange<Double>, default fallback: Double) throws(AerieError) -> Double {
        guard let value = parameters[name], !value.isNull else { return fallback }
        guard let number = value.double, range.contains(number) else {
            throw wrong(name, "must be a number from \(range.lowerBound) to \(range.upperBound), not \(value.text())")
        }
        return number
    }

    func whole(_ name: String, in range: ClosedRange<Int64>, default fallback: Int) throws(AerieError) -> Int {
        guard let value = parameters[name], !value.isNull else { return fallback }
        guard let number = value.int, range.contains(number) else {
            throw wrong(
                name, "must be a whole number from \(range.lowerBound) to \(range.upperBound), not \(value.text())")
        }
        return Int(number)
    }

    func flag(_ name: String, default fallback: Bool) throws(AerieError) -> Bool {
        guard let value = parameters[name], !value.isNull else { return fallback }
        guard let flag = value.bool else { throw wrong(name, "must be true or false, not \(value.text())") }
        return flag
    }

    /// `nil` if it is missing or null.
    func texts(_ name: String) throws(AerieError) -> [String]? {
        guard let value = parameters[name], !value.isNull else { return nil }
        guard let list = value.array, list.allSatisfy({ $0.string != nil }) else {
            throw wrong(name, "must be a list of strings, not \(value.text())")
        }
        return list.compactMap(\.string)
    }

    func object(_ name: String) throws(AerieError) -> JSONObject? {
        guard let value = parameters[name], !value.isNull else { return nil }
        guard let object = value.object else { throw wrong(name, "must be an object, not \(value.text())") }
        return object
    }

    func wrong(_ name: String, _ problem: String) -> AerieError { .invalid("\(path).\(name)", problem) }
}

/// A step's own folder.
struct WorkFolder {
    let path: String

    func file(_ name: String) -> String { path + "/" + name }

    func write(_ text: String, to name: String) throws(AerieError) {
        do {
            let place = URL(fileURLWithPath: file(name))
            try FileManager.default.createDirectory(
                at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: place, options: .atomic)
        } catch {
            throw AerieError(
                .unavailable, "cannot write '\(name)' into the step's folder: \(error.localizedDescription)",
                cause: error)
        }
    }

    func write(_ json: JSONValue, to name: String) throws(AerieError) {
        try write(json.text(indent: 2) + "\n", to: name)
    }

    /// - Throws: `notFound` if there is no such file.
    static func read(_ path: String) throws(AerieError) -> String {
        do { return try String(contentsOfFile: path, encoding: .utf8) } catch {
            throw AerieError(.notFound, "cannot read '\(path)': \(error.localizedDescription)", cause: error)
        }
    }

    static func readJSON(_ path: String) throws(AerieError) -> JSONValue {
        let text = try read(path)
        do { return try JSONValue.parse(text) } catch {
            throw AerieError(.dataLoss, "'\(path)' is not JSON: \(error)", cause: error)
        }
    }
}

/// Runs blocking work on a thread of its own, so that it never holds one of the pool's.
func onOwnThread<Value: Sendable>(
    _ work: @escaping @Sendable () throws(AerieError) -> Value
) async throws(AerieError) -> Value {
    let result: Result<Value, AerieError> = await withCheckedContinuation { continuation in
        let thread = Thread {
            do throws(AerieError) { continuation.resume(returning: .success(try work())) } catch {
                continuation.resume(returning: .failure(error))
            }
        }
        thread.stackSize = 8 << 20
        thread.start()
    }
    return try result.get()
}

/// - Throws: `cancelled` if the step is to end.
func checkCancelled() throws(AerieError) {
    if Task.isCancelled { throw AerieError(.cancelled, "the step was cancelled") }
}

/// The tables that steps hand each other.
struct TableSource {
    var relation: String

    /// A Parquet file that a step before has written, or any CSV or Parquet file.
    init(path: String, field: String) throws(AerieError) {
        guard !path.contains("://") else {
            throw .invalid(field, "'\(path)' is a URL; give a path on this machine")
        }
        let lower = path.lowercased()
        if lower.hasSuffix(".parquet") || lower.hasSuffix(".pq") {
            relation = "read_parquet(\(sqlString(path)))"
        } else if [".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt"].contains(where: lower.hasSuffix) {
            relation = "read_csv_auto(\(sqlString(path)), header = true, sample_size = -1)"
        } else {
            throw .invalid(field, "'\(path)' is neither CSV (.csv, .tsv, .csv.gz) nor Parquet (.parquet)")
        }
    }

    func columns(_ engine: any SQLEngine) async throws(AerieError) -> [(name: String, type: String)] {
        try await engine.columns(of: relation)
    }
}

extension SQLTable {
    func int(_ name: String, _ row: Int = 0) -> Int64 {
        guard let column = self[name], row < column.count else { return 0 }
        return switch column[row] {
        case .int(let value): value
        case .double(let value): Int64(exactly: value.rounded()) ?? 0
        default: 0
        }
    }

    func text(_ name: String, _ row: Int = 0) -> String? {
        guard let column = self[name], row < column.count, case .text(let value) = column[row] else { return nil }
        return value
    }
}
