"""Writes the small ONNX models that the tests of InferONNX load. Needs the Python package `onnx`.

usage: python make_fixtures.py        (writes beside itself)
"""

import os

import onnx
from onnx import TensorProto, helper

FOLDER = os.path.dirname(os.path.abspath(__file__))
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]


def tensor(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def save(name, nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(nodes, name, inputs, outputs, initializer=list(initializers))
    model = helper.make_model(graph, opset_imports=OPSETS, producer_name="aerie-tests")
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, os.path.join(FOLDER, name + ".onnx"))


def affine():
    """y = x W + b over rows of two numbers."""
    weights = helper.make_tensor("W", TensorProto.FLOAT, [2, 1], [2.0, -3.0])
    bias = helper.make_tensor("b", TensorProto.FLOAT, [1], [0.5])
    nodes = [helper.make_node("MatMul", ["x", "W"], ["xw"]), helper.make_node("Add", ["xw", "b"], ["y"])]
    save("affine", nodes, [tensor("x", TensorProto.FLOAT, ["rows", 2])],
         [tensor("y", TensorProto.FLOAT, ["rows", 1])], [weights, bias])


def classifier(name, with_maps):
    """A stump of three classes: most likely class 1 where the first column is above 0.5, else class 0."""
    nodes = [helper.make_node(
        "TreeEnsembleClassifier", ["x"], ["label", "scores" if with_maps else "probabilities"], domain="ai.onnx.ml",
        nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0],
        nodes_values=[0.5, 0.0, 0.0], nodes_hitrates=[1.0, 1.0, 1.0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0],
        nodes_missing_value_tracks_true=[0, 0, 0], class_treeids=[0] * 6, class_nodeids=[1] * 3 + [2] * 3,
        class_ids=[0, 1, 2] * 2, class_weights=[0.75, 0.125, 0.125, 0.25, 0.5, 0.25],
        classlabels_int64s=[0, 1, 2], post_transform="NONE")]
    outputs = [tensor("label", TensorProto.INT64, ["rows"])]
    if with_maps:
        nodes.append(helper.make_node("ZipMap", ["scores"], ["output_probability"], domain="ai.onnx.ml",
                                      classlabels_int64s=[0, 1, 2]))
        element = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
        outputs.append(helper.make_value_info("output_probability", helper.make_sequence_type_proto(element)))
    else:
        outputs.append(tensor("probabilities", TensorProto.FLOAT, ["rows", 3]))
    save(name, nodes, [tensor("x", TensorProto.FLOAT, ["rows", 3])], outputs)


def types():
    """Each input comes back as it is: one of each element type that requests carry."""
    kinds = ["FLOAT", "DOUBLE", "INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8", "BOOL",
             "STRING", "FLOAT16"]
    nodes = [helper.make_node("Identity", ["in_" + k], ["out_" + k]) for k in kinds]
    save("types", nodes, [tensor("in_" + k, getattr(TensorProto, k), [None]) for k in kinds],
         [tensor("out_" + k, getattr(TensorProto, k), [None]) for k in kinds])


def sequence():
    """A tensor, and a sequence of it that has no tensor form."""
    nodes = [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("SequenceConstruct", ["x"], ["list"])]
    of_tensors = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [None]))
    save("sequence", nodes, [tensor("x", TensorProto.FLOAT, [None])],
         [tensor("y", TensorProto.FLOAT, [None]), helper.make_value_info("list", of_tensors)])
    save("only_sequence", nodes[1:], [tensor("x", TensorProto.FLOAT, [None])],
         [helper.make_value_info("list", of_tensors)])


def reshape():
    """Fails when it runs, not when it is loaded, for any number of elements but six."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [2, 3])
    save("reshape", [helper.make_node("Reshape", ["x", "shape"], ["y"])], [tensor("x", TensorProto.FLOAT, [None])],
         [tensor("y", TensorProto.FLOAT, [2, 3])], [shape])


def unknown_operator():
    graph = helper.make_graph([helper.make_node("Telepathy", ["x"], ["y"])], "unknown",
                              [tensor("x", TensorProto.FLOAT, [1])], [tensor("y", TensorProto.FLOAT, [1])])
    model = helper.make_model(graph, opset_imports=OPSETS, producer_name="aerie-tests")
    model.ir_version = 8
    onnx.save(model, os.path.join(FOLDER, "unknown_operator.onnx"))


if __name__ == "__main__":
    affine()
    classifier("classifier", with_maps=False)
    classifier("classifier_maps", with_maps=True)
    types()
    sequence()
    reshape()
    unknown_operator()
