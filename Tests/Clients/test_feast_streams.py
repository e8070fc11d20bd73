"""Stream feature views, push sources and Kafka sources, as Feast's SDK declares them, are carried out."""
import datetime
import json
import time
import warnings

import pandas as pd
import pytest
import requests
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, KafkaSource, PushSource, RepoConfig, ValueType
from feast.aggregation import Aggregation
from feast.data_format import AvroFormat, JsonFormat
from feast.data_source import PushMode
from feast.stream_feature_view import StreamFeatureView
from feast.types import Float64, Int64, String

from kafka_cluster import KafkaCluster
from test_feast_registry import without_times

warnings.filterwarnings("ignore", category=RuntimeWarning)
UTC = datetime.timezone.utc
PROJECT = "streams"
DAY, HOUR, MINUTE = datetime.timedelta(days=1), datetime.timedelta(hours=1), datetime.timedelta(minutes=1)


@pytest.fixture(scope="module")
def cluster():
    cluster = KafkaCluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def server(start_aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    server = start_aerie(folder / "data")
    server.folder, server.now = folder, datetime.datetime.now(UTC).replace(microsecond=0)
    # Every 25 minutes one, the newest a minute ago.
    server.events = pd.DataFrame({
        "card": [i % 3 for i in range(60)], "amount": [float(i * i % 17) for i in range(60)],
        "shop": [f"s{i * 7 % 5}" for i in range(60)],
        "event_timestamp": [server.now - MINUTE - i * 25 * MINUTE for i in range(60)]})
    server.events.to_parquet(folder / "events.parquet", index=False)
    return server


def store(server, registry=None):
    host, port = server.grpc.split(":")
    return FeatureStore(config=RepoConfig(
        project=PROJECT, provider="local", entity_key_serialization_version=3,
        registry=str(registry) if registry else {"registry_type": "remote", "path": server.grpc},
        online_store={"type": "remote", "path": f"{server.http}/feast/{PROJECT}"},
        offline_store={"type": "remote", "host": host, "port": int(port)}))


card = Entity(name="card", join_keys=["card"], value_type=ValueType.INT64)


def events(server):
    return FileSource(name="events", path=str(server.folder / "events.parquet"), timestamp_field="event_timestamp")


def spending(server, name="spending", source=None, tiling=True, **more):
    return StreamFeatureView(
        name=name, entities=[card], source=source or PushSource(name=f"{name}_push", batch_source=events(server)),
        timestamp_field="event_timestamp", enable_tiling=tiling, tiling_hop_size=5 * MINUTE if tiling else None,
        schema=[Field(name="card", dtype=Int64), Field(name="payments", dtype=Int64, description="how many"),
                Field(name="sum_amount_86400s", dtype=Float64), Field(name="max_amount", dtype=Float64),
                Field(name="shops", dtype=Int64)],
        aggregations=[
            Aggregation(column="amount", function="count", time_window=2 * HOUR, name="payments"),
            Aggregation(column="amount", function="sum", time_window=DAY),
            Aggregation(column="amount", function="max", time_window=DAY),
            Aggregation(column="shop", function="count_distinct", time_window=DAY, name="shops")], **more)


FEATURES = ["payments", "sum_amount_86400s", "max_amount", "shops"]


def oracle(events, cards, now, hop=5 * MINUTE):
    """What the windows hold at that moment, by a loop over the events."""
    end = now.timestamp() // hop.total_seconds() * hop.total_seconds() + hop.total_seconds()
    rows = {name: [] for name in FEATURES}
    for key in cards:
        def within(window):
            begin = pd.Timestamp(end - window.total_seconds(), unit="s", tz="UTC")
            return events[(events.card == key) & (events.event_timestamp >= begin) & (events.event_timestamp <= now)]
        day = within(DAY)
        rows["payments"].append(len(within(2 * HOUR)))
        rows["sum_amount_86400s"].append(day.amount.sum())
        rows["max_amount"].append(day.amount.max())
        rows["shops"].append(day.shop.nunique())
    return rows


def online(store, view, cards, features):
    return store.get_online_features(
        features=[f"{view}:{feature}" for feature in features], entity_rows=[{"card": key} for key in cards]).to_dict()


def assert_windows(read, events, cards):
    """A window may slide while it is read."""
    for _ in range(3):
        before = oracle(events, cards, datetime.datetime.now(UTC))
        got = read()
        if before == oracle(events, cards, datetime.datetime.now(UTC)):
            assert {name: got[name] for name in FEATURES} == before
            return
    raise AssertionError("the clock went from tile to tile")


def test_aggregations_over_a_push_source_are_computed(server, tmp_path):
    remote, local = store(server), store(server, tmp_path / "registry.db")
    for one in (remote, local):
        one.apply([card, events(server), spending(server)])
    ours, theirs = (one.registry.list_stream_feature_views(project=PROJECT) for one in (remote, local))
    assert [view.name for view in ours] == ["spending"] and not remote.list_feature_views()
    specs = [without_times(views[0].to_proto()).spec for views in (ours, theirs)]
    for spec in specs:
        spec.stream_source.ClearField("batch_source")
    assert specs[0] == specs[1]
    resource = json.loads(server.cli("get", "featureview", "spending", "-n", PROJECT, "-o", "json").stdout)
    assert [(one["name"], one["function"], one["slide"]) for one in resource["spec"]["aggregations"]] == [
        ("payments", "count", "300s"), ("sum_amount_86400s", "sum", "300s"), ("max_amount", "max", "300s"),
        ("shops", "distinct_count", "300s")]
    answer = requests.post(f"{server.http}/feast/{PROJECT}/push", timeout=30, json={
        "push_source_name": "spending_push", "to": "online", "df": {
            name: [str(value) if name == "event_timestamp" else value for value in column]
            for name, column in server.events.iloc[::-1].to_dict("list").items()}})
    assert answer.status_code == 200, answer.text
    late = server.events[server.events.event_timestamp >= server.now - HOUR]
    assert_windows(lambda: online(remote, "spending", [0, 1, 2], FEATURES), late, [0, 1, 2])
    # Training reads the file, as of any moment.
    moment = server.now - 5 * HOUR
    pd.DataFrame({"card": [0, 1, 2], "event_timestamp": [moment] * 3}).to_parquet(server.folder / "rows.parquet")
    server.cli("features", "historical", "-n", PROJECT, "--entity-rows", str(server.folder / "rows.parquet"), "--features",
               ",".join(f"spending:{name}" for name in FEATURES), "--output", str(server.folder / "table.parquet"))
    table = pd.read_parquet(server.folder / "table.parquet")
    assert {name: list(table[name]) for name in FEATURES} == oracle(server.events, [0, 1, 2], moment)
    # The entity cannot go while the view is there, and the view goes.
    remote.registry.delete_feature_view("spending", project=PROJECT)
    assert remote.registry.list_stream_feature_views(project=PROJECT) == []
    assert server.cli("get", "featureview", "spending", "-n", PROJECT, check=False).returncode != 0


def test_the_sdk_pushes_rows_of_a_stream_view_without_aggregations(server):
    remote = store(server)
    remote.apply([card, events(server), StreamFeatureView(
        name="latest", entities=[card], source=PushSource(name="latest_push", batch_source=events(server)), ttl=DAY,
        schema=[Field(name="amount", dtype=Float64), Field(name="shop", dtype=String)])])
    remote.push("latest_push", server.events.head(3), to=PushMode.ONLINE)
    got = online(remote, "latest", [0, 1, 2], ["amount", "shop"])
    assert got["amount"] == list(server.events.amount.head(3)) and got["shop"] == list(server.events.shop.head(3))


@pytest.mark.parametrize("kind", ["push", "kafka"])
def test_the_sdk_materializes_stream_views_from_their_batch_source(server, cluster, kind):
    name, remote = f"filled_{kind}", store(server)
    cluster.create_topic(name, 1)
    source = kafka(server, cluster, name, watermark_delay_threshold=3 * HOUR) if kind == "kafka" else None
    inferred = StreamFeatureView(
        name=f"rows_{kind}", entities=[card], ttl=10 * DAY, timestamp_field="event_timestamp",
        source=source or PushSource(name=f"rows_{kind}_push", batch_source=events(server)))
    remote.apply([card, events(server), spending(server, name, source), inferred])
    # The columns of the batch source, by Arrow Flight, are the schema.
    columns = [("card", "int64"), ("amount", "double"), ("shop", "string"), ("event_timestamp", "timestamp[ns, tz=UTC]")]
    assert list(remote.get_data_source(source.name if source else f"{name}_push").batch_source
                .get_table_column_names_and_types(remote.config)) == columns
    assert {(field.name, field.dtype) for field in remote.get_stream_feature_view(f"rows_{kind}").features} >= {
        ("amount", Float64), ("shop", String)}
    for materialize in [lambda: remote.materialize(server.now - 2 * DAY, datetime.datetime.now(UTC), [name, f"rows_{kind}"]),
                        lambda: remote.materialize_incremental(datetime.datetime.now(UTC), [name, f"rows_{kind}"])]:
        materialize()
        assert_windows(lambda: online(remote, name, [0, 1, 2], FEATURES), server.events, [0, 1, 2])
        got = online(remote, f"rows_{kind}", [0, 1, 2], ["amount", "shop"])
        assert (got["amount"], got["shop"]) == (list(server.events.amount.head(3)), list(server.events.shop.head(3)))
    assert len(remote.get_stream_feature_view(name).materialization_intervals) == 2
    table = remote.get_historical_features(
        entity_df=pd.DataFrame({"card": [0, 1, 2], "event_timestamp": [server.now - 5 * HOUR] * 3}),
        features=[f"{name}:{feature}" for feature in FEATURES]).to_df().sort_values("card")
    assert {feature: list(table[feature]) for feature in FEATURES} == oracle(server.events, [0, 1, 2], server.now - 5 * HOUR)
    # What comes by the stream counts beside it.
    row = {"card": 0, "amount": 100.0, "shop": "s9", "event_timestamp": datetime.datetime.now(UTC).isoformat()}
    if kind == "kafka":
        produced(cluster, name, [row])
        positions(server, name, 1)
    else:
        answer = requests.post(f"{server.http}/feast/{PROJECT}/push", timeout=30, json={
            "push_source_name": f"{name}_push", "to": "online", "df": {key: [value] for key, value in row.items()}})
        assert answer.status_code == 200, answer.text
    grown = pd.concat([server.events, pd.DataFrame([{**row, "event_timestamp": pd.Timestamp(row["event_timestamp"])}])])
    assert_windows(lambda: online(remote, name, [0, 1, 2], FEATURES), grown, [0, 1, 2])


def produced(cluster, topic, rows):
    for row in rows:
        cluster.produce(topic, 0, json.dumps(row).encode() if isinstance(row, dict) else row)
    cluster.flush()


def positions(server, view, count):
    deadline, seen = time.monotonic() + 60, {}
    while time.monotonic() < deadline:
        streams = requests.get(f"{server.http}/api/aerie/v1/features/streams?namespace={PROJECT}", timeout=30).json()["streams"]
        seen = next((one["stream"] for one in streams if one["view"] == view), {})
        if sum(seen.get("positions", {}).values()) == count:
            return seen
        time.sleep(0.05)
    raise AssertionError(f"{count} messages of {view} were not read: {seen}\n{''.join(server.errors[-10:])}")


def kafka(server, cluster, topic, **more):
    return KafkaSource(
        name=f"{topic}_source", kafka_bootstrap_servers=cluster.bootstrap, topic=topic, timestamp_field="event_timestamp",
        message_format=more.pop("format", JsonFormat("")), batch_source=events(server), **more)


def test_aggregations_over_kafka_are_computed(server, cluster):
    cluster.create_topic("payments", 1)
    remote = store(server)
    source = kafka(server, cluster, "payments", watermark_delay_threshold=3 * HOUR)
    remote.apply([card, events(server), spending(server, "by_kafka", source)])
    rows = [{**row, "event_timestamp": row["event_timestamp"].isoformat()}
            for row in server.events[server.events.event_timestamp >= server.now - 2 * HOUR].to_dict("records")]
    produced(cluster, "payments", rows)
    seen = positions(server, "by_kafka", len(rows))
    assert seen["events"]["counted"] == len(rows)
    counted = server.events[server.events.event_timestamp >= server.now - 2 * HOUR]
    assert_windows(lambda: online(remote, "by_kafka", [0, 1, 2], FEATURES), counted, [0, 1, 2])


def test_rows_of_a_kafka_topic_are_read_and_wrong_ones_set_aside(server, cluster, start_aerie, tmp_path):
    cluster.create_topic("profiles", 1)
    server = start_aerie(tmp_path / "data")
    server.folder = tmp_path
    pd.DataFrame({"card": [0], "limit": [0.0], "city": [""], "event_timestamp": [pd.Timestamp(0, tz="UTC")]}).to_parquet(
        tmp_path / "events.parquet")
    remote = store(server)
    view = FeatureView(
        name="profiles", entities=[card], ttl=datetime.timedelta(0), source=kafka(server, cluster, "profiles"),
        schema=[Field(name="limit", dtype=Float64), Field(name="city", dtype=String)])
    remote.apply([card, events(server), view])
    moment = datetime.datetime.now(UTC)
    rows = [{"card": key, "limit": float(key), "city": f"c{key}", "event_timestamp": moment.isoformat()} for key in range(50)]
    bad = [b"{", b"[]", {"card": 7, "limit": "much", "event_timestamp": moment.isoformat()}, {"card": 8, "limit": 1.0}]
    produced(cluster, "profiles", [*rows[:20], *bad, *rows[20:]])
    seen = positions(server, "profiles", 54)
    assert seen["events"]["counted"] == 50 and seen["deadLetters"] == 4
    got = online(remote, "profiles", range(50), ["limit", "city"])
    assert got["limit"] == [float(key) for key in range(50)] and got["city"] == [f"c{key}" for key in range(50)]
    letters = requests.get(f"{server.http}/api/aerie/v1/features/streams/profiles/dead-letters?namespace={PROJECT}", timeout=30)
    assert letters.status_code == 200 and "much" in letters.text

    # After a kill nothing is lost, what is older changes nothing, and a member that is missing is null, as in Feast.
    server.kill()
    produced(cluster, "profiles", [
        {"card": 1, "limit": -1.0, "city": "old", "event_timestamp": (moment - HOUR).isoformat()},
        {"card": 2, "limit": 200.0, "event_timestamp": (moment + MINUTE).isoformat()}])
    server = start_aerie(tmp_path / "data")
    server.folder = tmp_path
    positions(server, "profiles", 56)
    got = online(store(server), "profiles", [1, 2, 3], ["limit", "city"])
    assert got["limit"] == [1.0, 200.0, 3.0] and got["city"] == ["c1", None, "c3"]

    # Training data has every row as of its time, what came before the kill and after it.
    times = [moment - HOUR, moment, moment, moment + MINUTE, moment - MINUTE]
    table = training(server, "profiles", ["limit", "city"], [1, 1, 2, 2, 3], times)
    assert list(table["limit"].fillna(-9)) == [-1.0, 1.0, 2.0, 200.0, -9]
    assert [city or None for city in table.city] == ["old", "c1", "c2", None, None]
    again = requests.post(f"{server.http}/feast/{PROJECT}/materialize", timeout=60, json={
        "start_ts": (moment - DAY).isoformat(), "end_ts": (moment + HOUR).isoformat(), "feature_views": ["profiles"]})
    assert again.status_code == 200, again.text
    again = online(store(server), "profiles", [1, 2, 3], ["limit", "city"])
    assert (again["limit"], again["city"]) == ([1.0, 200.0, 3.0], ["c1", None, "c3"])


def training(server, view, features, cards, times):
    pd.DataFrame({"card": cards, "event_timestamp": times}).to_parquet(server.folder / "asked.parquet")
    server.cli("features", "historical", "-n", PROJECT, "--entity-rows", str(server.folder / "asked.parquet"), "--features",
               ",".join(f"{view}:{name}" for name in features), "--output", str(server.folder / "known.parquet"))
    return pd.read_parquet(server.folder / "known.parquet")


STREAM_OF_ROWS = """
apiVersion: aerie.dev/v1
kind: Entity
metadata: {{name: card, namespace: streams}}
spec: {{joinKey: card, valueType: INT64}}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: {name}, namespace: streams}}
spec:
  entities: [card]
  stream: {{type: kafka, brokers: "{brokers}", topic: limits, timestampField: at{more}}}
  features: [{{name: limit, dtype: DOUBLE}}, {{name: note, dtype: STRING}}]
"""


def test_rows_of_a_topic_need_no_other_source_for_training_data(server, cluster):
    cluster.create_topic("limits", 2)
    for name, more in [("limits", ""), ("limits_now", ", to: online, group: now")]:
        server.cli("apply", "-f", "-", input=STREAM_OF_ROWS.format(name=name, brokers=cluster.bootstrap, more=more))
    start = server.now - DAY
    rows = [{"card": i % 5, "limit": float(i), "at": (start + i * MINUTE).isoformat(), **({"note": f"n{i}"} if i % 3 else {})}
            for i in range(200)]
    for index, row in enumerate(rows):
        cluster.produce("limits", index % 5 % 2, json.dumps(row).encode())
    cluster.flush()
    for name in ("limits", "limits_now"):
        positions(server, name, len(rows))
    cards, times = [i % 6 for i in range(60)], [start + i * 5 * MINUTE for i in range(60)]
    table = training(server, "limits", ["limit", "note"], cards, times)
    for index, (key, time_) in enumerate(zip(cards, times)):
        seen = [row for row in rows if row["card"] == key and start + row["limit"] * MINUTE <= time_]
        last = seen[-1] if seen else {"limit": None}
        assert (None if pd.isna(table["limit"][index]) else table["limit"][index]) == last["limit"], index
        assert (table.note[index] or None) == last.get("note"), index
    # What is online is what training data has as of now, whatever the messages left out.
    now = training(server, "limits", ["limit", "note"], range(6), [server.now] * 6)
    for name in ("limits", "limits_now"):
        got = online(store(server), name, range(6), ["limit", "note"])
        assert got["limit"] == [None if pd.isna(value) else value for value in now.limit]
        assert got["note"] == [note or None for note in now.note]
    assert None in got["note"][:5] and any(got["note"])
    refused = server.cli("features", "historical", "-n", PROJECT, "--entity-rows", str(server.folder / "asked.parquet"),
                         "--features", "limits_now:limit", "--output", str(server.folder / "known.parquet"), check=False)
    assert refused.returncode != 0 and "has no source" in refused.stderr


def test_what_cannot_be_computed_is_kept_and_said(server, cluster):
    remote = store(server)

    def doubled(frame):
        return frame

    def avro():
        return kafka(server, cluster, "avro", format=AvroFormat("{}"))

    views = {
        "in_python": (dict(udf=doubled, udf_string="def doubled(frame): ...", mode="pandas"), "compute of them in an on-demand feature view"),
        "in_avro": (dict(source=avro()), "Avro"),
    }
    remote.apply([card, events(server), *(spending(server, name, **more) for name, (more, _) in views.items())])
    odd = spending(server, "odd", tiling=False)
    odd.aggregations = [Aggregation(column="amount", function="median", time_window=DAY)]
    remote.apply([odd])
    assert {view.name for view in remote.registry.list_stream_feature_views(project=PROJECT)} >= {*views, "odd"}
    for name, words in [*((name, words) for name, (_, words) in views.items()), ("odd", "'median'")]:
        answer = requests.post(f"{server.http}/feast/{PROJECT}/get-online-features", timeout=30, json={
            "entities": {"card": [1]}, "features": [f"{name}:payments"]})
        assert answer.status_code >= 400 and "kept and not carried out" in answer.text and words in answer.text, answer.text
