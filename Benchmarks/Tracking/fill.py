"""A database of `mlflow server` with many runs, written row by row of its own tables.

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
