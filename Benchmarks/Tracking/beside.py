"""Aerie beside `mlflow server`: the same load, one server after the other, in one run."""
import argparse
import json
import pathlib
import re
import statistics
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import fill
from servers import Server, Workspace, aerie_binary, call, start_aerie, start_mlflow

HERE = pathlib.Path(__file__).resolve().parent
SEARCHES = {
    "default order": {},
    "a common tag": {"filter": "tags.team = 'team7'"},
    "a rare tag": {"filter": "tags.rare = '1'"},
    "a metric, ordered by it": {"filter": "metrics.auc > 0.9", "order_by": ["metrics.auc DESC"]},
    "a param and a metric": {"filter": "params.depth = '3' and metrics.f1 > 0.5", "order_by": ["metrics.f1 DESC"]},
    "ordered by name": {"order_by": ["attributes.run_name ASC"]},
}
# Addresses of the console's runs table.
PAGES = {
    "default order": "",
    "ordered by a metric": "?sort=metrics.auc",
    "a common tag": "?q=" + urllib.parse.quote("tags.team = 'team7'"),
    "a metric, ordered by it": "?sort=metrics.auc&q=" + urllib.parse.quote("metrics.auc > 0.9"),
}


def say(text=""):
    print(text, flush=True)


def wrk(script: str, url: str, clients: int, seconds: int, *arguments: str) -> dict:
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "60s", "--latency", "-s",
               str(HERE / script), url, "--", *arguments]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 120).stdout
    units = {"us": 1e-3, "ms": 1, "s": 1000, "m": 60_000}

    def latency(percent):
        found = re.search(rf"^\s*{percent}%\s+([\d.]+)(us|ms|s|m)\s*$", text, re.M)
        return float(found[1]) * units[found[2]]

    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), "p50": latency(50), "p99": latency(99),
            "errors": (int(wrong[1]) if wrong else 0) + (sum(map(int, sockets.groups())) if sockets else 0)}


TABLE: list[str] = []


def beside(what: str, unit: str, ours: float, theirs: float, asked: str, note=""):
    """One line of the table at the end; the ratio is how many times better Aerie is."""
    over, under = (theirs, ours) if unit in ("ms", "s", "MB") else (ours, theirs)
    better = over / under if under else float("nan")
    told = ["" if number != number else f"{number:,.2f}" for number in (ours, theirs)]
    ratio = "" if better != better else f"{better:.1f}x"
    TABLE.append(f"{what:52} {told[0]:>12} {told[1]:>12} {unit:8} {ratio:>9}   asked: {asked} {note}".rstrip())
    say("  " + TABLE[-1])


def errors(*results: dict) -> str:
    return f"errors {results[0]['errors']} / {results[1]['errors']}" if any(r["errors"] for r in results) else ""


def new_runs(server: Server, count: int) -> list:
    return [call(server.url, "runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]
            for _ in range(count)]


def writes(work: pathlib.Path, seconds: int):
    results = {}
    for start in (start_aerie, start_mlflow):
        folder = work / f"writes-{start.__name__}"
        server = start(folder)
        try:
            found = {"cold": server.cold_start, "create": wrk("create-run.lua", server.url, 4, seconds, "0")}
            for clients in (4, 16, 64):
                found[clients] = wrk("log-batch.lua", server.url, clients, seconds, *new_runs(server, clients))
            found["memory"] = server.memory()
            results[server.name] = found
        finally:
            server.stop()
    ours, theirs = results["aerie"], results["mlflow"]
    beside("cold start to the first answer", "s", ours["cold"], theirs["cold"], "< 1 s")
    beside("create_run, 4 clients", "calls/s", ours["create"]["rate"], theirs["create"]["rate"], "50x",
           errors(ours["create"], theirs["create"]))
    for clients in (4, 16, 64):
        beside(f"log_batch of 100 metrics, {clients} clients", "calls/s", ours[clients]["rate"],
               theirs[clients]["rate"], "100x" if clients == 4 else "no errors", errors(ours[clients], theirs[clients]))
    beside("  its P99 at 4 clients", "ms", ours[4]["p99"], theirs[4]["p99"], "-")
    beside("resident memory after the load", "MB", ours["memory"], theirs["memory"], "< 200 MB")


def bring_over(server: Server, database: pathlib.Path):
    """The same runs for Aerie, through its own import."""
    began = time.monotonic()
    subprocess.run([aerie_binary(), "import", "mlflow", "--from", str(database), "--server", server.url], check=True,
                   stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def experiment(server: Server) -> str:
    return call(server.url, "experiments/get-by-name?experiment_name=bench")["experiment"]["experiment_id"]


def filled(folder: pathlib.Path, runs: int, database: pathlib.Path | None) -> Server:
    """An Aerie with the runs: brought over from `database` by its own import, or else written into its stopped file."""
    server = start_aerie(folder)
    if database is None:
        server.stop()
        fill.aerie(folder / "data" / "metadata.db", runs, lambda table: say(f"  {table} of {runs:,} runs written"))
        return start_aerie(folder)
    took = bring_over(server, database)
    beside(f"import of {runs:,} runs", "runs/s", runs / took, float("nan"), "-")
    return server


def search(work: pathlib.Path, runs: int, seconds: int, peer: bool, imported: bool):
    folder = work / f"search-{runs}"
    folder.mkdir()
    database = folder / "mlflow.db" if peer or imported else None
    bar = (lambda done: say(f"  {done:,} of {runs:,} rows made")) if runs > 100_000 else (lambda done: None)
    if database:
        fill.make(database, runs, lambda done: bar(done) if done % 200_000 == 0 else None)
    medians = {}
    for start in (start_aerie, start_mlflow) if peer else (start_aerie,):
        if start is start_aerie:
            server = filled(folder, runs, database)
        else:
            server = start_mlflow(folder, database)
        try:
            where = experiment(server)
            for name, body in SEARCHES.items():
                file = folder / "body.json"
                file.write_text(json.dumps({"experiment_ids": [where], "max_results": 100, **body}))
                assert len(call(server.url, "runs/search", json.loads(file.read_text()))["runs"]) == 100, name
                medians[name, server.name] = wrk("search.lua", server.url, 1, seconds, str(file))["p50"]
            if runs > 100_000:
                medians["deep", server.name] = deep(server, where)
                medians["memory", server.name] = server.memory()
                if server.name == "aerie":
                    for name, query in PAGES.items():
                        medians[name, server.name] = page(f"{server.url}/console/experiments/{where}{query}")
        finally:
            server.stop()
    asked = "30x" if runs <= 10_000 else "< 20 ms"
    for name in [*SEARCHES, *(["deep"] if runs > 100_000 else [])]:
        ours, theirs = medians[name, "aerie"], medians.get((name, "mlflow"), float("nan"))
        label = "page 51 of 1,000 each" if name == "deep" else name
        beside(f"search, 100 of {runs:,}: {label}", "ms", ours, theirs, "-" if name == "deep" else asked)
    if runs > 100_000:
        for name in PAGES:
            beside(f"console, 50 of {runs:,}: {name}", "ms", medians[name, "aerie"], float("nan"), "-")
        theirs = medians.get(("memory", "mlflow"), float("nan"))
        beside(f"resident memory after searching {runs:,}", "MB", medians["memory", "aerie"], theirs, "< 200 MB")


def page(url: str) -> float:
    """The median of 20 fetches of a page, in milliseconds."""
    took = []
    for _ in range(20):
        began = time.monotonic()
        with urllib.request.urlopen(url, timeout=120) as answer:
            answer.read()
        took.append((time.monotonic() - began) * 1000)
    return statistics.median(took)


def deep(server: Server, where: str) -> float:
    """Milliseconds of the 51st page of 1,000."""
    token, took = None, 0.0
    for _ in range(51):
        body = {"experiment_ids": [where], "max_results": 1000, **({"page_token": token} if token else {})}
        began = time.monotonic()
        token = call(server.url, "runs/search", body)["next_page_token"]
        took = (time.monotonic() - began) * 1000
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--peer-at-many", action="store_true", help="also measure mlflow server on the many runs; slow")
    parser.add_argument("--quick", action="store_true", help="short loads, and many runs written and not imported")
    parser.add_argument("--only", default="writes,search,many")
    options = parser.parse_args()
    parts = options.only.split(",")
    if unknown := set(parts) - {"writes", "search", "many"}:
        sys.exit(f"--only: {', '.join(sorted(unknown))} is none of writes, search, many")
    if options.quick:
        options.seconds = 3
    with Workspace() as work:
        if "writes" in parts:
            writes(work.path, options.seconds)
        if "search" in parts:
            search(work.path, options.runs, min(options.seconds, 5), peer=True, imported=True)
        if "many" in parts:
            search(work.path, options.many, min(options.seconds, 5), peer=options.peer_at_many, imported=not options.quick)
    say(f"\n{'':52} {'aerie':>12} {'mlflow':>12}")
    for line in TABLE:
        say(line)


main()
