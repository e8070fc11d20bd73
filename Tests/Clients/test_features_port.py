"""The feature port: the same answers as the control port's, made on the data plane's loops, on LMDB and on Redis."""
import json
import socket
import time

import pytest
import requests

from test_features import START, manifest, source
from test_features_redis import Redis

NAMES = ["conv_rate", "trips", "city", "lately"]
ODD = """
---
apiVersion: aerie.dev/v1
kind: Entity
metadata: {name: merchant}
spec: {joinKey: merchant_id, valueType: STRING}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {name: odd}
spec:
  entities: [driver, merchant]
  source: {type: push}
  features:
  - {name: d, dtype: DOUBLE, default: 0.25}
  - {name: i, dtype: INT32}
  - {name: b, dtype: BOOL}
  - {name: t, dtype: UNIX_TIMESTAMP}
  - {name: raw, dtype: BYTES}
  - {name: s, dtype: STRING}
  - {name: v, dtype: FLOAT_LIST}
"""


@pytest.fixture(scope="module", params=["lmdb", "redis"])
def served(request, start_aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp(f"feature-port-{request.param}")
    source(seed=3).to_parquet(folder / "drivers.parquet", index=False)
    redis = Redis(folder / "redis") if request.param == "redis" else None
    server = start_aerie(folder / "data", "--online", f"redis://127.0.0.1:{redis.port}" if redis else "lmdb")
    server.redis = redis
    server.cli("apply", "-f", "-", input=manifest(folder / "drivers.parquet") + ODD.replace(
        "{type: push}", f"{{type: parquet, path: {folder / 'drivers.parquet'}, timestampField: event_timestamp}}"))
    done = requests.post(f"{server.http}/materialize", timeout=60, json={
        "start_ts": START.isoformat(), "end_ts": "2026-10-21T00:00:00Z", "feature_views": ["driver_stats"]})
    assert done.status_code == 200, done.text
    done = requests.post(f"{server.feast_http}/push", timeout=10, json={"push_source_name": "odd", "df": {
        "driver_id": [1, 1, 2], "merchant_id": ["m", "né \"x\"", "m"],
        "event_timestamp": ["2026-10-01T00:00:00Z", "2026-10-01T00:00:00.5Z", "2026-10-01T00:00:00.123456Z"],
        "d": [0.1, "NaN", "-Infinity"], "i": [-7, None, 2147483647], "b": [True, False, None],
        "t": [1795471200, None, 0], "raw": ["AP8H", None, ""], "s": ["plain", "\u674e\u96f7 \"q\"\n", ""],
        "v": [[0.5, 0.25], [], None]}})
    assert done.status_code == 200 and done.content == b"", done.text
    yield server
    if redis:
        redis.kill()


def both(server, body, path="/get-online-features"):
    """The answer of the control port and of the feature port, which first plans and then answers on the loop."""
    text = body if isinstance(body, (str, bytes)) else json.dumps(body)
    answers = [requests.post(url + path, data=text, timeout=20, headers={"Content-Type": "application/json"})
               for url in (server.http, server.feast_http, server.feast_http)]
    assert len({(a.status_code, a.content, a.headers.get("content-type")) for a in answers}) == 1, [
        (a.status_code, a.text[:600]) for a in answers]
    return answers[0]


ODD_ALL = [f"odd:{name}" for name in ("d", "i", "b", "t", "raw", "s", "v")]


@pytest.mark.parametrize("body", [
    {"entities": {"driver_id": [1, 2, 3, 9999]}, "features": [f"driver_stats:{n}" for n in NAMES]},
    {"features": ["driver_stats:city", "driver_stats:trips"], "entities": {"driver": [5]}, "full_feature_names": True},
    {"entities": {"driver_id": list(range(1, 60))}, "feature_service": "driver_stats_service", "features": None,
     "include_feature_view_version_metadata": True},
    {"entities": {"driver_id": [1, 1, 2, 3], "merchant_id": ["m", "n\u00e9 \"x\"", "m", "m"]}, "features": ODD_ALL},
    {"entities": {"merchant_id": ["m", "m"], "driver_id": [1, 2]}, "features": ["driver_stats:trips", "odd:d", "odd:s"]},
    {"entities": {"driver_id": ["1", "2"]}, "features": ["driver_stats:trips"]},
    {"entities": {"driver_id": {"val": [1]}}, "features": ["driver_stats:trips"]},
    {"entities": {"driver_id": 1}, "features": ["driver_stats:trips"]},
    {"entities": {"driver_id": [1], "unused": ["x"]}, "features": ["driver_stats:trips"]},
    {"entities": {"driver_id": []}, "features": ["driver_stats:trips"]},
    {"entities": {"driver_id": [1]}, "features": ["driver_stats:trips"], "strict_statuses": True},
    {"entities": {"driver_id": [9223372036854775807, -1, 0]}, "features": ["driver_stats:trips"]},
], ids=str)
def test_both_ports_give_the_same_bytes(served, body):
    answer = both(served, body)
    assert answer.status_code == 200, answer.text
    # A name in the path is the namespace.
    assert both(served, body, "/feast/default/get-online-features").content == answer.content


def test_what_was_stored_is_what_comes(served):
    got = dict(zip(["driver_id", "merchant_id", "d", "i", "b", "t", "raw", "s", "v"], both(served, {
        "entities": {"driver_id": [1, 1, 2], "merchant_id": ["m", "n\u00e9 \"x\"", "m"]}, "features": ODD_ALL,
    }).json()["results"]))
    assert got["d"]["values"] == [0.1, "NaN", "-Infinity"] and got["i"]["values"] == [-7, None, 2147483647]
    assert got["s"]["values"] == ["plain", "\u674e\u96f7 \"q\"\n", ""] and got["v"]["values"] == [[0.5, 0.25], [], None]
    assert got["d"]["event_timestamps"] == [
        "2026-10-01T00:00:00Z", "2026-10-01T00:00:00.500Z", "2026-10-01T00:00:00.123456Z"]


@pytest.mark.parametrize("body, status", [
    ({"entities": {"driver_id": [1]}, "features": ["nope:x"]}, 404),
    ({"entities": {"driver_id": [1]}, "feature_service": "nope"}, 404),
    ({"entities": {"driver_id": [1]}, "features": ["driver_stats:nope"]}, 400),
    ({"entities": {"driver_id": ["abc"]}, "features": ["driver_stats:trips"]}, 400),
    ({"entities": {"driver_id": [None]}, "features": ["driver_stats:trips"]}, 400),
    ({"entities": {"other": [1]}, "features": ["driver_stats:trips"]}, 400),
    ({"features": ["driver_stats:trips"]}, 422),
    ("{\"entities\":", 400), ("", 400), ("[]", 400), ("{\"entities\":{\"driver_id\":[1}}", 400),
], ids=str)
def test_wrong_requests_are_answered_alike(served, body, status):
    assert both(served, body).status_code == status


def test_a_changed_definition_is_seen_by_the_next_request(served):
    body = {"entities": {"driver_id": [1]}, "feature_service": "changing"}
    def apply(features):
        served.cli("apply", "-f", "-", input=f"apiVersion: aerie.dev/v1\nkind: FeatureService\n"
                   f"metadata: {{name: changing}}\nspec: {{features: {json.dumps(features)}}}\n")
        return both(served, body).json()["metadata"]["feature_names"]
    assert apply(["driver_stats:trips"]) == ["driver_id", "trips"]
    assert apply(["driver_stats:city", "driver_stats:trips"]) == ["driver_id", "city", "trips"]


def test_requests_may_be_pipelined_and_cut_anywhere(served):
    host, port = served.feast_http.removeprefix("http://").split(":")
    one = b'{"entities":{"driver_id":[1]},"features":["driver_stats:trips"]}'
    expected = requests.post(served.feast_http + "/get-online-features", data=one, timeout=10).content
    head = b"POST /get-online-features HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(one)
    unknown = b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n"
    wrong = b"GET /push HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    stream = (head + one) * 20 + unknown + (head + one) * 3 + wrong
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        for start in range(0, len(stream), 37):
            sock.sendall(stream[start:start + 37])
        received = b""
        while piece := sock.recv(1 << 16):
            received += piece
    assert received.count(expected) == 23 and received.count(b"HTTP/1.1 200 OK") == 23
    assert b'404 Not Found' in received and received.rstrip().endswith(b'{"detail":"Method Not Allowed"}')
    assert requests.get(served.feast_http + "/health", timeout=10).status_code == 200


def test_reads_are_counted(served):
    both(served, {"entities": {"driver_id": [1, 424242]}, "features": ["driver_stats:trips"]})
    text = requests.get(served.http + "/metrics", timeout=10).text
    def total(name):
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + "{"))
    assert total("aerie_feature_reads_total") > 0 and total("aerie_feature_read_seconds_count") > 0
    assert total("aerie_feature_rows_missing_total") > 0


def test_without_the_store_defaults_answer_and_say_so(served):
    if served.redis is None:
        pytest.skip("LMDB lies in the process and cannot be away")
    body = {"entities": {"driver_id": [1], "merchant_id": ["m"]}, "features": ["odd:d", "odd:s", "driver_stats:trips"]}
    before = both(served, body).json()
    served.redis.kill()
    deadline = time.monotonic() + 20
    while "degraded" not in (answer := requests.post(
            served.feast_http + "/get-online-features", json=body, timeout=20)).json()["metadata"]:
        assert time.monotonic() < deadline
    assert answer.status_code == 200 and "cannot reach Redis" in answer.json()["metadata"]["degraded"]
    results = dict(zip(answer.json()["metadata"]["feature_names"], answer.json()["results"]))
    assert results["d"] == {"values": [0.25], "statuses": ["NOT_FOUND"], "event_timestamps": ["1970-01-01T00:00:00Z"]}
    assert results["s"]["values"] == [None] and results["driver_id"]["values"] == [1]
    general = requests.post(served.http + "/get-online-features", json=body, timeout=20).json()
    assert 'aerie_feature_reads_degraded_total{loop="none"} 1\n' in requests.get(served.http + "/metrics", timeout=10).text
    assert general["results"] == answer.json()["results"] and "cannot reach Redis" in general["metadata"]["degraded"]
    served.redis.start()
    deadline = time.monotonic() + 20
    while (again := requests.post(served.feast_http + "/get-online-features", json=body, timeout=20).json()) != before:
        assert time.monotonic() < deadline, again
