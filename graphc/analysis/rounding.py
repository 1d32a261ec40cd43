"""How far rounding can move the values of a graph: Monte Carlo arithmetic.

The graph runs again and again with each rounded result moved by a few units in the last place; what comes out
differently is what a correct program may compute differently, however badly conditioned the graph is (D. S.
Parker, "Monte Carlo Arithmetic", UCLA CSD-970002, 1997). The first two runs move everything up and everything
down, the others at random; ops that add up also take their terms in another order.

Invariant: the same graph, values and seed give the same noise; results of exact ops are never moved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import GraphcError
from graphc.ir.bodies import bodies_of, tensors_within
from graphc.ir.evaluate import Value, bind_symbols, evaluate, evaluate_tensor
from graphc.ir.graph import Graph
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor
from graphc.ir.types import TupleType
from graphc.ops.windows import tap_order

#: Functions whose last bits differ from one implementation to the next.
INEXACT = frozenset({
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "erf", "erfc", "exp",
    "exp2", "expm1", "hypot", "log", "log10", "log1p", "log2", "logaddexp", "pow", "rsqrt", "sigmoid", "sin",
    "sinh", "softplus", "tan", "tanh",
})  # fmt: skip
#: Ops that add up or multiply many terms in an order of the implementation's own, or that cancel inside.
ACCUMULATING = frozenset({
    "conv", "conv_planes", "conv_planes_weights", "conv_transpose", "conv_weights", "cumprod", "cumsum", "log_softmax",
    "logaddexp", "logsumexp", "matmul", "max_pool_spread", "prod", "scatter_add", "softmax", "sum", "sum_pool",
    "sum_pool_spread",
})  # fmt: skip
#: Sums of products.
PRODUCTS = frozenset({
    "conv", "conv_planes", "conv_planes_weights", "conv_transpose", "conv_weights", "matmul",
})  # fmt: skip
#: Sums, whose terms may cancel -> how many terms one element has, by result and operands.
TERMS: Mapping[str, Callable[..., int]] = {
    "matmul": lambda tensor, x, y: x.shape[-1],
    "conv": lambda tensor, x, w: math.prod(w.shape[1:]),
    "conv_planes": lambda tensor, x, w: math.prod(w.shape[1:]),
    "conv_planes_weights": lambda tensor, x, y: math.prod((y.shape[0], *y.shape[2:])),
    "conv_transpose": lambda tensor, y, w: math.prod((w.shape[0], *w.shape[2:])),
    "conv_weights": lambda tensor, x, y: math.prod(y.shape[:-1]),
    "sum": lambda tensor, x: math.prod(x.shape[axis] for axis in tensor.attrs["axis"]),
    "cumsum": lambda tensor, x: x.shape[tensor.attrs["axis"]],
}
#: Sums over the taps of windows.
WINDOW_SUMS = frozenset({"conv", "conv_planes", "conv_transpose", "sum_pool", "sum_pool_spread"})
#: They end with the logarithm of a rounded sum, which may be near 1: its error does not shrink with the result.
LOGARITHMS_OF_SUMS = frozenset({"log_softmax", "logsumexp"})
#: Reductions that are exact, but for the sign of a zero among zeros of both signs.
EXTREMA = frozenset({"max", "min"})
#: Ops of which IEEE 754 fixes every bit, though they round: equal graphs agree, rewritten ones need not.
CORRECTLY_ROUNDED = frozenset({
    "add", "cast", "divide", "floor_divide", "multiply", "remainder", "sqrt", "subtract",
})  # fmt: skip

#: By how many units in the last place a result moves: what NumPy's functions and our own are off, together.
_INEXACT_ULPS = 4
_CORRECTLY_ROUNDED_ULPS = 2
#: Longer sums are done in pieces; those of products need not be.
_LONGEST_CHAIN = 1024


@dataclass(frozen=True, slots=True)
class Noise:
    """What rounding does to one value.

    Attributes:
        spread: for each element, how far the noisy values were from the value; zero for integers.
        unstable: where the noise made NaN, infinity, zero or a sign come or go, or an integer change.
        exact: whether nothing that the value is made of rounds, so that there is only one right value, but
            where it is unstable.
    """

    spread: np.ndarray
    unstable: np.ndarray
    exact: bool


def rounding_noise(
    graph: Graph,
    arrays: Sequence[np.ndarray],
    values: Sequence[np.ndarray],
    *,
    variables: Mapping[Tensor, np.ndarray] | None = None,
    sizes: Mapping[str, int] | None = None,
    rewritten: bool = False,
    runs: int = 8,
    seed: int = 0,
) -> list[Noise]:
    """The noise of each root.

    Args:
        graph: what was computed.
        arrays: one per input.
        values: the roots' values, as the interpreter gave them.
        variables: the variables' values; by default their storage.
        sizes: the values of the symbolic sizes; by default read off the arrays.
        rewritten: whether the question is what rewriting the graph may change, so that ops move too whose
            result IEEE 754 fixes; else what another implementation of this very graph may change.
        runs: how many noisy runs to make; more show more of what a chaotic graph can do.
        seed: for the random moves.

    >>> import graphc as gc
    >>> x = gc.placeholder(("n",), "float64")
    >>> noise, = rounding_noise(gc.function([x], gc.exp(x)).graph, [np.zeros(3)], [np.ones(3)])
    >>> noise.exact, bool((noise.spread > 0).all())
    (False, True)
    """
    bound = bind_symbols(graph.inputs, arrays) if sizes is None else sizes
    exact = _exact_roots(graph, rewritten)
    fixed = all(exact) and not _has_extrema(graph)
    spreads = [np.zeros(np.shape(v)) for v in values]
    unstable = [np.zeros(np.shape(v), bool) for v in values]
    for number in range(0 if fixed else runs):
        moves = _Moves(number, seed, rewritten)
        try:
            noisy = _run(graph, arrays, variables, bound, moves)
        except GraphcError:  # an index or an assertion hangs on the last bit
            continue
        for i, (value, other) in enumerate(zip(values, noisy)):
            spread, moved = _difference(np.asarray(value), np.asarray(other))
            spreads[i] = np.maximum(spreads[i], spread)
            unstable[i] |= moved
    return [Noise(*each) for each in zip(spreads, unstable, exact)]


def rounds(tensor: Tensor, rewritten: bool = False) -> bool:
    """Whether the op itself may give a tensor other last bits in a correct program; see `rounding_noise`."""
    name = tensor.op.name
    items = tensor.type.items if isinstance(tensor.type, TupleType) else (tensor.type,)
    if not any(item.dtype.kind == "f" for item in items):
        return False
    if tensor.op.has(Trait.BODY):
        return not all(all(_exact_roots(body, rewritten)) for body in bodies_of(tensor).values())
    if name in CORRECTLY_ROUNDED:
        return rewritten
    return name in INEXACT or name in ACCUMULATING or tensor.op.has(Trait.LIBRARY)


def _exact_roots(graph: Graph, rewritten: bool) -> list[bool]:
    exact: dict[Tensor, bool] = {}
    for tensor in graph.tensors:
        exact[tensor] = all(exact[t] for t in tensor.inputs) and not rounds(tensor, rewritten)
    return [exact[root] for root in graph.roots]


def _has_extrema(graph: Graph) -> bool:
    return any(tensor.op.name in EXTREMA for tensor in tensors_within(graph))


def _difference(value: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far apart two arrays are, and where they differ in kind."""
    if value.dtype.kind != "f":
        return np.zeros(value.shape), np.asarray(value != other)
    with np.errstate(all="ignore"):
        finite = np.isfinite(value) & np.isfinite(other)
        same_special = (value == other) | (np.isnan(value) & np.isnan(other))
        apart = np.abs(value.astype(np.float64) - other.astype(np.float64))
        # What rounding may make overflow, as a sum of the largest numbers of both signs, may be anything.
        spread = np.where(finite, apart, np.where(same_special, 0.0, np.inf))
        kind = ~finite & ~same_special
        sign = finite & ((np.signbit(value) != np.signbit(other)) | ((value == 0) != (other == 0)))
    return spread, kind | sign


class _Moves:
    """How one noisy run moves results."""

    def __init__(self, number: int, seed: int, rewritten: bool) -> None:
        self.number = number
        self.direction = {0: 1, 1: -1}.get(number)
        self.rng = np.random.default_rng((seed, number))
        self.rewritten = rewritten

    def moved(self, value: Any, ulps: int) -> Any:
        """A float array moved by up to `ulps`; zeros, infinities and NaNs stay."""
        if isinstance(value, tuple):
            return tuple(self.moved(item, ulps) for item in value)
        if value.dtype.kind != "f" or not ulps:
            return value
        if self.direction is None:
            steps = self.rng.integers(-ulps, ulps + 1, value.shape)
        else:
            steps = np.full(value.shape, self.direction * ulps)
        with np.errstate(all="ignore"):
            other = value + steps.astype(value.dtype) * np.spacing(np.abs(value))
            stays = ~np.isfinite(value) | (value == 0)
            if self.fuses:  # the greatest number too, which is a product of what follows
                stays |= ~np.isfinite(other)
            return np.where(stays, value, other)

    @property
    def fuses(self) -> bool:
        """Whether products are not rounded in this run: the interpreter's may be, a machine's may not."""
        return self.number % 3 == 2

    def shuffled(self, entries: list[Any]) -> list[Any]:
        """The same in another order: backwards, or at random; as they are for one run."""
        if self.direction is None:
            return [entries[i] for i in self.rng.permutation(len(entries))]
        return entries[:: self.direction]

    def shifted(self, value: np.ndarray) -> np.ndarray:
        """The logarithm of a sum that has moved by some units in the last place."""
        steps = self.rng.integers(-2, 3, value.shape) if self.direction is None else 2 * self.direction
        with np.errstate(all="ignore"):
            other = self.moved(value, _INEXACT_ULPS) + steps * np.finfo(value.dtype).eps
            return np.where(np.isfinite(value), other, value).astype(value.dtype)

    def cancelled(self, value: np.ndarray, magnitude: np.ndarray, terms: int) -> np.ndarray:
        """What is left of terms that cancel moves with their magnitudes: a chain's error is a random walk.

        A chain of k additions is off by a few sqrt(k) units in the last place of its partial sums (Higham and Mary,
        "A New Approach to Probabilistic Rounding Error Analysis", SIAM J. Sci. Comput. 41(5), 2019), while the
        interpreter's sums in pieces, of which the noisy runs are made, are off by less. In some runs what may be
        nothing but error is zero, as it often is on the coarse grid of large terms, and never by chance.
        """
        if value.dtype.kind != "f":
            return value
        steps = self.rng.uniform(-1, 1, value.shape) if self.direction is None else self.direction
        with np.errstate(all="ignore"):
            error = (math.sqrt(terms) / 16) * np.finfo(value.dtype).eps * magnitude
            other = np.where(np.abs(value) <= error, 0.0, value) if self.number % 4 == 3 else value + steps * error
            return np.where(np.isfinite(other) & (value != 0), other, value).astype(value.dtype)

    def any_zero(self, value: np.ndarray, x: np.ndarray, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
        """An extremum of `x` with either sign where it is one of several zeros of both signs."""
        zeros, negative = x == 0, np.signbit(x)
        free = (value == 0) & np.all(
            [(zeros & sign).any(axis=axis, keepdims=keepdims) for sign in (negative, ~negative)], axis=0
        )
        sign = self.rng.choice([-1, 1], value.shape) if self.direction is None else self.direction
        return np.where(free, np.copysign(value, sign), value).astype(value.dtype)

    def ulps(self, tensor: Tensor) -> int:
        """By how much the result of a tensor's op moves."""
        if tensor.op.name in CORRECTLY_ROUNDED:
            return _CORRECTLY_ROUNDED_ULPS if self.rewritten else 0
        return _INEXACT_ULPS if rounds(tensor) else 0


def _run(
    graph: Graph,
    arrays: Sequence[np.ndarray],
    variables: Mapping[Tensor, np.ndarray] | None,
    sizes: Mapping[str, int],
    moves: _Moves,
) -> list[Value]:
    """The roots' values in one noisy run."""

    def noisy(tensor: Tensor, operands: Sequence[Value], sizes: Mapping[str, int]) -> Value:
        return _evaluate(tensor, operands, sizes, moves)

    return evaluate(graph, arrays, variables, sizes=sizes, each=noisy)


def _evaluate(tensor: Tensor, operands: Sequence[Value], sizes: Mapping[str, int], moves: _Moves) -> Value:
    """One tensor with noise: of its operands too where it accumulates."""
    name = tensor.op.name
    if tensor.op.has(Trait.BODY):
        return evaluate_tensor(tensor, operands, sizes, lambda t, xs, s: _evaluate(t, xs, s, moves))
    if name == "print":
        return operands[0]
    given = operands
    if name in ACCUMULATING or tensor.op.has(Trait.LIBRARY):
        operands = [moves.moved(operand, 1) for operand in _reordered(tensor, list(operands), moves)]
    with tap_order(moves.shuffled if name in WINDOW_SUMS else list):
        value = evaluate_tensor(tensor, operands, sizes)
    if moves.fuses and name in PRODUCTS and value.dtype.kind == "f":
        at_an_end = ~np.isfinite(value) | (value == 0)  # products that overflow or underflow, each for itself
        if at_an_end.any():
            value = np.where(at_an_end, _fused(tensor, given, sizes, moves), value)
    if name == "prod" and value.dtype.kind == "f" and moves.direction is not None:
        either = np.nan if moves.direction == 1 else 0.0
        return np.where(_zero_times_infinity(given[0], **tensor.attrs), either, value).astype(value.dtype)
    if name in EXTREMA and value.dtype.kind == "f":
        return moves.any_zero(value, operands[0], **tensor.attrs)
    if name in LOGARITHMS_OF_SUMS:
        return moves.shifted(value)
    if name in TERMS and value.dtype.kind == "f":
        terms = TERMS[name](tensor, *operands)
        # Equal terms round in one direction, which no other order of them shows: a chain of k additions is off by
        # up to k/2 units in the last place (Higham, Accuracy and Stability of Numerical Algorithms, section 4.2),
        # which is twice this noise.
        chained = (min(terms, _LONGEST_CHAIN) if name == "sum" else terms) // 4
        value = moves.moved(value, max(moves.ulps(tensor), chained))
        return moves.cancelled(value, _sum_of_magnitudes(tensor, operands, sizes), terms)
    return moves.moved(value, moves.ulps(tensor))


def _sum_of_magnitudes(tensor: Tensor, operands: Sequence[Value], sizes: Mapping[str, int]) -> np.ndarray:
    """A sum of the terms' magnitudes."""
    with np.errstate(all="ignore"):
        return np.asarray(evaluate_tensor(tensor, [np.abs(operand) for operand in operands], sizes))


def _fused(tensor: Tensor, operands: Sequence[Value], sizes: Mapping[str, int], moves: _Moves) -> np.ndarray:
    """A sum of products whose products do not overflow or underflow, as with fused multiplication and addition.

    The sum may still: it is infinite then, or a zero, with the sign of some product that was large or small.
    """
    dtype = operands[0].dtype
    wide = np.dtype(np.float64 if dtype.itemsize == 4 else np.longdouble)
    with np.errstate(all="ignore"):
        exact = np.asarray(evaluate_tensor(tensor, [operand.astype(wide) for operand in operands], sizes))
        magnitude = np.asarray(_sum_of_magnitudes(tensor, operands, sizes))
        value = exact.astype(dtype)
    each = value.shape if moves.number % 2 else ()  # all of them alike in every other run, as in a machine's one order
    sign = moves.rng.choice([-1, 1], each)
    value = np.where((value == 0) & (exact != 0), np.copysign(value, sign), value)
    on_the_way = np.isfinite(exact) & ~np.isfinite(magnitude) & moves.rng.choice([True, False], each)
    return np.where(on_the_way, np.copysign(dtype.type(np.inf), sign), value).astype(dtype)


def _zero_times_infinity(x: np.ndarray, *, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
    """Where a product has a factor 0 and others that may overflow before it is their turn."""
    with np.errstate(all="ignore"):
        growth = np.log2(np.maximum(np.abs(x.astype(np.float64)), 1)).sum(axis, keepdims=keepdims)
    overflows = np.isfinite(growth) & (growth > np.finfo(x.dtype).maxexp - 1)
    return np.asarray((x == 0).any(axis, keepdims=keepdims) & overflows)


def _reordered(tensor: Tensor, operands: list[Value], moves: _Moves) -> list[Value]:
    """The operands with their terms in another order, where the result hangs on it by rounding alone."""
    if tensor.op.name in ("sum", "prod"):
        (x,) = operands
        for axis in tensor.attrs["axis"]:
            if tensor.op.name == "prod" and x.dtype.kind == "f" and moves.direction is not None:
                # Large factors first, or small ones first: what overflows or underflows in some order.
                order = np.argsort(-moves.direction * np.abs(x), axis)
                x = np.take_along_axis(x, order, axis)
            else:
                x = np.take(x, moves.rng.permutation(x.shape[axis]), axis)
        return [x]
    if tensor.op.name == "matmul":
        x, y = operands
        order = moves.rng.permutation(x.shape[-1])
        return [x[..., order], y[..., order, :]]
    if tensor.op.name in PRODUCTS and tensor.attrs.get("groups") == 1:
        x, y = operands
        if tensor.op.name == "conv_weights":
            order = moves.rng.permutation(x.shape[0])
            return [x[order], y[order]]
        order = moves.rng.permutation(x.shape[-1])
        return [x[..., order], y[:, order] if tensor.op.name == "conv" else y[order]]
    return operands
