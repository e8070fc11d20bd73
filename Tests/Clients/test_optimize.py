"""`aerie optimize`: real models of real libraries, turned, quantized, measured and registered."""
import functools
import json
import os
import pickle
import subprocess
import sys

import mlflow
import numpy
import onnx
import pytest
import sklearn.linear_model
import sklearn.neural_network
import tritonclient.http
import xgboost

from conftest import BINARY, ROOT, wait_until_available

RNG = numpy.random.default_rng(3)
ROWS = RNG.normal(size=(900, 8)).astype(numpy.float32)
LABELS = (ROWS[:, 0] * ROWS[:, 1] + ROWS[:, 2] > 0).astype(int)
NAMES = [f"c{at}" for at in range(8)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("optimize") / "rows.csv"
    lines = [",".join(NAMES + ["label"])] + [",".join(map(repr, map(float, row))) + f",{y}" for row, y in zip(ROWS, LABELS)]
    path.write_text("\n".join(lines) + "\n")
    return path


def optimize(aerie, *arguments, check=True, **environment):
    done = subprocess.run(
        [BINARY, "optimize", *map(str, arguments), "--server", aerie.http, "--python", sys.executable, "--seconds", "0.1"],
        cwd=ROOT, text=True, capture_output=True, timeout=240, env={**os.environ, **environment})
    if check and done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)
    return done


def test_a_registered_sklearn_model_becomes_a_version_that_is_served(aerie, data):
    network = sklearn.neural_network.MLPClassifier((128, 128), max_iter=15, random_state=0).fit(ROWS, LABELS)
    mlflow.set_tracking_uri(aerie.http)
    mlflow.set_experiment("optimize")
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            network, name="model", registered_model_name="network", pip_requirements=["numpy"],
            serialization_format="cloudpickle")
    done = optimize(aerie, "models:/network/1", "--data", data, "--label", "label", "--json")
    report = json.loads(done.stdout)
    variants = {variant["name"]: variant for variant in report["variants"]}
    assert set(variants) == {"onnx", "onnx-basic", "onnx-extended", "onnx-all", "int8-dynamic", "int8-static"}
    for name in ("onnx", "onnx-basic", "onnx-extended", "onnx-all"):
        assert variants[name]["parity"]["max_abs_difference"] < 1e-4
        assert variants[name]["parity"]["label_agreement"] == 1
        assert variants[name]["rows_per_second"] > 0 and variants[name]["p99_seconds"] >= variants[name]["p50_seconds"] > 0
    for name in ("int8-dynamic", "int8-static"):
        # Quantized for real: smaller, and not quite the same.
        assert variants[name]["bytes"] < 0.6 * variants["onnx"]["bytes"]
        assert 0 < variants[name]["parity"]["max_abs_difference"] < 0.5
    chosen = report["chosen"]
    assert chosen and "problem" not in variants[chosen]

    client = mlflow.MlflowClient(aerie.http, aerie.http)
    version = client.get_model_version("network", "2")
    assert version.tags["aerie.optimized_from"] == "models:/network/1"
    assert version.tags["aerie.variant"] == chosen
    assert float(version.tags["aerie.speedup"]) > 0
    assert version.description.startswith("# Optimization of models:/network/1")
    artifacts = {item.path for item in client.list_artifacts(version.run_id)}
    assert {"model", "report.md", "report.json"} <= artifacts
    assert client.get_run(version.run_id).data.metrics[f"{chosen}/rows_per_second"] > 0

    aerie.cli("apply", "-f", "-", input=(
        "apiVersion: machinelearning.seldon.io/v1\nkind: SeldonDeployment\nmetadata:\n  name: network\nspec:\n"
        "  predictors:\n  - name: default\n    graph:\n      name: classifier\n      modelUri: models:/network/2\n"))
    wait_until_available(aerie, "network")
    triton = tritonclient.http.InferenceServerClient(aerie.inference_http.removeprefix("http://"))
    tensor = tritonclient.http.InferInput("input", [50, 8], "FP32")
    tensor.set_data_from_numpy(ROWS[:50])
    served = triton.infer("network", [tensor])
    probabilities = served.as_numpy(triton.get_model_metadata("network")["outputs"][0]["name"])
    tolerance = variants[chosen]["parity"]["max_abs_difference"] + 1e-4
    assert numpy.abs(probabilities - network.predict_proba(ROWS[:50])).max() <= tolerance


def test_a_tree_model_is_measured_natively_and_as_onnx(aerie, data, tmp_path):
    path = tmp_path / "model.ubj"
    xgboost.train({"objective": "binary:logistic", "max_depth": 4}, xgboost.DMatrix(ROWS, LABELS), 20).save_model(path)
    done = optimize(aerie, path, "--data", data, "--label", "label", "--json", "--output", tmp_path / "out", "--dry-run")
    report = json.loads(done.stdout)
    variants = {variant["name"]: variant for variant in report["variants"]}
    assert variants["native"]["is_baseline"]
    for name in ("native", "onnx", "onnx-all"):
        assert variants[name]["parity"]["max_abs_difference"] < 1e-5
        assert variants[name]["parity"]["label_agreement"] == 1
    assert "nothing to quantize" in variants["int8-static"]["problem"]
    assert json.loads((tmp_path / "out" / "report.json").read_text())["kind"] == "xgboost"
    assert "| native" in (tmp_path / "out" / "report.md").read_text()


def test_a_regression_is_judged_by_its_deviations(aerie, data, tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(sklearn.linear_model.Ridge().fit(ROWS, ROWS[:, 0] * 3 + 1)))
    report = json.loads(optimize(aerie, path, "--data", data, "--label", "label", "--json", "--dry-run").stdout)
    onnx = report["variants"][0]
    assert onnx["parity"]["max_difference_in_deviations"] < 1e-5
    assert "label_agreement" not in onnx["parity"]


def test_what_cannot_be_optimized_is_told_with_the_way_out(aerie, data, tmp_path):
    model = tmp_path / "model.pkl"
    model.write_bytes(pickle.dumps(sklearn.linear_model.Ridge().fit(ROWS, LABELS)))

    def fails(*arguments, words, **environment):
        done = optimize(aerie, *arguments, check=False, **environment)
        assert done.returncode != 0
        assert words in done.stderr, done.stderr
        return done

    fails(model, "--data", tmp_path / "none.csv", words="cannot be read")
    fails(tmp_path / "none.pkl", "--data", data, words="there is no file")
    fails("models:/nobody/1", "--data", data, words="nobody")
    few = tmp_path / "few.csv"
    few.write_text("a,b\n1,2\n")
    # A graph takes no library to read: what is wrong with the rows is told at once.
    graph = ROOT / "Tests" / "InferONNXTests" / "Fixtures" / "affine.onnx"
    fails(graph, "--data", few, words="too few")
    texts = tmp_path / "texts.csv"
    texts.write_text(",".join(NAMES) + "\n" + "\n".join(["x" + ",1" * 7] * 50))
    fails(graph, "--data", texts, words="column c0: 'x' is no number")
    fails(model, "--data", data, "--goal", "beauty", words="neither throughput nor latency")
    fails(model, "--data", data, "--providers", "gpu", words="no execution provider")
    # An interpreter that has none of the packages: what is missing is named.
    bare = tmp_path / "python"
    bare.write_text(f"#!/bin/sh\nexec {sys.executable} -I -S \"$@\"\n")
    bare.chmod(0o755)
    done = subprocess.run(
        [BINARY, "optimize", str(model), "--data", str(data), "--python", str(bare), "--server", aerie.http],
        cwd=ROOT, text=True, capture_output=True, timeout=60)
    assert done.returncode != 0 and "needs the Python package numpy" in done.stderr, done.stderr


def torch_graph(path, generator):
    """The graph that torch's exporter writes of `Sequential(Linear(8, 256), ReLU(), Linear(256, 1))`: its names, its Gemm with
    the weights as torch has them, one free dimension. What it answers is what numpy makes of the weights."""
    weights = {"0.weight": (256, 8), "0.bias": (256,), "2.weight": (1, 256), "2.bias": (1,)}
    weights = {name: generator.normal(0, 0.3, shape).astype(numpy.float32) for name, shape in weights.items()}
    value = functools.partial(onnx.helper.make_tensor_value_info, elem_type=onnx.TensorProto.FLOAT)
    nodes = [
        onnx.helper.make_node("Gemm", ["input", "0.weight", "0.bias"], ["/0/Gemm_output_0"], "/0/Gemm", alpha=1.0, beta=1.0, transB=1),
        onnx.helper.make_node("Relu", ["/0/Gemm_output_0"], ["/1/Relu_output_0"], "/1/Relu"),
        onnx.helper.make_node("Gemm", ["/1/Relu_output_0", "2.weight", "2.bias"], ["output"], "/2/Gemm", alpha=1.0, beta=1.0, transB=1)]
    graph = onnx.helper.make_graph(
        nodes, "main_graph", [value("input", shape=["rows", 8])], [value("output", shape=["rows", 1])],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()])
    onnx.save(onnx.helper.make_model(graph, producer_name="pytorch", producer_version="2.15.0", ir_version=8,
                                     opset_imports=[onnx.helper.make_opsetid("", 17)]), path)
    return lambda rows: numpy.maximum(rows @ weights["0.weight"].T + weights["0.bias"], 0) @ weights["2.weight"].T + weights["2.bias"]


def test_a_graph_as_torch_exports_it(aerie, data, tmp_path):
    """PyTorch itself takes gigabytes, so its part of the way is the file that it leaves."""
    answer = torch_graph(tmp_path / "model.onnx", numpy.random.default_rng(7))
    report = json.loads(optimize(aerie, tmp_path / "model.onnx", "--data", data, "--label", "label", "--json", "--dry-run").stdout)
    variants = {variant["name"]: variant for variant in report["variants"]}
    assert report["kind"] == "onnx" and variants["onnx"]["parity"]["max_abs_difference"] == 0
    assert variants["onnx-all"]["parity"]["max_abs_difference"] < 1e-5
    # Its weights are quantized: 2,304 numbers of four bytes, of which one byte each is left.
    assert variants["int8-dynamic"]["bytes"] < variants["onnx"]["bytes"] - 4000
    assert 0 < variants["int8-static"]["parity"]["max_abs_difference"] < 0.5
    aerie.cli("apply", "-f", "-", input=(
        "apiVersion: machinelearning.seldon.io/v1\nkind: SeldonDeployment\nmetadata:\n  name: torch\nspec:\n"
        f"  predictors:\n  - name: default\n    graph:\n      name: classifier\n      modelUri: {tmp_path / 'model.onnx'}\n"))
    wait_until_available(aerie, "torch")
    triton = tritonclient.http.InferenceServerClient(aerie.inference_http.removeprefix("http://"))
    tensor = tritonclient.http.InferInput("input", [50, 8], "FP32")
    tensor.set_data_from_numpy(ROWS[:50])
    numpy.testing.assert_allclose(triton.infer("torch", [tensor]).as_numpy("output"), answer(ROWS[:50]), atol=1e-5)


def test_a_torch_module_without_torch(aerie, data, tmp_path):
    """The package that is missing is named, with the interpreter that has not got it."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "torch.py").write_text("raise ImportError(\"No module named 'torch'\")\n")
    model = tmp_path / "model.pt"
    model.write_bytes(b"PK\x03\x04")
    done = optimize(aerie, model, "--data", data, "--dry-run", check=False, PYTHONPATH=str(hidden))
    assert done.returncode != 0
    for words in ("needs the Python package torch", sys.executable, "--python"):
        assert words in done.stderr, done.stderr
