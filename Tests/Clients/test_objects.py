"""Artifacts in an object store: the real MLflow client against a server whose files are in a real S3 server (moto's)."""
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import boto3
import lightgbm
import mlflow
import numpy
import pytest
import requests

from conftest import wait_until_available


class ObjectServer:
    def __init__(self):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [str(pathlib.Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.05)
        self.client = boto3.client("s3", endpoint_url=self.url, aws_access_key_id="a", aws_secret_access_key="b",
                                   region_name="us-east-1")
        self.client.create_bucket(Bucket="models")

    def keys(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket="models")
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def kill(self):
        self.process.kill()
        self.process.wait(30)


@pytest.fixture(scope="module")
def objects():
    server = ObjectServer()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def environment(objects):
    return {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "MLFLOW_S3_ENDPOINT_URL": objects.url}


@pytest.fixture(scope="module")
def server(start_aerie, objects, environment, tmp_path_factory):
    data = tmp_path_factory.mktemp("objects") / "data"
    return start_aerie(data, "--artifacts", "s3://models/team/a", environment=environment)


def run_with(server, folder):
    mlflow.set_tracking_uri(server.http)
    mlflow.set_experiment("objects")
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(folder), "out")
    return run.info.run_id


def artifact_url(server, run, path):
    uri = mlflow.MlflowClient(server.http).get_run(run).info.artifact_uri
    return f"{server.http}/api/2.0/mlflow-artifacts/artifacts/{uri.removeprefix('mlflow-artifacts:/')}/{path}"


def test_folders_go_up_and_come_down(server, objects, tmp_path):
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    rng = numpy.random.default_rng(1)
    contents = {"a.txt": b"x", "empty": b"", "deep/big.bin": rng.bytes(21_000_001), "deep/größe +1.csv": b"a,b\n"}
    for name, content in contents.items():
        (source / name).write_bytes(content)
    run = run_with(server, source)
    client = mlflow.MlflowClient(server.http)
    assert [(each.path, each.is_dir, each.file_size) for each in client.list_artifacts(run, "out")] == [
        ("out/a.txt", False, 1), ("out/deep", True, None), ("out/empty", False, 0)]
    back = pathlib.Path(mlflow.artifacts.download_artifacts(run_id=run, artifact_path="out", dst_path=tmp_path / "back"))
    for name, content in contents.items():
        assert (back / name).read_bytes() == content
    keys = [key for key in objects.keys() if run in key]
    assert len(keys) == 4 and all(key.startswith("team/a/") for key in keys)
    part = requests.get(artifact_url(server, run, "out/deep/big.bin"),
                        headers={"Range": "bytes=20999990-"}, timeout=60)
    assert part.content == contents["deep/big.bin"][20_999_990:]
    assert mlflow.artifacts.list_artifacts(run_id=run, artifact_path="nothing") == []


def test_ranges_and_digests_hold_in_the_object_store(server, objects, tmp_path):
    content = numpy.random.default_rng(5).bytes(9 << 20)
    (tmp_path / "data.bin").write_bytes(content)
    (tmp_path / "small.bin").write_bytes(b"123")
    url = artifact_url(server, run_with(server, tmp_path), "out/data.bin")
    for asked, expected in (("bytes=0-9", content[:10]), ("bytes=-7", content[-7:]), ("bytes=9437183-", content[-1:]),
                            ("bytes=8388600-8388619", content[8388600:8388620])):
        part = requests.get(url, headers={"Range": asked}, timeout=60)
        assert part.status_code == 206 and part.content == expected
        assert part.headers["content-range"].endswith(f"/{len(content)}")
    assert requests.get(url, headers={"Range": f"bytes={len(content)}-"}, timeout=60).status_code == 416
    wrong = requests.put(url + ".2", data=content, headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, timeout=60)
    assert wrong.status_code == 400 and requests.get(url + ".2", timeout=60).status_code == 404
    assert not any(key.endswith(".2") for key in objects.keys())
    assert objects.client.list_multipart_uploads(Bucket="models").get("Uploads", []) == []


def test_what_other_programs_put_there_is_seen(server, objects, tmp_path):
    (tmp_path / "x").write_text("x")
    run = run_with(server, tmp_path)
    key = next(key for key in objects.keys() if run in key)
    objects.client.put_object(Bucket="models", Key=key.replace("out/x", "other/y"), Body=b"from elsewhere")
    path = mlflow.artifacts.download_artifacts(run_id=run, artifact_path="other/y", dst_path=tmp_path / "down")
    assert pathlib.Path(path).read_bytes() == b"from elsewhere"


def test_a_model_is_registered_loaded_and_served(server, tmp_path):
    rng = numpy.random.default_rng(2)
    rows = rng.normal(size=(300, 4))
    booster = lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": 1},
                             lightgbm.Dataset(rows, (rows[:, 0] > 0).astype(int)), num_boost_round=8)
    mlflow.set_tracking_uri(server.http)
    mlflow.set_experiment("objects")
    with mlflow.start_run():
        logged = mlflow.lightgbm.log_model(booster, name="model", pip_requirements=["lightgbm"])
    version = mlflow.register_model(logged.model_uri, "in-objects").version
    loaded = mlflow.pyfunc.load_model(f"models:/in-objects/{version}")
    assert loaded.predict(rows) == pytest.approx(booster.predict(rows))
    for name, uri in (("by-version", f"models:/in-objects/{version}"), ("by-model", logged.model_uri)):
        server.cli("apply", "-f", "-", input=f"""
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {{name: {name}}}
spec:
  predictors: [{{name: main, graph: {{name: model, modelUri: "{uri}"}}}}]
""")
        wait_until_available(server, name)
        answer = requests.post(f"{server.inference_http}/v2/models/{name}/infer", timeout=30, json={"inputs": [
            {"name": "input", "datatype": "FP64", "shape": [300, 4], "data": rows.ravel().tolist()}]})
        assert answer.status_code == 200, answer.text
        assert answer.json()["outputs"][0]["data"] == pytest.approx(booster.predict(rows), abs=1e-12)


def test_a_bucket_s_models_are_served_as_their_manifests_name_them(start_aerie, environment, tmp_path):
    """Whatever the scheme, and whatever keeps the server's own artifacts: a file, an MLflow folder, and what is wrong."""
    objects = ObjectServer()
    try:
        objects.client.create_bucket(Bucket="ml-models")
        rng = numpy.random.default_rng(4)
        rows = rng.normal(size=(50, 4))

        def trained(sign):
            return lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": 1},
                                  lightgbm.Dataset(rows, (sign * rows[:, 0] > 0).astype(int)), num_boost_round=5)

        first, second = trained(1), trained(-1)
        mlflow.lightgbm.save_model(first, str(tmp_path / "v1"), pip_requirements=["lightgbm"])
        for file in (tmp_path / "v1").rglob("*"):
            if file.is_file():
                objects.client.upload_file(str(file), "ml-models", f"fraud/v1/{file.relative_to(tmp_path / 'v1')}")
        objects.client.put_object(Bucket="ml-models", Key="fraud/v2.txt", Body=second.model_to_string().encode())
        server = start_aerie(tmp_path / "data", environment={**environment, "MLFLOW_S3_ENDPOINT_URL": objects.url})

        def deploy(name, *uris):
            predictors = [f"{{name: p{at}, traffic: {100 // len(uris)}, graph: {{name: m, modelUri: '{uri}'}}}}"
                          for at, uri in enumerate(uris)]
            return server.cli("apply", "-f", "-", input=f"""
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {{name: {name}}}
spec: {{predictors: [{", ".join(predictors)}]}}
""")

        def answers(name):
            answer = requests.post(f"{server.inference_http}/v2/models/{name}/infer", timeout=30, json={"inputs": [
                {"name": "input", "datatype": "FP64", "shape": [50, 4], "data": rows.ravel().tolist()}]})
            assert answer.status_code == 200, answer.text
            return answer.json()["outputs"][0]["data"]

        for name, uri, booster in (("folder", "gs://ml-models/fraud/v1", first), ("s3", "s3://ml-models/fraud/v1", first),
                                   ("file", "s3://ml-models/fraud/v2.txt", second)):
            deploy(name, uri)
            wait_until_available(server, name)
            assert answers(name) == pytest.approx(booster.predict(rows), abs=1e-12)
        deploy("ab", "gs://ml-models/fraud/v1", "gs://ml-models/fraud/v2.txt")
        wait_until_available(server, "ab")

        # What lies there now counts when the server begins again; a copy of what lay there does not.
        objects.client.put_object(Bucket="ml-models", Key="fraud/v2.txt", Body=first.model_to_string().encode())
        assert server.stop() == 0
        server = start_aerie(tmp_path / "data", environment={**environment, "MLFLOW_S3_ENDPOINT_URL": objects.url})
        wait_until_available(server, "file")
        assert answers("file") == pytest.approx(first.predict(rows), abs=1e-12)

        for name, uri, words in (("none", "gs://ml-models/fraud/v3", "no such file or folder"),
                                 ("nobucket", "s3://nobody-made-this/m", "nobody-made-this"),
                                 ("whole", "gs://ml-models", "no model in it"),
                                 ("wrong", "s3://ml-models/fraud", "MLmodel")):
            deploy(name, uri)
            deadline, status = time.monotonic() + 30, {}
            while status.get("state") != "Failed" and time.monotonic() < deadline:
                shown = server.cli("get", "SeldonDeployment", name, "-o", "json").stdout
                status = json.loads(shown).get("status") or {}
            assert uri in status["description"] and words in status["description"], status
    finally:
        objects.kill()


def test_gc_deletes_the_objects(server, objects, tmp_path):
    (tmp_path / "x").write_text("x")
    run = run_with(server, tmp_path)
    mlflow.MlflowClient(server.http).delete_run(run)
    server.cli("gc", "--older-than", "0s", "--yes")
    assert not [key for key in objects.keys() if run in key]


def test_a_store_that_is_away(server, objects, tmp_path):
    (tmp_path / "x").write_text("kept")
    run = run_with(server, tmp_path)
    objects.kill()
    answer = requests.get(artifact_url(server, run, "out/x"), timeout=120)
    assert answer.status_code == 503, answer.text
    assert "does not answer" in answer.text
    # What is not kept in objects goes on.
    assert mlflow.MlflowClient(server.http).get_run(run).info.run_id == run


def test_a_store_that_refuses_is_named_at_the_start(start_aerie, objects, environment, tmp_path):
    other = ObjectServer()
    try:
        for arguments, extra, words in (
                (["--artifacts", "s3://nobody-made-this/x"], {}, "make the bucket"),
                (["--artifacts", "s3:/models"], {}, "s3://bucket/prefix"),
                (["--artifacts", "s3://models"], {"AWS_ACCESS_KEY_ID": "", "HOME": str(tmp_path)}, "AWS_ACCESS_KEY_ID")):
            done = subprocess.run(
                [os.environ.get("AERIE_BIN", "bin/aerie"), "up", "--data-dir", str(tmp_path / "data"), "--http",
                 "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--inference-http", "127.0.0.1:0", "--inference-grpc",
                 "127.0.0.1:0", *arguments],
                env={**os.environ, **environment, "MLFLOW_S3_ENDPOINT_URL": other.url, **extra},
                capture_output=True, text=True, timeout=60)
            assert done.returncode not in (0, None), done.stdout
            assert words in done.stderr + done.stdout, done.stderr + done.stdout
    finally:
        other.kill()


def test_large_files_go_past_the_server(start_aerie, environment, tmp_path, monkeypatch):
    objects = ObjectServer()
    try:
        server = start_aerie(tmp_path / "data", "--artifacts", "s3://models/direct",
                             environment={**environment, "MLFLOW_S3_ENDPOINT_URL": objects.url})
        monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
        monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "true")
        monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", str(5 << 20))
        monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", str(5 << 20))
        monkeypatch.setenv("MLFLOW_MULTIPART_DOWNLOAD_MINIMUM_FILE_SIZE", str(5 << 20))
        (tmp_path / "out").mkdir()
        content = numpy.random.default_rng(3).bytes(12_345_678)
        (tmp_path / "out" / "large größe.bin").write_bytes(content)
        seen = []
        original = requests.Session.request

        def request(session, method, url, **more):
            seen.append((method.upper(), url))
            return original(session, method, url, **more)

        monkeypatch.setattr(requests.Session, "request", request)
        run = run_with(server, tmp_path / "out")
        parts = [url for method, url in seen if method == "PUT" and url.startswith(objects.url)]
        assert len(parts) == 3 and all("partNumber=" in url for url in parts)
        assert not [url for method, url in seen if method == "PUT" and url.startswith(server.http)]
        seen.clear()
        path = mlflow.artifacts.download_artifacts(run_id=run, artifact_path="out/large größe.bin",
                                                   dst_path=tmp_path / "back")
        assert pathlib.Path(path).read_bytes() == content
        assert [url for method, url in seen if "mlflow-artifacts/presigned" in url]
        root = f"{server.http}/api/2.0/mlflow-artifacts/mpu"
        made = requests.post(f"{root}/create/1/x", json={"path": "/tmp/a.bin", "num_parts": 2}, timeout=30).json()
        assert [part["part_number"] for part in made["credentials"]] == [1, 2]
        body = {"path": "a.bin", "upload_id": made["upload_id"]}
        wrong = requests.post(f"{root}/complete/1/x", json={**body, "parts": [{"part_number": 1}]}, timeout=30)
        assert wrong.status_code == 400 and "parts[0]" in wrong.json()["message"]
        assert requests.post(f"{root}/abort/1/x", json=body, timeout=30).status_code == 200
        for count in (0, 10_001):
            none = requests.post(f"{root}/create/1/x", json={"path": "a", "num_parts": count}, timeout=30)
            assert none.status_code == 400 and "num_parts" in none.json()["message"]
        assert requests.get(f"{server.http}/api/2.0/mlflow-artifacts/presigned/1/none", timeout=30).status_code == 404
    finally:
        objects.kill()
