"""The entries: kernels and copies in the plan's order, host steps between them, the number of a step that fails."""

import re

import numpy as np
import pytest

import graphc as gc
from graphc.backends.llvm.entry import LEAST_ROWS, Entries
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


def calls(entries, function):
    """The kernels that an entry calls or lets threads share, and its copies, in order."""
    tasks = {f.name: re.search(r"kernel_\w+", f.text()).group() for f in entries.functions if f.name.startswith("step")}
    found = re.findall(r"call .*?(?:memcpy|kernel_\w+|@share\(ptr @\w+)", function.text())
    names = [re.search(r"memcpy|kernel_\w+|step\d+", call).group() for call in found]
    return ["copy" if name == "memcpy" else tasks.get(name, name) for name in names]


def steps_of(entries):
    """The functions that hold the steps of the segments."""
    return [function for function in entries.functions if function.name.endswith("_steps")]


def test_kernels_are_called_in_the_plans_order():
    x = gc.placeholder(("n", "n"), "float32", name="x")
    y = gc.sort(gc.cumsum(x, axis=0), axis=1)
    found = entries_of([gc.matmul(y, x), x])
    assert found.segments == ["entry0"]
    expected = [symbol_of(s.kernel.function) for s in found.plan.steps]
    assert calls(found, steps_of(found)[0]) == ["copy", *expected]


def test_host_steps_divide_the_entries():
    x = gc.placeholder((3, 3), "float32", name="x")
    y = gc.print(gc.exp(x), "y")
    found = entries_of([gc.print(y + 1, "z") * 2, x])
    kinds = ["host" if isinstance(s, Step) else s for s in found.segments]
    assert kinds == ["entry0", "host", "entry2", "host", "entry4"]
    assert [len(calls(found, f)) for f in steps_of(found)] == [2, 1, 1]  # a copy and exp; add; multiply
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


# many layers that are alike ---------------------------------------------------------------------------------


def layers(count, size=4):
    """An update of each of many variables, by way of gathers that may fail, and of products."""
    x = gc.placeholder(("n", size), "float32", name="x")
    i = gc.placeholder((size,), "int64", name="i")
    weights = np.random.default_rng(0).normal(0, 0.5, (count, size, size)).astype("float32")
    variables = [gc.variable(w, name=f"w{k}") for k, w in enumerate(weights)]
    y, updates = x, {}
    for w in variables:
        y = gc.take(gc.tanh(gc.cumsum(y @ w, axis=0)), i, axis=1)
        updates[w] = w * 0.5 + gc.sum(y, axis=0)
    return x, i, y, updates


@pytest.fixture
def without_rows(monkeypatch):
    return lambda: monkeypatch.setattr(Entries, "has_rows", False)


@pytest.mark.parametrize("rows", [0, 1, 40])
def test_rows_of_a_table_do_what_steps_one_by_one_do(rows, without_rows):
    given = np.linspace(-1, 1, 4 * rows, dtype="float32").reshape(rows, 4), np.array([3, 0, -1, 2])
    results = []
    for _ in range(2):
        x, i, y, updates = layers(LEAST_ROWS)
        f = gc.function([x, i], y, updates=updates, backend="llvm")
        results.append([f(*given), f(*given), *(w.value for w in updates)])
        assert ("@rows(" in f.artifacts["llvm"]) == (len(results) == 1)
        without_rows()
    for one, other in zip(*results):
        np.testing.assert_array_equal(one, other)


def test_a_row_that_fails_is_named_and_leaves_variables_alone():
    x, i, y, updates = layers(LEAST_ROWS)
    f = gc.function([x, i], y, updates=updates, backend="llvm")
    before = [np.array(w.value) for w in updates]
    with pytest.raises(IndexOutOfBoundsError, match="index 4 is out of bounds for axis 1 with size 4"):
        f(np.ones((3, 4), "float32"), np.array([0, 1, 4, 0]))
    for w, old in zip(updates, before):
        np.testing.assert_array_equal(w.value, old)


def test_each_failing_row_is_blamed_for_itself():
    x = gc.placeholder((4,), "float32", name="x")
    indices = [gc.placeholder((4,), "int64", name=f"i{k}") for k in range(2 * LEAST_ROWS)]
    y = x
    for k, i in enumerate(indices):
        y = gc.take(gc.cumsum(y, axis=0), i, axis=0)
        y.hint = f"take{k}"
    f = gc.function([x, *indices], y, backend="llvm")
    assert "@rows(" in f.artifacts["llvm"]
    for bad in (0, 7, 2 * LEAST_ROWS - 1):
        given = [np.arange(4) for _ in indices]
        given[bad] = np.array([0, 1, 2, 9])
        with pytest.raises(IndexOutOfBoundsError, match=f"take 'take{bad}': index 9"):
            f(np.ones(4, "float32"), *given)


def test_code_for_layers_that_are_alike_does_not_grow_with_their_number():
    def lengths(count):
        _, _, y, updates = layers(count)
        found = entries_of([y], list(updates.items()))
        return [sum(len(f.text()) for f in found.functions), len(found.functions)]

    few, many = lengths(4 * LEAST_ROWS), lengths(16 * LEAST_ROWS)
    assert many[1] == few[1]
    assert many[0] < 1.1 * few[0]


def test_a_wrong_number_in_a_row_is_caught(monkeypatch):
    right = Entries._call_rows
    wrong = lambda self, b, stretch: right(self, b, [(number - 1, step) for number, step in stretch])  # noqa: E731
    monkeypatch.setattr(Entries, "_call_rows", wrong)
    with pytest.raises((AssertionError, IndexError)):
        test_each_failing_row_is_blamed_for_itself()


def test_layers_that_share_a_slot_are_caught(monkeypatch):
    right = Entries._call_rows

    def planted(self, b, stretch):
        first = next(step for _, step in stretch if step.tensor.op.name == "matmul")
        swapped = [
            (n, Step(s.tensor, first.operands, s.results, s.kernel)) if s.tensor.op.name == "matmul" else (n, s)
            for n, s in stretch
        ]
        right(self, b, swapped)

    monkeypatch.setattr(Entries, "_call_rows", planted)
    x, i, y, updates = layers(LEAST_ROWS)
    given = np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4), np.array([3, 0, -1, 2])
    found = gc.function([x, i], y, backend="llvm")(*given)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(found, gc.function([x, i], y, backend="numpy")(*given), rtol=1e-5)
    assert updates
