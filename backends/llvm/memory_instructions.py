"""Instructions that touch memory: addresses, loads and stores, gathers, block copies, tables, atomics.

Invariant: an access claims no more alignment than one element has, unless the caller says more; lanes outside
a mask touch no memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from graphc.backends.llvm.instructions import Instructions
from graphc.backends.llvm.values import (
    Operand,
    Value,
    constant,
    element_bytes,
    element_type,
    lanes_of,
    like,
    literal,
    mangled,
    memory_type,
    register_type,
    vector,
)


class MemoryInstructions(Instructions):
    """The part of a builder that reads and writes memory."""

    globals: dict[str, str]

    def alloca(self, type_: str, count: int = 1, align: int = 64) -> Value:
        """Memory of the function's own, taken once at its entry wherever this is called."""
        raise NotImplementedError

    def gep(self, pointer: Value, index: Operand, element: str) -> Value:
        """The address of the element at this index (a vector of indices gives a vector of addresses)."""
        index = self.as_value(index, "i64")
        return self.emit(like(index.type, "ptr"), f"getelementptr inbounds {element}, {pointer}, {index}")

    def offset(self, pointer: Value, byte_count: Operand) -> Value:
        """The address this many bytes on."""
        return self.gep(pointer, byte_count, "i8")

    def load(self, type_: str, pointer: Value, align: int | None = None, *, note: str = "") -> Value:
        """Load; vectors too are only element-aligned unless said otherwise. ``note`` is "volatile"."""
        align = element_bytes(type_) if align is None else align
        return self.emit(type_, f"load {note + ' ' if note else ''}{type_}, {pointer}, align {align}")

    def store(
        self, value: Value, pointer: Value, align: int | None = None, *, nontemporal: bool = False
    ) -> None:
        """Store; ``nontemporal`` goes past the caches and needs an address aligned to the vector."""
        align = element_bytes(value.type) if align is None else align
        self.do(f"store {value}, {pointer}, align {align}{', !nontemporal !{i32 1}' if nontemporal else ''}")

    def load_dtype(self, dtype: np.dtype | type | str, pointer: Value, lanes: int = 1) -> Value:
        """Load elements of an array; bool becomes i1."""
        memory, register = memory_type(dtype), register_type(dtype)
        value = self.load(vector(memory, lanes), pointer)
        return value if memory == register else self.icmp("ne", value, 0)

    def store_dtype(self, value: Value, pointer: Value, dtype: np.dtype | type | str) -> None:
        """Store elements into an array; i1 becomes bool."""
        is_mask = element_type(value.type) == "i1"
        self.store(self.zext(value, memory_type(dtype)) if is_mask else value, pointer)

    def _masked(self, name: str, result: str, overloads: Sequence[str], *arguments: Value) -> Value:
        return self.call(result, f"llvm.masked.{name}." + ".".join(map(mangled, overloads)), *arguments)

    def masked_load(self, type_: str, pointer: Value, mask: Value, default: Operand = 0) -> Value:
        """Load the lanes of the mask; the others hold the default and their memory is not touched."""
        default = self.as_value(default, type_)
        if lanes_of(type_) == 1:
            pair = vector(type_, 2)
            loaded = self.masked_load(pair, pointer, self._first_of_two(mask), self.splat(default, 2))
            return self.extract(loaded, 0)
        align = Value("i32", str(element_bytes(type_)))
        return self._masked("load", type_, (type_, "ptr"), pointer, align, mask, default)

    def masked_store(self, value: Value, pointer: Value, mask: Value) -> None:
        """Store the lanes of the mask."""
        if lanes_of(value.type) == 1:
            self.masked_store(self.splat(value, 2), pointer, self._first_of_two(mask))
            return
        align = Value("i32", str(element_bytes(value.type)))
        self._masked("store", "void", (value.type, "ptr"), value, pointer, align, mask)

    def _first_of_two(self, mask: Value) -> Value:
        """A single lane's mask on a pair: there are no masked accesses of scalars."""
        return self.insert(constant("<2 x i1>", 0), mask, 0)

    def gather(self, element: str, pointers: Value, mask: Value | None = None, default: Operand = 0) -> Value:
        """Load one element from each address."""
        type_ = like(pointers.type, element)
        if lanes_of(type_) == 1 and mask is None:
            return self.load(type_, pointers)
        mask = mask or constant(like(type_, "i1"), 1)
        if lanes_of(type_) == 1:
            return self.masked_load(type_, pointers, mask, default)
        align = Value("i32", str(element_bytes(element)))
        return self._masked(
            "gather", type_, (type_, pointers.type), pointers, align, mask, self.as_value(default, type_)
        )

    def scatter(self, value: Value, pointers: Value, mask: Value | None = None) -> None:
        """Store each lane to its own address, lower lanes first."""
        if lanes_of(value.type) == 1:
            if mask is None:
                self.store(value, pointers)
            else:
                self.masked_store(value, pointers, mask)
            return
        mask = mask or constant(like(value.type, "i1"), 1)
        align = Value("i32", str(element_bytes(value.type)))
        self._masked("scatter", "void", (value.type, pointers.type), value, pointers, align, mask)

    def memcpy(self, to: Value, source: Value, byte_count: Operand) -> None:
        """Copy bytes between regions that do not overlap."""
        count, volatile = self.as_value(byte_count, "i64"), Value("i1", "false")
        self.call("void", "llvm.memcpy.p0.p0.i64", to, source, count, volatile)

    def memset(self, to: Value, byte: Operand, byte_count: Operand) -> None:
        """Fill bytes."""
        value, count = self.as_value(byte, "i8"), self.as_value(byte_count, "i64")
        self.call("void", "llvm.memset.p0.i64", to, value, count, Value("i1", "false"))

    def prefetch(self, pointer: Value, *, write: bool = False, locality: int = 3) -> None:
        """Ask for the cache line that holds this address."""
        hints = [Value("i32", str(hint)) for hint in (int(write), locality, 1)]
        self.call("void", "llvm.prefetch.p0", pointer, *hints)

    def table(self, element: str, values: Sequence[int] | Sequence[float], align: int = 64) -> Value:
        """The address of a constant table; equal tables are one global."""
        body = ", ".join(f"{element} {literal(element, value)}" for value in values)
        text = f"[{len(values)} x {element}] [{body}], align {align}"
        name = f"table.{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        self.globals[name] = f"@{name} = private unnamed_addr constant {text}"
        return Value("ptr", f"@{name}")

    # ---- atomics ---------------------------------------------------------------------------------------

    def atomic_load(self, type_: str, pointer: Value, order: str = "acquire") -> Value:
        """An indivisible load."""
        return self.emit(type_, f"load atomic {type_}, {pointer} {order}, align {element_bytes(type_)}")

    def atomic_store(self, value: Value, pointer: Value, order: str = "release") -> None:
        """An indivisible store."""
        self.do(f"store atomic {value}, {pointer} {order}, align {element_bytes(value.type)}")

    def atomic_update(self, operation: str, pointer: Value, value: Value, order: str = "acq_rel") -> Value:
        """Read, combine (add sub and or xchg ...), write; gives the old value."""
        return self.emit(value.type, f"atomicrmw {operation} {pointer}, {value} {order}")

    def compare_exchange(
        self, pointer: Value, expected: Value, new: Value, success: str = "acq_rel", failure: str = "acquire"
    ) -> tuple[Value, Value]:
        """Write ``new`` if memory holds ``expected``; gives (what it held, whether it was written)."""
        pair = f"{{ {expected.type}, i1 }}"
        both = self.emit(pair, f"cmpxchg {pointer}, {expected}, {new} {success} {failure}")
        return self.emit(expected.type, f"extractvalue {both}, 0"), self.emit("i1", f"extractvalue {both}, 1")

    def fence(self, order: str = "seq_cst") -> None:
        """Order the memory operations around it."""
        self.do(f"fence {order}")
