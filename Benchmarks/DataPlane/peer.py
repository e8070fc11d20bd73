"""One-row JSON requests beside MLServer with the same model: each in turn, in one minute, on this machine.

usage: peer.py MLSERVER PLANE_HTTP_URL SECONDS WORK_FOLDER
"""
import json
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from rows import body_json, line, lua, wrk

mlserver, plane, seconds, work = sys.argv[1:]
work = pathlib.Path(work)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main():
    folder = work / "mlserver"
    folder.mkdir()
    http, grpc, metrics = free_port(), free_port(), free_port()
    # Without its pool of processes: on two cores it answers more than with it.
    (folder / "settings.json").write_text(json.dumps({
        "host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics, "parallel_workers": 0}))
    (folder / "model-settings.json").write_text(json.dumps({
        "name": "fraud", "implementation": "mlserver_xgboost.XGBoostModel",
        "parameters": {"uri": str(work / "model" / "model.ubj")}}))
    log = (folder / "log").open("w")
    server = subprocess.Popen([mlserver, "start", str(folder)], stdout=log, stderr=log)
    try:
        theirs = f"http://127.0.0.1:{http}/v2/models/fraud"
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{theirs}/ready", timeout=5)
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.2)
        else:
            sys.exit(f"MLServer did not start: {(folder / 'log').read_text()[-2000:]}")
        script = lua(work, "one-row", body_json(1).encode(), {"Content-Type": "application/json"})
        slow, slow_p99 = wrk(f"{theirs}/infer", seconds, script)
        fast, fast_p99 = wrk(f"{plane}/v2/models/fraud/infer", seconds, script)
        line("one row, JSON, beside MLServer", f"{fast:,.0f}/s, P99 {fast_p99:.2f} ms", "50 x MLServer",
             f"{fast / slow:.0f} x {slow:,.0f}, P99 {slow_p99:.0f} ms")
    finally:
        server.terminate()
        server.wait(30)


main()
