"""What the tests of layers share: both backends, evaluation, derivatives by differences, and names that begin anew."""

import numpy as np
import pytest

import graphc as gc

BACKENDS = ("numpy", "llvm")


@pytest.fixture(autouse=True)
def fresh_names():
    gc.nn.reset_names()


@pytest.fixture
def evaluate():
    """evaluate(outputs, {placeholder: array}): the values by each backend, which must agree; the interpreter's."""

    def run(outputs, feeds, rtol=1e-12):
        results = []
        for backend in BACKENDS:
            f = gc.function(list(feeds), outputs, backend=backend)
            results.append(f(*feeds.values()))
        single = isinstance(outputs, gc.Tensor)
        for one, other in zip(*([r] if single else r for r in results)):
            np.testing.assert_allclose(other, one, rtol=rtol, atol=rtol)
        return results[0]

    return run


@pytest.fixture
def check_gradients():
    """Of a sum of `y` with random weights: gradients by variables and inputs against central differences."""

    def check(y, feeds, variables, seed=0, step=1e-6, rtol=1e-6):
        rng = np.random.default_rng(seed)
        f = gc.function(list(feeds), y, backend="numpy")
        weights = rng.normal(size=f(*feeds.values()).shape)
        loss = gc.sum(y * gc.constant(weights))
        inputs = [t for t in feeds if t.dtype == np.float64]
        wanted = [*variables, *inputs]
        gradients = {
            backend: gc.function(list(feeds), gc.grad(loss, wanted), backend=backend)(*feeds.values())
            for backend in BACKENDS
        }
        value = gc.function(list(feeds), loss, backend="numpy")
        for i, tensor in enumerate(wanted):
            np.testing.assert_allclose(gradients["llvm"][i], gradients["numpy"][i], rtol=1e-10, atol=1e-10)
            held = tensor.value if isinstance(tensor, gc.Variable) else feeds[tensor]
            direction = rng.normal(size=held.shape)
            ends = []
            for sign in (1, -1):
                moved = held + sign * step * direction
                if isinstance(tensor, gc.Variable):
                    tensor.assign(moved)
                    ends.append(value(*feeds.values()))
                    tensor.assign(held)
                else:
                    ends.append(value(*{**feeds, tensor: moved}.values()))
            difference = (ends[0] - ends[1]) / (2 * step)
            along = np.sum(gradients["numpy"][i] * direction)
            np.testing.assert_allclose(along, difference, rtol=rtol, atol=1e-7, err_msg=f"by {tensor.name}")

    return check


@pytest.fixture
def drawn():
    """drawn(shape): normal numbers from one stream."""
    rng = np.random.default_rng(7)
    return lambda *shape: rng.normal(size=shape)
