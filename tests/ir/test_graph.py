"""Graphs: order of tensors, roots, rebuilding; nothing recurses."""

import random

import numpy as np

import graphc as gc
from graphc.ir.close import close
from graphc.ir.graph import map_sizes, sizes_of, topological_order, with_inputs
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType, as_dtype


def random_tensors(rng, count):
    x = gc.placeholder((3,), "float64", name="x")
    tensors = [x, gc.constant(np.arange(3.0))]
    for _ in range(count):
        a, b = rng.choice(tensors[-6:]), rng.choice(tensors)
        tensors.append(rng.choice([gc.add, gc.multiply, gc.maximum])(a, b))
    return x, tensors


def test_operands_come_before_users_and_each_tensor_once():
    rng = random.Random(3)
    for _ in range(50):
        x, tensors = random_tensors(rng, 30)
        roots = rng.sample(tensors, 3)
        order = list(topological_order(roots))
        place = {t: i for i, t in enumerate(order)}
        assert len(place) == len(order) and set(roots) <= set(place)
        assert all(place[i] < place[t] for t in order for i in t.inputs)
        reached, stack = set(), list(roots)
        while stack:
            tensor = stack.pop()
            if tensor not in reached:
                reached.add(tensor)
                stack += tensor.inputs
        assert reached == set(order)
        graph = close("f", [x], roots)
        assert graph.tensors[0] is x and graph.tensors == close("f", [x], roots).tensors


def test_inputs_and_variables_that_nothing_reads_belong_to_the_graph():
    x, w = gc.placeholder((2,), name="x"), gc.variable(np.zeros(2, "f4"), name="w")
    graph = close("f", [x], [], [(w, gc.constant(np.ones(2, "f4")))])
    assert x in graph.tensors and graph.variables == (w,) and w not in graph.tensors
    assert graph.roots == (graph.updates[0][1],)


def test_symbols_in_order_of_use():
    x, y = gc.placeholder(("b", "a")), gc.placeholder(("a", "c"))
    assert close("f", [x, y], [x]).symbols == ("b", "a", "c")


def test_rebuilding_shares_what_does_not_change():
    x = gc.placeholder((2,), "float64", name="x")
    y = gc.exp(x) + 1.0
    z = y * gc.tanh(y)
    w = gc.variable(np.zeros(2))
    graph = close("f", [x], [z, x], [(w, y)])
    same = graph.rebuild(with_inputs)
    assert same.outputs == graph.outputs and same.updates == graph.updates and same.inputs == graph.inputs
    changed = graph.rebuild(lambda t, i: gc.sin(i[0]) if t.op.name == "tanh" else with_inputs(t, i))
    assert [t.op.name for t in changed.tensors].count("sin") == 1
    assert changed.updates[0][1] is y and changed.outputs[1] is x and changed.outputs[0] is not z
    assert changed.outputs[0].location == z.location


def test_sizes_are_found_and_mapped_in_types_and_attributes():
    n = gc.placeholder(("n",)).shape[0]
    t = gc.broadcast_to(gc.constant(1.0), (n + 1, 3))
    assert set(sizes_of(t)) == {n + 1}
    assert map_sizes((1, (n, "a"), None), lambda s: 7) == (1, (7, "a"), None)
    assert map_sizes(t.type, lambda s: 7) == TensorType(as_dtype("f64"), (7, 3))


def test_a_deep_chain():
    x = gc.placeholder(("n",), "float32", name="x")
    y = x
    for _ in range(20_000):
        y = Tensor(gc.negative(x).op, (y,), {}, x.type, x.location)
    graph = close("f", [x], [y])
    assert len(graph.tensors) == 20_001
    assert graph.rebuild(with_inputs).outputs[0] is y
    assert str(graph).count("\n") == 20_003
