"""`gc.Session`: TensorFlow 1.x manner; fetches, feeds, assignments, the cache of functions."""

import numpy as np
import pytest

import graphc as gc
from graphc.errors import ArgumentError, DTypeError, FeedError, GraphError, ShapeError


@pytest.fixture(params=["numpy", "llvm"])
def session(request):
    with gc.Session(backend=request.param) as session:
        yield session


X = gc.placeholder(("n",), "float64", name="x")
Y = X * 2.0


def test_nested_fetches(session):
    assert session.run(Y, {X: [1, 2]}).tolist() == [2, 4]
    found = session.run({"y": Y, "list": [gc.sum(Y), (X,)], "none": None}, feed_dict={X: [1.0, 2.0]})
    assert found["list"][0] == 6 and found["list"][1][0].tolist() == [1, 2] and found["none"] is None
    assert session.run([]) == [] and session.run(gc.constant(3)) == 3


def test_any_tensor_may_be_fed(session):
    assert session.run(gc.sum(Y), {Y: [5.0, 6.0]}) == 11
    joined = gc.concat([Y, Y])
    assert session.run(gc.sum(joined), {joined: [1.0, 2.0, 3.0]}) == 6
    w = gc.variable([1.0, 1.0], name="w")
    assert session.run(w * 3.0, {w: [2.0, 3.0]}).tolist() == [6, 9] and w.value.tolist() == [1, 1]
    assert session.run(Y, {Y: [7.0]}).tolist() == [7]


def test_assignments_read_before_they_write(session):
    a, b = gc.variable([1.0], name="a"), gc.variable([2.0], name="b")
    both = [gc.assign(a, b), gc.assign(b, a), a, b]
    assert [v.item() for v in session.run(both)] == [2, 1, 1, 2]
    assert (a.value, b.value) == ([2], [1])
    assert session.run([a, b])[0] == 2 and session.run(both)[0] == 1


def test_an_assignment_inside_an_expression(session):
    w = gc.variable([1.0], name="w")
    doubled = gc.assign(w, w * 2.0) + 10.0
    assert session.run(doubled) == 12 and w.value == 2
    outer = gc.assign(w, gc.assign(v := gc.variable([0.0], name="v"), w + 1.0) * 2.0)
    assert session.run(outer) == 6 and (w.value, v.value) == (6, 3)
    assert session.run([gc.assign_add(w, 1.0), gc.assign_sub(v, [1.0])])[0] == 7 and v.value == 2


def test_what_is_not_fetched_is_not_stored(session):
    w = gc.variable([1.0], name="w")
    gc.assign(w, [5.0])
    session.run(w + 1.0)
    assert w.value == 1


def test_a_run_that_fails_stores_nothing(session):
    w, i = gc.variable([1.0, 2.0], name="w"), gc.placeholder((), "int64", name="i")
    with pytest.raises(gc.IndexOutOfBoundsError):
        session.run([gc.assign(w, w + 1.0), gc.take(w, i)], {i: 5})
    assert w.value.tolist() == [1, 2]


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda w: gc.assign(w, 5), ShapeError, "assign: .*differ in rank"),
        (lambda w: gc.assign(w, [1, 2, 3]), ShapeError, "differ in shape"),
        (lambda w: gc.assign(w, gc.constant([0.5, 0.5])), DTypeError, "differ in dtype"),
        (lambda w: gc.assign(w, [0.5, 0.5]), DTypeError, "assign to 'w': int8 cannot take values of float64"),
        (lambda w: gc.assign(w, [1, 300]), DTypeError, "cannot hold 300"),
        (lambda w: gc.assign(w + 1, w), ArgumentError, "must be a variable"),
        (lambda w: gc.Session().run([gc.assign(w, w + 1), gc.assign(w, w)]), GraphError, "'w' is assigned twice"),
    ],
)
def test_wrong_assignments(make, error, words):
    with pytest.raises(error, match=words) as caught:
        make(gc.variable(np.zeros(2, "i1"), name="w"))
    assert caught.value.location.file == __file__


def test_wrong_feeds(session):
    with pytest.raises(GraphError, match=r"placeholder 'x' .* is needed") as caught:
        session.run(Y)
    assert "feed it" in caught.value.hint
    with pytest.raises(FeedError, match="feed_dict: a key must be a tensor, not str"):
        session.run(Y, {"x": [1.0]})
    with pytest.raises(FeedError, match="feed_dict: expected a dict, not list"):
        session.run(Y, [1.0])
    with pytest.raises(FeedError, match="x: a symbolic tensor was fed"):
        session.run(Y, {X: Y})
    with pytest.raises(ArgumentError, match="run: an output must be a tensor"):
        session.run("y", {X: [1.0]})


def test_functions_are_compiled_once(session):
    a, b = gc.placeholder(("n",), "float64", name="a"), gc.placeholder(("n",), "float64", name="b")
    difference = a - b
    f = session.compiled(difference, [a, b])
    for n in range(4):
        assert session.run(difference, {a: np.ones(n), b: np.zeros(n)}).tolist() == [1] * n
        assert session.run([difference], {b: np.zeros(n), a: np.ones(n)})[0].tolist() == [1] * n
    assert session.compiled([difference], [b, a]) is f and f.compilations == 1
    assert len(session._functions) == 1
    assert session.run(difference, {a: [1.0], b: [0.0], X: [9.0]}) == 1 and len(session._functions) == 2


def test_a_closed_session():
    session = gc.Session(backend="numpy")
    with session as same:
        assert same is session and same.run(Y, {X: [1.0]}) == 2
    for _ in range(2):
        with pytest.raises(GraphError, match="the session is closed"):
            session.run(Y, {X: [1.0]})
        session.close()


def test_the_session_closes_after_an_error():
    with pytest.raises(ZeroDivisionError), gc.Session(backend="numpy") as session:
        raise ZeroDivisionError
    with pytest.raises(GraphError):
        session.run(Y, {X: [1.0]})


def test_sessions_share_variables_and_the_default_backend(monkeypatch):
    w = gc.variable([1.0], name="w")
    monkeypatch.setenv("GRAPHC_BACKEND", "numpy")
    with gc.Session() as one, gc.Session(backend="llvm") as other:
        one.run(gc.assign(w, w + 1.0))
        assert other.run(w) == 2
        assert one.compiled(w, []).backend == "numpy" and other.compiled(w, []).backend == "llvm"
