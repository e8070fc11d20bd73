"""Versions of feature views online: Feast's SDK and its Redis layout beside a registry of Feast's own, and Aerie's words."""
import datetime
import json

import pandas as pd
import pytest
import requests
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64, Int64, String

from test_features_redis import Redis

UTC = datetime.timezone.utc
START, END = datetime.datetime(2026, 10, 1, tzinfo=UTC), datetime.datetime(2026, 10, 20, tzinfo=UTC)
PROJECT = "versioned"
DRIVERS = list(range(1, 41))


@pytest.fixture(scope="module")
def setting(start_aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("versions")
    frame = pd.DataFrame({
        "driver_id": DRIVERS * 2, "event_timestamp": [START + datetime.timedelta(hours=i) for i in range(80)],
        "trips": range(80), "rate": [i / 8 for i in range(80)], "city": [f"c{i % 7}" for i in range(80)]})
    frame.to_parquet(folder / "drivers.parquet", index=False)
    redis = Redis(folder / "redis")
    server = start_aerie(folder / "data", "--online", f"redis://127.0.0.1:{redis.port}", "--feature-view-versions")
    server.folder, server.redis, server.newest = folder, redis, frame.iloc[40:].set_index("driver_id")
    yield server
    redis.kill()


def schemas():
    """What the view holds in each of its versions."""
    trips, rate, city = Field(name="trips", dtype=Int64), Field(name="rate", dtype=Float64), Field(name="city", dtype=String)
    return [[trips, rate], [trips, rate, city], [trips, city]]


def view(server, number, name="stats", **more):
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    source = FileSource(name="drivers", path=str(server.folder / "drivers.parquet"), timestamp_field="event_timestamp")
    return [driver, source, FeatureView(
        name=name, entities=[driver], ttl=datetime.timedelta(0), schema=schemas()[number], source=source, **more)]


def remote(server):
    return FeatureStore(config=RepoConfig(
        project=PROJECT, provider="local", entity_key_serialization_version=3,
        registry={"registry_type": "remote", "path": server.grpc},
        online_store={"type": "remote", "path": f"{server.http}/feast/{PROJECT}"}))


@pytest.fixture(scope="module")
def stores(setting):
    """Aerie by the SDK, and Feast with a registry of its own over the same Redis. Each has the same three versions."""
    ours = remote(setting)
    theirs = FeatureStore(config=RepoConfig(
        project=PROJECT, provider="local", entity_key_serialization_version=3,
        registry={"path": str(setting.folder / "registry.db"), "enable_online_feature_view_versioning": True},
        online_store={"type": "redis", "connection_string": f"127.0.0.1:{setting.redis.port}"}))
    for number in range(3):
        for store in (ours, theirs):
            store.apply(view(setting, number))
        # What is said of a view makes no version. (Feast's own registry then forgets which one is the present.)
        ours.apply(view(setting, number, description=f"the {number}th", tags={"n": str(number)}))
    return ours, theirs


def read(store, features, **more):
    return store.get_online_features(features, [{"driver_id": driver} for driver in DRIVERS], **more).to_dict()


def test_versions_have_feasts_numbers(setting, stores):
    ours, theirs = stores
    assert ours.get_feature_view("stats").current_version_number == 2
    assert theirs.get_feature_view("stats").current_version_number == 2
    assert [one["version"] for one in theirs.list_feature_view_versions("stats")] == ["v0", "v1", "v2"]
    listed = setting.cli("features", "versions", "stats", "--namespace", PROJECT, "--json").stdout
    assert [one["feature_view_version"] for one in json.loads(listed)["versions"]] == [0, 0, 1, 1, 2, 2]


def test_each_version_is_materialized_and_read_by_itself(setting, stores):
    ours, theirs = stores
    newest = setting.newest
    ours.materialize(START, END, ["stats"], version="v1")
    # Nothing is in the others, nor is the present one fresh.
    assert read(ours, ["stats:trips"])["trips"] == [None] * 40
    assert read(ours, ["stats@v0:rate"])["rate"] == [None] * 40
    got = read(ours, ["stats@v1:rate", "stats@V1:city"])
    assert got["rate"] == newest.rate.tolist() and got["city"] == newest.city.tolist()
    # Feast reads what Aerie has written, under its own names for it, and the reverse.
    assert read(theirs, ["stats@v1:rate", "stats@v1:city"]) == got
    theirs.materialize(START, END, ["stats"], version="v0")
    assert read(ours, ["stats@v0:rate"])["rate"] == newest.rate.tolist()
    ours.materialize_incremental(END, ["stats"])
    assert read(theirs, ["stats:city"]) == read(ours, ["stats:city"]) == read(ours, ["stats@latest:city"])
    assert read(ours, ["stats@v2:city"])["city"] == newest.city.tolist()
    assert setting.cli(
        "features", "materialize-incremental", "2026-10-20T00:00:00Z", "--views", "stats", "--version", "v0",
        "--namespace", PROJECT).stdout.startswith("stats@v0: ")


def test_names_and_metadata_are_feasts(setting, stores):
    ours, theirs = stores
    refs = ["stats@v1:rate", "stats:city"]
    mine, real = (read(store, refs, full_feature_names=True) for store in stores)
    assert mine == real and set(mine) == {"driver_id", "stats@v1__rate", "stats__city"}
    body = {"entities": {"driver_id": [1, 2]}, "features": ["stats@v1:rate", "stats@v0:trips"],
            "include_feature_view_version_metadata": True}
    for place in (setting.http, setting.feast_http):
        answer = requests.post(f"{place}/feast/{PROJECT}/get-online-features", json=body, timeout=30).json()
        assert answer["metadata"] == {
            "feature_names": ["driver_id", "rate", "trips"], "feature_view_metadata": [{"name": "stats", "version": 1}]}
    real = theirs.get_online_features(
        ["stats@v1:rate"], [{"driver_id": 1}], include_feature_view_version_metadata=True)
    assert [(one.name, one.version) for one in real.proto.metadata.feature_view_metadata] == [("stats", 1)]


def test_a_service_keeps_the_version_that_it_names(setting, stores):
    ours, _ = stores
    pinned = FeatureView(
        name="stats", entities=[view(setting, 1)[0]], ttl=datetime.timedelta(0), schema=schemas()[1],
        source=view(setting, 1)[1], version="v1")
    ours.apply([FeatureService(name="model", features=[pinned[["rate", "city"]]])])
    assert [one.version_tag for one in ours.get_feature_service("model").feature_view_projections] == [1]
    got = read(ours, ours.get_feature_service("model"))
    assert got["rate"] == setting.newest.rate.tolist()
    # In Aerie's words, and read back by the SDK.
    setting.cli("apply", "-n", PROJECT, "-f", "-", input="""
apiVersion: aerie.dev/v1
kind: FeatureService
metadata: {name: declared}
spec: {features: ["stats@v0:rate", {view: stats@v1, features: [city]}, "stats:trips"]}
""")
    projections = ours.get_feature_service("declared").feature_view_projections
    assert [(one.name, one.version_tag) for one in projections] == [("stats", 0), ("stats", 1), ("stats", None)]
    got = read(ours, ours.get_feature_service("declared"), full_feature_names=True)
    assert set(got) == {"driver_id", "stats@v0__rate", "stats@v1__city", "stats__trips"}
    assert got["stats@v0__rate"] == setting.newest.rate.tolist()


def test_training_data_of_a_version(setting, stores, tmp_path):
    rows = pd.DataFrame({"driver_id": [3, 1], "event_timestamp": [END, END]})
    rows.to_parquet(tmp_path / "rows.parquet", index=False)
    setting.cli("features", "historical", "--entity-rows", str(tmp_path / "rows.parquet"), "--features",
                "stats@v1:rate,stats:city", "--full-feature-names", "--output", str(tmp_path / "out.parquet"),
                "--namespace", PROJECT)
    got = pd.read_parquet(tmp_path / "out.parquet")
    assert got["stats@v1__rate"].tolist() == [setting.newest.rate[3], setting.newest.rate[1]]
    assert got["stats__city"].tolist() == [setting.newest.city[3], setting.newest.city[1]]


def test_versions_outlive_a_restart_and_a_wrong_one_is_named(setting, stores):
    def ask(features):
        return requests.post(f"{setting.http}/feast/{PROJECT}/get-online-features", timeout=30, json={
            "entities": {"driver_id": [1]}, "features": features})

    answer = ask(["stats@v9:rate"])
    assert answer.status_code == 404
    detail = json.loads(answer.json())
    assert detail["class"] == "FeatureViewVersionNotFound"
    assert detail["message"] == f"Version v9 of feature view stats does not exist in project {PROJECT}"
    assert ask(["stats@v2:rate"]).status_code == 400, "version 2 has no rate"
    assert ask(["stats@other:rate"]).status_code == 404
    for body, words in [({"feature_views": ["stats"], "version": "v9"}, "Version v9"), ({"version": "v1"}, "exactly one"),
                        ({"feature_views": ["stats"], "version": "new"}, "Invalid version string 'new'")]:
        answer = requests.post(f"{setting.http}/feast/{PROJECT}/materialize", timeout=30, json={
            "start_ts": "2026-10-01T00:00:00Z", "end_ts": "2026-10-20T00:00:00Z", **body})
        assert answer.status_code in (400, 404) and words in answer.text, answer.text


def test_two_views_never_share_rows(setting):
    ours = remote(setting)
    ours.apply(view(setting, 0, "shared"))
    ours.apply(view(setting, 0, "shared_v1"))
    ours.apply(view(setting, 1, "shared"))
    answer = requests.post(f"{setting.http}/feast/{PROJECT}/get-online-features", timeout=30, json={
        "entities": {"driver_id": [1]}, "features": ["shared:trips"]})
    assert answer.status_code == 404
    problems = requests.get(f"{setting.http}/api/aerie/v1/features", params={"namespace": PROJECT}, timeout=30).json()
    assert any("shared_v1" in one for one in problems["problems"])


def test_without_the_setting_versions_are_refused(aerie, tmp_path):
    aerie.folder = tmp_path
    pd.DataFrame({"driver_id": [1], "event_timestamp": [START], "trips": [1], "rate": [1.5], "city": ["x"]}).to_parquet(
        tmp_path / "drivers.parquet", index=False)
    ours = remote(aerie)
    ours.apply(view(aerie, 0))
    ours.apply(view(aerie, 1))
    ours.materialize(START, END, ["stats"])
    assert ours.get_feature_view("stats").current_version_number is None
    for endpoint, body in [("get-online-features", {"entities": {"driver_id": [1]}, "features": ["stats@v0:rate"]}),
                           ("materialize", {"start_ts": "2026-10-01T00:00:00Z", "end_ts": "2026-10-20T00:00:00Z",
                                            "feature_views": ["stats"], "version": "v0"})]:
        answer = requests.post(f"{aerie.http}/feast/{PROJECT}/{endpoint}", json=body, timeout=30)
        assert answer.status_code == 400 and "--feature-view-versions" in answer.text
    got = ours.get_online_features(["stats@latest:rate"], [{"driver_id": 1}]).to_dict()
    assert got["rate"] == [1.5]
