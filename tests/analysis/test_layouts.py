"""Layouts: the view of a base is the array, for whatever slices, permutations and broadcasts made it."""

import numpy as np
import pytest

from graphc.analysis.layouts import layout_of, merged
from graphc.ir import dims
from graphc.ir.evaluate import evaluate
from graphc.ir.graph import Graph
from graphc.ir.location import here
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType


def random_view(rng):
    rank = rng.integers(1, 4)
    shape = tuple(rng.integers(1, 6, rank))
    x = np.arange(np.prod(shape), dtype="float32").reshape(shape).transpose(rng.permutation(rank))
    index = []
    for extent in x.shape:
        step = int(rng.choice([1, 1, 1, 2, 3, -1, -2]))
        index.append(slice(rng.integers(0, extent) if step > 0 else None, None, step))
    x = x[tuple(index)]
    if rng.random() < 0.3:
        x = np.broadcast_to(x[..., :1], (*x.shape[:-1], 4))
    return np.broadcast_to(x, (3, *x.shape)) if rng.random() < 0.2 else x


def in_full(base, array):
    """The base as an array that is memory to its end, and the elements of the array in it; NaN elsewhere."""
    low, high = np.lib.array_utils.byte_bounds(array)
    assert base.__array_interface__["data"][0] == low
    held = (high - low) // base.itemsize
    full = np.full(max(base.size, held), np.nan, base.dtype)
    full[:held] = np.lib.stride_tricks.as_strided(base, (held,), (base.itemsize,))
    return full[: base.size].reshape(base.shape)


def placeholder(type_):
    return Tensor(OPS["placeholder"], (), {}, type_, here())


@pytest.mark.parametrize("seed", range(8))
def test_the_view_of_the_base_is_the_array(seed):
    rng = np.random.default_rng(seed)
    known = 0
    for _ in range(100):
        original = random_view(rng)
        for array in (original, merged(original)):
            np.testing.assert_array_equal(array.ravel(), original.ravel())
            found = layout_of(array)
            if found is None:
                continue
            known += 1
            layout, base = found
            x = placeholder(TensorType(array.dtype, tuple(dims.symbol(f"s{axis}") for axis in range(array.ndim))))
            p = placeholder(layout.base_type(x.tensor_type))
            graph = Graph("view", (x, p), (layout.view_of(p, x.shape),))
            (view,) = evaluate(graph, [array, in_full(base, array)])
            np.testing.assert_array_equal(np.broadcast_to(view, array.shape), array)
    assert known > 190


def test_layouts_do_not_depend_on_extents():
    big = np.zeros((50, 60, 8), "float32")
    for cut in (lambda n: big[:n, 2:9], lambda n: big[:n].T, lambda n: big[:n, ::-2], lambda n: big[:n, :, 3]):
        assert len({layout_of(cut(n))[0] for n in range(2, 50)}) == 1
    assert layout_of(big[:, 2:9])[0] == layout_of(big[:, 20:50])[0]


def test_what_is_no_movement_of_a_base():
    x = np.arange(24, dtype="float32")
    overlapping = np.lib.stride_tricks.sliding_window_view(x, 4)
    halves = np.lib.stride_tricks.as_strided(x, (2, 3), (6, 8))
    misaligned = np.frombuffer(bytearray(99), np.uint8)[1:97].view("float32").reshape(4, 6)[:, :3]
    for array in (overlapping, halves, misaligned, x.reshape(4, 6)[:0, ::2]):
        assert layout_of(array) is None
