"""A running Aerie and the real Feast with either of its local offline stores, asked for the same tables."""
import os
import pathlib
import resource
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("AERIE", str(ROOT / "bin" / "aerie"))


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Aerie:
    def __init__(self, folder, manifest, environment=None):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [BINARY, "up", "--data-dir", str(folder), "--http", f"127.0.0.1:{port}"]
        for flag in ("--grpc", "--inference-http", "--inference-grpc"):
            command += [flag, "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT,
                                        env={**os.environ, **(environment or {})})
        for _ in range(600):
            if self.process.poll() is not None:
                sys.exit("aerie did not start")
            try:
                urllib.request.urlopen(f"{self.url}/healthz", timeout=2).read()
                break
            except OSError:
                time.sleep(0.1)
        self.cli("apply", "-f", "-", input=manifest)

    def cli(self, *arguments, **options):
        done = subprocess.run([BINARY, *arguments, "--server", self.url], text=True, capture_output=True, cwd=ROOT, **options)
        if done.returncode:
            sys.exit(f"aerie {' '.join(arguments)}: {done.stderr}")
        return done

    def cpu(self):
        """Seconds of the server's process."""
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak(self):
        """The most memory that the server had, in MB."""
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmHWM"):
                return int(line.split()[1]) // 1024

    def historical(self, rows, features, output):
        """Seconds of the wall and of the server's CPU."""
        wall, cpu = time.monotonic(), self.cpu()
        self.cli("features", "historical", "--entity-rows", str(rows), "--features", ",".join(features), "--full-feature-names",
                 "--output", str(output))
        return time.monotonic() - wall, self.cpu() - cpu

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


class Feast:
    """In this process, as its users have it."""

    def __init__(self, folder, store, objects):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "feature_store.yaml").write_text(
            "project: bench\nprovider: local\nregistry: registry.db\nonline_store: {type: sqlite, path: online.db}\n"
            f"offline_store: {{type: {store}}}\nentity_key_serialization_version: 3\n")
        from feast import FeatureStore
        self.store = FeatureStore(str(folder))
        self.store.apply(objects)

    def historical(self, frame, features):
        """The table, and seconds of the wall and of the CPU."""
        def cpu():
            usage = resource.getrusage(resource.RUSAGE_SELF)
            return usage.ru_utime + usage.ru_stime
        wall, before = time.monotonic(), cpu()
        table = self.store.get_historical_features(frame, features, full_feature_names=True).to_df()
        return table, time.monotonic() - wall, cpu() - before


def feast_view(name, path, entities, features, ttl):
    from feast import Entity, FeatureView, Field, FileSource, ValueType
    from feast.types import Float64
    keys = [Entity(name=key, join_keys=[key], value_type=ValueType.INT64) for key in entities]
    source = FileSource(name=f"{name}_source", path=str(path), timestamp_field="event_timestamp", created_timestamp_column="created")
    view = FeatureView(name=name, entities=keys, ttl=ttl, source=source, schema=[Field(name=feature, dtype=Float64) for feature in features])
    return [*keys, view]


def aerie_entities(keys):
    return "".join(f"---\napiVersion: aerie.dev/v1\nkind: Entity\nmetadata: {{name: {key}}}\nspec: {{joinKey: {key}, valueType: INT64}}\n"
                   for key in keys)


def aerie_view(name, path, entities, features, seconds):
    columns = "\n".join(f"  - {{name: {feature}, dtype: DOUBLE}}" for feature in features)
    return (f"---\napiVersion: aerie.dev/v1\nkind: FeatureView\nmetadata: {{name: {name}}}\nspec:\n  entities: [{', '.join(entities)}]\n"
            f"  ttl: {seconds}s\n  source: {{path: {path}, timestampField: event_timestamp, createdTimestampColumn: created}}\n"
            f"  features:\n{columns}\n")
