"""Random graphs from a seed: ops of the whole registry on a growing pool of tensors.

A `Case` is a graph and the arrays for some calls of it, with several values for its symbolic sizes. What can be
applied stands in `recipes.py`; here is what recipes draw from: tensors of a wanted type, sizes, axes, indices.

Invariant: the same seed gives the same case; a recipe that is refused by a type rule leaves the pool as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import graphc as gc
from graphc.errors import GraphcError
from graphc.ir import dims
from graphc.ir.bodies import tensors_within
from graphc.ir.build import apply
from graphc.ir.close import close
from graphc.ir.dims import Size
from graphc.ir.graph import Graph, sizes_of
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor, Variable
from graphc.ir.types import ALL_DTYPES, BOOL, DTYPES, INTEGERS, TensorType, TupleType
from graphc.passes.gradient import grad

from .levels import Level, level_of
from .values import EXTENT_ODDS, EXTENTS, draw

Recipe = Callable[["Generator"], Any]
Shape = tuple[Size, ...]

ELEMENT_LIMIT = 4000
RANK_ODDS = (0.14, 0.30, 0.32, 0.18, 0.06)
DTYPE_ODDS = {"f32": 0.30, "f64": 0.22, "i64": 0.10, "i32": 0.09, "bool": 0.09, "u8": 0.05, "i8": 0.05,
              "u64": 0.03, "u32": 0.03, "i16": 0.02, "u16": 0.02}  # fmt: skip
#: How often a result that rounding decides about is kept all the same.
KEEP_DECIDED = 0.1


@dataclass
class Run:
    """The arrays of one call, and what the variables hold before it."""

    arrays: list[np.ndarray]
    variables: list[np.ndarray]


@dataclass
class Case:
    """A graph, and calls of it.

    Attributes:
        seed: where it comes from; -1 for a file.
        graph: as written.
        runs: the calls, one after another.
        refused: recipes that a type rule refused, and recipes that were taken.
    """

    seed: int
    graph: Graph
    runs: list[Run]
    refused: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)


class Generator:
    """The state of one graph under construction, and the choices that recipes make."""

    def __init__(self, seed: int, recipes: Mapping[Recipe, float]) -> None:
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.recipes = recipes
        count = 2 if self.chance(0.7) else 3
        free = {name: [self.extent() for _ in range(count)] for name in ("n", "m", "k")}
        # `p` always has the value of `n`: sums of the two record a constraint.
        self.symbols: list[dict[str, int]] = [
            {"n": free["n"][i], "m": free["m"][i], "k": free["k"][i], "p": free["n"][i]} for i in range(count)
        ]
        self.pool: list[Tensor] = []
        self.inputs: list[Tensor] = []
        self.variables: list[Variable] = []
        self.levels: dict[Tensor, Level] = {}
        self.kinds: dict[Tensor, int | None] = {}
        self.hazards = int(self.chance(0.06))  # how many indices may be out of range

    # ---- chances ----------------------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def one_of(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def number(self, low: int, high: int) -> int:
        """A whole number in low .. high."""
        return int(self.rng.integers(low, high + 1))

    def extent(self) -> int:
        return int(self.rng.choice(EXTENTS, p=EXTENT_ODDS / EXTENT_ODDS.sum()))

    def dtype(self, among: Iterable[np.dtype[Any]] = ALL_DTYPES) -> np.dtype[Any]:
        wanted = list(among)
        odds = np.array([DTYPE_ODDS.get(name, 0.02) if d in wanted else 0 for name, d in DTYPES.items()])
        return list(DTYPES.values())[int(self.rng.choice(len(odds), p=odds / odds.sum()))]

    # ---- sizes ------------------------------------------------------------------------------------------

    def values_of(self, size: Size) -> list[int]:
        """What a size is in each run."""
        return [dims.evaluate(size, values) for values in self.symbols]

    def elements(self, shape: Shape) -> int:
        """The most elements that a shape has in any run."""
        return max(int(np.prod([dims.evaluate(s, v) for s in shape], dtype=np.int64)) for v in self.symbols)

    def never_empty(self, size: Size) -> bool:
        return min(self.values_of(size)) > 0

    def size(self) -> Size:
        if self.chance(0.45):
            return dims.symbol(self.one_of(("n", "n", "m", "k", "p")))
        return self.extent()

    def shape(self, rank: int | None = None) -> Shape:
        rank = int(self.rng.choice(5, p=RANK_ODDS)) if rank is None else rank
        shape: list[Size] = []
        for _ in range(rank):
            size = self.size()
            while self.elements((*shape, size)) > ELEMENT_LIMIT:
                size = self.one_of((1, 2, 3))
            shape.append(size)
        return tuple(shape)

    def axis(self, x: Tensor) -> int:
        return self.number(-x.ndim, x.ndim - 1)

    def axes(self, x: Tensor) -> tuple[int, ...]:
        """Some axes, in any order, maybe none and maybe all."""
        chosen = [a for a in range(x.ndim) if self.chance(0.5)]
        return tuple(int(a) for a in self.rng.permutation(chosen)) if chosen else ()

    # ---- tensors ----------------------------------------------------------------------------------------

    def placeholder(self, shape: Shape, dtype: np.dtype[Any]) -> Tensor:
        """A new input; once there are enough, values made of a constant."""
        if len(self.inputs) >= 6:
            return self.constant(shape, dtype)
        if self.chance(0.3) and all(isinstance(s, int) for s in shape) and self.elements(shape) <= 400:
            array = draw(self.rng, dtype, tuple(int(str(s)) for s in shape))
            variable = gc.variable(array, name=f"v{len(self.variables)}")
            self.variables.append(variable)
            return self.known(variable)
        tensor = gc.placeholder(shape, dtype, name=f"x{len(self.inputs)}")
        self.inputs.append(tensor)
        return self.known(tensor)

    def constant(self, shape: Shape, dtype: np.dtype[Any]) -> Tensor:
        """A constant of a shape; where that is symbolic, a broadcast scalar."""
        fixed = tuple(s if isinstance(s, int) else 1 for s in shape)
        if self.elements(fixed) > 100:
            fixed = (1,) * len(shape)
        tensor = self.known(gc.constant(draw(self.rng, dtype, fixed)))
        return tensor if tensor.shape == shape else self.known(gc.broadcast_to(tensor, shape))

    def known(self, tensor: Tensor) -> Tensor:
        """Put a tensor into the pool."""
        self.note(tensor)
        self.pool.append(tensor)
        return tensor

    def note(self, tensor: Tensor) -> Level:
        """The tensor's level of exactness, and those of all that it needs."""
        stack = [tensor]
        while stack:
            top = stack[-1]
            waiting = [t for t in top.inputs if t not in self.levels]
            if top not in self.levels and not waiting:
                self.levels[top] = level_of(top, [self.levels[t] for t in top.inputs])
            stack = stack[:-1] if top in self.levels else stack + waiting
        return self.levels[tensor]

    def any(
        self,
        dtypes: Iterable[np.dtype[Any]] = ALL_DTYPES,
        rank: int | None = None,
        least: int = 0,
        accept: Callable[[Tensor], bool] | None = None,
    ) -> Tensor:
        """A tensor of one of some dtypes: from the pool, the later ones more often, or a new input.

        Args:
            dtypes: which to choose from.
            rank: its number of axes.
            least: the least number of axes.
            accept: what else must hold; a new input is made with static extents until it does.
        """
        wanted = set(dtypes)
        fitting = [
            t for t in self.pool
            if t.dtype in wanted and t.ndim >= least and (rank is None or t.ndim == rank)
            and (accept is None or accept(t))
        ]  # fmt: skip
        if fitting and not self.chance(0.15):
            return fitting[int(len(fitting) * self.rng.random() ** 0.5)]
        for _ in range(8):
            shape = self.shape(rank if rank is not None else (self.number(least, max(least, 3)) if least else None))
            fresh = self.placeholder(shape, self.dtype(wanted))
            if accept is None or accept(fresh):
                return fresh
        shape = tuple(self.number(1, 4) for _ in range(rank if rank is not None else max(least, 1)))
        return self.placeholder(shape, self.dtype(wanted))

    def like(self, shape: Shape, dtype: np.dtype[Any]) -> Tensor:
        """A tensor that broadcasts against a shape."""
        fitting = [t for t in self.pool if t.dtype == dtype and self.broadcasts(t.shape, shape)]
        if fitting and self.chance(0.7):
            return fitting[int(len(fitting) * self.rng.random() ** 0.5)]
        target = tuple(1 if self.chance(0.15) else self.alias(s) for s in shape)
        target = target[self.number(0, len(target)) :] if self.chance(0.25) else target
        if self.chance(0.25):
            return self.constant(target, dtype)
        return self.placeholder(target, dtype)

    def exactly(self, shape: Shape, dtype: np.dtype[Any]) -> Tensor:
        """A tensor of just this type."""
        fitting = [t for t in self.pool if t.dtype == dtype and t.shape == shape]
        if fitting and self.chance(0.7):
            return self.one_of(fitting)
        return self.constant(shape, dtype) if self.chance(0.3) else self.placeholder(shape, dtype)

    def alias(self, size: Size) -> Size:
        """A size, or its twin."""
        twins = {dims.symbol("n"): dims.symbol("p"), dims.symbol("p"): dims.symbol("n")}
        return twins[size] if size in twins and self.chance(0.2) else size

    def broadcasts(self, inner: Shape, outer: Shape) -> bool:
        """Whether two shapes broadcast, by what is known before the call and in every run."""
        for a, b in zip(reversed(inner), reversed(outer)):
            if a != 1 and b != 1 and self.values_of(a) != self.values_of(b):
                return False
            if isinstance(a, int) and isinstance(b, int) and a != b and 1 not in (a, b):
                return False
        return True

    def indices(self, size: Size, shape: Shape | None = None) -> Tensor:
        """Positions on an axis of some size, of which at most one tensor of the graph is out of range."""
        dtype = self.dtype(INTEGERS)
        if self.chance(0.5):
            raw = self.any(INTEGERS) if shape is None else self.exactly(shape, dtype)
        else:
            raw = self.placeholder(self.shape(self.number(0, 2)) if shape is None else shape, dtype)
        if self.hazards and self.chance(0.5):
            self.hazards -= 1
            return raw
        wide = gc.astype(raw, "int64")
        extent = gc.constant(size, "int64") if isinstance(size, int) else apply(OPS["dim"], size=size)
        inside = gc.remainder(wide, extent)
        if self.chance(0.4):  # negative ones count from the end
            inside = inside - extent if self.chance(0.5) else gc.where(inside % 2 == 0, inside, inside - extent)
        if isinstance(size, int) and size < 100 and self.chance(0.3):
            inside = gc.astype(inside, self.one_of(("int8", "int32", "int16")))
        return inside

    # ---- the graph --------------------------------------------------------------------------------------

    def grow(self, taken: Counter[str], refused: Counter[str]) -> None:
        """Apply one recipe."""
        recipes = list(self.recipes)
        odds = np.array(list(self.recipes.values()))
        recipe = recipes[int(self.rng.choice(len(recipes), p=odds / odds.sum()))]
        name = getattr(recipe, "__name__", "recipe")
        try:
            made = recipe(self)
        except GraphcError:
            refused[name] += 1
            return
        taken[name] += 1
        for tensor in made if isinstance(made, (list, tuple)) else [made]:
            if tensor is None or tensor in self.levels or isinstance(tensor.type, TupleType):
                continue
            if not self.allowed(tensor):
                continue
            if self.note(tensor) is Level.DECIDED and not self.chance(KEEP_DECIDED):
                continue
            self.pool.append(tensor)

    def allowed(self, tensor: Tensor) -> bool:
        """Whether a tensor, and all that it needs, is not too large."""
        return self.elements(tensor.shape) <= ELEMENT_LIMIT * 5

    def gradients(self) -> list[Tensor]:
        """The gradient of a random scalar by some tensors that it depends on."""
        floats = [t for t in self.pool if t.dtype.kind == "f" and t.op.name != "placeholder"]
        wanted = [t for t in (*self.inputs, *self.variables) if t.dtype.kind == "f"]
        if not floats or not wanted:
            return []
        loss = self.scalar(floats[int(len(floats) * self.rng.random() ** 0.3)])
        chosen = [t for t in wanted if self.chance(0.6)] or wanted[:1]
        if self.chance(0.2):
            chosen.append(self.one_of(floats))
        try:
            partials = grad(loss, chosen, disconnected="zeros")
            if self.chance(0.15):  # a gradient of a gradient
                second = self.scalar(self.one_of(partials))
                partials += grad(second, chosen, disconnected="zeros")
        except GraphcError:
            return []
        return [loss, *partials]

    def scalar(self, tensor: Tensor) -> Tensor:
        if self.chance(0.5):
            tensor = tensor * gc.constant(draw(self.rng, tensor.dtype, (), 0))
        return gc.sum(tensor if self.chance(0.7) else gc.tanh(tensor))

    def updates(self) -> list[tuple[Tensor, Tensor]]:
        """New values for some variables."""
        found: list[tuple[Tensor, Tensor]] = []
        for variable in self.variables:
            fitting = [t for t in self.pool if t.type == variable.type and t is not variable]
            if fitting and self.chance(0.5):
                found.append((variable, self.one_of(fitting)))
            elif self.chance(0.7):
                found.append((variable, self.changed(variable)))
        return found


    def changed(self, variable: Variable) -> Tensor:
        """A new value made of the old one, element by element or from other places."""
        if variable.ndim and self.chance(0.6):
            return self.one_of((gc.flip, lambda v: gc.roll(v, 1), lambda v: gc.sort(v, 0)))(variable)
        if variable.dtype == BOOL:
            return ~variable
        return variable + gc.constant(draw(self.rng, variable.dtype, (), 0))


def generate(seed: int, recipes: Mapping[Recipe, float], *, size: int | None = None) -> Case:
    """The case of a seed.

    Args:
        seed: any whole number.
        recipes: what to apply, and how often; `recipes.RECIPES`, or a choice of them.
        size: how many recipes to apply; by default a random number.
    """
    g = Generator(seed, recipes)
    taken: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for _ in range(g.number(1, 3)):
        g.placeholder(g.shape(), g.dtype())
    for _ in range(size or (g.number(2, 9) if g.chance(0.6) else g.number(8, 24))):
        g.grow(taken, refused)
    made = [t for t in g.pool if t.op.name not in ("placeholder", "const", "variable")] or g.pool
    outputs = [made[-1]] if g.chance(0.5) else []
    outputs += [g.one_of(made) for _ in range(g.number(1, 3))]
    if g.chance(0.3):
        partials = g.gradients()
        outputs += [t for t in partials if g.elements(t.shape) <= ELEMENT_LIMIT * 5]
    if g.chance(0.05):
        outputs.append(g.one_of(g.pool))
    for variable in g.variables:
        if g.chance(0.3):  # its old value, though it may be updated
            outputs.append(g.one_of((variable, gc.stack([variable, variable]), gc.equal(variable, variable))))
    graph = _closed(g, outputs, g.updates())
    return Case(seed, graph, [_run(g, graph, i) for i in range(len(g.symbols))], refused, taken)


def _closed(g: Generator, outputs: list[Tensor], updates: list[tuple[Tensor, Tensor]]) -> Graph:
    """The graph of some outputs; symbols that no input brings get one that does."""
    roots = [*outputs, *(value for _, value in updates)]
    probe = Graph("fuzz", (), tuple(roots))
    needed = [t for t in probe.tensors if t.op.name == "placeholder"]
    inputs = [t for t in g.inputs if t in needed or g.chance(0.2)]
    bound = {dims.bare_symbol(s) for t in inputs for s in t.shape}
    sizes = (size for t in (*inputs, *tensors_within(probe)) for size in sizes_of(t))
    used = dict.fromkeys(name for size in sizes for name in dims.symbols_of(size))
    for name in sorted(used.keys() - bound):
        inputs.append(gc.placeholder((name,), "bool", name=f"size_{name}"))
    return close(f"fuzz_{g.seed}", inputs, outputs, updates)


def _run(g: Generator, graph: Graph, number: int) -> Run:
    rng = np.random.default_rng([g.seed, number])

    def array(type_: TensorType) -> np.ndarray:
        return draw(rng, type_.dtype, tuple(dims.evaluate(s, g.symbols[number]) for s in type_.shape))

    return Run([array(t.tensor_type) for t in graph.inputs], [array(v.tensor_type) for v in graph.variables])
