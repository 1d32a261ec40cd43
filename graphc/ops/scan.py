"""`scan`: a loop over the first axis of sequences, with states carried from step to step, as one op.

    operands   sequences [T, ...]   states at the start   invariants: what the step reads from outside
                     |                     |                    |
    body       x_t = xs[t]      +-> h ------------+             |        called for t = 0 .. T-1,
                                |    step(x_t, h) | <-----------+        or T-1 .. 0 with `reverse`
                                +-- new h <-------+-> outputs of step t
    results    the last states, and for each output the stack [T, ...] of what the steps gave, at index t

The number of steps may be symbolic or 0; the body is one graph however many there are. What the history of a
state needs is one more output: `gc.scan` asks for all, and the pass `prune` drops those that nobody reads.

Invariant: the body reads nothing but its parameters, in the order of the operands; its first results are the
new states, of the very types of the states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphc.errors import ArgumentError, GraphcError, ShapeError
from graphc.ir import dims
from graphc.ir.build import apply, as_tensor, unpack
from graphc.ir.dims import Dim, Size
from graphc.ir.evaluate import Run
from graphc.ir.graph import Graph
from graphc.ir.location import here
from graphc.ir.opdef import Trait, define
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType, TupleType
from graphc.ir.verify import require_equal
from graphc.ops.arguments import is_integer
from graphc.ops.lifting import close_bodies, results_of, traced
from graphc.ops.scan_gradient import scan_gradient
from graphc.ops.states import expect_parameters, expect_states, fitted_states, list_of, states_at_start


def _scan_type(
    *xs: TensorType, length: Size, sequences: int, states: int, reverse: bool, body: Graph
) -> TupleType:
    if not isinstance(length, (int, Dim)) or (isinstance(length, int) and length < 0):
        raise ShapeError(f"the number of steps is {length!r}")
    if not isinstance(reverse, bool):
        raise ArgumentError(f"reverse is {reverse!r}, neither true nor false")
    for number, x in enumerate(xs[:sequences]):
        if x.rank == 0:
            raise ShapeError(f"sequence {number} has no axis to step along")
        require_equal(x.shape[0], length, f"sequence {number} has {x.shape[0]} steps, not {length}")
    slices = (x.with_shape(x.shape[1:]) for x in xs[:sequences])
    expect_parameters("body", body, (*slices, *xs[sequences:]))
    kept = xs[sequences : sequences + states]
    if len(kept) < states:
        raise ArgumentError(f"there are {len(xs)} operands for {sequences} sequences and {states} states")
    expect_states(body, kept)
    outputs = (t.tensor_type for t in body.outputs[states:])
    return TupleType((*kept, *(o.with_shape((length, *o.shape)) for o in outputs)))


def _scan_eval(
    *xs: np.ndarray,
    length: int,
    sequences: int,
    states: int,
    reverse: bool,
    body: Graph,
    sizes: Mapping[str, int],
    run: Run,
) -> tuple[np.ndarray, ...]:
    rows, present, invariants = xs[:sequences], list(xs[sequences : sequences + states]), xs[sequences + states :]
    stacks = []
    for output in body.outputs[states:]:
        shape = (length, *(dims.evaluate(size, sizes) for size in output.shape))
        stacks.append(np.empty(shape, output.dtype))
    for t in reversed(range(length)) if reverse else range(length):
        results = run(body, (*(x[t, ...] for x in rows), *present, *invariants))
        present = results[:states]
        for stack, result in zip(stacks, results[states:]):
            stack[t] = result
    return (*present, *stacks)


SCAN = define(
    "scan",
    operands=("*xs",),
    attrs=("length", "sequences", "states", "reverse", "body"),
    infer=_scan_type,
    eval=_scan_eval,
    vjp=scan_gradient,
    traits={Trait.BODY},
    doc="a loop over sequences that carries states",
)


class Scan(NamedTuple):
    """The results of a loop; what nobody uses is not computed.

    Attributes:
        last: the states after the last step: a list parallel to `init`, or a tensor where `init` is one.
        states: the states after each step, stacked along a new first axis; likewise.
        outputs: the outputs of each step, stacked: a list, or a tensor where the step gives a tensor.
    """

    last: Any
    states: Any
    outputs: Any


def scan(
    step: Callable[..., Any],
    sequences: Any = (),
    init: Any = (),
    length: Any = None,
    reverse: bool = False,
) -> Scan:
    """Call `step` for each entry of the sequences' first axis, carrying states: a loop that is one op.

    The step is run once, on tensors that stand for any step, to see what it does; so it may use tensors and
    variables from outside, `gc.grad`, `gc.cond`, or another scan, but Python's own `if` only on what is known
    beforehand. Random numbers are drawn anew in each step if a state counts the steps, and the draw uses it.

    Args:
        step: `step(x_t, ..., h, ...)` of one slice of each sequence and the present states. It returns the new
            states, or a pair of the new states and the outputs of this step. Several states, or outputs, are a
            list or tuple. Of one state, `return h, y` is a state and an output; without states, what is returned
            are outputs.
        sequences: a tensor, or a list of them, of one extent along their first axis.
        init: the states before the first step: a tensor, or a list of them. A new state has the type of the old.
        length: the number of steps: a number or a symbolic size such as `x.shape[0]`. Needed only without
            sequences.
        reverse: start with the last entry of the sequences; stacks are in the order of the sequences even then.

    Returns:
        The last states, the stacked states, and the stacked outputs; see `Scan`.

    Raises:
        ShapeError: a sequence is a scalar, or sequences differ in length.
        DTypeError, ShapeError: a new state has another type than the state.
        ArgumentError: nothing says how many steps there are, or the step returns something else.

    >>> import numpy as np
    >>> import graphc as gc
    >>> xs = gc.placeholder(("time", 3), "float64", name="xs")
    >>> r = gc.scan(lambda x_t, total: total + x_t, sequences=xs, init=gc.constant([0.0, 0.0, 0.0]))
    >>> r.last.type, r.states.type
    (f64[3], f64[time,3])
    >>> fibonacci = gc.scan(lambda a, b: (b, a + b), init=[gc.constant(0), gc.constant(1)], length=10)
    >>> gc.function([], fibonacci.states[0])()
    array([ 1,  1,  2,  3,  5,  8, 13, 21, 34, 55])
    """
    if not callable(step):
        raise ArgumentError(f"scan: step must be a function, not {type(step).__name__}", location=here())
    if not isinstance(reverse, bool):
        raise ArgumentError(f"scan: reverse must be True or False, not {reverse!r}", location=here())
    rows = [_sequence(i, x) for i, x in enumerate(list_of(sequences))]
    start = states_at_start("scan", init)
    steps = _length(rows, length)
    types = [x.tensor_type.with_shape(x.shape[1:]) for x in rows] + [s.tensor_type for s in start]
    trace = traced(step, types)
    new, outputs = _split(trace.returned, len(start))
    states = fitted_states("scan", trace, new, trace.parameters[len(rows) :], start)
    stacked = results_of("scan: an output", trace, list_of(outputs))
    (body,), captured = close_bodies([("step", trace, [*states, *stacked, *states])])
    made = unpack(
        apply(
            SCAN, *rows, *start, *captured,
            length=steps, sequences=len(rows), states=len(start), reverse=reverse, body=body,
        )
    )  # fmt: skip
    first, second = len(start), len(start) + len(stacked)
    return Scan(
        _like(init, made[:first]), _like(init, made[second:]), _like(outputs, made[first:second])
    )


def _like(model: Any, tensors: Sequence[Tensor]) -> Any:
    """One tensor where `model` is one value, else the list."""
    return list(tensors) if isinstance(model, (list, tuple)) or model is None else tensors[0]


def _sequence(number: int, value: Any) -> Tensor:
    try:
        tensor = as_tensor(value)
    except GraphcError as error:
        raise type(error)(f"scan: sequence {number}: {error.message}", location=here()) from None
    if tensor.ndim == 0:
        raise ShapeError(
            f"scan: sequence {number} is {tensor.type!r}: it has no axis to step along", location=here()
        )
    return tensor


def _length(rows: Sequence[Tensor], length: Any) -> Size:
    """The number of steps.

    Raises:
        ArgumentError: nothing says it, or it is no size. ShapeError: two things say different numbers.
    """
    sizes: list[tuple[str, Size]] = []
    if length is not None:
        if isinstance(length, Tensor):
            raise ArgumentError(
                f"scan: length is a tensor, {length.type!r}; the number of steps is a number or a size",
                location=here(),
                hint="gc.while_loop steps until a condition on tensors fails",
            )
        if not (isinstance(length, Dim) or is_integer(length)) or (is_integer(length) and length < 0):
            raise ArgumentError(f"scan: length must be a number of steps, not {length!r}", location=here())
        sizes.append(("length", dims.maximum(length, 0) if isinstance(length, Dim) else int(length)))
    sizes += ((f"sequence {i}", x.shape[0]) for i, x in enumerate(rows))
    if not sizes:
        raise ArgumentError("scan: without sequences, length must say how many steps there are", location=here())
    (name, found), *others = sizes
    for other, size in others:
        if isinstance(size - found, int) and size != found:
            raise ShapeError(f"scan: {name} is of {found} steps, {other} of {size}", location=here())
        found = size if isinstance(size, int) else found
    return found


def _split(returned: Any, states: int) -> tuple[list[Any], Any]:
    """What a step returned, as new states and outputs; see `scan` for the forms that there are."""
    is_list = isinstance(returned, (list, tuple))
    if is_list and len(returned) == 2 and (isinstance(returned[0], (list, tuple)) or returned[0] is None):
        new, outputs = list_of(returned[0]), returned[1]
    elif is_list and len(returned) == 2 and states == 1:
        new, outputs = [returned[0]], returned[1]
    elif states == 0 and returned is not None:
        new, outputs = [], returned
    else:
        new, outputs = list_of(returned), ()
    if len(new) != states:
        raise ArgumentError(
            f"scan: the step returned {len(new)} new states, init has {states}",
            location=here(),
            hint="with outputs, return a pair: ([state, ...], [output, ...])",
        )
    return new, () if outputs is None else outputs


__all__ = ["Scan", "scan"]
