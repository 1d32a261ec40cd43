"""The names in `natives` are those of the tables that lower them, and loading them brings no kernel along."""

import subprocess
import sys

import pytest

from graphc.backends.llvm import natives
from graphc.backends.llvm.elementwise import LOWERINGS
from graphc.backends.llvm.kernels import KERNELS
from graphc.ir.opdef import OPS

HEAVY = ("llvmlite", "graphc.backends.llvm.emitter", "graphc.backends.llvm.plan", "graphc.backends.llvm.kernels")


def check_names():
    assert LOWERINGS.keys() == natives.ELEMENTWISE
    assert KERNELS.keys() == natives.OWN_KERNEL
    assert OPS.keys() >= natives.NATIVE


def test_the_names_are_those_of_the_tables():
    check_names()


@pytest.mark.parametrize("table", ["ELEMENTWISE", "OWN_KERNEL"])
def test_a_name_that_is_missing_is_caught(monkeypatch, table):
    monkeypatch.setattr(natives, table, getattr(natives, table) - {min(getattr(natives, table))})
    with pytest.raises(AssertionError):
        check_names()


def test_the_backend_loads_without_what_writes_code():
    program = "import sys, graphc.backends.llvm.backend; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(done.stdout.split())
