"""Graphs are explained as a whole: against the shap library, and against the graph's own answers."""
import json
import urllib.error

import lightgbm
import numpy
import pytest
import shap
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from test_seldon import COLUMNS, ROWS, apply, model, models, node, post  # noqa: F401


@pytest.fixture(scope="module")
def background(tmp_path_factory):
    rows = numpy.random.default_rng(9).normal(size=(20, 3))
    path = tmp_path_factory.mktemp("graph-background") / "background.csv"
    numpy.savetxt(path, rows, delimiter=",", header=",".join(COLUMNS), comments="")
    return rows, path


def explain(aerie, name, rows, **more):
    return post(aerie, f"/v1/models/{name}:explain", {"instances": rows.tolist(), **more})["data"]


def test_an_ensemble_by_kernel_shap(aerie, models, background):
    rows, path = background
    children = [model("first", models[1][0]), model("second", models[2][0])]
    apply(aerie, "explain-ensemble", node("mean", "COMBINER", "average", children),
          more=f"    explainer: {{type: KernelShap, modelUri: {path}}}\n")
    boosters = [lightgbm.Booster(model_file=models[seed][0]) for seed in (1, 2)]
    oracle = shap.KernelExplainer(lambda x: sum(booster.predict(x) for booster in boosters) / 2, rows)
    told = explain(aerie, "explain-ensemble", ROWS[:3])
    expected = oracle.shap_values(ROWS[:3], l1_reg=0)
    assert numpy.allclose(told["shap_values"][0], expected, atol=1e-6)
    assert told["expected_value"][0] == pytest.approx(oracle.expected_value, abs=1e-9)


def test_trees_behind_a_transformer(aerie, models):
    mean, deviation = numpy.array([0.1, -0.2, 0.3]), numpy.array([2.0, 1.5, 0.5])
    child = model("classifier", models[1][0])
    apply(aerie, "explain-scaled", node(
        "scale", "TRANSFORMER", "standardize", [child], columns=",".join(COLUMNS), mean=",".join(map(str, mean)),
        std=",".join(map(str, deviation))))
    told = explain(aerie, "explain-scaled", ROWS[:4], interactions=True)
    booster = lightgbm.Booster(model_file=models[1][0])
    expected = booster.predict((ROWS[:4] - mean) / deviation, pred_contrib=True)
    assert numpy.allclose(told["shap_values"][0], expected[:, :3], atol=1e-6)
    assert told["raw"]["instances"] == ROWS[:4].tolist() and told["feature_names"] == COLUMNS
    assert numpy.allclose(numpy.sum(told["shap_interaction_values"][0], axis=2), expected[:, :3], atol=1e-6)


def test_the_way_that_the_request_goes(aerie, models):
    children = [model("first", models[1][0]), model("second", models[2][0])]
    apply(aerie, "explain-routed", node("router", "ROUTER", "hash", children, column="amount"))
    boosters = [lightgbm.Booster(model_file=models[seed][0]) for seed in (1, 2)]
    arms = set()
    for row in ROWS[:12]:
        named = {"data": {"names": COLUMNS, "ndarray": [row.tolist()]}}
        answer = post(aerie, "/seldon/default/explain-routed/api/v1.0/predictions", named)
        told = post(aerie, "/seldon/default/explain-routed-explainer/main/api/v1.0/explain", named)["data"]
        arm = answer["meta"]["routing"]["router"]
        arms.add(arm)
        expected = boosters[arm].predict(row[None], pred_contrib=True)[0, :3]
        assert numpy.allclose(told["shap_values"][0][0], expected, atol=1e-6)
    assert arms == {0, 1}


def test_a_model_on_demand_is_woken_by_whoever_wants_it_explained(aerie, models):
    apply(aerie, "explain-asleep", model("classifier", models[1][0]), {"aerie.dev/load": "on-demand"})
    told = explain(aerie, "explain-asleep", ROWS[:2])
    expected = lightgbm.Booster(model_file=models[1][0]).predict(ROWS[:2], pred_contrib=True)
    assert numpy.allclose(told["shap_values"][0], expected[:, :3], atol=1e-6)


def test_what_is_refused_and_ended(aerie, models, background):
    children = [model("first", models[1][0]), model("second", models[2][0])]
    apply(aerie, "explain-unnamed", node("mean", "COMBINER", "average", children))
    with pytest.raises(urllib.error.HTTPError) as refused:
        explain(aerie, "explain-unnamed", ROWS[:1])
    assert "KernelShap" in json.loads(refused.value.read())["error"]
    apply(aerie, "explain-late", node("mean", "COMBINER", "average", children),
          more=f"    explainer: {{type: LIME, modelUri: {background[1]}, initParameters: '{{\"num_samples\": 150000}}'}}\n")
    body = {"instances": numpy.tile(ROWS[:1], (200, 1)).tolist()}
    with pytest.raises(urllib.error.HTTPError) as late:
        post(aerie, "/v1/models/explain-late:explain", body, {"X-Envoy-Expected-Rq-Timeout-Ms": "300"})
    assert late.value.code == 504
    # The same over gRPC, where the deployment says how long a call may take: the client sets no time of its own.
    apply(aerie, "explain-late-call", node("mean", "COMBINER", "average", children), {"seldon.io/grpc-timeout": 300},
          more=f"    explainer: {{type: LIME, modelUri: {background[1]}, initParameters: '{{\"num_samples\": 150000}}'}}\n")
    with tritonclient.grpc.InferenceServerClient(aerie.inference_grpc) as client:
        tensor = tritonclient.grpc.InferInput("input", [200, 3], "FP64")
        tensor.set_data_from_numpy(numpy.tile(ROWS[:1], (200, 1)))
        with pytest.raises(InferenceServerException) as late_call:
            client.infer("explain-late-call", [tensor], parameters={"explain": True})
        assert late_call.value.status() == "StatusCode.DEADLINE_EXCEEDED"
    # The thread is free again: what nobody waits for was left off.
    row = {"instances": ROWS[:1].tolist()}
    apply(aerie, "explain-after", model("classifier", models[1][0]))
    assert post(aerie, "/v1/models/explain-after:explain", row)["data"]["shap_values"]
