"""The clients that people have (tritonclient, kserve, curl) against a deployed model, with their defaults."""

import json
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request

import mlflow
import numpy
import pytest
import tritonclient.grpc
import tritonclient.http
import xgboost
from tritonclient.utils import InferenceServerException

from conftest import wait_until_available

COLUMNS = ["amount", "hour", "distance", "age"]


@pytest.fixture(scope="module")
def deployed(aerie, tmp_path_factory):
    """A classifier logged through MLflow, registered and deployed as `inference-clients-fraud`."""
    generator = numpy.random.default_rng(5)
    rows = generator.random((500, 4), dtype=numpy.float32)
    labels = (rows[:, 0] + rows[:, 1] * rows[:, 2] > 0.8).astype(int)
    data = xgboost.DMatrix(rows, labels, feature_names=COLUMNS)
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 4, "seed": 5}, data, 20)
    mlflow.set_tracking_uri(aerie.http)
    mlflow.set_experiment("inference-clients")
    with mlflow.start_run():
        mlflow.xgboost.log_model(booster, name="model", registered_model_name="inference_clients_fraud",
                                 pip_requirements=["xgboost"])
    manifest = tmp_path_factory.mktemp("deployment") / "deployment.yaml"
    manifest.write_text(
        textwrap.dedent(
            """\
            apiVersion: machinelearning.seldon.io/v1
            kind: SeldonDeployment
            metadata:
              name: inference-clients-fraud
            spec:
              predictors:
              - name: default
                traffic: 100
                graph:
                  name: classifier
                  implementation: XGBOOST_SERVER
                  modelUri: models:/inference_clients_fraud/1
            """
        )
    )
    aerie.cli("apply", "-f", str(manifest))
    deadline = time.time() + 20
    while True:
        try:
            urllib.request.urlopen(f"{aerie.inference_http}/v2/models/inference-clients-fraud/ready", timeout=2).read()
            break
        except OSError:
            assert time.time() < deadline, "the deployment did not become ready"
            time.sleep(0.1)
    asked = generator.random((7, 4), dtype=numpy.float32)
    asked[2, 1] = numpy.nan
    expected = booster.predict(xgboost.DMatrix(asked, feature_names=COLUMNS))
    return asked, expected


def check(answer, expected):
    numpy.testing.assert_allclose(numpy.asarray(answer).reshape(-1), expected, rtol=1e-6)


def test_tritonclient_http(aerie, deployed):
    triton = tritonclient.http
    rows, expected = deployed
    with triton.InferenceServerClient(aerie.inference_http.removeprefix("http://")) as client:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("inference-clients-fraud")
        assert not client.is_model_ready("nobody")
        metadata = client.get_model_metadata("inference-clients-fraud")
        output = metadata["outputs"][0]["name"]
        assert any(entry["name"] == "inference-clients-fraud" for entry in client.get_model_repository_index())
        tensor = triton.InferInput(metadata["inputs"][0]["name"], list(rows.shape), "FP32")
        tensor.set_data_from_numpy(rows)
        check(client.infer("inference-clients-fraud", [tensor]).as_numpy(output), expected)
        tensor.set_shape([2, 4])
        tensor.set_data_from_numpy(rows[:2], binary_data=False)
        asked = [triton.InferRequestedOutput(output, binary_data=False)]
        result = client.infer("inference-clients-fraud", [tensor], request_id="r-1", outputs=asked)
        assert result.get_response()["id"] == "r-1"
        check(result.as_numpy(output), expected[:2])
        with pytest.raises(InferenceServerException, match="nobody"):
            client.infer("nobody", [tensor])
        tensor.set_shape([1, 8])
        with pytest.raises(InferenceServerException, match=r"\[rows, 4\]"):
            client.infer("inference-clients-fraud", [tensor])


def test_tritonclient_http_columns(aerie, deployed):
    triton = tritonclient.http
    rows, expected = deployed
    with triton.InferenceServerClient(aerie.inference_http.removeprefix("http://")) as client:
        columns = []
        for name in reversed(COLUMNS):
            column = triton.InferInput(name, [len(rows), 1], "FP64")
            column.set_data_from_numpy(rows[:, [COLUMNS.index(name)]].astype(numpy.float64))
            columns.append(column)
        output = client.get_model_metadata("inference-clients-fraud")["outputs"][0]["name"]
        check(client.infer("inference-clients-fraud", columns).as_numpy(output), expected)


def test_tritonclient_grpc(aerie, deployed):
    triton = tritonclient.grpc
    rows, expected = deployed
    with triton.InferenceServerClient(aerie.inference_grpc) as client:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("inference-clients-fraud")
        assert client.get_server_metadata().name == "aerie"
        output = client.get_model_metadata("inference-clients-fraud").outputs[0].name
        assert any(model.name == "inference-clients-fraud" for model in client.get_model_repository_index().models)
        tensor = triton.InferInput("input", list(rows.shape), "FP32")
        tensor.set_data_from_numpy(rows)
        check(client.infer("inference-clients-fraud", [tensor]).as_numpy(output), expected)
        with pytest.raises(InferenceServerException, match="NOT_FOUND"):
            client.infer("nobody", [tensor])
        seen = []
        client.start_stream(lambda result, error: seen.append((result, error)))
        for name in ["inference-clients-fraud", "nobody", "inference-clients-fraud"]:
            client.async_stream_infer(name, [tensor])
        deadline = time.time() + 10
        while len(seen) < 3 and time.time() < deadline:
            time.sleep(0.01)
        client.stop_stream()
        assert [error is None for _, error in seen] == [True, False, True]
        check(seen[2][0].as_numpy(output), expected)


KSERVE = """
import asyncio, json, sys
import kserve, numpy

question = json.load(sys.stdin)
rows = numpy.array(question["rows"], dtype=numpy.float32)
name = "inference-clients-fraud"

async def ask():
    url, answers = question["http"], []
    rest = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2"))
    assert await rest.is_server_live(url) and await rest.is_server_ready(url)
    assert await rest.is_model_ready(url, name)
    grpc = kserve.InferenceGRPCClient(question["grpc"])
    assert await grpc.is_server_live() and await grpc.is_server_ready() and await grpc.is_model_ready(name)
    for binary in (True, False):
        tensor = kserve.InferInput("input", list(rows.shape), "FP32")
        tensor.set_data_from_numpy(rows, binary_data=binary)
        request = kserve.InferRequest(model_name=name, infer_inputs=[tensor])
        answers.append((await rest.infer(url, request, model_name=name)).outputs[0])
        answers.append((await grpc.infer(request)).outputs[0])
    await grpc.close()
    return [{"shape": list(answer.shape), "data": answer.as_numpy().ravel().tolist()} for answer in answers]

print(json.dumps(asyncio.run(ask())))
"""


def test_kserve(aerie, deployed):
    """In a process of its own: kserve and tritonclient both define the protocol's protobuf messages."""
    rows, expected = deployed
    question = {"http": aerie.inference_http, "grpc": aerie.inference_grpc, "rows": rows[[0, 1, 3]].tolist()}
    done = subprocess.run(
        [sys.executable, "-c", KSERVE], input=json.dumps(question), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-3000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    assert len(answers) == 4
    for answer in answers:
        assert answer["shape"][0] == 3
        check(answer["data"], expected[[0, 1, 3]])


def curl(*arguments):
    output = subprocess.run(["curl", "-s", *arguments], check=True, capture_output=True, timeout=20).stdout
    return json.loads(output)


def test_curl(aerie, deployed):
    rows, expected = deployed
    numbers = [None if numpy.isnan(value) else float(value) for value in rows[2]]
    body = {"id": "7", "inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [numbers]}]}
    url = f"{aerie.inference_http}/v2/models/inference-clients-fraud/infer"
    for extra in ([], ["-H", "Transfer-Encoding: chunked"], ["-0"], ["-H", "Expect: 100-continue"]):
        answer = curl(*extra, url, "-d", json.dumps(body))
        assert answer["id"] == "7"
        check(answer["outputs"][0]["data"], expected[2:3])
    seldon = {"data": {"names": COLUMNS[::-1], "ndarray": [[float(value) for value in rows[0][::-1]]]}}
    for prefix in ("", "/seldon/default/inference-clients-fraud"):
        header = ["-H", "seldon-model: inference-clients-fraud"]
        answer = curl(*header, f"{aerie.inference_http}{prefix}/api/v1.0/predictions", "-d", json.dumps(seldon))
        check(answer["data"]["ndarray"], expected[:1])
        assert answer["meta"]["puid"]
    assert "no model nobody" in curl(f"{aerie.inference_http}/v2/models/nobody")["error"]


def predictions(aerie, body, name="inference-clients-fraud"):
    return curl(f"{aerie.inference_http}/seldon/default/{name}/api/v1.0/predictions", "-d", json.dumps(body))


def test_seldon_ndarray_and_tensor_with_names(aerie, deployed):
    rows, expected = deployed
    finite, wanted = rows[[0, 1, 3, 4]].astype(float), expected[[0, 1, 3, 4]]
    for order in (COLUMNS, COLUMNS[::-1], ["age", "amount", "distance", "hour"]):
        picked = finite[:, [COLUMNS.index(name) for name in order]]
        answer = predictions(aerie, {"data": {"names": order, "ndarray": picked.tolist()}})
        check(answer["data"]["ndarray"], wanted)
        assert "tensor" not in answer["data"]
        tensor = {"shape": list(picked.shape), "values": picked.ravel().tolist()}
        answer = predictions(aerie, {"data": {"names": order, "tensor": tensor}})
        check(answer["data"]["tensor"]["values"], wanted)
        assert answer["data"]["tensor"]["shape"][0] == 4 and "ndarray" not in answer["data"]
    answer = predictions(aerie, {"meta": {"puid": "p-17", "tags": {"from": "test"}}, "data": {"ndarray": finite.tolist()}})
    check(answer["data"]["ndarray"], wanted)
    assert answer["meta"]["puid"] == "p-17"
    wrong = predictions(aerie, {"data": {"names": ["amount", "hour", "distance", "height"], "ndarray": finite.tolist()}})
    assert wrong["status"]["status"] == "FAILURE" and "height" in wrong["status"]["info"], wrong
    # Names that are none of the model's leave the columns where they are, as Seldon's own default "t:0" does.
    foreign = predictions(aerie, {"data": {"names": ["t:0", "t:1", "t:2", "t:3"], "ndarray": finite.tolist()}})
    check(foreign["data"]["ndarray"], wanted)


# The first manifest of the founding document (2.3); of it only modelUri is another.
FOUNDING = """\
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata:
  name: fraud-detector
spec:
  predictors:
  - name: production
    replicas: 100
    graph:
      name: classifier
      type: MODEL
      implementation: SKLEARN_SERVER
      modelUri: models:/inference_clients_fraud/1
    componentSpecs:
    - spec:
        containers:
        - name: classifier
          resources:
            requests:
              cpu: "2"
              memory: 4Gi
            limits:
              cpu: "4"
              memory: 8Gi
    autoscaling:
      enabled: true
      minReplicas: 50
      maxReplicas: 200
      targetCPUUtilization: 70
"""


def test_the_founding_documents_deployment(aerie, deployed):
    rows, expected = deployed
    applied = aerie.cli("apply", "-f", "-", input=FOUNDING)
    assert "SeldonDeployment/fraud-detector created" in applied.stdout
    # What one process cannot carry out is said, not refused.
    assert "replicas" in applied.stderr + applied.stdout
    status = wait_until_available(aerie, "fraud-detector")
    assert status["address"]["url"] == f"{aerie.inference_http}/v2/models/fraud-detector/infer"
    tensor = tritonclient.http.InferInput("input", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    with tritonclient.http.InferenceServerClient(aerie.inference_http.removeprefix("http://")) as client:
        assert client.is_model_ready("fraud-detector")
        answer = client.infer("fraud-detector", [tensor])
        check(answer.as_numpy(answer.get_response()["outputs"][0]["name"]), expected)
    answer = predictions(aerie, {"data": {"ndarray": rows[:1].astype(float).tolist()}}, "fraud-detector")
    check(answer["data"]["ndarray"], expected[:1])
    again = aerie.cli("apply", "-f", "-", input=FOUNDING)
    assert "SeldonDeployment/fraud-detector unchanged" in again.stdout
    aerie.cli("delete", "SeldonDeployment", "fraud-detector")
    deadline = time.time() + 10
    while True:
        try:
            urllib.request.urlopen(f"{aerie.inference_http}/v2/models/fraud-detector", timeout=5).read()
        except urllib.error.HTTPError as error:
            assert error.code == 404
            break
        assert time.time() < deadline, "a deleted deployment still answers"
        time.sleep(0.05)
