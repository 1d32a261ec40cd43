"""`Function.profile`: times add up, counts are right, lines are the user's, and variables stay as they were."""

import json

import numpy as np
import pytest

import graphc as gc
from graphc.backends.llvm.peak import peak
from graphc.errors import ArgumentError, FeedError
from graphc.inspect import profile as module

BACKENDS = ("llvm", "numpy")


def step(backend):
    x = gc.placeholder(("n", 64), "float32", name="x")
    w = gc.variable(np.ones((64, 32), "float32"), name="w")
    h = x @ w
    y = gc.tanh(h) * 2
    return w, gc.function([x], gc.sum(y), updates={w: w + 1}, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_steps_are_in_order_and_within_the_call(backend):
    w, f = step(backend)
    found = f.profile(np.ones((50, 64), "float32"), calls=5)
    assert found.calls == 5 and found.seconds > 0
    assert found.steps[0].name == "matmul" or backend == "numpy"
    assert all(row.seconds >= 0 and row.calls == 1 for row in found.steps)
    assert sum(row.seconds for row in found.by_op()) == pytest.approx(sum(row.seconds for row in found.steps))
    assert sum(row.seconds for row in found.by_line()) == pytest.approx(sum(row.seconds for row in found.steps))
    np.testing.assert_array_equal(w.value, np.ones((64, 32)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_work_is_counted(backend):
    _, f = step(backend)
    (product,) = [row for row in f.profile(np.ones((50, 64), "float32"), calls=2).steps if row.name == "matmul"]
    assert product.cost.flops == 2 * 50 * 64 * 32
    assert product.cost.bytes == 4 * (50 * 64 + 64 * 32 + 50 * 32)
    assert product.flops == pytest.approx(product.cost.flops / product.seconds)


def test_an_op_in_several_steps_is_counted_once():
    x = gc.placeholder((4096, 64), "float32", name="x")
    f = gc.function([x], gc.sum(gc.exp(x)))
    found = f.profile(np.ones((4096, 64), "float32"), calls=2)
    assert sum(row.cost.flops for row in found.steps) <= 3 * 4096 * 64


def test_lines_are_the_users_and_shared_kernels_are_divided():
    _, f = step("llvm")
    lines = [row.name for row in f.profile(np.ones((50, 64), "float32"), calls=2).by_line()]
    assert len(lines) == 3 and all("test_profile.py" in line for line in lines)  # x @ w, tanh, the function


def test_memory_is_told():
    _, f = step("llvm")
    memory = f.profile(np.ones((50, 64), "float32"), calls=2).memory
    assert memory["inputs"] == 50 * 64 * 4 and memory["outputs"] == 4 and memory["variables"] == 64 * 32 * 4
    assert 50 * 32 * 4 <= memory["intermediates"] < 10 * 50 * 32 * 4 + 1_000_000


def test_host_steps_and_loops_count_their_turns():
    x = gc.placeholder(("t", 3), "float64", name="x")
    r = gc.scan(lambda x_t, h: gc.tanh(h + gc.cumsum(x_t, axis=0)), sequences=[x], init=[gc.zeros(3, "float64")])
    y = gc.linalg.inv(gc.eye(3, dtype="float64") * (2 + gc.sum(r.last[0] * 0)))
    f = gc.function([x], y, backend="llvm")
    rows = {row.name: row for row in f.profile(np.ones((7, 3)), calls=2).steps}
    assert rows["inv"].calls == 1
    assert {row.calls for name, row in rows.items() if "tanh" in name} == {7}


def test_a_call_that_fails_leaves_the_variables():
    w = gc.variable(np.zeros(3), name="w")
    i = gc.placeholder((2,), "int64", name="i")
    f = gc.function([i], gc.take(w, i, axis=0), updates={w: w + 1})
    with pytest.raises(gc.IndexOutOfBoundsError):
        f.profile([0, 7])
    np.testing.assert_array_equal(w.value, np.zeros(3))


def test_bad_arguments():
    _, f = step("llvm")
    with pytest.raises(FeedError):
        f.profile()
    for calls in (0, -1, 1.5):
        with pytest.raises(ArgumentError, match="calls"):
            f.profile(np.ones((1, 64), "float32"), calls=calls)


def test_the_trace_is_what_browsers_read(tmp_path):
    _, f = step("llvm")
    found = f.profile(np.ones((50, 64), "float32"), calls=2)
    found.save_chrome_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert [event["name"] for event in trace["traceEvents"]] == [row.name for row in found.steps]
    assert all(event["ph"] == "X" and event["ts"] >= 0 for event in trace["traceEvents"])
    begins = [event["ts"] for event in trace["traceEvents"]]
    assert begins == sorted(begins)


def test_the_report_names_what_took_the_time():
    _, f = step("llvm")
    text = str(f.profile(np.ones((500, 64), "float32"), calls=3))
    for words in ("profile of f, backend llvm", "median of 3", "-- by step", "-- by op", "-- by line", "GFLOP/s", "kB"):
        assert words in text


def test_the_peak_is_positive_and_measured_once():
    assert peak() is peak() and peak().flops > 1e9 and peak().bandwidth > 1e8


def test_a_step_that_is_timed_twice_is_caught(monkeypatch):
    monkeypatch.setattr(module, "_lines", lambda tensor: {"a": 1.0, "b": 1.0})
    with pytest.raises(AssertionError):
        test_steps_are_in_order_and_within_the_call("llvm")
