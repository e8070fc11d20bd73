"""The feature store as its users meet it: YAML, Feast's HTTP protocol, Feast's own Python SDK, and the command line."""
import datetime
import json
import math
import time

import numpy as np
import pandas as pd
import pytest
import requests

UTC = datetime.timezone.utc
START = datetime.datetime(2026, 10, 1, tzinfo=UTC)


def manifest(path, name="driver_stats", ttl="86400s"):
    return f"""
apiVersion: aerie.dev/v1
kind: Entity
metadata: {{name: driver}}
spec: {{joinKey: driver_id, valueType: INT64}}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: {name}}}
spec:
  entities: [driver]
  ttl: "{ttl}"
  owner: risk
  pushSource: {name}_push
  source: {{type: parquet, path: {path}, timestampField: event_timestamp, createdTimestampColumn: created}}
  features:
  - {{name: conv_rate, dtype: FLOAT, description: share of trips taken}}
  - {{name: trips, dtype: INT64}}
  - {{name: city, dtype: STRING}}
  - {{name: lately, dtype: INT64_LIST}}
---
apiVersion: aerie.dev/v1
kind: FeatureService
metadata: {{name: {name}_service}}
spec: {{features: ["{name}:conv_rate", "{name}/trips"]}}
"""


def source(seed=7, drivers=40, rows=1500):
    rng = np.random.default_rng(seed)
    times = [START + datetime.timedelta(minutes=int(m)) for m in rng.integers(0, 60 * 24 * 20, rows)]
    frame = pd.DataFrame({
        "driver_id": rng.integers(1, drivers, rows).astype("int64"),
        "event_timestamp": pd.to_datetime(times, utc=True),
        "conv_rate": rng.random(rows).astype("float32"),
        "trips": pd.array([None if x % 11 == 0 else int(x) for x in rng.integers(0, 500, rows)], dtype="Int64"),
        "city": [f"città {x}" for x in rng.integers(0, 5, rows)],
        "lately": [[int(x), int(x) + 1] for x in rng.integers(0, 9, rows)],
    })
    frame["created"] = frame["event_timestamp"] + pd.to_timedelta(rng.integers(0, 600, rows), unit="s")
    # The same key and time twice, told apart by when they were written down.
    twice = frame.sample(60, random_state=seed).copy()
    twice["created"] += pd.Timedelta(hours=1)
    twice["trips"] = 1000
    return pd.concat([frame, twice], ignore_index=True).sample(frac=1, random_state=seed).reset_index(drop=True)


def newest(frame, until):
    seen = frame[frame.event_timestamp <= until].sort_values(["event_timestamp", "created"], kind="stable")
    return seen.groupby("driver_id").tail(1).set_index("driver_id")


@pytest.fixture(scope="module")
def features(start_aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    frame = source()
    frame.to_parquet(folder / "drivers.parquet", index=False)
    server = start_aerie(folder / "data")
    server.cli("apply", "-f", "-", input=manifest(folder / "drivers.parquet"))
    server.frame, server.folder = frame, folder
    return server


def online(server, status=200, **body):
    answer = requests.post(f"{server.http}/get-online-features", json=body, timeout=30)
    assert answer.status_code == status, answer.text
    return answer.json()


def columns(answer):
    return dict(zip(answer["metadata"]["feature_names"], answer["results"]))


def test_materialized_values_are_the_newest_of_the_source(features):
    until = START + datetime.timedelta(days=12)
    done = requests.post(f"{features.http}/materialize", timeout=60, json={
        "start_ts": START.isoformat(), "end_ts": until.isoformat(), "feature_views": ["driver_stats"]})
    assert (done.status_code, done.json()) == (200, None)
    expected = newest(features.frame, pd.Timestamp(until))
    drivers = [int(d) for d in expected.index] + [9999]
    answer = online(features, entities={"driver_id": drivers}, features=[
        "driver_stats:trips", "driver_stats:conv_rate", "driver_stats/city", "driver_stats:lately"])
    assert answer["metadata"]["feature_names"] == ["driver_id", "trips", "conv_rate", "city", "lately"]
    got = columns(answer)
    assert got["driver_id"] == {"values": drivers, "statuses": ["PRESENT"] * len(drivers),
                                "event_timestamps": ["1970-01-01T00:00:00Z"] * len(drivers)}
    for row, driver in enumerate(drivers[:-1]):
        want = expected.loc[driver]
        assert got["trips"]["values"][row] == (None if pd.isna(want.trips) else want.trips)
        assert got["conv_rate"]["values"][row] == float(want.conv_rate)
        assert got["city"]["values"][row] == want.city
        assert got["lately"]["values"][row] == list(want.lately)
        assert pd.Timestamp(got["trips"]["event_timestamps"][row]) == want.event_timestamp
        assert got["trips"]["statuses"][row] == "PRESENT"
    assert [got[name]["statuses"][-1] for name in ("trips", "city")] == ["NOT_FOUND"] * 2
    assert got["trips"]["values"][-1] is None and got["trips"]["event_timestamps"][-1] == "1970-01-01T00:00:00Z"


def test_incremental_goes_on_where_the_last_one_ended(features):
    end = START + datetime.timedelta(days=20)
    done = features.cli("features", "materialize-incremental", end.isoformat().replace("+00:00", "Z"))
    assert "driver_stats" in done.stdout
    expected = newest(features.frame, pd.Timestamp(end))
    drivers = [int(d) for d in expected.index]
    got = columns(online(features, entities={"driver": drivers}, feature_service="driver_stats_service",
                         full_feature_names=True))
    assert list(got) == ["driver_id", "driver_stats__conv_rate", "driver_stats__trips"]
    assert got["driver_stats__conv_rate"]["values"] == [float(expected.loc[d].conv_rate) for d in drivers]
    status = json.loads(features.cli("get", "featureview", "driver_stats", "-o", "json").stdout)["status"]
    assert status["materializedUntil"] == "2026-10-21T00:00:00Z" and len(status["materializations"]) == 2


def test_pushed_rows_are_there_at_once_and_after_a_crash(features, start_aerie):
    now = "2026-11-01T10:00:00"
    frame = {"driver_id": [1, 70001], "event_timestamp": [now, now + ".250Z"], "created": [now, now],
             "conv_rate": [0.25, None], "trips": [7, 8], "city": ["Roma", "x"], "lately": [[1], []]}
    done = requests.post(f"{features.http}/push", json={"push_source_name": "driver_stats_push", "df": frame}, timeout=30)
    assert (done.status_code, done.content) == (200, b"")
    # Older rows come too late; a row that says nothing of a feature leaves it as it is.
    late = {name: values[:1] for name, values in frame.items()} | {"event_timestamp": ["2026-10-31T00:00:00"], "trips": [1]}
    part = {"driver_id": [70001], "event_timestamp": ["2026-11-01T11:00:00+01:00"], "created": ["2026-11-01T12:00:00"],
            "trips": [9]}
    for df in (late, part):
        assert requests.post(f"{features.http}/write-to-online-store", timeout=30,
                             json={"feature_view_name": "driver_stats", "df": df}).text == "null"
    asked = dict(entities={"driver_id": [1, 70001]}, features=["driver_stats:trips", "driver_stats:city",
                                                               "driver_stats:conv_rate"])
    before = online(features, **asked)
    got = columns(before)
    assert got["trips"]["values"] == [7, 8] and got["city"]["values"] == ["Roma", "x"]
    # The part was true 250 ms before what is there.
    assert got["conv_rate"]["values"] == [0.25, None] and got["conv_rate"]["statuses"] == ["PRESENT"] * 2
    assert got["trips"]["event_timestamps"] == ["2026-11-01T10:00:00Z", "2026-11-01T10:00:00.250Z"]
    features.kill()
    again = start_aerie(features.folder / "data")
    features.process, features.http, features.ready = again.process, again.http, again.ready
    assert online(features, **asked) == before


def test_strict_statuses_look_at_age_and_null(features):
    old = {"driver_id": [80001, 80002], "event_timestamp": ["2020-01-01", datetime.datetime.now(UTC).isoformat()],
           "conv_rate": [1, None], "trips": [1, 2], "city": ["a", "b"], "lately": [[], []]}
    requests.post(f"{features.http}/push", json={"push_source_name": "driver_stats", "df": old}, timeout=30)
    asked = dict(entities={"driver_id": [80001, 80002, 80003]}, features=["driver_stats:conv_rate"])
    assert columns(online(features, **asked))["conv_rate"]["statuses"] == ["PRESENT", "PRESENT", "NOT_FOUND"]
    strict = columns(online(features, strict_statuses=True, **asked))["conv_rate"]
    assert strict["statuses"] == ["OUTSIDE_MAX_AGE", "NULL_VALUE", "NOT_FOUND"]
    assert strict["values"] == [None, None, None]


@pytest.mark.parametrize("body,status,words", [
    ({"entities": {"driver_id": [1]}, "features": ["nope:x"]}, 404, "Feature view nope does not exist in project default"),
    ({"entities": {"driver_id": [1]}, "feature_service": "nope"}, 404, "FeatureServiceNotFoundException"),
    ({"entities": {"driver_id": [1]}, "features": ["driver_stats:nope"]}, 400, "nope not found"),
    ({"entities": {"driver_id": [1]}, "features": ["badref"]}, 400, "Invalid feature reference 'badref'"),
    ({"entities": {"driver_id": [1]}, "features": []}, 400, "No features specified"),
    ({"entities": {"other": [1]}, "features": ["driver_stats:trips"]}, 400, "Missing join key values for keys: ['driver_id']"),
    ({"entities": {"driver_id": ["abc"]}, "features": ["driver_stats:trips"]}, 400, "is no INT64"),
    ({"entities": {"driver_id": [None]}, "features": ["driver_stats:trips"]}, 400, "null"),
    ({"entities": {"driver_id": [1, 2], "x": [1]}, "features": ["driver_stats:trips"]}, 400, "same columns"),
    ({"features": ["driver_stats:trips"]}, 422, "Field required"),
])
def test_wrong_questions_are_the_askers_fault(features, body, status, words):
    assert words in json.dumps(online(features, status, **body))


@pytest.mark.parametrize("path,body,status,words", [
    ("push", {"push_source_name": "nope", "df": {}}, 422, "PushSourceNotFoundException"),
    ("push", {"push_source_name": "driver_stats", "df": {"driver_id": [1]}}, 400, "event_timestamp"),
    ("push", {"push_source_name": "driver_stats", "df": {"driver_id": [1], "event_timestamp": ["2026-01-01"]}}, 400, "none of the features"),
    ("push", {"push_source_name": "driver_stats", "to": "nowhere", "df": {}}, 400, "nowhere"),
    ("push", {"push_source_name": "driver_stats",
              "df": {"driver_id": [1, 2], "event_timestamp": ["2026-01-01", "soon"], "trips": [1, 2]}}, 400, "soon"),
    ("write-to-online-store", {"feature_view_name": "nope", "df": {}}, 404, "FeatureViewNotFoundException"),
    ("materialize", {"start_ts": "x", "end_ts": "2026-01-01"}, 400, "start_ts"),
    ("materialize", {"start_ts": "2026-01-02", "end_ts": "2026-01-01"}, 400, "after the end"),
    ("materialize-incremental", {}, 422, "end_ts"),
    ("materialize-incremental", {"end_ts": "2026-01-01", "feature_views": ["driver_stats"], "version": "v2"}, 400, "version"),
    ("search", {"features": ["driver_stats:trips"], "query": [1.0], "top_k": 1}, 400, "no feature with a vector index"),
    ("search", {"features": ["driver_stats:trips"], "query_string": "late NOT early"}, 400, "NOT is not carried out"),
])
def test_wrong_writes_change_nothing(features, path, body, status, words):
    answer = requests.post(f"{features.http}/{path}", json=body, timeout=30)
    assert answer.status_code == status and words in answer.text, answer.text
    assert columns(online(features, entities={"driver_id": [2]}, features=["driver_stats:trips"]))


def oracle(entities, frame, ttl):
    """For each row the newest values at or before its time, not older than ttl; the created time breaks ties."""
    by_driver = {d: g.sort_values(["event_timestamp", "created"], kind="stable") for d, g in frame.groupby("driver_id")}
    rows = []
    for driver, at in zip(entities.driver_id, entities.event_timestamp):
        known = by_driver.get(driver)
        known = None if known is None or pd.isna(at) else known[(known.event_timestamp <= at) & (known.event_timestamp >= at - ttl)]
        rows.append((math.nan, None, None) if known is None or known.empty
                    else (known.iloc[-1].conv_rate, known.iloc[-1].trips, known.iloc[-1].city))
    return pd.DataFrame(rows, columns=["conv_rate", "trips", "city"])


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_training_data_is_what_was_known_then(features, tmp_path, form):
    rng = np.random.default_rng(3)
    count = 800
    times = [START + datetime.timedelta(minutes=int(m)) for m in rng.integers(-600, 60 * 24 * 22, count)]
    entities = pd.DataFrame({"driver_id": rng.integers(1, 45, count).astype("int64"),
                             "event_timestamp": pd.to_datetime(times, utc=True), "label": rng.integers(0, 2, count)})
    # Exactly at a value's time, exactly as old as the limit, and a second older; and rows that stand twice.
    at = features.frame.iloc[:90].event_timestamp.reset_index(drop=True)
    for part, shift in enumerate([pd.Timedelta(0), pd.Timedelta(days=1), pd.Timedelta(days=1, seconds=1)]):
        where = slice(part * 30, part * 30 + 29)
        entities.loc[where, "driver_id"] = features.frame.driver_id.iloc[where].tolist() + [features.frame.driver_id.iloc[part * 30 + 29]]
        entities.loc[where, "event_timestamp"] = (at.iloc[part * 30:part * 30 + 30] + shift).tolist()
    entities = pd.concat([entities, entities.iloc[:25]], ignore_index=True)
    rows, out = tmp_path / f"rows.{form}", tmp_path / f"out.{form}"
    getattr(entities, f"to_{form}")(rows, index=False)
    features.cli("features", "historical", "--entity-rows", str(rows), "--output", str(out),
                 "--features", "driver_stats:conv_rate,driver_stats:trips,driver_stats:city")
    got = pd.read_parquet(out) if form == "parquet" else pd.read_csv(out)
    assert list(got.columns) == ["driver_id", "event_timestamp", "label", "conv_rate", "trips", "city"]
    assert len(got) == len(entities) and got.driver_id.tolist() == entities.driver_id.tolist()
    assert got.label.tolist() == entities.label.tolist()
    want = oracle(entities, features.frame, pd.Timedelta(days=1))
    for column in ("conv_rate", "trips"):
        np.testing.assert_allclose(got[column].astype("float64").to_numpy(dtype="float64", na_value=math.nan),
                                   want[column].astype("Float64").to_numpy(dtype="float64", na_value=math.nan), rtol=1e-6)
    assert [None if pd.isna(x) else x for x in got.city] == [None if pd.isna(x) else x for x in want.city]
    assert want.city.isna().sum() > 50 and want.city.notna().sum() > 500


def test_the_command_line(features, tmp_path):
    found = features.cli("features", "search", "share", "risk").stdout
    assert "driver_stats:conv_rate" in found and "driver_stats:trips" not in found
    shown = features.cli("features", "online", "get", "--entity", "driver_id=1,424242", "--features", "driver_stats:trips").stdout
    assert "NOT_FOUND" in shown and "driver_id" in shown
    df = {"driver_id": [90001], "event_timestamp": [datetime.datetime.now(UTC).isoformat()], "trips": [377]}
    features.cli("features", "push", "driver_stats", input=json.dumps(df))
    assert "377" in features.cli("features", "online", "get", "--entity", "driver_id=90001", "--features", "driver_stats:trips").stdout
    features.cli("features", "backfill", "--from", "2026-10-01", "--to", "2026-10-02", "--views", "driver_stats")
    for arguments, words in [
        (("online", "get", "--entity", "driver_id=1", "--features", "nope:x"), "nope does not exist"),
        (("materialize", "2026-01-01", "--views", "nope"), "nope"),
        (("historical", "--entity-rows", str(tmp_path / "none.csv"), "--features", "a:b", "--output", "o.csv"), "no file"),
    ]:
        done = features.cli("features", *arguments, check=False)
        assert done.returncode in (2, 3) and words in done.stderr, done.stderr
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"no parquet")
    done = features.cli("features", "historical", "--entity-rows", str(broken), "--features", "driver_stats:trips",
                        "--output", str(tmp_path / "o.csv"), check=False)
    assert done.returncode == 2 and not (tmp_path / "o.csv").exists()


def test_a_materialization_that_is_killed_is_run_again_and_reads_go_on(start_aerie, tmp_path):
    count = 150_000
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"driver_id": np.arange(count), "conv_rate": rng.random(count).astype("float32"),
                          "trips": rng.integers(0, 99, count), "city": "x", "lately": [[1]] * count,
                          "event_timestamp": pd.Timestamp("2026-10-02", tz="UTC"), "created": pd.Timestamp("2026-10-02", tz="UTC")})
    frame.to_parquet(tmp_path / "many.parquet", index=False)
    server = start_aerie(tmp_path / "data")
    server.cli("apply", "-f", "-", input=manifest(tmp_path / "many.parquet"))
    body = {"start_ts": "2026-10-01", "end_ts": "2026-10-03", "feature_views": ["driver_stats"]}
    begun = requests.post(f"{server.http}/materialize?async=true", json=body, timeout=30)
    assert (begun.status_code, begun.json()) == (202, {"status": "accepted", "feature_views": ["driver_stats"]})
    again = requests.post(f"{server.http}/materialize", json=body, timeout=120)
    assert again.status_code == 409 and "already" in again.text
    sample = [int(x) for x in rng.integers(0, count, 400)]

    def present():
        got = columns(online(server, entities={"driver_id": sample}, features=["driver_stats:trips"]))["trips"]
        return got["values"], got["statuses"].count("PRESENT")

    while present()[1] == 0:
        pass
    server.kill()
    server = start_aerie(tmp_path / "data")
    assert 0 < present()[1] <= len(sample)
    # It goes on by itself: until it is complete, another one is refused.
    deadline = time.monotonic() + 120
    while "materializedUntil" not in (json.loads(
            server.cli("get", "featureview", "driver_stats", "-o", "json").stdout).get("status") or {}):
        assert time.monotonic() < deadline
    server.cli("features", "materialize", "2026-10-01", "2026-10-03")
    assert present()[0] == [int(frame.trips[driver]) for driver in sample]


def test_what_is_in_use_stays(features):
    for arguments, words in [(("featureview", "driver_stats"), "'driver_stats:conv_rate', 'driver_stats:trips' are used by FeatureService/driver_stats_service"),
                             (("entity", "driver"), "entity 'driver' is used by FeatureView/driver_stats")]:
        done = features.cli("delete", *arguments, check=False)
        assert done.returncode == 4 and words in done.stderr, done.stderr
    less = manifest(features.folder / "drivers.parquet").replace("  - {name: trips, dtype: INT64}\n", "")
    done = features.cli("apply", "-f", "-", input=less, check=False)
    assert done.returncode == 4 and "driver_stats:trips" in done.stderr, done.stderr
    # What nobody uses may go.
    assert features.cli("apply", "-f", "-", input=manifest(features.folder / "drivers.parquet").replace(
        "  - {name: lately, dtype: INT64_LIST}\n", "")).returncode == 0
    features.cli("apply", "-f", "-", input=manifest(features.folder / "drivers.parquet"))


FOUNDING = """
project: ml_platform
entities:
  - {name: user_id, value_type: STRING}
  - {name: transaction_id, value_type: STRING}
features:
  - {name: transaction_amount, dtype: FLOAT, description: "Transaction amount in USD"}
  - {name: transaction_hour, dtype: INT32}
  - {name: device_trust_score, dtype: FLOAT}
feature_views:
  - name: transaction_features
    entities: [transaction_id]
    features: [transaction_amount, transaction_hour]
    online: true
    batch_source: {type: BigQuery, table: "project.dataset.transactions"}
"""


def test_feast_style_yaml_is_taken_as_it_is(features):
    done = features.cli("apply", "-f", "-", input=FOUNDING)
    said = done.stdout + done.stderr
    assert "transaction_features" in said and "BigQuery table project.dataset.transactions is not connected" in said
    assert "'device_trust_score' is in no feature view" in said
    rows = {"transaction_id": ["t1"], "event_timestamp": ["2026-11-01"], "transaction_amount": [9.5], "transaction_hour": [3]}
    requests.post(f"{features.http}/push", json={"push_source_name": "transaction_features", "df": rows}, timeout=30)
    got = columns(online(features, entities={"transaction_id": ["t1"]}, features=["transaction_features/transaction_amount"]))
    assert got["transaction_amount"]["values"] == [9.5]
    done = requests.post(f"{features.http}/materialize", timeout=30, json={
        "start_ts": "2026-01-01", "end_ts": "2026-02-01", "feature_views": ["transaction_features"]})
    assert done.status_code == 422 and "not connected" in done.text


def test_feasts_own_sdk_online(features, tmp_path):
    from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Float32, Int64, String
    store = FeatureStore(config=RepoConfig(
        project="default", provider="local", registry=str(tmp_path / "registry.db"),
        online_store={"type": "remote", "path": features.http}, entity_key_serialization_version=3))
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    view = FeatureView(
        name="driver_stats", entities=[driver], ttl=datetime.timedelta(days=1),
        schema=[Field(name="conv_rate", dtype=Float32), Field(name="trips", dtype=Int64), Field(name="city", dtype=String)],
        source=FileSource(path=str(features.folder / "drivers.parquet"), timestamp_field="event_timestamp",
                          created_timestamp_column="created"))
    store.apply([driver, view, FeatureService(name="driver_stats_service", features=[view[["conv_rate", "trips"]]])])
    store.materialize(START, START + datetime.timedelta(days=20))
    frame = pd.DataFrame({"driver_id": [60001], "event_timestamp": [pd.Timestamp("2026-11-03T00:00:00Z")],
                          "created": [pd.Timestamp("2026-11-03T00:00:01Z")], "conv_rate": [0.5], "trips": [12], "city": ["Bari"]})
    store.write_to_online_store("driver_stats", frame)
    got = store.get_online_features(
        ["driver_stats:conv_rate", "driver_stats:trips", "driver_stats:city"],
        [{"driver_id": 60001}, {"driver_id": 5}, {"driver_id": 424242}]).to_dict()
    assert got["trips"][0] == 12 and got["city"][0] == "Bari" and got["conv_rate"][0] == 0.5
    want = newest(features.frame, pd.Timestamp(START + datetime.timedelta(days=20))).loc[5]
    assert got["city"][1] == want.city and got["city"][2] is None
    service = store.get_online_features(store.get_feature_service("driver_stats_service"), [{"driver_id": 60001}]).to_dict()
    assert service["trips"] == [12]
