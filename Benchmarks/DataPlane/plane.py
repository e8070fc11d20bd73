"""The data plane of one server, started by a benchmark in a folder of its own, and what `aerie bench` measures of it."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from senders import pinned

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "bin" / "python"


def binary() -> str:
    found = pathlib.Path(os.environ.get("AERIE", ROOT / "bin" / "aerie")).resolve()
    if not found.exists():
        sys.exit(f"{found} is missing: dev/build-release makes it, AERIE=path names another one")
    return str(found)


class Plane:
    """A server with its data plane; `cores` and `sender` pin it and the load generator to processors of their own.
    `environment` is added to the server's."""

    def __init__(self, *flags: str, cores: str | None = None, sender: str | None = None, environment: dict | None = None):
        self.flags, self.cores, self.sender = flags, cores, sender
        self.environment = {**os.environ, **(environment or {})}

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="aerie-plane-"))
        self.aerie = binary()
        listen = [word for name in ("http", "grpc", "inference-http", "inference-grpc", "feast-http")
                  for word in (f"--{name}", "127.0.0.1:0")]
        self.errors = open(self.folder / "errors", "w")
        self.process = subprocess.Popen(
            [*pinned(self.cores), self.aerie, "up", "--data-dir", str(self.folder / "data"), *listen, *self.flags],
            stdout=subprocess.PIPE, stderr=self.errors, text=True, env=self.environment)
        for line in self.process.stdout:
            if '"ready"' in line:
                told = json.loads(line)
                self.control, self.http, self.grpc = told["http"], told["inference_http"], told["inference_grpc"]
                return self
        sys.exit(f"the server did not start: {(self.folder / 'errors').read_text()[-2000:]}")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def deploy(self, name: str, model: pathlib.Path, implementation: str, annotations: str = ""):
        manifest = f"""apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {{name: {name}, annotations: {{{annotations}}}}}
spec:
  predictors:
  - name: default
    graph: {{name: model, implementation: {implementation}, modelUri: "file://{model}"}}
"""
        subprocess.run([self.aerie, "apply", "-f", "-", "--server", self.control], input=manifest, text=True,
                       check=True, stdout=subprocess.DEVNULL)
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{self.http}/v2/models/{name}/ready", timeout=5)
                return
            except urllib.error.URLError:
                time.sleep(0.1)
        sys.exit(f"{name} is not ready: {(self.folder / 'errors').read_text()[-2000:]}")

    def deploy_fraud(self):
        """The model of the table: 100 trees of depth 6 over 15 features."""
        subprocess.run([PYTHON, pathlib.Path(__file__).with_name("make-model.py"), self.folder / "fraud"], check=True)
        self.deploy("fraud", self.folder / "fraud", "XGBOOST_SERVER")

    def infer(self, model: str) -> str:
        return f"{self.http}/v2/models/{model}/infer"

    def bench(self, model: str, *flags: str, seconds: float, form: str = "json", rate: float | None = None) -> dict:
        """What `aerie bench` tells of a model: at a constant rate if one is given, else as fast as it is answered."""
        target = f"grpc://{self.grpc}" if form.startswith("grpc") else self.http
        return self.load(model, "--target", target, "--metadata", self.http, "--form", form, *flags, seconds=seconds,
                         rate=rate)

    def load(self, *flags: str, seconds: float, rate: float | None = None) -> dict:
        """The same of any target, which the flags name."""
        result = self.folder / "bench.json"
        pace = [] if rate is None else ["--rate", str(max(1, int(rate)))]
        done = subprocess.run(
            [*pinned(self.sender), self.aerie, "bench", *flags, "--duration", str(seconds), "--json", str(result), *pace],
            capture_output=True, text=True)
        if done.returncode not in (0, 1) or not result.exists():
            sys.exit(f"aerie bench ended with {done.returncode}: {done.stderr[-2000:]}")
        told = json.loads(result.read_text())
        result.unlink()
        return told

    def memory(self) -> float:
        """Resident megabytes."""
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("no VmRSS")
