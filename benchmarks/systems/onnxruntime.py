"""The workloads in ONNX Runtime, which infers and does not train: graphs by `onnx.helper`, bound inputs and outputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.program import Program, Programs
from benchmarks.workload import Arrays, Inputs, Sizes
from benchmarks.workloads.rows import EPSILON

LIBRARIES = ("onnxruntime", "onnx", "numpy")

Nodes = list[onnx.NodeProto]
TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}


def node(op: str, inputs: Sequence[str], output: str, **attributes: Any) -> onnx.NodeProto:
    """A node with one output."""
    return helper.make_node(op, list(inputs), [output], **attributes)


def inferred(
    nodes: Callable[[Sizes], Nodes],
    constants: Callable[[Sizes], Arrays] = lambda sizes: {},
    weights: Sequence[str] = (),
) -> Callable[[Inputs, Sizes], Program]:
    """The program of a graph whose result is called y_.

    Weights are inputs that are constants in a model, so that they are laid out once as the kernels like them.
    """

    def program(inputs: Inputs, sizes: Sizes) -> Program:
        arrays = {name: array for name, array in inputs.data.items() if name not in weights}
        fixed = constants(sizes) | {name: inputs.data[name] for name in weights}
        kind = TYPES[next(iter(arrays.values())).dtype.name]
        graph = helper.make_graph(
            nodes(sizes),
            "workload",
            [helper.make_tensor_value_info(name, kind, array.shape) for name, array in arrays.items()],
            [helper.make_tensor_value_info("y_", kind, None)],
            [numpy_helper.from_array(value, name) for name, value in fixed.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        (first,) = session.run(None, arrays)
        out = onnxruntime.OrtValue.ortvalue_from_numpy(np.empty_like(first))
        binding = session.io_binding()
        for name, array in arrays.items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
        binding.bind_ortvalue_output("y_", out)
        return Program(partial(session.run_with_iobinding, binding), lambda last: [out.numpy()])

    return program


def expression(sizes: Sizes) -> Nodes:
    """The expression, node by node; ONNX has no log1p."""
    return [
        node("Mul", "ab", "ab_"), node("Add", ["ab_", "c"], "abc"), node("Tanh", ["abc"], "tanh"),
        node("Mul", "aa", "aa_"), node("Neg", ["aa_"], "minus"), node("Exp", ["minus"], "exp"),
        node("Mul", ["tanh", "exp"], "product"), node("Abs", "b", "abs"), node("Add", ["abs", "one"], "above"),
        node("Log", ["above"], "log"), node("Add", ["product", "log"], "y_"),
    ]  # fmt: skip


def total(sizes: Sizes) -> Nodes:
    """A sum."""
    return [node("ReduceSum", ["x"] if sizes["axis"] is None else ["x", "axes"], "y_", keepdims=0)]


def axes(sizes: Sizes) -> Arrays:
    """The axis of a sum, which is an input in ONNX."""
    return {} if sizes["axis"] is None else {"axes": np.array([sizes["axis"]])}


def matmul(sizes: Sizes) -> Nodes:
    """A product of operands that may be stored transposed."""
    if "T" in sizes["stored"]:
        first, second = (int(how == "T") for how in sizes["stored"])
        return [node("Gemm", "xy", "y_", transA=first, transB=second)]
    return [node("MatMul", "xy", "y_")]


PROGRAMS: Programs = {
    "add": inferred(lambda sizes: [node("Add", "xy", "y_")]),
    "expression": inferred(expression, lambda sizes: {"one": np.float32(1)[None]}),
    "softmax": inferred(lambda sizes: [node("Softmax", "x", "y_", axis=1)]),
    "layer_norm": inferred(
        lambda sizes: [node("LayerNormalization", ["x", "scale", "shift"], "y_", axis=1, epsilon=EPSILON)]
    ),
    "sum": inferred(total, axes),
    "matmul": inferred(matmul),
    "convolution": inferred(lambda sizes: [node("Conv", "xw", "y_", group=sizes["groups"])], weights=["w"]),
    "max_pool": inferred(lambda sizes: [node("MaxPool", "x", "y_", kernel_shape=[2, 2], strides=[2, 2])]),
}
