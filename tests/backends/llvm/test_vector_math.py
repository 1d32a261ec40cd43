"""Vector math against wider references, special values and NumPy's own test vectors, at every lane count."""

import ctypes
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from graphc.backends.llvm import vector_math
from graphc.backends.llvm.emitter import Builder, Module, register_type, vector
from graphc.backends.llvm.jit import compile_module
from graphc.backends.llvm.target import Target, host_target
from graphc.backends.llvm.vector_math import avx512, coefficients

mpmath = pytest.importorskip("mpmath")

WIDE = np.longdouble
DTYPES = ("f4", "f8")
#: Without 80-bit floats a reference for doubles is no better than what it judges.
HAS_WIDE = np.finfo(WIDE).nmant > 60

# function -> (reference in extended precision, allowed ULP)
UNARY = {
    "exp": (np.exp, 1.25), "exp2": (np.exp2, 1.25), "expm1": (np.expm1, 1.4),
    "log": (np.log, 1.0), "log2": (np.log2, 1.25), "log10": (np.log10, 1.0), "log1p": (np.log1p, 1.0),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 2.5),
    "softplus": (lambda x: np.logaddexp(WIDE(0), x), 2.0),
    "sin": (np.sin, 1.0), "cos": (np.cos, 1.0), "tan": (np.tan, 1.5),
    "asin": (np.arcsin, 1.5), "acos": (np.arccos, 1.5), "atan": (np.arctan, 1.5),
    "sinh": (np.sinh, 1.25), "cosh": (np.cosh, 1.25), "tanh": (np.tanh, 1.6),
    "asinh": (np.arcsinh, 1.4), "acosh": (np.arccosh, 1.25), "atanh": (np.arctanh, 1.25),
    "sqrt": (np.sqrt, 0.5), "rsqrt": (lambda x: 1 / np.sqrt(x), 1.5), "cbrt": (np.cbrt, 1.0),
}  # fmt: skip
BINARY = {
    "atan2": (np.arctan2, 1.5), "hypot": (np.hypot, 1.25), "pow": (np.power, 1.0),
    "fmod": (np.fmod, 0.0), "copysign": (np.copysign, 0.0),
}  # fmt: skip
EXACT = {
    "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round_half_even": np.rint,
    "signbit": np.signbit, "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite,
}  # fmt: skip

TARGETS = {
    "host": host_target(),
    "baseline": Target.of(host_target().triple, "x86-64"),
}
if not host_target().triple.startswith("x86_64"):
    del TARGETS["baseline"]


def lane_counts(dtype, target):
    """A scalar, one register, and the wide body."""
    return sorted({1, target.native_lanes(dtype), target.lanes(dtype)})


@cache
def kernel(name, dtype, lanes, count, target_name, opt=2):
    target = TARGETS[target_name]
    element = register_type(dtype)
    b = Builder("f", [*((f"x{i}", "ptr") for i in range(count)), ("y", "ptr"), ("n", "i64")], target=target)
    *sources, y, n = b.params
    with b.loop(0, n, lanes) as loop:
        values = [b.load(vector(element, lanes), b.gep(x, loop.index, element)) for x in sources]
        result = vector_math.FUNCTIONS[name](b, *values)
        if name in EXACT and EXACT[name] in (np.signbit, np.isnan, np.isinf, np.isfinite):
            b.store_dtype(result, b.offset(y, loop.index), "bool")
        else:
            b.store(result, b.gep(y, loop.index, element))
    module = Module()
    module.add(b)
    library = compile_module(module.text(), ["f"], opt=opt, target=target)
    return library.function("f", None, *[ctypes.c_void_p] * (count + 1), ctypes.c_int64)


def apply(name, *arrays, lanes, target="host", opt=2):
    dtype, size = arrays[0].dtype, arrays[0].size
    padded = [np.concatenate([x, np.ones(-size % lanes, dtype)]) for x in arrays]
    predicate = name in ("signbit", "isnan", "isinf", "isfinite")
    result = np.empty(padded[0].size, bool if predicate else dtype)
    function = kernel(name, dtype.str[1:], lanes, len(arrays), target, opt)
    function(*(x.ctypes.data for x in padded), result.ctypes.data, padded[0].size)
    return result[:size]


def special_values(dtype):
    info = np.finfo(dtype)
    positive = [
        *(0.0, info.smallest_subnormal, info.tiny / 3, info.tiny, info.eps / 4, info.eps, 0.5, 1.0, 2.0, 3.0),
        *(1 - info.eps / 2, 1 + info.eps, 7 / 16, 0.54, 0.5494, 0.625, 11 / 16, 0.75, np.pi / 4, np.pi / 2),
        *(np.pi, 17.0, 38.0, 87.4, 88.72, 88.73, 103.9, 104.5, 709.78, 709.79, 745.1, 746.0, 1e5, 2.0**20),
        *(2.0**20 + 1, 2.0**24 - 1, 2.0**24, 2.0**24 + 1, 2.0**28, 1e10, 1e22, 2.0 ** (info.maxexp // 2)),
        *(info.max, np.inf, np.nan),
    ]
    with np.errstate(over="ignore"):
        values = np.array(positive).astype(dtype)
    return np.concatenate([values, -values])


def sample(dtype, count, seed=0):
    """Special values, all magnitudes by random bits, and the ranges where functions bend."""
    rng = np.random.default_rng(seed)
    unsigned = f"u{np.dtype(dtype).itemsize}"
    bits = rng.integers(0, np.iinfo(unsigned).max, count, unsigned)
    top = 110 if dtype == "f4" else 760
    ranges = [(-1.2, 1.2), (0.5, 2.0), (-20.0, 20.0), (-top, top), (-3e5, 3e5)]
    uniform = [rng.uniform(low, high, count).astype(dtype) for low, high in ranges]
    return np.concatenate([special_values(dtype), bits.view(dtype), *uniform])


def ulps(got, reference):
    """Errors in units of the last place; infinite where the class or the sign of 0 is wrong."""
    dtype = got.dtype
    info = np.finfo(dtype)
    with np.errstate(over="ignore"):
        rounded = reference.astype(dtype)
    finite = np.isfinite(rounded)
    size = np.where(finite, np.clip(np.abs(rounded), info.tiny, info.max / 2), 1)
    unit = np.where(np.abs(rounded) > info.max / 2, 2, 1) * np.spacing(size).astype(WIDE)
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    wrong = np.where(finite, ~np.isfinite(got), ~same)
    wrong |= finite & (rounded == 0) & (reference == 0) & (np.signbit(got) != np.signbit(rounded))
    usable = finite & ~wrong
    error = np.abs(np.where(usable, got, 0).astype(WIDE) - np.where(usable, reference, 0)) / unit
    return np.where(wrong, np.inf, error)


def check(name, got, reference, allowed, *arguments):
    error = ulps(got, reference)
    worst = int(np.argmax(error))
    where = ", ".join(repr(x[worst]) for x in arguments)
    assert error[worst] <= allowed, (
        f"{name}({where}) = {got[worst]!r}, not {reference[worst]!r}: {error[worst]}"
    )


def require_reference(dtype):
    if dtype == "f8" and not HAS_WIDE:
        pytest.skip("no extended precision here to judge doubles by")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_accuracy(name, dtype):
    require_reference(dtype)
    reference, allowed = UNARY[name]
    x = sample(dtype, 30_000)
    with np.errstate(all="ignore"):
        expected = reference(x.astype(WIDE))
    results = [apply(name, x, lanes=lanes) for lanes in lane_counts(dtype, host_target())]
    check(name, results[0], expected, allowed, x)
    for result in results[1:]:
        assert np.array_equal(result, results[0], equal_nan=True), "lanes change the bits"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
@pytest.mark.skipif("baseline" not in TARGETS, reason="not an x86-64 machine")
def test_accuracy_without_fused_multiply_add(name, dtype):
    require_reference(dtype)
    reference, allowed = UNARY[name]
    x = sample(dtype, 5_000, seed=1)
    with np.errstate(all="ignore"):
        expected = reference(x.astype(WIDE))
    lanes = TARGETS["baseline"].lanes(dtype)
    check(name, apply(name, x, lanes=lanes, target="baseline"), expected, allowed + 0.25, x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BINARY)
def test_accuracy_of_two_operands(name, dtype):
    require_reference(dtype)
    reference, allowed = BINARY[name]
    special = special_values(dtype)
    x, y = (grid.ravel() for grid in np.meshgrid(special, special))
    rng = np.random.default_rng(0)
    first, second = sample(dtype, 5_000), sample(dtype, 5_000, seed=1)
    rng.shuffle(second)
    x = np.concatenate([x, first, np.abs(rng.normal(size=30_000)).astype(dtype)])
    y = np.concatenate([y, second, rng.uniform(-30, 30, 30_000).astype(dtype)])
    with np.errstate(all="ignore"):
        expected = reference(x.astype(WIDE), y.astype(WIDE))
    results = [apply(name, x, y, lanes=lanes) for lanes in lane_counts(dtype, host_target())]
    check(name, results[0], expected, allowed, x, y)
    for result in results[1:]:
        assert np.array_equal(result, results[0], equal_nan=True), "lanes change the bits"


@pytest.mark.parametrize("dtype", DTYPES)
def test_logaddexp(dtype):
    """Where the result is near 0, its terms cancel for every implementation: their size is the measure."""
    require_reference(dtype)
    special = special_values(dtype)
    x, y = (grid.ravel() for grid in np.meshgrid(special, special))
    rng = np.random.default_rng(0)
    x = np.concatenate([x, rng.uniform(-30, 30, 20_000).astype(dtype)])
    y = np.concatenate([y, rng.uniform(-30, 30, 20_000).astype(dtype)])
    with np.errstate(all="ignore"):
        expected = np.logaddexp(x.astype(WIDE), y.astype(WIDE))
        for lanes in lane_counts(dtype, host_target()):
            got = apply("logaddexp", x, y, lanes=lanes)
            rounded = expected.astype(dtype)
            finite = np.isfinite(rounded)
            assert np.array_equal(got[~finite], rounded[~finite], equal_nan=True)
            size = np.maximum(np.abs(rounded), np.maximum(np.abs(np.maximum(x, y)), np.finfo(dtype).tiny))[
                finite
            ]
            assert np.all(np.abs(got[finite] - expected[finite]) <= 4 * np.spacing(size))


@pytest.mark.parametrize("dtype", DTYPES)
def test_nextafter(dtype):
    special = special_values(dtype)
    x, y = (grid.ravel() for grid in np.meshgrid(special, special))
    with np.errstate(all="ignore"):
        expected = np.nextafter(x, y)
    for lanes in lane_counts(dtype, host_target()):
        got = apply("nextafter", x, y, lanes=lanes)
        assert np.array_equal(got, expected, equal_nan=True)
        assert np.array_equal(np.signbit(got[got == 0]), np.signbit(expected[expected == 0]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_exact_functions(name, dtype):
    x = np.concatenate([sample(dtype, 2_000), np.arange(-8, 8, 0.25).astype(dtype)])
    with np.errstate(all="ignore"):
        expected = EXACT[name](x)
    for target in TARGETS:
        for lanes in lane_counts(dtype, TARGETS[target]):
            got = apply(name, x, lanes=lanes, target=target)
            assert np.array_equal(got, expected, equal_nan=got.dtype != bool)
            if got.dtype != bool:
                number = ~np.isnan(x)
                assert np.array_equal(np.signbit(got[number]), np.signbit(expected[number]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["erf", "erfc"])
def test_error_functions(name, dtype):
    rng = np.random.default_rng(0)
    end = 10.2 if dtype == "f4" else 27.4
    tail = [rng.uniform(1, end, 3000), rng.uniform(end - 1, end, 1000)]  # the last of them are subnormal
    near = [rng.uniform(-6, 6, 3000), rng.uniform(0.6, 1.6, 3000), rng.normal(size=500) * 1e-4]
    x = np.concatenate([special_values(dtype), *near, *(tail if name == "erfc" else [])]).astype(dtype)
    function = getattr(mpmath, name)
    limits = {"erf": (-1, 1), "erfc": (2, 0)}[name]

    def reference(value):
        if np.isnan(value) or (value == 0 and name == "erf"):
            return WIDE(value)
        if abs(value) > 100:
            return WIDE(limits[int(value > 0)])
        with mpmath.workdps(30):
            return WIDE(mpmath.nstr(function(mpmath.mpf(float(value))), 25))

    expected = np.array([reference(value) for value in x], WIDE)
    for target in TARGETS:
        for lanes in lane_counts(dtype, TARGETS[target]):
            got = apply(name, x, lanes=lanes, target=target)
            check(name, got, expected, 1.25 if name == "erf" else 2.0, x)
    assert np.all(apply(name, np.zeros(4, dtype), lanes=1) == {"erf": 0, "erfc": 1}[name])


@pytest.mark.parametrize("dtype", DTYPES)
def test_powers_up_to_the_ends_of_the_range(dtype):
    """The larger the exponent of 2, the more an error of the logarithm counts."""
    require_reference(dtype)
    rng = np.random.default_rng(0)
    info = np.finfo(dtype)
    close_to_one = 1 + rng.uniform(-1, 1, 20_000) * 2.0 ** rng.uniform(-info.nmant, -1, 20_000)
    x = np.concatenate([np.exp(rng.uniform(-20, 20, 20_000)), rng.uniform(0.5, 2, 20_000), close_to_one])
    x = x.astype(dtype)
    x = x[x != 1]
    ends = rng.uniform(-1, 1, x.size) * (150 if dtype == "f4" else 1075)
    y = (ends / np.log2(x.astype(WIDE))).astype(dtype)
    with np.errstate(all="ignore"):
        expected = np.power(x.astype(WIDE), y.astype(WIDE))
    for target in TARGETS:
        got = apply("pow", x, y, lanes=TARGETS[target].lanes(dtype), target=target)
        check("pow", got, expected, 0.6 if dtype == "f4" else 1.0, x, y)


@pytest.mark.parametrize("dtype", DTYPES)
def test_powers_that_are_floats_are_exact(dtype):
    info = np.finfo(dtype)
    most = 2 ** (info.nmant + 1)
    pairs = [(base, exponent) for base in range(1, 300) for exponent in range(60) if base**exponent <= most]
    bases, exponents = (np.array(column, dtype) for column in zip(*pairs))
    expected = np.array([float(base**exponent) for base, exponent in pairs], dtype)
    whole = np.arange(info.minexp - info.nmant, info.maxexp).astype(dtype)  # of 2, subnormal ones too
    for target in TARGETS:
        lanes = TARGETS[target].lanes(dtype)
        assert np.array_equal(apply("pow", bases, exponents, lanes=lanes, target=target), expected)
        halves = apply("pow", bases / 2, exponents, lanes=lanes, target=target)
        assert np.array_equal(halves, np.ldexp(expected, -exponents.astype(int)))
        powers_of_two = apply("pow", np.full_like(whole, 2), whole, lanes=lanes, target=target)
        assert np.array_equal(powers_of_two, np.ldexp(np.ones_like(whole), whole.astype(int)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["pow", *UNARY, "erf", "erfc"])
def test_the_bits_do_not_depend_on_the_level_of_optimisation(name, dtype):
    """The first tier of a program is compiled quickly and the second well; a call must not show which ran."""
    arrays = [sample(dtype, 200, seed) for seed in range(1 + (name in BINARY))]
    lanes = host_target().lanes(dtype)
    first, *others = (apply(name, *arrays, lanes=lanes, opt=opt).tobytes() for opt in (2, 1, 0))
    assert all(other == first for other in others)


@pytest.mark.parametrize("name,arguments,expected", [
    ("sigmoid", [-np.inf, -88.8, 0.0, 1e38, np.inf], [0.0, 2.7205e-39, 0.5, 1.0, 1.0]),
    ("softplus", [-np.inf, -103.9, 0.0, 100.0, 1e38, np.inf], [0.0, 0.0, np.log(2), 100.0, 1e38, np.inf]),
    ("tanh", [-np.inf, -0.0, 1e-45, 30.0], [-1.0, -0.0, 1e-45, 1.0]),
    ("log", [-0.0, 0.0, -1.0, np.inf], [-np.inf, -np.inf, np.nan, np.inf]),
    ("rsqrt", [0.0, -0.0, np.inf, -1.0], [np.inf, -np.inf, 0.0, np.nan]),
])  # fmt: skip
def test_ends(name, arguments, expected):
    x = np.array(arguments, "f4")
    for lanes in lane_counts("f4", host_target()):
        got = apply(name, x, lanes=lanes)
        np.testing.assert_allclose(got, np.array(expected, "f4"), rtol=1e-4, atol=2e-45)
        assert np.array_equal(np.signbit(got[got == 0]), np.signbit(np.array(expected, "f4")[got == 0]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_huge_lane_does_not_disturb_its_neighbours(dtype):
    """The slow path of sine runs for one lane of a vector; every position of it is tried."""
    lanes = host_target().lanes(dtype)
    small = np.linspace(-3, 3, lanes).astype(dtype)
    expected = apply("sin", small, lanes=lanes)
    for position in range(lanes):
        x = small.copy()
        x[position] = 1e22
        got = apply("sin", x, lanes=lanes)
        assert abs(got[position] - np.sin(x[position].astype(WIDE))) < 1e-6
        keep = np.arange(lanes) != position
        assert np.array_equal(got[keep], expected[keep])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "log", "log1p", "tanh"])
def test_vectors_that_fill_no_register(name, dtype):
    """Instructions that there are for whole registers only take them as a part of one."""
    x = sample(dtype, 100)
    expected = apply(name, x, lanes=host_target().lanes(dtype))
    for lanes in (2, 4):
        assert np.array_equal(apply(name, x, lanes=lanes), expected, equal_nan=True)


@pytest.mark.skipif(host_target().vector_bits != 512, reason="no AVX-512 here")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "exp2", "log", "log2", "log10", "log1p", "sigmoid", "pow"])
def test_instructions_of_avx512_give_the_bits_of_those_that_they_stand_for(name, dtype, monkeypatch):
    arrays = [sample(dtype, 2_000, seed) for seed in range(1 + (name in BINARY))]
    lanes = host_target().lanes(dtype)
    expected = apply(name, *arrays, lanes=lanes)
    monkeypatch.setattr(avx512, "has", lambda b: False)
    kernel.cache_clear()
    try:
        assert np.array_equal(apply(name, *arrays, lanes=lanes), expected, equal_nan=True)
    finally:
        kernel.cache_clear()


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_nan_stays_nan(dtype):
    """Whatever the payload, which goes through integer arithmetic in places."""
    info = np.finfo(dtype)
    payloads = np.concatenate([2 ** np.arange(info.nmant - 1), np.arange(1, 4096, 97)]).astype(f"u{info.bits // 8}")
    quiet = np.array(np.nan, dtype).view(payloads.dtype) | payloads
    x = np.concatenate([quiet.view(dtype), -quiet.view(dtype)])
    for name in (*UNARY, "erf", "erfc"):
        assert np.all(np.isnan(apply(name, x, lanes=host_target().lanes(dtype)))), name
    for other in (-2.5, 3.0, np.inf):
        for arrays in ((x, np.full_like(x, other)), (np.full_like(x, other), x)):
            assert np.all(np.isnan(apply("pow", *arrays, lanes=host_target().lanes(dtype))))


def test_the_flags_of_the_kernel_around_do_not_matter():
    texts = []
    for flags in ("", "contract nsz", "fast"):
        b = Builder("f", [("x", "float")], "float")
        with b.flags(flags):
            b.ret(vector_math.log1p(b, b.params[0]))
        texts.append(b.text())
    assert texts[0] == texts[1] == texts[2]


# ---- NumPy's own vectors --------------------------------------------------------------------------------

_SAME_NAME = ("cbrt", "cos", "cosh", "exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "sin", "sinh")
NUMPY_NAMES = {name: name for name in (*_SAME_NAME, "tan", "tanh")}
NUMPY_NAMES |= {f"arc{name}": f"a{name}" for name in ("cos", "cosh", "sin", "sinh", "tan", "tanh")}


def numpy_vectors(name, dtype):
    """(input, correctly rounded output, allowed ULP) of each line of NumPy's set."""
    path = Path(np.__file__).parent / "_core/tests/data" / f"umath-validation-set-{name}.csv"
    if not path.exists():
        pytest.skip("this NumPy was installed without its test data")
    wanted = f"np.float{8 * np.dtype(dtype).itemsize}"
    rows = [line.strip().split(",") for line in path.read_text().splitlines() if line.startswith(wanted)]
    unsigned = f"u{np.dtype(dtype).itemsize}"
    values, outputs = (np.array([int(row[i], 16) for row in rows], unsigned).view(dtype) for i in (1, 2))
    return values, outputs, np.array([int(row[3]) for row in rows])


def steps_between(a, b):
    """How many floats lie between two of them."""
    integer = f"i{a.dtype.itemsize}"
    ordered = [
        np.where(v.view(integer) < 0, np.iinfo(integer).min - v.view(integer), v.view(integer))
        for v in (a, b)
    ]
    distance = np.abs(ordered[0] - ordered[1])
    return np.where(np.isnan(a) & np.isnan(b), 0, np.where(np.isnan(a) | np.isnan(b), 2**30, distance))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NUMPY_NAMES)
def test_the_vectors_of_numpy(name, dtype):
    x, expected, allowed = numpy_vectors(name, dtype)
    assert len(x) > 100
    for lanes in lane_counts(dtype, host_target()):
        steps = steps_between(apply(NUMPY_NAMES[name], x, lanes=lanes), expected)
        worst = int(np.argmax(steps - allowed))
        assert np.all(steps <= allowed), (
            f"{name}({x[worst]!r}): {steps[worst]} steps, {allowed[worst]} allowed"
        )


# ---- the coefficients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SIN", "ERFC", "ERFC_TAIL_TO_10", "POWER_LOG2", "ATAN"])
def test_the_coefficients_are_those_that_the_derivation_gives(name):
    from graphc.backends.llvm.vector_math import fit

    for precision, found in getattr(coefficients, name).items():
        terms = {"float": fit.FITS[name].float_terms, "double": fit.FITS[name].double_terms}[precision]
        assert fit.coefficients(fit.FITS[name], terms, precision)[0] == list(found)
