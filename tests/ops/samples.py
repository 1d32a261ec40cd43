"""One line or a few for every op: what it can be run on. Drives the generic tests, here and of the backends.

A new op adds its line here and so gets its types, text form, gradient, totality and compiled form tested.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphc.ir.build import apply
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.ir.types import ALL_DTYPES, BOOL, DTYPES, FLOATS, INTEGERS, NUMERIC
from graphc.ops.sources import placeholder

Shape = tuple[int, ...]
Domain = tuple[float, float]


@dataclass(frozen=True)
class Case:
    """The shapes of an op's operands, and its attributes."""

    shapes: tuple[Shape, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)


def case(*shapes: Shape, **attrs: Any) -> Case:
    """A case: the operands' shapes as positional, the attributes as keyword arguments."""
    return Case(shapes, attrs)


@dataclass(frozen=True)
class Sample:
    """What an op can be run on.

    Attributes:
        op: its name.
        cases: shapes and attributes.
        dtypes: every dtype that it takes: one for all operands, or a tuple with one for each.
        domain: the interval that operands are drawn from, of all or of each operand; there its gradients
            exist and are moderate. Integers are drawn from its whole numbers.
        strict: the positions of operands that must stay in their domain: indices and the like. All others
            take any value, NaN and the extreme integers included.
        ulp: how far a backend may be from `eval`, in units in the last place: of the result for elementwise
            ops, of the largest operand where many elements meet; 0: equal values.
        order: up to which order its gradients are compared with differences.
    """

    op: str
    cases: tuple[Case, ...]
    dtypes: tuple[Any, ...]
    domain: Any = (-3.0, 3.0)
    strict: frozenset[int] = frozenset()
    ulp: float = 0
    order: int = 2

    def dtypes_of(self, entry: Any, count: int) -> tuple[np.dtype[Any], ...]:
        """One dtype for each of `count` operands."""
        return entry if isinstance(entry, tuple) else (entry,) * count

    def domain_of(self, position: int) -> Domain:
        """The interval of the operand at `position`; the last one stands for all that follow."""
        if isinstance(self.domain[0], tuple):
            return self.domain[min(position, len(self.domain) - 1)]
        return self.domain

    def runs(self) -> Iterator[tuple[Case, tuple[np.dtype[Any], ...]]]:
        """Every case with every choice of dtypes."""
        for each in self.cases:
            for entry in self.dtypes:
                yield each, self.dtypes_of(entry, len(each.shapes))

    def attrs_for(self, each: Case, dtypes: tuple[np.dtype[Any], ...]) -> dict[str, Any]:
        """The case's attributes; one that is a function is called with the first operand's dtype."""
        return {k: v(*dtypes[:1]) if callable(v) else v for k, v in each.attrs.items()}

    def arrays(
        self, each: Case, dtypes: tuple[np.dtype[Any], ...], rng: np.random.Generator, special: bool = False
    ) -> list[np.ndarray]:
        """Operands for a case; `special`: with NaN, infinities, -0.0 and extreme integers among them."""
        result = []
        for position, (shape, dtype) in enumerate(zip(each.shapes, dtypes)):
            array = _draw(shape, dtype, self.domain_of(position), rng)
            if special and position not in self.strict:
                chosen = rng.random(shape) < 0.5
                array = np.where(chosen, rng.choice(special_values(dtype), shape), array)
            result.append(np.asarray(array, dtype))
        return result

    def build(self, each: Case, dtypes: tuple[np.dtype[Any], ...]) -> tuple[list[Tensor], Tensor]:
        """Placeholders for the operands, and the op applied to them."""
        inputs = [placeholder(s, d) for s, d in zip(each.shapes, dtypes)]
        return inputs, apply(OPS[self.op], *inputs, **self.attrs_for(each, dtypes))


def _draw(shape: Shape, dtype: np.dtype[Any], domain: Domain, rng: np.random.Generator) -> np.ndarray:
    low, high = domain
    if dtype == BOOL:
        return rng.random(shape) < 0.5
    if dtype.kind == "f":
        return rng.uniform(low, high, shape)
    least = max(int(np.ceil(low)), np.iinfo(dtype).min)
    return rng.integers(least, max(int(high), least), shape, endpoint=True)


def special_values(dtype: np.dtype[Any]) -> np.ndarray:
    """The values of a dtype that break things."""
    if dtype == BOOL:
        return np.array([False, True])
    if dtype.kind == "f":
        info = np.finfo(dtype)
        tiny = [0.0, info.smallest_subnormal, info.smallest_normal]
        positive = [*tiny, 0.5, 1.0, 1e10, info.max, np.inf, np.nan]
        return np.array(positive + [-x for x in positive], dtype)
    info = np.iinfo(dtype)
    small = [0, 1, 2, 7, 8, info.bits - 1, info.bits]
    return np.array([info.min, info.max, *small, *([-1, -2, -info.bits] if info.min < 0 else [])], dtype)


# Shapes that recur: ranks 0 to 4, sizes 0 and 1, every way to broadcast.
UNARY = tuple(map(case, [(), (0,), (1,), (7,), (3, 0), (2, 5), (2, 1, 4), (2, 1, 3, 2)]))
BINARY = (
    case((), ()), case((0,), (0,)), case((0,), (1,)), case((7,), ()), case((), (7,)), case((5,), (5,)),
    case((3, 1), (4,)), case((3, 4), (1, 4)), case((1,), (1,)), case((2, 1, 4), (3, 1)),
    case((2, 1, 3, 2), (2, 3, 1, 2)),
)  # fmt: skip
TERNARY = (
    case((), (), ()), case((0,), (), (1,)), case((7,), (7,), (7,)), case((3, 1), (4,), ()),
    case((1,), (2, 3), (3,)), case((2, 1, 1), (3, 1), (4,)), case((1, 1, 3, 2), (2, 1, 1, 1), (4, 1, 2)),
)  # fmt: skip

NEAR = (0.05, 3.0)
INSIDE = (-0.95, 0.95)
I32, I64, U64 = DTYPES["i32"], DTYPES["i64"], DTYPES["u64"]
INDEX = (I32, I64, DTYPES["u8"])


def _elementwise(
    cases: tuple[Case, ...], dtypes: tuple[Any, ...], **lines: tuple[Domain, float]
) -> tuple[Sample, ...]:
    """Samples of ops that differ in domain and accuracy only: name=(domain, ulp)."""
    return tuple(Sample(op, cases, dtypes, domain, ulp=ulp) for op, (domain, ulp) in lines.items())


def _reductions() -> tuple[Case, ...]:
    """Cases of a reduction over all sorts of axes, with and without `keepdims`."""
    shapes_and_axes = (
        ((), ()), ((5,), (0,)), ((1,), (0,)), ((3, 4), (0,)), ((3, 4), (1,)), ((3, 4), (0, 1)),
        ((0, 4), (1,)),
        ((2, 3, 4), (0, 2)), ((2, 3, 4), ()), ((2, 1, 3, 2), (1, 3)), ((2, 1, 3, 2), (0, 1, 2, 3)),
        ((3, 33), (1,)),
    )  # fmt: skip
    return tuple(case(s, axis=a, keepdims=k) for s, a in shapes_and_axes for k in (False, True))


REDUCTIONS = _reductions()
OF_NOTHING = tuple(case((0, 3), axis=(0,), keepdims=k) for k in (False, True))
CHOICES = tuple(
    case(s, axis=a, keepdims=k)
    for s, a in (((5,), 0), ((1,), 0), ((3, 4), 0), ((3, 4), 1), ((4, 0), 0), ((2, 1, 3, 2), 2))
    for k in (False, True)
)
ALONG = tuple(
    case(s, axis=a)
    for a, shapes in enumerate([[(5,), (1,), (0,), (3, 4)], [(3, 4), (3, 0), (0, 3)], [(2, 1, 3, 2)]])
    for s in shapes
)
SORTED = tuple(case(*c.shapes, **c.attrs, descending=d) for c in ALONG for d in (False, True))

def _windows(strides: Shape, before: Shape, after: Shape, dilation: Shape, **more: Any) -> dict[str, Any]:
    """The attributes of sliding windows, in the ops' order."""
    geometry = {"strides": strides, "before": before, "after": after, "dilation": dilation}
    return geometry | more if "groups" in more else more | geometry


#: (image, weights, result, attributes) of convolutions: 1-D to 3-D, groups, depthwise, padding, nothing at all.
_CONVOLVED: tuple[tuple[Shape, Shape, Shape, dict[str, Any]], ...] = (
    ((2, 5, 3), (4, 3, 2), (2, 4, 4), _windows((1,), (0,), (0,), (1,), groups=1)),
    ((2, 7, 3), (2, 3, 3), (2, 4, 2), _windows((2,), (2,), (1,), (1,), groups=1)),
    ((2, 5, 6, 4), (6, 2, 2, 3), (2, 3, 4, 6), _windows((2, 1), (1, 0), (0, 0), (1, 1), groups=2)),
    ((1, 4, 5, 3), (3, 1, 2, 2), (1, 5, 4, 3), _windows((1, 1), (1, 1), (1, 0), (1, 2), groups=3)),
    ((1, 2, 3, 2, 2), (1, 2, 1, 2, 2), (1, 2, 2, 1, 1),
     _windows((1, 1, 1), (0, 0, 0), (0, 0, 0), (1, 1, 1), groups=1)),
    ((0, 4, 3), (2, 3, 2), (0, 3, 2), _windows((1,), (0,), (0,), (1,), groups=1)),
    ((2, 4, 0), (2, 0, 2), (2, 3, 2), _windows((1,), (0,), (0,), (1,), groups=1)),
)
CONVOLUTIONS = (
    Sample("conv", tuple(case(x, w, **a) for x, w, _, a in _CONVOLVED), FLOATS, ulp=16),
    Sample("conv_transpose", tuple(case(y, w, size=x[1:-1], **a) for x, w, y, a in _CONVOLVED), FLOATS, ulp=16),
    Sample("conv_weights", tuple(case(x, y, window=w[2:], **a) for x, w, y, a in _CONVOLVED), FLOATS, ulp=16),
)
#: (image, weights, result, attributes) of depthwise convolutions with channels first.
_PLANES: tuple[tuple[Shape, Shape, Shape, dict[str, Any]], ...] = tuple(
    (x, w, y, {"before": before, "after": after, "dilation": dilation})
    for x, w, y, before, after, dilation in (
        ((2, 3, 9), (3, 1, 3), (2, 3, 9), (1,), (1,), (1,)),
        ((2, 2, 5, 6), (2, 1, 3, 2), (2, 2, 3, 5), (0, 0), (0, 0), (1, 1)),
        ((1, 2, 4, 5), (2, 1, 2, 3), (1, 2, 5, 3), (1, 0), (1, 2), (1, 2)),
        ((1, 1, 2, 3, 2), (1, 1, 2, 2, 2), (1, 1, 2, 4, 1), (1, 1, 0), (0, 1, 0), (1, 1, 1)),
        ((0, 2, 4), (2, 1, 2), (0, 2, 3), (0,), (0,), (1,)),
    )
)
PLANES = (
    Sample("conv_planes", tuple(case(x, w, **a) for x, w, _, a in _PLANES), FLOATS, ulp=16),
    Sample("conv_planes_weights", tuple(case(x, y, window=w[2:], **a) for x, w, y, a in _PLANES), FLOATS, ulp=16),
)
#: (image, result, attributes) of poolings.
_POOLED: tuple[tuple[Shape, Shape, dict[str, Any]], ...] = (
    ((2, 6, 3), (2, 3, 3), _windows((2,), (0,), (0,), (1,), window=(2,))),
    ((2, 5, 6, 2), (2, 5, 3, 2), _windows((1, 2), (1, 1), (1, 0), (1, 1), window=(3, 2))),
    ((1, 6, 5, 9), (1, 2, 3, 9), _windows((2, 1), (0, 0), (0, 0), (2, 1), window=(2, 3))),
    ((1, 2, 3, 2, 2), (1, 1, 2, 1, 2),
     _windows((1, 1, 1), (0, 0, 0), (0, 0, 0), (1, 1, 1), window=(2, 2, 2))),
    ((0, 4, 3), (0, 2, 3), _windows((2,), (0,), (0,), (1,), window=(2,))),
)
POOLINGS = (
    Sample("max_pool", tuple(case(x, **a) for x, _, a in _POOLED), NUMERIC),
    Sample("max_pool_spread", tuple(case(y, x, **a) for x, y, a in _POOLED), NUMERIC, ulp=4),
    Sample("max_pool_pick", tuple(case(x, x, **a) for x, _, a in _POOLED), NUMERIC),
    Sample("sum_pool", tuple(case(x, **a) for x, _, a in _POOLED), FLOATS, ulp=8),
    Sample("sum_pool_spread", tuple(case(y, size=x[1:-1], **a) for x, y, a in _POOLED), FLOATS, ulp=8),
)

SAMPLES: tuple[Sample, ...] = (
    # arithmetic
    *_elementwise(UNARY, NUMERIC, abs=(NEAR, 0), negative=((-3, 3), 0), sign=(NEAR, 0), floor=((0.1, 0.9), 0),
                  ceil=((0.1, 0.9), 0), trunc=((0.1, 0.9), 0), round=((0.6, 1.4), 0)),
    *_elementwise(BINARY, NUMERIC, add=((-3, 3), 0), subtract=((-3, 3), 0), multiply=((-3, 3), 0),
                  maximum=((-3, 3), 0), minimum=((-3, 3), 0)),
    Sample("divide", BINARY, FLOATS, ((-3, 3), (0.3, 3))),
    Sample("floor_divide", BINARY, NUMERIC, ((0.1, 0.9), (1, 3))),
    Sample("remainder", BINARY, NUMERIC, ((0.1, 0.9), (1, 3))),
    Sample("fmod", BINARY, NUMERIC, ((0.1, 0.9), (1, 3))),
    Sample("pow", BINARY, NUMERIC, ((0.5, 2), (-2, 3)), ulp=2),
    Sample("stop_gradient", UNARY, ALL_DTYPES, order=0),
    # floating-point functions
    *_elementwise(
        UNARY, FLOATS,
        exp=((-3, 3), 2), exp2=((-3, 3), 2), expm1=((-3, 3), 2), log=(NEAR, 2), log2=(NEAR, 2),
        log10=(NEAR, 2), log1p=((-0.9, 3), 2), sqrt=(NEAR, 0), rsqrt=((0.2, 3), 2), cbrt=((0.1, 3), 3),
        sin=((-4, 4), 2), cos=((-4, 4), 2), tan=((-1.2, 1.2), 4),
        asin=(INSIDE, 3), acos=(INSIDE, 3), atan=((-3, 3), 3),
        sinh=((-2, 2), 3), cosh=((-2, 2), 3), tanh=((-3, 3), 2),
        asinh=((-3, 3), 4), acosh=((1.1, 3), 4), atanh=(INSIDE, 4), erf=((-3, 3), 2), erfc=((-3, 3), 2),
        sigmoid=((-5, 5), 3), softplus=((-5, 5), 3),
    ),
    *_elementwise(BINARY, FLOATS, hypot=(NEAR, 2), atan2=(NEAR, 3), copysign=(NEAR, 0),
                  nextafter=((-3, 3), 0), logaddexp=((-3, 3), 4)),
    # comparisons
    *_elementwise(BINARY, ALL_DTYPES, equal=((-2, 2), 0), not_equal=((-2, 2), 0), less=((-2, 2), 0),
                  less_equal=((-2, 2), 0), greater=((-2, 2), 0), greater_equal=((-2, 2), 0)),
    *_elementwise(UNARY, FLOATS, isnan=((-3, 3), 0), isinf=((-3, 3), 0), isfinite=((-3, 3), 0),
                  signbit=((-3, 3), 0)),
    Sample("where", TERNARY, tuple((BOOL, d, d) for d in ALL_DTYPES)),
    # bits
    *_elementwise(BINARY, (BOOL, *INTEGERS), bitwise_and=((-9, 9), 0), bitwise_or=((-9, 9), 0),
                  bitwise_xor=((-9, 9), 0)),
    *_elementwise(UNARY, (BOOL, *INTEGERS), bitwise_invert=((-9, 9), 0)),
    *_elementwise(UNARY, (BOOL,), logical_not=((0, 1), 0)),
    *_elementwise(BINARY, INTEGERS, bitwise_left_shift=((-9, 9), 0), bitwise_right_shift=((-9, 9), 0)),
    *_elementwise(BINARY, (U64,), random_bits=((0, 2**40), 0)),
    # reductions
    Sample("sum", (*REDUCTIONS, *OF_NOTHING), NUMERIC, ulp=4),
    Sample("prod", (*REDUCTIONS, *OF_NOTHING), NUMERIC, (0.5, 1.5), ulp=16),
    *(Sample(op, REDUCTIONS, NUMERIC) for op in ("max", "min")),
    *(Sample(op, (*REDUCTIONS, *OF_NOTHING), (BOOL,)) for op in ("all", "any")),
    *(Sample(op, CHOICES, ALL_DTYPES) for op in ("argmax", "argmin")),
    Sample("cumsum", ALONG, NUMERIC, ulp=4),
    Sample("cumprod", ALONG, NUMERIC, (0.5, 1.5), ulp=16),
    Sample("logsumexp", REDUCTIONS, FLOATS, ulp=4),
    Sample("logsumexp", OF_NOTHING, FLOATS, order=0),  # -inf
    *(Sample(op, ALONG, FLOATS, ulp=4) for op in ("softmax", "log_softmax")),
    # sources and casts
    Sample("const", (case(value=lambda: np.arange(3.0)), case(value=lambda: np.array(True))), ((),)),
    Sample("dim", (case(size=7),), ((),)),
    Sample("iota", tuple(case(size=n, dtype=d) for n in (0, 1, 5) for d in NUMERIC), ((),)),
    Sample("cast", tuple(case(s, dtype=d) for s in ((), (0,), (2, 5)) for d in ALL_DTYPES),
           ALL_DTYPES, (0, 3), strict=frozenset({0})),
    # movement
    Sample("broadcast_to", (case((), shape=(2, 3)), case((3, 1), shape=(2, 3, 4)), case((1,), shape=(0,)),
                            case((2, 3), shape=(2, 3)), case((1, 3), shape=(2, 2, 2, 3))), ALL_DTYPES),
    Sample("reshape", (case((), shape=(1, 1)), case((6,), shape=(2, 3)), case((0, 3), shape=(3, 0, 2)),
                       case((2, 1, 3, 2), shape=(12,))), ALL_DTYPES),
    Sample("permute_dims", (case((), axes=()), case((3, 4), axes=(1, 0)), case((2, 0, 3), axes=(2, 0, 1)),
                            case((2, 1, 3, 2), axes=(3, 1, 0, 2))), ALL_DTYPES),
    Sample("slice", (case((), start=(), size=(), step=()), case((7,), start=(1,), size=(3,), step=(2,)),
                     case((4, 5), start=(3, 0), size=(4, 0), step=(-1, 1)),
                     case((2, 1, 3, 2), start=(0, 0, 1, 0), size=(2, 1, 2, 2), step=(1, 1, 1, 1))),
           ALL_DTYPES),
    Sample("concat", (case((2,), (3,), axis=0), case((2, 3), (2, 0), (2, 1), axis=1),
                      case((1, 2, 1, 3), axis=2)),
           ALL_DTYPES),
    Sample("pad", (case((), (), before=(), after=()), case((3,), (), before=(1,), after=(2,)),
                   case((2, 0), (), before=(0, 1), after=(3, 2)),
                   case((2, 1, 3, 2), (), before=(1, 0, 0, 2), after=(0, 1, 0, 0))), ALL_DTYPES),
    # gathers and scatters
    Sample("take", (case((5,), (), axis=0), case((5, 3), (4,), axis=0), case((2, 5, 3), (2, 2), axis=1),
                    case((5, 0), (0,), axis=0)),
           tuple((d, i) for d in ALL_DTYPES for i in INDEX), ((-3, 3), (-5, 4)), strict=frozenset({1})),
    Sample("take_along_axis", (case((5,), (2,), axis=0), case((5, 3), (4, 3), axis=0),
                               case((2, 5), (2, 0), axis=1)),
           tuple((d, i) for d in ALL_DTYPES for i in INDEX), ((-3, 3), (-5, 4)), strict=frozenset({1})),
    Sample("gather", (case((5, 5, 2), (3,), (2, 1)), case((5,), ()), case((5, 3), (0,))),
           tuple((d, i, i) for d in ALL_DTYPES for i in INDEX), ((-3, 3), (-5, 4)), strict=frozenset({1, 2})),
    *(Sample(op, (case((5, 2), (3, 2), (3,)), case((5,), (), ()), case((5, 5), (2, 3), (3,), (2, 1)),
                  case((5, 0), (2, 0), (2,))),
             tuple((d, d, i, i) for d in (NUMERIC if op == "scatter_add" else ALL_DTYPES) for i in INDEX),
             ((-3, 3), (-3, 3), (-5, 4)), strict=frozenset({2, 3}), ulp=4 if op == "scatter_add" else 0)
      for op in ("scatter_add", "scatter_set")),
    # linear algebra
    Sample("matmul", (case((2, 3), (3, 4)), case((1, 1), (1, 1)), case((2, 0), (0, 3)), case((0, 2), (2, 3)),
                      case((2, 1, 2, 3), (4, 3, 2)), case((4, 2, 3), (3, 1))), ALL_DTYPES, ulp=8),
    # sliding windows
    *CONVOLUTIONS,
    *PLANES,
    *POOLINGS,
    # LAPACK; test_linalg.py holds gradients of symmetric matrices, which no interval can describe
    Sample("solve", (case((2, 2), (2, 1)), case((2, 1, 1), (1, 3)), case((0, 0), (0, 2)),
                     case((3, 2, 2), (1, 2, 2))),
           FLOATS, strict=frozenset({0, 1}), ulp=8),
    *(Sample(op, (case((2, 2)), case((3, 1, 1)), case((0, 2, 2)), case((0, 0))), FLOATS,
             strict=frozenset({0}), ulp=8)
      for op in ("inv", "det", "slogdet")),
    Sample("cholesky", (case((1, 1)), case((2, 3, 1, 1)), case((0, 0))), FLOATS, (0.5, 3),
           strict=frozenset({0}), ulp=8),
    Sample("eigh", (case((3, 3)), case((2, 1, 1)), case((0, 0))), FLOATS,
           strict=frozenset({0}), ulp=8, order=0),
    *(Sample(op, (case((3, 3)), case((2, 3, 2)), case((2, 3)), case((0, 2)), case((2, 0))), FLOATS,
             strict=frozenset({0}), ulp=8, order=1)
      for op in ("qr", "svd")),
    # order
    Sample("sort", SORTED, ALL_DTYPES),
    Sample("argsort", SORTED, ALL_DTYPES),
    # effects; an empty condition holds
    Sample("print", (case((), message=""), case((2, 3), message="x is")), ALL_DTYPES),
    Sample("assert", (case((), (0,), message=""), case((2, 3), (0, 2), message="x is odd")),
           tuple((d, BOOL) for d in ALL_DTYPES)),
    Sample("check_finite", (case((), message=""), case((2, 3), message="x")), ALL_DTYPES,
           strict=frozenset({0})),
)  # fmt: skip
