"""Features on demand: SQL expressions over stored features and columns of the request, online and in training data."""
import datetime
import json
import math
import random

import pandas as pd
import pytest
import requests

UTC = datetime.timezone.utc

VIEWS = """
apiVersion: aerie.dev/v1
kind: Entity
metadata: {{name: user}}
spec: {{joinKey: user_id, valueType: INT64}}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: profile}}
spec:
  entities: [user]
  ttl: 30d
  source: {{type: parquet, path: {path}, timestampField: event_timestamp}}
  features:
  - {{name: score, dtype: DOUBLE}}
  - {{name: visits, dtype: INT64}}
  - {{name: city, dtype: STRING}}
  - {{name: share, dtype: FLOAT}}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: other}}
spec:
  entities: [user]
  source: {{type: parquet, path: {path}, timestampField: event_timestamp}}
  features: [{{name: score, dtype: DOUBLE}}]
"""
EXPRESSIONS = {
    "ratio": ("DOUBLE", "amount / profile__score"), "safe": ("DOUBLE", "coalesce(amount / nullif(profile__score, 0), -1)"),
    "product": ("INT64", "visits * count"), "quotient": ("INT32", "count // visits"), "rest": ("INT64", "count % visits"),
    "root": ("FLOAT", "sqrt(amount) + share"), "both": ("DOUBLE", "profile__score + other__score"),
    "label": ("STRING", "CASE WHEN amount > 100 THEN city || ' big' WHEN amount IS NULL THEN 'none' ELSE city END"),
    "is_known": ("BOOL", "city IN ('Roma', 'città 1') AND NOT isnan(amount)"), "longest": ("INT64", "length(city)"),
    "larger": ("DOUBLE", "greatest(amount, visits)"),
}


def manifest(extra=""):
    features = "\n".join(f'  - {{name: {name}, dtype: {dtype}, expression: "{text}"}}'
                         for name, (dtype, text) in EXPRESSIONS.items())
    return f"""
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: computed}}
spec:
  onDemand:
    inputs: ["profile:score", "profile:visits", "profile/city", "profile:share", "other:score"]
    request: [{{name: amount, dtype: DOUBLE}}, {{name: count, dtype: INT64}}]
  features:
{features}
{extra}"""


@pytest.fixture(scope="module")
def store(start_aerie, tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("on-demand"), random.Random(3)
    now = datetime.datetime.now(UTC)
    rows = [{"user_id": user, "event_timestamp": now - datetime.timedelta(days=40 if user % 9 == 0 else 1),
             "score": None if user % 5 == 0 else 0.0 if user % 7 == 0 else rng.uniform(-10, 10),
             "visits": rng.choice([None, 0, 1, 3, 2**62, -2**63]), "city": rng.choice(["Roma", "città 1", "x", None]),
             "share": rng.random()} for user in range(60)]
    frame = pd.DataFrame(rows).astype({"visits": "Int64", "share": "float32"})
    frame.to_parquet(folder / "profile.parquet", index=False)
    server = start_aerie(folder / "data")
    server.folder = folder
    server.cli("apply", "-f", "-", input=VIEWS.format(path=folder / "profile.parquet"))
    server.cli("apply", "-f", "-", input=manifest())
    server.cli("features", "materialize-incremental")
    server.cli("features", "materialize", "2020-01-01", "2030-01-01")
    return server


def same(got, want):
    missing = lambda value: value is None or value is pd.NA
    if missing(got) or missing(want):
        return missing(got) == missing(want)
    number = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
    want = number.get(want, want) if isinstance(want, str) else want
    if isinstance(want, float) and math.isnan(want):
        return math.isnan(got)
    return got == want or isinstance(want, float) and got == pytest.approx(want, rel=1e-6)


def test_values_online_are_those_of_the_training_data(store):
    rng, users = random.Random(4), list(range(62))
    amounts = [rng.choice([None, 0.0, -1.0, 1e308, 250.5, rng.uniform(0, 200)]) for _ in users]
    counts = [rng.choice([None, 0, 7, -8, 2**63 - 1]) for _ in users]
    names = list(EXPRESSIONS)
    answer = requests.post(f"{store.http}/get-online-features", timeout=30, json={
        "entities": {"user_id": users, "amount": amounts, "count": counts},
        "features": ["profile:visits"] + [f"computed:{name}" for name in names]})
    assert answer.status_code == 200, answer.text
    answer = answer.json()
    # The request's columns are used and not given back; inputs that nobody asked for are not shown.
    assert answer["metadata"]["feature_names"] == ["user_id", "visits"] + names
    online = dict(zip(answer["metadata"]["feature_names"], answer["results"]))
    rows = pd.DataFrame({"user_id": users, "event_timestamp": pd.Timestamp(datetime.datetime.now(UTC)),
                         "amount": pd.array(amounts, dtype="Float64"), "count": pd.array(counts, dtype="Int64")})
    rows.to_parquet(store.folder / "rows.parquet", index=False)
    store.cli("features", "historical", "--entity-rows", str(store.folder / "rows.parquet"), "--features",
              ",".join(f"computed:{name}" for name in names), "--output", str(store.folder / "out.parquet"))
    import pyarrow.parquet
    table = pyarrow.parquet.read_table(store.folder / "out.parquet").to_pydict()
    assert list(table) == ["user_id", "event_timestamp", "amount", "count"] + names
    filled = 0
    for name in names:
        for row, user in enumerate(users):
            got, want = table[name][row], online[name]["values"][row]
            assert same(got, want), f"{name} of {user}: {got} offline, {want} online"
            filled += want is not None
    assert len(names) * len(users) / 4 < filled < len(names) * len(users)


def test_one_row_by_hand(store):
    frame = {"user_id": [1000], "event_timestamp": [datetime.datetime.now(UTC).isoformat()], "score": [4.0], "visits": [3],
             "city": ["Roma"], "share": [0.5]}
    for view in ("profile", "other"):
        done = requests.post(f"{store.http}/push", json={"push_source_name": view, "df": frame}, timeout=30)
        assert done.status_code == 200, done.text
    store.cli("apply", "-f", "-", input="""
apiVersion: aerie.dev/v1
kind: FeatureService
metadata: {name: computed_service}
spec: {features: ["computed:ratio", "computed:label", "computed:is_known", "computed:quotient"]}
""")
    answer = requests.post(f"{store.http}/get-online-features", timeout=30, json={
        "entities": {"user_id": [1000], "amount": [250], "count": [10]}, "feature_service": "computed_service",
        "full_feature_names": True}).json()
    got = dict(zip(answer["metadata"]["feature_names"], (column["values"][0] for column in answer["results"])))
    assert got == {"user_id": 1000, "computed__ratio": 62.5, "computed__label": "Roma big", "computed__is_known": True,
                   "computed__quotient": 3}


def test_request_data_that_is_missing_is_said_as_feast_says_it(store):
    answer = requests.post(f"{store.http}/get-online-features", timeout=30, json={
        "entities": {"user_id": [1], "count": [1]}, "features": ["computed:ratio"]})
    assert answer.status_code == 404
    detail = json.loads(answer.json())
    assert detail["class"] == "RequestDataNotFoundInEntityRowsException" and "amount" in detail["message"]
    wrong = requests.post(f"{store.http}/get-online-features", timeout=30, json={
        "entities": {"user_id": [1], "count": [1], "amount": ["much"]}, "features": ["computed:ratio"]})
    assert wrong.status_code == 400 and "entities.amount[0]" in wrong.text
    done = store.cli("features", "historical", "--entity-rows", str(store.folder / "profile.parquet"), "--features",
                     "computed:ratio", "--output", str(store.folder / "no.parquet"), check=False)
    assert done.returncode != 0 and "'amount'" in done.stderr


@pytest.mark.parametrize("change,words", [
    (("amount / profile__score", "amount / nope"), "'nope' is not known"),
    (("amount / profile__score", "amount / score"), "'score' is not known"),
    (("amount / profile__score", "amount +"), "a value was expected, not the end, at character 9"),
    (("length(city)", "regexp_matches(city, 'x')"), "the function 'regexp_matches' is not known"),
    (("visits * count", "visits * city"), "at character 10"),
    (("dtype: INT64, expression: \"visits * count\"", "dtype: STRING, expression: \"visits * count\""), "use CAST"),
    (("profile:visits", "profile:nope"), "has no feature 'nope'"),
    (("other:score", "nowhere:score"), "there is no feature view 'nowhere'"),
    (("  features:\n", "  ttl: 1h\n  features:\n"), "does not go with onDemand"),
    (("    request:", "    mode: python\n    request:"), "spec.onDemand.function: is required in mode python"),
])
def test_wrong_definitions_are_refused_with_their_place(store, change, words):
    text = manifest().replace("name: computed}", "name: wrong}")
    assert change[0] in text
    done = store.cli("apply", "-f", "-", input=text.replace(*change), check=False)
    assert done.returncode != 0 and words in done.stdout + done.stderr, done.stdout + done.stderr


def test_feasts_python_functions_are_refused_and_its_expressions_taken(store):
    feast = """
project: default
entities: [{{name: user, join_key: user_id, value_type: INT64}}]
features: []
feature_views: []
on_demand_feature_views:
- name: from_feast
  sources: ["profile:visits"]
  request: [{{name: amount, dtype: DOUBLE}}]
  {}
  features: [{{name: twice, dtype: DOUBLE, expression: "amount * 2"}}]
"""
    # Feast's functions are those of spec.onDemand.function, and go without expressions.
    function = "udf: 'def twice(df): return df'"
    refused = store.cli("apply", "-f", "-", input=feast.format(function), check=False)
    assert refused.returncode != 0 and "expression" in refused.stderr and "does not go with a function" in refused.stderr
    store.cli("apply", "-f", "-", input=feast.format("description: doubled"))
    answer = requests.post(f"{store.http}/get-online-features", timeout=30, json={
        "entities": {"user_id": [1], "amount": [21]}, "features": ["from_feast:twice"]}).json()
    assert answer["results"][-1]["values"] == [42.0]


def test_what_it_reads_is_not_taken_away(store):
    done = store.cli("delete", "featureview", "profile", check=False)
    assert done.returncode != 0 and "computed" in done.stderr
    pushed = requests.post(f"{store.http}/write-to-online-store", timeout=30, json={
        "feature_view_name": "computed", "df": {"ratio": [1]}})
    assert pushed.status_code == 400 and "computed at each read" in pushed.text
