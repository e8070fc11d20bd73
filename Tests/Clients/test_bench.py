"""`aerie bench` against the real server: what it sends is answered well in every form, and what it counts the server counts."""

import contextlib
import fcntl
import json
import os
import re
import socket
import struct
import subprocess
import termios
import threading
import urllib.request

import pytest

from conftest import BINARY


def bench(*arguments: str, check: bool = True):
    done = subprocess.run([BINARY, "bench", *arguments, "--duration", "0.5", "--warmup", "0.1"],
                          text=True, capture_output=True, timeout=60)
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def measured(*arguments: str) -> dict:
    return json.loads(bench(*arguments, "--json", "-").stdout)


def served(aerie) -> int:
    """Requests that the server has counted for the deployment."""
    text = urllib.request.urlopen(f"{aerie.http}/metrics", timeout=10).read().decode()
    pattern = r'^seldon_api_executor_server_requests_seconds_count\{[^}]*deployment_name="clients-fraud"[^}]*\} (\d+)'
    return sum(int(count) for count in re.findall(pattern, text, re.M))


@pytest.mark.parametrize("form", ["json", "binary", "grpc", "grpc-stream"])
@pytest.mark.parametrize("rows", [1, 32])
def test_every_form_is_answered(aerie, fraud_deployment, form, rows):
    before = served(aerie)
    target = f"grpc://{aerie.inference_grpc}" if form.startswith("grpc") else aerie.inference_http
    result = measured(fraud_deployment.name, "--target", target, "--form", form, "--rows", str(rows),
                      "--metadata", aerie.inference_http, "--connections", "3", "--in-flight", "2")
    assert result["succeeded"] > 20 and result["failed"] == 0, result
    assert result["predictions_per_second"] == pytest.approx(result["requests_per_second"] * rows)
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p99"] <= result["latency_ms"]["max"]
    # Those of the warm-up, and those that were on their way at the end, are served and not counted here.
    assert served(aerie) - before >= result["succeeded"]


@pytest.mark.parametrize("form", ["json", "grpc"])
def test_a_constant_rate(aerie, fraud_deployment, form):
    target = f"grpc://{aerie.inference_grpc}" if form == "grpc" else aerie.inference_http
    result = measured(fraud_deployment.name, "--target", target, "--form", form, "--metadata", aerie.inference_http,
                      "--rate", "200", "--connections", "8")
    assert 99 <= result["due"] <= 101
    assert result["succeeded"] + result["failed"] == result["due"]
    assert result["failed"] == 0


def test_a_terminal_sees_it_run(aerie, fraud_deployment):
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    command = [BINARY, "bench", fraud_deployment.name, "--target", aerie.inference_http, "--duration", "0.8", "--warmup", "0.4"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        # A terminal whose other side has gone is an error to read.
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 65536):
                shown += piece
        os.close(ours)
    assert process.returncode == 0
    lines = shown.decode().split("\x1b[2K")
    assert any("warming up" in line for line in lines) and any(re.search(r"\d+/s  p50 .*p99 ", line) for line in lines)
    assert lines[-1].split()[:2] == ["TARGET", "REQUESTS/S"], lines[-1]
    # Elsewhere nothing is drawn.
    assert bench(fraud_deployment.name, "--target", aerie.inference_http).stderr == ""


def test_rows_of_a_file(aerie, fraud_deployment, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text(",".join(f"c{i}" for i in range(9)) + "\n" + "\n".join(
        ",".join(str(value) for value in row) for row in fraud_deployment.rows[:50]) + "\n")
    result = measured(fraud_deployment.name, "--target", aerie.inference_http, "--data", str(rows), "--connections", "2")
    assert result["failed"] == 0 and result["succeeded"] > 20
    rows.write_text("a,b\n1,2\n")
    wrong = bench(fraud_deployment.name, "--target", aerie.inference_http, "--data", str(rows), check=False)
    assert wrong.returncode == 2 and "2 columns" in wrong.stderr and "9 numbers" in wrong.stderr


def test_two_targets_in_turns(aerie, fraud_deployment, tmp_path):
    report = tmp_path / "report.json"
    done = bench(fraud_deployment.name, "--target", aerie.inference_http, "--form", "binary", "--compare",
                 aerie.inference_http, "--rounds", "3", "--connections", "2", "--json", str(report))
    assert "requests/s, first / second" in done.stdout
    result = json.loads(report.read_text())
    assert len(result["rounds"]) == 3
    assert result["requests_per_second"]["low"] <= result["requests_per_second"]["ratio"] \
        <= result["requests_per_second"]["high"]


def test_errors_are_counted_by_status(aerie, tmp_path):
    body = tmp_path / "body.json"
    body.write_text("{}")
    result = measured("--target", aerie.inference_http + "/v2/models/nobody/infer", "--body", str(body),
                      "--connections", "2")
    assert result["succeeded"] == 0 and result["statuses"].keys() == {"404"}


def test_a_server_that_never_answers_does_not_hold_it_up(tmp_path):
    body = tmp_path / "body.json"
    body.write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        accepted = []
        threading.Thread(target=lambda: accepted.append(silent.accept()[0]), daemon=True).start()
        result = measured("--target", f"http://127.0.0.1:{silent.getsockname()[1]}/", "--body", str(body),
                          "--connections", "1", "--rate", "100")
        assert result["succeeded"] == 0 and result["statuses"] == {"no answer": result["due"]}
        for connection in accepted:
            connection.close()


@pytest.mark.parametrize("arguments, words", [
    (["m", "--target", "http://192.0.2.1:80"], "--allow-remote"),
    (["m", "--target", "ftp://127.0.0.1"], "no address"),
    (["m", "--target", "http://127.0.0.1:1"], "127.0.0.1:1"),
    (["--target", "http://127.0.0.1:1"], "name the model"),
    (["m", "--form", "soap"], "soap"),
    (["m", "--form", "grpc"], "grpc://"),
    (["m", "--connections", "0"], "--connections"),
    (["m", "--input", "x:FP32"], "NAME:TYPE:SIZE"),
    (["m", "--input", "x:FP32:4", "--rows", "100000001"], "--rows"),
    (["m", "--input", "x:FP32:1000", "--rows", "100000"], "16777216 numbers"),
])
def test_wrong_words(arguments, words):
    done = bench(*arguments, check=False)
    assert done.returncode in (2, 3, 5)
    assert words in done.stderr, done.stderr


def test_a_rate_is_found_and_makes_a_capacity(aerie, fraud_deployment, tmp_path):
    points = tmp_path / "rates.json"
    done = bench(fraud_deployment.name, "--target", aerie.inference_http, "--connections", "4", "--find-rate",
                 "--p99", "500ms", "--json", str(points))
    found = json.loads(points.read_text())
    assert len(found["points"]) >= 2 and found["rate"] >= found["points"][0]["rate"], done.stdout
    chart, days = tmp_path / "day.svg", tmp_path / "day.csv"
    capacity = json.loads(subprocess.run(
        [BINARY, "capacity", "--rps", "1000000", "--p99", "500ms", "--measured", str(points), "--node-price", "240",
         "--max-replicas", "1000000", "--chart", str(chart), "--csv", str(days), "--json"],
        text=True, capture_output=True, check=True, timeout=60).stdout)
    # Pods of two cores at 70 %.
    per_pod = found["rate"] * 2 / found["settings"]["cores"] * 0.7
    assert capacity["plan"]["per_pod"] == pytest.approx(per_pod)
    assert capacity["plan"]["required_pods"] == -(-1_000_000 // per_pod)
    assert capacity["day"]["overloaded_seconds"] == 0
    assert chart.read_text().startswith("<svg") and len(days.read_text().splitlines()) == 86_400 // 15 + 1


def test_the_founding_documents_arithmetic():
    done = subprocess.run(
        [BINARY, "capacity", "--rps", "1000000", "--per-pod", "5000", "--node-price", "240", "--fixed", "other=15000"],
        text=True, capture_output=True, check=True, timeout=60).stdout
    facts = dict(re.split(r"\s{2,}", line)[:2] for line in done.splitlines() if "  " in line)
    assert (facts["pods for the peak"], facts["pods with overhead"]) == ("200", "240")
    assert (facts["nodes, at least"], facts["nodes, recommended"]) == ("30", "50")
    assert facts["a month"] == "27000"


@pytest.mark.parametrize("arguments, words", [
    ([], "--measured"), (["--per-pod", "0"], "--per-pod"), (["--per-pod", "5", "--p99", "x", "--measured", "y"], "--per-pod"),
    (["--measured", "/nowhere"], "/nowhere"), (["--per-pod", "5", "--fixed", "a=1"], "--node-price"),
    (["--per-pod", "5", "--min-replicas", "9", "--max-replicas", "3"], "--max-replicas"),
    (["--per-pod", "1e-300"], "--per-pod"), (["--per-pod", "5", "--node-price", "inf"], "--node-price"),
])
def test_capacities_that_cannot_be(arguments, words):
    done = subprocess.run([BINARY, "capacity", "--rps", "1000000", *arguments], text=True, capture_output=True, timeout=60)
    assert done.returncode == 2 and words in done.stderr, done.stderr
