"""The native call: a builtin function made of machine code that checks its arguments, allocates the outputs
and runs the entry, without any Python in between. `call_code` writes that code.

    ptr @call(ptr self, ptr args, i64 count, ptr names)          METH_FASTCALL | METH_KEYWORDS

Whatever it does not like (a keyword, a list, another dtype, strides, new sizes, a failed step) it hands, with
the arguments as they came, to `self`: a Python function that converts, compiles memory for new sizes, or
raises. So every conversion and every error lives in Python.

What it looks up is prepared by Python in *records*, one for each set of sizes that was called before:

    state    [first record, guard of each variable ...]
    record   [next record, free frame, release the GIL?, input sizes ..., output sizes ..., makers of large outputs ...]
    frame    [next frame, buffer table, sizes table, error record]

Invariant: records and frames are read and changed with the GIL held; a frame is in no list while a call uses
it; a record, once in the list, stays there as long as the program lives.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any, NamedTuple

import numpy as np

from graphc.backends.llvm import abi
from graphc.backends.llvm.frames import Frame, Frames, address_of
from graphc.ir.dims import Dim
from graphc.ir.tensor import Variable
from graphc.ir.types import TensorType

NEXT, FREE, RELEASE, SIZES = 0, 1, 2, 3
#: How many sets of sizes have records, and how many calls of one set may be in flight at once.
_RECORDS = _FRAMES = 16


class Signature(NamedTuple):
    """What the call takes and gives.

    Attributes:
        inputs: the types, in order.
        input_slots: where in the buffer table each input's address goes; None if nothing reads it.
        outputs: the types, in order.
        output_slots: where each output's address goes.
        container: None for one output, else the type that holds them: list or tuple.
        variables: how many guards the state has.
    """

    inputs: tuple[TensorType, ...]
    input_slots: tuple[int | None, ...]
    outputs: tuple[TensorType, ...]
    output_slots: tuple[int, ...]
    container: type | None
    variables: int

    @property
    def symbols(self) -> dict[str, int]:
        """The data symbols of the dtypes in use."""
        return dict(abi.descr_symbol(t.dtype) for t in (*self.inputs, *self.outputs))

    def input_sizes(self, shapes: Sequence[Sequence[int]]) -> list[int]:
        """The symbolic extents of arguments of these shapes, as a record holds them."""
        return [
            extent
            for type_, shape in zip(self.inputs, shapes)
            for size, extent in zip(type_.shape, shape)
            if isinstance(size, Dim)
        ]


class NativeCall:
    """The state, records and frames that a program's native call looks up."""

    def __init__(self, signature: Signature, variables: Sequence[Variable]) -> None:
        self.signature = signature
        self._state = _words([0, *(address_of(v.busy) for v in variables)])
        self._records: dict[Frames, Any] = {}  # None where calls of these sizes must go through Python
        self._nodes: dict[Frames, list[tuple[Frame, Any]]] = {}
        self._lock = threading.Lock()
        self._definition: bytes | None = None

    @property
    def symbols(self) -> dict[str, int]:
        """The addresses of the data and functions that the code names."""
        return {"graphc_state": ctypes.addressof(self._state), **self.signature.symbols, **abi.symbols()}

    def builtin(self, address: int, fallback: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The Python object.

        It reads its method definition to the last, even while the collector takes the cycle apart that it is part
        of, function -> class -> builtin -> function. So the definition lies in memory that only its `self` holds,
        through objects that the collector never clears: a bound method, a tuple, bytes. A ctypes object would be.
        """
        texts = (name.encode(), b"A compiled graphc function.")
        self._definition = bytes(abi.MethodDef(texts[0], address, abi.METH_FASTCALL_KEYWORDS, texts[1]))
        new = ctypes.pythonapi.PyCFunction_NewEx
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
        kept = MethodType(_fall_back, (fallback, self._definition, texts))
        found: Callable[..., Any] = new(self._definition, kept, None)
        return found

    def replace(self, address: int) -> None:
        """Let calls that begin from now on run this code."""
        if self._definition is not None:
            place = ctypes.cast(ctypes.c_char_p(self._definition), ctypes.c_void_p).value or 0
            abi.MethodDef.from_address(place).function = address

    def offer(self, frames: Frames, arrays: Sequence[np.ndarray]) -> None:
        """After a call through Python: let the next ones with these sizes be native."""
        with self._lock:
            if frames not in self._records:
                self._add_record(frames, arrays)
            record = self._records.get(frames)
            if record is not None and record[FREE] == 0 and len(self._nodes[frames]) < _FRAMES:
                self._add_frame(frames, record)

    def _add_record(self, frames: Frames, arrays: Sequence[np.ndarray]) -> None:
        if len(self._records) >= _RECORDS:
            return
        if frames.is_big and self.signature.variables:
            self._records[frames] = None  # Python takes the variables' locks, and lets go of the GIL
            return
        sizes = self.signature.input_sizes([a.shape for a in arrays])
        extents = [extent for _, shape, _ in frames.outputs for extent in shape]
        makers = [0 if large is None else id(large) for large in frames.large]  # which the frames keep alive
        record = _words([self._state[0], 0, int(frames.is_big), *sizes, *extents, *makers])
        self._records[frames] = record
        self._nodes[frames] = []
        self._state[0] = ctypes.addressof(record)

    def _add_frame(self, frames: Frames, record: Any) -> None:
        frame = Frame(frames)
        tables = (frame.table, frame.numbers, frame.error)
        node = _words([record[FREE], *(ctypes.addressof(t) for t in tables)])
        self._nodes[frames].append((frame, node))
        record[FREE] = ctypes.addressof(node)


def _fall_back(kept: tuple[Any, ...], /, *args: Any, **kwargs: Any) -> Any:
    return kept[0](*args, **kwargs)


def _words(values: Sequence[int]) -> Any:
    """Memory with these i64 in it."""
    return (ctypes.c_int64 * len(values))(*values)


__all__ = ["FREE", "NEXT", "RELEASE", "SIZES", "NativeCall", "Signature"]
