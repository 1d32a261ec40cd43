"""Nothing is forgotten: every op has samples, a gradient rule or why not, and a way to run natively."""

import pytest
from samples import SAMPLES

import graphc as gc
from graphc.backends.llvm.backend import LLVMBackend
from graphc.ir.opdef import FUNCTIONS, OPS, Trait

#: Ops that no table can hold: their value comes from outside, or they take a tuple, a graph, storage.
WITHOUT_SAMPLES = {
    "placeholder", "variable", "get", "fused", "assign", "scan", "cond", "while_loop", "while_transpose",
}  # fmt: skip
#: Stands for a gradient that there is no way to compute.
NEVER_RUNS = {"while_transpose"}


def test_every_op_has_samples():
    own = {name for name in OPS if "." not in name}  # ops that other tests define have dotted names
    assert sorted(own - {s.op for s in SAMPLES} - WITHOUT_SAMPLES) == []
    assert sorted({s.op for s in SAMPLES} - OPS.keys()) == []


@pytest.mark.parametrize("op", OPS.values(), ids=lambda op: op.name)
def test_every_op_says_what_it_is(op):
    assert op.doc
    assert callable(op.vjp) or isinstance(op.vjp, str)  # a rule, or why there is none
    assert not (op.has(Trait.REDUCTION) and op.attrs != ("axis", "keepdims"))
    assert op.has(Trait.SOURCE) == (not op.operands)


@pytest.mark.parametrize("op", OPS.values(), ids=lambda op: op.name)
def test_every_op_runs_natively_or_says_why_not(op):
    """Natively, by its expansion, or as a host step: a library routine, or an effect that Python sees."""
    host_step = op.has(Trait.LIBRARY) or op.has(Trait.EFFECT)
    assert op.name in LLVMBackend().native or op.expand is not None or host_step or op.name in NEVER_RUNS


def test_public_functions_are_exported_and_documented():
    hidden = {"at", "getitem"}
    for name, function in FUNCTIONS.items():
        assert hasattr(gc, name) or name in hidden, f"gc.{name} is missing"
        assert function.__doc__, f"{name} has no docstring"
        assert ">>>" in function.__doc__ or name in hidden, f"{name} has no example"
    for name in gc.__all__:
        assert hasattr(gc, name)
