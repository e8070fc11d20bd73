"""Window aggregations over Kafka, read from librdkafka's mock cluster by consumer groups."""
import datetime
import json
import random
import time

import pytest
import requests

from kafka_cluster import KafkaCluster, KafkaProcess

UTC = datetime.timezone.utc
PARTITIONS = 4


@pytest.fixture(scope="module")
def cluster():
    cluster = KafkaCluster()
    yield cluster
    cluster.close()


def manifest(cluster, topic, consumers=1):
    return f"""
apiVersion: aerie.dev/v1
kind: Entity
metadata: {{name: account}}
spec: {{joinKey: account_id, valueType: STRING}}
---
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: {topic}_activity}}
spec:
  entities: [account]
  stream:
    type: kafka
    brokers: {cluster.bootstrap}
    topic: {topic}
    consumers: {consumers}
    timestampField: at
    eventId: id
    allowedLateness: 2h
    options: {{session.timeout.ms: "3000", heartbeat.interval.ms: "300"}}
  aggregations:
  - {{name: velocity_1h, function: count, window: 1h}}
  - {{name: velocity_24h, function: count, window: 24h}}
  - {{name: total_24h, column: amount, function: sum, window: 24h}}
  - {{name: velocity_30d, function: count, window: 30d}}
"""


class Traffic:
    """Events over the partitions, some of them twice, some broken; and what they come to."""

    def __init__(self, cluster, topic, seed):
        self.cluster, self.topic, self.rng = cluster, topic, random.Random(seed)
        self.sent = self.known = self.broken = 0
        self.counts, self.totals = {}, {}

    def send(self, count, accounts=50):
        for _ in range(count):
            account = self.rng.randrange(accounts)
            partition = account % PARTITIONS
            if self.rng.random() < 0.01:
                self.broken += 1
                self.produce(partition, self.rng.choice([
                    b"{", b"[1]", b"\xff\xfe", b'{"account_id": "x"}', b'{"account_id": null, "id": 1, "at": 1}']))
                continue
            moment = datetime.datetime.now(UTC) - datetime.timedelta(seconds=self.rng.uniform(0, 1800))
            amount = self.rng.randrange(100)
            event = json.dumps({"account_id": f"a{account}", "id": self.sent, "at": moment.isoformat(), "amount": amount,
                                "more": {"is": ["left", "alone"]}}).encode()
            self.produce(partition, event)
            self.counts[account] = self.counts.get(account, 0) + 1
            self.totals[account] = self.totals.get(account, 0) + amount
            if self.rng.random() < 0.05:
                self.known += 1
                self.produce(partition, event)
        self.cluster.flush()

    def produce(self, partition, value):
        self.cluster.produce(self.topic, partition, value)
        self.sent += 1


def status(server, topic):
    found = requests.get(f"{server.http}/api/aerie/v1/features/streams", timeout=30).json()["streams"]
    return next(entry["stream"] for entry in found if entry["view"] == f"{topic}_activity")


def wait_until_read(server, traffic, seconds=90):
    deadline, seen = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        seen = status(server, traffic.topic)
        if sum(seen.get("positions", {}).values()) == traffic.sent:
            return seen
        time.sleep(0.05)
    raise AssertionError(f"not all of {traffic.sent} messages were read: {seen}\n{''.join(server.errors[-10:])}")


def assert_exact(server, traffic, seconds=30):
    """What was counted can be read a moment after the positions that tell of it; and it stays."""
    accounts = sorted(traffic.counts)
    counts = [traffic.counts[account] for account in accounts]
    wanted = {"velocity_1h": counts, "total_24h": [traffic.totals[account] for account in accounts],
              "velocity_30d": counts}
    deadline, got = time.monotonic() + seconds, None
    while got != wanted and time.monotonic() < deadline:
        answer = requests.post(f"{server.http}/get-online-features", timeout=30, json={
            "entities": {"account_id": [f"a{account}" for account in accounts]},
            "features": [f"{traffic.topic}_activity:{name}" for name in wanted]}).json()
        columns = dict(zip(answer["metadata"]["feature_names"], answer["results"]))
        got = {name: columns[name]["values"] for name in wanted}
    assert got == wanted


def test_every_event_counts_once_and_broken_ones_are_set_aside(cluster, start_aerie, tmp_path):
    cluster.create_topic("payments", PARTITIONS)
    traffic = Traffic(cluster, "payments", 1)
    traffic.send(3000)
    server = start_aerie(tmp_path / "data")
    server.cli("apply", "-f", "-", input=manifest(cluster, "payments"))
    seen = wait_until_read(server, traffic)
    assert seen["events"]["duplicate"] == traffic.known > 0
    assert seen["events"]["counted"] == sum(traffic.counts.values())
    assert seen["deadLetters"] == traffic.broken > 0
    assert_exact(server, traffic)
    letters = json.loads(server.cli("features", "streams", "dead-letters", "payments_activity", "--limit", "1000").stdout)
    assert len(letters) == traffic.broken
    assert {letter["origin"].split("@")[0] for letter in letters} <= {f"payments/{n}" for n in range(PARTITIONS)}
    assert any("is missing" in letter["reason"] for letter in letters)
    text = requests.get(f"{server.http}/metrics", timeout=30).text
    assert f'aerie_stream_dead_letters_total{{namespace="default",view="payments_activity"}} {traffic.broken}' in text
    assert 'aerie_stream_lag_messages{namespace="default",view="payments_activity"} 0' in text


def test_kill_9_while_it_reads_counts_nothing_twice(cluster, start_aerie, tmp_path):
    cluster.create_topic("transfers", PARTITIONS)
    traffic = Traffic(cluster, "transfers", 2)
    server = start_aerie(tmp_path / "data")
    server.cli("apply", "-f", "-", input=manifest(cluster, "transfers", consumers=2))
    for round_ in range(3):
        before = traffic.sent
        traffic.send(4000)
        deadline = time.monotonic() + 60
        # It dies while it is at it: after the first of these messages have been counted.
        while sum(status(server, "transfers").get("positions", {}).values()) <= before and time.monotonic() < deadline:
            time.sleep(0.002)
        server.kill()
        server = start_aerie(tmp_path / "data")
    wait_until_read(server, traffic)
    assert_exact(server, traffic)


def test_partitions_that_change_hands_are_not_counted_twice(cluster, start_aerie, tmp_path):
    cluster.create_topic("visits", PARTITIONS)
    traffic = Traffic(cluster, "visits", 3)
    server = start_aerie(tmp_path / "data")
    server.cli("apply", "-f", "-", input=manifest(cluster, "visits", consumers=2))
    traffic.send(2000)
    wait_until_read(server, traffic)
    other = cluster.member("aerie-visits_activity", "visits")
    try:
        deadline = time.monotonic() + 60
        while other.messages == 0 and time.monotonic() < deadline:
            traffic.send(100)
            time.sleep(0.05)
        assert other.messages > 0, "the other member was given no partition"
    finally:
        other.leave()
    traffic.send(1000)
    wait_until_read(server, traffic)
    assert_exact(server, traffic)


def test_a_broker_that_goes_away_and_returns(cluster, start_aerie, tmp_path):
    cluster.create_topic("logins", PARTITIONS)
    traffic = Traffic(cluster, "logins", 4)
    server = start_aerie(tmp_path / "data")
    server.cli("apply", "-f", "-", input=manifest(cluster, "logins"))
    traffic.send(500)
    wait_until_read(server, traffic)
    cluster.down()
    try:
        deadline, seen = time.monotonic() + 60, {}
        while "problem" not in seen and time.monotonic() < deadline:
            seen = status(server, "logins")
            time.sleep(0.05)
        assert "problem" in seen, seen
        # What is there is served meanwhile.
        assert_exact(server, traffic)
    finally:
        cluster.up()
    traffic.send(500)
    assert "problem" not in wait_until_read(server, traffic)
    assert_exact(server, traffic)


def test_a_server_stops_though_its_brokers_answer_no_more(start_aerie, tmp_path):
    cluster = KafkaProcess("orders", PARTITIONS)
    try:
        traffic = Traffic(cluster, "orders", 5)
        server = start_aerie(tmp_path / "data")
        server.cli("apply", "-f", "-", input=manifest(cluster, "orders", consumers=2))
        traffic.send(500)
        wait_until_read(server, traffic)
        # Positions that it tells the brokers of now are never confirmed.
        traffic.send(5000)
        cluster.freeze()
        try:
            assert server.stop() == 0
        finally:
            server.kill()
        cluster.thaw()
        server = start_aerie(tmp_path / "data")
        wait_until_read(server, traffic)
        assert_exact(server, traffic)
    finally:
        cluster.close()
