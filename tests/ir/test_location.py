"""Every tensor carries the user's line: through the gradient, passes, parsing and threads."""

import inspect
import os
import threading

import numpy as np
import pytest

import graphc as gc
from graphc.ir import location
from graphc.ir.location import UNKNOWN, Location, display_path, here, inherit
from graphc.ir.parse import parse


def line():
    return inspect.currentframe().f_back.f_lineno


def test_the_line_that_made_a_tensor():
    x = gc.placeholder((2, 3), "float32"); at = line()  # noqa: E702
    assert (x.location.file, x.location.line, x.location.function) == (__file__, at, "test_the_line_that_made_a_tensor")
    for make in (
        lambda: x + 1, lambda: 1 - x, lambda: x[0], lambda: x.T, lambda: gc.softmax(x, axis=1),
        lambda: x.at[0].add(1.0), lambda: gc.einsum("ij->j", x), lambda: gc.random.uniform((2,), seed=1),
        lambda: gc.linalg.qr(x)[0],
        lambda: np.ones((2, 3)) * x, lambda: gc.cross_entropy(x, gc.constant([1, 2])), lambda: gc.variable(1.0),
    ):  # fmt: skip
        tensor = make()
        assert tensor.location.file == __file__ and tensor.location.function == "<lambda>"


def test_the_users_line_stays_through_gradient_and_passes():
    x = gc.placeholder(("n", 3), "float32", name="x")
    w = gc.variable(np.ones((3, 2), "f4"), name="w")
    first = line() + 1
    hidden = gc.tanh(x @ w)
    loss = gc.mean(gc.log_softmax(hidden, axis=1))
    last = line() - 1
    (dw,) = gc.grad(loss, [w]); gradient = line()  # noqa: E702
    f = gc.function([x], [loss, dw], updates={w: w - dw}, backend="llvm"); update = line()  # noqa: E702
    for stage in f.trace.stages:
        for tensor in stage.graph.tensors:
            assert tensor.location.file == __file__, (stage.name, tensor)
            assert tensor.location.line in (*range(first - 3, last + 1), gradient, update), (stage.name, tensor)
    assert any("grad of matmul" in t.location.via for t in f.graph.tensors)
    assert any(t.location.via for t in f.optimized.tensors)
    assert f"test_location.py:{first}, grad of matmul" in f.dump()


def test_reasons_are_added_once_and_contexts_nest():
    place = Location("a.py", 3, "f")
    with inherit(place, "one"):
        assert here() == Location("a.py", 3, "f", ("one",))
        with inherit(here(), "one"), inherit(here(), "two"):
            assert here().via == ("one", "two")
        assert here().via == ("one",)
        seen = []
        thread = threading.Thread(target=lambda: seen.append(here()))
        thread.start()
        thread.join()
        assert seen[0].file != "a.py"
    assert here().file == __file__


def test_the_context_ends_with_an_error():
    with pytest.raises(ZeroDivisionError), inherit(Location("a.py", 3, "f")):
        raise ZeroDivisionError
    assert here().file == __file__


def test_excerpts():
    shown = Location(__file__, 1, "f", ("grad of add",)).excerpt()
    assert shown == [f"  --> {display_path(__file__)}:1 in f (grad of add)", "    1 | " + __doc__.join(['"""'] * 2)]
    assert Location(__file__, 10**6, "<module>").excerpt() == [f"  --> {display_path(__file__)}:1000000"]
    assert Location(__file__, 10**6, "f", ("grad",), "conv1").excerpt()[0].endswith(":1000000 in f (conv1) (grad)")
    assert UNKNOWN.excerpt() == []


def test_an_excerpt_opens_python_files_only(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("password\n")
    graph = parse(f"graph @f(%x: f32[2]) {{\n  %0 = exp %x : f32[2]  # {secret}:1\n  return %0\n}}")
    assert graph.outputs[0].location == Location(str(secret), 1, "")
    assert "password" not in "".join(graph.outputs[0].location.excerpt())
    assert Location("/dev/zero", 1, "").excerpt() == ["  --> /dev/zero:1"]


def test_paths_are_relative_below_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert display_path(str(tmp_path / "a" / "b.py")) == "a/b.py"
    assert display_path(os.path.dirname(str(tmp_path)) + "/c.py") == os.path.dirname(str(tmp_path)) + "/c.py"
    assert display_path("<stdin>") == "<stdin>"


def test_a_block_stands_for_the_line_that_described_it():
    there = Location("model.py", 12, "net")
    with location.at(there, "conv1"):
        made = gc.zeros((2,))  # by functions of graphc, below the block
        with location.at(Location("model.py", 13, "net"), "conv2"):
            assert str(here()) == "model.py:13, conv2"
        assert str(here()) == "model.py:12, conv1"
        inside = line_of_a_users_function()
    assert made.location.place == "model.py:12, conv1"
    assert (inside.file, inside.owner) == (__file__, "conv1")
    assert here().owner == ""


def line_of_a_users_function():
    return here()


def test_what_is_derived_keeps_the_owner():
    with location.at(Location("model.py", 12, "net"), "conv1"):
        x = gc.constant(1.0)
    with inherit(x.location, "grad of exp"):
        assert str(here()) == "model.py:12, conv1, grad of exp"
        assert here().place == "model.py:12, conv1"


def test_the_caller_is_a_line_of_the_user_or_none():
    def ours():
        return location.caller()

    assert ours().file == __file__
    frame = {"__name__": "graphc.somewhere", "asked": ours}
    exec("found = asked()", frame)
    assert frame["found"] is None
