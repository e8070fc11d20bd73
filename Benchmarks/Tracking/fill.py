"""Databases with many runs: that of `mlflow server`, written row by row of its own tables, and Aerie's, by its own SQL.

Each run has 5 params, 4 tags and 3 metrics with one value each; all of one experiment. Deterministic.
"""
import pathlib
import random
import sqlite3
import subprocess

from servers import BIN

START = 1_700_000_000_000


def make(path: pathlib.Path, runs: int, progress=lambda done: None):
    subprocess.run([str(BIN / "mlflow"), "db", "upgrade", f"sqlite:///{path}"], check=True, capture_output=True)
    # The schema's own start makes the experiment `Default`; the runs go into one beside it.
    database = sqlite3.connect(path)
    database.execute("PRAGMA synchronous = OFF")
    database.execute(
        "INSERT OR IGNORE INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time,"
        " last_update_time) VALUES (0, 'Default', 'mlflow-artifacts:/0', 'active', ?, ?)", (START, START))
    database.execute(
        "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time,"
        " last_update_time) VALUES (1, 'bench', 'mlflow-artifacts:/1', 'active', ?, ?)", (START, START))
    generator = random.Random(7)
    for begin in range(0, runs, 10_000):
        count = min(10_000, runs - begin)
        infos, params, tags, metrics = [], [], [], []
        for number in range(begin, begin + count):
            run = f"{generator.getrandbits(128):032x}"
            time = START + number * 1000
            infos.append((run, f"run-{number}", "LOCAL", "train.py", "", f"user{number % 50}", "FINISHED", time,
                          time + 900, "", "active", f"mlflow-artifacts:/1/{run}/artifacts", 1))
            params += [("depth", str(number % 12), run), ("rate", f"{generator.random():.4f}", run),
                       ("trees", str(50 + number % 400), run), ("loss", "log", run), ("seed", str(number), run)]
            tags += [("mlflow.runName", f"run-{number}", run), ("mlflow.user", f"user{number % 50}", run),
                     ("team", f"team{number % 20}", run), ("rare", str(number // 1000), run)]
            for key in ("auc", "loss", "f1"):
                value = generator.random()
                metrics.append((key, value, time + 500, run, 0, 0))
        database.executemany(
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,"
            " end_time, source_version, lifecycle_stage, artifact_uri, experiment_id)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", infos)
        database.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?,?,?)", params)
        database.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?,?,?)", tags)
        for table in ("metrics", "latest_metrics"):
            database.executemany(
                f"INSERT INTO {table} (key, value, timestamp, run_uuid, step, is_nan) VALUES (?,?,?,?,?,?)", metrics)
        database.commit()
        progress(begin + count)
    database.close()


# A number from 0 to 1 that looks like chance and is the same every time, for a run and something of it.
CHANCE = "((({seq} * 2654435761 + {part} * 40503 & 4294967295) * 1664525 + 1013904223 & 4294967295) / 4294967296.0)"
TABLES = {
    "runs": (
        "seq, id, experiment, name, user_id, status, start_time, end_time, artifact_uri, stage",
        """SELECT value, printf('%08x%08x%08x%08x', value * 2654435761 & 4294967295, value * 40503 & 4294967295, value, 7),
            {experiment}, 'run-' || value, 'user' || (value % 50), 'FINISHED', {start} + value * 1000,
            {start} + value * 1000 + 900, 'mlflow-artifacts:/{experiment}/' || value || '/artifacts', 'active'
            FROM generate_series_of"""),
    "run_params": ("owner, key, value", " UNION ALL ".join(
        f"SELECT value, '{key}', {of} FROM generate_series_of" for key, of in (
            ("depth", "CAST(value % 12 AS TEXT)"), ("loss", "'log'"),
            ("rate", f"printf('%.4f', {CHANCE.format(seq='value', part=9)})"), ("seed", "CAST(value AS TEXT)"),
            ("trees", "CAST(50 + value % 400 AS TEXT)")))),
    "run_tags": ("owner, key, value", " UNION ALL ".join(
        f"SELECT value, '{key}', {of} FROM generate_series_of" for key, of in (
            ("mlflow.runName", "'run-' || value"), ("mlflow.user", "'user' || (value % 50)"),
            ("rare", "CAST(value / 1000 AS TEXT)"), ("team", "'team' || (value % 20)")))),
    "latest_metrics": ("owner, key, step, timestamp, value, is_nan", " UNION ALL ".join(
        f"SELECT value, '{key}', 0, {{start}} + value * 1000 + 500, {CHANCE.format(seq='value', part=part)}, 0"
        " FROM generate_series_of" for part, key in enumerate(("auc", "f1", "loss")))),
}


def aerie(path: pathlib.Path, runs: int, progress=lambda table: None):
    """Fills the metadata of an Aerie that is stopped; indexes are made when all rows are there."""
    database = sqlite3.connect(path, isolation_level=None)
    for pragma in ("synchronous = OFF", "journal_mode = OFF", "cache_size = -400000", "foreign_keys = OFF", "temp_store = MEMORY"):
        database.execute(f"PRAGMA {pragma}")
    database.execute("BEGIN")
    experiment = database.execute(
        "INSERT INTO experiments (name, artifact_location, stage, creation_time, last_update_time)"
        " VALUES ('bench', 'mlflow-artifacts:/bench', 'active', ?, ?) RETURNING id", (START, START)).fetchone()[0]
    series = (f"(WITH RECURSIVE counted(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM counted WHERE value < {runs})"
              " SELECT value FROM counted)")
    for table, (columns, rows) in TABLES.items():
        indexes = database.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ?", (table,)).fetchall()
        for name, _ in indexes:
            database.execute(f"DROP INDEX {name}")
        select = rows.format(experiment=experiment, start=START).replace("generate_series_of", series)
        order = "" if table == "runs" else " ORDER BY 1, 2"
        database.execute(f"INSERT INTO {table} ({columns}) {select}{order}")
        for _, sql in indexes:
            database.execute(sql)
        progress(table)
    database.execute("COMMIT")
    database.execute("PRAGMA journal_mode = WAL")
    database.close()
