"""The verifier: a graph obeys the IR's rules if every type rule, run again, gives the type that is written.

Invariant: constraints between sizes are whatever `require_equal` was told while the type rules ran; so the
rules state them once, and building, verifying and closing a graph all see the same ones.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from graphc.errors import GraphcError, ShapeError, VerifyError
from graphc.ir import dims
from graphc.ir.bodies import bodies_of, tensors_within
from graphc.ir.dims import Size
from graphc.ir.graph import Constraint, Graph
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor, describe
from graphc.ir.types import TupleType


class _Recorder(threading.local):
    pairs: list[tuple[Size, Size]] | None = None


_recorder = _Recorder()


def require_equal(left: Size, right: Size, rule: str) -> Size:
    """State in a type rule that two sizes are equal; returns the one that says more.

    Two numbers are compared now. Where one is symbolic, the graph records a constraint that each call checks.

    Raises:
        ShapeError: they are different numbers, or can never be equal; `rule` is the message.
    """
    if left == right:
        return left
    difference = left - right
    if isinstance(difference, int):
        raise ShapeError(rule)
    if _recorder.pairs is not None:
        _recorder.pairs.append((left, right))
    return right if isinstance(right, int) else left


def inferred(tensor: Tensor) -> tuple[object, list[tuple[Size, Size]]]:
    """The type that the op's rule gives for the tensor's operands, and the constraints it states."""
    before, _recorder.pairs = _recorder.pairs, []
    try:
        return tensor.op.infer(*(t.type for t in tensor.inputs), **tensor.attrs), _recorder.pairs
    finally:
        _recorder.pairs = before


def constraints_of(graph: Graph) -> Iterator[Constraint]:
    """The size equalities that the tensors of `graph` need, each once."""
    seen: set[tuple[Size, Size]] = set()
    for tensor in tensors_within(graph):
        if tensor.op.name in ("placeholder", "variable") or not any(
            isinstance(s, dims.Dim) for t in (*tensor.inputs, tensor) for s in _shape(t)
        ):
            continue  # given values and fixed shapes state nothing
        for left, right in inferred(tensor)[1]:
            if (left, right) not in seen:
                seen.add((left, right))
                yield Constraint(left, right, tensor.op.name, tensor.location)


def _shape(tensor: Tensor) -> tuple[Size, ...]:
    items = tensor.type.items if isinstance(tensor.type, TupleType) else (tensor.type,)
    return tuple(s for item in items for s in item.shape)


def verify(graph: Graph) -> None:
    """Check `graph`, and all bodies in it, against the rules of the IR.

    Raises:
        VerifyError: an op is unknown, an attribute is missing or unknown, a written type is not the inferred
            one, an update does not fit its variable, a placeholder is not among the inputs, or a body reads a
            variable.
    """
    given = set(graph.inputs)
    for tensor in graph.tensors:
        where = f"in graph {graph.name}, tensor {describe(tensor)}"
        if OPS.get(tensor.op.name) is not tensor.op:
            raise VerifyError(f"{where}: op {tensor.op.name} is not in the registry", location=tensor.location)
        if set(tensor.attrs) != set(tensor.op.attrs) and tensor.op.name != "variable":
            raise VerifyError(
                f"{where}: attributes are {sorted(tensor.attrs)}, the op has {sorted(tensor.op.attrs)}",
                location=tensor.location,
            )
        if tensor.op.name in ("placeholder", "variable"):
            if tensor.op.name == "placeholder" and tensor not in given:
                raise VerifyError(f"{where}: a placeholder that is no input", location=tensor.location)
            continue
        try:
            found, _ = inferred(tensor)
        except GraphcError as error:
            raise VerifyError(f"{where}: {tensor.op.name}: {error.message}", location=tensor.location) from None
        if found != tensor.type:
            raise VerifyError(
                f"{where}: {tensor.op.name} is written as {tensor.type!r} but infers {found!r}",
                location=tensor.location,
            )
        for body in bodies_of(tensor).values():
            _verify_body(tensor, body)
    for variable, value in graph.updates:
        if variable.op.name != "variable" or variable.type != value.type:
            raise VerifyError(
                f"in graph {graph.name}: update of {describe(variable)}, {variable.type!r}, with {value.type!r}",
                location=value.location,
            )


def _verify_body(owner: Tensor, body: Graph) -> None:
    """Check a body; variables are read outside, and handed to it."""
    if body.updates or body.variables:
        raise VerifyError(
            f"the body {body.name} of {describe(owner)} reads or updates a variable", location=owner.location
        )
    verify(body)
