"""The test-suite has a cache of compiled code of its own, which is empty at first; long tests run when asked for.

    pytest                   all but the slow ones
    pytest -m slow           those
    pytest --update-golden   rewrites the golden files of tests/golden; review the difference
"""

import os
import shutil
import tempfile

import pytest

from graphc.backends.llvm import kernel
from graphc.ir.opdef import OPS

_folder = pytest.StashKey[str]()


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files of tests/golden")


@pytest.fixture(autouse=True)
def no_op_is_left_behind():
    """Ops that a test or an example in a docstring defines are gone after it."""
    before = set(OPS)
    yield
    for name in OPS.keys() - before:
        del OPS[name]


@pytest.fixture(autouse=True)
def programs_are_built_anew(request, monkeypatch):
    """A program that the disk cache has whole would hide what a test changes in planning or writing code."""
    if not request.node.get_closest_marker("stored_programs"):
        monkeypatch.setattr("graphc.backends.llvm.stored_program.load", lambda key: None)


@pytest.fixture(autouse=True)
def kernels_are_written_anew():
    """So would kernels that an earlier test made."""
    kernel.forget()


@pytest.fixture(autouse=True)
def programs_have_one_tier(request, monkeypatch):
    """Code that few tests call twice is not worth generating twice."""
    if not request.node.get_closest_marker("tiers"):
        monkeypatch.setattr("graphc.backends.llvm.tiers.ENABLED", False)


@pytest.fixture
def update_golden(request):
    return request.config.getoption("--update-golden")


def pytest_configure(config):
    config.stash[_folder] = os.environ["GRAPHC_CACHE"] = tempfile.mkdtemp(prefix="graphc-test-cache-")


def pytest_unconfigure(config):
    shutil.rmtree(config.stash[_folder], ignore_errors=True)


def pytest_collection_modifyitems(config, items):
    if not config.option.markexpr:
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: run with -m slow"))
