import AerieCore
import AerieJSON
import AerieResources
import Foundation
import GRDB
import Logging
import Testing

@testable import StoreSQLite

/// A database file of its own, deleted with it.
private final class TemporaryResourceStore: Sendable {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("aerie-resources-\(UUID())").path
    let database: MetadataDatabase
    let store: SQLiteResourceStore

    init() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        database = try MetadataDatabase(path: folder + "/metadata.db", migrations: SQLiteResourceStore.migrations)
        store = SQLiteResourceStore(database: database)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }
}

@Suite struct SQLiteResourceStoreTests {
    private static func widget(_ name: String, _ size: Int64 = 1) -> Resource {
        Resource(
            apiVersion: "aerie.dev/v1", kind: "Widget", metadata: ResourceMetadata(name: name),
            spec: ["size": .int(size)])
    }

    @Test("everything is there when the file is opened again")
    func reopens() async throws {
        let temporary = try TemporaryResourceStore()
        let made = try await temporary.store.put(Self.widget("a"), expecting: nil, actor: "x")
        let again = try MetadataDatabase(
            path: temporary.folder + "/metadata.db", migrations: SQLiteResourceStore.migrations)
        let store = SQLiteResourceStore(database: again)
        #expect(try await store.get(made.key) == made)
        #expect(try await store.latestSequence() == made.metadata.resourceVersion)
    }

    @Test("the audit trail cannot be changed through SQL, and a change behind its back is noticed")
    func auditIsChained() async throws {
        let temporary = try TemporaryResourceStore()
        for size in 1...5 {
            _ = try await temporary.store.put(Self.widget("a", Int64(size)), expecting: nil, actor: "ann")
        }
        #expect(try await temporary.store.verifyAudit() == 5)
        await #expect(throws: AerieError.self) {
            try await temporary.database.write { try $0.execute(sql: "UPDATE resource_audit SET actor = 'eve'") }
        }
        await #expect(throws: AerieError.self) {
            try await temporary.database.write { try $0.execute(sql: "DELETE FROM resource_audit WHERE sequence = 2") }
        }
        #expect(try await temporary.store.verifyAudit() == 5)
        try await temporary.database.write { db in
            try db.execute(sql: "DROP TRIGGER resource_audit_no_update")
            try db.execute(sql: "UPDATE resource_audit SET actor = 'eve' WHERE sequence = 3")
        }
        let error = await #expect(throws: AerieError.self) { try await temporary.store.verifyAudit() }
        #expect(error?.code == .dataLoss && error?.message.contains("entry 3") == true)
    }

    @Test("a watcher that fell too far behind is told so")
    func expired() async throws {
        let temporary = try TemporaryResourceStore()
        for size in 1...5 {
            _ = try await temporary.store.put(Self.widget("a", Int64(size)), expecting: nil, actor: "x")
        }
        try await temporary.database.write { try $0.execute(sql: "DELETE FROM resource_event WHERE sequence <= 3") }
        let error = await #expect(throws: AerieError.self) { try await temporary.store.events(after: 1, limit: 9) }
        #expect(error?.reason == "watch.expired")
        #expect(try await temporary.store.events(after: 3, limit: 9).count == 2)
    }
}
