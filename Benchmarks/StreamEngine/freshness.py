"""From an event in Kafka (librdkafka's mock cluster) to its value online, under a steady load of other events.

One process has the cluster and produces the load; this one starts Aerie, sends an event of an entity of its own every
25 ms, and asks for the values of all that are not there yet, on a connection that stays. Prints the rate that was
reached, the percentiles of the time from before an event was handed to its producer until its value was read, and what
Aerie spent on it.
"""
import argparse
import datetime
import http.client
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests" / "Clients"))
from kafka_cluster import KafkaCluster, KafkaProducer  # noqa: E402

TOPIC, PARTITIONS, SLICE, PROBE_EVERY = "cards", 4, 0.01, 0.025
BOUND = 1.0

MANIFEST = """
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {{name: cards}}
spec:
  entities: [card_id]
  stream: {{type: kafka, brokers: "{brokers}", topic: cards, timestampField: at, eventId: id}}
  aggregations:
  - {{name: velocity_1h, function: count, window: 1h}}
  - {{name: velocity_24h, function: count, window: 24h}}
  - {{name: total_7d, column: amount, function: sum, window: 7d}}
  - {{name: average_30d, column: amount, function: mean, window: 30d}}
"""


def message(card, identity, at):
    return b'{"card_id":%d,"id":"%s","at":"%s","amount":%d}' % (card, identity, at, card % 100)


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat().encode()


def load(rate, entities):
    """The cluster and its load, until a line comes; then the rate that was reached. The cluster goes with the input's end."""
    cluster = KafkaCluster()
    cluster.create_topic(TOPIC, PARTITIONS)
    print(cluster.bootstrap, flush=True)
    sys.stdin.readline()
    os.set_blocking(0, False)
    draw, count, began = random.Random(7), 0, time.monotonic()
    while sys.stdin.buffer.read(1) is None:
        at = now()
        # As many as are due: a slice that took long is made up for.
        for _ in range(int((time.monotonic() - began) * rate) - count):
            card = 1 + int(draw.random() ** 2 * entities)
            cluster.produce(TOPIC, card % PARTITIONS, message(card, b"l%d" % count, at))
            count += 1
        time.sleep(SLICE)
    seconds = time.monotonic() - began
    cluster.flush()
    print(count / seconds, flush=True)
    os.set_blocking(0, True)
    sys.stdin.buffer.read()


class Probe:
    """Produces single events, and reads what is online on one connection."""

    def __init__(self, bootstrap, server):
        self.producer = KafkaProducer(bootstrap, linger_ms=0)
        place = urllib.parse.urlsplit(server)
        self.connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)

    def send(self, card):
        self.producer.produce(TOPIC, card % PARTITIONS, message(card, b"p%d" % card, now()))

    def values(self, cards):
        body = json.dumps({"entities": {"card_id": cards}, "features": ["cards:velocity_1h"]})
        self.connection.request("POST", "/get-online-features", body, {"Content-Type": "application/json"})
        return json.loads(self.connection.getresponse().read())["results"][1]["values"]

    def run(self, seconds, first):
        """How long each took of the events that were sent within that time."""
        times, waiting, count, began = [], {}, 0, time.monotonic()
        while time.monotonic() - began < seconds or waiting:
            now = time.monotonic()
            if now - began > seconds + 30:
                sys.exit(f"{len(waiting)} events were not online within 30 s")
            if now - began < seconds and now - began >= count * PROBE_EVERY:
                waiting[first + count] = now
                self.send(first + count)
                count += 1
            cards = list(waiting)
            values, now = self.values(cards) if cards else [], time.monotonic()
            times += [now - waiting.pop(card) for card, value in zip(cards, values) if value]
            time.sleep(0.001)
        return sorted(times)


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(options):
    producer = subprocess.Popen([sys.executable, __file__, "--load", "--rate", str(options.rate), "--entities", str(options.entities)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    folder = tempfile.TemporaryDirectory()
    binary = os.environ.get("AERIE", str(ROOT / "bin" / "aerie"))
    command = [binary, "up", "--data-dir", folder.name]
    for flag in ("--http", "--grpc", "--inference-http", "--inference-grpc", "--feast-http"):
        command += [flag, "127.0.0.1:0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        bootstrap = producer.stdout.readline().strip()
        http_url = json.loads(server.stdout.readline())["http"]
        subprocess.run([binary, "apply", "-f", "-", "--server", http_url], input=MANIFEST.format(brokers=bootstrap), text=True,
                       check=True, stdout=subprocess.DEVNULL)
        probe = Probe(bootstrap, http_url)
        # The consumer has joined its group once the first event is there.
        probe.run(PROBE_EVERY, 10_000_000)
        producer.stdin.write("go\n")
        producer.stdin.flush()
        time.sleep(options.warm_up)
        spent, began = processor_seconds(server.pid), time.monotonic()
        times = probe.run(options.seconds, 20_000_000)
        spent = (processor_seconds(server.pid) - spent) / (time.monotonic() - began)
        producer.stdin.write("end\n")
        producer.stdin.flush()
        rate = float(producer.stdout.readline())
        p99 = times[len(times) * 99 // 100]
        print(f"event in Kafka to value online at {rate:.0f} events/s of {options.entities} entities: "
              f"P50 {times[len(times) // 2] * 1000:.0f} ms, P99 {p99 * 1000:.0f} ms, slowest {times[-1] * 1000:.0f} ms of {len(times)}; "
              f"{spent:.2f} cores ({'within' if p99 < BOUND else 'NOT within'} {BOUND:.0f} s)")
    finally:
        # The consumer leaves its group while there is one.
        for process in (server, producer):
            if process.poll() is None:
                process.terminate()
                process.wait(30)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=int, default=50_000)
    parser.add_argument("--entities", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--warm-up", type=float, default=3)
    parser.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    # The others are the engine's.
    options, _ = parser.parse_known_args()
    # Whoever ends this ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    load(options.rate, options.entities) if options.load else measure(options)


main()
