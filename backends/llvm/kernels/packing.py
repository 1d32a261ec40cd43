"""Copies of operands as the micro-kernel reads them: slivers of the left one, panels of the right.

    pack_lines        source [k][width], a line of up to `vectors` vectors per k: panels of a right operand
                      as it is, slivers of a left one that is stored transposed
    copy_rows         source [rows][k]: slivers of a left operand as it is
    pack_transposed   source [width][k]: panels of a right operand that is stored transposed
    add_lines         the way back: the part of a tile that lies inside the product

Each is a function of its own, so that all products of a program share it.

Invariant: only elements inside the given extents are read from an operand or written to a product; copies are
written in whole vectors, zeros (or, transposed, repetitions) where the operand ends.
"""

from __future__ import annotations

from graphc.backends.llvm.emitter import Builder, Value, vector
from graphc.backends.llvm.kernel import named_by_content, remembered
from graphc.backends.llvm.kernels.microkernel import Blocking
from graphc.backends.llvm.target import Target

#: Sides of the squares that are transposed: 16 would take LLVM four times as long to compile, for nothing.
_SIDE = 8


def copy_x(shape: Blocking, target: Target) -> Builder:
    """The function that copies slivers: `(source, source_step, copy, rows, k)`."""
    if shape.by_column:
        return pack_lines(shape, -(-shape.rows // shape.lanes), target)
    return copy_rows(shape, target)


def copy_y(shape: Blocking, target: Target, *, transposed: bool) -> Builder:
    """The function that copies panels: `(source, source_step, copy, width, k)`."""
    return pack_transposed(shape, target) if transposed else pack_lines(shape, shape.vectors, target)


@remembered
def pack_lines(shape: Blocking, vectors: int, target: Target) -> Builder:
    """A function `(source, source_step, copy, width, k)`: k lines of `width <= vectors * lanes` elements."""
    b = Builder(
        "pack_lines",
        [("source", "ptr"), ("source_step", "i64"), ("copy", "ptr"), ("width", "i64"), ("k", "i64")],
        target=target,
        linkage="internal",
    )
    source, source_step, copy, width, k = b.params
    size = shape.lanes * shape.bytes
    ragged = [mask_below(b, width, j, shape.lanes) for j in range(vectors)]
    with b.if_else(b.icmp("eq", width, vectors * shape.lanes)) as whole:
        for side, masks in ((whole.then, [None] * vectors), (whole.otherwise, ragged)):
            with side, b.loop(0, k, carried=[source, copy]) as loop:
                line, place = loop.carried
                for j, mask in enumerate(masks):
                    value = load_some(b, shape.vector, b.offset(line, j * size), mask)
                    b.store(value, b.offset(place, j * size))
                loop.next(b.offset(line, source_step), b.offset(place, vectors * size))
    return named_by_content(b)


@remembered
def copy_rows(shape: Blocking, target: Target) -> Builder:
    """A function `(source, source_step, copy, rows, k)`: lines of k elements, then `row_step` bytes apart."""
    b = Builder(
        "copy_rows",
        [("source", "ptr"), ("source_step", "i64"), ("copy", "ptr"), ("rows", "i64"), ("k", "i64")],
        target=target,
        linkage="internal",
    )
    source, source_step, copy, rows, k = b.params
    rest = b.urem(k, shape.lanes)
    even = b.sub(k, rest)
    mask = mask_below(b, rest, 0, shape.lanes)
    with b.loop(0, rows, carried=[source, copy]) as row:
        line, place = row.carried
        with b.loop(0, even, shape.lanes) as loop:
            value = b.load(shape.vector, b.gep(line, loop.index, shape.element))
            b.store(value, b.gep(place, loop.index, shape.element))
        with b.if_(b.icmp("ne", rest, 0)):
            value = load_some(b, shape.vector, b.gep(line, even, shape.element), mask)
            b.store(value, b.gep(place, even, shape.element))
        row.next(b.offset(line, source_step), b.offset(place, shape.row_step))
    return named_by_content(b)


@remembered
def pack_transposed(shape: Blocking, target: Target) -> Builder:
    """A function `(source, source_step, copy, width, k)`: `width` lines of k elements become k lines.

    Squares of up to `_SIDE` by `_SIDE` elements are transposed in registers. Where the source has fewer lines
    than the panel, its last one is read again.
    """
    b = Builder(
        "pack_transposed",
        [("source", "ptr"), ("source_step", "i64"), ("copy", "ptr"), ("width", "i64"), ("k", "i64")],
        target=target,
        linkage="internal",
    )
    source, source_step, copy, width, k = b.params
    side, last = min(shape.lanes, _SIDE), b.sub(width, 1)
    row, even = vector(shape.element, side), b.sub(k, b.urem(k, side))
    with b.loop(0, shape.columns, side) as group:
        lines = [
            b.offset(source, b.mul(b.intrinsic("smin", b.add(group.index, i), last), source_step))
            for i in range(side)
        ]
        first = b.gep(copy, group.index, shape.element)
        with b.loop(0, even, side, carried=[first]) as loop:
            (place,) = loop.carried
            square = [b.load(row, b.gep(line, loop.index, shape.element)) for line in lines]
            for value in transposed(b, square):
                b.store(value, place)
                place = b.offset(place, shape.panel_step)
            loop.next(place)
        with b.loop(even, k, carried=list(loop.results)) as loop:
            (place,) = loop.carried
            for i, line in enumerate(lines):
                value = b.load(shape.element, b.gep(line, loop.index, shape.element))
                b.store(value, b.gep(place, i, shape.element))
            loop.next(b.offset(place, shape.panel_step))
    return named_by_content(b)


def transposed(b: Builder, rows: list[Value]) -> list[Value]:
    """The transpose of a square of vectors, by exchanging ever larger blocks off the diagonal.

        [A B]    [A C]      with blocks of 1, 2, 4, ... elements, so `log2(lanes)` rounds
        [C D] -> [B D]      of `lanes` shuffles each
    """  # fmt: skip
    rows, lanes, step = list(rows), len(rows), 1
    while step < lanes:
        upper = [lane + lanes - step if lane & step else lane for lane in range(lanes)]
        lower = [lane + lanes if lane & step else lane + step for lane in range(lanes)]
        for i in range(lanes):
            if not i & step:
                a, c = rows[i], rows[i + step]
                rows[i], rows[i + step] = b.shuffle(a, c, upper), b.shuffle(a, c, lower)
        step *= 2
    return rows


@remembered
def add_lines(shape: Blocking, target: Target) -> Builder:
    """A function `(tile, c, c_step, base, base_step, rows, width)`: `c = base + tile` for `width` columns."""
    b = Builder(
        "add_lines",
        [("tile", "ptr"), ("c", "ptr"), ("c_step", "i64"), ("base", "ptr"), ("base_step", "i64"),
         ("rows", "i64"), ("width", "i64")],
        target=target,
        linkage="internal",
    )  # fmt: skip
    tile, c, c_step, base, base_step, rows, width = b.params
    masks = [mask_below(b, width, j, shape.lanes) for j in range(shape.vectors)]
    with b.loop(0, rows, carried=[tile, c, base]) as loop:
        source, to, before = loop.carried
        for j, mask in enumerate(masks):
            place = j * shape.lanes * shape.bytes
            value = b.fadd(
                b.load(shape.vector, b.offset(source, place)),
                load_some(b, shape.vector, b.offset(before, place), mask),
            )
            store_some(b, value, b.offset(to, place), mask)
        loop.next(b.offset(source, shape.panel_step), b.offset(to, c_step), b.offset(before, base_step))
    return named_by_content(b)


def mask_below(b: Builder, count: Value, number: int, lanes: int) -> Value:
    """Which lanes of vector `number` of a line lie among its first `count` elements."""
    within = b.trunc(b.sub(count, number * lanes), "i32")
    return b.icmp("slt", b.iota("i32", lanes), b.splat(within, lanes))


def load_some(b: Builder, type_: str, pointer: Value, mask: Value | None) -> Value:
    """Load the lanes of the mask, zeros for the others; without a mask, all."""
    if mask is None:
        return b.load(type_, pointer)
    if mask.type != "i1":
        return b.masked_load(type_, pointer, mask)
    with b.if_(mask, [b.const(type_, 0)]) as some:
        some.give(b.load(type_, pointer))
    return some.results[0]


def store_some(b: Builder, value: Value, pointer: Value, mask: Value) -> None:
    """Store the lanes of the mask."""
    if mask.type != "i1":
        b.masked_store(value, pointer, mask)
        return
    with b.if_(mask):
        b.store(value, pointer)
