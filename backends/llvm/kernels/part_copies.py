"""Copies of less than a vector: the ends of short rows, which are many where rows are short.

Invariant: nothing beyond the given number of elements is read from the source, or written to the target.
"""

from __future__ import annotations

from graphc.backends.llvm.emitter import Builder, Value, element_bytes, vector

#: From this width on, registers have masks (AVX-512), and a masked copy is a fraction of a call of memcpy.
MASKED_BITS = 512


def copy_some(b: Builder, element: str, lanes: int, source: Value, target: Value, count: Value) -> None:
    """Copy `count` elements, fewer than `lanes`."""
    if b.target.vector_bits < MASKED_BITS:
        b.memcpy(target, source, b.mul(count, element_bytes(element)))
        return
    mask = b.icmp("slt", b.iota("i32", lanes), b.splat(b.trunc(count, "i32"), lanes))
    b.masked_store(b.masked_load(vector(element, lanes), source, mask), target, mask)
