"""Entity rows x views of five features each: Aerie beside Feast's DuckDB store. Says what it ran, and the CPU that it took."""
import argparse
import datetime
import pathlib
import shutil
import tempfile

import pandas as pd

import warnings

import peers

warnings.filterwarnings("ignore")


PIECE = 5_000_000


def generate(folder, rows, source_rows, entities, views):
    """By DuckDB, in pieces of some million rows, so that any size fits."""
    import duckdb
    engine = duckdb.connect()
    engine.execute("SET TimeZone = 'UTC'; SELECT setseed(0.5)")

    def write(name, count, columns):
        (folder / name).mkdir()
        for piece in range(0, count, PIECE):
            engine.execute(
                f"COPY (SELECT (random() * {entities})::BIGINT AS driver, (TIMESTAMP '2026-01-01' + INTERVAL 1 SECOND * "
                f"(random() * 86400 * 60)::BIGINT)::TIMESTAMPTZ AS event_timestamp, {columns} FROM range({min(PIECE, count - piece)})) "
                f"TO '{folder}/{name}/{piece // PIECE:04}.parquet'")

    for view in range(views):
        write(f"v{view}", source_rows, "TIMESTAMPTZ '2026-03-05' AS created, " + ", ".join(f"random() AS v{view}_f{i}" for i in range(5)))
    write("rows", rows, "random() AS label")
    engine.execute(f"COPY (FROM read_parquet('{folder}/rows/*.parquet')) TO '{folder}/rows.parquet'")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--source-rows", type=int, default=1_000_000)
    parser.add_argument("--entities", type=int, default=10_000)
    parser.add_argument("--views", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--memory", help="the most that Aerie's SQL engine may use, such as 16GB")
    parser.add_argument("--no-feast", action="store_true")
    parser.add_argument("--folder", help="where the files lie; a temporary one otherwise")
    chosen = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="aerie-point-in-time-", dir=chosen.folder))
    try:
        generate(folder, chosen.rows, chosen.source_rows, chosen.entities, chosen.views)
        names = {f"v{view}": [f"v{view}_f{i}" for i in range(5)] for view in range(chosen.views)}
        features = [f"{view}:{feature}" for view, columns in names.items() for feature in columns]
        size = sum(file.stat().st_size for file in folder.rglob("*.parquet")) / 1e6
        print(f"{chosen.rows} rows x {chosen.views} views of {chosen.source_rows} rows, {chosen.entities} entities, ttl 10 days; "
              f"{size:.0f} MB of Parquet", flush=True)
        environment = {"AERIE_SQL_MEMORY": chosen.memory} if chosen.memory else {}
        aerie = peers.Aerie(folder / "aerie", peers.aerie_entities(["driver"]) + "".join(
            peers.aerie_view(name, f"{folder}/{name}/*.parquet", ["driver"], columns, 864_000) for name, columns in names.items()), environment)
        best = None
        for _ in range(chosen.repeat):
            wall, cpu = aerie.historical(folder / "rows.parquet", features, folder / "out.parquet")
            best = min(best or (1e9, 1e9), (cpu, wall))
            print(f"aerie: {wall:.2f} s, {cpu:.2f} CPU s, at most {aerie.peak()} MB", flush=True)
        aerie.stop()
        if not chosen.no_feast:
            objects = {}
            # Feast reads one file, or a pattern; not a folder.
            files = "0000.parquet" if chosen.source_rows <= PIECE else "*.parquet"
            for name, columns in names.items():
                for one in peers.feast_view(name, folder / name / files, ["driver"], columns, datetime.timedelta(days=10)):
                    objects[one.name] = one
            feast = peers.Feast(folder / "feast", "duckdb", list(objects.values()))
            rows = pd.read_parquet(folder / "rows.parquet")
            theirs = None
            for _ in range(chosen.repeat):
                _, wall, cpu = feast.historical(rows, features)
                theirs = min(theirs or (1e9, 1e9), (cpu, wall))
                print(f"feast (duckdb): {wall:.2f} s, {cpu:.2f} CPU s", flush=True)
            print(f"{theirs[0] / best[0]:.1f}x the CPU, {theirs[1] / best[1]:.1f}x the time")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
