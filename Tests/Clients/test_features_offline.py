"""Point-in-time tables as their users ask for them: aliases, ranges of time, progress, cancelling, sources of all kinds."""
import datetime
import json
import threading

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from pyarrow import feather

UTC = datetime.timezone.utc
START = pd.Timestamp("2026-10-01", tz="UTC")


def entity(name, key, kind="INT64"):
    return f"---\napiVersion: aerie.dev/v1\nkind: Entity\nmetadata: {{name: {name}}}\nspec: {{joinKey: {key}, valueType: {kind}}}\n"


def view(name, source, entities, features, ttl="0s", more=""):
    columns = "\n".join(f"  - {{name: {feature}, dtype: {kind}}}" for feature, kind in features.items())
    return (f"---\napiVersion: aerie.dev/v1\nkind: FeatureView\nmetadata: {{name: {name}}}\nspec:\n  entities: [{entities}]\n"
            f"  ttl: {ttl}\n  source: {source}\n{more}  features:\n{columns}\n")


def oracle(rows, table, keys, feature, ttl=None):
    """For each row the newest value at or before its time, by a loop that knows nothing of joins."""
    by_key = {key: group.sort_values(["event_timestamp", "created"]) for key, group in table.groupby(list(keys.values()))}
    found = []
    for row in rows.itertuples():
        key = tuple(getattr(row, name) for name in keys)
        group = by_key.get(key)
        seen = group[group.event_timestamp <= row.event_timestamp] if group is not None else table[:0]
        value = None
        if len(seen) and (ttl is None or row.event_timestamp - seen.event_timestamp.iloc[-1] <= ttl):
            value = seen[feature].iloc[-1]
        found.append(value)
    return found


@pytest.fixture(scope="module")
def places(aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("offline")
    rng = np.random.default_rng(11)
    table = pd.DataFrame({
        "loc": rng.integers(0, 30, 900), "temperature": rng.normal(15, 8, 900),
        "event_timestamp": START + pd.to_timedelta(rng.integers(0, 20 * 24 * 60, 900), unit="min")})
    table["created"] = table.event_timestamp + pd.to_timedelta(rng.integers(0, 90, 900), unit="s")
    table.to_parquet(folder / "weather.parquet", index=False)
    rows = pd.DataFrame({
        "origin_id": rng.integers(0, 33, 200), "goal_id": rng.integers(0, 33, 200), "trip": range(200),
        "event_timestamp": START + pd.to_timedelta(rng.integers(0, 21 * 24 * 60, 200), unit="min")})
    rows.to_parquet(folder / "trips.parquet", index=False)
    source = f"{{path: {folder}/weather.parquet, timestampField: event_timestamp, createdTimestampColumn: created}}"
    aerie.cli("apply", "-f", "-", input=entity("place", "loc") + view("weather", source, "place", {"temperature": "DOUBLE"}, "2d") + """---
apiVersion: aerie.dev/v1
kind: FeatureService
metadata: {name: trip_weather}
spec:
  features:
  - {view: weather, name: origin, joinKeys: {loc: origin_id}, features: [temperature]}
  - {view: weather, name: goal, joinKeys: {loc: goal_id}, features: [temperature]}
""")
    return type("Places", (), {"folder": folder, "table": table, "rows": rows})


def same(got, want):
    assert len(got) == len(want)
    for index, (left, right) in enumerate(zip(got, want)):
        assert (pd.isna(left) and right is None) or left == right, (index, left, right)


def test_one_view_is_joined_twice_under_two_names(aerie, places):
    aerie.cli("features", "historical", "--entity-rows", f"{places.folder}/trips.parquet", "--service", "trip_weather",
              "--full-feature-names", "--output", f"{places.folder}/out.parquet")
    got = pd.read_parquet(places.folder / "out.parquet")
    assert list(got.columns) == [*places.rows.columns, "origin__temperature", "goal__temperature"]
    assert list(got.trip) == list(range(200))
    for name in ("origin", "goal"):
        want = oracle(places.rows, places.table, {f"{name}_id": "loc"}, "temperature", pd.Timedelta(days=2))
        assert 20 < sum(value is None for value in want) < 180
        same(got[f"{name}__temperature"], want)
    # The same by names given with the question, as CSV.
    aerie.cli("features", "historical", "--entity-rows", f"{places.folder}/trips.parquet", "--features",
              "origin:temperature,goal/temperature", "--full-feature-names", "--alias", "origin=weather,loc=origin_id",
              "--alias", "goal=weather,loc=goal_id", "--output", f"{places.folder}/out.csv")
    pd.testing.assert_frame_equal(
        pd.read_csv(places.folder / "out.csv", parse_dates=["event_timestamp"]), got, check_dtype=False)


def test_an_alias_is_read_online_too(aerie, places):
    aerie.cli("features", "materialize-incremental", "2026-10-22T00:00:00Z", "--views", "weather")
    newest = places.table.sort_values(["event_timestamp", "created"]).groupby("loc").last()
    known = [int(place) for place in newest.index if pd.Timestamp("2026-10-22", tz="UTC") - newest.event_timestamp[place]
             <= pd.Timedelta(days=2)][:2]
    answer = requests.post(f"{aerie.http}/get-online-features", timeout=30, json={
        "entities": {"origin_id": known, "goal_id": known[::-1]}, "feature_service": "trip_weather", "full_feature_names": True}).json()
    columns = dict(zip(answer["metadata"]["feature_names"], (result["values"] for result in answer["results"])))
    values = [float(newest.temperature[place]) for place in known]
    assert columns["origin__temperature"] == values and columns["goal__temperature"] == values[::-1]


def test_a_range_of_time_stands_for_entity_rows(aerie, places):
    end = pd.Timestamp("2026-10-10 12:00", tz="UTC")
    for start, since in ((None, end - pd.Timedelta(days=2)), ("2026-10-10T06:00:00Z", end - pd.Timedelta(hours=6))):
        aerie.cli("features", "historical", *(["--start", start] if start else []), "--end", "2026-10-10T12:00:00Z",
                  "--features", "weather:temperature", "--output", f"{places.folder}/range.parquet")
        got = pd.read_parquet(places.folder / "range.parquet")
        seen = places.table[(places.table.event_timestamp >= since) & (places.table.event_timestamp <= end)]
        want = seen.sort_values(["event_timestamp", "created"]).groupby("loc").temperature.last()
        assert 3 < len(want) <= (30 if start is None else 20)
        assert list(got.columns) == ["loc", "event_timestamp", "temperature"]
        assert list(got["loc"]) == list(want.index) and list(got.temperature) == list(want)
        assert set(got.event_timestamp) == {end}


def test_wrong_questions_are_refused(aerie, places):
    def ask(**parameters):
        answer = requests.post(f"{aerie.http}/api/aerie/v1/features/historical", params=parameters, timeout=30)
        return answer.status_code, answer.json()["error"]["message"]

    assert ask(features="weather:temperature", start="2026-10-10")[0] == 400
    assert ask(features="weather:temperature")[0] == 400
    status, message = ask(features="weather:temperature", start="2026-10-12", end="2026-10-10")
    assert status == 400 and "after the end" in message
    status, message = ask(features="x:temperature", end="2026-10-10", alias="x=weather,nothing=y")
    assert status == 400 and "'nothing'" in message
    status, message = ask(features="x:temperature", end="2026-10-10", alias="x")
    assert status == 400 and "alias" in message
    refused = aerie.cli("apply", "-f", "-", check=False, input="""
apiVersion: aerie.dev/v1
kind: FeatureService
metadata: {name: twisted}
spec:
  features:
  - {view: weather, name: origin, joinKeys: {loc: a}, features: [temperature]}
  - {view: weather, name: origin, joinKeys: {loc: b}, features: [temperature]}
  - {view: weather, feature: temperature}
""")
    assert refused.returncode != 0 and "features[1]" in refused.stderr and "features[2]" in refused.stderr


def lines(aerie, body=None, **parameters):
    with requests.post(f"{aerie.http}/api/aerie/v1/features/historical", params={"progress": "true", **parameters}, data=body,
                       stream=True, timeout=120) as answer:
        for line in filter(None, answer.iter_lines()):
            yield json.loads(line)


def test_progress_is_told_and_the_table_is_fetched_once(aerie, places):
    told = list(lines(aerie, (places.folder / "trips.parquet").read_bytes(), service="trip_weather", full_feature_names="true"))
    assert told[0]["type"] == "started" and told[-1]["type"] == "report" and told[-1]["rows"] == 200
    steps = [line for line in told if line["type"] == "progress"]
    assert [line["share"] for line in steps] == sorted(line["share"] for line in steps)
    assert {line["view"] for line in steps} >= {"origin", "goal"}
    table = f"{aerie.http}/api/aerie/v1/features/historical/{told[-1]['id']}"
    assert requests.get(table, timeout=30).content[:4] == b"PAR1"
    assert requests.get(table, timeout=30).status_code == 404


def test_the_table_comes_as_arrow(aerie, places):
    ask = ("features", "historical", "--entity-rows", f"{places.folder}/trips.parquet", "--service", "trip_weather",
           "--full-feature-names", "--output")
    for ending in ("parquet", "arrow", "feather"):
        aerie.cli(*ask, f"{places.folder}/same.{ending}")
    want = pq.read_table(places.folder / "same.parquet")
    with pa.memory_map(str(places.folder / "same.arrow")) as file:
        reader = pa.ipc.open_file(file)
        assert reader.num_record_batches > 0
        got = reader.read_all()
        got.validate(full=True)
        assert pa.types.is_timestamp(got.schema.field("event_timestamp").type) and got.schema.field("event_timestamp").type.tz == "UTC"
        assert got.cast(want.schema).equals(want)
    assert feather.read_table(places.folder / "same.feather").cast(want.schema).equals(want)
    # No rows are a table too.
    aerie.cli("features", "historical", "--end", "2020-01-01T00:00:00Z", "--features", "weather:temperature", "--output",
              f"{places.folder}/none.arrow")
    none = feather.read_table(places.folder / "none.arrow")
    assert none.num_rows == 0 and none.column_names == ["loc", "event_timestamp", "temperature"]
    refused = aerie.cli(*ask, f"{places.folder}/same.xlsx", check=False)
    assert refused.returncode != 0 and ".feather" in refused.stderr
    refused = requests.post(f"{aerie.http}/api/aerie/v1/features/historical", params={
        "features": "weather:temperature", "format": "arrow"}, data=b"ARROW1", timeout=30)
    assert refused.status_code == 400 and "parquet or csv" in refused.json()["error"]["message"]


def test_a_retrieval_is_cancelled(aerie, tmp_path):
    rows, keys = 3_000_000, 50
    pd.DataFrame({"crowd": np.arange(rows) % keys, "event_timestamp": START + pd.to_timedelta(np.arange(rows), unit="ms"),
                  **{f"f{i}": np.arange(rows) for i in range(4)}}).to_parquet(tmp_path / "crowd.parquet", index=False)
    aerie.cli("apply", "-f", "-", input=entity("crowd", "crowd") + view(
        "crowds", f"{{path: {tmp_path}/crowd.parquet}}", "crowd", {f"f{i}": "INT64" for i in range(4)}))
    answers = lines(aerie, (tmp_path / "crowd.parquet").read_bytes(), features="crowds:f0,crowds:f1,crowds:f2,crowds:f3",
                    full_feature_names="true")
    started = next(answers)
    done = requests.delete(f"{aerie.http}/api/aerie/v1/features/historical/{started['id']}", timeout=30)
    assert done.status_code == 200
    last = list(answers)[-1]
    assert last["error"]["code"] == "cancelled"
    assert requests.delete(f"{aerie.http}/api/aerie/v1/features/historical/{started['id']}", timeout=30).status_code == 404
    assert not list((aerie.data_dir / "features").glob("*.parquet"))
