"""`aerie gc` deletes for good what was deleted, with its files, and nothing that something live still refers to."""
import json
import os
import pty
import sqlite3
import subprocess
import time

import mlflow
import pytest
import requests
from conftest import BINARY, ROOT
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException


@pytest.fixture
def server(start_aerie, tmp_path):
    server = start_aerie(tmp_path / "data")
    yield server
    if server.process.poll() is None:
        assert server.stop() == 0, "".join(server.errors[-20:])


@pytest.fixture
def client(server):
    mlflow.set_tracking_uri(server.http)
    return MlflowClient(server.http, server.http)


def make_run(client, server, experiment, size=1000):
    """A run with a bit of everything and an artifact below `model/`."""
    run = client.create_run(experiment).info.run_id
    for step in range(5):
        client.log_metric(run, "loss", 1.0 / (step + 1), step=step)
    client.log_param(run, "depth", 3)
    client.set_tag(run, "team", "fraud")
    client.log_inputs(run, [mlflow.entities.DatasetInput(
        mlflow.entities.Dataset("d", "1", "local", "x"), [mlflow.entities.InputTag("context", "train")])])
    put(server, f"{experiment}/{run}/artifacts/model/f.bin", b"x" * size)
    return run


def put(server, path, content):
    answer = requests.put(f"{server.http}/api/2.0/mlflow-artifacts/artifacts/{path}", data=content, timeout=10)
    assert answer.status_code == 200, answer.text


def files(server):
    root = server.data_dir / "artifacts"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def rows(server):
    """Rows of each table that has any."""
    with sqlite3.connect(f"file:{server.data_dir}/metadata.db?mode=ro", uri=True) as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        counts = {name: database.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0] for name in names}
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    ignored = {"sqlite_sequence", "sqlite_stat1", "grdb_migrations"}
    return {name: count for name, count in counts.items() if count and name not in ignored}


def test_a_deleted_run_goes_with_all_that_hangs_on_it(server, client):
    before = rows(server)
    experiment = "0"
    run = make_run(client, server, experiment)
    kept = make_run(client, server, experiment)
    other = make_run(client, server, experiment)
    client.delete_run(run)
    client.delete_run(other)
    shown = server.cli("gc", "--older-than", "0", "--dry-run").stdout
    assert run in shown and other in shown and kept not in shown
    assert "would delete 2 runs, 0 logged models, 0 traces, 0 experiments, 2.0 kB of files" in shown
    assert client.get_run(run).info.lifecycle_stage == "deleted"
    done = server.cli("gc", "--older-than", "0", "--yes").stdout
    assert done == "deleted 2 runs, 0 logged models, 0 traces, 0 experiments, 2.0 kB of files\n"
    with pytest.raises(MlflowException):
        client.get_run(run)
    assert files(server) == [f"{experiment}/{kept}/artifacts/model/f.bin"]
    assert client.get_run(kept).data.metrics == {"loss": 0.2}
    assert len(client.get_metric_history(kept, "loss")) == 5
    # Whatever tables a run's rows are in, none of them is left. Data sets belong to the experiment.
    client.delete_run(kept)
    server.cli("gc", "--older-than", "0", "--yes")
    assert {**rows(server), "datasets": 0} == {**before, "datasets": 0}


def test_what_was_deleted_lately_stays(server, client):
    run = make_run(client, server, "0")
    client.delete_run(run)
    assert server.cli("gc", "--yes").stdout.startswith("deleted 0 runs")
    client.restore_run(run)
    assert server.cli("gc", "--yes", "--older-than", "0").stdout.startswith("deleted 0 runs")
    assert client.get_run(run).data.params == {"depth": "3"}
    assert len(files(server)) == 1


def test_the_name_of_an_experiment_is_free_again(server, client):
    experiment = client.create_experiment("again")
    make_run(client, server, experiment)
    mlflow.set_experiment("again")
    with mlflow.start_span("work"):
        pass
    mlflow.flush_trace_async_logging()
    model = mlflow.initialize_logged_model("m")
    put(server, f"{experiment}/models/{model.model_id}/artifacts/weights", b"y" * 500)
    client.delete_experiment(experiment)
    with pytest.raises(MlflowException):
        client.create_experiment("again")
    done = server.cli("gc", "--older-than", "0", "--yes").stdout
    assert done.startswith("deleted 1 runs, 1 logged models, 1 traces, 1 experiments"), done
    second = client.create_experiment("again")
    assert int(second) > int(experiment)
    assert files(server) == []
    assert not (server.data_dir / "artifacts" / experiment).exists()


def test_files_of_a_registered_version_stay_until_it_goes(server, client):
    experiment = client.create_experiment("used")
    run, other = make_run(client, server, experiment), make_run(client, server, experiment)
    client.create_registered_model("precious")
    version = client.create_model_version("precious", f"runs:/{run}/model", run)
    client.delete_experiment(experiment)
    shown = server.cli("gc", "--older-than", "0", "--dry-run").stdout
    assert "files stay: models:/precious/1" in shown
    done = server.cli("gc", "--older-than", "0", "--yes")
    assert "deleted 2 runs" in done.stdout and "the files of 2 stay" in done.stdout
    assert f"the files of run {run}" in done.stderr and "models:/precious/1 refers to them" in done.stderr
    assert files(server) == [f"{experiment}/{run}/artifacts/model/f.bin"]
    where = client.get_model_version_download_uri("precious", version.version)
    assert where.endswith(f"{run}/artifacts/model")
    client.delete_model_version("precious", version.version)
    assert server.cli("gc", "--older-than", "0", "--yes").stdout.startswith("deleted 0 runs")
    assert files(server) == []


def test_a_place_shared_with_a_live_experiment_stays(server, client):
    gone = client.create_experiment("gone", artifact_location="mlflow-artifacts:/shared")
    live = client.create_experiment("live", artifact_location="mlflow-artifacts:/shared")
    runs = [client.create_run(experiment).info.run_id for experiment in (gone, live)]
    for run in runs:
        put(server, f"shared/{run}/artifacts/f", b"z")
    client.delete_experiment(gone)
    done = server.cli("gc", "--older-than", "0", "--yes")
    assert f"experiment {live} refers to them" in done.stderr
    assert files(server) == [f"shared/{runs[1]}/artifacts/f"]


def test_only_what_was_named_goes(server, client):
    first, second = client.create_experiment("a"), client.create_experiment("b")
    runs = [make_run(client, server, experiment) for experiment in (first, second, "0")]
    client.delete_experiment(first)
    client.delete_experiment(second)
    client.delete_run(runs[2])
    done = server.cli("gc", "--older-than", "0", "--yes", "--run", runs[2], "--run", "nonesuch")
    assert done.stdout.startswith("deleted 1 runs, 0 logged") and "nonesuch" in done.stderr
    done = server.cli("gc", "--older-than", "0", "--yes", "--experiment", first)
    assert done.stdout.startswith("deleted 1 runs, 0 logged models, 0 traces, 1 experiments")
    client.restore_experiment(second)
    assert client.get_run(runs[1]).info.lifecycle_stage == "active"


def test_a_live_run_keeps_its_deleted_experiment(server, client):
    experiment = client.create_experiment("half")
    runs = [make_run(client, server, experiment) for _ in range(2)]
    client.delete_experiment(experiment)
    client.restore_run(runs[0])
    done = server.cli("gc", "--older-than", "0", "--yes")
    assert done.stdout.startswith("deleted 1 runs, 0 logged models, 0 traces, 0 experiments")
    assert f"skipped: experiment {experiment}" in done.stderr
    assert files(server) == [f"{experiment}/{runs[0]}/artifacts/model/f.bin"]


def test_a_pass_that_is_cut_short_is_taken_up_by_the_next(start_aerie, tmp_path):
    server = start_aerie(tmp_path / "data")
    client = MlflowClient(server.http, server.http)
    experiment = client.create_experiment("many")
    runs = [client.create_run(experiment).info.run_id for _ in range(300)]
    for run in runs:
        put(server, f"{experiment}/{run}/artifacts/f", b"x" * 10)
    keep = client.create_run("0").info.run_id
    put(server, f"0/{keep}/artifacts/f", b"live")
    client.delete_experiment(experiment)
    body = {"older_than_seconds": 0}
    with requests.post(f"{server.http}/api/aerie/v1/gc", json=body, stream=True, timeout=60) as answer:
        for line in filter(None, answer.iter_lines()):
            if json.loads(line)["type"] == "files":
                break
        # In the midst of the files; the rows are gone by then.
        server.kill()
    left = len(files(server))
    assert 1 < left <= 300
    server = start_aerie(tmp_path / "data")
    done = server.cli("gc", "--yes", "--older-than", "0").stdout
    assert done.startswith("deleted 0 runs")
    assert files(server) == [f"0/{keep}/artifacts/f"]
    assert rows(server).get("orphaned_files") is None
    assert server.stop() == 0


def test_a_client_that_hangs_up_ends_the_pass(server, client):
    experiment = client.create_experiment("hung")
    for run in [client.create_run(experiment).info.run_id for _ in range(250)]:
        put(server, f"{experiment}/{run}/artifacts/f", b"x" * 10)
    client.delete_experiment(experiment)
    with requests.post(f"{server.http}/api/aerie/v1/gc", json={"older_than_seconds": 0}, stream=True,
                       timeout=60) as answer:
        assert json.loads(next(filter(None, answer.iter_lines()))) == {"type": "removed", "kind": "run", "count": 200}
    # Until the server has noticed, a second pass is told to wait.
    deadline = time.monotonic() + 30
    while (done := server.cli("gc", "--older-than", "0", "--yes", check=False)).returncode != 0:
        assert "under way" in done.stderr and time.monotonic() < deadline, done.stderr
        time.sleep(0.05)
    assert files(server) == [] and rows(server).get("runs") is None


def test_it_asks_before_it_deletes_and_draws_a_bar(server, client):
    run = make_run(client, server, "0")
    client.delete_run(run)
    assert server.cli("gc", "--older-than", "0", check=False, input="").returncode != 0
    for answer, is_left in (("no", True), ("yes", False)):
        inner, outer = pty.openpty()
        process = subprocess.Popen(
            [BINARY, "gc", "--older-than", "0", "--server", server.http], stdin=outer, stdout=outer, stderr=outer,
            cwd=ROOT)
        os.close(outer)
        text = b""
        while b"Type yes" not in text:
            text += os.read(inner, 4096)
        os.write(inner, answer.encode() + b"\n")
        while True:
            try:
                piece = os.read(inner, 4096)
            except OSError:
                break
            if not piece:
                break
            text += piece
        code = process.wait(30)
        os.close(inner)
        assert (code == 0) != is_left, text
        assert bool(files(server)) == is_left
    assert b"deleted 1 runs" in text and "░".encode() in text


@pytest.mark.parametrize("body, field", [
    ({"older_than_seconds": -1}, "older_than_seconds"), ({"older_than_seconds": "x"}, "older_than_seconds"),
    ({"experiments": "1"}, "experiments"), ({"experiments": ["x"]}, "experiments"), ({"runs": [1]}, "runs"),
    ({"dry_run": 1}, "dry_run"), ({"dryrun": True}, "dryrun"),
])
def test_wrong_input_names_the_field(aerie, body, field):
    answer = requests.post(f"{aerie.http}/api/aerie/v1/gc", json=body, timeout=10)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == field


def test_a_wrong_duration_is_refused(aerie):
    done = aerie.cli("gc", "--older-than", "soon", check=False)
    assert done.returncode != 0 and "30d" in done.stderr
