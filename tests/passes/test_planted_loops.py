"""Bugs planted in the passes for loops: the checks between passes find each of them."""

import numpy as np
import pytest

import graphc as gc
from graphc.errors import PassError
from graphc.ir.opdef import OPS
from graphc.passes import defer, hoist, slim
from graphc.passes.manager import optimise


def lstm_step():
    """A training step whose passes have much to do: both halves of an LSTM with an output layer."""
    rng = np.random.default_rng(0)
    x = gc.placeholder(("t", 2, 3), "float64", name="x")
    shapes = {"w": (3, 16), "u": (16, 4), "v": (4, 2)}
    w, u, v = (gc.variable(rng.normal(size=shape) * 0.5, name=name) for name, shape in shapes.items())

    def cell(x_t, h, c):
        i, f, g, o = gc.split(x_t @ w + h @ u.T + 1.0, 4, axis=1)
        c = gc.sigmoid(f) * c + gc.sigmoid(i) * gc.tanh(g)
        h = gc.sigmoid(o) * gc.tanh(c)
        return (h, c), h @ v

    zeros = gc.zeros((2, 4), "float64")
    r = gc.scan(cell, x, [zeros, zeros])
    loss = gc.sum(gc.sin(r.outputs))
    return gc.function([x], [loss, *gc.grad(loss, [x, w, u, v])], backend="numpy", check=0).graph


def check():
    optimise(lstm_step(), native=frozenset(OPS), check=3)


def test_without_a_bug():
    check()


def everything_is_invariant(body, outside, right=hoist._invariant):
    """States count as invariants."""
    return right(body, body.inputs)


def first_term_only(self, number, rest, laters, right=defer._Deferral._take_from_state):
    right(self, number, rest, laters[:0])
    self.later[number] = lambda scan: gc.ir.build.apply(OPS["get"], scan, index=number)


def other_stack(self, tensor, right=defer._Deferral._stack):
    """The stack of what a result of the same type is, not of the tensor."""
    alike = [t for t in self.parts.outputs if t.type == tensor.type and t is not tensor]
    return right(self, alike[0] if alike else tensor)


def fewer_states(body, sequences, states, start, wanted):
    """What a state needs is forgotten."""
    return set(start)


@pytest.mark.parametrize(
    "bugs",
    [
        {(hoist, "_invariant"): everything_is_invariant},
        {(defer._Deferral, "_take_from_state"): first_term_only},
        {(defer._Deferral, "_stack"): other_stack},
        {(slim, "_carried"): fewer_states},
    ],
    ids=["hoist: states are invariants", "defer: terms are lost", "defer: another stack", "slim: a state is lost"],
)
def test_a_planted_bug_is_found(bugs, monkeypatch):
    for (where, name), wrong in bugs.items():
        monkeypatch.setattr(where, name, wrong)
    with pytest.raises((PassError, KeyError, gc.GraphcError)):
        check()
