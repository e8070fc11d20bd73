"""Aerie and Feast on the same data, one after the other on the same machine. Prints a table and the ratios."""
import argparse
import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import numpy as np
import pandas as pd

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "bin"
START, END = datetime.datetime(2026, 10, 1), datetime.datetime(2026, 10, 30)

DEFINITION = """
from datetime import timedelta
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float64
driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
stats = FeatureView(name="stats", entities=[driver], ttl=timedelta(days=365),
    schema=[Field(name=f"f{{i}}", dtype=Float64) for i in range(10)],
    source=FileSource(path="{path}", timestamp_field="event_timestamp"))
"""
STORE = "project: default\nprovider: local\nregistry: registry.db\nonline_store: {}\noffline_store: {{type: file}}\nentity_key_serialization_version: 3\n"


# The words of redis-benchmark's hashes.
NAMES = [f"f{i:03}" for i in range(10)] + ["_ts:stats"]


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def post(url, body, timeout=900):
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return answer.read()


def wait(url, process):
    for _ in range(600):
        if process.poll() is not None:
            sys.exit(f"{url} did not start")
        try:
            urllib.request.urlopen(url, timeout=2).read()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"{url} did not answer")


class Aerie:
    def __init__(self, folder, data, online, environment={}, cache=None):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        binary = os.environ.get("AERIE", str(ROOT / "bin" / "aerie"))
        command = [binary, "up", "--data-dir", str(folder), "--http", f"127.0.0.1:{port}", "--grpc", "127.0.0.1:0",
                   "--inference-http", "127.0.0.1:0", "--inference-grpc", "127.0.0.1:0", "--feast-http", "127.0.0.1:0",
                   "--online", online, *(["--online-cache", cache] if cache else [])]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, text=True,
                                        env={**os.environ, **environment})
        for line in self.process.stdout:
            if '"ready"' in line:
                self.feast = json.loads(line)["feast_http"]
                break
        wait(f"{self.url}/healthz", self.process)
        features = "\n".join(f"  - {{name: f{i}, dtype: DOUBLE}}" for i in range(10))
        manifest = (f"apiVersion: aerie.dev/v1\nkind: Entity\nmetadata: {{name: driver}}\nspec: {{joinKey: driver_id, valueType: INT64}}\n"
                    f"---\napiVersion: aerie.dev/v1\nkind: FeatureView\nmetadata: {{name: stats}}\nspec:\n  entities: [driver]\n"
                    f"  ttl: 365d\n  source: {{path: {data}, timestampField: event_timestamp}}\n  features:\n{features}\n")
        subprocess.run([binary, "apply", "-f", "-", "--server", self.url], input=manifest, text=True, check=True,
                       stdout=subprocess.DEVNULL, cwd=ROOT)

    def materialize(self):
        began = time.monotonic()
        post(f"{self.url}/materialize", {"start_ts": START.isoformat(), "end_ts": END.isoformat()})
        return time.monotonic() - began

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


class Feast:
    def __init__(self, folder, data, online):
        folder.mkdir()
        self.folder = folder
        (folder / "feature_store.yaml").write_text(STORE.format(online))
        (folder / "definition.py").write_text(DEFINITION.format(path=data))
        self.run("apply")

    def run(self, *arguments):
        subprocess.run([PYTHON / "feast", *arguments], cwd=self.folder, check=True, capture_output=True)

    def materialize(self):
        began = time.monotonic()
        self.run("materialize", START.isoformat(), END.isoformat())
        return time.monotonic() - began

    def serve(self):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        # Without the restart of workers after 1,000 requests that is its default, which would only slow it.
        self.process = subprocess.Popen(
            [PYTHON / "feast", "serve", "-h", "127.0.0.1", "-p", str(port), "--workers", "1", "--max-requests", "0", "--no-access-log"],
            cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        wait(f"{self.url}/health", self.process)

    def stop(self):
        os.killpg(self.process.pid, 15)
        self.process.wait(30)


def wrk(url, seconds, entities, keys, features, connections, pause=0, zipf=0):
    out = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(pathlib.Path(__file__).parent / "online.lua"),
         url, "--", str(entities), str(keys), str(features), str(pause), str(zipf)], capture_output=True, text=True, check=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
    if "Non-2xx" in out:
        sys.exit(f"{url} answered with errors:\n{out}")
    percentiles = dict(re.findall(r"(50|99)%\s+(\S+)", out))
    return rate, percentiles["50"], percentiles["99"], int(re.search(r"(\d+) requests in", out).group(1))


def paced(url, seconds, entities, keys, features, rate):
    """About half of a rate: each connection waits a millisecond between two requests."""
    return wrk(url, seconds, entities, keys, features, max(1, round(rate / 2 / 1000 * 1.15)), pause=1)


def allocations(folder, data, seconds, entities):
    """Calls of the allocator for each request, in the steady state."""
    library = folder / "malloc-count.so"
    source = ROOT / "Benchmarks" / "DataPlane" / "malloc-count.c"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    counts = folder / "counts"
    place = folder / "allocations"
    place.mkdir()
    aerie = Aerie(place / "aerie", data, "lmdb", {"LD_PRELOAD": str(library), "MALLOC_COUNT_FILE": str(counts),
                                                  "AERIE_FEATURE_SAMPLE": "0"})
    aerie.materialize()
    def count():
        seen = counts.read_text().count("\n") if counts.exists() else 0
        os.kill(aerie.process.pid, signal.SIGUSR2)
        while not counts.exists() or counts.read_text().count("\n") == seen:
            time.sleep(0.01)
        return int(counts.read_text().split()[-1])
    for keys, features in [(1, 10), (10, 5)]:
        wrk(aerie.feast, 1, entities, keys, features, 16)
        before = count()
        requests = wrk(aerie.feast, seconds, entities, keys, features, 16)[3]
        print(f"lmdb: {keys} x {features}: {(count() - before) / requests:.2f} allocations a request", flush=True)
    aerie.stop()


def fill(port, entities):
    """Hashes for redis-benchmark of the same shape: keys of 32 bytes, ten features and the time, each with a name of four
    bytes or its own and a value of nine."""
    fields = " ".join(f"{name} 123456789" for name in NAMES)
    script = ("local words = {} for word in string.gmatch(ARGV[2], '%S+') do words[#words + 1] = word end "
              "for i = 0, ARGV[1] - 1 do redis.call('HSET', string.format('benchmark-entity-key%012d', i), unpack(words)) end")
    subprocess.run(["redis-cli", "-p", str(port), "eval", script, "0", str(entities), fields], check=True, capture_output=True)


def hmget(port, entities, keys, features):
    """redis-benchmark's own HMGETs a second, pipelined by as many as a request has entities."""
    out = subprocess.run(
        ["redis-benchmark", "-p", str(port), "-c", "16", "-P", str(keys), "-n", "500000" if keys > 1 else "100000", "-r", str(entities),
         "--csv", "hmget", "benchmark-entity-key__rand_int__", *NAMES[:features], NAMES[-1]],
        capture_output=True, text=True, check=True).stdout
    return float(out.strip().splitlines()[-1].split('","')[1].strip('"'))


def batches(port, folder, data, seconds, entities):
    """Aerie's reads without and with rows in memory, and redis-benchmark's own, one after the other, five times: the medians."""
    print(f"redis, {entities} entities, all as often, or by Zipf's law (exponent 1); rows in memory: none, 32 MB a loop, 2 MB a loop")
    online = f"redis://127.0.0.1:{port}"
    plain, keeping, crowded = (Aerie(folder / name, data, online, cache=cache)
                               for name, cache in [("asking", "0"), ("keeping", "32MB"), ("crowded", "2MB")])
    plain.materialize()
    fill(port, entities)
    for keys, features in [(1, 10), (10, 5)]:
        def rate(aerie, zipf=0):
            return lambda: keys * wrk(aerie.feast, seconds, entities, keys, features, 16, zipf=zipf)[0]
        kinds = {"redis-benchmark": lambda: hmget(port, entities, keys, features), "asking": rate(plain), "32 MB": rate(keeping),
                 "2 MB": rate(crowded), "2 MB, Zipf": rate(crowded, 1)}
        rounds = [{name: measure() for name, measure in kinds.items()} for _ in range(5)]
        for name in kinds:
            values = sorted(one[name] for one in rounds)
            ratio = statistics.median(one[name] / one["redis-benchmark"] for one in rounds)
            print(f"{keys} x {features}: {name}: {statistics.median(values):.0f} entities/s ({values[0]:.0f} to {values[-1]:.0f}), "
                  f"{ratio:.2f}x redis-benchmark", flush=True)
    for aerie in [plain, keeping, crowded]:
        aerie.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--only", default="materialize,online,batches,allocations")
    parser.add_argument("--stores", default="lmdb,redis")
    chosen = parser.parse_args()
    wanted = chosen.only.split(",")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="aerie-features-"))
    redis_port = free_port()
    redis = subprocess.Popen(["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
                             stdout=subprocess.DEVNULL)
    try:
        rng = np.random.default_rng(7)
        frame = pd.DataFrame({"driver_id": np.arange(1, chosen.entities + 1),
                              "event_timestamp": pd.to_datetime(START) + pd.to_timedelta(rng.integers(0, 86_400 * 20, chosen.entities), unit="s"),
                              **{f"f{i}": rng.random(chosen.entities) for i in range(10)}})
        data = folder / "stats.parquet"
        frame.assign(event_timestamp=frame.event_timestamp.dt.tz_localize("UTC")).to_parquet(data, index=False)
        if "allocations" in wanted:
            allocations(folder, data, chosen.seconds, chosen.entities)
        if "batches" in wanted:
            batches(redis_port, folder, data, chosen.seconds, chosen.entities)
        if not {"materialize", "online"} & set(wanted):
            return
        stores = [("lmdb beside feast on sqlite", "lmdb", "{type: sqlite, path: online.db}"),
                  ("redis, both", f"redis://127.0.0.1:{redis_port}",
                   f"{{type: redis, connection_string: \"127.0.0.1:{redis_port}\"}}")]
        for name, ours, theirs in [one for one in stores if one[0].split()[0].strip(",") in chosen.stores.split(",")]:
            subprocess.run(["redis-cli", "-p", str(redis_port), "flushall"], stdout=subprocess.DEVNULL)
            place = folder / name.split()[0].strip(",")
            place.mkdir()
            aerie, feast = Aerie(place / "aerie", data, ours), Feast(place / "feast", data, theirs)
            a = aerie.materialize()
            if "materialize" in wanted:
                f = feast.materialize()
                print(f"{name}: materialize {chosen.entities} x 10: aerie {a:.2f} s, feast {f:.1f} s: {f / a:.0f}x", flush=True)
            elif ours == "lmdb":
                feast.materialize()
            # Redis without the rows that loops keep of it.
            asking = Aerie(place / "asking", data, ours, cache="0") if ours != "lmdb" and "online" in wanted else None
            if "online" in wanted:
                feast.serve()
                for keys, features in [(1, 10), (10, 5)]:
                    cold = wrk(aerie.feast, chosen.seconds, chosen.entities, keys, features, 16)
                    print(f"{name}: {keys} x {features}: aerie {cold[0]:.0f}/s in the first {chosen.seconds} s", flush=True)
                    mine = wrk(aerie.feast, chosen.seconds, chosen.entities, keys, features, 16)
                    half = paced(aerie.feast, chosen.seconds, chosen.entities, keys, features, mine[0])
                    print(f"{name}: {keys} x {features}: aerie at {half[0]:.0f}/s: P50 {half[1]}, P99 {half[2]}", flush=True)
                    peer = wrk(feast.url, chosen.seconds, chosen.entities, keys, features, 16)
                    print(f"{name}: {keys} x {features}: aerie {mine[0]:.0f}/s (P50 {mine[1]}, P99 {mine[2]}), "
                          f"feast {peer[0]:.0f}/s (P50 {peer[1]}, P99 {peer[2]}): {mine[0] / peer[0]:.0f}x", flush=True)
                    if asking:
                        mine = wrk(asking.feast, chosen.seconds, chosen.entities, keys, features, 16)
                        print(f"{name}: {keys} x {features}: aerie with no rows in memory {mine[0]:.0f}/s (P50 {mine[1]}, P99 {mine[2]}): "
                              f"{mine[0] / peer[0]:.0f}x", flush=True)
                feast.stop()
            aerie.stop()
            if asking:
                asking.stop()
    finally:
        redis.terminate()
        redis.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
