"""Artifacts as the real MLflow client moves them."""
import hashlib
import os
import pathlib
import subprocess
import sys

import pytest
import requests
from mlflow import MlflowClient

from conftest import BINARY, ROOT


def sha(path):
    return hashlib.sha256(open(path, "rb").read()).hexdigest()


def test_a_client_that_prefers_parts_sends_the_file_whole(aerie, tmp_path):
    file = tmp_path / "large.bin"
    file.write_bytes(os.urandom(12 << 20))
    program = (
        "import sys, mlflow\n"
        "client = mlflow.MlflowClient(sys.argv[1])\n"
        "run = client.create_run('0').info.run_id\n"
        "client.log_artifact(run, sys.argv[2], 'deep/er')\n"
        "print(run)\n")
    environment = {**os.environ, "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true", "MLFLOW_TRACKING_URI": aerie.http,
                   "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(5 << 20),
                   "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(5 << 20)}
    done = subprocess.run([sys.executable, "-c", program, aerie.http, str(file)], env=environment,
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    run = done.stdout.split()[-1]
    back = MlflowClient(aerie.http).download_artifacts(run, "deep/er/large.bin", str(tmp_path / "back"))
    assert sha(back) == sha(file)


def test_a_large_file_leaves_the_memory_as_it_was(aerie, tmp_path):
    def resident():
        for line in open(f"/proc/{aerie.process.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
    url = f"{aerie.http}/api/2.0/mlflow-artifacts/artifacts/memory/large.bin"
    piece, count = os.urandom(1 << 20), 200
    requests.put(url, data=(piece for _ in range(5)), timeout=60).raise_for_status()
    before = resident()
    requests.put(url, data=(piece for _ in range(count)), timeout=120).raise_for_status()
    with requests.get(url, stream=True, timeout=120) as answer:
        assert answer.headers["content-length"] == str(count << 20)
        assert sum(len(part) for part in answer.iter_content(1 << 20)) == count << 20
    assert resident() < before + 60
    part = requests.get(url, headers={"Range": "bytes=1048570-1048589"}, timeout=60)
    assert part.status_code == 206 and part.content == piece[-6:] + piece[:14]


def test_a_folder_of_many_files_is_listed_and_comes_down(aerie, tmp_path):
    client = MlflowClient(aerie.http)
    run = client.create_run("0").info
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(500):
        (folder / f"file-{number:05}.txt").write_text(str(number))
    client.log_artifacts(run.run_id, str(folder), "many")
    back = pathlib.Path(client.download_artifacts(run.run_id, "many", str(tmp_path / "back")))
    assert {file.name: file.read_text() for file in back.iterdir()} == {
        file.name: file.read_text() for file in folder.iterdir()}
    # The rest of ten thousand comes by other means, which is quicker.
    kept = aerie.data_dir / "artifacts" / run.artifact_uri.removeprefix("mlflow-artifacts:/") / "many"
    for number in range(500, 10_000):
        (kept / f"file-{number:05}.txt").write_text(str(number))
    listed = client.list_artifacts(run.run_id, "many")
    assert [file.path for file in listed] == [f"many/file-{number:05}.txt" for number in range(10_000)]
    assert listed[9_999].file_size == 4


@pytest.mark.parametrize("size", [20, 3 << 20])
def test_a_damaged_file_is_told_to_the_client(aerie, tmp_path, size):
    client = MlflowClient(aerie.http)
    run = client.create_run("0").info
    (tmp_path / "model.bin").write_bytes(os.urandom(size))
    client.log_artifact(run.run_id, str(tmp_path / "model.bin"))
    assert client.download_artifacts(run.run_id, "model.bin", str(tmp_path))
    kept = aerie.data_dir / "artifacts" / run.artifact_uri.removeprefix("mlflow-artifacts:/") / "model.bin"
    with open(kept, "r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
    with pytest.raises(Exception) as failure:
        client.download_artifacts(run.run_id, "model.bin", str(tmp_path / "back"))
    assert not (tmp_path / "back" / "model.bin").exists() or sha(tmp_path / "back" / "model.bin") != sha(kept)
    if size < 1000:
        answer = requests.get(f"{aerie.http}/api/2.0/mlflow-artifacts/artifacts/"
                              f"{run.artifact_uri.removeprefix('mlflow-artifacts:/')}/model.bin", timeout=60)
        assert answer.status_code == 410 and "is damaged" in answer.json()["message"], failure


def test_the_benchmark_beside_the_real_server_runs(tmp_path):
    done = subprocess.run([ROOT / "Benchmarks" / "artifacts", "--quick"], capture_output=True, text=True, timeout=300,
                          env={**os.environ, "AERIE": BINARY, "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    for line in ("10 MB up", "10 MB down", "100 MB up and down", "a folder of 300 files"):
        assert line in done.stdout
