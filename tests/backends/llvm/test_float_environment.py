"""Calls compute by IEEE's rules whatever the processor's settings are, and leave the settings as found."""

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest

import graphc as gc
from graphc.backends.llvm import float_environment
from graphc.backends.llvm.emitter import Builder, Module
from graphc.backends.llvm.jit import compile_module
from graphc.backends.llvm.target import host_target

pytestmark = pytest.mark.skipif(
    not host_target().triple.startswith(("x86_64", "amd64")), reason="only x86-64 has these settings"
)

DEFAULT = 0x1F80
FLUSH = 0x9FC0  # denormals are zeros, in and out
TOWARDS_ZERO = 0x7F80
SUBNORMAL = np.float32(1e-40)


@pytest.fixture(scope="module")
def settings():
    """Functions that read and write the control register."""
    module = Module()
    b = Builder("read", [], "i32")
    place = b.alloca("i32")
    b.call("void", "llvm.x86.sse.stmxcsr", place)
    b.ret(b.load("i32", place))
    module.add(b)
    b = Builder("write", [("value", "i32")])
    place = b.alloca("i32")
    b.store(b.param("value"), place)
    b.call("void", "llvm.x86.sse.ldmxcsr", place)
    b.ret()
    module.add(b)
    library = compile_module(module.text(), ["read", "write"])
    return library.function("read", ctypes.c_uint32), library.function("write", None, ctypes.c_uint32)


def check(settings, value, backend_function, argument, expected):
    read, write = settings
    write(value)
    try:
        result = backend_function(argument)
        found = read()
    finally:
        write(DEFAULT)
    np.testing.assert_array_equal(result, expected)
    assert found & 0xFFC0 == value & 0xFFC0


@pytest.mark.parametrize("value", [FLUSH, TOWARDS_ZERO, DEFAULT])
@pytest.mark.parametrize("size", [3, 100_000])
def test_subnormals_and_rounding_are_ieees(settings, value, size):
    x = gc.placeholder(("n",), "float32", name="x")
    f = gc.function([x], x * np.float32(0.5) + x)
    array = np.full(size, SUBNORMAL)
    array[1::2] = 1 / 3
    expected = array * np.float32(0.5) + array
    f(array)  # the next call is native
    for _ in range(2):
        check(settings, value, f, array, expected)


def test_the_pools_threads_have_their_own(settings):
    """Threads inherit the settings of who makes them."""
    program = f"""
import ctypes, numpy as np, test_float_environment as t, graphc as gc
read, write = t.settings.__wrapped__()
array = np.full(4_000_000, t.SUBNORMAL)
write({FLUSH})
x = gc.placeholder(("n",), "float32", name="x")
f = gc.function([x], gc.exp(x) * 0 + x * np.float32(0.5))
result = f(array)
write({DEFAULT})
assert np.array_equal(result, array * np.float32(0.5)), np.unique(result)
"""
    environment = {**os.environ, "GRAPHC_NUM_THREADS": "3", "PYTHONPATH": os.path.dirname(__file__)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_call_that_takes_the_settings_as_they_are_is_caught(settings, monkeypatch):
    monkeypatch.setattr(float_environment, "_has_mxcsr", lambda b: False)
    x = gc.placeholder(("n",), "float32", name="x")
    f = gc.function([x], x * np.float32(0.25))
    array = np.full(5, SUBNORMAL)
    with pytest.raises(AssertionError):
        check(settings, FLUSH, f, array, array * np.float32(0.25))


