from checking import canonical, graph

import graphc as gc
from graphc.ir.close import close
from graphc.passes.prune import prune


def test_an_update_with_the_variable_itself_goes():
    v, w = gc.variable(1.0, name="v"), gc.variable(2.0, name="w")
    given = close("f", [], [v + w], [(v, v), (w, v)])
    assert prune(given).updates == ((w, v),)


def test_a_constraint_that_always_holds_goes():
    given = graph("%x: f32[n]", "require n == n by a\nrequire n == 2 by b\n%0 = exp %x : f32[n]")
    assert [str(c) for c in prune(given).constraints] == ["n == 2"]


def test_inputs_that_nothing_needs_stay():
    given = graph("%x: f32[n], %y: f32[m]", "%0 = exp %x : f32[n]")
    assert canonical(prune(given)) == canonical(given)


def test_what_nothing_needs_is_not_in_a_graph_at_all():
    given = graph("%x: f32[n]", "%0 = exp %x : f32[n]\n%1 = sin %x : f32[n]")
    assert [t.op.name for t in given.tensors] == ["placeholder", "sin"]
