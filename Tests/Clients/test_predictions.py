"""Predictions of a deployment that asks for it are logged: over HTTP and gRPC, through kill -9, with labels that come later."""

import json
import urllib.error
import urllib.request

import numpy
import pandas
import pytest
import tritonclient.grpc
import tritonclient.http

from conftest import FraudDeployment


def log_everything(server) -> FraudDeployment:
    """A deployment whose requests are all logged, once its new manifest has been carried out."""
    deployment = FraudDeployment(server)
    manifest = deployment.manifest(f"models:/{deployment.model}/{deployment.version}").replace(
        "    aerie.dev/positive-label: fraud", "    aerie.dev/prediction-log: \"1\"\n    aerie.dev/positive-label: fraud")
    server.cli("apply", "-f", "-", input=manifest)
    for _ in range(100):
        ask_http(server, deployment, deployment.rows[:1], "probe")
        if predictions(server, "--puid", "probe"):
            return deployment
    raise AssertionError("nothing is logged")


@pytest.fixture(scope="module")
def logged(start_aerie, tmp_path_factory):
    """A server of its own with a deployment whose requests are all logged."""
    server = start_aerie(tmp_path_factory.mktemp("predictions"))
    return server, log_everything(server)


def ask_http(server, deployment, rows, request_id=""):
    with tritonclient.http.InferenceServerClient(server.inference_http.removeprefix("http://")) as client:
        tensor = tritonclient.http.InferInput("input", [len(rows), 9], "FP64")
        tensor.set_data_from_numpy(numpy.asarray(rows, numpy.float64))
        client.infer(deployment.name, [tensor], request_id=request_id)


def predictions(server, *arguments):
    return json.loads(server.cli("predictions", "list", "--json", *arguments).stdout)["predictions"]


def test_rows_results_and_labels(logged, tmp_path):
    server, deployment = logged
    ask_http(server, deployment, deployment.rows[:3], "over-http")
    with tritonclient.grpc.InferenceServerClient(server.inference_grpc) as client:
        tensor = tritonclient.grpc.InferInput("input", [1, 9], "FP64")
        tensor.set_data_from_numpy(numpy.asarray(deployment.rows[3:4], numpy.float64))
        client.infer(deployment.name, [tensor], request_id="over-grpc")
    # A loop hands over what it has at the latest after a second.
    for _ in range(100):
        if len(predictions(server, "--puid", "over-http")) == 3 and len(predictions(server, "--puid", "over-grpc")) == 1:
            break
    kept = sorted(predictions(server, "--puid", "over-http"), key=lambda row: row["row"])
    assert [row["outputs"][0] for row in kept] == pytest.approx(deployment.expected[:3].tolist())
    assert [list(row["features"].values()) for row in kept] == deployment.rows[:3]
    assert {row["version"] for row in kept} == {str(deployment.version)}
    assert predictions(server, "--puid", "over-grpc")[0]["outputs"][0] == pytest.approx(deployment.expected[3])

    server.cli("predictions", "label", "over-grpc", "1")
    labels = tmp_path / "labels.csv"
    labels.write_text("puid,row,value\nover-http,0,0\nover-http,2,1\n")
    server.cli("predictions", "label", "--file", str(labels))
    assert len(predictions(server, "--labelled")) == 3
    output = tmp_path / "predictions.parquet"
    server.cli("predictions", "export", "--labelled", "--output", str(output))
    table = pandas.read_parquet(output).sort_values(["puid", "row"])
    assert table["label"].tolist() == [1.0, 0.0, 1.0]
    assert table["puid"].tolist() == ["over-grpc", "over-http", "over-http"]


def test_what_was_written_outlives_a_kill(start_aerie, tmp_path):
    server = start_aerie(tmp_path / "data")
    deployment = log_everything(server)
    ask_http(server, deployment, deployment.rows[:2], "before")
    for _ in range(100):
        if predictions(server, "--puid", "before"):
            break
    server.kill()
    again = start_aerie(tmp_path / "data")
    assert len(predictions(again, "--puid", "before")) == 2


def test_a_deployment_that_does_not_ask_is_not_logged(aerie, fraud_deployment):
    ask_http(aerie, fraud_deployment, fraud_deployment.rows[:1], "quiet")
    assert predictions(aerie, "--puid", "quiet") == []


def test_wrong_words(logged, tmp_path):
    server, deployment = logged
    manifest = deployment.manifest("models:/x/1").replace(
        "    aerie.dev/positive-label: fraud", "    aerie.dev/prediction-log: \"2\"")
    done = server.cli("apply", "-f", "-", input=manifest, check=False)
    assert done.returncode == 2 and "aerie.dev/prediction-log" in done.stderr
    for arguments, words in [(["list", "--since", "yesterday"], "since"), (["list", "--limit", "0"], "limit"),
                             (["label", "x"], "label"), (["label", "--file", "/nowhere"], "/nowhere")]:
        done = server.cli("predictions", *arguments, check=False)
        assert done.returncode == 2 and words in done.stderr, done.stderr
    body = json.dumps({"labels": [{"puid": "a", "value": "much"}]}).encode()
    request = urllib.request.Request(f"{server.http}/api/aerie/v1/predictions/labels", body)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 400 and "labels[0].value" in refused.value.read().decode()
