"""Wrong input over every door, each with its typed error: a status or exit code, and words that name the place."""
import json
import struct
import subprocess
import textwrap

import grpc
import pytest
import requests

from conftest import BINARY, ROOT

SDEP = """\
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata:
  name: {name}
spec:
  predictors:
  - name: a
    {more}
    graph:
      name: classifier
      implementation: {implementation}
      modelUri: {uri}
"""


def sdep(name="wrong", more="replicas: 1", implementation="SKLEARN_SERVER", uri="models:/nothing/1"):
    return SDEP.format(name=name, more=more, implementation=implementation, uri=uri)


PIPELINE = "apiVersion: aerie.dev/v1\nkind: Pipeline\nmetadata: {name: wrong}\nspec:\n"

# name, manifest, words of the error
MANIFESTS = [
    ("not YAML", "a: [1, 2\nb: }", ["standard input:"]),
    ("a tab as indentation", "apiVersion: v1\nkind:\n\t- x\n", ["standard input:"]),
    ("no kind", "apiVersion: aerie.dev/v1\nmetadata: {name: a}\n", ["kind"]),
    ("an unknown kind", "apiVersion: aerie.dev/v1\nkind: Teapot\nmetadata: {name: a}\n", ["Teapot", ":2:"]),
    ("a kind of another version", "apiVersion: aerie.dev/v9\nkind: Pipeline\nmetadata: {name: a}\nspec: {steps: []}\n",
     ["aerie.dev/v1"]),
    ("no name", "apiVersion: aerie.dev/v1\nkind: Pipeline\nmetadata: {}\nspec: {steps: []}\n", ["metadata.name"]),
    ("a name that is none", "apiVersion: aerie.dev/v1\nkind: Pipeline\nmetadata: {name: 'A b'}\nspec: {steps: []}\n",
     ["metadata.name", ":3:"]),
    ("an unknown field", sdep(more="replicass: 3"), ["replicass", ":8:", "replicas"]),
    ("a word for a number", sdep(more="replicas: many"), ["replicas", ":8:"]),
    ("an unknown implementation", sdep(implementation="SKLERN_SERVER"), ["SKLERN_SERVER", ":"]),
    ("no predictors", "apiVersion: machinelearning.seldon.io/v1\nkind: SeldonDeployment\nmetadata: {name: a}\n"
     "spec: {predictors: []}\n", ["predictors"]),
    ("traffic that does not sum to 100", "apiVersion: machinelearning.seldon.io/v1\nkind: SeldonDeployment\n"
     "metadata: {name: a}\nspec:\n  predictors:\n  - {name: a, traffic: 80, graph: {name: x, modelUri: 'models:/a/1'}}\n"
     "  - {name: b, traffic: 30, graph: {name: y, modelUri: 'models:/a/2'}}\n", ["100", "traffic"]),
    ("two predictors of one name", "apiVersion: machinelearning.seldon.io/v1\nkind: SeldonDeployment\n"
     "metadata: {name: a}\nspec:\n  predictors:\n  - {name: a, traffic: 50, graph: {name: x, modelUri: 'models:/a/1'}}\n"
     "  - {name: a, traffic: 50, graph: {name: y, modelUri: 'models:/a/2'}}\n", ["name"]),
    ("a step of an unknown kind", PIPELINE + "  steps:\n  - {name: a, uses: bake}\n", ["bake", ":6:"]),
    ("a step that needs itself", PIPELINE + "  steps:\n  - {name: a, uses: ingest, needs: [a]}\n", ["a"]),
    ("a need that is nowhere", PIPELINE + "  steps:\n  - {name: a, uses: ingest, needs: [b]}\n", ["b"]),
    ("steps in a circle", PIPELINE + "  steps:\n  - {name: a, uses: ingest, needs: [b]}\n"
     "  - {name: b, uses: ingest, needs: [a]}\n", ["a", "b"]),
    ("two steps of one name", PIPELINE + "  steps:\n  - {name: a, uses: ingest}\n  - {name: a, uses: ingest}\n", ["a"]),
    ("a reference to nothing", PIPELINE + "  steps:\n  - name: a\n    uses: validate\n"
     "    with: {table: '${steps.zero.table}'}\n", ["zero"]),
    ("an unknown expectation", "apiVersion: aerie.dev/v1\nkind: ExpectationSuite\nmetadata: {name: a}\nspec:\n"
     "  expectations:\n  - {type: expect_wonders, kwargs: {}}\n", ["expect_wonders", ":6:"]),
    ("an unknown value type", "apiVersion: aerie.dev/v1\nkind: Entity\nmetadata: {name: a}\n"
     "spec: {joinKey: a, valueType: WORDS}\n", ["WORDS"]),
    ("a feature view without features", "apiVersion: aerie.dev/v1\nkind: FeatureView\nmetadata: {name: a}\n"
     "spec: {entities: [a]}\n", ["spec"]),
    ("the same key twice", "apiVersion: aerie.dev/v1\nkind: Entity\nkind: Entity\nmetadata: {name: a}\n", ["standard input:"]),
    ("a bomb of aliases", "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
     "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
     "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n", ["too many"]),
]


@pytest.mark.parametrize("text, words", [case[1:] for case in MANIFESTS], ids=[case[0] for case in MANIFESTS])
def test_a_wrong_manifest_changes_nothing_and_says_where(aerie, text, words):
    done = aerie.cli("apply", "-f", "-", input=text, check=False)
    assert done.returncode == (5 if "too many" in words else 2), (done.returncode, done.stdout, done.stderr)
    for word in words:
        assert word in done.stderr, done.stderr
    assert "Fatal" not in done.stderr


def test_nothing_is_applied_if_one_document_of_several_is_wrong(aerie):
    good = "apiVersion: aerie.dev/v1\nkind: Entity\nmetadata: {name: half-applied}\nspec: {joinKey: a, valueType: STRING}\n"
    done = aerie.cli("apply", "-f", "-", input=good + "---\n" + sdep(more="replicass: 3"), check=False)
    assert done.returncode == 2
    assert aerie.cli("get", "entity", "half-applied", check=False).returncode == 3


COMMANDS = [
    ("an unknown option", ["get", "pipeline", "--fly"], 64, ["fly"]),
    ("a file that is not there", ["apply", "-f", "nowhere.yaml"], None, ["nowhere.yaml"]),
    ("an unknown kind", ["get", "teapots"], None, ["teapots"]),
    ("a thing that is not there", ["get", "pipeline", "nothing"], 3, ["nothing"]),
    ("describe what is not there", ["describe", "SeldonDeployment", "nothing"], 3, ["nothing"]),
    ("delete what is not there", ["delete", "pipeline", "nothing"], 3, ["nothing"]),
    ("an unknown output format", ["get", "pipeline", "-o", "xml"], None, ["xml"]),
    ("a run that is not there", ["pipeline", "status", "nothing"], 3, ["nothing"]),
    ("a pipeline that is not there", ["pipeline", "run", "nothing"], 3, ["nothing"]),
    ("an approval of nothing", ["approve", "nothing", "approve"], 3, ["nothing"]),
]


@pytest.mark.parametrize("arguments, status, words", [c[1:] for c in COMMANDS], ids=[c[0] for c in COMMANDS])
def test_a_wrong_command_says_what_is_wrong(aerie, arguments, status, words):
    done = aerie.cli(*arguments, check=False)
    assert done.returncode != 0 and (status is None or done.returncode == status), (done.returncode, done.stderr)
    for word in words:
        assert word in done.stderr + done.stdout


def test_a_server_that_is_not_there_is_named():
    done = subprocess.run([BINARY, "get", "pipeline", "--server", "http://127.0.0.1:9"], capture_output=True, text=True,
                          cwd=ROOT)
    assert done.returncode == 5 and "127.0.0.1:9" in done.stderr, done.stderr


MLFLOW = [
    ("no name", "experiments/create", {}, 400, "INVALID_PARAMETER_VALUE", "name"),
    ("not JSON", "experiments/create", b"{", 400, None, ""),
    ("a wrong type", "experiments/create", {"name": 5}, 400, "INVALID_PARAMETER_VALUE", "name"),
    ("an unknown run", "runs/log-metric", {"run_id": "0" * 32, "key": "a", "value": 1, "timestamp": 1}, 404,
     "RESOURCE_DOES_NOT_EXIST", ""),
    ("a run in no experiment", "runs/create", {"experiment_id": "99999"}, 404, "RESOURCE_DOES_NOT_EXIST", ""),
    ("a bad filter", "runs/search", {"experiment_ids": ["0"], "filter": "metrics.a >"}, 400,
     "INVALID_PARAMETER_VALUE", ""),
    ("OR in a filter", "runs/search", {"experiment_ids": ["0"], "filter": "metrics.a > 1 OR metrics.b > 1"}, 400,
     "INVALID_PARAMETER_VALUE", ""),
    ("too many results", "runs/search", {"experiment_ids": ["0"], "max_results": 50001}, 400,
     "INVALID_PARAMETER_VALUE", ""),
    ("a bad page token", "runs/search", {"experiment_ids": ["0"], "page_token": "!!"}, 400,
     "INVALID_PARAMETER_VALUE", ""),
    ("a model that is not there", "model-versions/create", {"name": "no-such-model", "source": "runs:/" + "0" * 32 + "/model"}, 404,
     "RESOURCE_DOES_NOT_EXIST", ""),
    ("an unknown stage", "model-versions/transition-stage",
     {"name": "no-such-model", "version": "1", "stage": "Lunch", "archive_existing_versions": False}, 400, None, ""),
    ("an unknown endpoint", "runs/juggle", {}, 404, None, ""),
]


@pytest.mark.parametrize("path, body, status, code, word", [c[1:] for c in MLFLOW], ids=[c[0] for c in MLFLOW])
def test_wrong_mlflow_calls_get_mlflows_errors(aerie, path, body, status, code, word):
    data = body if isinstance(body, bytes) else json.dumps(body)
    answer = requests.post(f"{aerie.http}/api/2.0/mlflow/{path}", data=data,
                           headers={"Content-Type": "application/json"}, timeout=10)
    assert answer.status_code == status, answer.text
    if code:
        assert answer.json()["error_code"] == code, answer.text
    assert word in answer.text


@pytest.mark.parametrize("path", ["../../../etc/passwd", "%2e%2e/%2e%2e/metadata.db", "a/../../../metadata.db"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_an_artifact_path_cannot_leave_its_folder(aerie, method, path):
    session = requests.Session()
    request = requests.Request(method, "http://x", data=b"x" if method == "PUT" else None).prepare()
    request.url = f"{aerie.http}/api/2.0/mlflow-artifacts/artifacts/{path}"
    answer = session.send(request, timeout=10)
    assert answer.status_code in (400, 404), (answer.status_code, answer.text)
    assert b"root:" not in answer.content and b"SQLite" not in answer.content


def infer_body(**changes):
    body = {"inputs": [{"name": "input", "shape": [1, 9], "datatype": "FP64", "data": [0.5] * 9}]}
    body["inputs"][0].update(changes)
    return body


INFER = [
    ("not JSON", lambda m: ("/infer", b"{'a': 1}", {}), 400),
    ("an empty body", lambda m: ("/infer", b"", {}), 400),
    ("no inputs", lambda m: ("/infer", b"{}", {}), 400),
    ("inputs that are no list", lambda m: ("/infer", b'{"inputs": 5}', {}), 400),
    ("too few values", lambda m: ("/infer", infer_body(data=[1.0]), {}), 400),
    ("too many columns", lambda m: ("/infer", infer_body(shape=[1, 400], data=[0.5] * 400), {}), 400),
    ("a negative dimension", lambda m: ("/infer", infer_body(shape=[-1, 9]), {}), 400),
    ("a shape that overflows", lambda m: ("/infer", infer_body(shape=[2**62, 9]), {}), 400),
    ("an unknown datatype", lambda m: ("/infer", infer_body(datatype="FP128"), {}), 400),
    ("words for numbers", lambda m: ("/infer", infer_body(data=["a"] * 9), {}), 400),
    ("JSON too deep", lambda m: ("/infer", b"[" * 100000, {}), 400),
    ("an unknown output", lambda m: ("/infer", {**infer_body(), "outputs": [{"name": "nothing"}]}, {}), 400),
    ("a version that is not there", lambda m: ("/versions/99999/infer", infer_body(), {}), 404),
    ("a binary header past the end", lambda m: ("/infer", b"{}", {"Inference-Header-Content-Length": "999"}), 400),
    ("a binary header that is no number", lambda m: ("/infer", b"{}", {"Inference-Header-Content-Length": "x"}), 400),
    ("an unknown content encoding", lambda m: ("/infer", b"{}", {"Content-Encoding": "br"}), 415),
]


@pytest.mark.parametrize("make, status", [c[1:] for c in INFER], ids=[c[0] for c in INFER])
def test_wrong_inference_requests(aerie, fraud_deployment, make, status):
    path, body, headers = make(fraud_deployment)
    data = body if isinstance(body, bytes) else json.dumps(body)
    answer = requests.post(f"{aerie.inference_http}/v2/models/{fraud_deployment.name}{path}", data=data,
                           headers=headers, timeout=10)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]


def test_a_model_that_is_not_there_and_a_wrong_method(aerie):
    answer = requests.post(aerie.inference_http + "/v2/models/nothing/infer", json=infer_body(), timeout=10)
    assert answer.status_code == 404 and "nothing" in answer.json()["error"]
    assert requests.put(aerie.inference_http + "/v2/health/live", timeout=10).status_code == 405


def test_wrong_seldon_predictions(aerie, fraud_deployment):
    url = f"{aerie.inference_http}/seldon/default/{fraud_deployment.name}/api/v1.0/predictions"
    for body in (b"{", b"{}", b'{"data": {}}', b'{"data": {"ndarray": [["a"]]}}',
                 b'{"data": {"tensor": {"shape": [1, 2], "values": [1]}}}'):
        answer = requests.post(url, data=body, timeout=10)
        assert answer.status_code == 400, (body, answer.text)
        assert answer.json()["status"]["status"] == "FAILURE"


def call_grpc(address, method, payload):
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(method, request_serializer=lambda b: b, response_deserializer=lambda b: b)
        return call(payload, timeout=10)


GRPC = [
    ("an unknown service", "/nothing.Service/Do", b"", grpc.StatusCode.UNIMPLEMENTED),
    ("an unknown method", "/inference.GRPCInferenceService/Juggle", b"", grpc.StatusCode.UNIMPLEMENTED),
    ("no model name", "/inference.GRPCInferenceService/ModelInfer", b"", None),
    ("a model that is not there", "/inference.GRPCInferenceService/ModelInfer",
     b"\x0a\x07nothing\x2a\x18\x0a\x01i\x12\x04FP64\x1a\x01\x01\x2a\x0a\x3a\x08" + b"\x00" * 8,
     grpc.StatusCode.NOT_FOUND),
    ("a truncated message", "/inference.GRPCInferenceService/ModelInfer", b"\x0a\x7fab",
     grpc.StatusCode.INVALID_ARGUMENT),
    ("a varint without an end", "/inference.GRPCInferenceService/ModelInfer", b"\xff" * 20,
     grpc.StatusCode.INVALID_ARGUMENT),
]


@pytest.mark.parametrize("method, payload, status", [c[1:] for c in GRPC], ids=[c[0] for c in GRPC])
def test_wrong_grpc_calls(aerie, fraud_deployment, method, payload, status):
    with pytest.raises(grpc.RpcError) as error:
        call_grpc(aerie.inference_grpc, method, payload)
    expected = {status} if status else {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
    assert error.value.code() in expected, error.value


MODEL_FILES = [
    ("an empty file", "model.json", b"", "model.json"),
    ("JSON cut short", "model.json", b'{"learner": {"attributes": {', "byte"),
    ("JSON of another kind", "model.json", b'{"hello": 1}', "learner"),
    ("UBJSON cut short", "model.ubj", b"{L" + struct.pack(">q", 7) + b"learner", "byte"),
    ("a length of 2^60", "model.ubj", b"{L" + struct.pack(">q", 2**60) + b"x", "byte"),
    ("a LightGBM text cut short", "model.txt", b"tree\nversion=v4\nnum_class=1\n", "model.txt"),
    ("LightGBM with a child out of range", "model.txt", textwrap.dedent("""\
        tree
        version=v4
        num_class=1
        num_tree_per_iteration=1
        label_index=0
        max_feature_idx=1
        objective=binary sigmoid:1
        feature_names=a b
        feature_infos=none none
        tree_sizes=100

        Tree=0
        num_leaves=2
        num_cat=0
        split_feature=0
        split_gain=1
        threshold=0.5
        decision_type=2
        left_child=77
        right_child=-2
        leaf_value=0.1 0.2
        leaf_weight=1 1
        leaf_count=1 1
        internal_value=0
        internal_weight=0
        internal_count=2
        is_linear=0
        shrinkage=1


        end of trees
        """).encode(), "model.txt"),
    ("an ONNX file that is none", "model.onnx", b"\x08\x07not a model at all", "model.onnx"),
]


@pytest.mark.parametrize("name, content, word", [c[1:] for c in MODEL_FILES], ids=[c[0] for c in MODEL_FILES])
def test_a_wrong_model_file_fails_its_deployment_and_nothing_else(aerie, tmp_path, name, content, word):
    (tmp_path / name).write_bytes(content)
    deployment = "bad-" + name.replace(".", "-") + f"-{abs(hash(content)) % 10**6}"
    aerie.cli("apply", "-f", "-", input=sdep(name=deployment, uri=str(tmp_path / name)))
    try:
        for _ in range(100):
            status = json.loads(aerie.cli("get", "SeldonDeployment", deployment, "-o", "json").stdout).get("status")
            if status and status.get("state") == "Failed":
                break
        assert word in json.dumps(status), status
        assert requests.get(aerie.inference_http + "/v2/health/live", timeout=5).status_code == 200
    finally:
        aerie.cli("delete", "SeldonDeployment", deployment)
