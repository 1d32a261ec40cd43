"""The export to networkx, and networkx as an oracle for our own orders."""

import io

import networkx as nx
import numpy as np
import pytest

import graphc as gc
from graphc.analysis.nx import critical_path
from graphc.analysis.users import users
from graphc.errors import ArgumentError
from graphc.ir.text import tensor_names


def step():
    x = gc.placeholder(("batch", 4), "float32", name="x")
    w = gc.variable(np.ones((4, 3), "f4"), name="w")
    y = gc.tanh(x @ w)
    return gc.function([x], [y, gc.sum(y)], updates={w: w * 0.5}, name="step", backend="numpy")


def random_graph(seed):
    rng = np.random.default_rng(seed)
    pool = [gc.placeholder((2,), name=f"x{i}") for i in range(3)]
    inputs = list(pool)
    for _ in range(40):
        a, b = (pool[i] for i in rng.integers(0, len(pool), 2))
        pool.append(a + b if rng.random() < 0.7 else gc.exp(a))
    return gc.function(inputs, pool[-3:], backend="numpy", skip=("fuse",)).graph


def test_attributes():
    exported = gc.to_networkx(step().graph, {"batch": 5})
    assert isinstance(exported, nx.MultiDiGraph) and exported.name == "step"
    x, w = exported.nodes["x"], exported.nodes["w"]
    assert (x["op"], x["type"], x["input"], x["hint"]) == ("placeholder", "f32[batch,4]", True, "x")
    assert w["op"] == "variable" and not w["input"]
    (product,) = [n for n, data in exported.nodes(data=True) if data["op"] == "matmul"]
    assert exported.nodes[product]["flops"] == 2 * 5 * 3 * 4
    assert exported.nodes[product]["location"].partition(":")[0].endswith("test_nx.py")
    assert {k: d["name"] for _, _, k, d in exported.in_edges(product, keys=True, data=True)} == {0: "x", 1: "y"}
    assert [d["updates"] for _, d in exported.nodes(data=True) if d["updates"]] == ["w"]
    assert sum(d["output"] for _, d in exported.nodes(data=True)) == 2


def test_a_fused_tensor_lists_its_ops_and_every_writer_takes_the_result():
    exported = gc.to_networkx(step().optimized)
    assert any("tanh" in data.get("ops", "") for _, data in exported.nodes(data=True))
    nx.write_graphml(exported, buffer := io.BytesIO())
    assert b"matmul" in buffer.getvalue()
    assert nx.node_link_data(exported, edges="edges")["nodes"]


@pytest.mark.parametrize("seed", range(8))
def test_networkx_agrees_on_order_and_users(seed):
    graph = random_graph(seed)
    exported, names = gc.to_networkx(graph), tensor_names(graph)
    place = {names[t]: i for i, t in enumerate(graph.tensors)}
    assert nx.is_directed_acyclic_graph(exported)
    assert all(place[a] < place[b] for a, b in exported.edges())
    for tensor, using in users(graph).items():
        assert {names[u] for u in using} == set(exported.successors(names[tensor]))


@pytest.mark.parametrize("seed", range(4))
def test_the_critical_path_is_the_longest(seed):
    graph = random_graph(seed)
    path = critical_path(graph, weight="tensors")
    longest = {}
    for t in graph.tensors:
        longest[t] = 1 + max((longest[i] for i in t.inputs), default=0)
    assert path.length == len(path.tensors) == max(longest.values())
    assert all(a in b.inputs for a, b in zip(path.tensors, path.tensors[1:]))
    assert path.total == len(graph.tensors) and path.parallelism == path.total / path.length


def test_a_critical_path_by_cost_goes_through_the_product():
    x = gc.placeholder(("n", "n"), name="x")
    y = gc.exp(gc.exp(gc.exp(x))) + x @ x
    graph = gc.function([x], y, backend="numpy").graph
    ops = [t.op.name for t in critical_path(graph, {"n": 64}, weight="flops").tensors]
    assert ops == ["placeholder", "matmul", "add"]
    with pytest.raises(ArgumentError, match="weight 'time'"):
        critical_path(graph, {"n": 64}, weight="time")


def test_a_chain_of_100_000_ops():
    x = gc.placeholder((), name="x")
    y = x
    for _ in range(100_000):
        y = -y
    graph = gc.Graph("chain", (x,), (y,))
    assert critical_path(graph, weight="tensors").length == 100_001
