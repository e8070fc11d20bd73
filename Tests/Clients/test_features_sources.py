"""Where features come from: files of many kinds, a PostgreSQL table, rows that were pushed, and tables that are elsewhere."""
import functools
import importlib.util
import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
import requests
from feast import FeatureStore, FileSource, RepoConfig

from conftest import ROOT
from test_postgres import PROGRAMS, Postgres

START = pd.Timestamp("2026-10-01", tz="UTC")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(5)
    table = pd.DataFrame({
        "user_id": rng.integers(0, 15, 200), "value": rng.normal(0, 1, 200).round(6), "note": [f'say "{x}", é' for x in rng.integers(0, 9, 200)],
        "event_timestamp": START + pd.to_timedelta(rng.permutation(400)[:200], unit="h")})
    table.loc[::7, "value"] = np.nan
    table.loc[::9, "note"] = None
    table.loc[::11, "note"] = ""
    rows = pd.DataFrame({"user_id": rng.integers(0, 17, 60), "event_timestamp": START + pd.to_timedelta(rng.integers(0, 450, 60), unit="h")})
    rows.to_parquet(folder / "rows.parquet", index=False)
    return type("Place", (), {"folder": folder, "table": table, "rows": rows})


def manifest(name, source, push=""):
    return f"""
apiVersion: aerie.dev/v1
kind: Entity
metadata: {{name: user}}
spec: {{joinKey: user_id, valueType: INT64}}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: {name}}}
spec:
  entities: [user]
  source: {source}
  features: [{{name: value, dtype: DOUBLE}}, {{name: note, dtype: STRING}}]
"""


def expected(rows, table):
    values, notes = [], []
    for row in rows.itertuples():
        seen = table[(table.user_id == row.user_id) & (table.event_timestamp <= row.event_timestamp)]
        last = seen.sort_values("event_timestamp", kind="stable").iloc[-1] if len(seen) else {"value": None, "note": None}
        values.append(last["value"])
        notes.append(last["note"])
    return values, notes


def check(server, place, name, table):
    out = place.folder / f"{name}.out.parquet"
    server.cli("features", "historical", "--entity-rows", f"{place.folder}/rows.parquet", "--features", f"{name}:value,{name}:note",
               "--output", str(out))
    got = pd.read_parquet(out)
    values, notes = expected(place.rows, table)
    assert sum(note is not None for note in notes) > 20
    for index in range(len(got)):
        assert (pd.isna(got.value[index]) and pd.isna(values[index])) or got.value[index] == values[index], index
        assert (got.note[index] is None and notes[index] is None) or got.note[index] == notes[index], index


def test_partitioned_parquet_by_a_pattern(aerie, place):
    for month, part in place.table.groupby(place.table.event_timestamp.dt.day % 3):
        folder = place.folder / "parts" / f"part={month}"
        folder.mkdir(parents=True)
        part.to_parquet(folder / "rows.parquet", index=False)
    aerie.cli("apply", "-f", "-", input=manifest("parts", f"{{path: \"{place.folder}/parts/*/*.parquet\"}}"))
    check(aerie, place, "parts", place.table)


def test_csv_in_another_zone_with_copies_and_nulls(aerie, place):
    table = place.table.assign(note=place.table.note.replace("", None))
    zoned = table.assign(event_timestamp=table.event_timestamp.dt.tz_convert("Asia/Kolkata").map(lambda x: x.isoformat()))
    # Copies of rows change nothing, and neither does their order.
    pd.concat([zoned, zoned[::3]]).sample(frac=1, random_state=3).to_csv(place.folder / "zoned.csv", index=False)
    (place.folder / "zoned.yaml").write_text(manifest("zoned", "{path: zoned.csv, timestampField: event_timestamp}"))
    aerie.cli("apply", "-f", f"{place.folder}/zoned.yaml")
    check(aerie, place, "zoned", table)
    aerie.cli("features", "materialize-incremental", "--views", "zoned")
    newest = table.sort_values("event_timestamp").groupby("user_id").tail(1).sort_values("user_id")
    answer = requests.post(f"{aerie.http}/get-online-features", timeout=30, json={
        "entities": {"user_id": [int(key) for key in newest.user_id]}, "features": ["zoned:value", "zoned:note"]}).json()
    got = answer["results"][1:]
    assert got[0]["values"] == [None if pd.isna(value) else value for value in newest.value]
    assert got[1]["values"] == [None if pd.isna(note) else note for note in newest.note]
    assert [pd.Timestamp(time) for time in got[0]["event_timestamps"]] == list(newest.event_timestamp)


def test_a_table_of_postgresql(aerie, place):
    server = Postgres()
    try:
        place.table.to_csv(server.folder / "users.csv", index=False, na_rep="\\N")
        psql = [PROGRAMS[-1] / "psql", "-h", "127.0.0.1", "-p", str(server.port), "-U", "aerie", "-d", "postgres", "-v", "ON_ERROR_STOP=1"]
        subprocess.run(psql, check=True, capture_output=True, text=True, input=f"""
            CREATE SCHEMA stats;
            CREATE TABLE stats.users (user_id bigint, value double precision, note text, event_timestamp timestamptz, unused jsonb);
            \\copy stats.users (user_id, value, note, event_timestamp) FROM '{server.folder}/users.csv' WITH (FORMAT csv, HEADER, NULL '\\N')
        """)
        aerie.cli("apply", "-f", "-", input=f"""
apiVersion: aerie.dev/v1
kind: SourceConnection
metadata: {{name: warehouse}}
spec: {{type: postgres, url: "{server.url}"}}
""")
        aerie.cli("apply", "-f", "-", input=manifest("remote", "{type: postgres, connection: warehouse, table: stats.users}"))
        check(aerie, place, "remote", place.table)
        aerie.cli("features", "materialize-incremental", "--views", "remote")
        newest = place.table.sort_values("event_timestamp").groupby("user_id").tail(1).set_index("user_id")
        answer = requests.post(f"{aerie.http}/get-online-features", timeout=30, json={
            "entities": {"user_id": [int(newest.index[0])]}, "features": ["remote:note"]}).json()
        assert answer["results"][1]["values"] == [newest.note.iloc[0]]
        aerie.cli("apply", "-f", "-", input=manifest("missing", "{type: postgres, connection: warehouse, table: stats.nobody}"))
        refused = aerie.cli("features", "materialize-incremental", "--views", "missing", check=False)
        assert refused.returncode != 0 and "stats.nobody" in refused.stderr
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)
    refused = aerie.cli("features", "materialize-incremental", "--views", "remote", check=False)
    assert refused.returncode != 0 and "warehouse" in refused.stderr
    refused = aerie.cli("apply", "-f", "-", check=False, input="""
apiVersion: aerie.dev/v1
kind: SourceConnection
metadata: {name: warehouse}
spec: {type: postgres, url: "postgresql://me:secret@127.0.0.1/db"}
""")
    assert refused.returncode != 0 and "passwordVariable" in refused.stderr


@functools.cache
def duckdb():
    """The module of DuckDB's wheel, which is the library that the server opens. A process can load it once."""
    spec = importlib.util.spec_from_file_location("_duckdb", next((ROOT / ".native").glob("_duckdb*.so")))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sdk(server, project):
    host, port = server.grpc.split(":")
    return FeatureStore(config=RepoConfig(
        project=project, provider="local", entity_key_serialization_version=3,
        registry={"registry_type": "remote", "path": server.grpc},
        online_store={"type": "remote", "path": f"{server.http}/feast/{project}"},
        offline_store={"type": "remote", "host": host, "port": int(port)}))


def test_a_table_of_a_duckdb_database(start_aerie, place, tmp_path):
    place.table.to_parquet(tmp_path / "table.parquet", index=False)
    database = duckdb().connect(str(tmp_path / "warehouse.duckdb"))
    database.execute("CREATE SCHEMA stats")
    database.execute(f"CREATE TABLE stats.users AS SELECT *, event_timestamp AS at FROM '{tmp_path}/table.parquet'")
    database.close()
    before = (tmp_path / "warehouse.duckdb").read_bytes()
    server = start_aerie(tmp_path / "data")
    # A relative path counts from the manifest's folder; two views of one file are read at once.
    for name in ("ducks", "geese"):
        (tmp_path / f"{name}.yaml").write_text(manifest(
            name, "{type: duckdb, path: warehouse.duckdb, table: stats.users, timestampField: at}"))
        server.cli("apply", "-f", f"{tmp_path}/{name}.yaml")
    check(server, place, "ducks", place.table)
    server.cli("features", "materialize-incremental", "--views", "ducks,geese")
    newest = place.table.sort_values("event_timestamp").groupby("user_id").tail(1).sort_values("user_id")
    want = {"value": [None if pd.isna(value) else value for value in newest.value],
            "note": [None if pd.isna(note) else note for note in newest.note]}
    keys = [{"user_id": int(key)} for key in newest.user_id]
    store = sdk(server, "default")
    for view in ("ducks", "geese"):
        got = store.get_online_features([f"{view}:value", f"{view}:note"], keys).to_dict()
        assert {name: got[name] for name in want} == want

    # Feast's SDK sees such a source as a file whose path names the table, and may apply it under another name.
    source = store.get_feature_view("ducks").batch_source
    assert source.path == f"duckdb:{tmp_path}/warehouse.duckdb#stats.users" and source.timestamp_field == "at"
    view = store.get_feature_view("ducks")
    view.name = "swans"
    view.batch_source = FileSource(name="users", path=source.path, timestamp_field="at")
    store.apply([view.batch_source, view])
    kept = json.loads(server.cli("get", "featureview", "swans", "-o", "json").stdout)["spec"]["source"]
    assert kept == {"type": "duckdb", "path": f"{tmp_path}/warehouse.duckdb", "table": "stats.users", "timestampField": "at"}
    frame = store.get_historical_features(place.rows, ["swans:value", "swans:note"]).to_df()
    values, notes = expected(place.rows, place.table)
    assert [None if pd.isna(value) else value for value in frame.value] == [None if pd.isna(value) else value for value in values]
    assert [note if isinstance(note, str) else None for note in frame.note] == [None if pd.isna(note) else note for note in notes]
    store.materialize(START.to_pydatetime(), (START + pd.Timedelta(days=30)).to_pydatetime(), feature_views=["swans"])
    assert store.get_online_features(["swans:value"], keys).to_dict()["value"] == want["value"]

    for location, words in [("{type: duckdb, path: warehouse.duckdb, table: stats.nobody}", "nobody does not exist"),
                            ("{type: duckdb, path: nowhere.duckdb, table: stats.users}", "nowhere.duckdb")]:
        (tmp_path / "bad.yaml").write_text(manifest("bad", location))
        server.cli("apply", "-f", f"{tmp_path}/bad.yaml")
        refused = server.cli("features", "materialize-incremental", "--views", "bad", check=False)
        assert refused.returncode != 0 and words in refused.stderr
    assert (tmp_path / "warehouse.duckdb").read_bytes() == before


def test_a_table_of_bigquery_is_connected_by_files(aerie, place):
    place.table.to_parquet(place.folder / "big.parquet", index=False)
    done = aerie.cli("apply", "-f", "-", input=manifest("big", "{type: bigquery, table: project.dataset.users}"))
    assert "not connected" in done.stderr
    ask = ("features", "historical", "--entity-rows", f"{place.folder}/rows.parquet", "--features", "big:value", "--output", f"{place.folder}/x.csv")
    refused = aerie.cli(*ask, check=False)
    assert refused.returncode != 0 and "not connected" in refused.stderr
    aerie.cli("apply", "-f", "-", input=f"""
apiVersion: aerie.dev/v1
kind: SourceConnection
metadata: {{name: exports}}
spec: {{type: files, tables: {{project.dataset.users: nowhere.parquet}}}}
""")
    assert aerie.cli(*ask, check=False).returncode != 0
    # A relative path counts from the folder of its manifest.
    (place.folder / "exports.yaml").write_text("""
apiVersion: aerie.dev/v1
kind: SourceConnection
metadata: {name: exports}
spec: {type: files, tables: {project.dataset.users: ./big.parquet, project.dataset.others: "s3://bucket/x.parquet", "*": x.csv}}
""")
    aerie.cli("apply", "-f", f"{place.folder}/exports.yaml")
    kept = json.loads(aerie.cli("get", "sourceconnection", "exports", "-o", "json").stdout)["spec"]["tables"]
    assert kept["project.dataset.others"] == "s3://bucket/x.parquet" and kept["*"] == f"{place.folder}/x.csv"
    check(aerie, place, "big", place.table)


def test_what_is_pushed_offline_is_read_by_retrieval_also_after_a_crash(start_aerie, place, tmp_path):
    half = len(place.table) // 2
    place.table[:half].to_parquet(place.folder / "half.parquet", index=False)
    server = start_aerie(tmp_path / "data")
    server.cli("apply", "-f", "-", input=manifest("half", f"{{path: {place.folder}/half.parquet, timestampField: event_timestamp}}"))
    server.cli("apply", "-f", "-", input=manifest("pushed", "{type: push, timestampField: event_timestamp}"))

    def push(view, frame, to):
        columns = frame.assign(event_timestamp=frame.event_timestamp.map(lambda x: x.isoformat())).astype(object)
        columns = columns.where(columns.notna(), None).to_dict(orient="list")
        answer = requests.post(f"{server.http}/push", json={"push_source_name": view, "df": columns, "to": to}, timeout=60)
        assert (answer.status_code, answer.content) == (200, b""), answer.text

    check(server, place, "half", place.table[:half])
    out = place.folder / "none.parquet"
    server.cli("features", "historical", "--entity-rows", f"{place.folder}/rows.parquet", "--features", "pushed:value", "--output", str(out))
    assert pd.read_parquet(out).value.isna().all()
    rest = place.table[half:]
    for start in range(0, len(rest), 40):
        push("half", rest[start:start + 40], "offline")
    for start in range(0, len(place.table), 90):
        push("pushed", place.table[start:start + 90], "online_and_offline")
    # Of one moment what was pushed later counts.
    again = rest[:3].assign(value=[100.0, 101.0, 102.0])
    push("half", again, "offline")
    server.kill()
    server = start_aerie(tmp_path / "data")
    both = pd.concat([place.table[:half], rest, again])
    check(server, place, "half", both)
    check(server, place, "pushed", place.table)
    wrong = requests.post(f"{server.http}/push", json={"push_source_name": "half", "df": {"user_id": [1]}, "to": "nowhere"}, timeout=30)
    assert 400 <= wrong.status_code < 500
    newest = place.table.sort_values("event_timestamp").groupby("user_id").tail(1).set_index("user_id")
    answer = requests.post(f"{server.http}/get-online-features", timeout=30, json={
        "entities": {"user_id": [int(newest.index[0])]}, "features": ["pushed:note", "half:note"], "full_feature_names": True}).json()
    columns = dict(zip(answer["metadata"]["feature_names"], answer["results"]))
    assert columns["pushed__note"]["values"] == [newest.note.iloc[0]]
    # What was only kept offline is not online.
    assert columns["half__note"]["statuses"] == ["NOT_FOUND"]

    # A row that goes both ways is whole: what it lacks is null in both. One that goes online alone changes what it has.
    for days, to, both in [(40, "online_and_offline", ["new", None]), (41, "online", ["newer", None])]:
        frame = pd.DataFrame({"user_id": [1], "note": [both[0]], "event_timestamp": [START + pd.Timedelta(days=days)]})
        push("pushed", frame, to)
        if to == "online":
            push("pushed", pd.DataFrame({"user_id": [1], "value": [5.0], "event_timestamp": [START + pd.Timedelta(days=42)]}), to)
            both = ["newer", 5.0]
        answer = requests.post(f"{server.http}/get-online-features", timeout=30, json={
            "entities": {"user_id": [1]}, "features": ["pushed:note", "pushed:value"]}).json()
        assert [column["values"][0] for column in answer["results"][1:]] == both
    pd.DataFrame({"user_id": [1], "event_timestamp": [START + pd.Timedelta(days=50)]}).to_parquet(place.folder / "late.parquet")
    server.cli("features", "historical", "--entity-rows", f"{place.folder}/late.parquet", "--features", "pushed:value,pushed:note",
               "--output", str(out))
    known = pd.read_parquet(out)
    assert known.value.isna().all() and list(known.note) == ["new"]
    server.stop()
