"""Requests for the data plane's model as bytes, wrk and h2load that send them, and the lines of the table."""
import json
import re
import struct
import subprocess
import sys

COLUMNS = 15
JSON = {"Content-Type": "application/json"}


def numbers(rows):
    return [((row * 7 + column * 3) % 100) / 100 for row in range(rows) for column in range(COLUMNS)]


def body_json(rows):
    return json.dumps({"inputs": [{"name": "input", "shape": [rows, COLUMNS], "datatype": "FP32", "data": numbers(rows)}]})


def body_binary(rows):
    raw = struct.pack(f"<{rows * COLUMNS}f", *numbers(rows))
    head = json.dumps({
        "inputs": [{"name": "input", "shape": [rows, COLUMNS], "datatype": "FP32",
                    "parameters": {"binary_data_size": len(raw)}}],
        "parameters": {"binary_data_output": True}}).encode()
    return head + raw, len(head)


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def body_grpc(rows):
    """A `ModelInferRequest` in gRPC's frame."""
    tensor = field(1, b"input") + field(2, b"FP32") + field(3, varint(rows) + varint(COLUMNS))
    message = field(1, b"fraud") + field(5, tensor) + field(7, struct.pack(f"<{rows * COLUMNS}f", *numbers(rows)))
    return b"\0" + struct.pack(">I", len(message)) + message


def lua(work, name, body=None, headers=None, pipelined=1):
    """A script for wrk; the body as Lua's decimal escapes, which hold any byte."""
    path = work / f"{name}.lua"
    lines = []
    if body is not None:
        escaped = "".join(f"\\{byte:03d}" for byte in body)
        lines += ['wrk.method = "POST"', f'wrk.body = "{escaped}"']
    lines += [f'wrk.headers["{key}"] = "{value}"' for key, value in (headers or {}).items()]
    if pipelined > 1:
        lines += ["init = function() local one = wrk.format() local all = {} "
                  f"for i = 1, {pipelined} do all[i] = one end requests = table.concat(all) end",
                  "request = function() return requests end"]
    path.write_text("\n".join(lines) + "\n")
    return path


UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * UNITS[unit]


def pinned(cores: str | None) -> list[str]:
    """What stands before a command that is to run on these processors only."""
    return [] if cores is None else ["taskset", "-c", cores]


def wrk(url, seconds, script=None, connections=32, cores=None):
    """Requests a second, and the P99 in milliseconds."""
    command = [*pinned(cores), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
               *(["-s", str(script)] if script else []), url]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out:
        sys.exit(f"{url}: {out}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])
    return rate, milliseconds(re.search(r"^\s+99%\s+(\S+)", out, re.M)[1])


def h2load(rpc, seconds, work, rows, connections, streams, cores=None):
    payload = work / f"grpc-{rows}.bin"
    payload.write_bytes(body_grpc(rows))
    out = subprocess.run(
        [*pinned(cores), "h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds}", "--warm-up-time=1", f"-d{payload}",
         "-H", "content-type: application/grpc", "-H", "te: trailers",
         f"http://{rpc}/inference.GRPCInferenceService/ModelInfer"], check=True, capture_output=True, text=True).stdout
    done = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", out)
    if int(done[2]) or int(done[3]):
        sys.exit(out)
    rate = float(re.search(r"finished in .*?, ([\d.]+) req/s", out)[1])
    # h2load tells the mean and the deviation of its request times, not their quantiles.
    times = re.search(r"time for request:\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)", out)
    return rate, milliseconds(times[3]), milliseconds(times[2])


def answered(told: dict) -> dict:
    """What `aerie bench` tells, where every request was answered well."""
    if told["failed"]:
        sys.exit(f"{told['failed']} of {told['failed'] + told['succeeded']} failed: {told['statuses']}")
    return told


def line(name, reached, must, beside=""):
    print(f"{name:<46} {reached:<34} {must:<30} {beside}", flush=True)
