"""Kernels of sort and argsort: a stable merge sort of each lane along the axis.

    gather the lane into scratch -> insertion sort of short runs -> merge pairs of runs, from one buffer into
    the other and back, until one run is left -> store it where the lane belongs

argsort carries each element's position along, in a second pair of buffers. A merge that finds its two runs in
order already copies them, so sorted input takes linear time but for the copies.

Invariant: elements are compared by `Order.before` alone, a strict weak order in which all NaNs are equal, and
an element never overtakes an equal one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphc.backends.llvm.emitter import Builder, Value, element_bytes, memory_type
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.kernels.around import Around, start_of
from graphc.backends.llvm.target import Target, host_target
from graphc.ir.tensor import Tensor

#: Runs that insertion sort makes: of random elements it moves a quarter of the square of their number.
RUN = 16


@dataclass(frozen=True)
class Order:
    """The order to sort by, of elements as they are in memory (bools as bytes)."""

    dtype: np.dtype
    descending: bool

    def before(self, b: Builder, x: Value, y: Value) -> Value:
        """Whether x comes strictly before y: NaN is the largest, so last ascending and first descending."""
        if self.descending:
            x, y = y, x
        if self.dtype.kind == "f":
            return b.and_(b.fcmp("ult", x, y), b.fcmp("ord", x, x))
        return b.icmp("slt" if self.dtype.kind == "i" else "ult", x, y)


@dataclass(frozen=True)
class Lanes:
    """Elements in a buffer, and their positions in another (for argsort) or nothing more."""

    bases: tuple[Value, ...]
    types: tuple[str, ...]

    def load(self, b: Builder, index: Value) -> tuple[Value, ...]:
        """The element (and position) at an index."""
        return tuple(b.load(type_, b.gep(base, index, type_)) for base, type_ in zip(self.bases, self.types))

    def store(self, b: Builder, values: Sequence[Value], index: Value) -> None:
        """Write the element (and position) at an index."""
        for base, type_, value in zip(self.bases, self.types, values):
            b.store(value, b.gep(base, index, type_))

    def copy(self, b: Builder, start: Value, source: Lanes, first: Value, count: Value) -> None:
        """Take `count` elements of `source` from `first` on."""
        for to, base, type_ in zip(self.bases, source.bases, self.types):
            b.memcpy(b.gep(to, start, type_), b.gep(base, first, type_), b.mul(count, element_bytes(type_)))


def build_sort(tensor: Tensor) -> Kernel:
    """The kernel of a `sort` tensor."""
    return sort_kernel(tensor, positions=False)


def build_argsort(tensor: Tensor) -> Kernel:
    """The kernel of an `argsort` tensor."""
    return sort_kernel(tensor, positions=True)


def sort_kernel(tensor: Tensor, *, positions: bool, target: Target | None = None) -> Kernel:
    """The kernel that puts the elements, or their positions, in order along the tensor's `axis`."""
    x = tensor.inputs[0].tensor_type
    around, order = Around.axis(x, tensor.attrs["axis"]), Order(x.dtype, tensor.attrs["descending"])
    b = around.builder("sort", target or host_target(), scratch=True)
    x_base, y_base, scratch, outer, extent, inner = b.params
    # Positions first, so that both kinds of buffers are aligned.
    types = (memory_type(x.dtype), "i64") if positions else (memory_type(x.dtype),)
    buffers: list[list[Value]] = [[], []]
    for type_ in reversed(types):
        for buffer in buffers:
            buffer.insert(0, scratch)
            scratch = b.gep(scratch, extent, type_)
    first, second = (Lanes(tuple(buffer), types) for buffer in buffers)
    with b.loop(0, outer) as block, b.loop(0, inner) as column:
        source = start_of(b, x_base, block.index, extent, inner, column.index, x.dtype)
        with b.loop(0, extent) as loop:
            element = b.load(types[0], b.gep(source, b.mul(loop.index, inner), types[0]))
            first.store(b, (element, loop.index), loop.index)
        _sort_runs(b, order, first, extent)
        in_order = _merge_runs(b, order, first, second, extent)
        result_dtype = tensor.tensor_type.dtype
        result = start_of(b, y_base, block.index, extent, inner, column.index, result_dtype)
        with b.loop(0, extent) as loop:
            value = in_order.load(b, loop.index)[-1]
            b.store(value, b.gep(result, b.mul(loop.index, inner), types[-1]))
    # Never 0 bytes, not even for an axis of the number 0: the function has the parameter.
    scratch_bytes = (around.extent + 1) * 2 * sum(map(element_bytes, types))
    return Kernel(b, around.sizes, scratch_bytes)


def _sort_runs(b: Builder, order: Order, lanes: Lanes, extent: Value) -> None:
    """Insertion sort of every `RUN` neighbours: each element sinks past those that it comes before."""
    with b.loop(0, extent, RUN) as run:
        stop = b.intrinsic("smin", b.add(run.index, RUN), extent)
        with b.loop(b.add(run.index, 1), stop) as loop:
            values = lanes.load(b, loop.index)
            with b.forever([loop.index]) as sink:
                (place,) = sink.carried
                sink.exit_if(b.icmp("eq", place, run.index))
                above = lanes.load(b, b.sub(place, 1))
                sink.exit_if(b.not_(order.before(b, values[0], above[0])))
                lanes.store(b, above, place)
                sink.next(b.sub(place, 1))
            lanes.store(b, values, sink.results[0])


def _merge_runs(b: Builder, order: Order, first: Lanes, second: Lanes, extent: Value) -> Lanes:
    """Merge runs until there is one; gives the buffers that hold it."""
    with b.forever([b.i64(RUN), *first.bases, *second.bases]) as level:
        width, *bases = level.carried
        source = Lanes(tuple(bases[: len(first.bases)]), first.types)
        result = Lanes(tuple(bases[len(first.bases) :]), first.types)
        level.exit_if(b.icmp("sge", width, extent))
        with b.loop(0, extent, b.mul(width, 2)) as pair:
            middle = b.intrinsic("smin", b.add(pair.index, width), extent)
            stop = b.intrinsic("smin", b.add(middle, width), extent)
            _merge(b, order, source, result, pair.index, middle, stop)
        level.next(b.mul(width, 2), *result.bases, *source.bases)
    return Lanes(tuple(level.results[1 : 1 + len(first.bases)]), first.types)


def _merge(
    b: Builder, order: Order, source: Lanes, result: Lanes, start: Value, middle: Value, stop: Value
) -> None:
    """Merge the runs start..middle and middle..stop of `source`, from both ends at once.

        start  left >        < left_end middle  right >        < right_end stop
          |======[..........]=====|========[..........]===========|

    A step takes the least element of what is left and the greatest: two chains of dependent loads side by
    side, and each chooses its run without a branch. While both runs have elements, these are two different
    ones. When a run is used up, the rest of the other fills the gap.
    """
    end_of_left = source.load(b, b.sub(middle, 1))
    with b.if_(b.icmp("slt", middle, stop), [Value("i1", "true")]) as two:
        two.give(b.not_(order.before(b, source.load(b, middle)[0], end_of_left[0])))
    # Runs in order already: they are copied whole, as if the left one were used up.
    first = b.select(two.results[0], middle, start)
    with b.if_(two.results[0]):
        result.copy(b, start, source, start, b.sub(middle, start))
    with b.forever([first, middle, first, middle, stop, stop]) as loop:
        left, right, place, left_end, right_end, place_end = loop.carried
        loop.exit_if(b.or_(b.icmp("sge", left, left_end), b.icmp("sge", right, right_end)))
        takes_right = _give(b, order, source, result, left, right, place, least=True)
        last_left, last_right, last_place = (b.sub(end, 1) for end in (left_end, right_end, place_end))
        gives_right = _give(b, order, source, result, last_left, last_right, last_place, least=False)
        loop.next(
            b.sub(b.add(left, 1), takes_right), b.add(right, takes_right), b.add(place, 1),
            b.add(last_left, gives_right), b.sub(right_end, gives_right), last_place,
        )  # fmt: skip
    left, right, place, left_end, right_end, _ = loop.results
    with b.if_else(b.icmp("slt", left, left_end)) as rest:
        with rest.then:
            result.copy(b, place, source, left, b.sub(left_end, left))
        with rest.otherwise:
            result.copy(b, place, source, right, b.sub(right_end, right))


def _give(
    b: Builder, order: Order, source: Lanes, result: Lanes, left: Value, right: Value, place: Value, *, least: bool
) -> Value:  # fmt: skip
    """Move the lesser (or the greater) of two elements; of equal ones the left counts as less. 1 if the right."""
    from_left, from_right = source.load(b, left), source.load(b, right)
    right_is_less = order.before(b, from_right[0], from_left[0])
    takes_right = right_is_less if least else b.not_(right_is_less)
    result.store(b, [b.select(takes_right, r, l) for l, r in zip(from_left, from_right)], place)
    return b.zext(takes_right, "i64")
