"""`cond`: one of two branches, as one op; the other one does not run.

Both branches are body graphs of the same operands, which are what either of them reads from outside.

Invariant: the branches give results of the same types; nothing of the branch that is not taken is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, GraphcError, ShapeError
from graphc.ir.build import apply, as_tensor, unpack
from graphc.ir.evaluate import Run
from graphc.ir.graph import Graph
from graphc.ir.location import here
from graphc.ir.opdef import OPS, Trait, define
from graphc.ir.recording import recording
from graphc.ir.tensor import Tensor
from graphc.ir.types import BOOL, TensorType, TupleType, is_float
from graphc.ops.differentiation import cotangents, zeros
from graphc.ops.lifting import Traced, close_bodies, parameter, results_of, traced
from graphc.ops.residuals import rebuilt, to_save
from graphc.ops.scan_gradient import Results
from graphc.ops.states import expect_parameters, list_of


def _cond_type(pred: TensorType, *xs: TensorType, then: Graph, otherwise: Graph) -> TupleType:
    if pred.dtype != BOOL or pred.shape != ():
        raise DTypeError(f"the condition is {pred!r}, not one bool")
    expect_parameters("branch 'then'", then, xs)
    expect_parameters("branch 'otherwise'", otherwise, xs)
    types = [tuple(t.tensor_type for t in branch.outputs) for branch in (then, otherwise)]
    if types[0] != types[1]:
        raise ShapeError(f"one branch gives {TupleType(types[0])!r}, the other one {TupleType(types[1])!r}")
    return TupleType(types[0])


def _cond_eval(
    pred: np.ndarray, *xs: np.ndarray, then: Graph, otherwise: Graph, sizes: Mapping[str, int], run: Run
) -> tuple[np.ndarray, ...]:
    return tuple(run(then if pred else otherwise, xs))


def _cond_gradient(
    g: Sequence[Tensor | None],
    y: Sequence[Tensor],
    pred: Tensor,
    *xs: Tensor,
    then: Graph,
    otherwise: Graph,
) -> tuple[Tensor | None, ...]:
    """The cond of the branches' gradients; each branch saves what its own gradient reads.

    A place for what one branch saves serves for the other too, where the types are the same; else it is filled
    with zeros.
    """
    given = [i for i, cotangent in enumerate(g) if cotangent is not None and is_float(then.outputs[i].dtype)]
    branches = [_Branch(branch, given) for branch in (then, otherwise)]
    wanted = [i for i in range(len(xs)) if any(b.found[i] is not None for b in branches)]
    if not wanted:
        return (None,) * (1 + len(xs))
    types = _places([[t.tensor_type for t in b.saved] for b in branches])
    source: Sequence[Tensor] = y
    if types:
        wide = [replace(b.graph, outputs=(*b.graph.outputs, *b.in_places(types))) for b in branches]
        source = Results(apply(OPS["cond"], pred, *xs, then=wide[0], otherwise=wide[1]))
    stacks = [source[len(then.outputs) + i] for i in range(len(types))]
    backwards = [b.backwards(types, wanted) for b in branches]
    cotangent = [g[i] for i in given]
    made = Results(
        apply(
            OPS["cond"], pred, *xs, *stacks, *cotangent,  # type: ignore[arg-type]
            then=backwards[0], otherwise=backwards[1],
        )
    )  # fmt: skip
    return (None, *(made[wanted.index(i)] if i in wanted else None for i in range(len(xs))))


class _Branch:
    """A branch and its gradient.

    Attributes:
        graph: the branch.
        seeds: parameters for the cotangents of its results.
        found: the cotangents of its operands, in the branch's own tensors.
        saved: what these read of the branch.
    """

    def __init__(self, graph: Graph, given: Sequence[int]) -> None:
        self.graph = graph
        self.seeds = [parameter(graph.outputs[i].type, here()) for i in given]
        floats = [t for t in graph.inputs if is_float(t.dtype)]
        arrived = dict(zip(floats, cotangents([graph.outputs[i] for i in given], floats, self.seeds)))
        self.found = [arrived.get(t) for t in graph.inputs]
        self.saved = to_save([t for t in self.found if t is not None], self.seeds, graph.inputs)

    def in_places(self, types: Sequence[TensorType]) -> list[Tensor]:
        """What is saved, at places of these types; zeros where this branch has nothing to save."""
        rest = list(self.saved)
        placed = []
        for type_ in types:
            own = next((t for t in rest if t.type == type_), None)
            if own is not None:
                rest.remove(own)
            placed.append(zeros(type_) if own is None else own)
        return placed

    def backwards(self, types: Sequence[TensorType], wanted: Sequence[int]) -> Graph:
        """The branch of the gradient."""
        inputs = [parameter(t.type, t.location, t.hint) for t in self.graph.inputs]
        places = [parameter(type_, here()) for type_ in types]
        new = dict(zip(self.graph.inputs, inputs)) | {t: t for t in self.seeds}
        new |= {t: place for t, place in zip(self.in_places(types), places) if t in self.saved}
        inside = rebuilt(self.found, new)
        outputs = [zeros(inputs[i].tensor_type) if (t := inside[i]) is None else t for i in wanted]
        return Graph(f"{self.graph.name}_backwards", (*inputs, *places, *self.seeds), tuple(outputs))


def _places(types: Sequence[Sequence[TensorType]]) -> list[TensorType]:
    """Types such that each of the lists finds its own among them, each place taken once."""
    places = list(types[0])
    rest = list(types[0])
    for type_ in types[1]:
        if type_ in rest:
            rest.remove(type_)
        else:
            places.append(type_)
    return places


define(
    "cond",
    operands=("pred", "*xs"),
    attrs=("then", "otherwise"),
    infer=_cond_type,
    eval=_cond_eval,
    vjp=_cond_gradient,
    traits={Trait.BODY},
    doc="one of two branches, of which the other one does not run",
)


def cond(pred: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """The results of one of two functions, chosen by a condition when the graph runs.

    Only the chosen branch is computed, unlike with `gc.where`, which takes both element by element. What a branch
    computes is what it calls: a tensor made before is computed in any case.

    Args:
        pred: one bool.
        then, otherwise: functions without arguments that give a tensor, or a list or tuple of them; both the same
            number, of the same types.

    Returns:
        A tensor, or a list of them where `then` returns a list or tuple.

    Raises:
        DTypeError: the condition is no single bool, or a result differs in dtype between the branches.
        ShapeError: a result differs in shape.
        ArgumentError: a branch is no function, or the numbers of results differ.

    >>> import graphc as gc
    >>> x = gc.placeholder((), "float64", name="x")
    >>> y = gc.cond(x > 0, lambda: gc.sqrt(x), lambda: x * 0.0)
    >>> f = gc.function([x], [y, *gc.grad(y, [x])])
    >>> f(4.0), f(-1.0)
    ([array(2.), array(0.25)], [array(-0.), array(0.)])
    """
    for name, branch in (("then", then), ("otherwise", otherwise)):
        if not callable(branch):
            raise ArgumentError(
                f"cond: {name} must be a function without arguments, not {type(branch).__name__}",
                location=here(),
                hint="write lambda: value",
            )
    condition = as_tensor(pred)
    if condition.tensor_type != TensorType(BOOL, ()):
        raise DTypeError(
            f"cond: the condition must be one bool, it is {condition.type!r}",
            location=here(),
            origins={"the condition": f"{condition.op.name}, {condition.location}"},
            hint="reduce it by gc.all or gc.any, or choose element by element by gc.where" if condition.ndim else None,
        )
    traces = [traced(branch, ()) for branch in (then, otherwise)]
    results = [results_of("cond: a result", trace, list_of(trace.returned)) for trace in traces]
    results[1] = _alike(results[0], results[1], traces[1])
    graphs, captured = close_bodies([
        (name, trace, tensors) for name, trace, tensors in zip(("then", "otherwise"), traces, results)
    ])
    made = unpack(apply(OPS["cond"], condition, *captured, then=graphs[0], otherwise=graphs[1]))
    return list(made) if isinstance(traces[0].returned, (list, tuple)) else made[0]


def _alike(first: Sequence[Tensor], second: Sequence[Tensor], trace: Traced) -> list[Tensor]:
    """The results of `otherwise`, with sizes written as `then` writes them.

    Raises:
        DTypeError, ShapeError, ArgumentError: the branches do not fit.
    """
    if len(first) != len(second) or not first:
        raise ArgumentError(f"cond: then gives {len(first)} results, otherwise {len(second)}", location=here())
    fitted = []
    for number, (one, other) in enumerate(zip(first, second)):
        if one.type != other.type:
            _expect_alike(number, one, other)
            with recording() as made:
                other = apply(OPS["broadcast_to"], other, shape=one.shape)
            trace.made.update(made)
        fitted.append(other)
    return fitted


def _expect_alike(number: int, one: Tensor, other: Tensor) -> None:
    wrong: type[GraphcError] = DTypeError
    if one.dtype == other.dtype:
        differences = [a - b for a, b in zip(one.shape, other.shape)]
        if one.ndim == other.ndim and not any(isinstance(d, int) and d for d in differences):
            return
        wrong = ShapeError
    raise wrong(
        f"cond: result {number} is {one.type!r} if the condition holds, and {other.type!r} otherwise",
        location=here(),
        origins={"then": f"{one.op.name}, {one.location}", "otherwise": f"{other.op.name}, {other.location}"},
    )


__all__ = ["cond"]
