"""Three times what the server can do: how much of its capacity is still answered, and how late.

The server has one processor, the load generator the other one. A model that is slower than an event loop may be has a
queue, which refuses what it could only answer late; a tree model answers on the loop, where refusing would cost as much as
answering, and what bounds the wait is the number of requests that clients may have open.
"""
import argparse
import subprocess

from plane import PYTHON, Plane

CONVERT = """
import sys, onnxmltools, xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
booster = xgboost.Booster()
booster.load_model(sys.argv[1])
booster.feature_names = None
model = onnxmltools.convert_xgboost(booster, initial_types=[("input", FloatTensorType([None, 15]))])
open(sys.argv[2], "wb").write(model.SerializeToString())
"""


def told_of(name: str, most: float, offered: str, told: dict):
    good, latency = told["requests_per_second"], told["latency_ms"]
    others = {status: count for status, count in told["statuses"].items() if status not in ("0", "200")}
    print(f"{name:<42} capacity {most:>7,.0f}/s, {offered}: answered {good:>7,.0f}/s ({good / most:.0%}), "
          f"P50 {latency['p50']:.2f} P99 {latency['p99']:.2f} ms, others {others}", flush=True)


def at_a_rate(plane: Plane, name: str, form: str, load: tuple, options):
    """Requests fall due at so many times the capacity, answered or not."""
    rows = ("--rows", "256")
    most = plane.bench("fraud-onnx", *rows, "--connections", "16", seconds=options.seconds, form=form)["requests_per_second"]
    told = plane.bench("fraud-onnx", *rows, *load, seconds=options.seconds, form=form, rate=most * options.times)
    told_of(name, most, f"{told['due'] / told['seconds']:,.0f}/s due", told)


def by_more_clients(plane: Plane, name: str, form: str, connections: int, in_flight: int, options):
    """So many times the clients that find the capacity, each asking again when it is answered."""
    def load(count):
        return plane.bench("fraud", "--connections", str(count), "--in-flight", str(in_flight), seconds=options.seconds, form=form)
    most, clients = load(connections)["requests_per_second"], int(connections * options.times)
    told_of(name, most, f"{clients * in_flight} at once", load(clients))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=float, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    with Plane("--inference-loops", "1", cores="0", sender="1") as plane:
        plane.deploy_fraud()
        graph = plane.folder / "fraud.onnx"
        subprocess.run([PYTHON, "-c", CONVERT, plane.folder / "fraud" / "model.ubj", graph], check=True)
        plane.deploy("fraud-onnx", graph, "TRITON_SERVER")
        for form, load in (("grpc", ("--connections", "8", "--in-flight", "64")), ("binary", ("--connections", "512",))):
            at_a_rate(plane, f"256 rows through ONNX Runtime, {form}", form, load, options)
        by_more_clients(plane, "one row, trees, JSON", "json", 32, 1, options)
        by_more_clients(plane, "one row, trees, gRPC", "grpc", 4, 8, options)


main()
