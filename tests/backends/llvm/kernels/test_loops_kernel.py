"""Loop nests, compiled: reductions, movement, gathers, broadcasts and spills, over many shapes and machines."""

import itertools

import numpy as np
import pytest
from harness import Failure, assert_same_bits, values
from nests import Nests, body, check_all, small, targets

import graphc as gc
from graphc.backends.llvm.kernels import loop_shape, loop_values, loops
from graphc.backends.llvm.kernels.loop_shape import reads_in_place
from graphc.ir.build import apply
from graphc.ir.evaluate import evaluate
from graphc.ir.opdef import OPS
from graphc.ir.types import ALL_DTYPES, DTYPES

RNG = np.random.default_rng
#: More elements than are summed without an intermediate result.
LONG = 4200
#: Extents of an axis by rank: none, one, odd, more than a vector, and for few axes more than a block.
EXTENTS = {1: (0, 1, 2, 7, 33, 300, LONG), 2: (0, 1, 3, 33, 130), 3: (0, 1, 3, 9, 34), 4: (1, 2, 5)}


def subsets(rank):
    return [axes for count in range(rank + 1) for axes in itertools.combinations(range(rank), count)]


def shapes_of(rank, count, seed=0):
    """Shapes of a rank: all if they are few, else the first, the last and random ones."""
    found = list(itertools.product(EXTENTS.get(rank, ()), repeat=rank))
    if len(found) > count:
        chosen = RNG(seed).choice(len(found) - 2, count - 2, replace=False)
        found = [found[0], *(found[i + 1] for i in chosen), found[-1]]
    if rank == 2:
        found += [(2, LONG), (LONG, 2)]
    return found


def symbolic(rank, dtype="float32", letter="n"):
    return gc.placeholder([f"{letter}{i}" for i in range(rank)], dtype)


# ---- reductions --------------------------------------------------------------------------------------------


def reductions(rank, axes, keepdims):
    """A body that folds operands of several dtypes over the same axes."""
    x, k = symbolic(rank), symbolic(rank, "int16")
    return body(*(
        apply(OPS[op], operand, axis=axes, keepdims=keepdims)
        for op, operand in (
            ("sum", x), ("max", x), ("sum", gc.astype(k, "int64")), ("min", k), ("prod", k),
            ("any", x > 2), ("all", gc.astype(k, "float64") < x),
        )
    ))  # fmt: skip


@pytest.mark.parametrize("target", targets().items(), ids=lambda item: item[0])
def test_every_combination_of_folded_axes(target):
    bodies = [
        (rank, reductions(rank, axes, keepdims))
        for rank in range(1, 5)
        for axes in subsets(rank)[1:]
        for keepdims in (False, True)
        if not keepdims or rank == 3
    ]
    nests = Nests([b for _, b in bodies], target[1])
    for number, (rank, _) in enumerate(bodies):
        for seed, shape in enumerate(shapes_of(rank, 7, number)):
            rng = RNG(seed)
            nests.check(number, [small(rng, shape, "float32"), small(rng, shape, "int16")], parts=1 + seed % 3)


def test_folding_axes_of_known_extents():
    bodies, feeds = [], []
    for shape in [(1,), (7,), (1, 5), (5, 1), (1, 1, 1), (3, 1, 4), (1, 40, 1), (2, 1, 3, 1), (0, 3), (3, 0)]:
        for axes in subsets(len(shape))[1:]:
            x = gc.placeholder(shape, "float64")
            bodies.append(body(gc.sum(x * 2, axis=axes), gc.sum(x + 1, axis=axes, keepdims=True)))
            feeds.append([small(RNG(1), shape, "float64")])
    check_all(bodies, feeds)


@pytest.mark.parametrize("op", ["sum", "prod", "max", "min", "all", "any"])
def test_every_dtype_is_folded(op):
    accepted = [d for d in ALL_DTYPES if (d.kind == "b") == (op in ("all", "any"))]
    bodies, feeds = [], []
    for dtype, axis in itertools.product(accepted, (0, 1)):
        bodies.append(body(apply(OPS[op], symbolic(2, dtype), axis=(axis,), keepdims=False)))
        # Products of 1 and -1: exact in any order, and none is 0.
        signs = RNG(2).choice([-1, 1], (37, 45)).astype(dtype)
        feeds.append([signs if op == "prod" else small(RNG(2), (37, 45), dtype)])
    check_all(bodies, feeds)


def test_extremes_of_special_values():
    bodies, feeds = [], []
    for dtype, axis, op in itertools.product((DTYPES["f32"], DTYPES["f64"], DTYPES["i8"]), (0, 1), (gc.max, gc.min)):
        x = values(RNG(3), (70, 9), dtype, few=True)
        x[:, ::2][x[:, ::2] == 0] = 0  # one zero's sign only: which of +0.0 and -0.0 wins is left open
        x += dtype.type(0)
        bodies.append(body(op(symbolic(2, dtype), axis=axis)))
        feeds.append([x])
    check_all(bodies, feeds)


def test_sums_of_infinities_and_nan():
    nests = Nests([body(gc.sum(symbolic(1))), body(gc.sum(symbolic(2), axis=1))])
    inf, nan = np.inf, np.nan
    for special in ([inf], [-inf], [nan], [inf, -inf], [inf, inf], [3e38, 3e38], []):
        for size in (3, 40, 2 * LONG):
            x = np.ones(size, "float32")
            x[: len(special)] = special[:size]
            nests.check(0, [np.roll(x, size // 2)])
            nests.check(1, [np.stack([x, x[::-1]])])


def test_sums_of_nothing_are_positive_zero():
    nests = Nests([body(gc.sum(symbolic(2), axis=1)), body(gc.sum(symbolic(2), axis=0))])
    for number in (0, 1):
        for shape in ((0, 4), (4, 0), (3, 3)):
            nests.check(number, [np.full(shape, -0.0, "float32")])


# ---- several stages, spills, results at all loops ----------------------------------------------------------


def normal_forms(rank, axes, dtype):
    """Bodies whose results need the reductions of other reductions, and are as large as the operand."""
    x = symbolic(rank, dtype)
    largest = gc.max(x, axis=axes, keepdims=True)
    powers = gc.exp(x - largest)
    total = gc.sum(powers, axis=axes, keepdims=True)
    centred = x - gc.sum(x, axis=axes, keepdims=True)
    squares = gc.sum(centred * centred, axis=axes)
    yield body(powers / total)
    yield body(powers / total, gc.sum(powers, axis=axes), x * 2)
    yield body(powers, gc.log(gc.sum(powers, axis=axes)), powers * total)
    yield body(squares, centred)
    yield body(squares)
    yield body(largest - total, gc.sum(gc.exp(powers - total), axis=axes))


@pytest.mark.parametrize("target", targets().items(), ids=lambda item: item[0])
def test_results_of_several_stages(target):
    bodies = [
        (rank, b)
        for rank, dtype in ((1, "float32"), (2, "float32"), (2, "float64"), (3, "float32"))
        for axes in subsets(rank)[1:]
        for b in normal_forms(rank, axes, dtype)
    ]
    nests = Nests([b for _, b in bodies], target[1])
    for number, (rank, of) in enumerate(bodies):
        for seed, shape in enumerate(shapes_of(rank, 5, number)):
            dtype = of.inputs[0].dtype
            rtol = 1e-5 if dtype == np.float32 else 1e-13
            nests.check(number, [small(RNG(seed), shape, dtype)], rtol=rtol, parts=1 + seed % 3)


def test_a_spilled_value_of_another_dtype_stays_where_it_is():
    x = symbolic(2)
    powers = gc.exp(x - gc.max(x, axis=1, keepdims=True))
    of = body(gc.astype(powers / gc.sum(powers, axis=1, keepdims=True), "float64"))
    Nests([of]).check(0, [small(RNG(1), (5, 70), "float32")], rtol=1e-6)


# ---- movement ----------------------------------------------------------------------------------------------

STEPS = [(0, 1), (2, 1), (1, 2), (0, 3), (-1, -1), (-2, -1), (-1, -2), (-3, -3)]


def moved(shape, axis, start, step):
    """A slice along one axis, of a size that fits."""
    extent = shape[axis]
    first = start % extent
    size = (extent - first - 1) // step + 1 if step > 0 else first // -step + 1
    starts, sizes, steps = [0] * len(shape), list(shape), [1] * len(shape)
    starts[axis], sizes[axis], steps[axis] = first, size, step
    return {"start": tuple(starts), "size": tuple(sizes), "step": tuple(steps)}


def test_slices_along_every_axis():
    bodies, feeds = [], []
    for shape in ((5,), (70,), (6, 5), (5, 70), (4, 5, 6), (3, 4, 40)):
        for axis, (start, step) in itertools.product(range(len(shape)), STEPS):
            for dtype in ("float32", "int8"):
                x = gc.placeholder(shape, dtype)
                part = apply(OPS["slice"], x, **moved(shape, axis, start, step))
                y = gc.placeholder(part.shape, dtype)
                bodies.append(body(part, part + y))
                feeds.append([small(RNG(4), s, dtype) for s in (shape, part.shape)])
    check_all(bodies, feeds)


def test_slices_of_slices_folded_and_permuted():
    bodies, feeds = [], []
    x = symbolic(3)
    for order in itertools.permutations(range(3)):
        permuted = gc.permute_dims(x, order)
        sliced = permuted[::-1, 1:, ::2]
        again = gc.permute_dims(sliced, order)[:, ::-1]
        for result in (sliced * 2, again, gc.sum(sliced, axis=2), gc.sum(again, axis=0), gc.max(again, axis=(0, 2))):
            bodies.append(body(result))
            feeds.append([small(RNG(5), (4, 35, 5), "float32")])
    check_all(bodies, feeds)


def test_permutations():
    bodies, feeds = [], []
    for rank in (2, 3, 4):
        for order in itertools.permutations(range(rank)):
            shape = (35, 3, 4, 2)[:rank]
            for dtype in ("float32", "bool", "int64"):
                x = gc.placeholder(shape, dtype)
                y = gc.placeholder([shape[i] for i in order], dtype)
                z = gc.permute_dims(x, order)
                bodies.append(body(gc.where(gc.equal(z, y), z, y)))
                feeds.append([small(RNG(6), t.shape, dtype) for t in (x, y)])
    check_all(bodies, feeds)


def test_one_operand_at_two_positions():
    x = gc.placeholder(("n", "n"))
    bodies = [
        body(x + x.T), body(x[::-1] - x[:, ::-1]), body(gc.sum(x * x.T, axis=1)),
        body(gc.sum(x * x.T, axis=0)), body(x + gc.sum(x.T, axis=0)), body(gc.sum(x - x[0], axis=1), gc.sum(x, axis=1)),
    ]  # fmt: skip
    nests = Nests(bodies)
    for number, n in itertools.product(range(len(bodies)), (1, 2, 9, 40)):
        nests.check(number, [small(RNG(n), (n, n), "float32")])


def test_empty_slices_read_nothing():
    x = gc.placeholder(("n", 6))
    bodies = [body(x[3:] * 2), body(gc.sum(x[3:], axis=0)), body(x[:0, ::-1] + 1), body(gc.sum(x[5:, 1:], axis=1))]
    nests = Nests(bodies)
    for number, n in itertools.product(range(len(bodies)), (0, 1, 3, 7)):
        nests.check(number, [small(RNG(n), (n, 6), "float32")])


# ---- broadcasts, dtypes, sources ---------------------------------------------------------------------------


def test_broadcasts():
    bodies, feeds = [], []
    shapes = [(), (1,), (40,), (3, 1), (1, 40), (3, 40), (2, 1, 1), (2, 3, 1), (2, 1, 40), (1, 1, 1), (2, 3, 40)]
    for one, two in itertools.product(shapes, shapes):
        x, y = gc.placeholder(one, "float32"), gc.placeholder(two, "float32")
        bodies.append(body(x - y))
        feeds.append([small(RNG(7), s, "float32") for s in (one, two)])
    x = gc.placeholder((3, 1), "float32")
    bodies.append(body(gc.broadcast_to(x, (2, 3, 40)) + 1))
    feeds.append([small(RNG(8), (3, 1), "float32")])
    check_all(bodies, feeds)


def test_mixed_dtypes():
    bodies, feeds = [], []
    for one, two in itertools.product(ALL_DTYPES, ALL_DTYPES):
        x, y = symbolic(1, one), symbolic(1, two)
        bodies.append(body(gc.astype(x, two), gc.where(gc.astype(y, "bool"), x, gc.zeros_like(x))))
        feeds.append([small(RNG(9), (139,), d) for d in (one, two)])
    check_all(bodies, feeds)


def test_positions_as_values():
    x = gc.placeholder(("n", 7), "float32")
    n = x.shape[0]
    rows, columns = gc.expand_dims(gc.arange(n), 1), apply(OPS["iota"], size=7, dtype=DTYPES["i64"])
    bodies = [
        body(x + gc.astype(rows * 7 + columns, "float32")),
        body(gc.sum(gc.where(rows >= columns, x, gc.zeros_like(x)), axis=0)),
        body(gc.sum(gc.where(gc.equal(rows, columns), x, gc.zeros_like(x)))),
        body((rows - columns)[::-1] + gc.astype(x, "int64")),
    ]
    nests = Nests(bodies)
    for number, n in itertools.product(range(len(bodies)), (0, 1, 5, 40)):
        nests.check(number, [small(RNG(n), (n, 7), "float32")])


def test_sizes_as_values():
    x = gc.placeholder(("n", "m"))
    n, m = x.shape
    means = gc.mean(x, axis=1)
    halves = x[n // 2 :] * gc.astype(apply(OPS["dim"], size=n * m - 1), "float32")
    nests = Nests([body(means), body(halves), body(x[: n - n // 3, ::2])])
    for shape in ((1, 1), (2, 3), (9, 40)):
        for number in range(3):
            nests.check(number, [small(RNG(1), shape, "float32")])


# ---- gathers -----------------------------------------------------------------------------------------------


def gathers(dtype, index):
    """Bodies with a gather, and the shapes of their operands; positions may be -4 .. 3."""
    x, i = gc.placeholder(("n", 4), dtype), gc.placeholder(("k",), index)
    yield body(gc.take(x, i, axis=1)), ((5, 4), (37,))
    x, i = gc.placeholder((4, "m"), dtype), gc.placeholder(("k",), index)
    yield body(gc.take(x, i, axis=0)), ((4, 37), (5,))
    yield body(gc.take(x[:, ::-1], i, axis=0)), ((4, 37), (5,))
    yield body(gc.sum(gc.take(x, i, axis=0), axis=1)), ((4, 37), (5,))
    x, i = gc.placeholder((4, "m"), dtype), gc.placeholder(("k", 1, "l"), index)
    yield body(gc.take(x, i, axis=0)), ((4, 3), (2, 1, 5))
    x, i = gc.placeholder(("n", 4), dtype), gc.placeholder(("n", "k"), index)
    yield body(gc.take_along_axis(x, i, axis=1)), ((3, 4), (3, 35))
    x, i = gc.placeholder((4, "m"), dtype), gc.placeholder(("k", "m"), index)
    yield body(gc.take_along_axis(x, i, axis=0)), ((4, 35), (3, 35))
    x, i, j = gc.placeholder((4, 4, "m"), dtype), gc.placeholder(("k",), index), gc.placeholder(("l", 1), index)
    yield body(apply(OPS["gather"], x, i, j)), ((4, 4, 3), (5,), (2, 1))
    x, i, j = gc.placeholder((4, 4), dtype), gc.placeholder((), index), gc.placeholder(("l",), index)
    yield body(apply(OPS["gather"], x, i, j)), ((4, 4), (), (35,))


@pytest.mark.parametrize("target", targets().items(), ids=lambda item: item[0])
def test_gathers(target):
    bodies, feeds = [], []
    for dtype, index in (("float32", "int64"), ("int8", "int8"), ("bool", "uint8"), ("float64", "int32")):
        for of, shapes in gathers(dtype, index):
            rng = RNG(10)
            low = -4 if np.dtype(index).kind == "i" else 0
            bodies.append(of)
            feeds.append([small(rng, shapes[0], dtype), *(rng.integers(low, 4, s).astype(index) for s in shapes[1:])])
    check_all(bodies, feeds, target[1])


@pytest.mark.parametrize("target", targets().items(), ids=lambda item: item[0])
def test_an_index_out_of_bounds_is_found_in_every_lane(target):
    for dtype, index in (("float32", "int64"), ("int8", "int8"), ("int8", "uint8")):
        x, i = gc.placeholder((4,), dtype), gc.placeholder(("k",), index)
        nests = Nests([body(gc.take(x, i, axis=0))], target[1])
        array = small(RNG(1), (4,), dtype)
        for size in (1, 7, 33, 129):
            for place, wrong in itertools.product({0, 1, size // 2, size - 2, size - 1}, (4, -5, 127)):
                if not 0 <= place < size or np.dtype(index).kind == "u" and wrong < 0:
                    continue
                indices = RNG(2).integers(0, 4, size).astype(index)
                indices[place] = wrong
                indices[place + 1 :] = 99  # the first that is wrong is the one to name
                with pytest.raises(Failure) as caught:
                    nests.run(0, [array, indices])
                assert caught.value.args[1:] == (wrong, 4)
            good = RNG(3).integers(0, 4, size).astype(index)
            assert_same_bits(nests.run(0, [array, good])[0], array[good])


def test_the_site_names_op_and_axis():
    x = gc.placeholder((4, 6), "float32")
    i, j = gc.placeholder(("k",), "int64"), gc.placeholder(("k",), "int64")
    of = body(apply(OPS["gather"], x, i, j))
    nests = Nests([of])
    array = small(RNG(1), (4, 6), "float32")
    for indices, axis, extent in (([[0, 4], [0, 0]], 0, 4), ([[0, 0], [0, 6]], 1, 6)):
        with pytest.raises(Failure) as caught:
            nests.run(0, [array, *np.array(indices)])
        site = nests.kernels[0].sites[caught.value.args[0]]
        assert (site.tensor, site.axis, caught.value.args[2]) == (of.outputs[0], axis, extent)


def test_an_index_is_checked_just_where_the_index_tensor_has_elements():
    """As the interpreter does: also where nothing is read at the index, and not where it is only broadcast."""
    x, i, j = gc.placeholder(("n", "m")), gc.placeholder(("k",), "int64"), gc.placeholder((), "int64")
    taken = gc.take(x, i, axis=0)
    along = gc.take_along_axis(x, gc.broadcast_to(j, (2, x.shape[1])), axis=0)
    results = (taken, gc.sum(taken, axis=1), gc.take(x, i, axis=1), gc.take(x, j, axis=0), along)
    nests = Nests([body(result) for result in results])
    for number, shape, indices in itertools.product(range(5), ((0, 3), (3, 0), (0, 0), (2, 2)), ([], [0, 1], [7, 0])):
        if number >= 3:
            indices = indices[0] if indices else -1
        feeds = [np.ones(shape, "float32"), np.array(indices, "int64")]
        try:
            expected = evaluate(nests.bodies[number], feeds)
        except gc.errors.IndexOutOfBoundsError:
            with pytest.raises(Failure):
                nests.run(number, feeds)
        else:
            assert_same_bits(nests.run(number, feeds)[0], expected[0])


# ---- parts, order, sharing ---------------------------------------------------------------------------------


def test_parts_give_the_bits_of_the_whole():
    x = symbolic(2)
    bodies = [
        body(gc.tanh(x) * 3), body(gc.sum(x, axis=1)), body(gc.sum(x, axis=0)), body(gc.sum(x)),
        body(x[:, ::-1] + 1), body(x.T * 2), body(gc.sum(x, axis=0), gc.max(x, axis=0)),
    ]  # fmt: skip
    nests = Nests(bodies)
    for number, shape in itertools.product(range(len(bodies)), ((1, 1), (7, 300), (300, 7), (513, 129))):
        array = RNG(1).standard_normal(shape, "float32")
        whole = nests.run(number, [array])
        for parts in (2, 3, 16):
            for one, two in zip(whole, nests.run(number, [array], parts=parts)):
                assert_same_bits(two, one)


def test_kernels_of_other_extents_have_one_text():
    def text(*shape):
        x = gc.placeholder(shape)
        return loops.build_loops(body(gc.sum(x * 2, axis=0))).function.text("0")

    assert text(40, 500) == text(41, 533) == text("n", "m")
    assert text(40, 50) == text(41, 53)  # where columns are few, the last ones matter
    assert text(40, 3) != text(40, 50)  # so few columns need fewer lanes


def test_what_may_be_overwritten_while_it_is_read():
    x, y = gc.placeholder((3, 4)), gc.placeholder((4,))
    for result, wanted in (
        (x * 2, True), (x + y, True), (x[::-1] + x, False), (x.sum(axis=0), False),
        (x + x[:1], False), (gc.expand_dims(x, 0) * 1, True),
    ):  # fmt: skip
        of = body(result)
        assert reads_in_place(of, of.inputs[of.inputs.index(x)]) == wanted
    of = body(x + y)
    assert not reads_in_place(of, y)


# ---- accuracy ----------------------------------------------------------------------------------------------


def error(found, exact):
    """The largest error in units of float32's last place."""
    spacing = np.spacing(np.abs(exact).astype("float32")).astype("float64")
    return float(np.max(np.abs(found.astype("float64") - exact) / spacing))


def test_long_sums_are_as_accurate_as_pairwise_ones():
    x, y = symbolic(2), gc.placeholder(("n1",))
    bodies = [
        body(gc.sum(x)), body(gc.sum(x * y)), body(gc.sum(x, axis=1)), body(gc.sum(x * x, axis=(0, 1))),
        body(gc.mean(x)), body(gc.var(x, axis=1)), body(gc.var(x)),
    ]  # fmt: skip
    nests = Nests(bodies, opt=2)
    for shape in ((1, 1_000_000), (1000, 1000), (300_000, 3)):
        array, row = RNG(1).random(shape, "float32"), RNG(2).random(shape[1:], "float32")
        for number, of in enumerate(bodies):
            feeds = [array, row][: len(of.inputs)]
            (exact,) = evaluate(widened(of), [f.astype("float64") for f in feeds])
            (numpy,) = evaluate(of, feeds)
            (found,) = nests.run(number, feeds)
            assert error(found, exact) <= max(2 * error(numpy, exact), 1.5), (shape, number)


def test_sums_of_columns_are_as_accurate_as_numpys():
    nests = Nests([body(gc.sum(symbolic(2), axis=0))], opt=2)
    for shape in ((300_000, 3), (10_000, 100)):
        array = RNG(1).random(shape, "float32")
        (found,) = nests.run(0, [array])
        exact = array.sum(axis=0, dtype="float64")
        assert error(found, exact) <= 2 * error(array.sum(axis=0), exact)


def widened(of):
    """The body in float64."""
    new = {}
    for tensor in of.tensors:
        if tensor.op.name == "placeholder":
            new[tensor] = gc.placeholder(tensor.shape, "float64")
        elif tensor.op.name == "const":
            new[tensor] = gc.constant(tensor.attrs["value"].astype("float64"))
        else:
            attrs = {k: DTYPES["f64"] if v == DTYPES["f32"] else v for k, v in tensor.attrs.items()}
            new[tensor] = apply(tensor.op, *(new[i] for i in tensor.inputs), **attrs)
    return body(*(new[t] for t in of.outputs))


# ---- random bodies -----------------------------------------------------------------------------------------


def random_function(rng):
    """A graph of ops that nests know, symbolic or not, with its feeds; of no elements, some steps fail."""
    sizes = {"n": int(rng.choice([0, 1, 2, 9, 33])), "m": int(rng.choice([1, 3, 8, 40])), "k": int(rng.choice([2, 16]))}
    known = rng.random() < 0.5
    feeds = {}

    def leaf(dtype=None):
        names = [str(rng.choice(["1", *sizes])) for _ in range(rng.integers(0, 4))]
        shape = [1 if name == "1" else sizes[name] for name in names]
        dtype = dtype or str(rng.choice(["float32", "float32", "float64", "int32", "int8", "bool"]))
        tensor = gc.placeholder([1 if a == "1" else s if known else a for a, s in zip(names, shape)], dtype)
        feeds[tensor] = small(rng, shape, dtype)
        return tensor

    pool = [leaf(), leaf()]
    choices = {
        "binary": lambda x: BINARY[rng.integers(4)](x, pool[rng.integers(len(pool))]),
        "permute": lambda x: gc.permute_dims(x, [int(a) for a in rng.permutation(x.ndim)]),
        "slice": lambda x: x[(slice(None),) * int(rng.integers(x.ndim)) + (SLICES[rng.integers(len(SLICES))],)],
        "sum": lambda x: gc.sum(x, axis=axes(x), keepdims=bool(rng.random() < 0.4)),
        "max": lambda x: gc.max(x, axis=axes(x), keepdims=bool(rng.random() < 0.4)),
        "take": lambda x: gc.take(x, gc.minimum(gc.abs(leaf("int8")), 0), axis=int(rng.integers(x.ndim))),
        "along": lambda x: gc.take_along_axis(x, gc.astype(x, "int32") % 1, axis=int(rng.integers(x.ndim))),
        "unary": lambda x: gc.abs(x * 2),
        "expand": lambda x: gc.expand_dims(x, int(rng.integers(x.ndim + 1))),
        "count": lambda x: x + gc.arange(x.shape[-1]),
    }

    def axes(x):
        return tuple(sorted(int(a) for a in rng.choice(x.ndim, rng.integers(1, x.ndim + 1), replace=False)))

    for _ in range(rng.integers(3, 12)):
        x = pool[rng.integers(max(0, len(pool) - 4), len(pool))]
        if x.ndim:
            try:
                pool.append(choices[str(rng.choice(list(choices)))](x))
            except gc.errors.GraphcError:
                continue  # shapes that do not broadcast, a slice of nothing folded by max
    return feeds, [t for t in pool[2:-1] if rng.random() < 0.2] + pool[-1:]


BINARY = (gc.add, gc.multiply, gc.maximum, gc.less)
SLICES = (slice(None, None, -1), slice(1, None), slice(None, None, 2), slice(None, -1), slice(-1, None, -2), 0)


@pytest.mark.parametrize("seed", range(4))
def test_random_bodies(seed):
    """What fusion makes of random graphs."""
    rng = RNG(seed)
    for _ in range(15):
        feeds, outputs = random_function(rng)
        inputs, arrays = list(feeds), list(feeds.values())
        expected = gc.function(inputs, outputs, backend="numpy", skip=("fuse",))
        found = gc.function(inputs, outputs, backend="llvm")
        try:
            wanted = expected(*arrays)
        except gc.errors.GraphcError as refusal:
            with pytest.raises(type(refusal)):
                found(*arrays)
            continue
        for one, two in zip(found(*arrays), wanted):
            assert_same_bits(one + 0, two + 0)  # of zeros that a maximum meets, either may win


@pytest.mark.parametrize("axis", [0, 1, (0, 1)])
@pytest.mark.parametrize("target", targets().items(), ids=lambda item: item[0])
def test_results_are_stored_in_the_sweep_that_they_need(axis, target):
    """One that no sum is needed for, one between two sums, one after both: rows and columns, with and without tails."""
    for shape in ((7, 37), (64, 64), (3, 9), (0, 5)):
        for x in (symbolic(2), gc.placeholder(shape)):
            e = gc.exp(x)
            total = gc.sum(e, axis=axis, keepdims=True)
            part = e - total
            square = gc.sum(part * part, axis=axis, keepdims=True)
            graph = body(gc.sum(x * e, axis=axis), e * 2, part * x, e / gc.sqrt(square), square)
            Nests([graph], target[1]).check(0, [small(RNG(2), shape, "float32") / 4], rtol=1e-4)


# ---- planted bugs ------------------------------------------------------------------------------------------


def check_sums():
    """The lanes beyond the end may hold zeros by chance: what is summed is not 0 there."""
    check_all([body(gc.sum(symbolic(2) + 1, axis=1))], [[np.ones((3, 37), "float32")]])


def check_softmax():
    powers = gc.exp(symbolic(2) * 2)
    Nests([body(powers / gc.sum(powers, axis=1, keepdims=True))]).check(0, [np.ones((3, 37), "float32")], rtol=1e-5)


def check_two_sweeps():
    x = symbolic(2)
    total = gc.sum(x, axis=1, keepdims=True)
    Nests([body(total, x * 2, x - total)]).check(0, [small(RNG(1), (3, 37), "float32")], rtol=1e-5)


def check_gather_bounds():
    x, i = gc.placeholder((4,)), gc.placeholder(("k",), "int64")
    with pytest.raises(Failure):
        Nests([body(gc.take(x, i, axis=0))]).run(0, [np.ones(4, "float32"), np.array([4])], wall="before")


def check_reversed():
    check_all([body(symbolic(1)[::-1] * 2)], [[np.arange(37, dtype="float32")]])


def check_row_addresses():
    check_all([body(gc.sum(symbolic(3), axis=1))], [[small(RNG(1), (3, 4, 37), "float32")]])


def check_two_positions():
    x = gc.placeholder(("n", "n"))
    check_all([body(x + x.T)], [[small(RNG(1), (5, 5), "float32")]])


def check_parts():
    Nests([body(symbolic(1) * 2)]).check(0, [np.arange(700, dtype="float32")], parts=3)


def last_only(shape, number):
    return [t for t in shape.full if shape.depth[t] == number == len(shape.stages)]


PLANTED = {
    "the tail's lanes are not masked": (
        check_sums, lambda p: p.setattr(loops.LoopKernel, "_masked", lambda self, reduction, element: element)
    ),
    "a spilled value is not stored": (
        check_softmax, lambda p: p.setattr(loops.LoopKernel, "_store_new_spills", lambda self, number: None)
    ),
    "what needs no sum is not stored in its sweep": (
        check_two_sweeps, lambda p: p.setattr(loop_shape.LoopShape, "stored_with", last_only)
    ),
    "no index is checked": (
        check_gather_bounds, lambda p: p.setattr(loop_values.Values, "_leave_if", lambda *arguments: None)
    ),
    "no index is checked where nothing is read": (
        test_an_index_is_checked_just_where_the_index_tensor_has_elements,
        lambda p: p.setattr(loops, "check_without_turns", lambda nest, values: None),
    ),
    "an index that is only broadcast is checked too early": (
        test_an_index_is_checked_just_where_the_index_tensor_has_elements,
        lambda p: p.setattr(loop_values.Values, "_level", lambda self, position: 0),
    ),
    "a reversed slice starts one element late": (
        check_reversed,
        lambda p: p.setattr(loop_values.Values, "_load_reversed", shifted(loop_values.Values._load_reversed)),
    ),
    "loops are merged that one operand runs over in another order": (
        check_two_positions, lambda p: p.setattr(loop_shape, "_adjacent", lambda *arguments: True)
    ),
    "a row is written where the first one is": (
        check_row_addresses,
        lambda p: p.setattr(loop_values.Values, "address_at", lambda self, array, at: array.pointer),
    ),
    "what rounding loses is dropped": (
        test_long_sums_are_as_accurate_as_pairwise_ones,
        lambda p: p.setattr(loops, "_rounds", lambda reduction: False),
    ),
    "every part leaves out its last turn": (
        check_parts, lambda p: p.setattr(loops.LoopKernel, "_span", shortened(loops.LoopKernel._span))
    ),
}  # fmt: skip


def shifted(load):
    def planted(self, array, offset):
        late = self.frames.compute(lambda o: self.b.add(o, -1), offset)
        return load(self, array, late)

    return planted


def shortened(span):
    return lambda self, group: self.b.sub(span(self, group), 1)


@pytest.mark.parametrize("name", PLANTED)
def test_planted_bugs_are_caught(monkeypatch, name):
    check, plant = PLANTED[name]
    if not name.startswith(("no index is checked where", "an index that", "what rounding")):
        check()
    plant(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception, Failure)):
        check()
