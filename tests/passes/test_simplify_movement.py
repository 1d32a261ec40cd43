import itertools
import random

import pytest
from checking import check, graph, rules_of, same_values, unchanged

import graphc as gc
from graphc.ir.close import close
from graphc.passes.rewrite import simplify

RUN = rules_of(simplify)


def ops_of(of):
    return [t.op.name for t in of.tensors if t.op.name not in ("placeholder", "const")]


# Broadcasting


def test_elementwise_ops_do_without_broadcasts():
    check(
        RUN, "%x: f32[3], %y: f32[n,3], %c: bool[]",
        """
        %0 = broadcast_to %x {shape=(n, 3)} : f32[n,3]
        %1 = broadcast_to %c {shape=(n, 3)} : bool[n,3]
        %2 = where %1, %0, %y : f32[n,3]
        """,
        "%0 = where %c, %x, %y : f32[n,3]",
    )  # fmt: skip


def test_what_is_all_broadcast_is_computed_once():
    given = graph(
        "%x: f32[3], %y: f32[], %z: f32[n]",
        """
        %0 = broadcast_to %x {shape=(n, 3)} : f32[n,3]
        %1 = broadcast_to %y {shape=(n, 3)} : f32[n,3]
        %2 = add %0, %1 : f32[n,3]
        %3 = exp %2 : f32[n,3]
        """,
    )
    found = RUN(given)
    same_values(given, found)
    assert ops_of(found) == ["add", "exp", "broadcast_to"]


def test_a_broadcast_that_makes_the_result_larger_stays_outside():
    check(
        RUN, "%x: f32[1,3], %y: f32[2,1]",
        "%0 = broadcast_to %x {shape=(5, 2, 3)} : f32[5,2,3]\n%1 = add %0, %y : f32[5,2,3]",
        "%0 = add %x, %y : f32[2,3]\n%1 = broadcast_to %0 {shape=(5, 2, 3)} : f32[5,2,3]",
    )  # fmt: skip


# Permutations and reshapes


@pytest.mark.parametrize(("first", "second"), list(itertools.product(itertools.permutations(range(3)), repeat=2)))
def test_any_two_permutations(first, second):
    x = gc.placeholder((2, 3, 4), name="x")
    given = close("f", [x], [gc.permute_dims(gc.permute_dims(x, first), second)])
    found = RUN(given)
    same_values(given, found)
    assert len(ops_of(found)) <= 1


@pytest.mark.parametrize(
    ("shape", "axes", "becomes"),
    [
        ((1, 3, 1), (1, 0, 2), ["reshape"]), ((2, 1, 3), (1, 0, 2), ["reshape"]), ((1, 1), (1, 0), []),
        ((2, 1, 3), (2, 1, 0), ["permute_dims"]), (("n", 1, "m"), (0, 2, 1), ["reshape"]),
        (("n", 1, "m"), (2, 1, 0), ["permute_dims"]),
    ],
)  # fmt: skip
def test_permutations_of_axes_of_size_one(shape, axes, becomes):
    x = gc.placeholder(shape, name="x")
    given = close("f", [x], [gc.permute_dims(x, axes)])
    found = RUN(given)
    same_values(given, found)
    assert ops_of(found) == becomes


# Slices


@pytest.mark.parametrize("seed", range(30))
def test_slices_of_slices(seed):
    rng = random.Random(seed)
    x = gc.placeholder(("n", 12), name="x")

    def key(size):
        step = rng.choice([1, 1, 2, 3, -1, -2])
        start, stop = sorted(rng.sample(range(size + 1), 2)) if size > 1 else (0, size)
        return slice(start, stop, step) if step > 0 else slice(stop - 1, start - 1 if start else None, step)

    once = x[:, key(12)]
    twice = once[:, key(once.shape[1])]
    given = close("f", [x], [twice])
    found = RUN(given)
    same_values(given, found)
    assert len(ops_of(found)) <= 1


def test_symbolic_slices_keep_their_constraints():
    x = gc.placeholder(("n",), name="x")
    given = close("f", [x], [x[2:][1:]])
    assert ops_of(RUN(given)) == ["slice", "slice"]


@pytest.mark.parametrize("key", [slice(0, 2), slice(2, 5), slice(4, 6), slice(1, 4), slice(5, None, -2), slice(3, 3)])
def test_slices_of_concat(key):
    x, y, z = (gc.placeholder(("n", size), name=name) for name, size in (("x", 2), ("y", 3), ("z", 1)))
    given = close("f", [x, y, z], [gc.concat([x, y, z], axis=1)[:, key]])
    same_values(given, RUN(given))


def test_a_slice_of_one_part_does_not_need_the_others():
    x, y = gc.placeholder(("n", 2), name="x"), gc.placeholder(("n", 3), name="y")
    found = RUN(close("f", [x, y], [gc.concat([x, y], axis=1)[:, 2:]]))
    assert found.outputs[0] is y


def test_split_and_concat_again_is_nothing():
    x = gc.placeholder(("n", 6), name="x")
    found = RUN(close("f", [x], [gc.concat([x[:, :2], x[:, 2:3], x[:, 3:]], axis=1)]))
    assert found.outputs[0] is x


def test_parts_in_another_order_stay():
    x = gc.placeholder((6,), name="x")
    given = close("f", [x], [gc.concat([x[3:], x[:3]])])
    assert "concat" in ops_of(RUN(given))
    same_values(given, RUN(given))


@pytest.mark.parametrize(
    ("positions", "becomes"),
    [
        ([0, 1, 2], ["slice"]), ([1, 3], ["slice"]), ([3, 2, 1, 0], ["slice"]), ([2], ["slice"]), ([1, 1], ["take"]),
        ([0, 2, 3], ["take"]), ([-1], ["take"]), ([0, 1, 2, 3], []),
    ],
)  # fmt: skip
def test_takes_of_constant_positions(positions, becomes):
    x = gc.placeholder(("n", 4), name="x")
    given = close("f", [x], [gc.take(x, gc.constant(positions), axis=1)])
    found = RUN(given)
    same_values(given, found)
    assert ops_of(found) == becomes


def test_a_position_that_does_not_exist_still_fails():
    unchanged(
        RUN, "%x: f32[4]", "%0 = const {value=[3, 4]} : i64[2]\n%1 = take %x, %0 {axis=0} : f32[2]"
    )


def test_pad_and_slice_back():
    x = gc.placeholder(("n", 3), name="x")
    padded = gc.pad(x, ((1, 2), (0, 1)))
    given = close("f", [x], [padded[1:-2, :-1]])
    same_values(given, RUN(given))
    assert RUN(given).outputs[0] is x
