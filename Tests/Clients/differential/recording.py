"""Runs all calls against a server, and keeps the real server's answers."""
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

import requests

from . import calls_experiments, calls_registry, calls_runs, calls_trace_searches, calls_traces
from .session import Session

FILE = pathlib.Path(__file__).with_name("recorded.json")
GROUPS = {**calls_experiments.GROUPS, **calls_runs.GROUPS, **calls_registry.GROUPS, **calls_traces.GROUPS,
          **calls_trace_searches.GROUPS}


def answers(base: str) -> dict[str, object]:
    session = Session(base)
    for name, calls in GROUPS.items():
        session.begin(name)
        calls(session)
    return json.loads(json.dumps(session.answers, sort_keys=True))


def recorded() -> dict[str, object]:
    return without_absent(json.loads(FILE.read_text()))


def record():
    """Starts a real server over an empty SQLite file, asks it everything and writes down what it says."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
             "--artifacts-destination", f"{folder}/artifacts", "--serve-artifacts", "--host", "127.0.0.1", "--port",
             str(port), "--workers", "1"],
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}, cwd=folder, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            base = f"http://127.0.0.1:{port}"
            _wait(base, server)
            found = answers(base)
        finally:
            os.killpg(server.pid, 15)
            server.wait(30)
    lines = (f"{json.dumps(name)}: {json.dumps(answer, sort_keys=True)}" for name, answer in found.items())
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(found)} answers, {FILE.stat().st_size} bytes")


def _wait(base: str, server):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if requests.get(base + "/health", timeout=2).ok:
                return
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.2)
    raise RuntimeError("mlflow server did not start")


def without_absent(value):
    """Leaves out what says nothing: the workspace, of which Aerie has one, without a name."""
    if isinstance(value, dict):
        return {name: without_absent(part) for name, part in value.items() if name != "workspace"}
    return [without_absent(part) for part in value] if isinstance(value, list) else value


def differing(found: dict, expected: dict) -> dict[str, tuple]:
    return {name: (expected.get(name), found.get(name)) for name in {**expected, **found}
            if expected.get(name) != found.get(name)}
