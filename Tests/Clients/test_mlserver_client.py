"""MLServer's batch client, `mlserver infer`, in an environment of its own, against Aerie."""
import json
import subprocess

import numpy
import pytest

from conftest import ROOT, wait_until_available
from test_inference_protocol import MANIFEST, write_model

MLSERVER = ROOT / ".venv-mlserver-client" / "bin" / "mlserver"
NAME = "mlserver-batch"
ROWS = numpy.arange(300, dtype=numpy.float32).reshape(100, 3)


@pytest.fixture(scope="module")
def model(aerie, tmp_path_factory):
    path = write_model(tmp_path_factory.mktemp("models") / "scaled.onnx", factor=4.0)
    aerie.cli("apply", "-f", "-", input=MANIFEST.format(name=NAME, annotations="{}", path=path))
    wait_until_available(aerie, NAME)


def infer(aerie, folder, requests, *arguments):
    """What the client wrote, by the requests' place in the file. REST is all that it speaks."""
    assert MLSERVER.exists(), "run scripts/python-env-mlserver-client"
    questions, answers = folder / "questions.jsonl", folder / "answers.jsonl"
    questions.write_text("".join(json.dumps(request) + "\n" for request in requests))
    done = subprocess.run(
        [MLSERVER, "infer", "--url", aerie.inference_http.removeprefix("http://"), "--model-name", NAME,
         "--input-data-path", questions, "--output-data-path", answers, "--workers", "4", *arguments],
        capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in answers.read_text().splitlines()]
    return {line["parameters"]["batch_index"]: line for line in lines}


def question(row):
    return {"inputs": [{"name": "x", "shape": [1, len(row)], "datatype": "FP32", "data": row.tolist()}]}


def check(answer, row):
    assert answer["outputs"][0]["name"] == "y" and answer["outputs"][0]["datatype"] == "FP32"
    numpy.testing.assert_array_equal(numpy.ravel(answer["outputs"][0]["data"]), row * 4)


def test_a_file_of_requests_in_batches(aerie, model, tmp_path):
    answers = infer(aerie, tmp_path, [question(row) for row in ROWS], "--batch-size", "8")
    assert sorted(answers) == list(range(100))
    for index, answer in answers.items():
        check(answer, ROWS[index])


def test_requests_that_are_wrong_are_told_by_their_place(aerie, model, tmp_path):
    answers = infer(aerie, tmp_path, [question(ROWS[0]), question(ROWS[1][:2]), question(ROWS[2])])
    check(answers[0], ROWS[0])
    check(answers[2], ROWS[2])
    assert answers[1]["error"]["status"] and "3" in answers[1]["error"]["msg"], answers[1]
