public import AerieCore
public import Features

/// Definitions in their clients' words, in PostgreSQL.
public struct PostgresDefinitionDocumentStore: DefinitionDocumentStore {
    private let database: PostgresDatabase

    public init(_ database: PostgresDatabase) { self.database = database }

    static let migration = PostgresMigration(
        name: "definition_documents.1",
        statements: [
            """
            CREATE TABLE definition_documents (
                project TEXT COLLATE "C" NOT NULL, kind TEXT COLLATE "C" NOT NULL, name TEXT COLLATE "C" NOT NULL,
                bytes BYTEA NOT NULL, resource_uid TEXT, resource_generation BIGINT, problem TEXT NOT NULL,
                PRIMARY KEY (project, kind, name))
            """
        ])

    private static let selection = """
        SELECT project, kind, name, encode(bytes, 'hex'), resource_uid, resource_generation, problem
        FROM definition_documents
        """

    public func get(_ key: DefinitionDocument.Key) async throws(AerieError) -> DefinitionDocument? {
        try await database.read { db in
            try db.query(
                "\(Self.selection) WHERE project = ? AND kind = ? AND name = ?",
                [.init(key.project), .init(key.kind), .init(key.name)]
            ).first.map(Self.document)
        }
    }

    public func list(project: String?, kind: String?) async throws(AerieError) -> [DefinitionDocument] {
        try await database.read { db in
            try db.query(
                """
                \(Self.selection) WHERE project = COALESCE(?::text, project) AND kind = COALESCE(?::text, kind)
                ORDER BY project, kind, name
                """, [.init(project), .init(kind)]
            ).map(Self.document)
        }
    }

    private static func document(_ row: PostgresRow) throws -> DefinitionDocument {
        let origin: DefinitionDocument.Origin? =
            if let uid = row.optionalText(4), let generation = row.optionalInt(5) {
                .init(uid: uid, generation: generation)
            } else { nil }
        return DefinitionDocument(
            key: .init(project: try row.text(0), kind: try row.text(1), name: try row.text(2)),
            bytes: try bytes(hex: try row.text(3)), resource: origin, problem: try row.text(6))
    }

    private static func bytes(hex: String) throws -> [UInt8] {
        func digit(_ byte: UInt8) -> UInt8 { byte < 0x3a ? byte &- 0x30 : byte &- 0x57 }
        let digits = Array(hex.utf8)
        guard digits.count % 2 == 0 else { throw PostgresRow.unexpected }
        return stride(from: 0, to: digits.count, by: 2).map { digit(digits[$0]) << 4 | digit(digits[$0 + 1]) }
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count * 2)
        for byte in bytes { text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
        return String(decoding: text, as: UTF8.self)
    }

    public func put(_ documents: [DefinitionDocument]) async throws(AerieError) {
        guard !documents.isEmpty else { return }
        try await database.write { db in
            for one in documents {
                try db.execute(
                    """
                    INSERT INTO definition_documents
                        (project, kind, name, bytes, resource_uid, resource_generation, problem)
                    VALUES (?, ?, ?, decode(?, 'hex'), ?, ?, ?)
                    ON CONFLICT (project, kind, name) DO UPDATE SET bytes = excluded.bytes,
                        resource_uid = excluded.resource_uid, resource_generation = excluded.resource_generation,
                        problem = excluded.problem
                    """,
                    [
                        .init(one.key.project), .init(one.key.kind), .init(one.key.name), .init(Self.hex(one.bytes)),
                        .init(one.resource?.uid), .init(one.resource?.generation), .init(one.problem),
                    ])
            }
        }
    }

    public func delete(_ key: DefinitionDocument.Key) async throws(AerieError) -> Bool {
        try await database.write { db in
            try db.execute(
                "DELETE FROM definition_documents WHERE project = ? AND kind = ? AND name = ?",
                [.init(key.project), .init(key.kind), .init(key.name)]) > 0
        }
    }

    public func deleteAll(project: String) async throws(AerieError) {
        try await database.write { db in
            _ = try db.execute("DELETE FROM definition_documents WHERE project = ?", [.init(project)])
        }
    }
}
