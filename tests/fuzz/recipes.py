"""What random graphs are made of: one small function for each way to make a tensor of others.

Elementwise ops, reductions and ops along an axis are taken from the registry by their traits and attributes, so
that a new one gets in by itself; the public functions that take more are listed. `test_totality.py` names every
op and function that no recipe makes.

Invariant: a recipe draws all its choices from the generator, and returns tensors or raises `GraphcError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import graphc as gc
from graphc.errors import DTypeError
from graphc.ir import dims
from graphc.ir.build import apply
from graphc.ir.graph import topological_order
from graphc.ir.opdef import OPS, OpDef, Trait
from graphc.ir.tensor import Tensor
from graphc.ir.types import ALL_DTYPES, BOOL, DTYPES, FLOATS, INTEGERS, NUMERIC, TensorType

from .generate import Generator, Recipe, Shape

I64 = DTYPES["i64"]
#: Structure, not arithmetic: made by the generator itself, or by passes.
STRUCTURAL = frozenset({"placeholder", "variable", "const", "get", "fused", "assign", "while_transpose"})
#: Public functions that are not for random graphs, and why.
LEFT_OUT = {"at": "made as the method `.at`", "getitem": "made by indexing"}

RECIPES: dict[Recipe, float] = {}


def recipe(weight: float) -> Callable[[Recipe], Recipe]:
    """Decorator: put a function into the table, to be taken so often."""

    def register(function: Recipe) -> Recipe:
        RECIPES[function] = weight
        return function

    return register


# Straight from the registry ---------------------------------------------------------------------------------


def accepted_dtypes(op: OpDef, count: int = 1, **attrs: Any) -> list[np.dtype[Any]]:
    """The dtypes that an op takes for all its operands."""
    found = []
    for dtype in ALL_DTYPES:
        try:
            op.infer(*[TensorType(dtype, (2,))] * count, **attrs)
            found.append(dtype)
        except DTypeError:
            continue
    return found


ELEMENTWISE = [op for op in OPS.values() if op.has(Trait.ELEMENTWISE) and not op.attrs and op.name != "where"]
_DTYPES = {op.name: accepted_dtypes(op, len(op.operands)) for op in ELEMENTWISE}
ALONG = [
    op for op in OPS.values()
    if op.operands == ("x",) and "axis" in op.attrs and not op.has(Trait.REDUCTION)
    and set(op.attrs) <= {"axis", "keepdims", "descending"}
]  # fmt: skip
REDUCTIONS = [op for op in OPS.values() if op.has(Trait.REDUCTION)]
_DTYPES |= {op.name: accepted_dtypes(op, axis=(0,), keepdims=False) for op in REDUCTIONS}
_DTYPES |= {
    op.name: accepted_dtypes(op, **{n: 0 if n == "axis" else False for n in op.attrs}) for op in ALONG
}


def elementwise(g: Generator, op: OpDef) -> Tensor:
    """An elementwise op on operands that broadcast."""
    first = g.any(_DTYPES[op.name])
    if op.name in ("signbit", "copysign"):  # the sign of a NaN is nobody's promise
        first = gc.where(gc.isnan(first), gc.constant(1, first.dtype), first)
    operands = [first]
    for _ in op.operands[1:]:
        operand = first if g.chance(0.05) else g.like(first.shape, first.dtype)
        if op.name == "copysign":
            operand = gc.where(gc.isnan(operand), gc.constant(1, first.dtype), operand)
        operands.append(operand)
    if g.chance(0.3):
        operands.reverse()
    return apply(op, *operands)


@recipe(16)
def any_elementwise(g: Generator) -> Tensor:
    return elementwise(g, g.one_of(ELEMENTWISE))


@recipe(10)
def arithmetic(g: Generator) -> Tensor:
    return elementwise(g, OPS[g.one_of(("add", "subtract", "multiply", "maximum", "minimum", "negative", "divide"))])


@recipe(3)
def smooth_function(g: Generator) -> Tensor:
    return elementwise(g, OPS[g.one_of(("exp", "log", "tanh", "sigmoid", "sqrt", "sin", "log1p", "pow", "rsqrt"))])


@recipe(3)
def where(g: Generator) -> Tensor:
    x = g.any()
    return apply(OPS["where"], g.like(x.shape, BOOL), x, g.like(x.shape, x.dtype))


@recipe(9)
def reduction(g: Generator) -> Tensor:
    op = g.one_of(REDUCTIONS)
    x = g.any(_DTYPES[op.name])
    return apply(op, x, axis=tuple(sorted(g.axes(x))), keepdims=g.chance(0.5))


@recipe(9)
def along_axis(g: Generator) -> Tensor:
    op = g.one_of(ALONG)
    x = g.any(_DTYPES[op.name], least=1)
    flags = {name: g.chance(0.5) for name in op.attrs if name != "axis"}
    return apply(op, x, axis=g.number(0, x.ndim - 1), **flags)


@recipe(5)
def cast(g: Generator) -> Tensor:
    return gc.astype(g.any(), g.dtype())


# Movement ---------------------------------------------------------------------------------------------------


@recipe(4)
def reshape(g: Generator) -> Tensor:
    x = g.any()
    shape = list(x.shape)
    if len(shape) >= 2 and g.chance(0.6):  # two axes become one
        at = g.number(0, len(shape) - 2)
        shape[at : at + 2] = [shape[at] * shape[at + 1]]
    elif shape and isinstance(shape[at := g.number(0, len(shape) - 1)], int) and shape[at] > 1 and g.chance(0.7):
        factor = g.one_of([d for d in range(1, shape[at] + 1) if shape[at] % d == 0])
        shape[at : at + 1] = [factor, shape[at] // factor]
    elif g.chance(0.5):
        return gc.reshape(x, (-1,))
    else:
        shape.insert(g.number(0, len(shape)), 1)
    return gc.reshape(x, tuple(shape))


@recipe(3)
def permute(g: Generator) -> Tensor:
    x = g.any()
    order = tuple(int(a) for a in g.rng.permutation(x.ndim))
    if x.ndim >= 2 and g.chance(0.4):
        return g.one_of((gc.matrix_transpose, lambda t: gc.swapaxes(t, 0, -1), lambda t: gc.moveaxis(t, 0, -1)))(x)
    return gc.permute_dims(x, order)


@recipe(3)
def broadcast(g: Generator) -> Tensor:
    x = g.any()
    shape = [g.size() if s == 1 else s for s in x.shape]
    for _ in range(g.number(0, 2) if x.ndim < 4 else 0):
        shape.insert(0, g.size())
    return gc.broadcast_to(x, tuple(shape)) if g.elements(tuple(shape)) <= 8000 else gc.expand_dims(x, 0)


@recipe(2)
def unit_axes(g: Generator) -> Tensor:
    x = g.any()
    ones = [a for a, s in enumerate(x.shape) if s == 1]
    if ones and g.chance(0.6):
        return gc.squeeze(x, g.one_of(ones)) if g.chance(0.6) else gc.squeeze(x)
    return gc.expand_dims(x, g.number(0, x.ndim)) if x.ndim < 5 else x


def _slice(g: Generator, x: Tensor, axis: int) -> Any:
    size = x.shape[axis]
    least = min(g.values_of(size))
    step = g.one_of((None, None, 1, 2, 3, -1, -2))
    if g.chance(0.25):
        return slice(None, None, step)
    bounds = sorted(g.number(-least - 2, least + 2) for _ in range(2))
    if step is not None and step < 0:
        bounds.reverse()
    return slice(g.one_of((None, bounds[0], bounds[0])), g.one_of((None, bounds[1], bounds[1])), step)


@recipe(7)
def index(g: Generator) -> Tensor:
    """x[...] with slices, integers, new axes, ellipses and arrays of positions."""
    x = g.any(least=1)
    keys: list[Any] = []
    for axis in range(g.number(1, x.ndim)):
        least = min(g.values_of(x.shape[axis]))
        if least > 0 and g.chance(0.25):
            keys.append(g.number(-least, least - 1))
        elif g.chance(0.12):
            keys.append(g.indices(x.shape[axis]))
        else:
            keys.append(_slice(g, x, axis))
    if g.chance(0.2):
        keys.insert(g.number(0, len(keys)), None)
    if g.chance(0.2):
        keys.append(Ellipsis)
    return x[tuple(keys)]


@recipe(3)
def flip_or_roll(g: Generator) -> Tensor:
    x = g.any(least=1)
    if g.chance(0.5):
        return gc.flip(x, g.one_of((None, g.axis(x), g.axes(x))))
    shift = g.number(-9, 9)
    return gc.roll(x, shift, g.axis(x)) if g.chance(0.7) else gc.roll(x, shift)


@recipe(4)
def join(g: Generator) -> Tensor:
    x = g.any(least=1)
    axis = g.number(0, x.ndim - 1)
    others = [
        g.exactly(tuple(g.size() if a == axis and g.chance(0.5) else s for a, s in enumerate(x.shape)), x.dtype)
        for _ in range(g.number(0, 2))
    ]
    parts = [x, *others]
    if g.chance(0.3):
        parts.insert(g.number(0, len(parts)), x)
    if g.chance(0.3):
        return gc.stack([x, g.exactly(x.shape, x.dtype)], axis)
    return gc.concat(parts, axis)


@recipe(2)
def split(g: Generator) -> list[Tensor]:
    x = g.any(least=1)
    axis = g.number(0, x.ndim - 1)
    size = x.shape[axis]
    if isinstance(size, int) and 0 < size < 9 and g.chance(0.4):
        return list(gc.unstack(x, axis))
    if isinstance(size, int) and size and g.chance(0.5):
        return list(gc.split(x, g.one_of([d for d in range(1, size + 1) if size % d == 0][:4]), axis))
    least = min(g.values_of(size))
    return list(gc.split(x, sorted(g.number(0, least) for _ in range(g.number(1, 2))), axis))


@recipe(2)
def copies(g: Generator) -> Tensor:
    x = g.any()
    if g.chance(0.5):
        return gc.tile(x, tuple(g.number(0 if g.chance(0.1) else 1, 3) for _ in range(g.number(1, max(1, x.ndim)))))
    return gc.repeat(x, g.number(1, 3), g.axis(x) if x.ndim and g.chance(0.8) else None)


@recipe(3)
def pad(g: Generator) -> Tensor:
    x = g.any(least=1)
    width = [(g.number(0, 3), g.number(0, 3)) if g.chance(0.7) else (0, 0) for _ in x.shape]
    value = g.constant((), x.dtype)
    return gc.pad(x, width, constant_values=value) if g.chance(0.8) else gc.pad(x, g.number(0, 2))


@recipe(2)
def triangle(g: Generator) -> Tensor:
    x = g.any(least=2)
    k = g.number(-3, 3)
    return g.one_of((
        lambda: gc.tril(x, k), lambda: gc.triu(x, k), lambda: gc.diagonal(x), lambda: gc.trace(x),
        lambda: gc.diagonal(x, g.number(-1, 1), *map(int, g.rng.permutation(x.ndim)[:2])),
    ))()  # fmt: skip


# Positions --------------------------------------------------------------------------------------------------


@recipe(4)
def take(g: Generator) -> Tensor:
    x = g.any(least=1)
    if g.chance(0.15):
        return gc.take(x, g.indices(dims.product(x.shape)))
    axis = g.number(0, x.ndim - 1)
    return gc.take(x, g.indices(x.shape[axis]), axis)


@recipe(3)
def take_along_axis(g: Generator) -> Tensor:
    x = g.any(least=1)
    axis = g.number(0, x.ndim - 1)
    size = x.shape[axis] if g.chance(0.4) else g.size()
    shape = tuple(size if a == axis else 1 if g.chance(0.1) else s for a, s in enumerate(x.shape))
    if g.elements(shape) > 4000:
        shape = tuple(1 if a == axis else s for a, s in enumerate(x.shape))
    return gc.take_along_axis(x, g.indices(x.shape[axis], shape), axis)


def _points(g: Generator, x: Tensor) -> tuple[list[Tensor], Shape]:
    """Positions on the first axes of x, and their joint shape."""
    shape = g.shape(g.number(0, 2))
    while g.elements(shape) > 200:
        shape = shape[1:]
    count = g.number(1, min(2, x.ndim))
    shapes = [shape] + [shape[g.number(0, len(shape)) :] for _ in range(count - 1)]
    return [g.indices(x.shape[a], s) for a, s in enumerate(shapes)], shape


@recipe(3)
def gather(g: Generator) -> Tensor:
    x = g.any(least=1)
    return gc.gather(x, *_points(g, x)[0])


@recipe(4)
def scatter(g: Generator) -> Tensor:
    add = g.chance(0.5)
    x = g.any(NUMERIC if add else ALL_DTYPES, least=1)
    points, shape = _points(g, x)
    updates = g.like((*shape, *x.shape[len(points) :]), x.dtype)
    if g.chance(0.25):
        target = x.at[points[0]]
        return target.add(g.constant((), x.dtype)) if add else target.set(g.constant((), x.dtype))
    return (gc.scatter_add if add else gc.scatter_set)(x, updates, *points)


# Products ---------------------------------------------------------------------------------------------------


@recipe(6)
def matmul(g: Generator) -> Tensor:
    dtypes = FLOATS if g.chance(0.8) else ALL_DTYPES
    x = g.any(dtypes, least=1)
    if x.ndim >= 2 and g.chance(0.3):
        x = gc.matrix_transpose(x)
    inner = g.alias(x.shape[-1])
    kind = g.one_of(("matrix", "matrix", "matrix", "vector", "batch", "transposed"))
    columns = g.size()
    if kind == "vector":
        return gc.matmul(x, g.exactly((inner,), x.dtype)) if g.chance(0.7) else gc.dot(x, g.exactly((inner,), x.dtype))
    if kind == "batch":
        batch = tuple(1 if g.chance(0.3) else s for s in x.shape[:-2])
        return gc.matmul(x, g.exactly((*batch, inner, g.one_of((1, 3, 8))), x.dtype))
    if kind == "transposed":
        return gc.matmul(x, gc.matrix_transpose(g.exactly((columns, inner), x.dtype)))
    return gc.matmul(x, g.exactly((inner, columns), x.dtype))


def _image(g: Generator, among: Sequence[np.dtype[Any]] = FLOATS) -> Tensor:
    """A tensor with spatial axes, none of which is ever empty."""

    def suits(t: Tensor) -> bool:
        return 3 <= t.ndim <= 5 and t.dtype in among and all(map(g.never_empty, t.shape[1:]))

    fitting = [t for t in g.pool if suits(t)]
    if fitting and g.chance(0.6):
        return g.one_of(fitting)
    space = (*(g.number(1, 7) for _ in range(g.one_of((0, 1, 1, 1, 2)))), g.number(1, 7 if g.chance(0.6) else 24))
    return g.exactly((g.size(), *space, g.one_of((1, 2, 3, 4, 17))), g.dtype(among))


@recipe(3)
def convolution(g: Generator) -> Tensor:
    x = _image(g)
    last = g.chance(0.7)
    channels = x.shape[-1] if last else x.shape[1]
    groups = g.one_of([n for n in (1, 1, 2, 3) if isinstance(channels, int) and channels % n == 0] or [1])
    window = tuple(g.number(1, 3) for _ in range(x.ndim - 2))
    geometry = {
        "strides": g.number(1, 3), "padding": "SAME", "dilation": g.number(1, 2), "groups": groups,
        "layout": "NHWC" if last else "NCHW",
    }  # fmt: skip
    share = channels if groups == 1 else dims.floordiv(channels, groups)
    if g.chance(0.3):
        w = g.exactly((channels, g.number(1, 3), *window), x.dtype)
        return gc.conv_transpose(x, w, **geometry)
    if isinstance(channels, int) and g.chance(0.4):  # depthwise
        geometry |= {"groups": channels, "strides": g.one_of((1, 1, 2))}
        return gc.conv(x, g.exactly((channels, 1, *window), x.dtype), **geometry)
    w = g.exactly((groups * g.one_of((1, 2, 3, 17)), share, *window), x.dtype)
    return gc.conv(x, w, **geometry)


@recipe(3)
def pooling(g: Generator) -> Tensor:
    x = _image(g, NUMERIC if g.chance(0.5) else FLOATS)
    window = tuple(g.number(1, 3) for _ in range(x.ndim - 2))
    strides = g.one_of((None, 1, 2))
    layout = g.one_of(("NHWC", "NCHW"))
    if x.dtype.kind == "f" and g.chance(0.4):
        return gc.avg_pool(x, window, strides, "SAME", layout, g.chance(0.5))
    y = gc.max_pool(x, window, strides, "SAME", layout)
    if layout == "NCHW" or g.chance(0.5):
        return y
    pooled = y if y.op.name == "max_pool" else y.inputs[0]
    if g.chance(0.5):
        return apply(OPS["max_pool_pick"], g.exactly(x.shape, x.dtype), x, **pooled.attrs)
    return apply(OPS["max_pool_spread"], g.exactly(y.shape, x.dtype), x, **pooled.attrs)


@recipe(1)
def convolution_gradients(g: Generator) -> Tensor:
    """The ops that only gradients make."""
    x = _image(g)
    window = tuple(min(2, *g.values_of(s)) for s in x.shape[1:-1])
    plain = {"before": (0,) * len(window), "after": (0,) * len(window), "dilation": (1,) * len(window)}
    strides = {"strides": (g.number(1, 2),) * len(window)}
    pooled = apply(OPS["sum_pool"], x, window=window, **strides, **plain)
    if g.chance(0.5):
        return apply(OPS["sum_pool_spread"], pooled, size=x.shape[1:-1], window=window, **strides, **plain)
    y = g.exactly((*pooled.shape[:-1], g.number(1, 4)), x.dtype)
    return apply(OPS["conv_weights"], x, y, window=window, **strides, **plain, groups=1)


@recipe(1)
def plane_convolution(g: Generator) -> Tensor:
    """The ops that passes make of depthwise convolutions."""
    space = tuple(g.number(3, 9) for _ in range(g.number(1, 2)))
    x = g.exactly((g.size(), g.number(1, 4), *space, g.number(3, 40)), g.dtype(FLOATS))
    window = tuple(g.number(1, 3) for _ in x.shape[2:])
    pads = {name: tuple(g.number(0, k - 1) for k in window) for name in ("before", "after")}
    w = g.exactly((x.shape[1], 1, *window), x.dtype)
    attrs = {**pads, "dilation": (1,) * len(window)}
    y = apply(OPS["conv_planes"], x, w, **attrs)
    return apply(OPS["conv_planes_weights"], x, y, window=window, **attrs) if g.chance(0.5) else y


@recipe(2)
def other_products(g: Generator) -> Tensor:
    x = g.any(NUMERIC, least=1)
    same = g.exactly(x.shape, x.dtype)
    letters = "abcd"[: x.ndim]
    return g.one_of((
        lambda: gc.vecdot(x, same, g.axis(x)),
        lambda: gc.outer(x[(0,) * (x.ndim - 1)] if all(map(g.never_empty, x.shape)) else gc.reshape(x, (-1,)),
                         g.exactly((g.number(0, 5),), x.dtype)),
        lambda: gc.tensordot(x, same, g.number(1, x.ndim)),
        lambda: gc.einsum(f"{letters},{letters}->{letters[:g.number(0, x.ndim)]}", x, same),
        lambda: gc.einsum(f"{letters},{letters[-1]}z->{letters[:-1]}z", x, g.exactly((x.shape[-1], 3), x.dtype)),
        lambda: gc.einsum(f"{letters}->{letters[::-1]}", x),
    ))()  # fmt: skip


# Creation ---------------------------------------------------------------------------------------------------


@recipe(3)
def creation(g: Generator) -> Tensor:
    dtype, size = g.dtype(NUMERIC), g.size()
    x = g.any()
    return g.one_of((
        lambda: gc.arange(g.number(-3, 3), g.number(3, 20), g.number(1, 3), dtype=dtype),
        lambda: apply(OPS["iota"], size=size, dtype=dtype),
        lambda: gc.arange(size, dtype=dtype),
        lambda: gc.linspace(g.number(-3, 3), 2.5, g.number(0, 9)),
        lambda: gc.eye(g.number(0, 5), g.one_of((None, 3)), g.number(-2, 2), dtype),
        lambda: gc.full(g.shape(), 3, dtype),
        lambda: gc.zeros(g.shape(), dtype),
        lambda: gc.ones(g.shape(), dtype),
        lambda: g.one_of((gc.zeros_like, gc.ones_like))(x),
        lambda: gc.full_like(x, 1),
        lambda: apply(OPS["dim"], size=size) if isinstance(size, dims.Dim) else gc.constant(size),
        lambda: gc.one_hot(g.any(INTEGERS, accept=lambda t: t.ndim < 4), g.number(0, 5), g.one_of((0, -1)), dtype),
        lambda: gc.meshgrid(g.any(rank=1), g.any(rank=1), indexing=g.one_of(("xy", "ij")))[0],
    ))()  # fmt: skip


@recipe(2)
def random_numbers(g: Generator) -> Tensor:
    seed = g.number(0, 9) if g.chance(0.5) else g.any(INTEGERS, rank=0)
    shape, dtype, stream = g.shape(), g.dtype(FLOATS), g.number(0, 2)
    return g.one_of((
        lambda: gc.random.uniform(shape, dtype=dtype, seed=seed, stream=stream),
        lambda: gc.random.uniform(shape, -1.0, 3.0, dtype=dtype, seed=seed),
        lambda: gc.random.normal(shape, dtype=dtype, seed=seed),
        lambda: gc.random.bernoulli(shape, 0.3, seed=seed),
        lambda: gc.random.permutation(g.size(), seed=seed, stream=stream),
    ))()  # fmt: skip


# Functions composed of ops ----------------------------------------------------------------------------------


def _float(g: Generator, least: int = 0) -> Tensor:
    return g.any(FLOATS, least=least)


@recipe(3)
def activation(g: Generator) -> Tensor:
    names = ("relu", "leaky_relu", "elu", "silu", "log_sigmoid", "gelu", "square", "reciprocal")
    return getattr(gc, g.one_of(names))(_float(g))


@recipe(3)
def statistics(g: Generator) -> Tensor:
    x = _float(g)
    axis = g.axes(x) if g.chance(0.7) else None
    return g.one_of((gc.mean, gc.var, gc.std))(x, axis, keepdims=g.chance(0.5))


@recipe(2)
def normalisation(g: Generator) -> Tensor:
    x = _float(g, least=1)
    axis = g.axis(x)
    centred = x - gc.mean(x, axis, keepdims=True)
    return g.one_of((
        lambda: centred * gc.rsqrt(gc.var(x, axis, keepdims=True) + 1e-5),
        lambda: gc.exp(x - gc.max(x, axis, keepdims=True)) / gc.sum(gc.exp(x), axis, keepdims=True),
        lambda: gc.log(gc.softmax(x, axis)),
        lambda: gc.log(gc.sum(gc.exp(x), axis)),
        lambda: gc.log(1 + gc.exp(x)),
        lambda: gc.log(gc.sigmoid(x)),
        lambda: x / gc.sqrt(gc.sum(x * x, axis, keepdims=True)),
        lambda: gc.exp(x) - 1,
        lambda: gc.log(x + 1),
    ))()  # fmt: skip


@recipe(2)
def losses(g: Generator) -> Tensor:
    if g.chance(0.4):
        x = _float(g)
        return gc.binary_cross_entropy_from_logits(x, g.like(x.shape, x.dtype))
    x = _float(g, least=1)
    if g.chance(0.5):
        return gc.cross_entropy(x, g.exactly(x.shape, x.dtype))
    return gc.cross_entropy(x, g.indices(x.shape[-1], x.shape[:-1]))


@recipe(3)
def promoted(g: Generator) -> Tensor:
    """A public function on operands of two dtypes, or with a Python number."""
    names = ("add", "subtract", "multiply", "divide", "floor_divide", "remainder", "fmod", "pow", "maximum", "minimum",
             "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or",
             "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift",
             "hypot", "atan2", "logaddexp")  # fmt: skip
    x = g.any()
    y = g.one_of((0, 1, 2, -1, 3, 0.5, 2.0, True)) if g.chance(0.5) else g.like(x.shape, g.dtype())
    return getattr(gc, g.one_of(names))(*((x, y) if g.chance(0.7) else (y, x)))


@recipe(2)
def one_operand(g: Generator) -> Tensor:
    names = ("abs", "positive", "sign", "floor", "ceil", "trunc", "round", "logical_not", "bitwise_invert", "isfinite",
             "isnan", "isinf", "exp", "sqrt", "negative", "square", "stop_gradient")  # fmt: skip
    return getattr(gc, g.one_of(names))(g.any())


@recipe(2)
def limits(g: Generator) -> Tensor:
    x = g.any(NUMERIC)
    low, high = (g.like(x.shape, x.dtype) if g.chance(0.3) else v for v in (0, 5))
    return gc.clip(x, *g.one_of(((low, high), (None, high), (low, None))))


@recipe(2)
def reductions_of_any_dtype(g: Generator) -> Tensor:
    x = g.any(rank=None)
    axis = g.axis(x) if x.ndim and g.chance(0.7) else None
    names = ("sum", "prod", "max", "min", "all", "any", "argmax", "argmin")
    return getattr(gc, g.one_of(names))(x, axis, keepdims=g.chance(0.5))


@recipe(2)
def sorting(g: Generator) -> Any:
    x = g.any(least=1)
    axis = g.axis(x)
    least = min(g.values_of(x.shape[axis]))
    return g.one_of((
        lambda: gc.topk(x, g.number(0, least), axis),
        lambda: gc.sort(x, axis, g.chance(0.5)),
        lambda: gc.argsort(x, axis, g.chance(0.5)),
        lambda: gc.searchsorted(gc.sort(g.any(NUMERIC, rank=1)), g.any(NUMERIC), g.one_of(("left", "right"))),
        lambda: g.one_of((gc.cumsum, gc.cumprod))(x, axis),
    ))()  # fmt: skip


@recipe(1)
def check(g: Generator) -> Tensor:
    x = g.any(FLOATS)
    return g.one_of((
        lambda: gc.print(x, "random graph"),
        lambda: gc.assert_(x, g.any((BOOL,)), "a condition") if g.chance(0.1) else gc.assert_(x, x == x),
        lambda: gc.check_finite(gc.where(gc.isfinite(x), x, 0.0) if g.chance(0.9) else x),
    ))()  # fmt: skip


# Loops and branches ---------------------------------------------------------------------------------------


def unfailing(*operands: Tensor | None) -> None:
    """Refuse operands that may fail: a loop that does not need one does not compute it."""
    for tensor in topological_order([t for t in operands if t is not None]):
        if tensor.op.has(Trait.FALLIBLE):
            raise DTypeError(f"{tensor.op.name} may fail")


def mixed(g: Generator, *operands: Tensor) -> Tensor:
    """A continuous function of tensors of one dtype, whose values stay small where those of the first do."""
    value = operands[0]
    for other in operands[1:]:
        value = apply(OPS[g.one_of(("add", "multiply", "subtract", "maximum"))], value, other)
    if value.dtype in FLOATS:
        value = apply(OPS[g.one_of(("tanh", "sin", "sigmoid", "negative"))], value)
    return value


@recipe(3)
def scan(g: Generator) -> Any:
    x = g.any((*FLOATS, I64), least=1)
    state, outside = g.exactly(x.shape[1:], x.dtype), g.like(x.shape[1:], x.dtype)
    second = g.exactly(x.shape[1:], x.dtype) if g.chance(0.3) else None
    is_product = x.ndim == 3 and x.dtype in FLOATS and g.chance(0.5)
    matrix = g.exactly((x.shape[2], x.shape[2]), x.dtype) if is_product else None
    unfailing(x, state, outside, second, matrix)

    def step(x_t: Tensor, h: Tensor, *more: Tensor) -> Any:
        new = mixed(g, h, x_t if matrix is None else x_t @ matrix, outside)
        if matrix is not None and g.chance(0.5):
            new = gc.tanh(h @ matrix + new)
        states = [new, *(g.one_of((h, x_t, new, mixed(g, c, new))) for c in more)]
        return states, [g.one_of((new, h, x_t, outside, mixed(g, x_t, h)))]

    r = gc.scan(step, x, [state] if second is None else [state, second], reverse=g.chance(0.5))
    return [*r.last, *r.states, *r.outputs]


@recipe(2)
def cond(g: Generator) -> Any:
    x = g.any((*FLOATS, I64))
    y, z, pred = g.like(x.shape, x.dtype), g.exactly(x.shape, x.dtype), g.exactly((), BOOL)
    unfailing(x, y, z, pred)
    return gc.cond(
        pred, lambda: [mixed(g, x, y), z], lambda: [gc.broadcast_to(mixed(g, z, y), x.shape), x]
    )


@recipe(1)
def while_loop(g: Generator) -> Any:
    x = g.any((*FLOATS, I64))
    y, most = g.like(x.shape, x.dtype), g.number(0, 4)
    unfailing(x, y)
    limit = g.one_of((4, 2, 4))
    _, value = gc.while_loop(
        lambda i, h: i < most, lambda i, h: [i + 1, mixed(g, h, y)], [gc.constant(0), x], limit=limit
    )
    return value


#: The ops that no recipe can be without; see `test_totality.py`.
WANTED_OPS = [op.name for op in OPS.values() if op.name not in STRUCTURAL and not op.has(Trait.LIBRARY)]

__all__ = ["DTYPES", "LEFT_OUT", "RECIPES", "STRUCTURAL", "WANTED_OPS"]
