"""Loops that step alike become one."""

from checking import check, graph, unchanged

import graphc as gc
from graphc.ir.close import close
from graphc.passes.join import join


def scan(number, operands, types, results, line="%3 = sin %2 : f32[]"):
    return f"""
    %{number} = scan {operands} {{length=t, sequences=1, states=1, reverse=false}} : ({types}) {{
    graph @step(%0: f32[], %1: f32[]) {{
    %2 = add %0, %1 : f32[]
    {line}
    return {results}
    }}
    }}
    """


PARAMETERS = "%x: f32[t], %h: f32[]"


def test_equal_transitions():
    check(
        join, PARAMETERS,
        scan(0, "%x, %h", "f32[], f32[t]", "%3, %2") + scan(1, "%x, %h", "f32[], f32[t], f32[t]", "%3, %1, %2")
        + "%2 = get %0 {index=1} : f32[t]\n%3 = get %1 {index=1} : f32[t]\n%4 = get %1 {index=2} : f32[t]\n"
        "return %2, %3, %4",
        scan(0, "%x, %h", "f32[], f32[t], f32[t]", "%3, %2, %1")
        + "%1 = get %0 {index=1} : f32[t]\n%2 = get %0 {index=2} : f32[t]\n%3 = get %0 {index=1} : f32[t]\n"
        "return %1, %2, %3",
    )  # fmt: skip


def test_other_transitions_operands_or_directions():
    other = scan(1, "%x, %h", "f32[]", "%3", "%3 = cos %2 : f32[]")
    ends = "%2 = get %0 {index=0} : f32[]\n%3 = get %1 {index=0} : f32[]\nreturn %2, %3"
    one = scan(0, "%x, %h", "f32[]", "%3")
    unchanged(join, PARAMETERS, one + other + ends)
    unchanged(join, PARAMETERS, one + scan(1, "%x, %h", "f32[]", "%3").replace("reverse=false", "reverse=true") + ends)
    unchanged(join, PARAMETERS + ", %g: f32[]", one + scan(1, "%x, %g", "f32[]", "%3") + ends)


def test_a_loop_that_prints_is_joined_with_its_own_gradient_only(capsys):
    text = '%3 = print %2 {message="h"} : f32[]'
    ends = "%2 = get %0 {index=0} : f32[]\n%3 = get %1 {index=0} : f32[]\nreturn %2, %3"
    unchanged(
        join, PARAMETERS, scan(0, "%x, %h", "f32[]", "%3", text) + scan(1, "%x, %h", "f32[]", "%3", text) + ends
    )
    x = gc.placeholder(("t",), "float32", name="x")
    y = gc.scan(lambda x_t, h: gc.sin(gc.print(h + x_t, "h")), x, gc.constant(0.0, "float32")).last
    f = gc.function([x], [y, *gc.grad(y, [x])], backend="numpy")
    capsys.readouterr()
    f([1.0, 2.0])
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_branches_of_the_same_operands():
    p, x = gc.placeholder((), "bool"), gc.placeholder((3,), "float64")
    y = gc.cond(p, lambda: gc.exp(gc.sin(x)), lambda: gc.sin(x) * 2.0)
    given = close("f", [p, x], [y, *gc.grad(gc.sum(y), [x])])
    assert [t.op.name for t in given.tensors].count("cond") == 3
    assert [t.op.name for t in join(given).tensors].count("cond") == 2


def test_nothing_to_join():
    given = graph("%x: f32[n]", "%0 = sin %x : f32[n]")
    assert join(given) is given


def test_first_states_that_are_equal_constants():
    x = gc.placeholder(("t", 2), "float32", name="x")

    def loop():
        return gc.scan(lambda x_t, h: gc.sin(x_t + h), x, gc.zeros((2,), "float32"))

    f = gc.function([x], [loop().last, loop().states], backend="numpy")
    assert [t.op.name for t in f.optimized.tensors].count("scan") == 1
