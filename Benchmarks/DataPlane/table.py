"""The table of the data plane: each row in turn with what it is measured against, in the same minutes on this machine."""
import argparse

import allocations
import batches
import mlserver
import one_row
import pauses
from plane import Plane
from senders import line


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", type=int, nargs="?", default=3)
    parser.add_argument("seconds", type=int, nargs="?", default=3)
    options = parser.parse_args()
    line("row", "reached", "must reach", "beside it")
    pauses.measure(options.seconds)
    for threads in (1, 2):
        one_row.beside(threads, options.rounds, options.seconds)
    with Plane() as plane:
        plane.deploy_fraud()
        batches.measure(plane, options.seconds)
        mlserver.beside(plane, options.seconds)
    allocations.measure(options.seconds)


main()
