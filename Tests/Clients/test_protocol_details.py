"""What the protocols say beside the usual request, by their own clients: versions, types, bodies in pieces, health, KServe's
first protocol, Seldon's explanations."""
import gzip
import http.client
import json
import subprocess
import sys
import zlib

import grpc
import lightgbm
import ml_dtypes
import numpy
import pytest
import tritonclient.grpc
import tritonclient.http
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from test_inference_protocol import NAME, ROWS, http as triton, models as scaled, rpc, tensor  # noqa: F401
from test_seldon import PYTHON, apply, model, models as boosters, post  # noqa: F401
from test_seldon import ROWS as THREE


def test_versions_are_named_in_every_question(triton, rpc, scaled):
    version = triton.get_model_metadata(NAME)["versions"][0]
    assert triton.get_model_metadata(NAME, version)["name"] == NAME
    assert list(rpc.get_model_metadata(NAME, version).versions) == [version]
    for client, module in ((triton, tritonclient.http), (rpc, tritonclient.grpc)):
        assert client.is_model_ready(NAME, version) and not client.is_model_ready(NAME, "99")
        answer = client.infer(NAME, [tensor(module, ROWS[:2])], model_version=version)
        numpy.testing.assert_array_equal(answer.as_numpy("y"), ROWS[:2] * 2)
        with pytest.raises(InferenceServerException, match="no version 99"):
            client.infer(NAME, [tensor(module, ROWS[:2])], model_version="99")
        with pytest.raises(InferenceServerException, match="no version 99"):
            client.get_model_metadata(NAME, "99")
        stats = client.get_inference_statistics(NAME, version)
        stats = stats["model_stats"] if module is tritonclient.http else stats.model_stats
        assert len(stats) == 1


def test_bf16_goes_through_raw_and_is_refused_as_json(aerie, triton, rpc, scaled):
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "identity",
        [helper.make_tensor_value_info("x", TensorProto.BFLOAT16, ["rows", 2])],
        [helper.make_tensor_value_info("y", TensorProto.BFLOAT16, ["rows", 2])])
    onnx = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    triton.load_model("protocol-bf16", config="{}", files={"file:1/model.onnx": onnx.SerializeToString()})
    values = numpy.array([[1.5, -65536.0]], dtype=ml_dtypes.bfloat16)
    for client, module in ((triton, tritonclient.http), (rpc, tritonclient.grpc)):
        given = module.InferInput("x", [1, 2], "BF16")
        given.set_data_from_numpy(values)
        numpy.testing.assert_array_equal(client.infer("protocol-bf16", [given]).as_numpy("y"), values)
    body = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "BF16", "data": [1.5, 2.0]}]}
    status, _, told = send(aerie, "/v2/models/protocol-bf16/infer", [json.dumps(body).encode()], {})
    assert status == 400 and b"binary" in told, told
    triton.unload_model("protocol-bf16")


def send(aerie, path, pieces, headers):
    """A request whose body goes out in chunks of its own."""
    connection = http.client.HTTPConnection(aerie.inference_http.removeprefix("http://"), timeout=20)
    connection.request("POST", path, body=iter(pieces), headers=headers, encode_chunked=True)
    answer = connection.getresponse()
    told = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return told


@pytest.mark.parametrize("packed", [None, "gzip", "deflate"])
@pytest.mark.parametrize("size", [1, 97, 1 << 20])
def test_bodies_in_chunks_packed_or_not(aerie, scaled, packed, size):
    """JSON with a binary tensor behind it, in chunks of every size; the answer comes packed and with binary tensors."""
    rows = ROWS if size > 1 else ROWS[:1]
    body, length = tritonclient.http.InferenceServerClient.generate_request_body([tensor(tritonclient.http, rows)])
    body = {None: bytes, "gzip": gzip.compress, "deflate": zlib.compress}[packed](body)
    headers = {"Transfer-Encoding": "chunked", "Inference-Header-Content-Length": str(length), "Accept-Encoding": "gzip",
               **({"Content-Encoding": packed} if packed else {})}
    pieces = [body[start:start + size] for start in range(0, len(body), size)]
    status, told, answer = send(aerie, f"/v2/models/{NAME}/infer", pieces, headers)
    assert status == 200, answer
    assert told.get("Content-Encoding") == ("gzip" if len(rows) > 1 else None)
    result = tritonclient.http.InferenceServerClient.parse_response_body(
        answer, header_length=int(told["Inference-Header-Content-Length"]), content_encoding=told.get("Content-Encoding"))
    numpy.testing.assert_array_equal(result.as_numpy("y"), rows * 2)


def test_health_over_grpc(aerie, scaled):
    """As a probe asks: `HealthCheckResponse.status` is 1 for what serves."""
    with grpc.insecure_channel(aerie.inference_grpc) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert check(b"") == b"\x08\x01"
        with pytest.raises(grpc.RpcError) as unknown:
            check(b"\x0a\x06nobody")
        assert unknown.value.code() == grpc.StatusCode.NOT_FOUND
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        assert next(watch) == b"\x08\x01"
        watch.cancel()


KSERVE_V1 = """
import asyncio, json, sys
import kserve

question = json.load(sys.stdin)

async def ask():
    url, name = question["http"], question["name"]
    rest = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v1"))
    assert await rest.is_server_live(url) and await rest.is_model_ready(url, name)
    body = {"instances": question["rows"]}
    answers = [await rest.infer(url, body, model_name=name), await rest.explain(url, name, body)]
    await rest.close()
    return answers

print(json.dumps(asyncio.run(ask())))
"""


def by(python, script, question):
    done = subprocess.run([python, "-c", script], input=json.dumps(question), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_kserves_client_of_the_first_protocol(aerie, boosters):
    path, expected = boosters[1]
    apply(aerie, "details", model("classifier", path))
    predicted, told = by(sys.executable, KSERVE_V1, {"http": aerie.inference_http, "name": "details", "rows": THREE.tolist()})
    numpy.testing.assert_allclose(numpy.ravel(predicted["predictions"]), expected, rtol=1e-12)
    contributions = lightgbm.Booster(model_file=path).predict(THREE, pred_contrib=True)
    numpy.testing.assert_allclose(told["data"]["shap_values"][0], contributions[:, :-1], atol=1e-6)


SELDON = """
import json, sys
import numpy
from seldon_core.seldon_client import SeldonClient

question = json.load(sys.stdin)
answers = []
for gateway in ("istio", "ambassador"):
    client = SeldonClient(deployment_name=question["name"], namespace="default", gateway=gateway, transport="rest",
                          gateway_endpoint=question["http"], client_return_type="dict")
    done = client.explain(predictor="main", data=numpy.array(question["rows"]), names=question["names"], payload_type="ndarray")
    assert done.success, done.msg
    answers.append(done.response)
print(json.dumps(answers))
"""


def test_seldons_client_asks_for_an_explanation(aerie, boosters):
    path, _ = boosters[1]
    apply(aerie, "details", model("classifier", path))
    contributions = lightgbm.Booster(model_file=path).predict(THREE, pred_contrib=True)
    for told in by(PYTHON, SELDON, {"http": aerie.inference_http.removeprefix("http://"), "name": "details",
                                    "rows": THREE.tolist(), "names": ["amount", "hour", "age"]}):
        numpy.testing.assert_allclose(told["data"]["shap_values"][0], contributions[:, :-1], atol=1e-6)
