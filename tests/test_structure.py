"""Nested outputs: flattened left to right, and filled again in the same shape."""

from collections import OrderedDict, namedtuple

import pytest

import graphc as gc
from graphc.errors import ArgumentError
from graphc.structure import flatten, unflatten

A, B, C = (gc.placeholder((2,), name=n) for n in "abc")
Pair = namedtuple("Pair", "left right")


@pytest.mark.parametrize(
    "structure, leaves",
    [
        (A, [A]), (None, []), ([], []), ((), []), ({}, []), ([A, B], [A, B]), ((A,), [A]), ({"x": A, "y": B}, [A, B]),
        ([A, (B, {"k": [C, A]}), None], [A, B, C, A]), (Pair(A, [B]), [A, B]), ({1: (), 2: {3: A}}, [A]),
    ],
)  # fmt: skip
def test_round_trip(structure, leaves):
    found = flatten(structure)
    assert found == leaves
    again = unflatten(structure, found)
    assert again == structure and type(again) is type(structure)
    assert structure is A or not structure or again is not structure or isinstance(structure, tuple)


def test_keys_keep_their_order():
    assert flatten(OrderedDict([("z", A), ("a", B)])) == [A, B]
    assert list(unflatten({"z": A, "a": B}, [1, 2]).items()) == [("z", 1), ("a", 2)]


@pytest.mark.parametrize("wrong", [1, "x", [A, 2.0], {"k": {A}}, (A, ("b",)), iter([A])])
def test_what_is_no_tensor(wrong):
    with pytest.raises(ArgumentError, match=r"^run: an output must be a tensor, or a list, tuple or dict of them"):
        flatten(wrong, "run")
