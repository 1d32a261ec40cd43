"""Nests with short loops inside long ones: lanes across rows, gathered and scattered, on each kind of machine."""

import numpy as np
import pytest
from harness import values
from nests import Nests, body, small, targets

import graphc as gc
from graphc.backends.llvm.kernels import loop_sweeps, loops
from graphc.backends.llvm.target import host_target
from graphc.ir.build import apply
from graphc.ir.opdef import OPS

#: The long extent: none, one, around a vector, and some vectors with a rest.
COUNTS = (0, 1, 15, 16, 17, 33, 64, 300)


def fold(op, x, axes, keepdims=False):
    return apply(OPS[op], x, axis=axes, keepdims=keepdims)


def bodies_of(dtype):
    """Bodies of operands (n, 3), (n, 2, 5), (3, n), (n, 16) and (3,)."""
    x, deep = gc.placeholder(["n", 3], dtype), gc.placeholder(["n", 2, 5], dtype)
    wide, long = gc.placeholder([3, "n"], dtype), gc.placeholder(["n", 16], dtype)
    row = gc.placeholder([3], dtype)
    return [
        body(fold("sum", x, (1,)), fold("max", x, (1,), True), fold("any", x > 1, (1,))),
        body(x - fold("sum", x, (1,), True)),
        body(x * row + 1),
        body(x > row),
        body(x[:, ::-1] + row),
        body(fold("sum", deep, (1,))),
        body(fold("prod", deep, (2,))),
        body(fold("min", deep, (1, 2)), deep + fold("max", deep, (1, 2), True)),
        body(gc.permute_dims(deep, (0, 2, 1)) + 1),
        body(wide.T + row),
        body(fold("sum", wide.T * row, (1,))),
        body(fold("max", long, (1,)), fold("sum", long, (1,))),
        body(fold("sum", x, (0,)), fold("max", x, (0,), True)),
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int8", "uint16"])
@pytest.mark.parametrize("target", targets().items(), ids=lambda item: item[0])
def test_the_bits_of_evaluation(target, dtype):
    bodies = bodies_of(dtype)
    nests = Nests(bodies, target[1])
    for count in COUNTS:
        for number, graph in enumerate(bodies):
            if count == 0 and number == len(bodies) - 1:
                continue  # the largest of nothing
            shapes = [[size if isinstance(size, int) else count for size in t.shape] for t in graph.inputs]
            arrays = [small(np.random.default_rng(count), shape, dtype) for shape in shapes]
            nests.check(number, arrays, parts=1 + count % 3)


@pytest.mark.parametrize("target", targets().items(), ids=lambda item: item[0])
def test_softmax_of_short_rows(target):
    x = gc.placeholder(["n", 10], "float64")
    largest = gc.max(x, axis=1, keepdims=True)
    nests = Nests([body(gc.exp(x - largest) / gc.sum(gc.exp(x - largest), axis=1, keepdims=True))], target[1])
    for count in COUNTS:
        nests.check(0, [values(np.random.default_rng(count), (count, 10), "float64")], rtol=1e-14)


def test_special_values():
    x = gc.placeholder(["n", 4], "float32")
    nests = Nests([body(fold("sum", x, (1,)), fold("max", x, (1,)), fold("min", x, (1,)))])
    nests.check(0, [values(np.random.default_rng(1), (200, 4), "float32", few=True)], rtol=1e-6)


def test_which_nests_are_crosswise():
    def crosswise(*outputs):
        return bool(loops.LoopKernel(body(*outputs), host_target()).crosswise)

    n, row = gc.placeholder(["n", 3], "float32"), gc.placeholder([3], "float32")
    assert crosswise(n + row)
    assert crosswise(gc.sum(n, axis=1))
    assert not crosswise(n + 1), "one loop over all"
    assert not crosswise(gc.sum(n, axis=0)), "the kept loop is short"
    assert not crosswise(gc.placeholder([5, 3], "float32") + row), "both are short"
    assert not crosswise(gc.sum(gc.placeholder(["n", 100], "float32"), axis=1)), "rows fill vectors"
    assert not crosswise(gc.sum(gc.placeholder(["n", "m"], "float32"), axis=1)), "rows may fill vectors"


def test_a_lane_that_reads_its_neighbours_row_is_caught(monkeypatch):
    right = loop_sweeps.Values._as_lanes

    def shifted(self, index):
        found = right(self, index)
        return found if self.lanes == 1 else self.frames.compute(lambda v: self.b.sub(v, 1), found)

    monkeypatch.setattr(loop_sweeps.Values, "_as_lanes", shifted)
    nests = Nests([body(gc.sum(gc.placeholder(["n", 3], "int64")[1:], axis=1))])
    with pytest.raises(AssertionError):
        nests.check(0, [small(np.random.default_rng(0), (70, 3), "int64")])
