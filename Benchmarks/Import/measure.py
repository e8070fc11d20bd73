"""An MLflow database brought over by `aerie import mlflow`: how long it takes, and what the server holds meanwhile."""
import argparse
import json
import pathlib
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Tracking"))

import fill  # noqa: E402
from servers import Server, Workspace, aerie_binary, call, start_aerie, start_mlflow  # noqa: E402


def say(text=""):
    print(text, flush=True)


def make(path: pathlib.Path, runs: int, points: int):
    """The database of `fill`, with a history of each metric."""
    fill.make(path, runs)
    database = sqlite3.connect(path)
    database.execute("PRAGMA synchronous = OFF")
    database.execute(
        "WITH RECURSIVE later(step) AS (SELECT 1 UNION ALL SELECT step + 1 FROM later WHERE step < ?)"
        " INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan)"
        " SELECT key, value + later.step, timestamp + later.step, run_uuid, later.step, 0 FROM metrics CROSS JOIN later"
        " WHERE ? > 1 AND metrics.step = 0", (points - 1, points))
    database.execute("UPDATE latest_metrics SET value = value + ?, timestamp = timestamp + ?, step = ?", (points - 1,) * 3)
    database.commit()
    database.close()


class Memory:
    """What a server holds, in megabytes, read ten times a second."""

    def __init__(self, server: Server):
        self.server, self.seen, self.done = server, [server.memory()], threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        while not self.done.wait(0.1):
            self.seen.append(self.server.memory())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def described(self) -> str:
        parts = [self.seen[(len(self.seen) - 1) * share // 4] for share in range(5)]
        return f"{' '.join(f'{part:.0f}' for part in parts)} MB on the way, {max(self.seen):.0f} MB at most"


def command(source: str, server: Server) -> list[str]:
    # Its runs have no files; a server serves its artifacts itself.
    artifacts = [] if source.startswith("http") else ["--artifacts", str(pathlib.Path(source).parent)]
    return [aerie_binary(), "import", "mlflow", "--from", source, *artifacts, "--server", server.url, "--output", "json"]


def bring(source: str, server: Server, runs: int) -> dict:
    with Memory(server) as memory:
        began = time.monotonic()
        # Where this runs in a terminal, the command draws its progress there.
        done = subprocess.run(command(source, server), stdout=subprocess.PIPE, text=True)
        seconds = time.monotonic() - began
    if done.returncode:
        sys.exit(f"the import ended with {done.returncode}")
    report = json.loads(done.stdout)
    if report["added"]["runs"] + report["present"]["runs"] != runs or report["warnings"]:
        sys.exit(f"not everything came over: {report}")
    return {"seconds": seconds, "memory": memory.described(), "added": report["added"]["runs"]}


def check(database: pathlib.Path, server: Server, points: int):
    """Some runs are what they were, with the whole of their histories."""
    source = sqlite3.connect(database)
    every = source.execute("SELECT COUNT(*) / 50 + 1 FROM runs").fetchone()[0]
    for run, name in source.execute("SELECT run_uuid, name FROM runs ORDER BY run_uuid").fetchall()[::every]:
        info = call(server.url, f"runs/get?run_id={run}")["run"]
        history = call(server.url, f"metrics/get-history?run_id={run}&metric_key=auc")["metrics"]
        expected = source.execute("SELECT value, step FROM metrics WHERE run_uuid = ? AND key = 'auc' ORDER BY step",
                                  (run,)).fetchall()
        params = dict(source.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run,)).fetchall())
        found = [(point["value"], int(point["step"])) for point in history]
        if info["info"]["run_name"] != name or found != expected or len(found) != points or {
                param["key"]: param["value"] for param in info["data"]["params"]} != params:
            sys.exit(f"run {run} is not what it was")
    source.close()


def cut_off(source: str, work: Workspace, runs: int) -> tuple[int, dict]:
    """The server is killed while it imports, and started again; the same command brings what is missing."""
    folder = work.path / "cut"
    server = work.add(start_aerie(folder))
    first = subprocess.Popen(command(source, server), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    there = 0
    while there < runs // 4 and first.poll() is None:
        body = {"experiment_ids": ["1"], "max_results": min(50_000, runs // 4 + 1)}
        try:
            there = len(call(server.url, "runs/search", body).get("runs", []))
        except OSError:
            there = 0
        time.sleep(0.2)
    server.process.kill()
    server.process.wait()
    first.wait()
    server = work.add(start_aerie(folder))
    return there, bring(source, server, runs)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--points", type=int, default=10)
    parser.add_argument("--served", type=int, default=5000)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.runs, options.served = 2000, 200
    with Workspace() as work:
        database = work.path / "mlflow.db"
        make(database, options.runs, options.points)
        size = database.stat().st_size / 1e6
        say(f"a database of {options.runs:,} runs, {options.runs * 3 * options.points:,} values of metrics, {size:,.0f} MB")
        server = work.add(start_aerie(work.path / "whole"))
        whole = bring(str(database), server, options.runs)
        say(f"brought over       {whole['seconds']:8.1f} s  {options.runs / whole['seconds']:8,.0f} runs/s   "
            f"{whole['memory']}")
        check(database, server, options.points)
        again = bring(str(database), server, options.runs)
        if again["added"]:
            sys.exit(f"{again['added']} runs came a second time")
        say(f"again, all there   {again['seconds']:8.1f} s")
        server.stop()
        there, rest = cut_off(str(database), work, options.runs)
        say(f"killed with {there:,} or more there, then finished: {rest['added']:,} in {rest['seconds']:.1f} s")
        if options.served:
            served = work.path / "served" / "mlflow.db"
            served.parent.mkdir()
            make(served, options.served, options.points)
            origin = work.add(start_mlflow(served.parent, served))
            server = work.add(start_aerie(work.path / "over"))
            over = bring(origin.url, server, options.served)
            check(served, server, options.points)
            say(f"{options.served:,} over the API   {over['seconds']:8.1f} s  "
                f"{options.served / over['seconds']:8,.0f} runs/s   {over['memory']}")


main()
