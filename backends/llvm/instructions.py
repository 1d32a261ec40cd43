"""Straight-line instructions: arithmetic, comparisons, conversions, calls and vectors.

Invariant: a method appends the text of its instruction and returns the typed result; Python numbers among its
operands take the type of the other operand, so ``b.fmul(x, 0.5)`` works at any lane count and precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.backends.llvm.values import (
    BITS_OF,
    EXACT,
    Operand,
    Value,
    constant,
    constant_lanes,
    element_type,
    lanes_of,
    like,
    mangled,
    vector,
)
from graphc.errors import CodegenError


class Instructions:
    """The instructions of a builder; ``emit`` and ``do`` say where their text goes."""

    has_fma: bool
    float_flags: str
    declares: dict[str, str]

    def emit(self, type_: str, instruction: str) -> Value:
        """Append one instruction that gives a result of this type."""
        raise NotImplementedError

    def do(self, instruction: str) -> None:
        """Append one instruction without a result."""
        raise NotImplementedError

    # ---- constants -------------------------------------------------------------------------------------

    def const(self, type_: str, value: int | float) -> Value:
        """A constant; every lane of a vector type holds it."""
        return constant(type_, value)

    def i64(self, value: int) -> Value:
        """An index or extent."""
        return Value("i64", str(int(value)))

    def iota(self, element: str, lanes: int) -> Value:
        """0, 1, 2 ... along the lanes."""
        return constant(element, 0) if lanes == 1 else constant_lanes(element, list(range(lanes)))

    def as_value(self, operand: Operand, type_: str) -> Value:
        """The operand itself, or the constant of this type that a Python number stands for."""
        return operand if isinstance(operand, Value) else constant(type_, operand)

    def _pair(self, a: Operand, b: Operand) -> tuple[Value, Value]:
        if isinstance(a, Value):
            b = self.as_value(b, a.type)
        elif isinstance(b, Value):
            a = constant(b.type, a)
        else:
            raise CodegenError("emitter: an instruction needs a value among its operands")
        if a.type != b.type:
            raise CodegenError(f"emitter: operands of different types: {a} and {b}")
        return a, b

    # ---- arithmetic ------------------------------------------------------------------------------------

    def _float(self, name: str, a: Operand, b: Operand, flags: str | None) -> Value:
        a, b = self._pair(a, b)
        flags = self.float_flags if flags is None else flags
        return self.emit(a.type, f"{name} {flags + ' ' if flags else ''}{a}, {b.name}")

    def fadd(self, a: Operand, b: Operand, flags: str | None = None) -> Value:
        """a + b."""
        return self._float("fadd", a, b, flags)

    def fsub(self, a: Operand, b: Operand, flags: str | None = None) -> Value:
        """a - b."""
        return self._float("fsub", a, b, flags)

    def fmul(self, a: Operand, b: Operand, flags: str | None = None) -> Value:
        """a * b."""
        return self._float("fmul", a, b, flags)

    def fdiv(self, a: Operand, b: Operand, flags: str | None = None) -> Value:
        """a / b."""
        return self._float("fdiv", a, b, flags)

    def frem(self, a: Operand, b: Operand, flags: str | None = EXACT) -> Value:
        """C's fmod, one library call a lane."""
        return self._float("frem", a, b, flags)

    def fneg(self, a: Value) -> Value:
        """-a, a change of the sign bit (so of a NaN's too)."""
        return self.emit(a.type, f"fneg {a}")

    def fma(self, a: Operand, b: Operand, c: Operand) -> Value:
        """a * b + c, rounded once where the hardware can, else as a multiplication and an addition.

        Without hardware ``llvm.fma`` would be one library call a lane; ``llvm.fmuladd`` is two instructions.
        """
        known = next((x for x in (a, b, c) if isinstance(x, Value)), None)
        if known is None:
            raise CodegenError("emitter: an instruction needs a value among its operands")
        operands = [self.as_value(x, known.type) for x in (a, b, c)]
        return self.intrinsic("fma" if self.has_fma else "fmuladd", *operands)

    def _integer(self, name: str, a: Operand, b: Operand, flags: str) -> Value:
        a, b = self._pair(a, b)
        return self.emit(a.type, f"{name} {flags + ' ' if flags else ''}{a}, {b.name}")

    def add(self, a: Operand, b: Operand, flags: str = "") -> Value:
        """a + b, wrapping unless ``flags`` ("nuw nsw") promise that it does not."""
        return self._integer("add", a, b, flags)

    def sub(self, a: Operand, b: Operand, flags: str = "") -> Value:
        """a - b."""
        return self._integer("sub", a, b, flags)

    def mul(self, a: Operand, b: Operand, flags: str = "") -> Value:
        """a * b."""
        return self._integer("mul", a, b, flags)

    def sdiv(self, a: Operand, b: Operand) -> Value:
        """Signed a / b towards zero. Traps on b = 0 and on MIN / -1: guard both."""
        return self._integer("sdiv", a, b, "")

    def udiv(self, a: Operand, b: Operand) -> Value:
        """Unsigned a / b. Traps on b = 0."""
        return self._integer("udiv", a, b, "")

    def srem(self, a: Operand, b: Operand) -> Value:
        """The signed remainder, with a's sign. Traps like ``sdiv``."""
        return self._integer("srem", a, b, "")

    def urem(self, a: Operand, b: Operand) -> Value:
        """The unsigned remainder. Traps on b = 0."""
        return self._integer("urem", a, b, "")

    def shl(self, a: Operand, b: Operand) -> Value:
        """a << b; poison from b = width on."""
        return self._integer("shl", a, b, "")

    def lshr(self, a: Operand, b: Operand) -> Value:
        """a >> b, filling with zeros."""
        return self._integer("lshr", a, b, "")

    def ashr(self, a: Operand, b: Operand) -> Value:
        """a >> b, filling with the sign. Slow on 64-bit lanes before AVX-512."""
        return self._integer("ashr", a, b, "")

    def and_(self, a: Operand, b: Operand) -> Value:
        """Bitwise and."""
        return self._integer("and", a, b, "")

    def or_(self, a: Operand, b: Operand) -> Value:
        """Bitwise or."""
        return self._integer("or", a, b, "")

    def xor(self, a: Operand, b: Operand) -> Value:
        """Bitwise exclusive or."""
        return self._integer("xor", a, b, "")

    def not_(self, a: Value) -> Value:
        """Every bit flipped; the negation of an i1."""
        return self.xor(a, 1 if element_type(a.type) == "i1" else -1)

    # ---- comparison and choice -------------------------------------------------------------------------

    def icmp(self, predicate: str, a: Operand, b: Operand) -> Value:
        """Compare integers or pointers: eq ne slt sle sgt sge ult ule ugt uge."""
        a, b = self._pair(a, b)
        return self.emit(like(a.type, "i1"), f"icmp {predicate} {a}, {b.name}")

    def fcmp(self, predicate: str, a: Operand, b: Operand) -> Value:
        """Compare floats: o.. is false with a NaN, u.. true (oeq one olt ole ogt oge ord uno ueq une ...)."""
        a, b = self._pair(a, b)
        return self.emit(like(a.type, "i1"), f"fcmp {predicate} {a}, {b.name}")

    def select(self, condition: Value, a: Operand, b: Operand) -> Value:
        """a where the condition holds, else b. A scalar condition chooses whole vectors."""
        a, b = self._pair(a, b)
        return self.emit(a.type, f"select {condition}, {a}, {b}")

    # ---- conversions (to an element type; lanes stay) ---------------------------------------------------

    def cast(self, operation: str, a: Value, element: str) -> Value:
        """One of LLVM's conversions, lane by lane: trunc zext sext fptrunc fpext fptosi sitofp ..."""
        to = like(a.type, element)
        return a if to == a.type else self.emit(to, f"{operation} {a} to {to}")

    def trunc(self, a: Value, element: str) -> Value:
        """A narrower integer."""
        return self.cast("trunc", a, element)

    def zext(self, a: Value, element: str) -> Value:
        """A wider integer, filled with zeros."""
        return self.cast("zext", a, element)

    def sext(self, a: Value, element: str) -> Value:
        """A wider integer, filled with the sign."""
        return self.cast("sext", a, element)

    def sitofp(self, a: Value, element: str) -> Value:
        """A signed integer as a float."""
        return self.cast("sitofp", a, element)

    def uitofp(self, a: Value, element: str) -> Value:
        """An unsigned integer (or an i1) as a float."""
        return self.cast("uitofp", a, element)

    def fptosi(self, a: Value, element: str) -> Value:
        """A float towards zero as a signed integer; poison out of range."""
        return self.cast("fptosi", a, element)

    def fptoui(self, a: Value, element: str) -> Value:
        """A float towards zero as an unsigned integer; poison out of range."""
        return self.cast("fptoui", a, element)

    def fpcast(self, a: Value, element: str) -> Value:
        """float to double or back."""
        return self.cast("fpext" if element == "double" else "fptrunc", a, element)

    def bitcast(self, a: Value, type_: str) -> Value:
        """The same bits as another type (a full type: lanes are not kept)."""
        return a if type_ == a.type else self.emit(type_, f"bitcast {a} to {type_}")

    def bits(self, a: Value) -> Value:
        """The bits of floats, as integers of the same width."""
        return self.bitcast(a, like(a.type, BITS_OF[element_type(a.type)]))

    def from_bits(self, a: Value) -> Value:
        """The floats that these integers are the bits of."""
        return self.bitcast(a, like(a.type, "float" if element_type(a.type) == "i32" else "double"))

    def ptrtoint(self, a: Value) -> Value:
        """A pointer as an i64."""
        return self.cast("ptrtoint", a, "i64")

    def inttoptr(self, a: Value) -> Value:
        """An i64 as a pointer."""
        return self.cast("inttoptr", a, "ptr")

    # ---- calls -----------------------------------------------------------------------------------------

    def call(self, result: str, name: str, *arguments: Value, flags: str = "") -> Value:
        """Call a function of this module, or an external symbol (declared if the module lacks it)."""
        types = ", ".join(a.type for a in arguments)
        self.declares.setdefault(name, f"declare {result} @{name}({types})")
        instruction = f"call {flags + ' ' if flags else ''}{result} @{name}({', '.join(map(str, arguments))})"
        if result == "void":
            self.do(instruction)
            return Value("void", "")
        return self.emit(result, instruction)

    def call_pointer(self, result: str, function: Value, *arguments: Value) -> Value:
        """Call through a function pointer."""
        instruction = f"call {result} {function.name}({', '.join(map(str, arguments))})"
        if result == "void":
            self.do(instruction)
            return Value("void", "")
        return self.emit(result, instruction)

    def function(self, name: str) -> Value:
        """The address of a function of this module, to be stored or passed on."""
        return Value("ptr", f"@{name}")

    def intrinsic(self, name: str, *operands: Operand, flags: str = "") -> Value:
        """An intrinsic whose operands and result share one type: sqrt fabs floor smax umin ctpop ..."""
        type_ = next(x.type for x in operands if isinstance(x, Value))
        values = [self.as_value(x, type_) for x in operands]
        return self.call(type_, f"llvm.{name}.{mangled(type_)}", *values, flags=flags)

    def fabs(self, a: Value) -> Value:
        """|a|, a NaN's sign bit cleared too."""
        return self.intrinsic("fabs", a)

    def sqrt(self, a: Value) -> Value:
        """The correctly rounded square root."""
        return self.intrinsic("sqrt", a)

    def copysign(self, a: Value, sign: Operand) -> Value:
        """|a| with the sign of the other."""
        return self.intrinsic("copysign", a, sign)

    # ---- vectors ---------------------------------------------------------------------------------------

    def splat(self, a: Value, lanes: int) -> Value:
        """The scalar in every lane."""
        if lanes == 1:
            return a
        type_ = vector(a.type, lanes)
        if not a.name.startswith(("%", "@")) and a.type != "ptr":
            return Value(type_, f"splat ({a})")
        first = self.emit(type_, f"insertelement {type_} poison, {a}, i64 0")
        mask = f"<{lanes} x i32> zeroinitializer"
        return self.emit(type_, f"shufflevector {first}, {type_} poison, {mask}")

    def extract(self, a: Value, lane: int | Value) -> Value:
        """One lane."""
        if lanes_of(a.type) == 1:
            return a
        return self.emit(element_type(a.type), f"extractelement {a}, {self.as_value(lane, 'i64')}")

    def insert(self, a: Value, scalar: Value, lane: int | Value) -> Value:
        """The vector with one lane replaced."""
        if lanes_of(a.type) == 1:
            return scalar
        return self.emit(a.type, f"insertelement {a}, {scalar}, {self.as_value(lane, 'i64')}")

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """The lanes picked from a followed by b."""
        mask = f"<{len(lanes)} x i32> <{', '.join(f'i32 {lane}' for lane in lanes)}>"
        return self.emit(vector(element_type(a.type), len(lanes)), f"shufflevector {a}, {b}, {mask}")

    def part(self, a: Value, first: int, count: int) -> Value:
        """``count`` neighbouring lanes."""
        if count == lanes_of(a.type):
            return a
        if count == 1:
            return self.extract(a, first)
        return self.shuffle(a, Value(a.type, "poison"), range(first, first + count))

    def concat(self, a: Value, b: Value) -> Value:
        """The lanes of a, then those of b (as many)."""
        if lanes_of(a.type) == 1:
            type_ = vector(a.type, 2)
            return self.insert(self.insert(Value(type_, "poison"), a, 0), b, 1)
        return self.shuffle(a, b, range(2 * lanes_of(a.type)))

    def reverse(self, a: Value) -> Value:
        """The lanes in opposite order."""
        lanes = lanes_of(a.type)
        return a if lanes == 1 else self.shuffle(a, Value(a.type, "poison"), range(lanes - 1, -1, -1))

    def reduce(self, a: Value, combine: Callable[[Value, Value], Value]) -> Value:
        """All lanes combined into one: halves onto halves, an order that depends on the lane count only.

        ``combine`` is any binary method or function: ``b.reduce(v, b.fadd)``, ``b.reduce(v, maximum)``.
        """
        while (lanes := lanes_of(a.type)) > 1:
            if lanes % 2:
                raise CodegenError(f"emitter: cannot halve {lanes} lanes")
            a = combine(self.part(a, 0, lanes // 2), self.part(a, lanes // 2, lanes // 2))
        return a

    def any(self, mask: Value) -> Value:
        """Is a lane of the mask set?"""
        return self._reduce_mask("or", mask)

    def all(self, mask: Value) -> Value:
        """Are all lanes of the mask set?"""
        return self._reduce_mask("and", mask)

    def _reduce_mask(self, name: str, mask: Value) -> Value:
        if lanes_of(mask.type) == 1:
            return mask
        return self.call("i1", f"llvm.vector.reduce.{name}.{mangled(mask.type)}", mask)
