"""Nothing is forgotten: every op has samples, a gradient or the word that it has none, and a way to run natively."""

import pytest
from samples import SAMPLES

import graphc as gc
from graphc.ir.opdef import FUNCTIONS, OPS, Trait

#: Ops that no table of samples can hold: their value comes from outside, or they need a tuple or a graph.
WITHOUT_SAMPLES = {"placeholder", "variable", "get", "fused"}


def test_every_op_has_samples():
    assert sorted(OPS.keys() - {s.op for s in SAMPLES} - WITHOUT_SAMPLES) == []
    assert sorted({s.op for s in SAMPLES} - OPS.keys()) == []


@pytest.mark.parametrize("op", OPS.values(), ids=lambda op: op.name)
def test_every_op_says_what_it_is(op):
    assert op.doc
    assert callable(op.vjp) or isinstance(op.vjp, str)  # a rule, or why there is none
    assert not (op.has(Trait.REDUCTION) and op.attrs != ("axis", "keepdims"))
    assert op.has(Trait.SOURCE) == (not op.operands)


@pytest.mark.parametrize("op", OPS.values(), ids=lambda op: op.name)
def test_every_op_runs_natively_or_has_an_expansion(op):
    backend = pytest.importorskip("graphc.backends.llvm.backend")
    native = getattr(backend, "NATIVE", None)
    if native is None:
        pytest.skip("the LLVM backend does not list its ops yet")
    assert op.name in native or op.expand is not None or op.has(Trait.LIBRARY)


def test_public_functions_are_exported_and_documented():
    hidden = {"at", "getitem"}
    for name, function in FUNCTIONS.items():
        assert hasattr(gc, name) or name in hidden, f"gc.{name} is missing"
        assert function.__doc__, f"{name} has no docstring"
        assert ">>>" in function.__doc__ or name in hidden, f"{name} has no example"
    for name in gc.__all__:
        assert hasattr(gc, name)
