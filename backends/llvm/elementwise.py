"""How each elementwise op becomes instructions: one table line per op, one column per kind of number.

Values are lane-generic, scalars or vectors; booleans are i1 in registers. The same op on the same values has
the same bits wherever it stands: alone, in a fused body, in a tail.

Invariant: every ELEMENTWISE op has a line here or an `expand`, and its column for a dtype is filled wherever
the op's type rule takes that dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphc.backends.llvm import casts
from graphc.backends.llvm import float_arithmetic as floats
from graphc.backends.llvm import integer_arithmetic as ints
from graphc.backends.llvm import vector_math as mathematics
from graphc.backends.llvm.emitter import EXACT, Builder, Value, element_type, register_type
from graphc.errors import CodegenError

#: Appends the instructions of one op: ``rule(b, *operands, **attrs)``.
Rule = Callable[..., Value]


class Lowering(NamedTuple):
    """The rules of one op by kind of number; None where the op does not take that kind."""

    boolean: Rule | None = None
    signed: Rule | None = None
    unsigned: Rule | None = None
    floating: Rule | None = None


def _unchanged(b: Builder, x: Value) -> Value:
    return x


def _all(rule: Rule) -> Lowering:
    return Lowering(rule, rule, rule, rule)


def _bits(rule: Rule) -> Lowering:
    return Lowering(rule, rule, rule)


def _floats(rule: Rule) -> Lowering:
    return Lowering(floating=rule)


def _numbers(signed: Rule, unsigned: Rule, floating: Rule) -> Lowering:
    return Lowering(None, signed, unsigned, floating)


def _comparison(signed: str, unsigned: str, floating: str) -> Lowering:
    """As i1, false is below true where it is read without a sign."""

    def of_integers(predicate: str) -> Rule:
        return lambda b, x, y: b.icmp(predicate, x, y)

    def of_floats(b: Builder, x: Value, y: Value) -> Value:
        return b.fcmp(floating, x, y)

    return Lowering(of_integers(unsigned), of_integers(signed), of_integers(unsigned), of_floats)


LOWERINGS: Mapping[str, Lowering] = {
    # moves
    "cast":          Lowering(casts.from_boolean, casts.from_signed, casts.from_unsigned, casts.from_float),
    "stop_gradient": _all(_unchanged),
    "where":         _all(Builder.select),
    # arithmetic; on booleans as NumPy's sum, product and extrema of truth values
    "add":           Lowering(Builder.or_, Builder.add, Builder.add, Builder.fadd),
    "multiply":      Lowering(Builder.and_, Builder.mul, Builder.mul, Builder.fmul),
    "maximum":       Lowering(Builder.or_, ints.signed_maximum, ints.unsigned_maximum, floats.maximum),
    "minimum":       Lowering(Builder.and_, ints.signed_minimum, ints.unsigned_minimum, floats.minimum),
    "abs":           _numbers(ints.absolute, _unchanged, Builder.fabs),
    "negative":      _numbers(ints.negative, ints.negative, Builder.fneg),
    "sign":          _numbers(ints.signed_sign, ints.unsigned_sign, floats.sign),
    "subtract":      _numbers(Builder.sub, Builder.sub, Builder.fsub),
    "floor_divide":  _numbers(ints.signed_floor_divide, ints.unsigned_floor_divide, floats.floor_divide),
    "remainder":     _numbers(ints.signed_remainder, ints.unsigned_remainder, floats.remainder),
    "fmod":          _numbers(ints.signed_fmod, ints.unsigned_remainder, floats.fmod),
    "pow":           _numbers(ints.signed_power, ints.unsigned_power, mathematics.pow),
    "divide":        _floats(Builder.fdiv),
    # rounding; integers are whole already
    "floor":         _numbers(_unchanged, _unchanged, mathematics.floor),
    "ceil":          _numbers(_unchanged, _unchanged, mathematics.ceil),
    "trunc":         _numbers(_unchanged, _unchanged, mathematics.trunc),
    "round":         _numbers(_unchanged, _unchanged, mathematics.round_half_even),
    # bits and truth
    "bitwise_and":   _bits(Builder.and_),
    "bitwise_or":    _bits(Builder.or_),
    "bitwise_xor":   _bits(Builder.xor),
    "bitwise_invert": _bits(Builder.not_),
    "logical_not":   Lowering(boolean=Builder.not_),
    "bitwise_left_shift": Lowering(None, ints.left_shift, ints.left_shift),
    "bitwise_right_shift": Lowering(None, ints.signed_right_shift, ints.unsigned_right_shift),
    # comparison, by LLVM's predicates
    "equal":         _comparison("eq", "eq", "oeq"),
    "not_equal":     _comparison("ne", "ne", "une"),
    "less":          _comparison("slt", "ult", "olt"),
    "less_equal":    _comparison("sle", "ule", "ole"),
    "greater":       _comparison("sgt", "ugt", "ogt"),
    "greater_equal": _comparison("sge", "uge", "oge"),
    # functions of floats, under the name that the op has
    **{name: _floats(mathematics.FUNCTIONS[name]) for name in (
        "isnan", "isinf", "isfinite", "signbit", "copysign", "nextafter",
        "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "logaddexp", "sigmoid", "softplus",
        "sqrt", "rsqrt", "cbrt", "hypot", "sin", "cos", "tan", "asin", "acos", "atan", "atan2",
        "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc",
    )},
}  # fmt: skip

_COLUMN = {"b": "boolean", "i": "signed", "u": "unsigned", "f": "floating"}


def lower(
    b: Builder,
    tensor_op: str,
    operands: Sequence[Value],
    dtypes: Sequence[np.dtype],
    dtype: np.dtype,
    attrs: Mapping[str, Any],
) -> Value:
    """Append one elementwise op; gives its value.

    Args:
        b: where the instructions go. Some ops add loops or branches, so the block may change.
        tensor_op: the op's name.
        operands: its operands, all with the same lane count.
        dtypes: their dtypes; LLVM's types do not tell signed from unsigned.
        dtype: the result's.
        attrs: the op's attributes.

    The arithmetic has no fast-math flags: contracting a product and a sum, or dropping a zero's sign, would
    make the result depend on what the op was fused with.

    Raises:
        CodegenError: the op has no rule for these dtypes.

    >>> from graphc.backends.llvm.emitter import Builder
    >>> b = Builder("body", [("x", "<8 x float>"), ("y", "<8 x float>")], "<8 x float>")
    >>> f32 = np.dtype("float32")
    >>> lower(b, "add", b.params, [f32, f32], f32, {}).type
    '<8 x float>'
    """
    kind = _COLUMN[dtypes[-1].kind]  # the last operand's, since the first one of `where` is its condition
    rule: Rule | None = getattr(LOWERINGS.get(tensor_op, Lowering()), kind)
    if rule is None:
        raise CodegenError(f"elementwise: no instructions for {tensor_op} of {', '.join(map(str, dtypes))}")
    with b.flags(EXACT):
        result = rule(b, *operands, **attrs)
    if element_type(result.type) != register_type(dtype):
        raise CodegenError(f"elementwise: {tensor_op} gives {result.type} where {dtype} is due")
    return result
