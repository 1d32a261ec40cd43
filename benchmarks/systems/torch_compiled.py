"""The workloads in PyTorch under `torch.compile`: each step one graph, gradients and update included.

LSTMs are not here: compiled, `torch.nn.LSTM` falls back to the eager kernels or is unrolled over time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from benchmarks import by_hand
from benchmarks.program import Program, Programs
from benchmarks.systems import torch as eager
from benchmarks.workload import Inputs, Sizes
from benchmarks.workloads.large_graphs import links
from benchmarks.workloads.rows import EPSILON

LIBRARIES = eager.LIBRARIES

Tensor = torch.Tensor


def pure(compute: Callable[..., Any]) -> Callable[[Inputs, Sizes], Program]:
    """The program of a function of tensors, which gets the sizes last."""

    def program(inputs: Inputs, sizes: Sizes) -> Program:
        torch.set_grad_enabled(False)
        compiled = torch.compile(lambda *arrays: compute(*arrays, sizes), fullgraph=True, dynamic=False)
        return Program(partial(compiled, *eager.tensors(inputs.data)), eager.as_list)

    return program


def training(loss: Callable[..., Tensor], adapts: bool = False) -> Callable[[Inputs, Sizes], Program]:
    """The program of a step of gradient descent, or of Adam, in place."""

    def program(inputs: Inputs, sizes: Sizes) -> Program:
        torch.set_grad_enabled(False)
        data, parameters = eager.tensors(inputs.data), eager.tensors(inputs.parameters)
        means, squares = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
        count, rate = torch.zeros(()), sizes["rate"]
        value_and_slopes = torch.func.grad_and_value(loss)

        def descend(parameters: list[Tensor], *data: Tensor) -> Tensor:
            slopes, value = value_and_slopes(parameters, *data)
            for p, g in zip(parameters, slopes):
                p.sub_(rate * g)
            return value

        def adam(parameters: list[Tensor], *data: Tensor) -> Tensor:
            slopes, value = value_and_slopes(parameters, *data)
            count.add_(1)
            scale, root = rate / (1 - by_hand.BETA1**count), torch.sqrt(1 - by_hand.BETA2**count)
            for p, g, m, v in zip(parameters, slopes, means, squares):
                m.lerp_(g, 1 - by_hand.BETA1)
                v.lerp_(g * g, 1 - by_hand.BETA2)
                p.sub_(scale * m / (torch.sqrt(v) / root + by_hand.EPSILON))
            return value

        step = torch.compile(adam if adapts else descend, fullgraph=True, dynamic=False)
        return Program(partial(step, parameters, *data), lambda last: eager.as_list([last, *parameters]))

    return program


def expression(a: Tensor, b: Tensor, c: Tensor, sizes: Sizes) -> Tensor:
    """Three functions in one expression."""
    return torch.tanh(a * b + c) * torch.exp(-a * a) + torch.log1p(torch.abs(b))


def logsumexp_gradient(x: Tensor, sizes: Sizes) -> Tensor:
    """The gradient of the sum of all rows' logsumexp."""
    return torch.func.grad(lambda x: torch.logsumexp(x, dim=1).sum())(x)


def logistic_gradient(x: Tensor, t: Tensor, w: Tensor, sizes: Sizes) -> list[Tensor]:
    """Value and gradient of minus the log-likelihood."""

    def loss(w: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(torch.mv(x, w), t, reduction="sum")

    gradient, value = torch.func.grad_and_value(loss)(w)
    return [value, gradient]


PROGRAMS: Programs = {
    "expression": pure(expression),
    "softmax": pure(lambda x, sizes: torch.softmax(x, dim=1)),
    "layer_norm": pure(
        lambda x, scale, shift, sizes: functional.layer_norm(x, scale.shape, scale, shift, EPSILON)
    ),
    "logsumexp_gradient": pure(logsumexp_gradient),
    "sum": pure(lambda x, sizes: x.sum() if sizes["axis"] is None else x.sum(sizes["axis"])),
    "logistic_gradient": pure(logistic_gradient),
    "dense_sgd": training(eager.dense_loss),
    "dense_adam": training(eager.dense_loss, adapts=True),
    "autoencoder_sgd": training(eager.autoencoder_loss),
    "digits_sgd": training(eager.digits_loss),
    "deep_sgd": training(eager.dense_loss),
    "chain": pure(lambda x, sizes: links(x, sizes["ops"], torch.tanh, torch.maximum)),
}  # fmt: skip
