"""Features in Redis: what Aerie writes Feast reads, and the reverse, byte for byte."""
import datetime
import pathlib
import shutil
import socket
import subprocess
import time

import pandas as pd
import pytest
import requests

from test_features import START, manifest, newest, source


class Redis:
    """A real server in a folder of its own, on a free port."""

    def __init__(self, folder: pathlib.Path):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [shutil.which("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
             "--save", "", "--appendonly", "yes"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("redis-server did not start")

    def kill(self):
        self.process.kill()
        self.process.wait(30)


@pytest.fixture(scope="module")
def setting(start_aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("redis-features")
    frame = source(seed=11)
    frame.to_parquet(folder / "drivers.parquet", index=False)
    redis = Redis(folder / "redis")
    server = start_aerie(folder / "data", "--online", f"redis://127.0.0.1:{redis.port}")
    server.cli("apply", "-f", "-", input=manifest(folder / "drivers.parquet"))
    server.frame, server.folder, server.redis = frame, folder, redis
    yield server
    redis.kill()


@pytest.fixture(scope="module")
def feast_store(setting):
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Array, Float32, Int64, String
    store = FeatureStore(config=RepoConfig(
        project="default", provider="local", registry=str(setting.folder / "registry.db"),
        online_store={"type": "redis", "connection_string": f"127.0.0.1:{setting.redis.port}"},
        entity_key_serialization_version=3))
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    view = FeatureView(
        name="driver_stats", entities=[driver], ttl=datetime.timedelta(days=1),
        schema=[Field(name="conv_rate", dtype=Float32), Field(name="trips", dtype=Int64),
                Field(name="city", dtype=String), Field(name="lately", dtype=Array(Int64))],
        source=FileSource(path=str(setting.folder / "drivers.parquet"), timestamp_field="event_timestamp",
                          created_timestamp_column="created"))
    store.apply([driver, view])
    return store


NAMES = ["conv_rate", "trips", "city", "lately"]


def aerie_reads(server, drivers):
    answer = requests.post(f"{server.http}/get-online-features", timeout=30, json={
        "entities": {"driver_id": drivers}, "features": [f"driver_stats:{name}" for name in NAMES]})
    assert answer.status_code == 200, answer.text
    return {name: result["values"] for name, result in
            zip(answer.json()["metadata"]["feature_names"], answer.json()["results"])}


def feast_reads(store, drivers):
    return store.get_online_features([f"driver_stats:{name}" for name in NAMES],
                                     [{"driver_id": driver} for driver in drivers]).to_dict()


def test_feast_reads_what_aerie_materialized(setting, feast_store):
    end = START + datetime.timedelta(days=10)
    setting.cli("features", "materialize", "2026-10-01", end.strftime("%Y-%m-%dT%H:%M:%SZ"))
    expected = newest(setting.frame, pd.Timestamp(end))
    drivers = [int(driver) for driver in expected.index]
    ours, theirs = aerie_reads(setting, drivers), feast_reads(feast_store, drivers)
    assert ours == {name: theirs[name] for name in ours}
    assert ours["city"] == expected.city.tolist() and ours["lately"] == [list(x) for x in expected.lately]


def test_aerie_reads_what_feast_wrote_and_the_newer_stays(setting, feast_store):
    end = START + datetime.timedelta(days=20)
    feast_store.materialize(START, end)
    expected = newest(setting.frame, pd.Timestamp(end))
    drivers = [int(driver) for driver in expected.index]
    ours = aerie_reads(setting, drivers)
    assert ours["conv_rate"] == [float(x) for x in expected.conv_rate]
    assert ours["city"] == expected.city.tolist()
    assert ours == {name: values for name, values in feast_reads(feast_store, drivers).items() if name in ours}
    # An older materialization by Aerie leaves Feast's newer rows alone.
    setting.cli("features", "materialize", "2026-10-01", "2026-10-05T00:00:00Z")
    assert aerie_reads(setting, drivers) == ours
    frame = {"driver_id": [drivers[0]], "event_timestamp": ["2026-11-01T00:00:00.5Z"], "conv_rate": [0.125],
             "trips": [77], "city": ["Lecce"], "lately": [[5, 300]]}
    requests.post(f"{setting.http}/push", json={"push_source_name": "driver_stats", "df": frame}, timeout=30)
    theirs = feast_reads(feast_store, drivers[:1])
    assert (theirs["trips"], theirs["city"], theirs["lately"]) == ([77], ["Lecce"], [[5, 300]])


def test_redis_down_is_said_and_recovery_is_automatic(setting):
    before = aerie_reads(setting, [1, 2, 3])
    setting.redis.kill()
    answer = requests.post(f"{setting.http}/get-online-features", timeout=30, json={
        "entities": {"driver_id": [1]}, "features": ["driver_stats:trips"]})
    # Defaults stand in, and the answer says so.
    assert answer.status_code == 200 and "cannot reach Redis" in answer.json()["metadata"]["degraded"], answer.text
    assert answer.json()["results"][1]["values"] == [None]
    setting.redis.start()
    assert aerie_reads(setting, [1, 2, 3]) == before
