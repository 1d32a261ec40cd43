"""The lines that tensors made by layers carry."""

from __future__ import annotations

import threading

import numpy as np

import graphc as gc


def places(graph: gc.Graph) -> set[str]:
    """The lines of a graph's ops, as numbers relative to nothing: "line, owner"."""
    return {t.location.place.rpartition(":")[2] for t in graph.tensors if t.op.name not in ("placeholder", "const")}


def line() -> int:
    return gc.location.caller().line


def test_a_layer_that_the_library_calls_has_the_line_where_it_was_made():
    hidden, hidden_line = gc.nn.Dense(4, "relu", name="hidden"), line()
    out, out_line = gc.nn.Dense(1, name="out"), line()
    model = gc.Sequential([hidden, out])
    model.compile("sgd", loss="mse", backend="numpy"); compiled = line()  # fmt: skip # noqa: E702
    model.train_on_batch(np.ones((2, 3)), np.ones(2))
    assert places(model.step.graph) == {
        f"{hidden_line}, hidden", f"{out_line}, out", f"{compiled}, loss", f"{compiled}, optimizer",
        str(compiled),  # the learning rate
    }  # fmt: skip


def test_a_layer_that_the_user_calls_has_the_line_of_the_call():
    dense = gc.nn.Dense(1, name="dense")
    x = gc.nn.Input((3,), name="x")
    y, called = dense(x), line()
    assert places(gc.function([x], y, backend="numpy").graph) == {f"{called}, dense"}
    assert y.location.function == "test_a_layer_that_the_user_calls_has_the_line_of_the_call"


def test_lines_of_the_users_own_layer_are_kept():
    class Twice(gc.nn.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.inner = gc.nn.Dense(2, name="inner")

        def call(self, x):
            y = self.inner(x); Twice.inside = line()  # fmt: skip # noqa: E702
            return y + y

    model = gc.Sequential([Twice(name="twice")])
    y = model(gc.nn.Input((3,)))
    assert y.location.place.endswith(f":{Twice.inside + 1}, twice")
    assert y.inputs[0].location.place.endswith(f":{Twice.inside}, inner")


def test_an_error_names_the_layer_and_its_line():
    hidden, made = gc.nn.Dense(4, name="hidden"), line()
    model = gc.Sequential([hidden])
    model(gc.nn.Input((3,)))
    try:
        model.layers[0].again = model.call(gc.nn.Input((5,)))
    except gc.ShapeError as error:
        assert error.location.line == made
        assert f":{made} in test_an_error_names_the_layer_and_its_line (hidden)" in str(error)
    else:
        raise AssertionError("a misfit is an error")


def test_gradients_keep_the_line_and_the_name():
    x, w = gc.nn.Input((3,), name="x"), gc.nn.Dense(1, name="w")
    y, called = w(x), line()
    (slope,) = gc.grad(gc.sum(y), [w.parameters["w.weight"]])
    assert slope.location.place.endswith(f":{called}, w")
    assert "grad of matmul" in str(slope.location)


def test_threads_that_call_a_layer_first_build_it_once():
    made = []

    class Slow(gc.nn.Dense):
        def build(self, x):
            made.append(threading.get_ident())
            barrier_passed.wait(0.2)
            super().build(x)

    barrier_passed = threading.Event()
    layer, x, results = Slow(2, name="slow"), gc.nn.Input((3,)), []
    threads = [threading.Thread(target=lambda: results.append(layer(x))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(results) == 4
