"""A disk that is full: what is written is refused and leaves nothing half done, what is there can be read, and with
room again everything goes on."""
import os
import pathlib
import resource
import subprocess

import pytest
import requests
import urllib3
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException


class SmallDisk:
    """A file system of 48 MiB where one can be mounted, else a limit on the size of the server's files."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        folder.mkdir()
        self.server = None
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", folder], capture_output=True)
        self.is_mounted = done.returncode == 0

    def fill(self):
        if not self.is_mounted:
            resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
            return
        with open(self.folder / "ballast", "wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while file.write(b"x" * size) == size:
                        pass
                except OSError:
                    continue

    def free(self):
        if self.is_mounted:
            (self.folder / "ballast").unlink()
        else:
            limits = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, limits)

    def close(self):
        if self.is_mounted:
            subprocess.run(["umount", "-l", self.folder], check=True)


@pytest.fixture
def disk(tmp_path):
    disk = SmallDisk(tmp_path / "disk")
    yield disk
    if disk.server:
        disk.server.kill()
    disk.close()


def post(server, call, **body):
    # Not through the client: it would ask again for minutes before it tells.
    return requests.post(f"{server.http}/api/2.0/mlflow/{call}", json=body, timeout=60)


def test_a_full_disk_refuses_what_is_new_and_keeps_what_there_is(start_aerie, disk, tmp_path, monkeypatch):
    server = disk.server = start_aerie(disk.folder / "data")
    client = MlflowClient(server.http)
    experiment = client.create_experiment("e")
    run = client.create_run(experiment, run_name="before").info.run_id
    client.log_text(run, "small", "small.txt")
    # More than is folded in one go, so that some of it waits while the disk is full.
    for step in range(40):
        client.log_batch(run, metrics=[Metric(f"m{key}", step, step, step) for key in range(100)])
    disk.fill()

    statuses, messages, made, logged = set(), set(), {"before"}, []
    for number in range(200):
        answers = [
            post(server, "runs/create", experiment_id=experiment, run_name=f"refused-{number}"),
            post(server, "runs/log-batch", run_id=run, params=[{"key": f"p{number}", "value": "x" * 5000}],
                 metrics=[{"key": "m0", "value": 1, "timestamp": 1, "step": 1000 + number}]),
            post(server, "registered-models/create", name=f"refused-{number}"),
        ]
        statuses |= {answer.status_code for answer in answers}
        if answers[0].ok:
            made.add(f"refused-{number}")
        if answers[1].ok:
            logged.append(number)
        messages |= {answer.json().get("message", "") for answer in answers if not answer.ok}
        if all(not answer.ok for answer in answers):
            break
    else:
        raise AssertionError("the disk never became full")
    assert statuses <= {200, 507, 503} and 507 in statuses, (statuses, messages)
    assert all("disk" in message and ("full" in message or "failed" in message) for message in messages), messages
    large = requests.put(f"{server.http}/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/large.bin",
                         data=os.urandom(4 << 20), timeout=60)
    assert large.status_code in (507, 503), large.text

    # Everything that was acknowledged is read, also what had not been put in order before the disk was full.
    assert names(client, experiment) == made
    assert [point.step for point in client.get_metric_history(run, "m7")] == list(range(40))
    data = client.get_run(run).data
    steps = [point.step for point in client.get_metric_history(run, "m0")]
    assert steps == [*range(40), *(1000 + number for number in logged)]
    assert data.params.keys() == {f"p{number}" for number in logged}
    assert [file.path for file in client.list_artifacts(run)] == ["small.txt"]
    assert pathlib.Path(client.download_artifacts(run, "small.txt", str(tmp_path))).read_text() == "small"
    assert requests.get(f"{server.http}/health", timeout=10).ok
    if large.status_code == 507:
        the_real_client_asks_once(client, monkeypatch)
    before = (made, data.params, steps)

    disk.free()
    # The server needs no help to go on.
    assert post(server, "runs/create", experiment_id=experiment, run_name="after").ok
    client.log_metric(run, "m0", 5, step=5000)
    client.log_artifact(run, __file__)
    server.kill()
    server = disk.server = start_aerie(disk.folder / "data")
    client = MlflowClient(server.http)
    assert (names(client, experiment) - {"after"}, client.get_run(run).data.params) == (before[0], before[1])
    assert [point.step for point in client.get_metric_history(run, "m0")] == [*before[2], 5000]
    assert {file.path for file in client.list_artifacts(run)} == {pathlib.Path(__file__).name, "small.txt"}
    leftovers = [path for path in (disk.folder / "data" / "artifacts").rglob("*") if path.stat().st_size == 4 << 20]
    assert not leftovers


def the_real_client_asks_once(client, monkeypatch):
    asked = []
    ask = urllib3.connection.HTTPConnection.request

    def counted(*given, **named):
        asked.append(given[1:3])
        return ask(*given, **named)

    monkeypatch.setattr(urllib3.connection.HTTPConnection, "request", counted)
    with pytest.raises(MlflowException, match="full") as refused:
        for number in range(500):
            asked.clear()
            client.create_registered_model(f"asked-{number}", description="x" * 5000)
    assert refused.value.error_code == "RESOURCE_EXHAUSTED" and len(asked) == 1, (refused.value, asked)


def names(client, experiment):
    found = client.search_runs([experiment], max_results=1000, order_by=["attributes.start_time ASC"])
    return {run.info.run_name for run in found}
