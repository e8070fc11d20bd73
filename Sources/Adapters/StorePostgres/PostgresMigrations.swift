import AerieCore

/// One forward step of the tables. Names are never changed or reused once released.
struct PostgresMigration: Sendable {
    let name: String
    let statements: [String]
    /// Fills what the statements made from what was there.
    var fill: (@Sendable (PostgresConnection) throws -> Void)?
}

enum PostgresMigrations {
    static let all: [PostgresMigration] = PostgresTables.migrations + PostgresPlatformTables.migrations

    /// Any number that others are unlikely to lock.
    private static let lock = "7310576284503914"

    /// Runs what is missing, each step in a transaction. Of several processes the first one does it, the others wait.
    static func run(_ connection: PostgresConnection, _ migrations: [PostgresMigration] = all) throws {
        try connection.run("SELECT pg_advisory_lock(\(lock))")
        defer { try? connection.run("SELECT pg_advisory_unlock(\(lock))") }
        try connection.run(
            """
            CREATE TABLE IF NOT EXISTS aerie_migrations (
                name TEXT PRIMARY KEY, applied TIMESTAMPTZ NOT NULL DEFAULT now())
            """)
        let done = Set(try connection.query("SELECT name FROM aerie_migrations").map { try $0.text(0) })
        if let unknown = done.subtracting(migrations.map(\.name)).sorted().first {
            throw AerieError(
                .failedPrecondition,
                "the metadata database was written by a newer version of Aerie (step \(unknown)); upgrade this one",
                reason: "database.newer")
        }
        for migration in migrations where !done.contains(migration.name) {
            try connection.run("BEGIN")
            do {
                for statement in migration.statements { try connection.run(statement) }
                try migration.fill?(connection)
                try connection.execute("INSERT INTO aerie_migrations (name) VALUES (?)", [.init(migration.name)])
                try connection.run("COMMIT")
            } catch {
                try? connection.run("ROLLBACK")
                throw error
            }
        }
    }
}
