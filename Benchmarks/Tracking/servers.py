"""The two servers, started and stopped by a benchmark, with their memory."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv" / "bin"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def call(url: str, path: str, body=None, timeout=120):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/api/2.0/mlflow/{path}", data=data,
                                     headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)


class Server:
    """A server of its own in a folder of its own, stopped with all its processes."""

    def __init__(self, name: str, command: list, url: str, folder: pathlib.Path, environment=None):
        self.name, self.url, self.folder = name, url, folder
        self.log = open(folder / f"{name}.log", "w")
        began = time.monotonic()
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, cwd=folder,
                                        env={**os.environ, **(environment or {})}, start_new_session=True)
        self.cold_start = self._wait(began)

    def _wait(self, began: float) -> float:
        while time.monotonic() - began < 120:
            if self.process.poll() is not None:
                break
            try:
                call(self.url, "experiments/search?max_results=1", timeout=10)
                return time.monotonic() - began
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.005)
        self.stop()
        sys.exit(f"{self.name} did not answer: {(self.folder / (self.name + '.log')).read_text()[-2000:]}")

    def memory(self) -> float:
        """Resident megabytes of the server and its children."""
        total, pids = 0, [self.process.pid]
        while pids:
            pid = pids.pop()
            try:
                for line in open(f"/proc/{pid}/status"):
                    if line.startswith("VmRSS"):
                        total += int(line.split()[1])
                for task in os.listdir(f"/proc/{pid}/task"):
                    pids += [int(child) for child in open(f"/proc/{pid}/task/{task}/children").read().split()]
            except (FileNotFoundError, ProcessLookupError):
                continue
        return total / 1024

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, 9)
                self.process.wait()
        try:
            os.killpg(self.process.pid, 9)
        except ProcessLookupError:
            pass
        self.log.close()


def aerie_binary() -> str:
    binary = os.path.abspath(os.environ.get("AERIE", ROOT / "bin" / "aerie"))
    if not os.access(binary, os.X_OK):
        sys.exit(f"there is no {binary}; run `make build`, or name a release binary with AERIE=…")
    return binary


def start_aerie(folder: pathlib.Path, *flags: str) -> Server:
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [aerie_binary(), "up", "--data-dir", str(folder / "data"), "--http", f"127.0.0.1:{port}", "--grpc", "127.0.0.1:0",
               "--inference-http", "127.0.0.1:0", "--inference-grpc", "127.0.0.1:0", "--feast-http", "127.0.0.1:0", *flags]
    return Server("aerie", command, f"http://127.0.0.1:{port}", folder)


def start_mlflow(folder: pathlib.Path, database: pathlib.Path | None = None) -> Server:
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    store = f"sqlite:///{database or folder / 'mlflow.db'}"
    command = [str(BIN / "mlflow"), "server", "--backend-store-uri", store, "--artifacts-destination",
               str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(port)]
    environment = {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{BIN}:{os.environ['PATH']}"}
    return Server("mlflow", command, f"http://127.0.0.1:{port}", folder, environment)


class Workspace:
    """A temporary folder; servers started in it are stopped when it ends."""

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="aerie-tracking-", dir=os.environ.get("TMPDIR")))
        self.servers = []
        return self

    def add(self, server: Server) -> Server:
        self.servers.append(server)
        return server

    def __exit__(self, *_):
        for server in reversed(self.servers):
            server.stop()
        shutil.rmtree(self.path, ignore_errors=True)
