"""Every example in a docstring runs; every public name is documented, typed and has an example."""

from __future__ import annotations

import doctest
import importlib
import inspect

import pytest
from test_doors import MODULES

import graphc as gc


def public_functions():
    """Every function of `gc`, `gc.linalg` and `gc.random`, under the name that a user writes."""
    yield from ((name, getattr(gc, name)) for name in gc.__all__)
    yield from ((f"linalg.{name}", getattr(gc.linalg, name)) for name in gc.linalg.__all__)
    own = gc.random.__name__
    yield from ((f"random.{n}", v) for n, v in vars(gc.random).items() if getattr(v, "__module__", "") == own)


FUNCTIONS = {n: v for n, v in public_functions() if inspect.isfunction(v) and not v.__name__.startswith("_")}

_OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("name", [m for m in MODULES if not m.endswith("__main__")])
def test_examples_run(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    found = doctest.DocTestFinder(exclude_empty=True).find(module)
    runner = doctest.DocTestRunner(optionflags=_OPTIONS, verbose=False)
    report: list[str] = []
    for test in found:
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_public_function_is_documented_and_typed(name):
    function = FUNCTIONS[name]
    documentation = inspect.getdoc(function) or ""
    assert ">>>" in documentation, f"gc.{name} has no example"
    signature = inspect.signature(function)
    untyped = [p.name for p in signature.parameters.values() if p.annotation is p.empty]
    assert not untyped, f"gc.{name}: no types for {', '.join(untyped)}"
    assert signature.return_annotation is not signature.empty, f"gc.{name}: no type of the result"


def test_public_classes_are_documented():
    for name in gc.__all__:
        value = getattr(gc, name)
        if inspect.isclass(value):
            assert inspect.getdoc(value), f"gc.{name} has no docstring"
            public = [m for m in vars(value).values() if inspect.isfunction(m) and not m.__name__.startswith("_")]
            assert all(inspect.getdoc(m) for m in public), f"gc.{name}: {[m for m in public if not m.__doc__]}"


def test_all_is_sorted_and_complete():
    assert len(set(gc.__all__)) == len(gc.__all__)
    public = {n for n, v in vars(gc).items() if not n.startswith("_") and not inspect.ismodule(v)}
    assert public - set(gc.__all__) == set()
