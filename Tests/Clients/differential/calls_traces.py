"""Traces as the client writes them: information, tags, searches, assessments, runs they belong to."""


def _trace(s, experiment, number, **more):
    info = {"trace_id": f"tr-{number:032x}", "request_time": "2026-03-01T12:00:0%d.500Z" % (number % 10), "state": "OK",
            "execution_duration": "1.250s", "request_preview": "q", "response_preview": "a",
            "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}},
            "trace_metadata": {"m": "1"}, "tags": {"t": str(number)}, **more}
    s.call("POST", "traces", {"trace": {"trace_info": info}}, version="3.0")
    return info["trace_id"]


def traces(s):
    e = s.post("experiments/create", name="traces")["experiment_id"]
    run = s.post("runs/create", experiment_id=e, run_name="r", start_time=1)["run"]["info"]["run_id"]
    one, two = _trace(s, e, 0xa1), _trace(s, e, 0xa2, state="ERROR")
    _trace(s, "123456789", 0xa3)
    s.call("GET", f"traces/{one}", version="3.0")
    s.call("GET", "traces/tr-" + "0" * 32, version="3.0")
    s.call("POST", "traces/batchGetInfos", {"trace_ids": [one, two]}, version="3.0")
    s.call("PATCH", f"traces/{one}/tags", {"key": "k", "value": "v"}, version="3.0")
    s.call("DELETE", f"traces/{one}/tags", {"key": "k"}, version="3.0")
    s.call("DELETE", f"traces/{one}/tags", {"key": "k"}, version="3.0")
    s.call("POST", "traces/link-to-run", {"trace_ids": [one], "run_id": run})
    where = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": e}}]
    for text in (None, "status = 'OK'", "tags.t = '161'", "metadata.m = '1'", "timestamp_ms > 0", "nothing = 'x'",
                 f"run_id = '{run}'", "execution_time_ms > 1000", "trace.status = 'ERROR'", "status = 'OK' OR status = 'X'"):
        s.call("POST", "traces/search", {"locations": where, "filter": text}, version="3.0")
    s.call("POST", "traces/search", {"locations": where, "max_results": 0}, version="3.0")
    s.call("POST", "traces/search", {"locations": where, "max_results": 501}, version="3.0")
    s.call("POST", "traces/search", {"locations": where, "order_by": ["timestamp_ms ASC"]}, version="3.0")
    s.call("POST", "traces/delete-traces", {"experiment_id": e, "request_ids": [one]}, version="3.0")
    s.call("POST", "traces/delete-traces", {"experiment_id": e}, version="3.0")
    s.call("POST", "traces/delete-traces", {"experiment_id": e, "max_timestamp_millis": 1}, version="3.0")


GROUPS = {"traces": traces}
