"""Seldon's protocol by Seldon's own client, in an environment of its own, and graphs as SeldonDeployments."""
import json
import subprocess
import time
import urllib.error
import urllib.request

import lightgbm
import numpy
import pytest

from conftest import ROOT, wait_until_available

PYTHON = ROOT / ".venv-seldon" / "bin" / "python"
COLUMNS = ["amount", "hour", "age"]
ROWS = numpy.random.default_rng(5).normal(size=(32, 3))

# Reads questions from its input, one a line, and answers each with a line.
CLIENT = r"""
import json, sys
import numpy
from google.protobuf import any_pb2, struct_pb2
from seldon_core.seldon_client import SeldonClient
from seldon_core.utils import seldon_message_to_json
from seldon_core.proto import prediction_pb2, prediction_pb2_grpc
import grpc

for line in sys.stdin:
    ask = json.loads(line)
    client = SeldonClient(deployment_name=ask["name"], namespace="default", gateway="istio", transport=ask["transport"],
                          gateway_endpoint=ask["endpoint"], client_return_type="dict")
    if "feedback" in ask:
        message = prediction_pb2.SeldonMessage()
        from google.protobuf import json_format
        json_format.ParseDict({"meta": ask["meta"]}, message)
        done = client.feedback(prediction_response=message, reward=ask["feedback"])
    elif "metadata" in ask:
        stub = prediction_pb2_grpc.SeldonStub(grpc.insecure_channel(ask["endpoint"]))
        names = [("seldon", ask["name"]), ("namespace", "default")]
        graph = stub.GraphMetadata(request=__import__("google.protobuf.empty_pb2", fromlist=["Empty"]).Empty(), metadata=names)
        model = stub.ModelMetadata(prediction_pb2.SeldonModelMetadataRequest(name=ask["metadata"]), metadata=names)
        print(json.dumps({"models": sorted(graph.models), "inputs": [i.name for i in graph.inputs],
                          "versions": list(model.versions), "platform": model.platform}), flush=True)
        continue
    else:
        keys = dict(ask["payload"])
        if "data" in keys:
            keys["data"] = numpy.array(keys["data"])
        if "bin_data" in keys:
            keys["bin_data"] = bytes.fromhex(keys["bin_data"])
        if keys.pop("custom", None) is not None:
            value = struct_pb2.ListValue()
            value.extend([1.0, 2.0, 3.0])
            keys["custom_data"] = any_pb2.Any()
            keys["custom_data"].Pack(value)
        done = client.predict(**keys)
    print(json.dumps({"success": done.success, "msg": done.msg, "response": done.response}), flush=True)
"""


@pytest.fixture(scope="module")
def ask(aerie):
    assert PYTHON.exists(), "run scripts/python-env-seldon"
    client = subprocess.Popen([PYTHON, "-c", CLIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(name, transport="rest", **question):
        endpoint = aerie.inference_http.removeprefix("http://") if transport == "rest" else aerie.inference_grpc
        client.stdin.write(json.dumps({"name": name, "transport": transport, "endpoint": endpoint, **question}) + "\n")
        client.stdin.flush()
        return json.loads(client.stdout.readline())

    yield ask
    client.stdin.close()
    assert client.wait(20) == 0


@pytest.fixture(scope="module")
def models(aerie, tmp_path_factory):
    """Two boosters of other seeds as files, and what they predict."""
    folder = tmp_path_factory.mktemp("seldon-models")
    made = {}
    for seed in (1, 2):
        rng = numpy.random.default_rng(seed)
        rows = rng.normal(size=(400, 3))
        booster = lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": seed},
                                 lightgbm.Dataset(rows, (rows @ rng.normal(size=3) > 0).astype(int),
                                                  feature_name=COLUMNS), num_boost_round=10)
        path = folder / f"model-{seed}.txt"
        booster.save_model(path)
        made[seed] = (str(path), booster.predict(ROWS))
    return made


def apply(aerie, name, graph, annotations=None, more=""):
    notes = "".join(f"    {key}: '{value}'\n" for key, value in (annotations or {}).items())
    text = ("apiVersion: machinelearning.seldon.io/v1\nkind: SeldonDeployment\nmetadata:\n"
            f"  name: {name}\n" + (f"  annotations:\n{notes}" if notes else "")
            + f"spec:\n  predictors:\n  - name: main\n    traffic: 100\n    graph: {json.dumps(graph)}\n{more}")
    aerie.cli("apply", "-f", "-", input=text)
    wait_until_available(aerie, name)


def model(name, uri, **more):
    return {"name": name, "modelUri": uri, **more}


def node(name, kind, method, children, **parameters):
    values = {"aerie.dev/method": method, **parameters}
    return {"name": name, "type": kind, "children": children,
            "parameters": [{"name": key, "value": str(value)} for key, value in values.items()]}


def post(aerie, path, body, headers=None):
    request = urllib.request.Request(aerie.inference_http + path, json.dumps(body).encode(),
                                     {"Content-Type": "application/json", **(headers or {})})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read())


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_every_payload_by_the_client(aerie, ask, models, transport):
    path, expected = models[1]
    apply(aerie, "seldon-single", model("classifier", path))
    row = ROWS[:1].tolist()

    def predict(**payload):
        done = ask("seldon-single", transport, payload=payload)
        assert done["success"], done
        meta = done["response"]["meta"]
        assert meta["puid"] and meta["requestPath"] == {"classifier": path} and "seldon-single" in meta["routing"]
        return done["response"]

    for kind in ("ndarray", "tensor"):
        data = predict(data=ROWS.tolist(), names=COLUMNS, payload_type=kind)["data"]
        values = data["tensor"]["values"] if kind == "tensor" else data[kind]
        numpy.testing.assert_allclose(numpy.ravel(values), expected, rtol=1e-12)
        assert data["names"] == ["t:0"]
    turned = predict(data=ROWS[:, ::-1].tolist(), names=COLUMNS[::-1], payload_type="ndarray")
    numpy.testing.assert_allclose(numpy.ravel(turned["data"]["ndarray"]), expected, rtol=1e-12)
    assert json.loads(predict(str_data=json.dumps(row))["strData"]) == [[pytest.approx(expected[0])]]
    assert predict(json_data=row)["jsonData"] == [[pytest.approx(expected[0])]]
    named = predict(json_data=[dict(zip(COLUMNS, row[0]))])
    assert named["jsonData"] == [[pytest.approx(expected[0])]]
    import base64
    raw = predict(bin_data=ROWS[:2].tobytes().hex())["binData"]
    numpy.testing.assert_allclose(numpy.frombuffer(base64.b64decode(raw)), expected[:2])
    if transport == "grpc":
        custom = predict(custom=True)["customData"]
        assert custom["@type"].endswith("google.protobuf.ListValue") and len(custom["value"]) == 1


def test_errors_by_the_client(aerie, ask, models):
    done = ask("seldon-single", payload={"data": [[1.0, 2.0]], "payload_type": "ndarray"})
    assert not done["success"] and done["msg"].startswith("400")
    assert done["response"]["status"]["status"] == "FAILURE" and "2 columns" in done["response"]["status"]["info"]
    assert not ask("nobody", payload={"data": [[1.0]]})["success"]
    assert "NOT_FOUND" in ask("nobody", "grpc", payload={"data": [[1.0]]})["msg"]


def test_ensemble_with_outliers(aerie, ask, models, tmp_path):
    """An outlier detector before a weighted ensemble, over Seldon's protocol and the Open Inference Protocol."""
    usual = tmp_path / "usual.csv"
    numpy.savetxt(usual, numpy.random.default_rng(1).normal(size=(500, 3)), delimiter=",", header=",".join(COLUMNS),
                  comments="")
    children = [model("first", models[1][0]), model("second", models[2][0])]
    ensemble = node("ensemble", "COMBINER", "weighted", children, weights="3,1")
    graph = node("watch", "TRANSFORMER", "outlier-mahalanobis", [ensemble], reference=str(usual), threshold=5)
    apply(aerie, "seldon-ensemble", graph)
    expected = 0.75 * models[1][1] + 0.25 * models[2][1]
    for transport in ("rest", "grpc"):
        answer = ask("seldon-ensemble", transport, payload={"data": ROWS.tolist(), "payload_type": "ndarray"})["response"]
        numpy.testing.assert_allclose(numpy.ravel(answer["data"]["ndarray"]), expected, rtol=1e-9)
        assert set(answer["meta"]["requestPath"]) == {"watch", "ensemble", "first", "second"}
        assert answer["meta"]["routing"]["ensemble"] == -1
        assert sum(answer["meta"]["tags"]["outlier"]) == 0
    far = ask("seldon-ensemble", payload={"data": [[50.0, 0.0, 0.0]], "payload_type": "tensor"})["response"]
    assert far["meta"]["tags"]["outlier"] == [1]
    body = {"inputs": [{"name": "input", "shape": [32, 3], "datatype": "FP64", "data": ROWS.ravel().tolist()}]}
    oip = post(aerie, "/v2/models/seldon-ensemble/infer", body)
    numpy.testing.assert_allclose(oip["outputs"][0]["data"], expected, rtol=1e-9)
    assert json.loads(oip["parameters"]["routing"])["ensemble"] == -1 and oip["parameters"]["puid"]
    told = ask("seldon-ensemble", "grpc", metadata="second")
    assert told["models"] == ["first", "second"]
    v1 = post(aerie, "/v1/models/seldon-ensemble:predict", {"instances": ROWS.tolist()})
    numpy.testing.assert_allclose(v1["predictions"], expected, rtol=1e-9)
    metrics = urllib.request.urlopen(aerie.http + "/metrics", timeout=20).read().decode()
    for name in ("watch", "ensemble", "first", "second"):
        assert f'seldon_api_executor_client_requests_seconds_count{{deployment_name="seldon-ensemble"' in metrics
        assert f'model_name="{name}"' in metrics


def test_abtest_and_simple_nodes(aerie, ask):
    """Seldon's own example: a random A/B test before two SIMPLE_MODELs."""
    graph = {"name": "ab", "implementation": "RANDOM_ABTEST", "parameters": [{"name": "ratioA", "value": "0.25", "type": "FLOAT"}],
             "children": [{"name": f"simple-{arm}", "implementation": "SIMPLE_MODEL"} for arm in "ab"]}
    apply(aerie, "seldon-ab", graph)
    arms = []
    for _ in range(200):
        answer = ask("seldon-ab", payload={"data": [[1.0]], "payload_type": "tensor"})["response"]
        assert answer["data"]["tensor"]["values"] == [0.1, 0.9, 0.5]
        arms.append(answer["meta"]["routing"]["ab"])
        assert set(answer["meta"]["requestPath"]) == {"ab", f"simple-{'ab'[arms[-1]]}"}
    assert 20 < arms.count(0) < 85


def test_bandit_survives_a_crash(start_aerie, tmp_path, models):
    """Thompson sampling learns from feedback by puid and by routing, over REST; kill -9 loses nothing of it."""
    children = [model("first", models[1][0]), model("second", models[2][0])]
    graph = node("router", "ROUTER", "thompson-sampling", children, seed=3)
    server = start_aerie(tmp_path)
    apply(server, "seldon-bandit", graph)

    def predict():
        return post(server, "/api/v1.0/predictions", {"data": {"ndarray": ROWS[:1].tolist()}})["meta"]

    def reward(body):
        return post(server, "/api/v1.0/feedback", body)

    counts = [0, 0]
    for number in range(60):
        meta = predict()
        arm = meta["routing"]["router"]
        counts[arm] += 1
        # By the puid alone every other time.
        told = {"puid": meta["puid"]} if number % 2 else meta
        assert reward({"response": {"meta": told}, "reward": 0.9 if arm else 0.1})["meta"]["routing"]["router"] == arm
    assert counts[1] > counts[0]
    repeated = predict()
    for _ in range(3):
        reward({"response": {"meta": repeated}, "reward": 1})
    with pytest.raises(urllib.error.HTTPError) as unknown:
        reward({"response": {"meta": {"puid": "nobody"}}, "reward": 1})
    assert unknown.value.code == 404
    server.kill()
    import sqlite3
    table = sqlite3.connect(tmp_path / "metadata.db")
    arms = table.execute("SELECT reward, penalty, feedbacks FROM bandit_arm ORDER BY arm").fetchall()
    assert sum(feedbacks for _, _, feedbacks in arms) == 61
    extra = repeated["routing"]["router"]
    for arm, (gained, lost, feedbacks) in enumerate(arms):
        rate, once = (0.9 if arm else 0.1), 1 if arm == extra else 0
        assert feedbacks == counts[arm] + once
        assert gained == pytest.approx(counts[arm] * rate + once)
        assert lost == pytest.approx(counts[arm] * (1 - rate))
    assert table.execute("SELECT count(*) FROM bandit_decision WHERE propensity > 0").fetchone()[0] > 0
    table.close()
    again = start_aerie(tmp_path)
    wait_until_available(again, "seldon-bandit")
    arms = [post(again, "/api/v1.0/predictions", {"data": {"ndarray": ROWS[:1].tolist()}})["meta"]["routing"]["router"]
            for _ in range(60)]
    assert arms.count(1) > 40
    again.stop()


def test_feedback_by_the_client(aerie, ask, models):
    children = [model("first", models[1][0]), model("second", models[2][0])]
    apply(aerie, "seldon-greedy", node("router", "ROUTER", "epsilon-greedy", children, epsilon=0.2))
    for transport in ("rest", "grpc"):
        meta = ask("seldon-greedy", transport, payload={"data": ROWS[:1].tolist(), "payload_type": "ndarray"})["response"]["meta"]
        done = ask("seldon-greedy", transport, feedback=0.5, meta={"puid": meta["puid"], "routing": meta["routing"]})
        assert done["success"], done
        assert done["response"]["meta"]["routing"]["router"] == meta["routing"]["router"]
    metrics = urllib.request.urlopen(aerie.http + "/metrics", timeout=20).read().decode()
    line = next(line for line in metrics.splitlines()
                if line.startswith("seldon_api_model_feedback_reward_total") and "seldon-greedy" in line)
    assert float(line.split()[-1]) == 1.0


def test_shadow_and_sticky(aerie, models):
    """A shadow is compared and not heard; a header keeps a user with one predictor of an 80/20 split."""
    path, other = models[1][0], models[2][0]
    text = f"""
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata:
  name: seldon-split
  annotations: {{aerie.dev/sticky-header: X-User}}
spec:
  predictors:
  - {{name: champion, traffic: 80, graph: {{name: classifier, modelUri: {path}}}}}
  - {{name: challenger, traffic: 20, graph: {{name: classifier, modelUri: {other}}}}}
  - {{name: candidate, shadow: true, graph: {{name: classifier, modelUri: {other}}}}}
"""
    aerie.cli("apply", "-f", "-", input=text)
    wait_until_available(aerie, "seldon-split")
    body = {"inputs": [{"name": "input", "shape": [1, 3], "datatype": "FP64", "data": ROWS[0].tolist()}]}
    values = {1: models[1][1][0], 2: models[2][1][0]}
    arms = []
    for user in range(100):
        answers = {post(aerie, "/v2/models/seldon-split/infer", body, {"X-User": f"u{user}"})["outputs"][0]["data"][0]
                   for _ in range(2)}
        assert len(answers) == 1
        answer = answers.pop()
        arms.append(1 if answer == pytest.approx(values[1]) else 2)
        assert answer == pytest.approx(values[arms[-1]])
    assert 60 <= arms.count(1) <= 95

    def metric(name, *labels):
        text = urllib.request.urlopen(aerie.http + "/metrics", timeout=20).read().decode()
        return sum(float(line.split()[-1]) for line in text.splitlines()
                   if line.startswith(name + "{") and 'deployment_name="seldon-split"' in line and all(x in line for x in labels))

    deadline = time.monotonic() + 20
    while metric("aerie_shadow_requests_total") < 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert metric("aerie_shadow_requests_total", 'outcome="compared"') + metric(
        "aerie_shadow_requests_total", 'outcome="dropped"') == 200
    assert metric("aerie_shadow_rows_total") > 0


def test_kinds_of_kserve_and_seldon_core_2(aerie, models):
    """An InferenceService with a canary, and an Experiment of two Models, by the command line as their docs write them."""
    def available(kind, name):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            status = json.loads(aerie.cli("get", kind, name, "-o", "json").stdout).get("status") or {}
            if status.get("state") == "Available":
                return status
            time.sleep(0.05)
        raise AssertionError(f"{kind} {name}: {status}")

    def service(uri, more=""):
        aerie.cli("apply", "-f", "-", input=f"""
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {{name: kserve-fraud}}
spec:
  predictor:
    minReplicas: 1
{more}    model:
      modelFormat: {{name: lightgbm}}
      protocolVersion: v2
      storageUri: {uri}
""")

    def share(name, count=200):
        """How many of so many requests the first model answers."""
        body = {"inputs": [{"name": "input", "shape": [1, 3], "datatype": "FP64", "data": ROWS[0].tolist()}]}
        answers = [post(aerie, f"/v2/models/{name}/infer", body)["outputs"][0]["data"][0] for _ in range(count)]
        firsts = [answer == pytest.approx(models[1][1][0]) for answer in answers]
        assert all(first or answer == pytest.approx(models[2][1][0]) for first, answer in zip(firsts, answers))
        return sum(firsts)

    service(models[1][0])
    assert available("InferenceService", "kserve-fraud")["traffic"][0]["percent"] == 100
    assert share("kserve-fraud", 5) == 5
    service(models[2][0], "    canaryTrafficPercent: 30\n")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        split = available("InferenceService", "kserve-fraud").get("traffic", [])
        if len(split) == 2:
            break
        time.sleep(0.05)
    assert [part["percent"] for part in split] == [70, 30]
    assert 100 <= share("kserve-fraud") <= 180
    for number in (1, 2):
        aerie.cli("apply", "-f", "-", input=f"""
apiVersion: mlops.seldon.io/v1alpha1
kind: Model
metadata: {{name: core2-{number}}}
spec: {{storageUri: {models[number][0]}, requirements: [lightgbm]}}
""")
        available("Model", f"core2-{number}")
    done = aerie.cli("apply", "-f", "-", input="""
apiVersion: mlops.seldon.io/v1alpha1
kind: Experiment
metadata: {name: core2-trial}
spec:
  default: core2-1
  candidates: [{name: core2-1, weight: 50}, {name: core2-2, weight: 50}]
  mirror: {name: core2-2, percent: 50}
""")
    assert "spec.default" in done.stdout + done.stderr
    available("Experiment", "core2-trial")
    assert 60 <= share("core2-trial") <= 140
