"""Many threads on shared functions, and forks while they are busy: equal bits, no error, no hang."""

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest

import graphc as gc

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork with threads is what is tested here


@pytest.fixture(scope="module")
def shared():
    """Functions small and large, with and without variables, each with arrays and the bits that are right."""
    rng = np.random.default_rng(0)
    x, w = gc.placeholder(("n", 24), "float32", name="x"), gc.placeholder((24, 8), "float32", name="w")
    count = gc.variable(0, name="count")
    total = gc.variable(np.zeros(8), name="total")
    small = gc.function([x, w], gc.softmax(gc.tanh(x @ w)))
    counted = gc.function([x], gc.sum(x, axis=1), updates={count: count + 1})
    long = gc.function([x, w], gc.sum(gc.exp(x @ w), axis=0))
    looped = gc.function([x], gc.scan(lambda x_t, h: gc.tanh(x_t + h), sequences=[x], init=[x[0]]).last[0])
    few, many = (rng.normal(size=(n, 24)).astype("float32") for n in (5, 20_000))
    weights = rng.normal(size=(24, 8)).astype("float32")
    jobs = [
        (small, (few, weights)), (counted, (few,)), (long, (many, weights)), (looped, (few,)),
        (small, (many[:7], weights)),
    ]  # fmt: skip
    return [(f, arrays, np.asarray(f(*arrays)).tobytes()) for f, arrays in jobs], count, total


def call_from_threads(jobs, threads, calls):
    """What went wrong."""
    wrong = []

    def work(number):
        try:
            for turn in range(calls):
                # The large one is rare, so that small calls meet it and each other.
                f, arrays, expected = jobs[(number + turn) % len(jobs)] if turn % 50 == 0 else jobs[(number + turn) % 2]
                if np.asarray(f(*arrays)).tobytes() != expected:
                    wrong.append((number, turn))
        except Exception as error:
            wrong.append(error)

    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return wrong


def run_threads(shared, threads, calls):
    jobs, count, _ = shared
    before = int(count.value)
    assert call_from_threads(jobs, threads, calls) == []
    counted = sum(
        1 for number in range(threads) for turn in range(calls)
        if (((number + turn) % len(jobs)) if turn % 50 == 0 else (number + turn) % 2) == 1
    )  # fmt: skip
    assert int(count.value) - before == counted, "an update was lost"


def test_64_threads(shared):
    run_threads(shared, threads=64, calls=100)


@pytest.mark.slow
def test_64_threads_ten_thousand_calls_each(shared):
    run_threads(shared, threads=64, calls=10_000)


def run_forks(shared, forks):
    """Fork again and again while threads call; each child calls too, and ends in time."""
    jobs, _, _ = shared
    stop = threading.Event()
    wrong = []

    def work(number):
        while not stop.is_set():
            f, arrays, expected = jobs[number % len(jobs)]
            if np.asarray(f(*arrays)).tobytes() != expected:
                wrong.append(number)

    busy = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in busy:
        thread.start()
    try:
        for number in range(forks):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    right = all(np.asarray(f(*arrays)).tobytes() == expected for f, arrays, expected in jobs)
                    fresh = gc.placeholder((3,), "float32", name="fresh")
                    compiled = gc.function([fresh], fresh * float(number + 2))(np.ones(3, "float32"))
                    status = 0 if right and np.all(compiled == number + 2) else 2
                finally:
                    os._exit(status)
            assert ended(child) == 0
    finally:
        stop.set()
        for thread in busy:
            thread.join()
    assert wrong == []


def ended(child, seconds=60.0):
    """The child's status; it is killed if it hangs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail("a child hangs")
    return 1


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="forks")
def test_forks_during_busy_calls(shared):
    run_forks(shared, 10)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="forks")
def test_200_forks_during_busy_calls(shared):
    run_forks(shared, 200)
