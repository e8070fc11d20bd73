"""Copies of requests and answers as CloudEvents: Seldon's and KServe's `logger`."""
import datetime
import http.server
import json
import queue
import threading

import numpy
import pytest
import requests
import tritonclient.grpc

from conftest import FraudDeployment, wait_until_available

NAME = "logged-fraud"


class Receiver:
    """What a logger's address gets. `answer` is the status that it gives."""

    def __init__(self):
        self.events: queue.Queue = queue.Queue()
        self.answer = 202
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.events.put((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(receiver.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/events"

    def next(self, kind=None):
        path, headers, body = self.events.get(timeout=30)
        assert path == "/events" and headers["ce-specversion"] == "1.0"
        if kind:
            assert headers["ce-type"].endswith("." + kind)
        return headers, body

    def pair(self):
        """The events of one request: several are sent at once, so either may come first."""
        both = [self.next(), self.next()]
        both.sort(key=lambda event: event[0]["ce-type"])
        return both

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def receiver():
    made = Receiver()
    yield made
    made.stop()


def seldon(uri, logger, name=NAME):
    return f"""
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {{name: {name}}}
spec:
  predictors:
  - name: production
    graph: {{name: classifier, type: MODEL, implementation: XGBOOST_SERVER, modelUri: {uri}, logger: {logger}}}
"""


@pytest.fixture(scope="module")
def logged(aerie, fraud_deployment, receiver):
    uri = f"models:/{fraud_deployment.model}/{fraud_deployment.version}"
    done = aerie.cli("apply", "-f", "-", input=seldon(uri, f'{{url: "{receiver.url}", mode: all}}'))
    assert "logger" not in done.stdout + done.stderr
    wait_until_available(aerie, NAME)
    aerie.uri = uri
    yield aerie
    aerie.cli("delete", "SeldonDeployment", NAME)


def infer(server, rows, name=NAME, **headers):
    body = {"inputs": [{"name": "input", "shape": list(numpy.shape(rows)), "datatype": "FP64", "data": rows}]}
    return requests.post(f"{server.inference_http}/v2/models/{name}/infer", json=body, headers=headers, timeout=30)


def test_a_request_and_its_answer_are_two_events(logged, fraud_deployment, receiver):
    answer = infer(logged, fraud_deployment.rows[:1], **{"X-Request-Id": "r-1"})
    (request, sent), (response, given) = receiver.pair()
    assert request["ce-type"] == "io.seldon.serving.inference.request"
    assert response["ce-type"] == "io.seldon.serving.inference.response"
    assert json.loads(sent)["inputs"][0]["data"] == fraud_deployment.rows[:1]
    assert given == answer.content
    for event in (request, response):
        assert event["content-type"] == "application/json"
        assert event["ce-requestid"] == "r-1" and event["ce-inferenceservicename"] == NAME
        assert event["ce-modelid"] == "classifier" and event["ce-namespace"] == "default"
        assert event["ce-endpoint"] == "production" and event["ce-protocol"] == "v2"
        assert event["ce-source"] == f"/seldon/default/{NAME}"
        datetime.datetime.fromisoformat(event["ce-time"].replace("Z", "+00:00"))
    assert request["ce-id"] != response["ce-id"]


def test_seldons_protocol_is_logged_by_its_puid(logged, fraud_deployment, receiver):
    url = f"{logged.inference_http}/seldon/default/{NAME}/api/v1.0/predictions"
    for body in ({"data": {"ndarray": fraud_deployment.rows[:2]}}, {"jsonData": fraud_deployment.rows[:2]}):
        answer = requests.post(url, json=body, timeout=30)
        assert answer.status_code == 200
        (request, sent), (response, given) = receiver.pair()
        assert json.loads(sent) == body and given == answer.content
        puid = answer.json()["meta"]["puid"]
        assert request["ce-requestid"] == response["ce-requestid"] == puid
        assert request["ce-protocol"] == "seldon"


def test_grpc_is_logged_too(logged, fraud_deployment, receiver):
    from tritonclient.grpc import service_pb2
    client = tritonclient.grpc.InferenceServerClient(logged.inference_grpc)
    tensor = tritonclient.grpc.InferInput("input", [1, 9], "FP64")
    tensor.set_data_from_numpy(numpy.array(fraud_deployment.rows[:1]))
    answer = client.infer(NAME, [tensor], headers={"x-request-id": "r-2"})
    (request, sent), (response, given) = receiver.pair()
    assert request["content-type"] == response["content-type"] == "application/x-protobuf"
    assert request["ce-requestid"] == "r-2"
    assert service_pb2.ModelInferRequest.FromString(sent).inputs[0].name == "input"
    assert service_pb2.ModelInferResponse.FromString(given) == answer.get_response()
    client.close()


def test_who_asks_not_to_be_logged_is_not(logged, fraud_deployment, receiver):
    assert infer(logged, fraud_deployment.rows[:1], **{"Seldon-Skip-Logging": "true"}).status_code == 200
    # A request that is refused has no answer to log.
    wrong = infer(logged, [[1.0, 2.0]], **{"X-Request-Id": "wrong"})
    assert wrong.status_code == 400
    headers, _ = receiver.next("request")
    assert headers["ce-requestid"] == "wrong"
    infer(logged, fraud_deployment.rows[:1], **{"X-Request-Id": "last"})
    assert {headers["ce-requestid"] for headers, _ in receiver.pair()} == {"last"}


def test_kserve_has_its_own_types_and_modes(logged, fraud_deployment, receiver):
    def manifest(mode):
        return f"""
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {{name: logged-isvc}}
spec:
  predictor:
    logger: {{mode: {mode}, url: "{receiver.url}"}}
    model: {{modelFormat: {{name: lightgbm}}, storageUri: "{logged.uri}"}}
"""
    import time
    try:
        for mode in ("response", "request"):
            logged.cli("apply", "-f", "-", input=manifest(mode))
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                state = json.loads(logged.cli("get", "InferenceService", "logged-isvc", "-o", "json").stdout)
                seen = (state.get("status") or {}).get("observedGeneration", state["metadata"].get("generation"))
                if (state.get("status") or {}).get("state") == "Available" and seen == state["metadata"].get("generation"):
                    infer(logged, fraud_deployment.rows[:1], "logged-isvc")
                    headers, _ = receiver.next()
                    if headers["ce-type"] == f"org.kubeflow.serving.inference.{mode}":
                        break
                time.sleep(0.1)
            assert headers["ce-type"] == f"org.kubeflow.serving.inference.{mode}"
            assert headers["ce-component"] == "predictor" and headers["ce-inferenceservicename"] == "logged-isvc"
    finally:
        logged.cli("delete", "InferenceService", "logged-isvc")


def test_a_receiver_that_is_gone_costs_no_request(aerie, fraud_deployment):
    """Nothing listens at port 9: requests are answered, and what is lost is counted."""
    def lost():
        text = requests.get(aerie.http + "/metrics", timeout=30).text
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                   if line.startswith("aerie_request_log_dropped_total"))
    import time
    before = lost()
    uri = f"models:/{fraud_deployment.model}/{fraud_deployment.version}"
    aerie.cli("apply", "-f", "-", input=seldon(uri, '{url: "http://127.0.0.1:9", mode: request}', "logged-nowhere"))
    try:
        wait_until_available(aerie, "logged-nowhere")
        for _ in range(20):
            assert infer(aerie, fraud_deployment.rows[:1], "logged-nowhere").status_code == 200
        deadline = time.monotonic() + 60
        while lost() < before + 20 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert lost() == before + 20
    finally:
        aerie.cli("delete", "SeldonDeployment", "logged-nowhere")


def test_a_logger_that_cannot_work_is_told(aerie):
    done = aerie.cli("apply", "-f", "-", input=seldon("/nowhere", '{url: "broker:80"}', "logged-wrong"), check=False)
    assert done.returncode == 2 and "logger.url" in done.stderr and "http://host/path" in done.stderr
    done = aerie.cli("apply", "--dry-run", "-f", "-", input=seldon("/nowhere", "{mode: all}", "logged-wrong"), check=False)
    assert "without a url nothing is logged" in done.stdout + done.stderr
