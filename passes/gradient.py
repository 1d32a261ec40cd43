"""The symbolic gradient: new tensors that compute derivatives of old ones, by walking the graph backwards.

Reverse mode is one sweep over the operands-first order, reversed. Each tensor collects the cotangents that
its users send; when all users are done, their sum goes through the op's own rule (`OpDef.vjp`) to its
operands. Forward mode is that sweep again, differentiated by its own cotangent.

The sweep itself is `graphc/ops/differentiation.py`; here are the functions that users call.

Invariant: every argument is checked before the sweep starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from graphc.errors import ArgumentError, DTypeError, GradientError, GraphcError, ShapeError
from graphc.ir.bodies import tensors_within
from graphc.ir.build import constant, expect_tensor
from graphc.ir.collector import holding
from graphc.ir.graph import Graph, topological_order
from graphc.ir.location import here, inherit
from graphc.ir.tensor import Tensor, describe
from graphc.ir.types import TupleType, is_float
from graphc.ops import differentiation
from graphc.ops.differentiation import zeros
from graphc.ops.while_loop import LIMIT_HINT, NO_LIMIT
from graphc.passes.slim import slim

Disconnected = Literal["error", "zeros"]
Tensors = Tensor | Sequence[Tensor]


@holding
def grad(loss: Tensor, wrt: Tensors, *, disconnected: Disconnected = "error") -> list[Tensor]:
    """The gradient of a scalar by each of some tensors.

    Args:
        loss: a float tensor of shape ().
        wrt: a float tensor, or a sequence of them: placeholders, variables or anything computed on the way.
        disconnected: what to give for a tensor that `loss` does not depend on: an error, or zeros. A tensor
            that it depends on only through comparisons, rounding, integers or `stop_gradient` has zeros.

    Returns:
        One tensor for each of `wrt`, of the same type. Gradients of gradients are formed in the same way.

    Raises:
        GradientError: `loss` is no float scalar, `wrt` is not of floats, a tensor is disconnected, or an op
            on the way has no gradient.
        ArgumentError: an argument is no tensor, or `disconnected` is neither "error" nor "zeros".

    >>> import graphc as gc
    >>> x = gc.placeholder(("batch", 3), "float32", name="x")
    >>> w = gc.variable([1.0, 2.0, 3.0], "float32", name="w")
    >>> loss = gc.sum(gc.tanh(x * w))
    >>> dx, dw = gc.grad(loss, [x, w])
    >>> dx.type, dw.type
    (f32[batch,3], f32[3])
    >>> hvp = gc.grad(gc.sum(dw * dw), [w])
    """
    expect_tensor("grad", "loss", loss)
    wanted = tensors_of("grad", "wrt", wrt)
    if isinstance(loss.type, TupleType) or loss.shape != ():
        raise GradientError(
            f"grad: the loss must be a scalar, {describe(loss)} is {loss.type!r}",
            location=here(),
            origins={"loss": f"{loss.op.name}, {loss.location}"},
            hint="reduce it by gc.sum or gc.mean, or use gc.vjp or gc.jacobian",
        )
    expect_float("grad", "the loss", [loss])
    expect_float("grad", "wrt", wanted)
    with inherit(loss.location, "grad"):
        seed = constant(np.ones((), loss.dtype))
    return _computable("grad", reverse("grad", [loss], wanted, [seed], disconnected))


@holding
def vjp(y: Tensors, x: Tensors, u: Tensors, *, disconnected: Disconnected = "error") -> Any:
    """The vector-Jacobian product: how `sum(u * y)` changes with `x`, for a fixed `u`.

    Args:
        y: a float tensor of any shape, or a sequence of them.
        x: what to differentiate by; a tensor, or a sequence.
        u: the cotangent of each `y`, of its dtype and shape.
        disconnected: as in `grad`.

    Returns:
        A tensor of `x`'s type; a list of them where `x` is a sequence.

    Raises:
        GradientError: as in `grad`.
        ShapeError: a cotangent has not the shape of its `y`.
        DTypeError: a cotangent has not the dtype of its `y`.

    >>> import graphc as gc
    >>> x = gc.placeholder((3,), "float64", name="x")
    >>> gc.vjp(x * x, x, gc.constant([1.0, 0.0, 0.0])).type
    f64[3]
    """
    results, wanted = tensors_of("vjp", "y", y), tensors_of("vjp", "x", x)
    cotangents = tensors_of("vjp", "u", u)
    expect_float("vjp", "y", results)
    expect_float("vjp", "x", wanted)
    _expect_like("vjp", "u", cotangents, "y", results)
    found = _computable("vjp", reverse("vjp", results, wanted, cotangents, disconnected))
    return found[0] if isinstance(x, Tensor) else found


@holding
def jvp(y: Tensors, x: Tensors, v: Tensors, *, disconnected: Disconnected = "error") -> Any:
    """The Jacobian-vector product: how `y` changes when `x` moves along `v` (forward mode).

    The reverse sweep is linear in its cotangent `u`, so its derivative by `u` along `v` is the forward
    product, whatever `u` is (J. Townsend, "A new trick for calculating Jacobian vector products", 2017).
    Here `u` is zero, and what depends on it only linearly drops out of the graph.

    Args:
        y: a float tensor of any shape, or a sequence of them.
        x: what to differentiate by; a tensor, or a sequence.
        v: the tangent of each `x`, of its dtype and shape.
        disconnected: as in `grad`.

    Returns:
        A tensor of `y`'s type; a list of them where `y` is a sequence.

    Raises:
        GradientError: as in `grad`.
        ShapeError: a tangent has not the shape of its `x`.
        DTypeError: a tangent has not the dtype of its `x`.

    >>> import graphc as gc
    >>> x = gc.placeholder((3,), "float64", name="x")
    >>> gc.jvp(gc.sum(x * x), x, gc.constant([1.0, 0.0, 0.0])).type
    f64[]
    """
    results, wanted = tensors_of("jvp", "y", y), tensors_of("jvp", "x", x)
    tangents = tensors_of("jvp", "v", v)
    expect_float("jvp", "y", results)
    expect_float("jvp", "x", wanted)
    _expect_like("jvp", "v", tangents, "x", wanted)
    found = forward("jvp", results, wanted, tangents, disconnected)
    return found[0] if isinstance(y, Tensor) else found


# The sweeps.


def reverse(
    caller: str,
    results: Sequence[Tensor],
    wrt: Sequence[Tensor],
    seeds: Sequence[Tensor],
    disconnected: Disconnected,
) -> list[Tensor]:
    """The cotangent of each of `wrt`, given those of `results`."""
    if disconnected not in ("error", "zeros"):
        raise ArgumentError(
            f"{caller}: disconnected must be 'error' or 'zeros', not {disconnected!r}", location=here()
        )
    if disconnected == "error":
        _expect_connected(caller, results, wrt)
    found = differentiation.cotangents(results, wrt, seeds)
    return [_zeros_like(w) if t is None else t for w, t in zip(wrt, found)]


def forward(
    caller: str,
    results: Sequence[Tensor],
    wrt: Sequence[Tensor],
    tangents: Sequence[Tensor],
    disconnected: Disconnected,
) -> list[Tensor]:
    """The tangent of each of `results`, given those of `wrt`; see `jvp` for why this is right."""
    dummies = [_zeros_like(y) for y in results]
    transposed = reverse(caller, results, wrt, dummies, disconnected)
    return reverse(caller, transposed, dummies, tangents, "zeros")


def _computable(caller: str, gradients: list[Tensor]) -> list[Tensor]:
    """The gradients, if there is a way to compute them: not through a `while_loop` without a limit."""
    graph = Graph(caller, (), tuple(gradients))
    if any(tensor.op.name == "while_transpose" for tensor in tensors_within(graph)):
        for tensor in tensors_within(slim(graph)):  # what is not needed does no harm
            if tensor.op.name == "while_transpose":
                raise GradientError(f"{caller}: while_loop: {NO_LIMIT}", location=tensor.location, hint=LIMIT_HINT)
    return gradients


def _zeros_like(tensor: Tensor) -> Tensor:
    with inherit(tensor.location, "grad"):
        return zeros(tensor.tensor_type)


# Checks of arguments.


def tensors_of(function: str, argument: str, value: Tensors) -> list[Tensor]:
    """An argument that is a tensor or a sequence of them, as a list."""
    if isinstance(value, Tensor):
        return [value]
    if not isinstance(value, (list, tuple)):
        raise ArgumentError(
            f"{function}: {argument} must be a tensor or a sequence of tensors, not {type(value).__name__}",
            location=here(),
        )
    return [expect_tensor(function, f"{argument}[{i}]", item) for i, item in enumerate(value)]


def expect_float(function: str, argument: str, tensors: Iterable[Tensor]) -> None:
    """Refuse tensors that have no gradient by their dtype."""
    for tensor in tensors:
        if isinstance(tensor.type, TupleType) or not is_float(tensor.dtype):
            raise GradientError(
                f"{function}: {argument} must be floats, {describe(tensor)} is {tensor.type!r}",
                location=here(),
                origins={tensor.hint or argument: f"{tensor.op.name}, {tensor.location}"},
                hint=None if isinstance(tensor.type, TupleType) else "cast it to a float dtype before use",
            )


def _expect_like(
    function: str, argument: str, given: Sequence[Tensor], of: str, models: Sequence[Tensor]
) -> None:
    if len(given) != len(models):
        raise ArgumentError(
            f"{function}: {argument} has {len(given)} tensors, {of} has {len(models)}", location=here()
        )
    for tensor, model in zip(given, models):
        if isinstance(tensor.type, TupleType) or tensor.dtype != model.dtype:
            wrong: type[GraphcError] = DTypeError
        elif tensor.shape != model.shape:
            wrong = ShapeError
        else:
            continue
        raise wrong(
            f"{function}: {argument} must have the type of {of}: {describe(tensor)} is {tensor.type!r}, "
            f"{describe(model)} is {model.type!r}",
            location=here(),
        )


def _expect_connected(
    function: str, results: Sequence[Tensor], wrt: Sequence[Tensor]
) -> None:
    reached = set(topological_order(results))
    for tensor in wrt:
        if tensor not in reached:
            result = results[0]
            known = {tensor.hint or "wrt": tensor, result.hint or "result": result}
            raise GradientError(
                f"{function}: {describe(result)} does not depend on {describe(tensor)}",
                location=here(),
                origins={name: f"{t.op.name}, {t.location}" for name, t in known.items()},
                hint='pass disconnected="zeros" to get zeros for it',
            )


__all__ = ["grad", "jvp", "vjp"]
