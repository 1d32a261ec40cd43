"""Compiled programs: updates, errors, host steps, many threads, and whose memory the results are in."""

import threading

import numpy as np
import pytest

import graphc as gc
from graphc.backends.llvm import program as module
from graphc.backends.llvm.backend import LLVMBackend
from graphc.backends.llvm.frames import Frame, Frames
from graphc.backends.llvm.program import Program
from graphc.errors import CheckError, IndexOutOfBoundsError, LinearAlgebraError
from graphc.ir.close import close
from graphc.ir.opdef import OPS
from graphc.passes.manager import optimise


def variable(values, name):
    return gc.variable(np.array(values, "float32"), name=name)


def x_of(shape=("n",), name="x", dtype="float32"):
    return gc.placeholder(shape, dtype, name=name)


def program(inputs, outputs, updates=()):
    """A program without the function around it: every call goes through Python."""
    graph = close("f", inputs, outputs, updates)
    return Program(optimise(graph, native=LLVMBackend().native, check=1).graph)


def arange(count, dtype="float32"):
    return np.arange(count, dtype=dtype)


# ---- updates -----------------------------------------------------------------------------------------------


def test_an_update_in_place_and_its_old_value():
    w, x = variable([1, 2, 3], "w"), x_of((3,))
    step = gc.function([x], [w * 10, gc.cumsum(w - x, axis=0)], updates={w: w - x}, backend="llvm")
    old, new = step([1, 1, 1])
    np.testing.assert_array_equal(old, [10, 20, 30])
    np.testing.assert_array_equal(new, [0, 1, 3])
    np.testing.assert_array_equal(w.value, [0, 1, 2])


def test_an_update_that_reads_other_positions_of_its_own():
    w = variable([1, 2, 3, 4], "w")
    for update, expected in (
        (w[::-1], [4, 3, 2, 1]),
        (w + w[::-1], [5, 5, 5, 5]),
        (gc.cumsum(w, axis=0), [1, 3, 6, 10]),
        (w - gc.sum(w), [-9, -8, -7, -6]),
        (gc.take(w, gc.constant([3, 3, 0, 1]), axis=0), [4, 4, 1, 2]),
    ):
        w.assign([1, 2, 3, 4])
        gc.function([], updates={w: update}, backend="llvm")()
        np.testing.assert_array_equal(w.value, expected)


def test_variables_trade_places():
    a, b, c = (variable([i, i + 1], name) for i, name in enumerate("abc"))
    turn = gc.function([], [a, b], updates={a: b, b: c, c: a}, backend="llvm")
    for _ in range(2):
        before = [v.value for v in (a, b, c)]
        for found, expected in zip(turn(), before):
            np.testing.assert_array_equal(found, expected)
        for found, expected in zip((a, b, c), (before[1], before[2], before[0])):
            np.testing.assert_array_equal(found.value, expected)


def test_an_update_by_an_input_by_a_constant_and_by_another_variable():
    a, b, c = (variable([0, 0], name) for name in "abc")
    x = x_of((2,))
    array = np.array([3, 4], "float32")
    f = gc.function([x], a, updates={a: x, b: gc.constant(np.ones(2, "float32")), c: a}, backend="llvm")
    f(array)
    f(array + 1)
    for v, expected in ((a, [4, 5]), (b, [1, 1]), (c, [3, 4])):
        np.testing.assert_array_equal(v.value, expected)
    array[:] = 9  # the variable holds a copy
    np.testing.assert_array_equal(a.value, [4, 5])


# ---- errors ------------------------------------------------------------------------------------------------


def failing(kind):
    """A step that fails for x[0] == 0, after a value that an update wants."""
    w, x = variable([1, 1, 1], "w"), x_of((3,))
    new = w + x
    sorted_ = gc.sort(new, axis=0)
    if kind == "gather":
        last = gc.take(sorted_, gc.astype(gc.where(gc.equal(x, 0), 7, 0), "int64"), axis=0)
    elif kind == "assert":
        last = gc.assert_(sorted_, gc.not_equal(x[0], 0), "x[0] is zero")
    else:
        last = gc.linalg.inv(gc.reshape(sorted_[:1] * x[:1], (1, 1)))
    return w, gc.function([x], last, updates={w: new}, backend="llvm")


@pytest.mark.parametrize(
    ("kind", "error"),
    [("gather", IndexOutOfBoundsError), ("assert", CheckError), ("inv", LinearAlgebraError)],
)
def test_an_error_leaves_the_variables_unchanged_and_the_function_usable(kind, error):
    w, f = failing(kind)
    for _ in range(3):
        before = w.value
        with pytest.raises(error):
            f(np.array([0, 1, 2], "float32"))
        np.testing.assert_array_equal(w.value, before)
        f(np.array([1, 1, 2], "float32"))
        np.testing.assert_array_equal(w.value, before + [1, 1, 2])


# ---- host steps --------------------------------------------------------------------------------------------


def test_host_steps_run_in_between_and_are_listed(capsys):
    x = x_of((2, 2))
    y = gc.print(x * 2, "doubled")
    f = gc.function([x], [gc.linalg.inv(y) @ y, y + 1], backend="llvm")
    product, more = f(np.array([[1, 2], [3, 4]], "float32"))
    np.testing.assert_allclose(product, np.eye(2), atol=1e-6)
    np.testing.assert_array_equal(more, [[3, 5], [7, 9]])
    assert "doubled" in capsys.readouterr().out
    title, *lines = f.artifacts["plan"].splitlines()
    assert title.endswith("2 of them host steps")
    assert [line.split(" = ")[1].split()[0] for line in lines if line.split()[0] == "host"] == ["print", "inv"]


def test_a_host_step_cannot_write_to_what_it_reads():
    x = x_of((2,))

    def careless(array):
        array += 1
        return array

    op = gc.define_op("careless", eval=careless, infer=lambda t: t)
    try:
        y = x * 2
        f = gc.function([x], [op(y), y], backend="llvm")
        with pytest.raises(ValueError, match="read-only"):
            f(np.ones(2, "float32"))
    finally:
        del OPS["careless"]  # other tests go over all ops


# ---- memory ------------------------------------------------------------------------------------------------


def test_results_share_memory_with_nothing():
    w, x = variable([1, 2], "w"), x_of((2,))
    y = x * 2
    c = gc.constant(np.ones(2, "float32"))
    f = gc.function([x], [x, w, c, y, y, gc.reshape(y, (2, 1)), gc.reshape(x, (1, 2))], updates={w: y}, backend="llvm")
    array = np.array([1, 2], "float32")
    kept = []
    for call in range(4):
        results = f(array)
        others = [array, w.storage, *kept]
        for i, one in enumerate(results):
            assert one.flags.owndata or one.base is None
            assert not any(np.shares_memory(one, two) for two in [*others, *results[:i]]), (call, i)
        kept += results
        for one in results:
            one[...] = -1  # the caller's to change
        np.testing.assert_array_equal(array, [1, 2])
        np.testing.assert_array_equal(w.value, [2, 4])


def test_frames_are_used_again():
    x = x_of()
    run = program([x], [gc.cumsum(gc.sort(x, axis=0) * 2, axis=0)])
    run([arange(5)])
    (frames,) = run._calls.values()
    assert len(frames._idle) == 1
    frame = frames._idle[0]
    for _ in range(3):
        run([arange(5)])
    assert list(frames._idle) == [frame]


def test_as_many_sets_of_sizes_are_kept_as_fit():
    x = x_of()
    run = program([x], [gc.sort(x, axis=0) + 1])
    for n in [*range(3 * module._LAYOUTS_KEPT), 0, 5]:
        (found,) = run([arange(n)[::-1].copy()])
        np.testing.assert_array_equal(found, arange(n) + 1)
    assert len(run._calls) <= module._LAYOUTS_KEPT
    assert (5,) in run._calls


def test_one_compile_serves_every_size():
    x, y = x_of(("n", "m")), x_of(("m",), "y")
    f = gc.function([x, y], [gc.softmax(x * y, axis=1), gc.sum(x, axis=0)], backend="llvm")
    for n, m in ((0, 0), (1, 1), (0, 3), (3, 0), (1, 40), (40, 1), (7, 33)):
        a, b = np.ones((n, m), "float32"), np.zeros(m, "float32")
        soft, total = f(a, b)
        np.testing.assert_allclose(soft, np.full((n, m), 1 / max(m, 1)), rtol=1e-6)
        np.testing.assert_array_equal(total, a.sum(axis=0))
    assert f.compilations == 1


# ---- threads -----------------------------------------------------------------------------------------------


def run_in_threads(count, work):
    errors = []

    def guarded(number):
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_calls_at_once_have_frames_of_their_own():
    x, i = x_of(), x_of((2,), "i", "int64")
    y = gc.cumsum(gc.sort(x, axis=0), axis=0)
    for run in (gc.function([x, i], gc.take(y, i, axis=0), backend="llvm"), program([x, i], [gc.take(y, i, axis=0)])):

        def work(number, run=run):
            for turn in range(150):
                array = arange(1000 + number)[::-1] + number
                indices = np.array([turn % 1000, 5000 if turn % 10 == 9 else -1])
                arguments = (array.copy(), indices)
                if turn % 10 == 9:
                    with pytest.raises(IndexOutOfBoundsError, match="index 5000 "):
                        run(*arguments) if isinstance(run, gc.Function) else run(list(arguments))
                    continue
                found = run(*arguments) if isinstance(run, gc.Function) else run(list(arguments))[0]
                expected = np.cumsum(np.sort(array), dtype="float32")[indices]
                np.testing.assert_allclose(found, expected, rtol=1e-6)

        run_in_threads(4, work)


def test_updates_from_many_threads_are_all_counted():
    count = gc.variable(np.zeros(50, "int64"), name="count")
    f = gc.function([], count, updates={count: count + 1}, backend="llvm")

    def work(number):
        for _ in range(300):
            before = f()
            assert (before == before[0]).all(), "a value half written was read"

    run_in_threads(4, work)
    np.testing.assert_array_equal(count.value, np.full(50, 1200))


# ---- artifacts and planted bugs ----------------------------------------------------------------------------


def test_artifacts():
    x = x_of((3,))
    f = gc.function([x], gc.exp(x) + 1, backend="llvm")
    assert {"plan", "llvm", "asm"} <= set(f.artifacts)
    assert "define" in f.artifacts["llvm"]
    assert "kernel_" in f.artifacts["asm"]
    with pytest.raises(KeyError):
        f.artifacts["nothing"]


def test_results_in_shared_memory_are_caught(monkeypatch):
    kept = {}
    empty = np.empty
    monkeypatch.setattr(module.np, "empty", lambda shape, dtype: kept.setdefault((shape, dtype), empty(shape, dtype)))
    x = x_of((2,))
    run = program([x], [x * 2])
    with pytest.raises(AssertionError):
        assert not np.shares_memory(run([arange(2)])[0], run([arange(2)])[0])


def test_one_frame_for_all_calls_is_caught(monkeypatch):
    """Two calls in one frame overwrite each other's tables; seen without threads: the frame is taken twice."""
    x = x_of()
    run = program([x], [gc.sort(x, axis=0) * 2])
    run([arange(5)])
    (frames,) = run._calls.values()
    assert frames.take() is not frames.take()
    shared = Frame(frames)
    monkeypatch.setattr(Frames, "take", lambda self: shared)
    with pytest.raises(AssertionError):
        assert frames.take() is not frames.take()


def test_updates_before_a_failure_are_caught(monkeypatch):
    monkeypatch.setattr("graphc.backends.llvm.plan._Planner._fits_in_place", lambda self, value, variable: True)
    with pytest.raises(AssertionError):
        test_an_error_leaves_the_variables_unchanged_and_the_function_usable("gather", IndexOutOfBoundsError)
