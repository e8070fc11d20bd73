"""Window aggregations as their users meet them: one definition, events by push, values online and in training data."""
import concurrent.futures
import datetime
import random
import time

import pandas as pd
import pytest
import requests

UTC = datetime.timezone.utc
WINDOWS = {"velocity_1h": 3600, "velocity_24h": 86400, "velocity_7d": 7 * 86400}


def manifest(path, name="card_activity"):
    return f"""
apiVersion: aerie.dev/v1
kind: Entity
metadata: {{name: card}}
spec: {{joinKey: card_id, valueType: INT64}}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: {name}}}
spec:
  entities: [card]
  description: what a card did lately
  pushSource: transactions
  source: {{type: parquet, path: {path}, timestampField: event_timestamp, createdTimestampColumn: arrived}}
  stream: {{type: push, eventId: transaction_id, allowedLateness: 24h}}
  aggregations:
  - {{name: velocity_1h, function: count, window: 1h, dtype: INT32, description: transactions in an hour}}
  - {{name: velocity_24h, function: count, window: 24h, dtype: INT32}}
  - {{name: velocity_7d, function: count, window: 7d, dtype: INT32}}
  - {{name: total_amount_30d, column: transaction_amount, function: sum, window: 30d}}
  - {{name: avg_transaction_amount_30d, column: transaction_amount, function: mean, window: 30d}}
  - {{name: largest_24h, column: transaction_amount, function: max, window: 24h, dtype: FLOAT}}
  - {{name: deviation_7d, column: transaction_amount, function: stddev, window: 7d}}
  - {{name: merchants_24h, column: merchant, function: distinct_count, window: 24h}}
  - {{name: last_merchant_7d, column: merchant, function: last, window: 7d, dtype: STRING}}
"""


FEATURES = [line.split("name: ")[1].split(",")[0] for line in manifest("").splitlines() if "- {name:" in line]


@pytest.fixture(scope="module")
def streams(start_aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    server = start_aerie(folder / "data")
    server.folder = folder
    server.cli("apply", "-f", "-", input=manifest(folder / "transactions.parquet"))
    return server


def events(seed, count, cards, first_id=0):
    """Transactions of the last 90 minutes, out of order."""
    rng, now = random.Random(seed), datetime.datetime.now(UTC)
    return [{"card_id": rng.choice(cards), "transaction_id": f"t{first_id + n}",
             "event_timestamp": (now - datetime.timedelta(seconds=rng.uniform(0, 5400))).isoformat(),
             "transaction_amount": None if n % 13 == 0 else round(rng.uniform(1, 500), 2),
             "merchant": f"shop {rng.randrange(6)}"} for n in range(count)]


def push(server, rows, status=200):
    frame = {name: [row[name] for row in rows] for name in rows[0]}
    answer = requests.post(f"{server.http}/push", json={"push_source_name": "transactions", "df": frame}, timeout=30)
    assert answer.status_code == status, answer.text
    return answer


def online(server, cards, names=FEATURES, view="card_activity"):
    answer = requests.post(f"{server.http}/get-online-features", timeout=30, json={
        "entities": {"card_id": cards}, "features": [f"{view}:{name}" for name in names]})
    assert answer.status_code == 200, answer.text
    answer = answer.json()
    columns = dict(zip(answer["metadata"]["feature_names"], answer["results"]))
    return {name: columns[name]["values"] for name in names}


def status(server, view="card_activity"):
    found = requests.get(f"{server.http}/api/aerie/v1/features/streams", timeout=30).json()["streams"]
    return next(entry["stream"] for entry in found if entry["view"] == view)


def test_pushed_events_are_counted_at_once_and_only_once(streams):
    rows = events(1, 300, [1, 2, 3])
    push(streams, rows[:200])
    push(streams, rows[150:])
    push(streams, rows)
    got = online(streams, [1, 2, 3, 4])
    for place, card in enumerate([1, 2, 3]):
        mine = [row for row in rows if row["card_id"] == card]
        amounts = [row["transaction_amount"] for row in mine if row["transaction_amount"] is not None]
        assert got["velocity_24h"][place] == got["velocity_7d"][place] == len(mine)
        assert 0 < got["velocity_1h"][place] < len(mine)
        assert got["total_amount_30d"][place] == pytest.approx(sum(amounts))
        assert got["avg_transaction_amount_30d"][place] == pytest.approx(sum(amounts) / len(amounts))
        assert got["largest_24h"][place] == pytest.approx(max(amounts), rel=1e-6)
        assert got["deviation_7d"][place] == pytest.approx(pd.Series(amounts).std())
        assert got["merchants_24h"][place] == len({row["merchant"] for row in mine})
        assert got["last_merchant_7d"][place] == max(mine, key=lambda row: row["event_timestamp"])["merchant"]
    # Nothing has happened to the last card: counts are 0, the rest is unknown.
    assert [got[name][3] for name in FEATURES] == [0, 0, 0, 0, None, None, None, 0, None]
    counted = status(streams)["events"]
    assert counted["counted"] == 300 and counted["duplicate"] == 350


def test_training_data_is_what_was_online(streams):
    now = datetime.datetime.now(UTC)
    rows = events(2, 400, [11, 12, 13], first_id=10_000)
    push(streams, rows)
    frame = pd.DataFrame(rows + rows[:50])
    frame["event_timestamp"] = pd.to_datetime(frame.event_timestamp)
    frame["arrived"] = pd.Timestamp(now)
    frame.sample(frac=1, random_state=3).to_parquet(streams.folder / "transactions.parquet", index=False)
    # A moment at which both can be asked: no tile of any window may end in between.
    while time.time() % 60 > 40:
        time.sleep(0.5)
    values = online(streams, [11, 12, 13, 14])
    labels = pd.DataFrame({"card_id": [11, 12, 13, 14], "event_timestamp": pd.Timestamp(datetime.datetime.now(UTC)),
                           "label": [1, 0, 1, 0]})
    labels.to_parquet(streams.folder / "labels.parquet", index=False)
    streams.cli("features", "historical", "--entity-rows", str(streams.folder / "labels.parquet"), "--features",
                ",".join(f"card_activity:{name}" for name in FEATURES), "--output", str(streams.folder / "out.parquet"))
    table = pd.read_parquet(streams.folder / "out.parquet")
    assert list(table.card_id) == [11, 12, 13, 14] and list(table.label) == [1, 0, 1, 0]
    for name in FEATURES:
        for got, want in zip(table[name], values[name]):
            if want is None or isinstance(want, str):
                assert pd.isna(got) if want is None else got == want, name
            else:
                assert got == pytest.approx(want, rel=1e-9), name
    assert table.velocity_24h.sum() == 400


def test_what_was_acknowledged_survives_kill_9_and_is_counted_once(streams, start_aerie):
    """Clients that send again what got no answer: whatever the moment of the crash, each event counts once."""
    cards = list(range(1000, 1020))
    rows = events(4, 6000, cards, first_id=100_000)
    batches = [rows[at:at + 20] for at in range(0, len(rows), 20)]
    rng = random.Random(5)
    for round_ in range(4):
        left = []

        def send(batch):
            try:
                push(streams, batch)
            except requests.RequestException:
                left.append(batch)

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(send, batch) for batch in batches]
            if round_ < 3:
                # In the middle of the work, wherever that is.
                concurrent.futures.wait(futures[:rng.randrange(20, 60)])
                streams.kill()
        assert (len(left) > 0) == (round_ < 3)
        if round_ < 3:
            again = start_aerie(streams.folder / "data")
            streams.process, streams.http, streams.ready = again.process, again.http, again.ready
        batches = left
    got = online(streams, cards, ["velocity_24h", "total_amount_30d"])
    for place, card in enumerate(cards):
        mine = [row for row in rows if row["card_id"] == card]
        assert got["velocity_24h"][place] == len(mine)
        assert got["total_amount_30d"][place] == pytest.approx(sum(row["transaction_amount"] or 0 for row in mine))


def test_wrong_events_are_refused_whole(streams):
    good = events(6, 3, [50], first_id=200_000)
    for change, words in [
        ({"transaction_id": None}, "df.transaction_id[1]: is missing"),
        ({"card_id": "x"}, "df.card_id[1]"),
        ({"event_timestamp": "yesterday"}, "df.event_timestamp[1]"),
        ({"transaction_amount": "much"}, "df.transaction_amount[1]"),
    ]:
        answer = push(streams, [good[0], {**good[1], **change}, good[2]], status=400)
        assert words in answer.text
    assert online(streams, [50], ["velocity_24h"]) == {"velocity_24h": [0]}
    late = {**good[0], "event_timestamp": (datetime.datetime.now(UTC) - datetime.timedelta(hours=25)).isoformat()}
    early = {**good[1], "event_timestamp": (datetime.datetime.now(UTC) + datetime.timedelta(hours=1)).isoformat()}
    before = status(streams)["events"]
    push(streams, [late, early, good[2]])
    after = status(streams)["events"]
    assert {name: after[name] - before[name] for name in after} == {
        "counted": 1, "duplicate": 0, "late": 1, "implausible": 1, "crowded": 0}
    assert online(streams, [50], ["velocity_7d"]) == {"velocity_7d": [1]}
    text = requests.get(f"{streams.http}/metrics", timeout=30).text
    assert 'aerie_stream_events_total{namespace="default",view="card_activity",verdict="late"} 1' in text


@pytest.mark.parametrize("change,words", [
    (("window: 1h", "window: 1x"), "is no duration"),
    (("function: count, window: 1h", "function: median, window: 1h"), "median"),
    (("window: 1h", "window: 1h, slide: 7m"), "multiple of the slide"),
    (("column: transaction_amount, function: sum", "function: sum"), "needs a column"),
    (("dtype: FLOAT", "dtype: STRING"), "max is one of"),
    (("column: merchant, function: last, window: 7d, dtype: STRING", "column: merchant, function: min, window: 7d"), None),
    (("name: velocity_24h", "name: velocity_1h"), "declared twice"),
    (("entities: [card]", "entities: [card]\n  ttl: 1h"), "leave ttl out"),
    (("type: push", "type: kafka"), "brokers"),
])
def test_wrong_definitions_are_refused_by_field(streams, change, words):
    text = manifest(streams.folder / "x.parquet", name="other")
    assert change[0] in text
    done = streams.cli("apply", "--dry-run", "-f", "-", input=text.replace(*change), check=False)
    if words is None:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode != 0 and words in done.stdout + done.stderr


def test_a_changed_definition_begins_anew_and_a_deleted_one_leaves_nothing(streams):
    text = manifest(streams.folder / "x.parquet", name="passing").replace("pushSource: transactions", "pushSource: other")
    streams.cli("apply", "-f", "-", input=text)
    rows = events(7, 10, [60], first_id=300_000)
    frame = {name: [row[name] for row in rows] for name in rows[0]}
    body = {"push_source_name": "other", "df": frame}
    assert requests.post(f"{streams.http}/push", json=body, timeout=30).status_code == 200
    assert online(streams, [60], ["velocity_24h"], "passing") == {"velocity_24h": [10]}
    streams.cli("apply", "-f", "-", input=text.replace("window: 1h", "window: 2h"))
    assert online(streams, [60], ["velocity_24h"], "passing") == {"velocity_24h": [0]}
    assert requests.post(f"{streams.http}/push", json=body, timeout=30).status_code == 200
    assert online(streams, [60], ["velocity_24h"], "passing") == {"velocity_24h": [10]}
    streams.cli("delete", "featureview", "passing")
    assert requests.post(f"{streams.http}/push", json=body, timeout=30).status_code == 422
    streams.cli("apply", "-f", "-", input=text)
    assert online(streams, [60], ["velocity_24h"], "passing") == {"velocity_24h": [0]}


def test_a_list_of_streams(streams):
    listed = streams.cli("features", "streams").stdout
    assert "card_activity" in listed and "COUNTED" in listed
    searched = streams.cli("features", "search", "velocity").stdout
    assert "card_activity:velocity_1h" in searched
