"""How long the machine itself stands still while nothing else runs: no P99 of a server on it can be below that."""
import os
import pathlib
import subprocess
import tempfile

from senders import line


def measure(seconds: float):
    with tempfile.TemporaryDirectory(prefix="aerie-pauses-") as folder:
        program = pathlib.Path(folder) / "pauses"
        subprocess.run(["gcc", "-O2", "-o", program, pathlib.Path(__file__).with_name("pauses.c")], check=True)
        running = [subprocess.Popen([program, str(core), str(seconds)], stdout=subprocess.PIPE, text=True)
                   for core in sorted(os.sched_getaffinity(0))]
        told = [tuple(map(float, process.communicate()[0].split())) for process in running]
    line("the machine: pauses of more than 1 ms", ", ".join(f"{share:.2f} %" for share, _ in told) + " of the time", "",
         f"the longest {max(longest for _, longest in told):.1f} ms; a processor each")
