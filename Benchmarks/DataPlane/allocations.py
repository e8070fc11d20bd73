"""Calls of the allocator for each one-row request in the steady state, in a server of its own: counting costs time."""
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


def measure(seconds: float):
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
                told(name, lambda seconds: counted(plane, counts, model, script, seconds), seconds)


def told(name: str, run, seconds: float):
    run(1)
    # A short and a long run: the difference has no opening of connections in it.
    (few, before), (many, after) = run(1), run(1 + seconds)
    line(f"allocations a request, {name}", f"{(after - before) / (many - few):.4f}", "0",
         f"{after - before:,} more in {many - few:,} more requests")


def counted(plane: Plane, counts: pathlib.Path, model: str, script: pathlib.Path, seconds: float) -> tuple[int, int]:
    """Requests of a run, and the allocator's calls while it ran."""
    before = count(plane, counts)
    out = subprocess.run(["wrk", "-t1", "-c32", f"-d{seconds:g}s", "-s", script, plane.infer(model)], check=True,
                         capture_output=True, text=True).stdout
    return int(re.search(r"(\d+) requests in", out)[1]), count(plane, counts) - before


def count(plane: Plane, counts: pathlib.Path) -> int:
    """The calls so far: the process appends them to its file when it gets the signal."""
    lines = len(counts.read_text().splitlines()) if counts.exists() else 0
    os.kill(plane.process.pid, signal.SIGUSR2)
    while not counts.exists() or len(counts.read_text().splitlines()) == lines or not counts.read_text().endswith("\n"):
        time.sleep(0.01)
    return int(counts.read_text().splitlines()[-1])
