public import AerieCore
public import Features
import Foundation
import GRDB

/// Definitions in their clients' words, in SQLite.
public struct SQLiteDefinitionDocumentStore: DefinitionDocumentStore {
    private let database: MetadataDatabase

    public init(_ database: MetadataDatabase) { self.database = database }

    public static let migrations: [Migration] = [
        Migration("definition_documents.1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE definition_documents (
                        project TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, bytes BLOB NOT NULL,
                        resource_uid TEXT, resource_generation INTEGER, problem TEXT NOT NULL,
                        PRIMARY KEY (project, kind, name)) WITHOUT ROWID
                    """)
        }
    ]

    private static let columns = "project, kind, name, bytes, resource_uid, resource_generation, problem"

    public func get(_ key: DefinitionDocument.Key) async throws(AerieError) -> DefinitionDocument? {
        try await database.read { db in
            try Row.fetchOne(
                db,
                sql: """
                    SELECT \(Self.columns) FROM definition_documents WHERE project = ? AND kind = ? AND name = ?
                    """, arguments: [key.project, key.kind, key.name]
            ).map(Self.document)
        }
    }

    public func list(project: String?, kind: String?) async throws(AerieError) -> [DefinitionDocument] {
        try await database.read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT \(Self.columns) FROM definition_documents
                    WHERE (?1 IS NULL OR project = ?1) AND (?2 IS NULL OR kind = ?2) ORDER BY project, kind, name
                    """, arguments: [project, kind]
            ).map(Self.document)
        }
    }

    private static func document(_ row: Row) -> DefinitionDocument {
        let origin: DefinitionDocument.Origin? =
            if let uid = row[4] as String?, let generation = row[5] as Int64? {
                .init(uid: uid, generation: generation)
            } else { nil }
        return DefinitionDocument(
            key: .init(project: row[0], kind: row[1], name: row[2]), bytes: Array(row[3] as Data), resource: origin,
            problem: row[6])
    }

    public func put(_ documents: [DefinitionDocument]) async throws(AerieError) {
        guard !documents.isEmpty else { return }
        try await database.write { db in
            let statement = try db.cachedStatement(
                sql: """
                    INSERT OR REPLACE INTO definition_documents (\(Self.columns)) VALUES (?, ?, ?, ?, ?, ?, ?)
                    """)
            for one in documents {
                try statement.execute(arguments: [
                    one.key.project, one.key.kind, one.key.name, Data(one.bytes), one.resource?.uid,
                    one.resource?.generation, one.problem,
                ])
            }
        }
    }

    public func delete(_ key: DefinitionDocument.Key) async throws(AerieError) -> Bool {
        try await database.write { db in
            try db.execute(
                sql: "DELETE FROM definition_documents WHERE project = ? AND kind = ? AND name = ?",
                arguments: [key.project, key.kind, key.name])
            return db.changesCount > 0
        }
    }

    public func deleteAll(project: String) async throws(AerieError) {
        try await database.write { db in
            try db.execute(sql: "DELETE FROM definition_documents WHERE project = ?", arguments: [project])
        }
    }
}
