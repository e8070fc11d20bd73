"""The commands of the real `mlflow`, as people type them, against this server."""
import csv
import json
import os
import pathlib
import subprocess
import sys

import mlflow
import pytest
from mlflow import MlflowClient


MODEL = """
import mlflow


class FirstColumn(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input.iloc[:, 0] * 2


mlflow.models.set_model(FirstColumn())
"""


@pytest.fixture(scope="module")
def server(start_aerie, tmp_path_factory):
    return start_aerie(tmp_path_factory.mktemp("mlflow-cli") / "data")


@pytest.fixture(scope="module")
def client(server):
    mlflow.set_tracking_uri(server.http)
    mlflow.set_experiment("commands")
    return MlflowClient(server.http, server.http)


def run(server, *arguments, check=True, timeout=300):
    """What `mlflow …` prints."""
    command = [str(pathlib.Path(sys.executable).parent / "mlflow"), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout,
        env={**os.environ, "MLFLOW_TRACKING_URI": server.http, "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"})
    if check and done.returncode != 0:
        raise AssertionError(f"mlflow {' '.join(arguments)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def test_experiments(server, client):
    out = run(server, "experiments", "create", "--experiment-name", "typed").stdout
    experiment = client.get_experiment_by_name("typed").experiment_id
    assert f"Created experiment 'typed' with id {experiment}" in out
    again = run(server, "experiments", "create", "-n", "typed", check=False)
    assert again.returncode != 0 and "RESOURCE_ALREADY_EXISTS" in again.stderr
    assert "typed" in run(server, "experiments", "search").stdout
    run(server, "experiments", "rename", "--experiment-id", experiment, "--new-name", "typed anew")
    assert client.get_experiment(experiment).name == "typed anew"
    found = json.loads(run(server, "experiments", "get", "--experiment-id", experiment, "--output", "json").stdout)
    assert found["name"] == "typed anew"
    run(server, "experiments", "delete", "--experiment-id", experiment)
    assert client.get_experiment(experiment).lifecycle_stage == "deleted"
    assert "typed anew" in run(server, "experiments", "search", "--view", "deleted_only").stdout
    run(server, "experiments", "restore", "--experiment-id", experiment)
    assert client.get_experiment(experiment).lifecycle_stage == "active"
    missing = run(server, "experiments", "delete", "--experiment-id", "987654", check=False)
    assert missing.returncode != 0 and "987654" in missing.stderr


def test_experiments_as_csv(server, client, tmp_path):
    experiment = client.create_experiment("as csv")
    for number in range(3):
        one = client.create_run(experiment, run_name=f"n{number}").info.run_id
        client.log_metric(one, "auc", number / 2)
        client.log_param(one, "text", "a,\"b\"")
    path = tmp_path / "runs.csv"
    run(server, "experiments", "csv", "--experiment-id", experiment, "--filename", str(path))
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["metrics.auc"] for row in rows) == ["0.0", "0.5", "1.0"]
    assert {row["params.text"] for row in rows} == {"a,\"b\""}


def test_runs(server, client):
    experiment = client.create_experiment("runs typed")
    out = run(server, "runs", "create", "--experiment-id", experiment, "--run-name", "by hand", "--tags", "a=1",
              "--status", "FAILED").stdout
    # A line with the run's address may stand before the answer.
    made = json.loads(out[out.index("{"):])
    one = client.get_run(made["run_id"])
    assert one.info.run_name == "by hand" and one.info.status == "FAILED" and one.data.tags["a"] == "1"
    assert made["run_id"] in run(server, "runs", "list", "--experiment-id", experiment).stdout
    described = json.loads(run(server, "runs", "describe", "--run-id", made["run_id"]).stdout)
    assert described["info"]["run_id"] == made["run_id"] and described["data"]["tags"]["a"] == "1"
    run(server, "runs", "delete", "--run-id", made["run_id"])
    assert client.get_run(made["run_id"]).info.lifecycle_stage == "deleted"
    listed = run(server, "runs", "list", "--experiment-id", experiment, "--view", "deleted_only").stdout
    assert made["run_id"] in listed
    run(server, "runs", "restore", "--run-id", made["run_id"])
    assert client.get_run(made["run_id"]).info.lifecycle_stage == "active"


def test_artifacts(server, client, tmp_path):
    one = client.create_run("0").info.run_id
    (tmp_path / "up" / "inner").mkdir(parents=True)
    (tmp_path / "up" / "a.txt").write_text("a")
    (tmp_path / "up" / "inner" / "ü b.bin").write_bytes(bytes(range(256)) * 40)
    run(server, "artifacts", "log-artifact", "-l", str(tmp_path / "up" / "a.txt"), "-r", one, "-a", "single")
    run(server, "artifacts", "log-artifacts", "-l", str(tmp_path / "up"), "-r", one)
    listed = json.loads(run(server, "artifacts", "list", "-r", one).stdout)
    assert sorted((file["path"], file["is_dir"]) for file in listed) == [
        ("a.txt", False), ("inner", True), ("single", True)]
    below = json.loads(run(server, "artifacts", "list", "-r", one, "-a", "inner").stdout)
    assert [(file["path"], int(file["file_size"])) for file in below] == [("inner/ü b.bin", 10240)]
    run(server, "artifacts", "download", "-r", one, "-d", str(tmp_path / "down"))
    assert (tmp_path / "down" / "inner" / "ü b.bin").read_bytes() == bytes(range(256)) * 40
    assert (tmp_path / "down" / "single" / "a.txt").read_text() == "a"
    out = run(server, "artifacts", "download", "-u", f"runs:/{one}/inner", "-d", str(tmp_path / "uri")).stdout
    assert pathlib.Path(out.strip().splitlines()[-1]).is_dir()


def test_models_predict(server, client, tmp_path):
    (tmp_path / "first_column.py").write_text(MODEL)
    with mlflow.start_run():
        info = mlflow.pyfunc.log_model(
            name="model", python_model=str(tmp_path / "first_column.py"), pip_requirements=[])
    mlflow.register_model(info.model_uri, "typed model")
    client.set_registered_model_alias("typed model", "live", "1")
    (tmp_path / "in.csv").write_text("x,y\n1,5\n2,6\n")
    for number, uri in enumerate((info.model_uri, "models:/typed model@live")):
        out = tmp_path / f"out{number}.json"
        run(server, "models", "predict", "-m", uri, "-i", str(tmp_path / "in.csv"), "-o", str(out), "-t", "csv",
            "--env-manager", "local")
        found = json.loads(out.read_text())["predictions"]
        assert [list(row.values())[0] if isinstance(row, dict) else row for row in found] == [2, 4]
