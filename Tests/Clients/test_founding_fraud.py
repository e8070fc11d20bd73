"""The founding document's fraud detection (6.1) as it is written there: features by Feast's client, a model by XGBoost and
MLflow's, and then what it is for: predictions that ask with the keys alone, of the same definitions."""
import datetime

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
import xgboost as xgb
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float32, Int64
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from conftest import wait_until_available

START = datetime.datetime(2026, 10, 1, tzinfo=datetime.timezone.utc)
FEATURES = [
    "transaction_features:amount",
    "transaction_features:transaction_hour",
    "transaction_features:velocity_last_24h",
    "behavioral_features:device_trust_score",
    "user_features:cardholder_age",
]
COLUMNS = [reference.split(":")[1] for reference in FEATURES]
DEPLOYMENT = """
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata:
  name: fraud
  namespace: ml_platform
  annotations: {aerie.dev/feature-service: fraud_features, aerie.dev/feature-timeout-ms: "2000"}
spec:
  predictors:
  - name: main
    graph: {name: model, modelUri: "models:/fraud_detector/1"}
"""


def tables(folder):
    """Transactions, the trust in their devices and the age of their users: each a file with one row a key."""
    rng = np.random.default_rng(61)
    count = 1200
    amount = rng.lognormal(3, 1, count).astype("float32")
    frames = {
        "transaction": pd.DataFrame({
            "transaction_id": [f"t{i}" for i in range(count)], "amount": amount,
            "transaction_hour": rng.integers(0, 24, count), "velocity_last_24h": rng.poisson(3, count)}),
        "device": pd.DataFrame({
            "device_id": np.arange(200), "device_trust_score": rng.uniform(0, 100, 200).astype("float32")}),
        "user": pd.DataFrame({"user_id": np.arange(300), "cardholder_age": rng.integers(18, 90, 300)}),
    }
    for name, frame in frames.items():
        frame["event_timestamp"] = START
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    rows = pd.DataFrame({
        "transaction_id": frames["transaction"].transaction_id, "device_id": rng.integers(0, 200, count),
        "user_id": rng.integers(0, 300, count), "event_timestamp": START + datetime.timedelta(hours=1)})
    trust = frames["device"].device_trust_score[rows.device_id].to_numpy()
    velocity = frames["transaction"].velocity_last_24h.to_numpy()
    rows["is_fraud"] = (amount * velocity > 1.5 * trust + rng.normal(0, 10, count)).astype(int)
    return rows


def view(folder, name, key, key_type, fields):
    entity = Entity(name=key, join_keys=[f"{key}_id"], value_type=key_type)
    source = FileSource(name=f"{key}s", path=str(folder / f"{key}.parquet"), timestamp_field="event_timestamp")
    return [entity, source, FeatureView(
        name=name, entities=[entity], source=source,
        schema=[Field(name=field, dtype=dtype) for field, dtype in fields.items()])]


@pytest.fixture(scope="module")
def server(start_aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("founding-fraud")
    server = start_aerie(folder / "data")
    server.folder = folder
    return server


def test_from_transactions_to_predictions(server):
    transactions_df = tables(server.folder)
    host, port = server.grpc.rsplit(":", 1)
    feast_client = FeatureStore(config=RepoConfig(
        project="ml_platform", provider="local", entity_key_serialization_version=3,
        registry={"registry_type": "remote", "path": server.grpc},
        online_store={"type": "remote", "path": f"{server.http}/feast/ml_platform"},
        offline_store={"type": "remote", "host": host, "port": int(port)}))
    transactions = view(server.folder, "transaction_features", "transaction", ValueType.STRING, {
        "amount": Float32, "transaction_hour": Int64, "velocity_last_24h": Int64})
    devices = view(server.folder, "behavioral_features", "device", ValueType.INT64, {"device_trust_score": Float32})
    users = view(server.folder, "user_features", "user", ValueType.INT64, {"cardholder_age": Int64})
    service = FeatureService(name="fraud_features", features=[transactions[-1], devices[-1], users[-1]])
    feast_client.apply([*transactions, *devices, *users, service])

    mlflow.set_tracking_uri(server.http)
    mlflow.set_experiment("credit_card_fraud_detection")
    with mlflow.start_run() as run:
        # Load features from Feast
        feature_vector = feast_client.get_historical_features(entity_df=transactions_df, features=FEATURES)
        table = feature_vector.to_df()
        assert len(table) == len(transactions_df) and table[COLUMNS].notna().all().all()
        X_train, X_test, y_train, y_test = train_test_split(table, table.is_fraud, test_size=0.25, random_state=7)

        # Train XGBoost
        model = xgb.XGBClassifier(n_estimators=100, max_depth=6, learning_rate=0.1, objective="binary:logistic")
        model.fit(X_train[COLUMNS], y_train)
        y_pred = model.predict_proba(X_test[COLUMNS])[:, 1]

        # Log to MLflow
        mlflow.xgboost.log_model(model, "model")
        mlflow.log_metric("auc", roc_auc_score(y_test, y_pred))
    auc = mlflow.get_run(run.info.run_id).data.metrics["auc"]
    assert auc == roc_auc_score(y_test, y_pred) and auc > 0.95

    assert mlflow.register_model(f"runs:/{run.info.run_id}/model", "fraud_detector").version == "1"
    feast_client.materialize(START - datetime.timedelta(days=1), START + datetime.timedelta(days=1))
    server.cli("apply", "-f", "-", input=DEPLOYMENT)
    wait_until_available(server, "fraud", namespace="ml_platform")
    np.testing.assert_allclose(predict(server, X_test), y_pred, rtol=1e-6)

    # A device that nobody has seen: the transaction is not refused.
    unseen = X_test.assign(device_id=999)
    unknown = X_test[COLUMNS].assign(device_trust_score=np.nan)
    np.testing.assert_allclose(predict(server, unseen), model.predict_proba(unknown)[:, 1], rtol=1e-6)

    # From the model back to the features that it was trained with: what it uses does not go.
    done = server.cli("delete", "featureservice", "fraud_features", "-n", "ml_platform", check=False)
    assert done.returncode == 4 and "fraud" in done.stderr, done.stderr


def predict(server, rows):
    """Of the keys alone."""
    inputs = [
        {"name": key, "datatype": kind, "shape": [len(rows)], "data": rows[key].tolist()}
        for key, kind in (("transaction_id", "BYTES"), ("device_id", "INT64"), ("user_id", "INT64"))]
    answer = requests.post(f"{server.inference_http}/v2/models/fraud/infer", json={"inputs": inputs}, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()["outputs"][0]["data"]
