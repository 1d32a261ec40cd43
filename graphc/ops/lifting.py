"""From a user's function to a body graph: run it once on parameters, and lift what it reads from outside.

A body reads nothing but its parameters, constants and sizes. Whatever tensor the function takes from outside
(weights, a mask, a state of an outer loop) becomes one more parameter, and an operand of the op that has the
body. Inside is what was made while the function ran, so what a user writes in a loop is in the loop.

Invariant: bodies made together (`close_bodies`) have the same captured operands in the same order.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.errors import GraphcError, GraphError
from graphc.ir.build import as_tensor
from graphc.ir.graph import Graph, with_inputs
from graphc.ir.location import Location, here
from graphc.ir.opdef import OPS
from graphc.ir.recording import recording
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType, Type

#: Sources that a body may hold itself: no data comes from outside with them.
_FREE = frozenset({"dim", "iota"})


def parameter(type_: Type, location: Location, hint: str | None = None) -> Tensor:
    """A placeholder for one operand of a body."""
    return Tensor(OPS["placeholder"], (), {}, type_, location, hint)


@dataclass(frozen=True, eq=False)
class Traced:
    """What a user's function did.

    Attributes:
        parameters: what it was called with.
        returned: what it returned, as it is.
        made: the tensors that were made meanwhile.
    """

    parameters: tuple[Tensor, ...]
    returned: Any
    made: set[Tensor]


def traced(function: Callable[..., Any], types: Sequence[TensorType]) -> Traced:
    """Call `function` with one parameter of each type, named as it names its arguments."""
    location = here()
    names = argument_names(function, len(types))
    parameters = tuple(parameter(type_, location, name) for type_, name in zip(types, names))
    with recording() as made:
        returned = function(*parameters)
    return Traced(parameters, returned, made)


def argument_names(function: Callable[..., Any], count: int) -> list[str | None]:
    """What a function calls its first `count` positional arguments; None where that is not known."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return [None] * count
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names: list[str | None] = [*positional[:count]]
    return names + [None] * (count - len(names))


def results_of(what: str, trace: Traced, values: Sequence[Any]) -> list[Tensor]:
    """What the function returned, as tensors; constants that this makes are inside the body.

    Raises:
        GraphcError: a value is neither a tensor nor an array.
    """
    with recording() as made:
        try:
            tensors = [as_tensor(value) for value in values]
        except GraphcError as error:
            raise type(error)(f"{what}: {error.message}", location=here(), hint=error.hint) from None
    trace.made.update(made)
    return tensors


def close_bodies(bodies: Sequence[tuple[str, Traced, Sequence[Tensor]]]) -> tuple[list[Graph], list[Tensor]]:
    """The body graphs of traced functions, and the operands that they take from outside, together.

    Args:
        bodies: for each its name, the trace and the results.
    """
    captured: dict[Tensor, Tensor] = {}
    parts: list[tuple[str, Traced, list[Tensor]]] = []
    for name, trace, results in bodies:
        parts.append((name, trace, _lifted(trace, results, captured)))
    shared = tuple(captured.values())
    graphs = [Graph(name, trace.parameters + shared, tuple(results)) for name, trace, results in parts]
    return graphs, list(captured)


def _lifted(trace: Traced, results: Sequence[Tensor], captured: dict[Tensor, Tensor]) -> list[Tensor]:
    """The results with outer tensors replaced by parameters, which are added to `captured`."""
    new: dict[Tensor, Tensor] = {t: t for t in trace.parameters}
    stack = list(reversed(results))
    while stack:
        tensor = stack[-1]
        if tensor in new:
            stack.pop()
        elif _is_inside(tensor, trace):
            waiting = [operand for operand in tensor.inputs if operand not in new]
            if waiting:
                stack += reversed(waiting)
                continue
            if tensor.op.name == "assign":
                raise GraphError(
                    "a variable is assigned inside a body: carry it as a state, and assign the last one",
                    location=tensor.location,
                )
            new[tensor] = with_inputs(tensor, tuple(new[operand] for operand in tensor.inputs))
        elif _is_free(tensor):
            new[tensor] = tensor
        else:
            if tensor not in captured:
                captured[tensor] = parameter(tensor.type, tensor.location, tensor.hint)
            new[tensor] = captured[tensor]
    return [new[result] for result in results]


def _is_inside(tensor: Tensor, trace: Traced) -> bool:
    """Whether a body computes the tensor. One result picked inside from a tuple made outside is taken as it is."""
    return tensor in trace.made and not (tensor.op.name == "get" and tensor.inputs[0] not in trace.made)


def _is_free(tensor: Tensor) -> bool:
    return tensor.op.name in _FREE or (tensor.op.name == "const" and tensor.tensor_type.size == 1)
