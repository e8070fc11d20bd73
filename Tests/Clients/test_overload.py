"""More requests than a model can answer: what clients are told, before their bodies have been read and after."""
import contextlib
import http.client
import threading
import time
import urllib.parse

import numpy
import pytest
import tritonclient.grpc
from onnx import TensorProto, helper, numpy_helper
from tritonclient.utils import InferenceServerException

from conftest import Aerie

WIDTH, LAYERS = 256, 40
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server whose model takes milliseconds a row, and may keep requests waiting for one."""
    folder = tmp_path_factory.mktemp("overload")
    names = [f"h{index}" for index in range(LAYERS)]
    nodes = [helper.make_node("MatMul", [before, "w"], [after]) for before, after in zip(["s", *names], [*names, "t"])]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["c", "w"], ["s"]), *nodes,
         helper.make_node("ReduceSum", ["t"], ["r"], keepdims=0), helper.make_node("Add", ["x", "r"], ["y"])], "slow",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 2])],
        [numpy_helper.from_array(numpy.zeros((WIDTH, WIDTH), numpy.float32), "w"),
         numpy_helper.from_array(numpy.zeros((WIDTH, WIDTH), numpy.float32), "zero")])
    # What depends on no input would be computed once, at load.
    graph.node.insert(0, helper.make_node("ReduceSum", ["x"], ["x0"], keepdims=0))
    graph.node.insert(1, helper.make_node("Add", ["zero", "x0"], ["c"]))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    aerie = Aerie(folder / "data", ("--queue-delay-target", "20ms"))
    try:
        aerie.cli("apply", "-f", "-", input=f"""
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {{name: slow, annotations: {{aerie.dev/queue-delay-target: "1"}}}}
spec:
  predictors:
  - name: default
    graph: {{name: model, implementation: TRITON_SERVER, modelUri: "file://{folder}/model.onnx"}}
""")
        deadline = time.monotonic() + 60
        while True:
            connection = connect(aerie)
            connection.request("GET", "/v2/models/slow/ready")
            if connection.getresponse().status == 200:
                break
            assert time.monotonic() < deadline, aerie.errors
            time.sleep(0.05)
        yield aerie
    finally:
        aerie.stop()


def connect(aerie, timeout=30):
    address = urllib.parse.urlsplit(aerie.inference_http)
    return http.client.HTTPConnection(address.hostname, address.port, timeout=timeout)


BODY = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}'


@contextlib.contextmanager
def overloaded(aerie, clients=64):
    """Clients that ask again as soon as they are answered, until the end; those who are refused wait a moment."""
    ends, answers = threading.Event(), {}

    def ask():
        connection = connect(aerie)
        while not ends.is_set():
            connection.request("POST", "/v2/models/slow/infer", BODY)
            answer = connection.getresponse()
            answer.read()
            answers[answer.status] = answers.get(answer.status, 0) + 1
            if answer.status == 429:
                assert answer.headers["Retry-After"] == "1"
                ends.wait(0.02)
        connection.close()

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        deadline = time.monotonic() + 30
        while not answers.get(429):
            assert time.monotonic() < deadline, answers
            time.sleep(0.01)
        yield answers
    finally:
        ends.set()
        for thread in threads:
            thread.join()


def refused_early(aerie):
    """A connection that was told 429 while its body had hardly begun, with the bytes that are still to come."""
    for _ in range(100):
        connection = connect(aerie, timeout=1)
        connection.putrequest("POST", "/v2/models/slow/infer")
        connection.putheader("Content-Length", str(16 * MEGABYTE))
        connection.endheaders(b" " * 1000)
        connection.sock.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            return connection, connection.sock.recv(65536), 16 * MEGABYTE - 1000
        # It found room, and the server waits for the body.
        connection.close()
    raise AssertionError("no request was refused before its body came")


def test_a_huge_body_is_refused_before_it_comes_and_does_not_disturb_what_follows(server):
    with overloaded(server):
        connection, told, missing = refused_early(server)
        head, body = told.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 429 ") and b"Retry-After: 1" in head and b"Connection: close" not in head
        assert b"waiting for slow models" in body
        connection.sock.settimeout(30)
        connection.sock.sendall(b" " * missing + b"GET /v2/models/slow HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = http.client.HTTPResponse(connection.sock)
        answer.begin()
        assert answer.status == 200 and b'"name":"slow"' in answer.read()
        connection.close()


def test_calls_are_refused_with_resource_exhausted_and_their_connection_goes_on(server):
    client = tritonclient.grpc.InferenceServerClient(server.inference_grpc)
    given = tritonclient.grpc.InferInput("x", [MEGABYTE, 2], "FP32")
    given.set_data_from_numpy(numpy.ones((MEGABYTE, 2), numpy.float32))
    with overloaded(server):
        codes = set()
        for _ in range(5):
            try:
                client.infer("slow", [given])
            except InferenceServerException as error:
                codes.add(error.status())
        assert codes == {"StatusCode.RESOURCE_EXHAUSTED"}
        assert client.is_server_live() and client.get_model_metadata("slow").name == "slow"
    one = tritonclient.grpc.InferInput("x", [1, 2], "FP32")
    one.set_data_from_numpy(numpy.ones((1, 2), numpy.float32))
    numpy.testing.assert_array_equal(client.infer("slow", [one]).as_numpy("y"), [[1, 1]])
    client.close()


def test_some_are_answered_all_the_time_and_all_are_afterwards(server):
    with overloaded(server) as answers:
        before = answers.get(200, 0)
        deadline = time.monotonic() + 30
        while answers.get(200, 0) < before + 20:
            assert time.monotonic() < deadline, answers
            time.sleep(0.01)
        assert set(answers) == {200, 429}
    connection = connect(server)
    for _ in range(5):
        connection.request("POST", "/v2/models/slow/infer", BODY)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()


def test_a_target_that_is_no_time_is_refused_by_its_place(server):
    done = server.cli("apply", "-f", "-", check=False, input="""
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {name: wrong, annotations: {aerie.dev/queue-delay-target: soon}}
spec:
  predictors:
  - name: default
    graph: {name: model, implementation: SKLEARN_SERVER, modelUri: "file:///nowhere"}
""")
    assert done.returncode != 0 and "aerie.dev/queue-delay-target" in done.stderr and "soon" in done.stderr
