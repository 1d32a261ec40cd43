"""Stacks that lie part by part: which do, that results are what they were, and a reader that is not told."""

import numpy as np
import pytest

import graphc as gc
from graphc.backends.llvm import loop_parts
from graphc.backends.llvm import plan as planning
from graphc.backends.llvm.stacks import lay_part_by_part
from graphc.backends.llvm.steps import Scan

STEPS, STATES = 5, 24


@pytest.fixture(autouse=True)
def in_parts(monkeypatch):
    """Loops are worth sharing from the first microsecond."""
    monkeypatch.setattr(loop_parts, "_LEAST", 0.0)
    monkeypatch.setattr("graphc.backends.llvm.program.thread_count", lambda: 2)


def gated(batch, *, gives_stack=False):
    """A gated net and the gradient of its last state, which needs what the steps forward saved."""
    x, w = gc.placeholder((STEPS, batch, 2 * STATES), "float64"), gc.placeholder((STATES, 2 * STATES), "float64")

    def step(x_t, h):
        new, gate = gc.split(x_t + h @ w, 2, axis=1)
        new = gc.tanh(new)
        return new * gc.sigmoid(gate) + h, new

    r = gc.scan(step, x, gc.zeros((batch, STATES), "float64"))
    loss = gc.sum(gc.sin(r.last))
    return [x, w], [loss, *gc.grad(loss, [x, w]), *([r.outputs] if gives_stack else [])]


def arrays(batch):
    rng = np.random.default_rng(batch)
    return [rng.normal(0, 0.3, shape) for shape in ((STEPS, batch, 2 * STATES), (STATES, 2 * STATES))]


def parts_of(function):
    found = planning.plan(function.optimized, 2)
    return [step.nested.parts for step in found.steps if isinstance(step.nested, Scan)]


def assert_right(inputs, results, batch):
    f, wanted = gc.function(inputs, results), gc.function(inputs, results, backend="numpy")
    for _ in range(3):
        for found, right in zip(f(*arrays(batch)), wanted(*arrays(batch))):
            np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("batch", [32, 64, 34, 48, 33])
def test_values_are_those_of_the_interpreter(batch):
    assert_right(*gated(batch), batch)
    assert_right(*gated(batch, gives_stack=True), batch)


def test_what_one_loop_saves_for_the_other_lies_part_by_part():
    f = gc.function(*gated(32))
    forward, backward = parts_of(f)
    assert forward.stacks and forward.stacks == backward.stacks
    assert "part by part" in f.artifacts["plan"]


def test_what_others_read_does_not():
    """The stack of h, of which a product after the loop is made, and a stack that is an output."""
    alone, (given, _) = parts_of(gc.function(*gated(32)))[0], parts_of(gc.function(*gated(32, gives_stack=True)))
    assert len(given.stacks) == len(alone.stacks) - 1
    assert all(buffer.kind == "arena" for buffer in given.stacks)


@pytest.mark.parametrize("batch", [33, "n"])
def test_rows_that_may_not_come_out_even_lie_as_ever(batch):
    assert [parts.stacks for parts in parts_of(gc.function(*gated(batch)))] == [set(), set()]


def test_a_loop_that_is_not_told_is_caught(monkeypatch):
    def lay_some(plan):
        lay_part_by_part(plan)
        for step in plan.steps:
            if isinstance(step.nested, Scan) and step.nested.is_reversed:
                step.nested.parts.stacks = set()

    monkeypatch.setattr(planning, "lay_part_by_part", lay_some)
    with pytest.raises(AssertionError):
        assert_right(*gated(96), 96)
