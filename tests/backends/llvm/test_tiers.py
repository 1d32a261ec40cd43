"""Two tiers: the same bits from both, the second takes over by itself, and neither forks nor the end are in its way."""

import gc as garbage
import logging
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import graphc as gc
from graphc.backends.llvm import build, cache, tiers

pytestmark = pytest.mark.tiers


@pytest.fixture(autouse=True)
def cold(tmp_path, monkeypatch):
    """A cold cache, and no code in memory."""
    monkeypatch.setenv("GRAPHC_CACHE", str(tmp_path / "cache"))
    cache._cache_at.cache_clear()
    garbage.collect()
    yield
    tiers.wait()
    cache._cache_at.cache_clear()


def program(**options):
    """A function of many kinds of kernels, and arrays for it."""
    rng = np.random.default_rng(0)
    x, w = gc.placeholder(("n", 33), "float32", name="x"), gc.placeholder((33, 17), "float32", name="w")
    h = gc.tanh(x @ w) * gc.exp(-gc.square(gc.sum(x, axis=1, keepdims=True)) * 0.01)
    outputs = [
        gc.softmax(h), gc.cumsum(gc.erf(h), axis=0), gc.var(x, axis=0),
        gc.sort(gc.sin(x) * gc.log1p(gc.abs(x)), axis=1), gc.sum(gc.sigmoid(x)),
        gc.scan(lambda s, h: gc.tanh(s + h), sequences=[x], init=[x[0] * 0.5]).last[0],
    ]  # fmt: skip
    f = gc.function([x, w], outputs, **options)
    return f, (rng.normal(size=(50, 33)).astype("float32"), rng.normal(size=(33, 17)).astype("float32"))


def same_bits(one, two):
    return all(np.array_equal(a.view("u4"), b.view("u4")) for a, b in zip(one, two, strict=True))


def test_all_levels_give_the_same_bits():
    results = []
    for level in (0, 1, 2):
        f, arrays = program(opt_level=level)
        results.append(f(*arrays))
    assert same_bits(results[0], results[1]) and same_bits(results[0], results[2])


def test_the_second_tier_takes_over():
    f, arrays = program()
    assert "first tier" in f.artifacts["cache"]
    before = f(*arrays)
    tiers.wait()
    assert "first tier" not in f.artifacts["cache"]
    assert same_bits(f(*arrays), before) and same_bits(f(*arrays), before)
    assert f.compilations == 1


def test_long_products_are_optimised_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    x, w = gc.placeholder(("n", 33), "float32", name="x"), gc.placeholder((33, 17), "float32", name="w")
    arrays = rng.normal(size=(40, 33)).astype("float32"), rng.normal(size=(33, 17)).astype("float32")

    def compiled():
        garbage.collect()
        return gc.function([x, w], gc.scan(lambda s: (gc.tanh(x @ w) + s), init=[x @ w], length=3).last[0])

    f = compiled()
    assert f.artifacts["cache"].count("first tier") == len(f.artifacts["cache"].splitlines()) // 2
    expected = f(*arrays)
    tiers.wait()
    del f
    monkeypatch.setenv("GRAPHC_CACHE", "off")
    monkeypatch.setattr(build, "LONG_PRODUCT", 1)
    f = compiled()
    assert 0 < f.artifacts["cache"].count("first tier") < len(f.artifacts["cache"].splitlines()) // 2
    assert same_bits([f(*arrays)], [expected])
    tiers.wait()
    assert same_bits([f(*arrays)], [expected])


def test_the_background_waits_for_a_first_call_unless_it_takes_long(monkeypatch):
    order = []
    with tiers.behind(lambda: order.append("job")):
        time.sleep(0.05)
        order.append("call")
    tiers.wait()
    monkeypatch.setattr(tiers, "_LONG_SECONDS", 0.01)
    with tiers.behind(lambda: order.append("job")):
        tiers.wait()
        order.append("call")
    assert order == ["call", "job", "job", "call"]


def test_a_first_call_that_fails_is_over(monkeypatch):
    monkeypatch.setattr(tiers, "_LONG_SECONDS", 60)
    x, index = gc.placeholder((3,), "float32", name="x"), gc.placeholder((1,), "int64", name="index")
    f = gc.function([x, index], gc.take(x, index, axis=0))
    with pytest.raises(gc.IndexOutOfBoundsError):
        f(np.ones(3, "float32"), [7])
    start = time.monotonic()
    tiers.wait()
    assert time.monotonic() - start < 30


@pytest.mark.skipif(sys.platform != "linux", reason="only there a thread has a priority of its own")
def test_the_background_stands_back_behind_calls():
    found = []
    with tiers.behind(lambda: found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))):
        pass
    tiers.wait()
    assert found[0] >= os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) + 5 or found[0] == 19


def test_who_asks_for_a_level_has_one_tier():
    f, arrays = program(opt_level=1)
    f(*arrays)
    assert "first tier" not in f.artifacts["cache"]


def test_what_is_never_called_is_not_compiled_again():
    f, _ = program()
    tiers.wait()
    assert "first tier" in f.artifacts["cache"]


@pytest.mark.stored_programs
def test_what_is_cached_has_no_first_tier():
    f, arrays = program()
    f(*arrays)
    tiers.wait()
    del f
    garbage.collect()
    again, _ = program()
    assert "first tier" not in again.artifacts["cache"]


def test_calls_go_on_while_code_is_replaced():
    f, arrays = program()
    expected = f(*arrays)
    wrong = []

    def work():
        for _ in range(200):
            if not same_bits(f(*arrays), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_program_that_cannot_be_compiled_again_keeps_its_code(monkeypatch, caplog):
    f, arrays = program()
    link = build.Build.link
    monkeypatch.setattr(build.Build, "link", lambda *a, **k: 1 / 0)
    with caplog.at_level(logging.WARNING, "graphc"):
        expected = f(*arrays)
        tiers.wait()
    assert "first tier" in caplog.text
    monkeypatch.setattr(build.Build, "link", link)
    assert same_bits(f(*arrays), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_in_the_midst_of_it():
    for _ in range(5):
        f, arrays = program()
        expected = f(*arrays)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                g, _ = program(opt_level=0)
                code = 0 if same_bits(f(*arrays), expected) and same_bits(g(*arrays), expected) else 2
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        garbage.collect()
        del f


def test_the_end_of_a_process_finishes_what_is_begun(tmp_path):
    text = """
import numpy as np, graphc as gc
x = gc.placeholder(("n",), "float32", name="x")
f = gc.function([x], gc.tanh(x) * 2)
print(f(np.ones(3, "float32"))[0], "hit" in f.artifacts["cache"])
"""
    outputs = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
        outputs.append(done.stdout.split())
    assert outputs[0][0] == outputs[1][0]
    assert [o[1] for o in outputs] == ["False", "True"]


def test_tiers_of_different_bits_are_caught(monkeypatch):
    f, arrays = program(opt_level=2)
    good = f(*arrays)
    with pytest.raises(AssertionError):
        assert same_bits(good, [np.nextafter(r, np.float32(9)) for r in good])
