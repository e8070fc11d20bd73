"""The rows of the data plane's table that want quantiles, a constant rate or a stream: sent by `aerie bench`, which shares
the two cores with the server.

usage: loads.py AERIE CONTROL_URL PLANE_HTTP_URL PLANE_GRPC_ADDRESS NGINX_PORT SECONDS WORK_FOLDER
"""
import datetime
import json
import pathlib
import subprocess
import sys
import time
import urllib.request

from rows import line, lua, wrk_rate

aerie, control, plane, rpc, nginx_port, seconds, work = sys.argv[1:]
work = pathlib.Path(work)
nginx = f"http://127.0.0.1:{nginx_port}/"
FEATURES, COLUMNS = 10, 15


def bench(*flags: str, model: str = "fraud") -> dict:
    result = work / "bench.json"
    subprocess.run([aerie, "bench", model, *flags, "--metadata", plane, "--duration", seconds, "--json", str(result)],
                   check=True, stdout=subprocess.DEVNULL)
    told = json.loads(result.read_text())
    if told["failed"]:
        sys.exit(f"{flags}: {told['failed']} of {told['failed'] + told['succeeded']} failed: {told['statuses']}")
    return told


def apply(text: str):
    subprocess.run([aerie, "apply", "-f", "-", "--server", control], input=text, text=True, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def post(url: str, body: dict):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"null")


def deploy_with_features() -> bytes:
    """The same model as `fraud-features`, ten of whose columns come from the online store; gives a request's body."""
    names = [f"f{i}" for i in range(FEATURES)]
    listed = "".join(f"\n  - {{name: {name}, dtype: DOUBLE}}" for name in names)
    apply(f"""
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
  source: {{type: parquet, path: {work}/none.parquet, timestampField: event_timestamp}}
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
    graph: {{name: classifier, implementation: XGBOOST_SERVER, modelUri: "file://{work}/model"}}
""")
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    users = list(range(1000))
    post(f"{control}/push", {"push_source_name": "stats_push", "to": "online", "df": {
        "user_id": users, "event_timestamp": [now] * len(users),
        **{name: [(user * 7 + at) % 100 / 100 for user in users] for at, name in enumerate(names)}}})
    body = {"inputs": [{"name": "user_id", "datatype": "INT64", "shape": [1], "data": [7]}] + [
        {"name": f"f{i}", "datatype": "FP32", "shape": [1], "data": [i / 20]} for i in range(FEATURES, COLUMNS)]}
    for _ in range(100):
        try:
            answer = post(f"{plane}/v2/models/fraud-features/infer", body)
            break
        except urllib.error.HTTPError:
            time.sleep(0.1)
    else:
        sys.exit("fraud-features is not ready")
    if answer["parameters"].get("features_missing"):
        sys.exit(f"features are missing: {answer['parameters']}")
    return json.dumps(body).encode()


def main():
    headers = {"Content-Type": "application/json"}
    body = deploy_with_features()
    plain = wrk_rate(nginx, seconds)
    rate = wrk_rate(f"{plane}/v2/models/fraud-features/infer", seconds, lua(work, "features", body, headers))
    line("one row, JSON, 10 features fetched", f"{rate:,.0f}/s", "0.6 x nginx", f"{rate / plain:.2f} x {plain:,.0f}")
    most = bench("--target", plane, "--connections", "32")["requests_per_second"]
    half = bench("--target", plane, "--connections", "32", "--rate", str(int(most / 2)))["latency_ms"]
    line("one row, JSON, at half of what it can", f"{most / 2:,.0f}/s, P99 {half['p99']:.2f} ms", "P99 < 1 ms",
         f"P50 {half['p50']:.2f}, P99.9 {half['p999']:.2f}")
    grpc = f"grpc://{rpc}"
    for connections, messages in ((1, 64), (2, 64), (2, 256)):
        told = bench("--target", grpc, "--form", "grpc-stream", "--connections", str(connections),
                     "--in-flight", str(messages))
        line(f"one-row messages, {connections} streams x {messages}",
             f"{told['predictions_per_second']:,.0f}/s, P99 {told['latency_ms']['p99']:.2f} ms", "300,000/s")
    for form, connections in (("binary", 2), ("binary", 4), ("grpc", 2), ("grpc", 4)):
        told = bench("--target", grpc if form == "grpc" else plane, "--form", form, "--rows", "256",
                     "--connections", str(connections))
        line(f"256 rows, {form}, {connections} connections",
             f"{told['predictions_per_second']:,.0f} rows/s, P99 {told['latency_ms']['p99']:.2f} ms",
             "1,000,000 rows/s, P99 < 5 ms")


main()
