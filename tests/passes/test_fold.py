import pytest
from checking import canonical, check, graph, unchanged

from graphc.passes.fold import SIZE_LIMIT, fold


def test_constants_in_constant_out():
    check(
        fold, "%x: f32[n]",
        """
        %0 = const {value=[1.0, 2.0]} : f32[2]
        %1 = const {value=3.0} : f32[]
        %2 = multiply %0, %1 : f32[2]
        %3 = sum %2 {axis=(0,), keepdims=false} : f32[]
        %4 = add %x, %3 : f32[n]
        """,
        "%0 = const {value=9.0} : f32[]\n%1 = add %x, %0 : f32[n]",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("op", "value", "result"),
    [
        ("negative", "0.0", "-0.0"), ("log", "0.0", "-inf"), ("sqrt", "-1.0", "nan"), ("exp", "1000.0", "inf"),
        ("negative", "nan", "nan"), ("exp", "-100.0", "3.783506e-44"),
    ],
)  # fmt: skip
def test_special_values_are_numpys(op, value, result):
    body = f"%0 = const {{value={value}}} : f32[]\n%1 = {op} %0 : f32[]"
    check(fold, "", body, f"%0 = const {{value={result}}} : f32[]")


def test_the_dtype_is_exact():
    check(
        fold, "",
        "%0 = const {value=[250, 10]} : u8[2]\n%1 = add %0, %0 : u8[2]",
        "%0 = const {value=[244, 20]} : u8[2]",
    )  # fmt: skip


def test_a_size_that_is_a_number_is_a_constant():
    check(fold, "%x: f32[3]", "%0 = dim {size=3} : i64[]", "%0 = const {value=3} : i64[]")
    unchanged(fold, "%x: f32[n]", "%0 = dim {size=n} : i64[]")


def test_what_is_cheap_to_make_and_long_to_store_stays():
    unchanged(fold, "", "%0 = iota {size=5, dtype=i64} : i64[5]")
    unchanged(fold, "", "%0 = const {value=1.0} : f32[]\n%1 = broadcast_to %0 {shape=(4,)} : f32[4]")


def test_and_so_does_what_uses_it():
    unchanged(fold, "", "%0 = iota {size=3, dtype=f32} : f32[3]\n%1 = exp %0 : f32[3]")


def test_one_element_is_never_too_long():
    check(
        fold, "",
        "%0 = iota {size=1, dtype=f32} : f32[1]\n%1 = exp %0 : f32[1]",
        "%0 = const {value=[1.0]} : f32[1]",
    )  # fmt: skip


def test_large_results_stay():
    side = 40
    assert side * side > SIZE_LIMIT
    column, row = (f"const {{value=[{', '.join(['1.0'] * side)}]}} : f32[{side}]" for _ in range(2))
    body = f"""
        %0 = {column}
        %1 = reshape %0 {{shape=({side}, 1)}} : f32[{side},1]
        %2 = multiply %1, %0 : f32[{side},{side}]
        """
    assert "multiply" in canonical(fold(graph("", body))) and row


def test_effects_and_failures_stay_for_the_call():
    unchanged(fold, "", '%0 = const {value=1.0} : f32[]\n%1 = print %0 {message=""} : f32[]')
    unchanged(
        fold, "",
        "%0 = const {value=[1.0, 2.0]} : f32[2]\n%1 = const {value=[5]} : i64[1]\n%2 = take %0, %1 {axis=0} : f32[1]",
    )  # fmt: skip


def test_results_of_a_tuple_are_folded():
    check(
        fold, "",
        """
        %0 = const {value=[[2.0, 0.0], [0.0, 3.0]]} : f64[2,2]
        %1 = eigh %0 : (f64[2], f64[2,2])
        %2 = get %1 {index=0} : f64[2]
        """,
        "%0 = const {value=[2.0, 3.0]} : f64[2]",
    )  # fmt: skip


def test_the_users_line_and_name_stay():
    given = graph("", "%0 = const {value=1.0} : f32[]  # a.py:1\n%h = exp %0 : f32[]  # a.py:2")
    (output,) = fold(given).outputs
    assert str(output.location) == "a.py:2, via fold" and output.hint == "h"


def test_inputs_and_variables_are_not_constants():
    unchanged(fold, "%x: f32[2]", "%0 = exp %x : f32[2]")
