"""The symbolic gradient: new tensors that compute derivatives of old ones, by walking the graph backwards.

Reverse mode is one sweep over the operands-first order, reversed. Each tensor collects the cotangents that
its users send; when all users are done, their sum goes through the op's own rule (`OpDef.vjp`) to its
operands. Forward mode is that sweep again, differentiated by its own cotangent.

Invariant: the sweep only visits tensors between `wrt` and the result, once each, and never recurses; a tensor
that it makes carries the user's line of the tensor that it differentiates, and "grad of <op>".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from graphc.errors import ArgumentError, DTypeError, GradientError, GraphcError, ShapeError
from graphc.ir.build import apply, constant, expect_tensor
from graphc.ir.collector import holding
from graphc.ir.graph import topological_order
from graphc.ir.location import here, inherit
from graphc.ir.opdef import NOT_DIFFERENTIABLE, OPS, Trait
from graphc.ir.tensor import Tensor, describe
from graphc.ir.types import TensorType, TupleType, is_float
from graphc.ops.movement import sum_to_shape

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
    return reverse("grad", [loss], wanted, [seed], disconnected)


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
    found = reverse("vjp", results, wanted, cotangents, disconnected)
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
    order = list(topological_order(results))
    on_the_way = set(wrt)
    for tensor in order:
        if tensor not in on_the_way and any(operand in on_the_way for operand in tensor.inputs):
            on_the_way.add(tensor)
    if disconnected == "error":
        _expect_connected(caller, results, wrt, order)

    # A tensor with several results has one slot for each, filled by the `get`s that read them.
    slots: dict[Tensor, list[Tensor | None]] = {}
    for result, seed in zip(results, seeds):
        if result in on_the_way:
            _send(seed, result, slots, "seed")
    kept: dict[Tensor, Tensor] = {}
    stop = set(wrt)
    for tensor in reversed(order):
        received = slots.pop(tensor, None)
        if received is None:
            continue
        if tensor in stop and received[0] is not None:
            kept[tensor] = received[0]
        if not tensor.inputs or not any(operand in on_the_way for operand in tensor.inputs):
            continue
        with inherit(tensor.location, f"grad of {tensor.op.name}"):
            for operand, cotangent in _cotangents(tensor, received):
                if operand in on_the_way:
                    _send(cotangent, operand, slots, tensor.op.name)
            if tensor.op.name == "get" and received[0] is not None:
                _send_result(received[0], tensor, slots)
    return [kept[w] if w in kept else _zeros_like(w) for w in wrt]


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


def _cotangents(tensor: Tensor, received: list[Tensor | None]) -> Iterable[tuple[Tensor, Tensor]]:
    """What the rule of the tensor's op sends to its operands, those without a gradient left out."""
    rule = tensor.op.vjp
    if rule == NOT_DIFFERENTIABLE:
        return
    if isinstance(rule, str):
        raise GradientError(f"{tensor.op.name} has no gradient: {rule}", location=tensor.location)
    g: Any = received[0]
    y: Any = tensor
    if isinstance(tensor.type, TupleType):
        g = tuple(received)
        y = tuple(apply(OPS["get"], tensor, index=i) for i in range(len(received)))
    try:
        sent = rule(g, y, *tensor.inputs, **tensor.attrs)
    except GraphcError as error:
        message = f"the gradient of {tensor.op.name}: {error.message}"
        raise GradientError(message, location=tensor.location, hint=error.hint) from error
    if not isinstance(sent, tuple) or len(sent) != len(tensor.inputs):
        given = f"{len(sent)}" if isinstance(sent, tuple) else f"a {type(sent).__name__}"
        wanted = f"a tuple of {len(tensor.inputs)} cotangents"
        raise GradientError(
            f"the gradient rule of {tensor.op.name} must give {wanted}, it gave {given}",
            location=tensor.location,
        )
    for operand, cotangent in zip(tensor.inputs, sent):
        if cotangent is None or isinstance(operand.type, TupleType) or not is_float(operand.dtype):
            continue
        if tensor.op.has(Trait.ELEMENTWISE):
            cotangent = sum_to_shape(cotangent, operand.shape)
        yield operand, cotangent


def _send(cotangent: Tensor, operand: Tensor, slots: dict[Tensor, list[Tensor | None]], sender: str) -> None:
    """Add `cotangent` to what `operand` has received."""
    cotangent = _in_type_of(operand, cotangent, sender)
    present = slots.setdefault(operand, [None])
    present[0] = cotangent if present[0] is None else apply(OPS["add"], present[0], cotangent)


def _send_result(cotangent: Tensor, get: Tensor, slots: dict[Tensor, list[Tensor | None]]) -> None:
    """Add the cotangent of one result to the slots of the tensor that has several."""
    (operand,) = get.inputs
    assert isinstance(operand.type, TupleType)
    index = get.attrs["index"]
    present = slots.setdefault(operand, [None] * len(operand.type.items))
    before = present[index]
    present[index] = cotangent if before is None else apply(OPS["add"], before, cotangent)


def _in_type_of(operand: Tensor, cotangent: Tensor, sender: str) -> Tensor:
    """`cotangent`, checked to be of `operand`'s type.

    Sizes that are equal only by a constraint (`n` and 64) are written in the operand's own way.
    """
    if cotangent.type == operand.type:
        return cotangent
    if cotangent.dtype == operand.dtype and len(cotangent.shape) == len(operand.shape):
        differences = [a - b for a, b in zip(cotangent.shape, operand.shape)]
        if not any(isinstance(d, int) and d != 0 for d in differences):
            return apply(OPS["broadcast_to"], cotangent, shape=operand.shape)
    raise GradientError(
        f"the gradient rule of {sender} gave {cotangent.type!r} for an operand of type {operand.type!r}",
        location=here(),
    )


def zeros(type_: TensorType) -> Tensor:
    """Zeros of a type, symbolic sizes included."""
    scalar = constant(np.zeros((), type_.dtype))
    return apply(OPS["broadcast_to"], scalar, shape=type_.shape) if type_.shape else scalar


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
    function: str, results: Sequence[Tensor], wrt: Sequence[Tensor], order: Sequence[Tensor]
) -> None:
    reached = set(order)
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
