"""The one-row JSON request at a share of what the server can do, minute by minute: errors, latencies, memory."""
import argparse
import statistics
import sys

from plane import Plane


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=10, help="60 is the whole soak")
    parser.add_argument("--share", type=float, default=0.7, help="of what it can do")
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    load = ("--connections", str(options.connections))
    with Plane() as plane:
        plane.deploy_fraud()
        most = plane.bench("fraud", *load, seconds=10)["requests_per_second"]
        rate = most * options.share
        print(f"most {most:,.0f}/s; {options.minutes} minutes at {rate:,.0f}/s", flush=True)
        minutes = []
        for minute in range(1, options.minutes + 1):
            told = plane.bench("fraud", *load, seconds=60, rate=rate)
            latency, memory = told["latency_ms"], plane.memory()
            minutes.append((told["succeeded"], told["failed"], latency["p99"], memory))
            wrong = f" {told['statuses']}" if told["failed"] else ""
            print(f"minute {minute:>3}: {told['succeeded']:,} answered, {told['failed']} failed{wrong}, P50 {latency['p50']:.2f}"
                  f" P99 {latency['p99']:.2f} ms, {memory:.1f} MB", flush=True)
        report(minutes)


def report(minutes):
    answered, failed, p99, memory = (list(column) for column in zip(*minutes))
    half = (len(minutes) + 1) // 2
    first, last = statistics.median(p99[:half]), statistics.median(p99[-half:])
    print(f"{sum(answered):,} answered, {sum(failed)} failed; P99 {first:.2f} ms in the first half, {last:.2f} ms in the "
          f"last; memory {memory[0]:.1f} MB after the first minute, {memory[-1]:.1f} MB after the last")
    if sum(failed) or memory[-1] > 1.1 * memory[0] + 5:
        sys.exit("failed: there were errors, or memory grew")


main()
