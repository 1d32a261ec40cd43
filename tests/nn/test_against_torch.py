"""The recurrent layers, attention, batch norm and convolutions against PyTorch, where that is installed."""

import numpy as np
import pytest

import graphc as gc
from graphc import nn

torch = pytest.importorskip("torch")

TOLERANCE = {"rtol": 1e-10, "atol": 1e-12}


@pytest.fixture
def given(drawn):
    def give(*shape):
        value = drawn(*shape)
        return nn.Input(shape[1:], "float64", batch="batch"), value, torch.tensor(value, requires_grad=True)

    return give


def parameters_of(module, pairs):
    """Copies parameters: torch's name -> (variable, how torch has it)."""
    with torch.no_grad():
        for name, value in pairs.items():
            getattr(module, name).copy_(torch.tensor(value))


def compare(y, x, value, theirs, their_x):
    """Values, and the gradient of a weighted sum by the input."""
    weights = np.random.default_rng(1).normal(size=theirs.shape)
    (theirs * torch.tensor(weights)).sum().backward()
    (gradient,) = gc.grad(gc.sum(y * gc.constant(weights)), [x])
    for backend in ("numpy", "llvm"):
        ours = gc.function([x], [y, gradient], backend=backend)(value)
        np.testing.assert_allclose(ours[0], theirs.detach().numpy(), **TOLERANCE)
        np.testing.assert_allclose(ours[1], their_x.grad.numpy(), **TOLERANCE)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("kind", "make"), [("LSTM", nn.LSTM), ("GRU", nn.GRU), ("RNN", nn.SimpleRNN)])
def test_recurrent(given, kind, make, bidirectional):
    x, value, their_x = given(3, 7, 4)
    layer = make(5, return_sequences=True, bias_init="normal")
    layer = nn.Bidirectional(layer) if bidirectional else layer
    y = layer(x)
    module = getattr(torch.nn, kind)(4, 5, batch_first=True, bidirectional=bidirectional).double()
    for part, suffix in zip((layer.forward, layer.backward) if bidirectional else (layer,), ("", "_reverse")):
        hidden = np.zeros_like(part.bias.value)
        if kind == "GRU":
            hidden[10:] = part.recurrent_bias.value
        parameters_of(
            module,
            {
                f"weight_ih_l0{suffix}": part.weight.value.T,
                f"weight_hh_l0{suffix}": part.recurrent_weight.value.T,
                f"bias_ih_l0{suffix}": part.bias.value,
                f"bias_hh_l0{suffix}": hidden,
            },
        )
    compare(y, x, value, module(their_x)[0], their_x)


@pytest.mark.parametrize("causal", [False, True])
def test_multi_head_attention(given, causal):
    x, value, their_x = given(3, 7, 8)
    layer = nn.MultiHeadAttention(2, bias_init="normal")
    y = layer(x, causal=causal)
    module = torch.nn.MultiheadAttention(8, 2, batch_first=True).double()
    p = {n.partition(".")[2]: v.value for n, v in layer.parameters.items()}
    names = ("query", "key", "value")
    parameters_of(
        module,
        {
            "in_proj_weight": np.concatenate([p[f"{n}_weight"].T for n in names]),
            "in_proj_bias": np.concatenate([p[f"{n}_bias"] for n in names]),
        },
    )
    parameters_of(module.out_proj, {"weight": p["output_weight"].T, "bias": p["output_bias"]})
    mask = torch.tensor(~np.tri(7, dtype=bool)) if causal else None
    compare(y, x, value, module(their_x, their_x, their_x, attn_mask=mask)[0], their_x)


def test_batch_norm(given):
    x, value, their_x = given(6, 3, 4, 5)
    layer = nn.BatchNorm()
    with nn.training() as updates:
        y = layer(x)
    module = torch.nn.BatchNorm2d(3).double().train()
    compare(y, x, value, module(their_x), their_x)
    gc.function([x], y, updates=updates, backend="numpy")(value)
    np.testing.assert_allclose(layer.state["batch_norm.mean"].value, module.running_mean.numpy(), **TOLERANCE)
    np.testing.assert_allclose(layer.state["batch_norm.variance"].value, module.running_var.numpy(), **TOLERANCE)


@pytest.mark.parametrize("transposed", [False, True])
def test_convolution(given, transposed):
    x, value, their_x = given(2, 4, 7, 6)
    make, theirs = (nn.Conv2DTranspose, torch.nn.ConvTranspose2d) if transposed else (nn.Conv2D, torch.nn.Conv2d)
    layer = make(6, (3, 2), 2, 1, groups=2, bias_init="normal")
    y = layer(x)
    module = theirs(4, 6, (3, 2), stride=2, padding=1, groups=2).double()
    parameters_of(module, {"weight": layer.weight.value, "bias": layer.bias.value})
    compare(y, x, value, module(their_x), their_x)
