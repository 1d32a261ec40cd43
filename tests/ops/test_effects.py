"""print, assert and check_finite: identities that speak up."""

import numpy as np
import pytest
from running import check_gradient, run, same

import graphc as gc
from graphc.errors import ArgumentError, CheckError, DTypeError


def test_print_prints_and_passes(capsys):
    x = gc.placeholder(("n",), "int32", name="x")
    same(run(gc.print(x, "x is") + 1, {x: [1, 2]}), np.int32([2, 3]))
    same(run(gc.print(x), {x: []}), np.int32([]))
    assert capsys.readouterr().out == "x is [1 2]\n[]\n"


def test_assert_names_its_message_and_the_line():
    x = gc.placeholder((3,), name="x")
    y = gc.assert_(x, x > 0, "x must be positive")
    same(run(y, {x: [1, 2, 3]}), np.float32([1, 2, 3]))
    with pytest.raises(CheckError, match="assert: x must be positive") as caught:
        run(y, {x: [1, 0, -1]})
    assert 'gc.assert_(x, x > 0, "x must be positive")' in str(caught.value)
    with pytest.raises(CheckError, match=r"the condition does not hold at \[1\], in 2 of 3 elements"):
        run(gc.assert_(x, x > 0), {x: [1, 0, -1]})


def test_check_finite():
    x = gc.placeholder(("n", 2), name="x")
    y = gc.check_finite(x, "logits")
    same(run(y, {x: np.ones((0, 2))}), np.ones((0, 2), "float32"))
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(CheckError, match=rf"logits: found {bad} at \[1, 0\], in 1 of 4 elements"):
            run(y, {x: [[1, 2], [bad, 4]]})
    with pytest.raises(CheckError, match="check_finite: found nan\n"):
        run(gc.check_finite(gc.sum(x)), {x: [[np.nan, 1]]})


def test_refusals():
    x = gc.placeholder((3,), name="x")
    with pytest.raises(DTypeError, match="condition must be bool"):
        gc.assert_(x, x)
    with pytest.raises(DTypeError, match="infinities"):
        gc.check_finite(gc.arange(3))
    for function in (gc.print, gc.check_finite, lambda x, m: gc.assert_(x, x > 0, m)):
        with pytest.raises(ArgumentError, match="message must be a string"):
            function(x, 3)


def test_gradients_pass_through():
    array = np.array([0.5, 1.5])
    check_gradient(lambda x: gc.assert_(x * x, x > 0), array)
    check_gradient(lambda x: gc.check_finite(x * x), array)
    check_gradient(lambda x: gc.print(x * x), array, order=1)
