"""The founding document's MLflow examples and what lies around them, with the real client."""
import json
import logging
import os
import time
import uuid

import numpy as np
import pandas as pd
import mlflow
import pytest


import mlflow.lightgbm
import mlflow.onnx
import mlflow.sklearn
import mlflow.xgboost
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, f1_score


@pytest.fixture
def client(aerie, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", aerie.http)
    mlflow.set_tracking_uri(aerie.http)
    yield MlflowClient()
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(7)
    X = pd.DataFrame(random.normal(size=(400, 4)), columns=["amount", "hour", "velocity", "trust"])
    y = ((X.amount * X.velocity + X.trust) > 0).astype(int)
    return X[:300], X[300:], y[:300], y[300:]


def unique(name):
    return f"{name}-{uuid.uuid4().hex[:8]}"


def test_founding_document_2_2_and_2_4(client, data):
    X_train, X_test, y_train, y_test = data
    mlflow.set_experiment("credit_card_fraud_detection")

    with mlflow.start_run(run_name="rf_baseline"):
        # Log parameters
        mlflow.log_param("n_estimators", 100)
        mlflow.log_param("max_depth", 10)

        # Train model
        model = RandomForestClassifier(n_estimators=100, max_depth=10)
        model.fit(X_train, y_train)

        # Log metrics
        y_pred = model.predict(X_test)
        accuracy = accuracy_score(y_test, y_pred)
        mlflow.log_metric("accuracy", accuracy)
        mlflow.log_metric("f1_score", f1_score(y_test, y_pred))

        # Log model. The format is named because skops, the default, refuses a random forest's own types.
        mlflow.sklearn.log_model(model, "model", serialization_format="cloudpickle")
        run_id = mlflow.active_run().info.run_id

    run = client.get_run(run_id)
    assert run.info.status == "FINISHED" and run.info.run_name == "rf_baseline"
    assert run.data.params == {"n_estimators": "100", "max_depth": "10"}
    assert run.data.metrics["accuracy"] == accuracy

    # Register model
    model_uri = f"runs:/{run_id}/model"
    mv = mlflow.register_model(model_uri, "fraud_detector")

    # Add description
    client.update_model_version(
        name="fraud_detector",
        version=mv.version,
        description="XGBoost model trained on Q4 2024 data with new velocity features"
    )

    # Transition stages
    client.transition_model_version_stage(name="fraud_detector", version=mv.version, stage="Staging")
    client.transition_model_version_stage(
        name="fraud_detector", version=mv.version, stage="Production", archive_existing_versions=True)

    assert "velocity" in client.get_model_version("fraud_detector", mv.version).description
    for uri in (f"models:/fraud_detector/{mv.version}", "models:/fraud_detector/Production", model_uri):
        loaded = mlflow.pyfunc.load_model(uri)
        assert (loaded.predict(X_test) == y_pred).all(), uri


def test_stages_archive_what_was_there(client, data):
    name = unique("stages")
    client.create_registered_model(name)
    mlflow.set_experiment(unique("stages"))
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(
            RandomForestClassifier(n_estimators=2).fit(data[0], data[2]), name="model", serialization_format="cloudpickle")
    versions = [mlflow.register_model(info.model_uri, name).version for _ in range(2)]
    for version in versions:
        client.transition_model_version_stage(name, version, "Production", archive_existing_versions=True)
    assert [client.get_model_version(name, v).current_stage for v in versions] == ["Archived", "Production"]
    assert [v.version for v in client.get_latest_versions(name, ["Production"])] == [versions[1]]
    client.set_registered_model_alias(name, "champion", versions[0])
    assert client.get_model_version_by_alias(name, "champion").version == versions[0]
    assert (mlflow.pyfunc.load_model(f"models:/{name}@champion").predict(data[1]) >= 0).all()
    client.delete_registered_model_alias(name, "champion")
    client.set_model_version_tag(name, versions[0], "reviewed", "yes")
    assert [v.version for v in client.search_model_versions(f"name='{name}' and tags.reviewed='yes'")] == [versions[0]]
    client.rename_registered_model(name, name + "-renamed")
    assert client.search_registered_models(f"name LIKE '{name}%'")[0].name == name + "-renamed"
    client.delete_registered_model(name + "-renamed")
    with pytest.raises(MlflowException) as error:
        client.get_registered_model(name)
    assert error.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_xgboost_lightgbm_and_onnx_models_come_back(client, data):
    import lightgbm
    import xgboost
    from skl2onnx import to_onnx

    X_train, X_test, y_train, _ = data
    mlflow.set_experiment(unique("flavors"))
    with mlflow.start_run() as run:
        booster = xgboost.train({"objective": "binary:logistic", "max_depth": 3},
                                xgboost.DMatrix(X_train, label=y_train), num_boost_round=5)
        uris = {"xgboost": mlflow.xgboost.log_model(booster, name="xgb").model_uri}
        gbm = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(X_train, y_train), 5)
        uris["lightgbm"] = mlflow.lightgbm.log_model(gbm, name="lgb").model_uri
        forest = RandomForestClassifier(n_estimators=5, random_state=0).fit(X_train, y_train)
        graph = to_onnx(forest, X_train.to_numpy(np.float32)[:1], options={"zipmap": False}, target_opset=15)
        uris["onnx"] = mlflow.onnx.log_model(graph, name="onnx").model_uri
    assert len(client.get_run(run.info.run_id).outputs.model_outputs) == 3
    assert np.allclose(mlflow.xgboost.load_model(uris["xgboost"]).predict(xgboost.DMatrix(X_test)),
                       booster.predict(xgboost.DMatrix(X_test)))
    assert np.allclose(mlflow.lightgbm.load_model(uris["lightgbm"]).predict(X_test), gbm.predict(X_test))
    answer = mlflow.pyfunc.load_model(uris["onnx"]).predict(X_test.to_numpy(np.float32))
    assert (list(answer.values())[0] == forest.predict(X_test)).all()
    found = mlflow.search_logged_models(experiment_ids=[run.info.experiment_id], output_format="list")
    assert {m.name for m in found} == {"xgb", "lgb", "onnx"} and all(m.status == "READY" for m in found)


def test_search_runs_orders_pages_and_filters(client):
    experiment = client.create_experiment(unique("search"), tags={"team": "risk"})
    for index in range(12):
        run = client.create_run(experiment, run_name=f"run-{index:02}", start_time=1000 + index)
        client.log_batch(run.info.run_id, metrics=[mlflow.entities.Metric("auc", index / 10, 1, 0)],
                         params=[mlflow.entities.Param("depth", str(index % 3))],
                         tags=[mlflow.entities.RunTag("odd key", "yes")] if index % 2 else [])
    def names(filter="", **more):
        return [r.info.run_name[4:] for r in client.search_runs([experiment], filter, **more)]
    assert names()[0] == "11"
    assert names("metrics.auc > 0.85 AND params.depth = '0'") == ["09"]
    assert names("tags.`odd key` IS NULL", order_by=["metrics.auc ASC"]) == ["00", "02", "04", "06", "08", "10"]
    assert names("attributes.run_name LIKE 'run-1%'") == ["11", "10"]
    assert names("run_name ILIKE 'RUN-1%'") == ["11", "10"]
    assert names("params.depth != '0' and start_time < 1003") == ["02", "01"]
    seen, token = [], None
    while True:
        page = client.search_runs([experiment], max_results=5, page_token=token, order_by=["attributes.start_time ASC"])
        seen += [r.info.run_name[4:] for r in page]
        client.create_run(experiment, run_name="late", start_time=1)
        token = page.token
        if not token:
            break
    assert seen == [f"{i:02}" for i in range(12)]
    with pytest.raises(MlflowException) as error:
        client.search_runs([experiment], "metrics.auc > 1 OR metrics.auc < 0")
    assert error.value.error_code == "INVALID_PARAMETER_VALUE" and "OR" in str(error.value)
    assert [e.experiment_id for e in client.search_experiments(filter_string="tags.team = 'risk'")].count(experiment) == 1


def test_metrics_history_delete_and_restore(client):
    experiment = client.create_experiment(unique("life"))
    run = client.create_run(experiment).info.run_id
    for step, value in enumerate([0.5, float("nan"), float("inf"), -1.0]):
        client.log_metric(run, "loss", value, timestamp=100 + step, step=step)
    client.log_metric(run, "loss", 9.0, timestamp=1, step=0)
    history = client.get_metric_history(run, "loss")
    assert len(history) == 5 and client.get_run(run).data.metrics["loss"] == -1.0
    assert client.get_metric_history(run, "none") == []
    client.set_tag(run, "mlflow.runName", "renamed")
    assert client.get_run(run).info.run_name == "renamed"
    client.delete_run(run)
    with pytest.raises(MlflowException):
        client.log_metric(run, "loss", 1.0)
    client.restore_run(run)
    client.delete_experiment(experiment)
    assert client.get_run(run).info.lifecycle_stage == "deleted"
    client.restore_experiment(experiment)
    assert client.get_run(run).info.lifecycle_stage == "active"
    with pytest.raises(MlflowException) as error:
        client.create_experiment(client.get_experiment(experiment).name)
    assert error.value.error_code == "RESOURCE_ALREADY_EXISTS"


def test_artifacts_go_up_and_down(client, tmp_path):
    mlflow.set_experiment(unique("artifacts"))
    content = os.urandom(3_000_000)
    (tmp_path / "up" / "deep").mkdir(parents=True)
    (tmp_path / "up" / "deep" / "a file.bin").write_bytes(content)
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(tmp_path / "up"), "data")
        mlflow.log_dict({"a": 1}, "config.json")
        mlflow.log_text("hello", "notes/hello.txt")
    run_id = run.info.run_id
    assert [f.path for f in client.list_artifacts(run_id)] == ["config.json", "data", "notes"]
    assert [(f.path, f.file_size) for f in client.list_artifacts(run_id, "data/deep")] == [("data/deep/a file.bin", 3_000_000)]
    down = client.download_artifacts(run_id, "data", str(tmp_path))
    assert open(down + "/deep/a file.bin", "rb").read() == content
    assert mlflow.artifacts.load_dict(run.info.artifact_uri + "/config.json") == {"a": 1}


def test_datasets_are_kept(client, data):
    mlflow.set_experiment(unique("datasets"))
    with mlflow.start_run() as run:
        mlflow.log_input(mlflow.data.from_pandas(data[0], name="transactions"), context="training")
    inputs = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert [(i.dataset.name, i.tags[0].value) for i in inputs] == [("transactions", "training")]
    assert json.loads(inputs[0].dataset.profile)["num_rows"] == 300
    found = client.search_runs([run.info.experiment_id], "dataset.name = 'transactions' AND dataset.context = 'training'")
    assert [r.info.run_id for r in found] == [run.info.run_id]


def test_autologging_of_three_libraries(client, data):
    import lightgbm
    import xgboost
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    X_train, _, y_train, _ = data
    def runs(name):
        return mlflow.search_runs(experiment_names=[name], output_format="list")
    grid, trees = unique("autolog-sklearn"), unique("autolog-boosters")
    mlflow.set_experiment(grid)
    mlflow.sklearn.autolog(log_models=False, silent=True)
    try:
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(X_train, y_train)
    finally:
        mlflow.sklearn.autolog(disable=True)
    parent = [r for r in runs(grid) if "mlflow.parentRunId" not in r.data.tags]
    children = [r for r in runs(grid) if r.data.tags.get("mlflow.parentRunId") == parent[0].info.run_id]
    assert len(parent) == 1 and len(children) == 2 and {r.data.params["C"] for r in children} == {"0.1", "1.0"}
    assert parent[0].data.metrics["best_cv_score"] > 0 and parent[0].inputs.dataset_inputs

    mlflow.set_experiment(trees)
    mlflow.xgboost.autolog(log_models=False, silent=True)
    mlflow.lightgbm.autolog(silent=True)
    try:
        matrix = xgboost.DMatrix(X_train, label=y_train)
        xgboost.train({"max_depth": 2, "objective": "binary:logistic"}, matrix, 10, evals=[(matrix, "train")],
                      verbose_eval=False)
        table = lightgbm.Dataset(X_train, y_train)
        booster = lightgbm.train({"objective": "binary", "verbose": -1}, table, 10, valid_sets=[table])
    finally:
        mlflow.xgboost.autolog(disable=True)
        mlflow.lightgbm.autolog(disable=True)
    by_metric = {next(iter(r.data.metrics)): r for r in runs(trees)}
    boosted = by_metric["train-logloss"]
    assert len(client.get_metric_history(boosted.info.run_id, "train-logloss")) == 10
    assert "feature_importance_weight.json" in [f.path for f in client.list_artifacts(boosted.info.run_id)]
    light = by_metric["training-binary_logloss"]
    loaded = mlflow.lightgbm.load_model(f"models:/{light.outputs.model_outputs[0].model_id}")
    assert np.allclose(loaded.predict(X_train), booster.predict(X_train))


def test_figures_tables_images_and_evaluations(client, data, tmp_path):
    mlflow.set_experiment(unique("media"))
    with mlflow.start_run() as run:
        mlflow.log_table({"question": ["a", "b"], "score": [1, 2]}, "table.json")
        mlflow.log_table({"question": ["c"], "score": [3]}, "table.json")
        mlflow.log_dict({"a": 1}, "config.yaml")
        mlflow.log_image(np.zeros((8, 8, 3), np.uint8), "image.png")
        mlflow.log_image(np.zeros((8, 8, 3), np.uint8), key="steps", step=3)
        try:
            from matplotlib.figure import Figure
        except ImportError:
            figures = []
        else:
            mlflow.log_figure(Figure(), "figure.png")
            figures = ["figure.png"]
        with mlflow.start_run(nested=True):
            mlflow.log_metric("inner", 1)
        frame = pd.DataFrame({"label": data[2], "guess": data[2]})
        result = mlflow.models.evaluate(data=frame, targets="label", predictions="guess", model_type="classifier",
                                        evaluators=["default"])
    assert result.metrics["accuracy_score"] == 1.0 and client.get_run(run.info.run_id).data.metrics["accuracy_score"] == 1
    paths = {f.path for f in client.list_artifacts(run.info.run_id)}
    assert {"table.json", "config.yaml", "image.png", "images", *figures} <= paths
    with mlflow.start_run(run_id=run.info.run_id):
        assert mlflow.load_table("table.json")["question"].tolist() == ["a", "b", "c"]
    step = [f.path for f in client.list_artifacts(run.info.run_id, "images") if f.path.endswith(".png")]
    down = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path=step[0], dst_path=str(tmp_path))
    assert open(down, "rb").read(4) == b"\x89PNG"
    inner = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'")
    assert len(inner) == 1 and inner[0].data.metrics == {"inner": 1}


def test_300_runs_as_a_frame_and_on_the_command_line(client, aerie, tmp_path):
    from click.testing import CliRunner
    from mlflow.cli import cli as mlflow_cli

    name = unique("many")
    experiment = client.create_experiment(name)
    for index in range(300):
        run = client.create_run(experiment, run_name=f"run-{index}").info.run_id
        client.log_batch(run, [mlflow.entities.Metric("m", index, 1, 0)], [mlflow.entities.Param("i", str(index))])
    client.log_text(run, "hello", "notes/hello.txt")
    frame = mlflow.search_runs(experiment_names=[name], filter_string="metrics.m >= 10", order_by=["metrics.m DESC"])
    assert len(frame) == 290 and frame["metrics.m"].tolist() == [float(i) for i in range(299, 9, -1)]
    assert frame["params.i"][0] == "299"

    def cli(*arguments):
        done = CliRunner().invoke(mlflow_cli, arguments)
        assert done.exit_code == 0, done.output
        return done.output
    assert cli("runs", "list", "--experiment-id", experiment).count("run-") == 300
    assert name in cli("experiments", "search")
    cli("artifacts", "download", "--run-id", run, "--artifact-path", "notes/hello.txt", "--dst-path", str(tmp_path))
    assert next(tmp_path.rglob("hello.txt")).read_text() == "hello"


def test_a_large_artifact_costs_no_memory_and_half_of_one_leaves_nothing(client, aerie, tmp_path):
    import filecmp
    import http.client

    def peak():
        with open(f"/proc/{aerie.process.pid}/status") as status:
            return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))
    mlflow.set_experiment(unique("large"))
    block = os.urandom(1_000_000)
    with open(tmp_path / "large.bin", "wb") as file:
        for index in range(300):
            file.write(index.to_bytes(8, "big") + block[8:])
    before = peak()
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(tmp_path / "large.bin"))
    (tmp_path / "down").mkdir()
    down = client.download_artifacts(run.info.run_id, "large.bin", str(tmp_path / "down"))
    assert filecmp.cmp(tmp_path / "large.bin", down, shallow=False)
    assert peak() - before < 100, f"the server grew from {before} to {peak()} MiB"

    folder = f"{run.info.experiment_id}/{run.info.run_id}/artifacts"
    connection = http.client.HTTPConnection(aerie.http.removeprefix("http://"))
    connection.putrequest("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{folder}/half.bin")
    connection.putheader("Content-Length", "5000000")
    connection.endheaders(block)
    incoming = aerie.data_dir / "artifacts" / ".incoming"
    wait(lambda: any(file.stat().st_size for file in incoming.iterdir()))
    connection.close()
    wait(lambda: not any(incoming.iterdir()))
    assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["large.bin"]


def wait(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_traces_are_kept_found_tagged_and_deleted(client, caplog):
    experiment = mlflow.set_experiment(unique("traces")).experiment_id

    @mlflow.trace
    def score(amount):
        with mlflow.start_span("features") as span:
            span.set_inputs({"amount": amount})
            span.set_outputs(amount + 1)
        return amount + 1

    logger = logging.getLogger("mlflow")
    logger.addHandler(caplog.handler)
    try:
        with mlflow.start_run() as run:
            score(1)
        score(2)
        with pytest.raises(TypeError):
            score("x")
        mlflow.flush_trace_async_logging()
    finally:
        logger.removeHandler(caplog.handler)
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []
    failed = mlflow.get_trace(mlflow.get_last_active_trace_id())
    assert failed.info.state == "ERROR" and {s.name for s in failed.data.spans} == {"score", "features"}
    frame = mlflow.search_traces(locations=[experiment])
    # Two may begin in one millisecond, so their order says nothing.
    assert sorted(state.value for state in frame["state"]) == ["ERROR", "OK", "OK"]
    found = client.search_traces([experiment], f"attributes.run_id = '{run.info.run_id}' AND trace.status = 'OK'")
    assert len(found) == 1 and found[0].data.spans[0].inputs == {"amount": 1}
    one = found[0].info.trace_id
    client.set_trace_tag(one, "reviewed", "yes")
    assert [t.info.trace_id for t in client.search_traces([experiment], "tags.reviewed = 'yes'")] == [one]
    client.delete_trace_tag(one, "reviewed")
    assert "reviewed" not in client.get_trace(one).info.tags
    assert client.delete_traces(experiment, trace_ids=[one]) == 1
    assert client.delete_traces(experiment, max_timestamp_millis=int(time.time() * 1000)) == 2
    assert client.search_traces([experiment]) == []


AGREED_FILTERS = """metrics.m > 0 | metrics.m >= 1 | metrics.m != 1 | metrics.m < 2 | metrics.`m/n` > 3 | metrics.m > .5
metrics.m > -1 AND metrics.m < 4 | metrics.m = 'x' | metrics.m > 1 OR metrics.m < 0 | metrics.m > | foo.bar = 'x'
params.p != 'a' | params.p LIKE 'a%' | params.p LIKE 'a_b' | params.p ILIKE 'A%' | params.p LIKE 'a*b'
params.p LIKE '[x]' | params.p = a | params.p > 'a' | params.q IS NULL | params.p IN ('a') | params.p = ''
tags.`a b` = '1' | tags."a b" = '1' | tags.k ILIKE 'v1' | tags.k IS NULL | tags.x.y = 'd' | tags.k != 'V1'
status = 'FAILED' | status IN ('FAILED') | `run name` = 'run_1' | attributes.Created > 1003 | start_time = '1003'
run_name LIKE 'run_%' | run_id NOT IN ('z') | end_time > 5000 | attributes.foo = 'x' | lifecycle_stage = 'active'
dataset.digest IN ('a', 'b') | dataset.foo = 'x' | params.p NOT LIKE 'a%' | metrics.m BETWEEN 0 AND 1"""


def test_searches_agree_with_mlflows_own_store(client, tmp_path):
    values = [1.0, float("nan"), float("inf"), -float("inf"), 0.0, 2, -1, 3, 1, 1, 5, 1e-9]
    texts = ["a", "A", "a%b", "a_b", "aXb", "10", "9", "", "[x]", "a*b", "a?b", "é"]
    own, name = MlflowClient(f"sqlite:///{tmp_path}/own.db"), unique("agree")
    experiments = {}
    for store in (client, own):
        experiments[store] = store.create_experiment(name)
        for index, (value, text) in enumerate(zip(values, texts)):
            tags = {"k": f"V{index % 4}"} if index % 2 else {"a b": "1", "x.y": "d"}
            run = store.create_run(experiments[store], run_name=f"run_{index}" if index % 3 else f"Run%{index}",
                                   start_time=1000 + index, tags=tags).info.run_id
            metrics = [mlflow.entities.Metric("m", value, 1, 0)] if index != 5 else []
            metrics += [mlflow.entities.Metric("m/n", index, 1, 0)] if index % 3 == 0 else []
            store.log_batch(run, metrics, [mlflow.entities.Param("p", text)])
            if index in (2, 3):
                store.update_run(run, status="FAILED" if index == 2 else "FINISHED")

    def answer(store, filter, order=()):
        try:
            return [r.info.run_name for r in store.search_runs([experiments[store]], filter, order_by=list(order))]
        except MlflowException as error:
            return error.error_code
    for filter in AGREED_FILTERS.replace("\n", "|").split("|"):
        assert answer(client, filter.strip()) == answer(own, filter.strip()), filter
    for key in ("metrics.m", "metrics.`m/n`", "params.p", "tags.k", "end_time", "run_name", "status", "foo"):
        for order in (f"{key} ASC", f"{key} DESC"):
            assert answer(client, "", [order, "start_time"]) == answer(own, "", [order, "start_time"]), order
