"""Products, einsum, diagonals and LAPACK ops against NumPy; symbolic sizes; gradients; refusals."""

import functools

import numpy as np
import pytest
from running import check_gradient, run, same

import graphc as gc
from graphc.errors import ArgumentError, GradientError, LinearAlgebraError, ShapeError
from graphc.ir.close import close
from graphc.passes.gradient import grad

RNG = np.random.default_rng


def close_to(found, wanted, dtype=None):
    wanted = np.asarray(wanted)
    assert (found.dtype, found.shape) == (dtype or wanted.dtype, wanted.shape)
    tolerance = 1e-4 if found.dtype == np.float32 else 1e-10
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def samples(shapes, dtype="float64", seed=0):
    rng = RNG(seed)
    if dtype == "bool":
        return [rng.random(s) < 0.4 for s in shapes]
    if np.dtype(dtype).kind in "iu":
        return [rng.integers(0, 120, s).astype(dtype) for s in shapes]
    return [rng.standard_normal(s).astype(dtype) for s in shapes]


def placeholders(arrays):
    return [gc.placeholder(a.shape, a.dtype, name=f"x{i}") for i, a in enumerate(arrays)]


def both(function, numpys, arrays):
    """A function's values and NumPy's: exact for integers and bools."""
    xs = placeholders(arrays)
    found, wanted = run(function(*xs), dict(zip(xs, arrays))), np.asarray(numpys(*arrays))
    (same if wanted.dtype.kind in "iub" else close_to)(found, wanted)


# products -------------------------------------------------------------------------------------------------

MATMULS = [
    ((3,), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 1, 2, 3), (6, 3, 4)),
    ((1, 2, 3), (5, 3, 4)),
    ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((0, 3), (3, 4)),
    ((2, 0), (0, 4)),
    ((0,), (0,)),
    ((0, 2, 3), (3, 0)),
]


@pytest.mark.parametrize("shapes", MATMULS, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int8", "uint64", "bool"])
def test_matmul_is_numpys(shapes, dtype):
    both(gc.matmul, np.matmul, samples(shapes, dtype))


@pytest.mark.parametrize("shapes", MATMULS[:11], ids=str)
def test_matmul_gradient(shapes):
    check_gradient(gc.matmul, *samples(shapes))


def test_matmul_of_symbolic_sizes():
    x, y = (
        gc.placeholder(("b", "n", "k"), "float64", name="x"),
        gc.placeholder(("l", "m"), "float64", name="y"),
    )
    z = x @ y
    assert [str(c) for c in close("f", [x, y], [z]).constraints] == ["k == l"]
    for b, n, k, m in [(2, 3, 4, 5), (0, 3, 4, 5), (2, 0, 1, 1), (1, 2, 0, 3)]:
        a, c = samples([(b, n, k), (k, m)])
        close_to(run(z, {x: a, y: c}), a @ c)
        dx, dy = grad(gc.sum(z), [x, y])
        close_to(run(dx, {x: a, y: c}), np.ones((b, n, m)) @ c.T)
        close_to(run(dy, {x: a, y: c}), (a.swapaxes(1, 2) @ np.ones((b, n, m))).sum(0))


def test_matmul_promotes_and_refuses():
    both(gc.matmul, np.matmul, samples([(2, 3)], "int32") + samples([(3, 4)], "float32"))
    x = gc.placeholder((2, 3), name="x")
    with pytest.raises(ShapeError, match=r"matmul: inner dimensions differ: x is f32\[2,3\]"):
        x @ gc.zeros((4, 5), "float32")
    with pytest.raises(ShapeError, match="scalar"):
        gc.matmul(x, 2.0)
    with pytest.raises(ShapeError, match="batch"):
        gc.matmul(gc.zeros((2, 3, 4)), gc.zeros((5, 4, 3)))


@pytest.mark.parametrize("dtype", ["float64", "int16", "bool"])
def test_other_products_are_numpys(dtype):
    for a, b in MATMULS[:4] + [
        ((), (2, 3)),
        ((2, 3, 4), (4,)),
        ((2, 3, 4), (5, 4, 6)),
        ((2, 4), (5, 4, 6)),
        ((2,), ()),
    ]:
        both(gc.dot, np.dot, samples([a, b], dtype))
    for a, b in [((2, 3), (4,)), ((), (2,)), ((0,), (3,))]:
        both(gc.outer, np.outer, samples([a, b], dtype))
    for a, b in [((3,), (3,)), ((2, 3), (3,)), ((4, 1, 3), (5, 3)), ((2, 0), (0,))]:
        both(gc.vecdot, np.vecdot, samples([a, b], dtype))
    for a, b, axes in [
        ((2, 3), (3, 4), 1),
        ((2, 3, 4), (3, 4, 5), 2),
        ((2, 3), (4, 5), 0),
        ((2, 3, 4), (4, 3, 5), ((1, 2), (1, 0))),
        ((3, 2), (3, 4), (0, 0)),
        ((2, 3), (2, 3), 2),
        ((2, 0), (0, 4), 1),
        ((2, 3, 4), (5, 4), (-1, [-1])),
    ]:
        both(
            lambda x, y, axes=axes: gc.tensordot(x, y, axes),
            lambda x, y, axes=axes: np.tensordot(x, y, axes),
            samples([a, b], dtype),
        )


def test_products_refuse():
    x = gc.zeros((2, 3))
    for axes in [3, ((0, 1), (0,)), "a", ((5,), (0,)), 1]:
        with pytest.raises((ShapeError, ArgumentError)):
            gc.tensordot(x, gc.zeros((2, 4)), axes)
    with pytest.raises(ShapeError):
        gc.vecdot(x, gc.zeros(4))
    check_gradient(lambda x, y: gc.tensordot(x, y, ((0, 2), (1, 0))), *samples([(2, 3, 4), (4, 2, 5)]))
    check_gradient(lambda x, y: gc.vecdot(x, y, 0), *samples([(3, 2), (3, 1)]))


# diagonals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2, 3), (0, 3), (1, 1)], ids=str)
def test_diagonal_and_trace_are_numpys(shape):
    for dtype in ("float64", "int8", "bool"):
        (array,) = samples([shape], dtype)
        for offset in (-5, -1, 0, 1, 2):
            for axes in [(0, 1), (1, 0), (-1, 0)]:
                options = dict(zip(("offset", "axis1", "axis2"), (offset, *axes)))
                for ours, numpys in ((gc.diagonal, np.diagonal), (gc.trace, np.trace)):
                    both(functools.partial(ours, **options), functools.partial(numpys, **options), [array])
            s = gc.placeholder(tuple(f"d{i}" for i in range(len(shape))), dtype, name="s")
            same(run(gc.diagonal(s, offset), {s: array}), np.diagonal(array, offset))
    (array,) = samples([(3, 4)])
    check_gradient(lambda x: gc.diagonal(x, 1) * gc.trace(x), array)
    for wrong in [(0, 0, 0), (0, 0, 5), (1.5, 0, 1)]:
        with pytest.raises((ShapeError, ArgumentError)):
            gc.diagonal(gc.zeros((2, 2)), *wrong)


# einsum ---------------------------------------------------------------------------------------------------

EINSUMS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ij,kj->ki", (2, 3), (4, 3)),
    ("i,i->", (3,), (3,)),
    ("i,j->ij", (3,), (4,)),
    ("ij->ji", (2, 3)),
    ("ji", (2, 3)),
    ("ij->", (2, 3)),
    ("ij->j", (2, 3)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iij->ij", (3, 3, 2)),
    ("iii->", (3, 3, 3)),
    ("ijij->ij", (2, 3, 2, 3)),
    ("ijji->", (2, 3, 3, 2)),
    ("bij,bjk->bik", (5, 2, 3), (5, 3, 4)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("...ij,...jk->...ik", (2, 2, 3), (2, 3, 4)),
    ("...ij,...jk", (7, 1, 2, 3), (2, 3, 4)),
    ("...i->...", (2, 3)),
    ("i...->...", (2, 3, 4)),
    ("i...j->j...i", (2, 3, 4)),
    ("...,...->...", (2, 3), (3,)),
    ("...i,i->...", (4, 2, 3), (3,)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
    ("ij,jk,ki->", (2, 3), (3, 4), (4, 2)),
    ("a,b,c->cab", (2,), (3,), (4,)),
    ("ij,ij->ij", (2, 3), (2, 3)),
    ("ij,ij->i", (2, 3), (2, 3)),
    ("ijk,ikl,il->ij", (2, 3, 4), (2, 4, 5), (2, 5)),
    ("ij,j->i", (2, 1), (3,)),
    ("ij,ij->", (1, 3), (2, 3)),
    ("B a , a C -> C B", (2, 3), (3, 4)),
    ("ab,cd->", (2, 3), (4, 5)),
    (",i->i", (), (3,)),
    ("->", ()),
    ("ij,jk", (0, 3), (3, 2)),
    ("ij,jk", (2, 0), (0, 3)),
    ("ii,jj->ij", (2, 2), (3, 3)),
    ("i,i,i->i", (3,), (3,), (3,)),
    ("bA", (2, 3)),
    ("ij,ik,il->jkl", (2, 3), (2, 4), (2, 5)),
    ("...", (2, 3)),
    ("i...i", (2, 3, 2)),
    ("...a->a...", (2, 3, 4)),
]


@pytest.mark.parametrize("text,shapes", [(text, shapes) for text, *shapes in EINSUMS], ids=[e[0] for e in EINSUMS])
@pytest.mark.parametrize("dtype", ["float64", "int16", "bool"])
def test_einsum_is_numpys(text, shapes, dtype):
    both(lambda *xs: gc.einsum(text, *xs), lambda *xs: np.einsum(text, *xs), samples(shapes, dtype))


@pytest.mark.parametrize(
    "text,shapes",
    [(t, s) for t, *s in EINSUMS if t in ("ijij->ij", "...ij,...jk", "ij,jk,ki->", "ij,j->i", "ii,jj->ij")],
)
def test_einsum_gradients(text, shapes):
    check_gradient(lambda *xs: gc.einsum(text, *xs), *samples(shapes))


@pytest.mark.parametrize("text,shapes", [(text, shapes) for text, *shapes in EINSUMS], ids=[e[0] for e in EINSUMS])
def test_einsum_of_symbolic_sizes(text, shapes):
    if any(1 in s for s in shapes):
        pytest.skip("a symbolic size never broadcasts")
    xs = [
        gc.placeholder(tuple(f"x{i}_{j}" for j in range(len(s))), "float64", name=f"x{i}") for i, s in enumerate(shapes)
    ]
    arrays = samples(shapes)
    close_to(run([gc.einsum(text, *xs), *xs], dict(zip(xs, arrays)))[0], np.einsum(text, *arrays))


def test_einsum_by_numbers():
    a, b = samples([(2, 3), (3, 4)])
    x, y = placeholders([a, b])
    close_to(run(gc.einsum(x, [0, 1], y, [1, 2], [2, 0]), {x: a, y: b}), np.einsum(a, [0, 1], b, [1, 2], [2, 0]))
    close_to(run(gc.einsum(x, [0, 1], y, [1, 2]), {x: a, y: b}), a @ b)
    close_to(run(gc.einsum(x, [..., 0], [0, ...]), {x: a}), a.T)


def test_einsum_makes_one_product_of_a_plain_one():
    x, y = gc.placeholder(("n", 3), name="x"), gc.placeholder((3, 4), name="y")
    assert [t.op.name for t in close("f", [x, y], [gc.einsum("ij,jk->ik", x, y)]).tensors] == ["placeholder"] * 2 + [
        "matmul"
    ]


def test_einsum_contracts_the_cheap_pair_first():
    x, y, v = gc.placeholder((500, 500)), gc.placeholder((500, 500)), gc.placeholder((500,))
    y = gc.einsum("ij,jk,k->i", x, y, v)
    assert all(t.size <= 500 for t in close("f", [], []).with_roots([]).tensors) and y.inputs[0].op.name == "matmul"
    assert sorted(t.size for t in y.inputs[0].inputs) == [500, 250000]


@pytest.mark.parametrize(
    "text,shapes,error",
    [
        ("ij,jk->il", [(2, 3), (3, 4)], ArgumentError),
        ("ij->iij", [(2, 3)], ArgumentError),
        ("i1", [(2, 3)], ArgumentError),
        ("ij", [(2, 3), (3, 4)], ArgumentError),
        ("ij,jk", [(2, 3)], ArgumentError),
        ("ijk", [(2, 3)], ShapeError),
        ("i", [(2, 3)], ShapeError),
        ("ij,jk", [(2, 3), (4, 5)], ShapeError),
        ("ii", [(2, 3)], ShapeError),
        ("...ij->ij", [(2, 3, 4)], ArgumentError),
        ("i..j", [(2, 3)], ArgumentError),
        ("......", [(2, 3)], ArgumentError),
        ("ij->i->j", [(2, 3)], ArgumentError),
        ("i...j,...k->...k", [(2, 3)], ArgumentError),
    ],
)
def test_einsum_refuses(text, shapes, error):
    with pytest.raises(error, match="einsum"):
        gc.einsum(text, *(gc.zeros(s) for s in shapes))


# LAPACK ---------------------------------------------------------------------------------------------------


def item(function, index):
    """One result of a function that has several."""
    return lambda x: function(x)[index]


def positive(x):
    """A positive definite matrix that depends on every element of `x`."""
    return gc.matmul(x, gc.matrix_transpose(x)) + gc.eye(x.shape[-1])


def numpy_positive(a):
    return a @ a.swapaxes(-1, -2) + np.eye(a.shape[-1], dtype=a.dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32"])
@pytest.mark.parametrize("stack", [(), (2,), (0,), (2, 1)], ids=str)
def test_solving_is_numpys(stack, dtype):
    a = (samples([(*stack, 3, 3)], "float64")[0] * 10).astype(dtype) + np.eye(3, dtype=dtype) * 40
    for b in samples([(3,), (3, 2), (*stack, 3, 2)], dtype):
        both(gc.linalg.solve, np.linalg.solve, [a, b])
    both(gc.linalg.inv, np.linalg.inv, [a])
    both(gc.linalg.det, np.linalg.det, [a])
    for i in (0, 1):
        both(item(gc.linalg.slogdet, i), item(np.linalg.slogdet, i), [a])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4, 3), (3, 4), (0, 2, 2), (1, 1), (0, 3), (3, 0)], ids=str)
def test_factorizations_are_numpys(shape, dtype):
    (a,) = samples([shape], dtype)
    for i in (0, 1, 2):
        both(item(gc.linalg.svd, i), item(functools.partial(np.linalg.svd, full_matrices=False), i), [a])
    for i in (0, 1):
        both(item(gc.linalg.qr, i), item(np.linalg.qr, i), [a])
    both(gc.linalg.svdvals, lambda x: np.linalg.svd(x)[1], [a])
    if shape[-1] == shape[-2]:
        s = numpy_positive(a).astype(dtype)
        both(gc.linalg.cholesky, np.linalg.cholesky, [s])
        both(lambda x: gc.linalg.cholesky(x, upper=True), lambda x: np.linalg.cholesky(x).swapaxes(-1, -2), [s])
        for i in (0, 1):
            both(item(gc.linalg.eigh, i), item(np.linalg.eigh, i), [s])
        both(gc.linalg.eigvalsh, np.linalg.eigvalsh, [s])


GRADIENTS = {
    "solve": (gc.linalg.solve, [(3, 3), (3, 2)]),
    "solve vector": (gc.linalg.solve, [(2, 3, 3), (3,)]),
    "solve stacks": (gc.linalg.solve, [(3, 3), (2, 3, 1)]),
    "inv": (lambda x: gc.linalg.inv(positive(x)), [(2, 3, 3)]),
    "det": (gc.linalg.det, [(2, 3, 3)]),
    "slogdet": (lambda x: gc.linalg.slogdet(x)[1], [(2, 3, 3)]),
    "cholesky": (lambda x: gc.linalg.cholesky(positive(x)), [(2, 3, 3)]),
    "cholesky upper": (lambda x: gc.linalg.cholesky(positive(x), upper=True), [(3, 3)]),
    "qr square": (gc.linalg.qr, [(3, 3)]),
    "qr tall": (gc.linalg.qr, [(2, 4, 2)]),
    "qr wide": (gc.linalg.qr, [(2, 4)]),
    "qr q": (lambda x: gc.linalg.qr(x)[0], [(3, 2)]),
    "qr r": (lambda x: gc.linalg.qr(x)[1], [(3, 2)]),
    "eigh": (lambda x: gc.linalg.eigh(positive(x)), [(3, 3)]),
    "eigvalsh": (lambda x: gc.linalg.eigvalsh(positive(x)), [(2, 3, 3)]),
    "eigh vectors": (lambda x: gc.linalg.eigh(positive(x))[1], [(3, 3)]),
    "svd square": (gc.linalg.svd, [(3, 3)]),
    "svd tall": (gc.linalg.svd, [(2, 4, 2)]),
    "svd wide": (gc.linalg.svd, [(2, 4)]),
    "svd u": (lambda x: gc.linalg.svd(x)[0], [(4, 2)]),
    "svd vh": (lambda x: gc.linalg.svd(x)[2], [(2, 4)]),
    "svdvals": (gc.linalg.svdvals, [(3, 2)]),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_of_lapack_ops(name):
    function, shapes = GRADIENTS[name]
    arrays = samples(shapes, seed=3)
    check_gradient(function, *arrays, tolerance=2e-5)


def test_gradient_of_equal_eigenvalues_is_finite():
    x = gc.placeholder((3, 3), "float64", name="x")
    w, v = gc.linalg.eigh(x)
    (dx,) = grad(gc.sum(w * w) + gc.sum(v * 0.0), [x])
    close_to(run(dx, {x: np.eye(3)}), 2 * np.eye(3))


def test_qr_gradient_needs_to_know_its_form():
    x = gc.placeholder(("m", "n"), "float64", name="x")
    with pytest.raises(GradientError, match="more rows or more columns must be known"):
        grad(gc.sum(gc.linalg.qr(x)[1]), [x])


def test_refusals():
    for function in (gc.linalg.inv, gc.linalg.det, gc.linalg.cholesky, gc.linalg.eigh, gc.linalg.slogdet):
        with pytest.raises(ShapeError, match="square"):
            function(gc.zeros((2, 3)))
        with pytest.raises(ShapeError, match="fewer than 2 axes"):
            function(gc.zeros(3))
    with pytest.raises(ShapeError, match="rows"):
        gc.linalg.solve(gc.zeros((3, 3)), gc.zeros((2, 1)))
    with pytest.raises(ShapeError, match="full_matrices"):
        gc.linalg.svd(gc.zeros((2, 3)), full_matrices=True)
    x = gc.placeholder((2, 2), "float64", name="x")
    for y, text in [
        (gc.linalg.inv(x), "inv: singular matrix"),
        (gc.linalg.solve(x, x), "solve: singular matrix"),
        (gc.linalg.cholesky(x - 1), "cholesky: matrix is not positive definite"),
        (gc.linalg.svd(x * np.nan)[1], "svd: SVD did not converge"),
    ]:
        with pytest.raises(LinearAlgebraError, match=text):
            run(y, {x: np.zeros((2, 2))})
