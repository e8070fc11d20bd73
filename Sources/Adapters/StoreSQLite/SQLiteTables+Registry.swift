import GRDB

extension SQLiteRegistryStore {
    /// The tables of registered models, their versions and the history of their stages.
    public static let migrations: [Migration] = [
        Migration("registry.1") { db in
            for statement in tableStatements { try db.execute(sql: statement) }
        },
        Migration("registry.2") { db in
            for statement in aliasStatements { try db.execute(sql: statement) }
        },
    ]

    // Aliases that differ in their capitals are two.
    private static let aliasStatements = [
        """
        CREATE TABLE model_aliases_by_case (
            model INTEGER NOT NULL REFERENCES registered_models(seq) ON DELETE CASCADE,
            alias TEXT NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (model, alias),
            FOREIGN KEY (model, version) REFERENCES model_versions (model, version) ON DELETE CASCADE) WITHOUT ROWID
        """,
        "INSERT INTO model_aliases_by_case (model, alias, version) SELECT model, alias, version FROM model_aliases",
        "DROP TABLE model_aliases",
        "ALTER TABLE model_aliases_by_case RENAME TO model_aliases",
    ]

    // The history of stages keeps names as text, so that it outlives what it tells of.
    private static let tableStatements = [
        """
        CREATE TABLE registered_models (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL,
            creation_time INTEGER NOT NULL, last_update_time INTEGER NOT NULL, last_version INTEGER NOT NULL DEFAULT 0)
        """,
        """
        CREATE TABLE registered_model_tags (
            owner INTEGER NOT NULL REFERENCES registered_models(seq) ON DELETE CASCADE, key TEXT NOT NULL,
            value TEXT NOT NULL, PRIMARY KEY (owner, key)) WITHOUT ROWID
        """,
        """
        CREATE TABLE model_versions (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            model INTEGER NOT NULL REFERENCES registered_models(seq) ON DELETE CASCADE, version INTEGER NOT NULL,
            creation_time INTEGER NOT NULL, last_update_time INTEGER NOT NULL, user_id TEXT NOT NULL,
                stage TEXT NOT NULL,
            description TEXT NOT NULL, source TEXT NOT NULL, location TEXT NOT NULL, run_id TEXT,
                run_link TEXT NOT NULL,
            model_id TEXT, status TEXT NOT NULL, UNIQUE (model, version))
        """,
        "CREATE INDEX model_versions_by_stage ON model_versions (model, stage, version)",
        "CREATE INDEX model_versions_by_run ON model_versions (run_id)",
        "CREATE INDEX model_versions_by_model_id ON model_versions (model_id)",
        "CREATE INDEX model_versions_by_time ON model_versions (last_update_time)",
        """
        CREATE TABLE model_version_tags (
            owner INTEGER NOT NULL REFERENCES model_versions(seq) ON DELETE CASCADE, key TEXT NOT NULL,
            value TEXT NOT NULL, PRIMARY KEY (owner, key)) WITHOUT ROWID
        """,
        """
        CREATE TABLE model_aliases (
            model INTEGER NOT NULL REFERENCES registered_models(seq) ON DELETE CASCADE,
            alias TEXT NOT NULL COLLATE NOCASE, version INTEGER NOT NULL, PRIMARY KEY (model, alias),
            FOREIGN KEY (model, version) REFERENCES model_versions (model, version) ON DELETE CASCADE) WITHOUT ROWID
        """,
        """
        CREATE TABLE stage_transitions (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL, version INTEGER NOT NULL,
                from_stage TEXT NOT NULL,
            to_stage TEXT NOT NULL, actor TEXT NOT NULL, time INTEGER NOT NULL)
        """,
        "CREATE INDEX stage_transitions_by_model ON stage_transitions (model, version, seq)",
    ]
}
