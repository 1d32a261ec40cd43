"""`gc.function`: feeds, outputs, updates, givens, inspection, errors; alike on both backends."""

from collections import namedtuple

import numpy as np
import pytest

import graphc as gc
from graphc.errors import ArgumentError, DTypeError, FeedError, GraphError, ShapeError

ROWS = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "float32")


@pytest.fixture(params=["numpy", "llvm"])
def backend(request):
    return request.param


def rows(name="x", size="n"):
    return gc.placeholder((size, 3), "float32", name=name)


# feeds


def test_feeds_by_position_and_by_name(backend):
    x, y, z = (gc.placeholder((), "float64", name=n) for n in "xyz")
    f = gc.function([x, y, z], x * 100.0 + y * 10.0 + z, backend=backend)
    for value in (f(1, 2, 3), f(1, 2, z=3), f(z=3, x=1, y=2), f(1.0, z=np.float32(3), y=np.array(2))):
        assert value == 123 and value.dtype == np.float64 and value.shape == ()


def test_inputs_without_names_and_without_use(backend):
    a, b = gc.placeholder((2,), "float64"), gc.placeholder(("k",), "int8", name="unused")
    f = gc.function([a, b], a + 1.0, backend=backend)
    assert f([1, 2], unused=[1, 2, 3]).tolist() == [2, 3]
    with pytest.raises(DTypeError, match="unused"):
        f([1, 2], [0.5])


def test_wrong_feeds(backend):
    x, y = gc.placeholder(("n",), "float64", name="first"), gc.placeholder(("n",), "float64", name="second")
    f = gc.function([x, y], x + y, backend=backend, name="plus")
    for call, words in [
        (lambda: f(), "plus: no value for first, second"), (lambda: f([1.0]), "no value for second"),
        (lambda: f([1.0], [1.0], [1.0]), "plus takes 2 inputs"),
        (lambda: f([1.0], first=[1.0]), "'first' is given twice"),
        (lambda: f([1.0], secnod=[1.0]), "did you mean 'second'"), (lambda: f([1.0], x), "symbolic tensor"),
        (lambda: f([1.0], [[1.0], [2.0, 3.0]]), "second: not an array"),
    ]:  # fmt: skip
        with pytest.raises(FeedError, match=words):
            call()
    with pytest.raises(ShapeError, match=r"the size 'n' is 1 .axis 0 of first. but 2 .axis 0 of second"):
        f([1.0], [1.0, 2.0])
    with pytest.raises(DTypeError, match="without losing values"):
        f([1.0], np.zeros(1, complex))
    assert f([1.0], [2.0]).tolist() == [3]


def test_lists_of_large_integers(backend):
    x = gc.placeholder((2,), "uint64", name="x")
    f = gc.function([x], x, backend=backend)
    assert f([2**64 - 1, 0]).tolist() == [2**64 - 1, 0]
    with pytest.raises(DTypeError, match="cannot hold -1"):
        f([2**63, -1])


def test_one_compile_for_all_sizes(backend):
    x = rows()
    f = gc.function([x], gc.softmax(x, axis=0), backend=backend)
    for n in (*range(1, 20), 0, 100):
        assert f(np.ones((n, 3), "f4")).shape == (n, 3)
    assert f.compilations == 1


# outputs

Pair = namedtuple("Pair", "total rows")


def test_outputs_in_the_structure_that_was_asked_for(backend):
    x = rows()
    total = gc.sum(x)
    nested = {"a": total, "b": [x, None]}, {"deep": ({1: x},)}
    for structure in (total, [total], (total, x), *nested, Pair(total, x), [], None):
        found = gc.function([x], structure, backend=backend)(ROWS)
        assert type(found) is (np.ndarray if structure is total else type(structure))
    found = gc.function([x], Pair(total, {"r": x}), backend=backend)(ROWS)
    assert found.total == 21 and found.rows["r"].tolist() == ROWS.tolist()


def test_a_list_that_the_caller_changes_later(backend):
    x = rows()
    outputs = [gc.sum(x)]
    f = gc.function([x], outputs, backend=backend)
    outputs.append(x)
    assert len(f(ROWS)) == 1


def test_outputs_own_their_memory(backend):
    x, w, c = rows(), gc.variable(ROWS, name="w"), gc.constant(ROWS)
    y = gc.exp(x)
    f = gc.function([x], [x, w, c, y, y, x, c, gc.reshape(x, (-1,)), x[:, :2], w.T], backend=backend)
    fed = ROWS.copy()
    outputs = f(fed)
    every = [fed, w.storage, *outputs]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(every) for b in every[:i])
    again = f(fed)
    for output in outputs:
        assert output.flags.writeable and output.flags.c_contiguous
        output[...] = -1
    for output, same in zip(f(fed), again):
        np.testing.assert_array_equal(output, same)
    np.testing.assert_array_equal(fed, ROWS)
    np.testing.assert_array_equal(w.value, ROWS)


def test_no_inputs(backend):
    assert gc.function([], gc.arange(3), backend=backend)().tolist() == [0, 1, 2]


# updates


def test_updates_read_before_they_write(backend):
    a, b = gc.variable([1.0, 2.0], name="a"), gc.variable([3.0, 4.0], name="b")
    swap = gc.function([], [a + b, a], updates={a: b, b: a}, backend=backend)
    for _ in range(3):
        before = a.value, b.value
        total, read = swap()
        assert total.tolist() == [4, 6] and read.tolist() == before[0].tolist()
        assert (a.value.tolist(), b.value.tolist()) == (before[1].tolist(), before[0].tolist())


def test_a_cycle_of_three_with_work(backend):
    a, b, c = (gc.variable(np.full(5, float(i)), name="abc"[i]) for i in range(3))
    f = gc.function([], None, updates=[(a, b + 1.0), (b, c), (c, a * 2.0)], backend=backend)
    values = [0.0, 1.0, 2.0]
    for _ in range(4):
        assert f() is None
        values = [values[1] + 1, values[2], values[0] * 2]
        assert [v.value[0] for v in (a, b, c)] == values


def test_updates_of_every_origin(backend):
    x = gc.placeholder((2,), "float64", name="x")
    w, same, twice, shifted, fixed, alone, matrix = (gc.variable([1.0, 2.0], name=n) for n in "wstcfam")
    y = gc.exp(x)
    f = gc.function(
        [x], y,
        updates={
            w: x, same: y, twice: y, shifted: shifted[::-1], fixed: [7, 8], alone: alone, matrix: np.float32([5, 6])
        },
        backend=backend,
    )  # fmt: skip
    fed = np.array([0.0, 1.0])
    f(fed)
    fed[:] = 9
    assert w.value.tolist() == [0, 1]
    np.testing.assert_allclose(same.value, np.exp([0.0, 1.0]), rtol=1e-15)
    assert same.value.tolist() == twice.value.tolist() and not np.shares_memory(same.storage, twice.storage)
    assert shifted.value.tolist() == [2, 1] and fixed.value.tolist() == [7, 8] and matrix.value.tolist() == [5, 6]
    f([0.0, 0.0])
    assert shifted.value.tolist() == [1, 2] and alone.value.tolist() == [1, 2] and w.value.tolist() == [0, 0]


def test_an_update_in_place_of_what_is_read_shifted(backend):
    w = gc.variable(np.arange(1000.0), name="w")
    f = gc.function([], gc.sum(w), updates={w: gc.concat([w[1:], w[:1]]) + w[0] * 0.0}, backend=backend)
    assert f() == f() == 499500
    assert w.value[:3].tolist() == [2, 3, 4]


def test_matmul_updates_its_own_operand(backend):
    w = gc.variable(np.array([[0.0, 1.0], [1.0, 1.0]]), name="w")
    f = gc.function([], None, updates={w: w @ w}, backend=backend)
    f(), f()
    assert w.value.tolist() == [[2, 3], [3, 5]]


def test_an_update_from_a_symbolic_size_must_fit_at_the_call(backend):
    x, w = gc.placeholder(("n",), "float64", name="x"), gc.variable(np.zeros(3), name="w")
    f = gc.function([x], None, updates={w: x}, backend=backend)
    f([1, 2, 3])
    with pytest.raises(ShapeError, match=r"needs .*n = 1 is axis 0 of x"):
        f([1])
    assert w.value.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda w, x: {w: w.astype("float64")}, DTypeError, r"update of 'w' is f64\[2\], the variable f32\[2\]"),
        (lambda w, x: {w: x}, ShapeError, r"update of 'w' is f32\[3\], the variable f32\[2\]"),
        (lambda w, x: {w: 0.5}, ShapeError, r"is f32\[\], the variable"),
        (lambda w, x: {w: np.zeros(2, complex)}, DTypeError, "update of 'w': float32 cannot take .* complex128"),
        (lambda w, x: [(w, w + 1), (w, w)], GraphError, "'w' is updated twice"),
        (lambda w, x: {x: x}, ArgumentError, "only variables can be updated"),
        (lambda w, x: [w], ArgumentError, "updates must be a dict with tensors for keys"),
        (lambda w, x: 5, ArgumentError, "updates must be a dict"),
        (lambda w, x: {w: gc.placeholder((2,), name="loose")}, GraphError, "'loose'"),
    ],
)
def test_wrong_updates(make, error, words):
    w, x = gc.variable(np.zeros(2, "f4"), name="w"), gc.placeholder((3,), "float32", name="x")
    with pytest.raises(error, match=words):
        gc.function([x], None, updates=make(w, x))


def test_python_numbers_do_not_lose_values_in_updates():
    n = gc.variable(np.zeros(2, "i1"), name="n")
    for wrong in ([0.5, 1.0], [300, 0], np.zeros(2)):
        with pytest.raises(DTypeError, match="update of 'n': int8 cannot"):
            gc.function([], None, updates={n: wrong})


# givens and feeding


def test_givens(backend):
    x, scale = rows(), gc.placeholder((), "float32", name="scale")
    y = x * scale
    assert gc.function([x], y, givens={scale: 2.0}, backend=backend)(ROWS).tolist() == (ROWS * 2).tolist()
    w = gc.variable(np.float32(3), name="w")
    f = gc.function([x], gc.sum(y), givens=[(scale, w)], updates={w: w + 1}, backend=backend)
    assert [f(ROWS), f(ROWS)] == [63, 84]
    hidden = gc.exp(y)
    assert gc.function([x], hidden + 1, givens={hidden: x}, backend=backend)(ROWS).tolist() == (ROWS + 1).tolist()


def test_a_given_brings_its_sizes(backend):
    x = rows()
    outputs = [gc.mean(x, axis=0), x[:1], gc.zeros((x.shape[0],)), gc.softmax(x, axis=0)]
    found = gc.function([], outputs, givens={x: ROWS}, backend=backend)()
    assert found[0].tolist() == [2.5, 3.5, 4.5] and found[1].shape == (1, 3) and found[2].shape == (2,)
    data = gc.variable(np.arange(30, dtype="f4").reshape(10, 3), name="data")
    start = gc.placeholder((), "int64", name="start")
    batch = gc.take(data, gc.arange(4) + start, axis=0)
    f = gc.function([start], gc.mean(x), givens={x: batch}, backend=backend)
    assert f(0) == 5.5 and f(6) == 23.5
    both = gc.function([rows("y")], [gc.mean(x)], givens={x: ROWS}, backend=backend)  # here y brings n
    assert both(ROWS)[0] == 3.5


@pytest.mark.parametrize(
    "inputs, givens, error, words",
    [
        ("x", lambda x, y: {x: ROWS}, GraphError, "'x' is both an input and a given"),
        ("xx", lambda x, y: {}, GraphError, "input 'x' is listed twice"),
        ("yy", lambda x, y: {}, GraphError, "is listed twice"),
        ("", lambda x, y: {}, GraphError, "placeholder 'x'"),
        ("x", lambda x, y: {y: np.zeros(3, complex)}, DTypeError, "given for a multiply: float32 cannot take"),
        ("x", lambda x, y: {y: gc.constant(1.0)}, DTypeError, r"is f64\[\], the tensor f32"),
        ("x", lambda x, y: {"x": 1}, ArgumentError, "givens must be a dict with tensors for keys"),
    ],
)
def test_wrong_inputs_and_givens(inputs, givens, error, words):
    x = rows()
    y = x * 2
    with pytest.raises(error, match=words):
        gc.function([{"x": x, "y": y}[c] for c in inputs], y + 1, givens=givens(x, y))


def test_any_tensor_may_be_fed(backend):
    x, w = rows(), gc.variable(np.ones(3, "f4"), name="w")
    hidden = x * w
    both = gc.concat([hidden, hidden])
    assert gc.function([hidden], gc.sum(hidden) * 2, backend=backend)(ROWS) == 42
    assert gc.function([x, w], hidden, backend=backend)(ROWS, [1, 0, 2])[1].tolist() == [4, 0, 12]
    assert gc.function([both], gc.sum(both, axis=0), backend=backend)(ROWS).tolist() == [5, 7, 9]
    f = gc.function([w], [w + 1], updates={w: w * 2}, backend=backend)
    assert f([5, 6, 7])[0].tolist() == [6, 7, 8] and w.value.tolist() == [10, 12, 14]


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda x: gc.function(x, x), "inputs must be a list of tensors"),
        (lambda x: gc.function([ROWS], x), "inputs must be a list of tensors"),
        (lambda x: gc.function([x], [x, 3]), "an output must be a tensor"),
        (lambda x: gc.function([x], x, backend="cuda"), "there is no backend 'cuda'"),
        (lambda x: gc.function([x], x, skip="fuze"), "no pass 'fuze'"),
    ],
)
def test_wrong_arguments(call, words):
    with pytest.raises(ArgumentError, match=words):
        call(rows())


# gradients


def test_products_and_matrices_of_derivatives(backend):
    x, v = gc.placeholder((3,), "float64", name="x"), gc.placeholder((3,), "float64", name="v")
    y = gc.sin(x) * x[0]
    loss = gc.sum(x**3) * x[1]
    at, along = np.array([0.5, -1.0, 2.0]), np.array([1.0, 0.0, -2.0])
    outputs = {"jvp": gc.jvp(y, x, v), "vjp": gc.vjp(y, x, v)}
    outputs |= {"jacobian": gc.jacobian(y, x), "hessian": gc.hessian(loss, x)}
    found = gc.function([x, v], outputs, backend=backend)(at, along)
    jacobian = np.diag(np.cos(at) * at[0])
    jacobian[:, 0] += np.sin(at)
    hessian = np.diag(6 * at * at[1])
    hessian[1] += 3 * at**2
    hessian[:, 1] += 3 * at**2
    np.testing.assert_allclose(found["jacobian"], jacobian, rtol=1e-13)
    np.testing.assert_allclose(found["jvp"], jacobian @ along, rtol=1e-13)
    np.testing.assert_allclose(found["vjp"], along @ jacobian, rtol=1e-13)
    np.testing.assert_allclose(found["hessian"], hessian, rtol=1e-13)


# inspection


def test_dumps_and_differences(backend):
    x = rows()
    f = gc.function([x], gc.exp(x * 1.0) + 0.5, backend=backend, name="shown")
    assert f.dump() == f.dump("input") == str(f.graph) and f.dump("final") == str(f.optimized)
    assert f.dump().startswith("graph @shown(%x: f32[n,3]) {") and "test_function.py" in f.dump()
    assert "#" not in f.dump("cse", locations=False)
    difference = f.dump(diff=("input", "simplify"), locations=False)
    assert difference.startswith("--- input\n+++ simplify") and "\n-  %1 = multiply" in difference
    assert f.dump(diff=("fuse", "fuse")) == ""
    with pytest.raises(ArgumentError, match="no stage 'fues'") as caught:
        f.dump("fues")
    assert caught.value.hint == "did you mean 'fuse'?"
    with pytest.raises(ArgumentError, match="diff takes the names of two stages"):
        f.dump(diff=("fuse",))
    with pytest.raises(ArgumentError, match="no stage 'x'"):
        f.dump(diff=("fuse", "x"))


def test_why(backend):
    x = rows()
    y = gc.exp(x + 1)
    z = gc.tanh(y) @ gc.constant(np.ones((3, 3), "f4"))
    f = gc.function([x], z, backend=backend)
    assert "are fused" in f.why(y, f.graph.outputs[0].inputs[0])
    assert "are not fused" in f.why(y, z)
    with pytest.raises(ArgumentError, match="there is no tensor %nothing"):
        f.why("nothing", "x")
    with pytest.raises(ArgumentError, match="'fuse' was left out"):
        gc.function([x], z, backend=backend, skip="fuse").why("x", "x")


def test_repr_and_artifacts(backend):
    x = rows()
    f = gc.function([x, gc.placeholder((), "int8")], [gc.sum(x), x], backend=backend, name="g")
    assert repr(f) == f"<Function g(x: f32[n,3], 1: i8[]) -> f32[], f32[n,3], backend {backend!r}>"
    assert f.name == "g" and f.artifacts["plan"]
    assert ("llvm" in f.artifacts) == ("asm" in f.artifacts) == (backend == "llvm")
    if backend == "llvm":
        assert "define" in f.artifacts["llvm"] and f.artifacts["asm"]


def test_the_structure_of_the_outputs():
    x = gc.placeholder((), "float64", name="x")
    y = x + 1.0
    f = gc.function([x], {"y": y, "more": (x, [y])}, backend="numpy")
    assert f.structure["y"] is f.graph.outputs[0] and f.structure["more"][1][0] is f.graph.outputs[2]
    assert isinstance(gc.function([x], y, backend="numpy").structure, gc.Tensor)


def test_the_text_of_a_graph():
    x = gc.placeholder((), "float64", name="x")
    graph = gc.function([x], x + 1.0, backend="numpy").graph
    assert graph.text() == str(graph) and "#" in str(graph) and "#" not in graph.text(locations=False)
