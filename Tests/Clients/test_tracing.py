"""Traces and stages of served predictions: what collectors get over OTLP, by HTTP and by gRPC."""
import concurrent.futures
import http.server
import json
import queue
import ssl
import subprocess
import threading
import time

import grpc
import mlflow
import numpy
import pytest
import requests
import tritonclient.grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from conftest import FraudDeployment, wait_until_available
from test_inference_protocol import MANIFEST, write_model

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class HTTPCollector:
    """An OTLP/HTTP receiver: the messages that came, decoded by OpenTelemetry's own package."""

    def __init__(self):
        self.requests: queue.Queue = queue.Queue()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests.put((self.path, dict(self.headers), body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def next(self):
        path, headers, body = self.requests.get(timeout=30)
        assert path == "/v1/traces"
        assert headers["Content-Type"] == "application/x-protobuf"
        return trace_service_pb2.ExportTraceServiceRequest.FromString(body), headers

    def trace(self, trace_id: str):
        """All spans of one trace, which leave in one message."""
        for _ in range(100):
            message, headers = self.next()
            spans = [s for s in spans_of(message) if s.trace_id.hex() == trace_id]
            if spans:
                return spans, message, headers
        raise AssertionError("the trace did not come")

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class GRPCCollector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, failures=0, certificate=None):
        self.messages: queue.Queue = queue.Queue()
        self.failures = failures
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self.server)
        if certificate:
            key, chain = certificate
            secured = grpc.ssl_server_credentials([(key.read_bytes(), chain.read_bytes())])
            self.port = self.server.add_secure_port("127.0.0.1:0", secured)
        else:
            self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self.server.start()

    def Export(self, request, context):
        self.messages.put((request, dict(context.invocation_metadata())))
        if self.failures:
            self.failures -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        return trace_service_pb2.ExportTraceServiceResponse()

    def stop(self):
        self.server.stop(None).wait()


def spans_of(message):
    return [span for resource in message.resource_spans for scope in resource.scope_spans for span in scope.spans]


def attributes(item):
    values = {}
    for pair in item.attributes:
        values[pair.key] = getattr(pair.value, pair.value.WhichOneof("value"))
    return values


def infer(server, rows, name=FraudDeployment.name, **headers):
    body = {"inputs": [{"name": "input", "shape": list(numpy.shape(rows)), "datatype": "FP64", "data": rows}]}
    return requests.post(f"{server.inference_http}/v2/models/{name}/infer", json=body, headers=headers, timeout=30)


@pytest.fixture(scope="module")
def collector():
    made = HTTPCollector()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def traced(collector, start_aerie, tmp_path_factory):
    server = start_aerie(
        tmp_path_factory.mktemp("traced"), "--otlp-endpoint", collector.url, "--trace-slow", "off",
        environment={"OTEL_SERVICE_NAME": "fraud-api", "OTEL_EXPORTER_OTLP_HEADERS": "x-team=risk%20office"})
    server.fraud = FraudDeployment(server)
    return server


def test_a_prediction_is_a_trace_of_its_stages(traced, collector):
    answer = infer(traced, traced.fraud.rows[:1], traceparent=PARENT, tracestate="vendor=abc")
    assert answer.status_code == 200
    # Who asked learns which span was the server's.
    version, trace_id, span_id, flags = answer.headers["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", PARENT[3:35], "01")
    assert answer.headers["tracestate"] == "vendor=abc"
    assert answer.json()["outputs"][0]["data"] == pytest.approx(traced.fraud.expected[:1])

    spans, message, headers = collector.trace(trace_id)
    assert headers["x-team"] == "risk office"
    resource = attributes(message.resource_spans[0].resource)
    assert resource["service.name"] == "fraud-api" and resource["service.version"]
    root = spans[0]
    assert root.name == "POST /v2/models/{model}/infer" and root.kind == root.SPAN_KIND_SERVER
    assert root.span_id.hex() == span_id and root.parent_span_id.hex() == PARENT[36:52]
    assert root.trace_state == "vendor=abc"
    told = attributes(root)
    assert told["http.response.status_code"] == 200 and told["aerie.deployment"] == FraudDeployment.name
    assert told["aerie.model.version"] == str(traced.fraud.version) and told["aerie.sampling.reason"] == "ratio"
    named = {span.name: span for span in spans}
    assert set(named) == {root.name, "Seldon Router", "Model Server", "Preprocessing", "Model inference",
                          "Postprocessing", "Response"}
    for name in ("Seldon Router", "Model Server", "Response"):
        assert named[name].parent_span_id == root.span_id
    for name in ("Preprocessing", "Model inference", "Postprocessing"):
        assert named[name].parent_span_id == named["Model Server"].span_id
    # One after the other, within the whole, and at this time of day.
    order = [named[name] for name in ("Seldon Router", "Preprocessing", "Model inference", "Postprocessing", "Response")]
    assert all(a.end_time_unix_nano == b.start_time_unix_nano for a, b in zip(order, order[1:]))
    assert order[0].start_time_unix_nano == root.start_time_unix_nano
    assert order[-1].end_time_unix_nano == root.end_time_unix_nano
    assert abs(root.start_time_unix_nano / 1e9 - time.time()) < 60
    assert attributes(named["Model inference"])["aerie.budget_ms"] == 2.3


def test_what_the_caller_does_not_keep_is_not_sent(traced, collector):
    """The second request's trace comes, and nothing of the first before it."""
    quiet = "11111111111111111111111111111111"
    assert infer(traced, traced.fraud.rows[:1], traceparent=f"00-{quiet}-00f067aa0ba902b7-00").status_code == 200
    assert infer(traced, traced.fraud.rows[:1]).headers["traceparent"].endswith("-00")
    loud = "22222222222222222222222222222222"
    assert infer(traced, traced.fraud.rows[:1], traceparent=f"00-{loud}-00f067aa0ba902b7-01").status_code == 200
    message, _ = collector.next()
    assert {span.trace_id.hex() for span in spans_of(message)} == {loud}


def test_what_the_server_failed_to_answer_is_kept(traced, collector, tmp_path):
    """A request whose batch does not fill in its time; one that its caller got wrong is no failure of the server's."""
    config = {"max_batch_size": 16,
              "dynamic_batching": {"preferred_batch_size": [4], "max_queue_delay_microseconds": 20_000_000}}
    traced.cli("apply", "-f", "-", input=MANIFEST.format(
        name="never-full", annotations=json.dumps({"aerie.dev/model-config": json.dumps(config)}),
        path=write_model(tmp_path / "scaled.onnx")))
    wait_until_available(traced, "never-full")
    wrong, failed = "6" * 32, "7" * 32
    body = {"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}

    def ask(trace_id, body):
        return requests.post(
            f"{traced.inference_http}/v2/models/never-full/infer", json=body, timeout=30,
            headers={"traceparent": f"00-{trace_id}-00f067aa0ba902b7-00", "X-Envoy-Expected-Rq-Timeout-Ms": "50"}).status_code

    assert ask(wrong, {"inputs": []}) == 400
    assert ask(failed, body) == 504
    message, _ = collector.next()
    spans = spans_of(message)
    assert {span.trace_id.hex() for span in spans} == {failed}
    told = attributes(spans[0])
    assert told["aerie.sampling.reason"] == "failed" and told["http.response.status_code"] == 504
    assert spans[0].status.code == spans[0].status.STATUS_CODE_ERROR


def test_seldons_and_kserves_protocols_are_traced_too(traced, collector):
    trace_id = "33333333333333333333333333333333"
    header = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    body = {"data": {"ndarray": traced.fraud.rows[:1]}}
    base = traced.inference_http
    assert requests.post(f"{base}/seldon/default/{FraudDeployment.name}/api/v1.0/predictions", json=body, headers=header,
                         timeout=30).status_code == 200
    spans, _, _ = collector.trace(trace_id)
    assert spans[0].name == "POST /api/v1.0/predictions"
    assert "Model inference" in {span.name for span in spans}
    answer = requests.post(f"{base}/v1/models/{FraudDeployment.name}:predict", json={"instances": traced.fraud.rows[:1]},
                           headers={"traceparent": f"00-{trace_id[:-1]}4-00f067aa0ba902b7-01"}, timeout=30)
    assert answer.status_code == 200
    spans, _, _ = collector.trace(trace_id[:-1] + "4")
    assert spans[0].name == "POST /v1/models/{model}:predict"
    assert {"Seldon Router", "Model inference", "Response"} <= {span.name for span in spans}


def test_stages_are_metrics(traced):
    for _ in range(5):
        infer(traced, traced.fraud.rows[:1])
    text = requests.get(traced.http + "/metrics", timeout=30).text
    counts = {}
    for line in text.splitlines():
        if line.startswith("aerie_inference_stage_seconds_count{"):
            stage = line.split('stage="')[1].split('"')[0]
            counts[stage] = counts.get(stage, 0) + int(line.rsplit(" ", 1)[1])
    assert set(counts) == {"route", "preprocess", "inference", "postprocess", "serialize"}
    assert len(set(counts.values())) == 1 and counts["route"] >= 5
    assert 'aerie_inference_stage_seconds_bucket{deployment_name="clients-fraud",' in text and 'le="5e-05"' in text
    # The names of Triton and of Seldon Core 2 beside them.
    for name in ("nv_inference_compute_input_duration_us", "nv_inference_compute_output_duration_us",
                 "nv_inference_compute_infer_duration_us", "nv_inference_queue_duration_us"):
        assert f'{name}{{model="clients-fraud",' in text
    assert 'seldon_model_infer_total{model="clients-fraud",model_internal="classifier",method_type="rest",code="200"}' in text
    assert "seldon_model_infer_seconds_total{" in text
    assert "aerie_trace_spans_exported_total" in text and "aerie_trace_spans_dropped_total" in text


def test_the_console_sets_stages_against_the_budget(traced, collector):
    trace_id = "55555555555555555555555555555555"
    infer(traced, traced.fraud.rows[:1], traceparent=f"00-{trace_id}-00f067aa0ba902b7-01")
    page = requests.get(f"{traced.http}/console/deployments/{FraudDeployment.name}/latency", timeout=30).text
    assert 'svg class="budget"' in page and "Model inference" in page and "2.30 ms" in page
    assert trace_id in page
    one = requests.get(f"{traced.http}/console/deployments/{FraudDeployment.name}/latency?trace={trace_id}", timeout=30).text
    assert one.count('class="spanrow"') == 7 and "Seldon Router" in one and " of 2.30 ms" in one
    gone = requests.get(f"{traced.http}/console/deployments/{FraudDeployment.name}/latency?trace={'9' * 32}", timeout=30).text
    assert "not among the newest" in gone
    assert requests.get(f"{traced.http}/console/deployments/nobody/latency", timeout=30).status_code == 404
    assert "/latency" in requests.get(f"{traced.http}/console/deployments/{FraudDeployment.name}", timeout=30).text
    collector.trace(trace_id)


def test_grpc_calls_by_grpc(start_aerie, tmp_path):
    """Traced calls over gRPC, told to a collector over gRPC that is away for the first message."""
    collector = GRPCCollector(failures=1)
    try:
        server = start_aerie(tmp_path, environment={
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-team=risk", "AERIE_TRACE_SLOW": "off"})
        fraud = FraudDeployment(server)
        client = tritonclient.grpc.InferenceServerClient(server.inference_grpc)
        tensor = tritonclient.grpc.InferInput("input", [1, 9], "FP64")
        tensor.set_data_from_numpy(numpy.array(fraud.rows[:1]))
        client.infer(fraud.name, [tensor], headers={"traceparent": PARENT})
        first, metadata = collector.messages.get(timeout=30)
        assert metadata["x-team"] == "risk"
        again, _ = collector.messages.get(timeout=30)
        assert again == first
        root = spans_of(first)[0]
        assert root.name == "inference.GRPCInferenceService/ModelInfer"
        assert attributes(root)["rpc.grpc.status_code"] == 0
        assert root.parent_span_id.hex() == PARENT[36:52]
        assert "Model inference" in {span.name for span in spans_of(first)}
        client.close()
        # A trace that waits when the server ends is sent before it does.
        infer(server, fraud.rows[:1], traceparent=PARENT)
        assert server.stop() == 0
        assert spans_of(collector.messages.get(timeout=30)[0])[0].name == "POST /v2/models/{model}/infer"
    finally:
        collector.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key, and a certificate for `localhost` and 127.0.0.1 that vouches for itself."""
    folder = tmp_path_factory.mktemp("tls")
    key, chain = folder / "key.pem", folder / "chain.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", chain, "-days",
                    "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                   check=True, capture_output=True)
    return key, chain


@pytest.mark.parametrize("url", ["https://localhost:{}", "grpcs://127.0.0.1:{}"])
def test_grpc_with_tls(start_aerie, tmp_path, certificate, url):
    """A collector over gRPC with TLS, by its name and by its address, whose certificate a file vouches for."""
    collector = GRPCCollector(certificate=certificate)
    try:
        server = start_aerie(tmp_path, "--otlp-endpoint", url.format(collector.port), "--otlp-protocol", "grpc",
                             "--otlp-certificate", str(certificate[1]), "--trace-ratio", "1")
        fraud = FraudDeployment(server)
        infer(server, fraud.rows[:1])
        assert spans_of(collector.messages.get(timeout=30)[0])[0].name == "POST /v2/models/{model}/infer"
        assert server.stop() == 0
    finally:
        collector.stop()


def test_http_with_tls(start_aerie, tmp_path, certificate):
    collector = HTTPCollector()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[1], certificate[0])
    collector.server.socket = context.wrap_socket(collector.server.socket, server_side=True)
    try:
        server = start_aerie(tmp_path, "--otlp-endpoint", f"https://localhost:{collector.server.server_address[1]}",
                             "--otlp-certificate", str(certificate[1]), "--trace-ratio", "1")
        fraud = FraudDeployment(server)
        trace_id = infer(server, fraud.rows[:1]).headers["traceparent"].split("-")[1]
        assert collector.trace(trace_id)[0]
        assert server.stop() == 0
    finally:
        collector.stop()


def test_a_collector_that_nobody_vouches_for_gets_nothing(start_aerie, tmp_path, certificate):
    """Predictions go on, nothing is sent in the clear, and the log says why."""
    collector = GRPCCollector(certificate=certificate)
    try:
        server = start_aerie(tmp_path, "--otlp-endpoint", collector.url, "--otlp-protocol", "grpc", "--trace-ratio", "1")
        fraud = FraudDeployment(server)
        assert infer(server, fraud.rows[:1]).status_code == 200
        assert server.stop() == 0
        log = "".join(server.errors)
        assert "traces were not exported" in log and "CERTIFICATE_VERIFY_FAILED" in log, log
        assert collector.messages.empty()
    finally:
        collector.stop()


def test_a_prediction_is_a_trace_in_another_aerie(aerie, start_aerie, tmp_path):
    """Aerie's own OTLP endpoint takes what Aerie sends: the prediction is a trace that mlflow reads."""
    mlflow.set_tracking_uri(aerie.http)
    experiment = mlflow.create_experiment("served predictions")
    server = start_aerie(tmp_path, "--otlp-endpoint", aerie.http, "--otlp-headers",
                         f"x-mlflow-experiment-id={experiment}", "--trace-ratio", "1")
    fraud = FraudDeployment(server)
    trace_id = infer(server, fraud.rows[:1]).headers["traceparent"].split("-")[1]
    assert server.stop() == 0
    mlflow.set_tracking_uri(aerie.http)
    trace = mlflow.get_trace(f"tr-{trace_id}")
    assert trace.info.experiment_id == experiment
    assert [span.name for span in trace.data.spans if span.parent_id is None] == ["POST /v2/models/{model}/infer"]
    assert {"Seldon Router", "Model inference", "Response"} <= {span.name for span in trace.data.spans}
    assert "Model inference" in requests.get(f"{aerie.http}/console/traces/tr-{trace_id}", timeout=30).text


def test_wrong_settings_are_told(tmp_path):
    from conftest import BINARY
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for flags, word in [(["--otlp-endpoint", "localhost:4318"], "http://host:4318"),
                        (["--otlp-endpoint", "ftp://c:4317", "--otlp-protocol", "grpc"], "no address"),
                        (["--otlp-endpoint", "http://c:4317", "--otlp-certificate", "ca.pem"], "https://"),
                        (["--otlp-endpoint", "https://c:4317", "--otlp-certificate", "/no/ca.pem"], "/no/ca.pem"),
                        (["--otlp-endpoint", "https://c:4317", "--otlp-certificate", str(empty)], "certificate"),
                        (["--otlp-protocol", "thrift"], "grpc or http/protobuf"), (["--trace-ratio", "2"], "from 0 to 1"),
                        (["--trace-slow", "fast"], "5ms"), (["--otlp-headers", "a"], "name=value")]:
        done = subprocess.run([BINARY, "up", "--data-dir", str(tmp_path), *flags], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and word in done.stderr, done.stderr


def test_each_view_is_a_query_of_its_own(collector, start_aerie, tmp_path):
    """A deployment with a feature service: the fetcher's span, and below it one for each view."""
    import test_serving_features as features
    more = features.FEATURES.replace('"user_stats:n_logins", ', '"user_places:n_logins", ') + """
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {name: user_places}
spec:
  entities: [user]
  pushSource: place_push
  source: {type: parquet, path: /nowhere.parquet, timestampField: event_timestamp}
  features: [{name: n_logins, dtype: INT64}]
"""
    server = start_aerie(tmp_path, "--otlp-endpoint", collector.url, "--trace-slow", "0ms")
    server.cli("apply", "-f", "-", input=more)
    features.push(server, [dict(user_id=1, event_timestamp=features.NOW, **features.USERS[1])])
    mlflow.set_tracking_uri(server.http)
    mlflow.set_experiment("features")
    with mlflow.start_run():
        logged = mlflow.lightgbm.log_model(features.train(), name="model", pip_requirements=["lightgbm"])
    server.cli("apply", "-f", "-", input=features.deployment("scoring", logged.model_uri))
    wait_until_available(server, "scoring")
    inputs = [features.column("user_id", "INT64", [1]), features.column("amount", "FP64", [10.0])]
    answer = requests.post(f"{server.inference_http}/v2/models/scoring/infer", json={"inputs": inputs}, timeout=30)
    assert answer.status_code == 200, answer.text
    trace_id = answer.headers["traceparent"].split("-")[1]
    spans, _, _ = collector.trace(trace_id)
    assert attributes(spans[0])["aerie.sampling.reason"] == "slow"
    fetcher = next(span for span in spans if span.name == "Feature Fetcher")
    assert attributes(fetcher)["aerie.budget_ms"] == 0.8
    queries = [span for span in spans if span.parent_span_id == fetcher.span_id]
    assert {attributes(span)["feast.feature_view"] for span in queries} == {"user_stats", "user_places"}
    assert all(span.kind == span.SPAN_KIND_CLIENT for span in queries)
    assert all(fetcher.start_time_unix_nano <= span.start_time_unix_nano
               and span.end_time_unix_nano <= fetcher.end_time_unix_nano for span in queries)
    # Decoding comes before the features, laying them out behind.
    assert [span.name for span in spans].count("Preprocessing") == 2
