"""Deliberately wrong passes and rules, at least one for each pass: the checks catch every one.

Each entry is a graph, and a pass that is wrong on it; the full dial (`check=3`) must raise a `PassError`.
"""

import numpy as np
import pytest
from checking import ALL_NATIVE, graph
from test_gradient import Y, check_against_differences, vector

import graphc as gc
from graphc.errors import PassError
from graphc.ir.build import apply
from graphc.ir.close import close
from graphc.ir.dims import substitute, symbol
from graphc.ir.graph import Graph, map_sizes, with_inputs
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.ops import differentiation
from graphc.passes.manager import optimise
from graphc.passes.patterns import filled, is_op, make, scalar, uniform
from graphc.passes.pipeline import Pass, pass_named
from graphc.passes.rewrite import Family


def expect_caught(of: Graph, planted: Pass, **options):
    """The full dial finds the planted bug, by one of a few seeds."""
    optimise(of, native=ALL_NATIVE, check=3, **options)
    with pytest.raises(PassError, match="pass planted"):
        for seed in range(8):
            optimise(of, native=ALL_NATIVE, check=3, seed=10 * seed, extra=[planted], **options)


# Wrong passes


def unify_without_asking(of: Graph) -> Graph:
    """unify: takes every symbol for the first one."""
    first = symbol(of.symbols[0])
    values = dict.fromkeys(of.symbols, first)
    new: dict[Tensor, Tensor] = {}
    for t in of.tensors:
        attrs = {k: map_sizes(v, lambda s: substitute(s, values)) for k, v in t.attrs.items()}
        type_ = map_sizes(t.type, lambda s: substitute(s, values))
        new[t] = Tensor(t.op, tuple(new[i] for i in t.inputs), attrs, type_, t.location, t.hint)
    kept = of.with_roots(new[r] for r in of.roots)
    return Graph(of.name, tuple(new[i] for i in of.inputs), kept.outputs)


def prune_an_update(of: Graph) -> Graph:
    """prune: drops the last update."""
    return Graph(of.name, of.inputs, of.outputs, of.updates[:-1])


def decompose_without_max(of: Graph) -> Graph:
    """decompose: softmax without the maximum taken off, which overflows."""

    def expanded(t, inputs):
        if t.op.name != "softmax":
            return with_inputs(t, inputs)
        e = make("exp", inputs[0])
        return make("divide", e, make("sum", e, axis=(t.attrs["axis"],), keepdims=True))

    return of.rebuild(expanded)


def fold_zeros(of: Graph) -> Graph:
    """fold: loses the sign of zero."""

    def folded(t, inputs):
        if is_op(t, "negative") and is_op(inputs[0], "const"):
            return apply(OPS["const"], value=0 - inputs[0].attrs["value"])
        return with_inputs(t, inputs)

    return of.rebuild(folded)


def cse_without_attributes(of: Graph) -> Graph:
    """cse: takes tensors of one op, operands and type for equal, whatever the attributes."""
    first: dict[object, Tensor] = {}

    def merged(t, inputs):
        result = with_inputs(t, inputs)
        return first.setdefault((t.op.name, inputs, t.type), result) if inputs else result

    return of.rebuild(merged)


def cse_of_swapped_operands(of: Graph) -> Graph:
    """cse: takes a subtraction for commutative."""
    first: dict[object, Tensor] = {}

    def merged(t, inputs):
        return first.setdefault((t.op.name, frozenset(inputs)), with_inputs(t, inputs)) if inputs else t

    return of.rebuild(merged)


def fuse_with_swapped_results(of: Graph) -> Graph:
    """fuse: reads the results of a cluster in the wrong order."""
    fused = pass_named("fuse").function(of)

    def swapped(t, inputs):
        if not is_op(t, "get"):
            return with_inputs(t, inputs)
        return apply(t.op, *inputs, index=1 - t.attrs["index"])

    return fused.rebuild(swapped)


def fuse_with_swapped_operands(of: Graph) -> Graph:
    """fuse: hands a cluster its operands in the wrong order."""
    fused = pass_named("fuse").function(of)

    def swapped(t, inputs):
        return with_inputs(t, tuple(reversed(inputs)) if is_op(t, "fused") else inputs)

    return fused.rebuild(swapped)


PASSES = [
    (unify_without_asking, "%x: f32[n], %y: f32[m]", """
        %0 = dim {size=n} : i64[]
        %1 = dim {size=m} : i64[]
        return %0, %1, %x, %y
    """),
    (decompose_without_max, "%x: f32[n,3]", "%0 = softmax %x {axis=1} : f32[n,3]"),
    (fold_zeros, "", """
        %0 = const {value=[0.0, 1.0]} : f32[2]
        %1 = negative %0 : f32[2]
    """),
    (cse_without_attributes, "%x: f32[3]", """
        %0 = slice %x {start=(0,), size=(2,), step=(1,)} : f32[2]
        %1 = slice %x {start=(1,), size=(2,), step=(1,)} : f32[2]
        %2 = add %0, %1 : f32[2]
    """),
    (cse_of_swapped_operands, "%x: f32[3], %y: f32[3]", """
        %0 = subtract %x, %y : f32[3]
        %1 = subtract %y, %x : f32[3]
        %2 = divide %0, %1 : f32[3]
    """),
    (fuse_with_swapped_results, "%x: f32[n]", """
        %0 = exp %x : f32[n]
        %1 = sin %0 : f32[n]
        return %0, %1
    """),
    (fuse_with_swapped_operands, "%x: f32[n], %y: f32[n]", """
        %0 = exp %x : f32[n]
        %1 = subtract %0, %y : f32[n]
    """),
]  # fmt: skip


#: So that no other pass hides a bug, it runs alone but for those that cannot be skipped.
OTHERS = {"prune", "stabilize", "fold", "simplify", "cse", "fuse"}


@pytest.mark.parametrize(("function", "parameters", "body"), PASSES, ids=lambda v: getattr(v, "__name__", ""))
def test_a_wrong_pass_is_caught(function, parameters, body):
    expect_caught(graph(parameters, body), Pass("planted", function), skip=OTHERS)


def test_a_lost_update_is_caught():
    v, w = gc.variable(1.0, name="v"), gc.variable(2.0, name="w")
    of = close("f", [], [v + w], [(v, v * 2.0), (w, w + v)])
    expect_caught(of, Pass("planted", prune_an_update), skip=OTHERS)


# Wrong rules


def add_any_zero(t):
    """x + 0.0 -> x"""
    x, y = t.inputs
    return x if uniform(y) == 0 else None


def times_zero(t):
    """x * 0.0 -> 0.0"""
    return filled(0, t.tensor_type) if uniform(t.inputs[1]) == 0 else None


def not_less(t):
    """not (x < y) -> x >= y"""
    (c,) = t.inputs
    return make("greater_equal", *c.inputs) if is_op(c, "less") else None


def sqrt_square(t):
    """sqrt(x * x) -> x"""
    (y,) = t.inputs
    return y.inputs[0] if is_op(y, "multiply") else None


def permute_the_wrong_way(t):
    """permute(permute(x, p), q) -> permute(x, q[p]), where it should be p[q]"""
    (x,) = t.inputs
    if not is_op(x, "permute_dims"):
        return None
    return make("permute_dims", x.inputs[0], axes=tuple(t.attrs["axes"][a] for a in x.attrs["axes"]))


def slice_without_step(t):
    """x[a::b][c:] -> x[a + c::b], where it should be a + b*c"""
    (x,) = t.inputs
    if not is_op(x, "slice"):
        return None
    start = tuple(a + c for a, c in zip(x.attrs["start"], t.attrs["start"]))
    return make("slice", x.inputs[0], start=start, size=t.shape, step=x.attrs["step"])


def where_swapped(t):
    """where(c, x, y) -> where(c, y, x)"""
    c, x, y = t.inputs
    return make("where", c, y, x) if x.hint == "x" else None


def reshape_as_permute(t):
    """permute(x) -> reshape(x)"""
    return make("reshape", t.inputs[0], shape=t.shape)


def cast_of_any_cast(t):
    """cast(cast(x)) -> x, though the inner one loses bits"""
    (x,) = t.inputs
    return x.inputs[0] if is_op(x, "cast") else None


def floor_divide_as_shift(t):
    """x // 2 -> x >> 1, but of trunc"""
    return make("negative", make("floor_divide", make("negative", t.inputs[0]), t.inputs[1]))


def max_as_first(t):
    """maximum(x, y) -> where(x > y, x, y), which loses NaN in x"""
    x, y = t.inputs
    return make("where", make("greater", x, y), x, y)


def sum_in_pairs(t):
    """sum(sum(x, 0), 0) -> sum(x, (0, 0)), counting the outer axis as if the inner one were still there"""
    (x,) = t.inputs
    if not is_op(x, "sum"):
        return None
    axes = tuple(sorted({*x.attrs["axis"], *(a + 2 for a in t.attrs["axis"])}))
    return make("sum", x.inputs[0], axis=axes, keepdims=False)


def log1p_of_minus(t):
    """log(1 - x) -> log1p(x)"""
    (s,) = t.inputs
    return make("log1p", s.inputs[1]) if is_op(s, "subtract") else None


def rounded_reciprocal(t):
    """x / 3 -> x * 0.333"""
    return make("multiply", t.inputs[0], scalar(0.333, t.dtype))


def assertion_dropped(t):
    """assert(x, c) -> x"""
    return t.inputs[0]


ZERO = "%0 = const {value=0.0} : f32[]\n"
RULES = [
    (add_any_zero, "add", "%x: f32[n]", ZERO + "%1 = add %x, %0 : f32[n]"),
    (times_zero, "multiply", "%x: f32[n]", ZERO + "%1 = multiply %x, %0 : f32[n]"),
    (not_less, "logical_not", "%x: f32[9], %y: f32[9]", "%0 = less %x, %y : bool[9]\n%1 = logical_not %0 : bool[9]"),
    (sqrt_square, "sqrt", "%x: f32[n]", "%0 = multiply %x, %x : f32[n]\n%1 = sqrt %0 : f32[n]"),
    (permute_the_wrong_way, "permute_dims", "%x: f32[2,2,2]",
     "%0 = permute_dims %x {axes=(1, 0, 2)} : f32[2,2,2]\n%1 = permute_dims %0 {axes=(0, 2, 1)} : f32[2,2,2]"),
    (slice_without_step, "slice", "%x: f32[9]",
     "%0 = slice %x {start=(0,), size=(4,), step=(2,)} : f32[4]\n"
     "%1 = slice %0 {start=(1,), size=(2,), step=(1,)} : f32[2]"),
    (where_swapped, "where", "%c: bool[n], %x: f32[n], %y: f32[n]", "%0 = where %c, %x, %y : f32[n]"),
    (reshape_as_permute, "permute_dims", "%x: f32[2,3]", "%0 = permute_dims %x {axes=(1, 0)} : f32[3,2]"),
    (cast_of_any_cast, "cast", "%x: f32[n]", "%0 = cast %x {dtype=i32} : i32[n]\n%1 = cast %0 {dtype=f32} : f32[n]"),
    (floor_divide_as_shift, "floor_divide", "%x: i32[9]",
     "%0 = const {value=2} : i32[]\n%1 = floor_divide %x, %0 : i32[9]"),
    (max_as_first, "maximum", "%x: f32[9], %y: f32[9]", "%0 = maximum %x, %y : f32[9]"),
    (sum_in_pairs, "sum", "%x: i32[2,2,2,2]",
     "%0 = sum %x {axis=(0,), keepdims=false} : i32[2,2,2]\n%1 = sum %0 {axis=(0,), keepdims=false} : i32[2,2]"),
    (log1p_of_minus, "log", "%x: f32[n]",
     "%0 = const {value=1.0} : f32[]\n%1 = subtract %0, %x : f32[n]\n%2 = log %1 : f32[n]"),
    (rounded_reciprocal, "divide", "%x: f32[n]", "%0 = const {value=3.0} : f32[]\n%1 = divide %x, %0 : f32[n]"),
    (assertion_dropped, "assert", "%x: f32[n], %c: bool[n]", '%0 = assert %x, %c {message="no"} : f32[n]'),
]  # fmt: skip


#: A number in place of NaN is what `stabilize` is for, so there these are not seen.
IMPROVES = (times_zero, max_as_first)


@pytest.mark.parametrize(("rule", "op", "parameters", "body"), RULES, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("values", ["rounded", "better"])  # simplify, stabilize
def test_a_wrong_rule_is_caught(rule, op, parameters, body, values):
    if values == "better" and rule in IMPROVES:
        return
    family = Family("planted")
    family(op)(rule)
    planted = Pass("planted", family.run, ("fast_math", "fired"), values=values)
    expect_caught(graph(parameters, body), planted, skip=OTHERS)


# A wrong gradient: what tests/passes/test_gradient.py compares with differences


def forget_to_add(cotangent, operand, slots, sender):
    """The last cotangent instead of the sum."""
    slots[operand] = [[cotangent]]


def forget_to_sum(cotangent, shape):
    """The first slice of what was broadcast instead of its sum."""
    while cotangent.ndim > len(shape):
        cotangent = cotangent[0]
    return cotangent


@pytest.mark.parametrize(("name", "wrong"), [("_send", forget_to_add), ("sum_to_shape", forget_to_sum)])
def test_a_wrong_walk_is_caught_by_differences(name, wrong, monkeypatch):
    x, y = vector("x", (3,)), vector("y", (2, 3))
    loss, arrays = gc.sum(gc.sin(x * y) * x), [Y[0], np.ones((2, 3))]
    check_against_differences([x, y], loss, arrays)
    monkeypatch.setattr(differentiation, name, wrong)
    with pytest.raises(AssertionError):
        check_against_differences([x, y], loss, arrays)
