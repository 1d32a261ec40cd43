"""Graphs that treat rows each for itself, and those that do not."""

import numpy as np
import pytest

import graphc as gc
from graphc.analysis import rows
from graphc.analysis.rows import by_rows
from graphc.ir.evaluate import evaluate
from graphc.ir.graph import Graph
from graphc.ir.opdef import OPS, Trait
from graphc.passes.fuse import fuse

B, HALF = 6, 3
X = gc.placeholder((B, 4), "float64", name="x")
Y = gc.placeholder((B, 4), "float64", name="y")
Z = gc.placeholder((B, 2, 4), "float64", name="z")
W = gc.placeholder((4, 5), "float64", name="w")
V = gc.placeholder((4,), "float64", name="v")
U = gc.placeholder((B, B), "float64", name="u")
INPUTS = (X, Y, Z, W, V, U)

ALONE = {
    "elementwise": X * Y + V,
    "of a broadcast constant": X + gc.broadcast_to(gc.constant(2.0), (B, 4)),
    "broadcast": gc.broadcast_to(X[:, :1], (B, 4)) * X,
    "product": gc.tanh(X @ W),
    "product of a batch": Z @ W,
    "products of two batches": Z @ gc.matrix_transpose(Z),
    "reductions": gc.sum(X, axis=1) * gc.max(Y, axis=1),
    "softmax": gc.softmax(X, axis=1),
    "order": gc.argsort(X, axis=1),
    "largest": gc.argmax(X, axis=1),
    "running sum": gc.cumsum(X, axis=1),
    "joined and cut": gc.concat([X, Y], axis=1)[:, 2:7:2],
    "padded": gc.pad(X, ((0, 0), (1, 2))),
    "reshaped": gc.reshape(Z, (B, 8)),
    "moved": gc.permute_dims(Z, (0, 2, 1)),
    "what is not by rows": X * gc.sum(W, axis=1) + U @ Y,
    "square": X @ W @ gc.matrix_transpose(W),
}
TOGETHER = {
    "a sum of rows": X - gc.sum(X, axis=0),
    "rows in another order": X[::-1],
    "some rows": gc.concat([X[1:], X[:1]], axis=0),
    "neighbours": gc.cumsum(X, axis=0),
    "a product of rows with rows": X @ gc.matrix_transpose(X),
    "from the right": U @ X + X,
    "axes exchanged": gc.permute_dims(U, (1, 0)),
    "elements that change rows": gc.reshape(gc.reshape(X, (4, B)), (B, 4)),
    "no rows": gc.sum(X),
    "a constant of all rows": X + np.arange(24.0).reshape(B, 4),
    "an effect": gc.print(X) * 2.0,
    "an index": gc.take(V, gc.astype(X[:, 0], "int64")),
    "rows and columns": U * gc.sum(U, axis=0),
}


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("is_fused", [False, True], ids=["", "fused"])
def test_parts_are_rows_of_the_whole(name, is_fused):
    graph = Graph("step", INPUTS, (ALONE[name],))
    found = by_rows(fuse(graph) if is_fused else graph, B, HALF)
    assert found is not None
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=t.shape) for t in INPUTS]
    (whole,) = evaluate(graph, arrays)
    for part in (slice(0, HALF), slice(HALF, B)):
        some = [a[part] if is_part else a for a, is_part in zip(arrays, found.inputs)]
        np.testing.assert_array_equal(evaluate(found.graph, some)[0], np.asarray(whole)[part])


@pytest.mark.parametrize("name", TOGETHER)
def test_rows_that_need_others_are_not_told_apart(name):
    assert by_rows(Graph("step", INPUTS, (TOGETHER[name],)), B, HALF) is None


def test_an_input_that_is_read_by_rows_and_as_a_whole():
    assert by_rows(Graph("step", INPUTS, (U * 2.0, X)), B, HALF) is not None
    assert by_rows(Graph("step", INPUTS, (U * 2.0, X @ gc.zeros((4, B)) @ U)), B, HALF) is None


def test_symbolic_sizes():
    x, w = gc.placeholder(("n", 4), "float32"), gc.placeholder((4, "m"), "float32")
    n = x.shape[0]
    found = by_rows(Graph("step", (x, w), (x @ w,)), n, (n + 1) // 2)
    assert found is not None and found.inputs == (True, False)
    assert found.graph.outputs[0].shape == ((n + 1) // 2, w.shape[1])


def test_rules_are_of_ops_that_exist():
    for name in rows._RULES:
        assert not OPS[name].has(Trait.ELEMENTWISE) and not OPS[name].has(Trait.REDUCTION)


def test_a_planted_rule_is_found_out(monkeypatch):
    """If running sums over rows were taken for one of each row, values would differ."""
    monkeypatch.setitem(rows._RULES, "cumsum", lambda work, tensor: rows._Rule((True,), {}))
    graph = Graph("step", INPUTS, (TOGETHER["neighbours"],))
    found = by_rows(graph, B, HALF)
    assert found is not None
    x = np.ones((B, 4))
    some = [x[HALF:] if is_part else np.ones(t.shape) for t, is_part in zip(INPUTS, found.inputs)]
    whole = evaluate(graph, [np.ones(t.shape) for t in INPUTS])[0]
    assert not np.array_equal(evaluate(found.graph, some)[0], np.asarray(whole)[HALF:])
