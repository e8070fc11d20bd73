"""A new version replaces the old one under traffic: no request fails, and no answer mixes the two."""
import http.client
import json
import math
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import warnings

import lightgbm
import mlflow
import numpy
import pytest
import tritonclient.grpc

from conftest import wait_until_available

# Between two requests of a thread, in seconds: without it the interpreter's lock starves the client that registers.
PAUSE = 0.002
ROWS = numpy.random.default_rng(23).normal(size=(64, 5))


def booster(seed: int) -> lightgbm.Booster:
    """Boosters of other seeds answer every one of `ROWS` otherwise."""
    rng = numpy.random.default_rng(seed)
    rows = rng.normal(size=(400, 5))
    labels = (rows @ rng.normal(size=5) > 0).astype(int)
    return lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": seed},
                          lightgbm.Dataset(rows, labels), num_boost_round=10)


@pytest.fixture(scope="module")
def boosters():
    made = [booster(seed) for seed in (1, 2)]
    first, second = (each.predict(ROWS) for each in made)
    assert (first != second).all()
    return made


def register(aerie, name: str, model: lightgbm.Booster) -> str:
    mlflow.set_tracking_uri(aerie.http)
    mlflow.set_experiment("serving-swap")
    with mlflow.start_run():
        logged = mlflow.lightgbm.log_model(model, name="model", pip_requirements=["lightgbm"])
    return mlflow.register_model(logged.model_uri, name).version


def promote(name: str, version: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        mlflow.MlflowClient().transition_model_version_stage(
            name, version, "Production", archive_existing_versions=True)


def manifest(name: str, **uris: str) -> str:
    """One predictor for each `predictor=uri`, or of `predictor="uri percent"` where there are several."""
    text = ("apiVersion: machinelearning.seldon.io/v1\nkind: SeldonDeployment\n"
            f"metadata:\n  name: {name}\nspec:\n  predictors:\n")
    for predictor, uri in uris.items():
        uri, _, traffic = uri.partition(" ")
        traffic = f"    replicas: {traffic}\n    traffic: {traffic}\n" if traffic else ""
        text += f"  - name: {predictor}\n{traffic}    graph:\n      name: classifier-{predictor}\n      modelUri: {uri}\n"
    return text


class Traffic:
    """Threads that ask without pause: two over one HTTP connection each, and two over gRPC."""

    def __init__(self, aerie, deployment: str):
        self.deployment = deployment
        self.http = urllib.parse.urlsplit(aerie.inference_http)
        self.grpc = aerie.inference_grpc
        self.answers: list[tuple[str, float, int, float]] = []
        self.failures: list[str] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=work, args=(offset,)) for offset, work in
                        enumerate((self.ask_http, self.ask_http, self.ask_grpc, self.ask_grpc))]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()

    def ask_http(self, row: int):
        connection = http.client.HTTPConnection(self.http.hostname, self.http.port, timeout=10)
        while not self.over.is_set():
            row = (row + 1) % len(ROWS)
            body = json.dumps({"inputs": [
                {"name": "input", "shape": [1, 5], "datatype": "FP64", "data": ROWS[row].tolist()}]})
            time.sleep(PAUSE)
            began = time.monotonic()
            try:
                connection.request("POST", f"/v2/models/{self.deployment}/infer", body)
                answer = connection.getresponse()
                text = answer.read()
                assert answer.status == 200, text
                self.answers.append(("http", began, row, json.loads(text)["outputs"][0]["data"][0]))
            except Exception as error:
                self.failures.append(f"http: {error!r}")
                return
        connection.close()

    def ask_grpc(self, row: int):
        with tritonclient.grpc.InferenceServerClient(self.grpc) as client:
            while not self.over.is_set():
                row = (row + 1) % len(ROWS)
                tensor = tritonclient.grpc.InferInput("input", [1, 5], "FP64")
                tensor.set_data_from_numpy(ROWS[row:row + 1])
                time.sleep(PAUSE)
                began = time.monotonic()
                try:
                    answer = client.infer(self.deployment, [tensor], client_timeout=10)
                    output = answer.get_response().outputs[0].name
                    self.answers.append(("grpc", began, row, float(answer.as_numpy(output).ravel()[0])))
                except Exception as error:
                    self.failures.append(f"grpc: {error!r}")
                    return

    def wait_for(self, count: int):
        deadline = time.monotonic() + 10
        while len(self.answers) < count and not self.failures:
            assert time.monotonic() < deadline, "the traffic does not flow"
            time.sleep(0.01)


def status(aerie, name: str) -> dict:
    return json.loads(aerie.cli("get", "SeldonDeployment", name, "-o", "json").stdout).get("status") or {}


def wait_for_version(aerie, name: str, version: str) -> float:
    """The time at which the status says that only this version answers."""
    deadline = time.monotonic() + 15
    while status(aerie, name).get("version") != version:
        assert time.monotonic() < deadline, status(aerie, name)
        time.sleep(0.02)
    return time.monotonic()


def check_switch(traffic: Traffic, old, new, switched: float):
    assert not traffic.failures, traffic.failures
    assert {protocol for protocol, *_ in traffic.answers} == {"http", "grpc"}
    kinds = {"old": 0, "new": 0}
    for protocol, began, row, answer in traffic.answers:
        kind = "old" if answer == old[row] else "new" if answer == new[row] else None
        assert kind, f"{protocol}: row {row} got {answer!r}, neither {old[row]!r} nor {new[row]!r}"
        assert kind == "new" or began < switched, f"{protocol}: the old version answered after the switch"
        kinds[kind] += 1
    assert min(kinds.values()) > 100, kinds


def test_production_moves_to_a_new_version_under_traffic(aerie, boosters):
    model, name = "serving_swap_stage", "serving-swap-stage"
    promote(model, register(aerie, model, boosters[0]))
    aerie.cli("apply", "-f", "-", input=manifest(name, production=f"models:/{model}/Production"))
    assert wait_until_available(aerie, name)["version"] == "1"
    with Traffic(aerie, name) as traffic:
        traffic.wait_for(500)
        promote(model, register(aerie, model, boosters[1]))
        switched = wait_for_version(aerie, name, "2")
        traffic.wait_for(len(traffic.answers) + 500)
    check_switch(traffic, boosters[0].predict(ROWS), boosters[1].predict(ROWS), switched)


def test_apply_of_another_version_under_traffic(aerie, boosters):
    model, name = "serving_swap_apply", "serving-swap-apply"
    for each in boosters:
        register(aerie, model, each)
    aerie.cli("apply", "-f", "-", input=manifest(name, production=f"models:/{model}/1"))
    wait_until_available(aerie, name)
    first, second = (each.predict(ROWS) for each in boosters)
    with Traffic(aerie, name) as traffic:
        traffic.wait_for(500)
        aerie.cli("apply", "-f", "-", input=manifest(name, production=f"models:/{model}/2"))
        switched = wait_for_version(aerie, name, "2")
        traffic.wait_for(len(traffic.answers) + 500)
    check_switch(traffic, first, second, switched)
    # And back: what was served before is there at once.
    with Traffic(aerie, name) as traffic:
        traffic.wait_for(300)
        aerie.cli("apply", "-f", "-", input=manifest(name, production=f"models:/{model}/1"))
        switched = wait_for_version(aerie, name, "1")
        traffic.wait_for(len(traffic.answers) + 500)
    check_switch(traffic, second, first, switched)


def test_a_broken_version_leaves_the_old_one_serving(aerie, boosters):
    model, name = "serving_swap_broken", "serving-swap-broken"
    promote(model, register(aerie, model, boosters[0]))
    aerie.cli("apply", "-f", "-", input=manifest(name, production=f"models:/{model}/Production"))
    wait_until_available(aerie, name)
    version = register(aerie, model, boosters[1])
    source = mlflow.MlflowClient().get_model_version(model, version).source
    damage(aerie, source)
    with Traffic(aerie, name) as traffic:
        traffic.wait_for(200)
        promote(model, version)
        deadline = time.monotonic() + 15
        while (said := status(aerie, name)).get("state") != "Failed":
            assert time.monotonic() < deadline, said
            time.sleep(0.05)
        traffic.wait_for(len(traffic.answers) + 200)
    assert not traffic.failures, traffic.failures
    expected = boosters[0].predict(ROWS)
    assert all(answer == expected[row] for _, _, row, answer in traffic.answers)
    assert said["version"] == "1"
    assert "still answering as before" in said["description"] and "version 1" in said["description"], said
    assert "model.lgb" in said["description"] or "tree" in said["description"], said
    # A whole version mends it.
    promote(model, register(aerie, model, boosters[1]))
    wait_for_version(aerie, name, "3")
    assert wait_until_available(aerie, name).get("description") is None


def damage(aerie, source: str):
    """Cuts the newest version's model file in half, as a full disk would."""
    files = [path for path in (aerie.data_dir / "artifacts").rglob("model.lgb")]
    assert files
    newest = max(files, key=lambda path: path.stat().st_mtime_ns)
    text = newest.read_bytes()
    newest.write_bytes(text[:len(text) // 2])


def test_traffic_is_split_as_in_the_founding_documents_ab_test(aerie, boosters):
    model, name = "serving_swap_ab", "fraud-detector-ab-test"
    for each in boosters:
        register(aerie, model, each)
    text = manifest(name, **{"model-v1": f"models:/{model}/1 80", "model-v2": f"models:/{model}/2 20"})
    aerie.cli("apply", "-f", "-", input=text)
    wait_until_available(aerie, name)
    first, second = (each.predict(ROWS) for each in boosters)
    with Traffic(aerie, name) as traffic:
        traffic.wait_for(3000)
    assert not traffic.failures, traffic.failures
    assert all(answer in (first[row], second[row]) for _, _, row, answer in traffic.answers)
    for protocol in ("http", "grpc"):
        taken = [answer == second[row] for kind, _, row, answer in traffic.answers if kind == protocol]
        # Five standard deviations of a binomial share: wrong once in two million runs.
        allowed = 5 * math.sqrt(0.2 * 0.8 / len(taken))
        assert len(taken) > 300 and abs(sum(taken) / len(taken) - 0.2) < allowed, (protocol, sum(taken), len(taken))
    metrics = urllib.request.urlopen(f"{aerie.http}/metrics", timeout=10).read().decode()
    counted = {predictor: sum(
        float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines()
        if line.startswith("seldon_api_executor_server_requests_seconds_count") and f'deployment_name="{name}"' in line
        and f'predictor_name="{predictor}"' in line) for predictor in ("model-v1", "model-v2")}
    assert sum(counted.values()) == len(traffic.answers), counted
    assert counted["model-v2"] == sum(answer == second[row] for _, _, row, answer in traffic.answers)


def test_a_deleted_deployment_is_not_found(aerie, boosters):
    model, name = "serving_swap_delete", "serving-swap-delete"
    register(aerie, model, boosters[0])
    aerie.cli("apply", "-f", "-", input=manifest(name, production=f"models:/{model}/1"))
    wait_until_available(aerie, name)
    aerie.cli("delete", "SeldonDeployment", name)
    deadline = time.monotonic() + 10
    while True:
        try:
            urllib.request.urlopen(f"{aerie.inference_http}/v2/models/{name}", timeout=5).close()
            assert time.monotonic() < deadline, "a deleted deployment still answers"
            time.sleep(0.02)
        except urllib.error.HTTPError as error:
            assert error.code == 404 and name in json.loads(error.read())["error"]
            break
    body = json.dumps({"inputs": [{"name": "input", "shape": [1, 5], "datatype": "FP64", "data": [0] * 5}]}).encode()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{aerie.inference_http}/v2/models/{name}/infer", body, timeout=5)
    assert refused.value.code == 404
    with tritonclient.grpc.InferenceServerClient(aerie.inference_grpc) as client:
        assert not client.is_model_ready(name)
