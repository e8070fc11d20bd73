"""Rows explained in a second on one thread: Aerie with JSON and HTTP around it, shap and xgboost without.

The model is the tree engine's: XGBoost, 100 trees of depth 6 over 15 columns. By the covers, and against 100 background
rows. Each line says how far the values are from xgboost's or shap's own.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import numpy
import shap
import xgboost

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Tracking"))

from servers import Workspace, aerie_binary, free_port, start_aerie  # noqa: E402


def repeat(seconds, once):
    """Calls a second, after one that is not counted, and the last call's answer."""
    answer = once()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        answer = once()
        count += 1
    return count / (time.perf_counter() - start), answer


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rows", type=int, default=64)
    options = parser.parse_args()
    rng = numpy.random.default_rng(1)
    data = rng.normal(size=(20_000, 15)).astype(numpy.float32)
    label = (data[:, 0] + data[:, 1] * data[:, 2] + rng.normal(size=len(data)) > 0.5).astype(int)
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 6, "nthread": 1},
                            xgboost.DMatrix(data, label), 100)
    rows, background = data[:options.rows], data[-100:]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.ubj"
        booster.save_model(path)
        file = pathlib.Path(folder) / "background.csv"
        numpy.savetxt(file, background, delimiter=",", header=",".join(f"f{i}" for i in range(15)), comments="",
                      fmt="%.9g")
        measure(options, booster, rows, background, path, file)


def measure(options, booster, rows, background, path, file):
    print(f"{'method':<24}{'by':<28}{'rows/s':>10}{'largest difference':>20}", flush=True)

    def say(method, name, rate, values, reference):
        print(f"{method:<24}{name:<28}{rate * len(rows):>10.0f}{abs(values - reference).max():>20.1e}", flush=True)

    matrix = xgboost.DMatrix(rows, nthread=1)
    rate, told = repeat(options.seconds, lambda: booster.predict(matrix, pred_contribs=True))
    covers = told[:, :-1]
    say("by the covers", "xgboost, one thread", rate, covers, covers)
    explainer = shap.TreeExplainer(booster)
    rate, told = repeat(options.seconds, lambda: explainer.shap_values(rows))
    say("by the covers", "shap", rate, told, covers)
    explainer = shap.TreeExplainer(booster, background, feature_perturbation="interventional")
    rate, against = repeat(options.seconds, lambda: explainer.shap_values(rows))
    say("against 100 rows", "shap", rate, against, against)
    with Workspace() as workspace:
        inference = f"127.0.0.1:{free_port()}"
        server = workspace.add(start_aerie(workspace.path, "--inference-http", inference))
        for method, explainer, reference in (
                ("by the covers", {"type": "TreeShap"}, covers),
                ("against 100 rows", {"type": "TreeShap", "modelUri": str(file)}, against)):
            name = "explain-" + method.split()[0]
            deploy(server, f"http://{inference}", name, path, explainer)
            url = f"http://{inference}/v1/models/{name}:explain"
            rate, told = repeat(options.seconds, lambda: post(url, {"instances": rows.tolist()}))
            say(method, "aerie, over HTTP as JSON", rate, numpy.array(told["data"]["shap_values"][0]), reference)


def deploy(server, inference, name, path, explainer):
    manifest = {"apiVersion": "machinelearning.seldon.io/v1", "kind": "SeldonDeployment", "metadata": {"name": name},
                "spec": {"predictors": [{"name": "main", "explainer": explainer,
                                         "graph": {"name": "model", "modelUri": str(path)}}]}}
    subprocess.run([aerie_binary(), "apply", "-f", "-", "--server", server.url], input=json.dumps(manifest), text=True,
                   check=True, stdout=subprocess.DEVNULL)
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{inference}/v2/models/{name}/ready", timeout=20).read()
            return
        except urllib.error.HTTPError:
            time.sleep(0.1)
    raise SystemExit(f"{name} is not ready")


if __name__ == "__main__":
    main()
