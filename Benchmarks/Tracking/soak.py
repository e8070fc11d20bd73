"""Two hundred clients at once for five minutes, and what is there afterwards."""
import argparse
import http.client
import json
import multiprocessing
import pathlib
import sys
import threading
import time
import urllib.parse

from postgres import PostgresServer
from servers import Workspace, call, start_aerie

METRICS_A_BATCH = 20
BATCHES_A_RUN = 40


class Client:
    """One connection, kept open, that notes what was acknowledged."""

    def __init__(self, number: int, url: str, shared: str):
        place = urllib.parse.urlparse(url)
        self.connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
        self.number, self.shared = number, shared
        self.runs: dict[str, int] = {}
        self.shared_steps = 0
        self.errors: list[str] = []
        self.calls = 0

    def send(self, path: str, body: dict):
        self.connection.request("POST", f"/api/2.0/mlflow/{path}", json.dumps(body),
                                {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        self.calls += 1
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {text[:200]!r}")
        return json.loads(text)

    def work(self, until: float):
        while time.monotonic() < until:
            try:
                self.one_run(until)
            except Exception as error:  # Every kind of failure counts as one.
                self.errors.append(repr(error))
                return

    def one_run(self, until: float):
        made = self.send("runs/create", {"experiment_id": "0", "start_time": int(time.time() * 1000),
                                         "run_name": f"client-{self.number}"})
        run = made["run"]["info"]["run_id"]
        self.runs[run] = 0
        self.send("runs/log-parameter", {"run_id": run, "key": "client", "value": str(self.number)})
        for batch in range(BATCHES_A_RUN):
            if time.monotonic() >= until:
                break
            step = self.runs[run]
            self.send("runs/log-batch", {"run_id": run, "metrics": [
                {"key": f"m{key}", "value": step + key / 100, "timestamp": 1_700_000_000_000 + step, "step": step}
                for key in range(METRICS_A_BATCH)], "tags": [{"key": "batch", "value": str(batch)}]})
            self.runs[run] += 1
            if batch % 10 == 0:
                self.send("runs/log-metric", {"run_id": self.shared, "key": f"client_{self.number}",
                                              "value": self.shared_steps, "timestamp": 1, "step": self.shared_steps})
                self.shared_steps += 1
            if batch % 20 == 0:
                self.send("runs/search", {"experiment_ids": ["0"], "max_results": 5,
                                          "filter": f"params.client = '{self.number}'"})
        self.send("runs/update", {"run_id": run, "status": "FINISHED", "end_time": int(time.time() * 1000)})


def worker(numbers: range, url: str, shared: str, seconds: int, results):
    clients = [Client(number, url, shared) for number in numbers]
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=client.work, args=(until,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put([(c.number, c.runs, c.shared_steps, c.errors, c.calls) for c in clients])


def history(url: str, run: str, key: str) -> list:
    points, token = [], ""
    while True:
        page = call(url, f"metrics/get-history?run_id={run}&metric_key={key}&page_token={token}")
        points += [(int(point["step"]), point["value"]) for point in page.get("metrics", [])]
        token = page.get("next_page_token", "")
        if not token:
            return points


def verify(url: str, results: list) -> list:
    """What is wrong; every run is read, one key of each, and all clients' points of the shared run."""
    wrong = []
    for number, runs, _, _, _ in results:
        for run, count in runs.items():
            key = int(run, 16) % METRICS_A_BATCH
            found = history(url, run, f"m{key}")
            if found != [(step, step + key / 100) for step in range(count)]:
                wrong.append(f"run {run} of client {number}: {len(found)} points of m{key}, {count} acknowledged")
    return wrong


def verify_shared(url: str, shared: str, results: list) -> list:
    wrong = []
    for number, _, steps, _, _ in results:
        found = history(url, shared, f"client_{number}")
        if found != [(step, step) for step in range(steps)]:
            wrong.append(f"the shared run: {len(found)} points of client_{number}, {steps} acknowledged")
    return wrong


def soak(server, clients: int, seconds: int, processes: int = 2):
    shared = call(server.url, "runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]
    queue = multiprocessing.Queue()
    numbers = [range(clients)[start::processes] for start in range(processes)]
    workers = [multiprocessing.Process(target=worker, args=(part, server.url, shared, seconds, queue))
               for part in numbers]
    for process in workers:
        process.start()
    began, memory = time.monotonic(), []
    while time.monotonic() - began < seconds:
        time.sleep(min(5, seconds / 20))
        memory.append(server.memory())
        print(f"\r  {time.monotonic() - began:4.0f} s  {memory[-1]:6.0f} MB", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    results = [client for _ in workers for client in queue.get(timeout=120)]
    for process in workers:
        process.join(60)
    return shared, results, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--metadata", choices=["sqlite", "postgres"], default="sqlite")
    options = parser.parse_args()
    with Workspace() as work:
        flags = []
        if options.metadata == "postgres":
            database = work.add(PostgresServer(work.path))
            flags = ["--metadata", database.url]
        server = work.add(start_aerie(work.path / "aerie", *flags))
        shared, results, memory = soak(server, options.clients, options.seconds)
        errors = [error for client in results for error in client[3]]
        wrong = verify(server.url, results) + verify_shared(server.url, shared, results)
        points = sum(count * METRICS_A_BATCH for client in results for count in client[1].values())
        calls = sum(client[4] for client in results)
        settled, end = sorted(memory[len(memory) // 4:len(memory) // 2])[0], memory[-1]
        print(f"{options.metadata}: {options.clients} clients, {options.seconds} s: {calls:,} calls"
              f" ({calls / options.seconds:,.0f}/s), {points:,} metric points acknowledged,"
              f" {sum(len(client[1]) for client in results):,} runs")
        print(f"  errors {len(errors)}, wrong {len(wrong)}, memory {settled:.0f} MB settled, {end:.0f} MB at the end")
        for line in (errors + wrong)[:20]:
            print("  ", line)
        sys.exit(1 if errors or wrong else 0)


if __name__ == "__main__":
    main()
