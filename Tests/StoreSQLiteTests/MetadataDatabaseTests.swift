import AerieCore
import Experiments
import Foundation
import GRDB
@testable import StoreSQLite
import Testing

@Suite struct MetadataDatabaseTests {
    private func withDatabase(_ body: (MetadataDatabase) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "aerie-database-" + IdentifierSource.system.hex32()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let words = Migration("words") { try $0.execute(sql: "CREATE TABLE words (word TEXT PRIMARY KEY)") }
        try await body(
            try MetadataDatabase(
                path: folder + "/metadata.db", migrations: SQLiteExperimentStore.migrations + [words]))
    }

    /// Holds the writer until `count` more calls wait, so that those go into one batch.
    private func batch(
        _ database: MetadataDatabase, _ jobs: [@Sendable (Database) throws -> Void]
    ) async throws -> [AerieError?] {
        let gate = DispatchSemaphore(value: 0)
        let held = Task { try await database.write { _ in _ = gate.wait(timeout: .now() + 30) } }
        while database.isIdle || database.waitingWrites > 0 { try await Task.sleep(for: .milliseconds(1)) }
        return try await withThrowingTaskGroup(of: (Int, AerieError?).self) { group in
            for (index, job) in jobs.enumerated() {
                group.addTask {
                    do throws(AerieError) {
                        try await database.write(job)
                        return (index, nil)
                    } catch { return (index, error) }
                }
                // One after the other into the queue, so that their order is known.
                while database.waitingWrites <= index { try await Task.sleep(for: .milliseconds(1)) }
            }
            gate.signal()
            var errors = [AerieError?](repeating: nil, count: jobs.count)
            for try await (index, error) in group { errors[index] = error }
            try await held.value
            return errors
        }
    }

    private func words(_ database: MetadataDatabase) async throws -> [String] {
        try await database.read { try String.fetchAll($0, sql: "SELECT word FROM words ORDER BY word") }
    }

    @Sendable private static func add(_ word: String) -> @Sendable (Database) throws -> Void {
        { try $0.execute(sql: "INSERT INTO words VALUES (?)", arguments: [word]) }
    }

    @Test("a cancelled read says so, whether it waited or was under way", arguments: [false, true])
    func cancelledRead(isUnderWay: Bool) async throws {
        try await withDatabase { database in
            let (begun, gate) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
            let read = Task {
                if !isUnderWay { while !Task.isCancelled { await Task.yield() } }
                do throws(AerieError) {
                    _ = try await database.read { db in
                        begun.signal()
                        _ = gate.wait(timeout: .now() + 30)
                        return try Int.fetchOne(db, sql: "SELECT count(*) FROM words")
                    }
                    return AerieError.Code?.none
                } catch { return error.code }
            }
            if isUnderWay {
                await withCheckedContinuation { continuation in
                    DispatchQueue.global().async {
                        begun.wait()
                        continuation.resume()
                    }
                }
            }
            read.cancel()
            gate.signal()
            #expect(await read.value == .cancelled)
        }
    }

    @Test("a job that throws undoes its own changes and no other's")
    func savepoint() async throws {
        try await withDatabase { database in
            let errors = try await batch(
                database,
                [
                    Self.add("a"),
                    { db in
                        try Self.add("lost")(db)
                        throw AerieError.notFound("nothing")
                    }, Self.add("a"), Self.add("b"),
                ])
            #expect(errors.map { $0?.code } == [nil, .notFound, .alreadyExists, nil])
            #expect(try await words(database) == ["a", "b"])
        }
    }

    @Test("a job that undoes the whole transaction, as a full disk does, costs no other its write")
    func undone() async throws {
        try await withDatabase { database in
            let errors = try await batch(
                database,
                [
                    Self.add("a"),
                    { db in
                        try Self.add("lost")(db)
                        try db.execute(sql: "ROLLBACK")
                        throw DatabaseError(resultCode: .SQLITE_FULL)
                    }, Self.add("b"),
                ])
            #expect(errors.map { $0?.code } == [nil, .resourceExhausted, nil])
            #expect(try await words(database) == ["a", "b"])
            try await database.write(Self.add("c"))
            #expect(try await words(database) == ["a", "b", "c"])
        }
    }

    @Test("a caller that is cancelled finds its write done or undone, never the batch stuck")
    func cancelled() async throws {
        try await withDatabase { database in
            let tasks = (0..<50).map { index in Task { try await database.write(Self.add("\(index)")) } }
            for task in tasks { task.cancel() }
            for task in tasks { try await task.value }
            #expect(try await words(database).count == 50)
        }
    }

    @Test("a search names more experiments than a statement takes arguments")
    func manyExperiments() async throws {
        try await withDatabase { database in
            let ids = (0..<40_000).map { ExperimentID("\($0)") }
            let query = SearchQuery(experimentIDs: ids)
            let experiments = try await SQLiteExperimentStore(database).search(query)
            #expect(experiments.elements.map(\.id) == ["0"])
            let runs = try await SQLiteRunStore(database).search(query)
            #expect(runs.elements.isEmpty)
        }
    }

    @Test("no run begins in an experiment that was deleted meanwhile")
    func deletedExperiment() async throws {
        try await withDatabase { database in
            let time = Timestamp(milliseconds: 1)
            try await SQLiteExperimentStore(database).update("0", ExperimentChange(stage: .deleted), at: time)
            let run = Run(
                info: RunInfo(
                    id: "r", experimentID: "0", name: "r", userID: "u", startTime: time,
                    artifactURI: "mlflow-artifacts:/0/r"))
            let error = await #expect(throws: AerieError.self) { try await SQLiteRunStore(database).create([run]) }
            #expect(error?.code == .failedPrecondition)
            let runs = try await SQLiteRunStore(database).get(["r"])
            #expect(runs.isEmpty)
        }
    }
}
