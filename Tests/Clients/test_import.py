"""`aerie import mlflow`: a real MLflow server's database and files, brought over and compared by the real client."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import mlflow
import pytest
import requests
from mlflow import MlflowClient

from conftest import BINARY, ROOT

MLFLOW = ROOT / ".venv" / "bin" / "mlflow"


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """An MLflow server's folder, filled through its own client; the server goes on running."""
    folder = tmp_path_factory.mktemp("mlflow-server")
    port = free_port()
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{MLFLOW.parent}:{os.environ['PATH']}"}
    server = subprocess.Popen(
        [str(MLFLOW), "server", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination",
         str(folder / "mlartifacts"), "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
        cwd=folder, env=environment, stdout=open(folder / "log", "w"), stderr=subprocess.STDOUT, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                if requests.get(url + "/health", timeout=2).ok:
                    break
            except requests.ConnectionError:
                assert server.poll() is None, (folder / "log").read_text()[-2000:]
                time.sleep(0.1)
        fill(url)
        yield folder, url
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def fill(url):
    client = MlflowClient(url)
    fraud = client.create_experiment("fraud", tags={"team": "risk"})
    gone = client.create_experiment("gone")
    for number in range(12):
        run = client.create_run(fraud, run_name=f"run-{number}", tags={"number": str(number)}).info.run_id
        client.log_param(run, "depth", number)
        for step in range(5):
            client.log_metric(run, "auc", 0.5 + step / 10 + number / 1000, step=step, timestamp=1000 + step)
        client.log_metric(run, "odd", float("nan"), timestamp=1)
        client.log_metric(run, "big", float("inf"), timestamp=1)
        client.log_text(run, f"notes of {number} ä", "notes/read me.txt")
        client.set_terminated(run, "FINISHED" if number % 2 else "FAILED", end_time=1_800_000_000_000)
        if number == 3:
            client.delete_run(run)
    client.create_run(gone, run_name="in a deleted experiment")
    client.delete_experiment(gone)
    mlflow.set_tracking_uri(url)
    mlflow.set_experiment("models")
    import numpy
    from sklearn.linear_model import LogisticRegression
    model = LogisticRegression().fit(numpy.array([[0.0], [1.0], [2.0], [3.0]]), [0, 0, 1, 1])
    with mlflow.start_run(run_name="training"):
        dataset = mlflow.data.from_numpy(numpy.zeros((3, 1)), name="zeros")
        mlflow.log_input(dataset, context="training")
        for _ in range(2):
            mlflow.sklearn.log_model(model, name="model", registered_model_name="scorer",
                                     serialization_format="cloudpickle")
    client.transition_model_version_stage("scorer", "1", "Production")
    client.set_registered_model_alias("scorer", "best", "2")
    client.set_model_version_tag("scorer", "2", "reviewed", "yes")
    client.update_registered_model("scorer", "scores things")


def bring(server, folder, *more):
    command = [BINARY, "import", "mlflow", "--from", str(folder / "mlflow.db"), "--artifacts",
               str(folder / "mlartifacts"), "--server", server.http, "--output", "json", *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def runs(client, name, view=mlflow.entities.ViewType.ALL):
    experiment = client.get_experiment_by_name(name)
    found = client.search_runs([experiment.experiment_id], run_view_type=view, max_results=100)
    return {run.info.run_id: run for run in found}


@pytest.fixture(scope="module")
def imported(start_aerie_module, source):
    server = start_aerie_module
    return server, source, bring(server, source[0])


@pytest.fixture(scope="module")
def start_aerie_module(tmp_path_factory):
    from conftest import Aerie
    server = Aerie(tmp_path_factory.mktemp("import") / "data")
    yield server
    server.stop()


def test_everything_came_over(imported):
    _, _, report = imported
    assert report["added"] == {"experiments": 3 - 0, "logged_models": 2, "runs": 14, "traces": 0,
                               "registered_models": 1, "files": report["added"]["files"]}, report
    assert report["added"]["files"] >= 14 and not report["warnings"], report


def test_runs_are_what_they_were(imported):
    server, (_, url), _ = imported
    theirs, ours = MlflowClient(url), MlflowClient(server.http)
    for name in ("fraud", "models", "gone"):
        a, b = runs(theirs, name), runs(ours, name)
        assert a.keys() == b.keys() and a
        for run_id, run in a.items():
            other = b[run_id]
            for field in ("run_name", "status", "start_time", "end_time", "lifecycle_stage", "user_id"):
                assert getattr(run.info, field) == getattr(other.info, field), field
            assert run.data.params == other.data.params
            assert run.data.tags == other.data.tags
            assert str(sorted(run.data.metrics.items())) == str(sorted(other.data.metrics.items()))
            assert [d.dataset.name for d in run.inputs.dataset_inputs] == [
                d.dataset.name for d in other.inputs.dataset_inputs]
            for key in run.data.metrics:
                points = [(m.step, m.timestamp, str(m.value)) for m in theirs.get_metric_history(run_id, key)]
                assert points == [(m.step, m.timestamp, str(m.value)) for m in ours.get_metric_history(run_id, key)]
    assert ours.get_experiment_by_name("gone").lifecycle_stage == "deleted"
    assert ours.get_experiment_by_name("fraud").tags["team"] == "risk"


def test_files_and_models_are_usable(imported, tmp_path):
    server, _, _ = imported
    client = MlflowClient(server.http)
    run = next(r for r in runs(client, "fraud").values() if r.info.run_name == "run-7")
    file = client.download_artifacts(run.info.run_id, "notes/read me.txt", str(tmp_path))
    assert pathlib.Path(file).read_text() == "notes of 7 ä"
    versions = {v.version: v for v in client.search_model_versions("name = 'scorer'")}
    assert {str(v.version) for v in versions.values()} == {"1", "2"}
    assert client.get_model_version("scorer", "1").current_stage == "Production"
    assert str(client.get_model_version_by_alias("scorer", "best").version) == "2"
    assert client.get_model_version("scorer", "2").tags == {"reviewed": "yes"}
    assert client.get_registered_model("scorer").description == "scores things"
    mlflow.set_tracking_uri(server.http)
    for uri in ("models:/scorer/1", "models:/scorer/Production", "models:/scorer@best"):
        assert list(mlflow.pyfunc.load_model(uri).predict([[0.0], [3.0]])) == [0, 1]


def test_a_second_time_brings_nothing(imported):
    server, (folder, _), first = imported
    again = bring(server, folder)
    assert not any(again["added"].values())
    assert again["present"]["runs"] == first["added"]["runs"]
    assert "is there already" in again["warnings"][0]


def test_new_versions_get_the_next_number(imported):
    server, _, _ = imported
    client = MlflowClient(server.http)
    source = client.get_model_version("scorer", "2").source
    assert int(client.create_model_version("scorer", source).version) == 3


def test_an_import_that_was_killed_is_finished_by_the_next(start_aerie, source, tmp_path):
    folder, url = source
    many = tmp_path / "many.db"
    shutil.copy(folder / "mlflow.db", many)
    copies(many, 6000)
    server = start_aerie(tmp_path / "data")
    command = [BINARY, "import", "mlflow", "--from", str(many), "--artifacts", str(folder / "mlartifacts"), "--server"]
    first = subprocess.Popen([*command, server.http], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    client = MlflowClient(server.http)
    while True:
        experiment = client.get_experiment_by_name("copies")
        if experiment and client.search_runs([experiment.experiment_id], max_results=1):
            break
        assert first.poll() is None
    server.kill()
    assert first.wait(60) != 0
    first.stdout.close(), first.stderr.close()
    server = start_aerie(tmp_path / "data")
    done = subprocess.run([*command, server.http], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    client, total, token = MlflowClient(server.http), 0, None
    experiment = client.get_experiment_by_name("copies").experiment_id
    while True:
        page = client.search_runs([experiment], max_results=2000, page_token=token)
        assert all(run.data.metrics == {"m": 1.0} and run.data.params == {"p": "v"} for run in page)
        total, token = total + len(page), page.token
        if not token:
            break
    assert total == 6000


def copies(path, count):
    import sqlite3
    database = sqlite3.connect(path)
    database.execute("INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time,"
                     " last_update_time) VALUES (77, 'copies', 'mlflow-artifacts:/77', 'active', 1, 1)")
    ids = [f"{number:032x}" for number in range(count)]
    database.executemany("INSERT INTO runs (run_uuid, name, user_id, status, start_time, lifecycle_stage, artifact_uri,"
                         " experiment_id) VALUES (?, 'n', 'u', 'FINISHED', 5, 'active', '', 77)", [(i,) for i in ids])
    database.executemany("INSERT INTO params (key, value, run_uuid) VALUES ('p', 'v', ?)", [(i,) for i in ids])
    database.executemany("INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES"
                         " ('m', 1.0, 1, ?, 0, 0)", [(i,) for i in ids])
    database.commit()
    database.close()


@pytest.mark.parametrize("content,words", [
    (None, "there is no file"), (b"", "not one of an MLflow server"), (b"no database at all" * 500, "cannot be read")])
def test_a_wrong_file_is_told(aerie, tmp_path, content, words):
    file = tmp_path / "wrong.db"
    if content is not None:
        file.write_bytes(content)
    done = subprocess.run([BINARY, "import", "mlflow", "--from", str(file), "--server", aerie.http],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode in (2, 3) and words in done.stderr, done.stderr


def test_a_dry_run_changes_nothing(start_aerie, source, tmp_path):
    server = start_aerie(tmp_path / "data")
    report = bring(server, source[0], "--dry-run")
    assert report["dry_run"] and report["added"]["runs"] == 14
    assert MlflowClient(server.http).get_experiment_by_name("fraud") is None
