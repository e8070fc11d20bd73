"""Files through Aerie and through `mlflow server`: how fast, and how much memory the server takes for it."""
import argparse
import hashlib
import os
import pathlib
import sys
import threading
import time

import requests

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Tracking"))

from servers import Server, Workspace, start_aerie, start_mlflow  # noqa: E402

MIB = 1 << 20
BLOCK = os.urandom(MIB)


def say(text=""):
    print(text, flush=True)


def pieces(megabytes: int):
    """Content of which no two blocks are the same, made as it is sent."""
    for number in range(megabytes):
        yield number.to_bytes(8, "big") + BLOCK[8:]


class Content:
    """A body of known length, so that it is sent as a client sends a file and not in chunks."""

    def __init__(self, megabytes: int):
        self.left, self.source, self.rest = megabytes * MIB, pieces(megabytes), b""

    def __len__(self):
        return self.left

    def read(self, count=-1):
        if not self.rest:
            self.rest = next(self.source, b"")
        part, self.rest = (self.rest, b"") if count < 0 else (self.rest[:count], self.rest[count:])
        self.left -= len(part)
        return part


class Peak:
    """The most that a server held while something was done, in megabytes above what it held before."""

    def __init__(self, server: Server):
        self.server, self.before, self.most, self.done = server, server.memory(), 0.0, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        while not self.done.wait(0.05):
            self.most = max(self.most, self.server.memory())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.most = max(self.most, self.server.memory())
        self.done.set()
        self.thread.join()

    @property
    def grown(self) -> float:
        return max(0.0, self.most - self.before)


def address(server: Server, path: str) -> str:
    return f"{server.url}/api/2.0/mlflow-artifacts/artifacts/{path}"


def moved(server: Server, megabytes: int) -> dict:
    """Megabytes a second up and down, what came down being what went up, and the memory that it took."""
    url = address(server, f"bench/{megabytes}.bin")
    with Peak(server) as peak:
        began = time.monotonic()
        requests.put(url, data=Content(megabytes), timeout=1200).raise_for_status()
        up = time.monotonic() - began
        began, digest, length = time.monotonic(), hashlib.blake2b(), 0
        with requests.get(url, stream=True, timeout=1200) as answer:
            answer.raise_for_status()
            for part in answer.iter_content(4 * MIB):
                digest.update(part)
                length += len(part)
        down = time.monotonic() - began
    expected = hashlib.blake2b()
    for piece in pieces(megabytes):
        expected.update(piece)
    if digest.digest() != expected.digest() or length != megabytes * MIB:
        sys.exit(f"{server.name}: {megabytes} MB came back otherwise than they went up")
    return {"up": megabytes / up, "down": megabytes / down, "memory": peak.grown}


def ranged(server: Server, megabytes: int):
    """A part of a large file is asked for by its range, as those do that begin again where they were cut off."""
    start = (megabytes - 1) * MIB - 3
    answer = requests.get(address(server, f"bench/{megabytes}.bin"), timeout=60,
                          headers={"Range": f"bytes={start}-{start + 10}"})
    expected = BLOCK[-3:] + (megabytes - 1).to_bytes(8, "big")
    if answer.status_code != 206 or answer.content != expected:
        sys.exit(f"{server.name}: a range of {megabytes} MB was answered with {answer.status_code}")


def many(server: Server, folder: pathlib.Path, count: int) -> dict:
    """A folder of many files through MLflow's own client: files a second up and down, seconds to list them."""
    from mlflow import MlflowClient
    source = folder / "many"
    source.mkdir()
    for number in range(count):
        (source / f"file-{number:06}.txt").write_text(f"{number}\n" * 20)
    client = MlflowClient(server.url)
    run = client.create_run("0").info.run_id
    with Peak(server) as peak:
        began = time.monotonic()
        client.log_artifacts(run, str(source), "many")
        up = time.monotonic() - began
        began = time.monotonic()
        listed = client.list_artifacts(run, "many")
        listing = time.monotonic() - began
        began = time.monotonic()
        back = pathlib.Path(client.download_artifacts(run, "many", str(folder)))
        down = time.monotonic() - began
    found = sorted(back.iterdir())
    if len(listed) != count or [file.name for file in found] != [file.name for file in sorted(source.iterdir())]:
        sys.exit(f"{server.name}: {len(listed)} of {count} files are listed, {len(found)} came down")
    if any(file.read_bytes() != (source / file.name).read_bytes() for file in found):
        sys.exit(f"{server.name}: a file came back otherwise than it went up")
    return {"up": count / up, "down": count / down, "list": listing, "memory": peak.grown}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="30,1024", help="megabytes, through both servers")
    parser.add_argument("--huge", type=int, default=5120, help="megabytes, through Aerie alone; 0 leaves it out")
    parser.add_argument("--files", type=int, default=10_000, help="of one folder, through Aerie alone; 0 leaves it out")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.huge, options.files = "10", 100, 300
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false")
    sizes = [int(size) for size in options.sizes.split(",")]
    results = {}
    with Workspace() as work:
        for start in (start_aerie, start_mlflow):
            server = work.add(start(work.path / start.__name__))
            requests.put(address(server, "bench/first"), data=b"x", timeout=60).raise_for_status()
            for size in sizes:
                results[server.name, size] = moved(server, size)
                say(f"  {server.name}: {size} MB done")
            if server.name == "aerie":
                if options.huge:
                    results["huge"] = moved(server, options.huge)
                    ranged(server, options.huge)
                    say(f"  {server.name}: {options.huge} MB done")
                if options.files:
                    folder = work.path / "files"
                    folder.mkdir()
                    results["many"] = many(server, folder, options.files)
            server.stop()
    say(f"\n{'':36} {'aerie':>12} {'mlflow':>12}")
    for size in sizes:
        ours, theirs = results["aerie", size], results["mlflow", size]
        for way in ("up", "down"):
            say(f"{f'{size} MB {way}':36} {ours[way]:12,.0f} {theirs[way]:12,.0f} MB/s {ours[way] / theirs[way]:8.1f}x"
                "   asked: 1x")
        say(f"{'  memory above idle, at most':36} {ours['memory']:12,.0f} {theirs['memory']:12,.0f} MB")
    if options.huge:
        huge = results["huge"]
        say(f"{f'{options.huge} MB up and down':36} {huge['up']:12,.0f} up {huge['down']:9,.0f} MB/s down, memory above idle"
            f" at most {huge['memory']:.0f} MB")
    if options.files:
        found = results["many"]
        say(f"{f'a folder of {options.files:,} files':36} {found['up']:12,.0f} up {found['down']:9,.0f} files/s down, listed"
            f" in {found['list']:.2f} s, memory above idle at most {found['memory']:.0f} MB")


main()
