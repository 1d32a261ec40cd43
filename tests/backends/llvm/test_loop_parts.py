"""Loops that threads share by parts of rows: the same bits as with one thread, whatever the number of rows."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import graphc as gc
from graphc.backends.llvm import loop_parts, program
from graphc.backends.llvm.threads import thread_count

STEPS, WIDTH = 12, 24
SIZES = (0, 1, 2, 15, 16, 17, 31, 32, 33, 40, 64, 100)


@pytest.fixture
def in_parts(monkeypatch):
    """Plans for two threads at least, and worth it from the first microsecond; there may be fewer threads to run it."""
    monkeypatch.setattr(loop_parts, "_LEAST", 0.0)
    monkeypatch.setattr(program, "thread_count", lambda: max(2, thread_count()))


def recurrent_step(batch, dtype="float32"):
    """A gated recurrent net with a mask, and its gradient: states, rows, operands that do not change."""
    x = gc.placeholder((STEPS, batch, WIDTH), dtype, name="x")
    mask = gc.placeholder((batch, 1), dtype, name="mask")
    w, u = (gc.placeholder((WIDTH, 2 * WIDTH), dtype, name=name) for name in "wu")

    def step(x_t, h, total):
        new, gate = gc.split(gc.tanh(x_t @ w + h @ u), 2, axis=1)
        h = h + mask * (new * gc.sigmoid(gate) - h)
        return [h, total + gc.sum(h, axis=1)], h * 0.5

    start = gc.zeros((x.shape[1], WIDTH), dtype)
    r = gc.scan(step, x, [start, gc.sum(start, axis=1)])
    loss = gc.sum(gc.sin(r.outputs)) + gc.sum(r.last[1])
    return [x, mask, w, u], [r.last[0], r.last[1], r.states[0], r.outputs, *gc.grad(loss, [x, w, u, mask])]


def arrays(batch, dtype="float32"):
    rng = np.random.default_rng(batch)
    shapes = (STEPS, batch, WIDTH), (batch, 1), (WIDTH, 2 * WIDTH), (WIDTH, 2 * WIDTH)
    return [0.3 * rng.normal(size=shape).astype(dtype) for shape in shapes]


def parts_in(function):
    return function.artifacts["plan"].count("in parts of")


@pytest.mark.parametrize("is_symbolic", [True, False], ids=["symbolic", "known"])
def test_any_number_of_rows(in_parts, is_symbolic):
    for batch in SIZES if is_symbolic else (24, 33, 64):
        inputs, results = recurrent_step("n" if is_symbolic else batch, "float64")
        f, wanted = gc.function(inputs, results), gc.function(inputs, results, backend="numpy")
        assert parts_in(f) == 2, "forwards and backwards"
        for found, right in zip(f(*arrays(batch, "float64")), wanted(*arrays(batch, "float64"))):
            np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-12)


def test_the_plan_says_so(in_parts):
    inputs, results = recurrent_step(32)
    text = gc.function(inputs, results).artifacts["plan"]
    share = -(-32 // max(2, thread_count()))
    assert f"in parts of {max(16, share)} of 32 rows, which threads share" in text


def few_rows():
    return recurrent_step(8)


def rows_that_meet():
    x = gc.placeholder((32, 8), "float32")
    return [x], [gc.scan(lambda h: gc.tanh(h - gc.mean(h, axis=0)), init=[x], length=9).last[0]]


def wide_step():
    x, w = gc.placeholder((1024, 2048), "float32"), gc.placeholder((2048, 2048), "float32")
    return [x, w], [gc.scan(lambda h: gc.tanh(h @ w), init=[x], length=9).last[0]]


def step_that_may_fail():
    x, i = gc.placeholder((32, 8), "float32"), gc.placeholder((8,), "int64")
    return [x, i], [gc.scan(lambda h: gc.take(gc.tanh(h), i, axis=1), init=[x], length=9).last[0]]


def scalar_states():
    x = gc.placeholder((), "float32")
    return [x], [gc.scan(lambda h: gc.tanh(h), init=[x], length=9).last[0]]


def large_step(batch):
    x, w = gc.placeholder((batch, 256), "float32"), gc.placeholder((256, 1024), "float32")
    return [x, w], [gc.scan(lambda h: gc.tanh(h @ w)[:, :256], init=[x], length=9).last[0]]


def test_large_steps_need_rows_for_all_threads(in_parts):
    threads = max(2, thread_count())
    assert parts_in(gc.function(*large_step(16 * threads))) == 1
    assert parts_in(gc.function(*large_step(16 * threads - 1))) == 0


@pytest.mark.parametrize("make", [few_rows, rows_that_meet, wide_step, step_that_may_fail, scalar_states])
def test_others_are_shared_step_by_step(in_parts, make):
    assert parts_in(gc.function(*make())) == 0


def test_short_loops_are_not_worth_it():
    x = gc.placeholder((32, 8), "float32")
    assert parts_in(gc.function([x], gc.scan(lambda h: gc.tanh(h), init=[x], length=3).last[0])) == 0


_DIGEST = """
import test_loop_parts
print(test_loop_parts.digest())
"""


def digest():
    """Of all results, for all sizes."""
    loop_parts._LEAST = 0.0
    found = hashlib.sha256()
    for batch in ("n", 33, 64):
        f = gc.function(*recurrent_step(batch))
        for size in SIZES if batch == "n" else (batch,):
            for result in f(*arrays(size)):
                found.update(result.tobytes())
    return found.hexdigest()


def test_bits_do_not_depend_on_threads():
    found = set()
    for threads in (1, 2, 3, 4):
        environment = {**os.environ, "GRAPHC_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(
            [os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])}  # fmt: skip
        command = [sys.executable, "-c", _DIGEST]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1


def test_many_callers_at_once(in_parts):
    """The pool is busy then, and a caller does all parts itself."""
    f = gc.function(*recurrent_step("n"))
    wanted = {size: f(*arrays(size)) for size in (17, 64)}
    failures = []

    def call(size):
        for _ in range(50):
            for found, right in zip(f(*arrays(size)), wanted[size]):
                if found.tobytes() != right.tobytes():
                    failures.append(size)

    threads = [threading.Thread(target=call, args=(size,)) for size in (17, 64, 17, 64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_a_long_loop_is_interrupted(in_parts):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    x = gc.placeholder((32, 8), "float32")
    f = gc.function([x], gc.scan(lambda h: gc.tanh(h * 1.5), init=[x], length=100_000_000).last[0])
    assert parts_in(f) == 1
    sent = []

    def send():
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.2, send)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            f(np.ones((32, 8), "float32"))
        assert time.perf_counter() - sent[0] < 2, "it should be a tenth of a second; a busy machine may take longer"
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)


def test_the_profile_has_all_steps(in_parts):
    f = gc.function(*recurrent_step(32))
    calls = [row.calls for row in f.profile(*arrays(32)).steps]
    assert calls.count(2 * STEPS) >= 4, "those of two parts of 16 rows"


def test_a_planted_part_that_begins_elsewhere_is_found_out(in_parts, monkeypatch):
    """If every part began at the first row, rows would be missing."""
    from graphc.backends.llvm import entry_loops

    monkeypatch.setattr(entry_loops.LoopEntries, "_part", lambda self, b, whole, part, first: whole)
    inputs, results = recurrent_step(32, "float64")
    f, wanted = gc.function(inputs, results), gc.function(inputs, results, backend="numpy")
    values = arrays(32, "float64")
    assert not all(np.allclose(a, b) for a, b in zip(f(*values), wanted(*values)))
