"""Traces with the real client: spans as they end, what is known of a trace, what people think of it, runs and prompts."""
import asyncio
import gzip
import time
import uuid

import mlflow
import pytest
import requests
from mlflow.entities import AssessmentSource, Document, SpanType
from mlflow.entities.trace_metrics import AggregationType, MetricAggregation, MetricViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from conftest import Aerie


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Aerie(tmp_path_factory.mktemp("traces"))
    yield running
    assert running.stop() == 0, "".join(running.errors[-20:])


@pytest.fixture
def experiment(server):
    mlflow.set_tracking_uri(server.http)
    yield mlflow.set_experiment(f"traces-{uuid.uuid4().hex[:8]}").experiment_id


@pytest.fixture
def client(server):
    return MlflowClient(server.http, server.http)


def flushed():
    mlflow.flush_trace_async_logging()
    return mlflow.get_last_active_trace_id()


def found(experiment, **more):
    return mlflow.search_traces(locations=[experiment], return_type="list", **more)


def test_nested_calls_become_a_trace_with_its_spans(experiment):
    @mlflow.trace(name="retrieve", span_type=SpanType.RETRIEVER, attributes={"k": 3})
    def retrieve(question):
        return [Document(page_content="a", metadata={"doc_uri": "x"})]

    @mlflow.trace
    def answer(question, *, temperature=0.5):
        retrieve(question)
        with mlflow.start_span("generate", span_type=SpanType.LLM) as span:
            span.set_inputs({"prompt": "ä" * 50, "n": [1, 2.5, None, True]})
            span.set_outputs("yes")
            span.add_event(mlflow.entities.SpanEvent("thought", attributes={"tokens": 7}))
        return {"text": "yes"}

    assert answer("why?") == {"text": "yes"}
    trace = mlflow.get_trace(flushed())
    assert trace.info.state == "OK" and trace.info.experiment_id == experiment
    assert trace.info.tags["mlflow.trace.spansLocation"] == "TRACKING_STORE"
    spans = {span.name: span for span in trace.data.spans}
    assert set(spans) == {"answer", "retrieve", "generate"}
    assert spans["retrieve"].parent_id == spans["generate"].parent_id == spans["answer"].span_id
    assert spans["retrieve"].span_type == "RETRIEVER" and spans["retrieve"].get_attribute("k") == 3
    assert spans["answer"].inputs == {"question": "why?", "temperature": 0.5}
    assert spans["answer"].outputs == {"text": "yes"}
    assert spans["generate"].inputs == {"prompt": "ä" * 50, "n": [1, 2.5, None, True]}
    assert spans["generate"].events[0].name == "thought" and spans["generate"].events[0].attributes["tokens"] == 7
    assert all(span.end_time_ns >= span.start_time_ns > 1_600_000_000_000_000_000 for span in spans.values())
    assert trace.data.request == '{"question": "why?", "temperature": 0.5}' and trace.info.execution_duration >= 0


def test_an_exception_is_the_trace_s_and_the_span_s(experiment):
    @mlflow.trace
    def fails(x):
        raise ValueError("no such thing")

    with pytest.raises(ValueError):
        fails(1)
    trace = mlflow.get_trace(flushed())
    assert trace.info.state == "ERROR" and trace.data.spans[0].status.status_code == "ERROR"
    assert "no such thing" in trace.data.spans[0].status.description
    assert trace.data.spans[0].events[0].attributes["exception.type"] == "ValueError"
    assert [t.info.trace_id for t in found(experiment, filter_string="status = 'ERROR'")] == [trace.info.trace_id]


def test_tasks_and_generators_keep_their_parents(experiment):
    @mlflow.trace
    async def step(n):
        await asyncio.sleep(0)
        return n * 2

    @mlflow.trace
    async def whole():
        return sum(await asyncio.gather(*(step(n) for n in range(5))))

    assert asyncio.run(whole()) == 20
    trace = mlflow.get_trace(flushed())
    root = next(span for span in trace.data.spans if span.parent_id is None)
    assert len(trace.data.spans) == 6 and sum(span.parent_id == root.span_id for span in trace.data.spans) == 5

    @mlflow.trace(output_reducer=lambda parts: "".join(parts))
    def stream():
        yield from ("a", "b")

    assert list(stream()) == ["a", "b"]
    assert mlflow.get_trace(flushed()).data.spans[0].outputs == "ab"


def test_traces_are_found_by_what_is_known_of_them(experiment, client):
    ids = {}
    for name, color in (("one", "red"), ("two", "blue"), ("three", "red")):
        with mlflow.start_span(name) as span:
            span.set_inputs({"q": name})
            mlflow.update_current_trace(
                tags={"color": color}, metadata={"mlflow.trace.session": f"s-{color}"}, client_request_id=f"c-{name}")
        ids[name] = flushed()

    def names(text, **more):
        return [next(k for k, v in ids.items() if v == t.info.trace_id) for t in found(experiment, filter_string=text, **more)]

    assert sorted(names(None)) == ["one", "three", "two"]
    assert sorted(names("tags.color = 'red'")) == ["one", "three"]
    assert names("tags.color = 'red' AND trace.name = 'three'") == ["three"]
    assert names("metadata.`mlflow.trace.session` = 's-blue'") == ["two"]
    assert names("trace.client_request_id = 'c-one'") == ["one"]
    assert names(f"trace.timestamp_ms > {int(time.time() * 1000) + 60_000}") == []
    assert names("name = 'two' AND status = 'OK'") == ["two"]
    assert names(None, order_by=["timestamp_ms ASC"])[0] == "one"
    assert len(names(None, max_results=2)) == 2
    frame = mlflow.search_traces(locations=[experiment])
    assert len(frame) == 3 and set(frame["trace_id"]) == set(ids.values()) and frame["spans"].map(len).tolist() == [1, 1, 1]
    page = client.search_traces(locations=[experiment], max_results=2)
    assert len(client.search_traces(locations=[experiment], max_results=2, page_token=page.token)) == 1
    with pytest.raises(MlflowException, match="nothing"):
        found(experiment, filter_string="nothing = 'x'")

    client.set_trace_tag(ids["one"], "color", "green")
    assert names("tags.color = 'green'") == ["one"]
    client.delete_trace_tag(ids["one"], "color")
    assert names("tags.color = 'green'") == []
    assert client.delete_traces(experiment, trace_ids=[ids["one"]]) == 1
    assert client.delete_traces(experiment, max_timestamp_millis=int(time.time() * 1000) + 60_000, max_traces=1) == 1
    assert len(names(None)) == 1


def test_what_people_think_of_a_trace(experiment):
    with mlflow.start_span("judged"):
        pass
    trace = flushed()
    human = AssessmentSource(source_type="HUMAN", source_id="ada")
    good = mlflow.log_feedback(trace_id=trace, name="good", value=True, rationale="it is", source=human, metadata={"a": "1"})
    mlflow.log_feedback(trace_id=trace, name="score", value=0.25)
    mlflow.log_feedback(trace_id=trace, name="judge", error=ValueError("broken"))
    expected = mlflow.log_expectation(trace_id=trace, name="answer", value={"text": ["yes", "no"]}, source=human)
    read = mlflow.get_assessment(trace, good.assessment_id)
    assert (read.value, read.rationale, read.source.source_id, read.metadata) == (True, "it is", "ada", {"a": "1"})
    assert mlflow.get_assessment(trace, expected.assessment_id).value == {"text": ["yes", "no"]}
    info = mlflow.get_trace(trace).info
    assert [a.name for a in info.assessments] == ["good", "score", "judge", "answer"]
    assert info.assessments[2].error.error_message == "broken"
    assert [a.name for a in found(experiment)[0].info.assessments] == ["good", "score", "judge", "answer"]

    new = mlflow.override_feedback(trace_id=trace, assessment_id=good.assessment_id, value=False, rationale="it is not")
    assert mlflow.get_assessment(trace, good.assessment_id).valid is False
    assert new.overrides == good.assessment_id
    mlflow.delete_assessment(trace, new.assessment_id)
    assert mlflow.get_assessment(trace, good.assessment_id).valid is True
    changed = mlflow.update_assessment(
        trace, expected.assessment_id, mlflow.entities.Expectation(name="reply", value="maybe"))
    assert (changed.name, changed.value) == ("reply", "maybe")
    mlflow.delete_assessment(trace, expected.assessment_id)
    with pytest.raises(MlflowException, match="not found"):
        mlflow.get_assessment(trace, expected.assessment_id)


def test_a_trace_belongs_to_several_runs(experiment, client):
    with mlflow.start_run() as made:
        with mlflow.start_span("in a run"):
            pass
    trace = flushed()
    others = [client.create_run(experiment).info.run_id for _ in range(2)]
    for run in others * 2:
        client.link_traces_to_run([trace], run)
    for run in [made.info.run_id, *others]:
        assert [t.info.trace_id for t in mlflow.search_traces(locations=[experiment], run_id=run, return_type="list")] == [trace]
    assert found(experiment, filter_string="run_id = 'none'") == []
    with pytest.raises(MlflowException):
        client.link_traces_to_run(["tr-none"], others[0])


def test_prompts_are_linked_to_the_traces_that_used_them(experiment):
    prompt = mlflow.genai.register_prompt(f"p-{uuid.uuid4().hex[:6]}", template="Say {{word}}")

    @mlflow.trace
    def ask():
        return mlflow.genai.load_prompt(f"prompts:/{prompt.name}/1").format(word="x")

    assert ask() == "Say x"
    client = mlflow.tracking._tracking_service.utils._get_store()
    client.link_prompts_to_trace(flushed(), [prompt])


def export(server, body, kind="application/x-protobuf", **headers):
    return requests.post(server.http + "/v1/traces", data=body, timeout=30,
                         headers={"Content-Type": kind, **{name.replace("_", "-"): v for name, v in headers.items()}})


def request(trace: int, count: int = 2) -> ExportTraceServiceRequest:
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    attribute = resource.resource.attributes.add()
    attribute.key, attribute.value.string_value = "service.name", "shop"
    spans = resource.scope_spans.add().spans
    for n in range(count):
        span = spans.add()
        span.trace_id, span.span_id, span.name = trace.to_bytes(16, "big"), (n + 1).to_bytes(8, "big"), f"s{n}"
        span.start_time_unix_nano = 1_772_366_400_000_000_000 + n
        span.end_time_unix_nano = span.start_time_unix_nano + 5_000_000
        if n:
            span.parent_span_id = (1).to_bytes(8, "big")
        span.kind = 2
        for key, value in (("int_value", -3), ("double_value", float("nan")), ("bool_value", True), ("bytes_value", b"\0\xff")):
            part = span.attributes.add()
            part.key = key
            setattr(part.value, key, value)
        nested = span.attributes.add()
        nested.key = "nested"
        nested.value.kvlist_value.values.add(key="list").value.array_value.values.add(string_value="ü")
    return message


@pytest.mark.parametrize("packing", ["", "gzip", "deflate"])
def test_spans_of_other_programs(server, experiment, client, packing):
    import zlib
    number = uuid.uuid4().int
    body = request(number).SerializeToString()
    packed = {"": body, "gzip": gzip.compress(body), "deflate": zlib.compress(body)}[packing]
    run = client.create_run(experiment).info.run_id
    answer = export(server, packed, x_mlflow_experiment_id=experiment, x_mlflow_run_id=run,
                    **({"Content_Encoding": packing} if packing else {}))
    assert answer.status_code == 200, answer.text
    trace = mlflow.get_trace(f"tr-{number:032x}")
    assert trace.info.state == "OK" and trace.info.execution_duration == 5 and trace.info.tags["service.name"] == "shop"
    span = trace.data.spans[0]
    assert span.get_attribute("int_value") == -3 and span.get_attribute("bool_value") is True
    assert span.get_attribute("nested") == {"list": ["ü"]}
    assert [t.info.trace_id for t in found(experiment, filter_string=f"run_id = '{run}'")] == [trace.info.trace_id]


def test_a_real_exporter(server, experiment):
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(
        server.http + "/v1/traces", headers={"x-mlflow-experiment-id": experiment})))
    with provider.get_tracer("t").start_as_current_span("outer") as outer:
        pass
    provider.shutdown()
    trace = mlflow.get_trace(f"tr-{outer.get_span_context().trace_id:032x}")
    assert [span.name for span in trace.data.spans] == ["outer"]


def test_what_is_wrong_is_said(server, experiment):
    body = request(uuid.uuid4().int).SerializeToString()
    assert export(server, body).status_code == 400
    assert export(server, body, x_mlflow_experiment_id="987654321").status_code == 404
    assert export(server, body[:-3], x_mlflow_experiment_id=experiment).status_code == 400
    assert export(server, body, "text/plain", x_mlflow_experiment_id=experiment).status_code == 400
    assert export(server, b"x" * 40, x_mlflow_experiment_id=experiment, Content_Encoding="gzip").status_code == 400
    packed = gzip.compress(body)
    assert export(server, packed[:-9], x_mlflow_experiment_id=experiment, Content_Encoding="gzip").status_code == 400
    bomb = gzip.compress(b"\0" * (70 << 20))
    answer = export(server, bomb, x_mlflow_experiment_id=experiment, Content_Encoding="gzip")
    assert answer.status_code == 400 and "longer than" in answer.text
    assert found(experiment) == []


def test_a_trace_has_so_many_spans_and_no_more(server, experiment):
    number = uuid.uuid4().int
    assert export(server, request(number, 1).SerializeToString(), x_mlflow_experiment_id=experiment).status_code == 200
    answer = export(server, request(number, 20_001).SerializeToString(), x_mlflow_experiment_id=experiment)
    assert answer.status_code == 429 and "20000" in answer.text
    assert len(mlflow.get_trace(f"tr-{number:032x}").data.spans) == 1


def test_spans_outlive_the_server(tmp_path):
    number = uuid.uuid4().int
    first = Aerie(tmp_path)
    body = request(number).SerializeToString()
    assert export(first, body, x_mlflow_experiment_id="0").status_code == 200
    first.kill()
    second = Aerie(tmp_path)
    try:
        read = requests.get(f"{second.http}/api/3.0/mlflow/traces/get", {"trace_id": f"tr-{number:032x}"}, timeout=30).json()
        assert len(read["trace"]["spans"]) == 2
        page = requests.get(f"{second.http}/console/traces/tr-{number:032x}", timeout=30).text
        assert "s1" in page and "trace-span" in page
    finally:
        second.stop()


def test_traces_are_found_by_their_spans_and_by_what_is_thought_of_them(experiment, client):
    ids = {}
    for name, model, score in (("ask", "gpt-4", 0.9), ("ask", "claude", 0.3), ("tell", "claude", 0.8)):
        with mlflow.start_span(name):
            with mlflow.start_span("call", span_type=SpanType.LLM, attributes={"model": model}) as span:
                span.set_attribute("mlflow.llm.model", model)
                span.set_attribute("mlflow.llm.cost", {"input_cost": 0.25, "output_cost": 0.5, "total_cost": 0.75})
        ids[name, model] = flushed()
        mlflow.log_feedback(trace_id=ids[name, model], name="score", value=score)
    mlflow.log_expectation(trace_id=ids["ask", "claude"], name="answer", value={"text": ["why", 1]})

    def which(text):
        return {key for key, value in ids.items() for trace in found(experiment, filter_string=text) if trace.info.trace_id == value}

    assert which("span.type = 'LLM' AND span.attributes.model = 'claude'") == {("ask", "claude"), ("tell", "claude")}
    assert which("span.name = 'ask'") == {("ask", "gpt-4"), ("ask", "claude")}
    assert which("feedback.score > 0.5") == {("ask", "gpt-4"), ("tell", "claude")}
    assert which("feedback.score > 0.5 AND span.name = 'tell'") == {("tell", "claude")}
    assert which("expectation.answer LIKE '%why%'") == {("ask", "claude")}
    assert which("feedback.score IS NULL") == set()
    assert which("trace.text LIKE '%gpt-4%'") == {("ask", "gpt-4")}
    with pytest.raises(MlflowException, match="nothing"):
        found(experiment, filter_string="span.nothing = 'x'")

    store = client._tracing_client.store
    told = client._tracing_client.calculate_trace_filter_correlation(
        experiment_ids=[experiment], filter_string1="span.attributes.model = 'claude'", filter_string2="feedback.score < 0.5")
    assert (told.total_count, told.filter1_count, told.filter2_count, told.joint_count) == (3, 2, 1, 1)
    assert 0 < told.npmi < 1 and told.npmi_smoothed > 0
    points = store.query_trace_metrics(
        [experiment], MetricViewType.SPANS, "total_cost", [MetricAggregation(AggregationType.SUM)],
        dimensions=["span_model_name"])
    assert {point.dimensions["span_model_name"]: point.values["SUM"] for point in points} == {"claude": 1.5, "gpt-4": 0.75}
    points = store.query_trace_metrics(
        [experiment], MetricViewType.ASSESSMENTS, "assessment_value",
        [MetricAggregation(AggregationType.PERCENTILE, 50.0)], filters=["assessment.name = 'score'"])
    assert [point.values for point in points] == [{"P50.0": 0.8}]
    with pytest.raises(MlflowException, match="offered are"):
        store.query_trace_metrics([experiment], MetricViewType.TRACES, "nothing", [MetricAggregation(AggregationType.COUNT)])
