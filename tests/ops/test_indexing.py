"""Indexing against NumPy: random keys, sizes 0 and 1, symbolic sizes, updates, gradients, refusals."""

import numpy as np
import pytest
from running import check_gradient, run, same

import graphc as gc
from graphc.errors import ArgumentError, DTypeError, IndexOutOfBoundsError, ShapeError
from graphc.ir.close import close
from graphc.ir.evaluate import evaluate
from graphc.passes.gradient import grad

RNG = np.random.default_rng


def random_slice(rng):
    def bound():
        return None if rng.random() < 0.3 else int(rng.integers(-7, 8))

    step = None if rng.random() < 0.4 else int(rng.choice([-3, -2, -1, 1, 2, 3]))
    return slice(bound(), bound(), step)


def random_key(rng, shape, arrays):
    """A valid key for `shape`; with `arrays`, some entries are integer arrays that broadcast together."""
    batch = [(), (1,), (2,), (3, 1), (1, 2), (3, 2), (0,)][rng.integers(7)]
    key = []
    for extent in shape[: rng.integers(0, len(shape) + 1)]:
        kind = rng.random()
        if arrays and kind < 0.45 and (extent > 0 or 0 in batch):
            index = rng.integers(-extent, max(extent, 1 - extent), batch if extent else (0,))
            index = np.asarray(index)
            key.append(index.tolist() if index.size and rng.random() < 0.3 else index)
        elif kind < 0.6 and extent > 0:
            key.append(int(rng.integers(-extent, extent)))
        else:
            key.append(random_slice(rng))
    if rng.random() < 0.4:  # an ellipsis, where the key allows it
        key.insert(rng.integers(len(key) + 1), Ellipsis)
        tail = len(key) - 1 - next(i for i, k in enumerate(key) if k is Ellipsis)
        front = len(key) - 1 - tail
        sizes = [*shape[:front], None, *shape[len(shape) - tail :]] if tail else [*shape[:front], None]
        for i, (entry, size) in enumerate(zip(key, sizes)):
            if size is not None and not isinstance(entry, slice):
                low = -size
                if np.size(entry) and (size == 0 or np.min(entry) < low or np.max(entry) >= size):
                    key[i] = slice(None)
    while rng.random() < 0.3:
        key.insert(rng.integers(len(key) + 1), None)
    return tuple(key) if len(key) != 1 or rng.random() < 0.5 else key[0]


def random_shape(rng):
    return tuple(int(s) for s in rng.choice([0, 1, 2, 3, 5], rng.integers(0, 5), p=[0.1, 0.2, 0.2, 0.25, 0.25]))


def symbolic(shape):
    return tuple(f"d{i}" for i in range(len(shape)))


def valid(array, key):
    try:
        return array[key]
    except IndexError:  # arrays that do not broadcast
        return None


@pytest.mark.parametrize("arrays", [False, True], ids=["basic", "advanced"])
def test_getitem_is_numpys(arrays):
    rng = RNG(0)
    compared = 0
    for _ in range(1200):
        array = rng.standard_normal(random_shape(rng))
        key = random_key(rng, array.shape, arrays)
        wanted = valid(array, key)
        if wanted is None:
            continue
        compared += 1
        x = gc.placeholder(array.shape, "float64", name="x")
        try:
            same(run(x[key], {x: array}), wanted)
        except Exception as error:
            raise AssertionError(f"shape {array.shape}, key {key}") from error
    assert compared > 900


@pytest.mark.parametrize("arrays", [False, True], ids=["basic", "advanced"])
def test_getitem_of_symbolic_sizes_is_numpys(arrays):
    rng = RNG(1)
    for _ in range(600):
        array = rng.standard_normal(random_shape(rng))
        key = random_key(rng, array.shape, arrays)
        if valid(array, key) is None:
            continue
        x = gc.placeholder(symbolic(array.shape), "float64", name="x")
        y = x[key]
        for extents in (array.shape, tuple(s + 1 for s in array.shape), (1,) * array.ndim, (0,) * array.ndim):
            other = rng.standard_normal(extents)
            wanted = valid(other, key)
            if wanted is not None:
                try:
                    same(run(y, {x: other}), wanted)
                except Exception as error:
                    raise AssertionError(f"shape {extents}, key {key}") from error


@pytest.mark.parametrize("arrays", [False, True], ids=["basic", "advanced"])
def test_index_tensors_and_updates_are_numpys(arrays):
    rng = RNG(2)
    for _ in range(500):
        array = rng.standard_normal(random_shape(rng))
        key = random_key(rng, array.shape, arrays)
        selected = valid(array, key)
        if selected is None:
            continue
        x = gc.placeholder(symbolic(array.shape) if rng.random() < 0.5 else array.shape, "float64", name="x")
        feeds, entries = {x: array}, []
        for i, entry in enumerate(key if isinstance(key, tuple) else (key,)):
            if isinstance(entry, (np.ndarray, list)):
                t = gc.placeholder(np.shape(entry), "int64", name=f"i{i}")
                feeds[t] = np.asarray(entry, np.int64)
                entry = t
            entries.append(entry)
        values = rng.standard_normal(selected.shape)
        added, stored = array.copy(), array.copy()
        np.add.at(added, key, values)
        stored[key] = values
        try:
            found = run([x[tuple(entries)], x.at[tuple(entries)].add(values), x.at[tuple(entries)].set(values)], feeds)
            same(found[0], selected)
            same(found[1], added)
            same(found[2], stored)
        except Exception as error:
            raise AssertionError(f"shape {array.shape}, key {key}") from error


def test_slices_of_symbolic_sizes_have_equal_forms():
    x = gc.placeholder(("n",))
    assert x[1:].shape == x[:-1].shape
    assert x[-3:].shape == x[:3].shape
    assert x[::-1].shape == x.shape
    assert close("f", [x], [x[1:] - x[:-1]]).constraints == ()


def test_provable_slices_state_no_constraints():
    x = gc.placeholder(("n",), name="x")
    for key in (
        np.s_[2:],
        np.s_[:2],
        np.s_[2:-2],
        np.s_[-3:-1],
        np.s_[::2],
        np.s_[1::3],
        np.s_[::-1],
        np.s_[5::-2],
        np.s_[:2:-1],
        np.s_[-2::-3],
        np.s_[:-3:-1],
        np.s_[-2:4],
        np.s_[3:1],
    ):
        y = gc.sum(x[key])
        (dx,) = grad(y, [x])
        graph = close("f", [x], [y, dx])
        assert graph.constraints == (), f"{key}: {graph}"


def test_integer_on_symbolic_axis_states_its_bound():
    x = gc.placeholder(("n",), name="x")
    assert [str(c) for c in close("f", [x], [x[3]]).constraints] == ["n == max(n,4)"]
    with pytest.raises(IndexOutOfBoundsError, match="index 3 is out of bounds for axis 0 with size 2"):
        evaluate(close("f", [x], [x[3]]), [np.zeros(2, np.float32)])


def test_symbolic_bounds():
    x, y = gc.placeholder(("n",), name="x"), gc.placeholder(("m",), name="y")
    m = y.shape[0]
    arrays = {x: np.arange(7), y: np.zeros(3)}
    same(run(x[:m] + y, arrays), np.arange(3, dtype=np.float32))
    same(run([x[m:], y], arrays)[0], np.arange(3, 7, dtype=np.float32))
    same(run([x[m], y], arrays)[0], np.float32(3))
    same(run(x[x.shape[0] - 1], {x: np.arange(7)}), np.float32(6))
    with pytest.raises(ShapeError, match="symbolic bound -m"):
        x[-m:]


def test_refusals():
    x, i = gc.placeholder((5, 4), name="x"), gc.placeholder((), "int64", name="i")
    with pytest.raises(IndexOutOfBoundsError, match="index 5 is out of bounds for axis 0 with size 5"):
        x[5]
    with pytest.raises(IndexOutOfBoundsError, match="index -5 is out of bounds for axis 1 with size 4"):
        x[:, -5]
    with pytest.raises(IndexOutOfBoundsError, match="index 7 is out of bounds for axis 0 with size 5"):
        x[[1, 7]]
    with pytest.raises(ShapeError, match="3 indices"):
        x[0, 0, 0]
    with pytest.raises(ShapeError, match="one ellipsis"):
        x[..., ...]
    with pytest.raises(ArgumentError, match="step of a slice is 0"):
        x[::0]
    with pytest.raises(ShapeError, match="tensor cannot bound a slice"):
        x[:i]
    for mask in (True, np.ones((5, 4), bool), [True, False, True, True, False], x > 0):
        with pytest.raises(DTypeError, match=r"gc\.where"):
            x[mask]
    for wrong in (1.5, "a", np.array([1.0])):
        with pytest.raises(DTypeError):
            x[wrong]
    with pytest.raises(DTypeError, match="cannot be stored"):
        gc.placeholder((3,), "int32").at[0].set(np.float64(1.5))
    with pytest.raises(DTypeError, match="no addition"):
        gc.placeholder((3,), "bool").at[0].add(True)


@pytest.mark.parametrize("position", [5, -6, 100])
def test_positions_out_of_range_when_run(position):
    x, i = gc.placeholder((5, 2), name="x"), gc.placeholder((1,), "int64", name="i")
    feeds = {x: np.zeros((5, 2)), i: [position]}
    column = gc.reshape(i, (1, 1))
    for y in (
        gc.take(x, i, 0),
        gc.gather(x, i),
        gc.scatter_add(x, 1.0, i),
        gc.scatter_set(x, 1.0, i),
        x[i],
        gc.take_along_axis(x, column, 0),
        x.at[i].add(1.0),
        x.at[:, 0].add(0.0).at[i, 0].set(1.0),
    ):
        with pytest.raises(IndexOutOfBoundsError, match=f"index {position} is out of bounds for axis 0 with size 5"):
            run(y, feeds)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64"])
def test_positions_of_any_integer_dtype(dtype):
    x, i = gc.placeholder((4,), name="x"), gc.placeholder((3,), dtype, name="i")
    same(run(x[i], {x: [1, 2, 3, 4], i: [3, 0, 3]}), np.float32([4, 1, 4]))
    same(run(gc.take_along_axis(x, i, 0), {x: [1, 2, 3, 4], i: [3, 0, 3]}), np.float32([4, 1, 4]))


def test_take_and_take_along_axis_are_numpys():
    rng = RNG(3)
    for _ in range(200):
        array = rng.standard_normal(tuple(rng.integers(1, 5, rng.integers(1, 4))))
        axis = int(rng.integers(-array.ndim, array.ndim))
        extent = array.shape[axis]
        indices = rng.integers(-extent, extent, tuple(rng.integers(0, 4, rng.integers(0, 3))))
        x, i = (
            gc.placeholder(array.shape, "float64", name="x"),
            gc.placeholder(indices.shape, "int64", name="i"),
        )
        same(run(gc.take(x, i, axis), {x: array, i: indices}), np.take(array, indices, axis))
        shape = list(np.where(rng.random(array.ndim) < 0.3, 1, array.shape))
        shape[axis] = int(rng.integers(0, 4))
        indices = rng.integers(-extent, extent, shape)
        i = gc.placeholder(indices.shape, "int64", name="i")
        same(
            run(gc.take_along_axis(x, i, axis), {x: array, i: indices}),
            np.take_along_axis(array, indices, axis),
        )


def test_untouched_elements_keep_their_bits():
    x = gc.placeholder((4,), "float64", name="x")
    same(run(x.at[:1].add(0.0), {x: [1.0, -0.0, np.nan, np.inf]}), np.array([1.0, -0.0, np.nan, np.inf]))


def test_repeated_set_keeps_the_last():
    x, i = gc.placeholder((3,), name="x"), gc.constant([1, -2, 1, 0])
    same(run(x.at[i].set([5.0, 6.0, 7.0, 8.0]), {x: np.zeros(3)}), np.float32([8, 7, 0]))


@pytest.mark.parametrize(
    "key",
    [
        np.s_[1:],
        np.s_[::-1],
        np.s_[::2, 1:3],
        np.s_[::-3, None, 2],
        np.s_[..., 0],
        np.s_[[0, 0, -1]],
        np.s_[:, [1, 1]],
        np.s_[[0, 4], [1, -3]],
        np.s_[[0, 4], None, [1, 1]],
        np.s_[2],
        np.s_[4:1:-2, [0, 3, 0]],
        np.s_[3:3],
    ],
    ids=str,
)
def test_gradients(key):
    rng = RNG(4)
    array = rng.standard_normal((5, 4))
    values = rng.standard_normal(array[key].shape)
    check_gradient(lambda x: x[key] * x[key], array)
    check_gradient(lambda x, v: x.at[key].add(v * v) ** 2, array, values)
    check_gradient(lambda x, v: x.at[key].set(v * v) ** 2, array, values)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("extent", [1, 3])
def test_gradient_of_take_along_axis(axis, extent):
    rng = RNG(5)
    array = rng.standard_normal((3, 1, 3))
    shape = [3, 2, 3]
    shape[axis] = extent
    indices = rng.integers(-array.shape[axis], array.shape[axis], shape)
    check_gradient(lambda x: gc.take_along_axis(x * x, indices, axis), array)


def test_gradient_of_a_single_position_has_no_scatter():
    x, i = gc.placeholder(("n", 10), name="x"), gc.placeholder(("n", 1), "int64", name="i")
    (dx,) = grad(gc.sum(gc.take_along_axis(x, i, 1)), [x])
    assert "scatter" not in str(close("f", [i], [dx]))
    same(run([dx, x], {x: np.zeros((2, 10)), i: [[-1], [3]]})[0], np.eye(10, dtype=np.float32)[[9, 3]])


@pytest.mark.parametrize("axis", [0, 1])
def test_gradient_of_take_by_symbolic_sizes(axis):
    x, i = gc.placeholder(("n", "m"), "float64", name="x"), gc.placeholder(("k", "l"), "int64", name="i")
    (dx,) = grad(gc.sum(gc.take(x, i, axis)), [x])
    wanted = np.zeros((3, 4))
    np.add.at(wanted, np.s_[[0, 0, 2]] if axis == 0 else np.s_[:, [0, 0, 2]], 1.0)
    same(run([dx, x], {x: np.zeros((3, 4)), i: [[0, 0, -1 if axis == 0 else 2]]})[0], wanted)
    assert run([dx, x], {x: np.zeros((3, 4)), i: np.zeros((0, 2))})[0].sum() == 0


def test_integer_on_symbolic_axis_is_an_index_error_at_the_call():
    x = gc.placeholder(("n",), name="x")
    last, third = (gc.function([x], y, backend="numpy") for y in (x[-3], x[3]))
    assert last(np.float32([1, 2, 3])) == 1
    assert third(np.float32([1, 2, 3, 4])) == 4
    for function in (last, third):
        with pytest.raises(IndexOutOfBoundsError, match=r"slice needs .* n = 2 is axis 0 of x"):
            function(np.float32([1, 2]))
