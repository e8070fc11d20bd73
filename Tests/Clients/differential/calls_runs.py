"""Runs: what is logged, limits, conflicts, histories, searches, datasets and logged models."""
import math

from mlflow.entities import Metric, Param, RunTag


def _new(s, name):
    return s.post("experiments/create", name=name)["experiment_id"]


def _run(s, experiment, name, start=1, **more):
    return s.post("runs/create", experiment_id=experiment, run_name=name, start_time=start, user_id="u", **more)[
        "run"]["info"]["run_id"]


def lifecycle(s):
    e = _new(s, "runs")
    run = _run(s, e, "first", tags=[{"key": "t", "value": "1"}])
    s.post("runs/create", experiment_id=e, start_time=2)
    s.post("runs/create", experiment_id="123456789")
    s.post("runs/create", experiment_id="abc")
    s.post("runs/create", experiment_id=e, run_name="x", start_time=1, tags=[{"key": "mlflow.runName", "value": "y"}])
    s.post("runs/create", experiment_id=e, start_time=1, tags=[{"key": "mlflow.runName", "value": "by tag"}])
    s.post("runs/create", experiment_id=e, start_time="x")
    s.post("runs/create", experiment_id=e, start_time=1, run_name="n", tags=[{"key": "", "value": "y"}])
    s.get("runs/get", run_id=run)
    s.get("runs/get", run_uuid=run)
    s.get("runs/get", run_id="0" * 32)
    s.get("runs/get", run_id="../x")
    s.get("runs/get")
    s.post("runs/update", run_id=run, status="FINISHED", end_time=77)
    s.post("runs/update", run_id=run, run_name="renamed")
    s.post("runs/update", run_id=run, run_name="")
    s.post("runs/update", run_id=run, status="NO_SUCH")
    s.post("runs/update", run_id=run, status=4)
    s.post("runs/update", run_id="0" * 32, status="FINISHED")
    s.post("runs/set-tag", run_id=run, key="mlflow.runName", value="from tag")
    s.get("runs/get", run_id=run)
    s.post("runs/delete-tag", run_id=run, key="t")
    s.post("runs/delete-tag", run_id=run, key="t")
    s.post("runs/delete-tag", run_id="0" * 32, key="t")
    s.post("runs/delete", run_id=run)
    s.post("runs/delete", run_id=run)
    s.get("runs/get", run_id=run)
    for path, more in (("log-metric", {"value": 1, "timestamp": 1}), ("log-parameter", {"value": "1"}),
                       ("set-tag", {"value": "1"}), ("delete-tag", {})):
        s.post(f"runs/{path}", run_id=run, key="k", **more)
    s.post("runs/update", run_id=run, status="RUNNING")
    s.post("runs/restore", run_id=run)
    s.post("runs/restore", run_id=run)
    s.post("runs/delete", run_id="0" * 32)
    s.post("runs/restore", run_id="0" * 32)


def logging(s):
    e = _new(s, "logging")
    run = _run(s, e, "log")
    s.post("runs/log-parameter", run_id=run, key="p", value="1")
    s.post("runs/log-parameter", run_id=run, key="p", value="1")
    s.post("runs/log-parameter", run_id=run, key="p", value="2")
    s.post("runs/log-parameter", run_id=run, key="empty", value="")
    s.post("runs/log-parameter", run_id=run, key="long", value="v" * 6001)
    s.post("runs/log-parameter", run_id=run, key="k" * 250, value="v")
    s.post("runs/log-parameter", run_id=run, key="k" * 251, value="v")
    for key in ("a/b", "/a", "a//b", "a/../b", "..", "a b", "a:b", "a,b", "ä", "a#b", "", "a\nb"):
        s.post("runs/log-parameter", run_id=run, key=key, value="v")
    s.post("runs/log-parameter", run_id=run)
    s.post("runs/set-tag", run_id=run, key="long", value="v" * 8001)
    s.post("runs/set-tag", run_id=run, key="unset")
    for value in (1, -1.5, "NaN", "Infinity", "-Infinity", 1e308, "x", None):
        s.post("runs/log-metric", run_id=run, key=f"m{value}".replace(".", "_"), value=value, timestamp=1, step=0)
    s.post("runs/log-metric", run_id=run, key="m", value=1.0, step=1)
    s.post("runs/log-metric", run_id=run, key="m", value=1.0, timestamp=1)
    s.post("runs/log-metric", run_id=run, key="m", value=1.0, timestamp=1, step="x")
    s.post("runs/log-metric", run_id=run, key="m", value=1.0, timestamp="x")
    s.post("runs/log-metric", run_id=run, key="a//b", value=1.0, timestamp=1)
    s.post("runs/log-metric", run_id="0" * 32, key="m", value=1.0, timestamp=1)
    s.get("runs/get", run_id=run)
    metrics = [{"key": "b", "value": i, "timestamp": 10, "step": 0} for i in range(1001)]
    s.post("runs/log-batch", run_id=run, metrics=metrics)
    s.post("runs/log-batch", run_id=run, params=[{"key": f"p{i}", "value": "1"} for i in range(101)])
    s.post("runs/log-batch", run_id=run, tags=[{"key": f"t{i}", "value": "1"} for i in range(101)])
    s.post("runs/log-batch", run_id=run, metrics=metrics[:950], params=[{"key": f"p{i}", "value": "1"} for i in range(51)])
    s.post("runs/log-batch", run_id=run, params=[{"key": "d", "value": "1"}, {"key": "d", "value": "2"}])
    s.post("runs/log-batch", run_id=run, params=[{"key": "d", "value": "1"}, {"key": "d", "value": "1"}])
    s.post("runs/log-batch", run_id=run, metrics=[{"key": "half", "value": 1, "timestamp": 1, "step": 0}],
           params=[{"key": "p", "value": "other"}])
    s.post("runs/log-batch", run_id=run, metrics=[{"key": "", "value": 1, "timestamp": 1, "step": 0}])
    s.post("runs/log-batch", run_id=run, metrics=[{"key": "x", "timestamp": 1, "step": 0}])
    s.post("runs/log-batch", run_id=run, metrics="x")
    s.post("runs/log-batch", run_id=run, tags=[{"key": "twice", "value": "1"}, {"key": "twice", "value": "2"}])
    s.post("runs/log-batch", run_id=run)
    s.post("runs/log-batch", metrics=[])
    s.get("runs/get", run_id=run)
    s.post("runs/log-model", run_id=run, model_json='{"run_id": "%s", "artifact_path": "m", "utc_time_created": "t", "flavors": {"a": {}}}' % run)
    s.post("runs/log-model", run_id=run, model_json="{broken")
    s.post("runs/log-model", run_id=run, model_json="{}")
    s.do("client log_batch", lambda c: c.log_batch(run, [Metric("c", math.nan, 1, 0), Metric("c", math.inf, 2, 1)],
                                                   [Param("cp", "1")], [RunTag("ct", "1")]))
    s.do("client log_param conflict", lambda c: c.log_param(run, "cp", "2"))
    s.do("client get_run", lambda c: c.get_run(run).data.to_dictionary())
    s.do("client terminate", lambda c: c.set_terminated(run, "FAILED", end_time=9))
    s.do("client status", lambda c: c.get_run(run).info.status)


def histories(s):
    e = _new(s, "histories")
    run, other = _run(s, e, "h"), _run(s, e, "i")
    points = [(3, 30, 1.0), (1, 10, 5.0), (1, 10, 5.0), (1, 10, 4.0), (2, 20, 2.0), (3, 30, 2.0), (3, 29, 9.0), (-1, 1, 0.0)]
    s.post("runs/log-batch", run_id=run, metrics=[
        {"key": "m", "step": step, "timestamp": time, "value": value} for step, time, value in points])
    s.get("runs/get", run_id=run)
    s.do("history", lambda c: sorted((m.step, m.timestamp, m.value) for m in c.get_metric_history(run, "m")))
    s.get("metrics/get-history", run_id=run, metric_key="none")
    s.get("metrics/get-history", run_id="0" * 32, metric_key="m")
    s.get("metrics/get-history", run_id=run)
    s.get("metrics/get-history", metric_key="m")
    s.get("metrics/get-history", run_id=run, metric_key="m", max_results=0)
    s.get("metrics/get-history", run_id=run, metric_key="m", max_results=2, page_token="!")
    s.post("runs/log-batch", run_id=other, metrics=[
        {"key": "m", "step": step, "timestamp": 100 + step, "value": step * 1.5} for step in range(100)])
    for query in ({}, {"max_results": 10}, {"start_step": 10, "end_step": 20}, {"start_step": 10},
                  {"start_step": 20, "end_step": 10}, {"max_results": 0}, {"max_results": 2501}, {"max_results": 2},
                  {"start_step": 0, "end_step": 99, "max_results": 7}):
        s.get("metrics/get-history-bulk-interval", run_ids=[other], metric_key="m", **query)
    s.get("metrics/get-history-bulk-interval", run_ids=[run, other], metric_key="m", max_results=5)
    s.get("metrics/get-history-bulk-interval", run_ids=["0" * 32], metric_key="m")
    s.get("metrics/get-history-bulk-interval", metric_key="m")
    s.get("metrics/get-history-bulk-interval", run_ids=[run])
    s.get("metrics/get-history-bulk-interval", run_ids=["0" * 31 + format(i, "x") for i in range(16)] * 7, metric_key="m")


def searches(s):
    e = _new(s, "run searches")
    runs = []
    for i in range(6):
        run = _run(s, e, f"run-{i}", start=100 + i)
        runs.append(run)
        s.client.log_batch(
            run, [Metric("auc", 0.5 + i / 10, 1, 0)] + ([Metric("a b/c", i, 1, 0)] if i % 2 else []),
            [Param("depth", str(i)), Param("kind", "Tree" if i < 3 else "tree")],
            [RunTag("team", "risk" if i % 3 else "fraud")] + ([RunTag("only", "x")] if i == 4 else []))
    s.client.log_metric(runs[5], "nan", math.nan, timestamp=1)
    s.client.log_metric(runs[4], "nan", 1.0, timestamp=1)
    for text in ("metrics.auc > 0.75", "metrics.auc >= 0.5 AND metrics.auc < 0.8", "metrics.auc = 0.5", "metrics.auc != 0.5",
                 "metrics.`a b/c` > 2", 'metrics."a b/c" > 2', "metrics.none > 1", "params.depth = '3'",
                 "params.depth != '3'", "params.kind LIKE 'T%'", "params.kind ILIKE 't%'", "params.none IS NULL",
                 "params.depth IS NOT NULL", "params.depth > '3'", "tags.team = 'fraud'", "tags.only IS NULL",
                 "tags.only IS NOT NULL", "tags.only != 'x'", "attributes.status = 'RUNNING'", "status != 'RUNNING'",
                 "attributes.run_name = 'run-2'", "run_name LIKE 'run-%'", "`run name` = 'run-2'", "Run.name = 'run-2'",
                 f"run_id IN ('{runs[0]}', '{runs[1]}')", f"run_id NOT IN ('{runs[0]}')", f"attributes.run_id = '{runs[2]}'",
                 "run_name IN ('run-1')", "status IN ('RUNNING')", "params.depth IN ('1')", "start_time > 103",
                 "start_time >= '103'", "attributes.end_time > 0", "user_id = 'u'", "artifact_uri LIKE '%artifacts'",
                 "metrics.auc > 'x'", "metrics.auc", "metrics.auc > 1 OR metrics.auc < 2", "params.depth = 3",
                 "params.depth = \"3\"", "lifecycle_stage = 'active'", "lifecycle_stage = 'deleted'", "nonsense.x = 1",
                 "metrics.nan > 0", "metrics.nan != 1", "params.depth = '3' AND tags.team = 'fraud' AND metrics.auc > 0",
                 "run_id IN ()", "run_id IN ('a' 'b')", "tags.team = 'it''s'", "metrics.auc LIKE 'x'", "  ",
                 "attributes.experiment_id = '1'", "tags.mlflow.runName = 'run-3'", "metrics.auc>0.75", "params.depth='3'",
                 "1 = 1", "dataset.name = 'x'", "metrics.auc > 0.5;", "start_time IS NULL"):
        s.post("runs/search", experiment_ids=[e], filter=text, order_by=["attributes.start_time ASC"])
    for order in (["metrics.auc DESC"], ["metrics.`a b/c` ASC"], ["metrics.`a b/c` DESC"], ["params.depth DESC"],
                  ["tags.only ASC"], ["attributes.run_name DESC"], ["start_time"], ["Start Time"], ["metrics.nan ASC"],
                  ["metrics.nan DESC"], ["metrics.auc SIDEWAYS"], ["nothing"], ["attribute.end_time", "params.depth ASC"],
                  ["tags.team DESC", "metrics.auc ASC"], ["status"], ["metrics.none"], ["user_id"], ["dataset.name"],
                  ["Created DESC"], ["run_id"]):
        found = s.client.search_runs  # the client's own paging is asked below
        del found
        s.post("runs/search", experiment_ids=[e], order_by=order)
    for limit in (0, 1, 50_000, 50_001, -5):
        s.post("runs/search", experiment_ids=[e], filter="params.depth = '3'", max_results=limit)
    s.post("runs/search", filter="params.depth = '3'")
    s.post("runs/search", experiment_ids=["123456789"])
    s.post("runs/search", experiment_ids=[e], page_token="!")
    page = s.post("runs/search", experiment_ids=[e], max_results=4, order_by=["metrics.auc DESC"])
    s.post("runs/search", experiment_ids=[e], max_results=4, order_by=["metrics.auc DESC"],
           page_token=page.get("next_page_token"))
    s.post("runs/delete", run_id=runs[0])
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", "NONE"):
        s.post("runs/search", experiment_ids=[e], filter="params.depth = '0'", run_view_type=view)
    s.do("client pages", lambda c: [r.info.run_name for r in c.search_runs([e], max_results=2)])


def datasets(s):
    e = _new(s, "datasets")
    one, two = _run(s, e, "d1", 1), _run(s, e, "d2", 2)
    train = {"name": "train", "digest": "abc", "source_type": "local", "source": "{}", "schema": "{}", "profile": "{}"}
    tags = [{"key": "mlflow.data.context", "value": "training"}]
    s.post("runs/log-inputs", run_id=one, datasets=[{"dataset": train, "tags": tags}])
    s.post("runs/log-inputs", run_id=one, datasets=[{"dataset": train, "tags": tags}])
    s.post("runs/log-inputs", run_id=two, datasets=[{"dataset": {**train, "name": "test", "digest": "def"}}])
    for change in ({"name": ""}, {"digest": ""}, {"name": "n" * 501}, {"digest": "d" * 37}, {"source": None},
                   {"source_type": None}):
        s.post("runs/log-inputs", run_id=two, datasets=[{"dataset": {**train, **change}}])
    s.post("runs/log-inputs", run_id=two)
    s.post("runs/log-inputs", run_id="0" * 32, datasets=[{"dataset": train}])
    s.post("runs/log-inputs", run_id=two, datasets=[{}])
    s.get("runs/get", run_id=one)
    for text in ("dataset.name = 'train'", "dataset.name != 'train'", "datasets.name LIKE 'T%'", "dataset.name ILIKE 'T%'",
                 "dataset.digest IN ('abc', 'def')", "dataset.digest NOT IN ('abc')", "dataset.context = 'training'",
                 "dataset.name = 'train' AND dataset.context = 'training'", "dataset.profile = 'x'", "dataset.name > 'a'",
                 "dataset.name = 'train' AND dataset.name = 'test'"):
        s.post("runs/search", experiment_ids=[e], filter=text)
    s.post("experiments/search-datasets", experiment_ids=[e])
    s.post("experiments/search-datasets", experiment_ids=[])
    s.post("experiments/search-datasets", experiment_ids=[str(i) for i in range(1000, 1021)])


def logged_models(s):
    e = _new(s, "logged models")
    run = _run(s, e, "maker")
    made = s.post("logged-models", experiment_id=e, name="one", model_type="tree", source_run_id=run,
                  params=[{"key": "p", "value": "1"}], tags=[{"key": "t", "value": "1"}])["model"]["info"]["model_id"]
    two = s.post("logged-models", experiment_id=e, name="two")["model"]["info"]["model_id"]
    s.post("logged-models", experiment_id=e)
    s.post("logged-models", experiment_id="123456789", name="x")
    s.post("logged-models", name="x")
    for name in ("a/b", "a:b", "a.b", "", "a%b", "a'b"):
        s.post("logged-models", experiment_id=e, name=name)
    s.get(f"logged-models/{made}")
    s.get("logged-models/m-" + "0" * 32)
    s.patch(f"logged-models/{made}", model_id=made, status="LOGGED_MODEL_READY")
    s.patch(f"logged-models/{made}", model_id=made, status="NO_SUCH")
    s.patch(f"logged-models/{made}", model_id=made)
    s.patch("logged-models/m-" + "0" * 32, status="LOGGED_MODEL_READY")
    s.patch(f"logged-models/{made}/tags", tags=[{"key": "u", "value": "2"}])
    s.delete(f"logged-models/{made}/tags/u")
    s.delete(f"logged-models/{made}/tags/u")
    s.post(f"logged-models/{made}/params", params=[{"key": "q", "value": "2"}])
    s.post(f"logged-models/{made}/params", params=[{"key": "q", "value": "3"}])
    for value, model in ((0.9, made), (0.7, two)):
        s.post("runs/log-metric", run_id=run, key="auc", value=value, timestamp=1, step=0, model_id=model,
               dataset_name="train", dataset_digest="abc")
    s.post("runs/outputs", run_id=run, models=[{"model_id": made, "step": 3}])
    s.post("runs/outputs", run_id=run, models=[])
    s.post("runs/log-inputs", run_id=run, models=[{"model_id": two}])
    s.get("runs/get", run_id=run)
    s.get(f"logged-models/{made}")
    for text in ("name = 'one'", "name LIKE 'o%'", "metrics.auc > 0.8", "params.p = '1'", "tags.t = '1'",
                 "model_type = 'tree'", f"source_run_id = '{run}'", "status = 'READY'", "nothing = 'x'",
                 "creation_timestamp > 0 AND name = 'one'", "name IN ('one', 'two')", "attributes.name != 'one' AND name = 'two'"):
        s.post("logged-models/search", experiment_ids=[e], filter=text)
    s.post("logged-models/search", experiment_ids=[e], filter="metrics.auc > 0.5", datasets=[{"dataset_name": "train"}],
           order_by=[{"field_name": "metrics.auc", "ascending": True, "dataset_name": "train"}])
    s.post("logged-models/search", experiment_ids=[e], filter="metrics.auc > 0.5", datasets=[{"dataset_name": "none"}])
    s.post("logged-models/search", experiment_ids=[e], filter="metrics.auc > 0.5",
           datasets=[{"dataset_name": "train", "dataset_digest": "xyz"}])
    s.post("logged-models/search", experiment_ids=[e], filter="metrics.auc > 0.5",
           order_by=[{"field_name": "metrics.auc", "ascending": False}])
    s.post("logged-models/search", experiment_ids=[e], filter="metrics.auc > 0.5", order_by=[{"field_name": "nothing"}])
    s.post("logged-models/search", experiment_ids=[e], filter="metrics.auc > 0.5", order_by=[{"ascending": True}])
    s.post("logged-models/search", experiment_ids=[e], max_results=0)
    s.post("logged-models/search")
    s.delete(f"logged-models/{two}")
    s.delete(f"logged-models/{two}")
    s.get(f"logged-models/{two}")


def measured_models(s):
    """Three models measured on two data sets, by two runs, some of them twice."""
    e = _new(s, "measured models")
    runs = [_run(s, e, "first"), _run(s, e, "second")]
    models = [s.post("logged-models", experiment_id=e, name=f"m{at}")["model"]["info"]["model_id"] for at in range(4)]
    points = [(0, 0, "train", "a", 0.9, 1), (0, 1, "test", "b", 0.5, 2), (1, 0, "train", "a", 0.8, 1),
              (1, 0, "test", "b", 0.7, 3), (2, 1, "train", "c", 0.95, 1), (2, 0, "test", "b", 0.6, 5)]
    for model, run, name, digest, value, time in points:
        s.post("runs/log-metric", run_id=runs[run], key="auc", value=value, timestamp=time, step=time,
               model_id=models[model], dataset_name=name, dataset_digest=digest)
    for order in ({}, {"dataset_name": "train"}, {"dataset_name": "test"}, {"dataset_digest": "a"}, {"dataset_name": "none"},
                  {"dataset_name": "train", "dataset_digest": "a"}, {"dataset_name": "train", "dataset_digest": "b"}):
        for ascending in (True, False):
            found = s.http.post(f"{s.base}/api/2.0/mlflow/logged-models/search", timeout=60, json={
                "experiment_ids": [e], "order_by": [{"field_name": "metrics.auc", "ascending": ascending, **order}]}).json()
            s._keep(f"ordered by {order} {ascending}", [model["info"]["name"] for model in found["models"]])


GROUPS = {"runs": lifecycle, "logging": logging, "histories": histories, "run searches": searches, "datasets": datasets,
          "logged models": logged_models, "measured models": measured_models}
