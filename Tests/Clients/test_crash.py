"""kill -9 at random moments under writing clients: everything that was acknowledged is there afterwards."""
import concurrent.futures
import random
import threading
import time

import requests

ROUNDS = 50
WRITERS = 3


class Acknowledged:
    """What the server said yes to. Writers add to it only after the answer has arrived."""

    def __init__(self):
        self.lock = threading.Lock()
        self.runs: dict[str, dict] = {}
        self.artifacts: dict[str, bytes] = {}
        self.models: list[tuple[str, str]] = []
        self.resources: dict[str, int] = {}

    def total(self):
        return sum(len(r["metrics"]) + len(r["params"]) + 1 for r in self.runs.values()) \
            + len(self.artifacts) + len(self.models) + len(self.resources)


def write_until_it_dies(server, experiment, seed, acknowledged, stop):
    """Creates runs, batches, artifacts, model versions and resources until the connection breaks."""
    rng, session = random.Random(seed), requests.Session()
    api = server.http + "/api/2.0/mlflow"

    def post(path, body):
        answer = session.post(api + path, json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()

    try:
        while not stop.is_set():
            run = post("/runs/create", {"experiment_id": experiment, "start_time": 1})["run"]["info"]["run_id"]
            mine = {"metrics": {}, "params": {}}
            with acknowledged.lock:
                acknowledged.runs[run] = mine
            for batch in range(3):
                # Keys of their own for each batch: a batch may be kept whose answer never arrived.
                metrics = [{"key": f"m{batch}-{i}", "value": rng.random(), "timestamp": batch + 1, "step": batch}
                           for i in range(20)]
                params = [{"key": f"p{batch}-{i}", "value": str(rng.random())} for i in range(5)]
                post("/runs/log-batch", {"run_id": run, "metrics": metrics, "params": params})
                with acknowledged.lock:
                    mine["metrics"].update({m["key"]: m["value"] for m in metrics})
                    mine["params"].update({p["key"]: p["value"] for p in params})
            path, content = f"{experiment}/{run}/artifacts/f.bin", rng.randbytes(20_000)
            session.put(f"{server.http}/api/2.0/mlflow-artifacts/artifacts/{path}", data=content,
                        timeout=10).raise_for_status()
            with acknowledged.lock:
                acknowledged.artifacts[path] = content
            name = f"crash-{seed}"
            session.post(api + "/registered-models/create", json={"name": name}, timeout=10)
            version = post("/model-versions/create", {"name": name, "source": f"runs:/{run}/model", "run_id": run})
            with acknowledged.lock:
                acknowledged.models.append((name, version["model_version"]["version"]))
            rows = rng.randint(1, 10**6)
            body = (f"apiVersion: aerie.dev/v1\nkind: ExpectationSuite\nmetadata: {{name: s-{run[:12]}}}\nspec:\n"
                    f"  expectations:\n  - type: expect_table_row_count_to_equal\n    kwargs: {{value: {rows}}}\n")
            session.post(server.http + "/api/v1/apply", data=body, timeout=10).raise_for_status()
            with acknowledged.lock:
                acknowledged.resources[f"s-{run[:12]}"] = rows
    except requests.RequestException:
        return


def verify(server, acknowledged):
    api, session = server.http + "/api/2.0/mlflow", requests.Session()
    for run, expected in acknowledged.runs.items():
        data = session.get(api + "/runs/get", params={"run_id": run}, timeout=10).json()["run"]["data"]
        metrics = {m["key"]: m["value"] for m in data.get("metrics", [])}
        params = {p["key"]: p["value"] for p in data.get("params", [])}
        assert all(metrics.get(k) == v for k, v in expected["metrics"].items()), run
        assert all(params.get(k) == v for k, v in expected["params"].items()), run
    for path, content in acknowledged.artifacts.items():
        answer = session.get(f"{server.http}/api/2.0/mlflow-artifacts/artifacts/{path}", timeout=10)
        assert answer.status_code == 200 and answer.content == content, path
    for name, version in acknowledged.models:
        answer = session.get(api + "/model-versions/get", params={"name": name, "version": version}, timeout=10)
        assert answer.status_code == 200, (name, version, answer.text)
    for name, rows in acknowledged.resources.items():
        answer = session.get(f"{server.http}/api/v1/namespaces/default/expectationsuite/{name}", timeout=10)
        assert answer.status_code == 200 and str(rows) in answer.text, (name, answer.text)


def test_fifty_kills_lose_nothing_acknowledged(start_aerie, tmp_path):
    rng, total = random.Random(20260301), 0
    server = start_aerie(tmp_path / "data")
    experiment = requests.post(server.http + "/api/2.0/mlflow/experiments/create", json={"name": "crash"},
                               timeout=10).json()["experiment_id"]
    for round_number in range(ROUNDS):
        acknowledged, stop = Acknowledged(), threading.Event()
        with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
            for writer in range(WRITERS):
                pool.submit(write_until_it_dies, server, experiment, round_number * 100 + writer, acknowledged, stop)
            time.sleep(rng.uniform(0.02, 0.6))
            server.kill()
            stop.set()
        server = start_aerie(tmp_path / "data")
        verify(server, acknowledged)
        total += acknowledged.total()
    print(f"{ROUNDS} kills, {total} acknowledged writes, none lost")
    assert total > ROUNDS * 20
    assert server.stop() == 0
