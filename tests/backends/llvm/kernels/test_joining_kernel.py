import numpy as np
import pytest
from harness import Compiled, assert_same_bits, check, placeholders, result_of, values

import graphc as gc
from graphc.backends.llvm.kernels import joining
from graphc.ir import dims
from graphc.ir.build import apply
from graphc.ir.opdef import OPS
from graphc.ir.types import ALL_DTYPES


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=str)
def test_concat_along_every_axis(dtype):
    rng = np.random.default_rng(1)
    for axis in range(3):
        arrays = []
        for extent in (2, 0, 1, 5, 33):
            shape = [2, 3, 4]
            shape[axis] = extent
            arrays.append(values(rng, shape, dtype, few=True))
        check("concat", arrays, axis=axis)
        check("concat", arrays[:1], axis=axis, symbolic=True)


def test_concat_of_symbolic_extents():
    x, y = gc.placeholder(("n", 3), name="x"), gc.placeholder(("m", 3), name="y")
    tensor = apply(OPS["concat"], x, y, axis=0)
    for n, m in ((0, 0), (1, 0), (0, 1), (4, 9)):
        a, b = (values(np.random.default_rng(2), (rows, 3), "float32") for rows in (n, m))
        assert_same_bits(result_of(tensor, [a, b]), np.concatenate([a, b]))


def test_concat_of_nothing():
    check("concat", [np.zeros((0, 3)), np.zeros((0, 2))], axis=1)
    check("concat", [np.zeros((3, 0)), np.zeros((2, 0))], axis=0)


PADDINGS = [
    ((7,), (2,), (3,)),
    ((7,), (0,), (0,)),
    ((), (), ()),
    ((3, 5), (1, 0), (0, 2)),
    ((3, 5), (1, 0), (2, 0)),
    ((3, 5), (0, 1), (0, 2)),
    ((2, 3, 40), (0, 1, 0), (1, 0, 0)),
    ((2, 3, 40), (1, 1, 1), (2, 2, 2)),
    ((0, 3), (2, 1), (1, 1)),
    ((3, 0), (0, 1), (0, 1)),
    ((3, 0), (1, 0), (1, 0)),
]


@pytest.mark.parametrize(("shape", "before", "after"), PADDINGS, ids=str)
def test_pad(shape, before, after):
    rng = np.random.default_rng(3)
    for dtype in ALL_DTYPES:
        x, value = values(rng, shape, dtype), values(rng, (), dtype)
        check("pad", [x, value], before=before, after=after)
        check("pad", [x, value], before=before, after=after, symbolic=True)


def test_pad_of_symbolic_widths():
    x, value = gc.placeholder(("n", 2), name="x"), gc.placeholder((), name="v")
    width = dims.symbol("n") * 2
    tensor = apply(OPS["pad"], x, value, before=(width, 0), after=(1, 0))
    for n in (0, 1, 5):
        array = values(np.random.default_rng(4), (n, 2), "float32")
        expected = np.pad(array, ((2 * n, 1), (0, 0)), constant_values=3.0)
        assert_same_bits(result_of(tensor, [array, np.float32(3).reshape(())]), expected)


def test_equal_layouts_share_one_kernel():
    texts = set()
    for rows in (20, 30):
        inputs = placeholders([np.zeros((rows, 100)), np.zeros((rows, 50))], symbolic=False)
        texts.add(Compiled(joining.build_concat(apply(OPS["concat"], *inputs, axis=1))).text)
    assert len(texts) == 1


def test_a_piece_that_is_too_short_is_caught(monkeypatch):
    monkeypatch.setattr(joining, "byte_count", lambda elements, itemsize, count: elements * itemsize - 1)
    with pytest.raises(AssertionError):
        check("concat", [np.ones((2, 3)), np.ones((2, 1))], axis=1)


def test_padding_on_the_wrong_side_is_caught(monkeypatch):
    right = joining._merged
    monkeypatch.setattr(joining, "_merged", lambda axes: [(0, *rest) for _, *rest in right(axes)])
    with pytest.raises(AssertionError):
        check("pad", [np.ones((2, 3)), np.zeros(())], before=(1, 0), after=(0, 0))
