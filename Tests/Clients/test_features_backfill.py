"""Backfill and materialization from the command line: progress, Ctrl-C, crashes, and what is wrong with the question."""
import datetime
import os
import pty
import signal
import subprocess

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import requests

import conftest
from test_features_operations import API, until

COUNT = 400_000
MANIFEST = """
apiVersion: aerie.dev/v1
kind: Entity
metadata: {{name: driver}}
spec: {{joinKey: driver_id, valueType: INT64}}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: stats}}
spec:
  entities: [driver]
  source: {{path: {folder}/*.csv, timestampField: at}}
  features: [{{name: trips, dtype: INT64}}, {{name: city, dtype: STRING}}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backfill")
    # Text, so that reading takes its time.
    start = 1_790_812_800  # 2026-10-01
    rows = pa.table({
        "driver_id": range(COUNT), "at": pa.array([start + i % 86_400 for i in range(COUNT)], pa.timestamp("s")),
        "trips": range(0, 3 * COUNT, 3), "city": [f"city {i % 97}" for i in range(COUNT)]})
    pyarrow.csv.write_csv(rows, folder / "drivers.csv")
    return folder


@pytest.fixture
def server(start_aerie, folder, tmp_path):
    server = start_aerie(tmp_path / "data")
    server.cli("apply", "-f", "-", input=MANIFEST.format(folder=folder))
    return server


def status(server, view="stats"):
    return requests.get(f"{server.http}/api/v1/namespaces/default/FeatureView/{view}", timeout=10).json().get("status") or {}


def runs(server):
    return requests.get(f"{server.http}{API}/materializations", timeout=10).json()["materializations"]


def trips(server, driver):
    shown = server.cli("features", "online", "get", "--entity", f"driver_id={driver}", "--features", "stats:trips")
    return shown.stdout.split()[-1]


def backfill(server, *arguments, **more):
    command = [conftest.BINARY, "features", "backfill", "--from", "2026-09-01", "--server", server.http,
               *(arguments or ("--to", "2026-10-31"))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


@pytest.mark.parametrize("moment", ["reading", "writing"])
def test_a_kill_at_any_moment_is_made_up_for_at_the_next_start(server, start_aerie, moment):
    client = backfill(server)
    until(lambda: status(server).get("materializing", {}).get("done" if moment == "writing" else "end"))
    server.kill()
    assert client.wait(60) == 5 and "run it again" in client.stderr.read() + client.stdout.read()
    again = start_aerie(server.data_dir)
    until(lambda: status(again).get("materializedUntil") == "2026-10-31T00:00:00Z")
    (run,) = runs(again)
    assert (run["trigger"], run["state"], run["rows"]) == ("restart", "succeeded", COUNT), run
    assert [trips(again, driver) for driver in (0, 77, COUNT - 1)] == ["0", "231", str(3 * COUNT - 3)]


@pytest.mark.parametrize("moment", ["reading", "writing"])
def test_ctrl_c_ends_the_work_in_the_server(server, moment):
    # As a terminal starts it: tests that run in the background of a shell have been told to pass the signal over.
    client = backfill(server, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    until(lambda: [run for run in runs(server) if moment == "reading" or run["rows"] > 0])
    client.send_signal(signal.SIGINT)
    client.wait(60)
    until(lambda: runs(server)[0]["state"] == "cancelled")
    assert "materializing" not in status(server) and "materializedUntil" not in status(server)


def test_a_terminal_gets_a_bar_and_the_rows_at_the_end(server):
    ours, theirs = pty.openpty()
    client = subprocess.Popen([conftest.BINARY, "features", "backfill", "--from", "2026-09-01", "--server", server.http],
                              stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    drawn = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        drawn += piece
        if not piece:
            break
    os.close(ours)
    assert client.wait(60) == 0
    assert f"stats: {COUNT} entities until" in client.stdout.read()
    text = drawn.decode()
    assert "stats: reading the source" in text and f"of {COUNT} entities" in text and "█" in text


@pytest.mark.parametrize("arguments,code,words", [
    (("backfill", "--from", "yesterday"), 2, "--from: \"yesterday\" is no moment"),
    (("backfill", "--from", "2026-10-02", "--to", "soon"), 2, "--to: \"soon\" is no moment"),
    (("backfill", "--from", "2026-10-02", "--to", "2026-10-01"), 2, "--from: 2026-10-02T00:00:00Z is after the end"),
    (("materialize", "2026-10-02", "2026-10-01"), 2, "START: 2026-10-02T00:00:00Z is after the end"),
    (("materialize-incremental", "soon"), 2, "END: \"soon\" is no moment"),
    (("backfill", "--from", "2026-10-01", "--views", "nobody"), 3, "nobody"),
    (("historical", "--features", "stats:trips", "--end", "soon", "--output", "never.csv"), 2, "--end: 'soon' is no moment"),
    (("historical", "--features", "trips", "--end", "2026-10-02", "--output", "never.csv"), 2, "Invalid feature reference 'trips'"),
], ids=["from", "to", "order", "positional", "incremental", "view", "historical", "feature"])
def test_what_is_wrong_is_named_as_the_command_names_it(aerie, folder, arguments, code, words):
    aerie.cli("apply", "-f", "-", input=MANIFEST.format(folder=folder))
    done = aerie.cli("features", *arguments, check=False)
    assert done.returncode == code and words in done.stderr, done.stderr


def test_files_that_are_gone_or_go_are_named(server, folder, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    server.cli("apply", "-f", "-", input=MANIFEST.format(folder=gone))
    done = server.cli("features", "backfill", "--from", "2026-09-01", check=False)
    assert done.returncode == 2 and "source of view 'stats' cannot be read" in done.stderr and str(gone) in done.stderr
    (gone / "a.csv").symlink_to(folder / "drivers.csv")
    client = backfill(server)
    until(lambda: [run for run in runs(server) if run["state"] == "running"])
    (gone / "a.csv").unlink()
    client.wait(60)
    # Either all of it was open by then, or what is missing is said; never half.
    run = runs(server)[0]
    assert (client.returncode, run["state"]) in [(0, "succeeded"), (2, "failed")]
    assert run["rows"] == (COUNT if run["state"] == "succeeded" else 0)


WINDOWS = """
apiVersion: aerie.dev/v1
kind: Entity
metadata: {{name: card}}
spec: {{joinKey: card, valueType: INT64}}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: activity}}
spec:
  entities: [card]
  stream: {{type: push, timestampField: at, eventId: id}}
  source: {{path: {path}, timestampField: at, createdTimestampColumn: arrived}}
  aggregations:
  - {{name: n, function: count, window: 30d}}
  - {{name: total, function: sum, column: amount, window: 30d}}
  - {{name: lately, function: count, window: 1h}}
"""
DAY = datetime.timedelta(days=1)


def write(path, events):
    """Events are (card, time, id, amount); each arrives a second after its time."""
    columns = list(zip(*events))
    moments = pa.timestamp("us", tz="UTC")
    pyarrow.parquet.write_table(pa.table({
        "card": columns[0], "at": pa.array(columns[1], moments), "id": columns[2], "amount": pa.array(columns[3], pa.float64()),
        "arrived": pa.array([at + datetime.timedelta(seconds=1) for at in columns[1]], moments)}), path)


def push(server, events):
    for card, at, identity, amount in events:
        done = requests.post(f"{server.http}/push", timeout=30, json={"push_source_name": "activity", "df": {
            "card": [card], "at": [at.isoformat()], "id": [identity], "amount": [amount]}})
        assert done.status_code == 200, done.text


def activity(server, *cards):
    answer = requests.post(f"{server.feast_http}/get-online-features", timeout=30, json={
        "entities": {"card": list(cards)}, "features": ["activity:n", "activity:total", "activity:lately"]}).json()
    return [[column["values"][row] for column in answer["results"][1:]] for row in range(len(cards))]


def test_windows_are_filled_with_what_was_before_their_stream(aerie, tmp_path):
    now = datetime.datetime.now(datetime.timezone.utc)
    past = [(card, now - k * DAY - datetime.timedelta(hours=1), f"{card}-{k}", 2.0) for card in range(3) for k in range(1, 21)]
    recent = (0, now - datetime.timedelta(minutes=10), "recent", 5.0)
    path = tmp_path / "events.parquet"
    write(path, [*past, recent])
    aerie.cli("apply", "-f", "-", input=WINDOWS.format(path=path))
    # The stream begins with an event that the source has, too.
    push(aerie, [recent])
    mine = (0, datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(milliseconds=1), "mine", 7.0)
    push(aerie, [mine])
    assert activity(aerie, 0, 1) == [[2, 12.0, 2], [0, 0.0, 0]]
    done = aerie.cli("features", "backfill", "--from", "2020-01-01", "--views", "activity")
    assert "activity: 3 entities until" in done.stdout and "comes by the stream" in done.stderr
    filled = [[22, 52.0, 2], [20, 40.0, 0]]
    assert activity(aerie, 0, 1) == filled
    # A copy, and an event of before the stream that comes only now.
    late = (1, now - datetime.timedelta(minutes=5), "late", 1.0)
    push(aerie, [recent, late])
    filled[1] = [21, 41.0, 1]
    assert activity(aerie, 0, 1) == filled
    # By Feast's own request, when the source has the late one: nothing counts twice, however often.
    write(path, [*past, recent, late])
    for _ in range(2):
        done = requests.post(f"{aerie.http}/materialize", timeout=60, json={
            "start_ts": (now - DAY).isoformat(), "end_ts": datetime.datetime.now(datetime.timezone.utc).isoformat(),
            "feature_views": ["activity"]})
        assert done.status_code == 200, done.text
        assert activity(aerie, 0, 1) == [[22, 52.0, 2], [21, 41.0, 1]]
    # What is gone from the source goes with the next backfill.
    write(path, [event for event in past if event[0] != 2])
    aerie.cli("features", "materialize-incremental", "--views", "activity")
    assert activity(aerie, 2) == [[0, 0.0, 0]]


def test_a_kill_during_a_backfill_of_windows_leaves_them_right(start_aerie, tmp_path):
    now = datetime.datetime.now(datetime.timezone.utc)
    cards = 26_000
    write(tmp_path / "events.parquet", [(card, now - k * DAY, f"{card}-{k}", 1.0) for k in range(1, 9) for card in range(cards)])
    server = start_aerie(tmp_path / "data")
    server.cli("apply", "-f", "-", input=WINDOWS.format(path=tmp_path / "events.parquet"))
    push(server, [(cards, now, "first", 1.0)])
    push(server, [(0, datetime.datetime.now(datetime.timezone.utc), "mine", 3.0)])
    client = backfill(server, "--to", now.isoformat())
    until(lambda: status(server, "activity").get("materializing", {}).get("done"))
    server.kill()
    client.wait(60)
    again = start_aerie(tmp_path / "data")
    until(lambda: status(again, "activity").get("materializedUntil"))
    assert activity(again, 0, 1, 4711, cards - 1) == [[9, 11.0, 1], [8, 8.0, 0], [8, 8.0, 0], [8, 8.0, 0]]
