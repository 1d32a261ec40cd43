"""Identities of ops that move elements: broadcast, reshape, permute, slice, pad, concat, take.

Invariant: which element lands where is the same; sizes are compared as expressions, so a symbolic size equals
only itself.
"""

from __future__ import annotations

import numpy as np

from graphc.ir.dims import Size
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor
from graphc.passes.patterns import is_op, make
from graphc.passes.rewrite import simplify

Sizes = tuple[Size, ...]

# Broadcasting


@simplify("broadcast_to", "reshape")
def same_shape(t: Tensor) -> Tensor | None:
    """reshape(x, shape of x) -> x; likewise broadcast_to

    %x: f32[n,3]
    %0 = reshape %x {shape=(n, 3)} : f32[n,3]
    """
    (x,) = t.inputs
    return x if x.shape == t.shape else None


@simplify("broadcast_to")
def broadcast_of_broadcast(t: Tensor) -> Tensor | None:
    """broadcast_to(broadcast_to(x, s), t) -> broadcast_to(x, t)

    %x: f32[n]
    %0 = broadcast_to %x {shape=(3, n)} : f32[3,n]
    %1 = broadcast_to %0 {shape=(2, 3, n)} : f32[2,3,n]
    """
    (x,) = t.inputs
    return make("broadcast_to", x.inputs[0], shape=t.shape) if is_op(x, "broadcast_to") else None


@simplify("broadcast_to")
def broadcast_adds_axes(t: Tensor) -> Tensor | None:
    """broadcast_to(reshape(x, (1, ..., 1) + shape of x), s) -> broadcast_to(x, s)

    %x: f32[n]
    %0 = reshape %x {shape=(1, n)} : f32[1,n]
    %1 = broadcast_to %0 {shape=(3, n)} : f32[3,n]
    """
    (r,) = t.inputs
    if not is_op(r, "reshape"):
        return None
    (x,) = r.inputs
    added = r.ndim - x.ndim
    return make("broadcast_to", x, shape=t.shape) if added > 0 and r.shape == (1,) * added + x.shape else None


@simplify(Trait.ELEMENTWISE)
def elementwise_of_broadcast(t: Tensor) -> Tensor | None:
    """f(broadcast_to(x), y) -> f(x, y), as f broadcasts by itself; f(broadcast_to(x)) -> broadcast_to(f(x))

    %x: f32[3], %y: f32[n,3]
    %0 = broadcast_to %x {shape=(n, 3)} : f32[n,3]
    %1 = add %0, %y : f32[n,3]
    """
    if not any(is_op(x, "broadcast_to") for x in t.inputs):
        return None
    inputs = [x.inputs[0] if is_op(x, "broadcast_to") else x for x in t.inputs]
    result = make(t.op.name, *inputs, **t.attrs)
    return result if result.shape == t.shape else make("broadcast_to", result, shape=t.shape)


# Reshape and permute


@simplify("reshape")
def reshape_of_reshape(t: Tensor) -> Tensor | None:
    """reshape(reshape(x, s), t) -> reshape(x, t)

    %x: f32[n,6]
    %0 = reshape %x {shape=(n, 2, 3)} : f32[n,2,3]
    %1 = reshape %0 {shape=(2*n, 3)} : f32[2*n,3]
    """
    (x,) = t.inputs
    return make("reshape", x.inputs[0], shape=t.shape) if is_op(x, "reshape") else None


@simplify("permute_dims")
def permute_nothing(t: Tensor) -> Tensor | None:
    """permute_dims(x, (0, 1, ...)) -> x

    %x: f32[n,3]
    %0 = permute_dims %x {axes=(0, 1)} : f32[n,3]
    """
    return t.inputs[0] if t.attrs["axes"] == tuple(range(t.ndim)) else None


@simplify("permute_dims")
def permute_of_permute(t: Tensor) -> Tensor | None:
    """permute_dims(permute_dims(x, p), q) -> permute_dims(x, p[q])

    %x: f32[n,3,4]
    %0 = permute_dims %x {axes=(2, 0, 1)} : f32[4,n,3]
    %1 = permute_dims %0 {axes=(2, 0, 1)} : f32[3,4,n]
    """
    (x,) = t.inputs
    if not is_op(x, "permute_dims"):
        return None
    axes = tuple(x.attrs["axes"][axis] for axis in t.attrs["axes"])
    return make("permute_dims", x.inputs[0], axes=axes)


@simplify("permute_dims")
def permute_of_ones(t: Tensor) -> Tensor | None:
    """permute_dims(x, p) -> reshape(x) where only axes of size 1 change places

    %x: f32[n,1]
    %0 = permute_dims %x {axes=(1, 0)} : f32[1,n]
    """
    (x,) = t.inputs
    moved = [axis for axis in t.attrs["axes"] if x.shape[axis] != 1]
    return make("reshape", x, shape=t.shape) if moved == sorted(moved) and t.ndim > 1 else None


# Slices


@simplify("slice")
def slice_of_everything(t: Tensor) -> Tensor | None:
    """x[:] -> x

    %x: f32[n,3]
    %0 = slice %x {start=(0, 0), size=(n, 3), step=(1, 1)} : f32[n,3]
    """
    (x,) = t.inputs
    # A whole axis can only start at 0, and its step only matters for more than one element.
    forward = all(step == 1 or size == 1 for step, size in zip(t.attrs["step"], t.shape))
    from_start = all(isinstance(s, int) and s == 0 for s in t.attrs["start"])
    return x if x.shape == t.shape and forward and from_start else None


@simplify("slice")
def slice_of_slice(t: Tensor) -> Tensor | None:
    """x[a : : b][c : : d] -> x[a + c*b : : b*d]

    %x: f32[20]
    %0 = slice %x {start=(2,), size=(8,), step=(2,)} : f32[8]
    %1 = slice %0 {start=(1,), size=(3,), step=(2,)} : f32[3]
    """
    (x,) = t.inputs
    if not is_op(x, "slice"):
        return None
    source, inner, outer = x.inputs[0], x.attrs, t.attrs
    for axis in range(t.ndim):
        # The rule of a symbolic slice states a constraint for each call to check: none may be lost or made.
        sizes = (source.shape[axis], x.shape[axis], t.shape[axis], inner["start"][axis], outer["start"][axis])
        if not _all_known(sizes) and not _is_whole(t, axis) and not _is_whole(x, axis):
            return None
    start = tuple(a + c * b for a, b, c in zip(inner["start"], inner["step"], outer["start"]))
    step = tuple(b * d for b, d in zip(inner["step"], outer["step"]))
    return make("slice", source, start=start, size=t.shape, step=step)


def _all_known(sizes: Sizes) -> bool:
    return all(isinstance(size, int) for size in sizes)


def _is_whole(t: Tensor, axis: int) -> bool:
    """Whether a slice takes an axis as it is."""
    same = t.shape[axis] == t.inputs[0].shape[axis] and t.attrs["start"][axis] == 0
    return same and t.attrs["step"][axis] == 1


@simplify("slice")
def slice_of_pad(t: Tensor) -> Tensor | None:
    """pad(x, before, after)[before : before + n] -> x

    %x: f32[n], %v: f32[]
    %0 = pad %x, %v {before=(2,), after=(1,)} : f32[n+3]
    %1 = slice %0 {start=(2,), size=(n,), step=(1,)} : f32[n]
    """
    (p,) = t.inputs
    if not is_op(p, "pad") or any(step != 1 for step in t.attrs["step"]):
        return None
    x = p.inputs[0]
    return x if t.attrs["start"] == p.attrs["before"] and t.shape == x.shape else None


@simplify("slice")
def slice_of_concat(t: Tensor) -> Tensor | None:
    """concat(x, y)[: n] -> x[: n] where the slice lies within x

    %x: f32[n,2], %y: f32[n,3]
    %0 = concat %x, %y {axis=1} : f32[n,5]
    %1 = slice %0 {start=(0, 2), size=(n, 3), step=(1, 1)} : f32[n,3]
    """
    (joined,) = t.inputs
    if not is_op(joined, "concat"):
        return None
    axis, start, step = joined.attrs["axis"], t.attrs["start"], t.attrs["step"]
    first, count = start[axis], t.shape[axis]
    if not isinstance(first, int) or not isinstance(count, int) or count == 0:
        return None
    last = first + (count - 1) * step[axis]
    low, high = min(first, last), max(first, last)
    begin = 0
    for part in joined.inputs:
        end = begin + part.shape[axis]
        if not isinstance(end, int):
            return None
        if begin <= low and high < end:
            moved = (*start[:axis], start[axis] - begin, *start[axis + 1 :])
            return make("slice", part, start=moved, size=t.shape, step=step)
        begin = end
    return None


# Concat, pad, take


@simplify("concat")
def concat_of_one(t: Tensor) -> Tensor | None:
    """concat(x) -> x

    %x: f32[n]
    %0 = concat %x {axis=0} : f32[n]
    """
    return t.inputs[0] if len(t.inputs) == 1 else None


@simplify("concat")
def concat_of_nothing(t: Tensor) -> Tensor | None:
    """concat(x, y, z) -> concat(x, z) where y has no elements

    %x: f32[n], %y: f32[0], %z: f32[n]
    %0 = concat %x, %y, %z {axis=0} : f32[2*n]
    """
    axis = t.attrs["axis"]
    parts = [x for x in t.inputs if x.shape[axis] != 0]
    return make("concat", *parts, axis=axis) if parts and len(parts) < len(t.inputs) else None


@simplify("concat")
def concat_of_neighbours(t: Tensor) -> Tensor | None:
    """concat(x[: a], x[a : b]) -> x[: b]

    %x: f32[n,6]
    %0 = slice %x {start=(0, 0), size=(n, 2), step=(1, 1)} : f32[n,2]
    %1 = slice %x {start=(0, 2), size=(n, 4), step=(1, 1)} : f32[n,4]
    %2 = concat %0, %1 {axis=1} : f32[n,6]
    """
    axis = t.attrs["axis"]
    parts = [t.inputs[0]]
    for part in t.inputs[1:]:
        joined = _joined(parts[-1], part, axis)
        if joined is None:
            parts.append(part)
        else:
            parts[-1] = joined
    if len(parts) == len(t.inputs):
        return None
    return make("concat", *parts, axis=axis) if len(parts) > 1 else parts[0]


def _joined(first: Tensor, second: Tensor, axis: int) -> Tensor | None:
    """One slice in place of two that follow each other along `axis`."""
    if not is_op(first, "slice") or not is_op(second, "slice") or first.inputs != second.inputs:
        return None
    a, b = first.attrs["start"], second.attrs["start"]
    step = first.attrs["step"]
    follows = b[axis] == a[axis] + first.shape[axis] * step[axis]
    elsewhere = (*a[:axis], *a[axis + 1 :]) == (*b[:axis], *b[axis + 1 :])
    if not (follows and elsewhere and step == second.attrs["step"] and _all_known((a[axis], b[axis]))):
        return None
    size = (*first.shape[:axis], first.shape[axis] + second.shape[axis], *first.shape[axis + 1 :])
    return make("slice", first.inputs[0], start=a, size=size, step=step)


@simplify("pad")
def pad_nothing(t: Tensor) -> Tensor | None:
    """pad(x, by 0) -> x

    %x: f32[n], %v: f32[]
    %0 = pad %x, %v {before=(0,), after=(0,)} : f32[n]
    """
    nothing = all(size == 0 for size in (*t.attrs["before"], *t.attrs["after"]))
    return t.inputs[0] if nothing else None


@simplify("take")
def take_everything(t: Tensor) -> Tensor | None:
    """take(x, (0, 1, ..., n-1)) -> x

    %x: f32[n,3]
    %0 = iota {size=n, dtype=i64} : i64[n]
    %1 = take %x, %0 {axis=0} : f32[n,3]
    """
    x, indices = t.inputs
    whole = is_op(indices, "iota") and indices.attrs["size"] == x.shape[t.attrs["axis"]]
    # Narrow integers wrap, so the positions might be others.
    return x if whole and indices.dtype.itemsize >= 4 else None


@simplify("take")
def take_a_slice(t: Tensor) -> Tensor | None:
    """take(x, (a, a + d, a + 2*d, ...)) -> x[a : : d] of constant positions

    %x: f32[n,8]
    %0 = const {value=[1, 3, 5]} : i64[3]
    %1 = take %x, %0 {axis=1} : f32[n,3]
    """
    x, indices = t.inputs
    axis = t.attrs["axis"]
    extent = x.shape[axis]
    if not is_op(indices, "const") or indices.ndim != 1 or not isinstance(extent, int):
        return None
    places = indices.attrs["value"].astype(np.int64)
    count = len(places)
    if count == 0 or places.min() < 0 or places.max() >= extent:
        return None
    step = int(places[1] - places[0]) if count > 1 else 1
    if step == 0 or (np.diff(places) != step).any():
        return None
    start = tuple(int(places[0]) if i == axis else 0 for i in range(x.ndim))
    steps = tuple(step if i == axis else 1 for i in range(x.ndim))
    return make("slice", x, start=start, size=t.shape, step=steps)


