"""The rows of the data plane's table beside the one-row JSON request: pipelined, binary batches, gRPC. Each is measured in
turn with nginx's fixed answer in the same minute where it is measured against that.

usage: rows.py NGINX_PORT PLANE_HTTP_URL PLANE_GRPC_ADDRESS SECONDS WORK_FOLDER
"""
import json
import pathlib
import re
import struct
import subprocess
import sys

COLUMNS = 15


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


def wrk(url, seconds, script=None, connections=32):
    """Requests a second, and the P99 in milliseconds."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *(["-s", str(script)] if script else []), url]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out:
        sys.exit(f"{url}: {out}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])
    return rate, milliseconds(re.search(r"^\s+99%\s+(\S+)", out, re.M)[1])


def wrk_rate(url, seconds, script=None):
    return wrk(url, seconds, script)[0]


def h2load(rpc, seconds, work, rows, connections, streams):
    payload = work / f"grpc-{rows}.bin"
    payload.write_bytes(body_grpc(rows))
    out = subprocess.run(
        ["h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds}", "--warm-up-time=1", f"-d{payload}",
         "-H", "content-type: application/grpc", "-H", "te: trailers",
         f"http://{rpc}/inference.GRPCInferenceService/ModelInfer"], check=True, capture_output=True, text=True).stdout
    done = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", out)
    if int(done[2]) or int(done[3]):
        sys.exit(out)
    rate = float(re.search(r"finished in .*?, ([\d.]+) req/s", out)[1])
    # h2load tells the mean and the deviation of its request times, not their quantiles.
    times = re.search(r"time for request:\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)", out)
    return rate, milliseconds(times[3]), milliseconds(times[2])


def line(name, reached, must, beside=""):
    print(f"{name:<46} {reached:<34} {must:<30} {beside}", flush=True)


def main(nginx_port, plane, rpc, seconds, work):
    nginx = f"http://127.0.0.1:{nginx_port}/"
    work = pathlib.Path(work)
    infer = f"{plane}/v2/models/fraud/infer"
    line("row", "reached", "must reach", "beside it")
    json_body = body_json(1).encode()
    headers = {"Content-Type": "application/json"}
    beside, _ = wrk(nginx, seconds, lua(work, "nginx-pipelined", pipelined=16))
    rate, _ = wrk(infer, seconds, lua(work, "json-pipelined", json_body, headers, pipelined=16))
    line("one row, JSON, 16 pipelined", f"{rate:,.0f}/s", "2 x nginx pipelined", f"{rate / beside:.2f} x {beside:,.0f}")
    for connections in (2, 4, 8):
        binary, head = body_binary(256)
        script = lua(work, "binary", binary,
                     {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": head})
        rate, p99 = wrk(infer, seconds, script, connections)
        line(f"256 rows, binary HTTP, {connections} connections", f"{rate * 256:,.0f} rows/s, P99 {p99:.2f} ms",
             "1,000,000 rows/s, P99 < 5 ms")
    plain = wrk_rate(nginx, seconds)
    rate, mean, _ = h2load(rpc, seconds, work, 1, 4, 8)
    line("one row, gRPC, 32 in flight", f"{rate:,.0f}/s, mean {mean:.2f} ms", "0.5 x nginx", f"{rate / plain:.2f} x {plain:,.0f}")
    for connections, streams in ((2, 1), (2, 2), (4, 2)):
        rate, mean, worst = h2load(rpc, seconds, work, 256, connections, streams)
        line(f"256 rows, gRPC, {connections} connections x {streams}",
             f"{rate * 256:,.0f} rows/s, mean {mean:.2f}, worst {worst:.1f} ms", "1,000,000 rows/s, P99 < 5 ms")


if __name__ == "__main__":
    main(*sys.argv[1:])
