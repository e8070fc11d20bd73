"""Feast's SDK with Aerie as its offline store over Arrow Flight, beside Feast's own DuckDB-like reading of the same files."""
import datetime
import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as parquet
import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource, RepoConfig, ValueType
from feast.errors import FeastEntityDFMissingColumnsError, FeatureViewNotFoundException
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination, SavedDatasetFileStorage
from feast.infra.offline_stores.remote import RemoteOfflineStore
from feast.types import Array, Bool, Float32, Int64, String

from test_features_sources import duckdb
from test_postgres import PROGRAMS, Postgres

UTC = datetime.timezone.utc
START = datetime.datetime(2026, 10, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def server(start_aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("flight")
    rng = np.random.default_rng(11)
    rows = 3000
    frame = pd.DataFrame({
        "driver_id": rng.integers(1, 60, rows).astype("int64"),
        "event_timestamp": [START + datetime.timedelta(minutes=int(m)) for m in rng.integers(0, 30 * 1440, rows)],
        "conv_rate": rng.random(rows).astype("float32"),
        "trips": pd.array([None if x % 9 == 0 else int(x) for x in rng.integers(0, 500, rows)], dtype="Int64"),
        "city": [None if x % 7 == 0 else f"città {x}" for x in rng.integers(0, 50, rows)],
        "lately": [[int(x), int(x) + 1] for x in rng.integers(0, 9, rows)], "active": rng.random(rows) > 0.5})
    frame["created"] = frame.event_timestamp + pd.to_timedelta(rng.integers(0, 600, rows), unit="s")
    frame = frame.drop_duplicates(["driver_id", "event_timestamp"])
    frame.to_parquet(folder / "drivers.parquet", index=False)
    server = start_aerie(folder / "data")
    server.folder, server.frame = folder, frame
    return server


@pytest.fixture(scope="module")
def store(server):
    host, port = server.grpc.rsplit(":", 1)
    store = FeatureStore(config=RepoConfig(
        project="offline", provider="local", entity_key_serialization_version=3,
        registry={"registry_type": "remote", "path": server.grpc},
        online_store={"type": "remote", "path": f"{server.http}/feast/offline"},
        offline_store={"type": "remote", "host": host, "port": int(port)}))
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    source = FileSource(name="drivers", path=str(server.folder / "drivers.parquet"), timestamp_field="event_timestamp",
                        created_timestamp_column="created")
    stats = FeatureView(
        name="stats", entities=[driver], ttl=datetime.timedelta(days=2), source=source,
        schema=[Field(name="conv_rate", dtype=Float32), Field(name="trips", dtype=Int64), Field(name="city", dtype=String),
                Field(name="lately", dtype=Array(Int64)), Field(name="active", dtype=Bool)])
    # Under a name of its own each, as the SDK cannot compare a view with a name to the same without one.
    home, origin = stats.with_name("home"), stats.with_name("origin").with_join_key_map({"driver_id": "origin_id"})
    store.apply([driver, source, stats, FeatureService(name="svc", features=[stats[["trips", "city"]]]),
                 FeatureService(name="both", features=[home[["trips"]], origin[["city"]]])])
    return store


def entity_rows(rows=400, seed=3):
    rng = np.random.default_rng(seed)
    times = [START + datetime.timedelta(minutes=int(m)) for m in rng.integers(0, 32 * 1440, rows)]
    return pd.DataFrame({
        "driver_id": rng.integers(1, 70, rows).astype("int64"), "event_timestamp": pd.to_datetime(times, utc=True),
        "label": rng.random(rows), "note": [None if i % 5 == 0 else f"n{i}" for i in range(rows)],
        "group": pd.Categorical([["a", "b"][i % 2] for i in range(rows)])})


def expected(server, rows, feature, key="driver_id"):
    """The newest value of each row's key that is at most two days old, by hand."""
    values = []
    by_key = dict(list(server.frame.groupby("driver_id")))
    for _, row in rows.iterrows():
        seen = by_key.get(row[key])
        if seen is not None:
            seen = seen[(seen.event_timestamp <= row.event_timestamp)
                        & (seen.event_timestamp >= row.event_timestamp - pd.Timedelta(days=2))]
        if seen is None or seen.empty:
            values.append(None)
        else:
            values.append(seen.sort_values("event_timestamp").iloc[-1][feature])
    return values


def same(got, want):
    assert len(got) == len(want)
    for a, b in zip(got, want):
        if isinstance(b, (list, np.ndarray)):
            assert list(a) == list(b)
        elif b is None or b is pd.NA or b != b:
            assert a is None or a != a, (a, b)
        else:
            assert a == b


def test_historical_features_row_by_row(server, store):
    rows = entity_rows()
    features = ["stats:conv_rate", "stats:trips", "stats:city", "stats:lately", "stats:active"]
    job = store.get_historical_features(rows, features)
    table = job.to_arrow()
    assert table.column_names == [*rows.columns, "conv_rate", "trips", "city", "lately", "active"]
    assert [str(table.schema.field(name).type) for name in ("driver_id", "conv_rate", "trips", "city", "active")] == [
        "int64", "float", "int64", "string", "bool"]
    assert pa.types.is_list(table.schema.field("lately").type)
    got = table.to_pandas()
    for name in ("driver_id", "label", "note"):
        same(got[name].tolist(), rows[name].tolist())
    assert got.group.tolist() == rows.group.tolist()
    assert (got.event_timestamp == rows.event_timestamp).all()
    for name in ("conv_rate", "trips", "city", "lately", "active"):
        same(table.column(name).to_pylist(), expected(server, rows, name))


def test_an_index_of_pandas_is_no_column(server, store):
    rows = entity_rows(40).sample(frac=1, random_state=2)
    table = store.get_historical_features(rows, ["stats:trips"]).to_df()
    assert list(table.columns) == [*rows.columns, "trips"]
    same(table.trips.tolist(), expected(server, rows, "trips"))
    # One that has a name is a column, as the rows' owner may join by it.
    table = store.get_historical_features(rows.set_index("driver_id"), ["stats:trips"]).to_df()
    same(table.trips.tolist(), expected(server, rows, "trips"))
    # Feast's exception for rows that cannot be joined.
    with pytest.raises(FeastEntityDFMissingColumnsError, match="driver_id"):
        store.get_historical_features(rows.drop(columns=["driver_id"]), ["stats:trips"]).to_df()


def test_services_aliases_and_full_names(server, store):
    rows = entity_rows(50)
    table = store.get_historical_features(rows, store.get_feature_service("svc"), full_feature_names=True).to_arrow()
    assert table.column_names[-2:] == ["stats__trips", "stats__city"]
    same(table.column("stats__trips").to_pylist(), expected(server, rows, "trips"))
    rows["origin_id"] = rows.driver_id.sample(frac=1, random_state=1).to_numpy()
    table = store.get_historical_features(rows, store.get_feature_service("both"), full_feature_names=True).to_arrow()
    assert table.column_names[-2:] == ["home__trips", "origin__city"]
    same(table.column("home__trips").to_pylist(), expected(server, rows, "trips"))
    same(table.column("origin__city").to_pylist(), expected(server, rows, "city", key="origin_id"))


def test_a_range_of_time_instead_of_rows(server, store):
    end = START + datetime.timedelta(days=20)
    start = end - datetime.timedelta(days=1)
    table = store.get_historical_features(
        entity_df=None, features=["stats:trips"], start_date=start, end_date=end).to_df()
    in_range = server.frame[(server.frame.event_timestamp >= start) & (server.frame.event_timestamp <= end)]
    newest = in_range.sort_values("event_timestamp").groupby("driver_id").tail(1).set_index("driver_id")
    assert sorted(table.driver_id) == sorted(newest.index)
    same(table.trips.tolist(), [newest.loc[d].trips for d in table.driver_id])


def test_pulls_and_columns(server, store):
    source = store.get_data_source("drivers")
    start, end = START + datetime.timedelta(days=3), START + datetime.timedelta(days=9)
    asked = dict(config=store.config, data_source=source, join_key_columns=["driver_id"],
                 feature_name_columns=["trips", "city"], timestamp_field="event_timestamp",
                 created_timestamp_column="created", start_date=start, end_date=end)
    inside = server.frame[(server.frame.event_timestamp >= start) & (server.frame.event_timestamp <= end)]
    latest = RemoteOfflineStore.pull_latest_from_table_or_query(**asked).to_arrow()
    newest = inside.sort_values(["event_timestamp", "created"]).groupby("driver_id").tail(1).set_index("driver_id")
    assert latest.column_names == ["driver_id", "trips", "city", "event_timestamp", "created"]
    assert sorted(latest.column("driver_id").to_pylist()) == sorted(newest.index)
    same(latest.column("trips").to_pylist(), [newest.loc[d].trips for d in latest.column("driver_id").to_pylist()])
    everything = RemoteOfflineStore.pull_all_from_table_or_query(**asked).to_arrow()
    assert everything.num_rows == len(inside)
    types = dict(RemoteOfflineStore().get_table_column_names_and_types_from_data_source(store.config, source))
    schema = parquet.read_schema(server.folder / "drivers.parquet")
    for name in ("driver_id", "conv_rate", "trips", "city", "active"):
        assert types[name] == str(schema.field(name).type), name
    assert types["event_timestamp"].endswith("tz=UTC]") and types["lately"] == "list<element: int64>"


def test_pulls_from_tables_of_databases(server, store):
    """The same rows from DuckDB's file and from PostgreSQL as from the Parquet file."""
    database, postgres = server.folder / "warehouse.duckdb", Postgres()
    try:
        frame = server.frame.drop(columns=["lately"])
        with duckdb().connect(str(database)) as connection:
            connection.execute(
                "CREATE SCHEMA stats; CREATE TABLE stats.drivers AS SELECT * EXCLUDE (lately) FROM "
                f"read_parquet('{server.folder}/drivers.parquet')")
        frame.to_csv(server.folder / "drivers.csv", index=False, na_rep="\\N")
        subprocess.run(
            [PROGRAMS[-1] / "psql", "-h", "127.0.0.1", "-p", str(postgres.port), "-U", "aerie", "-d", "postgres", "-v",
             "ON_ERROR_STOP=1"], check=True, capture_output=True, text=True, input=f"""
            CREATE TABLE drivers (driver_id bigint, event_timestamp timestamptz, conv_rate real, trips bigint, city text,
                active boolean, created timestamptz);
            \\copy drivers FROM '{server.folder}/drivers.csv' WITH (FORMAT csv, HEADER, NULL '\\N')""")
        server.cli("apply", "-f", "-", input=f"""
apiVersion: aerie.dev/v1
kind: SourceConnection
metadata: {{name: warehouse, namespace: offline}}
spec: {{type: postgres, url: "{postgres.url}"}}
""")
        sources = {name: FileSource(name=name, path=path, timestamp_field="event_timestamp", created_timestamp_column="created")
                   for name, path in [("in_duckdb", f"duckdb:{database}#stats.drivers"), ("in_postgres", "postgres:warehouse#drivers"),
                                      ("in_nothing", "postgres:nowhere#drivers"), ("pushed_only", "push:")]}
        for source in sources.values():
            store.registry.apply_data_source(source, "offline")
        asked = dict(config=store.config, join_key_columns=["driver_id"], feature_name_columns=["trips", "city", "active"],
                     timestamp_field="event_timestamp", created_timestamp_column="created",
                     start_date=START + datetime.timedelta(days=3), end_date=START + datetime.timedelta(days=9))

        def pulled(pull, source):
            table = pull(data_source=source, **asked).to_arrow().to_pandas()
            return table.sort_values(["driver_id", "event_timestamp"], ignore_index=True)
        for pull in (RemoteOfflineStore.pull_latest_from_table_or_query, RemoteOfflineStore.pull_all_from_table_or_query):
            expected = pulled(pull, store.get_data_source("drivers"))
            assert len(expected) > 50
            for name in ("in_duckdb", "in_postgres"):
                got = pulled(pull, sources[name])
                assert list(got.columns) == list(expected.columns)
                for column in expected.columns:
                    same(got[column].tolist(), expected[column].tolist())
        columns = RemoteOfflineStore().get_table_column_names_and_types_from_data_source
        of_file = {name: kind for name, kind in columns(store.config, store.get_data_source("drivers")) if name != "lately"}
        batch = {name: sources[name] for name in ("in_duckdb", "in_postgres")}
        batch["of_push"] = PushSource(name="of_push", batch_source=sources["in_postgres"])
        batch["of_csv"] = FileSource(name="of_csv", path=str(server.folder / "drivers.csv"), timestamp_field="event_timestamp")
        for name, source in batch.items():
            found = dict(columns(store.config, source))
            assert list(found) == list(frame.columns), name
            if name != "of_csv":
                assert {column: kind for column, kind in found.items() if column not in ("event_timestamp", "created")} == {
                    column: kind for column, kind in of_file.items() if column not in ("event_timestamp", "created")}, name
                assert found["event_timestamp"].startswith("timestamp[")
        for source in batch.values():
            RemoteOfflineStore().validate_data_source(store.config, source)
        for name, words in [("in_nothing", "no such SourceConnection"), ("pushed_only", "no rows to pull")]:
            with pytest.raises(Exception, match=words):
                columns(store.config, sources[name])
            with pytest.raises(Exception, match=words):
                RemoteOfflineStore.pull_all_from_table_or_query(data_source=sources[name], **asked).to_arrow()
    finally:
        postgres.stop()
        shutil.rmtree(postgres.folder, ignore_errors=True)


def test_rows_are_written_to_the_source(server, store):
    extra = pd.DataFrame({
        "driver_id": [70001], "event_timestamp": [pd.Timestamp("2026-11-05T00:00:00Z")], "conv_rate": [0.5], "trips": [3],
        "city": ["Bari"], "lately": [[1]], "active": [True], "created": [pd.Timestamp("2026-11-05T00:00:01Z")]})
    extra.conv_rate = extra.conv_rate.astype("float32")
    RemoteOfflineStore.offline_write_batch(
        store.config, store.get_feature_view("stats"), pa.Table.from_pandas(extra[server.frame.columns]), None)
    kept = pd.read_parquet(server.folder / "drivers.parquet")
    assert len(kept) == len(server.frame) + 1 and kept[kept.driver_id == 70001].city.tolist() == ["Bari"]
    rows = pd.DataFrame({"driver_id": [70001], "event_timestamp": [pd.Timestamp("2026-11-05T01:00:00Z")]})
    assert store.get_historical_features(rows, ["stats:city"]).to_df().city.tolist() == ["Bari"]
    with pytest.raises(Exception, match="columns"):
        RemoteOfflineStore.offline_write_batch(
            store.config, store.get_feature_view("stats"), pa.table({"driver_id": [1]}), None)
    assert len(pd.read_parquet(server.folder / "drivers.parquet")) == len(kept)


def test_a_retrieval_is_kept_as_a_saved_dataset(server, store):
    rows = entity_rows(150, 8)[["driver_id", "event_timestamp", "label"]]
    job = store.get_historical_features(rows, ["stats:trips", "stats:city"])
    path = server.folder / "kept" / "set.parquet"

    def keep(**more):
        return store.create_saved_dataset(
            from_=job, name="kept", storage=SavedDatasetFileStorage(path=str(path)), tags={"for": "training"}, **more)

    dataset = keep()
    want = job.to_df().sort_values(["label"], ignore_index=True)
    pd.testing.assert_frame_equal(pd.read_parquet(path).sort_values(["label"], ignore_index=True), want, check_dtype=False)
    assert store.get_saved_dataset("kept").tags == {"for": "training"}
    # The SDK asks for keys, time and features, and not for what else stands there.
    columns = ["driver_id", "event_timestamp", "trips", "city"]
    by_key = [one[columns].sort_values(columns[:2], ignore_index=True) for one in (dataset.to_df(), want)]
    pd.testing.assert_frame_equal(*by_key, check_dtype=False)
    before = path.read_bytes()
    with pytest.raises(Exception, match="already exists"):
        store.get_historical_features(rows.head(3), ["stats:trips"]).persist(SavedDatasetFileStorage(path=str(path)))
    assert path.read_bytes() == before
    store.get_historical_features(rows.head(3), ["stats:trips"]).persist(
        SavedDatasetFileStorage(path=str(path)), allow_overwrite=True)
    assert len(pd.read_parquet(path)) == 3 and [one.name for one in path.parent.iterdir()] == ["set.parquet"]


def test_logged_features_go_to_the_services_folder(server, store):
    logs = server.folder / "logs"
    service = FeatureService(
        name="logged", features=[store.get_feature_view("stats")[["trips"]]],
        logging_config=LoggingConfig(destination=FileLoggingDestination(path=str(logs))))
    store.apply([service])
    table = pa.table({"driver_id": [1, 2], "trips": [3, None], "__log_timestamp": [START, START], "__request_id": ["a", "b"]})
    for _ in range(2):
        store.write_logged_features(table, service)
    assert len(list(logs.iterdir())) == 2
    assert parquet.read_table(logs).column("trips").to_pylist() == [3, None] * 2
    with pytest.raises(Exception, match="logging_config"):
        store.write_logged_features(table, FeatureService(name="svc", features=[], logging_config=service.logging_config))


def test_large_tables_come_in_pieces(server, store):
    rows = pd.concat([entity_rows(400, seed) for seed in range(5)] * 60, ignore_index=True)
    table = store.get_historical_features(rows.drop(columns=["group"]), ["stats:trips"]).to_arrow()
    assert table.num_rows == len(rows) == 120_000
    assert table.column("label").to_pylist() == rows.label.tolist()
    first = expected(server, rows.head(400), "trips")
    same(table.column("trips").to_pylist()[-2000:-1600], first)


def test_errors_and_what_is_sent_wrongly(server, store):
    rows = entity_rows(3)
    with pytest.raises(FeatureViewNotFoundException, match="nope"):
        RemoteOfflineStore.get_historical_features(
            store.config, [store.get_feature_view("stats")], ["nope:trips"], rows, store.registry, "offline").to_arrow()
    with pytest.raises(Exception, match="SQL of a client"):
        RemoteOfflineStore.get_historical_features(
            store.config, [store.get_feature_view("stats")], ["stats:trips"], "SELECT 1", store.registry,
            "offline").to_arrow()
    client = flight.connect(f"grpc://{server.grpc}")
    with pytest.raises(pa.lib.ArrowNotImplementedError, match="Unknown read API"):
        writer, reader = client.do_exchange(flight.FlightDescriptor.for_command(json.dumps({"api": "nope"})))
        writer.begin(pa.schema([("key", pa.string())]))
        writer.done_writing()
        reader.read_all()
    with pytest.raises(Exception, match="command"):
        writer, reader = client.do_exchange(flight.FlightDescriptor.for_command(b"{"))
        writer.begin(pa.schema([("key", pa.string())]))
        writer.done_writing()
        reader.read_all()
    # The older way: leave the rows, then fetch the answer, once.
    command = json.dumps({"api": "get_historical_features", "command_id": "1", "feature_view_names": ["stats"],
                          "feature_refs": ["stats:trips"], "project": "offline", "full_feature_names": False,
                          "name_aliases": [None]})
    descriptor = flight.FlightDescriptor.for_command(command)
    writer, _ = client.do_put(descriptor, pa.Table.from_pandas(rows).schema)
    writer.write_table(pa.Table.from_pandas(rows))
    writer.close()
    ticket = client.get_flight_info(descriptor).endpoints[0].ticket
    assert client.do_get(ticket).read_all().num_rows == 3
    with pytest.raises(Exception, match="not found"):
        client.do_get(ticket).read_all()


def test_python_views_are_refused_with_the_reason(server, store):
    from feast import RequestSource
    from feast.on_demand_feature_view import on_demand_feature_view
    asked = RequestSource(name="asked", schema=[Field(name="factor", dtype=Int64)])

    @on_demand_feature_view(sources=[store.get_feature_view("stats"), asked],
                            schema=[Field(name="scaled", dtype=Int64)], mode="pandas")
    def scaled_trips(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"scaled": inputs["trips"].fillna(0).astype("int64") * inputs["factor"]})

    store.apply([asked, scaled_trips])
    with pytest.raises(Exception, match="Python"):
        RemoteOfflineStore.get_historical_features(
            store.config, [store.get_feature_view("stats")], ["scaled_trips:scaled"], entity_rows(3), store.registry,
            "offline").to_arrow()
