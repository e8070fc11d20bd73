"""`aerie import mlflow`: a real MLflow server, its database or its API, brought over and compared by the real client."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import mlflow
import pytest
import requests
from mlflow import MlflowClient

from conftest import BINARY, ROOT, Aerie

MLFLOW = ROOT / ".venv" / "bin" / "mlflow"


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class MLflowServer:
    """The real `mlflow server` on a folder of its own."""

    def __init__(self, folder, database="mlflow.db"):
        self.folder, self.url = folder, f"http://127.0.0.1:{free_port()}"
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true",
                       "PATH": f"{MLFLOW.parent}:{os.environ['PATH']}"}
        with open(folder / "log", "w") as log:
            self.process = subprocess.Popen(
                [str(MLFLOW), "server", "--backend-store-uri", f"sqlite:///{folder / database}",
                 "--artifacts-destination", str(folder / "mlartifacts"), "--host", "127.0.0.1", "--port",
                 self.url.rsplit(":", 1)[1], "--workers", "1"],
                cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        for _ in range(2400):
            try:
                if requests.get(self.url + "/health", timeout=2).ok:
                    return
            except (requests.ConnectionError, requests.Timeout):
                assert self.process.poll() is None, (folder / "log").read_text()[-2000:]
                time.sleep(0.1)
        raise AssertionError("mlflow server did not start")

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def as_source(self, kind):
        """How `aerie import mlflow` is told of it."""
        if kind == "server":
            return ["--from", self.url]
        return ["--from", str(self.folder / "mlflow.db"), "--artifacts", str(self.folder / "mlartifacts")]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A server that was filled through its own client, and goes on running."""
    server = MLflowServer(tmp_path_factory.mktemp("mlflow-server"))
    try:
        fill(server.url)
        yield server
    finally:
        server.stop()


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
            logged = mlflow.sklearn.log_model(model, name="model", registered_model_name="scorer",
                                              serialization_format="cloudpickle")
        for step in range(3):
            mlflow.log_metric("val", 0.5 + step / 10, step=step, model_id=logged.model_id, dataset=dataset)
    client.transition_model_version_stage("scorer", "1", "Production")
    client.set_registered_model_alias("scorer", "best", "2")
    client.set_model_version_tag("scorer", "2", "reviewed", "yes")
    client.update_registered_model("scorer", "scores things")
    client.set_registered_model_tag("scorer", "team", "risk")
    for number in (1, 2):
        mlflow.genai.register_prompt(name="greet", template=f"Hello {number} {{{{name}}}}", tags={"tone": "warm"})
    fill_traces()


def fill_traces():
    mlflow.set_experiment("traced")

    @mlflow.trace(name="look up", span_type="RETRIEVER")
    def look_up(word):
        span = mlflow.get_current_active_span()
        span.set_attributes({"score": 0.25, "flags": [True, None, "x"], "nested": {"a": {"b": 1}}})
        span.add_event(mlflow.entities.SpanEvent("found", attributes={"n": 2, "ratio": 0.5}))
        return [word, "ä"]

    @mlflow.trace(name="answer", span_type="CHAIN")
    def answer(word):
        if word == "bad":
            raise ValueError("no such word")
        return {"answer": look_up(word)}

    with mlflow.start_run(run_name="with traces"):
        for word in ("one", "two", "bad"):
            try:
                answer(word)
            except ValueError:
                pass
    mlflow.flush_trace_async_logging()
    first, second = mlflow.search_traces(return_type="list", order_by=["timestamp_ms ASC"])[:2]
    human = mlflow.entities.AssessmentSource(source_type="HUMAN", source_id="ann")
    mlflow.log_feedback(trace_id=first.info.trace_id, name="good", value=True, rationale="because", source=human,
                        metadata={"round": "1"})
    mlflow.log_feedback(trace_id=first.info.trace_id, name="score", value=0.75)
    mlflow.log_expectation(trace_id=first.info.trace_id, name="words", value=["a", {"b": 1}])
    old = mlflow.log_feedback(trace_id=second.info.trace_id, name="good", value=False)
    mlflow.override_feedback(trace_id=second.info.trace_id, assessment_id=old.assessment_id, value=True)
    mlflow.set_trace_tag(first.info.trace_id, "reviewed", "yes")
    client = MlflowClient()
    judged = client.create_run(first.info.experiment_id, run_name="judges the traces").info.run_id
    client.link_traces_to_run([first.info.trace_id, second.info.trace_id], judged)
    client.link_prompt_versions_to_trace([client.get_prompt_version("greet", "2")], second.info.trace_id)


def bring(server, source, kind, *more):
    command = [BINARY, "import", "mlflow", *source.as_source(kind), "--server", server.http, "--output", "json", *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=["database", "server"])
def imported(request, source, tmp_path_factory):
    """A fresh Aerie into which the server was brought, from its database or over its API."""
    server = Aerie(tmp_path_factory.mktemp("import") / "data")
    try:
        yield server, source, request.param, bring(server, source, request.param)
    finally:
        server.stop()


def clients(imported):
    server, source, _, _ = imported
    return MlflowClient(source.url), MlflowClient(server.http)


EVERY = mlflow.entities.ViewType.ALL


def test_everything_came_over(imported):
    report = imported[3]
    files = report["added"]["files"]
    assert report["added"] == {"experiments": 4, "logged_models": 2, "runs": 16, "traces": 3, "registered_models": 2,
                               "files": files}, report
    assert files >= 14 and not report["warnings"], report


def experiments(client):
    return {one.name: one for one in client.search_experiments(view_type=EVERY)}


def test_experiments_are_what_they_were(imported):
    theirs, ours = map(experiments, clients(imported))
    assert theirs.keys() == ours.keys()
    for name in theirs.keys() - {"Default"}:
        a, b = dict(theirs[name]), dict(ours[name])
        if name == "gone":
            # Deleting it is what the import does last.
            del a["last_update_time"], b["last_update_time"]
        assert a == b


def plain(run):
    """A run as plain values, with NaN equal to itself."""
    return json.dumps(run.to_dictionary(), sort_keys=True)


def test_runs_are_what_they_were(imported):
    theirs, ours = clients(imported)
    for name, experiment in experiments(theirs).items():
        a, b = ({run.info.run_id: run for run in client.search_runs([experiment.experiment_id], run_view_type=EVERY)}
                for client in (theirs, ours))
        assert a.keys() == b.keys() and (a or name == "Default")
        for run_id, run in a.items():
            assert plain(run) == plain(b[run_id])
            assert plain(theirs.get_run(run_id)) == plain(ours.get_run(run_id))
            for key in run.data.metrics:
                points, copies = ([(m.step, m.timestamp, repr(m.value)) for m in client.get_metric_history(run_id, key)]
                                  for client in (theirs, ours))
                assert points == copies and points
            assert list(files(theirs, run_id)) == list(files(ours, run_id))


def files(client, run, path=None):
    for file in client.list_artifacts(run, path):
        yield file.path, file.is_dir, file.file_size
        if file.is_dir:
            yield from files(client, run, file.path)


def test_logged_models_are_what_they_were(imported):
    theirs, ours = clients(imported)
    ids = [one.experiment_id for one in experiments(theirs).values()]
    a, b = ({one.model_id: one.to_dictionary() for one in client.search_logged_models(ids)}
            for client in (theirs, ours))
    assert len(a) == 2 and a.keys() == b.keys()
    for model_id, model in a.items():
        for one in (model, b[model_id]):
            # Of the values of one run and data set the latest is kept.
            latest = max((dict(metric) for metric in one["metrics"] or []), key=lambda it: it["step"],
                         default=None)
            one["metrics"] = latest
        assert model == b[model_id]
        assert len(theirs.list_logged_model_artifacts(model_id)) == len(ours.list_logged_model_artifacts(model_id)) > 3
    assert any(model["metrics"] for model in a.values())


def test_the_registry_is_what_it_was(imported):
    # Every field as the API has it: the client makes some up, and refuses the versions of prompts.
    def ask(client, call, **query):
        answer = requests.get(f"{client.tracking_uri}/api/2.0/mlflow/{call}", query, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def version(one):
        # Aerie tells the model that the source names, and a version's aliases in lists too.
        model = one.pop("model_id", None)
        assert model is None or one["source"] == f"models:/{model}"
        return {field: sorted(value, key=str) if field == "tags" else value for field, value in one.items()
                if value not in ("", [])}

    def described(client):
        models = {}
        for query in (None, "tags.`mlflow.prompt.is_prompt` = 'true'"):
            for model in client.search_registered_models(query):
                whole = ask(client, "registered-models/get", name=model.name)["registered_model"]
                for one in whole.get("latest_versions", []):
                    one.pop("aliases", None)
                latest = [version(one) for one in whole.pop("latest_versions", [])]
                numbers = client.search_model_versions(f"name = '{model.name}'" + (f" AND {query}" if query else ""))
                models[model.name] = [
                    version(whole), sorted(latest, key=lambda one: one["version"]),
                    {str(one.version): version(ask(client, "model-versions/get", name=model.name, version=one.version)
                                               ["model_version"]) for one in numbers}]
        return models

    theirs, ours = map(described, clients(imported))
    assert sorted(theirs) == sorted(ours) == ["greet", "scorer"] and all(len(one[2]) == 2 for one in ours.values())
    for name in theirs:
        assert theirs[name] == ours[name]
    for client in clients(imported):
        assert client.get_model_version("scorer", "1").current_stage == "Production"
        assert str(client.get_model_version_by_alias("scorer", "best").version) == "2"
        assert client.get_prompt_version("greet", "2").template == "Hello 2 {{name}}"


def test_traces_are_what_they_were(imported):
    theirs, ours = clients(imported)
    experiment = theirs.get_experiment_by_name("traced").experiment_id
    a, b = ({one.info.trace_id: one for one in client.search_traces(locations=[experiment])}
            for client in (theirs, ours))
    assert len(a) == 3 and a.keys() == b.keys()
    for trace_id, trace in a.items():
        info, copy = trace.info.to_dict(), b[trace_id].info.to_dict()
        for one in (info, copy):
            one["assessments"] = sorted(one.get("assessments", []), key=lambda it: it["assessment_id"])
        assert info == copy
        spans, copies = ([span.to_dict() for span in one.get_trace(trace_id).data.spans] for one in (theirs, ours))
        assert len(spans) == (1 if trace.info.state == "ERROR" else 2) and spans == copies
    assert sum(len(trace.info.assessments) for trace in a.values()) == 5
    runs = {run.info.run_name: run.info.run_id for run in theirs.search_runs([experiment])}
    for words, count in ((f"run_id = '{runs['judges the traces']}'", 2), (f"run_id = '{runs['with traces']}'", 3),
                         ("prompt = 'greet/2'", 1), ("prompt = 'greet/1'", 0)):
        linked, copies = ({one.info.trace_id for one in client.search_traces([experiment], words)}
                          for client in (theirs, ours))
        assert linked == copies and len(linked) == count, words


def test_files_and_models_are_usable(imported, tmp_path):
    server = imported[0]
    client = MlflowClient(server.http)
    experiment = client.get_experiment_by_name("fraud").experiment_id
    run = client.search_runs([experiment], "attributes.run_name = 'run-7'")[0]
    file = client.download_artifacts(run.info.run_id, "notes/read me.txt", str(tmp_path))
    assert pathlib.Path(file).read_text() == "notes of 7 ä"
    mlflow.set_tracking_uri(server.http)
    for uri in ("models:/scorer/1", "models:/scorer/Production", "models:/scorer@best"):
        assert list(mlflow.pyfunc.load_model(uri).predict([[0.0], [3.0]])) == [0, 1]


def test_a_second_time_brings_nothing(imported):
    server, source, kind, first = imported
    again = bring(server, source, kind)
    assert not any(again["added"].values())
    # A run comes after its files, so the files of one that is there are not looked at again.
    less = {what: (again["present"][what], count) for what, count in first["added"].items()
            if what != "files" and again["present"][what] < count}
    assert not less
    assert "is there already" in again["warnings"][0]


def test_new_versions_get_the_next_number(imported):
    client = MlflowClient(imported[0].http)
    source = client.get_model_version("scorer", "2").source
    assert int(client.create_model_version("scorer", source).version) == 3


@pytest.mark.parametrize("kind", ["database", "server"])
def test_an_import_that_was_killed_is_finished_by_the_next(start_aerie, source, tmp_path, kind):
    shutil.copy(source.folder / "mlflow.db", tmp_path / "mlflow.db")
    (tmp_path / "mlartifacts").symlink_to(source.folder / "mlartifacts")
    copies(tmp_path / "mlflow.db", 6000)
    other = MLflowServer(tmp_path) if kind == "server" else None
    try:
        origin = other.as_source(kind) if other else [
            "--from", str(tmp_path / "mlflow.db"), "--artifacts", str(tmp_path / "mlartifacts")]
        finish_what_was_killed(start_aerie, tmp_path / "data", ["import", "mlflow", *origin, "--server"])
    finally:
        if other:
            other.stop()


def finish_what_was_killed(start_aerie, data, command):
    server = start_aerie(data)
    first = subprocess.Popen([BINARY, *command, server.http], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    client = MlflowClient(server.http)
    while True:
        experiment = client.get_experiment_by_name("copies")
        if experiment and client.search_runs([experiment.experiment_id], max_results=1):
            break
        assert first.poll() is None
    server.kill()
    assert first.wait(60) != 0
    first.stdout.close(), first.stderr.close()
    server = start_aerie(data)
    done = subprocess.run([BINARY, *command, server.http], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    client, total, token = MlflowClient(server.http), 0, None
    experiment = client.get_experiment_by_name("copies").experiment_id
    while True:
        page = client.search_runs([experiment], max_results=2000, page_token=token)
        wrong = [run.data for run in page if (run.data.metrics, run.data.params) != ({"m": 1.0}, {"p": "v"})]
        assert not wrong, (len(wrong), wrong[:2])
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
    # Without it a server does not know of the metric.
    database.executemany("INSERT INTO latest_metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES"
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


@pytest.mark.parametrize("kind", ["database", "server"])
def test_a_dry_run_changes_nothing(start_aerie, source, tmp_path, kind):
    server = start_aerie(tmp_path / "data")
    report = bring(server, source, kind, "--dry-run")
    assert report["dry_run"] and report["added"]["runs"] == 16 and report["added"]["traces"] == 3
    assert report["added"]["registered_models"] == 2
    assert MlflowClient(server.http).get_experiment_by_name("fraud") is None


@pytest.mark.parametrize("address,words", [
    ("http://127.0.0.1:1", "does not answer"), ("http://", "no address"), ("http://127.0.0.1:5000/?a=b", "no address")])
def test_a_server_that_is_none_is_told(aerie, address, words):
    done = subprocess.run([BINARY, "import", "mlflow", "--from", address, "--server", aerie.http],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and words in done.stderr, done.stderr


def test_an_aerie_is_imported_like_any_other_server(start_aerie, tmp_path):
    origin = start_aerie(tmp_path / "origin")
    client = MlflowClient(origin.http)
    run = client.create_run(client.create_experiment("imported from here"), run_name="moved").info
    for step in range(3):
        client.log_metric(run.run_id, "m", step, step=step)
    client.log_text(run.run_id, "hello", "a/b.txt")
    # The damage of a small file is known before the answer begins, that of a large one in the middle of it.
    (tmp_path / "large.bin").write_bytes(b"x" * (3 << 20))
    client.log_text(run.run_id, "small", "small.txt")
    client.log_artifact(run.run_id, str(tmp_path / "large.bin"))
    for name in ("small.txt", "large.bin"):
        damage(origin.data_dir / "artifacts" / run.artifact_uri.removeprefix("mlflow-artifacts:/") / name)
    server = start_aerie(tmp_path / "data")
    command = [BINARY, "import", "mlflow", "--from", origin.http, "--server", server.http, "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["added"]["runs"] == 1 and report["added"]["files"] == 1, report
    assert len(report["warnings"]) == 2 and all("was left out" in warning for warning in report["warnings"]), report
    told = {name: next(warning for warning in report["warnings"] if words in warning)
            for name, words in (("large", "broke off after"), ("small", "answered 410"))}
    assert "large.bin" in told["large"] and "small.txt" in told["small"], report
    copy = MlflowClient(server.http)
    assert [m.value for m in copy.get_metric_history(run.run_id, "m")] == [0, 1, 2]
    assert pathlib.Path(copy.download_artifacts(run.run_id, "a/b.txt", str(tmp_path))).read_text() == "hello"
    assert [file.path for file in copy.list_artifacts(run.run_id)] == ["a"]


def damage(path):
    with open(path, "r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the client keeps without a server, and then moved somewhere else."""
    place = tmp_path_factory.mktemp("folder")
    script = place / "fill.py"
    script.write_text(FILL_FOLDER)
    environment = {**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run([sys.executable, str(script), f"file://{place}/before/mlruns"], env=environment, cwd=place,
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    (place / "before").rename(place / "after")
    return place / "after" / "mlruns"


FILL_FOLDER = """
import sys
import mlflow
import numpy
from sklearn.linear_model import LogisticRegression
mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
fraud = client.create_experiment("fraud", tags={"team": "risk"})
run = client.create_run(fraud, run_name="first").info.run_id
client.log_param(run, "depth", 3)
client.log_param(run, "a/b", "x\\ny")
for step in range(3):
    client.log_metric(run, "val/auc", 0.5 + step / 10, step=step, timestamp=1000 + step)
client.log_metric(run, "odd", float("nan"), timestamp=1)
client.log_text(run, "hello", "notes/read me.txt")
client.set_terminated(run, "FAILED", end_time=1_800_000_000_000)
client.delete_run(client.create_run(fraud, run_name="second").info.run_id)
client.delete_experiment(client.create_experiment("gone"))
mlflow.set_experiment("fraud")
model = LogisticRegression().fit(numpy.array([[0.0], [1.0], [2.0], [3.0]]), [0, 0, 1, 1])
with mlflow.start_run(run_name="third"):
    dataset = mlflow.data.from_numpy(numpy.zeros((3, 1)), name="zeros")
    mlflow.log_input(dataset, context="training")
    logged = mlflow.sklearn.log_model(model, name="model", registered_model_name="scorer",
                                      serialization_format="cloudpickle")
    mlflow.log_metric("val", 0.75, model_id=logged.model_id, dataset=dataset)
client.set_registered_model_alias("scorer", "best", "1")
client.transition_model_version_stage("scorer", "1", "Production")
client.set_model_version_tag("scorer", "1", "reviewed", "yes")
"""


def test_a_folder_of_runs_is_imported(folder, start_aerie, tmp_path):
    server = start_aerie(tmp_path / "data")
    command = [BINARY, "import", "mlflow", "--from", str(folder), "--server", server.http, "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["added"] == {"experiments": 2, "runs": 3, "logged_models": 1, "traces": 0, "registered_models": 1,
                               "files": report["added"]["files"]} and not report["warnings"], report
    client = MlflowClient(server.http)
    fraud = client.get_experiment_by_name("fraud")
    assert fraud.tags == {"team": "risk"} and client.get_experiment_by_name("gone").lifecycle_stage == "deleted"
    found = {run.info.run_name: run for run in client.search_runs([fraud.experiment_id], run_view_type=EVERY)}
    first, second, third = found["first"], found["second"], found["third"]
    assert first.data.params == {"depth": "3", "a/b": "x\ny"} and first.info.status == "FAILED"
    assert first.info.end_time == 1_800_000_000_000 and second.info.lifecycle_stage == "deleted"
    history = client.get_metric_history(first.info.run_id, "val/auc")
    assert [(m.step, m.timestamp, m.value) for m in history] == [(0, 1000, 0.5), (1, 1001, 0.6), (2, 1002, 0.7)]
    assert str(first.data.metrics["odd"]) == "nan"
    file = client.download_artifacts(first.info.run_id, "notes/read me.txt", str(tmp_path))
    assert pathlib.Path(file).read_text() == "hello"
    assert third.inputs.dataset_inputs[0].dataset.name == "zeros" and len(third.outputs.model_outputs) == 1
    model = client.search_logged_models([fraud.experiment_id])[0]
    assert [(m.key, m.value, m.run_id, m.dataset_name) for m in model.metrics] == [
        ("val", 0.75, third.info.run_id, "zeros")]
    version = client.get_model_version("scorer", "1")
    assert version.current_stage == "Production" and version.tags == {"reviewed": "yes"}
    mlflow.set_tracking_uri(server.http)
    assert list(mlflow.pyfunc.load_model("models:/scorer@best").predict([[0.0], [3.0]])) == [0, 1]
    again = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=120).stdout)
    assert not any(again["added"].values())
