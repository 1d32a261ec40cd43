"""Loop nests: where tensors are read, what one nest can compute, and why not."""

import itertools

import numpy as np
import pytest

import graphc as gc
from graphc.analysis import loops
from graphc.analysis.loops import LoopDim, Mapped, Nest, folds, fusible, index_operand, operand_positions
from graphc.errors import InternalError
from graphc.ir.build import apply
from graphc.ir.evaluate import evaluate_tensor
from graphc.ir.graph import topological_order
from graphc.ir.opdef import OPS
from graphc.ir.types import DTYPES


def members_of(*results):
    return [t for t in topological_order(results) if t.op.name != "placeholder"]


def nest_of(*results):
    return Nest.fitted(results, members_of(*results))


def extents(dims):
    return [d.extent for d in dims]


# ---- positions ---------------------------------------------------------------------------------------------


def element(array, position, turn):
    """The element that a position means in one turn of the loops; the definition that the rules must meet."""
    index = tuple(number(entry, turn) for entry in position)
    return array[index]


def number(entry, turn):
    if entry is None:
        return 0
    if isinstance(entry, LoopDim):
        return turn[entry]
    via = entry.via
    if via.op.name == "slice":
        return via.attrs["start"][entry.axis] + via.attrs["step"][entry.axis] * number(entry.entries[0], turn)
    indices, position = index_operand(entry)
    return int(element(indices.attrs["value"], position, turn))


def const(shape, dtype="float64", top=None, seed=0):
    count = int(np.prod(shape))
    values = np.arange(count) if top is None else np.random.default_rng(seed).integers(-top, top, count)
    return gc.constant(values.reshape(shape).astype(dtype))


def moves():
    x = const((3, 4, 5))
    one = const((3, 1, 5))
    yield gc.permute_dims(x, (2, 0, 1))
    yield gc.permute_dims(one, (1, 2, 0))
    yield apply(OPS["slice"], x, start=(2, 1, 0), size=(2, 2, 5), step=(-1, 2, 1))
    yield apply(OPS["slice"], x, start=(2, 3, 4), size=(3, 1, 1), step=(-1, 1, 1))
    yield apply(OPS["reshape"], one, shape=(1, 3, 5, 1))
    yield apply(OPS["reshape"], one, shape=(3, 5))
    yield apply(OPS["broadcast_to"], one, shape=(2, 3, 4, 5))
    yield apply(OPS["take"], x, const((2, 2), "int64", 3), axis=0)
    yield apply(OPS["take"], x, const((), "int64"), axis=2)
    yield apply(OPS["take"], x, const((1, 3), "int64", 4), axis=1)
    yield apply(OPS["take_along_axis"], x, const((3, 2, 5), "int64", 4), axis=1)
    yield apply(OPS["take_along_axis"], x, const((2, 4, 1), "int64", 3), axis=0)
    yield apply(OPS["gather"], x, const((2, 1), "int64", 3), const((4,), "int64", 4))
    yield apply(OPS["gather"], x, const((2,), "int64", 3), const((2,), "int64", 4), const((), "int64"))
    yield apply(OPS["sum"], const((3, 1, 5)), axis=(1,), keepdims=True)


@pytest.mark.parametrize("tensor", list(moves()), ids=lambda t: f"{t.op.name}{t.shape}")
def test_positions_are_where_the_op_reads(tensor):
    operands = [t.attrs["value"] for t in tensor.inputs]
    expected = evaluate_tensor(tensor, operands, {})
    dims = [None if size == 1 else LoopDim(size) for size in tensor.shape]
    positions = operand_positions(tensor, tuple(dims), ())
    assert [len(p) for p in positions] == [t.ndim for t in tensor.inputs]
    loops_ = [d for d in dims if d is not None]
    for counts in itertools.product(*(range(d.extent) for d in loops_)):
        turn = dict(zip(loops_, counts))
        assert element(operands[0], positions[0], turn) == element(expected, tuple(dims), turn)


def test_broadcast_operands_stand_at_the_last_axes():
    x, y = gc.placeholder((3, 1, "n")), gc.placeholder((5, 1))
    i, j, k = LoopDim(3), LoopDim(5), LoopDim(x.shape[2])
    assert operand_positions(x + y, (i, j, k), ()) == [(i, None, k), (j, None)]


def test_a_fold_reads_its_loops_in_place_of_the_folded_axes():
    x = gc.placeholder((2, 3, 1, 4))
    i, j, k = LoopDim(2), LoopDim(3), LoopDim(4)
    result = gc.sum(x, axis=(1, 2, 3))
    assert operand_positions(result, (i,), [j, k]) == [(i, j, None, k)]
    kept = gc.sum(x, axis=(0, 3), keepdims=True)
    assert operand_positions(kept, (None, j, None, None), [i, k]) == [(i, j, None, k)]
    assert folds(result)
    assert not folds(gc.sum(x, axis=2))


def test_a_slice_of_everything_is_read_in_place():
    x = gc.placeholder(("n", 4))
    n = x.shape[0]
    i, j = LoopDim(n), LoopDim(4)
    whole = apply(OPS["slice"], x, start=(0, 0), size=(n, 4), step=(1, 1))
    assert operand_positions(whole, (i, j), ()) == [(i, j)]
    part = apply(OPS["slice"], x, start=(0, 1), size=(n, 3), step=(1, 1))
    assert operand_positions(part, (i, j), ()) == [(i, Mapped(part, 1, (j,)))]


# ---- what is a nest ----------------------------------------------------------------------------------------


def test_fusible():
    x = gc.placeholder((3, 4), name="x")
    assert fusible(x + 1)
    assert fusible(gc.sum(x))
    assert fusible(gc.reshape(x, (3, 1, 4)))
    assert not fusible(gc.reshape(x, (4, 3)))
    assert not fusible(x)
    assert not fusible(x @ x.T)
    assert not fusible(gc.argmax(x, axis=0))
    assert not fusible(gc.print(x, "x"))
    assert fusible(gc.constant(1.0))
    assert not fusible(gc.constant([1.0, 2.0]))


def test_softmax_is_a_nest_of_rows():
    x = gc.placeholder(("n", "m"))
    largest = gc.max(x, axis=1, keepdims=True)
    powers = gc.exp(x - largest)
    total = gc.sum(powers, axis=1, keepdims=True)
    nest = nest_of(powers / total)
    assert extents(nest.dims) == [*x.shape]
    assert extents(nest.reduced) == [x.shape[1]]
    i, j = nest.dims
    assert nest.position(largest) == nest.position(total) == (i, None)
    assert nest.position(powers) == nest.position(x) == (i, j)
    assert nest.is_full(powers)
    assert not nest.is_full(total)


def test_columns_and_several_folded_axes():
    x = gc.placeholder((2, "n", 3, 1))
    nest = nest_of(x - gc.sum(x, axis=(0, 2), keepdims=True))
    assert extents(nest.dims) == [2, x.shape[1], 3]
    assert extents(nest.reduced) == [2, 3]
    assert extents(nest.kept) == [x.shape[1]]


def test_a_result_of_the_folded_shape_joins():
    x = gc.placeholder((5, 3))
    total = gc.sum(x, axis=0)
    nest = nest_of(total, gc.sqrt(total), x + total)
    assert extents(nest.kept) == [3]


def test_square_shapes_are_told_apart_by_position():
    x = gc.placeholder((4, 4))
    nest = nest_of(x + x.T)
    i, j = nest.dims
    assert set(nest.positions[x]) == {(i, j), (j, i)}
    one = nest_of(gc.sum(x, axis=0) + 1)
    assert nest_positions(one, x) == [(one.reduced[0], one.kept[0])]


def nest_positions(nest, tensor):
    return list(nest.positions[tensor])


REFUSED = [
    (lambda x: gc.sum(x[:, :5], axis=0) + gc.sum(x[:, :5], axis=1), "another order of axes"),
    (lambda x: gc.sum(x, axis=1) + gc.sum(x), "it keeps other axes than the reductions of its neighbours"),
    (lambda x: gc.sum(x, axis=1) + gc.sum(gc.exp(x)[:, ::2], axis=1), "it folds other axes"),
    (lambda x: x - gc.sum(x.T, axis=1), "its shape [5, 6] is not that of the loops ['6', '5']"),
    (lambda x: gc.sum(x, axis=1)[::-1] + 1, "a reduction's result must be read as it is"),
    (lambda x: gc.exp(x[0]) + x, "exp would be computed again for each element that it is broadcast to"),
    (lambda x: gc.exp(x)[::-1] + x, "exp would be computed more than once for an element, or through a gather"),
    (lambda x: gc.take(x, gc.astype(x[:, 0], "int64"), axis=0)[:, ::-1] * 1, "take may fail, so each of its elements"),
    (lambda x: (x * 2)[::-1] + (x * 2)[:, ::-1], None),
]


@pytest.mark.parametrize(("build", "reason"), REFUSED, ids=map(str, range(len(REFUSED))))
def test_why_there_is_no_nest(build, reason):
    found = nest_of(build(gc.placeholder((5, 6), name="x")))
    if reason is None:
        assert isinstance(found, Nest)
    else:
        assert reason in found


JOINING = [
    ((5, 6), (6, 5), 1, "it folds its operand in another order of axes"),
    ((5, 6), (7, 6), 0, "its result is not broadcast along just the axes that it folds"),
    ((5, 6), (5, 6), 0, None),
    ((5, 5), (5, 5), 1, "it folds its operand in another order of axes"),
]


@pytest.mark.parametrize(("shape", "other", "axis", "reason"), JOINING, ids=str)
def test_why_a_reduction_does_not_join_what_broadcasts_it(shape, other, axis, reason):
    x, y = gc.placeholder(shape), gc.placeholder(other)
    total = gc.sum(y, axis=axis)
    result = x - total
    nest = Nest.around(result)
    assert nest.add(result, is_result=True) is None
    assert nest.add(total, is_result=False) == reason


def test_a_dear_value_is_not_computed_at_two_positions():
    x = gc.placeholder((5, 6))
    powers = gc.exp(x)
    assert "exp would be computed more than once" in nest_of(powers[::-1] + powers)
    cheap = x * 2
    assert isinstance(nest_of(cheap[::-1] + cheap), Nest)


def test_a_tensor_at_too_many_positions_is_refused():
    x = gc.placeholder((9, 9))
    y = x * 2
    total = y + y.T
    for start in range(1, 4):
        shifted = apply(OPS["take"], y, gc.placeholder((9,), "int64"), axis=0)
        total = total + shifted + start
    assert "different positions" in nest_of(total)


def test_a_result_must_be_visited_once():
    x = gc.placeholder((5, 6))
    y = x * 2
    assert "it is a result, but" in nest_of(y[::-1] + y, y)
    assert isinstance(nest_of(y + 1, y), Nest)
    assert "its shape [6, 5] is not that of the loops" in nest_of(x + 1, gc.permute_dims(x, (1, 0)))


def test_a_refusal_leaves_the_nest_as_it_was():
    x = gc.placeholder((5, 5))
    y = gc.sum(x, axis=0)
    other = gc.sum(x, axis=1)
    nest = Nest.around(y)
    assert nest.add(y, is_result=True) is None
    before = list(nest.dims), list(nest.reduced), dict(nest.members), {t: dict(p) for t, p in nest.positions.items()}
    assert nest.add(other, is_result=True) is not None
    after = list(nest.dims), list(nest.reduced), dict(nest.members), {t: dict(p) for t, p in nest.positions.items()}
    assert before == after


def test_a_body_that_is_no_nest_is_a_defect():
    x = gc.placeholder((5, 6))
    result = gc.sum(x, axis=0)
    with pytest.raises(InternalError, match="a fused body is no loop nest: sum"):
        Nest.of([result, gc.sum(x, axis=1)], [result, gc.sum(x, axis=1)])


def test_iota_and_sizes_are_members():
    x = gc.placeholder(("n",))
    n = x.shape[0]
    nest = nest_of(gc.astype(apply(OPS["iota"], size=n, dtype=DTYPES["i64"]), "float32") + x)
    assert extents(nest.dims) == [n]


def test_a_skipped_check_is_caught(monkeypatch):
    """Without its checks a nest takes what it cannot compute, and the tests above say so."""
    monkeypatch.setattr(Nest, "_refusal", lambda self, tensor, positions, is_result: None)
    with pytest.raises((AssertionError, TypeError)):
        test_a_dear_value_is_not_computed_at_two_positions()
    with pytest.raises((AssertionError, TypeError)):
        test_a_result_must_be_visited_once()


def test_a_wrong_position_is_caught(monkeypatch):
    wrong = dict(loops._POSITION_RULES, permute_dims=lambda t, at: [tuple(at[a] for a in t.attrs["axes"])])
    monkeypatch.setattr(loops, "_POSITION_RULES", wrong)
    with pytest.raises((AssertionError, IndexError)):
        test_positions_are_where_the_op_reads(next(moves()))


def test_equal_sizes_that_are_written_differently_are_no_loop_of_a_result():
    """`2*n` and `m` may have to be equal; a result of either size has kernels of its own, and they agree."""
    x, y = gc.placeholder(("n", "k")), gc.placeholder(("m",))
    doubled = gc.concat([x[:, 0], x[:, 1]])
    one, two = doubled * 2, y * 3
    both = one + two  # of one of the two sizes
    for result in (one, two):
        nest = Nest.around(both)
        assert nest.add(both, is_result=True) is None
        same = result.shape == both.shape
        assert nest.add(result, is_result=False) is None
        nest = Nest.around(both)
        nest.add(both, is_result=True)
        assert nest.add(result, is_result=True) == (None if same else loops._OTHER_EXPRESSION)
