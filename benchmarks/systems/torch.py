"""The workloads in PyTorch, eager: inference mode, `out=`, fused optimisers, oneDNN for convolutions and LSTMs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.program import Program, Programs
from benchmarks.workload import Arrays, Inputs, Sizes
from benchmarks.workloads.large_graphs import links
from benchmarks.workloads.rows import EPSILON

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
torch.set_num_interop_threads(1)

LIBRARIES = ("torch", "numpy")

Tensor = torch.Tensor
LAST = torch.channels_last


def tensors(arrays: Arrays) -> list[Tensor]:
    """The arrays as tensors of their own memory."""
    return [torch.from_numpy(np.array(a, order="C")) for a in arrays.values()]


def images(arrays: Arrays) -> list[Tensor]:
    """The same, images and kernels with channels last, where single operations are faster."""
    return [t.contiguous(memory_format=LAST) if t.ndim == 4 else t for t in tensors(arrays)]


def as_list(last: Any) -> list[np.ndarray]:
    """One result or several, as NumPy arrays."""
    return [t.detach().numpy() for t in (last if isinstance(last, (list, tuple)) else [last])]


def into(function: Callable[..., Tensor], *, shape: Callable[..., Sequence[int]]) -> Callable[[Inputs, Sizes], Program]:
    """The program of a function of tensors with `out=`."""

    def program(inputs: Inputs, sizes: Sizes) -> Program:
        torch.inference_mode(True).__enter__()
        arrays = tensors(inputs.data)
        out = torch.empty(shape(*arrays), dtype=arrays[0].dtype)
        return Program(partial(function, *arrays, out=out), as_list)

    return program


def pure(compute: Callable[..., Any], inference: bool = True) -> Callable[[Inputs, Sizes], Program]:
    """The program of a function of tensors, which gets the sizes last; with `inference`, nothing is recorded."""

    def program(inputs: Inputs, sizes: Sizes) -> Program:
        torch.inference_mode(inference).__enter__()
        return Program(partial(compute, *images(inputs.data), sizes), as_list)

    return program


def training(loss: Callable[..., Tensor], adapts: bool = False) -> Callable[[Inputs, Sizes], Program]:
    """The program of a step of gradient descent, or of Adam, by a fused optimiser."""

    def program(inputs: Inputs, sizes: Sizes) -> Program:
        data = tensors(inputs.data)
        parameters = [torch.nn.Parameter(t) for t in tensors(inputs.parameters)]
        chosen = torch.optim.Adam if adapts else torch.optim.SGD
        return stepping(partial(loss, parameters, *data), chosen(parameters, lr=sizes["rate"], fused=True), parameters)

    return program


def stepping(loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor]) -> Program:
    """The usual loop: forward, backward, update."""

    def call() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        value = loss()
        value.backward()
        optimizer.step()
        return value

    return Program(call, lambda last: as_list([last, *parameters]))


def expression(a: Tensor, b: Tensor, c: Tensor, sizes: Sizes) -> Tensor:
    """The expression, in place wherever that may be."""
    left = torch.addcmul(c, a, b).tanh_().mul_(torch.mul(a, a).neg_().exp_())
    return left.add_(torch.abs(b).log1p_())


def logsumexp_gradient(x: Tensor, sizes: Sizes) -> Tensor:
    """The gradient of the sum of all rows' logsumexp."""
    x.requires_grad_()
    return torch.autograd.grad(torch.logsumexp(x, dim=1).sum(), x)[0]


def total(inputs: Inputs, sizes: Sizes) -> Program:
    """A sum."""
    torch.inference_mode(True).__enter__()
    (x,) = tensors(inputs.data)
    return Program(partial(torch.sum, x, *(() if sizes["axis"] is None else (sizes["axis"],))), as_list)


def matmul(inputs: Inputs, sizes: Sizes) -> Program:
    """A product of operands that may be stored transposed."""
    torch.inference_mode(True).__enter__()
    arrays = [torch.from_numpy(array) for array in inputs.data.values()]
    x, y = (t.mT if how == "T" else t for t, how in zip(arrays, sizes["stored"]))
    out = torch.empty((*x.shape[:-1], y.shape[-1]))
    return Program(partial(torch.bmm if x.ndim == 3 else torch.mm, x, y, out=out), as_list)


def logistic_gradient(x: Tensor, t: Tensor, w: Tensor, sizes: Sizes) -> list[Tensor]:
    """Value and gradient of minus the log-likelihood."""
    w.requires_grad_()
    loss = functional.binary_cross_entropy_with_logits(torch.mv(x, w), t, reduction="sum")
    return [loss, torch.autograd.grad(loss, w)[0]]


def dense_loss(parameters: Sequence[Tensor], x: Tensor, t: Tensor) -> Tensor:
    """Dense layers with relu between them."""
    *hidden, (w, b) = zip(parameters[::2], parameters[1::2])
    for before, bias in hidden:
        x = torch.relu(torch.addmm(bias, x, before))
    return functional.cross_entropy(torch.addmm(b, x, w), t)


def autoencoder_loss(parameters: Sequence[Tensor], x: Tensor, noise: Tensor) -> Tensor:
    """The variational autoencoder's bound."""
    w1, b1, w_mean, b_mean, w_spread, b_spread, w2, b2, w3, b3 = parameters
    hidden = torch.relu(torch.addmm(b1, x, w1))
    mean, spread = torch.addmm(b_mean, hidden, w_mean), torch.addmm(b_spread, hidden, w_spread)
    z = torch.addcmul(mean, torch.exp(0.5 * spread), noise)
    logits = torch.addmm(b3, torch.relu(torch.addmm(b2, z, w2)), w3)
    entropy = functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    return (entropy - 0.5 * torch.sum(1 + spread - mean * mean - torch.exp(spread))) / x.shape[0]


def digits_loss(parameters: Sequence[Tensor], x: Tensor, t: Tensor) -> Tensor:
    """Two convolutions with pooling, two dense layers; channels last from where there is more than one."""
    k1, c1, k2, c2, *dense = parameters
    x = functional.conv2d(x, k1, c1).contiguous(memory_format=LAST)
    x = functional.max_pool2d(torch.relu(x), 2)
    x = functional.max_pool2d(torch.relu(functional.conv2d(x, k2, c2)), 2)
    return dense_loss(dense, torch.flatten(x, 1), t)


def sequence_sgd(inputs: Inputs, sizes: Sizes) -> Program:
    """`torch.nn.LSTM`, whose second bias stays zero; time comes first, as oneDNN takes it."""
    x, t = tensors(inputs.data)
    wx, wh, b, w, c = tensors(inputs.parameters)
    lstm = torch.nn.LSTM(x.shape[2], sizes["states"])
    with torch.no_grad():
        for parameter, value in zip(lstm.parameters(), (wx.T, wh.T, b, torch.zeros_like(b))):
            parameter.copy_(value)
    lstm.bias_hh_l0.requires_grad_(False)
    w, c = torch.nn.Parameter(w), torch.nn.Parameter(c)
    steps = x.transpose(0, 1).contiguous()

    def loss() -> Tensor:
        _, (h, _) = lstm(steps)
        return functional.binary_cross_entropy_with_logits(torch.addmm(c, h[0], w), t)

    parameters = [lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0, w, c]
    optimizer = torch.optim.SGD(parameters, lr=sizes["rate"], fused=True)
    program = stepping(loss, optimizer, parameters)

    def results(last: Tensor) -> list[np.ndarray]:
        value, wx, wh, *others = program.results(last)
        return [value, wx.T, wh.T, *others]

    return Program(program.call, results)


def convolution_gradients(x: Tensor, w: Tensor, dy: Tensor, sizes: Sizes) -> list[Tensor]:
    """The gradients of image and kernel, without a forward pass."""
    wanted = torch.ops.aten.convolution_backward(
        dy, x, w, None, (1, 1), (0, 0), (1, 1), False, (0, 0), sizes["groups"], (True, True, False)
    )
    return list(wanted[:2])


def max_pool_gradient(inputs: Inputs, sizes: Sizes) -> Program:
    """The gradient of max-pooling, from the indices that its forward pass keeps."""
    torch.inference_mode(True).__enter__()
    x, dy = images(inputs.data)
    _, indices = functional.max_pool2d(x, 2, return_indices=True)
    backward = torch.ops.aten.max_pool2d_with_indices_backward.default
    call = partial(backward, dy, x, (2, 2), (2, 2), (0, 0), (1, 1), False, indices)
    return Program(call, as_list)


PROGRAMS: Programs = {
    "add": into(torch.add, shape=lambda x, y: x.shape),
    "expression": pure(expression),
    "softmax": pure(lambda x, sizes: torch.softmax(x, dim=1)),
    "layer_norm": pure(
        lambda x, scale, shift, sizes: functional.layer_norm(x, scale.shape, scale, shift, EPSILON)
    ),
    "logsumexp_gradient": pure(logsumexp_gradient, inference=False),
    "sum": total,
    "matmul": matmul,
    "logistic_gradient": pure(logistic_gradient, inference=False),
    "dense_sgd": training(dense_loss),
    "dense_adam": training(dense_loss, adapts=True),
    "autoencoder_sgd": training(autoencoder_loss),
    "digits_sgd": training(digits_loss),
    "sequence_sgd": sequence_sgd,
    "convolution": pure(lambda x, w, sizes: functional.conv2d(x, w, groups=sizes["groups"])),
    "convolution_gradients": pure(convolution_gradients),
    "max_pool": pure(lambda x, sizes: functional.max_pool2d(x, 2)),
    "max_pool_gradient": max_pool_gradient,
    "deep_sgd": training(dense_loss),
    "chain": pure(lambda x, sizes: links(x, sizes["ops"], torch.tanh, torch.maximum)),
}  # fmt: skip
