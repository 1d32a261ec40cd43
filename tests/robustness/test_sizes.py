"""One compile serves every size: symbolic dims are run-time arguments."""

import numpy as np
import pytest

import graphc as gc

SIZES = [0, 1, *range(2, 42), 63, 64, 65, 127, 128, 129, 257, 500]


def network(backend):
    """A layer with its loss and a step of gradient descent."""
    rng = np.random.default_rng(0)
    x = gc.placeholder((None, 5), "float64", name="x")
    t = gc.placeholder((None,), "int64", name="t")
    w = gc.variable(rng.standard_normal((5, 3)), name="w")
    logits = gc.tanh(x) @ w
    loss = gc.sum(gc.cross_entropy(logits, t))
    (dw,) = gc.grad(loss, [w])
    columns = [gc.cumsum(x, axis=0), gc.sort(x, axis=0), gc.sum(x, axis=0)]
    outputs = [loss, dw, gc.argmax(logits, axis=1), x[::-2], *columns]
    return gc.function([x, t], outputs, updates={w: w - 1e-3 * dw}, backend=backend), w


def test_fifty_batch_sizes_in_one_compile():
    assert len(SIZES) == 50
    (native, native_w), (meant, meant_w) = network("llvm"), network("numpy")
    rng = np.random.default_rng(1)
    for size in [*SIZES, *SIZES[::-7]]:
        x, t = rng.standard_normal((size, 5)), rng.integers(0, 3, size)
        for found, want in zip(native(x, t), meant(x, t)):
            assert found.shape == want.shape and found.dtype == want.dtype
            np.testing.assert_allclose(found, want, rtol=1e-11, atol=1e-12, err_msg=f"batch size {size}")
        np.testing.assert_allclose(native_w.value, meant_w.value, rtol=1e-11, atol=1e-12)
    assert native.compilations == meant.compilations == 1


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_two_sizes_at_once(backend):
    x, y = gc.placeholder(("n", "k"), name="x"), gc.placeholder(("k", "m"), name="y")
    f = gc.function([x, y], [x @ y, gc.sum(x, axis=1), gc.concat([x, gc.matrix_transpose(y)], axis=0)], backend=backend)
    rng = np.random.default_rng(2)
    for n in (0, 1, 3, 17, 40):
        for k in (0, 1, 4, 33):
            for m in (0, 1, 2, 19):
                a, b = rng.standard_normal((n, k), np.float32), rng.standard_normal((k, m), np.float32)
                product, total, joined = f(a, b)
                np.testing.assert_allclose(product, a @ b, rtol=1e-4, atol=1e-5)
                np.testing.assert_allclose(total, a.sum(1), rtol=1e-4, atol=1e-5)
                np.testing.assert_array_equal(joined, np.concatenate([a, b.T]))
    assert f.compilations == 1
