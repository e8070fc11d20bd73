"""`aerie experiments|runs|models` against a server whose data the real mlflow client logged."""
import csv
import json
import os
import pty
import signal
import subprocess
import time

import mlflow
import numpy
import pandas
import pyarrow.parquet
import pytest
import yaml
from conftest import BINARY, ROOT
from mlflow import MlflowClient

SCHEMA = mlflow.models.infer_signature(pandas.DataFrame({"age": [1, 2], "amount": [0.5, 1.5]}), numpy.array([0.1, 0.2]))


class Constant(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [1.0] * len(model_input)


@pytest.fixture(scope="module")
def server(start_aerie, tmp_path_factory):
    return start_aerie(tmp_path_factory.mktemp("cli") / "data")


@pytest.fixture(scope="module")
def client(server):
    mlflow.set_tracking_uri(server.http)
    return MlflowClient(server.http, server.http)


@pytest.fixture(scope="module")
def logged(server, client, tmp_path_factory):
    """An experiment with two runs that differ, one that failed, and one that was deleted."""
    mlflow.set_tracking_uri(server.http)
    experiment = client.create_experiment("cli, \"quoted\"", tags={"team": "risk"})
    folder = tmp_path_factory.mktemp("files")
    runs = {}
    for name, depth, auc in (("first", 3, 0.5), ("second", 4, 0.75)):
        with mlflow.start_run(experiment_id=experiment, run_name=name) as run:
            mlflow.log_params({"depth": depth, "same": "x", "text": "a,b\r\n\"c\" ü"})
            for step in range(20):
                mlflow.log_metric("loss", 1.0 / (step + depth), step=step)
            mlflow.log_metrics({"auc": auc, "zero": 0.0})
            mlflow.set_tag("note", f"line\n{name}")
            data = mlflow.data.from_pandas(pandas.DataFrame({"x": [1, 2]}), name="cards")
            mlflow.log_input(data, context="train")
            mlflow.log_text(f"one\ntwo {name}\nthree\n", "notes/read me.txt")
            mlflow.log_text("equal\n", "equal.txt")
            runs[name] = run.info.run_id
    failed = client.create_run(experiment, run_name="failed").info.run_id
    client.log_metric(failed, "auc", float("nan"))
    client.set_terminated(failed, "FAILED")
    gone = client.create_run(experiment, run_name="gone").info.run_id
    client.delete_run(gone)
    return {"experiment": experiment, "failed": failed, "gone": gone, "folder": folder, **runs}


def told(server, code, *arguments):
    """The error lines of a command that ends with this status."""
    done = server.cli(*arguments, check=False)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert done.stderr.startswith("error: ") and "Error Domain" not in done.stderr
    return done.stderr


def answer(server, *arguments):
    return json.loads(server.cli(*arguments, "-o", "json").stdout)


def on_terminal(server, *arguments, columns=80):
    """What a command writes onto a terminal of that width."""
    master, slave = pty.openpty()
    import fcntl
    import struct
    import termios
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([BINARY, *arguments, "--server", server.http], stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    out = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        out += piece
    os.close(master)
    assert process.wait(60) == 0, out.decode()
    return out.decode()


# Experiments


def test_experiments_are_made_changed_deleted_and_restored(server, client):
    made = server.cli("experiments", "create", "made here", "--tag", "a=1", "--tag", "b=x=y").stdout.strip()
    assert client.get_experiment(made).tags == {"a": "1", "b": "x=y"}
    server.cli("experiments", "tag", "made here", "c=3", "a-")
    assert client.get_experiment(made).tags == {"b": "x=y", "c": "3"}
    server.cli("experiments", "rename", made, "renamed here")
    assert client.get_experiment(made).name == "renamed here"
    server.cli("experiments", "delete", "renamed here")
    assert client.get_experiment(made).lifecycle_stage == "deleted"
    assert "renamed here" not in server.cli("experiments", "list").stdout
    assert "renamed here" in server.cli("experiments", "list", "--deleted").stdout
    assert "deleted" in server.cli("experiments", "describe", "renamed here").stdout
    server.cli("experiments", "restore", made)
    assert client.get_experiment(made).lifecycle_stage == "active"
    found = answer(server, "experiments", "list", "--filter", "tags.c = '3'")
    assert [one["experiment_id"] for one in found] == [made]


def test_experiments_that_are_not_there_are_told(server, logged):
    assert "aerie experiments list" in told(server, 3, "experiments", "describe", "nothing like it")
    assert "99999" in told(server, 3, "runs", "list", "--experiment", "99999")
    told(server, 4, "experiments", "create", "cli, \"quoted\"")
    told(server, 2, "experiments", "list", "--filter", "name = = 'x'")
    told(server, 2, "experiments", "tag", "Default", "no tag")
    # Nothing is deleted if one of several is wrong.
    told(server, 3, "experiments", "delete", logged["experiment"], "no such")
    assert answer(server, "experiments", "describe", logged["experiment"])["lifecycle_stage"] == "active"


# Runs


def test_runs_are_listed_filtered_ordered_and_in_columns(server, logged):
    def ids(*arguments):
        return [run["info"]["run_id"] for run in answer(server, "runs", "list", "--experiment", logged["experiment"],
                                                        *arguments)]
    assert set(ids()) == {logged["first"], logged["second"], logged["failed"]}
    assert ids("--filter", "metrics.auc > 0.6") == [logged["second"]]
    assert ids("--filter", "params.depth = '3' AND attributes.status = 'FINISHED'") == [logged["first"]]
    assert ids("--order-by", "metrics.loss DESC", "--limit", "1") == [logged["first"]]
    assert ids("--deleted") == [logged["gone"]]
    rows = answer(server, "runs", "list", "--experiment", "cli, \"quoted\"", "--columns",
                  "name,metrics.auc,params.depth,tags.note,tags.none", "--order-by", "metrics.auc DESC")
    assert rows[0] == {"name": "second", "metrics.auc": 0.75, "params.depth": "4", "tags.note": "line\nsecond",
                       "tags.none": None}
    table = server.cli("runs", "list", "--experiment", logged["experiment"]).stdout
    assert "metrics.auc" in table and "params.depth" in table and "0.75" in table
    # An end of line in a value is no end of line of the table.
    assert len(table.splitlines()) == 4
    text = server.cli("runs", "list", "--experiment", logged["experiment"], "-o", "yaml").stdout
    assert {run["info"]["run_id"] for run in yaml.safe_load(text)} == set(ids())


def test_what_is_asked_wrong_of_a_list_is_told(server, logged):
    name = ["--experiment", logged["experiment"]]
    assert "--experiment" in told(server, 2, "runs", "list")
    told(server, 2, "runs", "list", *name, "--filter", "metrics.auc >")
    told(server, 2, "runs", "list", *name, "--order-by", "nothing.at.all DESC")
    assert "metrics.KEY" in told(server, 2, "runs", "list", *name, "--columns", "nonsense")
    told(server, 2, "runs", "list", *name, "--limit=-1")
    assert "no runs found" in server.cli("runs", "list", *name, "--filter", "metrics.auc > 5").stderr


def test_runs_are_named_by_id_prefix_or_name(server, client, logged):
    for reference in (logged["first"], logged["first"][:20], "first"):
        assert answer(server, "runs", "describe", reference)["info"]["run_id"] == logged["first"]
    error = told(server, 3, "runs", "describe", "0123456789abcdef")
    assert "aerie runs list" in error
    told(server, 3, "runs", "describe", "f" * 32)
    told(server, 3, "runs", "describe", "")
    told(server, 3, "runs", "describe", "it's \"both\"")
    # Two runs of one name: each is a candidate.
    twins = [client.create_run("0", run_name="twin").info.run_id for _ in range(2)]
    error = told(server, 4, "runs", "describe", "twin")
    assert all(twin in error for twin in twins)
    # Enough runs that two of them begin with the same character pairs are not needed: a name may be a prefix, too.
    prefix = logged["first"][:6]
    other = client.create_run("0", run_name=prefix).info.run_id
    error = told(server, 4, "runs", "describe", prefix)
    assert other in error and logged["first"] in error


def test_a_run_is_described_whole(server, logged):
    text = server.cli("runs", "describe", "first").stdout
    for part in (logged["first"], "depth", "0.5", "dataset cards@", "(train)", "notes/", "read me.txt", "FINISHED"):
        assert part in text, text
    assert "line\\nfirst" in text
    found = answer(server, "runs", "describe", "first")
    assert [file["path"] for file in found["artifacts"]] == ["equal.txt", "notes/read me.txt"]


def test_metrics_and_their_history(server, client, logged):
    overview = {one["key"]: one["value"] for one in answer(server, "runs", "metrics", "first")}
    assert overview == {"loss": 1 / 22, "auc": 0.5, "zero": 0.0}
    history = answer(server, "runs", "metrics", "first", "--key", "loss")
    expected = client.get_metric_history(logged["first"], "loss")
    assert [(one["step"], one["value"]) for one in history] == [(one.step, one.value) for one in expected]
    error = told(server, 3, "runs", "metrics", "first", "--key", "lose")
    assert "auc, loss, zero" in error
    assert "⣀" not in server.cli("runs", "metrics", "first", "--key", "loss").stdout
    drawn = on_terminal(server, "runs", "metrics", "first", "--key", "loss")
    assert "│" in drawn and any("\u2801" <= sign <= "\u28ff" for sign in drawn)
    assert "█" in on_terminal(server, "runs", "metrics", "first")


def test_tables_fit_the_terminal(server, logged):
    for columns in (40, 80, 120):
        for line in on_terminal(server, "runs", "list", "--experiment", logged["experiment"],
                                columns=columns).splitlines():
            assert len(line) <= columns or line.startswith("("), line


def test_names_with_control_characters_are_escaped(server, client, logged):
    run = client.create_run("0", run_name="evil\x1b[2J\u202e\nname").info.run_id
    for arguments in (("runs", "list", "--experiment", "0"), ("runs", "describe", run)):
        out = server.cli(*arguments).stdout
        assert "\x1b" not in out and "\u202e" not in out and "evil\\u{1b}[2J\\u{202e}\\nname" in out


def test_two_runs_are_compared(server, logged):
    text = server.cli("runs", "diff", "first", "second").stdout
    assert "params: 1 differ, 2 equal" in text
    assert "+0.25" in text and "+50.00" in text and "same" not in text
    assert "same" in server.cli("runs", "diff", "first", "second", "--all").stdout
    found = answer(server, "runs", "diff", "first", "second", "--artifacts")
    assert found["params"] == [{"key": "depth", "a": "3", "b": "4"}]
    metrics = {one["key"]: one for one in found["metrics"]}
    assert metrics["auc"] == {"key": "auc", "a": 0.5, "b": 0.75, "difference": 0.25, "percent": 50.0}
    assert "zero" not in metrics
    assert [one["key"] for one in found["artifacts"]] == ["notes/read me.txt"]
    assert [one["path"] for one in found["texts"]] == ["notes/read me.txt"]
    assert "-two first\n+two second\n" in found["texts"][0]["diff"]
    assert server.cli("runs", "diff", "first", "second", "--exit-code", check=False).returncode == 1
    same = server.cli("runs", "diff", "first", "first", "--exit-code", check=False)
    assert same.returncode == 0 and "no difference" in same.stdout
    # A metric that is no number on one side has no difference.
    nan = answer(server, "runs", "diff", "first", "failed")["metrics"]
    assert {one["key"]: one["b"] for one in nan}["auc"] == "NaN"


def test_runs_are_tagged_deleted_and_restored(server, client, logged):
    run = client.create_run("0", run_name="to change").info.run_id
    server.cli("runs", "tag", run[:20], "a=1", "b=2")
    server.cli("runs", "tag", run, "a-")
    tags = client.get_run(run).data.tags
    assert tags["b"] == "2" and "a" not in tags
    told(server, 3, "runs", "tag", run, "nothing-")
    server.cli("runs", "delete", "to change")
    assert client.get_run(run).info.lifecycle_stage == "deleted"
    server.cli("runs", "restore", "to change")
    assert client.get_run(run).info.lifecycle_stage == "active"
    told(server, 3, "runs", "delete", run, "no such run")
    assert client.get_run(run).info.lifecycle_stage == "active"


def test_artifacts_go_up_and_down(server, client, logged, tmp_path):
    run = client.create_run("0", run_name="files").info.run_id
    source = tmp_path / "source"
    (source / "in ner/ü").mkdir(parents=True)
    big = os.urandom((3 << 20) + 17)
    (source / "big.bin").write_bytes(big)
    (source / "empty").write_bytes(b"")
    (source / "in ner/ü/50% #?.txt").write_text("text")
    (source / "pl ain ü.txt").write_text("plain")
    server.cli("runs", "artifacts", "upload", run, str(source), "--path", "folder")
    server.cli("runs", "artifacts", "upload", run, str(source / "big.bin"))
    expected = {"folder/big.bin": len(big), "folder/empty": 0, "folder/in ner/ü/50% #?.txt": 4, "folder/pl ain ü.txt": 5,
                "big.bin": len(big)}
    listed = {one["path"]: one["file_size"] for one in answer(server, "runs", "artifacts", "list", run)}
    assert listed == expected
    # The real client's addresses cannot name a file with # or ?, so it reads another.
    assert mlflow.artifacts.load_text(f"runs:/{run}/folder/pl ain ü.txt") == "plain"
    server.cli("runs", "artifacts", "download", run, "--to", str(tmp_path / "all"))
    assert (tmp_path / "all/folder/big.bin").read_bytes() == big
    server.cli("runs", "artifacts", "download", run, "folder/in ner", "--to", str(tmp_path / "some"))
    assert [str(path.relative_to(tmp_path / "some")) for path in (tmp_path / "some").rglob("*") if path.is_file()] == [
        "folder/in ner/ü/50% #?.txt"]
    server.cli("runs", "artifacts", "download", run, "big.bin", "--to", str(tmp_path / "one"))
    assert (tmp_path / "one/big.bin").read_bytes() == big
    told(server, 3, "runs", "artifacts", "download", run, "nothing", "--to", str(tmp_path / "none"))
    told(server, 2, "runs", "artifacts", "download", run, "../../x", "--to", str(tmp_path / "none"))
    told(server, 3, "runs", "artifacts", "upload", run, str(tmp_path / "not there"))
    assert not list(tmp_path.rglob("*.partial"))


# Exports


def exported(server, experiment, path, *arguments):
    server.cli("runs", "export", "--experiment", experiment, "--output", str(path), *arguments)
    assert [file.name for file in path.parent.glob(".*")] == []
    return path


def compared(frame, found):
    """The cells of an export, by run, are those that the real client's data frame has."""
    frame, found = frame.set_index("run_id"), found.set_index("run_id")
    assert list(found.index) == list(frame.index)
    keys = [name for name in frame.columns if name.split(".")[0] in ("params", "metrics", "tags")]
    assert sorted(keys) == sorted(name for name in found.columns if "." in name)
    for key in keys:
        for run in frame.index:
            left, right = frame.at[run, key], found.at[run, key]
            if left is None or left != left:
                assert right is None or right != right, (key, run, left, right)
            else:
                assert left == right, (key, run, left, right)
    assert list(frame["status"]) == list(found["status"])


def test_csv_is_what_the_real_client_finds(server, logged, tmp_path):
    path = exported(server, logged["experiment"], tmp_path / "runs.csv")
    found = pandas.read_csv(path, dtype={"params.depth": str}, float_precision="round_trip")
    compared(mlflow.search_runs([logged["experiment"]]), found)
    raw = path.read_bytes()
    assert raw.startswith(b"run_id,experiment_id,name,status,start,end,params.depth,")
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["params.text"] for row in rows} == {"a,b\r\n\"c\" ü", ""}
    start = pandas.to_datetime(found["start"])
    assert list(start) == list(mlflow.search_runs([logged["experiment"]])["start_time"])


def test_parquet_is_what_the_real_client_finds(server, logged, tmp_path):
    path = exported(server, logged["experiment"], tmp_path / "it's [odd]*.parquet")
    table = pyarrow.parquet.ParquetFile(path).read()
    types = {field.name: str(field.type) for field in table.schema}
    assert types["metrics.auc"] == "double" and types["params.depth"] == "string"
    assert types["start"].startswith("timestamp")
    found = table.to_pandas()
    expected = mlflow.search_runs([logged["experiment"]])
    compared(expected, found)
    assert list(found["start"].dt.tz_localize("UTC")) == list(expected["start_time"])
    # No number is not the same as nothing.
    by_run = {row["run_id"]: row for row in table.to_pylist()}
    assert by_run[logged["failed"]]["metrics.auc"] != by_run[logged["failed"]]["metrics.auc"]
    assert by_run[logged["failed"]]["metrics.loss"] is None


@pytest.mark.parametrize("ending", ["json", "ndjson"])
def test_json_is_what_the_real_client_finds(server, logged, tmp_path, ending):
    path = exported(server, logged["experiment"], tmp_path / f"runs.{ending}", "--order-by", "metrics.auc DESC")
    text = path.read_text()
    rows = json.loads(text) if ending == "json" else [json.loads(line) for line in text.splitlines()]
    expected = mlflow.search_runs([logged["experiment"]], order_by=["metrics.auc DESC"], output_format="list")
    assert [row["run_id"] for row in rows] == [run.info.run_id for run in expected]
    for row, run in zip(rows, expected):
        assert row["params"] == run.data.params and row["tags"] == run.data.tags
        assert row["name"] == run.info.run_name
        assert {key: float(value) if value != "NaN" else "NaN" for key, value in row["metrics"].items()} == {
            key: value if value == value else "NaN" for key, value in run.data.metrics.items()}


def test_history_has_a_row_for_each_value(server, client, logged, tmp_path):
    path = exported(server, logged["experiment"], tmp_path / "h.parquet", "--history", "--filter", "metrics.zero = 0")
    rows = pyarrow.parquet.read_table(path).to_pylist()
    for run in (logged["first"], logged["second"]):
        expected = [(one.step, one.value, one.timestamp) for one in client.get_metric_history(run, "loss")]
        found = [(row["step"], row["value"], int(row["time"].timestamp() * 1000 + 0.5)) for row in rows
                 if row["run_id"] == run and row["metric"] == "loss"]
        offset = int(time.timezone * 1000)
        assert [(step, value) for step, value, _ in found] == [(step, value) for step, value, _ in expected]
        assert all(abs(a[2] - offset - b[2]) <= 1 for a, b in zip(found, expected))
    assert len(rows) == 2 * 22


def test_names_that_differ_in_case_only_are_both_kept(server, client, tmp_path):
    experiment = client.create_experiment("case")
    run = client.create_run(experiment).info.run_id
    client.log_param(run, "Depth", "upper")
    client.log_param(run, "depth", "lower")
    row = pyarrow.parquet.read_table(exported(server, "case", tmp_path / "c.parquet")).to_pylist()[0]
    assert sorted(value for key, value in row.items() if key.lower().startswith("params.")) == ["lower", "upper"]
    frame = pandas.read_csv(exported(server, "case", tmp_path / "c.csv"))
    assert (frame["params.Depth"][0], frame["params.depth"][0]) == ("upper", "lower")


def test_an_empty_experiment_is_an_empty_table(server, client, tmp_path):
    client.create_experiment("empty one")
    assert json.loads(exported(server, "empty one", tmp_path / "e.json").read_text()) == []
    assert len(pandas.read_csv(exported(server, "empty one", tmp_path / "e.csv"))) == 0
    assert pyarrow.parquet.read_table(exported(server, "empty one", tmp_path / "e.parquet")).num_rows == 0


def test_exports_page_through_thousands(server, client, tmp_path):
    import requests
    experiment = client.create_experiment("many")
    session = requests.Session()
    for number in range(2300):
        made = session.post(f"{server.http}/api/2.0/mlflow/runs/create", json={
            "experiment_id": experiment, "run_name": f"n{number}", "start_time": 1_700_000_000_000 + number,
            "tags": [{"key": "n", "value": str(number)}]})
        assert made.status_code == 200
    rows = pandas.read_csv(exported(server, "many", tmp_path / "m.csv"))
    assert list(rows["tags.n"]) == list(range(2299, -1, -1))
    assert pyarrow.parquet.read_table(exported(server, "many", tmp_path / "m.parquet")).num_rows == 2300
    assert len(json.loads(exported(server, "many", tmp_path / "m.json", "--limit", "1500").read_text())) == 1500
    listed = server.cli("runs", "list", "--experiment", "many", "--columns", "name")
    assert len(listed.stdout.splitlines()) == 101 and "--limit 0" in listed.stderr
    everything = server.cli("runs", "list", "--experiment", "many", "--columns", "name", "--limit", "0")
    assert len(everything.stdout.splitlines()) == 2301 and everything.stderr == ""


def test_exports_that_cannot_be_written_are_told(server, logged, tmp_path):
    name = ["--experiment", logged["experiment"], "--output"]
    assert ".parquet" in told(server, 2, "runs", "export", *name, str(tmp_path / "x.xlsx"))
    told(server, 2, "runs", "export", *name, str(tmp_path / "no folder" / "x.csv"))
    (tmp_path / "folder.csv").mkdir()
    told(server, 2, "runs", "export", *name, str(tmp_path / "folder.csv"))
    (tmp_path / "kept.csv").write_text("old")
    told(server, 2, "runs", "export", *name, str(tmp_path / "kept.csv"), "--filter", "nonsense")
    assert (tmp_path / "kept.csv").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.csv", "kept.csv"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_export_that_is_interrupted_leaves_no_file(server, logged, tmp_path, number):
    """The server is stood in for by one that never answers the search, so that the export is surely under way."""
    import http.server
    import threading

    reached = threading.Event()
    release = threading.Event()

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b'{"experiment": {"experiment_id": "1", "name": "x"}}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            reached.set()
            release.wait(60)

        def log_message(self, *arguments):
            pass

    slow = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    slow.daemon_threads = True
    threading.Thread(target=slow.serve_forever, daemon=True).start()
    try:
        process = subprocess.Popen([BINARY, "runs", "export", "--experiment", "1", "--output", str(tmp_path / "x.csv"),
                                    "--server", f"http://127.0.0.1:{slow.server_port}"], stderr=subprocess.PIPE)
        assert reached.wait(60)
        assert list(tmp_path.iterdir()), "it is under way"
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        assert list(tmp_path.iterdir()) == []
    finally:
        release.set()
        slow.shutdown()
        slow.server_close()


def test_a_server_that_is_down_is_told(tmp_path):
    for arguments in (("experiments", "list"), ("runs", "describe", "x"), ("models", "list"), ("models", "history", "x"),
                      ("runs", "export", "--experiment", "0", "--output", str(tmp_path / "x.csv"))):
        done = subprocess.run([BINARY, *arguments, "--server", "http://127.0.0.1:1"], cwd=ROOT, text=True,
                              capture_output=True, timeout=60)
        assert done.returncode == 5 and "aerie up" in done.stderr, done
    assert list(tmp_path.iterdir()) == []


# Models


@pytest.fixture(scope="module")
def model(server, client, logged):
    """Two versions from two runs, with signatures and files that differ."""
    mlflow.set_tracking_uri(server.http)
    for name, auc in (("v one", 0.5), ("v two", 0.6)):
        with mlflow.start_run(experiment_id=logged["experiment"], run_name=name):
            mlflow.log_param("kind", name)
            mlflow.log_metric("auc", auc)
            info = mlflow.pyfunc.log_model(name="model", python_model=Constant(), pip_requirements=[],
                                           signature=SCHEMA if name == "v two" else None)
        mlflow.register_model(info.model_uri, "cli model")
    client.set_registered_model_tag("cli model", "owner", "risk")
    return "cli model"


def test_models_are_listed_and_described(server, client, model):
    listed = answer(server, "models", "list", "--filter", f"name = '{model}'")
    assert [one["name"] for one in listed] == [model]
    assert model in server.cli("models", "list").stdout
    assert [one["version"] for one in answer(server, "models", "versions", model)] == ["1", "2"]
    assert "owner" in server.cli("models", "describe", model).stdout
    text = server.cli("models", "describe", model, "2").stdout
    for part in ("age: long", "amount: double", "python_function", "MLmodel", "v two", "0.6"):
        assert part in text, text
    assert answer(server, "models", "describe", model, "latest")["version"] == "2"
    told(server, 3, "models", "describe", "no such model")
    told(server, 3, "models", "versions", "no such model")
    told(server, 3, "models", "describe", model, "77")
    told(server, 2, "models", "describe", model, "first")


def test_versions_are_compared(server, model):
    found = answer(server, "models", "diff", model, "1", "2", "--artifacts")
    metrics = {one["key"]: one for one in found["metrics"]}
    assert metrics["auc"]["a"] == 0.5 and round(metrics["auc"]["percent"], 6) == 20.0
    assert {one["key"]: (one["a"], one["b"]) for one in found["params"]}["kind"] == ("v one", "v two")
    signature = {one["key"]: (one["a"], one["b"]) for one in found["signature"]}
    assert signature["inputs"][1] == "age: long, amount: double"
    assert "source" in [one["key"] for one in found["version"]]
    assert "MLmodel" in [one["path"] for one in found["texts"]]
    assert "signature: " in server.cli("models", "diff", model, "1", "2").stdout
    assert server.cli("models", "diff", model, "1", "1", "--exit-code", check=False).returncode == 0
    assert server.cli("models", "diff", model, "1", "2", "--exit-code", check=False).returncode == 1


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_stages_have_a_history_of_who_and_when(server, client, model):
    before = int(time.time() * 1000)
    server.cli("models", "stage", model, "1", "production")
    environment = {**os.environ, "USER": "alice"}
    subprocess.run([BINARY, "models", "stage", model, "2", "Production", "--archive-existing", "--server", server.http],
                   env=environment, check=True, capture_output=True)
    client.transition_model_version_stage(model, "2", "Staging")
    found = answer(server, "models", "history", model)
    steps = [(one["version"], one["from"], one["to"]) for one in found]
    assert steps[0] == ("2", "Production", "Staging") and steps[-1] == ("1", "None", "Production")
    assert sorted(steps[1:3]) == [("1", "Production", "Archived"), ("2", "None", "Production")]
    assert {one["user"] for one in found[1:3]} == {"alice"} and found[0]["user"] == "local"
    assert all(before - 1 <= one["timestamp"] <= int(time.time() * 1000) + 1 for one in found)
    assert [one["version"] for one in answer(server, "models", "history", model, "--version", "1")] == ["1", "1"]
    assert len(answer(server, "models", "history", model, "--limit", "1")) == 1
    assert "alice" in server.cli("models", "history", model).stdout
    told(server, 3, "models", "history", "no such model")
    told(server, 2, "models", "history", model, "--limit", "0")
    told(server, 2, "models", "history", model, "--version=-1")
    told(server, 2, "models", "stage", model, "1", "Nowhere")


def test_aliases_tags_copies_names_and_deletion(server, client, model, tmp_path):
    server.cli("models", "alias", model, "champion", "2")
    assert client.get_model_version_by_alias(model, "champion").version in (2, "2")
    assert answer(server, "models", "describe", model, "@champion")["version"] == "2"
    server.cli("models", "alias", model, "champion", "--delete")
    told(server, 3, "models", "alias", model, "champion", "--delete")
    told(server, 2, "models", "alias", model, "champion")
    server.cli("models", "tag", model, "--version", "1", "reviewed=yes")
    server.cli("models", "tag", model, "owner-", "team=risk")
    assert client.get_model_version(model, "1").tags["reviewed"] == "yes"
    assert client.get_registered_model(model).tags == {"team": "risk"}
    server.cli("models", "copy", model, "1", "cli copy")
    server.cli("models", "copy", model, "latest", "cli copy")
    copied = client.get_model_version("cli copy", "1")
    assert copied.source == f"models:/{model}/1" and copied.tags["reviewed"] == "yes"
    assert mlflow.pyfunc.load_model("models:/cli copy/1").predict(["a", "b"]) == [1.0, 1.0]
    server.cli("models", "rename", "cli copy", "cli renamed")
    told(server, 3, "models", "rename", "cli copy", "x")
    server.cli("models", "download", "cli renamed", "1", str(tmp_path / "down"))
    assert mlflow.pyfunc.load_model(str(tmp_path / "down")).predict(["a"]) == [1.0]
    told(server, 2, "models", "delete", "cli renamed", "1")
    server.cli("models", "delete", "cli renamed", "1", "--yes")
    assert [one["version"] for one in answer(server, "models", "versions", "cli renamed")] == ["2"]
    server.cli("models", "delete", "cli renamed", "--yes")
    told(server, 3, "models", "describe", "cli renamed")


def test_all_versions_are_exported(server, client, model, tmp_path):
    for ending in ("csv", "parquet", "json"):
        server.cli("models", "export", "--output", str(tmp_path / f"m.{ending}"), "--filter", f"name = '{model}'")
    table = pyarrow.parquet.read_table(tmp_path / "m.parquet").to_pylist()
    frame = pandas.read_csv(tmp_path / "m.csv")
    rows = json.loads((tmp_path / "m.json").read_text())
    expected = {str(one.version): one.run_id for one in client.search_model_versions(f"name = '{model}'")}
    assert {str(row["version"]): row["run_id"] for row in table} == expected
    assert {str(row.version): row.run_id for row in frame.itertuples()} == expected
    assert {row["version"]: row["run_id"] for row in rows} == expected
