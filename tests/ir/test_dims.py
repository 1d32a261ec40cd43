"""Sizes in canonical form have the values of the expressions they were written as."""

import random

import numpy as np
import pytest

import graphc as gc
from graphc.errors import ShapeError
from graphc.ir import dims
from graphc.ir.dims import evaluate, floordiv, substitute, symbol
from graphc.ir.size_text import parse_size

N, M, K = symbol("n"), symbol("m"), symbol("k")
SYMBOLS = {"n": N, "m": M, "k": K}
VALUES = [{"n": n, "m": m, "k": k} for n in (0, 1, 2, 5, 8) for m in (0, 1, 3, 7) for k in (0, 2, 9)]


def random_expression(rng, depth):
    """A size, and the Python function that computes it from the symbols' values."""
    if depth == 0:
        if rng.random() < 0.6:
            name = rng.choice(list(SYMBOLS))
            return SYMBOLS[name], lambda v: v[name]
        number = rng.randrange(-5, 6)
        return number, lambda v: number
    (a, f), (b, g) = random_expression(rng, depth - 1), random_expression(rng, rng.randrange(depth))
    divisor = rng.choice([-7, -3, -2, -1, 1, 2, 3, 4, 6])
    return rng.choice(
        [
            (a + b, lambda v: f(v) + g(v)),
            (a - b, lambda v: f(v) - g(v)),
            (a * b, lambda v: f(v) * g(v)),
            (a // divisor, lambda v: f(v) // divisor),
            (a % divisor, lambda v: f(v) % divisor),
            (floordiv(divisor, b + 9 * N + 1), lambda v: divided(divisor, g(v) + 9 * v["n"] + 1)),
            (dims.maximum(a, b), lambda v: max(f(v), g(v))),
            (dims.minimum(a, b), lambda v: min(f(v), g(v))),
        ]
    )


def divided(a, b):
    return a // b if b else 0  # what a size is where NumPy would have no answer


@pytest.mark.parametrize("seed", range(6))
def test_random_expressions(seed):
    rng = random.Random(seed)
    for _ in range(80):
        size, function = random_expression(rng, 4)
        text = str(size)
        assert parse_size(text) == size and str(parse_size(text)) == text, text
        assert isinstance(size, int) or set(dims.symbols_of(size)) <= set(SYMBOLS)
        assert isinstance(size, int) == (next(dims.symbols_of(size), None) is None), text
        for values in rng.sample(VALUES, 8):
            assert evaluate(size, values) == function(values), (text, values)
        partly = {"n": M * 2 + 1, "k": 3}
        values = {"m": 4}
        assert evaluate(substitute(size, partly), values) == function({"n": 9, "m": 4, "k": 3}), text


@pytest.mark.parametrize(
    "one, other",
    [
        (N + M, M + N),
        (N * M * 2, M * (N + N)),
        ((N + 1) * (N - 1), N * N - 1),
        (N - N, 0),
        (2 * (N + 1) - 2 * N, 2),
        ((4 * N + 6) // 2, 2 * N + 3),
        ((N * M) // N, M),
        ((N + 3) // 2 - 1, (N + 1) // 2),
        ((N - 3) // 2 + 2, (N + 1) // 2),
        (((N + 1) // 2 + 1) // 2, (N + 3) // 4),
        ((N // 2) // 3, N // 6),
        (dims.maximum(M, N), dims.maximum(N, M)),
        (dims.maximum(N, 0), N),
        (dims.minimum(N + 1, N), N),
        (-N + N * 1, 0),
        (N % 1, 0),
        (np.int64(3) + N, 3 + N),
        (N // np.int32(2), N // 2),
    ],
)
def test_equal_sizes_are_one(one, other):
    assert one == other and hash(one) == hash(other) and str(one) == str(other)


def test_different_sizes_differ():
    assert N != M and N + 1 != N and (N + 1) // 2 != N // 2 + 1 and N * M != N + M and N != "n"


def test_numbers_of_numpy_come_out_as_python_integers():
    assert all(type(c) is int for _, c in (N * np.int64(2) + np.int8(1)).terms)
    assert dims.never_negative(N // np.int64(2))


@pytest.mark.parametrize(
    "use", [lambda: N + 1.5, lambda: N - 1.5, lambda: 1.5 - N, lambda: N * 2.0, lambda: 1.5 // N, lambda: N // "a",
            lambda: N % None, lambda: 7.0 % N, lambda: bool(N), lambda: range(N), lambda: int(N), lambda: N < 3]
)  # fmt: skip
def test_sizes_are_whole_and_have_no_value(use):
    with pytest.raises(TypeError):
        use()


def test_sizes_and_tensors_meet_as_tensors():
    x = gc.placeholder(("n",), "uint8", name="x")
    for make, name in [
        (lambda: N + x, "add"), (lambda: N - x, "subtract"), (lambda: N * x, "multiply"),
        (lambda: N // x, "floor_divide"), (lambda: N % x, "remainder"), (lambda: x - N, "subtract"),
    ]:  # fmt: skip
        tensor = make()
        assert (tensor.op.name, tensor.dtype) == (name, np.uint8)
    for backend in ("numpy", "llvm"):
        result = gc.function([x], [N - x, x * N, N // (x + 1), N % (x + 1)], backend=backend)(np.array([1, 2, 3], "u1"))
        np.testing.assert_array_equal(result, [[2, 1, 0], [3, 6, 9], [1, 1, 0], [1, 0, 3]])


@pytest.mark.parametrize("name", ["", "2n", "n m", "n-1", "max", "min", "(n", "ñ"[0] + "!", "%n"])
def test_names_of_symbols(name):
    with pytest.raises(ValueError, match="is not a name for a dimension"):
        symbol(name)


def test_fresh_symbols_are_new_and_print_back():
    fresh = {dims.fresh_symbol("n") for _ in range(100)}
    assert len(fresh) == 100 and all(parse_size(str(size)) == size for size in fresh)


@pytest.mark.parametrize(
    "text",
    ["", " ", "+", "n+", "n n", "(n", "n)", "max(n)", "max(n,1,2)", "max n", "n//", "1.5", "n;m", "()", "--n", "n**2",
     "(" * 10**5, "(" * 10**5 + "n" + ")" * 10**5, "max(" * 5000 + "n" + ",1)" * 5000, "9" * 10**5,
     "9" * 900 + "*" + "9" * 900, "n*" + "9" * 900 + "*" + "9" * 900, "n" + "%3%5" * 30, "n" + "//m" * 1000,
     "*".join(f"(a{i}+b{i})" for i in range(40)), "+".join(f"n{i}" for i in range(5000)), "\x00", "n\n+", "²"],
)  # fmt: skip
def test_what_is_no_size(text):
    with pytest.raises(ValueError) as caught:
        parse_size(text)
    assert len(str(caught.value)) < 300


def test_whitespace_and_powers_of_nesting():
    assert parse_size(" n + 2 * m ") == N + 2 * M
    assert parse_size("(" * 30 + "n" + ")" * 30) == N


def test_sizes_do_not_grow_without_bound():
    size = N
    with pytest.raises(ShapeError, match="too large"):
        for _ in range(100):
            size = size * (size % (M + 1) + 1)


def test_slices_of_slices_stay_short():
    x = gc.placeholder(("n",), "float32", name="x")
    y = x
    for _ in range(40):
        y = y[::2]
    assert y.shape[0].depth == 2
    assert gc.function([x], y, backend="numpy")(np.ones(5, "f")).shape == (1,)


def test_evaluation_names_the_symbol_that_lacks_a_value():
    with pytest.raises(KeyError, match="m"):
        evaluate(N + M, {"n": 3})
    assert evaluate(N - N + 4, {}) == 4


def test_bare_symbols():
    assert dims.bare_symbol(N) == "n"
    assert [dims.bare_symbol(s) for s in (3, 2 * N, N + 1, N * M, N // 2)] == [None] * 5
    assert dims.product((2, N, 3)) == 6 * N and dims.product(()) == 1 and dims.product((0, N)) == 0
