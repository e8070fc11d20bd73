"""`aerie up` as an operator meets it: ready line, health, lock, signals, configuration."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest
import requests

from conftest import BINARY, ROOT


def run_up(*arguments, timeout=30, env=None, cwd=ROOT):
    return subprocess.run([BINARY, "up", *arguments], capture_output=True, text=True, timeout=timeout,
                          env={**os.environ, **(env or {})}, cwd=cwd)


def test_the_ready_line_names_the_addresses_really_bound(aerie):
    assert aerie.ready["ready"] is True
    for key in ("http", "grpc", "inference_http", "inference_grpc", "data_dir", "version"):
        assert aerie.ready[key], key
    assert not aerie.http.endswith(":0")
    assert requests.get(aerie.http + "/healthz", timeout=5).status_code == 200
    assert requests.get(aerie.http + "/readyz", timeout=5).status_code == 200
    assert requests.get(aerie.inference_http + "/v2/health/live", timeout=5).json()["live"] is True
    assert requests.get(aerie.inference_http + "/v2/health/ready", timeout=5).json()["ready"] is True


def test_a_second_process_on_the_same_folder_is_told_so(aerie):
    done = run_up("--data-dir", str(aerie.data_dir), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0",
                  "--inference-http", "127.0.0.1:0", "--inference-grpc", "127.0.0.1:0")
    assert done.returncode != 0
    assert str(aerie.data_dir) in done.stderr and "another" in done.stderr.lower(), done.stderr


def test_a_port_in_use_is_named(aerie, tmp_path):
    taken = aerie.http.removeprefix("http://")
    done = run_up("--data-dir", str(tmp_path / "d"), "--http", taken, "--grpc", "127.0.0.1:0",
                  "--inference-http", "127.0.0.1:0", "--inference-grpc", "127.0.0.1:0")
    assert done.returncode != 0
    assert taken in done.stderr, done.stderr


def test_sigterm_drains_and_ends_with_zero(start_aerie, tmp_path):
    server = start_aerie(tmp_path / "data")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0


def test_ready_within_a_second_on_an_existing_folder(start_aerie, tmp_path):
    start_aerie(tmp_path / "data").stop()
    started = time.monotonic()
    server = start_aerie(tmp_path / "data")
    print(f"ready after {time.monotonic() - started:.3f} s")
    assert server.ready["ready"] is True
    server.stop()


@pytest.mark.parametrize("text, expected", [
    ("http: 127.0.0.1:99999\n", ["line 1"]),
    ("httpp: 127.0.0.1:8080\n", ["line 1", "http"]),
    ("# a comment\nhttp: [1, 2]\nnonsense: 1\n", ["line 2", "line 3"]),
    ("http: 0.0.0.0:0\n", ["insecure"]),
    ("http: '127.0.0.1:80\n", ["line"]),
])
def test_a_wrong_configuration_file_is_reported_whole(tmp_path, text, expected):
    (tmp_path / "aerie.yaml").write_text(text)
    done = run_up("--config", str(tmp_path / "aerie.yaml"), "--data-dir", str(tmp_path / "d"))
    assert done.returncode == 2, (done.returncode, done.stderr)
    for word in expected:
        assert word in done.stderr, done.stderr


def test_flags_beat_environment_beats_file(start_aerie, tmp_path):
    (tmp_path / "aerie.yaml").write_text("data-dir: from-file\n")
    server = start_aerie(tmp_path / "flag", "--config", str(tmp_path / "aerie.yaml"),
                         environment={"AERIE_DATA_DIR": str(tmp_path / "env")})
    assert pathlib.Path(server.ready["data_dir"]).resolve() == (tmp_path / "flag").resolve()
    server.stop()


def test_doctor_reports_every_native_library(aerie):
    done = subprocess.run([BINARY, "doctor", "-o", "json"], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    text = json.dumps(json.loads(done.stdout)).lower()
    for library in ("onnx", "lightgbm", "duckdb", "lmdb", "libpq"):
        assert library in text


def test_names_as_feast_writes_them_are_declared_and_listed(aerie):
    text = """
apiVersion: aerie.dev/v1
kind: Entity
metadata: {name: user_id}
spec: {joinKey: user_id, valueType: STRING}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {name: transaction_features}
spec:
  entities: [user_id]
  ttl: 86400s
  online: true
  source: {type: parquet, path: transactions.parquet, timestampField: event_time}
  features:
  - {name: transaction_amount, dtype: FLOAT, description: Transaction amount in USD}
  - {name: velocity_last_24h, dtype: INT32}
---
apiVersion: aerie.dev/v1
kind: FeatureService
metadata: {name: fraud_v1}
spec: {features: ["transaction_features:transaction_amount", "transaction_features/velocity_last_24h"]}
"""
    aerie.cli("apply", "-f", "-", input=text)
    assert "transaction_features" in aerie.cli("get", "featureview").stdout
    assert "user_id" in aerie.cli("get", "entities").stdout
    described = json.loads(aerie.cli("get", "featureservice", "fraud_v1", "-o", "json").stdout)
    assert described["metadata"]["name"] == "fraud_v1"


def test_a_client_that_asks_before_it_sends_a_body_is_told_to_go_on(aerie):
    host, port = aerie.http.removeprefix("http://").split(":")
    body = b'{"name": "asked-first"}'
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST /api/2.0/mlflow/experiments/create HTTP/1.1\r\nHost: aerie\r\n"
                           b"Content-Type: application/json\r\nExpect: 100-continue\r\n"
                           + f"Content-Length: {len(body)}\r\n\r\n".encode())
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
