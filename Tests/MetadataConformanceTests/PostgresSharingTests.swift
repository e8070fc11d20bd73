import AerieCore
import AerieJSON
import AerieResources
import Pipelines
import Synchronization
import Testing

@testable import StorePostgres

/// What servers that share one PostgreSQL database see of each other.
@Suite struct PostgresSharingTests {
    private static func database() async throws -> PostgresDatabase {
        try await PostgresDatabase(url: try PostgresServer.shared.get().freshDatabase(), connections: 4)
    }

    @Test("each server carries its own pipeline runs, and all see and decide every run")
    func homes() async throws {
        let database = try await Self.database()
        let (one, two) = (
            PostgresPipelineRunStore(database, home: "one"), PostgresPipelineRunStore(database, home: "two")
        )
        for (store, name) in [(one, "a"), (two, "b"), (one, "c")] {
            var run = PipelineRunConformance.sample(name)
            run.state = .succeeded
            try await store.create(run)
            let results = CachedStep(runID: name, artifacts: [:], values: [:], params: [:], metrics: [], logged: [:])
            try await store.remember("key", results, time: Timestamp(milliseconds: 1))
        }
        #expect(try await two.runs(PipelineRunFilter()).map(\.id) == ["c", "b", "a"])
        #expect(try await two.runs(PipelineRunFilter(isOwn: true)).map(\.id) == ["b"])
        #expect(try await two.owns("b"))
        #expect(try await !two.owns("a"))
        #expect(try await two.cached("key")?.runID == "b")
        #expect(try await one.cached("key")?.runID == "c")
        // `a` is the older of the two that one has; the newest of two's is its only one.
        #expect(try await two.retire(keeping: 1, limit: 9) == [])
        #expect(try await one.retire(keeping: 1, limit: 9) == ["a"])
        let decision = StepDecision(isApproved: true, by: "bo", comment: "", time: Timestamp(milliseconds: 3))
        try await two.decide(run: "a", step: "s", decision)
        #expect(try await one.decision(run: "a", step: "s") == decision)
    }

    @Test("a watcher hears of what another server changed")
    func watches() async throws {
        let database = try await Self.database()
        let (here, there) = (
            ResourceService(store: PostgresResourceStore(database), kinds: KindRegistry([])),
            PostgresResourceStore(database)
        )
        _ = try await there.put(ResourceConformance.widget("a"), expecting: nil, actor: "x")
        let (ticks, tick) = AsyncStream.makeStream(of: Void.self)
        let following = Task {
            await here.followOthers(sleep: {
                var waiting = ticks.makeAsyncIterator()
                guard await waiting.next() != nil else { throw CancellationError() }
            })
        }
        var events = here.watch(kind: "Widget").makeAsyncIterator()
        #expect(await events.next()?.resource.metadata.name == "a")
        tick.yield()
        _ = try await there.put(ResourceConformance.widget("b"), expecting: nil, actor: "x")
        // One tick may come before the change is seen, the next cannot.
        let pulse = Task {
            while !Task.isCancelled {
                tick.yield()
                try await Task.sleep(for: .milliseconds(5))
            }
        }
        #expect(await events.next()?.resource.metadata.name == "b")
        pulse.cancel()
        tick.finish()
        await following.value
    }

    @Test("the audit trail cannot be changed through SQL, and a change behind its back is noticed")
    func auditIsChained() async throws {
        let database = try await Self.database()
        let store = PostgresResourceStore(database)
        for size in 1...5 {
            _ = try await store.put(ResourceConformance.widget("a", Int64(size)), expecting: nil, actor: "ann")
        }
        #expect(try await store.verifyAudit() == 5)
        for change in [
            "UPDATE resource_audit SET actor = 'eve'", "DELETE FROM resource_audit WHERE sequence = 2",
            "TRUNCATE resource_audit",
        ] {
            await #expect(throws: AerieError.self) { try await database.write { try $0.run(change) } }
        }
        #expect(try await store.verifyAudit() == 5)
        try await database.write { db in
            try db.run("DROP TRIGGER resource_audit_no_change ON resource_audit")
            try db.run("UPDATE resource_audit SET actor = 'eve' WHERE sequence = 3")
        }
        let error = await #expect(throws: AerieError.self) { try await store.verifyAudit() }
        #expect(error?.code == .dataLoss && error?.message.contains("entry 3") == true)
    }

    @Test("a watcher that fell too far behind is told so")
    func expired() async throws {
        let database = try await Self.database()
        let store = PostgresResourceStore(database)
        for size in 1...5 {
            _ = try await store.put(ResourceConformance.widget("a", Int64(size)), expecting: nil, actor: "x")
        }
        try await database.write { try $0.run("DELETE FROM resource_event WHERE sequence <= 3") }
        let error = await #expect(throws: AerieError.self) { try await store.events(after: 1, limit: 9) }
        #expect(error?.reason == "watch.expired")
        #expect(try await store.events(after: 3, limit: 9).count == 2)
        #expect(try await store.latestSequence() == 5)
    }
}
