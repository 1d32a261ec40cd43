"""A function that is dropped takes its code, its memory and its class with it."""

import gc
import importlib.util
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

import graphc
from graphc.backends.llvm import linked
from graphc.backends.llvm.loader import Library

_FILE = Path(__file__).parents[3] / "benchmarks" / "leaks.py"


@pytest.fixture
def leaks():
    spec = importlib.util.spec_from_file_location("leaks", _FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def held():
    """What the process keeps for compiled functions: libraries of code, known kernels, classes."""
    gc.collect()
    libraries = sum(type(each) is Library for each in gc.get_objects())
    return libraries, len(linked._compiled), len(graphc.Function.__subclasses__())


def test_a_dropped_function_is_collected_with_its_code(leaks):
    leaks.cycle(0)  # the thread pool is made once
    before = held()
    x = graphc.placeholder(("n",), "float64", name="x")
    step = graphc.function([x], graphc.tanh(x) + 77.0)
    step(np.ones(3)), step(np.ones(3))
    dead = [weakref.ref(step), weakref.ref(type(step)), weakref.ref(step._executable)]
    assert held()[0] > before[0]
    del step
    gc.collect()
    assert [ref() for ref in dead] == [None] * 3
    assert held() == before


def test_a_bound_call_keeps_the_code(leaks):
    x = graphc.placeholder((3,), "float64", name="x")
    call = graphc.function([x], x + 78.0).__call__
    gc.collect()
    for _ in range(3):
        np.testing.assert_array_equal(call(np.ones(3)), np.full(3, 79.0))


def test_objects_do_not_grow_in_number(leaks):
    for number in range(20):
        leaks.cycle(number)
    before, objects = held(), len(gc.get_objects())
    for number in range(20, 60):
        leaks.cycle(number)
    assert held() == before
    assert len(gc.get_objects()) - objects < 40  # less than one a cycle


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_is_flat(leaks):
    assert leaks.growth(10_000) < leaks.ALLOWED
