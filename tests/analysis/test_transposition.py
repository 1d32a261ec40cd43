"""Permutations that are transpositions of matrices, and which of them stay outside loops."""

import itertools

import numpy as np
import pytest

import graphc as gc
from graphc.analysis.transposition import as_matrices, is_large_transposition


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (2, 1, 3, 4), (1, 5, 2, 3), (2, 3, 2, 2)])
def test_matrices_are_what_the_permutation_moves(shape):
    x = np.arange(np.prod(shape))
    for axes in itertools.permutations(range(len(shape))):
        found = as_matrices(shape, axes)
        wanted = x.reshape(shape).transpose(axes).reshape(-1)
        if found is not None:
            np.testing.assert_array_equal(x.reshape(found).swapaxes(1, 2).reshape(-1), wanted)
    assert as_matrices(shape, range(len(shape))) is None


def transposed(shape, dtype="float32"):
    return gc.permute_dims(gc.placeholder(shape, dtype), (0, 2, 1))


def test_what_counts_as_large():
    assert is_large_transposition(transposed(("n", 64, 64)))
    assert not is_large_transposition(transposed(("n", 4, 4096)))
    assert not is_large_transposition(transposed(("n", 16, 16)))
    assert not is_large_transposition(transposed(("n", 64, "m")))
    assert not is_large_transposition(transposed(("n", 64, 64), "uint8"))


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint32", "int16"])
@pytest.mark.parametrize("shape", [(3, 37, 41), (2, 64, 16), (1, 100, 9), (5, 3, 700), (0, 40, 50)])
def test_values(shape, dtype, backend):
    x = np.random.default_rng(0).integers(-9, 9, shape).astype(dtype)
    for sizes in (shape, ("n", "r", "c")):
        a = gc.placeholder(sizes, dtype)
        y = gc.permute_dims(a, (0, 2, 1))
        f = gc.function([a], [y, gc.multiply(y, 2)], backend=backend)
        np.testing.assert_array_equal(f(x)[0], x.transpose(0, 2, 1))
        np.testing.assert_array_equal(f(x)[1], 2 * x.transpose(0, 2, 1))


def test_a_large_transposition_runs_by_itself():
    x = gc.placeholder(("n", 64, 64))
    f = gc.function([x], gc.exp(gc.permute_dims(gc.exp(x), (0, 2, 1))))
    assert [t.op.name for t in f.optimized.tensors] == ["placeholder", "exp", "permute_dims", "exp"]
