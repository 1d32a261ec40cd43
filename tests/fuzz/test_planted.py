"""Planted bugs: at least one in each pass and each family of kernels, and random graphs find every one.

A bug is a function of pytest's monkeypatch. Graphs without the ops that it is about are passed over, as they
would be in a long run; of the others, few must be enough. Each graph is checked in a process of its own, since
a bug in machine code may well end it.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

import graphc as gc
from graphc.backends.llvm import casts, elementwise, plan, vector_math
from graphc.backends.llvm import integer_arithmetic as ints
from graphc.backends.llvm.kernels import KERNELS, dots, loop_sweeps, loop_values, loops, matmul, sorting
from graphc.ir.dims import symbol
from graphc.ir.graph import Graph
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.ops import differentiation
from graphc.passes import cse, fold, fuse, pipeline, rewrite, unify

from .check import Settings, check
from .generate import generate
from .gradients import gradient_complaint
from .recipes import RECIPES
from .run import fails_apart

LIMIT = 150  # graphs with the op, of which one must fail
SCANNED = 6000


@dataclass
class Bug:
    """A way to break graphc.

    Attributes:
        plant: breaks it, by a monkeypatch.
        ops: the graph has one of these, one on a kind of numbers as "less of u", or one of another's result as
            "matmul after permute_dims"; none: any graph.
        backend: where the bug shows.
    """

    plant: Callable[[pytest.MonkeyPatch], None]
    ops: frozenset[str] = field(default_factory=frozenset)
    backend: str = "llvm"

    def concerns(self, graph: Graph) -> bool:
        """Whether the bug may show in a graph."""
        if "update" in self.ops:
            return bool(graph.updates)
        pairs = [(t, i) for t in graph.tensors for i in t.inputs if t.op.name != "get"]
        kinds = {f"{t.op.name} of {i.dtype.kind}" for t, i in pairs}
        after = {f"{t.op.name} after {i.op.name}" for t, i in pairs}
        return not self.ops or not self.ops.isdisjoint({t.op.name for t in graph.tensors} | kinds | after)


def bug(plant, *ops, backend="llvm"):
    return Bug(plant, frozenset(ops), backend)


def in_pass(name, change):
    """A pass whose result is changed."""

    def plant(patch):
        table = list(pipeline._current)
        for i, entry in enumerate(table):
            if entry.name == name:
                function = entry.function
                table[i] = dataclasses.replace(
                    entry, function=lambda graph, f=function, **facts: change(f(graph, **facts))
                )
        patch.setattr(pipeline, "_current", table)

    return plant


def wrong_rule(family, name, op, function):
    """A rule that is not true."""

    def plant(patch):
        rule = rewrite.Rule(family, name, (op,), function)
        patch.setattr(rewrite.FAMILIES[family], "rules", [rule, *rewrite.FAMILIES[family].rules])

    return plant


def wrong_expansion(name, expand):
    """An expansion that is not the op."""

    def plant(patch):
        op = OPS[name]
        before = op.expand
        object.__setattr__(op, "expand", expand)
        _UNDO.append(lambda: object.__setattr__(op, "expand", before))

    return plant


_UNDO: list[Callable[[], None]] = []


def attribute(owner, name, make):
    """Another function in the place of one."""
    return lambda patch: patch.setattr(owner, name, make(getattr(owner, name)))


def lowering(op, **columns):
    """Other instructions for an op."""
    return lambda patch: patch.setitem(
        elementwise.LOWERINGS, op, elementwise.LOWERINGS[op]._replace(**columns)
    )


def kernel(op, other):
    """Another kernel for an op."""
    return lambda patch: patch.setitem(KERNELS, op, KERNELS[other])


def _all_sizes_alike(solve):
    def solved(graph):
        first = graph.symbols[:1]
        return {name: symbol(first[0]) for name in graph.symbols if name not in first} if first else {}

    return solved


def _where_is_first(t: Tensor):
    """where(c, x, y) -> x"""
    return t.inputs[1] if t.inputs[1].type == t.type else None


def _log1p_is_log(t: Tensor):
    """log1p(x) -> log(x)"""
    return gc.log(t.inputs[0])


def _order_of_zeros(t: Tensor):
    """maximum(x, y) -> where(x < y, y, x), wrong for NaN"""
    x, y = t.inputs
    return gc.where(x < y, y, x) if x.type == y.type == t.type else None


def _swapped_pad(build):
    def builder(tensor):
        attrs = {"before": tensor.attrs["after"], "after": tensor.attrs["before"]}
        return build(Tensor(tensor.op, tensor.inputs, attrs, tensor.type, tensor.location))

    return builder


def _wrong_transpose(kernel_of):
    def build(x, y, result, **flags):
        return kernel_of(x, y, result, **{**flags, "transpose_y": not flags.get("transpose_y", False)})

    return build


def _softmax_without_maximum(x, *, axis):
    e = gc.exp(x)
    return e / gc.sum(e, axis, keepdims=True)


def _folded_sum(evaluate_tensor):
    def evaluate(tensor, operands, sizes):
        value = evaluate_tensor(tensor, operands, sizes)
        return np.asarray(value + np.ones((), value.dtype)) if tensor.op.name == "cast" else value

    return evaluate


def _reversed_results(unpack):
    return lambda tensor: tuple(reversed(unpack(tensor))) if len(set(tensor.type.items)) == 1 else unpack(tensor)


def _one_step(lifetimes):
    return lambda self: {buffer: (first, first) for buffer, (first, _) in lifetimes(self).items()}


def _identity_of_nothing(identity):
    return lambda op, dtype: np.zeros((), dtype)[()] if op in ("max", "min") else identity(op, dtype)


BUGS = {
    # passes
    "unify: every size is the first one": bug(attribute(unify, "solve", _all_sizes_alike), backend="numpy"),
    "prune: an update is lost": bug(
        in_pass("prune", lambda g: dataclasses.replace(g, updates=g.updates[1:])), "update", backend="numpy"
    ),
    "stabilize: log1p(x) -> log(x)": bug(
        wrong_rule("stabilize", "wrong", "log1p", _log1p_is_log), "log1p", backend="numpy"
    ),
    "decompose: softmax without its maximum": bug(
        wrong_expansion("softmax", _softmax_without_maximum), "softmax"
    ),
    "fold: one too much": bug(attribute(fold, "evaluate_tensor", _folded_sum), backend="numpy"),
    "simplify: where(c, x, y) -> x": bug(
        wrong_rule("simplify", "wrong", "where", _where_is_first), "where", backend="numpy"
    ),
    "simplify: a maximum that drops NaN": bug(
        wrong_rule("simplify", "wrong", "maximum", _order_of_zeros), "maximum", backend="numpy"
    ),
    "cse: attributes are not compared": bug(
        attribute(cse, "attributes_key", lambda key: lambda attrs: None), backend="numpy"
    ),
    "fuse: results in another order": bug(attribute(fuse, "unpack", _reversed_results)),
    # the plan and its memory
    "memory: buffers are reused too soon": bug(attribute(plan.Plan, "lifetimes", _one_step)),
    "plan: every update is in place": bug(
        attribute(plan._Planner, "_fits_in_place", lambda f: lambda self, value, variable: True), "update"
    ),
    # elementwise kernels
    "elementwise: subtraction the wrong way": bug(
        lowering("subtract", floating=lambda b, x, y: b.fsub(y, x)), "subtract"
    ),
    "elementwise: the sign of integer remainders": bug(
        lowering("remainder", signed=ints.signed_fmod), "remainder of i"
    ),
    "elementwise: unsigned numbers compared as signed": bug(
        lowering("less", unsigned=lambda b, x, y: b.icmp("slt", x, y)), "less of u"
    ),
    "elementwise: a minimum that drops NaN": bug(
        lowering("minimum", floating=lambda b, x, y: b.select(b.fcmp("olt", x, y), x, y)), "minimum of f"
    ),
    "vector math: exp is off by 1e-6": bug(
        lowering("exp", floating=lambda b, x: b.fmul(vector_math.FUNCTIONS["exp"](b, x), 1 + 1e-6)), "exp"
    ),
    "vector math: sin as cos": bug(lowering("sin", floating=vector_math.FUNCTIONS["cos"]), "sin"),
    "casts: unsigned as signed": bug(lowering("cast", unsigned=casts.from_signed), "cast of u"),
    # loops
    "loops: lanes beyond the end are summed": bug(
        attribute(loops.LoopKernel, "_masked", lambda f: lambda self, reduction, element: element),
        "sum", "prod", "max",
    ),
    "loops: the largest of negative numbers is 0": bug(
        attribute(loop_sweeps, "_identity", _identity_of_nothing), "max", "min"
    ),
    "loops: reversed rows read forwards": bug(
        attribute(loop_values.Values, "_load_reversed", lambda f: loop_values.Values._load_contiguous), "slice"
    ),
    # kernels of their own
    "matmul: the transpose flag is swapped": bug(attribute(plan, "matmul_kernel", _wrong_transpose), "matmul"),
    "dots: partial sums are dropped": bug(
        attribute(dots, "_sum_in_pairs", lambda f: lambda b, values: values[0]), "matmul"
    ),
    "packing: y is packed as if not transposed": bug(
        attribute(matmul, "copy_y", lambda f: lambda shape, target, *, transposed: f(shape, target, transposed=False)),
        "matmul after permute_dims",
    ),
    "integer matmul: transposed the wrong way": bug(
        attribute(matmul, "integer_matmul_kernel", lambda f: lambda product, target: f(
            dataclasses.replace(product, transposed_y=not product.transposed_y), target)),
        *(f"matmul of {kind}" for kind in "iub"),
    ),
    "cumulative: a sum as a product": bug(kernel("cumsum", "cumprod"), "cumsum"),
    "argreduce: the least as the largest": bug(kernel("argmax", "argmin"), "argmax"),
    "sorting: NaN is not last": bug(
        attribute(sorting.Order, "before", lambda f: lambda self, b, x, y: (
            b.fcmp("olt", *((y, x) if self.descending else (x, y))) if self.dtype.kind == "f" else f(self, b, x, y))),
        "sort of f", "argsort of f",
    ),
    "scatter: set adds": bug(kernel("scatter_set", "scatter_add"), "scatter_set"),
    "joining: before and after are swapped": bug(
        lambda patch: patch.setitem(KERNELS, "pad", _swapped_pad(KERNELS["pad"])), "pad"
    ),
}  # fmt: skip


def _undo(monkeypatch):
    monkeypatch.undo()
    while _UNDO:
        _UNDO.pop()()


@pytest.mark.parametrize("name", BUGS)
def test_random_graphs_find(name):
    monkeypatch = pytest.MonkeyPatch()  # its own: what conftest patches for all tests is not undone
    planted = BUGS[name]
    settings = Settings(backends=(planted.backend,))
    planted.plant(monkeypatch)
    tried = 0
    try:
        for seed in range(SCANNED):
            case = generate(seed, RECIPES)
            if not planted.concerns(case.graph):
                continue
            tried += 1
            failure = fails_apart(case, settings) if planted.backend == "llvm" else check(case, settings)
            if failure is not None:
                _undo(monkeypatch)
                sound = fails_apart(case, settings)
                assert sound is None, f"seed {seed} fails without the bug too: {sound}"
                return
            if tried >= LIMIT:
                break
    finally:
        _undo(monkeypatch)
    pytest.fail(f"{tried} graphs with {sorted(planted.ops) or 'any op'} did not show it")


def test_wrong_gradients_are_found(monkeypatch):
    """The sum over what was broadcast is left out where an operand has the same rank."""
    monkeypatch.setitem(
        OPS, "tanh", dataclasses.replace(OPS["tanh"], vjp=lambda g, y, x: (g * (1 - y),))
    )
    assert any(gradient_complaint(seed) for seed in range(40))


def test_lost_cotangents_are_found(monkeypatch):
    """A tensor with several users keeps what the last one sends."""

    def send(cotangent, operand, slots, sender):
        slots[operand] = [[differentiation._in_type_of(operand, cotangent, sender)]]

    monkeypatch.setattr(differentiation, "_send", send)
    assert any(gradient_complaint(seed) for seed in range(40))
