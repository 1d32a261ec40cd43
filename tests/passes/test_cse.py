import pytest
from checking import canonical, check, graph, same_values, unchanged

import graphc as gc
from graphc.ir.close import close
from graphc.passes.cse import cse


def test_equal_tensors_are_merged():
    check(
        cse, "%x: f32[n]",
        """
        %0 = exp %x : f32[n]
        %1 = exp %x : f32[n]
        %2 = sin %0 : f32[n]
        %3 = sin %1 : f32[n]
        %4 = divide %2, %3 : f32[n]
        """,
        """
        %0 = exp %x : f32[n]
        %1 = sin %0 : f32[n]
        %2 = divide %1, %1 : f32[n]
        """,
    )  # fmt: skip


def test_operands_of_a_commutative_op_may_be_swapped():
    check(
        cse, "%x: f32[n], %y: f32[n]",
        "%0 = add %x, %y : f32[n]\n%1 = add %y, %x : f32[n]\n%2 = divide %0, %1 : f32[n]",
        "%0 = add %x, %y : f32[n]\n%1 = divide %0, %0 : f32[n]",
    )  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        "%0 = subtract %x, %y : f32[n]\n%1 = subtract %y, %x : f32[n]",
        "%0 = maximum %x, %y : f32[n]\n%1 = maximum %y, %x : f32[n]",  # picks another zero of -0.0 and 0.0
        "%0 = const {value=0.0} : f32[]\n%1 = const {value=-0.0} : f32[]",
        "%0 = const {value=1.0} : f32[]\n%1 = const {value=1.0} : f64[]",
        "%0 = const {value=1} : i8[]\n%1 = const {value=true} : bool[]",
        "%0 = const {value=[0, 0]} : i32[2]\n%1 = const {value=[0]} : i64[1]",
        "%0 = sum %x {axis=(0,), keepdims=false} : f32[]\n%1 = sum %x {axis=(0,), keepdims=true} : f32[1]",
        "%0 = reshape %x {shape=(n, 1)} : f32[n,1]\n%1 = reshape %x {shape=(1, n)} : f32[1,n]",
        "%0 = cast %x {dtype=i32} : i32[n]\n%1 = cast %x {dtype=i64} : i64[n]",
        '%0 = print %x {message=""} : f32[n]\n%1 = print %x {message=""} : f32[n]',
    ],
)
def test_different_tensors_are_not(body):
    unchanged(cse, "%x: f32[n], %y: f32[n]", body + "\nreturn %0, %1")


def test_inputs_of_one_type_are_different():
    unchanged(cse, "%x: f32[n], %y: f32[n]", "%0 = exp %x : f32[n]\n%1 = exp %y : f32[n]\nreturn %0, %1")


def test_variables_are_different():
    v, w = gc.variable(1.0), gc.variable(1.0)
    assert len(cse(close("f", [], [v + w])).tensors) == 3


@pytest.mark.parametrize("values", ["0.0, 1.5, nan", ", ".join(["2.5"] * 400)])
def test_constants_are_merged_by_their_bytes(values):
    count = values.count(",") + 1
    body = "\n".join(f"%{i} = const {{value=[{values}]}} : f32[{count}]" for i in range(2))
    found = cse(graph("", body + f"\n%2 = multiply %0, %1 : f32[{count}]"))
    assert len(found.tensors) == 2


def test_bodies_are_compared_by_their_text():
    body = "\n".join(
        f"%{i} = fused %x : f32[n] {{\ngraph @body(%p0: f32[n]) {{\n%0 = {op} %p0 : f32[n]\nreturn %0\n}}\n}}"
        for i, op in enumerate(("exp", "exp", "sin"))
    )
    given = graph("%x: f32[n]", body + "\nreturn %0, %1, %2")
    found = cse(given)
    assert len(found.tensors) == 3
    same_values(given, found)


def test_results_of_one_tuple_are_merged():
    given = graph(
        "%x: f64[3,3]",
        """
        %0 = eigh %x : (f64[3], f64[3,3])
        %1 = eigh %x : (f64[3], f64[3,3])
        %2 = get %0 {index=0} : f64[3]
        %3 = get %1 {index=0} : f64[3]
        %4 = add %2, %3 : f64[3]
        """,
    )
    assert canonical(cse(given)).count("eigh") == 1
