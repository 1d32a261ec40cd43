"""The entries: kernels and copies in the plan's order, host steps between them, the number of a step that fails."""

import numpy as np
import pytest

import graphc as gc
from graphc.backends.llvm.entry import Entries
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.library import symbol_of
from graphc.backends.llvm.plan import plan
from graphc.backends.llvm.steps import Step
from graphc.errors import IndexOutOfBoundsError
from graphc.ir.close import close
from graphc.ir.graph import topological_order
from graphc.passes.fuse import fuse


def entries_of(outputs, updates=(), threads=1):
    roots = [*outputs, *(value for _, value in updates)]
    inputs = [t for t in topological_order(roots) if t.op.name == "placeholder"]
    found = plan(fuse(close("f", inputs, list(outputs), list(updates))))
    symbols: dict[Kernel, str] = {s.kernel: symbol_of(s.kernel.function) for s in found.steps if s.kernel is not None}
    return Entries(found, symbols, threads)


def calls(function):
    """The kernels that an entry calls, and its copies, in order."""
    lines = [line for line in function.text().splitlines() if " call " in line]
    lines = [line for line in lines if "kernel_" in line or "memcpy" in line]
    return ["copy" if "memcpy" in line else line.partition("@")[2].partition("(")[0] for line in lines]


def steps_of(entries):
    """The functions that hold the steps of the segments."""
    return [function for function in entries.functions if function.name.endswith("_steps")]


def test_kernels_are_called_in_the_plans_order():
    x = gc.placeholder(("n", "n"), "float32", name="x")
    y = gc.sort(gc.cumsum(x, axis=0), axis=1)
    found = entries_of([gc.matmul(y, x), x])
    assert found.segments == ["entry0"]
    expected = [symbol_of(s.kernel.function) for s in found.plan.steps]
    assert calls(steps_of(found)[0]) == ["copy", *expected]


def test_host_steps_divide_the_entries():
    x = gc.placeholder((3, 3), "float32", name="x")
    y = gc.print(gc.exp(x), "y")
    found = entries_of([gc.print(y + 1, "z") * 2, x])
    kinds = ["host" if isinstance(s, Step) else s for s in found.segments]
    assert kinds == ["entry0", "host", "entry2", "host", "entry4"]
    assert [len(calls(f)) for f in steps_of(found)] == [2, 1, 1]  # a copy and exp; add; multiply
    only = entries_of([gc.print(x, "x")])
    assert [isinstance(s, Step) for s in only.segments] == [True]
    assert only.functions == []


def test_a_graph_of_nothing_has_no_entry():
    assert entries_of([]).segments == []
    assert gc.function([], [], backend="llvm")() == []


def test_symbolic_sizes_come_from_a_table_and_numbers_do_not():
    x = gc.placeholder(("n", 5), "float32", name="x")
    found = entries_of([x * 2, x])
    assert [str(size) for size in found.sizes] == ["20*n", "n"]
    assert "i64 5" in steps_of(found)[0].text()


def test_the_text_depends_on_the_plan_only():
    def text(value):
        x = gc.placeholder((3,), "float32", name="x")
        w = gc.variable(np.full(3, value, "float32"), name="w")
        found = entries_of([x * gc.constant([value, 1.0, 2.0])], [(w, w + x)])
        return [f.text() for f in found.functions]

    assert text(1.0) == text(2.0)
    assert "inttoptr" not in "".join(text(1.0))


def test_the_failing_step_is_named():
    x = gc.placeholder((4,), "float32", name="x")
    i, j = (gc.placeholder((2,), "int64", name=name) for name in "ij")
    first = gc.take(gc.sort(x, axis=0), i, axis=0)
    second = gc.take(gc.cumsum(first, axis=0), j, axis=0)
    first.hint, second.hint = "first", "second"
    f = gc.function([x, i, j], gc.cumsum(second, axis=0), backend="llvm")
    array = np.arange(4, dtype="float32")
    for indices, text in (
        (([0, 4], [0, 0]), "take 'first': index 4 is out of bounds for axis 0 with size 4"),
        (([0, 1], [1, -3]), "take 'second': index -3 is out of bounds for axis 0 with size 2"),
        (([0, 9], [5, 0]), "take 'first': index 9"),
    ):
        with pytest.raises(IndexOutOfBoundsError, match=text):
            f(array, *map(np.array, indices))
    np.testing.assert_array_equal(f(array, np.array([3, -4]), np.array([0, 1])), [3, 6])


def test_copies_of_nothing():
    x = gc.placeholder(("n",), "float32", name="x")
    f = gc.function([x], [x, x, x * 2], backend="llvm")
    for n in (0, 1, 1000):
        array = np.arange(n, dtype="float32")
        for result, factor in zip(f(array), (1, 1, 2)):
            np.testing.assert_array_equal(result, array * factor)
            assert not np.shares_memory(result, array)


def test_an_operand_from_the_wrong_slot_is_caught(monkeypatch):
    right = Entries._call

    def swapped(self, b, number, step):
        right(self, b, number, Step(step.tensor, step.operands[::-1], step.results, step.kernel, step.body))

    monkeypatch.setattr(Entries, "_call", swapped)
    x, y = (gc.placeholder((3,), "float32", name=name) for name in "xy")
    f = gc.function([x, y], gc.exp(x) - y, backend="llvm")
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(f(np.zeros(3, "float32"), np.ones(3, "float32")), np.zeros(3))


def test_a_wrong_step_number_is_caught(monkeypatch):
    right = Entries._call
    monkeypatch.setattr(Entries, "_call", lambda self, b, number, step: right(self, b, number - 1, step))
    with pytest.raises((AssertionError, IndexError)):
        test_the_failing_step_is_named()
