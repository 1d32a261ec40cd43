"""Ctrl-C ends a long call within a moment, before any update; and whatever a handler raises reaches the caller."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import graphc as gc

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")


@pytest.fixture(autouse=True)
def pythons_own_handler():
    """What is started in the background of a shell ignores the signal, so Python has not set its handler."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


#: Long enough that a call which ignores the signal is seen to.
DELAY = 0.15


def long_kernel():
    """One loop over many elements, and an update that the call would make."""
    x, w = gc.placeholder(("n",), "float32", name="x"), gc.variable(np.zeros(3, "float32"), name="w")
    y = x
    for _ in range(30):
        y = gc.sin(y) + gc.exp(y * 0.1)
    return gc.function([x], gc.sum(y), updates={w: w + 1}), w, np.ones(100_000_000, "float32"), np.ones(3, "float32")


def long_loop():
    """Very many turns of a small body."""
    x, w = gc.placeholder((8, 8), "float32", name="x"), gc.variable(np.zeros(3, "float32"), name="w")
    last = gc.scan(lambda h: gc.tanh(h @ h), init=[x], length=100_000_000).last[0]
    return gc.function([x], last, updates={w: w + 1}), w, np.ones((8, 8), "float32"), None


def interrupted(call, error=KeyboardInterrupt):
    """How long after the signal the call ended by this error."""
    sent = []

    def send():
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(DELAY, send)
    timer.start()
    try:
        with pytest.raises(error) as caught:
            call()
        return time.perf_counter() - sent[0], caught.value
    finally:
        timer.join()


@pytest.mark.parametrize("make", [long_kernel, long_loop])
def test_a_long_call_ends_soon_and_nothing_is_updated(make):
    f, w, long, short = make()
    late, _ = interrupted(lambda: f(long))
    assert late < 2, "it should be a tenth of a second; a busy machine may take longer"
    np.testing.assert_array_equal(w.value, np.zeros(3))
    if short is not None:
        f(short)
        np.testing.assert_array_equal(w.value, np.ones(3))


def test_in_a_native_call_without_variables():
    x = gc.placeholder(("n",), "float32", name="x")
    y = x
    for _ in range(30):
        y = gc.sin(y) + gc.exp(y * 0.1)
    f = gc.function([x], gc.sum(y))
    data = np.ones(100_000_000, "float32")
    expected = f(data[:3])
    for _ in range(2):  # the second one is native: its sizes are known
        interrupted(lambda: f(data))
    np.testing.assert_array_equal(f(data[:3]), expected)


def test_what_the_handler_raises_is_what_the_caller_gets():
    class Stop(Exception):
        pass

    def handler(number, frame):
        raise Stop("enough")

    before = signal.signal(signal.SIGINT, handler)
    try:
        f, w, long, _ = long_kernel()
        _, error = interrupted(lambda: f(long), Stop)
    finally:
        signal.signal(signal.SIGINT, before)
    assert str(error) == "enough"
    np.testing.assert_array_equal(w.value, np.zeros(3))


def test_a_handler_that_raises_nothing_is_run_and_the_call_goes_on():
    seen = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: seen.append(time.perf_counter()))
    try:
        f, w, _, short = long_kernel()
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        f(np.ones(5_000_000, "float32"))
        end = time.perf_counter()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert seen and seen[0] <= end
    np.testing.assert_array_equal(w.value, np.ones(3))
    assert short is not None


_ONE_THREAD = """
import signal
import test_interrupts
signal.signal(signal.SIGINT, signal.default_int_handler)
test_interrupts.test_a_long_call_ends_soon_and_nothing_is_updated(test_interrupts.long_kernel)
"""


def test_with_one_thread_too():
    environment = {**os.environ, "GRAPHC_NUM_THREADS": "1", "PYTHONPATH": os.path.dirname(__file__)}
    command = [sys.executable, "-c", _ONE_THREAD]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_call_that_polls_after_an_update_is_caught(monkeypatch):
    """If steps that write variables did not end the polling, a call would stop half done."""
    monkeypatch.setattr("graphc.backends.llvm.steps.Step.writes_variables", False)
    x = gc.placeholder(("n",), "float32", name="x")
    v, w = (gc.variable(np.zeros(2, "float32"), name=name) for name in "vw")
    y = x
    for _ in range(30):
        y = gc.sin(y) + gc.exp(y * 0.1)
    f = gc.function([x], [], updates={v: v + 1, w: w + gc.sum(y)})
    text = f.artifacts["llvm"]
    body = text[text.index("@entry0_steps") :]
    first_write, last_poll = body.index("kernel_"), body.rindex("call i64 @poll(")
    with pytest.raises(AssertionError):
        assert last_poll < first_write
