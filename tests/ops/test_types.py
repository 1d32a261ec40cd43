"""The declared type of every op is that of its value, and of every public function NumPy's."""

import itertools

import numpy as np
import pytest
from numpy_names import BINARY, UNARY
from samples import SAMPLES, Sample

import graphc as gc
from graphc.errors import DTypeError, GraphcError
from graphc.ir import dims
from graphc.ir.build import apply
from graphc.ir.close import close
from graphc.ir.evaluate import evaluate_tensor
from graphc.ir.graph import map_sizes
from graphc.ir.opdef import OPS
from graphc.ir.parse import parse
from graphc.ir.text import print_graph
from graphc.ir.types import ALL_DTYPES, TensorType, TupleType
from graphc.ir.verify import verify

DTYPES = [d.name for d in ALL_DTYPES]
SHAPES = [(), (0,), (1,), (3,), (2, 0), (2, 3), (1, 1, 3), (2, 1, 2, 3)]


def value_type(value):
    if isinstance(value, tuple):
        return TupleType(tuple(map(value_type, value)))
    assert type(value) is np.ndarray, type(value)
    return TensorType(value.dtype, value.shape)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.op)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_value_has_the_declared_type(sample: Sample):
    rng = np.random.default_rng(1)
    for each, dtypes in sample.runs():
        inputs, result = sample.build(each, dtypes)
        for special in (False, True):
            arrays = sample.arrays(each, dtypes, rng, special)
            copies = [a.copy() for a in arrays]
            value = evaluate_tensor(result, arrays, {})
            assert value_type(value) == result.type, (each, dtypes)
            for array, copy in zip(arrays, copies):
                np.testing.assert_array_equal(array, copy, err_msg=f"{sample.op} wrote to its operand")
        graph = close("g", inputs, [result])
        verify(graph)
        text = print_graph(graph, locations=False)
        assert print_graph(parse(text), locations=False) == text


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.op)
def test_symbolic_sizes_give_the_same_type(sample: Sample):
    for each in sample.cases:
        dtypes = sample.dtypes_of(sample.dtypes[0], len(each.shapes))
        if any(any(extent > 1 for extent in shape) for shape in each.shapes):
            symbols = {f"d{extent}": extent for shape in each.shapes for extent in shape if extent > 1}
            shapes = [tuple(dims.symbol(f"d{e}") if e > 1 else e for e in shape) for shape in each.shapes]
            inputs = [gc.placeholder(s, d, name=f"x{i}") for i, (s, d) in enumerate(zip(shapes, dtypes))]
            symbolic = apply(OPS[sample.op], *inputs, **sample.attrs_for(each, dtypes))
            fixed = sample.build(each, dtypes)[1]
            assert map_sizes(symbolic.type, lambda s, v=symbols: dims.evaluate(s, v)) == fixed.type, each


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.cases[0].shapes], ids=lambda s: s.op)
def test_other_dtypes_are_refused(sample: Sample):
    each = sample.cases[0]
    taken = {sample.dtypes_of(entry, len(each.shapes))[:1] for entry in sample.dtypes}
    for dtype in ALL_DTYPES:
        if (dtype,) not in taken:
            with pytest.raises(DTypeError):
                sample.build(each, (dtype,) * len(each.shapes))


REDUCTIONS = ["sum", "prod", "max", "min", "all", "any", "mean", "var", "std"]


def numpy_type(function, *arguments, **keywords):
    """The dtype and shape that NumPy gives, or None where it refuses or gives one that graphc has not."""
    try:
        with np.errstate(all="ignore"):
            result = np.asarray(function(*arguments, **keywords))
    except (TypeError, ValueError):
        return None
    return TensorType(result.dtype, result.shape) if result.dtype in ALL_DTYPES else None


def our_type(function, *arguments, **keywords):
    try:
        return function(*arguments, **keywords).type
    except GraphcError:
        return None


@pytest.mark.parametrize("name", UNARY)
def test_unary_functions_have_numpys_type(name):
    for dtype, shape in itertools.product(DTYPES, SHAPES):
        wanted = numpy_type(UNARY[name], np.ones(shape, dtype))
        assert our_type(getattr(gc, name), gc.placeholder(shape, dtype)) == wanted, (dtype, shape)


@pytest.mark.parametrize("name", [*BINARY, "pow"])
def test_binary_functions_have_numpys_type(name):
    ours, numpys = getattr(gc, name), BINARY.get(name, np.power)
    for a, b in itertools.product(DTYPES, DTYPES):
        wanted = numpy_type(numpys, np.ones(3, a), np.ones((2, 1), b))
        assert our_type(ours, gc.placeholder((3,), a), gc.placeholder((2, 1), b)) == wanted, (a, b)
    for a, scalar in itertools.product(DTYPES, (True, 2, 1.5)):
        assert our_type(ours, gc.placeholder((3,), a), scalar) == numpy_type(numpys, np.ones(3, a), scalar), (
            a,
            scalar,
        )
        assert our_type(ours, scalar, gc.placeholder((3,), a)) == numpy_type(numpys, scalar, np.ones(3, a)), (
            a,
            scalar,
        )
    for a, b in itertools.product(SHAPES, SHAPES):
        wanted = numpy_type(numpys, np.ones(a, bool), np.ones(b, "i4"))
        assert our_type(ours, gc.placeholder(a, "bool"), gc.placeholder(b, "i4")) == wanted, (a, b)


def test_where_and_clip_have_numpys_type():
    for a, b in itertools.product(DTYPES, DTYPES):
        x, y = gc.placeholder((3,), a), gc.placeholder((2, 1), b)
        wanted = numpy_type(np.where, np.ones(1, bool), np.ones(3, a), np.ones((2, 1), b))
        assert our_type(gc.where, gc.placeholder((1,), "bool"), x, y) == wanted
        assert our_type(gc.clip, x, y, 1) == numpy_type(np.clip, np.ones(3, a), np.ones((2, 1), b), 1), (a, b)
        assert our_type(gc.clip, x, y, y) == numpy_type(
            np.clip, np.ones(3, a), np.ones((2, 1), b), np.ones((2, 1), b)
        )


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_reductions_have_numpys_type(name):
    for dtype, shape, keepdims in itertools.product(DTYPES, SHAPES, (False, True)):
        axes = [None, (), *range(-len(shape), len(shape)), *itertools.combinations(range(len(shape)), 2)]
        for axis in axes:
            wanted = numpy_type(getattr(np, name), np.ones(shape, dtype), axis=axis, keepdims=keepdims)
            found = our_type(getattr(gc, name), gc.placeholder(shape, dtype), axis=axis, keepdims=keepdims)
            assert found == wanted, (dtype, shape, axis, keepdims)


@pytest.mark.parametrize("name", ["argmax", "argmin", "cumsum", "cumprod"])
def test_functions_along_one_axis_have_numpys_type(name):
    for dtype, shape in itertools.product(DTYPES, SHAPES):
        for axis in [None, *range(-len(shape), len(shape))]:
            wanted = numpy_type(getattr(np, name), np.ones(shape, dtype), axis=axis)
            assert our_type(getattr(gc, name), gc.placeholder(shape, dtype), axis=axis) == wanted, (
                dtype,
                shape,
                axis,
            )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sum", "prod", "cumsum", "cumprod"])
def test_dtype_of_an_accumulation_can_be_chosen(name, dtype):
    if dtype != "bool":
        assert getattr(gc, name)(gc.placeholder((3,), "int8"), dtype=dtype).dtype == dtype
    else:
        with pytest.raises(DTypeError, match=f"{name}: cannot accumulate in bool"):
            getattr(gc, name)(gc.placeholder((3,), "int8"), dtype=dtype)
