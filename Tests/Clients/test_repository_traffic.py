"""Models are loaded again, split, loaded and unloaded while clients ask without pause: no request fails. A thousand
models share the memory for a tenth of them."""
import concurrent.futures
import json
import threading
import time
import urllib.request

import numpy
import pytest
import tritonclient.grpc
import tritonclient.http

from conftest import wait_until_available
from test_inference_protocol import MANIFEST, write_model

ROWS = numpy.arange(6, dtype=numpy.float32).reshape(2, 3)
NAME = "repository-traffic"
COUNT = 1000


def tensor(module):
    tensor = module.InferInput("x", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS)
    return tensor


def apply(aerie, name, paths, annotations="{}"):
    """One predictor for each path, with equal shares."""
    share = 100 // len(paths)
    predictors = "".join(
        f"  - name: p{index}\n    traffic: {share}\n    graph: {{name: model, type: MODEL, modelUri: \"{path}\"}}\n"
        for index, path in enumerate(paths))
    aerie.cli("apply", "-f", "-", input=(
        "apiVersion: machinelearning.seldon.io/v1\nkind: SeldonDeployment\n"
        f"metadata: {{name: {name}, annotations: {annotations}}}\nspec:\n  predictors:\n{predictors}"))
    wait_until_available(aerie, name)


class Traffic:
    """Four threads with a connection each, two over HTTP and two over gRPC, that keep every factor they were given."""

    def __init__(self, aerie):
        self.aerie = aerie
        self.factors: list[float] = []
        self.failures: list[str] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=(module, address)) for module, address in [
            (tritonclient.http, aerie.inference_http.removeprefix("http://")),
            (tritonclient.grpc, aerie.inference_grpc)] * 2]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()

    def ask(self, module, address):
        with module.InferenceServerClient(address) as client:
            while not self.over.is_set():
                time.sleep(0.001)
                try:
                    answer = client.infer(NAME, [tensor(module)]).as_numpy("y")
                    factor = float(answer[1, 1] / ROWS[1, 1])
                    numpy.testing.assert_array_equal(answer, ROWS * factor)
                    self.factors.append(factor)
                except Exception as error:
                    self.failures.append(repr(error))
                    return

    def more(self, count=100):
        """Waits for that many further answers."""
        wanted, deadline = len(self.factors) + count, time.monotonic() + 20
        while len(self.factors) < wanted and not self.failures:
            assert time.monotonic() < deadline, "the traffic does not flow"
            time.sleep(0.01)
        assert not self.failures, self.failures


def test_changes_under_traffic_fail_no_request(aerie, tmp_path):
    first, second = (write_model(tmp_path / f"{factor}.onnx", factor) for factor in (2.0, 5.0))
    apply(aerie, NAME, [first])
    with tritonclient.http.InferenceServerClient(aerie.inference_http.removeprefix("http://")) as client, \
            tritonclient.grpc.InferenceServerClient(aerie.inference_grpc) as rpc, Traffic(aerie) as traffic:
        traffic.more()
        for round in range(5):
            # Loaded again under another policy, over both protocols.
            client.load_model(NAME, config=json.dumps({"max_batch_size": 4 + round, "dynamic_batching": {}}))
            rpc.load_model(NAME, config="{}")
            traffic.more(50)
        for paths in ([first, second], [second], [second, first], [first]):
            apply(aerie, NAME, paths)
            traffic.more()
        # Others come and go beside it.
        content = second.read_bytes()
        for round in range(5):
            for each, module in ((client, tritonclient.http), (rpc, tritonclient.grpc)):
                each.load_model("repository-guest", config="{}", files={f"file:{round + 1}/model.onnx": content})
                answer = each.infer("repository-guest", [tensor(module)]).as_numpy("y")
                numpy.testing.assert_array_equal(answer, ROWS * 5)
                each.unload_model("repository-guest")
                assert not each.is_model_ready("repository-guest")
            traffic.more(20)
    assert not traffic.failures, traffic.failures
    assert set(traffic.factors) == {2.0, 5.0}


def gauge(aerie, name):
    text = urllib.request.urlopen(f"{aerie.http}/metrics", timeout=20).read().decode()
    return float(next(line for line in text.splitlines() if line.startswith(name + " ")).rsplit(" ", 1)[1])


def test_a_thousand_models_within_the_memory_for_a_tenth(start_aerie, tmp_path):
    """Each says that it needs 1 MiB; the server may use 100."""
    paths = [write_model(tmp_path / f"{factor}.onnx", float(factor)) for factor in range(1, 11)]
    annotations = json.dumps({"aerie.dev/load": "on-demand", "aerie.dev/memory": "1MB"})
    aerie = start_aerie(tmp_path / "data", "--model-memory", "100MB")
    manifests = [
        MANIFEST.format(name=f"m{index}", annotations=annotations, path=paths[index % 10]) for index in range(COUNT)]
    aerie.cli("apply", "-f", "-", input="---\n".join(manifests))
    with tritonclient.grpc.InferenceServerClient(aerie.inference_grpc) as client:
        deadline = time.monotonic() + 60
        while len(client.get_model_repository_index().models) < COUNT:
            assert time.monotonic() < deadline, "not all models are known"
            time.sleep(0.2)

        def ask(index):
            answer = client.infer(f"m{index}", [tensor(tritonclient.grpc)]).as_numpy("y")
            numpy.testing.assert_array_equal(answer, ROWS * (index % 10 + 1))

        # Every model once, by eight at once: far more than there is room for.
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            list(threads.map(ask, numpy.random.default_rng(7).permutation(COUNT)))
        assert gauge(aerie, "seldon_loaded_model_gauge") <= 100
        assert gauge(aerie, "seldon_loaded_model_memory_bytes_gauge") <= 100 << 20
        assert gauge(aerie, "seldon_cache_evict_count") >= COUNT - 100
        states = [model.state for model in client.get_model_repository_index().models]
        assert len(states) == COUNT and states.count("READY") <= 100
