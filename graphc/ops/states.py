"""States of loops: the checks that `scan` and `while_loop` share.

Invariant: a state keeps its type from step to step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.errors import ArgumentError, DTypeError, GraphcError, ShapeError
from graphc.ir.build import apply, as_tensor
from graphc.ir.graph import Graph
from graphc.ir.location import here
from graphc.ir.opdef import OPS
from graphc.ir.recording import recording
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType
from graphc.ops.lifting import Traced, results_of


def list_of(value: Any) -> list[Any]:
    """A list or tuple as a list, nothing as an empty one, and anything else as the one entry of a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def states_at_start(caller: str, init: Any) -> list[Tensor]:
    """The states before the first step.

    Raises:
        GraphcError: one is neither a tensor nor an array.
    """
    states = []
    for number, value in enumerate(list_of(init)):
        try:
            states.append(as_tensor(value))
        except GraphcError as error:
            raise type(error)(f"{caller}: state {number}: {error.message}", location=here()) from None
        states[-1].tensor_type  # noqa: B018  a tuple is refused
    return states


def fitted_states(
    caller: str, trace: Traced, new: Sequence[Any], parameters: Sequence[Tensor], start: Sequence[Tensor]
) -> list[Tensor]:
    """The new states, checked to be of the types of the old ones.

    Sizes that are equal only by a constraint (`n` and 64) are written as in the old state.

    Raises:
        DTypeError, ShapeError: a state changes its type from one step to the next.
        GraphcError: one is neither a tensor nor an array.
    """
    found = []
    for number, (value, old) in enumerate(zip(results_of(f"{caller}: a new state", trace, new), parameters)):
        if value.type != old.type:
            _expect_alike(caller, number, value, old, start[number])
            with recording() as made:
                value = apply(OPS["broadcast_to"], value, shape=old.shape)
            trace.made.update(made)
        found.append(value)
    return found


def _expect_alike(caller: str, number: int, new: Tensor, old: Tensor, start: Tensor) -> None:
    name = f"state {number}" + (f", {old.hint!r}," if old.hint else "")
    wrong: type[GraphcError]
    hint = None
    if new.dtype != old.dtype:
        wrong, hint = DTypeError, f"start with {new.dtype.name}, or cast the new state to {old.dtype.name}"
    elif new.ndim != old.ndim or any(isinstance(a - b, int) and a != b for a, b in zip(new.shape, old.shape)):
        wrong = ShapeError
    else:
        return
    raise wrong(
        f"{caller}: {name} is {old.type!r} before a step and {new.type!r} after it",
        location=here(),
        origins={
            "the first state": f"{start.op.name}, {start.location}",
            "the new state": f"{new.op.name}, {new.location}",
        },
        hint=hint,
    )


# For type rules.


def expect_parameters(name: str, body: Graph, types: Sequence[TensorType]) -> None:
    """Refuse a body whose parameters have other types than what it is called with."""
    if len(types) != len(body.inputs):
        raise ShapeError(f"the {name} takes {len(body.inputs)} operands, not {len(types)}")
    for number, (type_, parameter) in enumerate(zip(types, body.inputs)):
        if type_ != parameter.type:
            raise ShapeError(f"operand {number} of the {name} is {type_!r}, its parameter {parameter.type!r}")
    if body.updates:
        raise ArgumentError(f"the {name} updates variables")


def expect_states(body: Graph, states: Sequence[TensorType]) -> None:
    """Refuse a body whose first results are not of the states' types."""
    if len(body.outputs) < len(states):
        raise ArgumentError(f"the body gives {len(body.outputs)} results for {len(states)} states")
    for number, (old, new) in enumerate(zip(states, body.outputs)):
        if old != new.type:
            raise ShapeError(f"state {number} is {old!r} before a step and {new.type!r} after it")
