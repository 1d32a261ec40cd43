import pytest
from checking import canonical, check, graph, same_values

import graphc as gc
from graphc.ir import dims
from graphc.ir.close import close
from graphc.ir.parse import parse
from graphc.ir.verify import verify
from graphc.passes.unify import solve, unify


def requiring(parameters, constraints, body):
    """A graph with constraints."""
    lines = [f"require {c} by test" for c in constraints]
    return graph(parameters, "\n".join([*lines, body]))


def solved(parameters, *constraints):
    return {k: str(v) for k, v in solve(requiring(parameters, constraints, "%0 = exp %x : f32[n]")).items()}


def test_equal_symbols_get_the_first_name():
    found = unify(requiring("%x: f32[n], %y: f32[m]", ["n == m"], "%0 = add %x, %y : f32[n]"))
    verify(found)
    assert canonical(found) == canonical(graph("%x: f32[n], %y: f32[n]", "%0 = add %x, %y : f32[n]"))


def test_a_number_is_preferred():
    found = unify(requiring("%x: f32[n], %y: f32[64]", ["n == 64"], "%0 = add %x, %y : f32[64]"))
    assert [str(t.type) for t in found.inputs] == ["f32[64]", "f32[64]"] and not found.constraints


@pytest.mark.parametrize(
    ("constraints", "expected"),
    [
        ((), {}),
        (("n == n",), {}),
        (("n == m",), {"m": "n"}),
        (("m == n",), {"m": "n"}),
        (("n == m", "m == k"), {"m": "n", "k": "n"}),
        (("m == k", "n == k"), {"m": "n", "k": "n"}),
        (("n == m", "m == k", "k == 3"), {"n": "3", "m": "3", "k": "3"}),
        (("k == 3", "n == m", "m == k"), {"n": "3", "m": "3", "k": "3"}),
        (("n == m+1",), {"n": "m+1"}),
        (("n == m+1", "m == k"), {"n": "k+1", "m": "k"}),
        (("n == m+1", "m == 4"), {"n": "5", "m": "4"}),
        (("2*n == 2*m",), {}),
        (("n == max(n,2)",), {}),
        (("n == 3", "n == 4"), {}),
        (("n == m", "n == m+1"), {}),
    ],
)
def test_constraints_are_solved(constraints, expected):
    found = solved("%x: f32[n], %y: f32[m], %z: f32[k]", *constraints)
    if expected.get("k") == "n" or expected.get("m") == "k":  # either name will do, as long as it is one
        assert len(found) == len(expected)
    else:
        assert found == expected


def test_a_users_name_wins_over_a_fresh_one():
    x, y = gc.placeholder((None,), name="x"), gc.placeholder(("batch",), name="y")
    found = unify(close("f", [x, y], [x + y]))
    assert [str(t.type) for t in found.inputs] == ["f32[batch]", "f32[batch]"]


def test_fresh_names_become_plain_ones_whatever_was_built_before():
    def build():
        x, y = gc.placeholder((None, None), name="x"), gc.placeholder(("x_0",), name="y")
        return canonical(unify(close("f", [x, y], [gc.exp(x), gc.exp(y)])))

    first = build()
    assert build() == first
    assert "%x: f32[x_0_2,x_1], %y: f32[x_0]" in first


def test_attributes_bodies_and_sizes_are_rewritten():
    body = """
        require n == m by test
        %0 = reshape %x {shape=(2*m,)} : f32[2*m]
        %1 = iota {size=m, dtype=f32} : f32[m]
        %2 = dim {size=m} : i64[]
        %3 = fused %y : f32[m] {
          graph @body(%p0: f32[m]) {
            %0 = exp %p0 : f32[m]
            return %0
          }
        }
        return %0, %1, %2, %3
        """
    given = graph("%x: f32[n,2], %y: f32[m]", body)
    found = unify(given)
    verify(found)
    assert "m" not in canonical(found).replace("dim", "").replace("@f", "").replace("sum", "")
    same_values(given, found)


def test_what_cannot_be_expressed_stays_a_constraint():
    found = unify(requiring("%x: f32[n], %y: f32[m]", ["2*n == 3*m"], "%0 = exp %x : f32[n]"))
    assert [str(c) for c in found.constraints] == ["2*n == 3*m"]


def test_a_contradiction_is_left_for_the_call_to_refuse():
    body = "%0 = add %x, %y : f32[2]\n%1 = add %x, %z : f32[3]\nreturn %0, %1"
    given = requiring("%x: f32[n], %y: f32[2], %z: f32[3]", ["n == 2", "n == 3"], body)
    found = unify(given)
    verify(found)
    assert len(found.constraints) == 2


def test_a_contradiction_that_only_a_solution_shows_is_left_too():
    constraints = ["n-3 == max(n-3,0)", "n == 1"]
    given = requiring("%x: f32[n]", constraints, "%0 = exp %x : f32[n]")
    assert [str(c) for c in unify(given).constraints] == constraints


def test_every_symbol_that_is_left_is_bound_by_an_input():
    given = requiring("%x: f32[n], %y: f32[m], %z: f32[k]", ["n == m+k"], "%0 = exp %x : f32[n]")
    found = unify(given)
    bound = {dims.bare_symbol(s) for t in found.inputs for s in t.shape}
    assert {name for t in found.inputs for s in t.shape for name in dims.symbols_of(s)} <= bound


def test_inputs_keep_their_order_and_variables_their_identity():
    x, w = gc.placeholder((None, 3), name="x"), gc.variable([1.0, 2.0, 3.0], "float32", name="w")
    given = close("f", [x], [x * w], [(w, w * 2.0)])
    found = unify(given)
    assert [t.hint for t in found.inputs] == ["x"] and found.variables == given.variables
    verify(found)


def test_nothing_to_do_is_the_same_graph():
    given = parse("graph @f(%x: f32[n]) {\n %0 = exp %x : f32[n]\n return %0\n}")
    assert unify(given) is given


def test_values():
    check(unify, "%x: f32[n,4]", "%0 = exp %x : f32[n,4]", "%0 = exp %x : f32[n,4]")
