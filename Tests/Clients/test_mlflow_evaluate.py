"""`mlflow.evaluate`, tables, figures, data sets, signatures and asynchronous logging, with the real client."""
import json
import time
import uuid

import matplotlib
import mlflow
import numpy
import pandas
import pytest
from mlflow.models import infer_signature
from mlflow.tracking import MlflowClient
from sklearn.linear_model import LinearRegression, LogisticRegression

from conftest import Aerie

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Aerie(tmp_path_factory.mktemp("evaluate"))
    yield running
    assert running.stop() == 0, "".join(running.errors[-20:])


@pytest.fixture
def client(server):
    mlflow.set_tracking_uri(server.http)
    mlflow.set_experiment(f"evaluate-{uuid.uuid4().hex[:8]}")
    return MlflowClient(server.http, server.http)


@pytest.fixture(scope="module")
def rows():
    rng = numpy.random.default_rng(3)
    frame = pandas.DataFrame(rng.normal(size=(120, 3)), columns=["a", "b", "c"])
    frame["label"] = (frame["a"] - frame["b"] > 0).astype(int)
    frame["amount"] = frame["a"] * 2 + frame["c"]
    return frame


def files(client, run, path=""):
    return {entry.path for entry in client.list_artifacts(run, path)}


def test_a_classifier_is_evaluated(client, rows):
    inputs = rows[["a", "b", "c"]]
    model = LogisticRegression().fit(inputs, rows["label"])
    with mlflow.start_run() as run:
        made = mlflow.sklearn.log_model(
            model, name="classifier", signature=infer_signature(inputs, model.predict(inputs)), input_example=inputs[:2],
            serialization_format="cloudpickle")
        result = mlflow.models.evaluate(
            made.model_uri, rows[["a", "b", "c", "label"]], targets="label", model_type="classifier",
            evaluator_config={"log_model_explainability": False})
    kept = client.get_run(run.info.run_id)
    assert kept.data.metrics["accuracy_score"] == pytest.approx(result.metrics["accuracy_score"])
    assert kept.data.metrics["accuracy_score"] > 0.8
    assert {"roc_auc", "f1_score", "log_loss", "precision_recall_auc"} <= kept.data.metrics.keys()
    assert kept.inputs.dataset_inputs and kept.outputs.model_outputs[0].model_id == made.model_id
    names = files(client, run.info.run_id)
    assert {"confusion_matrix.png", "roc_curve_plot.png", "precision_recall_curve_plot.png"} <= names
    matrix = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="confusion_matrix.png")
    with open(matrix, "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    assert any(metric.key == "accuracy_score" for metric in client.get_logged_model(made.model_id).metrics)


def test_a_regressor_is_evaluated_with_a_metric_of_one_s_own(client, rows):
    inputs = rows[["a", "b", "c"]]
    model = LinearRegression().fit(inputs, rows["amount"])
    worst = mlflow.models.make_metric(
        eval_fn=lambda predictions, targets, metrics: float((predictions - targets).abs().max()), greater_is_better=False,
        name="worst")
    with mlflow.start_run() as run:
        result = mlflow.models.evaluate(
            lambda frame: model.predict(frame[["a", "b", "c"]]), rows[["a", "b", "c", "amount"]], targets="amount",
            model_type="regressor", extra_metrics=[worst], evaluator_config={"log_model_explainability": False})
    metrics = client.get_run(run.info.run_id).data.metrics
    assert metrics["r2_score"] == pytest.approx(1) and metrics["worst"] == pytest.approx(result.metrics["worst"])
    assert {"mean_absolute_error", "root_mean_squared_error", "example_count"} <= metrics.keys()


def test_tables_grow_and_are_loaded_across_runs(client):
    with mlflow.start_run() as first:
        mlflow.log_table({"q": ["one"], "score": [0.5]}, "answers.json")
        mlflow.log_table(pandas.DataFrame({"q": ["zwei ü"], "score": [1.5]}), "answers.json")
    with mlflow.start_run() as second:
        mlflow.log_table({"q": ["three"], "score": [2.5]}, "answers.json")
    table = mlflow.load_table("answers.json", run_ids=[first.info.run_id, second.info.run_id], extra_columns=["run_id"])
    assert sorted(table["q"]) == ["one", "three", "zwei ü"] and set(table["run_id"]) == {first.info.run_id, second.info.run_id}
    logged = json.loads(client.get_run(first.info.run_id).data.tags["mlflow.loggedArtifacts"])
    assert logged == [{"path": "answers.json", "type": "table"}]


def test_figures_images_and_dictionaries(client, tmp_path):
    from matplotlib import pyplot
    figure, axes = pyplot.subplots()
    axes.plot([0, 1], [1, 0])
    with mlflow.start_run() as run:
        mlflow.log_figure(figure, "plots/line.png")
        mlflow.log_figure(figure, "plots/line.svg")
        mlflow.log_image(numpy.zeros((4, 4, 3), dtype=numpy.uint8), "black.png")
        for step in range(3):
            mlflow.log_image(numpy.full((4, 4, 3), step, dtype=numpy.uint8), key="seen", step=step, synchronous=True)
        mlflow.log_dict({"ü": [1, None]}, "d/values.json")
        mlflow.log_dict({"b": 2}, "d/values.yaml")
        mlflow.log_text("text ü", "note.txt")
    pyplot.close(figure)
    assert files(client, run.info.run_id) == {"plots", "black.png", "images", "d", "note.txt"}
    assert files(client, run.info.run_id, "plots") == {"plots/line.png", "plots/line.svg"}
    assert mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/d/values.json") == {"ü": [1, None]}
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/note.txt") == "text ü"
    assert mlflow.artifacts.load_image(f"{run.info.artifact_uri}/black.png").size == (4, 4)
    images = files(client, run.info.run_id, "images")
    assert len(images) == 6 and all(name.startswith("images/seen") for name in images)


def test_data_sets_of_a_run(client, rows):
    frame = mlflow.data.from_pandas(rows, source="s3://bucket/rows.csv", name="rows", targets="label")
    array = mlflow.data.from_numpy(rows[["a", "b"]].to_numpy(), name="array")
    with mlflow.start_run() as run:
        mlflow.log_input(frame, context="training", tags={"k": "v"})
        mlflow.log_inputs(datasets=[array], contexts=["testing"], tags_list=[None])
    inputs = {i.dataset.name: i for i in client.get_run(run.info.run_id).inputs.dataset_inputs}
    assert set(inputs) == {"rows", "array"}
    assert {tag.key: tag.value for tag in inputs["rows"].tags} == {"mlflow.data.context": "training", "k": "v"}
    assert inputs["rows"].dataset.digest == frame.digest
    assert json.loads(inputs["rows"].dataset.schema)["mlflow_colspec"][0]["name"] == "a"
    assert mlflow.data.get_source(inputs["rows"].dataset).uri == "s3://bucket/rows.csv"
    found = mlflow.search_runs(filter_string="dataset.name = 'rows' AND dataset.context = 'training'")
    assert found["run_id"].tolist() == [run.info.run_id]


def test_signature_and_example_stay_with_a_model(client, rows):
    inputs = rows[["a", "b", "c"]]
    model = LinearRegression().fit(inputs, rows["amount"])
    name = f"signed-{uuid.uuid4().hex[:6]}"
    signature = infer_signature(inputs, model.predict(inputs), params={"scale": 2.0})
    with mlflow.start_run():
        made = mlflow.sklearn.log_model(
            model, name="model", signature=signature, input_example=inputs[:3], registered_model_name=name,
            serialization_format="cloudpickle", metadata={"owner": "ada"})
    for uri in (made.model_uri, f"models:/{name}/1", f"models:/{name}/latest"):
        info = mlflow.models.get_model_info(uri)
        assert info.signature == signature and info.metadata == {"owner": "ada"} and info.model_id == made.model_id
    loaded = mlflow.pyfunc.load_model(f"models:/{name}/1")
    pandas.testing.assert_frame_equal(loaded.input_example, inputs[:3])
    assert loaded.predict(inputs[:3], params={"scale": 3.0}) == pytest.approx(model.predict(inputs[:3]))
    with pytest.raises(mlflow.exceptions.MlflowException, match="schema"):
        loaded.predict(pandas.DataFrame({"a": ["x"]}))


def test_runs_within_runs(client):
    with mlflow.start_run(run_name="outer") as outer:
        for value in range(3):
            with mlflow.start_run(run_name=f"inner-{value}", nested=True) as inner:
                mlflow.log_metric("loss", value)
        assert mlflow.get_parent_run(inner.info.run_id).info.run_id == outer.info.run_id
    found = mlflow.search_runs(
        filter_string=f"tags.mlflow.parentRunId = '{outer.info.run_id}'", order_by=["metrics.loss DESC"], output_format="list")
    assert [run.info.run_name for run in found] == ["inner-2", "inner-1", "inner-0"]


def test_system_metrics_are_kept(client):
    pytest.importorskip("psutil")
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
    with mlflow.start_run() as run:
        monitor = SystemMetricsMonitor(run.info.run_id, sampling_interval=0.05, samples_before_logging=1)
        monitor.start()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not client.get_run(run.info.run_id).data.metrics:
            time.sleep(0.05)
        monitor.finish()
    metrics = client.get_run(run.info.run_id).data.metrics
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= metrics.keys()


def test_logged_models_are_found(client, rows):
    experiment = mlflow.get_experiment_by_name(mlflow.search_experiments(max_results=1)[0].name)
    made = {}
    measured = mlflow.data.from_pandas(rows, name="held out")
    for name, score in (("small", 0.6), ("large", 0.9)):
        with mlflow.start_run():
            model = mlflow.create_external_model(name=name, tags={"size": name}, params={"depth": "3"}, model_type="tree")
            mlflow.log_metric("auc", score, model_id=model.model_id)
            mlflow.log_metric("held", score, model_id=model.model_id, dataset=measured)
        made[name] = model.model_id

    def found(text=None, **more):
        return [m.name for m in mlflow.search_logged_models([experiment.experiment_id], text, output_format="list", **more)]

    assert sorted(found()) == ["large", "small"]
    assert found("metrics.auc > 0.7") == ["large"] and found("tags.size = 'small'") == ["small"]
    assert found(order_by=[{"field_name": "metrics.auc", "ascending": False}]) == ["large", "small"]
    assert found("params.depth = '3' AND name LIKE 'la%'", max_results=1) == ["large"]
    assert found("metrics.held > 0.7", datasets=[{"dataset_name": "held out"}]) == ["large"]
    assert found("metrics.auc > 0.7", datasets=[{"dataset_name": "held out"}]) == []
    assert found("metrics.held > 0", datasets=[{"dataset_name": "held out", "dataset_digest": "other"}]) == []
    table = mlflow.search_logged_models([experiment.experiment_id])
    assert set(table["model_id"]) == set(made.values())
    mlflow.delete_logged_model_tag(made["small"], "size")
    assert found("tags.size = 'small'") == []
    mlflow.MlflowClient().delete_logged_model(made["small"])
    assert found() == ["large"]


def test_nothing_logged_asynchronously_is_lost(client):
    with mlflow.start_run() as run:
        waiting = [mlflow.log_metric("m", step, step=step, synchronous=False) for step in range(300)]
        waiting += [mlflow.log_params({f"p{n}": n for n in range(50)}, synchronous=False),
                    mlflow.set_tags({f"t{n}": n for n in range(50)}, synchronous=False)]
        for operation in waiting:
            operation.wait()
    kept = client.get_run(run.info.run_id).data
    assert [m.value for m in client.get_metric_history(run.info.run_id, "m")] == list(range(300))
    assert len(kept.params) == 50 and sum(key.startswith("t") for key in kept.tags) == 50
