"""How an array lies in memory, as movement of a C-contiguous one: reversed, spaced, cut out, broadcast, permuted.

An array that is not C-contiguous often is a simple view of memory that is. A *base*, which begins at its lowest
address, is that memory as an array; `view_of` says as ops what to take of it. Where rows of the base are longer than
what is taken, their length is the *pitch*, a size of its own, so that a layout does not depend on extents:

    array                     base          view_of(base)
    x[:, 2:5]                 (n, pitch)    slice {size=(n, 3)}
    x[:, ::-2]                (n, pitch)    slice {start=(0, 2*m - 2), size=(n, m), step=(1, -2)}
    x.T                       (m, n)        permute_dims {axes=(1, 0)}
    broadcast_to(row, ...)    (1, m)        broadcast_to {shape=(n, m)}
    x[:, 7]                   (n, pitch)    reshape(slice {size=(n, 1)})

Invariant: what `view_of` reads of a base are the array's own elements; the rest of the base may be no memory at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType

#: Elements at most so far apart are read as parts of vectors; those further apart one by one.
NEAR = 4


@dataclass(frozen=True, slots=True)
class Layout:
    """A kind of layout.

    Attributes:
        order: the array's axes, the outermost in memory first.
        steps: for each of those, what the base's index moves by; 0 where the array repeats one element.
        pitched: for each of those, whether the base's extent is a number of its own.
        spaced: whether the base has one more axis, inside all others, of which one element is taken.
    """

    order: tuple[int, ...]
    steps: tuple[int, ...]
    pitched: tuple[bool, ...]
    spaced: bool

    @property
    def is_permuted(self) -> bool:
        """Whether the axes lie in another order than the array has them."""
        return self.order != tuple(sorted(self.order))

    @property
    def is_plain(self) -> bool:
        """Whether the array lies as the base does but for the order of its axes."""
        return all(step == 1 for step in self.steps) and not self.spaced and not any(self.pitched)

    def base_type(self, type_: TensorType) -> TensorType:
        """The type of the base of an array of this type; each pitch is a fresh symbol."""
        extents: list[Size] = []
        for axis, step, pitched in zip(self.order, self.steps, self.pitched):
            extents.append(dims.fresh_symbol("pitch") if pitched else 1 if step == 0 else type_.shape[axis])
        return type_.with_shape((*extents, *[dims.fresh_symbol("pitch")] * self.spaced))

    def view_of(self, base: Tensor, shape: tuple[Size, ...]) -> Tensor:
        """An array of this layout and shape, as movement of its base."""
        tensor = base
        sizes = [shape[axis] if step else 1 for axis, step in zip(self.order, self.steps)]
        if not self.is_plain:
            rest = [0] * self.spaced
            starts = [(size - 1) * -step if step < 0 else 0 for size, step in zip(sizes, self.steps)]
            steps = [step or 1 for step in self.steps]
            taken = (*sizes, *[1] * self.spaced)
            attrs = {"start": (*starts, *rest), "size": taken, "step": (*steps, *[1] * self.spaced)}
            tensor = _moved("slice", tensor, taken, attrs)
        if self.spaced:
            tensor = _moved("reshape", tensor, tuple(sizes), {"shape": tuple(sizes)})
        if self.is_permuted:
            axes = tuple(np.argsort(self.order).tolist())
            tensor = _moved("permute_dims", tensor, tuple(tensor.shape[axis] for axis in axes), {"axes": axes})
        if tensor.shape != shape:
            tensor = _moved("broadcast_to", tensor, shape, {"shape": shape})
        return tensor


def _moved(name: str, x: Tensor, shape: tuple[Size, ...], attrs: dict[str, Any]) -> Tensor:
    """A movement op without the checks of its rule: that a pitch is long enough is known, but not provable."""
    return Tensor(OPS[name], (x,), attrs, x.tensor_type.with_shape(shape), x.location, x.hint)


def layout_of(array: np.ndarray) -> tuple[Layout, np.ndarray] | None:
    """The layout and the base of an array; None for one without elements, or that lies otherwise.

    >>> import numpy as np
    >>> x = np.arange(24.0).reshape(4, 6)
    >>> layout, base = layout_of(x[:, 1::2])
    >>> base.shape, layout.steps, layout.pitched
    ((4, 6), (1, 2), (False, True))
    >>> layout_of(x[:, ::2].T)[0].order, layout_of(np.lib.stride_tricks.sliding_window_view(x, 3, axis=1))
    ((1, 0), None)
    """
    if not array.flags.aligned:
        return None
    found = _found(array.shape, array.strides, array.itemsize)
    if found is None:
        return None
    layout, turned, shape, strides = found
    return layout, np.lib.stride_tricks.as_strided(array[turned] if turned else array, shape, strides, writeable=False)


@lru_cache(256)
def _found(
    shape: tuple[int, ...], strides: tuple[int, ...], item: int
) -> tuple[Layout, tuple[Any, ...], tuple[int, ...], tuple[int, ...]] | None:
    """The layout; the index that makes all strides positive, or nothing; and the base's shape and strides."""
    if 0 in shape:
        return None
    axes = range(len(shape))
    moving = [axis for axis in axes if shape[axis] > 1 and strides[axis] != 0]
    inwards = sorted(moving, key=lambda axis: -abs(strides[axis]))
    order = list(axes) if inwards == moving else [*(a for a in axes if a not in moving), *inwards]
    steps = {axis: 0 if shape[axis] > 1 else 1 for axis in order}
    extents = dict.fromkeys(order, 1)
    pitched = dict.fromkeys(order, False)
    space, spaced = 1, False
    inner: int | None = None  # the axis inside the one that is looked at
    unit = item  # bytes between elements of the base along `inner`
    for axis in reversed(inwards):
        distance, rest = divmod(abs(strides[axis]), unit)
        sign = 1 if strides[axis] > 0 else -1
        if rest:
            return None
        steps[axis] = sign
        if inner is None and distance <= NEAR:
            steps[axis] = sign * distance
        elif inner is None:
            space, spaced = distance, True
            unit *= distance
        elif distance < extents[inner]:
            return None  # rows overlap
        else:
            pitched[inner] = distance != shape[inner]
            extents[inner] = distance
            unit *= distance
        extents[axis] = (shape[axis] - 1) * abs(steps[axis]) + 1
        inner = axis
    if inner is not None and abs(steps[inner]) > 1:
        pitched[inner] = True
    layout = Layout(tuple(order), tuple(steps[a] for a in order), tuple(pitched[a] for a in order), spaced)
    base = [*(extents[a] for a in order), *[space] * spaced]
    distances = [item]
    for extent in reversed(base[1:]):
        distances.append(distances[-1] * extent)
    turned = (..., *(slice(None, None, -1) if steps[axis] < 0 else slice(None) for axis in axes))
    backwards = any(step < 0 for step in steps.values())
    return layout, turned if backwards else (), tuple(base), tuple(distances[: len(base)][::-1])


def merged(array: np.ndarray) -> np.ndarray:
    """The same elements in the same order with fewer axes: those of one element left out, and neighbours as one."""
    shape: list[int] = []
    strides: list[int] = []
    for extent, stride in zip(array.shape, array.strides):
        if extent == 1:
            continue
        if shape and strides[-1] == extent * stride:
            shape[-1], strides[-1] = shape[-1] * extent, stride
        else:
            shape.append(extent)
            strides.append(stride)
    return np.lib.stride_tricks.as_strided(array, shape, strides, writeable=False)


__all__ = ["Layout", "layout_of", "merged"]
