"""An encoder of MiniLM's size, 16 tokens, made INT8 by `aerie optimize` and served on one processor: its P99 at half of what
it can do. The load generator has the other processor."""
import argparse
import json
import subprocess

import numpy

from plane import PYTHON, ROOT, Plane, binary


def optimized(plane: Plane, folder):
    """Makes the encoder and its variants; the chosen one is left in `folder/report`."""
    subprocess.run([PYTHON, ROOT / "Benchmarks" / "DataPlane" / "make-encoder.py", folder], check=True)
    # Weights that were never trained leave many rows between the classes: the labels of a few of them may change.
    report = json.loads(subprocess.run(
        [binary(), "optimize", str(folder / "encoder.onnx"), "--data", str(folder / "tokens.npz"), "--output",
         str(folder / "report"), "--min-agreement", "0.97", "--python", str(PYTHON), "--server",
         plane.control, "--json"], check=True, capture_output=True, text=True).stdout)
    print(f"{'variant':<16}{'P50 ms':>8}{'P99 ms':>8}{'rows/s':>9}{'MB':>7}{'same label':>12}")
    for made in report["variants"]:
        print(f"{made['name']:<16}{made['p50_seconds'] * 1e3:>8.2f}{made['p99_seconds'] * 1e3:>8.2f}"
              f"{made['rows_per_second']:>9,.0f}{made['bytes'] / 1e6:>7.1f}{made['parity']['label_agreement']:>12.1%}")
    if not report["chosen"].startswith("int8"):
        raise SystemExit(f"{report['chosen']} was chosen, which is not INT8")
    return report["chosen"]


def rows_file(folder):
    rows = numpy.load(folder / "tokens.npz")["input_ids"]
    numpy.savetxt(folder / "rows.csv", rows, fmt="%d", delimiter=",", comments="",
                  header=",".join(f"t{at}" for at in range(rows.shape[1])))
    return str(folder / "rows.csv")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    with Plane("--inference-loops", "1", cores="0", sender="1") as plane:
        folder = plane.folder / "encoder"
        chosen = optimized(plane, folder)
        plane.deploy("encoder", folder / "report" / "model.onnx", "TRITON_SERVER")
        load = ("--connections", "8", "--data", rows_file(folder))
        most = plane.bench("encoder", *load, seconds=options.seconds / 2)["requests_per_second"]
        told = plane.bench("encoder", *load, seconds=options.seconds, rate=most / 2)
        latency = told["latency_ms"]
        print(f"{chosen}, one row of 16 tokens over HTTP, one processor: {most:,.0f}/s at most; at {most / 2:,.0f}/s P50 "
              f"{latency['p50']:.2f}, P99 {latency['p99']:.2f} ms (asked < 5 ms), {told['failed']} failed")


main()
