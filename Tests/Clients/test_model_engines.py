"""Models of the libraries that people have, logged and served: every answer is the library's own."""
import json
import time
import urllib.error
import urllib.request
import warnings

import lightgbm
import mlflow
import numpy
import onnxruntime
import pandas
import pytest
import skl2onnx
import sklearn.ensemble
import sklearn.linear_model
import tritonclient.http
import xgboost
from skl2onnx.common.data_types import FloatTensorType

from conftest import wait_until_available

RNG = numpy.random.default_rng(41)
TRAIN = RNG.normal(size=(600, 6)).astype(numpy.float32)
BINARY_LABELS = (TRAIN[:, 0] * TRAIN[:, 1] + TRAIN[:, 2] > 0.2).astype(int)
CLASS_LABELS = numpy.digitize(TRAIN[:, 0] + TRAIN[:, 3], [-0.7, 0.7])
# 4,000 rows: past what is answered on the event loop itself.
ASKED = RNG.normal(size=(4000, 6)).astype(numpy.float32)
ASKED[RNG.random(ASKED.shape) < 0.05] = numpy.nan
FINITE = numpy.nan_to_num(ASKED)


class Engine:
    """Deploys models by URI and asks them with tritonclient."""

    def __init__(self, aerie):
        self.aerie = aerie
        self.client = tritonclient.http.InferenceServerClient(
            aerie.inference_http.removeprefix("http://"), network_timeout=60, connection_timeout=60)

    def log(self, flavor, model, registered: str | None = None, **options):
        mlflow.set_tracking_uri(self.aerie.http)
        mlflow.set_experiment("model-engines")
        with mlflow.start_run() as run, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            flavor.log_model(model, name="model", registered_model_name=registered, pip_requirements=["numpy"], **options)
        return run.info.run_id

    def apply(self, name: str, uri: str) -> None:
        self.aerie.cli("apply", "-f", "-", input=(
            "apiVersion: machinelearning.seldon.io/v1\nkind: SeldonDeployment\n"
            f"metadata:\n  name: {name}\nspec:\n  predictors:\n  - name: default\n"
            f"    graph:\n      name: classifier\n      modelUri: {uri}\n"))

    def deploy(self, name: str, uri: str) -> dict:
        self.apply(name, uri)
        wait_until_available(self.aerie, name)
        return self.client.get_model_metadata(name)

    def ask(self, name: str, rows, datatype: str = "FP32", input: str | None = None, output: int = 0):
        metadata = self.client.get_model_metadata(name)
        dtype = {"FP32": numpy.float32, "FP64": numpy.float64, "INT64": numpy.int64}[datatype]
        answers = []
        for binary in (True, False) if numpy.isfinite(rows).all() else (True,):
            tensor = tritonclient.http.InferInput(input or metadata["inputs"][0]["name"], list(rows.shape), datatype)
            tensor.set_data_from_numpy(numpy.ascontiguousarray(rows, dtype=dtype), binary_data=binary)
            wanted = tritonclient.http.InferRequestedOutput(metadata["outputs"][output]["name"], binary_data=binary)
            answers.append(self.client.infer(name, [tensor], outputs=[wanted]).as_numpy(wanted.name()))
        if len(answers) == 2:
            numpy.testing.assert_array_equal(answers[0], answers[1])
        return answers[0]


@pytest.fixture(scope="module")
def engine(aerie):
    made = Engine(aerie)
    yield made
    made.client.close()


def check(engine, name, rows, expected, rtol, datatypes=("FP32", "FP64"), row_rtol=0.0):
    """One row, many rows, and each type of input: the answers are the library's, row by row.

    A row of a tree ensemble is answered alone as it is among others; ONNX Runtime adds floats in another order there.
    """
    expected = numpy.asarray(expected)
    for datatype in datatypes:
        many = engine.ask(name, rows, datatype)
        numpy.testing.assert_allclose(many.reshape(expected.shape), expected, rtol=rtol, atol=1e-12)
        for row in (0, 1, len(rows) - 1):
            one = engine.ask(name, rows[row:row + 1], datatype)
            assert one.shape[0] == 1
            numpy.testing.assert_allclose(one[0], many[row], rtol=row_rtol)


def check_metadata(metadata, name, platform, columns, output_shape, datatype):
    assert metadata["name"] == name
    assert metadata["platform"] == platform
    assert metadata["inputs"][0]["shape"] == [-1, columns]
    assert metadata["outputs"][0]["shape"] == output_shape
    assert metadata["outputs"][0]["datatype"] == datatype


def test_xgboost_classifier_of_the_sklearn_api(engine):
    model = xgboost.XGBClassifier(n_estimators=30, max_depth=4, random_state=1).fit(TRAIN, BINARY_LABELS)
    engine.log(mlflow.xgboost, model, "model_engines_xgb_classifier")
    metadata = engine.deploy("model-engines-xgb-classifier", "models:/model_engines_xgb_classifier/1")
    check_metadata(metadata, "model-engines-xgb-classifier", "xgboost_xgboost", 6, [-1], "FP32")
    check(engine, "model-engines-xgb-classifier", ASKED, model.predict_proba(ASKED)[:, 1], 1e-6)


def test_xgboost_booster_and_whole_numbers(engine):
    names = ["amount", "hour", "distance", "age", "trust", "velocity"]
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 5, "seed": 2, "booster": "dart",
                             "rate_drop": 0.2}, xgboost.DMatrix(TRAIN, BINARY_LABELS, feature_names=names), 25)
    engine.log(mlflow.xgboost, booster, "model_engines_xgb_booster")
    engine.deploy("model-engines-xgb-booster", "models:/model_engines_xgb_booster/1")
    check(engine, "model-engines-xgb-booster", ASKED,
          booster.predict(xgboost.DMatrix(ASKED, feature_names=names)), 1e-6)
    whole = numpy.round(FINITE * 2)
    check(engine, "model-engines-xgb-booster", whole,
          booster.predict(xgboost.DMatrix(whole, feature_names=names)), 1e-6, ("INT64", "FP32", "FP64"))


def test_xgboost_softprob_of_three_classes(engine):
    booster = xgboost.train({"objective": "multi:softprob", "num_class": 3, "max_depth": 4, "seed": 3},
                            xgboost.DMatrix(TRAIN, CLASS_LABELS), 15)
    run = engine.log(mlflow.xgboost, booster)
    metadata = engine.deploy("model-engines-xgb-softprob", f"runs:/{run}/model")
    check_metadata(metadata, "model-engines-xgb-softprob", "xgboost_xgboost", 6, [-1, 3], "FP32")
    expected = booster.predict(xgboost.DMatrix(ASKED))
    assert expected.shape == (4000, 3)
    check(engine, "model-engines-xgb-softprob", ASKED, expected, 2e-6)


def test_xgboost_regression_with_a_base_score(engine):
    target = (TRAIN[:, 0] * 3 + TRAIN[:, 1] + 100).astype(numpy.float32)
    model = xgboost.XGBRegressor(n_estimators=20, max_depth=3, random_state=4).fit(TRAIN, target)
    engine.log(mlflow.xgboost, model, "model_engines_xgb_regressor")
    mlflow.MlflowClient().set_registered_model_alias("model_engines_xgb_regressor", "champion", 1)
    engine.deploy("model-engines-xgb-regressor", "models:/model_engines_xgb_regressor@champion")
    check(engine, "model-engines-xgb-regressor", ASKED, model.predict(ASKED), 1e-6)


def lightgbm_rows(count, seed):
    """Five numbers and a category, with missing values in both."""
    rng = numpy.random.default_rng(seed)
    rows = rng.normal(size=(count, 6))
    rows[:, 5] = rng.integers(0, 12, count)
    rows[rng.random(rows.shape) < 0.05] = numpy.nan
    return rows


def lightgbm_train(parameters, label):
    rows = lightgbm_rows(1200, 5)
    labels = label(rows)
    data = lightgbm.Dataset(rows, labels, categorical_feature=[5])
    return lightgbm.train({"verbosity": -1, "num_threads": 1, "seed": 5, "min_data_per_group": 10, **parameters},
                          data, num_boost_round=25)


def test_lightgbm_binary_with_categories_and_missing_values(engine):
    booster = lightgbm_train({"objective": "binary"}, lambda rows: (
        numpy.nan_to_num(rows[:, 0]) + numpy.isin(rows[:, 5], [1, 4, 7]) > 0.6).astype(int))
    assert any(tree["decision_type"] == "==" for tree in splits(booster)), "no split on the category was learned"
    engine.log(mlflow.lightgbm, booster, "model_engines_lgb_binary")
    metadata = engine.deploy("model-engines-lgb-binary", "models:/model_engines_lgb_binary/1")
    check_metadata(metadata, "model-engines-lgb-binary", "lightgbm_lightgbm", 6, [-1], "FP64")
    rows = lightgbm_rows(4000, 6)
    rows[:4, 5] = [-1, 11.7, 400, numpy.nan]
    check(engine, "model-engines-lgb-binary", rows, booster.predict(rows), 1e-12, ("FP64",))
    whole = numpy.nan_to_num(rows).round()
    check(engine, "model-engines-lgb-binary", whole, booster.predict(whole), 1e-12, ("INT64", "FP32", "FP64"))


def splits(booster):
    found = []

    def walk(node):
        if "decision_type" in node:
            found.append(node)
            walk(node["left_child"])
            walk(node["right_child"])

    for tree in booster.dump_model()["tree_info"]:
        walk(tree["tree_structure"])
    return found


def test_lightgbm_of_three_classes(engine):
    booster = lightgbm_train({"objective": "multiclass", "num_class": 3}, lambda rows: numpy.digitize(
        numpy.nan_to_num(rows[:, 0]) + numpy.isin(rows[:, 5], [2, 3]), [-0.4, 0.7]))
    engine.log(mlflow.lightgbm, booster, "model_engines_lgb_classes")
    metadata = engine.deploy("model-engines-lgb-classes", "models:/model_engines_lgb_classes/1")
    check_metadata(metadata, "model-engines-lgb-classes", "lightgbm_lightgbm", 6, [-1, 3], "FP64")
    rows = lightgbm_rows(4000, 7)
    check(engine, "model-engines-lgb-classes", rows, booster.predict(rows), 1e-12, ("FP64",))


def test_lightgbm_trained_on_a_frame_with_names(engine):
    columns = ["amount", "hour", "distance", "age", "trust", "velocity"]
    frame = pandas.DataFrame(TRAIN.astype(float), columns=columns)
    booster = lightgbm.train({"objective": "regression", "verbosity": -1, "num_threads": 1, "seed": 8},
                             lightgbm.Dataset(frame, TRAIN[:, 0] * 2 + TRAIN[:, 4]), 20)
    engine.log(mlflow.lightgbm, booster, "model_engines_lgb_frame")
    engine.deploy("model-engines-lgb-frame", "models:/model_engines_lgb_frame/1")
    rows = ASKED[:50].astype(float)
    tensors = []
    for name in reversed(columns):
        tensor = tritonclient.http.InferInput(name, [50], "FP64")
        tensor.set_data_from_numpy(numpy.ascontiguousarray(rows[:, columns.index(name)]))
        tensors.append(tensor)
    answer = engine.client.infer("model-engines-lgb-frame", tensors)
    output = answer.get_response()["outputs"][0]["name"]
    numpy.testing.assert_allclose(answer.as_numpy(output).ravel(), booster.predict(rows), rtol=1e-12)


def session_answers(onnx_model, rows):
    session = onnxruntime.InferenceSession(onnx_model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()],
                    session.run(None, {session.get_inputs()[0].name: rows})))


def test_onnx_classifier_with_probabilities_first(engine):
    forest = sklearn.ensemble.RandomForestClassifier(n_estimators=20, max_depth=5, random_state=9)
    forest.fit(TRAIN, BINARY_LABELS)
    onnx_model = skl2onnx.to_onnx(forest, initial_types=[("input", FloatTensorType([None, 6]))],
                                  options={id(forest): {"zipmap": False}}, target_opset=17)
    engine.log(mlflow.onnx, onnx_model, "model_engines_onnx_forest")
    metadata = engine.deploy("model-engines-onnx-forest", "models:/model_engines_onnx_forest/1")
    assert metadata["platform"] == "onnxruntime_onnx"
    assert metadata["inputs"][0]["shape"] == [-1, 6] and metadata["inputs"][0]["datatype"] == "FP32"
    names = [output["name"] for output in metadata["outputs"]]
    assert sorted(names) == ["label", "probabilities"]
    assert names[0] == "probabilities", "a classifier's first output is its probability"
    answers = session_answers(onnx_model, FINITE)
    for count in (1, 4000):
        probabilities = engine.ask("model-engines-onnx-forest", FINITE[:count])
        numpy.testing.assert_allclose(probabilities, answers["probabilities"][:count], rtol=1e-5)
        numpy.testing.assert_allclose(probabilities, forest.predict_proba(FINITE[:count]), atol=1e-5)
        labels = engine.ask("model-engines-onnx-forest", FINITE[:count], output=1)
        numpy.testing.assert_array_equal(labels, answers["label"][:count])


def test_onnx_regression(engine):
    model = sklearn.linear_model.LinearRegression().fit(TRAIN, TRAIN @ numpy.arange(6) + 5)
    onnx_model = skl2onnx.to_onnx(model, initial_types=[("features", FloatTensorType([None, 6]))], target_opset=17)
    engine.log(mlflow.onnx, onnx_model, "model_engines_onnx_linear")
    metadata = engine.deploy("model-engines-onnx-linear", "models:/model_engines_onnx_linear/1")
    assert metadata["inputs"][0]["name"] == "features"
    (expected,) = session_answers(onnx_model, FINITE).values()
    check(engine, "model-engines-onnx-linear", FINITE, expected, 1e-6, ("FP32",), 1e-5)


def test_bare_files_by_path(engine, tmp_path):
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 4, "seed": 10},
                            xgboost.DMatrix(TRAIN, BINARY_LABELS), 10)
    light = lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": 10},
                           lightgbm.Dataset(TRAIN, BINARY_LABELS), 10)
    linear = sklearn.linear_model.LinearRegression().fit(TRAIN, TRAIN.sum(axis=1))
    onnx_model = skl2onnx.to_onnx(linear, initial_types=[("input", FloatTensorType([None, 6]))], target_opset=17)
    booster.save_model(tmp_path / "model.json")
    booster.save_model(tmp_path / "model.ubj")
    light.save_model(tmp_path / "model.txt")
    (tmp_path / "model.onnx").write_bytes(onnx_model.SerializeToString())
    expected = {"json": booster.predict(xgboost.DMatrix(FINITE)), "ubj": booster.predict(xgboost.DMatrix(FINITE)),
                "txt": light.predict(FINITE), "onnx": next(iter(session_answers(onnx_model, FINITE).values()))}
    for ending, answers in expected.items():
        uri = f"{tmp_path}/model.{ending}"
        name = f"model-engines-bare-{ending}"
        engine.deploy(name, uri if ending in ("json", "txt") else f"file://{uri}")
        check(engine, name, FINITE, answers, 1e-6, ("FP32",), 1e-5 if ending == "onnx" else 0)


def failure(engine, name, seconds=15) -> str:
    deadline = time.monotonic() + seconds
    while True:
        out = engine.aerie.cli("get", "SeldonDeployment", name, "-o", "json").stdout
        status = json.loads(out).get("status") or {}
        if status.get("state") == "Failed":
            return status["description"]
        assert time.monotonic() < deadline, status
        time.sleep(0.05)


def test_a_pickled_sklearn_model_is_refused_with_the_way_out(engine):
    forest = sklearn.ensemble.RandomForestClassifier(n_estimators=3, random_state=11).fit(TRAIN, BINARY_LABELS)
    engine.log(mlflow.sklearn, forest, "model_engines_pickled", serialization_format="cloudpickle")
    engine.apply("model-engines-pickled", "models:/model_engines_pickled/1")
    said = failure(engine, "model-engines-pickled")
    assert "sklearn" in said and "onnx" in said.lower(), said
    assert not engine.client.is_model_ready("model-engines-pickled")
    body = json.dumps({"inputs": [{"name": "input", "shape": [1, 6], "datatype": "FP32", "data": [0] * 6}]}).encode()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{engine.aerie.inference_http}/v2/models/model-engines-pickled/infer", body, timeout=5)
    assert refused.value.code in (404, 503)
    assert json.loads(refused.value.read())["error"]


@pytest.mark.parametrize("name, uri, words", [
    ("model-engines-no-version", "models:/model_engines_nobody/1", "model_engines_nobody"),
    ("model-engines-no-run", "runs:/0123456789abcdef0123456789abcdef/model", "0123456789abcdef0123456789abcdef"),
    ("model-engines-no-file", "/nowhere/model.json", "/nowhere/model.json"),
])
def test_a_model_that_is_not_there_is_said(engine, name, uri, words):
    engine.apply(name, uri)
    assert words in failure(engine, name)
    engine.aerie.cli("delete", "SeldonDeployment", name)
