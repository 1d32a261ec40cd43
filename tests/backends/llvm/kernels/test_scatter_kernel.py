import numpy as np
import pytest
from harness import Compiled, Failure, check, placeholders, values

from graphc.backends.llvm.kernels import scatter
from graphc.ir.build import apply
from graphc.ir.opdef import OPS
from graphc.ir.types import ALL_DTYPES, INTEGERS

# (shape of x, shapes of the indices)
CASES = [
    ((5,), [(7,)]),
    ((5,), [()]),
    ((5, 3), [(4,)]),
    ((5, 40), [(2, 3)]),
    ((5, 3), [(4,), (4,)]),
    ((5, 3, 2), [(4, 1), (1, 3)]),
    ((4, 3, 2), [(6,), (), (5, 1)]),
    ((5, 3), [(0,)]),
    ((0, 3), [(0,)]),
    ((5, 0), [(4,)]),
]


def operands(rng, shape, index_shapes, dtype, index_dtype="int64"):
    indices = []
    for extent, index_shape in zip(shape, index_shapes):
        low = 0 if np.dtype(index_dtype).kind == "u" else -extent
        indices.append(rng.integers(low, max(extent, low + 1), index_shape).astype(index_dtype))
    points = np.broadcast_shapes(*index_shapes)
    return [values(rng, shape, dtype), values(rng, (*points, *shape[len(indices) :]), dtype), *indices]


@pytest.mark.parametrize("op", ["scatter_add", "scatter_set"])
@pytest.mark.parametrize(("shape", "index_shapes"), CASES, ids=str)
def test_values(op, shape, index_shapes):
    rng = np.random.default_rng(1)
    for dtype in ALL_DTYPES:
        if op == "scatter_add" and dtype.kind == "b":
            continue
        arrays = operands(rng, shape, index_shapes, dtype)
        check(op, arrays)
        if len(index_shapes) == 1 and () not in index_shapes:
            check(op, arrays, symbolic=True)


@pytest.mark.parametrize("index_dtype", INTEGERS, ids=str)
def test_indices_of_every_dtype(index_dtype):
    rng = np.random.default_rng(2)
    check("scatter_add", operands(rng, (9, 3), [(20,)], "float32", index_dtype))


def test_sums_and_overwriting_follow_the_order_of_the_points():
    x, updates = np.zeros(1, "float32"), np.array([1e8, 1.0, -1e8, 1.0], "float32")
    zeros = np.zeros(4, "int64")
    check("scatter_add", [x, updates, zeros])
    check("scatter_set", [x, updates, zeros])


@pytest.mark.parametrize("op", ["scatter_add", "scatter_set"])
@pytest.mark.parametrize(
    ("indices", "record"),
    [
        (([0, 5, 9], [0]), (0, 5, 5)),
        (([0, -6, 9], [0]), (0, -6, 5)),
        (([0, -5, 4], [3]), (1, 3, 3)),
        (([0, 1, 2], [-4]), (1, -4, 3)),
        (([7], [8]), (0, 7, 5)),
    ],
)
def test_an_index_out_of_bounds_is_recorded(op, indices, record):
    arrays = [np.zeros((5, 3)), np.zeros(3), *(np.array(i, "int64") for i in indices)]
    arrays[1] = np.zeros(np.broadcast(arrays[2], arrays[3]).shape)
    tensor = apply(OPS[op], *placeholders(arrays, False))
    compiled = Compiled(scatter.build_scatter_add(tensor))
    with pytest.raises(Failure) as failure:
        compiled(arrays, (5, 3), "float64")
    assert failure.value.args == record
    assert [site.axis for site in compiled.kernel.sites] == [0, 1]
    assert all(site.tensor is tensor for site in compiled.kernel.sites)


@pytest.mark.parametrize("index", [np.uint64(2**63 + 1), np.uint8(255), np.uint32(2**32 - 1)])
def test_an_unsigned_index_is_never_negative(index):
    arrays = [np.zeros(5), np.zeros(1), np.array([index])]
    tensor = apply(OPS["scatter_set"], *placeholders(arrays, False))
    with pytest.raises(Failure):
        Compiled(scatter.build_scatter_set(tensor))(arrays, (5,), "float64")


def test_an_index_into_nothing_fails():
    arrays = [np.zeros((0, 3)), np.zeros((1, 3)), np.zeros(1, "int64")]
    tensor = apply(OPS["scatter_add"], *placeholders(arrays, True))
    with pytest.raises(Failure) as failure:
        sizes = {"a0": 0, "a1": 3, "b0": 1, "c0": 1}
        Compiled(scatter.build_scatter_add(tensor))(arrays, (0, 3), "float64", sizes)
    assert failure.value.args == (0, 0, 0)


def test_a_negative_index_that_does_not_wrap_is_caught(monkeypatch):
    signed = scatter._position
    monkeypatch.setattr(scatter, "_position", lambda b, i, n, dtype: signed(b, i, n, np.dtype("u1")))
    with pytest.raises(Failure):
        check("scatter_add", [np.zeros(5), np.ones(1), np.array([-1], "int8")])
