"""The rows of the data plane's table that want many predictions of few requests: batches and streams, on the loops of a
server as it is started without flags."""
from plane import Plane
from senders import answered, body_binary, h2load, line, lua, wrk

MILLION = "1,000,000 rows/s, P99 < 5 ms"


def measure(plane: Plane, seconds: float):
    for connections in (2, 4, 8):
        binary, head = body_binary(256)
        script = lua(plane.folder, "binary", binary,
                     {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": head})
        rate, p99 = wrk(plane.infer("fraud"), seconds, script, connections)
        line(f"256 rows, binary HTTP, {connections} connections", f"{rate * 256:,.0f} rows/s, P99 {p99:.2f} ms", MILLION)
    for connections, streams in ((2, 1), (2, 2), (4, 2)):
        rate, mean, worst = h2load(plane.grpc, seconds, plane.folder, 256, connections, streams)
        line(f"256 rows, gRPC, {connections} connections x {streams}",
             f"{rate * 256:,.0f} rows/s, mean {mean:.2f}, worst {worst:.1f} ms", MILLION)
    for connections, messages in ((1, 64), (2, 64), (2, 256)):
        told = answered(plane.bench("fraud", "--connections", str(connections), "--in-flight", str(messages),
                                    seconds=seconds, form="grpc-stream"))
        line(f"one-row messages, {connections} streams x {messages}",
             f"{told['predictions_per_second']:,.0f}/s, P99 {told['latency_ms']['p99']:.2f} ms", "300,000/s")
    for form, connections in (("binary", 2), ("binary", 4), ("grpc", 2), ("grpc", 4)):
        told = answered(plane.bench("fraud", "--rows", "256", "--connections", str(connections), seconds=seconds, form=form))
        line(f"256 rows, {form}, {connections} connections",
             f"{told['predictions_per_second']:,.0f} rows/s, P99 {told['latency_ms']['p99']:.2f} ms", MILLION)
