"""`out=`: the right values in the caller's arrays, whatever they look like and share; and clear errors."""

import numpy as np
import pytest

import graphc as gc
from graphc import results
from graphc.errors import FeedError, IndexOutOfBoundsError

BACKENDS = ("llvm", "numpy")


def doubled(backend):
    x = gc.placeholder(("n", 3), "float64", name="x")
    return gc.function([x], {"twice": x * 2, "sums": (gc.sum(x, axis=1), x)}, backend=backend)


ARRAY = np.arange(12.0).reshape(4, 3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_go_where_they_are_told(backend):
    f = doubled(backend)
    out = {"twice": np.empty((4, 3)), "sums": (np.empty(4), np.empty((4, 3)))}
    assert f(ARRAY, out=out) is out
    np.testing.assert_array_equal(out["twice"], ARRAY * 2)
    np.testing.assert_array_equal(out["sums"][0], ARRAY.sum(axis=1))
    np.testing.assert_array_equal(out["sums"][1], ARRAY)


def check_arrays(backend, place, x):
    expected = x[::-1] * 2 + x
    y = gc.placeholder(("n", 3), "float64", name="y")
    f = gc.function([y], y[::-1] * 2 + y, backend=backend)
    for _ in range(2):
        given = x.copy()
        out = place(given)
        f(given, out=out)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "place",
    [
        lambda x: np.empty((4, 3)),
        lambda x: np.empty((3, 4)).T,
        lambda x: np.empty((8, 6))[::2, ::2],
        lambda x: np.empty((4, 3))[::-1],
        lambda x: x,
        lambda x: x[::-1],
        lambda x: np.frombuffer(bytearray(4 * 3 * 8 + 1), "u1")[1:].view("f8").reshape(4, 3),
        lambda x: np.empty((4, 3)).view(np.matrix),
    ],
    ids=["plain", "transposed", "strided", "reversed", "the input", "a view of the input", "misaligned", "a subclass"],
)
def test_arrays_of_any_kind(backend, place):
    check_arrays(backend, place, ARRAY)


@pytest.mark.parametrize("backend", BACKENDS)
def test_places_that_share_memory(backend):
    x = gc.placeholder((4,), "float64", name="x")
    f = gc.function([x], [x + 1, x * x], backend=backend)
    one = np.zeros(5)
    f(np.arange(4.0), out=[one[:4], one[1:]])  # the last one written wins where they overlap
    np.testing.assert_array_equal(one, [1, 0, 1, 4, 9])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_place_that_is_a_variable(backend):
    w = gc.variable(np.arange(3.0), name="w")
    f = gc.function([], w + 1, updates={w: w * 10}, backend=backend)
    f(out=w.storage)
    np.testing.assert_array_equal(w.value, [1, 2, 3])


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.empty(3), "out must be a dict with the keys 'twice', 'sums'"),
        ({"twice": np.empty((4, 3)), "sums": [np.empty(4)]}, r"out\['sums'\] must be a list of 2 arrays"),
        ({"twice": [0], "sums": [np.empty(4), np.empty((4, 3))]}, r"out\['twice'\] must be an array, not list"),
        ({"twice": np.empty((4, 3), "f4"), "sums": [np.empty(4), np.empty((4, 3))]}, "output 0 has float32"),
        ({"twice": np.empty((4, 3)), "sums": [np.empty(5), np.empty((4, 3))]}, r"output 1 has float64 \(5,\)"),
        ({"twice": np.empty((4, 3)), "sums": [np.empty(4), np.broadcast_to(0.0, (4, 3))]}, "read-only"),
    ],
)
def test_what_does_not_fit_is_named(out, message):
    with pytest.raises(FeedError, match=message):
        doubled("numpy")(ARRAY, out=out)


def test_an_input_may_be_called_out():
    x, out = (gc.placeholder((2,), "float64", name=name) for name in ("x", "out"))
    f = gc.function([x, out], x - out)
    np.testing.assert_array_equal(f(x=[3.0, 4.0], out=[1.0, 1.0]), [2, 3])


def test_a_failed_call_may_have_written_but_updates_nothing():
    w, i = gc.variable(np.zeros(2), name="w"), gc.placeholder((1,), "int64", name="i")
    f = gc.function([i], gc.take(w, i, axis=0), updates={w: w + 1})
    with pytest.raises(IndexOutOfBoundsError):
        f([5], out=np.empty(1))
    np.testing.assert_array_equal(w.value, [0, 0])


def test_a_place_that_overlaps_an_input_is_caught(monkeypatch):
    monkeypatch.setattr(results.np, "may_share_memory", lambda a, b: False)
    with pytest.raises(AssertionError):
        check_arrays("llvm", lambda x: x, np.arange(3000.0).reshape(1000, 3))
