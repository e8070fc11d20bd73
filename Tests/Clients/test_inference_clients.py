"""The clients that people have (tritonclient, kserve, curl) against a deployed model, with their defaults."""

import asyncio
import json
import subprocess
import textwrap
import time
import urllib.request

import numpy
import pytest

xgboost = pytest.importorskip("xgboost")
mlflow = pytest.importorskip("mlflow")

COLUMNS = ["amount", "hour", "distance", "age"]


@pytest.fixture(scope="module")
def deployed(aerie, tmp_path_factory):
    """A classifier logged through MLflow, registered and deployed as `fraud-detector`."""
    generator = numpy.random.default_rng(5)
    rows = generator.random((500, 4), dtype=numpy.float32)
    labels = (rows[:, 0] + rows[:, 1] * rows[:, 2] > 0.8).astype(int)
    data = xgboost.DMatrix(rows, labels, feature_names=COLUMNS)
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 4, "seed": 5}, data, 20)
    mlflow.set_tracking_uri(aerie.http)
    mlflow.set_experiment("inference-clients")
    with mlflow.start_run():
        mlflow.xgboost.log_model(booster, name="model", registered_model_name="fraud-detector")
    manifest = tmp_path_factory.mktemp("deployment") / "deployment.yaml"
    manifest.write_text(
        textwrap.dedent(
            """\
            apiVersion: machinelearning.seldon.io/v1
            kind: SeldonDeployment
            metadata:
              name: fraud-detector
            spec:
              predictors:
              - name: default
                traffic: 100
                graph:
                  name: classifier
                  implementation: XGBOOST_SERVER
                  modelUri: models:/fraud-detector/1
            """
        )
    )
    aerie.cli("apply", "-f", str(manifest))
    deadline = time.time() + 20
    while True:
        try:
            urllib.request.urlopen(f"{aerie.inference_http}/v2/models/fraud-detector/ready", timeout=2).read()
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
    triton = pytest.importorskip("tritonclient.http")
    rows, expected = deployed
    with triton.InferenceServerClient(aerie.inference_http.removeprefix("http://")) as client:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("fraud-detector")
        assert not client.is_model_ready("nobody")
        metadata = client.get_model_metadata("fraud-detector")
        output = metadata["outputs"][0]["name"]
        assert any(entry["name"] == "fraud-detector" for entry in client.get_model_repository_index())
        tensor = triton.InferInput(metadata["inputs"][0]["name"], list(rows.shape), "FP32")
        tensor.set_data_from_numpy(rows)
        check(client.infer("fraud-detector", [tensor]).as_numpy(output), expected)
        tensor.set_data_from_numpy(rows[:2], binary_data=False)
        tensor.set_shape([2, 4])
        asked = [triton.InferRequestedOutput(output, binary_data=False)]
        result = client.infer("fraud-detector", [tensor], request_id="r-1", outputs=asked)
        assert result.get_response()["id"] == "r-1"
        check(result.as_numpy(output), expected[:2])
        from tritonclient.utils import InferenceServerException

        with pytest.raises(InferenceServerException, match="nobody"):
            client.infer("nobody", [tensor])
        tensor.set_shape([1, 8])
        with pytest.raises(InferenceServerException, match=r"\[rows, 4\]"):
            client.infer("fraud-detector", [tensor])


def test_tritonclient_http_columns(aerie, deployed):
    triton = pytest.importorskip("tritonclient.http")
    rows, expected = deployed
    with triton.InferenceServerClient(aerie.inference_http.removeprefix("http://")) as client:
        columns = []
        for name in reversed(COLUMNS):
            column = triton.InferInput(name, [len(rows), 1], "FP64")
            column.set_data_from_numpy(rows[:, [COLUMNS.index(name)]].astype(numpy.float64))
            columns.append(column)
        output = client.get_model_metadata("fraud-detector")["outputs"][0]["name"]
        check(client.infer("fraud-detector", columns).as_numpy(output), expected)


def test_tritonclient_grpc(aerie, deployed):
    triton = pytest.importorskip("tritonclient.grpc")
    from tritonclient.utils import InferenceServerException

    rows, expected = deployed
    with triton.InferenceServerClient(aerie.inference_grpc) as client:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("fraud-detector")
        assert client.get_server_metadata().name == "aerie"
        output = client.get_model_metadata("fraud-detector").outputs[0].name
        assert any(model.name == "fraud-detector" for model in client.get_model_repository_index().models)
        tensor = triton.InferInput("input", list(rows.shape), "FP32")
        tensor.set_data_from_numpy(rows)
        check(client.infer("fraud-detector", [tensor]).as_numpy(output), expected)
        with pytest.raises(InferenceServerException, match="NOT_FOUND"):
            client.infer("nobody", [tensor])
        seen = []
        client.start_stream(lambda result, error: seen.append((result, error)))
        for name in ["fraud-detector", "nobody", "fraud-detector"]:
            client.async_stream_infer(name, [tensor])
        deadline = time.time() + 10
        while len(seen) < 3 and time.time() < deadline:
            time.sleep(0.01)
        client.stop_stream()
        assert [error is None for _, error in seen] == [True, False, True]
        check(seen[2][0].as_numpy(output), expected)


def test_kserve(aerie, deployed):
    kserve = pytest.importorskip("kserve")
    rows, expected = deployed

    async def ask():
        client = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2"))
        url = aerie.inference_http
        assert await client.is_server_live(url) and await client.is_server_ready(url)
        assert await client.is_model_ready(url, "fraud-detector")
        grpc = kserve.InferenceGRPCClient(aerie.inference_grpc)
        assert await grpc.is_server_live() and await grpc.is_model_ready("fraud-detector")
        finite = rows[[0, 1, 3]]
        for binary in (True, False):
            tensor = kserve.InferInput("input", list(finite.shape), "FP32")
            tensor.set_data_from_numpy(finite, binary_data=binary)
            request = kserve.InferRequest(model_name="fraud-detector", infer_inputs=[tensor])
            answer = await client.infer(url, request, model_name="fraud-detector")
            check(answer.outputs[0].as_numpy(), expected[[0, 1, 3]])
            answer = await grpc.infer(request)
            check(answer.outputs[0].as_numpy(), expected[[0, 1, 3]])
        await grpc.close()

    asyncio.run(ask())


def curl(*arguments):
    output = subprocess.run(["curl", "-s", *arguments], check=True, capture_output=True, timeout=20).stdout
    return json.loads(output)


def test_curl(aerie, deployed):
    rows, expected = deployed
    numbers = [None if numpy.isnan(value) else float(value) for value in rows[2]]
    body = {"id": "7", "inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [numbers]}]}
    url = f"{aerie.inference_http}/v2/models/fraud-detector/infer"
    for extra in ([], ["-H", "Transfer-Encoding: chunked"], ["-0"], ["-H", "Expect: 100-continue"]):
        answer = curl(*extra, url, "-d", json.dumps(body))
        assert answer["id"] == "7"
        check(answer["outputs"][0]["data"], expected[2:3])
    seldon = {"data": {"names": COLUMNS[::-1], "ndarray": [[float(value) for value in rows[0][::-1]]]}}
    for prefix in ("", "/seldon/default/fraud-detector"):
        header = ["-H", "seldon-model: fraud-detector"]
        answer = curl(*header, f"{aerie.inference_http}{prefix}/api/v1.0/predictions", "-d", json.dumps(seldon))
        check(answer["data"]["ndarray"], expected[:1])
        assert answer["meta"]["puid"]
    assert "no model nobody" in curl(f"{aerie.inference_http}/v2/models/nobody")["error"]
