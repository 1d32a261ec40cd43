"""Whole programs out of the disk cache: the same results, without planning; and nothing stale or damaged is run."""

import gc as garbage
import json
import subprocess
import sys

import numpy as np
import pytest

import graphc as gc
from graphc.backends.llvm import build, cache, stored_program
from graphc.backends.llvm.blueprint import Blueprint
from graphc.backends.llvm.build import Build
from graphc.errors import CacheWarning, IndexOutOfBoundsError

pytestmark = [
    pytest.mark.stored_programs,
    pytest.mark.skipif(stored_program.fingerprint() is None, reason="this system does not name its processor"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A cold cache, and no code in memory."""
    garbage.collect()
    monkeypatch.setenv("GRAPHC_CACHE", str(tmp_path / "cache"))
    cache._cache_at.cache_clear()
    yield tmp_path / "cache"
    cache._cache_at.cache_clear()


@pytest.fixture
def builds(monkeypatch):
    """One entry for each program that is built."""
    found = []

    class Counted(Build):
        def __init__(self, *arguments):
            found.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr(build, "Build", Counted)
    return found


def step(factor=0.5, backend="llvm", **options):
    """A training step with symbolic sizes, constants, updates and threads."""
    rng = np.random.default_rng(0)
    x, t = gc.placeholder(("n", 8), "float32", name="x"), gc.placeholder(("n",), "int64", name="t")
    w = gc.variable(rng.normal(size=(8, 5)).astype("float32"), name="w")
    scale = gc.constant(np.linspace(1, 2, 5, dtype="float32"))
    loss = gc.mean(gc.cross_entropy(gc.tanh(x @ w) * scale, t))
    f = gc.function([x, t], [loss, w], updates={w: w - factor * gc.grad(loss, [w])[0]}, backend=backend, **options)
    return f, w


def run(factor=0.5, **options):
    f, w = step(factor, **options)
    rng = np.random.default_rng(1)
    found = []
    for n in (3, 64, 1, 0, 3, 200, 200):
        found += f(rng.normal(size=(n, 8)).astype("float32"), rng.integers(0, 5, n))
    return [*found, w.value]


def drop():
    """Forget the code of this process, so that the disk must have it."""
    garbage.collect()


def equal(one, two):
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, two, strict=True))


def test_the_second_time_nothing_is_built(builds):
    first = run()
    drop()
    assert len(builds) == 1
    second = run()
    assert len(builds) == 1
    assert equal(first, second)


def test_in_memory_too(builds):
    kept = step()
    assert equal(run(), run())
    assert len(builds) == 1 and kept


def test_another_graph_or_option_is_another_program(builds):
    for options in ({}, {"factor": 0.25}, {"opt_level": 0}, {"skip": "fuse"}):
        run(**options)
    assert len(builds) == 4
    f, _ = step()
    assert len(builds) == 4 and isinstance(f.call(np.ones((2, 8), "float32"), [0, 1]), list)


def test_other_versions_make_another_program(builds, monkeypatch):
    run()
    monkeypatch.setattr(stored_program, "fingerprint", lambda: ("another processor",))
    run()
    assert len(builds) == 2


def test_what_explains_a_program_is_made_when_asked_for(builds):
    run()
    drop()
    f, _ = step()
    assert len(builds) == 1
    assert "hit" in f.artifacts["cache"] and len(builds) == 1
    assert f.artifacts["plan"].startswith("plan of f") and "kernel_" in f.artifacts["llvm"]
    assert len(builds) == 2


def test_a_failure_names_the_op_and_its_line(builds):
    def gathers():
        x = gc.placeholder(("n",), "float32", name="x")
        i = gc.placeholder(("k",), "int64", name="i")
        return gc.function([x, i], gc.take(x, i, axis=0) * 2, backend="llvm")

    texts = []
    for _ in range(2):
        with pytest.raises(IndexOutOfBoundsError, match="index 7 is out of bounds for axis 0 with size 3") as caught:
            gathers()(np.ones(3, "float32"), np.array([1, 7]))
        texts.append(str(caught.value))
        drop()
    assert texts[0] == texts[1] and "test_stored_program.py" in texts[0]


def test_a_profile_leaves_the_stored_program_alone(builds):
    first = run()
    drop()
    f, _ = step()
    f.profile(np.ones((3, 8), "float32"), [0, 1, 2], calls=1)
    del f
    drop()
    before = len(builds)
    assert equal(run(), first)
    assert len(builds) == before


def test_host_steps_are_not_stored(builds):
    for _ in range(2):
        x = gc.placeholder((2, 2), "float64", name="x")
        f = gc.function([x], gc.linalg.inv(x) + 1, backend="llvm")
        np.testing.assert_allclose(f(np.eye(2)), np.eye(2) + 1)
    assert len(builds) == 2


def entries(folder):
    """The stored programs, by file; object code begins as ELF does."""
    found = {}
    for file in folder.glob("*.object"):
        body = file.read_bytes()[48:]
        if body.startswith(b"{"):
            found[file] = json.loads(body)
    return found


def test_a_module_that_is_gone_means_building(builds, folder):
    first = run()
    drop()
    ((_, content),) = entries(folder).items()
    for key, _ in content["modules"]:
        (folder / f"{key}.object").unlink()
        assert equal(run(), first)
        drop()
    assert len(builds) == 1 + len(content["modules"])


def test_a_damaged_program_is_built_anew(builds, folder):
    first = run()
    drop()
    (file,) = entries(folder)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.warns(CacheWarning, match="compiled anew"):
        assert equal(run(), first)
    assert len(builds) == 2


@pytest.mark.parametrize("content", ["[]", "{}", '{"blueprint": "[1]", "modules": []}', "no json", '{"modules": 3}'])
def test_a_sound_entry_that_holds_no_program(builds, content):
    first = run()
    drop()
    (graph, *_), = builds
    key = stored_program.key_of_program(graph, list, None, gc.backends.llvm.threads.thread_count())
    assert stored_program.load(key) is not None
    cache.object_cache().store(key, content.encode())
    with pytest.warns(CacheWarning, match="no program"):
        assert equal(run(), first)


def test_without_a_cache_nothing_is_stored(builds, folder, monkeypatch):
    monkeypatch.setenv("GRAPHC_CACHE", "off")
    run()
    run()
    assert len(builds) == 2 and not folder.exists()


def test_a_blueprint_is_what_its_text_says():
    f, _ = step()
    found = f._executable._blueprint
    again = Blueprint.from_text(found.to_text())
    assert again == found
    assert again.to_text() == found.to_text()
    assert any(not isinstance(size, int) for size in found.sizes)


_PROGRAM = """
import sys
import numpy as np
import graphc as gc
x = gc.placeholder(("n", 8), "float32", name="x")
w = gc.variable(np.ones((8, 5), "float32"), name="w")
f = gc.function([x], gc.tanh(x @ w), updates={w: w * 0.5})
print(float(f(np.ones((40, 8), "float32")).sum()), "llvmlite" in sys.modules)
"""


def test_a_new_process_needs_no_llvm():
    runs = [subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True) for _ in "ab"]
    (value, compiled), (again, loaded) = (done.stdout.split() for done in runs)
    assert value == again
    assert (compiled, loaded) == ("True", "False")
