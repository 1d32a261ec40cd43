"""A convolution or a transposed one, seen from its result: which elements of the source each element sums up.

Along each axis, row `j` of the result meets with tap `t` the place `j*row_step + first + t*tap_step` of the source:

    conv            row_step = stride, first = -before, tap_step = dilation
    conv_transpose  row_step = 1: the result falls into as many *phases* as the stride is long. Those of its rows
                    that leave the same remainder meet the same taps of the window, each source element with the
                    next tap, so each phase is a convolution without stride, of fewer taps, and nothing is
                    multiplied by a zero that a stride would insert

      result  0 1 2 3 4 5 6     stride 2, window 3: even rows meet taps 0 and 2, odd rows tap 1
      source  a   b   c   d

Fewer than three spatial axes are three with extents of 1 in front.

Invariant: taps go upwards in the source (`tap_step > 0`), so a run of them along the last axis without dilation is
one stretch of memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from graphc.backends.llvm.emitter import Builder, Value
from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.tensor import Tensor

AXES = 3
_Entry = TypeVar("_Entry")


class AxisPhase(NamedTuple):
    """One axis of one phase, as run-time values.

    Attributes:
        rows: how many rows of the result there are.
        taps: how many taps each of them meets.
        first: where in the source row 0 meets tap 0.
        place: which of the result's elements along this axis row 0 is; row j is `phases * j` further.
        tap: the number in the window of tap 0; tap t is `t * tap_stride` further.
        tap_stride: see there; negative where the window runs against the source.
    """

    rows: Value
    taps: Value
    first: Value
    place: Value
    tap: Value
    tap_stride: int


@dataclass(frozen=True)
class Correlation:
    """What a `conv` or `conv_transpose` kernel computes.

    Attributes:
        dtype: of everything.
        transposed: whether it is the transpose.
        batch: the number of images.
        source: the spatial extents of what is read.
        result: the spatial extents of what is made.
        window: the extents of the window.
        before: the padding in front, of the image that the windows slide over.
        strides, dilation: as the op has them.
        groups: the number of groups.
        depth: channels of the source in each group.
        width: channels of the result in each group.
    """

    dtype: np.dtype
    transposed: bool
    batch: Size
    source: tuple[Size, ...]
    result: tuple[Size, ...]
    window: tuple[Size, ...]
    before: tuple[Size, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    depth: Size
    width: Size

    @property
    def phases(self) -> tuple[int, ...]:
        """Into how many phases the rows of each axis fall."""
        return self.strides if self.transposed else (1,) * AXES

    @property
    def phase_count(self) -> int:
        """The number of phases."""
        return math.prod(self.phases)

    @property
    def row_steps(self) -> tuple[int, ...]:
        """From row to row, along each axis of the source."""
        return (1,) * AXES if self.transposed else self.strides

    @property
    def tap_steps(self) -> tuple[int, ...]:
        """From tap to tap of a phase, along each axis of the source."""
        if not self.transposed:
            return self.dilation
        return tuple(d // math.gcd(d, s) for d, s in zip(self.dilation, self.strides))

    @property
    def taps(self) -> Size:
        """The number of taps of the whole window, all phases together at most."""
        return dims.product(self.window)

    @property
    def rows(self) -> Size:
        """The number of rows of the largest phase."""
        return self.batch * dims.product(
            [dims.floordiv(n + s - 1, s) for n, s in zip(self.result, self.phases)]
        )

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The run-time arguments, in the order of `NAMES`."""
        return (self.batch, *self.source, *self.result, *self.window, *self.before, self.depth, self.width)

    def phase(self, b: Builder, number: Value | None) -> tuple[AxisPhase, ...]:
        """The axes of one phase; the builder has the parameters `NAMES`."""
        found: list[AxisPhase] = []
        for axis in range(AXES):
            n, k = b.param(f"result{axis}"), b.param(f"window{axis}")
            before = b.param(f"before{axis}")
            if not self.transposed:
                first = b.sub(b.i64(0), before)
                found.append(AxisPhase(n, k, first, b.i64(0), b.i64(0), 1))
                continue
            remainder = b.i64(0)
            if number is not None and self.phases[axis] > 1:
                remainder = b.urem(b.udiv(number, math.prod(self.phases[axis + 1 :])), self.phases[axis])
            found.append(self._transposed_axis(b, axis, n, k, b.add(remainder, before), remainder))
        return tuple(found)

    def _transposed_axis(self, b: Builder, axis: int, n: Value, k: Value, reach: Value, place: Value) -> AxisPhase:
        """Row `place + j*stride` meets tap `k` at `(reach - k*dilation)/stride + j`, where that is whole."""
        stride, dilation = self.strides[axis], self.dilation[axis]
        tap_stride, step = stride // math.gcd(stride, dilation), self.tap_steps[axis]
        tap, meets = b.i64(0), Value("i1", "true")
        if stride > 1:
            meets = Value("i1", "false")
            for candidate in reversed(range(tap_stride)):
                whole = b.icmp("eq", b.srem(b.sub(reach, candidate * dilation), stride), 0)
                tap, meets = b.select(whole, b.i64(candidate), tap), b.or_(whole, meets)
        taps = b.sdiv(b.sub(b.add(k, tap_stride - 1), tap), tap_stride)
        taps = b.select(meets, b.intrinsic("smax", taps, 0), b.i64(0))
        last = b.sub(taps, 1)
        first = b.sub(b.sdiv(b.sub(reach, b.mul(tap, dilation)), stride), b.mul(last, step))
        rows = b.intrinsic("smax", b.sdiv(b.sub(b.add(n, stride - 1), place), stride), 0)
        return AxisPhase(rows, taps, first, place, b.add(tap, b.mul(last, tap_stride)), -tap_stride)


NAMES = (
    "batch", *(f"{what}{axis}" for what in ("source", "result", "window", "before") for axis in range(AXES)),
    "depth", "width",
)  # fmt: skip


def correlation_of(tensor: Tensor) -> Correlation:
    """What a tensor of op `conv` or `conv_transpose` computes."""
    image, weights = tensor.inputs
    attrs, groups = tensor.attrs, tensor.attrs["groups"]
    transposed = tensor.op.name == "conv_transpose"
    return Correlation(
        dtype=tensor.dtype,
        transposed=transposed,
        batch=image.shape[0],
        source=in_three(image.shape[1:-1], 1),
        result=in_three(tensor.shape[1:-1], 1),
        window=in_three(weights.shape[2:], 1),
        before=in_three(attrs["before"], 0),
        strides=in_three(attrs["strides"], 1),
        dilation=in_three(attrs["dilation"], 1),
        groups=groups,
        depth=dims.floordiv(image.shape[-1], groups),
        width=dims.floordiv(tensor.shape[-1], groups),
    )


def in_three(entries: tuple[_Entry, ...], missing: _Entry) -> tuple[_Entry, ...]:
    """One entry for each of three axes, the missing ones in front."""
    return (missing,) * (AXES - len(entries)) + tuple(entries)
