"""The pool: each part once, whoever takes it; re-entrant, fork-safe, quiet when idle; and the number of threads."""

import ctypes
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from graphc.backends.llvm import threads
from graphc.backends.llvm.emitter import Builder, Module
from graphc.backends.llvm.jit import compile_module
from graphc.backends.llvm.threads import Pool, thread_count
from graphc.errors import FlagError

Part = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
PARTS = [0, 1, 2, 3, 7, 100]


@pytest.fixture(scope="module")
def pool():
    found = Pool(3)
    found.start()
    yield found
    found.stop()


def parallel(pool, function, context, parts, polls=0):
    """Call the pool's one entry; `function` is a `Part` or an address."""
    kinds = [*[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 2]
    run = ctypes.CFUNCTYPE(ctypes.c_int64, *kinds)(pool.symbols["graphc_parallel"])
    address = function if isinstance(function, int) else ctypes.cast(function, ctypes.c_void_p).value
    assert run(pool.address, address, context, parts, polls) == 0


def taken(pool, parts, before=lambda: None):
    """(part, worker, thread) of each part that was run."""
    found = []

    @Part
    def note(context, part, count, worker):
        before()
        found.append((part, worker, threading.get_ident()))
        assert count == parts

    parallel(pool, note, None, parts)
    return found


@pytest.fixture(scope="module")
def counter():
    """Machine code that adds 1 to the context's element `part`, and the library that holds it."""
    b = Builder("count", [("context", "ptr"), ("part", "i64"), ("parts", "i64"), ("worker", "i64")])
    b.atomic_update("add", b.gep(b.param("context"), b.param("part"), "i64"), b.i64(1), "seq_cst")
    b.ret()
    module = Module()
    module.add(b)
    library = compile_module(module.text(), ["count"])
    yield library.address("count")
    assert library


# ---- jobs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", PARTS)
def test_each_part_is_run_once(pool, parts):
    for _ in range(20):
        found = taken(pool, parts)
        assert sorted(part for part, _, _ in found) == list(range(parts))
        assert {worker for _, worker, _ in found} <= {0, 1, 2}


def test_workers_take_parts_and_have_numbers_of_their_own(pool):
    found = taken(pool, 30, lambda: time.sleep(0.005))
    threads_of = {worker: {ident for _, w, ident in found if w == worker} for _, worker, _ in found}
    assert len(threads_of) > 1, "nobody helped"
    assert all(len(idents) == 1 for idents in threads_of.values())
    assert threads_of.get(0, {threading.get_ident()}) == {threading.get_ident()}


def test_workers_that_sleep_are_woken_and_cost_nothing(pool):
    time.sleep(0.2)  # about 50 us are enough to fall asleep
    start = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - start < 0.1
    assert len({worker for _, worker, _ in taken(pool, 30, lambda: time.sleep(0.005))}) > 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux where threads run")
def test_a_worker_on_the_callers_processor_sleeps_at_once():
    before = set(os.listdir("/proc/self/task"))
    pool = Pool(2)
    pool.start()
    (worker,) = {int(t) for t in os.listdir("/proc/self/task")} - {int(t) for t in before}
    allowed = os.sched_getaffinity(0)
    one = {min(allowed)}
    sleepers = []
    try:
        for thread in (0, worker):
            os.sched_setaffinity(thread, one)
        for _ in range(10):
            taken(pool, 2, before=os.sched_yield)
            assert pool._word(threads.PROCESSOR).value == min(allowed)
            for _ in range(20):  # it looks for work 10,000 times before it sleeps otherwise, 64 times for each of these
                os.sched_yield()
            sleepers.append(pool._word(threads.SLEEPERS).value)
    finally:
        for thread in (0, worker):
            os.sched_setaffinity(thread, allowed)
        pool.stop()
    assert sum(sleepers) >= 8


def test_a_part_that_calls_the_pool_runs_the_inner_job_itself(pool):
    inner = []

    @Part
    def outer(context, part, parts, worker):
        here = threading.get_ident()
        found = taken(pool, 5)
        inner.append([p for p, _, _ in found] == [0, 1, 2, 3, 4] and {(w, t) for _, w, t in found} == {(0, here)})

    parallel(pool, outer, None, 8)
    assert inner == [True] * 8


def test_many_python_threads_call_at_once(pool, counter):
    sums, calls = [], 3000

    def work(parts):
        counts = np.zeros(parts, np.int64)
        for _ in range(calls):
            parallel(pool, counter, counts.ctypes.data, parts)
        sums.append((counts == calls).all())

    workers = [threading.Thread(target=work, args=(parts,)) for parts in (1, 2, 3, 5, 8, 13, 21, 64)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert sums == [True] * 8


def test_a_stopped_pool_runs_jobs_in_line_and_starts_again(counter):
    pool = Pool(2)
    here = threading.get_ident()
    for _ in range(3):
        assert {(w, t) for _, w, t in taken(pool, 6)} == {(0, here)}
        pool.start()
        pool.start()  # again: nothing to do
        assert len({w for _, w, _ in taken(pool, 20, lambda: time.sleep(0.005))}) == 2
        pool.stop()
        pool.stop()


def test_a_pool_of_one_has_no_workers():
    pool = Pool(1)
    pool.start()
    assert taken(pool, 3) == [(part, 0, threading.get_ident()) for part in range(3)]


def run(program, **environment):
    """What a Python program prints, run by itself."""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


_FORKS = """
import os, threading
import numpy as np
import graphc as gc
x = gc.placeholder(("n",), "float32")
call = gc.function([x], gc.exp(x) * 2)
array = np.linspace(0, 1, 300_000, dtype="float32")
expected = call(array).tobytes()
stop = threading.Event()

def busy():
    while not stop.is_set():
        call(array)

threads = [threading.Thread(target=busy) for _ in range(2)]
for thread in threads:
    thread.start()
for number in range(20):
    child = os.fork()
    if child == 0:
        os._exit(0 if all(call(array).tobytes() == expected for _ in range(3)) else 1)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
for thread in threads:
    thread.join()
print(call(array).tobytes() == expected)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_forks_while_threads_call():
    assert run(_FORKS, GRAPHC_NUM_THREADS="3") == "True\n"


# ---- the same bits ---------------------------------------------------------------------------------------

_WORKLOADS = """
import hashlib
import numpy as np
import graphc as gc
from graphc.backends.llvm import threads

def show(name, shapes, make, dtype="float32", symbolic=True):
    types = [[f"{letter}{i}" for i in range(len(s))] if symbolic else s for letter, s in zip("abc", shapes)]
    inputs = [gc.placeholder(t, dtype) for t in types]
    arrays = [np.random.default_rng(1).standard_normal(s).astype(dtype) for s in shapes]
    result = gc.function(inputs, make(*inputs))
    digests = {hashlib.sha256(np.ascontiguousarray(result(*arrays))).hexdigest() for _ in range(3)}
    print(name, len(digests), *digests)

show("elementwise", [(300, 1000), (1000,)], lambda x, y: gc.tanh(x * y) * gc.exp(-x * x))
show("softmax", [(1000, 300)], lambda x: gc.softmax(x, axis=1))
show("rows", [(1000, 300)], lambda x: gc.var(x, axis=1), "float64")
show("columns", [(3000, 300)], lambda x: gc.sum(x * x, axis=0))
show("few columns", [(200_000, 3)], lambda x: gc.mean(x * x, axis=0), symbolic=False)
show("all", [(700, 1000)], lambda x: gc.sum(gc.exp(x)))
show("all", [(700, 1000)], lambda x: gc.sum(x), "float64", symbolic=False)
show("largest", [(700, 1000)], lambda x: gc.max(x))
show("spread", [(700, 1000)], lambda x: gc.var(x))
show("many rows", [(700, 64), (64, 10)], gc.matmul, symbolic=False)
show("narrow", [(3000, 64), (64, 3)], gc.matmul, "float64", symbolic=False)
show("few rows", [(2, 784), (784, 512)], gc.matmul, symbolic=False)
show("one row", [(1, 784), (784, 1500)], gc.matmul, symbolic=False)
show("square", [(300, 300), (300, 300)], gc.matmul)
show("square", [(300, 300), (300, 300)], gc.matmul, "float64", symbolic=False)
show("left transposed", [(100, 300), (100, 200)], lambda x, y: gc.matmul(x.T, y))
show("right transposed", [(300, 500), (200, 500)], lambda x, y: gc.matmul(x, y.T))
show("batch", [(64, 64, 32), (64, 32, 48)], gc.matmul)
show("integers", [(60, 300), (300, 50)], lambda x, y: gc.matmul(gc.astype(x * 99, "int32"), gc.astype(y * 99, "int32")))
assert len(threads.pool()._running) == threads.thread_count() - 1
"""


def test_the_same_bits_for_any_number_of_threads():
    one, *others = (run(_WORKLOADS, GRAPHC_NUM_THREADS=str(count)) for count in (1, 2, 3, 4))
    lines = one.splitlines()
    assert len(lines) == 19
    assert all(" 1 " in line for line in lines), "the same process gave different bits"
    for other in others:
        assert other.splitlines() == lines


# ---- how many ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "count"), [("1", 1), ("3", 3), ("64", 64), ("07", 7)])
def test_the_variable_says_how_many(monkeypatch, text, count):
    monkeypatch.setenv("GRAPHC_NUM_THREADS", text)
    assert thread_count() == count


@pytest.mark.parametrize("text", ["0", "65", "-1", "1.5", "two", " 2", "2 ", "1e1", "100000000000000000000"])
def test_the_variable_must_be_a_number_in_range(monkeypatch, text):
    monkeypatch.setenv("GRAPHC_NUM_THREADS", text)
    with pytest.raises(FlagError, match="expected a number from 1 to 64"):
        thread_count()


@pytest.fixture
def cgroup(monkeypatch, tmp_path):
    """Write the files of a control group; there are none at first, 8 processors, and no variable."""
    monkeypatch.delenv("GRAPHC_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(threads, "Path", lambda path: tmp_path / path.lstrip("/"))

    def write(**files):
        for name, text in files.items():
            place = {"max": "cpu.max", "quota": "cpu/cpu.cfs_quota_us", "period": "cpu/cpu.cfs_period_us"}[name]
            path = tmp_path / "sys/fs/cgroup" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")

    return write


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({}, 8),
        ({"max": "max 100000"}, 8), ({"max": "200000 100000"}, 2), ({"max": "250000 100000"}, 2),
        ({"max": "50000 100000"}, 1), ({"max": "1600000 100000"}, 8), ({"max": "200000 50000"}, 4),
        ({"quota": "-1", "period": "100000"}, 8), ({"quota": "300000", "period": "100000"}, 3),
        ({"max": "nonsense"}, 8), ({"max": ""}, 8), ({"max": "1 0"}, 8), ({"quota": "300000"}, 8),
    ],
    ids=str,
)  # fmt: skip
def test_a_quota_limits_the_number(cgroup, files, count):
    cgroup(**files)
    assert thread_count() == count


def test_affinity_limits_the_number(cgroup, monkeypatch):
    cgroup(max="600000 100000")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5})
    assert thread_count() == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(200)))
    cgroup(max="max 100000")
    assert thread_count() == 64
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert thread_count() == 1
