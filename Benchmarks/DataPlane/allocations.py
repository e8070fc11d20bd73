"""Calls of the allocator for each one-row request in the steady state, in a server of its own: counting costs time. What the
server calls without requests, as it looks after its deployments, is taken off."""
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

import features
from plane import Plane
from senders import JSON, body_json, line, lua


def measure(seconds: int):
    with tempfile.TemporaryDirectory(prefix="aerie-counts-") as folder:
        library, counts = pathlib.Path(folder) / "malloc-count.so", pathlib.Path(folder) / "counts"
        source = pathlib.Path(__file__).with_name("malloc-count.c")
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        with Plane(environment={"LD_PRELOAD": str(library), "MALLOC_COUNT_FILE": str(counts)}) as plane:
            plane.deploy_fraud()
            with_features = features.deploy(plane)
            for name, model, body in (("one row", "fraud", body_json(1).encode()),
                                      ("one row, 10 features fetched", "fraud-features", with_features)):
                script = lua(plane.folder, model, body, JSON)
                told(name, plane, counts, model, script, seconds)


def told(name: str, plane: Plane, counts: pathlib.Path, model: str, script: pathlib.Path, seconds: int):
    loaded(plane, counts, model, script, 1)
    # A short and a long run: the difference has no opening of connections in it.
    few, before = loaded(plane, counts, model, script, 1)
    many, after = loaded(plane, counts, model, script, 1 + seconds)
    begin = count(plane, counts)
    time.sleep(seconds)
    idle = count(plane, counts) - begin
    more = after - before - idle
    line(f"allocations a request, {name}", f"{max(0, more) / (many - few):.4f}", "0",
         f"{more:,} more in {many - few:,} more requests, beside {idle:,} of an idle server")


def loaded(plane: Plane, counts: pathlib.Path, model: str, script: pathlib.Path, seconds: int) -> tuple[int, int]:
    """Requests of a run, and the allocator's calls while it ran."""
    before = count(plane, counts)
    out = subprocess.run(["wrk", "-t1", "-c32", f"-d{seconds}s", "-s", script, plane.infer(model)], check=True,
                         capture_output=True, text=True).stdout
    return int(re.search(r"(\d+) requests in", out)[1]), count(plane, counts) - before


def count(plane: Plane, counts: pathlib.Path) -> int:
    """The calls so far: the process appends them to its file when it gets the signal."""
    lines = len(counts.read_text().splitlines()) if counts.exists() else 0
    os.kill(plane.process.pid, signal.SIGUSR2)
    while not counts.exists() or len(counts.read_text().splitlines()) == lines or not counts.read_text().endswith("\n"):
        time.sleep(0.01)
    return int(counts.read_text().splitlines()[-1])
