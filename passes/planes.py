"""Graphs whose windows each see one channel only are computed channels first, plane by plane, if they came so.

Pooling and depthwise convolutions treat each channel apart. For a user with channels first, an image of C channels is
then as good as C images of one, and the reshape is free, where transposes would take most of the time:

    to_first(max_pool(to_last(x)))  ->  reshape(max_pool(reshape(x, (N*C, ..., 1))))

The kernels have vectors of neighbouring windows for these. Where another convolution is in the graph, images have
their channels last inside anyhow, and `layout` sees to the transposes. Windows that overlap do not fit when they
spread over an image, nor large ones in a convolution, nor lines too short for vectors.

Invariant: either all windows of a graph fit, or nothing changes; and no transpose is added.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from graphc.ir.graph import Graph, with_inputs
from graphc.ir.location import inherit
from graphc.ir.tensor import Tensor
from graphc.passes.patterns import is_op, make

#: Lines of fewer windows are too short for vectors.
_SHORTEST_LINE = 8


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
        if found is None:
            return new
        return Tensor(found.op, found.inputs, found.attrs, found.type, found.location, tensor.hint or found.hint)

    return graph.rebuild(moved)


def _moved(tensor: Tensor) -> Tensor | None:
    """The tensor as the channels-last form of what is computed channels first; None where it stays."""
    if is_op(tensor, "permute_dims"):
        (x,) = tensor.inputs
        inverse = is_op(x, "permute_dims") and _are_inverse(x.attrs["axes"], tensor.attrs["axes"])
        return x.inputs[0] if inverse else None
    if tensor.op.name not in _FITTING:
        return None
    images = [_first(x) for x in tensor.inputs]
    if any(image is None for image in images):
        return None
    planes = [_as_planes(image) for image in images if image is not None]
    pooled = make(tensor.op.name, *planes, **tensor.attrs)
    batch, *space, channels = tensor.shape
    result = make("reshape", pooled, shape=(batch, channels, *space))
    return make("permute_dims", result, axes=(0, *range(2, tensor.ndim), 1))


def _are_inverse(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    return all(first[axis] == place for place, axis in enumerate(second))


def _first(x: Tensor) -> Tensor | None:
    """The channels-first form of a tensor that is the transpose of one."""
    if is_op(x, "permute_dims") and x.attrs["axes"] == (0, *range(2, x.ndim), 1):
        return x.inputs[0]
    return None


def _as_planes(image: Tensor) -> Tensor:
    batch, channels, *space = image.shape
    return make("reshape", image, shape=(batch * channels, *space, 1))


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


_FITTING: dict[str, Callable[[Tensor], bool]] = {
    "max_pool": _folds,
    "max_pool_pick": _folds,
    "max_pool_spread": _spreads,
    "sum_pool": _folds,
    "sum_pool_spread": _spreads,
}
