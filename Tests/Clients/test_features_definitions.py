"""Definitions over time: versions, what a change means for whom, and tables that are kept with what they were made of."""
import hashlib
import json

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests

START = pd.Timestamp("2026-10-01", tz="UTC")

DEFINITIONS = """
apiVersion: aerie.dev/v1
kind: Entity
metadata: {{name: customer}}
spec: {{joinKey: customer_id, valueType: INT64}}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: spending}}
spec:
  entities: [customer]
  ttl: {ttl}
  owner: risk
  tags: {{domain: cards, tier: gold}}
  source: {{path: {path}, timestampField: event_timestamp}}
  features:
  - {{name: amount, dtype: {kind}, tags: {{pii: "no"}}}}
{more}
---
apiVersion: aerie.dev/v1
kind: FeatureService
metadata: {{name: spending_model}}
spec: {{features: ["spending:amount"]}}
"""


@pytest.fixture(scope="module")
def store(start_aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("definitions")
    rng = np.random.default_rng(3)
    pd.DataFrame({"customer_id": rng.integers(0, 20, 300), "amount": rng.normal(50, 9, 300), "count": rng.integers(0, 9, 300),
                  "event_timestamp": START + pd.to_timedelta(rng.integers(0, 500, 300), unit="h")}).to_parquet(folder / "spending.parquet")
    rows = pd.DataFrame({"customer_id": rng.integers(0, 22, 80), "event_timestamp": START + pd.to_timedelta(rng.integers(0, 600, 80), unit="h")})
    rows.to_parquet(folder / "rows.parquet")
    server = start_aerie(folder / "data")
    server.folder = folder

    def apply(*arguments, ttl="0s", kind="DOUBLE", more="  - {name: count, dtype: INT64}", command=("apply",), check=True):
        text = DEFINITIONS.format(path=folder / "spending.parquet", ttl=ttl, kind=kind, more=more)
        return server.cli(*command, "-f", "-", *arguments, input=text, check=check)

    server.apply = apply
    apply()
    return server


def retrieve(store, *arguments):
    return store.cli("features", "historical", "--entity-rows", f"{store.folder}/rows.parquet", "--service", "spending_model",
                     "--output", f"{store.folder}/out.parquet", *arguments)


def test_a_table_is_kept_with_what_it_was_made_of(store):
    done = retrieve(store, "--save", "training")
    assert "saved as dataset training/1" in done.stderr
    store.cli("features", "datasets", "get", "training", "1", "--output", f"{store.folder}/kept.parquet")
    kept = (store.folder / "kept.parquet").read_bytes()
    assert kept == (store.folder / "out.parquet").read_bytes()
    shown = json.loads(store.cli("features", "datasets", "show", "training", "1").stdout)
    assert shown["rows"] == 80 and shown["sha256"] == hashlib.sha256(kept).hexdigest()
    assert shown["entities"] == {"sha256": hashlib.sha256((store.folder / "rows.parquet").read_bytes()).hexdigest()}
    assert shown["features"] == ["spending:amount"] and shown["service"] == "spending_model"
    assert [(view["name"], view["version"]) for view in shown["views"]] == [("spending", 1)]
    frame = pd.read_parquet(store.folder / "kept.parquet")
    amount = next(column for column in shown["columns"] if column["name"] == "amount")
    assert amount["nulls"] == frame.amount.isna().sum() > 0
    assert amount["mean"] == pytest.approx(frame.amount.mean()) and amount["deviation"] == pytest.approx(frame.amount.std())


def test_a_change_makes_a_version_and_versions_are_compared_and_brought_back(store):
    store.apply(ttl="48h")
    store.apply(ttl="48h")
    listed = json.loads(store.cli("features", "versions", "spending", "--json").stdout)["versions"]
    assert [(version["version"], version["current"]) for version in listed] == [(1, False), (2, True)]
    diff = store.cli("features", "versions", "spending", "--diff", "1,2").stdout
    assert any(line.startswith("-") and "0s" in line for line in diff.splitlines())
    assert any(line.startswith("+") and "48h" in line for line in diff.splitlines())
    retrieve(store, "--save", "training")
    compared = json.loads(store.cli("features", "datasets", "compare", "training", "1", "2", "--json").stdout)
    assert compared["views"] == [{"name": "spending", "from": 1, "to": 2}] and "entities" not in compared
    assert [column["name"] for column in compared["columns"]] == ["amount"]
    assert compared["columns"][0]["to"]["nulls"] > compared["columns"][0]["from"]["nulls"]
    assert "spending" in store.cli("features", "datasets", "compare", "training", "1", "2").stdout
    store.cli("features", "versions", "spending", "--restore", "1")
    listed = json.loads(store.cli("features", "versions", "spending", "--json").stdout)["versions"]
    assert len(listed) == 3 and listed[2]["declaration"]["spec"] == listed[0]["declaration"]["spec"]
    assert store.cli("features", "versions", "spending", "--restore", "9", check=False).returncode != 0
    listed = store.cli("features", "datasets").stdout.splitlines()
    assert [line.split()[:3] for line in listed[1:]] == [["training", "2", "80"], ["training", "1", "80"]]


def test_a_change_says_whom_it_concerns_before_it_is_made(store):
    mlflow.set_tracking_uri(store.http)
    client = mlflow.MlflowClient()
    client.create_registered_model("risk_model")
    client.create_model_version("risk_model", "s3://elsewhere/model", tags={"aerie.dev/feature-service": "spending_model"})
    client.create_model_version("risk_model", "s3://elsewhere/model", tags={"aerie.dev/dataset": "training/1"})
    client.create_model_version("risk_model", "s3://elsewhere/model", tags={"aerie.dev/features": "spending:count"})
    text = store.apply("--dry-run", kind="FLOAT").stdout
    line = next(line for line in text.splitlines() if "spending:amount" in line)
    assert "changes its type from DOUBLE to FLOAT" in line
    for user in ("FeatureService/spending_model", "ModelVersion/risk_model/1", "ModelVersion/risk_model/2", "SavedDataset/training/1"):
        assert user in line
    assert "risk_model/3" not in line
    impact = store.apply(kind="FLOAT", command=("features", "impact")).stdout
    assert line.strip() in impact
    assert "nothing changes" in store.apply(command=("features", "impact")).stdout
    # And nothing was changed.
    assert len(json.loads(store.cli("features", "versions", "spending", "--json").stdout)["versions"]) == 3


def test_what_a_model_was_learned_from_is_not_deleted(store):
    refused = store.apply(more="", check=False)
    assert refused.returncode != 0 and "feature 'spending:count' is used by ModelVersion/risk_model/3" in refused.stderr
    refused = store.cli("delete", "featureservice", "spending_model", check=False)
    assert refused.returncode != 0 and "ModelVersion/risk_model/1" in refused.stderr
    mlflow.MlflowClient().delete_model_version("risk_model", "3")
    store.apply(more="")


def test_features_are_found_by_owner_and_tag(store):
    def found(*arguments):
        return [row["feature"] for row in json.loads(store.cli("features", "search", "--json", *arguments).stdout)["features"]]

    assert found("--owner", "risk") == ["amount"] and found("--owner", "nobody") == []
    assert found("--tag", "domain=cards", "--tag", "pii") == ["amount"] and found("--tag", "domain=loans") == []
    assert found("gold", "amount") == ["amount"]


def test_a_pipeline_learns_from_the_feature_store(store):
    store.cli("apply", "-f", "-", input=f"""
apiVersion: aerie.dev/v1
kind: Pipeline
metadata: {{name: joined}}
spec:
  steps:
  - name: rows
    uses: ingest
    with: {{path: {store.folder}/rows.parquet}}
  - name: join
    uses: historical
    with: {{entityRows: "${{steps.rows.table}}", service: spending_model, save: piped, timestamp: event_timestamp}}
  - name: check
    uses: validate
    with:
      table: ${{steps.join.table}}
      suite: {{name: all, expectations: [{{type: expect_table_row_count_to_equal, kwargs: {{value: 80}}}}]}}
""")
    store.cli("pipeline", "run", "joined")
    shown = json.loads(store.cli("features", "datasets", "show", "piped", "1").stdout)
    assert shown["rows"] == 80 and shown["actor"] == "pipeline joined" and shown["features"] == ["spending:amount"]


def test_a_relative_path_counts_from_the_folder_of_its_manifest(store, tmp_path):
    folder = tmp_path / "with a space"
    folder.mkdir()
    (folder / "data").mkdir()
    pd.DataFrame({"shop_id": [1, 2], "sales": [10.5, 20.5], "event_timestamp": [START, START]}).to_parquet(
        folder / "data" / "shops.parquet")
    (folder / "shops.yaml").write_text("""
apiVersion: aerie.dev/v1
kind: Entity
metadata: {name: shop}
spec: {joinKey: shop_id, valueType: INT64}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {name: shops}
spec:
  entities: [shop]
  ttl: 0s
  source: {path: data/shops.parquet, timestampField: event_timestamp}
  features: [{name: sales, dtype: DOUBLE}]
""")
    store.cli("apply", "-f", str(folder / "shops.yaml"))
    assert store.cli("diff", "-f", str(folder / "shops.yaml")).stdout == ""
    pd.DataFrame({"shop_id": [2, 1], "event_timestamp": [START, START]}).to_parquet(folder / "rows.parquet")
    store.cli("features", "historical", "--entity-rows", str(folder / "rows.parquet"), "--features", "shops:sales",
              "--output", str(folder / "table.parquet"))
    assert pd.read_parquet(folder / "table.parquet")["sales"].tolist() == [20.5, 10.5]


def test_datasets_stay_over_a_crash(store, start_aerie):
    store.kill()
    again = start_aerie(store.folder / "data")
    listed = json.loads(again.cli("features", "datasets", "list", "training", "--json").stdout)["datasets"]
    assert [dataset["version"] for dataset in listed] == [2, 1]
    answer = requests.get(f"{again.http}/api/aerie/v1/features/datasets/training/7", timeout=30)
    assert answer.status_code == 404
    assert again.cli("features", "historical", "--end", "2026-10-20T00:00:00Z", "--service", "spending_model", "--save", "a:b",
                     "--output", str(store.folder / "x.parquet"), check=False).returncode != 0
