"""Matrices that lie otherwise, times few columns: the bits of a contiguous copy, without the copy."""

import numpy as np
import pytest
from harness import values

import graphc as gc
from graphc.analysis.layouts import layout_of
from graphc.backends.llvm.kernels import lines
from graphc.backends.llvm.kernels.lines import Lines, lines_of
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType

LAYOUTS = {
    "reversed lines": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "reversed elements": lambda x: np.ascontiguousarray(x[:, ::-1])[:, ::-1],
    "every second line": lambda x: np.repeat(x, 2, axis=0)[::2],
    "every second element": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "every second one backwards": lambda x: np.repeat(x[:, ::-1], 2, axis=1)[:, ::-2],
    "every third element": lambda x: np.repeat(x, 3, axis=1)[:, ::3],
    "cut out": lambda x: np.pad(x, ((1, 2), (3, 4)))[1:-2, 3:-4],
    "one line for all": lambda x: np.broadcast_to(x[:1], x.shape),
    "one element for all": lambda x: np.broadcast_to(np.ascontiguousarray(x[:, :1]), x.shape),
    "one of a longer line for all": lambda x: np.broadcast_to(x[:, 1:2], x.shape),
}
#: The matrix, and the columns that it is multiplied by; none is a vector.
SHAPES = [((300, 130), None), ((133, 257), 3), ((90, 400), 8), ((1000, 60), 1), ((4, 2500), None), ((1, 9000), None)]


def lying(change, shape, dtype):
    x = values(np.random.default_rng(1), shape, dtype)
    x[0, 1], x[-1, -1] = np.inf, np.nan
    return change(x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_bits_are_those_of_a_copy(layout, dtype):
    for shape, columns in SHAPES:
        x = lying(LAYOUTS[layout], shape, dtype)
        y = values(np.random.default_rng(2), (shape[1],) if columns is None else (shape[1], columns), dtype)
        a, b = gc.placeholder(("m", "k"), dtype), gc.placeholder(("k",) if columns is None else ("k", columns), dtype)
        f = gc.function([a, b], a @ b)
        wanted = f(np.ascontiguousarray(x), y)
        for _ in range(3):
            assert f(x, y).tobytes() == wanted.tobytes(), shape


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_copy_is_made(layout):
    x = lying(LAYOUTS[layout], (300, 130), "float32")
    a, b = gc.placeholder((300, 130), "float32"), gc.placeholder((130,), "float32")
    f = gc.function([a, b], a @ b)
    for _ in range(3):
        f(x, np.ones(130, np.float32))
    assert f.compilations == 2


def test_what_is_copied_still():
    """A transpose, lines that are not read along k, a second operand, and products by many columns."""
    x = np.repeat(lying(np.copy, (200, 160), "float32"), 2, axis=0)[::2]
    for columns, swaps in ((1, True), (100, False)):
        a, b = gc.placeholder((200, 160), "float32"), gc.placeholder((200 if swaps else 160, columns), "float32")
        f = gc.function([a, b], (a.T if swaps else a) @ b)
        for _ in range(3):
            f(x, np.ones(b.shape, np.float32))
        assert f.compilations == 1


def test_lines_of_a_view():
    def found(x):
        layout, _ = layout_of(x)
        type_ = TensorType(x.dtype, x.shape)
        base = Tensor(OPS["placeholder"], (), {}, layout.base_type(type_), None, "base")
        return lines_of(layout.view_of(base, x.shape))

    x = np.zeros((8, 6), np.float32)
    assert found(x[::-1, ::2]) == Lines(-1, 2)
    assert found(x[::2]) == Lines(1, 1)
    assert found(np.broadcast_to(x[0], (5, 6))) == Lines(0, 1)
    assert found(np.broadcast_to(x[:, 1:2], (8, 5))) == Lines(1, 0)
    assert found(np.zeros((8, 63), np.float32)[:, ::9]) is None
    assert found(x.T) is None


def test_a_lane_too_many_is_caught(monkeypatch):
    """What the tests above are for: a tail that repeats its element beyond the mask meets an infinity there."""
    right = Lines.load
    monkeypatch.setattr(lines.Lines, "load", lambda self, b, type_, line, index, mask=None: right(
        self._replace(inner=-self.inner) if mask is not None else self, b, type_, line, index, mask
    ))  # fmt: skip
    with pytest.raises(AssertionError):
        test_bits_are_those_of_a_copy("every second element", "float32")
