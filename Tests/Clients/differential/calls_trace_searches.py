"""Traces found by their spans and by what is thought of them, how conditions go together, and what groups amount to."""
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

START = 1_772_366_400_000  # 2026-03-01T12:00:00Z

# Names, types, status codes and attributes of each trace's spans; what is thought of it; its session.
TRACES = [
    ([("ask", "CHAIN", 1, {"model": "gpt-4", "k": 3}), ("call", "LLM", 1, {"model": "claude", "deep.key": "a b"})],
     [("feedback", "score", 0.9), ("feedback", "good", True), ("expectation", "answer", "yes")], "s-1"),
    ([("ask", "CHAIN", 2, {"model": "gpt-3"}), ("find", "RETRIEVER", 0, {})],
     [("feedback", "score", 0.2), ("feedback", "good", False), ("expectation", "answer", "no")], "s-1"),
    ([("tell", "AGENT", 1, {"model": "gpt-4"})], [("feedback", "score", "high"), ("feedback", "verdict", "yes")], "s-2"),
    ([("tell", "AGENT", 1, {})], [], "s-2"),
]


def _spans(s, experiment, number, spans):
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for at, (name, kind, code, attributes) in enumerate(spans):
        span = scope.spans.add(name=name, trace_id=bytes(15) + bytes([number]), span_id=bytes(7) + bytes([at + 1]))
        if at:
            span.parent_span_id = bytes(7) + bytes([1])
        span.start_time_unix_nano = (START + 1000 * number + 100 * at) * 1_000_000
        span.end_time_unix_nano = (START + 1000 * number + 100 * (at + 1) * number) * 1_000_000
        span.status.code = code
        for key, value in {"mlflow.spanType": kind, **attributes}.items():
            held = span.attributes.add(key=key).value
            if isinstance(value, str):
                held.string_value = value
            else:
                held.int_value = value
    s.http.post(f"{s.base}/v1/traces", data=request.SerializeToString(), timeout=60, headers={
        "Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": experiment}).raise_for_status()


def _fill(s, experiment):
    for number, (spans, thoughts, session) in enumerate(TRACES, 1):
        _spans(s, experiment, number, spans)
        trace = f"tr-{number:032x}"
        info = {"trace_id": trace, "request_time": f"2026-03-01T12:00:0{number}Z", "execution_duration": f"{number}.5s",
                "state": "ERROR" if number == 2 else "OK", "tags": {"mlflow.traceName": spans[0][0], "team": "a"},
                "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}},
                "trace_metadata": {"mlflow.trace.tokenUsage": '{"input_tokens": %d, "output_tokens": 2}' % (10 * number),
                                   **({"mlflow.trace.session": session} if session else {})}}
        s.http.post(f"{s.base}/api/3.0/mlflow/traces", json={"trace": {"trace_info": info}}, timeout=60).raise_for_status()
        for kind, name, value in thoughts:
            s.http.post(f"{s.base}/api/3.0/mlflow/traces/{trace}/assessments", timeout=60, json={"assessment": {
                "assessment_name": name, "trace_id": trace, "source": {"source_type": "HUMAN", "source_id": "x"},
                kind: {"value": value}, **({"metadata": {"mlflow.trace.session": session}} if name == "verdict" else {}),
            }}).raise_for_status()


FILTERS = [
    "span.name = 'call'", "span.name != 'ask'", "span.name IN ('find', 'tell')", "span.name NOT IN ('ask', 'call')",
    "span.name LIKE '%el%'", "span.name ILIKE 'CALL'", "span.type = 'LLM'", "span.type = 'llm'", "span.status = 'ERROR'",
    "span.status = 'UNSET'", "span.name = 'ask' AND span.type = 'LLM'", "span.name = 'ask' AND span.status = 'ERROR'",
    "span.attributes.model LIKE '%gpt-4%'", "span.attributes.model ILIKE '%GPT-4%'", "span.attributes.k LIKE '%3%'",
    "span.attributes.deep.key LIKE '%a b%'", "span.attributes.none LIKE '%a%'", "span.attributes. LIKE 'a'",
    "span.nothing = 'a'", "span.name > 'a'", "span.name = 5", "span.name IS NULL", "span.content LIKE '%claude%'",
    "trace.text LIKE '%retr%'", "trace.text ILIKE '%RETR%'", "trace.text = 'a'",
    "feedback.score > 0.5", "feedback.score <= 0.2", "feedback.score > 5", "feedback.score = 'high'", "feedback.score > 'a'",
    "feedback.score = 0.9", "feedback.good = 'true'", "feedback.good != 'true'", "feedback.score LIKE '%ig%'",
    "feedback.verdict = 'yes'", "feedback.verdict IS NULL", "feedback.verdict IS NOT NULL", "feedback.score IS NOT NULL",
    "feedback.none IS NULL", "feedback.score IN ('high')", "expectation.answer = 'yes'", "expectation.answer != 'yes'",
    "expectation.score = 'high'", "expectation.answer = 'yes' AND feedback.score > 0.5", "issue.id = 'i'", "issue.id != 'i'",
    "issue.name = 'i'", "prompt = 'p/1'", "prompt LIKE 'p%'", "prompt = 'p'", "metadata.`mlflow.trace.session` = 's-1'",
    "trace.name = 'ask' AND span.type = 'RETRIEVER' AND feedback.good = 'false'",
]

PATTERNS = [
    "span.name RLIKE '^(ask|call)$'", "span.name RLIKE 'el'", "span.name RLIKE 'ASK'", "span.name RLIKE '(?i)ASK'",
    "span.type RLIKE '^L'", "span.status RLIKE 'ERR'", "span.attributes.model RLIKE '^gpt-\\d'",
    "span.attributes.model RLIKE 'sonnet|claude'", "span.attributes.none RLIKE '.'", "tags.team RLIKE '^[ab]$'",
    "tags.team RLIKE '^$'", "name RLIKE 'a.k'", "name RLIKE 'a\\.k'", "status RLIKE '^OK$'", "trace_id RLIKE '2$'",
    "metadata.`mlflow.trace.session` RLIKE 's-[0-9]'", "feedback.verdict RLIKE 'y.s'", "expectation.answer RLIKE '^.?yes'",
    "span.content RLIKE 'x'", "trace.text RLIKE 'x'", "timestamp RLIKE '1'", "prompt RLIKE 'p'", "issue.id RLIKE 'i'",
    "name RLIKE 5", "name RLIKE ('a')", "name rlike 'a.k'", "tags.team NOT RLIKE 'a'", "name RLIKE '('",
]


def searches(s):
    e = s.post("experiments/create", name="trace searches")["experiment_id"]
    _fill(s, e)
    where = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": e}}]
    s.call("POST", "traces/link-prompts", {"trace_id": f"tr-{1:032x}", "prompt_versions": [{"name": "p", "version": "1"}]})
    for text in FILTERS:
        s.found(text, {"locations": where, "filter": text})
    for order in ("run_id ASC", "experiment_id DESC", "name ASC", "name DESC", "span.name ASC", "feedback.score ASC"):
        s.found(f"ordered by {order}", {"locations": where, "order_by": [order]})
    for text in PATTERNS:
        s.found(text, {"locations": where, "filter": text})


def correlations(s):
    e = s.client.get_experiment_by_name("trace searches").experiment_id

    def ask(one, two, **more):
        s.call("POST", "traces/calculate-filter-correlation",
               {"experiment_ids": [e], "filter_string1": one, "filter_string2": two, **more}, version="3.0")

    ask("span.type = 'LLM'", "feedback.score > 0.5")
    ask("span.type = 'CHAIN'", "metadata.`mlflow.trace.session` = 's-1'")
    ask("span.type = 'CHAIN'", "span.type = 'AGENT'")
    ask("span.type = 'CHAIN'", "name = 'ask'", base_filter="status = 'OK'")
    ask("span.type = 'NONE'", "name = 'ask'")
    ask("tags.team = 'a'", "tags.team = 'a'")
    ask("nothing = 'a'", "name = 'ask'")
    s.call("POST", "traces/calculate-filter-correlation", {"experiment_ids": [e], "filter_string1": "name = 'a'"}, version="3.0")
    s.call("POST", "traces/calculate-filter-correlation", {"filter_string1": "name = 'a'", "filter_string2": "name = 'b'"},
           version="3.0")


def metrics(s):
    e = s.client.get_experiment_by_name("trace searches").experiment_id
    summary = [{"aggregation_type": kind} for kind in ("AVG", "MIN", "MAX")] + [
        {"aggregation_type": "PERCENTILE", "percentile_value": value} for value in (50, 90)]

    def ask(view, name, kinds, **more):
        kinds = [{"aggregation_type": kinds}] if isinstance(kinds, str) else kinds
        s.call("POST", "traces/metrics", {
            "experiment_ids": [e], "view_type": view, "metric_name": name, "aggregations": kinds, **more}, version="3.0")

    ask("TRACES", "trace_count", "COUNT")
    ask("TRACES", "trace_count", "COUNT", dimensions=["trace_status", "trace_name"])
    ask("TRACES", "session_count", "COUNT")
    ask("TRACES", "latency", summary)
    ask("TRACES", "latency", summary, dimensions=["trace_name"])
    ask("TRACES", "input_tokens", [*summary, {"aggregation_type": "SUM"}])
    ask("TRACES", "output_tokens", "SUM", dimensions=["trace_name"])
    ask("TRACES", "cache_read_input_tokens", "SUM")
    ask("TRACES", "trace_count", "COUNT", time_interval_seconds=2, start_time_ms=START, end_time_ms=START + 60_000)
    ask("TRACES", "trace_count", "COUNT", time_interval_seconds=2)
    ask("TRACES", "trace_count", "COUNT", start_time_ms=START + 2000, end_time_ms=START + 3000)
    for text in ("trace.status = 'OK'", "trace.tag.team = 'a'", "trace.tag.`team` = 'b'", "trace.tag.team != 'a'",
                 "trace.metadata.mlflow.trace.session = 's-1'", "trace.metadata.`mlflow.trace.session` = 's-1'",
                 "trace.name = 'ask'", "trace.tag = 'a'", "span.name = 'ask'", "assessment.name = 'score'", "nonsense",
                 "trace.status = 5", "trace.status = 'OK' AND trace.tag.team = 'a'"):
        ask("TRACES", "trace_count", "COUNT", filters=[text])
    ask("TRACES", "trace_count", "COUNT", filters=["trace.status = 'OK'", "trace.tag.team = 'a'"])
    ask("TRACES", "trace_count", "COUNT", max_results=1, dimensions=["trace_name"])
    ask("TRACES", "trace_count", "SUM")
    ask("TRACES", "trace_count", "COUNT", dimensions=["span_name"])
    ask("TRACES", "nothing", "COUNT")
    ask("NOTHING", "trace_count", "COUNT")
    ask("TRACES", "trace_count", [])
    ask("SPANS", "span_count", "COUNT")
    ask("SPANS", "span_count", "COUNT", dimensions=["span_type"])
    ask("SPANS", "span_count", "COUNT", dimensions=["span_name", "span_status"])
    ask("SPANS", "span_count", "COUNT", dimensions=["span_model_name"])
    ask("SPANS", "latency", summary, dimensions=["span_name"])
    ask("SPANS", "latency", summary, time_interval_seconds=1, start_time_ms=START, end_time_ms=START + 60_000)
    for text in ("span.name = 'ask'", "span.type = 'LLM'", "span.status = 'UNSET'", "trace.status = 'ERROR'"):
        ask("SPANS", "span_count", "COUNT", filters=[text])
    ask("SPANS", "total_cost", "SUM")
    ask("ASSESSMENTS", "assessment_count", "COUNT")
    ask("ASSESSMENTS", "assessment_count", "COUNT", dimensions=["assessment_name"])
    ask("ASSESSMENTS", "assessment_count", "COUNT", dimensions=["assessment_name", "assessment_value"])
    ask("ASSESSMENTS", "assessment_value", summary, dimensions=["assessment_name"])
    for text in ("assessment.name = 'score'", "assessment.type = 'expectation'", "trace.status = 'OK'"):
        ask("ASSESSMENTS", "assessment_count", "COUNT", filters=[text])


GROUPS = {"trace searches": searches, "trace correlations": correlations, "trace metrics": metrics}
