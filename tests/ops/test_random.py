"""Random numbers: the published vectors of Threefry, the distributions, and what draws depend on."""

import numpy as np
import pytest
from running import run

import graphc as gc
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.ir.build import apply
from graphc.ir.opdef import OPS
from graphc.passes.gradient import grad

# Random123's kat_vectors, "threefry2x32 20": counter, key, result, each as two words.
KNOWN_ANSWERS = [
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


def joined(words):
    return np.uint64(words[0] | words[1] << 32)


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_threefry_known_answers(counter, key, answer):
    operands = [gc.constant(joined(key)), gc.constant(joined(counter))]
    assert run(apply(OPS["random_bits"], *operands)) == joined(answer)
    assert run(OPS["random_bits"].expand(*operands)) == joined(answer)


def test_expansion_is_the_same_function():
    rng = np.random.default_rng(0)
    key, counter = rng.integers(0, 2**64, (2, 1000), "uint64", endpoint=False)
    operands = [gc.constant(key), gc.constant(counter)]
    np.testing.assert_array_equal(
        run(apply(OPS["random_bits"], *operands)), run(OPS["random_bits"].expand(*operands))
    )


def test_each_bit_is_even():
    bits = run(
        apply(OPS["random_bits"], gc.constant(np.uint64(5)), gc.constant(np.arange(100_000, dtype="u8")))
    )
    share = np.unpackbits(bits.view("u1").reshape(-1, 8), axis=1).mean(0)
    assert np.abs(share - 0.5).max() < 0.01  # 6 standard deviations


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform(dtype):
    u = run(gc.random.uniform((200, 500), dtype=dtype, seed=1))
    assert u.dtype == dtype
    assert 0 <= u.min() < 1e-4 and 1 - 1e-4 < u.max() < 1
    counts = np.histogram(u, 100, (0, 1))[0]
    assert ((counts - 1000.0) ** 2 / 1000).sum() < 99 + 6 * np.sqrt(
        2 * 99
    )  # chi squared, 6 standard deviations
    assert abs(np.corrcoef(u.ravel()[:-1], u.ravel()[1:])[0, 1]) < 0.02


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("low", "high"), [(-3, 5), (1.0, 1.0000001), (1e30, 2e30), (2.0, 2.0), (-1e-40, 1e-40)]
)
def test_uniform_stays_below_high(dtype, low, high):
    u = run(gc.random.uniform((10_000,), low, high, dtype, seed=2))
    bottom, top = np.asarray([low, high], dtype)
    assert (u >= bottom).all()
    assert (u < top).all() or bottom == top == u[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal(dtype):
    z = run(gc.random.normal((300, 1000), dtype=dtype, seed=3)).astype("f8")
    n = z.size
    assert abs(z.mean()) < 6 / np.sqrt(n)
    assert abs(z.var() - 1) < 6 * np.sqrt(2 / n)
    assert abs((z**3).mean()) < 6 * np.sqrt(15 / n)
    assert abs((z**4).mean() - 3) < 6 * np.sqrt(96 / n)
    assert abs((z < 1).mean() - 0.8413447) < 0.004
    assert abs(np.corrcoef(z.ravel()[:-1], z.ravel()[1:])[0, 1]) < 6 / np.sqrt(n)
    shifted = run(gc.random.normal((300, 1000), 2.0, [[0.5]], dtype, seed=3))
    assert shifted.dtype == dtype
    np.testing.assert_allclose(shifted, 2 + 0.5 * z, rtol=1e-5, atol=1e-5)


def test_bernoulli():
    p = np.array([[0.0], [0.1], [0.5], [1.0]])
    found = run(gc.random.bernoulli((4, 100_000), p, seed=4))
    assert found.dtype == bool
    share = found.mean(1)
    assert share[0] == 0 and share[3] == 1
    assert abs(share[1] - 0.1) < 0.006 and abs(share[2] - 0.5) < 0.01


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_permutation(n):
    found = run(gc.random.permutation(n, seed=5))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(np.sort(found), np.arange(n))
    assert n < 100 or (found != np.arange(n)).mean() > 0.9


def test_permutations_of_three_are_equally_frequent():
    perms = np.array([run(gc.random.permutation(3, seed=s)) for s in range(1200)])
    counts = np.unique(perms @ [9, 3, 1], return_counts=True)[1]
    assert len(counts) == 6 and ((counts - 200.0) ** 2 / 200).sum() < 30


def test_what_a_draw_depends_on():
    def draw(**keywords):
        return run(gc.random.uniform((50,), **keywords))

    np.testing.assert_array_equal(draw(seed=1), draw(seed=1))
    for other in (draw(seed=2), draw(seed=1, stream=1), draw(seed=-1)):
        assert not np.isin(draw(seed=1), other).any()
    np.testing.assert_array_equal(draw(seed=-1), draw(seed=2**64 - 1))
    np.testing.assert_array_equal(run(gc.random.uniform((5, 10), seed=1)).ravel(), draw(seed=1))
    np.testing.assert_array_equal(run(gc.random.uniform((7,), seed=1)), draw(seed=1)[:7])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "uint64"])
def test_a_tensor_as_seed_draws_as_its_value(dtype):
    seed = gc.placeholder((), dtype, name="seed")
    drawn = gc.random.normal((4,), seed=seed, stream=3)
    for value in (0, 7, 200):
        value = int(np.asarray(value).astype(dtype))
        np.testing.assert_array_equal(
            run(drawn, {seed: value}), run(gc.random.normal((4,), seed=value, stream=3))
        )


def test_symbolic_shape():
    x = gc.placeholder(("batch", 2), "float32", name="x")
    noisy = x + gc.random.uniform(x.shape, seed=1)
    wanted = run(gc.random.uniform((3, 2), seed=1))
    np.testing.assert_array_equal(run(noisy, {x: np.zeros((3, 2))}), wanted)
    assert run(noisy, {x: np.zeros((0, 2))}).shape == (0, 2)


def test_gradient_flows_through_the_parameters():
    m, s = (gc.placeholder((), "float64", name=n) for n in "ms")
    dm, ds = grad(gc.sum(gc.random.normal((5,), m, s, "float64", seed=1)), [m, s])
    z = run(gc.random.normal((5,), dtype="float64", seed=1))
    assert run(dm, {m: 0, s: 1}) == 5
    np.testing.assert_allclose(run(ds, {m: 0, s: 1}), z.sum())


def test_refusals():
    with pytest.raises(
        ArgumentError, match="uniform: seed must be a whole number or an integer tensor, not 1"
    ):
        gc.random.uniform((2,), seed=1.5)
    with pytest.raises(DTypeError, match=r"normal: the seed 's' must be an integer, not float32"):
        gc.random.normal((2,), seed=gc.placeholder((), "float32", name="s"))
    with pytest.raises(ShapeError, match=r"the seed 's' must be a scalar, not i64\[2\]"):
        gc.random.permutation(2, seed=gc.placeholder((2,), "int64", name="s"))
    with pytest.raises(DTypeError, match="uniform: dtype must be float32 or float64, not int32"):
        gc.random.uniform((2,), dtype="int32", seed=1)
    with pytest.raises(ArgumentError, match="bernoulli: stream must be a whole number"):
        gc.random.bernoulli((2,), seed=1, stream=-1)
    with pytest.raises(ShapeError, match="uniform: extent 0"):
        gc.random.uniform((-1,), seed=1)
    with pytest.raises(ArgumentError, match="uniform: low 5 is greater than high 3"):
        gc.random.uniform((2,), 5, 3, seed=1)
    with pytest.raises(TypeError):
        gc.random.uniform((2,))
