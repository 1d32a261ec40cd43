"""The reverse sweep: cotangents of a graph's tensors, from its results to what they are made of.

It serves the public gradient (`passes/gradient.py`) and the gradient rules of ops with bodies, which
differentiate those bodies.

Invariant: the sweep only visits tensors between `wrt` and the results, once each, and never recurses; a tensor
that it makes carries the user's line of the tensor that it differentiates, and "grad of <op>".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphc.errors import GradientError, GraphcError
from graphc.ir.build import apply, constant
from graphc.ir.dims import Size
from graphc.ir.graph import topological_order
from graphc.ir.location import here, inherit
from graphc.ir.opdef import NOT_DIFFERENTIABLE, OPS, Trait
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType, TupleType, is_float
from graphc.ops.movement import sum_to_shape

#: For each result of a tensor, the cotangents that have arrived.
Slots = dict[Tensor, list[list[Tensor]]]


def cotangents(
    results: Sequence[Tensor], wrt: Sequence[Tensor], seeds: Sequence[Tensor]
) -> list[Tensor | None]:
    """The cotangent of each of `wrt`, given those of `results`; None where nothing arrives.

    Args:
        results: float tensors, each once or more.
        wrt: float tensors.
        seeds: the cotangent of each result, of its type.

    Raises:
        GradientError: an op on the way has no gradient, or its rule fails.
    """
    order = list(topological_order(results))
    on_the_way = set(wrt)
    for tensor in order:
        if tensor not in on_the_way and any(operand in on_the_way for operand in tensor.inputs):
            on_the_way.add(tensor)

    # What a tensor receives; one with several results has a slot for each, filled by the `get`s that read them.
    slots: Slots = {}
    for result, seed in zip(results, seeds):
        if result in on_the_way:
            _send(seed, result, slots, "seed")
    kept: dict[Tensor, Tensor] = {}
    stop = set(wrt)
    for tensor in reversed(order):
        terms = slots.pop(tensor, None)
        if terms is None:
            continue
        with inherit(tensor.location, f"grad of {tensor.op.name}"):
            received = [total(each) for each in terms]
        if tensor in stop and received[0] is not None:
            kept[tensor] = received[0]
        if not tensor.inputs or not any(operand in on_the_way for operand in tensor.inputs):
            continue
        with inherit(tensor.location, f"grad of {tensor.op.name}"):
            for operand, cotangent in _sent(tensor, received):
                if operand in on_the_way:
                    _send(cotangent, operand, slots, tensor.op.name)
            if tensor.op.name == "get" and received[0] is not None:
                _send_result(received[0], tensor, slots)
    return [kept.get(w) for w in wrt]


def tangents(
    results: Sequence[Tensor], wrt: Sequence[Tensor], along: Sequence[Tensor]
) -> list[Tensor | None]:
    """The tangent of each result when each of `wrt` moves along its own; None where nothing moves.

    The sweep is linear in its seeds, so its derivative by them, along `along`, is the forward product, whatever
    the seeds are (J. Townsend, "A new trick for calculating Jacobian vector products", 2017). Here they are
    zero, and what depends on them only linearly drops out of the graph.
    """
    seeds = [zeros(y.tensor_type) for y in results]
    transposed = cotangents(results, wrt, seeds)
    moving = [(t, v) for t, v in zip(transposed, along) if t is not None]
    return cotangents([t for t, _ in moving], seeds, [v for _, v in moving])


def _sent(tensor: Tensor, received: list[Tensor | None]) -> Iterable[tuple[Tensor, Tensor]]:
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
        if isinstance(error, GradientError) and error.location is not None:
            raise  # from inside a body; it names the line there
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


def _send(cotangent: Tensor, operand: Tensor, slots: Slots, sender: str) -> None:
    """Add `cotangent` to what `operand` has received."""
    slots.setdefault(operand, [[]])[0].append(_in_type_of(operand, cotangent, sender))


def _send_result(cotangent: Tensor, get: Tensor, slots: Slots) -> None:
    """Add the cotangent of one result to the slots of the tensor that has several."""
    (operand,) = get.inputs
    assert isinstance(operand.type, TupleType)
    slots.setdefault(operand, [[] for _ in operand.type.items])[get.attrs["index"]].append(cotangent)


def total(terms: Sequence[Tensor]) -> Tensor | None:
    """The sum of cotangents; None of none. Slices that lie side by side, each padded with zeros, are joined.

    So the gradient of `split` is a concat.
    """
    parts = list(terms)
    for axis in sorted({axis for t in parts if (axis := _padded_axis(t)) is not None}):
        parts = _joined(parts, axis)
    if not parts:
        return None
    result = parts[0]
    for part in parts[1:]:
        result = apply(OPS["add"], result, part)
    return result


def _padded_axis(tensor: Tensor) -> int | None:
    """The one axis that a tensor is padded along with zeros; None if it is no such tensor."""
    if tensor.op.name != "pad":
        return None
    fill, attrs = tensor.inputs[1], tensor.attrs
    axes = [i for i, pair in enumerate(zip(attrs["before"], attrs["after"])) if pair != (0, 0)]
    is_zero = fill.op.name == "const" and not fill.attrs["value"].any()
    return axes[0] if is_zero and len(axes) == 1 else None


def _joined(terms: Sequence[Tensor], axis: int) -> list[Tensor]:
    """The terms, those that are padded along `axis` and lie side by side made one."""
    padded = [t for t in terms if _padded_axis(t) == axis and t.inputs[0].shape[axis] != 0]
    following = {t.attrs["before"][axis]: t for t in padded}
    ends = {_end(t, axis) for t in padded}
    firsts = [t for t in padded if t.attrs["before"][axis] not in ends]
    if len(following) < len(padded) or len(firsts) == len(padded):
        return list(terms)
    made = [t for t in terms if t not in padded]
    for first in firsts:
        run = [first]
        while (after := following.get(_end(run[-1], axis))) is not None:
            run.append(after)
        made.append(_beside(run, axis))
    return made


def _end(tensor: Tensor, axis: int) -> Size:
    """Where the elements of a padded tensor end."""
    return tensor.shape[axis] - tensor.attrs["after"][axis]


def _beside(run: Sequence[Tensor], axis: int) -> Tensor:
    """One tensor of padded ones that lie side by side."""
    if len(run) == 1:
        return run[0]
    whole = apply(OPS["concat"], *(t.inputs[0] for t in run), axis=axis)
    before, after = run[0].attrs["before"], run[-1].attrs["after"]
    if before[axis] == 0 and after[axis] == 0:
        return whole
    return apply(OPS["pad"], whole, run[0].inputs[1], before=before, after=after)


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
