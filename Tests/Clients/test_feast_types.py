"""Every type of Feast's features: written, materialized, read, joined and computed with, beside Feast's own stores."""
import base64
import datetime
import decimal
import json
import sys
import uuid

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import requests
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.feature_server_utils import convert_response_to_dict
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.type_map import python_values_to_proto_values
from feast.types import (Array, Bool, Bytes, Decimal, Float32, Float64, Int32, Int64, Json, Map, Set, String, Struct,
                         TimeUuid, UnixTimestamp, Uuid)

from test_features_redis import Redis

UTC = datetime.timezone.utc
START = datetime.datetime(2026, 10, 1, tzinfo=UTC)
KEYS = range(4)


def moment(i):
    return START - datetime.timedelta(days=i, seconds=1)


def identifier(i):
    return uuid.UUID(int=1 << 100 | i)


# Of each feature its type, its value for a key, and the column of a file with such values.
TYPES = {
    "bytes": (Bytes, lambda i: bytes([i, 0, 255]), pa.binary()),
    "moment": (UnixTimestamp, moment, pa.timestamp("us", "UTC")),
    "bytes_list": (Array(Bytes), lambda i: [bytes([i]), b"x"], pa.list_(pa.binary())),
    "moments": (Array(UnixTimestamp), lambda i: [moment(i), START], pa.list_(pa.timestamp("us", "UTC"))),
    "document": (Json, lambda i: json.dumps({"a": i, "é": [None, 1.5]}), pa.string()),
    "documents": (Array(Json), lambda i: [json.dumps({"a": i}), "[]"], pa.list_(pa.string())),
    "identity": (Uuid, identifier, pa.string()),
    "time_identity": (TimeUuid, identifier, pa.string()),
    "identities": (Array(Uuid), lambda i: [identifier(i), identifier(9)], pa.list_(pa.string())),
    "identity_set": (Set(Uuid), lambda i: {identifier(i)}, pa.list_(pa.string())),
    "price": (Decimal, lambda i: decimal.Decimal(i) / 8 + decimal.Decimal("10.00"), pa.decimal128(20, 4)),
    "prices": (Array(Decimal), lambda i: [decimal.Decimal(i) / 8], pa.list_(pa.string())),
    "numbers": (Set(Int64), lambda i: {i}, pa.list_(pa.int64())),
    "small_numbers": (Set(Int32), lambda i: {-i}, pa.list_(pa.int32())),
    "shares": (Set(Float64), lambda i: {i / 8}, pa.list_(pa.float64())),
    "small_shares": (Set(Float32), lambda i: {i / 8}, pa.list_(pa.float32())),
    "words": (Set(String), lambda i: {f"ä{i}"}, pa.list_(pa.string())),
    "flags": (Set(Bool), lambda i: {i % 2 == 0}, pa.list_(pa.bool_())),
    "moment_set": (Set(UnixTimestamp), lambda i: {moment(i)}, pa.list_(pa.timestamp("us", "UTC"))),
    "map": (Map, lambda i: {"k": i, "within": {"list": [i, 2], "none": None}, "ü": "v"},
            pa.struct([("k", pa.int64()), ("within", pa.struct([("list", pa.list_(pa.int64())), ("none", pa.int64())])),
                       ("ü", pa.string())])),
    "maps": (Array(Map), lambda i: [{"k": f"v{i}"}, {"k": None}], pa.list_(pa.map_(pa.string(), pa.string()))),
    "structure": (Struct({"x": Int64, "y": Float64}), lambda i: {"x": i, "y": i / 2},
                  pa.struct([("x", pa.int64()), ("y", pa.float64())])),
    "structures": (Array(Struct({"x": Int64})), lambda i: [{"x": i}], pa.list_(pa.struct([("x", pa.int64())]))),
    "matrix": (Array(Array(Int64)), lambda i: [[i, 1], [2]], pa.list_(pa.list_(pa.int64()))),
}
# What Feast's SDK can put into the JSON of a request.
SENT = ["moment", "document", "identity", "map", "structure"]
NULL_KEY = 3


def value(name, key):
    return None if key == NULL_KEY else TYPES[name][1](key)


def text(value):
    """As a column of texts has it."""
    if isinstance(value, (list, set)):
        return [text(one) for one in value]
    return str(value) if isinstance(value, (uuid.UUID, decimal.Decimal)) else value


@pytest.fixture(scope="module")
def server(start_aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("types")
    times = [START + datetime.timedelta(hours=key) for key in KEYS]
    columns = {"user_id": pa.array(list(KEYS), pa.int64()), "event_timestamp": pa.array(times, pa.timestamp("us", "UTC"))}
    for name, (_, _, kind) in TYPES.items():
        values = [value(name, key) for key in KEYS]
        columns[name] = pa.array(values if pa.types.is_decimal(kind) else [text(one) for one in values], kind)
    parquet.write_table(pa.table(columns), folder / "all.parquet")
    server = start_aerie(folder / "data", "--feature-python", sys.executable)
    server.folder = folder
    return server


def definitions(server):
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
    source = FileSource(name="all", path=str(server.folder / "all.parquet"), timestamp_field="event_timestamp")
    return [user, source, FeatureView(
        name="every", entities=[user], ttl=datetime.timedelta(days=3650), source=source,
        schema=[Field(name=name, dtype=kind) for name, (kind, _, _) in TYPES.items()])]


def store(server, project):
    host, port = server.grpc.rsplit(":", 1)
    return FeatureStore(config=RepoConfig(
        project=project, provider="local", entity_key_serialization_version=3,
        registry={"registry_type": "remote", "path": server.grpc},
        online_store={"type": "remote", "path": f"{server.http}/feast/{project}"},
        offline_store={"type": "remote", "host": host, "port": int(port)}))


def answer(address, project, names):
    """By feature what a request is answered with."""
    body = {"entities": {"user_id": list(KEYS)}, "features": [f"every:{name}" for name in names]}
    got = requests.post(f"{address}/feast/{project}/get-online-features", json=body, timeout=30)
    assert got.status_code == 200, got.text
    return by_feature(got.json())


def by_feature(answer):
    return {name: one["values"] for name, one in zip(answer["metadata"]["feature_names"], answer["results"])}


@pytest.fixture(scope="module")
def feasts(server):
    """What Feast's own server would answer for the values."""
    local = FeatureStore(config=RepoConfig(
        project="types", provider="local", registry=str(server.folder / "registry.db"), entity_key_serialization_version=3,
        online_store={"type": "sqlite", "path": str(server.folder / "online.db")}, offline_store={"type": "file"}))
    local.apply(definitions(server))
    written = {}
    view = local.get_feature_view("every")
    for name in TYPES:
        kind = next(field.dtype for field in view.features if field.name == name).to_value_type()
        written[name] = python_values_to_proto_values([value(name, key) for key in KEYS], kind)
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value
    rows = [(EntityKey(join_keys=["user_id"], entity_values=[Value(int64_val=key)]),
             {name: written[name][key] for name in TYPES}, START, None) for key in KEYS]
    local._get_provider().online_write_batch(local.config, view, rows, None)
    found = local.get_online_features([f"every:{name}" for name in TYPES], [{"user_id": key} for key in KEYS])
    local.rows, local.answer = rows, by_feature(convert_response_to_dict(found.proto))
    return local


def sorted_sets(answer):
    """Sets have no order, and JSON's texts are compared as what they say."""
    def plain(name, one):
        if one is None:
            return None
        if name == "document":
            return json.loads(one)
        if name == "price":
            return decimal.Decimal(one)
        return sorted(one) if name in ("numbers", "words") else one
    return {name: [plain(name, one) for one in values] for name, values in answer.items()}


def test_what_is_materialized_is_answered_as_feasts_server_answers(server, feasts):
    remote = store(server, "types")
    remote.apply(definitions(server))
    problems = [f.name for f in remote.get_feature_view("every").features]
    assert sorted(problems) == sorted(TYPES)
    remote.materialize(START - datetime.timedelta(days=1), START + datetime.timedelta(days=1))
    want = sorted_sets(feasts.answer)
    for address in (server.http, server.feast_http):
        got = sorted_sets(answer(address, "types", TYPES))
        for name in TYPES:
            assert got[name] == want[name], name
    # The SDK makes its own values of the answer. (Of empty lists, and of lists in lists, it makes none.)
    online = remote.get_online_features(["every:map", "every:maps"], [{"user_id": 1}]).to_dict()
    assert online["map"] == [value("map", 1)] and online["maps"] == [value("maps", 1)]


def test_what_is_pushed_is_kept_online_and_for_training(server):
    remote = store(server, "pushed_types")
    remote.apply(definitions(server))
    later = START + datetime.timedelta(days=2)
    frame = pd.DataFrame({"user_id": [1], "event_timestamp": [later]})
    for name in TYPES:
        frame[name] = pd.Series([text(value(name, 2)) if name in SENT else None], dtype="object")
    remote.write_to_online_store("every", frame)
    got = answer(server.http, "pushed_types", TYPES)
    assert [got[name][1] for name in SENT] == [
        int(value("moment", 2).timestamp()), value("document", 2), str(value("identity", 2)), value("map", 2),
        value("structure", 2)]
    # As a program sends them, what the SDK cannot send too, and into the offline store.
    columns = {"user_id": [2], "event_timestamp": [later.isoformat()]}
    for name in TYPES:
        columns[name] = [plain_json(value(name, 1))]
    body = {"push_source_name": "every", "df": columns, "to": "online_and_offline"}
    done = requests.post(f"{server.http}/feast/pushed_types/push", json=body, timeout=30)
    assert done.status_code == 200, done.text
    pushed = answer(server.http, "pushed_types", TYPES)
    rows = pd.DataFrame({"user_id": [1, 2], "event_timestamp": [START + datetime.timedelta(hours=2), later]})
    table = remote.get_historical_features(rows, [f"every:{name}" for name in TYPES]).to_arrow().to_pylist()
    assert table[0]["bytes_list"] == value("bytes_list", 1) and table[1]["bytes_list"] == value("bytes_list", 1)
    assert table[1]["moments"] == value("moments", 1) and decimal.Decimal(table[1]["price"]) == value("price", 1)
    # Where rows that were pushed stand beside a file's maps both are JSON.
    assert json.loads(table[0]["structure"]) == json.loads(table[1]["structure"]) == value("structure", 1)
    # What was kept makes the same values when it is materialized.
    remote.materialize(START - datetime.timedelta(days=1), later)
    again = sorted_sets(answer(server.http, "pushed_types", TYPES))
    assert {name: again[name][2] for name in TYPES} == {name: sorted_sets(pushed)[name][2] for name in TYPES}


def plain_json(one):
    if isinstance(one, (list, set)):
        return [plain_json(each) for each in one]
    if isinstance(one, datetime.datetime):
        return one.isoformat()
    if isinstance(one, bytes):
        return base64.b64encode(one).decode()
    return text(one)


def test_training_data_has_the_sources_types(server):
    remote = store(server, "types")
    rows = pd.DataFrame({"user_id": list(KEYS), "event_timestamp": [START + datetime.timedelta(days=1)] * len(KEYS)})
    table = remote.get_historical_features(rows, [f"every:{name}" for name in TYPES]).to_arrow()
    source = parquet.read_table(server.folder / "all.parquet")
    for name in TYPES:
        assert table.column(name).to_pylist() == source.column(name).to_pylist(), name


def test_functions_see_pythons_values(server):
    """In Aerie's words: Feast's SDK cannot try a function over maps when it applies it."""
    remote = store(server, "types")
    remote.apply(definitions(server))
    remote.materialize(START - datetime.timedelta(days=1), START + datetime.timedelta(days=1))
    names = ["document", "identity", "price", "numbers", "map", "matrix", "moments", "identity_set"]
    server.cli("apply", "-n", "types", "-f", "-", input=f"""
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: looked_at}}
spec:
  onDemand:
    mode: python
    inputs: [{", ".join(f'"every:{name}"' for name in names)}]
    function: |
      def looked_at(inputs):
          names = {names!r}
          return {{
              "seen": [repr([inputs[name][row] for name in names]) for row in range(len(inputs["map"]))],
              "facts": [m and {{"k": m["k"] + 1}} for m in inputs["map"]],
              "all_numbers": [n and n | {{7}} for n in inputs["numbers"]]}}
  features: [{{name: seen, dtype: STRING}}, {{name: facts, dtype: MAP}}, {{name: all_numbers, dtype: INT64_SET}}]
""")
    inputs = [value(name, 1) for name in names]
    inputs[0] = json.loads(inputs[0])
    inputs[2] = inputs[2].quantize(decimal.Decimal("1.0000"))
    got = remote.get_online_features(["looked_at:seen", "looked_at:facts"], [{"user_id": 1}]).to_dict()
    assert got["seen"] == [repr(inputs)] and got["facts"] == [{"k": 2}]
    rows = pd.DataFrame({"user_id": [1, NULL_KEY], "event_timestamp": [START + datetime.timedelta(days=1)] * 2})
    table = remote.get_historical_features(
        rows, [f"looked_at:{one}" for one in ("seen", "facts", "all_numbers")]).to_df()
    assert table.seen[0] == repr(inputs) and json.loads(table.facts[0]) == {"k": 2} and table.facts[1] is None
    assert sorted(table.all_numbers[0]) == [1, 7] and table.all_numbers[1] is None


def test_values_that_feast_wrote_into_redis(server, feasts, start_aerie, tmp_path):
    redis = Redis(tmp_path / "redis")
    try:
        other = start_aerie(tmp_path / "data", "--online", f"redis://127.0.0.1:{redis.port}")
        store(other, "types").apply(definitions(server))
        config = RepoConfig(
            project="types", provider="local", registry="unused", entity_key_serialization_version=3,
            online_store={"type": "redis", "connection_string": f"127.0.0.1:{redis.port}"})
        RedisOnlineStore().online_write_batch(config, feasts.get_feature_view("every"), feasts.rows, None)
        for address in (other.http, other.feast_http):
            assert answer(address, "types", TYPES) == feasts.answer
        assert other.stop() == 0
    finally:
        redis.kill()


# Lists with a null in them, as a column of a file has them.
GAPS = {
    "whole": (Array(Int64), [1, None], pa.int64()), "small": (Array(Int32), [None, 2], pa.int32()),
    "share": (Array(Float64), [None, 0.5], pa.float64()), "flag": (Array(Bool), [None, True], pa.bool_()),
    "word": (Array(String), ["a", None], pa.string()), "raw": (Array(Bytes), [b"x", None], pa.binary()),
    "moments": (Array(UnixTimestamp), [START, None], pa.timestamp("us", "UTC")),
    "identities": (Array(Uuid), [str(identifier(1)), None], pa.string()),
    "prices": (Array(Decimal), ["1.5", None], pa.string()),
}


def test_a_null_within_a_list_is_feasts_default_online_and_null_in_training(server):
    later = START + datetime.timedelta(days=1)
    columns = {"user_id": pa.array([1]), "event_timestamp": pa.array([START], pa.timestamp("us", "UTC"))}
    for name, (_, values, kind) in GAPS.items():
        columns[name] = pa.array([values], pa.list_(kind))
    parquet.write_table(pa.table(columns), server.folder / "gaps.parquet")
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
    source = FileSource(name="gaps", path=str(server.folder / "gaps.parquet"), timestamp_field="event_timestamp")
    remote = store(server, "gaps")
    remote.apply([user, source, FeatureView(
        name="every", entities=[user], source=source,
        schema=[Field(name=name, dtype=kind) for name, (kind, _, _) in GAPS.items()])])
    remote.materialize(START, later)
    pushed = {"user_id": [2], "event_timestamp": [START.isoformat()]}
    pushed |= {name: [plain_json(values)] for name, (_, values, _) in GAPS.items()}
    done = requests.post(f"{server.http}/feast/gaps/push", timeout=30,
                         json={"push_source_name": "every", "df": pushed, "to": "online_and_offline"})
    assert done.status_code == 200, done.text
    for address in (server.http, server.feast_http):
        got = answer(address, "gaps", GAPS)
        for name, (kind, values, _) in GAPS.items():
            written = python_values_to_proto_values([values], kind.to_value_type())[0]
            want = list(getattr(written, written.WhichOneof("val")).val)
            assert got[name][1] == got[name][2] == plain_json(want), name
    rows = pd.DataFrame({"user_id": [1, 2], "event_timestamp": [later] * 2})
    table = remote.get_historical_features(rows, [f"every:{name}" for name in GAPS]).to_arrow().to_pylist()
    for name, (_, values, _) in GAPS.items():
        assert table[0][name] == table[1][name] == values, name
