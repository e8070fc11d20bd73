"""Feast's on-demand views in Python, run by a configured interpreter: as Feast itself has them, online and offline."""
import datetime
import json
import math
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.substrait  # noqa: F401
import pytest
import requests
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, RequestSource, ValueType
from feast.on_demand_feature_view import OnDemandFeatureView, on_demand_feature_view
from feast.transformation.substrait_transformation import SubstraitTransformation
from feast.types import Array, Bool, Float64, Int64, String, UnixTimestamp

UTC = datetime.timezone.utc
START = datetime.datetime(2026, 10, 1, tzinfo=UTC)
RESULTS = ["fare:total", "fare:where", "fare:seen", "risky:risk", "risky:late", "risky:known", "single:share", "single:pair"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("functions")
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({
        "driver_id": np.repeat(np.arange(1, 9), 5).astype("int64"),
        "event_timestamp": [START + datetime.timedelta(hours=int(h)) for h in list(range(5)) * 8],
        "rate": rng.random(40), "trips": pd.array([None if i % 7 == 4 else i for i in range(40)], dtype="Int64"),
        "city": [None if i % 10 == 9 else f"città {i}" for i in range(40)],
        "since": [START - datetime.timedelta(days=i) for i in range(40)]})
    frame.to_parquet(folder / "drivers.parquet", index=False)
    return folder


@pytest.fixture(scope="module")
def server(start_aerie, folder):
    return start_aerie(folder / "data", "--feature-python", sys.executable, "--feature-python-limit", "8s")


def definitions(folder):
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    source = FileSource(name="drivers", path=str(folder / "drivers.parquet"), timestamp_field="event_timestamp")
    stats = FeatureView(
        name="stats", entities=[driver], ttl=datetime.timedelta(days=3650), source=source,
        schema=[Field(name="rate", dtype=Float64), Field(name="trips", dtype=Int64), Field(name="city", dtype=String),
                Field(name="since", dtype=UnixTimestamp)])
    asked = RequestSource(name="asked", schema=[Field(name="amount", dtype=Float64), Field(name="count", dtype=Int64)])

    @on_demand_feature_view(
        sources=[stats, asked], mode="pandas",
        schema=[Field(name="total", dtype=Float64), Field(name="where", dtype=String), Field(name="seen", dtype=Int64)])
    def fare(inputs: pd.DataFrame) -> pd.DataFrame:
        out = pd.DataFrame()
        out["total"] = inputs["amount"] * inputs["rate"] + inputs["stats__trips"] * inputs["count"]
        out["where"] = inputs["city"].str.upper()
        out["seen"] = inputs["count"] * 10 + inputs["city"].isna()
        return out

    @on_demand_feature_view(
        sources=[stats, asked], mode="python",
        schema=[Field(name="risk", dtype=Float64), Field(name="late", dtype=Int64), Field(name="known", dtype=Bool)])
    def risky(inputs):
        import math
        return {
            "risk": [math.log1p(a) * r for a, r in zip(inputs["amount"], inputs["rate"])],
            "late": [None if t is None else t // 2 for t in inputs["trips"]],
            "known": [c is not None for c in inputs["city"]]}

    @on_demand_feature_view(
        sources=[stats, asked], mode="python", singleton=True,
        schema=[Field(name="share", dtype=Float64), Field(name="pair", dtype=Array(Float64))])
    def single(inputs):
        return {"share": inputs["rate"] / inputs["amount"], "pair": [[inputs["rate"], inputs["amount"]]]}

    service = FeatureService(name="svc", features=[stats[["rate"]], fare[["total"]], risky[["risk"]]])
    return [driver, source, stats, asked, fare, risky, single, service]


@pytest.fixture(scope="module")
def theirs(folder):
    store = FeatureStore(config=RepoConfig(
        project="functions", provider="local", registry=str(folder / "registry.db"), entity_key_serialization_version=3,
        online_store={"type": "sqlite", "path": str(folder / "online.db")}, offline_store={"type": "file"}))
    store.apply(definitions(folder))
    store.materialize(START - datetime.timedelta(days=1), START + datetime.timedelta(days=1))
    return store


@pytest.fixture(scope="module")
def ours(folder, server):
    host, port = server.grpc.rsplit(":", 1)
    store = FeatureStore(config=RepoConfig(
        project="functions", provider="local", entity_key_serialization_version=3,
        registry={"registry_type": "remote", "path": server.grpc},
        online_store={"type": "remote", "path": f"{server.http}/feast/functions"},
        offline_store={"type": "remote", "host": host, "port": int(port)}))
    store.apply(definitions(folder))
    store.materialize(START - datetime.timedelta(days=1), START + datetime.timedelta(days=1))
    return store


def equal(got, want):
    if isinstance(want, (list, tuple, np.ndarray)):
        return len(got) == len(want) and all(equal(a, b) for a, b in zip(got, want))
    if want is None or want is pd.NaT or want != want:
        return got is None or got != got
    return got == want


def test_online_values_are_feasts(ours, theirs, server):
    rows = [{"driver_id": i, "amount": 1.5 * i, "count": i + 1} for i in range(1, 9)]
    # Feast calls a singleton for the first row alone.
    batch = [name for name in RESULTS if not name.startswith("single")]
    got, want = (store.get_online_features(batch, rows).to_dict() for store in (ours, theirs))
    for name in ("total", "where", "seen", "risk", "late", "known"):
        assert equal(got[name], want[name]), (name, got[name], want[name])
    for row in rows[:3]:
        one, other = (s.get_online_features(["single:share", "single:pair"], [row]).to_dict() for s in (ours, theirs))
        assert equal(one["share"], other["share"]) and equal(one["pair"][0], other["pair"][0])
    body = {"entities": {key: [row[key] for row in rows] for key in rows[0]}, "feature_service": "svc"}
    answers = [requests.post(f"{url}/feast/functions/get-online-features", json=body, timeout=30)
               for url in (server.http, server.feast_http)]
    assert answers[0].status_code == 200 and answers[0].content == answers[1].content
    names = answers[0].json()["metadata"]["feature_names"]
    assert equal(answers[0].json()["results"][names.index("total")]["values"], want["total"])
    many = ours.get_online_features(["single:share"], rows).to_dict()
    assert equal(many["share"], [r / row["amount"] for r, row in zip(ours.get_online_features(
        ["stats:rate"], [{"driver_id": row["driver_id"]} for row in rows]).to_dict()["rate"], rows)])


def plan(columns, results):
    """The bytes of a Substrait plan over one table: each result is the product of two of its columns."""
    kind = {"nullability": "NULLABILITY_NULLABLE"}

    def field(name):
        place = {"structField": {"field": list(columns).index(name)}}
        return {"value": {"selection": {"directReference": place, "rootReference": {}}}}
    read = {"namedTable": {"names": ["t"]}, "baseSchema": {"names": list(columns), "struct": {
        "types": [{one: kind} for one in columns.values()], "nullability": "NULLABILITY_REQUIRED"}}}
    products = [{"scalarFunction": {"functionReference": 1, "arguments": [field(one), field(other)], "outputType": {"fp64": kind}}}
                for one, other in results.values()]
    mapping = {"emit": {"outputMapping": [len(columns) + place for place in range(len(results))]}}
    root = {"input": {"project": {"common": mapping, "input": {"read": read}, "expressions": products}}, "names": list(results)}
    uri = "https://github.com/substrait-io/substrait/blob/main/extensions/functions_arithmetic.yaml"
    function = {"extensionUriReference": 1, "functionAnchor": 1, "name": "multiply"}
    return bytes(pa._substrait._parse_json_plan(json.dumps({
        "extensionUris": [{"extensionUriAnchor": 1, "uri": uri}], "extensions": [{"extensionFunction": function}],
        "relations": [{"root": root}]}).encode()))


def test_plans_of_substrait_give_what_feast_gives(ours, theirs):
    # Only ibis compiles plans, and a release of it that the SDK does not go with: so this one is written by hand.
    columns = {"rate": "fp64", "amount": "fp64"}
    for store in (ours, theirs):
        store.apply([OnDemandFeatureView(
            name=name, sources=[store.get_feature_view("stats"), store.get_data_source("asked")], mode="substrait",
            schema=[Field(name=one, dtype=Float64) for one in results],
            feature_transformation=SubstraitTransformation(plan(given, results), lambda table: table), udf=lambda table: table)
            for name, given, results in [("planned", columns, {"scaled": ("rate", "amount"), "square": ("amount", "amount")})]])
    rows = [{"driver_id": i, "amount": 1.5 * i, "count": 1} for i in range(1, 9)]
    features = ["planned:scaled", "planned:square"]
    got, want = (store.get_online_features(features, rows).to_dict() for store in (ours, theirs))
    assert equal(got["scaled"], want["scaled"]) and equal(got["square"], want["square"]) and None not in want["scaled"]
    entities = pd.DataFrame({
        "driver_id": range(1, 9), "event_timestamp": [START + datetime.timedelta(hours=3)] * 8, "amount": 2.5, "count": 1})
    tables = [store.get_historical_features(entities, features).to_df().sort_values("driver_id") for store in (ours, theirs)]
    for name in ("scaled", "square"):
        assert equal(tables[0][name].tolist(), tables[1][name].tolist())


def test_training_data_is_feasts(ours, theirs, server, folder):
    entities = pd.DataFrame({
        "driver_id": np.arange(5000) % 8 + 1, "amount": np.arange(5000) / 7 + 1, "count": np.arange(5000) % 11,
        "event_timestamp": [START + datetime.timedelta(hours=i % 6, seconds=i) for i in range(5000)]})
    batch = [name for name in RESULTS if not name.startswith("single")]
    got, want = (s.get_historical_features(entities, ["stats:rate", "stats:trips", *batch]).to_df() for s in (ours, theirs))
    keys = ["driver_id", "event_timestamp", "amount", "count"]
    got, want = (frame.sort_values(keys, ignore_index=True) for frame in (got, want))
    assert len(got) == 5000
    for name in ("total", "where", "seen", "risk", "late", "known"):
        assert equal(got[name].tolist(), want[name].tolist()), name
    # The same by Aerie's own command, and a singleton for each row.
    entities.to_parquet(folder / "rows.parquet", index=False)
    server.cli("features", "historical", "-n", "functions", "--entity-rows", str(folder / "rows.parquet"), "--features",
               "risky:risk,single:share,single:pair,stats:rate", "--output", str(folder / "out.parquet"))
    table = pd.read_parquet(folder / "out.parquet")
    assert equal(table["share"].tolist(), (table["rate"] / table["amount"]).tolist())
    assert equal(table["pair"].tolist()[:50], table[["rate", "amount"]].to_numpy()[:50])
    assert equal(table["risk"].tolist(), [math.log1p(a) * r for a, r in zip(table["amount"], table["rate"])])
    assert not list((folder / "data" / "features").glob("*.in*"))


VIEW = """
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: {name}}}
spec:
  onDemand:
    mode: {mode}
    request: [{{name: amount, dtype: INT64}}]
    function: |
{source}
  features: [{{name: x, dtype: {type}}}]
"""


def apply(server, name, source, mode="python", type="INT64"):
    lines = "\n".join("      " + line for line in source.strip().splitlines())
    server.cli("apply", "-f", "-", input=VIEW.format(name=name, mode=mode, source=lines, type=type))


def ask(server, name, amounts=(1, 2)):
    return requests.post(f"{server.http}/get-online-features", timeout=30, json={
        "entities": {"amount": list(amounts)}, "features": [f"{name}:x"]})


@pytest.mark.parametrize("name, body, words", [
    ("raises", "return {'x': [1 / 0]}", ["ZeroDivisionError", "line 2"]),
    ("column", "return {'y': [1, 2]}", ["no column 'x'", "gave y"]),
    ("length", "return {'x': [1]}", ["1 values of feature 'x' for 2 rows"]),
    ("kind", "return {'x': ['a', 'b']}", ["'a' (str) in row 0 of feature 'x', which is INT64"]),
    ("fraction", "return {'x': [1, 2.5]}", ["2.5 (float) in row 1"]),
    ("shape", "return [1, 2]", ["gave list and not a dictionary"]),
    ("package", "import no_such_package", ["ModuleNotFoundError", "no_such_package"]),
])
def test_what_is_wrong_with_a_function_is_said(server, name, body, words):
    apply(server, name, f"def f(inputs):\n    {body}")
    answer = ask(server, name)
    assert answer.status_code == 412 and name in answer.json(), answer.text
    for word in words:
        assert word in answer.json()


def test_a_function_that_ends_its_process_or_never_does_fails_alone(server):
    apply(server, "dies", "def f(inputs):\n    import os\n    print('last words')\n    os._exit(7)")
    apply(server, "hangs", "def f(inputs):\n    while True: pass")
    apply(server, "works", "def f(inputs):\n    return {'x': [a + 1 for a in inputs['amount']]}")
    for _ in range(3):
        answer = ask(server, "dies")
        assert answer.status_code == 503 and "'dies'" in answer.json() and "status 7" in answer.json()
        assert "last words" in answer.json()
        assert ask(server, "works").json()["results"][-1]["values"] == [2, 3]
    answer = ask(server, "hangs")
    assert answer.status_code == 504 and "'hangs'" in answer.json() and "--feature-python-limit" in answer.json()
    assert [ask(server, "works", [i]).json()["results"][-1]["values"] for i in range(4)] == [[1], [2], [3], [4]]


def test_without_python_the_setting_is_named(start_aerie, tmp_path):
    server = start_aerie(tmp_path / "data")
    apply(server, "works", "def f(inputs):\n    return {'x': inputs['amount']}")
    answer = ask(server, "works")
    assert answer.status_code == 422 and "--feature-python" in answer.json()
    rows = pd.DataFrame({"amount": [1], "event_timestamp": [pd.Timestamp(START)]})
    rows.to_parquet(tmp_path / "rows.parquet")
    done = server.cli("features", "historical", "--entity-rows", str(tmp_path / "rows.parquet"), "--features", "works:x",
                      "--output", str(tmp_path / "out.parquet"), check=False)
    assert done.returncode != 0 and "--feature-python" in done.stdout + done.stderr
