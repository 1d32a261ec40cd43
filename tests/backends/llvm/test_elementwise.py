"""Every elementwise op, compiled, against its NumPy evaluation: pairs of special values, and random ones."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

import graphc.ops.arithmetic
import graphc.ops.bitwise
import graphc.ops.comparison
import graphc.ops.transcendental  # noqa: F401
from graphc.backends.llvm.elementwise import LOWERINGS, lower
from graphc.backends.llvm.emitter import Builder, Module, Value
from graphc.backends.llvm.jit import compile_module
from graphc.backends.llvm.loader import Library
from graphc.backends.llvm.target import Target, host_target
from graphc.errors import CodegenError, GraphcError
from graphc.ir.opdef import OPS, OpDef, Trait
from graphc.ir.types import ALL_DTYPES, BOOL, DTYPES, FLOATS, INTEGERS, TensorType

#: How many units in the last place the compiled op may be off the reference; ops that are not here are exact.
ULP = {
    "exp": 2, "exp2": 2, "expm1": 2, "log": 2, "log2": 2, "log10": 2, "log1p": 2,
    "sigmoid": 3, "softplus": 3, "logaddexp": 4, "rsqrt": 2, "cbrt": 3, "hypot": 2, "pow": 2,
    "sin": 2, "cos": 2, "tan": 4, "asin": 3, "acos": 3, "atan": 3, "atan2": 3,
    "sinh": 3, "cosh": 3, "tanh": 2, "asinh": 4, "acosh": 4, "atanh": 4, "erf": 2, "erfc": 2,
}  # fmt: skip
#: The larger operand and a logarithm may cancel here; the error is counted in the former's last places.
CANCELS = {"logaddexp"}
#: These move bits, so a NaN's sign too has to arrive.
MOVES = {"where", "stop_gradient", "abs", "negative", "copysign"}

#: Lengths are a multiple of this: of every lane count, and of NumPy's vectors (see casts.py on uint32).
BLOCK = 256


# ---- operands ----------------------------------------------------------------------------------------


def specials(dtype: np.dtype) -> np.ndarray:
    if dtype == BOOL:
        return np.array([False, True])
    if dtype.kind == "f":
        info = np.finfo(dtype)
        tiny = info.smallest_subnormal
        sizes = [
            0.0, tiny, 3 * tiny, info.smallest_normal, info.eps, 1e-3, 0.5, 1 - info.epsneg, 1.0,
            1 + info.eps, 1.5, 2.0, 2.5, 3.0, 7.3, 17.0, 88.7, 1e4, 1e7, 2.0**31, 2.0**53,
            1e30, info.max, np.inf, np.nan,
        ]  # fmt: skip
        values = np.array(sizes, dtype)
        return np.concatenate([values, -values])
    info = np.iinfo(dtype)
    bits = dtype.itemsize * 8
    values = {0, 1, 2, 3, 7, 10, bits - 1, bits, bits + 1, info.max // 2, info.max - 1, info.max}
    values |= {-v for v in values} | {info.min, info.min + 1}
    return np.array(sorted(v for v in values if info.min <= v <= info.max), dtype)


def around_limits(dtype: np.dtype) -> np.ndarray:
    """Floats next to every power of two where an integer dtype ends."""
    ends = np.array([s * 2.0**k for k in (7, 8, 15, 16, 31, 32, 63, 64) for s in (-1, 1)], dtype)
    neighbours = [np.nextafter(ends, dtype.type(t)) for t in (-np.inf, np.inf)]
    return np.concatenate([ends, *neighbours, *(ends + dtype.type(d) for d in (-1, -0.5, 0.5, 1))])


def randoms(dtype: np.dtype, count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 256, count * dtype.itemsize, np.uint8)
    if dtype == BOOL:
        return raw < 128
    values = raw.view(dtype)  # all bit patterns alike
    if dtype.kind == "f":
        values = np.where(rng.random(count) < 0.7, rng.normal(0, 3, count).astype(dtype), values)
    else:
        values = np.where(rng.random(count) < 0.5, values % dtype.type(11), values)
    return values


def operand_values(dtypes: Sequence[np.dtype]) -> list[np.ndarray]:
    """One array per operand: all combinations of special values, then random ones; whole blocks."""
    columns = [list(column) for column in zip(*itertools.product(*(specials(d) for d in dtypes)))]
    arrays = []
    count = len(columns[0])
    padding = -count % BLOCK + BLOCK
    for position, (dtype, column) in enumerate(zip(dtypes, columns)):
        arrays.append(np.concatenate([np.array(column, dtype), randoms(dtype, padding, 7 + position)]))
    if len(dtypes) == 1 and dtypes[0].kind == "f":
        extra = around_limits(dtypes[0])
        arrays[0][-len(extra) :] = extra
    return arrays


# ---- cases -------------------------------------------------------------------------------------------


def operand_dtypes(op: OpDef, dtype: np.dtype) -> list[np.dtype]:
    return [BOOL, dtype, dtype] if op.name == "where" else [dtype] * len(op.operands)


def cases_of(op: OpDef) -> Iterator[tuple[str, np.dtype, dict[str, Any], np.dtype]]:
    """(op, operand dtype, attributes, result dtype) for all that the type rule takes."""
    variants: list[dict[str, Any]] = [{"dtype": d} for d in ALL_DTYPES] if op.name == "cast" else [{}]
    for dtype, attrs in itertools.product(ALL_DTYPES, variants):
        try:
            result = op.infer(*(TensorType(d, (4,)) for d in operand_dtypes(op, dtype)), **attrs)
        except GraphcError:
            continue
        yield op.name, dtype, attrs, result.dtype  # type: ignore[union-attr]


ELEMENTWISE = [op for op in OPS.values() if op.has(Trait.ELEMENTWISE)]
CASES = [case for op in ELEMENTWISE if op.name in LOWERINGS for case in cases_of(op)]


def identifier(case: tuple[str, np.dtype, dict[str, Any], np.dtype]) -> str:
    name, dtype, attrs, _ = case
    return ".".join([name, dtype.name, *(value.name for value in attrs.values())])


# ---- compilation -------------------------------------------------------------------------------------


Body = Callable[[Builder, Sequence[Value]], Value]


def wide(dtype: np.dtype) -> int:
    """The lanes of a kernel over arrays of this dtype; more than one on any machine."""
    return max(2, host_target().lanes(dtype))


def kernel(
    name: str,
    dtypes: Sequence[np.dtype],
    result: np.dtype,
    lanes: int,
    body: Body,
    target: Target | None = None,
) -> Builder:
    """A loop over arrays whose length is a multiple of the lanes."""
    inputs = [(f"x{i}", "ptr") for i in range(len(dtypes))]
    b = Builder(name, [*inputs, ("out", "ptr"), ("n", "i64")], target=target)
    *pointers, out, n = b.params
    with b.loop(0, n, lanes) as loop:

        def address(pointer: Value, dtype: np.dtype) -> Value:
            return b.offset(pointer, b.mul(loop.index, dtype.itemsize))

        values = [b.load_dtype(d, address(p, d), lanes) for p, d in zip(pointers, dtypes)]
        b.store_dtype(body(b, values), address(out, result), result)
    return b


def run(library: Library, name: str, arrays: Sequence[np.ndarray], result: np.dtype) -> np.ndarray:
    out = np.empty(len(arrays[0]), result)
    arguments = [a.ctypes.data_as(ctypes.c_void_p) for a in (*arrays, out)]
    ctypes.CFUNCTYPE(None)(library.address(name))(*arguments, ctypes.c_int64(len(out)))
    return out


def compiled(functions: Sequence[Builder]) -> Library:
    module = Module()
    names = [module.add(function) for function in functions]
    return compile_module(module.text(), names)


def lowered(
    b: Builder,
    values: Sequence[Value],
    *,
    name: str,
    dtypes: Sequence[np.dtype],
    result: np.dtype,
    attrs: dict[str, Any],
) -> Value:
    return lower(b, name, values, dtypes, result, attrs)


@cache
def library_of(dtype: np.dtype) -> Library:
    """All cases on operands of one dtype, each for one lane and for many."""
    functions = []
    for case, lanes in itertools.product((c for c in CASES if c[1] == dtype), (1, wide(dtype))):
        name, _, attrs, result = case
        dtypes = operand_dtypes(OPS[name], dtype)
        body = partial(lowered, name=name, dtypes=dtypes, result=result, attrs=attrs)

        functions.append(kernel(f"{identifier(case)}.{lanes}", dtypes, result, lanes, body))
    return compiled(functions)


# ---- comparison --------------------------------------------------------------------------------------


def as_bits(array: np.ndarray) -> np.ndarray:
    return array.view(f"u{array.dtype.itemsize}")


def ulp_distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How many floats lie from x to y; both zeros are one place."""
    i, j = (np.where(k < 0, np.iinfo(k.dtype).min - k, k) for k in (a.view(f"i{a.itemsize}") for a in (x, y)))
    return as_bits(np.where(i > j, i - j, j - i))


def differences(found: np.ndarray, expected: np.ndarray, ulp: int, moves: bool) -> np.ndarray:
    """Where the values are not the same up to `ulp`; NaN, infinities and signs always have to agree."""
    if found.dtype.kind != "f":
        return found != expected
    if moves:
        return as_bits(found) != as_bits(expected)
    wrong = ulp_distance(found, expected) > ulp
    wrong |= np.isinf(found) != np.isinf(expected)
    wrong |= np.signbit(found) != np.signbit(expected)
    return np.where(np.isnan(expected), ~np.isnan(found), wrong)


def assert_same(
    found: np.ndarray,
    expected: np.ndarray,
    arrays: Sequence[np.ndarray],
    ulp: int = 0,
    moves: bool = False,
) -> None:
    assert expected.dtype == found.dtype
    bad = np.flatnonzero(differences(found, expected, ulp, moves))
    shown = [f"{tuple(a[k] for a in arrays)} -> {found[k]!r}, not {expected[k]!r}" for k in bad[:5]]
    assert not len(bad), f"{len(bad)} of {len(found)}: " + "; ".join(shown)


def expected_value(op: OpDef, arrays: Sequence[np.ndarray], attrs: dict[str, Any]) -> np.ndarray:
    """The op's evaluation; of an inexact op on float32 in float64, since NumPy's own is 2-4 ULP off."""
    with np.errstate(all="ignore"):
        if op.name in ULP and arrays[0].dtype == np.float32:
            return op.eval(*(a.astype(np.float64) for a in arrays), **attrs).astype(np.float32)
        return op.eval(*arrays, **attrs)


def forgive_cancellation(found: np.ndarray, expected: np.ndarray, term: np.ndarray, ulp: int) -> np.ndarray:
    """The expected values, or those found where these differ by at most `ulp` last places of the term."""
    with np.errstate(all="ignore"):
        close = np.abs(found - expected) <= ulp * np.spacing(np.abs(term))
    return np.where(close & np.isfinite(expected), found, expected)


# ---- tests -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.name)
def test_every_elementwise_op_has_instructions_for_every_dtype_that_it_takes(op):
    if op.name not in LOWERINGS:
        assert op.expand is not None
        return
    columns = LOWERINGS[op.name]
    for _, dtype, _, _ in cases_of(op):
        assert columns["biuf".index(dtype.kind)] is not None, dtype


def test_every_line_of_the_table_is_an_op():
    assert set(LOWERINGS) <= {op.name for op in ELEMENTWISE}
    assert set(ULP) | MOVES <= set(LOWERINGS)


@pytest.mark.parametrize("case", CASES, ids=identifier)
def test_op_is_its_evaluation(case):
    name, dtype, attrs, result = case
    op = OPS[name]
    arrays = operand_values(operand_dtypes(op, dtype))
    expected = expected_value(op, arrays, attrs)
    library = library_of(dtype)
    vectors = run(library, f"{identifier(case)}.{wide(dtype)}", arrays, result)
    scalars = run(library, f"{identifier(case)}.1", arrays, result)
    assert_same(scalars, vectors, arrays)
    if name in CANCELS:
        expected = forgive_cancellation(vectors, expected, np.maximum(*arrays), ULP[name])
    assert_same(vectors, expected, arrays, ULP.get(name, 0), name in MOVES)


@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "minimum"])
def test_booleans_add_and_multiply_as_in_numpy(name):
    def body(b, values):
        return lower(b, name, values, [BOOL, BOOL], BOOL, {})

    library = compiled([kernel("f", [BOOL, BOOL], BOOL, wide(BOOL), body)])
    arrays = operand_values([BOOL, BOOL])
    assert_same(run(library, "f", arrays, BOOL), getattr(np, name)(*arrays), arrays)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_a_product_and_a_sum_are_not_contracted(dtype):
    def body(b, values):
        x, y, z = values
        product = lower(b, "multiply", [x, y], [dtype] * 2, dtype, {})
        return lower(b, "subtract", [product, z], [dtype] * 2, dtype, {})

    library = compiled([kernel("f", [dtype] * 3, dtype, wide(dtype), body)])
    x, y = (randoms(dtype, BLOCK, seed) for seed in (1, 2))
    with np.errstate(all="ignore"):
        arrays = [x, y, x * y]
        assert_same(run(library, "f", arrays, dtype), x * y - arrays[2], arrays)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", ["fmod", "remainder", "floor_divide"])
def test_division_with_remainder_needs_no_fused_multiply_add(name, dtype):
    target = Target.of("x86_64-unknown-linux-gnu", "x86-64")
    assert not target.has_fma

    def body(b, values):
        return lower(b, name, values, [dtype] * 2, dtype, {})

    library = compiled([kernel("f", [dtype] * 2, dtype, 4, body, target)])
    arrays = operand_values([dtype] * 2)
    assert_same(run(library, "f", arrays, dtype), expected_value(OPS[name], arrays, {}), arrays)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("to", INTEGERS, ids=str)
def test_casts_saturate_on_other_machines(dtype, to):
    def body(b, values):
        return lower(b, "cast", values, [dtype], to, {"dtype": to})

    library = compiled([kernel("f", [dtype], to, 4, body, Target.of("aarch64-unknown-linux-gnu", "generic"))])
    arrays = operand_values([dtype])
    wide = DTYPES["i64"] if to == np.uint32 else to if to.itemsize >= 4 else DTYPES["i32"]
    info = np.iinfo(wide)
    with np.errstate(all="ignore"):
        whole = [0 if np.isnan(x) else max(info.min, min(info.max, x)) for x in arrays[0].tolist()]
    expected = np.array([int(x) for x in whole], wide).astype(to)
    assert_same(run(library, "f", arrays, to), expected, arrays)


def test_what_the_table_lacks_is_an_error():
    b = Builder("f", [("x", "i1"), ("y", "float")])
    with pytest.raises(CodegenError, match="no instructions for negative of bool"):
        lower(b, "negative", [b.params[0]], [BOOL], BOOL, {})
    with pytest.raises(CodegenError, match="no instructions for softmax"):
        lower(b, "softmax", [b.params[1]], [DTYPES["f32"]], DTYPES["f32"], {})
