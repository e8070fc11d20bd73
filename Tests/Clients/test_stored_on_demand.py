"""On-demand views with `write_to_online_store`: computed when rows are written or materialized, beside Feast's own local store."""
import datetime
import json
import sys

import numpy as np
import pandas as pd
import pytest
import requests
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String

UTC = datetime.timezone.utc
START = datetime.datetime(2026, 10, 1, tzinfo=UTC)
END = START + datetime.timedelta(days=1)
PROJECT = "stored"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    rng = np.random.default_rng(8)
    pd.DataFrame({
        "driver_id": np.repeat(np.arange(1, 9), 5).astype("int64"),
        "event_timestamp": [START + datetime.timedelta(hours=int(h)) for h in list(range(5)) * 8],
        "rate": rng.random(40), "trips": np.arange(40), "city": [f"città {i}" for i in range(40)]}
    ).to_parquet(folder / "drivers.parquet", index=False)
    return folder


def definitions(folder):
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    source = FileSource(name="drivers", path=str(folder / "drivers.parquet"), timestamp_field="event_timestamp")
    stats = FeatureView(
        name="stats", entities=[driver], ttl=datetime.timedelta(days=3650), source=source,
        schema=[Field(name="rate", dtype=Float64), Field(name="trips", dtype=Int64), Field(name="city", dtype=String)])
    asked = RequestSource(name="asked", schema=[Field(name="amount", dtype=Float64)])

    @on_demand_feature_view(
        sources=[stats], mode="python", entities=[driver], write_to_online_store=True,
        schema=[Field(name="pace", dtype=Float64), Field(name="word", dtype=String)])
    def kept(inputs):
        return {"pace": [r * t for r, t in zip(inputs["rate"], inputs["trips"])], "word": [c.upper() for c in inputs["city"]]}

    @on_demand_feature_view(
        sources=[stats], mode="pandas", entities=[driver], write_to_online_store=True,
        schema=[Field(name="double", dtype=Int64)])
    def framed(inputs: pd.DataFrame) -> pd.DataFrame:
        out = pd.DataFrame()
        out["double"] = inputs["trips"] * 2
        return out

    @on_demand_feature_view(
        sources=[stats, asked], mode="python", entities=[driver], write_to_online_store=True,
        schema=[Field(name="price", dtype=Float64)])
    def priced(inputs):
        return {"price": [a * r for a, r in zip(inputs["amount"], inputs["rate"])]}

    service = FeatureService(name="svc", features=[stats[["rate"]], kept, priced])
    return [driver, source, stats, asked, kept, framed, priced, service]


def store(folder, **more):
    return FeatureStore(config=RepoConfig(project=PROJECT, provider="local", entity_key_serialization_version=3, **more))


@pytest.fixture(scope="module")
def server(start_aerie, folder):
    return start_aerie(folder / "data", "--feature-python", sys.executable)


@pytest.fixture(scope="module")
def theirs(folder):
    local = store(folder, registry=str(folder / "registry.db"), offline_store={"type": "file"},
                  online_store={"type": "sqlite", "path": str(folder / "online.db")})
    local.apply(definitions(folder))
    local.materialize(START - datetime.timedelta(days=1), END, feature_views=["stats", "kept", "framed"])
    return local


@pytest.fixture(scope="module")
def ours(folder, server):
    host, port = server.grpc.rsplit(":", 1)
    remote = store(
        folder, registry={"registry_type": "remote", "path": server.grpc},
        online_store={"type": "remote", "path": f"{server.http}/feast/{PROJECT}"},
        offline_store={"type": "remote", "host": host, "port": int(port)})
    remote.apply(definitions(folder))
    before = remote.get_online_features(["kept:pace"], [{"driver_id": 1}]).to_dict()
    assert before == {"driver_id": [1], "pace": [None]}
    remote.materialize(START - datetime.timedelta(days=1), END, feature_views=["stats", "kept", "framed"])
    return remote


KEYS = [{"driver_id": i} for i in range(1, 10)]


def ask(server, features, ids, url=None):
    answer = requests.post(f"{url or server.http}/feast/{PROJECT}/get-online-features", timeout=30, json={
        "entities": {"driver_id": ids}, "features": features})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_materialized_values_are_feasts(ours, theirs, server):
    features = ["kept:pace", "kept:word", "framed:double"]
    got, want = (one.get_online_features(features, KEYS).to_dict() for one in (ours, theirs))
    assert got == want and got["pace"][0] is not None and got["pace"][-1] is None
    # They are read where they lie, on the lean port too, and nobody computes them again.
    answers = [ask(server, features, [1, 9], url) for url in (server.http, server.feast_http)]
    assert answers[0] == answers[1] and answers[0]["results"][1]["statuses"] == ["PRESENT", "NOT_FOUND"]
    # Without a start, everything that still counts is computed anew.
    ours.materialize_incremental(END, feature_views=["kept"])
    assert ours.get_online_features(features, KEYS).to_dict() == want


def test_training_data_is_computed_and_feasts(ours, theirs):
    rows = pd.DataFrame({
        "driver_id": np.arange(200) % 8 + 1, "amount": np.arange(200) / 7,
        "event_timestamp": [START + datetime.timedelta(hours=i % 6, seconds=i) for i in range(200)]})
    features = ["kept:pace", "kept:word", "framed:double", "priced:price"]
    got, want = (
        one.get_historical_features(rows, features).to_df().sort_values(["driver_id", "amount"], ignore_index=True)
        for one in (ours, theirs))
    for name in ("pace", "word", "double", "price"):
        assert got[name].tolist() == want[name].tolist(), name


def test_rows_that_are_written_are_computed_then(ours, theirs, server):
    frame = pd.DataFrame({"driver_id": [1, 2], "amount": [10.0, 20.0], "rate": [0.5, 0.25], "trips": [1, 2], "city": ["a", "b"],
                          "event_timestamp": [END, END]})
    for one in (ours, theirs):
        # The SDK computes by itself, and sends what came out.
        one.write_to_online_store("priced", frame)
    got, want = (one.get_online_features(["priced:price"], KEYS[:3]).to_dict() for one in (ours, theirs))
    assert got == want == {"driver_id": [1, 2, 3], "price": [5.0, 5.0, None]}

    def write(df, **more):
        return requests.post(f"{server.http}/feast/{PROJECT}/write-to-online-store", timeout=30,
                             json={"feature_view_name": "priced", "df": df, **more})

    # A function finds the inputs that a row brings, as in Feast; which of them it needs, it says itself.
    later = (datetime.datetime.now(UTC) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert write({"driver_id": [3], "amount": [8], "stats__rate": [0.5], "event_timestamp": [later]}).status_code == 200
    assert write({"driver_id": [4], "price": [9.0], "amount": [8], "rate": [0.5]}, transform_on_write=False).status_code == 200
    pushed = server.cli("features", "push", "priced", "-n", PROJECT, "--file", "-", check=False, input=json.dumps(
        {"driver_id": [5], "amount": [3], "rate": [2]}))
    assert pushed.returncode == 0, pushed.stderr
    answer = ask(server, ["priced:price"], [3, 4, 5])["results"][1]
    assert answer["values"] == [4.0, 9.0, 6.0] and answer["event_timestamps"][0] == later
    for df, words in [({"driver_id": [6], "amount": [1]}, "rate"), ({"driver_id": [6], "rate": [1]}, "amount"),
                      ({"driver_id": [6], "amount": [1], "trips": [1]}, "KeyError"), ({"amount": [1], "rate": [2]}, "driver_id"),
                      ({"driver_id": [6], "amount": ["x"], "rate": [1]}, "amount")]:
        refused = write(df)
        assert 400 <= refused.status_code < 500 and words in refused.text, refused.text
    assert ask(server, ["priced:price"], [6])["results"][1]["statuses"] == ["NOT_FOUND"]
    refused = requests.post(f"{server.http}/feast/{PROJECT}/materialize", timeout=30, json={
        "start_ts": START.isoformat(), "end_ts": END.isoformat(), "feature_views": ["priced"]})
    assert 400 <= refused.status_code < 500 and "columns of a request" in refused.text
    refused = requests.post(f"{server.http}/feast/{PROJECT}/push", timeout=30, json={
        "push_source_name": "priced", "df": {"driver_id": [1], "amount": [1], "rate": [1]}, "to": "offline"})
    assert 400 <= refused.status_code < 500 and "training data" in refused.text


YAML = """
entities:
- {{name: shop, value_type: STRING}}
features:
- {{name: sales, dtype: INT64}}
feature_views:
- {{name: shops, entities: [shop], features: [sales], batch_source: {{type: parquet, path: {path}, timestamp_field: at}}}}
on_demand_feature_views:
- name: thirds
  sources: ["shops:sales"]
  entities: [shop]
  write_to_online_store: true
  features: [{{name: third, dtype: DOUBLE, expression: "sales / 3"}}, {{name: big, dtype: BOOL, expression: "sales > 5"}}]
- name: squares
  mode: python
  sources: ["shops:sales"]
  udf: |
    def squares(inputs):
        return {{"square": [None if s is None else s * s for s in inputs["sales"]]}}
  features: [{{name: square, dtype: INT64}}]
"""


def test_yaml_says_the_same_with_expressions_and_functions(server, tmp_path):
    pd.DataFrame({"shop": ["a", "a", "b", "c"], "sales": [1, 7, 4, None], "at": [
        START, START + datetime.timedelta(hours=1), START, START]}).astype({"sales": "Int64"}).to_parquet(tmp_path / "shops.parquet")
    server.cli("apply", "-n", "shops", "-f", "-", input=YAML.format(path=tmp_path / "shops.parquet"))
    server.cli("features", "materialize", "2026-09-30T00:00:00Z", "2026-10-01T00:30:00Z", "-n", "shops")
    body = {"entities": {"shop": ["a", "b", "c", "d"]}, "features": ["thirds:third", "thirds:big", "squares:square"]}

    def results():
        answer = requests.post(f"{server.http}/feast/shops/get-online-features", json=body, timeout=30).json()
        return dict(zip(answer["metadata"]["feature_names"], answer["results"]))

    got = results()
    assert got["third"]["values"] == [1 / 3, 4 / 3, None, None] and got["big"]["values"] == [False, False, None, None]
    assert got["third"]["statuses"] == ["PRESENT", "PRESENT", "PRESENT", "NOT_FOUND"]
    assert got["square"]["values"] == [1, 16, None, None]
    # What is kept follows when it is materialized again; what is computed at each read follows its inputs.
    server.cli("features", "materialize-incremental", "-n", "shops", "--views", "shops")
    assert results()["third"]["values"][0] == 1 / 3 and results()["square"]["values"][0] == 49
    server.cli("features", "materialize-incremental", "-n", "shops", "--views", "thirds")
    assert results()["third"]["values"][0] == 7 / 3
    listed = json.loads(server.cli("get", "featureview", "thirds", "-n", "shops", "-o", "json").stdout)
    assert listed["spec"]["onDemand"]["writeToOnlineStore"] is True and listed["status"]["materializedUntil"]
    for change, words in [(("  entities: [shop]\n  write", "  write"), "spec.entities"),
                          (("  write_to_online_store: true\n", ""), "spec.entities")]:
        refused = server.cli("apply", "-n", "shops", "-f", "-", check=False, input=YAML.format(
            path=tmp_path / "shops.parquet").replace(*change))
        assert refused.returncode != 0 and words in refused.stderr, refused.stderr
