"""Rules of sums, products and signs, beyond their own examples (tests/passes/test_rules.py)."""

import pytest
from checking import check, rules_of, unchanged

from graphc.passes.rewrite import simplify

RUN = rules_of(simplify)


@pytest.mark.parametrize("dtype", ["f32", "f64", "i8", "u64"])
@pytest.mark.parametrize(
    "body",
    [
        "%0 = const {{value={one}}} : {d}[]\n%1 = multiply %0, %x : {d}[n]",
        "%0 = const {{value={one}}} : {d}[]\n%1 = broadcast_to %0 {{shape=(n,)}} : {d}[n]\n"
        "%2 = multiply %x, %1 : {d}[n]",
        "%0 = const {{value={minus_zero}}} : {d}[]\n%1 = add %0, %x : {d}[n]",
        "%0 = const {{value={zero}}} : {d}[]\n%1 = subtract %x, %0 : {d}[n]",
        "%0 = negative %x : {d}[n]\n%1 = negative %0 : {d}[n]",
    ],
)
def test_neutral_elements_of_every_dtype(dtype, body):
    of_floats = {"one": "1.0", "zero": "0.0", "minus_zero": "-0.0"}
    of_integers = {"one": "1", "zero": "0", "minus_zero": "0"}
    words = of_floats if dtype[0] == "f" else of_integers
    check(RUN, f"%x: {dtype}[n]", body.format(d=dtype, **words), "return %x")


@pytest.mark.parametrize("op", ["add", "multiply"])
def test_a_constant_that_broadcasts_the_operand_is_no_neutral_element(op):
    value = {"add": "[-0.0, -0.0]", "multiply": "[1.0, 1.0]"}[op]
    unchanged(RUN, "%x: f32[]", f"%0 = const {{value={value}}} : f32[2]\n%1 = {op} %x, %0 : f32[2]")


def test_rules_meet():
    check(
        RUN, "%x: f32[n], %y: f32[n]",
        """
        %0 = const {value=1.0} : f32[]
        %1 = multiply %x, %0 : f32[n]
        %2 = negative %y : f32[n]
        %3 = negative %1 : f32[n]
        %4 = negative %3 : f32[n]
        %5 = add %2, %4 : f32[n]
        """,
        "%0 = subtract %x, %y : f32[n]",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("op", "a", "b", "together"),
    [
        ("add", 3, 4, 7), ("multiply", 3, 4, 12), ("bitwise_and", 12, 10, 8), ("bitwise_or", 12, 10, 14),
        ("bitwise_xor", 12, 10, 6), ("add", 100, 100, -56), ("multiply", 100, 100, 16),
    ],
)  # fmt: skip
def test_integer_constants_come_together_and_wrap(op, a, b, together):
    check(
        RUN, "%x: i8[n]",
        f"""
        %0 = const {{value={a}}} : i8[]
        %1 = {op} %x, %0 : i8[n]
        %2 = const {{value={b}}} : i8[]
        %3 = {op} %2, %1 : i8[n]
        """,
        f"%0 = const {{value={together}}} : i8[]\n%1 = {op} %x, %0 : i8[n]",
    )  # fmt: skip


@pytest.mark.parametrize("dtype", ["i32", "u8"])
def test_what_is_zero_of_integers(dtype):
    zero = f"%0 = const {{value=0}} : {dtype}[]\n%1 = broadcast_to %0 {{shape=(n,)}} : {dtype}[n]"
    one, nothing = (f"%0 = const {{value={value}}} : {dtype}[]\n" for value in (1, 0))
    for body in (
        f"%0 = subtract %x, %x : {dtype}[n]",
        f"%0 = bitwise_xor %x, %x : {dtype}[n]",
        one + f"%1 = remainder %x, %0 : {dtype}[n]",
        one + f"%1 = fmod %x, %0 : {dtype}[n]",
        nothing + f"%1 = multiply %0, %x : {dtype}[n]",
    ):
        check(RUN, f"%x: {dtype}[n]", body, zero)


def test_signs_move_into_constants():
    check(
        RUN, "%x: f32[n]",
        "%0 = negative %x : f32[n]\n%1 = const {value=0.0} : f32[]\n%2 = multiply %0, %1 : f32[n]",
        "%0 = const {value=-0.0} : f32[]\n%1 = multiply %x, %0 : f32[n]",
    )  # fmt: skip
    check(
        RUN, "%x: f32[n]",
        "%0 = const {value=3.0} : f32[]\n%1 = divide %x, %0 : f32[n]\n%2 = negative %1 : f32[n]",
        "%0 = const {value=-3.0} : f32[]\n%1 = divide %x, %0 : f32[n]",
    )  # fmt: skip


def test_the_absolute_value_of_unsigned_integers():
    check(RUN, "%x: u8[n]", "%0 = abs %x : u8[n]", "return %x")
    check(RUN, "%x: u8[n]", "%0 = negative %x : u8[n]\n%1 = abs %0 : u8[n]", "%0 = negative %x : u8[n]")
    check(RUN, "%x: i8[n]", "%0 = negative %x : i8[n]\n%1 = abs %0 : i8[n]", "%0 = abs %x : i8[n]")
