"""`scan`: values against a loop in NumPy, types, errors, gradients of both orders and directions."""

import numpy as np
import pytest
from loops import arrays, recurrent, recurrent_by_numpy
from running import check_gradient, run

import graphc as gc
from graphc.ir.close import close


def placeholders(values, dtype="float64", sizes=None):
    return [gc.placeholder(s, dtype, name=n) for s, n in zip(sizes or [v.shape for v in values], "xhwu")]


SYMBOLIC = (("t", "b", 3), ("b", 4), (3, 4), (4, 4))


@pytest.mark.parametrize("steps", [0, 1, 2, 7, 1000])
@pytest.mark.parametrize("reverse", [False, True])
def test_values_of_a_recurrent_net(steps, reverse):
    values = arrays(steps)
    x, h, w, u = placeholders(values, sizes=SYMBOLIC)
    r = gc.scan(lambda x_t, h: recurrent(x_t, h, w, u), x, h, reverse=reverse)
    last, states, outputs = run([r.last, r.states, r.outputs], dict(zip([x, h, w, u], values)))
    wanted, history = recurrent_by_numpy(*values, reverse=reverse)
    np.testing.assert_allclose(last, wanted, rtol=1e-12)
    np.testing.assert_allclose(states, history, rtol=1e-12)
    np.testing.assert_allclose(outputs, history * 2, rtol=1e-12)


def test_results_have_the_form_of_what_was_given():
    xs, h = gc.placeholder((5, 2), "float64"), gc.constant(np.zeros(2))
    one = gc.scan(lambda x, h: h + x, xs, h)
    assert isinstance(one.last, gc.Tensor) and isinstance(one.states, gc.Tensor) and one.outputs == []
    several = gc.scan(lambda x, h, c: ((h + x, c + h), [h, c]), [xs], [h, h])
    assert [len(part) for part in several] == [2, 2, 2]
    assert several.states[0].shape == (5, 2)
    pair = gc.scan(lambda x, h: (h + x, x), xs, [h])
    assert isinstance(pair.outputs, gc.Tensor) and len(pair.last) == 1
    mapped = gc.scan(lambda x: x * 2, xs)
    assert mapped.last == [] and mapped.outputs.shape == (5, 2)


def test_without_sequences_length_says_how_often():
    n = gc.placeholder(("n",), "float64", name="n")
    start = [gc.constant(0), gc.constant(1)]
    r = gc.scan(lambda a, b: (b, a + b), init=start, length=n.shape[0])
    assert run(r.states[0], {n: np.zeros(8)}).tolist() == [1, 1, 2, 3, 5, 8, 13, 21]
    assert run(r.last[0], {n: np.zeros(0)}) == 0
    assert run(gc.scan(lambda a, b: (b, a + b), init=start, length=5).last[1]) == 8
    shorter = gc.scan(lambda a: a + 1, init=gc.constant(0), length=n.shape[0] - 3)
    assert run(shorter.last, {n: np.zeros(1)}) == 0


def test_sizes_that_are_equal_by_a_constraint():
    x = gc.placeholder(("t", "n", 3), "float64", name="x")
    h = gc.placeholder(("m", 3), "float64", name="h")
    r = gc.scan(lambda x_t, h: gc.tanh(x_t + h), x, h)
    graph = close("f", [x, h], [r.last])
    assert {str(c) for c in graph.constraints} <= {"n == m", "m == n"}
    f = gc.function([x, h], r.last)
    assert f(np.ones((2, 4, 3)), np.ones((4, 3))).shape == (4, 3)
    with pytest.raises(gc.ShapeError):
        f(np.ones((2, 4, 3)), np.ones((5, 3)))


def test_sequences_of_two_symbolic_lengths():
    x, y = gc.placeholder(("t",), "float64", name="x"), gc.placeholder(("s",), "float64", name="y")
    f = gc.function([x, y], gc.scan(lambda x, y, h: h + x * y, [x, y], gc.constant(0.0)).last)
    assert f([1.0, 2.0], [3.0, 4.0]) == 11
    with pytest.raises(gc.ShapeError):
        f([1.0, 2.0], [3.0])


def test_what_is_made_outside_is_an_operand_and_what_is_made_inside_is_not():
    w, x = gc.variable(np.ones(3), name="w"), gc.placeholder(("t", 3), "float64", name="x")
    outside = gc.exp(w)

    def step(x_t, h):
        return h + x_t * outside * gc.log(w + 1.0) + np.arange(3.0)

    r = gc.scan(step, x, gc.zeros(3, "float64"))
    (loop,) = r.last.inputs
    assert [t.op.name for t in loop.inputs][2:] == ["exp", "variable"]
    assert "log" in str(loop.attrs["body"]) and "exp" not in str(loop.attrs["body"])
    value = run(r.last, {x: np.ones((4, 3))})
    np.testing.assert_allclose(value, 4 * (np.e * np.log(2) + np.arange(3.0)))


def test_a_nested_scan_lifts_through_both():
    w, x = gc.placeholder((), "float64", name="w"), gc.placeholder(("t", "k"), "float64", name="x")

    def row(x_t, total):
        inner = gc.scan(lambda x_tk, h: gc.sin(h * w + x_tk * total), x_t, total)
        return inner.last, inner.states

    r = gc.scan(row, x, gc.constant(0.5))
    xs = np.random.default_rng(0).normal(size=(3, 4))
    last, outputs = run([r.last, r.outputs], {w: 0.7, x: xs})
    total, wanted = 0.5, np.empty((3, 4))
    for t in range(3):
        h = total
        for k in range(4):
            h = wanted[t, k] = np.sin(h * 0.7 + xs[t, k] * total)
        total = h
    np.testing.assert_allclose(last, total)
    np.testing.assert_allclose(outputs, wanted)


def test_random_numbers_by_a_counter_in_the_state():
    key = gc.constant(np.uint64(7))

    def step(count):
        bits = gc.ir.build.apply(gc.ir.opdef.OPS["random_bits"], key, count)
        return count + gc.constant(np.uint64(1)), bits

    outputs = run(gc.scan(step, init=gc.constant(np.uint64(0)), length=20).outputs)
    assert len(set(outputs.tolist())) == 20


def test_effects_fire_in_order(capsys):
    x = gc.placeholder(("t",), "float64", name="x")
    r = gc.scan(lambda x_t, h: gc.print(h + x_t, "h is"), x, gc.constant(0.0))
    run(r.last, {x: [1.0, 2.0, 3.0]})
    assert capsys.readouterr().out == "h is 1.0\nh is 3.0\nh is 6.0\n"


def test_a_failure_names_the_line_in_the_step():
    x = gc.placeholder(("t",), "int64", name="x")
    r = gc.scan(lambda i, h: h + gc.constant([1.0, 2.0])[i], x, gc.constant(0.0))
    with pytest.raises(gc.IndexOutOfBoundsError, match="index 2 is out of bounds") as caught:
        run(r.last, {x: [0, 1, 2]})
    assert caught.value.location.file == __file__


# Errors


def raised(error, function):
    with pytest.raises(error) as caught:
        function()
    return str(caught.value)


def test_errors():
    x, h = gc.placeholder(("t", 3), "float32", name="x"), gc.constant(np.zeros(3, "float32"))
    y = gc.placeholder((4, 3), "float32", name="y")
    text = raised(gc.DTypeError, lambda: gc.scan(lambda x, h: h.astype("float64"), x, h))
    assert "state 0, 'h', is f32[3] before a step and f64[3] after it" in text and "test_scan.py" in text
    text = raised(gc.ShapeError, lambda: gc.scan(lambda x, h: gc.concat([h, x]), x, h))
    assert "f32[3] before a step and f32[6] after it" in text
    text = raised(gc.ShapeError, lambda: gc.scan(lambda x, y, h: h, [gc.constant(np.zeros((5, 1))), y], h))
    assert "sequence 0 is of 5 steps, sequence 1 of 4" in text
    assert "how many steps" in raised(gc.ArgumentError, lambda: gc.scan(lambda h: h, init=h))
    assert "while_loop" in raised(gc.ArgumentError, lambda: gc.scan(lambda h: h, init=h, length=gc.constant(3)))
    assert "returned 2 new states, init has 1" in raised(
        gc.ArgumentError, lambda: gc.scan(lambda x, h: ([h, h], []), x, h)
    )
    assert "no axis" in raised(gc.ShapeError, lambda: gc.scan(lambda x, h: h, gc.constant(1.0), h))
    assert "function" in raised(gc.ArgumentError, lambda: gc.scan(3, x, h))
    assert "number of steps" in raised(gc.ArgumentError, lambda: gc.scan(lambda h: h, init=h, length=-1))
    v = gc.variable(0.0, name="v")
    text = raised(gc.GraphError, lambda: gc.scan(lambda h: gc.assign(v, h), init=gc.constant(0.0), length=2))
    assert "carry it as a state" in text


# Gradients


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_gradients_of_a_recurrent_net(steps, reverse):
    def net(x, h, w, u):
        r = gc.scan(lambda x_t, h: recurrent(x_t, h, w, u), x, h, reverse=reverse)
        return [r.last, r.states, r.outputs]

    check_gradient(net, *arrays(steps, 1, 2, 2))


def test_gradients_of_two_states_that_need_each_other_and_a_counter():
    def net(x, a, b):
        def step(x_t, a, b, count):
            return (gc.sin(b * x_t), a * b + gc.cos(count.astype("float64")), count + 1), b * b

        r = gc.scan(step, x, [a, b, gc.constant(0)])
        return [r.last[0], r.outputs]

    rng = np.random.default_rng(1)
    check_gradient(net, rng.normal(size=(4, 2)), rng.normal(size=2), rng.normal(size=2))


def test_gradients_of_a_nested_scan():
    def net(x, w):
        def row(x_t, h):
            return gc.scan(lambda x_tk, h: gc.sin(h * w + x_tk), x_t, h).last

        return gc.scan(row, x, w).states

    check_gradient(net, np.random.default_rng(2).normal(size=(3, 2)), np.array(0.4))


def test_gradients_through_a_thousand_steps():
    def net(x, w):
        return gc.scan(lambda x_t, h: gc.sin(h * w + x_t), x, w).last

    check_gradient(net, np.random.default_rng(3).normal(size=1000), np.array(0.4), tolerance=1e-5)


def test_gradients_of_cond_inside_scan():
    def net(x, w):
        def step(x_t, h):
            return gc.cond(x_t > 0.0, lambda: gc.sin(h * w + x_t), lambda: h * gc.exp(x_t))

        return gc.scan(step, x, w).states

    check_gradient(net, np.random.default_rng(4).normal(size=6), np.array(0.4))


def test_the_forward_derivative_is_the_reverse_one():
    values = arrays(5)
    x, h, w, u = xs = placeholders(values)
    r = gc.scan(lambda x_t, h: recurrent(x_t, h, w, u), x, h)
    rng = np.random.default_rng(5)
    along = [gc.constant(rng.normal(size=v.shape)) for v in values]
    weight = gc.constant(rng.normal(size=(5, 2, 4)))
    tangent = gc.jvp(r.outputs, xs, along)
    back = gc.vjp(r.outputs, xs, weight)
    feeds = dict(zip(xs, values))
    one, *others = run([gc.sum(tangent * weight), *(gc.sum(b * v) for b, v in zip(back, along))], feeds)
    np.testing.assert_allclose(one, sum(others), rtol=1e-10)


def test_a_state_that_no_cotangent_reaches_is_not_carried_back():
    x = gc.placeholder(("t",), "float64", name="x")
    r = gc.scan(lambda x_t, h, k: (h + x_t, gc.sin(k)), x, [gc.constant(0.0), gc.constant(1.0)])
    (gradient,) = gc.grad(r.last[0], [x])
    (loop,) = gradient.inputs
    assert loop.op.name == "scan" and loop.attrs["states"] == 1


def test_a_fed_sequence_of_another_size():
    x = gc.placeholder(("t", 3), "float64", name="x")
    doubled = gc.concat([x, x])
    r = gc.scan(lambda x_t, h: h + x_t, doubled, gc.zeros(3, "float64"))
    f = gc.function([doubled], r.states)
    assert f(np.ones((5, 3))).shape == (5, 3)
    g = gc.function([], r.states, givens={x: np.ones((2, 3))})
    assert g().shape == (4, 3)
