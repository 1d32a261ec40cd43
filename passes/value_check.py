"""Do two graphs compute the same? Run both by the interpreter on the same seeded inputs.

Rounding is told from error by Monte Carlo arithmetic (D. S. Parker, UCLA CSD-970002, 1997): the first graph
runs again with every rounded result moved by one unit in the last place at random, and the spread that this
makes is what different rounding can explain; however badly conditioned the graph is.

Invariant: the same graphs and seed give the same verdict.
"""

from __future__ import annotations

import contextlib
import functools
import io
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from graphc.errors import GraphcError
from graphc.ir import dims
from graphc.ir.bodies import tensors_within
from graphc.ir.evaluate import bind_symbols, evaluate, evaluate_tensor
from graphc.ir.graph import Graph, sizes_of, topological_order
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType
from graphc.passes.unify import solve

#: How the values after may relate to those before; see `difference`.
Values = Literal["same", "rounded", "better"]
#: What is sampled: ordinary values; also NaN, infinities, -0.0, subnormals and huge ones; sizes 0 and 1.
Kind = Literal["ordinary", "special", "tiny"]

_SIZES: Mapping[str, tuple[int, ...]] = {"ordinary": (2, 3, 4), "special": (2, 3, 5), "tiny": (0, 1)}
_ALL_SIZES = (2, 3, 1, 4, 5, 0)
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


def sample(graph: Graph, seed: int, kind: Kind = "ordinary") -> Samples | None:
    """Inputs for `graph` whose sizes meet its constraints; None where none were found.

    Args:
        graph: what they are for.
        seed: the same seed gives the same values.
        kind: what to sample.
    """
    sizes = _sample_sizes(graph, seed, _SIZES[kind])
    if sizes is None:
        return None
    rng = np.random.default_rng(seed)

    def array(type_: TensorType) -> np.ndarray:
        shape = tuple(dims.evaluate(s, sizes) for s in type_.shape)
        return _sample_array(rng, type_.dtype, shape, kind == "special")

    return Samples(
        [array(t.tensor_type) for t in graph.inputs], {v: array(v.tensor_type) for v in graph.variables}
    )


def _sample_sizes(graph: Graph, seed: int, preferred: tuple[int, ...]) -> dict[str, int] | None:
    """Values for the graph's symbols, by trial: small, and such that every constraint holds."""
    rng = random.Random(seed)
    solved = solve(graph)
    needed = {size for tensor in tensors_within(graph) for size in sizes_of(tensor)}
    for trial in range(50):
        choice = preferred if trial < 10 else _ALL_SIZES
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


def difference(
    before: Graph, after: Graph, samples: Samples, values: Values, seed: int = 0
) -> str | None:
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
    for name, have in found.items():
        want = expected[name]
        if want.shape != have.shape or want.dtype != have.dtype:
            return f"{name} is {have.dtype}{have.shape}, it was {want.dtype}{want.shape}"
        wrong = ~_equal(want, have)
        if wrong.any() and values != "same":
            wrong &= ~_explained(before, samples, name, want, have, values, seed)
        if wrong.any():
            place = tuple(int(i) for i in np.argwhere(wrong)[0])
            index = f"[{', '.join(map(str, place))}]" if place else ""
            return f"{name}{index} is {have[place]!r}, it was {want[place]!r}"
    for variable, _ in before.updates:
        name = _update_name(variable)
        if name not in found and not _equal(expected[name], samples.variables[variable]).all():
            return f"{name} is lost"
    return None


def _outcome(failure: GraphcError | None) -> str:
    return "gave values" if failure is None else f"raised {type(failure).__name__}"


def _update_name(variable: Tensor) -> str:
    return f"the update of {variable.hint or 'a variable'} ({id(variable):x})"


def _named_roots(graph: Graph) -> Iterator[tuple[str, Tensor]]:
    for position, output in enumerate(graph.outputs):
        yield f"output {position}", output
    for variable, value in graph.updates:
        yield _update_name(variable), value


def _run(graph: Graph, samples: Samples) -> tuple[dict[str, np.ndarray], GraphcError | None]:
    """The values of outputs and updates by name; what the graph prints is not shown."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            results = evaluate(graph, samples.arrays, samples.variables)
    except GraphcError as error:
        return {}, error
    return {name: value for (name, _), value in zip(_named_roots(graph), results)}, None


def _equal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two arrays are equal to the bit, any NaN being equal to any other."""
    if a.dtype.kind != "f":
        return np.asarray(a == b)
    return np.asarray(((a == b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b)))


def _explained(
    graph: Graph, samples: Samples, name: str, want: np.ndarray, have: np.ndarray, values: Values, seed: int
) -> np.ndarray:
    """Where different rounding explains that `have` is not `want`."""
    root = dict(_named_roots(graph))[name]
    if values == "better" and _overflows(graph, samples, root):
        return np.ones(want.shape, bool)  # what comes of an overflow may be any number, or any choice
    runs = [_noisy_run(graph, samples, root, seed + run) for run in range(_NOISY_RUNS)]
    noisy = [value for value in runs if value is not None] or [want]
    unstable = np.zeros(want.shape, bool)
    for other in noisy:
        unstable |= ~_equal(want, other)
    if want.dtype.kind != "f":
        return unstable
    with np.errstate(all="ignore"):
        finite = np.isfinite(want) & np.isfinite(have)
        magnitude = np.where(finite, np.maximum(np.abs(want), np.abs(have)), 0)
        spread = np.max([np.abs(other - want) for other in noisy], axis=0)
        scale = magnitude.max(initial=0)
        allowed = 8 * spread + 16 * np.finfo(want.dtype).eps * scale
        close = finite & (np.abs(have - want) <= allowed) & ((want != 0) | (have != 0) | unstable)
        overflowed = unstable & ~np.all([_same_kind(want, other) for other in noisy], axis=0)
    return np.asarray(close | overflowed)


def _same_kind(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (np.isfinite(a) == np.isfinite(b)) & (np.isnan(a) == np.isnan(b))


def _noisy_run(graph: Graph, samples: Samples, root: Tensor, seed: int) -> np.ndarray | None:
    """One root's value, with every rounded result on the way moved by an ULP up, down or not at all.

    None where that makes an op fail.
    """
    rng = np.random.default_rng(seed)
    return _altered_run(graph, samples, root, lambda tensor, operands, value: _nudged(tensor, value, rng))


def _overflows(graph: Graph, samples: Samples, root: Tensor) -> bool:
    """Whether on the way to `root` infinity or NaN comes out of finite numbers, or NaN out of infinities."""
    found = False

    def look(tensor: Tensor, operands: list[Any], value: Any) -> Any:
        nonlocal found
        floats = [a for a in operands if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
        for array in value if isinstance(value, tuple) else (value,):
            if array.dtype.kind == "f" and not tensor.op.has(Trait.SOURCE):
                if tensor.op.has(Trait.ELEMENTWISE):
                    none = np.zeros(array.shape, bool)
                    infinite = functools.reduce(np.logical_or, (~np.isfinite(a) for a in floats), none)
                    nan = functools.reduce(np.logical_or, (np.isnan(a) for a in floats), none)
                else:
                    infinite = np.asarray(any(not np.isfinite(a).all() for a in floats))
                    nan = np.asarray(any(np.isnan(a).any() for a in floats))
                found = found or bool(((np.isinf(array) & ~infinite) | (np.isnan(array) & ~nan)).any())
        return value

    _altered_run(graph, samples, root, look)
    return found


def _altered_run(
    graph: Graph, samples: Samples, root: Tensor, alter: Callable[[Tensor, list[Any], Any], Any]
) -> np.ndarray | None:
    """One root's value, with every value on the way replaced by `alter(tensor, operands, value)`."""
    sizes: Mapping[str, int] = bind_symbols(graph.inputs, samples.arrays)
    values: dict[Tensor, Any] = {**dict(zip(graph.inputs, samples.arrays)), **samples.variables}

    def each(tensor: Tensor, operands: Sequence[Any], sizes: Mapping[str, int]) -> Any:
        value = evaluate_tensor(tensor, operands, sizes, each)
        return value if tensor.op.has(Trait.BODY) else alter(tensor, list(operands), value)

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            for tensor in topological_order([root]):
                if tensor not in values:
                    operands = [values[operand] for operand in tensor.inputs]
                    values[tensor] = each(tensor, operands, sizes)
    except GraphcError:
        return None
    return np.asarray(values[root])


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


def compare_values(before: Graph, after: Graph, values: Values, seed: int = 0) -> str | None:
    """`difference` on inputs of each kind; None if there is none, or if a loop without a limit forbids to look.

    >>> import graphc as gc
    >>> graphs = [
    ...     gc.parse('graph @f(%x: f32[n]) {\\n %0 = ' + op + ' %x, %x : f32[n]\\n return %0\\n}')
    ...     for op in ("add", "subtract")
    ... ]
    >>> compare_values(*graphs, "rounded").partition(" is ")[0]
    'output 0[0]'
    """
    if any(t.op.name == "while_loop" and t.attrs["limit"] is None for t in tensors_within(before)):
        return None  # on made-up inputs it may never end
    kinds: tuple[Kind, ...] = ("ordinary", "special", "tiny")
    for kind in kinds:
        samples = sample(before, seed, kind)
        found = None if samples is None else difference(before, after, samples, values, seed)
        if found is not None:
            return f"{found}, on {kind} inputs with seed {seed}"
    return None
