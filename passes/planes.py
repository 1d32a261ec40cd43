"""Graphs whose windows each see one channel only are computed channels first, plane by plane, if they came so.

Pooling and depthwise convolutions treat each channel apart. For a user with channels first, an image of C channels is
then as good as C images of one, and the reshape is free, where transposes would take most of the time:

    to_first(max_pool(to_last(x)))  ->  reshape(max_pool(reshape(x, (N*C, ..., 1))))
    to_first(conv(to_last(x), w))   ->  conv_planes(x, w)      of as many groups as channels

The kernels have vectors of neighbouring windows for these. Where another convolution is in the graph, images have
their channels last inside anyhow, and `layout` sees to the transposes. Windows that overlap do not fit when they
spread over an image, nor large ones or those with strides in a convolution, nor lines too short for vectors.

Invariant: either all windows of a graph fit, or nothing changes; and no transpose is added.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from graphc.ir.dims import Size
from graphc.ir.graph import Graph, with_inputs
from graphc.ir.location import inherit
from graphc.ir.tensor import Tensor
from graphc.passes.patterns import is_op, make

#: Lines of fewer windows are too short for vectors.
_SHORTEST_LINE = 8
#: Convolutions of larger windows, or padded by more, take too many registers, and too much code for the border.
_MOST_TAPS = 25
_WIDEST_BORDER = 8


def fits(tensor: Tensor) -> bool:
    """Whether a kernel for planes is as good at this tensor of an op with windows as one for vectors of channels."""
    rule = _FITTING.get(tensor.op.name)
    return rule is not None and rule(tensor)


def by_planes(graph: Graph) -> Graph:
    """`graph` with the transposes around its windows taken away; all its windows must fit."""

    def moved(tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        new = with_inputs(tensor, inputs)
        with inherit(tensor.location, "via layout"):
            found = _moved(new)
        if found is None or is_op(new, "permute_dims"):  # that which was transposed twice is there already
            return new if found is None else found
        return Tensor(found.op, found.inputs, found.attrs, found.type, found.location, tensor.hint or found.hint)

    return graph.rebuild(moved)


def _moved(tensor: Tensor) -> Tensor | None:
    """The tensor as the channels-last form of what is computed channels first; None where it stays."""
    if is_op(tensor, "permute_dims"):
        (x,) = tensor.inputs
        inverse = is_op(x, "permute_dims") and _are_inverse(x.attrs["axes"], tensor.attrs["axes"])
        return x.inputs[0] if inverse else None
    rule = _RULES.get(tensor.op.name)
    result = rule(tensor) if rule is not None else None
    if result is None or tensor.op.name == "conv_weights":
        return result
    return make("permute_dims", result, axes=(0, *range(2, tensor.ndim), 1))


def _are_inverse(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    return all(first[axis] == place for place, axis in enumerate(second))


def _first(x: Tensor) -> Tensor | None:
    """The channels-first form of a tensor that is the transpose of one."""
    if is_op(x, "permute_dims") and x.attrs["axes"] == (0, *range(2, x.ndim), 1):
        return x.inputs[0]
    return None


# what becomes of them, channels first ---------------------------------------------------------------------


def _pooling(tensor: Tensor) -> Tensor | None:
    """max_pool(to_last(x)) -> to_last(reshape(max_pool(reshape(x)))), and the like"""
    planes = []
    for x in tensor.inputs:
        image = _first(x)
        if image is None:
            return None
        batch, channels, *space = image.shape
        planes.append(make("reshape", image, shape=(batch * channels, *space, 1)))
    batch, *space, channels = tensor.shape
    return make("reshape", make(tensor.op.name, *planes, **tensor.attrs), shape=(batch, channels, *space))


def _conv(tensor: Tensor) -> Tensor | None:
    """conv(to_last(x), w) -> to_last(conv_planes(x, w))"""
    x, w = _first(tensor.inputs[0]), tensor.inputs[1]
    return make("conv_planes", x, w, **_geometry(tensor)) if x is not None else None


def _conv_transpose(tensor: Tensor) -> Tensor | None:
    """conv_transpose(to_last(y), w) -> to_last(conv_planes(y, w turned round)), padded by what w reaches beyond"""
    y, w = _first(tensor.inputs[0]), tensor.inputs[1]
    if y is None:
        return None
    rank, window = tensor.ndim - 2, w.shape[2:]
    start, step = (0, 0, *(k - 1 for k in window)), (1, 1, *(-1,) * rank)
    turned = make("slice", w, start=start, size=w.shape, step=step)
    return make("conv_planes", y, turned, **_turned_geometry(tensor, window))


def _conv_weights(tensor: Tensor) -> Tensor | None:
    """conv_weights(to_last(x), to_last(y)) -> conv_planes_weights(x, y)"""
    x, y = map(_first, tensor.inputs)
    if x is None or y is None:
        return None
    return make("conv_planes_weights", x, y, window=tensor.attrs["window"], **_geometry(tensor))


def _geometry(tensor: Tensor) -> dict[str, Any]:
    return {name: tensor.attrs[name] for name in ("before", "after", "dilation")}


def _turned_geometry(tensor: Tensor, window: Sequence[Size]) -> dict[str, Any]:
    reach = [(k - 1) * d for k, d in zip(window, tensor.attrs["dilation"])]
    before, after = (tuple(r - p for r, p in zip(reach, tensor.attrs[end])) for end in ("before", "after"))
    return {"before": before, "after": after, "dilation": tensor.attrs["dilation"]}


_RULES: dict[str, Callable[[Tensor], Tensor | None]] = {
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "conv_weights": _conv_weights,
    "max_pool": _pooling,
    "max_pool_pick": _pooling,
    "max_pool_spread": _pooling,
    "sum_pool": _pooling,
    "sum_pool_spread": _pooling,
}


# what fits ------------------------------------------------------------------------------------------------


def _folds(tensor: Tensor) -> bool:
    """A window's taps to one element."""
    return _is_long(tensor)


def _spreads(tensor: Tensor) -> bool:
    """A window's element to its taps: windows must touch each other along a line, and not overlap anywhere."""
    attrs = tensor.attrs
    axes = zip(attrs["window"], attrs["strides"], attrs["dilation"])
    apart = all(isinstance(k, int) and (k - 1) * d < s for k, s, d in axes)
    touch = attrs["window"][-1] == attrs["strides"][-1] and attrs["dilation"][-1] == 1
    return apart and touch and math.prod(attrs["window"]) <= 16 and _is_long(tensor.inputs[0])


def _is_long(image: Tensor) -> bool:
    """Whether lines are long enough, for all that is known."""
    return not isinstance(image.shape[-2], int) or image.shape[-2] >= _SHORTEST_LINE


def _is_depthwise(tensor: Tensor) -> bool:
    """A convolution of each channel apart, without strides, of known extents and a few taps; its gradients likewise."""
    attrs = tensor.attrs
    is_weights = tensor.op.name == "conv_weights"
    images = tensor.inputs if is_weights else (tensor.inputs[0], tensor)
    window = attrs["window"] if is_weights else tensor.inputs[1].shape[2:]
    known = (*window, *attrs["before"], *attrs["after"], *(size for image in images for size in image.shape[1:]))
    if not all(isinstance(size, int) for size in known) or any(stride != 1 for stride in attrs["strides"]):
        return False
    apart = attrs["groups"] > 1 and all(image.shape[-1] == attrs["groups"] for image in images)
    turned = _turned_geometry(tensor, window)
    padded_little = all(p >= 0 for p in (*turned["before"], *turned["after"]))
    few = math.prod(window) <= _MOST_TAPS and all(
        p <= _WIDEST_BORDER for ends in (attrs, turned) for p in (*ends["before"], *ends["after"])
    )
    return apart and padded_little and few and all(map(_is_long, images))


_FITTING: dict[str, Callable[[Tensor], bool]] = {
    "conv": _is_depthwise,
    "conv_transpose": _is_depthwise,
    "conv_weights": _is_depthwise,
    "max_pool": _folds,
    "max_pool_pick": _folds,
    "max_pool_spread": _spreads,
    "sum_pool": _folds,
    "sum_pool_spread": _spreads,
}
