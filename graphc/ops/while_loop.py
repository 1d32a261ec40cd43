"""`while_loop`: steps as long as a condition holds, as one op.

Forward mode carries tangents along with the states, in one loop. Reverse mode must go back over the steps, so it
must save what they leave behind, and needs to know how many there may be: with a `limit`, the loop is
differentiated as a scan of that many steps, in which what comes after the end does nothing.

Without a limit, the rule gives a `while_transpose`. It is the transpose of the tangent loop, which no loop over
the states can compute; but its own gradient is that tangent loop. `gc.jvp`, which differentiates the reverse
sweep by its cotangents, only ever needs the latter.

Invariant: condition and body are graphs of the same operands: the states, then what they read from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, GradientError
from graphc.ir.build import apply, constant, unpack
from graphc.ir.evaluate import Run
from graphc.ir.graph import Graph
from graphc.ir.location import here
from graphc.ir.opdef import OPS, Trait, define
from graphc.ir.tensor import Tensor
from graphc.ir.types import BOOL, TensorType, TupleType, is_float
from graphc.ops.arguments import is_integer
from graphc.ops.differentiation import tangents, zeros
from graphc.ops.lifting import close_bodies, parameter, results_of, traced
from graphc.ops.residuals import rebuilt
from graphc.ops.scan_gradient import Results, scan_gradient
from graphc.ops.states import expect_parameters, expect_states, fitted_states, list_of, states_at_start


def _while_type(
    *xs: TensorType, states: int, limit: int | None, condition: Graph, body: Graph
) -> TupleType:
    if limit is not None and (not isinstance(limit, int) or limit < 0):
        raise ArgumentError(f"the limit is {limit!r}, not a number of steps")
    if states > len(xs):
        raise ArgumentError(f"there are {len(xs)} operands for {states} states")
    expect_parameters("condition", condition, xs)
    expect_parameters("body", body, xs)
    expect_states(body, xs[:states])
    if [t.type for t in condition.outputs] != [TensorType(BOOL, ())]:
        raise DTypeError("the condition does not give one bool")
    return TupleType(xs[:states])


def _while_eval(
    *xs: np.ndarray,
    states: int,
    limit: int | None,
    condition: Graph,
    body: Graph,
    sizes: Mapping[str, int],
    run: Run,
) -> tuple[np.ndarray, ...]:
    present, outside = tuple(xs[:states]), xs[states:]
    steps = 0
    while (limit is None or steps < limit) and run(condition, (*present, *outside))[0]:
        present = tuple(run(body, (*present, *outside))[:states])
        steps += 1
    return present


def _while_gradient(
    g: Sequence[Tensor | None],
    y: Sequence[Tensor],
    *xs: Tensor,
    states: int,
    limit: int | None,
    condition: Graph,
    body: Graph,
) -> tuple[Tensor | None, ...]:
    if limit is not None:
        steps = _bounded_step(states, condition, body)
        going = constant(np.True_)
        found = scan_gradient(
            (None, *g), (going, *y), going, *xs,
            length=limit, sequences=0, states=states + 1, reverse=False, body=steps,
        )  # fmt: skip
        return found[1:]
    floats = [is_float(x.dtype) for x in xs]
    if not any(floats):
        return (None,) * len(xs)
    given = [
        zeros(x.tensor_type) if cotangent is None else cotangent
        for x, cotangent in zip(xs[:states], g)
        if is_float(x.dtype)
    ]
    made = iter(
        Results(apply(OPS["while_transpose"], *given, *xs, states=states, condition=condition, body=body))
    )
    return tuple(next(made) if is_differentiable else None for is_differentiable in floats)


def _bounded_step(states: int, condition: Graph, body: Graph) -> Graph:
    """A step of a scan: (going, states..., outside...) -> (still going, new states...)."""

    def fresh() -> list[Tensor]:
        return [parameter(t.type, t.location, t.hint) for t in body.inputs]

    inputs = fresh()
    going = parameter(TensorType(BOOL, ()), here(), "going")
    stay = fresh()
    false = Graph("stop", tuple(fresh()), (constant(np.False_),))
    (still,) = unpack(apply(OPS["cond"], going, *inputs, then=condition, otherwise=false))
    keep = Graph("keep", tuple(stay), tuple(stay[:states]))
    new = unpack(apply(OPS["cond"], still, *inputs, then=body, otherwise=keep))
    return Graph("step", (going, *inputs), (still, *new))


define(
    "while_loop",
    operands=("*xs",),
    attrs=("states", "limit", "condition", "body"),
    infer=_while_type,
    eval=_while_eval,
    vjp=_while_gradient,
    traits={Trait.BODY},
    doc="steps as long as a condition holds",
)


# The transpose.


def _transpose_type(*xs: TensorType, states: int, condition: Graph, body: Graph) -> TupleType:
    count = len(xs) - len(body.inputs)
    given = [t.type for t in body.inputs[:states] if is_float(t.dtype)]
    if list(xs[: len(given)]) != given or count != len(given):
        raise DTypeError("the cotangents are not of the types of the states")
    _while_type(*xs[count:], states=states, limit=None, condition=condition, body=body)
    return TupleType(tuple(x for x in xs[count:] if is_float(x.dtype)))


def _transpose_eval(*xs: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
    raise GradientError(NO_LIMIT, hint=LIMIT_HINT)


def _transpose_gradient(
    g: Sequence[Tensor | None],
    y: Sequence[Tensor],
    *xs: Tensor,
    states: int,
    condition: Graph,
    body: Graph,
) -> tuple[Tensor | None, ...]:
    """The tangents of the loop's float states; operands other than the cotangents have none of interest."""
    count = len(xs) - len(body.inputs)
    outside = xs[count:]
    moving = [i for i, x in enumerate(outside) if is_float(x.dtype)]
    moved = [i for i in moving if i < states]
    given = dict(zip(moving, g))
    inputs = [parameter(t.type, t.location, t.hint) for t in body.inputs]
    along = {i: parameter(inputs[i].type, here(), f"d{inputs[i].hint or i}") for i in moving}
    new = rebuilt(body.outputs[:states], dict(zip(body.inputs, inputs)))
    directions = tangents([new[i] for i in moved], [inputs[i] for i in moving], list(along.values()))  # type: ignore[misc]
    kept = [i for i in moving if i >= states]
    order = (
        *inputs[:states], *(along[i] for i in moved), *inputs[states:], *(along[i] for i in kept),
    )  # fmt: skip
    again = [parameter(t.type, t.location, t.hint) for t in order]
    positions = (*range(states), *range(states + len(moved), len(order) - len(kept)))
    stop = rebuilt(condition.outputs, dict(zip(condition.inputs, (again[i] for i in positions))))
    steps = Graph(
        f"{body.name}_tangent",
        order,
        (*new, *(zeros(inputs[i].tensor_type) if d is None else d for i, d in zip(moved, directions))),  # type: ignore[arg-type]
    )
    start = [zeros(outside[i].tensor_type) if given[i] is None else given[i] for i in moving]
    operands = (*outside[:states], *start[: len(moved)], *outside[states:], *start[len(moved) :])
    made = Results(
        apply(
            OPS["while_loop"], *operands,  # type: ignore[arg-type]
            states=states + len(moved), limit=None,
            condition=Graph("condition", tuple(again), tuple(stop)), body=steps,  # type: ignore[arg-type]
        )
    )  # fmt: skip
    return (*(made[states + i] for i in range(count)), *(None for _ in outside))


NO_LIMIT = "the number of steps is not known, so there is no reverse gradient"
LIMIT_HINT = "give while_loop a limit of steps, use gc.scan, or gc.jvp for a forward derivative"

define(
    "while_transpose",
    operands=("*xs",),
    attrs=("states", "condition", "body"),
    infer=_transpose_type,
    eval=_transpose_eval,
    vjp=_transpose_gradient,
    traits={Trait.BODY, Trait.FALLIBLE},
    doc="stands for the reverse gradient of a while_loop without a limit, which cannot be computed",
)


def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], init: Any, limit: int | None = None
) -> Any:
    """Apply `body` to states as long as `cond` of them holds: a loop that is one op.

    Args:
        cond: `cond(*states)` gives one bool.
        body: `body(*states)` gives the new states, each of the type of the old one: a tensor, or a list or tuple.
        init: the states at the start: a tensor, or a list of them.
        limit: the largest number of steps; the loop ends after so many. Reverse gradients need it: they save what
            `limit` steps leave behind, and take the time of `limit` steps. `gc.jvp` does without.

    Returns:
        The states when the condition has failed: a tensor where `init` is one, else a list.

    Raises:
        DTypeError, ShapeError: a state changes its type, or the condition is no single bool.
        ArgumentError: an argument is not what it should be.
        GradientError: from `gc.grad`: a gradient through a loop without a limit.

    >>> import graphc as gc
    >>> n = gc.placeholder((), "int64", name="n")
    >>> def halve(n, steps):
    ...     return n // 2, steps + 1
    >>> _, steps = gc.while_loop(lambda n, steps: n > 1, halve, [n, gc.constant(0)])
    >>> gc.function([n], steps)(1000)
    array(9)
    """
    for name, function in (("cond", cond), ("body", body)):
        if not callable(function):
            raise ArgumentError(
                f"while_loop: {name} must be a function of the states, not {type(function).__name__}", location=here()
            )
    if limit is not None and (not is_integer(limit) or limit < 0):
        raise ArgumentError(f"while_loop: limit must be a number of steps, not {limit!r}", location=here())
    start = states_at_start("while_loop", init)
    if not start:
        raise ArgumentError("while_loop: there must be a state", location=here())
    types = [s.tensor_type for s in start]
    test, step = traced(cond, types), traced(body, types)
    (go,) = results_of("while_loop: the condition", test, [test.returned])
    if go.tensor_type != TensorType(BOOL, ()):
        raise DTypeError(
            f"while_loop: the condition must be one bool, it is {go.type!r}",
            location=here(),
            origins={"the condition": f"{go.op.name}, {go.location}"},
        )
    new = list_of(step.returned)
    if len(new) != len(start):
        raise ArgumentError(
            f"while_loop: the body returned {len(new)} states, init has {len(start)}", location=here()
        )
    states = fitted_states("while_loop", step, new, step.parameters, start)
    graphs, captured = close_bodies([("condition", test, [go]), ("body", step, states)])
    made = unpack(
        apply(
            OPS["while_loop"], *start, *captured,
            states=len(start), limit=None if limit is None else int(limit), condition=graphs[0], body=graphs[1],
        )
    )  # fmt: skip
    return list(made) if isinstance(init, (list, tuple)) else made[0]


__all__ = ["while_loop"]
