"""Feast's own SDK and command line with Aerie as their registry and online store, beside a registry of Feast's own."""
import datetime
import json
import os
import subprocess
import sys

import grpc
import pandas as pd
import pytest
import yaml
from feast import (Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, Project, PushSource, RepoConfig,
                   RequestSource, ValueType)
from feast.data_format import JsonFormat
from feast.data_source import KinesisSource, PushMode
from feast.errors import (ConflictingFeatureViewNames, DataSourceObjectNotFoundException, EntityNotFoundException,
                          FeastError, FeatureServiceNotFoundException, FeatureViewNotFoundException,
                          OnDemandFeatureViewNotFoundException, PermissionObjectNotFoundException,
                          ProjectObjectNotFoundException, RegistryInferenceFailure, SavedDatasetNotFound,
                          ValidationReferenceNotFound)
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.on_demand_feature_view import on_demand_feature_view
from feast.permissions.action import AuthzedAction
from feast.permissions.permission import Permission
from feast.permissions.policy import RoleBasedPolicy
from feast.protos.feast.registry import RegistryServer_pb2, RegistryServer_pb2_grpc
from feast.saved_dataset import SavedDataset
from feast.types import Array, Float32, Int64, String

UTC = datetime.timezone.utc
START = datetime.datetime(2026, 10, 1, tzinfo=UTC)
END = START + datetime.timedelta(days=3)


@pytest.fixture(scope="module")
def server(start_aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("registry")
    times = [START + datetime.timedelta(hours=h) for h in range(0, 60, 6)]
    frame = pd.DataFrame({
        "driver_id": [1 + i % 3 for i in range(10)], "event_timestamp": times, "created": times,
        "lately": [[i] for i in range(10)], "conv_rate": [i / 10 for i in range(10)], "trips": list(range(100, 110)), "city": [f"c{i}" for i in range(10)]})
    frame.conv_rate = frame.conv_rate.astype("float32")
    frame.to_parquet(folder / "drivers.parquet", index=False)
    server = start_aerie(folder / "data")
    server.folder, server.frame = folder, frame
    return server


def store(server, project, registry=None):
    """Feast with Aerie as its registry and online store, or with the registry of that path."""
    return FeatureStore(config=RepoConfig(
        project=project, provider="local", entity_key_serialization_version=3,
        registry=str(registry) if registry else {"registry_type": "remote", "path": server.grpc},
        online_store={"type": "remote", "path": f"{server.http}/feast/{project}"}))


def definitions(server):
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64, description="who drives",
                    tags={"team": "cars"}, owner="a@example.com")
    source = FileSource(
        name="drivers", path=str(server.folder / "drivers.parquet"), timestamp_field="event_timestamp",
        created_timestamp_column="created", tags={"zone": "raw"})
    stats = FeatureView(
        name="driver_stats", entities=[driver], ttl=datetime.timedelta(days=30), description="how they drive",
        schema=[Field(name="conv_rate", dtype=Float32, description="share"), Field(name="trips", dtype=Int64)],
        source=source, tags={"team": "cars"}, owner="b@example.com")
    push = PushSource(name="drivers_push", batch_source=source)
    fresh = FeatureView(
        name="driver_fresh", entities=[driver], ttl=datetime.timedelta(0),
        schema=[Field(name="city", dtype=String), Field(name="lately", dtype=Array(Int64))], source=push)
    total = FeatureView(
        name="totals", ttl=datetime.timedelta(days=30), schema=[Field(name="trips", dtype=Int64)], source=source)
    service = FeatureService(name="model_v1", features=[stats[["trips"]], fresh], description="for the model")
    return [driver, source, stats, push, fresh, total, service]


def python_view(server):
    objects = definitions(server)
    asked = RequestSource(name="asked", schema=[Field(name="factor", dtype=Int64)])

    @on_demand_feature_view(
        sources=[objects[2], asked], schema=[Field(name="scaled", dtype=Int64)], mode="pandas")
    def scaled_trips(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"scaled": inputs["trips"] * inputs["factor"]})

    return objects, scaled_trips


TIMES = ("created_timestamp", "last_updated_timestamp")
# Feast's own registries count versions, and give each a number.
VERSIONS = ("version_id", "current_version_number", "state")


def without_times(message):
    """The message, at every depth, without when it was written, as no two registries write at the same time."""
    for field, value in message.ListFields():
        if field.name in TIMES + VERSIONS:
            message.ClearField(field.name)
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for part in value if field.is_repeated else [value]:
                without_times(part)
        elif field.message_type is not None and field.message_type.fields_by_name["value"].message_type is not None:
            for part in value.values():
                without_times(part)
    return message


def protos(found, kind):
    messages = {one.name: without_times(one.to_proto()) for one in found}
    for message in messages.values() if kind == "data_sources" else ():
        if not message.batch_source.name:
            message.ClearField("batch_source")
    return messages


def test_what_is_applied_comes_back_as_from_feasts_own_registry(server, tmp_path):
    remote, local = store(server, "same_Names"), store(server, "same_Names", tmp_path / "registry.db")
    objects, scaled = python_view(server)
    for one in (remote, local):
        one.apply([*objects, scaled])
    for kind in ("entities", "data_sources", "feature_views", "on_demand_feature_views", "feature_services"):
        ours = protos(getattr(remote.registry, f"list_{kind}")(project="same_Names"), kind)
        theirs = protos(getattr(local.registry, f"list_{kind}")(project="same_Names", allow_cache=False), kind)
        assert ours.keys() == theirs.keys() and ours, kind
        for name, message in theirs.items():
            assert ours[name] == message, (kind, name)
    view = remote.get_feature_view("driver_stats")
    assert view.created_timestamp and view.last_updated_timestamp >= view.created_timestamp
    tagged = remote.list_feature_views(tags={"team": "cars"})
    assert [one.name for one in tagged] == ["driver_stats"]
    assert [one.name for one in remote.list_projects()] .count("same_Names") == 1


def test_what_is_applied_is_at_once_carried_out(server):
    project = "carried_out"
    remote = store(server, project)
    objects, scaled = python_view(server)
    remote.apply([*objects, scaled])
    remote.materialize(START, END)
    features = ["driver_stats:conv_rate", "driver_stats:trips", "driver_fresh:city"]
    got = remote.get_online_features(features, [{"driver_id": 1}, {"driver_id": 9}]).to_dict()
    assert got == {"driver_id": [1, 9], "conv_rate": [pytest.approx(0.9), None], "trips": [109, None], "city": ["c9", None]}
    # An entityless view is one row for all.
    assert remote.get_online_features(["totals:trips"], [{"driver_id": 1}]).to_dict()["trips"] == [109]
    now = pd.Timestamp("2026-11-01T00:00:00Z")
    remote.push("drivers_push", pd.DataFrame({
        "driver_id": [9], "event_timestamp": [now], "created": [now], "city": ["Bari"], "lately": [[4, 5]]}),
        to=PushMode.ONLINE)
    service = remote.get_feature_service("model_v1")
    assert remote.get_online_features(service, [{"driver_id": 9}]).to_dict() == {
        "driver_id": [9], "trips": [None], "city": ["Bari"], "lately": [[4, 5]]}
    intervals = remote.get_feature_view("driver_stats").materialization_intervals
    assert [(a, b) for a, b in intervals] == [(START, END)]
    remote.materialize_incremental(END + datetime.timedelta(days=1))
    assert remote.get_feature_view("driver_stats").materialization_intervals[-1] == (
        END, END + datetime.timedelta(days=1))
    # The same definitions in Aerie's own words, and its point-in-time table over them.
    view = yaml.safe_load(server.cli("get", "featureview", "driver_stats", "-n", project, "-o", "yaml").stdout)
    assert view["spec"]["ttl"] == "2592000s" and view["spec"]["source"]["createdTimestampColumn"] == "created"
    # Python is not run, and the words say so; Feast's client gives up at once, as it is no 5xx.
    with pytest.raises(Exception, match="Python"):
        remote.get_online_features(["scaled_trips:scaled"], [{"driver_id": 1, "factor": 2}])


def test_what_was_declared_as_yaml_is_seen_by_the_sdk(server):
    project = "declared"
    server.cli("apply", "-n", project, "-f", "-", input=f"""
apiVersion: aerie.dev/v1
kind: Entity
metadata: {{name: driver}}
spec: {{joinKey: driver_id, valueType: INT64, description: who, tags: {{a: b}}}}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: stats}}
spec:
  entities: [driver]
  ttl: 30d
  source: {{type: parquet, path: {server.folder}/drivers.parquet, timestampField: event_timestamp}}
  features: [{{name: conv_rate, dtype: FLOAT, default: 0.5}}, {{name: trips, dtype: INT64}}]
---
apiVersion: aerie.dev/v1
kind: FeatureService
metadata: {{name: svc}}
spec: {{features: ["stats:trips"]}}
""")
    remote = store(server, project)
    view = remote.get_feature_view("stats")
    assert view.ttl == datetime.timedelta(days=30) and view.entities == ["driver"] and view.online
    assert [(f.name, f.dtype) for f in view.features] == [("conv_rate", Float32), ("trips", Int64)]
    assert [(f.name, f.dtype) for f in view.entity_columns] == [("driver_id", Int64)]
    assert view.batch_source.path == f"{server.folder}/drivers.parquet"
    assert remote.get_entity("driver").tags == {"a": "b"} and remote.get_entity("driver").join_key == "driver_id"
    assert [s.name for s in remote.list_data_sources()] == ["stats_source"]
    # Feast's own offline store reads by these definitions.
    rows = pd.DataFrame({"driver_id": [1, 2], "event_timestamp": [END, END]})
    table = remote.get_historical_features(rows, remote.get_feature_service("svc")).to_df()
    assert dict(zip(table.driver_id, table.trips)) == {1: 109, 2: 107}
    # What the SDK changes is changed here, and what Feast has no word for stays.
    view.description = "from the SDK"
    remote.registry.apply_feature_view(view, project)
    shown = yaml.safe_load(server.cli("get", "featureview", "stats", "-n", project, "-o", "yaml").stdout)
    assert shown["spec"]["description"] == "from the SDK" and shown["spec"]["features"][0]["default"] == 0.5


def test_errors_are_feasts_own(server):
    project = "errors"
    remote = store(server, project)
    remote.apply(definitions(server))
    registry = remote.registry
    for get, error in [
        (registry.get_entity, EntityNotFoundException), (registry.get_feature_view, FeatureViewNotFoundException),
        (registry.get_any_feature_view, FeatureViewNotFoundException),
        (registry.get_stream_feature_view, FeatureViewNotFoundException),
        (registry.get_on_demand_feature_view, OnDemandFeatureViewNotFoundException),
        (registry.get_feature_service, FeatureServiceNotFoundException),
        (registry.get_data_source, DataSourceObjectNotFoundException),
        (registry.get_saved_dataset, SavedDatasetNotFound),
        (registry.get_validation_reference, ValidationReferenceNotFound),
        (registry.get_permission, PermissionObjectNotFoundException),
        (registry.delete_entity, EntityNotFoundException), (registry.delete_feature_view, FeatureViewNotFoundException),
    ]:
        with pytest.raises(error, match="nope does not exist in project errors"):
            get("nope", project)
    with pytest.raises(ProjectObjectNotFoundException, match="nope"):
        registry.get_project("nope")
    for delete, name, user in [
        (registry.delete_entity, "driver", "driver_stats"), (registry.delete_feature_view, "driver_stats", "model_v1"),
        (registry.delete_data_source, "drivers", "driver_fresh"),
    ]:
        with pytest.raises(FeastError, match=f"used by .*{user}"):
            delete(name, project)
    assert len(remote.list_feature_views()) == 3
    _, scaled = python_view(server)
    scaled.name = "driver_stats"
    with pytest.raises(ConflictingFeatureViewNames):
        registry.apply_feature_view(scaled, project)
    with pytest.raises(FeastError, match="cut short"):
        remote.registry.channel.unary_unary("/feast.registry.RegistryServer/GetEntity")(b"\x0a\xff")


def test_what_cannot_be_carried_out_leaves_what_is_there(server):
    project = "kept"
    remote = store(server, project)
    remote.apply(definitions(server))
    remote.materialize(START, END, ["totals", "driver_stats"])
    registry = remote.registry

    def shown(kind, name):
        found = json.loads(server.cli("get", kind, name, "-n", project, "-o", "json").stdout)
        return found["metadata"]["uid"], found["spec"], (found["status"] or {}).get("materializations")

    def changed(change):
        view = registry.get_feature_view("totals", project)
        change(view)
        return lambda: registry.apply_feature_view(view, project)
    kept = {one: shown(*one) for one in (("featureview", "totals"), ("featureservice", "model_v1"), ("entity", "driver"))}
    service = registry.get_feature_service("model_v1", project)
    service.feature_view_projections = []
    entity = registry.get_entity("driver", project)
    entity.value_type = ValueType.FLOAT
    for apply, error, words in [
        (changed(lambda view: view.features.clear()), RegistryInferenceFailure, "FeatureView 'totals' stays as it was.*schema"),
        (changed(lambda view: view.features.append(Field(name="a:b", dtype=Int64))), FeastError, "'totals' stays.*a:b"),
        (changed(lambda view: setattr(view, "batch_source", KinesisSource(
            name="k", stream_name="k", region="r", record_format=JsonFormat("a int"), timestamp_field="event_timestamp"))),
         FeastError, "'totals' stays as it was.*not read here"),
        (lambda: registry.apply_feature_service(service, project), FeastError, "FeatureService 'model_v1' stays.*no features"),
        (lambda: registry.apply_entity(entity, project), FeastError, "entity 'driver'.*FLOAT.*one of INT32, INT64, STRING"),
    ]:
        with pytest.raises(error, match=words):
            apply()
        for one, before in kept.items():
            assert shown(*one) == before
    assert remote.get_online_features(["totals:trips"], [{"driver_id": 1}]).to_dict()["trips"] == [109]
    assert remote.get_feature_view("totals").materialization_intervals == [(START, END)]
    # Who wants the definition alone says so.
    registry.delete_feature_view("totals", project)
    changed_view = next(one for one in definitions(server) if one.name == "totals")
    changed_view.features = []
    registry.apply_feature_view(changed_view, project)
    with pytest.raises(Exception, match="kept and not carried out: it has no features"):
        remote.get_online_features(["totals:trips"], [{"driver_id": 1}])
    # Without a schema, the SDK brings what it finds in the source.
    inferred = FeatureView(name="totals", ttl=datetime.timedelta(days=30), source=definitions(server)[1])
    remote.apply(inferred)
    names = {one["name"] for one in shown("featureview", "totals")[1]["features"]}
    assert names == {"conv_rate", "trips", "city", "lately", "driver_id"}


def test_a_changed_view_keeps_what_was_materialized_or_says_that_it_is_read_again(server):
    project = "remade"
    remote = store(server, project)
    objects = definitions(server)
    remote.apply(objects)
    # The SDK copies the one by itself, and Aerie the other.
    remote.materialize(START, END, ["totals"])
    server.cli("features", "materialize", START.isoformat(), END.isoformat(), "--views", "driver_stats", "-n", project)
    for name in ("totals", "driver_stats"):
        view = registry_view = remote.registry.get_feature_view(name, project)
        assert view.materialization_intervals == [(START, END)], name
        registry_view.description, registry_view.owner, registry_view.tags = "told anew", "c@example.com", {"a": "b"}
        remote.apply(registry_view)
        assert remote.get_feature_view(name).materialization_intervals == [(START, END)]
        text = server.cli("get", "featureview", name, "-n", project, "-o", "yaml").stdout
        told = server.cli("apply", "-f", "-", input=text.replace("told anew", "told here"))
        assert "configured" in told.stdout and told.stderr == ""
        assert remote.get_feature_view(name).materialization_intervals == [(START, END)]
        assert remote.get_feature_view(name).description == "told here"
        # A feature that no row has yet.
        view = remote.registry.get_feature_view(name, project)
        view.features.append(Field(name="city", dtype=String))
        remote.apply(view)
        assert remote.get_feature_view(name).materialization_intervals == []
    remote.materialize_incremental(END, ["totals"])
    assert remote.get_online_features(["totals:city"], [{"driver_id": 1}]).to_dict()["city"] == ["c9"]
    done = server.cli("features", "materialize-incremental", END.isoformat(), "--views", "driver_stats", "-n", project)
    got = remote.get_online_features(["driver_stats:city"], [{"driver_id": 1}, {"driver_id": 2}]).to_dict()
    assert got["city"] == ["c9", "c7"], done.stderr


def test_projects_are_apart_and_go_as_a_whole(server):
    one, two = store(server, "project_one"), store(server, "project_two")
    for each in (one, two):
        each.apply([Project(name=each.project, description=f"about {each.project}"), *definitions(server)])
    one.registry.apply_saved_dataset(SavedDataset(
        name="labels", features=["driver_stats:trips"], join_keys=["driver_id"],
        storage=SavedDatasetFileStorage(path="/tmp/labels.parquet")), "project_one")
    one.registry.apply_permission(Permission(
        name="all", types=[FeatureView], policy=RoleBasedPolicy(roles=["reader"]), actions=[AuthzedAction.DESCRIBE]),
        "project_one")
    assert [d.name for d in one.registry.list_saved_datasets("project_one")] == ["labels"]
    assert [p.name for p in one.registry.list_permissions("project_one")] == ["all"]
    assert two.registry.list_saved_datasets("project_two") == []
    whole = one.registry.proto()
    described = {p.spec.name: p.spec.description for p in whole.projects}
    assert described["project_one"] == "about project_one"
    assert [v.spec.name for v in whole.feature_views if v.spec.project == "project_two"] == [
        "driver_fresh", "driver_stats", "totals"]
    one.registry.delete_project("project_one")
    with pytest.raises(ProjectObjectNotFoundException):
        one.registry.get_project("project_one")
    assert one.list_feature_views() == [] and len(two.list_feature_views()) == 3


def test_a_change_of_many_objects_is_one_commit(server):
    remote = store(server, "commits")
    objects = definitions(server)
    driver, source, stats, push, fresh, total, service = objects
    remote.apply(objects)
    # A feature that the service reads goes from both in one apply: the view is sent before the service.
    smaller = FeatureView(name="driver_stats", entities=[driver], source=source, ttl=stats.ttl,
                          schema=[Field(name="conv_rate", dtype=Float32)])
    remote.apply([driver, source, smaller, push, fresh, FeatureService(name="model_v1", features=[smaller, fresh])])
    assert [f.name for f in remote.get_feature_view("driver_stats").features] == ["conv_rate"]
    remote.apply([total], objects_to_delete=[driver, smaller, push, fresh, service], partial=False)
    assert [v.name for v in remote.list_feature_views()] == ["totals"]
    assert remote.list_feature_services() == []
    assert "driver" not in [e.name for e in remote.list_entities()]


REPO = """
from datetime import timedelta
from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float32, Int64
driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
source = FileSource(name="drivers", path="{path}", timestamp_field="event_timestamp", created_timestamp_column="created")
stats = FeatureView(name="stats", entities=[driver], ttl=timedelta(days=30), source=source,
                    schema=[Field(name="conv_rate", dtype=Float32), Field(name="trips", dtype=Int64)])
"""


def feast(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "feast.cli.cli", *arguments], cwd=folder, capture_output=True, text=True,
        timeout=120, env={**os.environ, "FEAST_USAGE": "False", "IS_TEST": "True"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_feast_command_line(server, tmp_path):
    (tmp_path / "feature_store.yaml").write_text(yaml.safe_dump({
        "project": "by_cli", "provider": "local", "entity_key_serialization_version": 3,
        "registry": {"registry_type": "remote", "path": server.grpc},
        "online_store": {"type": "remote", "path": f"{server.http}/feast/by_cli"}}))
    repo = REPO.format(path=server.folder / "drivers.parquet")
    service = 'service = FeatureService(name="svc", features=[stats])\n'
    (tmp_path / "repo.py").write_text(repo + service)
    feast(tmp_path, "apply")
    assert "stats" in feast(tmp_path, "feature-views", "list")
    assert "driver" in feast(tmp_path, "entities", "list") and "svc" in feast(tmp_path, "feature-services", "list")
    feast(tmp_path, "materialize", START.isoformat(), END.isoformat())
    remote = store(server, "by_cli")
    assert remote.get_online_features(["stats:trips"], [{"driver_id": 2}]).to_dict()["trips"] == [107]
    # What is no longer in the repo goes, the view and the service that reads it in one apply.
    (tmp_path / "repo.py").write_text(repo.replace('"stats"', '"other"'))
    feast(tmp_path, "apply")
    assert [v.name for v in remote.list_feature_views()] == ["other"] and remote.list_feature_services() == []
    listed = server.cli("get", "featureview", "-n", "by_cli").stdout
    assert "other" in listed and "stats" not in listed.replace("other", "")
    feast(tmp_path, "teardown")
    assert store(server, "by_cli").list_feature_views() == []


def test_every_method_of_the_registry_is_there(server):
    remote = store(server, "methods")
    objects, scaled = python_view(server)
    remote.apply([*objects, scaled])
    channel = grpc.insecure_channel(server.grpc)
    stub = RegistryServer_pb2_grpc.RegistryServerStub(channel)
    service = RegistryServer_pb2.DESCRIPTOR.services_by_name["RegistryServer"]
    assert len(service.methods) == 55
    refused = set()
    for method in service.methods:
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary(f"/feast.registry.RegistryServer/{method.name}")(b"\xff" * 40)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT, method.name
        assert json.loads(error.value.details())["module"] == "feast.errors"
        kind = getattr(RegistryServer_pb2, method.input_type.name, None)
        request = kind() if kind else __import__("google.protobuf.empty_pb2", fromlist=["Empty"]).Empty()
        if hasattr(request, "project") and isinstance(request.project, str):
            request.project = "methods"
        try:
            getattr(stub, method.name)(request)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                refused.add(method.name)
            else:
                assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND), method.name
                assert json.loads(error.details())["module"] == "feast.errors"
    assert refused == {"CreateDatasetFromRetrieval", "GetDatasetData", "GetDatasetJobStatus"}
    page = stub.ListFeatures(RegistryServer_pb2.ListFeaturesRequest(
        project="methods", feature_view="driver_stats", pagination={"page": 2, "limit": 1}, sorting={"sort_by": "name"}))
    assert [(f.name, f.type, f.kind) for f in page.features] == [("trips", "Int64", "feature")]
    assert page.pagination.total_count == 2 and not page.pagination.has_next
    found = stub.ListAllFeatureViews(RegistryServer_pb2.ListAllFeatureViewsRequest(
        project="methods", data_source="asked"))
    assert [v.on_demand_feature_view.spec.name for v in found.feature_views] == ["scaled_trips"]
    lineage = stub.GetRegistryLineage(RegistryServer_pb2.GetRegistryLineageRequest(
        project="methods", filter_object_type="dataSource", filter_object_name="drivers"))
    assert {(r.target.type, r.target.name) for r in lineage.relationships} >= {("featureView", "driver_stats")}
    assert ("featureService", "model_v1") in {(r.target.type, r.target.name) for r in lineage.indirect_relationships}


@pytest.mark.parametrize("kind", ["file", "sql"])
def test_a_registry_of_feasts_own_is_brought_over(server, tmp_path, kind):
    project = f"moved_{kind}"
    path = tmp_path / "registry.db"
    local = FeatureStore(config=RepoConfig(
        project=project, provider="local", entity_key_serialization_version=3,
        registry=str(path) if kind == "file" else {"registry_type": "sql", "path": f"sqlite:///{path}"},
        online_store={"type": "remote", "path": f"{server.http}/feast/{project}"}))
    objects, scaled = python_view(server)
    local.apply([*objects, scaled])
    view = local.get_feature_view("driver_stats")
    local.registry.apply_materialization(view, project, START, END)
    for arguments in (("--dry-run",), (), ()):
        report = json.loads(server.cli("import", "feast", "--from", str(path), "--output", "json", *arguments).stdout)
        assert report["projects"] == [project] and report["kinds"]["FeatureView"] == 3
        assert report["kinds"]["OnDemandFeatureView"] == 1 and any("Python" in p for p in report["problems"])
        remote = store(server, project)
        assert len(remote.list_feature_views()) == (0 if arguments else 3)
    theirs = protos(local.registry.list_feature_views(project=project), "feature_views")
    assert protos(remote.registry.list_feature_views(project=project), "feature_views") == theirs
    assert remote.get_feature_view("driver_stats").materialization_intervals == [(START, END)]
    assert "BROUGHT OVER" in server.cli("import", "feast", "--from", str(path), "--project", project).stdout
    wrong = server.cli("import", "feast", "--from", str(path), "--project", "nope", check=False)
    assert wrong.returncode == 2 and "nope" in wrong.stderr
    (tmp_path / "text").write_bytes(b"\x0a\xff nothing")
    assert server.cli("import", "feast", "--from", str(tmp_path / "text"), check=False).returncode == 2


def test_names_and_ttls_that_feast_takes(server):
    project = "names"
    remote = store(server, project)
    driver, source = definitions(server)[:2]
    source.field_mapping = {"trips": "trips__sum/7d"}
    view = FeatureView(
        name="driver__stats.v-1", entities=[driver], ttl=datetime.timedelta(days=100_000), source=source,
        schema=[Field(name="trips__sum/7d", dtype=Int64), Field(name="conv_rate", dtype=Float32)])
    remote.apply([driver, source, view, FeatureService(name="all", features=[view])])
    remote.materialize(START, END)
    remote.materialize_incremental(END + datetime.timedelta(days=1))
    rows = [{"driver_id": 1}]
    got = remote.get_online_features(["driver__stats.v-1:trips__sum/7d"], rows).to_dict()
    assert got == {"driver_id": [1], "trips__sum/7d": [109]}
    full = remote.get_online_features(remote.get_feature_service("all"), rows, full_feature_names=True).to_dict()
    assert full["driver__stats.v-1__trips__sum/7d"] == [109]
    table = json.loads(server.cli(
        "features", "online", "get", "--entity", "driver_id=1", "--features", "driver__stats.v-1/trips__sum/7d",
        "-n", project, "--json").stdout)
    assert 109 in [one["values"][0] for one in table["results"]]
    for part in (":", "@"):
        view.name = f"driver{part}stats"
        with pytest.raises(FeastError, match="must not contain"):
            remote.registry.apply_feature_view(view, project)
    assert [one.name for one in remote.list_feature_views()] == ["driver__stats.v-1"]


def test_the_registry_survives_a_crash(server, start_aerie):
    remote = store(server, "crash")
    remote.apply(definitions(server))
    before = protos(remote.list_feature_views(), "feature_views")
    server.kill()
    again = start_aerie(server.data_dir)
    remote = store(again, "crash")
    assert protos(remote.list_feature_views(), "feature_views") == before
