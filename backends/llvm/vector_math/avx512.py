"""Instructions of AVX-512 that do what takes many others elsewhere, for values of any lane count.

Invariant: where ``has(b)``, each gives the bits that the instructions it stands for would give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.backends.llvm.emitter import Builder, Value, constant, lanes_of, vector
from graphc.backends.llvm.vector_math.formats import format_of, integer_like

_REGISTER_BITS = 512
_ROUNDING = Value("i32", "4")  # the mode in force
#: What ``fixupimm`` puts for each class of number, four bits a class, the lowest first: quiet NaN, signalling
#: NaN, zero, one, -infinity, infinity, negative, positive. 0 keeps the result, 2 is the number itself as a
#: quiet NaN, 3 a NaN, 4 -infinity, 5 infinity.
_ENDS_OF_LOG = 0x03530422


def has(b: Builder) -> bool:
    """Whether the machine that the code is for has AVX-512."""
    return b.target.vector_bits == _REGISTER_BITS


def scalef(b: Builder, p: Value, n: Value) -> Value:
    """p * 2^n for whole n, rounded once."""

    def scaled(p: Value, n: Value) -> Value:
        return _call(b, "scalef", p, n, p, _all(p), _ROUNDING)

    return _in_registers(b, scaled, [p, n])


def log_ends(b: Builder, result: Value, x: Value) -> Value:
    """The result, but what a logarithm is of 0, negative numbers, infinity and NaN where x is such."""
    table = constant(integer_like(x), _ENDS_OF_LOG)

    def fixed(result: Value, x: Value, table: Value) -> Value:
        return _call(b, "fixupimm", result, x, table, Value("i32", "0"), _all(x), _ROUNDING)

    return _in_registers(b, fixed, [result, x, table])


def _call(b: Builder, name: str, first: Value, *others: Value) -> Value:
    suffix = {"float": "ps", "double": "pd"}[format_of(first).element]
    return b.call(first.type, f"llvm.x86.avx512.mask.{name}.{suffix}.{_REGISTER_BITS}", first, *others)


def _all(x: Value) -> Value:
    """The mask of all lanes."""
    return Value(f"i{lanes_of(x.type)}", "-1")


def _in_registers(b: Builder, run: Callable[..., Value], operands: Sequence[Value]) -> Value:
    """`run` on each register's lanes; vectors that fill none are widened by lanes that nobody reads."""
    lanes = lanes_of(operands[0].type)
    width = _REGISTER_BITS // (32 if format_of(operands[0]).element == "float" else 64)
    if lanes < width:
        return b.part(run(*(_widened(b, x, width) for x in operands)), 0, lanes)
    parts = [run(*(b.part(x, first, width) for x in operands)) for first in range(0, lanes, width)]
    while len(parts) > 1:
        parts = [b.concat(x, y) for x, y in zip(parts[::2], parts[1::2])]
    return parts[0]


def _widened(b: Builder, x: Value, width: int) -> Value:
    lanes = lanes_of(x.type)
    if lanes == 1:
        return b.insert(Value(vector(x.type, width), "poison"), x, 0)
    return b.shuffle(x, Value(x.type, "poison"), [*range(lanes), *[lanes] * (width - lanes)])
