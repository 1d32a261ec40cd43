"""Loops and branches as machine code: the values of the interpreter, nested plans, errors, memory."""

import numpy as np
import pytest

import graphc as gc
from graphc.backends.llvm import nesting
from graphc.backends.llvm.entry import Entries


def both(inputs, outputs, *calls):
    """Both backends' results for each call, which must agree; gives the compiled function."""
    compiled = gc.function(inputs, outputs)
    wanted = gc.function(inputs, outputs, backend="numpy")
    for arrays in calls:
        for found, right in zip(compiled(*arrays), wanted(*arrays)):
            assert found.dtype == right.dtype and found.shape == right.shape
            np.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-12)
    return compiled


def is_native(function):
    return "host" not in function.artifacts["plan"].split("\n", 1)[1]


def net(x, h, w, u, **options):
    def step(x_t, h):
        h = gc.tanh(x_t @ w + h @ u)
        return h, h * 2.0

    return gc.scan(step, x, h, **options)


def net_inputs(steps=None):
    shapes = (("t" if steps is None else steps, "b", 3), ("b", 4), (3, 4), (4, 4))
    return [gc.placeholder(s, "float64", name=n) for s, n in zip(shapes, "xhwu")]


def net_arrays(steps, batch=2, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=s) for s in ((steps, batch, 3), (batch, 4), (3, 4), (4, 4))]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_recurrent_net_and_its_gradient(reverse):
    x, h, w, u = inputs = net_inputs()
    r = net(x, h, w, u, reverse=reverse)
    loss = gc.sum(gc.sin(r.outputs)) + gc.sum(r.last)
    results = [r.last, r.states, r.outputs, loss, *gc.grad(loss, inputs)]
    f = both(inputs, results, *(net_arrays(t) for t in (0, 1, 2, 7)))
    assert is_native(f)


def test_every_choice_of_results():
    x, h, w, u = inputs = net_inputs()
    r = net(x, h, w, u)
    for results in ([r.last], [r.states], [r.outputs], [r.last, r.states], [r.last, r.outputs], [r.states, r.states]):
        assert is_native(both(inputs, results, net_arrays(3), net_arrays(0)))


def test_a_thousand_steps():
    x, h, w, u = inputs = net_inputs()
    r = net(x, h, w, u)
    loss = gc.sum(r.last)
    both(inputs, [loss, *gc.grad(loss, inputs)], [0.5 * a for a in net_arrays(1000)])


def test_states_that_are_swapped_shifted_constant_and_shared():
    x, a, b = gc.placeholder(("t", 3), "float64"), gc.placeholder((3,), "float64"), gc.placeholder((3,), "float64")

    def step(x_t, a, b, c, d, e):
        s = gc.sin(a + x_t)
        return [b, a, x_t, s, s], [a, c, x_t, gc.constant([1.0, 2.0, 3.0]), s, d + e]

    r = gc.scan(step, x, [a, b, a, b, gc.constant(np.ones(3))])
    f = both([x, a, b], [*r.last, *r.states, *r.outputs], *(
        (np.random.default_rng(0).normal(size=(t, 3)), np.ones(3), np.arange(3.0)) for t in (0, 1, 2, 5)
    ))
    assert is_native(f)


def test_nested_loops_and_their_gradient():
    x, w = gc.placeholder(("t", "k"), "float64", name="x"), gc.placeholder((), "float64", name="w")

    def row(x_t, h):
        r = gc.scan(lambda x_tk, h: gc.sin(h * w + x_tk), x_t, h)
        return r.last, r.states

    r = gc.scan(row, x, w)
    loss = gc.sum(r.outputs * r.outputs)
    f = both([x, w], [loss, r.outputs, *gc.grad(loss, [x, w])], *(
        (np.random.default_rng(0).normal(size=s), 0.7) for s in ((3, 4), (0, 4), (3, 0), (1, 1))
    ))
    assert is_native(f)


def test_branches():
    x, y = gc.placeholder((3,), "float64", name="x"), gc.placeholder((3,), "float64", name="y")
    z = gc.cond(gc.sum(x) > 0.0, lambda: [gc.sin(x) * y, x, x], lambda: [y * y * x, gc.exp(y), y])
    loss = gc.sum(z[0] * z[1])
    a = np.array([1.0, 2.0, 3.0])
    assert is_native(both([x, y], [*z, *gc.grad(loss, [x, y])], (a, a + 1), (-a, a + 1)))


def test_a_branch_and_a_while_in_a_loop():
    n = gc.placeholder(("t",), "int64", name="n")

    def collatz(n, count):
        return gc.cond(gc.equal(n % 2, 0), lambda: n // 2, lambda: 3 * n + 1), count + 1

    def step(n_t, total):
        count = gc.while_loop(lambda n, count: n > 1, collatz, [n_t, gc.constant(0)])[1]
        return gc.cond(count > 5, lambda: total + count, lambda: total), count

    r = gc.scan(step, n, gc.constant(0))
    f = both([n], [r.last, r.outputs], ([1, 2, 3, 27, 97],), ([],))
    assert is_native(f)


def test_a_limit():
    x = gc.placeholder((), "float64")
    y = gc.while_loop(lambda x: x < 100.0, lambda x: x * 2.0, x, limit=4)
    both([x], [y, *gc.grad(y, [x])], (1.0,), (50.0,), (1000.0,))


def test_an_index_out_of_bounds_inside_is_named_with_its_line():
    x = gc.placeholder(("t",), "int64", name="x")
    r = gc.scan(lambda i, h: h + gc.constant([1.0, 2.0])[i], x, gc.constant(0.0))
    f = gc.function([x], [gc.exp(r.last), x * 2])
    assert is_native(f) and f([0, 1])[0] == np.exp(3.0)
    with pytest.raises(gc.IndexOutOfBoundsError, match="index 2 is out of bounds for axis 0 with size 2") as caught:
        f([0, 1, 2])
    assert caught.value.location.file == __file__


def test_a_host_step_inside_makes_the_loop_one(capsys):
    x = gc.placeholder(("t",), "float64", name="x")
    r = gc.scan(lambda x_t, h: gc.print(h + x_t, "h is") + gc.constant([1.0, 2.0]), x, gc.constant([0.0, 0.0]))
    f = gc.function([x], r.last * gc.constant([3.0, 4.0]))
    assert "host    0: " in f.artifacts["plan"].replace("host    1", "host    0")
    assert f([1.0, 2.0]).tolist() == [15.0, 28.0]
    assert capsys.readouterr().out.splitlines() == ["h is [1. 1.]", "h is [4. 5.]"]


def test_updates_and_variables():
    w = gc.variable(np.ones((2, 2)), name="w")
    x = gc.placeholder(("t", 2), "float64", name="x")
    r = gc.scan(lambda x_t, m: m + gc.outer(x_t, x_t) @ w, x, gc.zeros((2, 2), "float64"))
    f = gc.function([x], gc.sum(w), updates={w: w - 0.1 * r.last})
    xs = np.random.default_rng(0).normal(size=(3, 2))
    wanted = np.ones((2, 2)) - 0.1 * sum(np.outer(a, a) @ np.ones((2, 2)) for a in xs)
    assert f(xs) == 4 and is_native(f)
    np.testing.assert_allclose(w.value, wanted)


def test_memory_is_that_of_one_step_and_the_stacks():
    x = gc.placeholder(("t", 1000), "float64", name="x")
    r = gc.scan(lambda x_t, h: gc.sort(gc.sin(h + x_t)), x, gc.zeros(1000, "float64"))
    f = gc.function([x], r.last)
    f(np.zeros((500, 1000)))
    (frames,) = f._executable._calls.values()
    assert frames.layout.total < 8 * 1000 * 10


# ---- planted bugs -------------------------------------------------------------------------------------------


def shared_spare(self, b, states, trip):
    """The new state overwrites the old one, which is still being read."""
    for state in states:
        if state.spare:
            self._bind(b, state.new, self._buffer(b, state.spare[0]))


def one_by_one(self, b, states):
    """Nothing moves on after the first step."""


def backwards_rows(self, b, number, scan):
    """Rows in the order of the steps, whatever the direction."""
    scan.is_reversed = False
    RIGHT["_scan"](self, b, number, scan)


def wrong_branch(self, b, number, cond):
    cond.then, cond.otherwise, cond.bound = cond.otherwise, cond.then, cond.bound[::-1]
    RIGHT["_cond"](self, b, number, cond)


RIGHT = {name: getattr(Entries, name) for name in ("_scan", "_cond")}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("_take_turns", shared_spare), ("_advance", one_by_one), ("_scan", backwards_rows), ("_cond", wrong_branch)],
)
def test_a_planted_bug_is_found(name, wrong, monkeypatch):
    monkeypatch.setattr(Entries, name, wrong)
    x, h, u = (gc.placeholder(shape, "float64") for shape in (("t", 2, 4), (2, 4), (4, 4)))

    def step(x_t, h):
        return gc.cond(gc.sum(x_t) > 0.0, lambda: gc.sin(x_t + h @ u), lambda: gc.cos(h) @ u)

    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s) for s in ((6, 2, 4), (2, 4), (4, 4))]
    last = gc.scan(step, x, h, reverse=True).last
    plain = gc.scan(lambda x_t, h, c: (gc.sin(x_t + h @ u), gc.sort(c + gc.cos(h))), x, [h, h], reverse=True).last
    with pytest.raises(AssertionError):
        both([x, h, u], [last, *plain], arrays)


def test_a_history_of_one_row_less_is_found(monkeypatch):
    x, h, w, u = inputs = net_inputs()
    loss = gc.sum(net(x, h, w, u).last)
    gradients = gc.grad(loss, inputs)
    both(inputs, gradients, net_arrays(4))

    class Shifted(nesting.View):
        def __init__(self, history, buffer, skips_first):
            super().__init__(history, buffer, False)

    monkeypatch.setattr(nesting, "View", Shifted)
    with pytest.raises(AssertionError):
        both(inputs, gradients, net_arrays(4))
