import itertools

import pytest
from checking import check, rules_of, same_values

import graphc as gc
from graphc.ir.close import close
from graphc.passes.rewrite import simplify

RUN = rules_of(simplify)
FAST = rules_of(simplify, fast_math=True)


@pytest.mark.parametrize("dtype", ["f32", "i32"])
@pytest.mark.parametrize("op", ["sum", "prod", "max", "min"])
def test_no_axes_and_axes_of_one_element(op, dtype):
    plus_zero = op == "sum" and dtype == "f32"
    after = f"%0 = const {{value=0.0}} : f32[]\n%1 = add %x, %0 : {dtype}[n,1]\n" if plus_zero else ""
    last = "%1" if plus_zero else "%x"
    check(
        RUN, f"%x: {dtype}[n,1]", f"%0 = {op} %x {{axis=(), keepdims=false}} : {dtype}[n,1]", after + f"return {last}"
    )
    check(
        RUN, f"%x: {dtype}[n,1]", f"%0 = {op} %x {{axis=(1,), keepdims=true}} : {dtype}[n,1]", after + f"return {last}"
    )
    reshaped = f"%9 = reshape {last} {{shape=(n,)}} : {dtype}[n]\nreturn %9"
    check(RUN, f"%x: {dtype}[n,1]", f"%0 = {op} %x {{axis=(1,), keepdims=false}} : {dtype}[n]", after + reshaped)


@pytest.mark.parametrize("keep", list(itertools.product([False, True], repeat=2)))
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "all", "any"])
def test_reductions_of_reductions(name, keep):
    dtype = "bool" if name in ("all", "any") else "int64"
    x = gc.placeholder(("n", 3, 2, 4), dtype, name="x")
    function = getattr(gc, name)
    for inner, outer in [((1,), (0,)), ((0, 3), (0,)), ((2,), (1, 2)), ((1, 2), (-1,))]:
        once = function(x, axis=inner, keepdims=keep[0])
        given = close("f", [x], [function(once, axis=outer, keepdims=keep[1])])
        found = RUN(given)
        same_values(given, found)
        assert [t.op.name for t in found.tensors].count(name) == 1


def test_floats_keep_their_order_of_addition_unless_allowed():
    x = gc.placeholder((3, 4), "float32", name="x")
    given = close("f", [x], [gc.sum(gc.sum(x, axis=0))])
    assert [t.op.name for t in RUN(given).tensors].count("sum") == 2
    assert [t.op.name for t in FAST(given).tensors].count("sum") == 1
    same_values(given, FAST(given), "rounded")


def test_a_column_times_a_row():
    check(
        RUN, "%x: f32[n,1]\n%y: f32[1,m]".replace("\n", ", "), "%0 = matmul %x, %y : f32[n,m]",
        "%0 = multiply %x, %y : f32[n,m]\n%1 = const {value=0.0} : f32[]\n%2 = add %0, %1 : f32[n,m]\nreturn %2",
    )  # fmt: skip
    check(RUN, "%x: i32[n,1], %y: i32[1,m]", "%0 = matmul %x, %y : i32[n,m]",
          "%0 = multiply %x, %y : i32[n,m]\nreturn %0")  # fmt: skip


def test_a_product_of_depth_one_has_positive_zeros():
    x, y = gc.placeholder(("n", 1), "float64", name="x"), gc.placeholder((3, 1, "m"), "float64", name="y")
    given = close("f", [x, y], [gc.signbit(gc.matmul(-x * x, y * 0.0))])
    found = RUN(given)
    assert "matmul" not in {t.op.name for t in found.tensors}
    same_values(given, found)
