"""Features inside a prediction: the deployment names a feature service, the request names its entities."""
import datetime
import json
import sys
import time

import lightgbm
import mlflow
import numpy
import pandas
import pytest
import requests
import tritonclient.grpc
import tritonclient.http

from conftest import wait_until_available
from test_features_redis import Redis

UTC = datetime.timezone.utc
NOW = datetime.datetime.now(UTC).replace(microsecond=0)
COLUMNS = ["avg_amount", "amount", "is_new", "n_logins"]

FEATURES = """
apiVersion: aerie.dev/v1
kind: Entity
metadata: {name: user}
spec: {joinKey: user_id, valueType: INT64}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {name: user_stats}
spec:
  entities: [user]
  ttl: "86400s"
  pushSource: user_push
  source: {type: parquet, path: /nowhere.parquet, timestampField: event_timestamp}
  features:
  - {name: avg_amount, dtype: DOUBLE, default: 12.5}
  - {name: n_logins, dtype: INT64}
  - {name: is_new, dtype: BOOL, default: true}
  - {name: city, dtype: STRING}
---
apiVersion: aerie.dev/v1
kind: FeatureService
metadata: {name: fraud_features}
spec: {features: ["user_stats:avg_amount", "user_stats:n_logins", "user_stats:is_new"]}
---
apiVersion: aerie.dev/v1
kind: FeatureService
metadata: {name: with_text}
spec: {features: ["user_stats:avg_amount", "user_stats:city"]}
"""


def deployment(name, uri, service="fraud_features"):
    return f"""
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata:
  name: {name}
  annotations: {{aerie.dev/feature-service: {service}, aerie.dev/feature-timeout-ms: "2000"}}
spec:
  predictors:
  - name: main
    graph: {{name: model, modelUri: {uri}}}
"""


def train():
    rng = numpy.random.default_rng(5)
    rows = pandas.DataFrame({
        "avg_amount": rng.normal(50, 20, 800), "amount": rng.normal(50, 40, 800),
        "is_new": rng.integers(0, 2, 800), "n_logins": rng.integers(0, 30, 800)})[COLUMNS]
    rows.loc[::9, "n_logins"] = numpy.nan
    labels = (rows.amount > rows.avg_amount + 10 * (1 - rows.is_new) - rows.n_logins.fillna(40)).astype(int)
    return lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": 3, "min_data_in_leaf": 5},
                          lightgbm.Dataset(rows, labels), num_boost_round=20)


def push(server, rows):
    frame = pandas.DataFrame(rows)
    frame["event_timestamp"] = [at.isoformat() for at in frame["event_timestamp"]]
    body = {"push_source_name": "user_push", "to": "online",
            "df": {name: frame[name].tolist() for name in frame.columns}}
    answer = requests.post(f"{server.http}/push", json=body, timeout=30)
    assert answer.status_code == 200, answer.text


USERS = {
    1: {"avg_amount": 40.0, "n_logins": 3, "is_new": False},
    2: {"avg_amount": 80.25, "n_logins": 11, "is_new": True},
    # Two days ago, with a time to live of one: too old.
    3: {"avg_amount": 1.0, "n_logins": 1, "is_new": False},
}


@pytest.fixture(scope="module", params=["lmdb", "redis"])
def served(request, start_aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving-features")
    options = ["--feature-python", sys.executable]
    redis = Redis(folder / "redis") if request.param == "redis" else None
    if redis:
        options += ["--online", f"redis://127.0.0.1:{redis.port}"]
    server = start_aerie(folder / "data", *options)
    server.redis = redis
    server.cli("apply", "-f", "-", input=FEATURES)
    push(server, [dict(user_id=user, event_timestamp=NOW - datetime.timedelta(days=2 if user == 3 else 0), **values)
                  for user, values in USERS.items()])
    server.booster = train()
    mlflow.set_tracking_uri(server.http)
    mlflow.set_experiment("serving-features")
    with mlflow.start_run():
        logged = mlflow.lightgbm.log_model(server.booster, name="model", pip_requirements=["lightgbm"])
    server.version = mlflow.register_model(logged.model_uri, "fraud-features").version
    server.uri = f"models:/fraud-features/{server.version}"
    server.cli("apply", "-f", "-", input=deployment("scoring", server.uri))
    wait_until_available(server, "scoring")
    yield server
    if redis:
        redis.kill()


def expected(server, users, amounts, **over):
    rows = []
    for user, amount in zip(users, amounts):
        known = USERS.get(user) if user != 3 else None
        row = {"avg_amount": 12.5, "n_logins": numpy.nan, "is_new": True, **(known or {}), "amount": amount, **over}
        rows.append([float(row[name]) for name in COLUMNS])
    return server.booster.predict(numpy.array(rows))


def infer(server, inputs, status=200, name="scoring"):
    answer = requests.post(f"{server.inference_http}/v2/models/{name}/infer", json={"id": "7", "inputs": inputs},
                           timeout=30)
    assert answer.status_code == status, answer.text
    return answer.json()


def column(name, type, values):
    return {"name": name, "datatype": type, "shape": [len(values)], "data": values}


def test_rows_come_from_the_store_and_the_request(served):
    users, amounts = [1, 2, 3, 4], [10.0, 200.0, 30.5, -1.0]
    answer = infer(served, [column("user_id", "INT64", users), column("amount", "FP64", amounts)])
    assert answer["outputs"][0]["data"] == pytest.approx(expected(served, users, amounts), abs=1e-12)
    told = answer["parameters"]
    assert answer["id"] == "7"
    assert told["feature_service"] == "fraud_features"
    assert (told["features_missing"], told["features_stale"]) == (3, 3)
    assert set(told["features_missing_names"].split(",")) == {"avg_amount", "n_logins", "is_new"}
    assert "features_failure" not in told and told["feature_microseconds"] >= 0


def test_the_request_has_the_last_word(served):
    answer = infer(served, [column("user", "INT64", [1]), column("amount", "FP64", [77.0]),
                            column("avg_amount", "FP64", [5.0])])
    assert answer["outputs"][0]["data"] == pytest.approx(expected(served, [1], [77.0], avg_amount=5.0), abs=1e-12)
    whole = [[40.0, 10.0, 0.0, 3.0]]
    answer = infer(served, [{"name": "input", "datatype": "FP64", "shape": [1, 4], "data": whole[0]}])
    assert answer["outputs"][0]["data"] == pytest.approx(served.booster.predict(numpy.array(whole)), abs=1e-12)
    assert "parameters" not in answer


def test_features_on_demand_are_computed_with_the_read(served):
    served.cli("apply", "-f", "-", input="""
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {name: against_usual}
spec:
  onDemand:
    inputs: ["user_stats:avg_amount", "user_stats:is_new"]
    request: [{name: amount, dtype: DOUBLE}, {name: hour, dtype: INT64}]
  features:
  - {name: n_logins, dtype: DOUBLE, expression: "CASE WHEN is_new THEN 30.0 ELSE amount / avg_amount + hour END"}
---
apiVersion: aerie.dev/v1
kind: FeatureService
metadata: {name: computed_features}
spec: {features: ["user_stats:avg_amount", "user_stats:is_new", "against_usual:n_logins"]}
""")
    served.cli("apply", "-f", "-", input=deployment("computed", served.uri, "computed_features"))
    wait_until_available(served, "computed")
    inputs = [{"name": "user_id", "datatype": "INT64", "shape": [3], "data": [1, 2, 99]},
              {"name": "amount", "datatype": "FP64", "shape": [3], "data": [60.0, 61.0, 62.0]},
              {"name": "hour", "datatype": "INT32", "shape": [3], "data": [7, 8, 9]}]
    answer = infer(served, inputs, name="computed")
    want = served.booster.predict(pandas.DataFrame({
        "avg_amount": [40.0, 80.25, 12.5], "amount": [60.0, 61.0, 62.0], "is_new": [0.0, 1.0, 1.0],
        "n_logins": [60 / 40 + 7, 30.0, numpy.nan]})[COLUMNS])
    assert answer["outputs"][0]["data"] == pytest.approx(list(want), abs=1e-9)
    # What a feature is computed of has to come along.
    assert "hour" in infer(served, inputs[:2], 400, "computed")["error"]


def test_features_of_a_python_function_are_computed_with_the_read(served):
    served.cli("apply", "-f", "-", input="""
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {name: in_python}
spec:
  onDemand:
    mode: python
    inputs: ["user_stats:avg_amount"]
    request: [{name: amount, dtype: DOUBLE}]
    function: |
      def logins(inputs):
          if -1.0 in inputs["amount"]:
              raise ValueError("no such amount")
          return {"n_logins": [None if a is None else b // a for a, b in zip(inputs["avg_amount"], inputs["amount"])]}
  features:
  - {name: n_logins, dtype: INT64}
---
apiVersion: aerie.dev/v1
kind: FeatureService
metadata: {name: python_features}
spec: {features: ["user_stats:avg_amount", "user_stats:is_new", "in_python:n_logins"]}
""")
    served.cli("apply", "-f", "-", input=deployment("pythonic", served.uri, "python_features"))
    wait_until_available(served, "pythonic")
    asked = [column("user_id", "INT64", [1, 2, 99]), column("amount", "FP64", [610.0, 100.0, 62.0])]
    answer, deadline = infer(served, asked, name="pythonic"), time.monotonic() + 30
    # The worker may need more than the features' two seconds to start; requests do without until it is there.
    while "features_failure" in answer["parameters"] and time.monotonic() < deadline:
        answer = infer(served, asked, name="pythonic")
    want = served.booster.predict(pandas.DataFrame({
        "avg_amount": [40.0, 80.25, 12.5], "amount": [610.0, 100.0, 62.0], "is_new": [0.0, 1.0, 1.0],
        "n_logins": [15.0, 1.0, numpy.nan]})[COLUMNS])
    assert answer["outputs"][0]["data"] == pytest.approx(list(want), abs=1e-12)
    assert "features_failure" not in answer["parameters"]
    # A function that fails costs the features, and never the request.
    answer = infer(served, [column("user_id", "INT64", [1]), column("amount", "FP64", [-1.0])], name="pythonic")
    assert "no such amount" in answer["parameters"]["features_failure"]
    assert answer["outputs"][0]["data"] == pytest.approx(
        list(served.booster.predict(numpy.array([[12.5, -1.0, 1.0, numpy.nan]]))), abs=1e-12)


def test_tritons_clients(served):
    users, amounts = numpy.array([2, 1, 9], dtype=numpy.int64), numpy.array([1.5, 2.5, 100], dtype=numpy.float64)
    wanted = expected(served, users.tolist(), amounts.tolist())
    for module, url in ((tritonclient.http, served.inference_http.removeprefix("http://")),
                        (tritonclient.grpc, served.inference_grpc)):
        with module.InferenceServerClient(url) as client:
            inputs = [module.InferInput("user_id", [3], "INT64"), module.InferInput("amount", [3], "FP64")]
            inputs[0].set_data_from_numpy(users)
            inputs[1].set_data_from_numpy(amounts)
            result = client.infer("scoring", inputs)
            answer = result.get_response()
            name = answer["outputs"][0]["name"] if isinstance(answer, dict) else answer.outputs[0].name
            assert result.as_numpy(name) == pytest.approx(wanted, abs=1e-12)
            told = answer["parameters"] if isinstance(answer, dict) else answer.parameters
            missing = told["features_missing"]
            assert (missing if isinstance(missing, int) else missing.int64_param) == 3


# The rows of users 1, 2 and 4 as the store and the request make them together.
TOGETHER = numpy.array([[40.0, 10.0, 0.0, 3.0], [80.25, 200.0, 1.0, 11.0], [12.5, 30.5, 1.0, numpy.nan]])
ASKED = [column("user_id", "INT64", [1, 2, 4]), column("amount", "FP64", TOGETHER[:, 1].tolist())]


def check_explanation(server, text, rows=TOGETHER):
    """By LightGBM's own contributions to the rows that the model is given."""
    told = json.loads(text)["data"] if isinstance(text, (str, bytes)) else text["data"]
    wanted = server.booster.predict(rows, pred_contrib=True)
    numpy.testing.assert_allclose(told["shap_values"][0], wanted[:, :-1], atol=1e-6)
    assert told["expected_value"][0] == pytest.approx(wanted[0, -1], abs=1e-6)
    assert told["feature_names"] == COLUMNS


def test_what_is_explained_are_the_rows_that_the_features_make(served):
    asked = {"parameters": {"explain": True}, "inputs": ASKED}
    answer = requests.post(f"{served.inference_http}/v2/models/scoring/infer", json=asked, timeout=30).json()
    assert [output["name"] for output in answer["outputs"]][-1] == "explanation"
    assert answer["outputs"][0]["data"] == pytest.approx(served.booster.predict(TOGETHER), abs=1e-12)
    assert (answer["parameters"]["feature_service"], answer["parameters"]["features_missing"]) == ("fraud_features", 3)
    check_explanation(served, answer["outputs"][1]["data"][0])
    with tritonclient.grpc.InferenceServerClient(served.inference_grpc) as client:
        inputs = [tritonclient.grpc.InferInput("user_id", [3], "INT64"), tritonclient.grpc.InferInput("amount", [3], "FP64")]
        inputs[0].set_data_from_numpy(numpy.array([1, 2, 4]))
        inputs[1].set_data_from_numpy(TOGETHER[:, 1].copy())
        result = client.infer("scoring", inputs, parameters={"explain": True})
        check_explanation(served, result.as_numpy("explanation")[0, 0])
        assert result.get_response().parameters["features_missing"].int64_param == 3
    instances = [{"user_id": user, "amount": row[1]} for user, row in zip([1, 2, 4], TOGETHER.tolist())]
    for path, body in (("/v1/models/scoring:explain", {"instances": instances}),
                       ("/seldon/default/scoring-explainer/main/api/v1.0/explain",
                        {"data": {"names": ["user_id", "amount"], "ndarray": [list(row.values()) for row in instances]}})):
        answer = requests.post(served.inference_http + path, json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        check_explanation(served, answer.json())
    # Whoever brings all columns along is explained without the store.
    whole = {"instances": TOGETHER[:1].tolist()}
    check_explanation(served, requests.post(f"{served.inference_http}/v1/models/scoring:explain", json=whole, timeout=30).json(),
                      TOGETHER[:1])
    unknown = requests.post(f"{served.inference_http}/v1/models/scoring:explain", json={"instances": [{"user_id": 1}]}, timeout=30)
    assert unknown.status_code == 400 and "amount" in unknown.json()["error"]


def clipping_graph(served, metadata: str, of_the_model: str = "") -> str:
    """A deployment whose transformer holds the columns below 60 before the model, with what is said at the model's node."""
    return f"""
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {metadata}
spec:
  predictors:
  - name: main
    graph:
      name: clip
      type: TRANSFORMER
      parameters: [{{name: aerie.dev/method, value: clip}}, {{name: upper, value: "60"}}]
      children:
      - name: model
        modelUri: {served.uri}
        {of_the_model}
"""


def test_a_graph_is_given_the_features_of_its_service(served):
    """The features are read once and pass its nodes: here one that holds amounts down, before the model."""
    annotations = '{aerie.dev/feature-service: fraud_features, aerie.dev/feature-timeout-ms: "2000"}'
    served.cli("apply", "-f", "-", input=clipping_graph(served, f"{{name: clipped, annotations: {annotations}}}"))
    wait_until_available(served, "clipped")
    clipped = numpy.minimum(TOGETHER, 60)
    answer = infer(served, ASKED, name="clipped")
    assert answer["outputs"][0]["data"] == pytest.approx(served.booster.predict(clipped), abs=1e-12)
    assert json.loads(answer["parameters"]["tags"])["features_missing"] == 3
    with tritonclient.grpc.InferenceServerClient(served.inference_grpc) as client:
        inputs = [tritonclient.grpc.InferInput("user_id", [1], "INT64"), tritonclient.grpc.InferInput("amount", [1], "FP64")]
        inputs[0].set_data_from_numpy(numpy.array([2]))
        inputs[1].set_data_from_numpy(numpy.array([200.0]))
        result = client.infer("clipped", inputs)
        assert result.as_numpy(result.get_response().outputs[0].name) == pytest.approx(
            served.booster.predict(clipped[1:2]), abs=1e-12)
    message = {"data": {"names": ["user_id", "amount"], "ndarray": [[1, 10.0], [2, 200.0]]}}
    answer = requests.post(f"{served.inference_http}/seldon/default/clipped/api/v1.0/predictions", json=message, timeout=30).json()
    assert numpy.ravel(answer["data"]["ndarray"]) == pytest.approx(served.booster.predict(clipped[:2]), abs=1e-12)
    assert answer["meta"]["tags"]["feature_service"] == "fraud_features"
    told = requests.post(f"{served.inference_http}/v2/models/clipped/infer",
                         json={"parameters": {"explain": True}, "inputs": ASKED}, timeout=30).json()
    check_explanation(served, told["outputs"][1]["data"][0], clipped)
    of_the_node = "parameters: [{name: aerie.dev/feature-service, value: fraud_features}]"
    refused = served.cli("apply", "-f", "-", check=False, input=clipping_graph(served, "{name: inner}", of_the_node))
    assert refused.returncode != 0
    assert 'not for the node "model"' in refused.stderr and "spec.predictors[0].graph.parameters" in refused.stderr


def test_new_values_are_seen_at_once(served):
    push(served, [dict(user_id=50, avg_amount=33.0, n_logins=2, is_new=False, event_timestamp=NOW)])
    USERS[50] = {"avg_amount": 33.0, "n_logins": 2, "is_new": False}
    answer = infer(served, [column("user_id", "INT64", [50]), column("amount", "FP64", [60.0])])
    assert answer["outputs"][0]["data"] == pytest.approx(expected(served, [50], [60.0]), abs=1e-12)


@pytest.mark.parametrize("inputs, words", [
    ([column("user_id", "INT64", [1])], "the model's column amount is no feature of fraud_features"),
    ([column("user_id", "INT64", [1]), column("amount", "FP64", [1.0, 2.0])], "has 2 elements"),
    ([column("user_id", "FP32", [1]), column("amount", "FP64", [1.0])], "FP32 cannot name an entity"),
    ([column("user_id", "BYTES", ["a"]), column("amount", "FP64", [1.0])], "the entity's key is INT64"),
    ([column("user_id", "INT64", [1]), column("amount", "FP64", [1.0]), column("x", "FP64", [1.0])],
     "x is neither a join key"),
])
def test_wrong_requests_are_told_what_is_wrong(served, inputs, words):
    assert words in infer(served, inputs, status=400)["error"]


def test_a_changed_default_is_taken_up(served):
    changed = FEATURES.replace("default: 12.5", "default: 13.5")
    served.cli("apply", "-f", "-", input=changed)
    wanted = served.booster.predict(numpy.array([[13.5, 1.0, 1.0, numpy.nan]]))
    deadline = time.monotonic() + 30
    while True:
        answer = infer(served, [column("user_id", "INT64", [404]), column("amount", "FP64", [1.0])])
        if answer["outputs"][0]["data"] == pytest.approx(wanted, abs=1e-12):
            break
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)
    served.cli("apply", "-f", "-", input=FEATURES)


def test_a_service_that_does_not_fit_is_refused(served):
    served.cli("apply", "-f", "-", input=deployment("texts", served.uri, service="with_text"))
    served.cli("apply", "-f", "-", input=deployment("nobody", served.uri, service="nobody_knows"))
    for name, words in (("texts", "user_stats:city is STRING"), ("nobody", "nobody_knows does not exist")):
        deadline = time.monotonic() + 30
        while words not in (text := served.cli("describe", "sdep", name).stdout):
            assert time.monotonic() < deadline, text
            time.sleep(0.2)
        served.cli("delete", "sdep", name)


def test_metrics(served):
    text = requests.get(f"{served.http}/metrics", timeout=30).text
    assert 'aerie_feature_fetch_seconds_count{deployment_name="scoring"' in text
    assert 'aerie_features_missing_total{deployment_name="scoring"' in text
    assert 'aerie_features_stale_total{deployment_name="scoring"' in text


def test_a_store_that_is_down_costs_the_features_and_not_the_prediction(served):
    if not served.redis:
        return  # The store in the process is down only with the process.
    served.redis.kill()
    row = numpy.array([[12.5, 10.0, 1.0, numpy.nan]])
    answer = infer(served, [column("user_id", "INT64", [1]), column("amount", "FP64", [10.0])])
    assert answer["outputs"][0]["data"] == pytest.approx(served.booster.predict(row), abs=1e-12)
    assert answer["parameters"]["features_missing"] == 3
    assert answer["parameters"]["features_failure"]
    served.redis.start()
    deadline = time.monotonic() + 30
    while True:
        answer = infer(served, [column("user_id", "INT64", [1]), column("amount", "FP64", [10.0])])
        if "features_failure" not in answer["parameters"]:
            break
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)
    assert answer["outputs"][0]["data"] == pytest.approx(expected(served, [1], [10.0]), abs=1e-12)


def test_a_service_in_use_cannot_be_deleted(served):
    refused = served.cli("delete", "featureservice", "fraud_features", check=False)
    assert refused.returncode != 0
    assert "is used by" in refused.stderr and "scoring" in refused.stderr
