"""Every command of Feast's own command line that talks to a registry or a store, on Aerie's."""
import datetime
import json
import os
import sys

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

START = datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)
END = START + datetime.timedelta(days=3)
PROJECT = "commands"

REPO = """
from datetime import timedelta
from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Float64, Int64

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64, tags={{"team": "cars"}})
source = FileSource(name="drivers", path={path!r}, timestamp_field="event_timestamp")
stats = FeatureView(name="stats", entities=[driver], ttl=timedelta(days=30), source=source, tags={{"team": "cars"}},
                    schema=[Field(name="trips", dtype=Int64, description="how many"), Field(name="rate", dtype=Float64)])
fresh = FeatureView(name="fresh", entities=[driver], ttl=timedelta(0), schema=[Field(name="trips", dtype=Int64)],
                    source=PushSource(name="drivers_push", batch_source=source))
service = FeatureService(name="model_v1", features=[stats[["trips"]]])
"""


@pytest.fixture(scope="module")
def repository(start_aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    server = start_aerie(folder / "data")
    frame = pd.DataFrame({
        "driver_id": [i % 4 for i in range(24)], "event_timestamp": [START + datetime.timedelta(hours=3 * i) for i in range(24)],
        "trips": range(24), "rate": [i / 8 for i in range(24)]})
    frame.to_parquet(folder / "drivers.parquet", index=False)
    repo = folder / "repo"
    repo.mkdir()
    host, port = server.grpc.split(":")
    (repo / "feature_store.yaml").write_text(yaml.safe_dump({
        "project": PROJECT, "provider": "local", "entity_key_serialization_version": 3,
        "registry": {"registry_type": "remote", "path": server.grpc},
        "online_store": {"type": "remote", "path": f"{server.http}/feast/{PROJECT}"},
        "offline_store": {"type": "remote", "host": host, "port": int(port)}}))
    (repo / "definitions.py").write_text(REPO.format(path=str(folder / "drivers.parquet")))
    return type("Repository", (), {"folder": repo, "server": server, "frame": frame})


def feast(repository, *arguments):
    from feast.cli.cli import cli

    before, path, modules = os.getcwd(), list(sys.path), set(sys.modules)
    try:
        done = CliRunner().invoke(cli, ["-c", str(repository.folder), *arguments])
    finally:
        os.chdir(before)
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if name == "definitions":
                del sys.modules[name]
    return done


def works(repository, *arguments):
    done = feast(repository, *arguments)
    assert done.exit_code == 0, f"{arguments}: {done.output}\n{done.exception!r}"
    return done.output


def refuses(repository, words, *arguments):
    done = feast(repository, *arguments)
    assert done.exit_code != 0, arguments
    assert words in done.output + str(done.exception), f"{arguments}: {done.output}\n{done.exception!r}"
    return done


def test_what_was_applied_is_listed_and_described(repository):
    works(repository, "apply")
    assert "No changes to registry" in works(repository, "plan")
    works(repository, "apply")
    shown = {
        ("entities", "list"): "driver", ("entities", "describe", "driver"): "joinKey: driver_id",
        ("feature-views", "list"): "fresh", ("feature-views", "list", "--tags", "team:cars"): "stats",
        ("feature-views", "describe", "stats"): "ttl: 2592000s", ("features", "list"): "rate",
        ("features", "describe", "trips"): "how many", ("data-sources", "list"): "drivers_push",
        ("data-sources", "describe", "drivers"): "drivers.parquet", ("feature-services", "list"): "stats:trips",
        ("feature-services", "describe", "model_v1"): "featureViewName: stats", ("projects", "list"): PROJECT,
        ("projects", "describe", PROJECT): PROJECT, ("registry-dump",): '"model_v1"', ("configuration",): "remote"}
    for arguments, words in shown.items():
        assert words in works(repository, *arguments), arguments
    assert "fresh" not in works(repository, "feature-views", "list", "--tags", "team:cars")
    for kind in ["on-demand-feature-views", "stream-feature-views", "label-views", "permissions", "saved-datasets",
                 "validation-references"]:
        assert PROJECT not in works(repository, kind, "list")


@pytest.mark.parametrize("kind", ["entities", "feature-views", "feature-services", "data-sources", "saved-datasets", "projects",
                                  "stream-feature-views", "on-demand-feature-views", "validation-references", "permissions"])
def test_what_is_not_there_is_said_to_be_not_there(repository, kind):
    refuses(repository, "nobody does not exist", kind, "describe", "nobody")


def test_states_of_a_view_are_those_that_feast_allows(repository):
    state = ("feature-views", "set-state")
    assert "STATE_UNSPECIFIED" in works(repository, "feature-views", "list")
    works(repository, *state, "stats", "created")
    assert "already in state CREATED" in works(repository, *state, "stats", "CREATED")
    assert "Invalid state transition: CREATED -> AVAILABLE_ONLINE" in works(repository, *state, "stats", "AVAILABLE_ONLINE")
    works(repository, *state, "stats", "GENERATED")
    # Definitions that are applied again say nothing of states.
    works(repository, "apply")
    assert "state: GENERATED" in works(repository, "feature-views", "describe", "stats")
    for command in ("enable", "disable"):
        refuses(repository, "nobody does not exist", "feature-views", command, "nobody")
    refuses(repository, "nobody does not exist", *state, "nobody", "CREATED")
    # The SDK's remote registry has no call for versions, whoever answers it: its own exception is its command's words.
    refuses(repository, "Version history is not supported by this registry backend", "feature-views", "list-versions", "stats")
    assert f"name: {PROJECT}" in works(repository, "projects", "current_project")
    for kind in ("on-demand-feature-views", "stream-feature-views", "label-views"):
        refuses(repository, "nobody does not exist", kind, "describe", "nobody")
    works(repository, "permissions", "list-roles")
    works(repository, "permissions", "check")


def test_values_go_online_and_into_training_data(repository):
    day = [(START + datetime.timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S") for days in range(4)]
    for number, arguments in enumerate([("materialize", "-v", "stats", day[0], day[1]), ("materialize-incremental", day[2])]):
        works(repository, *arguments)
        seen = repository.frame[repository.frame.event_timestamp <= START + datetime.timedelta(days=number + 1)]
        got = json.loads(works(repository, "get-online-features", "-e", "driver_id=1", "-f", "stats:trips"))
        assert got == {"driver_id": [1], "trips": [int(seen[seen.driver_id == 1].trips.iloc[-1])]}
    rows = json.dumps([{"driver_id": 1, "event_timestamp": day[1]}, {"driver_id": 77, "event_timestamp": day[1]}])
    got = json.loads(works(repository, "get-historical-features", "-d", rows, "-f", "stats:trips"))
    assert [row["trips"] for row in got] == [5, None]
    missing = "Feature view nobody does not exist in project commands"
    refuses(repository, missing, "materialize", "-v", "nobody", day[0], day[1])
    for arguments in [("get-online-features", "-e", "driver_id=1", "-f", "nobody:trips"),
                      ("get-historical-features", "-d", rows, "-f", "nobody:trips")]:
        assert type(refuses(repository, missing, *arguments).exception).__name__ == "FeatureViewNotFoundException"


def test_a_view_is_switched_off_and_on(repository):
    ask = ("get-online-features", "-e", "driver_id=1", "-f", "fresh:trips")
    before = works(repository, *ask)
    works(repository, "feature-views", "disable", "fresh")
    refuses(repository, "switched off", *ask)
    assert "already disabled" in works(repository, "feature-views", "disable", "fresh")
    works(repository, "feature-views", "enable", "fresh")
    works(repository, "materialize", "-v", "fresh", START.strftime("%Y-%m-%dT%H:%M:%S"), "2026-11-03T00:00:00")
    assert works(repository, *ask) == before
    # One that a service reads stays on.
    refuses(repository, "FeatureService/model_v1", "feature-views", "disable", "stats")


def test_what_is_in_use_is_deleted_after_its_user(repository):
    refuses(repository, "FeatureService/model_v1", "delete", "stats")
    assert "Deleted" in works(repository, "delete", "model_v1")
    assert "Deleted" in works(repository, "delete", "stats")
    assert "not found" in works(repository, "delete", "stats")
    assert "stats" not in works(repository, "feature-views", "list")
    works(repository, "teardown")
    assert "fresh" not in works(repository, "feature-views", "list")
