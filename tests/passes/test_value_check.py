"""The value check tells rounding from error."""

import numpy as np
import pytest
from checking import graph

import graphc as gc
from graphc.ir.close import close
from graphc.passes.value_check import compare_values, difference, sample


def compare(parameters, before, after, values="rounded", seed=0):
    return compare_values(graph(parameters, before), graph(parameters, after), values, seed)


SUM = "%0 = sum %x {axis=(1,), keepdims=false} : f32[n]"


@pytest.mark.parametrize(
    ("before", "after", "values"),
    [
        ("%0 = exp %x : f32[n]", "%0 = exp %x : f32[n]", "same"),
        # other roundings, however badly conditioned
        ("%0 = multiply %x, %x : f32[n]\n%1 = add %0, %x : f32[n]\n%2 = subtract %1, %0 : f32[n]",
         "%0 = multiply %x, %x : f32[n]\n%1 = subtract %0, %0 : f32[n]\n%2 = add %x, %1 : f32[n]", "rounded"),
        ("%0 = const {value=3.0} : f32[]\n%1 = divide %x, %0 : f32[n]",
         "%0 = const {value=0.33333334} : f32[]\n%1 = multiply %x, %0 : f32[n]", "rounded"),
        # better values
        ("%0 = exp %x : f32[n]\n%1 = const {value=1.0} : f32[]\n%2 = add %0, %1 : f32[n]\n%3 = log %2 : f32[n]",
         "%0 = softplus %x : f32[n]", "better"),
    ],
)  # fmt: skip
def test_rounding_is_no_difference(before, after, values):
    for seed in range(5):
        assert compare("%x: f32[n]", before, after, values, seed) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("%0 = exp %x : f32[n]", "%0 = exp2 %x : f32[n]"),
        ("%0 = abs %x : f32[n]", "%0 = stop_gradient %x : f32[n]"),
        # -0.0
        ("%0 = const {value=0.0} : f32[]\n%1 = add %x, %0 : f32[n]", "%0 = stop_gradient %x : f32[n]"),
        # NaN and infinities
        ("%0 = subtract %x, %x : f32[n]", "%0 = const {value=0.0} : f32[]\n%1 = broadcast_to %0 {shape=(n,)} : f32[n]"),
        # a part in ten thousand
        ("%0 = stop_gradient %x : f32[n]", "%0 = const {value=1.0001} : f32[]\n%1 = multiply %x, %0 : f32[n]"),
        # the order of elements
        ("%0 = stop_gradient %x : f32[n]", "%0 = sort %x {axis=0, descending=false} : f32[n]"),
    ],
)
def test_errors_are(before, after):
    assert any(compare("%x: f32[n]", before, after, "rounded", seed) for seed in range(3))


def test_integers_are_compared_exactly():
    before, after = "%0 = add %x, %x : i32[n]", "%0 = const {value=2} : i32[]\n%1 = multiply %x, %0 : i32[n]"
    assert compare("%x: i32[n]", before, after) is None
    assert compare("%x: i32[n]", before, after.replace("=2}", "=3}")) is not None


def test_same_allows_no_rounding():
    before = "%0 = const {value=3.0} : f32[]\n%1 = divide %x, %0 : f32[n]"
    after = "%0 = const {value=0.33333334} : f32[]\n%1 = multiply %x, %0 : f32[n]"
    assert any(compare("%x: f32[n]", before, after, "same", seed) for seed in range(3))


def test_better_may_be_finite_where_it_overflowed_but_not_wrong():
    before = "%0 = exp %x : f32[n]\n%1 = log %0 : f32[n]"
    assert compare("%x: f32[n]", before, "%0 = stop_gradient %x : f32[n]", "better") is None
    assert compare("%x: f32[n]", before, "%0 = negative %x : f32[n]", "better") is not None


def test_sizes_meet_the_constraints():
    given = graph(
        "%x: f32[n], %y: f32[m]", "require n == m+1 by test\nrequire 2*m == 2*n-2 by test\n%0 = exp %x : f32[n]"
    )
    for seed in range(10):
        arrays = sample(given, seed).arrays
        assert len(arrays[0]) == len(arrays[1]) + 1


def test_sizes_that_no_small_numbers_meet_are_not_checked():
    given = graph("%x: f32[n], %y: f32[m]", "require n*m == 4711 by test\n%0 = exp %x : f32[n]")
    assert sample(given, 0) is None


def test_kinds_of_samples():
    given = graph("%x: f32[n,9], %i: i8[n]", "%0 = exp %x : f32[n,9]")
    x = sample(given, 0, "special").arrays[0]
    assert np.isnan(x).any() and np.isinf(x).any() and (x == 0).any()
    assert np.isfinite(sample(given, 0, "ordinary").arrays[0]).all()
    assert {len(sample(given, seed, "tiny").arrays[0]) for seed in range(9)} == {0, 1}
    assert sample(given, 3).arrays[0].tolist() == sample(given, 3).arrays[0].tolist()


def test_an_error_of_one_graph_is_a_difference():
    given = "%x: f32[4], %i: i64[2]"
    fails = graph(given, "%0 = take %x, %i {axis=0} : f32[2]")
    works = graph(given, "%0 = slice %x {start=(0,), size=(2,), step=(1,)} : f32[2]")
    samples = sample(fails, 0)
    samples.arrays[1][:] = 7
    assert difference(fails, fails, samples, "same") is None
    assert difference(fails, works, samples, "same") == "it gave values, where it raised IndexOutOfBoundsError before"


def test_what_a_graph_prints_is_not_shown(capsys):
    given = graph("%x: f32[n]", '%0 = print %x {message="loud"} : f32[n]\n%1 = exp %0 : f32[n]')
    assert compare_values(given, given, "rounded") is None
    assert capsys.readouterr().out == ""


def test_updates_are_compared_by_their_variables():
    v, w = gc.variable(1.0, name="v"), gc.variable(2.0, name="w")
    before = close("f", [], [v + w], [(v, v * 1.0), (w, w + v)])
    dropped = close("f", [], [v + w], [(v, v * 1.0)])
    assert compare_values(before, close("f", [], [v + w], [(w, w + v)]), "same") is None  # v * 1.0 is v
    assert "w" in compare_values(before, dropped, "same") and "lost" in compare_values(before, dropped, "same")
    assert "the update of w" in compare_values(before, close("f", [], [v + w], [(w, w - v)]), "same")
