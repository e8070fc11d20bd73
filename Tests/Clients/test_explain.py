"""Explanations of served models, held against xgboost, LightGBM, shap and lime."""
import json
import re
import time
import urllib.error
import urllib.request
from xml.etree import ElementTree

import lightgbm
import numpy
import pytest
import requests
import shap
import tritonclient.grpc
import tritonclient.http
import xgboost
from lime.lime_tabular import LimeTabularExplainer
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from conftest import wait_until_available

COLUMNS = ["amount", "hour", "age", "visits", "distance"]
RNG = numpy.random.default_rng(11)
# What 32 bits hold, so that every engine sees the same numbers.
TRAINING = RNG.normal(size=(500, 5)).astype(numpy.float32).astype(float)
SCORE = TRAINING[:, 0] - TRAINING[:, 1] * TRAINING[:, 2] + 0.5 * TRAINING[:, 3]
ROWS = TRAINING[:6]
BACKGROUND = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("explain")


@pytest.fixture(scope="module")
def background(folder):
    path = folder / "background.csv"
    numpy.savetxt(path, TRAINING[:200], delimiter=",", header=",".join(COLUMNS), comments="", fmt="%.17g")
    return str(path)


@pytest.fixture(scope="module")
def booster(folder):
    """An XGBoost classifier of three classes."""
    data = xgboost.DMatrix(TRAINING, numpy.digitize(SCORE, [-0.7, 0.7]), feature_names=COLUMNS)
    made = xgboost.train({"objective": "multi:softprob", "num_class": 3, "max_depth": 4, "nthread": 1}, data, 8)
    made.save_model(folder / "classes.json")
    return made


@pytest.fixture(scope="module")
def classifier(folder):
    made = lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1, "num_leaves": 12},
                          lightgbm.Dataset(TRAINING, (SCORE > 0).astype(int), feature_name=COLUMNS), 15)
    made.save_model(folder / "binary.txt")
    return made


def apply(aerie, name, path, explainer=None):
    predictor = {"name": "main", "graph": {"name": "model", "modelUri": str(path)}}
    if explainer:
        predictor["explainer"] = explainer
    aerie.cli("apply", "-f", "-", input=json.dumps({
        "apiVersion": "machinelearning.seldon.io/v1", "kind": "SeldonDeployment", "metadata": {"name": name},
        "spec": {"predictors": [predictor]}}))
    wait_until_available(aerie, name)


def post(aerie, path, body):
    request = urllib.request.Request(aerie.inference_http + path, json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def refusal(aerie, path, body):
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(aerie, path, body)
    return caught.value.code, caught.value.read().decode()


def explain(aerie, name, rows=ROWS, names=COLUMNS):
    return post(aerie, f"/seldon/default/{name}-explainer/main/api/v1.0/explain",
                {"data": {"names": list(names), "ndarray": numpy.asarray(rows).tolist()}})


def values(explanation):
    """[row][column] of a model with one output."""
    data = explanation["data"]
    return numpy.array(data.get("shap_values", data.get("weights"))[0])


def test_trees_by_their_covers(aerie, booster, folder):
    apply(aerie, "explain-classes", folder / "classes.json")
    expected = booster.predict(xgboost.DMatrix(ROWS, feature_names=COLUMNS), pred_contribs=True)
    data = explain(aerie, "explain-classes")["data"]
    numpy.testing.assert_allclose(numpy.array(data["shap_values"]), expected[:, :, :-1].transpose(1, 0, 2), atol=2e-5)
    numpy.testing.assert_allclose(data["expected_value"], expected[0, :, -1], atol=2e-5)
    assert data["feature_names"] == COLUMNS
    # KServe's path, with rows as objects in another order of columns.
    objects = [dict(reversed(list(zip(COLUMNS, row)))) for row in ROWS.tolist()]
    again = post(aerie, "/v1/models/explain-classes:explain", {"instances": objects})
    numpy.testing.assert_allclose(again["data"]["shap_values"], data["shap_values"], atol=1e-12)
    assert again["meta"]["name"] == "TreeShap" and again["meta"]["type"] == ["whitebox"]


def test_parameter_of_the_open_inference_protocol(aerie, booster, folder):
    apply(aerie, "explain-classes", folder / "classes.json")
    data = xgboost.DMatrix(ROWS, feature_names=COLUMNS)
    expected, answers = booster.predict(data, pred_contribs=True), booster.predict(data)
    pairs = booster.predict(data, pred_interactions=True)
    for module, address in ((tritonclient.http, aerie.inference_http.removeprefix("http://")),
                            (tritonclient.grpc, aerie.inference_grpc)):
        client = module.InferenceServerClient(address)
        tensor = module.InferInput("input", list(ROWS.shape), "FP32")
        tensor.set_data_from_numpy(ROWS.astype(numpy.float32))
        for ask in (True, "interactions"):
            result = client.infer("explain-classes", [tensor], parameters={"explain": ask})
            numpy.testing.assert_allclose(result.as_numpy("predict"), answers, rtol=1e-5)
            element = result.as_numpy("explanation")
            assert element.shape == (1, 1)
            told = json.loads(element[0, 0])["data"]
            numpy.testing.assert_allclose(numpy.array(told["shap_values"]), expected[:, :, :-1].transpose(1, 0, 2),
                                          atol=2e-5)
            if ask is True:
                assert told["shap_interaction_values"] == []
            else:
                numpy.testing.assert_allclose(numpy.array(told["shap_interaction_values"]),
                                              pairs[:, :, :-1, :-1].transpose(1, 0, 2, 3), atol=2e-5)
        only = client.infer("explain-classes", [tensor], parameters={"explain": True},
                            outputs=[module.InferRequestedOutput("explanation")])
        assert only.as_numpy("predict") is None and json.loads(only.as_numpy("explanation")[0, 0])["data"] == {
            **told, "shap_interaction_values": []}
        client.close()
    alone = post(aerie, "/seldon/default/explain-classes-explainer/main/v2/models/explain-classes/infer", {
        "inputs": [{"name": "input", "shape": list(ROWS.shape), "datatype": "FP32", "data": ROWS.ravel().tolist()}]})
    assert [output["name"] for output in alone["outputs"]] == ["explanation"]
    assert alone["outputs"][0]["datatype"] == "BYTES" and alone["outputs"][0]["shape"] == [1, 1]


def test_trees_against_background_rows(aerie, classifier, folder, background):
    apply(aerie, "explain-against", folder / "binary.txt", {
        "type": "TreeShap", "modelUri": background, "initParameters": json.dumps({"background_rows": BACKGROUND})})
    reference = shap.TreeExplainer(classifier, TRAINING[:BACKGROUND], feature_perturbation="interventional")
    explanation = explain(aerie, "explain-against")
    numpy.testing.assert_allclose(values(explanation), reference.shap_values(ROWS), atol=2e-5)
    assert explanation["data"]["expected_value"] == [pytest.approx(float(reference.expected_value), abs=2e-5)]
    assert explanation["meta"]["params"]["algorithm"] == "interventional"


@pytest.mark.parametrize("link", ["identity", "logit"])
def test_kernel_shap(aerie, classifier, folder, background, link):
    apply(aerie, "explain-kernel", folder / "binary.txt", {
        "type": "KernelShap", "modelUri": background,
        "initParameters": json.dumps({"background_rows": BACKGROUND, "link": link})})
    reference = shap.KernelExplainer(classifier.predict, TRAINING[:BACKGROUND], link=link)
    expected = reference.shap_values(ROWS, silent=True, l1_reg=False)
    explanation = explain(aerie, "explain-kernel")
    # Five columns: every set of them is asked about, so both are exact.
    numpy.testing.assert_allclose(values(explanation), expected, atol=1e-6)
    assert explanation["data"]["expected_value"] == [pytest.approx(float(reference.expected_value), abs=1e-6)]


def test_kernel_shap_of_many_columns_is_near_the_truth(aerie, folder):
    rng = numpy.random.default_rng(3)
    rows = rng.normal(size=(300, 20))
    wide = lightgbm.train({"objective": "regression", "verbosity": -1, "num_threads": 1, "num_leaves": 8},
                          lightgbm.Dataset(rows, rows[:, 0] + rows[:, 1] * rows[:, 2] + rows[:, 3:].sum(1) / 5), 20)
    wide.save_model(folder / "wide.txt")
    names = [f"Column_{index}" for index in range(20)]
    numpy.savetxt(folder / "wide.csv", rows[:5], delimiter=",", header=",".join(names), comments="", fmt="%.17g")
    apply(aerie, "explain-wide", folder / "wide.txt", {"type": "KernelShap", "modelUri": str(folder / "wide.csv")})
    exact = shap.TreeExplainer(wide, rows[:5], feature_perturbation="interventional").shap_values(rows[10:12])
    explanation = explain(aerie, "explain-wide", rows[10:12], names)
    # 2,088 of a million sets; the sample is the same for the same seed.
    numpy.testing.assert_allclose(values(explanation), exact, atol=0.02)
    total = values(explanation).sum(1) + explanation["data"]["expected_value"][0]
    numpy.testing.assert_allclose(total, wide.predict(rows[10:12]), atol=1e-9)
    assert explain(aerie, "explain-wide", rows[10:12], names) == explanation


def test_lime(aerie, classifier, folder, background):
    apply(aerie, "explain-lime", folder / "binary.txt", {
        "type": "LIME", "modelUri": background,
        "initParameters": json.dumps({"background_rows": 200, "num_samples": 20000})})
    reference = LimeTabularExplainer(TRAINING[:200], mode="regression", feature_names=COLUMNS, random_state=1)
    explanation = explain(aerie, "explain-lime", ROWS[:2])
    for row, ours in enumerate(values(explanation)):
        told = reference.explain_instance(ROWS[row], classifier.predict, num_features=10, num_samples=20000)
        theirs = numpy.zeros(5)
        for column, weight in told.as_map()[1]:
            theirs[column] = weight
        # Both draw their neighbours: what is left is the noise of 20,000 samples.
        numpy.testing.assert_allclose(ours, theirs, atol=0.02)
        assert explanation["data"]["score"][row][0] == pytest.approx(told.score, abs=0.03)
        assert set(explanation["data"]["labels"][row]) == {label for label, _ in told.as_list()}


def test_inference_service(aerie, classifier, folder, background):
    aerie.cli("apply", "-f", "-", input=json.dumps({
        "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": {"name": "explain-kserve"},
        "spec": {"predictor": {"lightgbm": {"storageUri": str(folder / "binary.txt")}},
                 "explainer": {"alibi": {"type": "KernelShap", "storageUri": background,
                                         "config": {"background_rows": "10"}}}}}))
    deadline = 100
    while True:
        try:
            told = post(aerie, "/v1/models/explain-kserve:explain", {"instances": ROWS.tolist()})
            break
        except urllib.error.HTTPError:
            deadline -= 1
            assert deadline
            time.sleep(0.1)
    assert told["meta"]["name"] == "KernelShap"
    expected = shap.KernelExplainer(classifier.predict, TRAINING[:10]).shap_values(ROWS, silent=True, l1_reg=False)
    numpy.testing.assert_allclose(values(told), expected, atol=1e-6)


def test_what_is_refused(aerie, booster, classifier, folder, background):
    def manifest(explainer):
        return aerie.cli("apply", "-f", "-", check=False, input=json.dumps({
            "apiVersion": "machinelearning.seldon.io/v1", "kind": "SeldonDeployment",
            "metadata": {"name": "explain-wrong"}, "spec": {"predictors": [{
                "name": "main", "graph": {"name": "m", "modelUri": str(folder / "binary.txt")},
                "explainer": explainer}]}}))

    for explainer, words in (
            ({"type": "AnchorTabular"}, "AnchorTabular is not carried out"),
            ({"type": "Oracle"}, "spec.predictors[0].explainer.type"),
            ({"type": "KernelShap"}, "needs background rows"),
            ({"type": "TreeShap", "initParameters": "{"}, "initParameters"),
            ({"type": "TreeShap", "initParameters": '{"nsample": 3}'}, "nsample: is no parameter"),
            ({"type": "LIME", "modelUri": "x.csv", "initParameters": '{"seed": -1}'}, "seed")):
        done = manifest(explainer)
        assert done.returncode != 0 and words in done.stdout + done.stderr, (explainer, done.stdout + done.stderr)
    apply(aerie, "explain-against", folder / "binary.txt")
    path = "/seldon/default/explain-against-explainer/main/api/v1.0/explain"
    code, text = refusal(aerie, path, {"data": {"ndarray": [[1.0] * 5] * 257}})
    assert code == 429 and "256" in text
    code, text = refusal(aerie, path, {"data": {"ndarray": [[1.0, 2.0]]}})
    assert code == 400 and "takes 5" in text
    code, text = refusal(aerie, path.replace("main", "other"), {"data": {"ndarray": [[1.0] * 5]}})
    assert code == 404 and "no predictor other" in text
    # A background that cannot be read leaves the model answering.
    apply(aerie, "explain-lost", folder / "binary.txt", {"type": "KernelShap", "modelUri": str(folder / "lost.csv")})
    assert post(aerie, "/v1/models/explain-lost:predict", {"instances": ROWS.tolist()})["predictions"]
    code, text = refusal(aerie, "/v1/models/explain-lost:explain", {"instances": ROWS.tolist()})
    assert code == 412 and "lost.csv" in text


def test_command_line(aerie, classifier, folder, background):
    apply(aerie, "explain-against", folder / "binary.txt")
    with open(folder / "rows.csv", "w") as f:
        f.write(",".join(reversed(COLUMNS)) + "\n")
        for row in ROWS.tolist():
            f.write(",".join(repr(value) for value in reversed(row)) + "\n")
        # Nothing between two commas is a missing value.
        f.write("1,2,3,4,\n")
    rows = numpy.vstack([ROWS, [numpy.nan, 4, 3, 2, 1]])
    expected = classifier.predict(rows, pred_contrib=True)
    for target in (["explain-against"], ["--model", str(folder / "binary.txt")]):
        done = aerie.cli("explain", *target, "--rows", str(folder / "rows.csv"), "--json", "--interactions")
        told = json.loads(done.stdout)["data"]
        numpy.testing.assert_allclose(numpy.array(told["shap_values"][0]), expected[:, :-1], atol=2e-5)
        pairs = numpy.array(told["shap_interaction_values"][0])
        numpy.testing.assert_allclose(pairs.sum(2), expected[:, :-1], atol=2e-5)
    picture = folder / "why.svg"
    done = aerie.cli("explain", "--model", str(folder / "binary.txt"), "--method", "LIME", "--background", background,
                     "--parameters", '{"num_samples": 500}', "--rows", str(folder / "rows.csv"), "--svg", str(picture))
    assert done.stdout.startswith("LIME: the model answers") and "amount" in done.stdout
    names = {text.text for text in ElementTree.parse(picture).iter() if text.tag.endswith("title")}
    assert any("distance" in name for name in names)
    wrong = aerie.cli("explain", "--model", str(folder / "binary.txt"), "--rows", str(folder / "rows.csv"),
                      "--row", "7", check=False)
    assert wrong.returncode == 2 and "none of the 7 rows" in wrong.stderr


def test_console(aerie, classifier, folder):
    apply(aerie, "explain-against", folder / "binary.txt")
    page = aerie.http + "/console/deployments/explain-against"
    assert "/explain" in requests.get(page, timeout=20).text
    row = ",".join(repr(value) for value in ROWS[0].tolist())
    shown = requests.get(page + "/explain", params={"row": row}, timeout=20)
    assert shown.status_code == 200 and 'class="contributions"' in shown.text
    table = {cells[0]: float(cells[1]) for cells in re.findall(
        r"<tr><td[^>]*>(\w+) = [^<]*</td><td[^>]*>([^<]+)</td></tr>", shown.text)}
    expected = classifier.predict(ROWS[:1], pred_contrib=True)[0]
    assert set(table) == set(COLUMNS)
    for name, value in zip(COLUMNS, expected):
        assert table[name] == pytest.approx(value, rel=0.02, abs=1e-3)
    refused = requests.get(page + "/explain", params={"row": "1,x"}, timeout=20).text
    assert "is no number" in refused and 'class="contributions"' not in refused


def test_kernel_shap_of_an_onnx_model(aerie, folder, background):
    classes = numpy.digitize(SCORE, [-0.7, 0.7])
    linear = LogisticRegression().fit(TRAINING, classes)
    made = to_onnx(linear, TRAINING[:1].astype(numpy.float32), options={"zipmap": False}, target_opset=17)
    (folder / "linear.onnx").write_bytes(made.SerializeToString())
    apply(aerie, "explain-onnx", folder / "linear.onnx", {
        "type": "KernelShap", "modelUri": background, "initParameters": json.dumps({"background_rows": BACKGROUND})})
    reference = shap.KernelExplainer(linear.predict_proba, TRAINING[:BACKGROUND])
    expected = reference.shap_values(ROWS[:2], silent=True, l1_reg=False)
    data = explain(aerie, "explain-onnx", ROWS[:2], names=[])["data"]
    # The engine computes in 32 bits.
    numpy.testing.assert_allclose(numpy.array(data["shap_values"]), numpy.moveaxis(expected, -1, 0), atol=1e-5)
    numpy.testing.assert_allclose(data["expected_value"], reference.expected_value, atol=1e-5)
    assert data["feature_names"] == [f"f{column}" for column in range(5)] or data["feature_names"] == COLUMNS
