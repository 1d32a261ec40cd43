"""Types and promotion: dtypes by every spelling, and NumPy's result types for all pairs and Python scalars."""

import itertools

import numpy as np
import pytest

import graphc as gc
from graphc.errors import DTypeError
from graphc.ir.build import result_dtype
from graphc.ir.dims import symbol
from graphc.ir.types import ALL_DTYPES, DTYPES, SHORT_NAMES, TensorType, TupleType, as_dtype

NAMES = [dtype.name for dtype in ALL_DTYPES]


def test_every_dtype_has_one_short_name():
    assert {SHORT_NAMES[d]: d for d in ALL_DTYPES} == DTYPES and len(DTYPES) == 11


@pytest.mark.parametrize("short, dtype", DTYPES.items())
def test_spellings(short, dtype):
    orders = dtype.newbyteorder(">"), dtype.newbyteorder("<")
    for spelling in (short, dtype, dtype.name, dtype.type, dtype.char, *orders):
        assert as_dtype(spelling) is dtype or as_dtype(spelling) == dtype
        assert as_dtype(spelling).isnative


@pytest.mark.parametrize("python, name", [(bool, "bool"), (int, "int64"), (float, "float64")])
def test_python_types(python, name):
    assert as_dtype(python) == np.dtype(name)


@pytest.mark.parametrize("wrong", ["float16", "complex64", "U3", object, "M8[s]", np.longdouble, "f4,i4"])
def test_dtypes_without_arithmetic(wrong):
    if np.dtype(wrong) in SHORT_NAMES:
        pytest.skip("a long double is a double here")
    with pytest.raises(DTypeError, match="is not supported; supported are bool, int8"):
        as_dtype(wrong)


@pytest.mark.parametrize("wrong, hint", [("float23", "float32"), ("in32", "int32")])
def test_misspelt_dtypes(wrong, hint):
    with pytest.raises(DTypeError, match="is not a dtype") as caught:
        as_dtype(wrong)
    assert hint in caught.value.hint


def test_printing_and_parts():
    n = symbol("n")
    t = TensorType(DTYPES["f32"], (n, 3))
    assert (repr(t), t.rank, t.size) == ("f32[n,3]", 2, 3 * n)
    assert repr(TensorType(DTYPES["bool"], ())) == "bool[]" and TensorType(DTYPES["i8"], ()).size == 1
    assert t.with_shape((2,)) == TensorType(DTYPES["f32"], (2,)) and t.with_dtype(DTYPES["u8"]).shape == t.shape
    assert repr(TupleType((t, t))) == "(f32[n,3], f32[n,3])" and hash(TupleType((t,))) == hash(TupleType((t,)))


def of(name):
    return gc.placeholder((2,), name, name=f"x_{name}")


@pytest.mark.parametrize("a, b", list(itertools.product(NAMES, NAMES)))
def test_two_tensors_promote_as_in_numpy(a, b):
    assert result_dtype(of(a), of(b)) == np.result_type(np.dtype(a), np.dtype(b))
    if "bool" not in (a, b):
        assert (of(a) * of(b)).dtype == (np.zeros(2, a) * np.zeros(2, b)).dtype
        assert (of(a) * np.zeros(2, b)).dtype == (np.zeros(2, b) * of(a)).dtype == np.result_type(a, b)


SCALARS = [True, 0, 1, -1, 127, 128, 300, -129, 2**31, 2**40, -(2**40), 2**63, 2**64, 1.5, float("nan"), 1e300]


OPERATIONS = [
    (lambda x, s: x + s, np.add), (lambda x, s: s * x, np.multiply), (gc.maximum, np.maximum), (gc.less, np.less),
    (gc.equal, np.equal),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_python_scalars_are_weak(name):
    x, array = of(name), np.ones(2, name)
    outputs, expected = [], []
    with np.errstate(all="ignore"):
        for scalar in SCALARS:
            for ours, numpys in OPERATIONS:
                try:
                    value = numpys(array, scalar)
                except OverflowError:
                    with pytest.raises(DTypeError, match=f"the Python integer {scalar} is out of bounds for "):
                        ours(x, scalar)
                    continue
                if value.dtype in SHORT_NAMES:  # 2**64 with bool makes an array of Python objects in NumPy
                    outputs.append(ours(x, scalar))
                    expected.append(value)
    assert [t.dtype for t in outputs] == [value.dtype for value in expected] and len(outputs) > 30
    for found, value in zip(gc.function([x], outputs, backend="numpy")(array), expected):
        np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize("value", [np.int8(1), np.uint64(1), np.float32(1), np.float64(1), np.bool_(True)])
@pytest.mark.parametrize("name", NAMES)
def test_numpy_scalars_are_not_weak(name, value):
    assert result_dtype(of(name), value) == np.result_type(np.dtype(name), value.dtype)


def test_scalars_alone_promote_as_their_own_dtypes():
    assert result_dtype(1, 2.0) == np.float64 and result_dtype(True, 1) == np.int64 and result_dtype(True) == np.bool_


def test_sizes_are_weak():
    n = symbol("n")
    assert (of("int8") + n).dtype == np.int8 and (of("float32") * n).dtype == np.float32


@pytest.mark.parametrize("wrong", [1j, np.complex64(1), "a", None, object(), np.float16(1), np.array(["a"])])
def test_values_without_a_dtype_of_ours(wrong):
    with pytest.raises(DTypeError):
        of("float32") + wrong
