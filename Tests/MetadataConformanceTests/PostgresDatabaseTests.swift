import AerieCore
import Experiments
import StorePostgres
import Testing

/// What only a database server can do to its clients.
@Suite(.serialized) struct PostgresDatabaseTests {
    @Test("a server that crashed and came back has what was acknowledged, and later calls work")
    func restarted() async throws {
        let server = try PostgresServer.shared.get()
        let database = try await PostgresDatabase(url: try server.freshDatabase(), connections: 4)
        let store = PostgresRunStore(database)
        try await makeRun(store, "r")
        for step in 0..<20 { try await log(store, step) }
        try server.crashAndRestart()
        #expect(try await store.history(MetricHistoryQuery(runIDs: ["r"], key: "m")).count == 20)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for step in 20..<60 { group.addTask { try await log(store, step) } }
            try await group.waitForAll()
        }
        #expect(try await store.history(MetricHistoryQuery(runIDs: ["r"], key: "m")).map(\.1.step) == Array(0..<60))
    }

    @Test("several processes bring an empty database to its newest version at once")
    func migrated() async throws {
        let url = try PostgresServer.shared.get().freshDatabase()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<6 { group.addTask { _ = try await PostgresDatabase(url: url, connections: 1) } }
            try await group.waitForAll()
        }
        let store = PostgresExperimentStore(try await PostgresDatabase(url: url, connections: 1))
        #expect(try await store.get(["0"]).map(\.name) == ["Default"])
    }

    @Test("text that PostgreSQL cannot keep is refused by what is wrong with it")
    func zero() async throws {
        let database = try await PostgresDatabase(url: try PostgresServer.shared.get().freshDatabase(), connections: 1)
        let store = PostgresRunStore(database)
        try await makeRun(store, "r")
        do throws(AerieError) {
            try await store.log([RunBatch(runID: "r", tags: [Tag(key: "k", value: "a\0b")])])
            Issue.record("a zero character was accepted")
        } catch {
            #expect(error.code == .invalidArgument && error.message.contains("U+0000"))
        }
        // Nothing of it was kept, and the connection goes on.
        #expect(try await store.get(["r"]).first?.tags == [])
    }

    @Test("texts of every kind come back as they were written")
    func texts() async throws {
        let database = try await PostgresDatabase(url: try PostgresServer.shared.get().freshDatabase(), connections: 1)
        let store = PostgresRunStore(database)
        try await makeRun(store, "r")
        let values = [
            "", "NULL", "a,b", "{x}", "\"q\"", "back\\slash", "ä€😀", "line\nbreak", "'; DROP TABLE runs; --", "?",
        ]
        let tags = values.enumerated().map { Tag(key: "k\($0.offset)", value: $0.element) }
        try await store.log([RunBatch(runID: "r", tags: tags)])
        #expect(try await store.get(["r"]).first?.tags == tags)
    }

    @Test("a server that is not there is said so, without the password")
    func away() async throws {
        let url = "postgresql://someone:verysecret@127.0.0.1:1/none"
        do throws(AerieError) {
            _ = try await PostgresDatabase(url: url, connections: 1, patience: .milliseconds(50))
            Issue.record("a database was found where none is")
        } catch {
            #expect(error.code == .unavailable && !"\(error)".contains("verysecret"))
        }
    }

    private func makeRun(_ store: PostgresRunStore, _ id: RunID) async throws {
        let info = RunInfo(
            id: id, experimentID: "0", name: "n", userID: "u", startTime: Timestamp(milliseconds: 1), artifactURI: "a")
        try await store.create([Run(info: info)])
    }

    private func log(_ store: PostgresRunStore, _ step: Int) async throws {
        let metric = Metric(key: "m", value: 1, timestamp: Timestamp(milliseconds: 1), step: Int64(step))
        try await store.log([RunBatch(runID: "r", metrics: [metric])])
    }
}
