"""The machine code of a native call; `call` says what it does and what the records that it reads look like.

Invariant: the code holds no address, so that the disk cache may keep it: all that it uses comes by symbol.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.backends.llvm import abi
from graphc.backends.llvm.call import FREE, NEXT, RELEASE, SIZES, Signature
from graphc.backends.llvm.control import Loop
from graphc.backends.llvm.emitter import NULL, Builder, Value
from graphc.backends.llvm.interrupts import INTERRUPTED
from graphc.ir.dims import Dim
from graphc.ir.types import TensorType

#: So many variables are looked at one by one.
_FEW = 8


def build_call(signature: Signature, entry: str, name: str = "call") -> Builder:
    """The builtin's function; it needs `abi.symbols()`, the signature's own, `graphc_state` and `entry`."""
    return _CallBuilder(signature, entry, name).build()


class _CallBuilder:
    fast: Loop

    def __init__(self, signature: Signature, entry: str, name: str) -> None:
        self.signature = signature
        self.entry = entry
        self.b = Builder(name, [("self", "ptr"), ("args", "ptr"), ("count", "i64"), ("names", "ptr")], "ptr")
        for symbol in ("graphc_state", "numpy_ndarray", *signature.symbols):
            self.b.globals[symbol] = f"@{symbol} = external global i8"

    def build(self) -> Builder:
        with self.b.forever() as self.fast:
            self._fast_path()
        self._slow()
        return self.b

    def _fast_path(self) -> None:
        """The whole call, unless it is left for the slow one."""
        b = self.b
        arguments = b.param("args")
        self._slow_if(b.icmp("ne", b.param("names"), NULL))
        self._slow_if(b.icmp("ne", b.param("count"), len(self.signature.inputs)))
        arrays = [b.load("ptr", b.gep(arguments, i, "ptr")) for i in range(len(self.signature.inputs))]
        sizes: list[Value] = []
        for type_, array in zip(self.signature.inputs, arrays):
            sizes += self._checked(type_, array)
        self._check_guards()
        record = self._record_of(sizes)
        frame = b.load("ptr", self._word(record, FREE))
        self._slow_if(b.icmp("eq", frame, NULL))
        b.store(b.load("ptr", self._word(frame, NEXT)), self._word(record, FREE))
        table, numbers, error = (b.load("ptr", self._word(frame, i)) for i in (1, 2, 3))
        for slot, array in zip(self.signature.input_slots, arrays):
            if slot is not None:
                b.store(b.load("ptr", b.offset(array, abi.ARRAY_DATA)), b.gep(table, slot, "ptr"))
        outputs = self._allocate(record, frame, table)
        failed = self._run(record, table, numbers, error)
        self._give_back(record, frame)
        with b.if_(b.icmp("ne", failed, 0), likely=False):
            self._release(outputs)
            with b.if_(b.icmp("eq", failed, INTERRUPTED)):
                b.call("void", "graphc_restore")
                b.ret(NULL)
            self._slow()
        b.ret(self._packed(outputs))

    @staticmethod
    def _state() -> Value:
        return Value("ptr", "@graphc_state")

    def _word(self, base: Value, number: int) -> Value:
        return self.b.gep(base, number, "i64")

    def _slow(self) -> None:
        """Let Python do it."""
        b = self.b
        names = b.param("names")
        result = b.call("ptr", "PyObject_Vectorcall", b.param("self"), b.param("args"), b.param("count"), names)
        b.ret(result)

    def _slow_if(self, condition: Value) -> None:
        """Let Python do it if the condition holds; nothing has been done so far."""
        self.fast.exit_if(condition, likely=False)

    def _checked(self, type_: TensorType, array: Value) -> list[Value]:
        """Leave unless the argument is a plain array of the type; its symbolic extents."""
        b = self.b
        kind = b.load("ptr", b.offset(array, abi.OB_TYPE))
        self._slow_if(b.icmp("ne", kind, Value("ptr", "@numpy_ndarray")))
        descr = b.load("ptr", b.offset(array, abi.ARRAY_DESCR))
        rank = b.load("i32", b.offset(array, abi.ARRAY_NDIM))
        flags = b.and_(b.load("i32", b.offset(array, abi.ARRAY_FLAGS)), abi.C_CONTIGUOUS_ALIGNED)
        symbol, _ = abi.descr_symbol(type_.dtype)
        wrong = b.or_(b.icmp("ne", descr, Value("ptr", f"@{symbol}")), b.icmp("ne", rank, type_.rank))
        self._slow_if(b.or_(wrong, b.icmp("ne", flags, abi.C_CONTIGUOUS_ALIGNED)))
        if not type_.shape:
            return []
        dims = b.load("ptr", b.offset(array, abi.ARRAY_DIMS))
        extents = [b.load("i64", self._word(dims, axis)) for axis in range(type_.rank)]
        fixed = [b.icmp("ne", e, s) for e, s in zip(extents, type_.shape) if isinstance(s, int)]
        if fixed:
            differs = fixed[0]
            for other in fixed[1:]:
                differs = b.or_(differs, other)
            self._slow_if(differs)
        return [e for e, s in zip(extents, type_.shape) if isinstance(s, Dim)]

    def _check_guards(self) -> None:
        """Leave if a call that runs without the GIL uses one of the variables."""
        b, count = self.b, self.signature.variables

        def check(number: int | Value) -> None:
            guard = b.load("ptr", b.gep(self._word(self._state(), 1), number, "i64"))
            self._slow_if(b.icmp("ne", b.load("i64", guard), 0))

        if count > _FEW:
            with b.loop(0, count) as loop:
                check(loop.index)
        else:
            for number in range(count):
                check(number)

    def _record_of(self, sizes: Sequence[Value]) -> Value:
        """The record of these sizes; leaves if there is none."""
        b = self.b
        first = b.load("ptr", self._state())
        self._slow_if(b.icmp("eq", first, NULL))
        if not sizes:
            return first
        with b.forever([first]) as search:
            record = search.carried[0]
            same = b.const("i1", 1)
            for number, size in enumerate(sizes):
                known = b.load("i64", self._word(record, SIZES + number))
                same = b.and_(same, b.icmp("eq", known, size))
            search.exit_if(same, record)
            following = b.load("ptr", self._word(record, NEXT))
            self._slow_if(b.icmp("eq", following, NULL))
            search.next(following)
        return search.results[0]

    def _allocate(self, record: Value, frame: Value, table: Value) -> list[Value]:
        b = self.b
        outputs: list[Value] = []
        position = SIZES + sum(isinstance(s, Dim) for t in self.signature.inputs for s in t.shape)
        makers = position + sum(type_.rank for type_ in self.signature.outputs)
        for number, (type_, slot) in enumerate(zip(self.signature.outputs, self.signature.output_slots)):
            maker = b.load("ptr", self._word(record, makers + number))
            with b.if_else(b.icmp("eq", maker, NULL), likely=True) as choice:
                with choice.then:
                    choice.give(self._fresh(type_, self._word(record, position)))
                with choice.otherwise:
                    choice.give(b.call("ptr", "PyObject_CallNoArgs", maker))
            (array,) = choice.results
            position += type_.rank
            with b.if_(b.icmp("eq", array, NULL), likely=False):
                self._release(outputs)
                self._give_back(record, frame)
                b.ret(NULL)
            b.store(b.load("ptr", b.offset(array, abi.ARRAY_DATA)), b.gep(table, slot, "ptr"))
            outputs.append(array)
        return outputs

    def _fresh(self, type_: TensorType, dims: Value) -> Value:
        """A new array of these extents, or NULL."""
        b = self.b
        descr = Value("ptr", f"@{abi.descr_symbol(type_.dtype)[0]}")
        b.call("void", "Py_IncRef", descr)
        return b.call(
            "ptr", "numpy_new_from_descr", Value("ptr", "@numpy_ndarray"), descr,
            Value("i32", str(type_.rank)), dims, NULL, NULL, Value("i32", "0"), NULL,
        )  # fmt: skip

    def _run(self, record: Value, table: Value, numbers: Value, error: Value) -> Value:
        """Call the entry; without the GIL where the record says that the work is worth it."""
        b = self.b
        release = b.icmp("ne", b.load("i64", self._word(record, RELEASE)), 0)
        with b.if_else(release, likely=False) as choice:
            with choice.then:
                thread = b.call("ptr", "PyEval_SaveThread")
                failed = b.call("i64", self.entry, table, numbers, error)
                b.call("void", "PyEval_RestoreThread", thread)
                choice.give(failed)
            with choice.otherwise:
                choice.give(b.call("i64", self.entry, table, numbers, error))
        return choice.results[0]

    def _give_back(self, record: Value, frame: Value) -> None:
        b = self.b
        b.store(b.load("ptr", self._word(record, FREE)), self._word(frame, NEXT))
        b.store(frame, self._word(record, FREE))

    def _release(self, outputs: Sequence[Value]) -> None:
        for array in outputs:
            self.b.call("void", "Py_DecRef", array)

    def _packed(self, outputs: Sequence[Value]) -> Value:
        b, container = self.b, self.signature.container
        if container is None:
            return outputs[0]
        kind = "PyList" if container is list else "PyTuple"
        result = b.call("ptr", f"{kind}_New", b.i64(len(outputs)))
        with b.if_(b.icmp("eq", result, NULL), likely=False):
            self._release(outputs)
            b.ret(NULL)
        for number, array in enumerate(outputs):
            b.call("i32", f"{kind}_SetItem", result, b.i64(number), array)
        return result
