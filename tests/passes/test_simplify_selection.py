import pytest
from checking import check, rules_of, unchanged

from graphc.passes.rewrite import simplify

RUN = rules_of(simplify)
ALL = {"bool": "true", "i8": "-1", "u8": "255", "i32": "-1"}
NONE = {"bool": "false", "i8": "0", "u8": "0", "i32": "0"}


def filled(value, dtype):
    return f"%0 = const {{value={value}}} : {dtype}[]\n%1 = broadcast_to %0 {{shape=(n,)}} : {dtype}[n]"


def binary(op, value, dtype):
    return f"%0 = const {{value={value}}} : {dtype}[]\n%1 = {op} %0, %x : {dtype}[n]"


@pytest.mark.parametrize("dtype", list(ALL))
def test_bits(dtype):
    parameters = f"%x: {dtype}[n]"
    check(RUN, parameters, binary("bitwise_and", ALL[dtype], dtype), "return %x")
    check(RUN, parameters, binary("bitwise_and", NONE[dtype], dtype), filled(NONE[dtype], dtype))
    check(RUN, parameters, binary("bitwise_or", ALL[dtype], dtype), filled(ALL[dtype], dtype))
    check(RUN, parameters, binary("bitwise_or", NONE[dtype], dtype), "return %x")
    check(RUN, parameters, binary("bitwise_xor", NONE[dtype], dtype), "return %x")
    inverse = "logical_not" if dtype == "bool" else "bitwise_invert"
    check(RUN, parameters, binary("bitwise_xor", ALL[dtype], dtype), f"%0 = {inverse} %x : {dtype}[n]")
    for op in ("bitwise_and", "bitwise_or"):
        check(RUN, parameters, f"%0 = {op} %x, %x : {dtype}[n]", "return %x")


@pytest.mark.parametrize(
    ("value", "branch"), [("true", "%x"), ("false", "%y"), ("[true, true, true]", "%x")]
)
def test_a_known_condition(value, branch):
    shape = "3" if value[0] == "[" else ""
    body = f"%0 = const {{value={value}}} : bool[{shape}]\n%1 = where %0, %x, %y : f32[3]"
    check(RUN, "%x: f32[3], %y: f32[3]", body, f"return {branch}")


def test_a_known_condition_still_broadcasts():
    body = "%0 = const {value=true} : bool[]\n%1 = where %0, %x, %y : f32[n,3]"
    check(RUN, "%x: f32[3], %y: f32[n,3]", body, "%0 = broadcast_to %x {shape=(n, 3)} : f32[n,3]")


def test_a_condition_that_is_partly_true_is_left_alone():
    body = "%0 = const {value=[true, false]} : bool[2]\n%1 = where %0, %x, %y : f32[2]"
    unchanged(RUN, "%x: f32[2], %y: f32[2]", body)


@pytest.mark.parametrize("dtype", ["f32", "i32"])
@pytest.mark.parametrize(
    ("op", "of_integers", "of_floats"),
    [
        ("equal", "true", None), ("less_equal", "true", None), ("greater_equal", "true", None),
        ("less", "false", "false"), ("greater", "false", "false"), ("not_equal", "false", "isnan"),
    ],
)  # fmt: skip
def test_comparisons_with_itself(dtype, op, of_integers, of_floats):
    body = f"%0 = {op} %x, %x : bool[n]"
    expected = of_integers if dtype == "i32" else of_floats
    after = body if expected is None else "%0 = isnan %x : bool[n]" if expected == "isnan" else filled(expected, "bool")
    check(RUN, f"%x: {dtype}[n]", body, after)


@pytest.mark.parametrize("dtype", ["f32", "i32"])
@pytest.mark.parametrize(
    ("op", "opposite"),
    [("equal", "not_equal"), ("not_equal", "equal"), ("less", "greater_equal"), ("greater", "less_equal")],
)
def test_negated_comparisons(dtype, op, opposite):
    body = f"%0 = {op} %x, %y : bool[n]\n%1 = logical_not %0 : bool[n]"
    turned = dtype == "i32" or op in ("equal", "not_equal")
    check(RUN, f"%x: {dtype}[n], %y: {dtype}[n]", body, f"%0 = {opposite} %x, %y : bool[n]" if turned else body)


@pytest.mark.parametrize(
    ("op", "value", "dtype"),
    [
        ("maximum", "-inf", "f32"), ("minimum", "inf", "f64"), ("maximum", "-128", "i8"),
        ("minimum", "255", "u8"), ("maximum", "0", "u8"),
    ],
)  # fmt: skip
def test_extrema_with_the_end_of_the_range(op, value, dtype):
    check(RUN, f"%x: {dtype}[n]", binary(op, value, dtype), "return %x")


@pytest.mark.parametrize(
    ("op", "value"), [("maximum", "inf"), ("maximum", "0.0"), ("minimum", "nan"), ("maximum", "nan")]
)
def test_other_extrema(op, value):
    unchanged(RUN, "%x: f32[n]", binary(op, value, "f32"))


def test_nested_conditions():
    check(
        RUN, "%c: bool[n], %x: f32[n], %y: f32[n]",
        """
        %0 = logical_not %c : bool[n]
        %1 = where %0, %x, %y : f32[n]
        %2 = where %c, %1, %x : f32[n]
        """,
        "%0 = where %c, %y, %x : f32[n]",
    )  # fmt: skip
