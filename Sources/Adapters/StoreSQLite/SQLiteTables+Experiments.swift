import GRDB

extension SQLiteExperimentStore {
    /// The tables of experiments, runs, logged models and traces.
    public static let migrations: [Migration] = [
        Migration("experiments.1") { db in
            for statement in experimentTables + runTables + loggedModelTables { try db.execute(sql: statement) }
            try db.execute(
                sql: """
                    INSERT INTO experiments (id, name, artifact_location, stage, creation_time, last_update_time)
                    VALUES (0, 'Default', 'mlflow-artifacts:/0', 'active',
                        CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER),
                            CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER))
                    """)
        },
        SQLiteTraceStore.migration,
        Migration("experiments.2", MetricTables.create),
        SQLiteTraceStore.spansMigration,
        SQLiteTraceStore.factsMigration,
    ]

    private static let experimentTables = [
        """
        CREATE TABLE experiments (
            id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, artifact_location TEXT NOT NULL,
            stage TEXT NOT NULL, creation_time INTEGER NOT NULL, last_update_time INTEGER NOT NULL)
        """,
        """
        CREATE TABLE experiment_tags (
            owner INTEGER NOT NULL REFERENCES experiments(id) ON DELETE CASCADE, key TEXT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (owner, key)) WITHOUT ROWID
        """,
    ]

    // `seq` numbers runs in the order of creation: short in the other tables' keys, and what makes pages stable.
    // `deleted_with` says that a run went because its experiment did, and comes back with it.
    private static let runTables = [
        """
        CREATE TABLE runs (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
            experiment INTEGER NOT NULL REFERENCES experiments(id), name TEXT NOT NULL, user_id TEXT NOT NULL,
            status TEXT NOT NULL, start_time INTEGER NOT NULL, end_time INTEGER, artifact_uri TEXT NOT NULL,
            stage TEXT NOT NULL, deleted_with INTEGER NOT NULL DEFAULT 0, deleted_time INTEGER)
        """,
        "CREATE INDEX runs_by_time ON runs (experiment, stage, start_time DESC, id)",
        """
        CREATE TABLE run_params (
            owner INTEGER NOT NULL REFERENCES runs(seq) ON DELETE CASCADE, key TEXT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (owner, key)) WITHOUT ROWID
        """,
        "CREATE INDEX run_params_by_value ON run_params (key, value, owner)",
        """
        CREATE TABLE run_tags (
            owner INTEGER NOT NULL REFERENCES runs(seq) ON DELETE CASCADE, key TEXT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (owner, key)) WITHOUT ROWID
        """,
        "CREATE INDEX run_tags_by_value ON run_tags (key, value, owner)",
        """
        CREATE TABLE metrics (
            owner INTEGER NOT NULL REFERENCES runs(seq) ON DELETE CASCADE, key TEXT NOT NULL, step INTEGER NOT NULL,
            timestamp INTEGER NOT NULL, value REAL NOT NULL, is_nan INTEGER NOT NULL, model_id TEXT, dataset_name TEXT,
            dataset_digest TEXT, PRIMARY KEY (owner, key, step, timestamp, value, is_nan)) WITHOUT ROWID
        """,
        """
        CREATE TABLE latest_metrics (
            owner INTEGER NOT NULL REFERENCES runs(seq) ON DELETE CASCADE, key TEXT NOT NULL, step INTEGER NOT NULL,
            timestamp INTEGER NOT NULL, value REAL NOT NULL, is_nan INTEGER NOT NULL, model_id TEXT, dataset_name TEXT,
            dataset_digest TEXT, PRIMARY KEY (owner, key)) WITHOUT ROWID
        """,
        "CREATE INDEX latest_metrics_by_value ON latest_metrics (key, is_nan, value, owner)",
        """
        CREATE TABLE datasets (
            seq INTEGER PRIMARY KEY, experiment INTEGER NOT NULL REFERENCES experiments(id) ON DELETE CASCADE,
            name TEXT NOT NULL, digest TEXT NOT NULL, source_type TEXT NOT NULL, source TEXT NOT NULL, schema TEXT,
            profile TEXT, UNIQUE (experiment, name, digest))
        """,
        """
        CREATE TABLE run_datasets (
            run INTEGER NOT NULL REFERENCES runs(seq) ON DELETE CASCADE,
            dataset INTEGER NOT NULL REFERENCES datasets(seq) ON DELETE CASCADE, PRIMARY KEY (run,
                dataset)) WITHOUT ROWID
        """,
        """
        CREATE TABLE run_dataset_tags (
            run INTEGER NOT NULL REFERENCES runs(seq) ON DELETE CASCADE,
            dataset INTEGER NOT NULL REFERENCES datasets(seq) ON DELETE CASCADE, key TEXT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (run, dataset, key)) WITHOUT ROWID
        """,
        """
        CREATE TABLE run_models (
            run INTEGER NOT NULL REFERENCES runs(seq) ON DELETE CASCADE, is_output INTEGER NOT NULL,
                model_id TEXT NOT NULL,
            step INTEGER NOT NULL, PRIMARY KEY (run, is_output, model_id)) WITHOUT ROWID
        """,
    ]

    private static let loggedModelTables = [
        """
        CREATE TABLE logged_models (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
            experiment INTEGER NOT NULL REFERENCES experiments(id), name TEXT NOT NULL, model_type TEXT NOT NULL,
            source_run_id TEXT, artifact_uri TEXT NOT NULL, status TEXT NOT NULL, creation_time INTEGER NOT NULL,
            last_update_time INTEGER NOT NULL, deleted_time INTEGER)
        """,
        "CREATE INDEX logged_models_by_time ON logged_models (experiment, creation_time DESC)",
        "CREATE INDEX logged_models_by_run ON logged_models (source_run_id)",
        """
        CREATE TABLE logged_model_params (
            owner INTEGER NOT NULL REFERENCES logged_models(seq) ON DELETE CASCADE, key TEXT NOT NULL,
            value TEXT NOT NULL, PRIMARY KEY (owner, key)) WITHOUT ROWID
        """,
        """
        CREATE TABLE logged_model_tags (
            owner INTEGER NOT NULL REFERENCES logged_models(seq) ON DELETE CASCADE, key TEXT NOT NULL,
            value TEXT NOT NULL, PRIMARY KEY (owner, key)) WITHOUT ROWID
        """,
        """
        CREATE TABLE logged_model_metrics (
            owner INTEGER NOT NULL REFERENCES logged_models(seq) ON DELETE CASCADE, key TEXT NOT NULL,
            run_id TEXT NOT NULL, dataset_name TEXT NOT NULL, dataset_digest TEXT NOT NULL, step INTEGER NOT NULL,
            timestamp INTEGER NOT NULL, value REAL NOT NULL, is_nan INTEGER NOT NULL,
            PRIMARY KEY (owner, key, run_id, dataset_name, dataset_digest)) WITHOUT ROWID
        """,
    ]
}
