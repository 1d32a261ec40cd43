"""Large inputs that are not C-contiguous: the bits of a contiguous copy, whatever the layout; code for 8 at most."""

import ctypes
import mmap
import sys

import numpy as np
import pytest

import graphc as gc
from graphc import strided
from graphc.strided import LARGE, contiguous

BACKENDS = ("numpy", "llvm")

#: Name -> an array equal to the given one that lies otherwise.
LAYOUTS = {
    "Fortran order": np.asfortranarray,
    "columns cut out": lambda x: np.pad(x, ((0, 0), (3, 5)))[:, 3:-5],
    "every second row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "every second element": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "every third element, backwards": lambda x: np.repeat(x[:, ::-1], 3, axis=1)[:, ::-3],
    "far apart": lambda x: np.repeat(x, 9, axis=1)[:, ::9],
    "rows backwards": lambda x: x[::-1].copy()[::-1],
    "all backwards": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "Fortran order, cut out, backwards": lambda x: np.asfortranarray(np.pad(x, 2)[::-1])[::-1][2:-2, 2:-2],
}
#: Name -> an array of some shape that has each of its elements many times.
REPEATED = {
    "one row": lambda x: np.broadcast_to(x[:1], x.shape),
    "one column": lambda x: np.broadcast_to(x[:, :1], x.shape),
    "one element": lambda x: np.broadcast_to(x[:1, :1], x.shape),
    "windows": lambda x: np.lib.stride_tricks.sliding_window_view(x.ravel(), x.shape[1])[: x.shape[0]],
}
ALL = LAYOUTS | REPEATED

PROGRAMS = {
    "elementwise": lambda x: gc.tanh(x) * 2 + x,
    "sum over rows": lambda x: gc.sum(x, axis=0),
    "sum over columns": lambda x: gc.sum(x * x, axis=1),
    "sum of all": gc.sum,
    "softmax": gc.softmax,
    "softmax over rows": lambda x: gc.softmax(x, axis=0),
    "product": lambda x: x @ gc.matrix_transpose(x),
    "as it is": lambda x: x,
    "transposed": lambda x: gc.permute_dims(x, (1, 0)) + 1,
    "some of it": lambda x: x[1:-1, ::2],
    "taken": lambda x: gc.take(x, gc.constant([2, 0, -1]), axis=0) + 1,
    "sorted": lambda x: gc.sort(x, axis=1),
}


def matrix(rows=97, columns=101, dtype="float32"):
    return (10 * np.random.default_rng(rows).standard_normal((rows, columns))).astype(dtype)


def same(found, wanted):
    np.testing.assert_array_equal(found, wanted)
    assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [("n", "m"), ("n", 101), (97, 101)])
@pytest.mark.parametrize("program", PROGRAMS)
def test_results_have_the_bits_of_a_contiguous_copy(backend, shape, program):
    x = gc.placeholder(shape, name="x")
    f = gc.function([x], PROGRAMS[program](x), backend=backend)
    plain = matrix()
    assert plain.nbytes >= LARGE
    for name, change in ALL.items():
        array = change(plain)
        before = array.copy()
        wanted = f(np.ascontiguousarray(array))
        for _ in range(4):  # a copy, code for the layout, its builtin, which is native from then on
            found = f(array)
            assert found.tobytes() == wanted.tobytes(), name
            assert found.flags.c_contiguous and not np.may_share_memory(found, array), name
        np.testing.assert_array_equal(array, before, err_msg=f"{name}: the input was written to")
    assert f.compilations <= 9


@pytest.mark.parametrize("dtype", ["float64", "int8", "uint16", "bool", "int64"])
@pytest.mark.parametrize("layout", ALL)
def test_dtypes(dtype, layout):
    x = gc.placeholder(("n", "m"), dtype)
    f = gc.function([x], [gc.where(gc.equal(x, x), x, x), gc.max(x.astype("int32"), axis=1)], backend="llvm")
    array = ALL[layout](matrix(301, 203, dtype))
    for _ in range(3):
        again, largest = f(array)
        same(again, np.ascontiguousarray(array))
        same(largest, array.astype("int32").max(axis=1))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fifty_batch_sizes_share_the_code_of_a_layout(layout):
    x = gc.placeholder(("n", 128), name="x")
    f = gc.function([x], [gc.exp(-x), gc.sum(x, axis=1)], backend="llvm")
    compiled = []
    for rows in range(70, 120):
        array = LAYOUTS[layout](matrix(rows, 128))
        for found, wanted in zip(f(array), f(np.ascontiguousarray(array))):
            same(found, wanted)
        compiled.append(f.compilations)
    assert compiled[0] == 1 and compiled[1:] == [compiled[1]] * 49
    assert compiled[-1] == 1 + ("Fortran" not in layout)


def test_only_so_many_layouts_have_code():
    x = gc.placeholder(("n",) * 4, name="x")
    f = gc.function([x], x + 1, backend="llvm")
    big = matrix(64, 4096).reshape(16, 16, 32, 32)
    for steps in np.ndindex(2, 2, 2, 2):
        array = big[tuple(slice(None, None, -1 if step else 1) for step in steps)][:16, :16, :16, :16]
        for _ in range(3):
            same(f(array), array + 1)
    assert f.compilations == 9


def test_several_inputs_each_lie_as_they_like():
    x, y, v = gc.placeholder(("n", "m")), gc.placeholder(("m", "n")), gc.placeholder(("m",))
    f = gc.function([x, y, v], [x * v + gc.matrix_transpose(y), x @ y], backend="llvm")
    a, b, c = matrix(100, 120), matrix(120, 100), matrix(1, 120)[0]
    wanted = f(a, b, c)
    for change, other in zip(LAYOUTS.values(), reversed(LAYOUTS.values())):
        for given in ((change(a), b, c), (a, other(b), np.repeat(c, 2)[::2]), (change(a), other(b), c)):
            for _ in range(2):
                for found, want in zip(f(*given), wanted):
                    same(found, want)


def test_what_is_known_of_shapes_and_strides_serves_other_arrays():
    x, v = gc.placeholder(("n", "m")), gc.placeholder(("m",))
    f = gc.function([x, v], {"scaled": x * v, "sums": [gc.sum(x, axis=1)]}, backend="llvm")
    for number in range(6):
        a, b = np.repeat(matrix() + number, 2, axis=1)[:, ::2], np.repeat(matrix(1, 101)[0] + number, 3)[::3]
        found = f(a, b)
        same(found["scaled"], np.ascontiguousarray(a) * b)
        same(found["sums"][0], f(np.ascontiguousarray(a), b)["sums"][0])
    assert f.compilations == 2 and f._strided.known((a, b)) is not None
    other = matrix(97, 101, "float64").astype("float32")[:, ::-1]
    assert f._strided.known((other, b)) is None  # reversed
    same(f(other, b)["scaled"], np.ascontiguousarray(other) * b)


def test_arguments_that_need_conversion_are_never_taken_for_known_ones():
    x = gc.placeholder(("n", "m"), "float32", name="x")
    f = gc.function([x], x + 1, backend="llvm")
    array = np.repeat(matrix(), 2, axis=0)[::2]
    for _ in range(3):
        same(f(array), array + 1)
    memory = np.empty(array.nbytes * 2 + 8, np.uint8)
    misaligned = np.ndarray(array.shape, array.dtype, memory, 1, array.strides)
    swapped = np.repeat(matrix().astype(">f4"), 2, axis=0)[::2]
    subclass = array.view(np.matrix)
    misaligned[...] = array
    for odd in (misaligned, swapped, subclass):
        assert f._strided.known((odd,)) is None
        same(f(odd), array + 1)
    with pytest.raises(gc.DTypeError):
        f(array.view(np.int32))
    same(f(x=array), array + 1)


def test_errors_of_code_for_a_layout_are_those_of_the_function():
    x, i = gc.placeholder(("n", 101)), gc.placeholder((), "int64")
    f = gc.function([x, i], [gc.tanh(x), gc.take(gc.constant([1, 2]), i)], backend="llvm")
    array = matrix()[::-1]
    for _ in range(4):
        same(f(array, 1)[0], f(np.ascontiguousarray(array), 1)[0])
        with pytest.raises(gc.IndexOutOfBoundsError, match="index 2 is out of bounds"):
            f(array, np.asarray(2))


def test_small_arrays_are_copied_and_compile_nothing():
    x = gc.placeholder(("n", "m"))
    f = gc.function([x], gc.sum(x, axis=0), backend="llvm")
    for change in ALL.values():
        for _ in range(3):
            array = change(matrix(20, 30))
            same(f(array), f(np.ascontiguousarray(array)))
    assert f.compilations == 1


def test_updates_and_out_with_a_strided_input():
    total = gc.variable(np.zeros(101, "float32"))
    x = gc.placeholder(("n", 101))
    f = gc.function([x], x * 2, updates={total: total + gc.sum(x, axis=0)}, backend="llvm")
    base = np.repeat(matrix(), 2, axis=0)
    kept = base.copy()
    for number in range(3):
        place = np.empty((97, 101), "float32")
        assert f(base[::2], out=place) is place
        same(place, base[::2] * 2)
        np.testing.assert_allclose(total.value, (number + 1) * base[::2].sum(axis=0), rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(base, kept)
    f(base[::2], out=base[::2])  # over the input itself
    np.testing.assert_array_equal(base[1::2], kept[1::2])
    np.testing.assert_array_equal(base[::2], kept[::2] * 2)


def test_wrong_extents_are_still_refused():
    x, y = gc.placeholder(("n", 128)), gc.placeholder(("n",))
    f = gc.function([x, y], gc.sum(x, axis=1) + y, backend="llvm")
    array = np.repeat(matrix(80, 128), 2, axis=0)[::2]
    for _ in range(3):
        f(array, np.zeros(80, "float32"))
        with pytest.raises(gc.errors.ShapeError):
            f(array, np.zeros(81, "float32"))
        with pytest.raises(gc.errors.ShapeError):
            f(array[:, 1:], np.zeros(80, "float32"))


@pytest.mark.parametrize("layout", ALL)
def test_copies(layout, monkeypatch):
    from graphc.backends import backend_named

    monkeypatch.setattr(strided, "LARGE", 0)
    for dtype in ("float32", "float64", "int8", "bool", "uint16"):
        for shape in ((2, 3), (7, 33), (33, 7), (16, 64), (130, 67)):
            array = ALL[layout](matrix(*shape, dtype))
            copy = contiguous(array, backend_named("llvm"))
            assert copy.flags.c_contiguous and copy.dtype == array.dtype
            np.testing.assert_array_equal(copy, array)
    deep = matrix(60, 64).reshape(3, 4, 5, 64)
    for axes in ((0, 2, 1, 3), (3, 0, 1, 2), (1, 2, 3, 0), (3, 2, 1, 0), (2, 0, 3, 1)):
        np.testing.assert_array_equal(contiguous(deep.transpose(axes), backend_named("llvm")), deep.transpose(axes))
        cut = deep[:, 1:, ::-1, ::2].transpose(axes)
        np.testing.assert_array_equal(contiguous(cut, backend_named("llvm")), cut)


@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")
@pytest.mark.parametrize("program", ["elementwise", "sum over columns", "softmax", "sum over rows"])
@pytest.mark.parametrize("columns", [31, 33, 101])
def test_nothing_outside_an_array_is_read(program, columns):
    rows, pitch = 17 + LARGE // (4 * columns), 2 * columns + 7
    count = (rows - 1) * pitch + 2 * columns - 1
    x = gc.placeholder(("n", columns))
    f = gc.function([x], PROGRAMS[program](x), backend="llvm")
    for memory in between_guards(4 * count):
        flat = np.frombuffer(memory, "float32")
        flat[:] = np.random.default_rng(0).standard_normal(count)
        view = np.lib.stride_tricks.as_strided
        for array in (
            view(flat, (rows, columns), (4 * pitch, 8)),
            view(flat, (rows, columns), (4 * pitch, 8))[::-1, ::-1],
            view(flat[columns - 1 :], (rows, columns), (4 * pitch, 4)),
            view(flat, (rows, columns), (4 * pitch, 4))[:, ::-1],
            view(flat[-1:], (rows, columns), (0, 0)),
            view(flat[-(rows * columns) :], (rows, columns), (4, 4 * rows)),
        ):
            wanted = f(np.ascontiguousarray(array))
            for _ in range(3):
                same(f(array), wanted)


def between_guards(size):
    """Memory right before a page that must not be touched, then right after one."""
    page = mmap.PAGESIZE
    pages = -(-size // page)
    region = mmap.mmap(-1, (pages + 2) * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(region))
    libc = ctypes.CDLL(None, use_errno=True)
    for guard in (start, start + (pages + 1) * page):
        assert libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 0) == 0
    for begin in (start + (pages + 1) * page - size, start + page):
        yield (ctypes.c_char * size).from_address(begin)
    for guard in (start, start + (pages + 1) * page):
        libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 3)
