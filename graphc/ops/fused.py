"""The `fused` op: a cluster of tensors that runs as one kernel, held as a body graph.

`passes/fuse.py` makes it, after the gradient; a backend compiles the body as one loop.

Invariant: the value is that of the body, tensor by tensor, on the operands; the body reads nothing but its
parameters, constants and sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.errors import ShapeError
from graphc.ir.evaluate import Run
from graphc.ir.graph import Graph
from graphc.ir.opdef import Trait, define
from graphc.ir.types import TensorType, TupleType, Type


def _fused_type(*xs: TensorType, body: Graph) -> Type:
    if len(xs) != len(body.inputs):
        raise ShapeError(f"the body takes {len(body.inputs)} operands, not {len(xs)}")
    for i, (x, parameter) in enumerate(zip(xs, body.inputs)):
        if x != parameter.type:
            raise ShapeError(f"operand {i} is {x!r}, the body takes {parameter.type!r}")
    if len(body.outputs) == 1:
        return body.outputs[0].type
    return TupleType(tuple(t.tensor_type for t in body.outputs))


def _fused_eval(*xs: np.ndarray, body: Graph, sizes: Mapping[str, int], run: Run) -> Any:
    values = run(body, xs)
    return values[0] if len(values) == 1 else tuple(values)


define(
    "fused",
    operands=("*xs",),
    attrs=("body",),
    infer=_fused_type,
    eval=_fused_eval,
    vjp="clusters are made after the gradient",
    traits={Trait.BODY},
    doc="a cluster that runs as one kernel",
)
