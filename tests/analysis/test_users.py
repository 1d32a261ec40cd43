import numpy as np

import graphc as gc
from graphc.analysis import users as module
from graphc.analysis.users import users
from graphc.ir.close import close


def graph():
    x = gc.placeholder((3,), name="x")
    y = x * x
    z = y + x
    w = gc.variable(np.zeros(3, "float32"), name="w")
    return close("f", [x, gc.placeholder((2,), name="unused")], [z, y], [(w, z - w)]), x, y, z, w


def test_users_are_in_graph_order_and_listed_once():
    f, x, y, z, w = graph()
    found = users(f)
    (new_value,) = (value for _, value in f.updates)
    assert found[x] == [y, z]
    assert found[y] == [z]
    assert found[z] == [new_value]
    assert found[w] == [new_value]
    assert found[new_value] == []


def test_every_tensor_has_an_entry():
    f, *_ = graph()
    found = users(f)
    assert set(found) == set(f.tensors)
    assert all(t in user.inputs for t, using in found.items() for user in using)
    assert sum(map(len, found.values())) == sum(len(set(t.inputs)) for t in f.tensors)


def test_a_user_that_is_listed_twice_is_caught(monkeypatch):
    monkeypatch.setattr(module, "dict", FakeDict, raising=False)
    f, x, y, *_ = graph()
    assert users(f)[x] != [y, users(f)[x][-1]]


class FakeDict:
    """Plants a bug: operands are not made unique."""

    fromkeys = staticmethod(lambda items: items)
