"""The Open Inference Protocol with Triton's extensions, by Triton's own clients: HTTP and gRPC, synchronous and asyncio."""

import asyncio
import json
import time

import grpc
import numpy
import onnx
import pytest
import redis as redis_client
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from conftest import wait_until_available
from test_features_redis import Redis

NAME = "protocol-scaled"
BATCHED = "protocol-batched"
SLEEPING = "protocol-sleeping"

MANIFEST = """\
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata:
  name: {name}
  annotations: {annotations}
spec:
  predictors:
  - name: default
    graph: {{name: model, type: MODEL, modelUri: "{path}"}}
"""


def write_model(path, factor=2.0):
    """`y = factor * x` over rows of three numbers."""
    constant = helper.make_tensor("factor", TensorProto.FLOAT, [], [factor])
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "factor"], ["y"])], "scaled",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 3])], [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="module")
def models(aerie, tmp_path_factory):
    path = write_model(tmp_path_factory.mktemp("models") / "scaled.onnx")
    config = {
        "max_batch_size": 16,
        # Long enough that a batch is formed by its size, not by the machine's pace.
        "dynamic_batching": {"preferred_batch_size": [4], "max_queue_delay_microseconds": 20_000_000},
        "response_cache": {"enable": True},
        "model_warmup": [{"name": "first", "batch_size": 2, "inputs": {"x": {"dims": [3], "random_data": True}}}],
    }
    for name, annotations in [
        (NAME, {}), (BATCHED, {"aerie.dev/model-config": json.dumps(config)}), (SLEEPING, {"aerie.dev/load": "on-demand"}),
    ]:
        aerie.cli("apply", "-f", "-", input=MANIFEST.format(name=name, annotations=json.dumps(annotations), path=path))
        wait_until_available(aerie, name)
    return path


@pytest.fixture
def http(aerie):
    with tritonclient.http.InferenceServerClient(aerie.inference_http.removeprefix("http://"), concurrency=8) as client:
        yield client


@pytest.fixture
def rpc(aerie):
    with tritonclient.grpc.InferenceServerClient(aerie.inference_grpc) as client:
        yield client


def tensor(module, rows, binary=True):
    rows = numpy.asarray(rows, dtype=numpy.float32)
    tensor = module.InferInput("x", list(rows.shape), "FP32")
    if module is tritonclient.http:
        tensor.set_data_from_numpy(rows, binary_data=binary)
    else:
        tensor.set_data_from_numpy(rows)
    return tensor


ROWS = numpy.arange(600, dtype=numpy.float32).reshape(200, 3)


@pytest.mark.parametrize("asked", ["gzip", "deflate", None])
@pytest.mark.parametrize("answered", ["gzip", "deflate", None])
@pytest.mark.parametrize("binary", [True, False])
def test_http_compression(http, models, asked, answered, binary):
    outputs = [tritonclient.http.InferRequestedOutput("y", binary_data=binary)]
    result = http.infer(
        NAME, [tensor(tritonclient.http, ROWS, binary)], outputs=outputs, request_compression_algorithm=asked,
        response_compression_algorithm=answered)
    numpy.testing.assert_array_equal(result.as_numpy("y"), ROWS * 2)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate", None])
def test_grpc_compression(rpc, models, algorithm):
    result = rpc.infer(NAME, [tensor(tritonclient.grpc, ROWS)], compression_algorithm=algorithm)
    numpy.testing.assert_array_equal(result.as_numpy("y"), ROWS * 2)


def test_asyncio_clients(aerie, models):
    async def ask():
        url = aerie.inference_http.removeprefix("http://")
        async with tritonclient.http.aio.InferenceServerClient(url) as client:
            assert await client.is_server_live() and await client.is_model_ready(NAME)
            answers = await asyncio.gather(
                *[client.infer(NAME, [tensor(tritonclient.http, ROWS[:1] + index)]) for index in range(20)])
            for index, answer in enumerate(answers):
                numpy.testing.assert_array_equal(answer.as_numpy("y"), (ROWS[:1] + index) * 2)
            with pytest.raises(InferenceServerException, match="no model nobody"):
                await client.infer("nobody", [tensor(tritonclient.http, ROWS)])
        async with tritonclient.grpc.aio.InferenceServerClient(aerie.inference_grpc) as client:
            assert await client.is_server_ready() and (await client.get_server_metadata()).name == "aerie"
            answer = await client.infer(NAME, [tensor(tritonclient.grpc, ROWS)], client_timeout=10)
            numpy.testing.assert_array_equal(answer.as_numpy("y"), ROWS * 2)

            async def requests():
                for index, name in enumerate([NAME, "nobody", NAME]):
                    yield {
                        "model_name": name, "inputs": [tensor(tritonclient.grpc, ROWS[:2] + index)],
                        "request_id": str(index)}

            seen = [pair async for pair in client.stream_infer(requests())]
            assert [error is None for _, error in seen] == [True, False, True]
            numpy.testing.assert_array_equal(seen[2][0].as_numpy("y"), (ROWS[:2] + 2) * 2)
            assert seen[2][0].get_response().id == "2"

    asyncio.run(ask())


def test_stream_marks_the_last_answer_of_a_request(rpc, models):
    seen = []
    rpc.start_stream(lambda result, error: seen.append((result, error)))
    for asked in (True, False):
        rpc.async_stream_infer(NAME, [tensor(tritonclient.grpc, ROWS)], enable_empty_final_response=asked)
    deadline = time.time() + 10
    while len(seen) < 2 and time.time() < deadline:
        time.sleep(0.01)
    rpc.stop_stream()
    marks = [result.get_response().parameters for result, error in seen if error is None]
    assert marks[0]["triton_final_response"].bool_param and "triton_final_response" not in marks[1]


def test_statistics(http, rpc, models):
    before = http.get_inference_statistics(NAME)["model_stats"][0]
    for _ in range(3):
        http.infer(NAME, [tensor(tritonclient.http, ROWS[:5])])
    with pytest.raises(InferenceServerException):
        http.infer(NAME, [tensor(tritonclient.http, [[1, 2]])])
    after = http.get_inference_statistics(NAME)["model_stats"][0]
    assert after["inference_count"] - before["inference_count"] == 15
    assert after["execution_count"] - before["execution_count"] == 3
    assert after["inference_stats"]["success"]["count"] - before["inference_stats"]["success"]["count"] == 3
    assert after["inference_stats"]["fail"]["count"] - before["inference_stats"]["fail"]["count"] == 1
    assert after["inference_stats"]["compute_infer"]["ns"] > before["inference_stats"]["compute_infer"]["ns"]
    assert abs(after["last_inference"] / 1000 - time.time()) < 60
    told = rpc.get_inference_statistics(NAME).model_stats[0]
    assert (told.name, told.inference_count, told.execution_count) == (
        NAME, after["inference_count"], after["execution_count"])
    assert told.inference_stats.success.ns == after["inference_stats"]["success"]["ns"]
    assert any(batch.batch_size == 5 for batch in told.batch_stats)
    assert {NAME, BATCHED} <= {stats["name"] for stats in http.get_inference_statistics()["model_stats"]}


def test_batches_and_cache(http, rpc, models):
    """Four requests of one row are one call of the model; asked again, they are none."""
    for _ in range(2):
        asked = [http.async_infer(BATCHED, [tensor(tritonclient.http, [[index, 1, 2]])]) for index in range(4)]
        for index, request in enumerate(asked):
            numpy.testing.assert_array_equal(request.get_result().as_numpy("y"), [[2 * index, 2, 4]])
    stats = rpc.get_inference_statistics(BATCHED).model_stats[0]
    assert (stats.inference_count, stats.execution_count) == (4, 1)
    assert [(batch.batch_size, batch.compute_infer.count) for batch in stats.batch_stats] == [(4, 1)]
    assert stats.inference_stats.cache_hit.count == 4 and stats.inference_stats.cache_miss.count == 4
    assert stats.inference_stats.success.count == 8


def test_configuration(http, rpc, models):
    config = http.get_model_config(BATCHED)
    assert config["max_batch_size"] == 16
    assert config["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [3]}]
    assert config["dynamic_batching"]["preferred_batch_size"] == [4]
    told = rpc.get_model_config(BATCHED).config
    assert told.max_batch_size == 16 and list(told.input[0].dims) == [3] and told.input[0].data_type == 11
    assert told.dynamic_batching.max_queue_delay_microseconds == 20_000_000 and told.response_cache.enable
    assert told.platform == "onnxruntime_onnx" and told.backend == "onnxruntime"
    plain = rpc.get_model_config(NAME).config
    assert plain.max_batch_size == 0 and list(plain.output[0].dims) == [-1, 3]


def test_sleeping_model_is_woken_by_its_first_request(http, rpc, models):
    states = {model["name"]: model for model in http.get_model_repository_index()}
    assert states[SLEEPING]["state"] == "UNAVAILABLE" and "asked for" in states[SLEEPING]["reason"]
    result = rpc.infer(SLEEPING, [tensor(tritonclient.grpc, ROWS)])
    numpy.testing.assert_array_equal(result.as_numpy("y"), ROWS * 2)
    states = {model.name: model.state for model in rpc.get_model_repository_index().models}
    assert states[SLEEPING] == "READY"


def test_load_and_unload(http, rpc, models, tmp_path):
    for client, module in ((http, tritonclient.http), (rpc, tritonclient.grpc)):
        client.unload_model(NAME)
        assert not client.is_model_ready(NAME)
        with pytest.raises(InferenceServerException):
            client.infer(NAME, [tensor(module, ROWS)])
        client.load_model(NAME)
        assert client.is_model_ready(NAME)
        numpy.testing.assert_array_equal(client.infer(NAME, [tensor(module, ROWS)]).as_numpy("y"), ROWS * 2)
        with pytest.raises(InferenceServerException, match="no model nobody: no deployment"):
            client.load_model("nobody")
        with pytest.raises(InferenceServerException, match="max_batch_size"):
            client.load_model(NAME, config=json.dumps({"max_batch_siz": 3}))
        config = json.dumps({"max_batch_size": 8, "dynamic_batching": {}})
        client.load_model(NAME, config=config)
        told = client.get_model_config(NAME)
        assert (told["max_batch_size"] if module is tritonclient.http else told.config.max_batch_size) == 8
        client.load_model(NAME, config="{}")


def test_load_with_files(http, rpc, models, tmp_path):
    content = {factor: write_model(tmp_path / f"{factor}.onnx", factor).read_bytes() for factor in (3.0, 5.0)}
    http.load_model("protocol-files", config="{}", files={"file:1/model.onnx": content[3.0]})
    answer = http.infer("protocol-files", [tensor(tritonclient.http, ROWS)])
    numpy.testing.assert_array_equal(answer.as_numpy("y"), ROWS * 3)
    rpc.load_model("protocol-files", config="{}", files={"file:2/model.onnx": content[5.0]})
    answer = rpc.infer("protocol-files", [tensor(tritonclient.grpc, ROWS)])
    numpy.testing.assert_array_equal(answer.as_numpy("y"), ROWS * 5)
    with pytest.raises(InferenceServerException):
        http.load_model("protocol-files", config="{}", files={"file:3/model.onnx": content[5.0][:40]})
    answer = rpc.infer("protocol-files", [tensor(tritonclient.grpc, ROWS)])
    numpy.testing.assert_array_equal(answer.as_numpy("y"), ROWS * 5)
    http.unload_model("protocol-files")
    assert "protocol-files" not in {model["name"] for model in http.get_model_repository_index()}


def test_settings_and_shared_memory(http, rpc, models):
    assert http.get_log_settings()["log_info"] is True
    assert rpc.get_log_settings(as_json=True)["settings"]["log_error"]["bool_param"] is True
    assert http.get_trace_settings()["trace_level"] == ["OFF"]
    assert list(rpc.get_trace_settings().settings["trace_level"].value) == ["OFF"]
    for client in (http, rpc):
        with pytest.raises(InferenceServerException, match="log-level"):
            client.update_log_settings({"log_verbose_level": 1})
        with pytest.raises(InferenceServerException, match="shared memory"):
            client.get_system_shared_memory_status()


def test_model_is_called_by_what_reflection_tells(aerie, models):
    """A client without any .proto: it asks for the description, builds the messages, and predicts."""
    with grpc.insecure_channel(aerie.inference_grpc) as channel:
        pool = descriptor_pool.DescriptorPool()
        reflect = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        symbol = b"inference.GRPCInferenceService"
        (answer,) = reflect(iter([bytes([4 << 3 | 2, len(symbol)]) + symbol]))
        # ServerReflectionResponse.file_descriptor_response (4) . file_descriptor_proto (1), found by parsing it as such.
        wrapper = descriptor_pb2.FileDescriptorProto(name="answer.proto", syntax="proto3")
        inner = wrapper.message_type.add(name="Files")
        inner.field.add(name="file", number=1, label=3, type=12)
        outer = wrapper.message_type.add(name="Answer")
        outer.field.add(name="files", number=4, label=1, type=11, type_name=".Files")
        pool.Add(wrapper)
        parsed = message_factory.GetMessageClass(pool.FindMessageTypeByName("Answer")).FromString(answer)
        pool.AddSerializedFile(parsed.files.file[0])
        service = pool.FindServiceByName("inference.GRPCInferenceService")
        method = service.methods_by_name["ModelInfer"]
        request = message_factory.GetMessageClass(method.input_type)(model_name=NAME, id="7")
        request.parameters["timeout"].int64_param = 10_000_000
        row = request.inputs.add(name="x", datatype="FP32", shape=[1, 3])
        row.contents.fp32_contents.extend([1, 2, 3])
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer", request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString)
        response = call(request)
        assert response.id == "7" and numpy.frombuffer(response.raw_output_contents[0], "<f4").tolist() == [2, 4, 6]
        # Against the real descriptions: each message that is told has the fields that Triton's own client knows.
        from tritonclient.grpc import service_pb2
        for name, told in pool.FindFileByName("inference.proto").message_types_by_name.items():
            theirs = service_pb2.DESCRIPTOR.message_types_by_name[name].fields
            known = {field.name: (field.number, field.type) for field in theirs}
            for field in told.fields:
                assert known[field.name] == (field.number, field.type), f"{name}.{field.name}"


def test_every_datatype_goes_through(http, rpc, aerie, tmp_path):
    """An identity for each type that ONNX has, raw both ways; those with a JSON form also as JSON."""
    types = {
        "BOOL": (TensorProto.BOOL, numpy.array([[True, False]])), "UINT8": (TensorProto.UINT8, numpy.array([[0, 255]])),
        "UINT16": (TensorProto.UINT16, numpy.array([[0, 65535]])), "INT8": (TensorProto.INT8, numpy.array([[-128, 127]])),
        "INT16": (TensorProto.INT16, numpy.array([[-32768, 32767]])), "INT32": (TensorProto.INT32, numpy.array([[-(2**31), 5]])),
        "UINT32": (TensorProto.UINT32, numpy.array([[0, 2**32 - 1]])),
        "INT64": (TensorProto.INT64, numpy.array([[-(2**63), 2**63 - 1]])),
        "UINT64": (TensorProto.UINT64, numpy.array([[0, 2**63 - 1]], dtype=numpy.uint64)),
        "FP16": (TensorProto.FLOAT16, numpy.array([[0.5, -65504]])), "FP32": (TensorProto.FLOAT, numpy.array([[0.1, numpy.inf]])),
        "FP64": (TensorProto.DOUBLE, numpy.array([[0.1, -1e300]])), "BYTES": (TensorProto.STRING, numpy.array([["", "größe"]])),
    }
    from tritonclient.utils import triton_to_np_dtype
    for name, (element, values) in types.items():
        graph = helper.make_graph(
            [helper.make_node("Identity", ["x"], ["y"])], "identity",
            [helper.make_tensor_value_info("x", element, ["rows", 2])],
            [helper.make_tensor_value_info("y", element, ["rows", 2])])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        http.load_model("protocol-type", config="{}", files={"file:1/model.onnx": model.SerializeToString()})
        values = numpy.array([[text.encode() for text in values[0]]], dtype=object) if name == "BYTES" \
            else values.astype(triton_to_np_dtype(name))
        for client, module, binary in (
                (http, tritonclient.http, True), (http, tritonclient.http, False), (rpc, tritonclient.grpc, True)):
            if not binary and (name == "FP16" or not numpy.isfinite(numpy.asarray(values, dtype=float)).all()
                               if name != "BYTES" else False):
                continue
            given = module.InferInput("x", [1, 2], name)
            asked = None
            if module is tritonclient.http:
                given.set_data_from_numpy(values, binary_data=binary)
                asked = [module.InferRequestedOutput("y", binary_data=binary)]
            else:
                given.set_data_from_numpy(values)
            answer = client.infer("protocol-type", [given], outputs=asked).as_numpy("y")
            if name == "BYTES":
                assert [item if isinstance(item, bytes) else item.encode() for item in answer[0]] == list(values[0])
            else:
                numpy.testing.assert_array_equal(answer, values, err_msg=f"{name} {module.__name__} {binary}")
    http.unload_model("protocol-type")


def test_two_servers_share_their_answers_in_redis(start_aerie, tmp_path, models):
    redis = Redis(tmp_path / "redis")
    stored = redis_client.Redis(port=redis.port)
    try:
        counts = []
        for number in range(2):
            server = start_aerie(tmp_path / f"data-{number}", "--shared-responses", f"redis://127.0.0.1:{redis.port}")
            annotations = json.dumps({"aerie.dev/response-cache": "true"})
            server.cli("apply", "-f", "-", input=MANIFEST.format(name="shared", annotations=annotations, path=models))
            wait_until_available(server, "shared")
            with tritonclient.http.InferenceServerClient(server.inference_http.removeprefix("http://")) as client:
                answer = client.infer("shared", [tensor(tritonclient.http, ROWS)])
                numpy.testing.assert_array_equal(answer.as_numpy("y"), ROWS * 2)
                stats = client.get_inference_statistics("shared")["model_stats"][0]
                counts.append((stats["execution_count"], stats["inference_stats"]["cache_hit"]["count"]))
            deadline = time.time() + 10
            while number == 0 and not stored.keys("aerie:response:*"):
                assert time.time() < deadline, "the answer did not reach Redis"
                time.sleep(0.02)
        assert counts == [(1, 0), (0, 1)]
        redis.kill()
        with tritonclient.http.InferenceServerClient(server.inference_http.removeprefix("http://")) as client:
            answer = client.infer("shared", [tensor(tritonclient.http, ROWS + 1)])
            numpy.testing.assert_array_equal(answer.as_numpy("y"), (ROWS + 1) * 2)
    finally:
        redis.kill()
