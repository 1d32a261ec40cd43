"""One function called from many threads: no error, equal results, atomic updates."""

import threading

import numpy as np
import pytest

import graphc as gc

THREADS = 8
CALLS = 100_000


def in_threads(work, count=THREADS):
    """Run `work(number)` in threads at once; the errors they raised."""
    errors = []
    barrier = threading.Barrier(count)

    def guarded(number):
        barrier.wait()
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def layers(backend):
    x = gc.placeholder(("n", 8), name="x")
    w = gc.variable(np.linspace(-1, 1, 40, dtype=np.float32).reshape(8, 5), name="w")
    hidden = gc.tanh(x @ w)
    return gc.function([x], [gc.softmax(hidden), gc.sum(hidden), gc.sort(hidden, axis=0)], backend=backend)


@pytest.mark.parametrize("backend,calls", [("llvm", CALLS), ("numpy", CALLS // 20)])
def test_many_calls_of_one_function(backend, calls):
    f = layers(backend)
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((n, 8), np.float32) for n in (1, 2, 3, 7, 8, 16, 33, 40)]
    wanted = [[r.tobytes() for r in f(x)] for x in inputs]

    def work(number):
        for call in range(calls // THREADS):
            i = (number + call) % len(inputs) if number % 2 else number
            results = f(inputs[i])
            if call % 8 == 0:
                assert [r.tobytes() for r in results] == wanted[i]

    assert in_threads(work) == []


@pytest.mark.parametrize("backend", ["llvm", "numpy"])
def test_updates_are_atomic(backend):
    """Each call adds 1 to all of a vector and to a counter: none is lost, and none is seen half done."""
    vector = gc.variable(np.zeros(500), name="vector")
    count = gc.variable(0, "int64", name="count")
    f = gc.function([], [vector, count], updates={vector: vector + 1, count: count + 1}, backend=backend)
    g = gc.function([], [gc.max(vector) - gc.min(vector), gc.max(vector) - count], backend=backend)
    calls = 2000 if backend == "llvm" else 400
    seen = [[] for _ in range(THREADS)]

    def work(number):
        for call in range(calls):
            if number % 4 == 3:
                spread, behind = g()
                assert spread == 0 and behind == 0
                if call % 50 == 0:
                    vector.value, count.value  # noqa: B018
            else:
                values, now = f()
                assert (values == now).all()
                seen[number].append(int(now))

    assert in_threads(work) == []
    writers = [n for n in range(THREADS) if n % 4 != 3]
    assert count.value == calls * len(writers)
    assert (vector.value == count.value).all()
    assert sorted(sum(seen, [])) == list(range(int(count.value)))  # each value was seen by just one call


@pytest.mark.parametrize("backend", ["llvm", "numpy"])
def test_two_functions_on_the_same_variables(backend):
    """Locks are taken in one order, so that functions that swap two variables never wait for each other."""
    a, b = gc.variable(1, "int64", name="a"), gc.variable(2, "int64", name="b")
    f = gc.function([], [a, b], updates={a: b, b: a}, backend=backend)
    g = gc.function([], [b, a], updates={b: a + 0, a: b + 0}, backend=backend)

    def work(number):
        for _ in range(500):
            assert sorted(int(v) for v in (f if number % 2 else g)()) == [1, 2]

    assert in_threads(work) == []
    assert sorted((int(a.value), int(b.value))) == [1, 2]


def test_errors_in_some_threads_leave_the_others_alone():
    x, i = gc.placeholder((5,), name="x"), gc.placeholder(("k",), "int64", name="i")
    f = gc.function([x, i], gc.take(x * 2, i))
    values = np.arange(5, dtype=np.float32)

    def work(number):
        for call in range(500):
            if number % 2:
                with pytest.raises(IndexError, match=f"index {number + 5} is out of bounds"):
                    f(values, np.array([0, number + 5]))
            else:
                assert (f(values, np.array([call % 5])) == 2 * (call % 5)).all()

    assert in_threads(work) == []


def test_compiling_in_threads():
    results = {}

    def work(number):
        x = gc.placeholder(("n",), "float64", name="x")
        f = gc.function([x], gc.sum(gc.exp(x) * (number + 1)))
        results[number] = float(f(np.zeros(3)))

    assert in_threads(work) == []
    assert results == {number: 3.0 * (number + 1) for number in range(THREADS)}
