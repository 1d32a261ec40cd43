"""Cheap arithmetic on sequences is done in the loop that reads them."""

import numpy as np
from checking import check, unchanged

import graphc as gc
from graphc.passes.sink import sink

SCAN = """
%{n} = scan {operands} {{length=t, sequences={count}, states=1, reverse=false}} : (f32[n]) {{
graph @step({parameters}) {{
{lines}
return %{last}
}}
}}
%{result} = get %{n} {{index=0}} : f32[n]
"""
PARAMETERS = "%x: f32[t,n], %y: f32[t,n], %b: f32[n], %h: f32[n]"


def plain(n, operand):
    return SCAN.format(
        n=n, operands=f"{operand}, %h", count=1, parameters="%0: f32[n], %h: f32[n]", lines="%1 = add %0, %h : f32[n]",
        last=1, result=n + 1,
    )  # fmt: skip


def test_a_bias_and_what_it_is_added_to():
    check(
        sink, PARAMETERS,
        "%0 = multiply %x, %y : f32[t,n]\n%1 = add %0, %b : f32[t,n]\n" + plain(2, "%1"),
        SCAN.format(
            n=0, operands="%x, %y, %h, %b", count=2, parameters="%x: f32[n], %y: f32[n], %h: f32[n], %b: f32[n]",
            lines="%0 = multiply %x, %y : f32[n]\n%1 = add %0, %b : f32[n]\n%2 = add %1, %h : f32[n]", last=2, result=1,
        ),
    )  # fmt: skip


def test_what_is_dear_or_read_elsewhere_or_of_one_row_stays():
    unchanged(sink, PARAMETERS, "%0 = exp %x : f32[t,n]\n" + plain(1, "%0"))
    unchanged(sink, PARAMETERS, "%0 = add %x, %b : f32[t,n]\n" + plain(1, "%0") + "return %0, %2")
    unchanged(
        sink, PARAMETERS + ", %r: f32[1,n]", "%0 = add %x, %r : f32[t,n]\n" + plain(1, "%0")
    )


def test_only_as_far_as_a_tensor_is_read_once():
    x, b = gc.placeholder(("t", 3), "float64", name="x"), gc.placeholder((3,), "float64", name="b")
    shared = x * 2.0
    r = gc.scan(lambda z_t, h: gc.sin(z_t + h), shared + b, b)
    f = gc.function([x, b], [r.last, shared], backend="numpy", check=3)
    (loop,) = [t for t in f.optimized.tensors if t.op.name == "scan"]
    assert [t.op.name for t in loop.inputs] == ["multiply", "placeholder", "placeholder"]
    xs, first = np.random.default_rng(0).normal(size=(4, 3)), np.ones(3)
    h = first
    for row in xs:
        h = np.sin(2 * row + first + h)
    np.testing.assert_allclose(f(xs, first)[0], h)


def test_a_product_of_depth_one():
    x, w = gc.placeholder(("t", 4, 1), "float32", name="x"), gc.placeholder((1, 5), "float32", name="w")
    h = gc.placeholder((4, 5), "float32", name="h")
    last = gc.scan(lambda z, h: gc.tanh(z + h), gc.matmul(x, w), h).last
    graph = gc.function([x, w, h], last, backend="numpy").graph
    (loop,) = (t for t in sink(graph).tensors if t.op.name == "scan")
    assert "matmul" in {t.op.name for t in loop.attrs["body"].tensors}
    assert "matmul" not in {t.op.name for t in sink(graph).tensors}
