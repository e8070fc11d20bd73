"""One Aerie for the whole session, on free ports and a data folder of its own, and what tests need to talk to it."""
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("AERIE_BIN", str(ROOT / "bin" / "aerie"))

# The real clients must not talk to anything but the server under test.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")


class Aerie:
    """A running `aerie up`, started on port 0, and its addresses from the ready line."""

    def __init__(self, data_dir: pathlib.Path, arguments: tuple[str, ...] = (), environment: dict | None = None):
        self.data_dir = pathlib.Path(data_dir)
        command = [BINARY, "up", "--data-dir", str(data_dir)]
        for flag in ("--http", "--grpc", "--inference-http", "--inference-grpc", "--feast-http"):
            command += [flag, "127.0.0.1:0"]
        self.errors: list[str] = []
        self.process = subprocess.Popen(
            command + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, **(environment or {})})
        threading.Thread(target=self._drain, daemon=True).start()
        self.ready = None
        for line in self.process.stdout:
            if line.startswith("{") and '"ready"' in line:
                self.ready = json.loads(line)
                break
        if self.ready is None:
            self.process.wait(10)
            raise RuntimeError("aerie up ended before it was ready:\n" + "".join(self.errors[-20:]))
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.http = self.ready["http"]
        self.grpc = self.ready["grpc"]
        self.inference_http = self.ready["inference_http"]
        self.inference_grpc = self.ready["inference_grpc"]
        self.feast_http = self.ready["feast_http"]

    def _drain(self):
        for line in self.process.stderr:
            self.errors.append(line)
            del self.errors[:-500]

    def cli(self, *arguments: str, input: str | None = None, check: bool = True, timeout: float = 600):
        """Runs a client command against this server."""
        done = subprocess.run([BINARY, *arguments, "--server", self.http], input=input, text=True, cwd=ROOT,
                              capture_output=True, timeout=timeout)
        if check and done.returncode != 0:
            raise AssertionError(f"aerie {' '.join(arguments)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self):
        self.process.kill()
        self.process.wait(30)


@pytest.fixture(scope="module", autouse=True)
def no_client_state_of_other_files():
    """The MLflow client keeps addresses, the experiment and the run for the whole process: each file begins without."""
    import mlflow
    from mlflow.tracking import fluent
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_registry_uri("")
    mlflow.tracking._model_registry.utils._registry_uri = None
    fluent._active_experiment_id = None
    for name in ("MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def aerie(tmp_path_factory):
    server = Aerie(tmp_path_factory.mktemp("aerie"))
    yield server
    assert server.stop() == 0, "".join(server.errors[-20:])


@pytest.fixture(scope="module")
def chromium_options(tmp_path_factory):
    """Of a headless browser with a profile of its own."""
    from selenium import webdriver
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1360,900",
                 f"--user-data-dir={tmp_path_factory.mktemp('chromium')}", "--disable-background-networking",
                 "--disable-component-update", "--no-first-run"):
        options.add_argument(flag)
    return options


@pytest.fixture(scope="session")
def start_aerie():
    """Starts further servers; those still running at the end are stopped."""
    started: list[Aerie] = []

    def start(data_dir, *arguments, environment=None) -> Aerie:
        started.append(Aerie(data_dir, arguments, environment))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.stop()


class FraudDeployment:
    """A LightGBM classifier of nine features, logged and registered with the real mlflow and deployed by name."""

    name = "clients-fraud"
    model = "clients_fraud"

    def __init__(self, server: Aerie):
        import lightgbm
        import mlflow
        import numpy
        rng = numpy.random.default_rng(7)
        self.rows = rng.normal(size=(400, 9))
        labels = (self.rows[:, 0] + self.rows[:, 1] * self.rows[:, 2] > 0.5).astype(int)
        self.booster = lightgbm.train(
            {"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": 7},
            lightgbm.Dataset(self.rows, labels), num_boost_round=20)
        self.expected = self.booster.predict(self.rows)
        self.rows = self.rows.tolist()
        mlflow.set_tracking_uri(server.http)
        mlflow.set_experiment("clients")
        with mlflow.start_run(run_name="fraud") as run:
            mlflow.lightgbm.log_model(self.booster, name="model")
            self.run_id = run.info.run_id
        self.version = mlflow.register_model(f"runs:/{self.run_id}/model", self.model).version
        server.cli("apply", "-f", "-", input=self.manifest(f"models:/{self.model}/{self.version}"))
        wait_until_available(server, self.name)

    def manifest(self, uri: str) -> str:
        return f"""
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata:
  name: {self.name}
  annotations:
    aerie.dev/positive-label: fraud
    aerie.dev/negative-label: legitimate
spec:
  predictors:
  - name: production
    replicas: 1
    graph:
      name: classifier
      type: MODEL
      implementation: SKLEARN_SERVER
      modelUri: {uri}
"""


def wait_until_available(server: Aerie, name: str, seconds: float = 30, namespace: str = "default") -> dict:
    """The deployment's status once its state is Available."""
    deadline, status = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        status = json.loads(server.cli("get", "SeldonDeployment", name, "-n", namespace, "-o", "json").stdout).get("status") or {}
        if status.get("state") == "Available":
            return status
        time.sleep(0.1)
    raise AssertionError(f"{name} is not available: {status}")


@pytest.fixture(scope="session")
def fraud_deployment(aerie):
    return FraudDeployment(aerie)
