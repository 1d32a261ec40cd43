"""Fusion: what becomes one kernel, what does not and why, and that no cycle of kernels ever forms."""

import networkx
import numpy as np
import pytest
from checking import ALL_NATIVE, canonical, check, same_values, unchanged

import graphc as gc
from graphc.analysis.loops import Nest
from graphc.errors import ArgumentError
from graphc.ir.close import close
from graphc.ir.graph import topological_order
from graphc.ir.tensor import Tensor
from graphc.ir.verify import verify
from graphc.passes import fuse as module
from graphc.passes.fuse import fuse
from graphc.passes.manager import optimise
from graphc.passes.why import explain

#: A backend for which these are written out, so that they fuse with their neighbours.
NATIVE = ALL_NATIVE - {"softmax", "log_softmax", "logsumexp"}


def closed(*outputs, updates=()):
    inputs = [t for t in topological_order([*outputs, *(v for _, v in updates)]) if t.op.name == "placeholder"]
    return close("f", inputs, outputs, updates)


def optimised(*outputs, updates=()):
    trace = optimise(closed(*outputs, updates=updates), native=NATIVE, check=3)
    return trace.graph


def kernels(of):
    """What each step of a graph computes, in order: the ops of a kernel, or one op's name."""
    quiet = ("placeholder", "const", "dim", "variable", "get")
    found = []
    for tensor in of.tensors:
        if tensor.op.name == "fused":
            body = tensor.attrs["body"]
            found.append(" ".join(t.op.name for t in body.tensors if t.op.name not in quiet))
        elif tensor.op.name not in quiet:
            found.append(tensor.op.name)
    return found


def fused(*outputs, updates=()):
    """The steps after fusion alone, which must keep the values."""
    before = closed(*outputs, updates=updates)
    after = fuse(before)
    verify(after)
    same_values(before, after)
    return kernels(after)


@pytest.fixture
def x():
    return gc.placeholder(("n", "m"), "float32", name="x")


# ---- what fuses --------------------------------------------------------------------------------------------


def test_a_chain():
    check(
        fuse, "%x: f32[n], %y: f32[]",
        """
        %0 = exp %x : f32[n]
        %1 = add %0, %y : f32[n]
        """,
        """
        %0 = fused %x, %y : f32[n] {
          graph @body(%p0: f32[n], %p1: f32[]) {
            %0 = exp %p0 : f32[n]
            %1 = add %0, %p1 : f32[n]
            return %1
          }
        }
        return %0
        """,
    )  # fmt: skip


def test_a_tensor_that_is_also_an_output():
    check(
        fuse, "%x: f32[n]",
        """
        %0 = exp %x : f32[n]
        %1 = sum %0 {axis=(0,), keepdims=false} : f32[]
        return %0, %1
        """,
        """
        %0 = fused %x : (f32[n], f32[]) {
          graph @body(%p0: f32[n]) {
            %0 = exp %p0 : f32[n]
            %1 = sum %0 {axis=(0,), keepdims=false} : f32[]
            return %0, %1
          }
        }
        %1 = get %0 {index=0} : f32[n]
        %2 = get %0 {index=1} : f32[]
        return %1, %2
        """,
    )  # fmt: skip


def test_a_constant_is_made_in_each_kernel():
    check(
        fuse, "%x: f32[2,3], %y: f32[3,2]",
        """
        %0 = const {value=2.0} : f32[]
        %1 = multiply %x, %0 : f32[2,3]
        %2 = exp %1 : f32[2,3]
        %3 = multiply %y, %0 : f32[3,2]
        %4 = exp %3 : f32[3,2]
        return %2, %4
        """,
        """
        %0 = fused %x : f32[2,3] {
          graph @body(%p0: f32[2,3]) {
            %0 = const {value=2.0} : f32[]
            %1 = multiply %p0, %0 : f32[2,3]
            %2 = exp %1 : f32[2,3]
            return %2
          }
        }
        %1 = fused %y : f32[3,2] {
          graph @body(%p0: f32[3,2]) {
            %0 = const {value=2.0} : f32[]
            %1 = multiply %p0, %0 : f32[3,2]
            %2 = exp %1 : f32[3,2]
            return %2
          }
        }
        return %0, %1
        """,
    )  # fmt: skip


def test_one_tensor_alone_stays_as_it_is():
    unchanged(fuse, "%x: f32[n]", "%0 = exp %x : f32[n]")
    unchanged(fuse, "%x: f32[n]", "%0 = const {value=2.0} : f32[]\n%1 = multiply %x, %0 : f32[n]")
    unchanged(
        fuse, "%x: f32[n,m]",
        "%0 = permute_dims %x {axes=(1, 0)} : f32[m,n]\n%1 = matmul %x, %0 : f32[n,n]",
    )  # fmt: skip


@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_log_softmax_and_logsumexp_are_one_kernel(x, axis):
    for function in (gc.softmax, gc.log_softmax):
        assert len(kernels(optimised(function(x, axis=axis)))) == 1
    steps = kernels(optimised(gc.logsumexp(x, axis=axis)))
    assert len([step for step in steps if step != "reshape"]) == 1  # a reshape costs nothing


def test_layer_norm_is_one_kernel(x):
    gain, bias = gc.placeholder(("m",), name="gain"), gc.placeholder(("m",), name="bias")
    centred = x - gc.mean(x, axis=1, keepdims=True)
    variance = gc.mean(centred * centred, axis=1, keepdims=True)
    assert len(kernels(optimised(centred / gc.sqrt(variance + 1e-5) * gain + bias))) == 1


def test_columns_are_folded_with_what_makes_them(x):
    assert fused(gc.sum(gc.exp(x), axis=0)) == ["exp sum"]
    total = gc.sum(x, axis=0)
    assert fused(gc.sqrt(gc.abs(total)), total) == ["sum abs sqrt"]
    assert fused(x - gc.max(x, axis=0)) == ["max subtract"]


def test_movement_is_part_of_the_kernel(x):
    i = gc.placeholder(("k",), "int64", name="i")
    assert fused(x[::-1, ::2] * 2 + 1) == ["slice multiply add"]
    assert fused(gc.permute_dims(x, (1, 0)) * 2) == ["permute_dims multiply"]
    assert fused(gc.expand_dims(x, 1) * 2) == ["reshape multiply"]
    check_take = closed(gc.take(x * 2, i, axis=0) + 1)
    assert kernels(fuse(check_take)) == ["multiply take add"]


def test_siblings_of_one_shape_share_a_kernel(x):
    y = x * 2
    assert fused(y + 1, gc.exp(y)) == ["multiply add exp"]
    assert fused(gc.sum(y, axis=1), gc.max(y, axis=1)) == ["multiply sum max"]
    assert fused(y + 1, gc.exp(y), gc.sin(y), gc.sum(y)) == ["multiply add exp sin sum"]


def test_updates_are_results_too():
    w, v = (gc.variable(np.ones(5, "float32"), name=name) for name in "wv")
    g = gc.placeholder((5,), name="g")
    speed = v * 0.9 + g
    assert fused(updates=[(v, speed), (w, w - speed * 0.1)]) == ["multiply add multiply subtract"]


# ---- what does not, and why --------------------------------------------------------------------------------


def reason(first, second, *outputs):
    trace = optimise(closed(*outputs), native=NATIVE, check=1)
    return explain(trace, first, second)


def test_a_matrix_product_is_a_step_of_its_own(x):
    w = gc.placeholder(("m", 3), name="w")
    product = gc.matmul(x * 2, w)
    result = gc.exp(product) + 1
    assert fused(result) == ["multiply", "matmul", "exp add"]
    product.hint = "product"
    result.hint = "result"
    text = reason("product", "result", result)
    assert "%product: matmul runs as a step of its own, not in a loop nest" in text


def named(name, tensor):
    tensor.hint = name
    return tensor


def test_tensors_of_one_kernel(x):
    a = named("a", gc.exp(x))
    b = named("b", a + x)
    assert reason("a", "b", b) == "%a and %b are fused: one kernel of 2 tensors computes both"


def test_reductions_over_other_axes(x):
    a = named("a", gc.exp(x))
    b, c = named("b", gc.sum(a, axis=0)), named("c", gc.sum(a, axis=1))
    assert fused(b, c) == ["exp", "sum", "sum"]
    text = reason("a", "c", b, c)
    assert "%a does not join its users: its users are in clusters with different loops (sum" in text
    assert "keeps other axes" in text or "another order" in text or "not that of the loops" in text


def test_a_dear_value_is_not_computed_twice(x):
    a = named("a", gc.exp(x))
    b = named("b", a[::-1] + a)
    assert fused(b) == ["exp", "slice add"]
    assert "exp would be computed more than once for an element" in reason("a", "b", b)
    row = named("row", gc.exp(x[0]))
    c = named("c", row + x)
    assert fused(c) == ["slice reshape exp", "add"]
    assert "exp would be computed again for each element that it is broadcast to" in reason("row", "c", c)


def test_a_tensor_between_two_kernels_joins_neither_if_one_must_wait_for_the_other(x):
    """a -> b, and a -> sort -> b: a cannot be computed where b is, since the sort stands between."""
    a = named("a", gc.exp(x))
    b = named("b", gc.sort(a, axis=1) * a)
    assert fused(b) == ["exp", "sort", "multiply"]
    assert "%a does not join its users: another user of it must run before the cluster" in reason("a", "b", b)


def test_effects_stand_alone(x):
    assert fused(gc.print(x * 2, "x") + 1) == ["multiply", "print", "add"]


def test_a_cluster_has_at_most_so_many_members(x, monkeypatch):
    monkeypatch.setattr(module, "MEMBER_LIMIT", 5)
    y = named("start", x * 1.5)
    for _ in range(12):
        y = gc.sin(y)
    steps = fused(named("end", y))
    assert max(step.count(" ") + 1 for step in steps) <= 5
    assert len(steps) == 3
    (last,) = y.inputs[0].inputs[0].inputs[0].inputs[0].inputs  # the sixth from the end
    named("sixth", last)
    assert "%sixth does not join its users: the cluster already has 5 tensors" in reason("sixth", "end", y)


def test_a_cluster_has_at_most_so_many_operands(monkeypatch):
    monkeypatch.setattr(module, "OPERAND_LIMIT", 4)
    parts = [gc.placeholder((3,), name=f"x{i}") for i in range(9)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    after = fuse(closed(total))
    assert max(len(t.inputs) for t in after.tensors if t.op.name == "fused") <= 6
    same_values(closed(total), after)


def test_why_with_wrong_names(x):
    trace = optimise(closed(named("total", x + 1)), native=NATIVE, check=1)
    with pytest.raises(ArgumentError, match=r"there is no tensor %totl; see dump\('cse'\)") as caught:
        explain(trace, "totl", "total")
    assert caught.value.hint == "did you mean 'total'?"
    skipped = optimise(closed(x + 1), native=NATIVE, check=1, skip=frozenset({"fuse"}))
    with pytest.raises(ArgumentError, match="the pass 'fuse' was left out"):
        explain(skipped, "x", "x")


def test_deep_and_wide_graphs():
    y = gc.placeholder((3,), name="y")
    total = y
    for i in range(3000):
        total = gc.sin(total) if i % 7 else total + y
    assert len(kernels(fuse(closed(total)))) <= 3000 / module.MEMBER_LIMIT + 2
    wide = [gc.exp(y * i) for i in range(300)]
    assert sum(step.count("exp") for step in kernels(fuse(closed(*wide)))) == 300


# ---- random graphs: values, and no cycle of kernels --------------------------------------------------------


def random_graph(rng):
    """A graph of elementwise ops, reductions, movement and steps of their own, on 4x4 and smaller arrays."""
    pool = [gc.placeholder((4, 4), "float32", name=f"x{i}") for i in range(2)]
    pool.append(gc.placeholder((4,), "float32", name="row"))

    def pick(rank=None):
        near = pool[-6:] if rng.random() < 0.6 else pool
        fitting = [t for t in near if rank is None or t.ndim == rank] or [t for t in pool if t.ndim == rank]
        return fitting[rng.integers(len(fitting))]

    makers = [
        lambda: pick() + pick(), lambda: gc.maximum(pick(), pick()), lambda: gc.exp(pick() * 0.1), lambda: pick() * 2.0,
        lambda: gc.sum(pick(2), axis=int(rng.integers(2))), lambda: gc.max(pick(2), axis=1, keepdims=True) + pick(2),
        lambda: gc.permute_dims(pick(2), (1, 0)), lambda: pick()[::-1], lambda: gc.matmul(pick(2), pick(2)),
        lambda: gc.sort(pick(), axis=-1), lambda: gc.sum(pick()) * pick(), lambda: gc.cumsum(pick(), axis=0),
        lambda: gc.reshape(gc.reshape(pick(2), (16,)), (4, 4)), lambda: gc.broadcast_to(pick(1), (4, 4)),
    ]  # fmt: skip
    for _ in range(rng.integers(4, 30)):
        made = makers[rng.integers(len(makers))]()
        pool.append(made)
    roots = [t for t in pool[3:-1] if rng.random() < 0.15] + pool[-1:]
    return closed(*roots)


def quotient(clusters):
    """The graph of kernels: a node for each cluster and each tensor made on its own."""
    of = clusters.graph
    node = {t: id(clusters.homes.get(t, t)) for t in of.tensors}
    found = networkx.DiGraph()
    for tensor in of.tensors:
        found.add_node(node[tensor])
        found.add_edges_from((node[i], node[tensor]) for i in tensor.inputs if node[i] != node[tensor])
    return found


def convex(clusters):
    """Whether no path leads out of a cluster and back into it."""
    of = clusters.graph
    full = networkx.DiGraph((operand, t) for t in of.tensors for operand in t.inputs)
    for cluster in set(clusters.homes.values()):
        members = set(cluster.members)
        outside = {u for m in members if m in full for u in full.successors(m) if u not in members}
        for start in outside:
            if any(t in members for t in networkx.descendants(full, start)):
                return False
    return True


def check_random(seeds):
    for seed in seeds:
        before = random_graph(np.random.default_rng(seed))
        clusters = module.form_clusters(before)
        assert networkx.is_directed_acyclic_graph(quotient(clusters)), seed
        assert convex(clusters), seed
        for cluster in set(clusters.homes.values()):
            order = [t for t in clusters.graph.tensors if t in cluster.nest.members]
            results = [t for t in order if is_needed(t, cluster, clusters)]
            assert isinstance(Nest.fitted(results or order[-1:], order), Nest), seed
        after = fuse(before)
        verify(after)
        assert all(t.op.name != "fused" or len(t.attrs["body"].tensors) > 1 for t in after.tensors)


def is_needed(tensor, cluster, clusters):
    using = module.users(clusters.graph)[tensor]
    return tensor in clusters.graph.roots or any(u not in cluster.nest.members for u in using)


def test_no_cycle_of_kernels_in_many_random_graphs():
    check_random(range(400))


def test_random_graphs_keep_their_values():
    for seed in range(60):
        before = random_graph(np.random.default_rng(seed))
        same_values(before, fuse(before))


def test_fusing_twice_and_the_same_text_each_time():
    for seed in range(20):
        before = random_graph(np.random.default_rng(seed))
        once = fuse(before)
        assert canonical(once) == canonical(fuse(before))
        same_values(before, fuse(once))


def test_a_missing_path_check_is_caught(monkeypatch):
    monkeypatch.setattr(module._Former, "_reaches", lambda self, starts, cluster: False)
    with pytest.raises(AssertionError):
        check_random(range(60))


def test_a_result_that_is_forgotten_is_caught(monkeypatch):
    y = gc.placeholder((3,), name="y")
    z = gc.exp(y)
    w = z + 1
    before = closed(w, z)
    right = module._Rebuild._is_result
    assert kernels(fuse(before)) == ["exp add"]
    monkeypatch.setattr(module._Rebuild, "_is_result", lambda self, t, c: t is w or (t is not z and right(self, t, c)))
    assert kernels(fuse(before)) != ["exp add"]


def test_outputs_keep_names_and_lines():
    y = gc.placeholder((3,), name="y")
    a, b = named("first", gc.exp(y)), named("second", gc.exp(y) * 2)
    total = named("sum", a + b)
    after = fuse(closed(total, a))
    assert [t.hint for t in after.outputs] == ["sum", "first"]
    assert all(isinstance(t, Tensor) and t.location.line == s.location.line for t, s in zip(after.outputs, (total, a)))


def between_clusters(make):
    """A tensor that two clusters read, which cannot be one since a sort stands between them."""
    y = gc.placeholder((3, 4), "float32", name="y")
    z = make(gc.sort(y))
    return closed(gc.sort(gc.exp(z)) * z)


@pytest.mark.parametrize(("make", "op"), [(lambda x: -x, "negative"), (lambda x: 2.0 - x, "subtract")])
def test_cheap_arithmetic_between_clusters_is_done_in_each(make, op):
    before = between_clusters(make)
    assert kernels(fuse(before)) == ["sort", f"{op} exp", "sort", f"{op} multiply"]
    same_values(before, fuse(before))


def test_dear_arithmetic_between_clusters_is_done_once():
    assert kernels(fuse(between_clusters(gc.sin))) == ["sort", "sin", "exp", "sort", "multiply"]


@pytest.mark.parametrize(("given", "made"), [("float32", "float64"), ("float64", "float32")])
def test_what_is_narrower_than_its_operand_is_read(given, made):
    y = gc.placeholder((3, 4), given, name="y")
    z = gc.astype(gc.sort(y), made)
    found = kernels(fuse(closed(gc.sort(gc.exp(z)) * z)))
    in_each, once = ["sort", "cast exp", "sort", "cast multiply"], ["sort", "cast", "exp", "sort", "multiply"]
    assert found == (once if made == "float32" else in_each)
