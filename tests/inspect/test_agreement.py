"""The policy: what agrees, what does not, and that no large element hides a small one."""

import numpy as np
import pytest

import graphc as gc
from graphc.analysis.rounding import Noise
from graphc.inspect.agreement import ULP, agree, same_bits, ulp_distance, within_ulps
from graphc.inspect.expectation import Expectation
from graphc.inspect.widen import widen
from graphc.ir.opdef import OPS, Trait

F32 = np.float32


def quiet(shape, exact=False, unstable=False):
    return Noise(np.zeros(shape), np.full(shape, unstable), exact)


def next_to(x, ulps):
    for _ in range(ulps):
        x = np.nextafter(x, F32(np.inf))
    return x


def test_floats_may_differ_by_the_floor_only():
    own = F32([1.0])
    assert agree(own.astype(float), own, next_to(own, 4)).ok
    found = agree(own.astype(float), own, next_to(own, 9))
    assert not found.ok and found.max_ulp == 9 and found.wrong == 1


def test_twice_the_interpreters_own_error_is_allowed():
    true, own = np.array([1.0]), F32([1.001])
    assert agree(true, own, F32([0.9981])).ok
    assert not agree(true, own, F32([0.997])).ok


def test_what_noise_moves_may_move():
    true, own, found = np.array([1.0]), F32([1.0]), F32([1.1])
    assert not agree(true, own, found, quiet(1)).ok
    assert agree(true, own, found, Noise(np.array([0.06]), np.zeros(1, bool), False)).ok


def test_a_large_element_hides_no_small_one():
    own = F32([1e30, 1.0])
    assert not agree(own.astype(float), own, F32([1e30, 1.001])).ok


def test_exact_graphs_must_agree_to_the_bit():
    own = F32([1.0])
    assert not agree(own.astype(float), own, next_to(own, 1), quiet(1, exact=True)).ok
    nan = F32([np.nan])
    assert agree(nan.astype(float), nan, -nan, quiet(1, exact=True)).ok


@pytest.mark.parametrize(
    ("own", "found"), [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0), (np.inf, -np.inf), (0.0, -0.0), (1e-3, np.inf)]
)
def test_specials_must_be_the_interpreters(own, found):
    own, found = F32([own]), F32([found])
    assert not agree(own.astype(float), own, found, quiet(1)).ok
    assert agree(own.astype(float), own, found, quiet(1, unstable=True)).ok


def test_an_overflow_of_the_interpreter_may_be_mended():
    own, found = F32([np.inf]), F32([1e30])
    assert agree(np.array([1e30]), own, found).ok  # as float64 has it
    assert not agree(np.array([1e29]), own, found).ok
    assert agree(np.array([np.inf]), own, found, may_improve=True).ok


def test_integers_and_shapes():
    assert not agree(np.array([1]), np.array([1]), np.array([2])).ok
    assert agree(np.array([1]), np.array([1]), np.array([2]), quiet(1, unstable=True)).ok
    found = agree(np.ones(2), np.ones(2), np.ones(3))
    assert found.reason == "it is float64[3], the interpreter gives float64[2]"
    assert not agree(np.ones(2), np.ones(2, F32), np.ones(2)).ok


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ulp_distance(dtype):
    one, tiny = dtype(1), np.finfo(dtype).smallest_subnormal
    a = np.array([1, 0.0, tiny, -tiny, np.nan, np.nan, np.inf, 1], dtype)
    b = np.array([np.nextafter(one, dtype(2)), -0.0, -tiny, -tiny, np.nan, 1, np.finfo(dtype).max, -1], dtype)
    assert ulp_distance(a, b)[:-1].tolist() == [1, 0, 2, 0, 0, np.inf, 1]
    assert 1e9 < ulp_distance(a, b)[-1] < np.inf
    assert ulp_distance(np.array([1, 2]), np.array([1, 3])).tolist() == [0, np.inf]


def test_ulps_of_0d_arrays_and_of_none():
    assert within_ulps(F32(1), next_to(F32(1), 2), 2).ok
    assert not within_ulps(F32(1), next_to(F32(1), 3), 2).ok
    assert within_ulps(np.ones((0, 3)), np.ones((0, 3)), 0).ok


def test_same_bits():
    assert same_bits(F32([0.0, np.nan, 1]), F32([-0.0, -np.nan, 1])).tolist() == [False, True, True]


def test_the_table_of_ulps_names_elementwise_ops():
    assert all(OPS[name].has(Trait.ELEMENTWISE) for name in ULP)


def test_widening_changes_float32_and_nothing_else():
    x, i = gc.placeholder(("n",), "float32", name="x"), gc.placeholder(("n",), "int32", name="i")
    w = gc.variable(F32([0.1, 0.2]), name="w")
    y = gc.exp(gc.take(w, i)) * 2.0 + x
    f = gc.function([x, i], [y, y.astype("int32"), gc.astype(i, "float32")], updates={w: w * 2.0}, backend="numpy")
    for graph in (f.graph, f.optimized):
        wide, variables = widen(graph)
        assert [t.dtype.name for t in wide.outputs] == ["float64", "int32", "float64"]
        assert [t.dtype.name for t in wide.inputs] == ["float64", "int32"]
        assert [v.dtype.name for v in variables.values()] == ["float64"]
        assert "f32" not in str(wide)


def test_the_reference_is_nearer_to_the_truth():
    x = gc.placeholder((3,), "float32", name="x")
    graph = gc.function([x], gc.sum(gc.exp(x)), backend="numpy").graph
    expectation = Expectation(graph, [F32([0.1, 0.2, 0.3])])
    true = np.exp(np.float64(F32([0.1, 0.2, 0.3]))).sum()
    assert abs(expectation.reference[0] - true) < 1e-14 < abs(float(expectation.values[0]) - true)


def test_an_expectation_holds_the_error():
    x, i = gc.placeholder((3,), name="x"), gc.placeholder((), "int64", name="i")
    graph = gc.function([x, i], gc.take(x, i), backend="numpy").graph
    expectation = Expectation(graph, [np.zeros(3, F32), np.asarray(5)])
    assert type(expectation.error).__name__ == "IndexOutOfBoundsError" and not expectation.values


def test_chaos_is_told_from_error():
    """remainder(large, small) turns one ULP into anything below the divisor."""
    x = gc.placeholder(("n",), "float64", name="x")
    graph = gc.function([x], gc.remainder(gc.exp(x), 1e-16 * gc.exp(x)), backend="numpy").graph
    x0 = np.linspace(1, 2, 200)
    expectation = Expectation(graph, [x0])
    e = np.nextafter(np.exp(x0), np.inf)
    assert all(v.ok for v in expectation.check([np.remainder(e, 1e-16 * e)]))
    assert not any(v.ok for v in expectation.check([np.remainder(e, 1e-16 * e) + 1.0]))


def test_the_sign_of_a_zero_matters_unless_the_true_value_underflowed():
    zero = np.float32([0.0])
    assert not agree(np.float64([0.0]), zero, -zero).ok
    assert agree(np.float64([-1e-60]), zero, -zero).ok


def test_chaos_is_allowed_more_than_what_some_runs_show():
    """Noise beyond the value, of both signs; a value that keeps its sign is allowed twice its noise."""
    own = np.float32([1.0])
    chaotic, calm = (Noise(np.array([10.0]), np.array([sign]), exact=False) for sign in (True, False))
    assert agree(own, own, np.float32([1000.0]), chaotic).ok
    assert not agree(own, own, np.float32([1e6]), chaotic).ok
    assert not agree(own, own, np.float32([1000.0]), calm).ok
