"""One-row requests beside nginx's fixed answer, thread for thread: as many workers of nginx as event loops of the plane.

One thread of a server has a processor to itself, and the load generator the other: left to the scheduler both are put on
one of them for seconds at a time, which halves the rate of either server. Two threads share both with the load generator.
"""
import statistics

import features
from nginx import Nginx
from plane import Plane
from senders import JSON, answered, body_json, h2load, line, lua, wrk

# Seconds for which each is asked in its turn: the machine's own speed changes within seconds, for all of them.
TURN = 1


def beside(threads: int, rounds: int, seconds: int):
    """All rows for that many threads of each server."""
    cores, sender = ("0", "1") if threads == 1 else (None, None)
    with Nginx(threads, cores) as nginx, Plane(
            "--inference-loops", str(threads), cores=cores, sender=sender) as plane:
        plane.deploy_fraud()
        row = body_json(1).encode()
        with_features = features.deploy(plane)
        asked = [
            ("one row, JSON", "0.8 x nginx", plane.infer("fraud"), lua(plane.folder, "row", row, JSON)),
            ("one row, JSON, 10 features fetched", "0.6 x nginx", plane.infer("fraud-features"),
             lua(plane.folder, "features", with_features, JSON)),
        ]
        of = f"{threads} loop{'s' * (threads > 1)}: "
        reached = {name: [] for name, *_ in asked}
        for _ in range(rounds * seconds // TURN):
            peer = wrk(nginx.url, TURN, cores=sender)
            for name, _, url, script in asked:
                reached[name].append((*wrk(url, TURN, script, cores=sender), *peer))
        for name, must, *_ in asked:
            ratios = [mine / theirs for mine, _, theirs, _ in reached[name]]
            rate, p99, peer_rate, peer_p99 = (statistics.median(column) for column in zip(*reached[name]))
            line(of + name, f"{rate:,.0f}/s, P99 {p99:.2f} ms", must,
                 f"{statistics.median(ratios):.2f} x {peer_rate:,.0f}, P99 {peer_p99:.2f} ms; turns {min(ratios):.2f} to {max(ratios):.2f}")
        pipelined(of, nginx, plane, row, seconds)
        grpc(of, nginx, plane, seconds)
        half_load(of, nginx, plane, row, rounds, seconds)


def pipelined(of: str, nginx: Nginx, plane: Plane, row: bytes, seconds: int):
    beside, _ = wrk(nginx.url, seconds, lua(plane.folder, "nginx-pipelined", pipelined=16), cores=plane.sender)
    rate, _ = wrk(plane.infer("fraud"), seconds, lua(plane.folder, "row-pipelined", row, JSON, pipelined=16),
                  cores=plane.sender)
    line(f"{of}one row, JSON, 16 pipelined", f"{rate:,.0f}/s", "2 x nginx pipelined", f"{rate / beside:.2f} x {beside:,.0f}")


def grpc(of: str, nginx: Nginx, plane: Plane, seconds: int):
    beside, _ = wrk(nginx.url, seconds, cores=plane.sender)
    rate, mean, _ = h2load(plane.grpc, seconds, plane.folder, 1, 4, 8, plane.sender)
    line(f"{of}one row, gRPC, 32 in flight", f"{rate:,.0f}/s, mean {mean:.2f} ms", "0.5 x nginx", f"{rate / beside:.2f} x {beside:,.0f}")


def half_load(of: str, nginx: Nginx, plane: Plane, row: bytes, rounds: int, seconds: int):
    """Requests that fall due at half of what is answered at most, to both servers by the same sender."""
    body = plane.folder / "row.json"
    body.write_bytes(row)
    load = ("--connections", "32")
    rate = plane.bench("fraud", *load, seconds=seconds)["requests_per_second"] / 2
    mine, theirs = [], []
    for _ in range(rounds):
        mine.append(answered(plane.bench("fraud", *load, seconds=seconds, rate=rate))["latency_ms"])
        theirs.append(plane.load("--target", nginx.url, "--body", str(body), *load, seconds=seconds, rate=rate)["latency_ms"])
    p50, p99 = (statistics.median_low(told[name] for told in mine) for name in ("p50", "p99"))
    peer50, peer99 = (statistics.median_low(told[name] for told in theirs) for name in ("p50", "p99"))
    line(f"{of}one row, JSON, at half of what it can", f"{rate:,.0f}/s, P50 {p50:.2f}, P99 {p99:.2f} ms", "P99 < 1 ms",
         f"nginx at that rate: P50 {peer50:.2f}, P99 {peer99:.2f} ms")
