"""Windows that slide over the spatial axes of an image: their geometry, and how a user may write it.

What convolution and pooling share. Along one axis, window `o` of the result begins at place `o*stride - before` of
the operand, and its tap `k` lies `k*dilation` further:

    before=1      . a b c d e .      after=1          o*stride + k*dilation - before
    stride=2     [k k k]                              is where tap k of window o lies;
                     [k k k]                          what lies outside takes no part
                         [k k k]

The ops take images with the channels last, `(batch, *space, channels)`; other layouts are transposes around them,
made by the public functions, and moved to the edges of the graph by `passes/layout.py`.

Invariant: all tuples of a `Windows` have one entry for each spatial axis, in the order of the axes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from graphc.errors import ArgumentError, DTypeError, ShapeError, nearest
from graphc.ir import dims
from graphc.ir.dims import Dim, Size
from graphc.ir.location import here
from graphc.ir.tensor import Tensor
from graphc.ir.types import FLOATS, TensorType
from graphc.ir.verify import require_equal
from graphc.ops.arguments import as_integer, as_size, is_integer
from graphc.ops.movement import permuted

Sizes = tuple[Size, ...]
Slices = tuple[slice, ...]

#: Layout -> (whether the channels come last, how many spatial axes; None: any number).
LAYOUTS: dict[str, tuple[bool, int | None]] = {
    "NCHW": (False, None), "NCL": (False, 1), "NCW": (False, 1), "NCDHW": (False, 3),
    "NHWC": (True, None), "NLC": (True, 1), "NWC": (True, 1), "NDHWC": (True, 3),
}  # fmt: skip


# what the type rules need ---------------------------------------------------------------------------------


def span(window: Size, dilation: int) -> Size:
    """From the first tap of a window to behind the last."""
    return (window - 1) * dilation + 1


def require_at_least(size: Size, least: int, rule: str) -> None:
    """State in a type rule that a size is not smaller than `least`; symbolic ones are checked by each call.

    Raises:
        ShapeError: it is smaller.
    """
    if not dims.never_negative(size - least):
        require_equal(size, dims.maximum(size, least), rule)


def window_counts(
    extents: Sizes, window: Sizes, strides: tuple[int, ...], before: Sizes, after: Sizes, dilation: tuple[int, ...]
) -> Sizes:
    """How many windows fit along each spatial axis: the spatial shape of the result.

    Raises:
        ShapeError: the numbers of entries differ, a window is empty, or it is larger than the padded operand.
    """
    rank = len(extents)
    if not all(len(entry) == rank for entry in (window, strides, before, after, dilation)):
        raise ShapeError(f"window, strides, padding and dilation must have {rank} entries each")
    for number in (*strides, *dilation):
        if number < 1:
            raise ArgumentError("strides and dilation must be at least 1")
    counts: list[Size] = []
    for n, k, s, b, a, d in zip(extents, window, strides, before, after, dilation):
        for padding in (b, a):
            require_at_least(padding, 0, "the padding is negative")
        require_at_least(k, 1, "the window is empty")
        room = n + b + a - span(k, d)
        require_at_least(room, 0, "the window is larger than the padded input")
        counts.append(dims.floordiv(room, s) + 1)
    return tuple(counts)


def known_counts(extents: tuple[int, ...], *geometry: Any) -> tuple[int, ...]:
    """`window_counts` of numbers, which are numbers."""
    return tuple(dims.evaluate(count, {}) for count in window_counts(extents, *geometry))


def check_rank(rank: int) -> None:
    """Refuse images without spatial axes, or with more than three.

    Raises:
        ShapeError: so it is.
    """
    if not 3 <= rank <= 5:
        raise ShapeError("images have a batch axis, one to three spatial axes, and a channel axis")


def check_operands(first: TensorType, second: TensorType) -> None:
    """Refuse operands of a convolution that are not alike: floats of one dtype and one rank, that of images.

    Raises:
        DTypeError, ShapeError: so it is.
    """
    if first.dtype not in FLOATS:
        raise DTypeError("takes float32 or float64")
    if first.dtype != second.dtype:
        raise DTypeError("the operands have different dtypes")
    check_rank(first.rank)
    if first.rank != second.rank:
        raise ShapeError("the operands differ in rank")


# what the NumPy evaluations need --------------------------------------------------------------------------


def taps(
    extents: tuple[int, ...],
    counts: tuple[int, ...],
    window: tuple[int, ...],
    strides: tuple[int, ...],
    before: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Iterator[tuple[tuple[int, ...], Slices, Slices]]:
    """For each tap of the window: its place, the operand's elements that it meets, and the windows it does that for.

    The slices are of whole images `(batch, *space, channels)`; taps that meet only padding are left out. In
    row-major order, but inside a `tap_order`.
    """
    axes = [
        [_along(n, p, k, s, b, d) for k in range(size)]
        for n, p, size, s, b, d in zip(extents, counts, window, strides, before, dilation)
    ]
    for entries in _tap_order.get()(list(itertools.product(*axes))):
        if all(entry is not None for entry in entries):
            found = [entry for entry in entries if entry is not None]
            inside = (slice(None), *(entry[1] for entry in found), slice(None))
            yield tuple(e[0] for e in found), inside, (slice(None), *(e[2] for e in found), slice(None))


_Order = Callable[[list[Any]], list[Any]]
_tap_order: ContextVar[_Order] = ContextVar("tap_order", default=list)


@contextmanager
def tap_order(order: _Order) -> Iterator[None]:
    """Take the taps of windows in another order: another correct order of the same sums."""
    token = _tap_order.set(order)
    try:
        yield
    finally:
        _tap_order.reset(token)


def _along(n: int, count: int, k: int, s: int, b: int, d: int) -> tuple[int, slice, slice] | None:
    """One tap along one axis: the elements it meets, and in which windows."""
    first = max(0, -((k * d - b) // s))  # the smallest o with o*s + k*d - b >= 0
    last = min(count, (n - 1 + b - k * d) // s + 1)
    if first >= last:
        return None
    start = first * s + k * d - b
    return k, slice(start, start + (last - first - 1) * s + 1, s), slice(first, last)


# what the public functions need ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Windows:
    """The geometry of sliding windows as the ops take it."""

    window: Sizes
    strides: tuple[int, ...]
    before: Sizes
    after: Sizes
    dilation: tuple[int, ...]

    @property
    def attrs(self) -> dict[str, Any]:
        """Everything but the window, as attributes."""
        return {"strides": self.strides, "before": self.before, "after": self.after, "dilation": self.dilation}


def channels_last(function: str, x: Tensor, layout: Any) -> Tensor:
    """The image with its channels in the last axis.

    Raises:
        ArgumentError: there is no such layout.
        ShapeError: the layout has another number of axes than `x`, or `x` is no image.
    """
    last, spatial = _layout(function, layout)
    if not 3 <= x.ndim <= 5:
        raise ShapeError(
            f"{function}: {x.type!r}: images have a batch axis, one to three spatial axes, and a channel axis",
            location=here(),
        )
    if spatial is not None and x.ndim != spatial + 2:
        raise ShapeError(f"{function}: layout {layout} has {spatial + 2} axes, x is {x.type!r}", location=here())
    return x if last else permuted(x, (0, *range(2, x.ndim), 1))


def in_layout(function: str, y: Tensor, layout: Any) -> Tensor:
    """An image with its channels last, in the layout that the user wants."""
    last, _ = _layout(function, layout)
    return y if last else permuted(y, (0, y.ndim - 1, *range(1, y.ndim - 1)))


def _layout(function: str, layout: Any) -> tuple[bool, int | None]:
    if not isinstance(layout, str) or layout not in LAYOUTS:
        raise ArgumentError(
            f"{function}: layout {layout!r} is none of {', '.join(LAYOUTS)}",
            location=here(),
            hint=nearest(str(layout), LAYOUTS),
        )
    return LAYOUTS[layout]


def read_windows(
    function: str, extents: Sizes, window: Any, strides: Any, padding: Any, dilation: Any
) -> Windows:
    """The geometry that a user's arguments describe, for an operand with these spatial extents.

    Args:
        function: the public function, for messages.
        extents: the spatial shape.
        window: one size for all axes, or one for each.
        strides: likewise; None is the window itself.
        padding: "VALID" (none); "SAME" (as much as makes `ceil(extent / stride)` windows, the odd one behind); a
            number for all ends; or for each axis a number or a pair (before, after).
        dilation: the distance between taps, one for all axes or one for each.

    Raises:
        ArgumentError: something else.
        ShapeError: an entry is not a size, or their number is not that of the axes.
    """
    rank = len(extents)
    sizes = per_axis(function, "window", window, rank)
    steps = sizes if strides is None else per_axis(function, "strides", strides, rank)
    spread = per_axis(function, "dilation", dilation, rank)
    numbers = tuple(as_integer(function, "strides", s, least=1) for s in steps)
    distances = tuple(as_integer(function, "dilation", d, least=1) for d in spread)
    ends = read_padding(function, padding, rank)
    if ends is None:
        ends = [_same(*entry) for entry in zip(extents, sizes, numbers, distances)]
    return Windows(sizes, numbers, tuple(b for b, _ in ends), tuple(a for _, a in ends), distances)


def _same(extent: Size, window: Size, stride: int, dilation: int) -> tuple[Size, Size]:
    """The padding that makes ceil(extent / stride) windows; TensorFlow's SAME, ONNX's SAME_UPPER."""
    count = dims.floordiv(extent + stride - 1, stride)
    total = dims.maximum((count - 1) * stride + span(window, dilation) - extent, 0)
    before = dims.floordiv(total, 2)
    return before, total - before


def read_padding(function: str, padding: Any, rank: int) -> list[tuple[Size, Size]] | None:
    """(before, after) of each axis; None for "SAME".

    Raises:
        ArgumentError: another word.
        ShapeError: an entry is not a size, or there is another number of them.
    """
    if isinstance(padding, str):
        if padding.upper() not in ("SAME", "VALID"):
            raise ArgumentError(
                f'{function}: padding {padding!r} is neither "SAME" nor "VALID", nor numbers',
                location=here(),
                hint=nearest(padding.upper(), ("SAME", "VALID")),
            )
        return None if padding.upper() == "SAME" else [(0, 0)] * rank
    if is_integer(padding) or isinstance(padding, Dim):
        size = as_size(function, "padding", padding)
        return [(size, size)] * rank
    if not isinstance(padding, (tuple, list)) or len(padding) != rank:
        raise ShapeError(
            f"{function}: padding {padding!r} is not a number, nor {rank} numbers or pairs (before, after)",
            location=here(),
        )
    ends: list[tuple[Size, Size]] = []
    for entry in padding:
        pair = entry if isinstance(entry, (tuple, list)) else (entry, entry)
        if len(pair) != 2:
            raise ShapeError(f"{function}: padding {entry!r} is not a pair (before, after)", location=here())
        ends.append((as_size(function, "padding", pair[0]), as_size(function, "padding", pair[1])))
    return ends


def per_axis(function: str, argument: str, value: Any, rank: int) -> Sizes:
    """One size for all spatial axes, or one for each.

    Raises:
        ShapeError: another number of entries, or one that is not a size.
    """
    entries = tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank
    if len(entries) != rank:
        raise ShapeError(f"{function}: {argument} {value!r} has not {rank} entries", location=here())
    return tuple(as_size(function, argument, entry) for entry in entries)
