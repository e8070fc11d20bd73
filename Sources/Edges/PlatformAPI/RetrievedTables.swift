import AerieCore
import Features
import Foundation

/// Point-in-time tables from the moment they are asked for until they are fetched: which are being made, so that they
/// can be cancelled, and which lie on the disk. Of these only the last few are kept.
actor RetrievedTables {
    struct Table: Sendable {
        var path: String
        var format: HistoricalRequest.Format
        var rows: Int64
    }

    private static let limit = 16

    private var running: [String: Task<Result<HistoricalResult, AerieError>, Never>] = [:]
    private var finished: [(id: String, table: Table)] = []

    /// Runs the work, which a cancellation of the caller ends as `cancel` does. What was written and is not whole, and
    /// the entity rows, are removed.
    func make(
        _ id: String, _ request: HistoricalRequest,
        _ work: @escaping @Sendable () async throws(AerieError) -> HistoricalResult
    ) async throws(AerieError) -> HistoricalResult {
        let task = Task {
            do throws(AerieError) { return Result<HistoricalResult, AerieError>.success(try await work()) } catch {
                return .failure(error)
            }
        }
        running[id] = task
        let outcome = await withTaskCancellationHandler { await task.value } onCancel: { task.cancel() }
        running[id] = nil
        if case .file(let path, _) = request.rows { try? FileManager.default.removeItem(atPath: path) }
        do throws(AerieError) {
            let result = try outcome.get()
            finished.append((id, Table(path: request.output, format: request.outputFormat, rows: result.rows)))
            while finished.count > Self.limit { Self.remove(finished.removeFirst().table) }
            return result
        } catch {
            try? FileManager.default.removeItem(atPath: request.output)
            throw error
        }
    }

    /// The table, which is the caller's then.
    /// - Throws: `notFound` if it was fetched before, was given up for others, or never was.
    func take(_ id: String) throws(AerieError) -> Table {
        guard let at = finished.firstIndex(where: { $0.id == id }) else { throw Self.unknown(id) }
        return finished.remove(at: at).table
    }

    /// Ends the work, or throws away what it has made.
    func cancel(_ id: String) throws(AerieError) {
        if let task = running[id] {
            task.cancel()
            return
        }
        Self.remove(try take(id))
    }

    private static func remove(_ table: Table) { try? FileManager.default.removeItem(atPath: table.path) }

    private static func unknown(_ id: String) -> AerieError {
        .notFound("there is no table '\(id)'; one is fetched once, and only the last \(limit) are kept")
    }
}
