"""gc.substitute: other tensors in an expression, with the sizes that they bring."""

import numpy as np
import pytest

import graphc as gc


def test_sizes_follow_the_replacement_in_types_and_attributes():
    x = gc.placeholder(("n", 3), "float64", name="x")
    y = gc.placeholder(("m", 3), "float64", name="y")
    mean, ones = gc.substitute([gc.mean(x, axis=0), gc.ones((x.shape[0],), "float64")], {x: y})
    assert [str(s) for s in ones.shape] == ["m"]
    f = gc.function([y], [mean, ones], backend="numpy")
    value, one = f(np.arange(12.0).reshape(4, 3))
    assert value.tolist() == [4.5, 5.5, 6.5] and one.shape == (4,)


def test_a_size_that_another_placeholder_brings_stays():
    x, t = (gc.placeholder(("n",), "float64", name=name) for name in "xt")
    z = gc.placeholder(("k",), "float64", name="z")
    (total,) = gc.substitute([gc.sum(x - t)], {x: z})
    f = gc.function([z, t], total, backend="numpy")
    assert f([3.0, 4.0], [1.0, 1.0]) == 5.0
    with pytest.raises(gc.ShapeError):
        f([3.0], [1.0, 1.0])


def test_the_walk_does_not_enter_what_is_replaced():
    deep = gc.placeholder((), "float64", name="x")
    for _ in range(30_000):
        deep = -deep
    y = gc.constant(2.0)
    result = deep
    for _ in range(300):  # would take a minute if each walked to the bottom
        (result,) = gc.substitute([deep + 1.0], {deep: y})
    assert result.inputs[0] is y


@pytest.mark.parametrize(
    ("outputs", "replacements", "text"),
    [
        (gc.constant(1.0), {}, "outputs must be a list of tensors"),
        ([gc.constant(1.0)], {gc.constant(1.0): 2.0}, "replacements must be a dict from tensor to tensor"),
        ([gc.constant(1.0)], {gc.constant(1.0): gc.constant(1)}, "its replacement i64"),
    ],
)
def test_wrong_arguments(outputs, replacements, text):
    with pytest.raises(gc.ArgumentError, match=text):
        gc.substitute(outputs, replacements)
