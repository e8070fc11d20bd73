"""One-row JSON requests beside MLServer with the same model: each in turn, in one minute, on this machine."""
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request

from nginx import free_port
from plane import ROOT, Plane
from senders import body_json, line, lua, wrk

MLSERVER = ROOT / ".venv-mlserver" / "bin" / "mlserver"


def beside(plane: Plane, seconds: float):
    folder = plane.folder / "mlserver"
    folder.mkdir()
    http, grpc, metrics = free_port(), free_port(), free_port()
    # Without its pool of processes: on two cores it answers more than with it.
    (folder / "settings.json").write_text(json.dumps({
        "host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics, "parallel_workers": 0}))
    (folder / "model-settings.json").write_text(json.dumps({
        "name": "fraud", "implementation": "mlserver_xgboost.XGBoostModel",
        "parameters": {"uri": str(plane.folder / "fraud" / "model.ubj")}}))
    log = (folder / "log").open("w")
    server = subprocess.Popen([MLSERVER, "start", str(folder)], stdout=log, stderr=log)
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
        script = lua(plane.folder, "one-row", body_json(1).encode(), {"Content-Type": "application/json"})
        slow, slow_p99 = wrk(f"{theirs}/infer", seconds, script)
        fast, fast_p99 = wrk(plane.infer("fraud"), seconds, script)
        line("one row, JSON, beside MLServer", f"{fast:,.0f}/s, P99 {fast_p99:.2f} ms", "50 x MLServer",
             f"{fast / slow:.0f} x {slow:,.0f}, P99 {slow_p99:.0f} ms")
    finally:
        server.terminate()
        server.wait(30)
