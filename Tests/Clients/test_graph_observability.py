"""Each node of a graph is a span of its request's trace, and one with a logger sends copies of what it was given and gave."""
import json

import grpc
import numpy
import pytest
import requests
import tritonclient.grpc

from test_request_logging import receiver  # noqa: F401
from test_seldon import COLUMNS, ROWS, apply, model, models, node, post  # noqa: F401
from test_tracing import PARENT, attributes, collector  # noqa: F401

TRACE = PARENT[3:35]


@pytest.fixture(scope="module")
def server(collector, receiver, models, start_aerie, tmp_path_factory):
    made = start_aerie(
        tmp_path_factory.mktemp("graph-observability"), "--otlp-endpoint", collector.url, "--trace-slow", "off")
    logger = {"url": receiver.url, "mode": "all"}
    router = node("router", "ROUTER", "simple-router", [model("second", models[2][0], logger=logger)])
    apply(made, "watched", node("mean", "COMBINER", "average", [model("first", models[1][0]), router]))
    return made


def by_name(spans):
    return {span.name: span for span in spans}


def test_each_node_is_a_span(server, collector, receiver):
    answer = requests.post(
        f"{server.inference_http}/seldon/default/watched/api/v1.0/predictions", timeout=30,
        json={"data": {"names": COLUMNS, "ndarray": ROWS[:1].tolist()}}, headers={"traceparent": PARENT})
    assert answer.status_code == 200
    spans, *_ = collector.trace(TRACE)
    named = by_name(spans)
    mean, first, router, second = (named[f"Graph node: {name}"] for name in ("mean", "first", "router", "second"))
    assert mean.parent_span_id == named["Model inference"].span_id
    assert first.parent_span_id == router.parent_span_id == mean.span_id and second.parent_span_id == router.span_id
    assert attributes(router)["aerie.graph.route"] == "second" and attributes(router)["aerie.graph.branch"] == 0
    assert attributes(second)["aerie.model"].endswith("model-2.txt") and attributes(second)["aerie.model.version"]
    assert [attributes(span)["aerie.graph.type"] for span in (mean, router, second)] == ["COMBINER", "ROUTER", "MODEL"]
    root = spans[0]
    for span in (mean, first, router, second):
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano
    receiver.pair()


@pytest.mark.parametrize("spoken", ["seldon", "v2", "tensorflow"])
def test_a_node_below_the_first_is_logged(server, receiver, models, spoken):
    row, expected = ROWS[:1].tolist(), models[2][1][0]
    names = {"Seldon-Puid": f"node-{spoken}", "X-Request-Id": f"node-{spoken}"}
    if spoken == "seldon":
        post(server, "/seldon/default/watched/api/v1.0/predictions", {"data": {"ndarray": row}}, names)
    elif spoken == "tensorflow":
        post(server, "/v1/models/watched:predict", {"instances": row}, names)
    else:
        tensor = {"name": "input", "shape": [1, 3], "datatype": "FP64", "data": row}
        post(server, "/v2/models/watched/infer", {"inputs": [tensor]}, names)
    (request, sent), (response, given) = receiver.pair()
    for event, word in ((request, "request"), (response, "response")):
        assert event["ce-type"] == f"io.seldon.serving.inference.{word}" and event["ce-modelid"] == "second"
        assert event["ce-requestid"] == f"node-{spoken}" and event["ce-protocol"] == spoken
        assert event["content-type"] == "application/json"
    sent, given = json.loads(sent), json.loads(given)
    taken = {"seldon": lambda: (sent["data"]["ndarray"][0], given["data"]["ndarray"][0]),
             "tensorflow": lambda: (sent["instances"][0], [given["predictions"][0]]),
             "v2": lambda: (sent["inputs"][0]["data"], given["outputs"][0]["data"])}[spoken]()
    numbers = list(taken[1][0].values()) if isinstance(taken[1][0], dict) else taken[1]
    assert taken[0] == pytest.approx(row[0]) and numbers == pytest.approx([expected])


def test_who_asks_not_to_be_logged_is_not(server, receiver):
    for number, head in enumerate(({"Seldon-Skip-Logging": "true"}, {})):
        head["Seldon-Puid"] = f"quiet-{number}"
        post(server, "/seldon/default/watched/api/v1.0/predictions", {"data": {"ndarray": ROWS[:1].tolist()}}, head)
    assert {event["ce-requestid"] for event, _ in receiver.pair()} == {"quiet-1"}


def test_answers_by_grpc_tell_their_trace(server, collector, receiver):
    with tritonclient.grpc.InferenceServerClient(server.inference_grpc) as client:
        tensor = tritonclient.grpc.InferInput("input", [1, 3], "FP64")
        tensor.set_data_from_numpy(ROWS[:1])
        request = tritonclient.grpc._utils._get_inference_request(
            model_name="watched", inputs=[tensor], model_version="", request_id="", outputs=None, sequence_id=0,
            sequence_start=False, sequence_end=False, priority=0, timeout=None, parameters=None)
        _, call = client._client_stub.ModelInfer.with_call(
            request, metadata=[("traceparent", PARENT), ("tracestate", "vendor=abc")])
        told = dict(call.initial_metadata())
        request.model_name = "nobody"
        with pytest.raises(grpc.RpcError) as refused:
            client._client_stub.ModelInfer(request, metadata=[("traceparent", PARENT)])
    assert told["traceparent"][3:35] == TRACE and told["traceparent"][36:52] != PARENT[36:52]
    assert told["tracestate"] == "vendor=abc"
    fields = dict([*(refused.value.initial_metadata() or ()), *(refused.value.trailing_metadata() or ())])
    assert fields["traceparent"][3:35] == TRACE
    spans, *_ = collector.trace(TRACE)
    assert spans[0].span_id.hex() == told["traceparent"][36:52]
    receiver.pair()
