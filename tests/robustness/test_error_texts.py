"""The texts of errors at calls, in full: golden files, alike on both backends.

`GRAPHC_UPDATE=1 pytest tests/robustness/test_error_texts.py` rewrites them; review the difference.
"""

import os
import re
from pathlib import Path

import numpy as np
import pytest

import graphc as gc
from graphc.errors import GraphcError

GOLDEN = Path(__file__).parent / "golden"
UPDATE = bool(os.environ.get("GRAPHC_UPDATE"))


def classifier(backend):
    images = gc.placeholder(("batch", 4), "float32", name="images")
    labels = gc.placeholder(("batch",), "int64", name="labels")
    table = gc.variable(np.ones((4, 3), np.float32), name="table")
    scores = images @ table
    chosen = gc.take_along_axis(scores, gc.expand_dims(labels, 1), axis=1)
    return gc.function([images, labels], chosen, backend=backend, name="classify")


X = np.zeros((2, 4), np.float32)
T = np.zeros(2, np.int64)


def bad_index(backend):
    classifier(backend)(X, np.array([0, 7]))


def wrong_extent(backend):
    classifier(backend)(np.zeros((2, 5), np.float32), T)


def sizes_that_differ(backend):
    classifier(backend)(X, np.zeros(3, np.int64))


def wrong_rank(backend):
    classifier(backend)(np.zeros(4, np.float32), T)


def wrong_dtype(backend):
    classifier(backend)(X.astype(np.float64), T)


def float_for_integer(backend):
    classifier(backend)(X, T.astype(np.float32))


def misspelt_name(backend):
    classifier(backend)(images=X, lables=T)


def missing_input(backend):
    classifier(backend)(X)


def too_many_inputs(backend):
    classifier(backend)(X, T, T)


def given_twice(backend):
    classifier(backend)(X, T, images=X)


def not_an_array(backend):
    classifier(backend)([[1.0, 2.0], [3.0]], T)


def symbolic_tensor(backend):
    classifier(backend)(gc.placeholder((2, 4), name="other"), T)


def objects(backend):
    classifier(backend)(np.array([[None] * 4], object), T)


def integer_out_of_range(backend):
    x = gc.placeholder((None,), "int8", name="bytes")
    gc.function([x], x, backend=backend)([1, 300])


def constraint(backend):
    x, y = gc.placeholder(("n",), name="x"), gc.placeholder(("m",), name="y")
    gc.function([x, y], x + y, backend=backend)(np.zeros(2, np.float32), np.zeros(3, np.float32))


def no_elements_to_choose_from(backend):
    x = gc.placeholder(("n",), name="x")
    gc.function([x], gc.max(x), backend=backend)(np.zeros(0, np.float32))


def assertion(backend):
    x = gc.placeholder(("n",), name="x")
    gc.function([x], gc.sqrt(gc.assert_(x, x >= 0, "x must not be negative")), backend=backend)(np.float32([1, -1]))


def not_finite(backend):
    x = gc.placeholder(("n",), name="x")
    gc.function([x], gc.check_finite(gc.log(x), "loss"), backend=backend)(np.float32([1, 0]))


def gather_in_two_axes(backend):
    x, i = gc.placeholder((3, 4), name="x"), gc.placeholder((), "int32", name="i")
    gc.function([x, i], gc.gather(x, i, i), backend=backend)(np.zeros((3, 4), np.float32), np.int32(3))


def scatter(backend):
    x, i = gc.placeholder((3,), name="x"), gc.placeholder(("k",), "int64", name="i")
    gc.function([x, i], x.at[i].add(1.0), backend=backend)(np.zeros(3, np.float32), np.array([0, -4]))


CASES = (bad_index, wrong_extent, sizes_that_differ, wrong_rank, wrong_dtype, float_for_integer, misspelt_name,
         missing_input, too_many_inputs, given_twice, not_an_array, symbolic_tensor, objects, integer_out_of_range,
         constraint, no_elements_to_choose_from, assertion, not_finite, gather_in_two_axes, scatter)  # fmt: skip


def text_of(case, backend):
    """The error's type and text, with line numbers replaced, so that editing this file changes nothing."""
    with pytest.raises(GraphcError) as caught:
        case(backend)
    text = f"{type(caught.value).__name__}: {caught.value}\n"
    text = re.sub(r"\S*test_error_texts\.py:\d+", "test_error_texts.py:LINE", text)
    text = re.sub(r"\b([a-z]+_\d+)'\d+", r"\1'N", text)  # fresh symbols
    return re.sub(r"^ *\d+ \|", "   LINE |", text, flags=re.MULTILINE)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.__name__)
def test_error_text(case):
    texts = {backend: text_of(case, backend) for backend in ("numpy", "llvm")}
    assert texts["llvm"] == texts["numpy"], "the backends do not agree"
    path = GOLDEN / f"{case.__name__}.txt"
    if UPDATE:
        path.write_text(texts["numpy"], encoding="utf-8")
    assert texts["numpy"] == path.read_text(encoding="utf-8")


def test_no_golden_file_is_left_over():
    assert {p.stem for p in GOLDEN.glob("*.txt")} == {case.__name__ for case in CASES}


def test_texts_name_no_internals():
    for path in GOLDEN.glob("*.txt"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\b(kernel|buffer|cluster|Trait|frame)\b|0x|Traceback", text), path.name
