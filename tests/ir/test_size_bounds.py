"""What `never_negative`, `maximum` and `minimum` say about sizes is true for every value of the symbols."""

import random

import pytest

from graphc.ir import dims
from graphc.ir.dims import evaluate, maximum, minimum, never_negative, symbol
from graphc.ir.size_text import parse_size

N, M = symbol("n"), symbol("m")


def random_size(rng, depth):
    if depth == 0 or rng.random() < 0.2:
        return rng.choice([N, M, rng.randrange(-4, 5)])
    a, b = random_size(rng, depth - 1), random_size(rng, depth - 1)
    kind = rng.randrange(6)
    if kind == 0:
        return maximum(a, b)
    if kind == 1:
        return minimum(a, b)
    if kind == 2:
        return dims.floordiv(a, rng.choice([2, 3, 4]))
    if kind == 3:
        return a * rng.choice([-2, -1, 2, 3])
    return a + b if kind == 4 else a - b


def apart(rng, depth):
    """A random size, and the same as a Python function of n and m."""
    if depth == 0:
        constant = rng.randrange(-4, 5)
        return rng.choice([(N, lambda n, m: n), (M, lambda n, m: m), (constant, lambda n, m, c=constant: c)])
    (a, f), (b, g) = apart(rng, depth - 1), apart(rng, depth - 1)
    return rng.choice(
        [
            (maximum(a, b), lambda n, m: max(f(n, m), g(n, m))),
            (minimum(a, b), lambda n, m: min(f(n, m), g(n, m))),
            (maximum(a, 0), lambda n, m: max(f(n, m), 0)),
            (minimum(a, 3), lambda n, m: min(f(n, m), 3)),
            (dims.floordiv(a, 3), lambda n, m: f(n, m) // 3),
            (a + b, lambda n, m: f(n, m) + g(n, m)),
            (a - b, lambda n, m: f(n, m) - g(n, m)),
        ]
    )


VALUES = [(n, m) for n in (0, 1, 2, 3, 7) for m in (0, 1, 2, 5, 6)]


def test_what_is_said_never_to_be_negative_is_not():
    rng = random.Random(0)
    proved = 0
    for _ in range(4000):
        size = random_size(rng, 4)
        if never_negative(size):
            proved += 1
            assert all(evaluate(size, {"n": n, "m": m}) >= 0 for n, m in VALUES), size
    assert proved > 500


def test_simplified_sizes_have_the_same_value():
    rng = random.Random(1)
    for _ in range(2000):
        size, function = apart(rng, 4)
        for n, m in VALUES:
            assert evaluate(size, {"n": n, "m": m}) == function(n, m), size
        assert parse_size(str(size)) == size


@pytest.mark.parametrize(
    "text",
    [
        "n-min(n,3)", "min(n,3)", "max(n-3,0)", "n-max(n-3,0)", "n-2*(n//2)", "3*((n+2)//3)-n",
        "n*m+n-min(n,m)", "max(n-1,0)-max(n-2,0)", "n-max(3*((n+1)//3)-2,0)",
    ],
)  # fmt: skip
def test_bounds_that_slices_rely_on_are_seen(text):
    assert never_negative(parse_size(text))


def test_long_chains_of_slices_stay_short():
    size = N
    for _ in range(3000):
        size = maximum(size - 1, 0)
    assert str(size) == "max(n-3000,0)"
