import numpy as np
import pytest
from checking import check, graph, rules_of, same_values, unchanged

from graphc.passes.patterns import is_power_of_two
from graphc.passes.rewrite import simplify

RUN = rules_of(simplify)


def power(exponent, dtype="f32"):
    return f"%0 = const {{value={exponent}}} : {dtype}[]\n%1 = pow %x, %0 : {dtype}[n]"


@pytest.mark.parametrize(
    ("exponent", "after"),
    [
        ("2.0", "%0 = multiply %x, %x : f32[n]"),
        ("1.0", "return %x"),
        ("0.0", "%0 = const {value=1.0} : f32[]\n%1 = broadcast_to %0 {shape=(n,)} : f32[n]"),
        ("-0.0", "%0 = const {value=1.0} : f32[]\n%1 = broadcast_to %0 {shape=(n,)} : f32[n]"),
    ],
)
def test_powers_of_floats(exponent, after):
    check(RUN, "%x: f32[n]", power(exponent), after)


@pytest.mark.parametrize("exponent", ["0.5", "-1.0", "3.0", "-2.0", "0.25", "nan", "inf"])
def test_other_powers_have_numpys_value(exponent):
    given = graph("%x: f64[n]", power(exponent, "f64"))
    same_values(given, RUN(given))


@pytest.mark.parametrize(("exponent", "count"), [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, None)])
def test_powers_of_integers(exponent, count):
    given = graph("%x: i8[n]", power(exponent, "i8"))
    found = RUN(given)
    same_values(given, found)
    if count is not None:
        assert sum(t.op.name == "multiply" for t in found.tensors) == count
        assert "pow" not in {t.op.name for t in found.tensors}


@pytest.mark.parametrize(
    ("divisor", "factor"), [("2.0", "0.5"), ("0.25", "4.0"), ("-8.0", "-0.125"), ("1024.0", "0.0009765625")]
)
def test_division_by_a_power_of_two(divisor, factor):
    check(
        RUN, "%x: f32[n]",
        f"%0 = const {{value={divisor}}} : f32[]\n%1 = divide %x, %0 : f32[n]",
        f"%0 = const {{value={factor}}} : f32[]\n%1 = multiply %x, %0 : f32[n]",
    )  # fmt: skip


@pytest.mark.parametrize("divisor", ["3.0", "0.0", "inf", "nan", "1e-45", "1.7014118e+38", "0.1"])
def test_division_by_anything_else(divisor):
    unchanged(RUN, "%x: f32[n]", f"%0 = const {{value={divisor}}} : f32[]\n%1 = divide %x, %0 : f32[n]")


def test_reciprocals_of_powers_of_two_are_exact():
    for dtype in (np.float32, np.float64):
        for exponent in range(-1100, 1100):
            with np.errstate(all="ignore"):
                value = np.ldexp(dtype(1), exponent)
                if value != 0 and is_power_of_two(value):
                    assert dtype(1) / (dtype(1) / value) == value and dtype(3) / value == dtype(3) * (dtype(1) / value)
