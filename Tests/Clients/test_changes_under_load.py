"""Models are loaded again, split, moved to other versions, loaded and unloaded while the server is as busy as it can be, over
HTTP and gRPC at once and in every form: every request is answered, and answered well."""
import contextlib
import itertools
import json
import subprocess

import numpy
import pytest
import tritonclient.grpc
import tritonclient.http
import xgboost

from conftest import BINARY, wait_until_available

NAME, GUEST = "under-load", "under-load-guest"
# Forms of `aerie bench`: one row and many, with as many requests on their way as the connections carry.
LOADS = [("json", 1, 8), ("binary", 64, 2), ("grpc", 1, 8), ("grpc-stream", 16, 8)]


@pytest.fixture(scope="module")
def boosters(tmp_path_factory):
    """Two models that answer every row otherwise; trees, which are computed on the loops that take the requests."""
    folder = tmp_path_factory.mktemp("boosters")
    rng = numpy.random.default_rng(5)
    rows, paths = rng.normal(size=(300, 4)), []
    for seed in (1, 2):
        labels = rows @ numpy.random.default_rng(seed).normal(size=4) > 0
        paths.append(folder / f"{seed}.ubj")
        xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, xgboost.DMatrix(rows, labels),
                      8).save_model(paths[-1])
    return paths


def manifest(paths, annotations="{}"):
    share = 100 // len(paths)
    return (f"apiVersion: machinelearning.seldon.io/v1\nkind: SeldonDeployment\n"
            f"metadata: {{name: {NAME}, annotations: {annotations}}}\nspec:\n  predictors:\n") + "".join(
        f"  - {{name: p{index}, traffic: {share}, graph: {{name: model, type: MODEL, modelUri: \"{path}\"}}}}\n"
        for index, path in enumerate(paths))


@contextlib.contextmanager
def load(aerie, seconds):
    """Every form at once, as fast as it is answered; gives the results when the changes are over."""
    results = []
    commands = []
    for form, rows, in_flight in LOADS:
        target = f"grpc://{aerie.inference_grpc}" if form.startswith("grpc") else aerie.inference_http
        commands.append(subprocess.Popen(
            [BINARY, "bench", NAME, "--target", target, "--form", form, "--rows", str(rows), "--input", "input:FP32:4",
             "--connections", "2", "--in-flight", str(in_flight), "--duration", str(seconds), "--warmup", "0",
             "--json", "-"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    try:
        yield results, lambda: all(command.poll() is None for command in commands)
        for command in commands:
            out, errors = command.communicate(timeout=60)
            assert command.returncode == 0, errors
            results.append(json.loads(out))
    finally:
        for command in commands:
            command.kill()


def test_no_request_fails_while_everything_changes(aerie, boosters):
    first, second = boosters
    aerie.cli("apply", "-f", "-", input=manifest([first]))
    wait_until_available(aerie, NAME)
    content = second.read_bytes()
    changes = 0
    with tritonclient.http.InferenceServerClient(aerie.inference_http.removeprefix("http://")) as client, \
            tritonclient.grpc.InferenceServerClient(aerie.inference_grpc) as rpc, load(aerie, 8) as (results, is_busy):
        for paths in itertools.cycle(([first, second], [second], [second, first], [first])):
            if not is_busy():
                break
            aerie.cli("apply", "-f", "-", input=manifest(paths))
            wait_until_available(aerie, NAME)
            # Loaded again, under a policy of the request's own; another comes and goes beside it.
            (client if changes % 2 else rpc).load_model(NAME, config=json.dumps({"max_batch_size": 4 + changes % 3}))
            rpc.load_model(GUEST, config="{}", files={"file:1/model.ubj": content})
            client.unload_model(GUEST)
            changes += 1
    assert changes >= 4
    for (form, *_), result in zip(LOADS, results, strict=True):
        assert result["failed"] == 0 and result["succeeded"] > 200, (form, result)
