"""What the tests of training share: small real data, both backends, and names that begin anew."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris

import graphc as gc


@pytest.fixture(autouse=True)
def fresh_names():
    """Layers are named, and so drawn, as in a fresh process."""
    gc.nn.reset_names()


@pytest.fixture(params=["numpy", "llvm"])
def backend(request):
    return request.param


def standardised(x):
    return ((x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-9)).astype("float32")


@pytest.fixture(scope="session")
def cancer():
    """569 rows of 30 features, and labels 0 and 1; the number is no multiple of 32."""
    x, y = load_breast_cancer(return_X_y=True)
    return standardised(x), y


@pytest.fixture(scope="session")
def iris():
    """150 rows of 4 features, and 3 classes, in random order."""
    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    return standardised(x)[order], y[order]


@pytest.fixture(scope="session")
def digits():
    """600 images of 8 by 8, and 10 classes."""
    x, y = load_digits(return_X_y=True)
    return (x[:600] / 16).astype("float32"), y[:600]


@pytest.fixture
def classifier(backend):
    """classifier(...): a compiled net for the cancer data, drawn as in a fresh process."""

    def make(optimizer="adam", **options):
        gc.nn.reset_names()
        model = gc.Sequential([gc.nn.Dense(10, "relu"), gc.nn.Dense(1, "sigmoid")], name="net")
        model.compile(optimizer, loss="binary_crossentropy", backend=backend, **options)
        return model

    return make


@pytest.fixture
def same_bits():
    """same_bits(a, b): whether two models have the same weights to the bit."""

    def compare(first, second):
        one, other = first.get_weights(), second.get_weights()
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name, strict=True)

    return compare
