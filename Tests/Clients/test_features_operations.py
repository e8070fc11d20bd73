"""The feature store as a service: crashes, schedules, freshness, quality and skew, over the API."""
import os
import signal
import time

import pandas as pd
import pytest
import requests

from test_features import START, manifest

API = "/api/aerie/v1/features"
COUNT = 400_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("feature-operations")
    pd.DataFrame({
        "driver_id": range(COUNT), "event_timestamp": pd.Timestamp(START), "created": pd.Timestamp(START),
        "conv_rate": [i % 100 / 100 for i in range(COUNT)], "trips": range(COUNT), "city": "x",
        "lately": [[1]] * COUNT}).to_parquet(folder / "drivers.parquet", index=False)
    return folder


def status(server):
    return requests.get(f"{server.http}/api/v1/namespaces/default/FeatureView/driver_stats", timeout=10).json()["status"]


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return value


def test_what_a_kill_has_cut_off_goes_on_at_the_next_start(start_aerie, folder):
    server = start_aerie(folder / "data")
    server.cli("apply", "-f", "-", input=manifest(folder / "drivers.parquet", ttl="0s"))
    answer = requests.post(f"{server.http}/materialize?async=true", timeout=30, json={
        "start_ts": START.isoformat(), "end_ts": "2026-10-20T00:00:00Z", "feature_views": ["driver_stats"]})
    assert answer.status_code == 202, answer.text
    until(lambda: len((status(server) or {}).get("materializing", {}).get("done", [])) >= 2)
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait(30)
    again = start_aerie(folder / "data")
    until(lambda: (status(again) or {}).get("materializedUntil") == "2026-10-20T00:00:00Z")
    run = requests.get(f"{again.http}{API}/materializations", timeout=10).json()["materializations"][0]
    assert (run["trigger"], run["state"], run["rows"], run["total"]) == ("restart", "succeeded", COUNT, COUNT), run
    asked = list(range(0, COUNT, 997))
    answer = requests.post(f"{again.feast_http}/get-online-features", timeout=30, json={
        "entities": {"driver_id": asked}, "features": ["driver_stats:trips"]}).json()
    assert answer["results"][1]["values"] == asked


def test_a_materialization_is_cancelled(start_aerie, folder):
    server = start_aerie(folder / "data2")
    server.cli("apply", "-f", "-", input=manifest(folder / "drivers.parquet"))
    requests.post(f"{server.http}/materialize?async=true", timeout=30, json={
        "start_ts": START.isoformat(), "end_ts": "2026-10-20T00:00:00Z", "feature_views": ["driver_stats"]})
    def runs():
        return requests.get(f"{server.http}{API}/materializations?view=driver_stats", timeout=10).json()["materializations"]
    run = until(lambda: [r for r in runs() if r["rows"] > 0])[0]
    assert requests.post(f"{server.http}{API}/materializations/{run['id']}/cancel", timeout=10).status_code == 200
    ended = until(lambda: [r for r in runs() if r["state"] != "running"])[0]
    assert ended["state"] == "cancelled" and ended["rows"] < COUNT
    assert requests.post(f"{server.http}{API}/materializations/{run['id']}/cancel", timeout=10).status_code == 412
    assert requests.post(f"{server.http}{API}/materializations/nobody/cancel", timeout=10).status_code == 404


SMALL = """
apiVersion: aerie.dev/v1
kind: Entity
metadata: {{name: driver}}
spec: {{joinKey: driver_id, valueType: INT64}}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: small}}
spec:
  entities: [driver]
  freshness: 1h
  quality: {{suite: sane, onFailure: quarantine}}
  source: {{path: {path}, timestampField: event_timestamp}}
  features: [{{name: x, dtype: DOUBLE}}, {{name: word, dtype: STRING}}]
---
apiVersion: aerie.dev/v1
kind: ExpectationSuite
metadata: {{name: sane}}
spec: {{expectations: [{{type: expect_column_values_to_be_between, kwargs: {{column: x, min_value: 0, max_value: 10}}}}]}}
"""


@pytest.fixture(scope="module")
def small(start_aerie, folder):
    now = pd.Timestamp.now(tz="UTC").floor("s")
    pd.DataFrame({"driver_id": [1, 2, 3], "event_timestamp": now - pd.Timedelta("10min"), "x": [1.0, 2.0, 99.0],
                  "word": ["a", "b", "c"]}).to_parquet(folder / "small.parquet", index=False)
    server = start_aerie(folder / "small", "--feature-sample", "1")
    server.cli("apply", "-f", "-", input=SMALL.format(path=folder / "small.parquet"))
    return server


def test_a_schedule_runs_by_itself(small):
    small.cli("apply", "-f", "-", input="apiVersion: aerie.dev/v1\nkind: MaterializationSchedule\n"
              "metadata: {name: often}\nspec: {schedule: '* * * * *', mode: window, window: 7d}\n")
    def plan():
        return requests.get(f"{small.http}/api/v1/namespaces/default/MaterializationSchedule/often",
                            timeout=10).json()["status"] or {}
    assert until(lambda: plan().get("nextRun"))
    done = until(lambda: plan() if plan().get("lastResult") else None, seconds=90)
    assert done["lastResult"] == "succeeded" and done["lastRows"] == 2, done
    bad = small.cli("apply", "-f", "-", check=False, input="apiVersion: aerie.dev/v1\nkind: MaterializationSchedule\n"
                    "metadata: {name: bad}\nspec: {schedule: '61 * * * *'}\n")
    assert bad.returncode != 0 and "spec.schedule" in bad.stderr + bad.stdout


def test_wrong_rows_lie_in_quarantine_and_can_be_read(small):
    rows = until(lambda: requests.get(f"{small.http}{API}/views/small/quarantine", timeout=10).json()["rows"])
    assert rows[0]["row"]["driver_id"] == 3 and rows[0]["row"]["x"] == 99 and rows[0]["suite"] == "sane"
    assert rows[0]["expectations"] == ["expect_column_values_to_be_between"]
    requests.post(f"{small.http}/push", timeout=10, json={"push_source_name": "small", "df": {
        "driver_id": [8, 9], "event_timestamp": ["2026-11-01T00:00:00Z"] * 2, "x": [5.0, -1.0], "word": ["e", "f"]}})
    # The schedule keeps driver 3 aside again every minute.
    rows = requests.get(f"{small.http}{API}/views/small/quarantine?limit=20", timeout=10).json()["rows"]
    assert [row["row"]["driver_id"] for row in rows if row["row"]["driver_id"] != 3] == [9]
    answer = requests.post(f"{small.http}/get-online-features", timeout=10, json={
        "entities": {"driver_id": [1, 3, 8, 9]}, "features": ["small:x"]}).json()
    assert answer["results"][1]["values"] == [1.0, None, 5.0, None]


def test_freshness_is_measured_against_its_target(small):
    view = requests.get(f"{small.http}{API}/freshness", timeout=10).json()["views"][0]
    assert view["view"] == "small" and 500 < view["age_seconds"] < 3000 and view["met"] is True
    text = until(lambda: (t := requests.get(f"{small.http}/metrics", timeout=10).text)
                 and "aerie_feature_freshness_seconds{" in t and t)
    assert 'aerie_feature_freshness_target_seconds{namespace="default",view="small"} 3600' in text
    assert 'aerie_online_store_up 1' in text and "aerie_online_store_rows" in text
    assert 'aerie_feature_rows_written_total{namespace="default",view="small"}' in text


def test_served_values_that_training_would_not_have_are_found(small):
    body = {"entities": {"driver_id": [1, 2, 8]}, "features": ["small:x", "small:word"]}
    # A loop reads by a plan, and samples, from its second request on.
    def compare():
        assert requests.post(f"{small.feast_http}/get-online-features", json=body, timeout=10).status_code == 200
        return {line["feature"]: line for line in
                requests.post(f"{small.http}{API}/skew/compare", timeout=60).json()["features"]}
    # Driver 8 was pushed and is not in the source: it differs; the others are as the source has them.
    lines = until(lambda: (found := compare()).get("x", {}).get("compared", 0) >= 3 and found)
    for line in lines.values():
        assert line["different"] * 3 == line["compared"], lines
    assert "training would say null" in lines["x"]["example"]
    assert requests.get(f"{small.http}{API}/skew", timeout=10).json()["features"] == list(lines.values())
    text = requests.get(f"{small.http}/metrics", timeout=10).text
    assert 'aerie_feature_skew_ratio{namespace="default",view="small",feature="x"}' in text


def test_a_view_that_cannot_be_compared_holds_up_no_other(small, folder):
    small.cli("apply", "-f", "-", input="apiVersion: aerie.dev/v1\nkind: FeatureView\nmetadata: {name: gone}\nspec:\n"
              f"  entities: [driver]\n  source: {{path: {folder}/gone.parquet, timestampField: event_timestamp}}\n"
              "  features: [{name: y, dtype: DOUBLE}]\n")
    small.cli("features", "push", "gone", input='{"driver_id": [1], "y": [5], "event_timestamp": ["2026-10-01T00:00:00Z"]}')
    body = {"entities": {"driver_id": [1]}, "features": ["gone:y"]}
    def compare():
        assert requests.post(f"{small.feast_http}/get-online-features", json=body, timeout=10).status_code == 200
        return requests.post(f"{small.http}{API}/skew/compare", timeout=60).json()
    report = until(lambda: (found := compare())["problems"] and found)
    assert report["problems"][0].startswith("default/gone: ") and "gone.parquet" in report["problems"][0]
    assert {line["view"] for line in report["features"]} == {"small"}
    assert "gone.parquet" in requests.get(f"{small.http}/console/features/skew", timeout=30).text
