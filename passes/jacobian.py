"""Jacobians and Hessians: every partial derivative, as a graph.

There is one sweep of the gradient with a stand-in for the unit vector, and then one copy for each unit vector
of what depends on it; everything else of the sweep is shared.

Invariant: the number of copies is that of the smaller of the two tensors, is known when the graph is built,
and has a limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, ShapeError
from graphc.ir.build import apply, cast, constant, expect_tensor
from graphc.ir.dims import product
from graphc.ir.graph import topological_order, with_inputs
from graphc.ir.location import here, inherit
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor, describe
from graphc.ir.types import TensorType
from graphc.ops.differentiation import zeros
from graphc.passes.gradient import (
    Disconnected,
    Tensors,
    expect_float,
    forward,
    grad,
    reverse,
    tensors_of,
)

#: The most rows (or columns) that `jacobian` unrolls.
JACOBIAN_LIMIT = 4096


def jacobian(y: Tensor, x: Tensors, *, disconnected: Disconnected = "error") -> Any:
    """All partial derivatives of `y` by `x`, of shape `y.shape + x.shape`.

    Row by row in reverse mode, or column by column in forward mode, whichever are fewer; so `y` or `x` must
    have a fixed size.

    Args:
        y: a float tensor.
        x: a float tensor, or a sequence of them.
        disconnected: as in `grad`.

    Returns:
        A tensor of `x`'s dtype; a list of them where `x` is a sequence.

    Raises:
        GradientError: as in `grad`.
        ShapeError: the sizes of `y` and `x` are both symbolic.
        ArgumentError: both are larger than `JACOBIAN_LIMIT`.

    >>> import graphc as gc
    >>> x = gc.placeholder((3,), "float64", name="x")
    >>> gc.jacobian(x * x, x).type
    f64[3,3]
    """
    expect_tensor("jacobian", "y", y)
    wanted = tensors_of("jacobian", "x", x)
    expect_float("jacobian", "y", [y])
    expect_float("jacobian", "x", wanted)
    found = [_jacobian("jacobian", y, w, disconnected) for w in wanted]
    return found[0] if isinstance(x, Tensor) else found


def hessian(loss: Tensor, x: Tensor, *, disconnected: Disconnected = "error") -> Tensor:
    """All second derivatives of a scalar by one tensor, of shape `x.shape + x.shape`.

    Args:
        loss: a float tensor of shape ().
        x: a float tensor of a fixed size.
        disconnected: as in `grad`; a loss that is linear in `x` has zeros.

    Raises:
        GradientError: as in `grad`.
        ShapeError: the size of `x` is symbolic.
        ArgumentError: `x` has more than `JACOBIAN_LIMIT` elements.

    >>> import graphc as gc
    >>> x = gc.placeholder((3,), "float64", name="x")
    >>> gc.hessian(gc.sum(x * x * x), x).type
    f64[3,3]
    """
    expect_tensor("hessian", "x", x)
    (slope,) = grad(loss, [x], disconnected=disconnected)
    return _jacobian("hessian", slope, x, "zeros")


def _jacobian(caller: str, y: Tensor, x: Tensor, disconnected: Disconnected) -> Tensor:
    rows, columns = product(y.shape), product(x.shape)
    by_columns = isinstance(columns, int) and not (isinstance(rows, int) and rows <= columns)
    count = columns if by_columns else rows
    operands = f"{describe(y)} is {y.type!r}, {describe(x)} is {x.type!r}"
    if not isinstance(count, int):
        raise ShapeError(
            f"{caller}: the sizes of both are symbolic: {operands}",
            location=here(),
            hint="one derivative is made for each element of one of them, so give one a fixed size",
        )
    if count > JACOBIAN_LIMIT:
        raise ArgumentError(
            f"{caller}: it would take {count} derivatives, the limit is {JACOBIAN_LIMIT}: {operands}",
            location=here(),
            hint="use gc.jvp or gc.vjp for products with the Jacobian",
        )
    sweep, model = (forward, x) if by_columns else (reverse, y)
    with inherit(y.location, caller):
        stand_in = zeros(model.tensor_type)
    (result,) = sweep(caller, [y], [x], [stand_in], disconnected)
    with inherit(y.location, caller):
        if count == 0:
            return zeros(TensorType(x.dtype, y.shape + x.shape))
        units = [_unit(stand_in.tensor_type, i) for i in range(count)]
        parts = _replay(result, stand_in, units)
        if by_columns:  # stack along a new last axis
            thin = [apply(OPS["reshape"], p, shape=(*y.shape, 1)) for p in parts]
            axis = len(y.shape)
        else:
            thin = [apply(OPS["reshape"], p, shape=(1, *x.shape)) for p in parts]
            axis = 0
        joined = apply(OPS["concat"], *thin, axis=axis) if len(thin) > 1 else thin[0]
        return cast(apply(OPS["reshape"], joined, shape=y.shape + x.shape), x.dtype)


def _unit(type_: TensorType, position: int) -> Tensor:
    """The unit vector of a fixed shape, in C order."""
    shape = tuple(s for s in type_.shape if isinstance(s, int))
    array = np.zeros(shape, type_.dtype)
    array.reshape(-1)[position] = 1
    return constant(array)


def _replay(result: Tensor, stand_in: Tensor, replacements: Iterable[Tensor]) -> list[Tensor]:
    """`result` once for each replacement of `stand_in`; what does not depend on it is shared."""
    order = list(topological_order([result]))
    dependent = {stand_in}
    for tensor in order:
        if any(operand in dependent for operand in tensor.inputs):
            dependent.add(tensor)
    moving = [t for t in order if t in dependent and t is not stand_in]
    found = []
    for replacement in replacements:
        new: dict[Tensor, Tensor] = {stand_in: replacement}
        for tensor in moving:
            new[tensor] = with_inputs(tensor, tuple(new.get(i, i) for i in tensor.inputs))
        found.append(new.get(result, result))
    return found


__all__ = ["JACOBIAN_LIMIT", "hessian", "jacobian"]
