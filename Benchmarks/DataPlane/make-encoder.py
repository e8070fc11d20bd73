"""A transformer encoder of MiniLM-L6's size as ONNX, with seeded weights: 6 layers, width 384, 12 heads, 1,536 inside,
30,522 tokens; the mean of the last layer goes to two classes.

usage: make-encoder.py FOLDER      writes encoder.onnx and tokens.npz (400 rows of 16 tokens)
"""
import pathlib
import sys

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

LAYERS, WIDTH, HEADS, INSIDE, TOKENS, LENGTH, CLASSES = 6, 384, 12, 1536, 30_522, 16, 2
generator = np.random.default_rng(7)
nodes, weights = [], []


def constant(name, values, kind=np.float32):
    weights.append(numpy_helper.from_array(np.asarray(values, dtype=kind), name))
    return name


def node(operator, inputs, **attributes):
    name = f"{operator.lower()}_{len(nodes)}"
    nodes.append(helper.make_node(operator, inputs, [name], **attributes))
    return name


def linear(x, rows, columns, name):
    weight = constant(f"{name}.weight", generator.normal(0, rows ** -0.5, (rows, columns)))
    return node("Add", [node("MatMul", [x, weight]), constant(f"{name}.bias", generator.normal(0, 0.02, columns))])


def normalized(x, name):
    scale, shift = constant(f"{name}.scale", np.ones(WIDTH)), constant(f"{name}.shift", np.zeros(WIDTH))
    return node("LayerNormalization", [x, scale, shift], axis=-1, epsilon=1e-12)


def gelu(x):
    inner = node("Erf", [node("Div", [x, constant(f"root_{len(nodes)}", 2 ** 0.5)])])
    half = node("Mul", [x, constant(f"half_{len(nodes)}", 0.5)])
    return node("Mul", [half, node("Add", [inner, constant(f"one_{len(nodes)}", 1.0)])])


def attention(x, shape, layer):
    def heads(name, order):
        split = node("Reshape", [linear(x, WIDTH, WIDTH, f"{layer}.{name}"), shape])
        return node("Transpose", [split], perm=order)
    query, key, value = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
    scores = node("Div", [node("MatMul", [query, key]), constant(f"{layer}.scale", (WIDTH / HEADS) ** 0.5)])
    mixed = node("MatMul", [node("Softmax", [scores], axis=-1), value])
    joined = node("Reshape", [node("Transpose", [mixed], perm=[0, 2, 1, 3]), "joined"])
    return linear(joined, WIDTH, WIDTH, f"{layer}.output")


def main(folder: pathlib.Path):
    folder.mkdir(parents=True, exist_ok=True)
    constant("joined", [0, LENGTH, WIDTH], np.int64)
    shape = constant("split", [0, LENGTH, HEADS, WIDTH // HEADS], np.int64)
    words = node("Gather", [constant("words", generator.normal(0, 0.05, (TOKENS, WIDTH))), "input_ids"], axis=0)
    x = normalized(node("Add", [words, constant("places", generator.normal(0, 0.02, (LENGTH, WIDTH)))]), "embedding")
    for number in range(LAYERS):
        layer = f"layer{number}"
        x = normalized(node("Add", [x, attention(x, shape, layer)]), f"{layer}.first")
        inside = gelu(linear(x, WIDTH, INSIDE, f"{layer}.up"))
        x = normalized(node("Add", [x, linear(inside, INSIDE, WIDTH, f"{layer}.down")]), f"{layer}.second")
    pooled = node("ReduceMean", [x], axes=[1], keepdims=0)
    nodes.append(helper.make_node("Softmax", [linear(pooled, WIDTH, CLASSES, "classes")], ["probabilities"], axis=-1))
    graph = helper.make_graph(
        nodes, "encoder", [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["rows", LENGTH])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", CLASSES])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, folder / "encoder.onnx")
    np.savez(folder / "tokens.npz", input_ids=generator.integers(0, TOKENS, (400, LENGTH), dtype=np.int64))


main(pathlib.Path(sys.argv[1]))
