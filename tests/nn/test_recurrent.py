"""SimpleRNN, LSTM and GRU against loops in NumPy: results, masks, directions, carried states, gradients."""

import numpy as np
import pytest
from scipy.special import expit as sigmoid

import graphc as gc
from graphc import nn


def rnn_step(layer, z, h):
    return (np.tanh(z + h @ layer.recurrent_weight.value),)


def lstm_step(layer, z, h, c):
    i, f, g, o = np.split(z + h @ layer.recurrent_weight.value, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(layer, z, h):
    zr, zz, zn = np.split(z, 3, -1)
    ur, uz, un = np.split(layer.recurrent_weight.value, 3, -1)
    r, keep = sigmoid(zr + h @ ur), sigmoid(zz + h @ uz)
    inner = r * (h @ un + layer.recurrent_bias.value) if layer.reset_after else (r * h) @ un
    return ((1 - keep) * np.tanh(zn + inner) + keep * h,)


def looped(layer, step, x, mask=None, states=None, backwards=False):
    """(batch, time, units), and the final states."""
    batch, time = x.shape[:2]
    states = states or tuple(np.zeros((batch, layer.units)) for _ in layer.states)
    all_h = np.empty((batch, time, layer.units))
    for t in reversed(range(time)) if backwards else range(time):
        new = step(layer, x[:, t] @ layer.weight.value + layer.bias.value, *states)
        if mask is not None:
            new = tuple(np.where(mask[:, t, None], n, s) for n, s in zip(new, states))
        states = new
        all_h[:, t] = states[0]
    return all_h, states


KINDS = {
    "simple_rnn": (nn.SimpleRNN, {}, rnn_step),
    "lstm": (nn.LSTM, {}, lstm_step),
    "gru": (nn.GRU, {}, gru_step),
    "gru_before": (nn.GRU, {"reset_after": False}, gru_step),
}
MASK = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 1, 0]], bool)


@pytest.mark.parametrize("kind", KINDS)
def test_values(evaluate, drawn, kind):
    """All times and the last, forwards and backwards, masked, from given states, by one set of weights."""
    make, options, step = KINDS[kind]
    layer = make(4, return_sequences=True, return_state=True, bias_init="normal", **options)
    x, mask = nn.Input(("time", 2), "float64"), nn.Input(("time",), "bool")
    starts = [nn.Input((4,), "float64") for _ in layer.states]
    plain, masked = layer(x), layer(x, mask=mask)
    begun = layer(x, initial_state=starts)
    layer.go_backwards = True
    reverse, both = layer(x), layer(x, mask=mask)
    layer.go_backwards = layer.return_sequences = layer.return_state = False
    last = layer(x)
    value, states = drawn(3, 6, 2), tuple(drawn(3, 4) for _ in starts)
    feeds = {x: value, mask: MASK, **dict(zip(starts, states))}
    results = evaluate([*plain, *masked, *begun, *reverse, *both, last], feeds)
    expected = []
    for arguments in (
        {}, {"mask": MASK}, {"states": states}, {"backwards": True}, {"backwards": True, "mask": MASK},
    ):  # fmt: skip
        all_h, final = looped(layer, step, value, **arguments)
        expected += [all_h, *final]
    expected.append(expected[0][:, -1])
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected):
        np.testing.assert_allclose(result, wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(check_gradients, drawn, kind):
    make, options, _ = KINDS[kind]
    layer = make(3, return_sequences=True, **options)
    x, mask = nn.Input((4, 2), "float64"), nn.Input((4,), "bool")
    check_gradients(layer(x, mask=mask), {x: drawn(3, 4, 2), mask: MASK[:, :4]}, layer.parameters.values(), rtol=1e-5)


def test_the_names_and_first_values_of_an_lstm():
    lstm = nn.LSTM(5)
    lstm(nn.Input((10, 2)))
    assert {n: v.shape for n, v in lstm.parameters.items()} == {
        "lstm.weight": (2, 20), "lstm.recurrent_weight": (5, 20), "lstm.bias": (20,),
    }  # fmt: skip
    assert lstm.bias.value.tolist() == [0.0] * 5 + [1.0] * 5 + [0.0] * 10
    u = lstm.recurrent_weight.value.astype("float64")
    np.testing.assert_allclose(u @ u.T, np.eye(5), atol=1e-6)


def test_the_product_with_the_input_is_outside_the_loop():
    x = nn.Input((10, 2))
    text = gc.function([x], nn.LSTM(5)(x), backend="numpy").dump("input")
    before, _, inside = text.partition(" = scan ")
    assert before.count(" = matmul ") == 1
    assert inside.count(" = matmul ") == 1


def test_no_steps_and_a_thousand():
    x = nn.Input(("time", 2), "float64")
    f = gc.function([x], nn.GRU(3)(x), backend="numpy")
    assert (f(np.ones((4, 0, 2))) == 0).all()
    assert f(np.ones((1, 1000, 2))).shape == (1, 3)


@pytest.mark.parametrize("merge", ["concat", "sum", "mean", "multiply"])
@pytest.mark.parametrize("sequences", [False, True])
def test_bidirectional(evaluate, drawn, merge, sequences):
    x, mask = nn.Input((6, 2), "float64"), nn.Input((6,), "bool")
    layer = nn.Bidirectional(nn.LSTM(4, return_sequences=sequences, return_state=True), merge)
    results = layer(x, mask=mask)
    value = drawn(3, 6, 2)
    values = evaluate(list(results), {x: value, mask: MASK})
    ahead, ahead_states = looped(layer.forward, lstm_step, value, MASK)
    back, back_states = looped(layer.backward, lstm_step, value, MASK, backwards=True)
    a, b = (ahead, back) if sequences else (ahead[:, -1], back[:, 0])
    merged = {
        "concat": np.concatenate([a, b], -1), "sum": a + b, "mean": (a + b) / 2, "multiply": a * b,
    }[merge]  # fmt: skip
    for result, wanted in zip(values, [merged, *ahead_states, *back_states], strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-11, atol=1e-13)


def test_the_directions_have_weights_of_their_own():
    layer = nn.Bidirectional(nn.GRU(4, seed=3), name="both")
    layer(nn.Input((6, 2)))
    assert list(layer.parameters)[:2] == ["both.forward.weight", "both.forward.recurrent_weight"]
    assert not np.array_equal(layer.forward.weight.value, layer.backward.weight.value)
    assert [v.name for v in layer.parameters.values()] == list(layer.parameters)
    frozen = nn.Bidirectional(nn.GRU(4), trainable=False)
    frozen(nn.Input((6, 2)))
    assert frozen.parameters == {}


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("block", [nn.training, nn.inference])
def test_a_stateful_layer_continues(drawn, backend, block):
    """Two halves of a sequence, one after the other, are the whole."""
    lstm = nn.LSTM(4, stateful=True, return_sequences=True)
    x = nn.Input((3, 2), "float64", batch=2)
    with block() as updates:
        y = lstm(x)
    assert [v.name for v in updates] == ["lstm.h", "lstm.c"] == list(lstm.state)
    f = gc.function([x], y, updates=updates, backend=backend)
    value = drawn(2, 6, 2)
    halves = [f(value[:, :3]), f(value[:, 3:])]
    expected, final = looped(lstm, lstm_step, value)
    np.testing.assert_allclose(np.concatenate(halves, 1), expected, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(lstm.state["lstm.c"].value, final[1], rtol=1e-11)
    lstm.reset_state()
    np.testing.assert_array_equal(f(value[:, :3]), halves[0])


def test_outside_of_blocks_a_stateful_layer_reads_its_state_and_keeps_it():
    lstm = nn.LSTM(4, stateful=True)
    x = nn.Input((3, 2), batch=2)
    y = lstm(x)
    lstm.state["lstm.h"].assign(np.ones((2, 4)))
    f = gc.function([x], y, backend="numpy")
    assert np.array_equal(f(np.ones((2, 3, 2), "float32")), f(np.ones((2, 3, 2), "float32")))
    assert (lstm.state["lstm.h"].value == 1).all()
