"""Pipelines as people run them from the command line: decisions, failures, retries, the cache, and a killed server."""
import json
import pathlib
import re
import threading
import time
import urllib.request

import pytest


def transactions(path: pathlib.Path, rows: int = 200) -> pathlib.Path:
    path.write_text("id,amount\n" + "".join(f"{row},{row * 1.5}\n" for row in range(rows)))
    return path


def start(server, name: str, *parameters: str) -> str:
    """The id of a run that was started and is not waited for."""
    arguments = [word for parameter in parameters for word in ("--param", parameter)]
    return server.cli("pipeline", "run", name, *arguments, "--no-wait").stdout.strip()


def run_of(server, run: str) -> dict:
    return json.loads(server.cli("pipeline", "status", run, "-o", "json").stdout)


def states(run: dict) -> dict[str, str]:
    return {step["name"]: step["state"] for step in run["steps"]}


def step_of(run: dict, name: str) -> dict:
    return next(step for step in run["steps"] if step["name"] == name)


def wait_for(server, run: str, until, seconds: float = 40) -> dict:
    deadline = time.monotonic() + seconds
    while not until(seen := run_of(server, run)):
        assert time.monotonic() < deadline, seen
        time.sleep(0.1)
    return seen


def wait_for_end(server, run: str, seconds: float = 40) -> dict:
    return wait_for(server, run, lambda seen: seen["state"] in ("succeeded", "failed", "cancelled"), seconds)


def is_waiting(step: str):
    return lambda seen: states(seen)[step] == "waiting"


def apply(server, text: str):
    return server.cli("apply", "-f", "-", input=text)


def approval(name: str, data: pathlib.Path) -> str:
    """Reads a file, waits for a person, and then checks the rows."""
    return f"""
apiVersion: aerie.dev/v1
kind: Pipeline
metadata: {{name: {name}}}
spec:
  steps:
  - name: ingest
    uses: ingest
    with: {{path: {data}}}
  - name: judge
    uses: approve
    needs: [ingest]
    with: {{mode: manual}}
  - name: validate
    uses: validate
    needs: [judge]
    with:
      table: ${{steps.ingest.table}}
      suite:
        name: rows
        expectations:
        - {{type: expect_table_row_count_to_be_between, kwargs: {{min_value: 100}}}}
"""


@pytest.fixture
def waiting(aerie, request, tmp_path):
    """A run that waits for a decision."""
    name = "pipelines-" + re.sub("[^a-z]+", "-", request.node.name.removeprefix("test_"))[:40].strip("-")
    apply(aerie, approval(name, transactions(tmp_path / "data.csv")))
    run = start(aerie, name)
    wait_for(aerie, run, is_waiting("judge"))
    return run


def test_a_run_waits_for_approval_and_goes_on(aerie, waiting):
    table = aerie.cli("pipeline", "status", waiting).stdout
    assert re.search(r"judge\s+waiting", table) and f"aerie approve {waiting} judge" in table, table
    seen = run_of(aerie, waiting)
    assert states(seen) == {"ingest": "succeeded", "judge": "waiting", "validate": "pending"}
    assert seen["state"] not in ("succeeded", "failed")
    said = aerie.cli("approve", waiting, "--comment", "looked at the rows").stdout
    assert "approved" in said and "judge" in said
    seen = wait_for_end(aerie, waiting)
    assert seen["state"] == "succeeded", seen
    assert step_of(seen, "judge")["values"]["comment"] == "looked at the rows"
    assert step_of(seen, "validate")["values"]["success"] is True
    late = aerie.cli("approve", waiting, check=False)
    assert late.returncode != 0 and "wait" in late.stderr, late.stderr
    log = aerie.cli("pipeline", "logs", waiting, "judge").stdout
    assert "looked at the rows" in log


def test_a_rejected_run_fails_with_the_comment(aerie, waiting):
    aerie.cli("reject", waiting, "judge", "--comment", "the amounts look odd")
    seen = wait_for_end(aerie, waiting)
    assert seen["state"] == "failed"
    assert "the amounts look odd" in step_of(seen, "judge")["message"]
    assert "judge" in seen["message"]
    assert states(seen) == {"ingest": "succeeded", "judge": "failed", "validate": "skipped"}
    assert "the amounts look odd" in aerie.cli("pipeline", "status", waiting).stdout


def test_a_waiting_run_is_cancelled(aerie, waiting):
    aerie.cli("pipeline", "cancel", waiting)
    seen = wait_for_end(aerie, waiting)
    assert seen["state"] == "cancelled"
    assert states(seen)["judge"] in ("cancelled", "skipped") and states(seen)["ingest"] == "succeeded"
    assert states(seen)["validate"] in ("cancelled", "skipped")
    again = aerie.cli("approve", waiting, check=False)
    assert again.returncode != 0 and again.stderr


def test_a_running_step_is_cancelled(aerie):
    apply(aerie, TRAINING.replace("NAME", "pipelines-cancel-running"))
    run = start(aerie, "pipelines-cancel-running", "rounds=20000", "rows=20000")
    wait_for(aerie, run, lambda seen: states(seen)["train"] == "running")
    began = time.monotonic()
    aerie.cli("pipeline", "cancel", run)
    seen = wait_for_end(aerie, run)
    assert seen["state"] == "cancelled" and time.monotonic() - began < 15
    assert states(seen)["train"] == "cancelled"


def test_a_failing_step_says_why_and_a_retry_goes_on(aerie, tmp_path):
    data = tmp_path / "missing.csv"
    apply(aerie, approval("pipelines-retry", data).replace("mode: manual", "rule: 'rows > 150', values: {rows: '${steps.ingest.rows}'}"))
    done = aerie.cli("pipeline", "run", "pipelines-retry", check=False)
    assert done.returncode == 1
    assert "missing.csv" in done.stdout, done.stdout
    run = re.search(r"pipelines-retry-\w+", done.stdout)[0]
    seen = run_of(aerie, run)
    assert seen["state"] == "failed" and "ingest" in seen["message"], seen
    assert "missing.csv" in step_of(seen, "ingest")["message"]
    assert states(seen) == {"ingest": "failed", "judge": "skipped", "validate": "skipped"}
    assert "missing.csv" in aerie.cli("pipeline", "logs", run, "ingest").stdout
    transactions(data, rows=203)
    retried = aerie.cli("pipeline", "retry", run)
    assert f"{run} succeeded" in retried.stdout, retried.stdout
    seen = run_of(aerie, run)
    assert set(states(seen).values()) == {"succeeded"} and step_of(seen, "ingest")["attempt"] == 2
    refused = aerie.cli("pipeline", "retry", run, check=False)
    assert refused.returncode != 0 and "succeeded" in refused.stderr


def test_an_expectation_that_is_not_met_fails_the_run(aerie, tmp_path):
    text = approval("pipelines-unmet", transactions(tmp_path / "few.csv", rows=20))
    apply(aerie, text.replace("mode: manual", "rule: 'rows > 10', values: {rows: '${steps.ingest.rows}'}"))
    done = aerie.cli("pipeline", "run", "pipelines-unmet", check=False)
    assert done.returncode == 1
    assert "expect_table_row_count_to_be_between" in done.stdout, done.stdout


TRAINING = """
apiVersion: aerie.dev/v1
kind: Pipeline
metadata: {name: NAME}
spec:
  experiment: pipelines
  parameters:
    rows: {type: integer, default: 2000}
    rounds: {type: integer, default: 30}
    seed: {type: integer, default: 7}
  steps:
  - name: ingest
    uses: ingest
    with: {generate: {rows: "${parameters.rows}", seed: "${parameters.seed}"}}
  - name: features
    uses: features
    with:
      table: ${steps.ingest.table}
      label: is_fraud
      columns: [amount, transaction_hour, device_trust_score, velocity_last_24h, cardholder_age]
      split: {train: 0.6, validation: 0.2}
  - name: train
    uses: train
    with:
      table: ${steps.features.table}
      label: ${steps.features.label}
      features: ${steps.features.features}
      objective: binary
      rounds: ${parameters.rounds}
      seed: ${parameters.seed}
"""


def test_a_second_run_comes_from_the_cache(aerie):
    apply(aerie, TRAINING.replace("NAME", "pipelines-cache"))
    first = start(aerie, "pipelines-cache", "seed=1234")
    slow = wait_for_end(aerie, first)
    assert set(states(slow).values()) == {"succeeded"}, slow
    done = aerie.cli("pipeline", "run", "pipelines-cache", "--param", "seed=1234")
    assert done.stdout.count(" cached") == 3, done.stdout
    assert first in done.stdout, "which run the results come from is said"
    second = re.search(r"(pipelines-cache-\w+) succeeded", done.stdout)[1]
    quick = run_of(aerie, second)
    assert set(states(quick).values()) == {"cached"}
    assert all(step["cachedFrom"] == first for step in quick["steps"])
    assert quick["finished"] - quick["created"] < min(1000, (slow["finished"] - slow["created"]))
    for name in ("ingest", "features", "train"):
        assert step_of(quick, name)["values"] == step_of(slow, name)["values"]
    assert "taken from the cache" in aerie.cli("pipeline", "logs", second, "train").stdout
    # Another parameter of the last step leaves the first ones as they are.
    other = wait_for_end(aerie, start(aerie, "pipelines-cache", "seed=1234", "rounds=31"))
    assert states(other) == {"ingest": "cached", "features": "cached", "train": "succeeded"}


def test_a_changed_file_is_not_taken_from_the_cache(aerie, tmp_path):
    data = transactions(tmp_path / "data.csv")
    text = approval("pipelines-changed", data)
    apply(aerie, text.replace("mode: manual", "rule: 'rows > 10', values: {rows: '${steps.ingest.rows}'}"))
    assert wait_for_end(aerie, start(aerie, "pipelines-changed"))["state"] == "succeeded"
    transactions(data, rows=321)
    seen = wait_for_end(aerie, start(aerie, "pipelines-changed"))
    assert states(seen)["ingest"] == "succeeded" and step_of(seen, "ingest")["values"]["rows"] == 321


def test_parameters_reach_the_steps(aerie):
    apply(aerie, TRAINING.replace("NAME", "pipelines-parameters"))
    seen = wait_for_end(aerie, start(aerie, "pipelines-parameters", "rows=1500", "rounds=5"))
    assert seen["state"] == "succeeded" and seen["parameters"] == {"rows": 1500, "rounds": 5, "seed": 7}
    assert step_of(seen, "ingest")["values"]["rows"] == 1500
    run = seen["trackingRun"]
    with urllib.request.urlopen(f"{aerie.http}/api/2.0/mlflow/runs/get?run_id={run}", timeout=10) as answer:
        tracked = json.load(answer)["run"]
    assert tracked["info"]["status"] == "FINISHED"


@pytest.mark.parametrize("parameter, words", [
    ("colour=red", "colour"), ("rows=many", "rows"), ("rows", "NAME=VALUE"), ("rows=1.5", "rows"),
])
def test_a_wrong_parameter_is_refused(aerie, parameter, words):
    apply(aerie, TRAINING.replace("NAME", "pipelines-wrong"))
    done = aerie.cli("pipeline", "run", "pipelines-wrong", "--param", parameter, check=False)
    assert done.returncode != 0 and words in done.stderr, (done.stdout, done.stderr)
    assert json.loads(aerie.cli("pipeline", "runs", "pipelines-wrong", "-o", "json").stdout) == []


def test_an_unknown_pipeline_and_run_are_said(aerie):
    for arguments in (["pipeline", "run", "pipelines-nobody"], ["pipeline", "status", "pipelines-nobody-1"],
                      ["approve", "pipelines-nobody-1"]):
        done = aerie.cli(*arguments, check=False)
        assert done.returncode != 0 and "pipelines-nobody" in done.stderr, done.stderr


def test_a_run_that_waits_survives_a_killed_server(start_aerie, tmp_path):
    server = start_aerie(tmp_path / "server")
    apply(server, approval("pipelines-killed", transactions(tmp_path / "data.csv")))
    run = start(server, "pipelines-killed")
    before = wait_for(server, run, is_waiting("judge"))
    server.kill()
    server = start_aerie(tmp_path / "server")
    seen = wait_for(server, run, is_waiting("judge"))
    assert step_of(seen, "ingest") == step_of(before, "ingest"), "what had succeeded was done again"
    server.cli("approve", run)
    assert wait_for_end(server, run)["state"] == "succeeded"
    assert server.stop() == 0


def test_a_running_step_survives_a_killed_server(start_aerie, tmp_path):
    server = start_aerie(tmp_path / "server")
    apply(server, TRAINING.replace("NAME", "pipelines-killed"))
    run = start(server, "pipelines-killed", "rounds=1500", "rows=5000")
    wait_for(server, run, lambda seen: states(seen)["train"] == "running")
    server.kill()
    server = start_aerie(tmp_path / "server")
    seen = wait_for_end(server, run, seconds=90)
    assert seen["state"] == "succeeded", seen
    assert step_of(seen, "ingest")["attempt"] == 1 and step_of(seen, "train")["attempt"] == 2, states(seen)
    assert step_of(seen, "train")["failures"] == 0, "a killed server is no failure of the step"
    assert server.stop() == 0


def test_a_followed_run_is_told_to_its_end(start_aerie, tmp_path):
    """A client that follows a run ends with it, and says each step once."""
    server = start_aerie(tmp_path / "server")
    apply(server, approval("pipelines-followed", transactions(tmp_path / "data.csv")))
    outcome = {}
    follower = threading.Thread(target=lambda: outcome.update(
        done=server.cli("pipeline", "run", "pipelines-followed", "--follow", timeout=60)))
    follower.start()
    deadline = time.monotonic() + 20
    runs = []
    while not runs or states(runs[0])["judge"] != "waiting":
        assert time.monotonic() < deadline
        runs = json.loads(server.cli("pipeline", "runs", "pipelines-followed", "-o", "json").stdout)
        time.sleep(0.1)
    server.cli("approve", runs[0]["id"])
    follower.join(60)
    assert not follower.is_alive()
    out = outcome["done"].stdout
    assert f"{runs[0]['id']} succeeded" in out and f"aerie approve {runs[0]['id']} judge" in out
    assert len(re.findall(r"validate succeeded", out)) == 1
    assert server.stop() == 0
