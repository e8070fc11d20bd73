"""`aerie up --metadata postgresql://…` on a real PostgreSQL server, as the real MLflow client sees it."""
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import time

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from conftest import BINARY

PROGRAMS = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))


class Postgres:
    """A server in a folder of its own. PostgreSQL refuses to be run by root."""

    def __init__(self):
        assert PROGRAMS, "there is no PostgreSQL server; run scripts/test-tools"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="aerie-pg-", dir="/tmp"))
        self.prefix = []
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            shutil.chown(self.folder, "postgres")
            self.prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
        self.data = self.folder / "data"
        subprocess.run([*self.prefix, PROGRAMS[-1] / "initdb", "-D", self.data, "-U", "aerie", "-A", "trust",
                        "--no-locale", "-E", "UTF8"], check=True, capture_output=True, cwd="/tmp")
        self.url = f"postgresql://aerie@127.0.0.1:{self.port}/postgres"
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [*self.prefix, PROGRAMS[-1] / "postgres", "-D", self.data, "-p", str(self.port), "-h", "127.0.0.1",
             "-k", self.folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/tmp")
        for _ in range(300):
            ready = subprocess.run([PROGRAMS[-1] / "pg_isready", "-h", "127.0.0.1", "-p", str(self.port)],
                                   capture_output=True)
            if ready.returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError("PostgreSQL did not start")

    def stop(self):
        self.process.send_signal(3)  # SIGQUIT: at once, as a crash would.
        self.process.wait(30)


@pytest.fixture(scope="module")
def postgres():
    server = Postgres()
    yield server
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


def test_a_team_works_on_postgresql(start_aerie, postgres, tmp_path):
    server = start_aerie(tmp_path / "data", "--metadata", postgres.url)
    client = MlflowClient(server.http)
    experiment = client.create_experiment("fraud", tags={"team": "risk"})
    ids = []
    for number in range(5):
        run = client.create_run(experiment, run_name=f"run-{number}").info.run_id
        ids.append(run)
        client.log_param(run, "depth", number)
        client.log_batch(run, metrics=[mlflow.entities.Metric("auc", number / 10 + step / 100, step, step)
                                       for step in range(20)])
        client.log_text(run, "hello", "a.txt")
        client.set_terminated(run)
    found = client.search_runs([experiment], "metrics.auc > 0.35 and params.depth != '4'", order_by=["metrics.auc DESC"])
    assert [run.info.run_name for run in found] == ["run-3", "run-2"]
    assert [point.step for point in client.get_metric_history(ids[0], "auc")] == list(range(20))
    with pytest.raises(MlflowException, match="already logged"):
        client.log_param(ids[0], "depth", 7)
    client.create_registered_model("scorer")
    for run in ids[:2]:
        client.create_model_version("scorer", f"runs:/{run}/", run)
    client.set_registered_model_alias("scorer", "best", "2")
    client.transition_model_version_stage("scorer", "1", "Production", archive_existing_versions=True)
    assert str(client.get_model_version_by_alias("scorer", "best").version) == "2"

    # Neither the end of this process nor that of the database takes anything along.
    server.kill()
    postgres.stop()
    postgres.start()
    server = start_aerie(tmp_path / "data", "--metadata", postgres.url)
    client = MlflowClient(server.http)
    assert len(client.search_runs([experiment])) == 5
    assert client.get_run(ids[4]).data.metrics["auc"] == pytest.approx(0.59)
    assert client.get_model_version("scorer", "1").current_stage == "Production"

    # What is deleted for good goes from the database, and its files from the store.
    every = mlflow.entities.ViewType.ALL
    for run in ids[2:4]:
        client.delete_run(run)
    assert "2 runs" in server.cli("gc", "--older-than", "0", "--dry-run").stdout
    assert len(client.search_runs([experiment], run_view_type=every)) == 5
    assert server.cli("gc", "--older-than", "0", "--yes").stdout.startswith("deleted 2 runs")
    assert {run.info.run_id for run in client.search_runs([experiment], run_view_type=every)} == {*ids[:2], ids[4]}
    client.delete_experiment(experiment)
    assert server.cli("gc", "--older-than", "0", "--yes").returncode == 0
    with pytest.raises(MlflowException, match="(?i)no experiment|not exist|not found"):
        client.get_experiment(experiment)


def test_calls_wait_for_a_database_that_comes_back(start_aerie, postgres, tmp_path):
    server = start_aerie(tmp_path / "data", "--metadata", postgres.url)
    client = MlflowClient(server.http)
    experiment = client.create_experiment("waiting")
    postgres.stop()
    postgres.start()
    for number in range(10):
        client.create_run(experiment, run_name=f"after-{number}")
    assert len(client.search_runs([experiment])) == 10


def test_two_servers_share_one_database(start_aerie, postgres, tmp_path):
    one = start_aerie(tmp_path / "one", "--metadata", postgres.url)
    two = start_aerie(tmp_path / "two", "--metadata", postgres.url)
    experiment = MlflowClient(one.http).create_experiment("shared")
    run = MlflowClient(two.http).create_run(experiment).info.run_id
    for step in range(20):
        MlflowClient((one, two)[step % 2].http).log_metric(run, "m", step, step=step, timestamp=1)
    assert [m.step for m in MlflowClient(one.http).get_metric_history(run, "m")] == list(range(20))
    with pytest.raises(MlflowException, match="already exists"):
        MlflowClient(two.http).create_experiment("shared")


def test_a_database_that_is_not_there_is_said_without_its_password(tmp_path):
    done = subprocess.run(
        [BINARY, "up", "--data-dir", str(tmp_path / "data"), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0",
         "--inference-http", "127.0.0.1:0", "--inference-grpc", "127.0.0.1:0", "--feast-http", "127.0.0.1:0",
         "--metadata", "postgresql://someone:verysecret@127.0.0.1:1/none"],
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 5 and "cannot connect to the metadata database" in done.stderr
    assert "verysecret" not in done.stderr + done.stdout
