"""Do two graphs compute the same? Run both by the interpreter on the same seeded inputs.

Rounding is told from error by Monte Carlo arithmetic (D. S. Parker, UCLA CSD-970002, 1997): the first graph
runs again with every rounded result moved by one unit in the last place at random, and the spread that this
makes is what different rounding can explain; however badly conditioned the graph is.

Invariant: the same graphs and seed give the same verdict.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphcError
from graphc.ir import dims
from graphc.ir.evaluate import bind_symbols, evaluate, evaluate_tensor
from graphc.ir.graph import Graph, sizes_of
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType
from graphc.passes.unify import solve

_SIZES = (2, 3, 1, 4, 5, 0)
_SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-40, 1e38)
_NOISY_RUNS = 6
#: Results of these are exact, so they are not moved.
_EXACT = frozenset({
    "abs", "argmax", "argmin", "assert", "ceil", "check_finite", "copysign", "floor", "fmod", "get", "max",
    "maximum", "min", "minimum", "negative", "nextafter", "print", "remainder", "round", "sign", "sort",
    "stop_gradient", "trunc", "where",
})  # fmt: skip


class Samples:
    """Seeded values for a graph's inputs and variables.

    Attributes:
        arrays: one per input.
        variables: one per variable.
    """

    def __init__(self, arrays: list[np.ndarray], variables: dict[Tensor, np.ndarray]) -> None:
        self.arrays = arrays
        self.variables = variables


def sample(graph: Graph, seed: int, *, special: bool = False) -> Samples | None:
    """Inputs for `graph` whose sizes meet its constraints; None where none were found.

    Args:
        graph: what they are for.
        seed: the same seed gives the same values.
        special: whether NaN, infinities, -0.0, subnormals and huge numbers are among them.
    """
    sizes = _sample_sizes(graph, seed)
    if sizes is None:
        return None
    rng = np.random.default_rng(seed)

    def array(type_: TensorType) -> np.ndarray:
        return _sample_array(rng, type_.dtype, tuple(dims.evaluate(s, sizes) for s in type_.shape), special)

    return Samples(
        [array(t.tensor_type) for t in graph.inputs], {v: array(v.tensor_type) for v in graph.variables}
    )


def _sample_sizes(graph: Graph, seed: int) -> dict[str, int] | None:
    """Values for the graph's symbols, by trial: small, and such that every constraint holds."""
    rng = random.Random(seed)
    solved = solve(graph)
    needed = {size for tensor in graph.tensors for size in sizes_of(tensor)}
    for trial in range(50):
        choice = _SIZES[: 2 + trial // 5]
        values = {name: rng.choice(choice) for name in graph.symbols if name not in solved}
        try:
            values |= {name: dims.evaluate(size, values) for name, size in solved.items()}
            holds = all(
                dims.evaluate(c.left, values) == dims.evaluate(c.right, values) for c in graph.constraints
            )
            if holds and all(dims.evaluate(size, values) >= 0 for size in needed):
                return values
        except (KeyError, ZeroDivisionError):
            continue
    return None


def _sample_array(
    rng: np.random.Generator, dtype: np.dtype[Any], shape: tuple[int, ...], special: bool
) -> np.ndarray:
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        array = rng.integers(0 if dtype.kind == "u" else -3, 6, shape).astype(dtype)
        limits = np.iinfo(dtype)
        picked = np.array([limits.min, limits.max, 0, 1], dtype)
    else:
        array = rng.normal(0, 2, shape).astype(dtype)
        picked = np.array(_SPECIAL).astype(dtype)
    if not special:
        return array
    return np.where(rng.random(shape) < 0.4, rng.choice(picked, shape), array)


def difference(before: Graph, after: Graph, samples: Samples, values: str, seed: int = 0) -> str | None:
    """What is different between the values of two graphs on the same inputs; None if nothing is.

    Args:
        before: the graph that is right.
        after: the graph that stands in for it; with the same inputs and variables.
        samples: what to run them on.
        values: "same" for equality to the bit (but for NaNs); "rounded" if it may round differently;
            "better" if it may besides be finite or a number where `before` overflowed.
        seed: for the noise.
    """
    expected, failure = _run(before, samples)
    found, other_failure = _run(after, samples)
    if failure is not None or other_failure is not None:
        if type(failure) is type(other_failure):
            return None
        return f"it {_outcome(other_failure)}, where it {_outcome(failure)} before"
    assert expected is not None and found is not None
    for position, (want, have) in enumerate(zip(expected, found)):
        if want.shape != have.shape or want.dtype != have.dtype:
            return f"result {position} is {have.dtype}{have.shape}, it was {want.dtype}{want.shape}"
        wrong = ~_equal(want, have)
        if wrong.any() and values != "same":
            wrong &= ~_explained(before, samples, position, want, have, values, seed)
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            index = f"[{', '.join(map(str, place))}]" if place else ""
            return f"result {position}{index} is {have[place]!r}, it was {want[place]!r}"
    return None


def _outcome(failure: GraphcError | None) -> str:
    return "gave values" if failure is None else f"raised {type(failure).__name__}"


def _run(graph: Graph, samples: Samples) -> tuple[list[np.ndarray] | None, GraphcError | None]:
    try:
        results = evaluate(graph, samples.arrays, samples.variables)
    except GraphcError as error:
        return None, error
    return results, None


def _equal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two arrays are equal to the bit, any NaN being equal to any other."""
    if a.dtype.kind != "f":
        return np.asarray(a == b)
    return np.asarray(((a == b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b)))


def _explained(
    graph: Graph, samples: Samples, position: int, want: np.ndarray, have: np.ndarray, values: str, seed: int
) -> np.ndarray:
    """Where different rounding explains that `have` is not `want`."""
    noisy = [_noisy_run(graph, samples, position, seed + run) for run in range(_NOISY_RUNS)]
    unstable = np.zeros(want.shape, bool)
    for other in noisy:
        unstable |= ~_equal(want, other)
    if want.dtype.kind != "f":
        return unstable
    with np.errstate(all="ignore"):
        finite = np.isfinite(want) & np.isfinite(have)
        magnitude = np.where(finite, np.maximum(np.abs(want), np.abs(have)), 0)
        spread = np.max([np.abs(other - want) for other in noisy], axis=0) if noisy else np.zeros(want.shape)
        scale = magnitude.max(initial=0)
        allowed = 8 * spread + 16 * np.finfo(want.dtype).eps * scale
        close = finite & (np.abs(have - want) <= allowed) & ((want != 0) | (have != 0) | unstable)
        overflowed = unstable & ~np.all([_same_kind(want, other) for other in noisy], axis=0)
        result = close | overflowed
        if values == "better":
            result |= ~np.isfinite(want)
    return np.asarray(result)


def _same_kind(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (np.isfinite(a) == np.isfinite(b)) & (np.isnan(a) == np.isnan(b))


def _noisy_run(graph: Graph, samples: Samples, position: int, seed: int) -> np.ndarray:
    """One root's value, with every rounded result on the way moved by an ULP up, down or not at all."""
    rng = np.random.default_rng(seed)
    sizes: Mapping[str, int] = bind_symbols(graph.inputs, samples.arrays)
    values: dict[Tensor, Any] = {**dict(zip(graph.inputs, samples.arrays)), **samples.variables}
    for tensor in graph.tensors:
        if tensor not in values:
            operands = [values[operand] for operand in tensor.inputs]
            values[tensor] = _nudged(tensor, evaluate_tensor(tensor, operands, sizes), rng)
    return np.asarray(values[graph.roots[position]])


def _nudged(tensor: Tensor, value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, tuple):
        return tuple(_nudged(tensor, item, rng) for item in value)
    op = tensor.op
    if value.dtype.kind != "f" or op.name in _EXACT or op.has(Trait.MOVEMENT) or op.has(Trait.SOURCE):
        return value
    towards = rng.choice(np.array([-np.inf, 0, np.inf], value.dtype), value.shape)
    with np.errstate(all="ignore"):
        moved = np.where(towards == 0, value, np.nextafter(value, towards))
    return np.where(np.isfinite(value) & (value != 0), moved, value)


def compare_values(before: Graph, after: Graph, values: str, seeds: Sequence[int] = (0, 1)) -> str | None:
    """`difference` on ordinary inputs, and on inputs full of NaN, infinities and the like."""
    for seed in seeds:
        samples = sample(before, seed, special=bool(seed % 2))
        if samples is not None:
            found = difference(before, after, samples, values, seed)
            if found is not None:
                return found
    return None
