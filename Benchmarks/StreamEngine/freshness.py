"""From an event in Kafka (librdkafka's mock cluster) to its value online, under a steady load of other events."""
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests" / "Clients"))
from kafka_cluster import KafkaCluster  # noqa: E402

PARTITIONS, RATE, PROBES = 4, 5000, 200

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


def post(url, body):
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def main():
    cluster = KafkaCluster()
    cluster.create_topic("cards", PARTITIONS)
    folder = tempfile.TemporaryDirectory()
    binary = os.environ.get("AERIE", str(ROOT / "bin" / "aerie"))
    command = [binary, "up", "--data-dir", folder.name]
    for flag in ("--http", "--grpc", "--inference-http", "--inference-grpc"):
        command += [flag, "127.0.0.1:0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    stop = threading.Event()
    try:
        http = json.loads(server.stdout.readline())["http"]
        manifest = MANIFEST.format(brokers=cluster.bootstrap)
        subprocess.run([binary, "apply", "-f", "-", "--server", http], input=manifest, text=True, check=True,
                       stdout=subprocess.DEVNULL)
        count = 0

        def send(card):
            nonlocal count
            count += 1
            cluster.produce("cards", card % PARTITIONS, json.dumps({
                "card_id": card, "id": count, "at": datetime.datetime.now(datetime.timezone.utc).isoformat(),
                "amount": count % 100}).encode())

        def load():
            while not stop.is_set():
                began = time.monotonic()
                for _ in range(RATE // 20):
                    send(1 + count % 20_000)
                time.sleep(max(0, 0.05 - (time.monotonic() - began)))

        def value(card):
            answer = post(http + "/get-online-features",
                          {"entities": {"card_id": [card]}, "features": ["cards:velocity_1h"]})
            return answer["results"][1]["values"][0]

        thread = threading.Thread(target=load, daemon=True)
        thread.start()
        while value(1) == 0:
            time.sleep(0.05)
        times = []
        for probe in range(PROBES):
            card = 1_000_000 + probe
            began = time.monotonic()
            send(card)
            while value(card) == 0:
                time.sleep(0.001)
            times.append(time.monotonic() - began)
        stop.set()
        thread.join()
        times.sort()
        print(f"event in Kafka to value online at {RATE} events/s: P50 {times[PROBES // 2] * 1000:.0f} ms, "
              f"P99 {times[PROBES * 99 // 100] * 1000:.0f} ms, slowest {times[-1] * 1000:.0f} ms")
    finally:
        stop.set()
        server.terminate()
        server.wait(30)
        cluster.close()


main()
