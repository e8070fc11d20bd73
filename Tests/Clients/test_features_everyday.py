"""The feature store from day to day: rows in parts, definitions that change while others use them, very wide views."""
import json

import pandas as pd
import pytest
import requests

from test_features_mistakes import ENTITY, view

WIDE = 5000


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("everyday") / "drivers.parquet"
    pd.DataFrame({"driver_id": [1, 2], "trips": [10, 20], "fare": [1.5, 2.5],
                  "event_timestamp": pd.to_datetime(["2026-10-01", "2026-10-02"], utc=True)}).to_parquet(path, index=False)
    return path


def two(name, source, more=""):
    return view(name, f"{{path: {source}}}", more).replace(
        "[{name: trips, dtype: INT64}]", "[{name: trips, dtype: INT64}, {name: fare, dtype: DOUBLE}]")


def read(server, space, key, *features, name="driver_id"):
    answer = requests.post(f"{server.http}/feast/{space}/get-online-features", timeout=30,
                           json={"entities": {name: [key]}, "features": list(features)})
    assert answer.status_code == 200, answer.text
    return [one["values"][0] for one in answer.json()["results"]]


@pytest.mark.parametrize("kind", ["file", "push"])
def test_rows_that_were_pushed_in_part_are_read_offline(aerie, source, kind):
    space = f"parts_{kind}"
    text = two("stats", source)
    if kind == "push":
        text = text.replace(f"{{path: {source}}}", "{type: push, timestampField: event_timestamp}")
    aerie.cli("apply", "-n", space, "-f", "-", input=ENTITY + text)
    rows = {"driver_id": [3], "trips": [30], "event_timestamp": ["2026-10-03T00:00:00Z"]}
    aerie.cli("features", "push", "stats", "--to", "offline", "-n", space, input=json.dumps(rows))
    aerie.cli("features", "materialize", "2026-09-01", "2026-11-01", "-n", space)
    assert read(aerie, space, 3, "stats:trips", "stats:fare") == [3, 30, None]
    if kind == "push":
        # A feature that comes later stands in no row that is kept.
        text = text.replace("name: fare,", "name: tips, dtype: FLOAT}, {name: fare,")
        aerie.cli("apply", "-n", space, "-f", "-", input=text)
    names = "stats:trips,stats:fare" + ",stats:tips" * (kind == "push")
    out = source.parent / f"{kind}.csv"
    aerie.cli("features", "historical", "--end", "2026-11-01", "--features", names, "-n", space, "--output", str(out))
    kept = pd.read_csv(out).set_index("driver_id").loc[3]
    assert kept.trips == 30 and kept[["fare", "tips"] if kind == "push" else ["fare"]].isna().all()


def test_keys_that_are_texts_of_digits(aerie, source):
    text = ENTITY.replace("INT64", "STRING") + two("stats", source)
    aerie.cli("apply", "-n", "digits", "-f", "-", input=text)
    aerie.cli("features", "materialize", "2026-09-01", "2026-11-01", "-n", "digits")
    rows = {"driver_id": ["007"], "trips": [70], "event_timestamp": ["2026-10-03T00:00:00Z"]}
    aerie.cli("features", "push", "stats", "-n", "digits", input=json.dumps(rows))
    shown = aerie.cli("features", "online", "get", "--entity", "driver_id=1,2,007,7", "--features", "stats:trips", "-n", "digits")
    assert [line.split()[:2] for line in shown.stdout.splitlines()[1:]] == [
        ["1", "10"], ["2", "20"], ["007", "70"], ["7", "null"]]
    assert read(aerie, "digits", 2, "stats:trips") == ["2", 20]


def test_keys_beyond_their_type_are_refused(aerie, source):
    path = source.parent / "large.parquet"
    pd.DataFrame({"driver_id": [2**32 + 1], "trips": [10], "event_timestamp": pd.to_datetime(["2026-10-01"], utc=True)}
                 ).to_parquet(path, index=False)
    aerie.cli("apply", "-n", "large", "-f", "-", input=ENTITY.replace("INT64", "INT32") + view("stats", f"{{path: {path}}}"))
    refused = aerie.cli("features", "materialize", "2026-09-01", "2026-11-01", "-n", "large", check=False)
    assert refused.returncode == 2 and "driver_id: 4294967297 is no INT32" in refused.stderr
    assert read(aerie, "large", 1, "stats:trips") == [1, None]


def test_what_a_push_lacks_is_said(aerie, source):
    aerie.cli("apply", "-n", "rows", "-f", "-", input=ENTITY + two("stats", source))
    refused = aerie.cli("features", "push", "stats", "-n", "rows", input='[{"driver_id": 1}]', check=False)
    assert refused.returncode == 2 and "df: must be columns by their names" in refused.stderr


COMPUTED = """---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {name: computed}
spec:
  onDemand: {inputs: ["stats:trips"]}
  features: [{name: double, dtype: INT64, expression: trips * 2}, {name: half, dtype: DOUBLE, expression: trips / 2}]
---
apiVersion: aerie.dev/v1
kind: FeatureService
metadata: {name: model}
spec: {features: ["stats:trips", "stats:fare", "computed:double"]}
"""


@pytest.mark.parametrize("old,new,expected", [
    ("ttl: 1d", "ttl: 86400s", []),
    ("ttl: 1d", "ttl: 2d", ["2 features of stats count for another time: used by FeatureService/model, FeatureView/computed"]),
    ("trips * 2", "trips + trips", ["computed:double is computed otherwise: used by FeatureService/model"]),
    ("drivers.parquet", "others.parquet",
     ["2 features of stats come from another source: used by FeatureService/model, FeatureView/computed"]),
    ("joinKey: driver_id", "joinKey: driver",
     ["entity 'driver' changes its key from driver_id to driver: used by FeatureView/stats"]),
    ("valueType: INT64", "valueType: STRING",
     ["entity 'driver' changes its type from INT64 to STRING: used by FeatureView/stats"]),
    ("ttl: 1d", "ttl: 1d\n  online: false",
     ["2 features of stats are no longer kept online: used by FeatureService/model, FeatureView/computed"]),
], ids=["same", "ttl", "expression", "source", "key", "type", "online"])
def test_a_change_says_what_it_means(aerie, source, old, new, expected):
    text = ENTITY + two("stats", source, "  ttl: 1d\n") + COMPUTED
    aerie.cli("apply", "-n", "meaning", "-f", "-", input=text)
    told = aerie.cli("apply", "--dry-run", "-n", "meaning", "-f", "-", input=text.replace(old, new))
    assert [line.strip() for line in told.stdout.splitlines() if "used by" in line] == expected


def test_a_very_wide_view_is_applied_read_and_deleted(aerie):
    features = "".join(f"  - {{name: f{place}, dtype: INT64}}\n" for place in range(WIDE))
    text = ENTITY + ("---\napiVersion: aerie.dev/v1\nkind: FeatureView\nmetadata: {name: wide}\nspec:\n  entities: [driver]\n"
                     f"  source: {{type: push}}\n  features:\n{features}")
    service = "---\napiVersion: aerie.dev/v1\nkind: FeatureService\nmetadata: {name: all}\nspec:\n  features:\n" + "".join(
        f"  - wide:f{place}\n" for place in range(WIDE))
    aerie.cli("apply", "-n", "wide", "-f", "-", input=text + service)
    rows = {"driver_id": [1], "event_timestamp": ["2026-10-03T00:00:00Z"], "f4711": [5]}
    aerie.cli("features", "push", "wide", "-n", "wide", input=json.dumps(rows))
    assert read(aerie, "wide", 1, "wide:f4711", "wide:f0") == [1, 5, None]
    refused = aerie.cli("delete", "featureview", "wide", "-n", "wide", check=False)
    assert refused.returncode == 4
    assert "'wide:f0', 'wide:f1'" in refused.stderr and "4990 more are used by FeatureService/all" in refused.stderr
    aerie.cli("delete", "featureservice", "all", "-n", "wide")
    aerie.cli("delete", "featureview", "wide", "-n", "wide")


def test_what_a_suite_finds_is_said_where_rows_are_written(aerie, source):
    suite = ("---\napiVersion: aerie.dev/v1\nkind: ExpectationSuite\nmetadata: {name: sane}\nspec:\n  expectations:\n"
             "  - {type: expect_column_values_to_be_between, kwargs: {column: trips, max_value: 15}}\n")
    checked = two("stats", source, "  quality: {suite: sane, onFailure: %s}\n")
    row = {"driver_id": [3], "trips": [30], "fare": [0.5], "event_timestamp": ["2026-10-03T00:00:00Z"]}
    for action, words in [("warn", "1 of 1 values"), ("quarantine", "stats: 1 rows are in quarantine")]:
        aerie.cli("apply", "-n", "suites_told", "-f", "-", input=ENTITY + suite + checked % action)
        pushed = aerie.cli("features", "push", "stats", "-n", "suites_told", input=json.dumps(row))
        assert "warning: stats: expect_column_values_to_be_between" in pushed.stderr and words in pushed.stderr
        copied = aerie.cli("features", "materialize", "2026-09-01", "2026-11-01", "-n", "suites_told")
        assert words.replace("1 of 1", "1 of 2") in copied.stderr, copied.stderr
        written = requests.post(f"{aerie.http}/feast/suites_told/write-to-online-store", timeout=30,
                                json={"feature_view_name": "stats", "df": row})
        assert written.status_code == 200 and words.split(": ")[-1] in written.json()["warnings"][-1]
    metrics = requests.get(f"{aerie.http}/metrics", timeout=30).text
    labels = '{namespace="suites_told",view="stats"}'
    assert f"aerie_feature_rows_quarantined_total{labels} 3" in metrics
    assert f"aerie_feature_quality_failures_total{labels} 6" in metrics


@pytest.mark.parametrize("old,new,words", [
    ("entities: [driver]", "entities: [driver, driver]", "spec.entities[1]: 'driver' is named twice"),
    ("{path:", "{fieldMapping: {rides: trips, tours: trips}, path:",
     "spec.source.fieldMapping: two columns, 'rides' and 'tours', are called 'trips'"),
], ids=["entity", "column"])
def test_names_that_stand_for_two_things_are_refused(aerie, source, old, new, words):
    refused = aerie.cli("apply", "--dry-run", "-f", "-", input=ENTITY + two("twice", source).replace(old, new), check=False)
    assert refused.returncode == 2 and words in refused.stderr
