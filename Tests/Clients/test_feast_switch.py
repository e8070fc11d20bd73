"""Views that were declared here, in the hands of Feast's SDK: what it has no word for comes to no harm."""
import datetime
import json

import pandas as pd
import pytest
import requests
from feast import FeatureStore, RepoConfig

UTC = datetime.timezone.utc
START = datetime.datetime(2026, 10, 1, tzinfo=UTC)
MANIFEST = """
apiVersion: aerie.dev/v1
kind: Entity
metadata: {{name: card, namespace: switched}}
spec: {{joinKey: card_id, valueType: INT64}}
---
apiVersion: aerie.dev/v1
kind: ExpectationSuite
metadata: {{name: sane, namespace: switched}}
spec: {{expectations: [{{type: expect_column_values_to_not_be_null, kwargs: {{column: amount}}}}]}}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: stats, namespace: switched, labels: {{team: cards}}}}
spec:
  entities: [card]
  ttl: 90d
  dropExpired: true
  freshness: 36h
  quality: {{suite: sane, onFailure: warn}}
  source: {{path: {path}, timestampField: event_timestamp}}
  features:
  - {{name: amount, dtype: DOUBLE, default: 7.5}}
  - {{name: trips, dtype: INT64, tags: {{unit: number}}}}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: base, namespace: switched}}
spec:
  entities: [card]
  source: {{path: {path}, timestampField: event_timestamp}}
  features: [{{name: amount, dtype: DOUBLE}}]
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: doubled, namespace: switched}}
spec:
  onDemand: {{inputs: ["base:amount"]}}
  features: [{{name: twice, dtype: DOUBLE, expression: "amount * 2", description: two of them}}]
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: recent, namespace: switched}}
spec:
  entities: [card]
  stream: {{type: push, timestampField: at, eventId: id, allowedLateness: 1h}}
  aggregations:
  - {{name: spent, column: amount, function: sum, window: 30d, slide: 1d}}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: untouched, namespace: switched}}
spec:
  entities: [card]
  stream: {{type: push, timestampField: at}}
  aggregations: [{{name: count_1h, function: count, window: 1h}}]
"""


@pytest.fixture(scope="module")
def server(start_aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("switched")
    pd.DataFrame({"card_id": [1, 2], "event_timestamp": [START, START], "amount": [0.5, 1.5], "trips": [3, 4]}).to_parquet(
        folder / "cards.parquet", index=False)
    server = start_aerie(folder / "data")
    server.cli("apply", "-f", "-", input=MANIFEST.format(path=folder / "cards.parquet"))
    server.cli("features", "materialize", "2026-09-01", "2026-10-02", "-n", "switched")
    now = datetime.datetime.now(UTC).isoformat()
    assert post(server, "push", push_source_name="recent",
                df={"card_id": [1, 1], "at": [now, now], "id": ["a", "b"], "amount": [2.0, 3.0]}).status_code == 200
    server.store = FeatureStore(config=RepoConfig(
        project="switched", provider="local", entity_key_serialization_version=3,
        registry={"registry_type": "remote", "path": server.grpc},
        online_store={"type": "remote", "path": f"{server.http}/feast/switched"}))
    return server


def post(server, path, **body):
    return requests.post(f"{server.http}/feast/switched/{path}", json=body, timeout=30)


def values(server, feature):
    return post(server, "get-online-features", entities={"card_id": [1, 2]}, features=[feature])


def resource(server, name):
    return json.loads(server.cli("get", "featureview", name, "-n", "switched", "-o", "json").stdout)


def switch(server, name, isOn):
    """As `feast feature-views enable` and `disable` do."""
    view = server.store.registry.get_feature_view(name, "switched")
    assert view.enabled != isOn
    view.enabled = isOn
    server.store.registry.apply_feature_view(view, "switched")


@pytest.mark.parametrize("name,feature,expected", [
    ("stats", "amount", [0.5, 1.5]), ("doubled", "twice", [1.0, 3.0]), ("recent", "spent", [5.0, 0.0])])
def test_a_view_that_is_switched_off_is_the_same_when_it_is_on_again(server, name, feature, expected):
    def read():
        answer = values(server, f"{name}:{feature}")
        assert answer.status_code == 200, answer.text
        return answer.json()["results"][1]["values"]
    before = resource(server, name)
    assert read() == expected
    for _ in range(2):
        switch(server, name, False)
        answer = values(server, f"{name}:{feature}")
        assert answer.status_code == 422 and "switched off" in answer.text, answer.text
        assert resource(server, name)["spec"] == {**before["spec"], "disabled": True}
        if name != "doubled":
            answer = post(server, "push", push_source_name=name, df={"card_id": [1]})
            assert answer.status_code == 422 and "switched off" in answer.text, answer.text
        switch(server, name, True)
        after = resource(server, name)
        assert after["spec"] == before["spec"]
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert after["metadata"].get("labels") == before["metadata"].get("labels")
        assert read() == expected


def test_a_change_in_the_sdk_changes_that_alone(server):
    before = resource(server, "stats")["spec"]
    view = server.store.registry.get_feature_view("stats", "switched")
    view.description, view.features[1].description = "what cards do", "how often"
    view.ttl = datetime.timedelta(days=1)
    server.store.registry.apply_feature_view(view, "switched")
    features = [before["features"][0], {**before["features"][1], "description": "how often"}]
    assert resource(server, "stats")["spec"] == {**before, "description": "what cards do", "ttl": "86400s", "features": features}
    # A feature that goes takes what was said of it along.
    view = server.store.registry.get_feature_view("stats", "switched")
    view.features = [one for one in view.features if one.name == "trips"]
    server.store.registry.apply_feature_view(view, "switched")
    assert resource(server, "stats")["spec"]["features"] == features[1:]


def test_what_cannot_be_said_to_a_view_of_windows_is_refused(server):
    before = resource(server, "untouched")
    view = server.store.registry.get_feature_view("untouched", "switched")
    view.ttl = datetime.timedelta(days=1)
    with pytest.raises(Exception, match="ttl"):
        server.store.registry.apply_feature_view(view, "switched")
    after = resource(server, "untouched")
    assert after["spec"] == before["spec"] and after["metadata"]["uid"] == before["metadata"]["uid"]
