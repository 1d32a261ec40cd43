"""Depthwise convolution of images with their channels first: each plane with the window of its channel.

    conv_planes(x, w)            conv of each channel apart, without strides
    conv_planes_weights(x, y)    its derivative by w, times y

`passes/planes.py` puts them where `conv` stands between transposes; nothing else makes them. The derivative by x is a
`conv_planes` itself, with more padding and the window turned round.

Invariant: the value is that of `conv` with as many groups as channels, between transposes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import ShapeError
from graphc.ir.build import apply
from graphc.ir.opdef import OPS, define
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType
from graphc.ir.verify import require_equal
from graphc.ops.convolution import CONV, CONV_WEIGHTS
from graphc.ops.movement import permuted
from graphc.ops.windows import Sizes, check_operands, window_counts

_Numbers = tuple[int, ...]


def _check(x: TensorType, other: TensorType) -> None:
    check_operands(x, other)
    if x.shape[1] == 0:
        raise ShapeError("there must be a channel")


def _counts(x: TensorType, window: Sizes, before: Sizes, after: Sizes, dilation: _Numbers) -> Sizes:
    return window_counts(x.shape[2:], window, (1,) * (x.rank - 2), before, after, dilation)


def _planes_type(x: TensorType, w: TensorType, **geometry: Any) -> TensorType:
    _check(x, w)
    require_equal(w.shape[0], x.shape[1], "there is not one window for each channel of x")
    require_equal(w.shape[1], 1, "each window sees one channel")
    return x.with_shape((*x.shape[:2], *_counts(x, w.shape[2:], **geometry)))


def _weights_type(x: TensorType, y: TensorType, *, window: Sizes, **geometry: Any) -> TensorType:
    _check(x, y)
    for size, expected in zip(y.shape, (*x.shape[:2], *_counts(x, window, **geometry))):
        require_equal(size, expected, "the operands do not belong to one convolution")
    return x.with_shape((x.shape[1], 1, *window))


def _attrs(x: Any, geometry: dict[str, Any]) -> dict[str, Any]:
    """The attributes of the convolution that has its channels last.

    Raises:
        ShapeError: a symbolic number of channels, which cannot be one of groups.
    """
    if not isinstance(x.shape[1], int):
        raise ShapeError("the number of channels must be known")
    return {"strides": (1,) * (len(x.shape) - 2), **geometry, "groups": x.shape[1]}


def _planes_eval(x: np.ndarray, w: np.ndarray, **geometry: Any) -> np.ndarray:
    y = CONV.eval(np.moveaxis(x, 1, -1), w, **_attrs(x, geometry))
    return np.ascontiguousarray(np.moveaxis(y, -1, 1))


def _weights_eval(x: np.ndarray, y: np.ndarray, *, window: _Numbers, **geometry: Any) -> np.ndarray:
    images = np.moveaxis(x, 1, -1), np.moveaxis(y, 1, -1)
    found: np.ndarray = CONV_WEIGHTS.eval(*images, window=window, **_attrs(x, geometry))
    return found


def _last(x: Tensor) -> Tensor:
    return permuted(x, (0, *range(2, x.ndim), 1))


def _first(x: Tensor) -> Tensor:
    return permuted(x, (0, x.ndim - 1, *range(1, x.ndim - 1)))


def _planes(x: Tensor, w: Tensor, **geometry: Any) -> Tensor:
    return _first(apply(CONV, _last(x), w, **_attrs(x, geometry)))


def _transposed(g: Tensor, w: Tensor, size: Sizes, **geometry: Any) -> Tensor:
    return _first(apply(OPS["conv_transpose"], _last(g), w, size=size, **_attrs(g, geometry)))


def _weights(x: Tensor, y: Tensor, *, window: Sizes, **geometry: Any) -> Tensor:
    return apply(CONV_WEIGHTS, _last(x), _last(y), window=window, **_attrs(x, geometry))


CONV_PLANES = define(
    "conv_planes",
    operands=("x", "w"),
    attrs=("before", "after", "dilation"),
    infer=_planes_type,
    eval=_planes_eval,
    vjp=lambda g, y, x, w, **geometry: (
        _transposed(g, w, x.shape[2:], **geometry), _weights(x, g, window=w.shape[2:], **geometry),
    ),
    expand=_planes,
    doc="a depthwise convolution of an image that has its channels first",
)  # fmt: skip

CONV_PLANES_WEIGHTS = define(
    "conv_planes_weights",
    operands=("x", "y"),
    attrs=("window", "before", "after", "dilation"),
    infer=_weights_type,
    eval=_weights_eval,
    vjp=lambda g, w, x, y, window, **geometry: (
        _transposed(y, g, x.shape[2:], **geometry), _planes(x, g, **geometry),
    ),
    expand=_weights,
    doc="the transpose of conv_planes by its weights",
)  # fmt: skip
