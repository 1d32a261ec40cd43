"""Movement, joining, padding and creation against NumPy; symbolic sizes; gradients; refusals."""

import numpy as np
import pytest
from running import check_gradient, run, same

import graphc as gc
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir import dims
from graphc.ir.close import close
from graphc.ir.evaluate import evaluate

RNG = np.random.default_rng
SHAPES = [(), (0,), (1,), (3,), (2, 3), (1, 3), (3, 0, 2), (2, 1, 3), (2, 3, 4, 1)]

#: function of the tensor, the same of the array, and the ranks it takes
MOVEMENT = {
    "transpose": (lambda x: x.T, lambda a: a.T, range(5)),
    "mT": (lambda x: x.mT, lambda a: a.mT, range(2, 5)),
    "swapaxes": (lambda x: gc.swapaxes(x, 0, -1), lambda a: np.swapaxes(a, 0, -1), range(1, 5)),
    "moveaxis": (lambda x: gc.moveaxis(x, 0, -1), lambda a: np.moveaxis(a, 0, -1), range(1, 5)),
    "moveaxis 2": (
        lambda x: gc.moveaxis(x, (0, 1), (-1, 0)),
        lambda a: np.moveaxis(a, (0, 1), (-1, 0)),
        range(2, 5),
    ),
    "expand_dims": (lambda x: gc.expand_dims(x, (0, -1)), lambda a: np.expand_dims(a, (0, -1)), range(5)),
    "flip": (gc.flip, np.flip, range(5)),
    "flip 1": (lambda x: gc.flip(x, -1), lambda a: np.flip(a, -1), range(1, 5)),
    "flatten": (lambda x: x.flatten(), lambda a: a.reshape(-1), range(5)),
    "roll": (lambda x: gc.roll(x, 2), lambda a: np.roll(a, 2), range(5)),
    "roll -1": (lambda x: gc.roll(x, -1, 0), lambda a: np.roll(a, -1, 0), range(1, 5)),
    "roll 7": (lambda x: gc.roll(x, (7, 1), (0, -1)), lambda a: np.roll(a, (7, 1), (0, -1)), range(1, 5)),
    "tile": (lambda x: gc.tile(x, (2, 3)), lambda a: np.tile(a, (2, 3)), range(5)),
    "tile 0": (lambda x: gc.tile(x, 0), lambda a: np.tile(a, 0), range(5)),
    "repeat": (lambda x: gc.repeat(x, 3), lambda a: np.repeat(a, 3), range(5)),
    "repeat axis": (lambda x: gc.repeat(x, 2, -1), lambda a: np.repeat(a, 2, -1), range(1, 5)),
    "concat": (
        lambda x: gc.concat([x, x[:1], x[1:]]),
        lambda a: np.concatenate([a, a[:1], a[1:]]),
        range(1, 5),
    ),
    "concat None": (lambda x: gc.concat([x, x], None), lambda a: np.concatenate([a, a], None), range(5)),
    "stack": (lambda x: gc.stack([x, x], -1), lambda a: np.stack([a, a], -1), range(5)),
    "pad": (
        lambda x: gc.pad(x, (1, 2), constant_values=7),
        lambda a: np.pad(a, (1, 2), constant_values=7),
        range(5),
    ),
    "pad 0": (lambda x: gc.pad(x, 0), lambda a: np.pad(a, 0), range(5)),
}


@pytest.mark.parametrize("name", MOVEMENT)
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_movement_is_numpys(name, dtype):
    function, numpys, ranks = MOVEMENT[name]
    for shape in SHAPES:
        if len(shape) not in ranks:
            continue
        array = RNG(0).integers(0, 5, shape).astype(dtype)
        x = gc.placeholder(shape, dtype, name="x")
        same(run(function(x), {x: array}), numpys(array))


@pytest.mark.parametrize("name", [n for n in MOVEMENT if n not in ("transpose", "mT")])
def test_movement_of_symbolic_sizes_is_numpys(name):
    function, numpys, ranks = MOVEMENT[name]
    for shape in SHAPES:
        if len(shape) not in ranks or not shape:
            continue
        x = gc.placeholder(tuple(f"d{i}" for i in range(len(shape))), "float32", name="x")
        y = function(x)
        for sizes in (shape, (0,) * len(shape), (1,) * len(shape), tuple(s + 2 for s in shape)):
            array = RNG(0).standard_normal(sizes).astype("float32")
            same(run(y, {x: array}), numpys(array))


@pytest.mark.parametrize("name", MOVEMENT)
def test_gradients_of_movement(name):
    function, _, ranks = MOVEMENT[name]
    for shape in [(), (3,), (2, 3)]:
        if len(shape) in ranks:
            check_gradient(function, RNG(1).standard_normal(shape))


def test_broadcast_to():
    x = gc.placeholder((3, 1), name="x")
    array = np.float32([[1], [2], [3]])
    same(run(gc.broadcast_to(x, (2, 3, 4)), {x: array}), np.broadcast_to(array, (2, 3, 4)))
    assert gc.broadcast_to(gc.placeholder(("n",)), ("m", "n")).shape == (dims.symbol("m"), dims.symbol("n"))
    check_gradient(lambda x: gc.broadcast_to(x, (2, 3, 4)), array)
    check_gradient(lambda x: gc.broadcast_to(x, (2, 2)), 1.5)
    for shape in [(2, 2), (3,), (3, 1, 4)]:
        with pytest.raises(ShapeError, match="broadcast"):
            gc.broadcast_to(x, shape)
    with pytest.raises(ShapeError, match="negative"):
        gc.broadcast_to(1.0, (-1,))


def test_a_symbolic_size_is_never_taken_to_be_one():
    x = gc.placeholder(("n",), name="x")
    graph = close("f", [x], [gc.broadcast_to(x, (5,))])
    assert [str(c) for c in graph.constraints] == ["5 == n"]


def test_reshape():
    x = gc.placeholder(("n", 4), name="x")
    n = x.shape[0]
    array = np.arange(12, dtype="float32").reshape(3, 4)
    assert gc.reshape(x, (-1, 2)).shape == (n * 2, 2)
    assert gc.reshape(x, (n, 2, -1)).shape == (n, 2, 2)
    assert gc.reshape(x, -1).shape == (n * 4,)
    assert x.reshape(2, -1).shape == (n * 2, 2) or x.reshape(2, -1).shape == (2, n * 2)
    same(run(gc.reshape(x, (6, 2)), {x: array}), array.reshape(6, 2))
    graph = close("f", [x], [gc.reshape(x, (-1, 8))])
    assert len(graph.constraints) == 1  # 4n is 8 times something only for even n
    same(run(gc.reshape(x, (-1, 2)), {x: np.zeros((0, 4))}), np.zeros((0, 2), "float32"))
    with pytest.raises(ShapeError, match="cannot reshape 12 elements"):
        gc.reshape(gc.zeros((3, 4)), (5, 2))
    with pytest.raises(ShapeError, match="only one extent"):
        gc.reshape(x, (-1, -1))
    with pytest.raises(ShapeError, match="not determined"):
        gc.reshape(gc.zeros((0, 4)), (0, -1))
    with pytest.raises(ShapeError):
        gc.reshape(gc.zeros((3, 4)), (5, -1))


def test_squeeze():
    x = gc.placeholder((1, "n", 1), name="x")
    n = x.shape[1]
    assert gc.squeeze(x).shape == (n,)
    assert gc.squeeze(x, 0).shape == (n, 1)
    assert gc.squeeze(x, (0, -1)).shape == (n,)
    assert [str(c) for c in close("f", [x], [gc.squeeze(x, 1)]).constraints] == ["n == 1"]
    with pytest.raises(ShapeError, match="axis 0 has size 2, not 1"):
        gc.squeeze(gc.zeros((2, 1)), 0)


def test_permutations_are_checked():
    x = gc.placeholder((2, 3, 4))
    assert gc.permute_dims(x, (-1, 0, 1)).shape == (4, 2, 3)
    assert x.transpose(1, 0, 2).shape == x.transpose((1, 0, 2)).shape == (3, 2, 4)
    for axes in [(0, 1), (0, 1, 1), (0, 1, 3)]:
        with pytest.raises(ShapeError):
            gc.permute_dims(x, axes)
    with pytest.raises(ShapeError, match="fewer than two axes"):
        gc.matrix_transpose(gc.zeros(3))


def test_a_negative_extent_is_an_error_at_the_call():
    x = gc.placeholder(("n",), name="x")
    y = gc.zeros((x.shape[0] - 2,)) + gc.sum(x)
    graph = close("f", [x], [y])
    assert [str(c) for c in graph.constraints] == ["n-2 == max(n-2,0)"]


# joining --------------------------------------------------------------------------------------------------


def test_concat_promotes_and_checks():
    a, b = gc.placeholder(("n", 2), "float32", name="a"), gc.placeholder(("m", 2), "int64", name="b")
    y = gc.concat([a, b])
    assert (y.dtype, y.shape) == (np.float64, (a.shape[0] + b.shape[0], 2))
    for n, m in [(0, 0), (0, 1), (2, 3)]:
        same(run(y, {a: np.ones((n, 2)), b: np.ones((m, 2))}), np.ones((n + m, 2)))
    for xs, axis in [
        ([], 0),
        ([a, gc.zeros(3)], 0),
        ([a, gc.zeros((2, 3))], 0),
        ([a], 2),
        ([gc.constant(1)], 0),
    ]:
        with pytest.raises(ShapeError):
            gc.concat(xs, axis)
    with pytest.raises(ArgumentError, match="list or tuple"):
        gc.concat(a)
    assert [str(c) for c in close("f", [a, b], [gc.concat([a, b], axis=1)]).constraints] == ["n == m"]


def test_split_and_unstack():
    array = np.arange(24.0).reshape(6, 4)
    x = gc.placeholder((6, 4), "float64", name="x")
    for sections, axis in [(3, 0), (2, 1), ([1, 4], 0), ([-2, 9], 0), ([], 1), ([3, 2], 0)]:
        found = run(gc.split(x, sections, axis), {x: array})
        wanted = np.split(array, sections, axis)
        assert len(found) == len(wanted)
        for f, w in zip(found, wanted):
            same(f, w)
    for f, w in zip(run(gc.unstack(x, 1), {x: array}), np.moveaxis(array, 1, 0)):
        same(f, w)
    with pytest.raises(ShapeError, match="does not divide into 4"):
        gc.split(x, 4)
    with pytest.raises(ShapeError, match="symbolic"):
        gc.unstack(gc.placeholder(("n",)))
    n = gc.placeholder(("n", 2), "float64", name="n")
    halves = gc.split(n, 2)
    for f, w in zip(run(halves, {n: array[:, :2]}), np.split(array[:, :2], 2)):
        same(f, w)
    assert close("f", [n], halves).constraints  # n must be even
    check_gradient(lambda x: gc.split(x, [1, 4])[1] * gc.split(x, 2)[0], array)


def test_repeat_by_counts():
    x = gc.placeholder((3, 2), name="x")
    array = np.arange(6, dtype="float32").reshape(3, 2)
    same(run(gc.repeat(x, [2, 0, 1], axis=0), {x: array}), np.repeat(array, [2, 0, 1], axis=0))
    same(run(gc.repeat(x, [2], axis=0), {x: array}), np.repeat(array, [2], axis=0))
    with pytest.raises(ShapeError, match="2 counts"):
        gc.repeat(x, [1, 2], axis=0)
    with pytest.raises(ShapeError, match="negative"):
        gc.repeat(x, -1)


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
def test_padding_modes_are_numpys(mode):
    array = np.arange(12, dtype="float32").reshape(3, 4)
    for width in [0, 1, 2, (1, 0), ((2, 1), (0, 3)), ((0, 2), (1, 1))]:
        x, s = gc.placeholder((3, 4), name="x"), gc.placeholder(("n", "m"), name="x")
        wanted = np.pad(array, width, mode=mode)
        same(run(gc.pad(x, width, mode), {x: array}), wanted)
        same(run(gc.pad(s, width, mode), {s: array}), wanted)
    check_gradient(lambda x: gc.pad(x, ((2, 1), (0, 3)), mode), array)


def test_pad_checks_its_arguments():
    x = gc.placeholder((3, 4), "int32", name="x")
    array = np.zeros((3, 4), "int32")
    for width in [2, [2], (1, 2), [[1, 2]], [[1], [2]], np.array([[1, 2], [3, 4]])]:
        same(run(gc.pad(x, width, constant_values=5), {x: array}), np.pad(array, width, constant_values=5))
    for width in [(1, 2, 3), ((1, 2),) * 3, -1, 1.5, ((1, 2, 3), (1, 2, 3))]:
        with pytest.raises(ShapeError):
            gc.pad(x, width)
    with pytest.raises(ArgumentError, match="did you mean 'reflect'"):
        gc.pad(x, 1, "relfect")
    with pytest.raises(ShapeError, match="more than the 2 elements"):
        gc.pad(x, 3, "reflect")
    with pytest.raises(DTypeError):
        gc.pad(gc.placeholder((3,), "uint8"), 1, constant_values=300)
    check_gradient(lambda x, v: gc.pad(x, ((1, 0), (2, 1)), constant_values=v), np.ones((2, 2)), 0.5)


# creation -------------------------------------------------------------------------------------------------


def test_fillings():
    for dtype in ("float32", "int8", "bool", "uint64"):
        same(run(gc.zeros((2, 3), dtype)), np.zeros((2, 3), dtype))
        same(run(gc.ones((), dtype)), np.ones((), dtype))
    same(run(gc.full((2,), 7)), np.full(2, 7))
    same(run(gc.full((2, 3), np.float32([1, 2, 3]))), np.full((2, 3), np.float32([1, 2, 3])))
    x = gc.placeholder(("n", 2), "int32", name="x")
    for function, numpys in ((gc.zeros_like, np.zeros_like), (gc.ones_like, np.ones_like)):
        for n in (0, 1, 3):
            array = np.zeros((n, 2), "int32")
            same(run([function(x), x], {x: array})[0], numpys(array))
            same(run([function(x, "float32"), x], {x: array})[0], numpys(array, "float32"))
    with pytest.raises(DTypeError):
        gc.full((2,), 300, "uint8")
    with pytest.raises(ShapeError):
        gc.zeros((-1,))
    with pytest.raises(ShapeError):
        gc.zeros((1.5,))


@pytest.mark.parametrize(
    "args",
    [
        (5,),
        (0,),
        (-3,),
        (2, 9),
        (9, 2),
        (2, 9, 3),
        (9, 2, -2),
        (0.0, 1.0, 0.1),
        (1.0, 2.0, 0.3),
        (5.0,),
        (1, 2, 0.25),
        (0, 10, 3.5),
        (-1.0, -2.0, -0.3),
    ],
    ids=str,
)
def test_arange_is_numpys(args):
    same(run(gc.arange(*args)), np.arange(*args))
    same(run(gc.arange(*args, dtype="float32")), np.arange(*args, dtype="float32"))


def test_symbolic_arange():
    x = gc.placeholder(("n",), name="x")
    n = x.shape[0]
    for size in (0, 1, 2, 7):
        for symbolic, numbers in (
            ((n,), (size,)),
            ((2, n), (2, size)),
            ((n, 10), (size, 10)),
            ((0, n, 3), (0, size, 3)),
            ((n, 0, -2), (size, 0, -2)),
            ((n, 1, -3), (size, 1, -3)),
            ((n, n * 2), (size, 2 * size)),
        ):
            same(run([gc.arange(*symbolic), x], {x: np.zeros(size)})[0], np.arange(*numbers))
    for wrong in [(0, 5, 0), ("a",), (0, n, 0.5), (0.5, n)]:
        with pytest.raises(ArgumentError):
            gc.arange(*wrong)


def test_linspace():
    for args in [(0, 1, 5), (2.0, 3.0, 1), (0, 1, 0), (1, -1, 7), (0, 10, 50)]:
        for endpoint in (True, False):
            same(run(gc.linspace(*args, endpoint=endpoint)), np.linspace(*args, endpoint=endpoint))
    same(run(gc.linspace(0, 5, 4, dtype="int64")), np.linspace(0, 5, 4, dtype="int64"))
    start, x = gc.placeholder((), "float64", name="start"), gc.placeholder(("n",), name="x")
    y = gc.linspace(start, 0.3, x.shape[0])
    for n in (0, 1, 2, 7):
        for endpoint in (True, False):
            y = gc.linspace(start, 0.3, x.shape[0], endpoint)
            same(run([y, x], {start: 0.1, x: np.zeros(n)})[0], np.linspace(0.1, 0.3, n, endpoint))
    check_gradient(lambda a, b: gc.linspace(a, b, 5), 0.5, 2.0)


def test_matrices():
    for args in [(3,), (2, 4), (4, 2), (0, 3), (3, 3, 1), (3, 4, -2), (2, 2, 5)]:
        same(run(gc.eye(*args)), np.eye(*args))
        same(run(gc.eye(*args, dtype="int8")), np.eye(*args, dtype="int8"))
    array = RNG(2).standard_normal((2, 3, 4))
    x, s = (
        gc.placeholder(array.shape, "float64", name="x"),
        gc.placeholder(("a", "b", "c"), "float64", name="x"),
    )
    for k in (-2, -1, 0, 1, 4):
        same(run(gc.tril(x, k), {x: array}), np.tril(array, k))
        same(run(gc.triu(s, k), {s: array}), np.triu(array, k))
    check_gradient(lambda x: gc.tril(x) + gc.triu(x, 1) * 2, array)
    with pytest.raises(ShapeError):
        gc.tril(gc.zeros(3))


def test_one_hot():
    x = gc.placeholder(("n",), "int32", name="x")
    same(run(gc.one_hot(x, 3), {x: [0, 2, 5, -1]}), np.float32([[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]))
    same(run(gc.one_hot(x, 3, axis=0, dtype="bool"), {x: [0, 2]}), np.array([[1, 0], [0, 0], [0, 1]], bool))
    same(run(gc.one_hot(x, 3), {x: []}), np.zeros((0, 3), "float32"))
    with pytest.raises(DTypeError):
        gc.one_hot(gc.zeros(3), 3)


@pytest.mark.parametrize("indexing", ["xy", "ij"])
def test_meshgrid(indexing):
    arrays = [np.arange(3), np.arange(2.0), np.int32(4)]
    for count in (0, 1, 2, 3):
        found = gc.meshgrid(*arrays[:count], indexing=indexing)
        for f, w in zip(run(found) if found else [], np.meshgrid(*arrays[:count], indexing=indexing)):
            same(f, w)


def test_runtime_errors_of_sizes():
    x = gc.placeholder(("n",), name="x")
    with pytest.raises(ShapeError, match="negative"):
        evaluate(close("f", [x], [gc.pad(x, ((0, x.shape[0] - 2),))]), [np.zeros(1, np.float32)])
