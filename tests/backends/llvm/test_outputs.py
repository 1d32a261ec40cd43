"""Large results: memory is used again when the caller has dropped them, and only then."""

import gc as garbage
import threading
import weakref

import numpy as np
import pytest

import graphc as gc
from graphc.backends.llvm import outputs
from graphc.backends.llvm.outputs import LARGEST, SMALLEST, Outputs, outputs_for

N = SMALLEST // 4
F32 = np.dtype("float32")


@pytest.fixture(params=["native", "through Python"])
def doubled(request):
    x = gc.placeholder(("n",), "float32", name="x")
    f = gc.function([x], x * 2)
    f(np.ones(N, "float32"))
    return f if request.param == "native" else f.call


def address(array):
    return array.ctypes.data


def test_a_loop_needs_two_arrays(doubled):
    x = np.ones(N, "float32")
    found = set()
    for _ in range(20):
        y = doubled(x)
        found.add(address(y))
    assert len(found) == 2


def test_what_the_caller_holds_is_left_alone(doubled):
    results = [doubled(np.full(N, i, "float32")) for i in range(6)]
    assert len({address(r) for r in results}) == 6
    for i, result in enumerate(results):
        np.testing.assert_array_equal(result, np.full(N, 2 * i))


@pytest.mark.parametrize(
    "hold",
    [lambda y: y[5:10], memoryview, lambda y: y.reshape(2, -1).T, np.asarray, lambda y: [y]],
)
def test_what_a_view_shows_is_left_alone(doubled, hold):
    kept = [hold(doubled(np.full(N, i, "float32"))) for i in range(5)]
    copies = [np.array(k) for k in kept]
    for i in range(5):
        doubled(np.full(N, 100 + i, "float32"))
    for now, before in zip(kept, copies):
        np.testing.assert_array_equal(np.array(now), before)


@pytest.mark.parametrize(
    "change",
    [
        lambda y: setattr(y, "shape", (2, N // 2)),
        lambda y: y.setflags(write=False),
        lambda y: setattr(y, "strides", (0,)),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_the_caller_has_changed_is_not_given_out(doubled, change):
    for _ in range(4):
        y = doubled(np.ones(N, "float32"))
        change(y)
        del y
    for _ in range(3):
        y = doubled(np.ones(N, "float32"))
        assert y.shape == (N,) and y.flags.writeable and y.strides == (4,)
        np.testing.assert_array_equal(y, np.full(N, 2))


def test_what_is_watched_is_not_given_out_again(doubled):
    dead = []
    for _ in range(4):
        y = doubled(np.ones(N, "float32"))
        dead.append(weakref.ref(y))
        seen = address(y)
        del y
        assert address(doubled(np.ones(N, "float32"))) != seen or dead[-1]() is None


def test_small_and_huge_ones_are_not_kept():
    assert outputs_for((SMALLEST // 4 - 1,), F32) is None
    assert outputs_for((LARGEST // 4 + 1,), F32) is None
    assert outputs_for((SMALLEST // 4,), F32) is not None


def test_a_dropped_function_drops_them():
    x = gc.placeholder(("n",), "float32", name="x")
    f = gc.function([x], x * 3)
    for _ in range(3):
        y = f(np.ones(N, "float32"))
    seen = weakref.ref(y)
    del y, f
    garbage.collect()
    assert seen() is None


def test_threads_never_share_one():
    x = gc.placeholder(("n",), "float32", name="x")
    f = gc.function([x], x * 2)
    errors = []

    def work(number):
        for turn in range(100):
            value = number * 1000 + turn
            if not np.all(f(np.full(N, value, "float32")) == 2 * value):
                errors.append(value)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_arrays_given_out_while_held_are_caught(monkeypatch):
    monkeypatch.setattr(outputs, "_ALONE", 3)
    make = Outputs((N,), F32)
    with pytest.raises(AssertionError):
        held = make()
        assert make() is not held
