"""The model of the table with ten of its columns out of the online store."""
import datetime
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request

from plane import Plane
from senders import COLUMNS

FEATURES = 10


def post(url: str, body: dict):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"null")


def deploy(plane: Plane) -> bytes:
    """Deploys it as `fraud-features`, where `fraud` is deployed already; gives a request's body."""
    names = [f"f{i}" for i in range(FEATURES)]
    listed = "".join(f"\n  - {{name: {name}, dtype: DOUBLE}}" for name in names)
    manifests = f"""
apiVersion: aerie.dev/v1
kind: Entity
metadata: {{name: user}}
spec: {{joinKey: user_id, valueType: INT64}}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: stats}}
spec:
  entities: [user]
  ttl: 0s
  pushSource: stats_push
  source: {{type: parquet, path: {plane.folder}/none.parquet, timestampField: event_timestamp}}
  features:{listed}
---
apiVersion: aerie.dev/v1
kind: FeatureService
metadata: {{name: ten}}
spec: {{features: [{", ".join(f'"stats:{name}"' for name in names)}]}}
---
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {{name: fraud-features, annotations: {{aerie.dev/feature-service: ten}}}}
spec:
  predictors:
  - name: default
    graph: {{name: classifier, implementation: XGBOOST_SERVER, modelUri: "file://{plane.folder}/fraud"}}
"""
    subprocess.run([plane.aerie, "apply", "-f", "-", "--server", plane.control], input=manifests, text=True, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    users = list(range(1000))
    post(f"{plane.control}/push", {"push_source_name": "stats_push", "to": "online", "df": {
        "user_id": users, "event_timestamp": [now] * len(users),
        **{name: [(user * 7 + at) % 100 / 100 for user in users] for at, name in enumerate(names)}}})
    body = {"inputs": [{"name": "user_id", "datatype": "INT64", "shape": [1], "data": [7]}] + [
        {"name": f"f{i}", "datatype": "FP32", "shape": [1], "data": [i / 20]} for i in range(FEATURES, COLUMNS)]}
    for _ in range(100):
        try:
            answer = post(plane.infer("fraud-features"), body)
            break
        except urllib.error.HTTPError:
            time.sleep(0.1)
    else:
        sys.exit("fraud-features is not ready")
    if answer["parameters"].get("features_missing"):
        sys.exit(f"features are missing: {answer['parameters']}")
    return json.dumps(body).encode()
