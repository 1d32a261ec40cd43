import pytest
from checking import graph, optimised

from graphc.errors import ArgumentError
from graphc.passes.pipeline import (
    MUST_PRECEDE,
    PIPELINE,
    Pass,
    check_order,
    current_pipeline,
    pass_named,
    register_pass,
)


def names():
    return [entry.name for entry in current_pipeline()]


def nothing(given):
    return given


def test_the_table():
    first = "unify join prune stabilize decompose layout fold hoist batch defer sink"
    assert " ".join(names()) == first + " simplify cse fuse"
    assert [entry.name for entry in PIPELINE if entry.required] == ["unify", "decompose"]


@pytest.mark.parametrize(("first", "second", "reason"), MUST_PRECEDE)
def test_every_constraint_names_passes_gives_a_reason_and_is_checked(first, second, reason):
    assert {first, second} <= set(names()) and len(reason) > 10
    swapped = [pass_named({first: second, second: first}.get(name, name)) for name in names()]
    with pytest.raises(ArgumentError, match="must come before"):
        check_order(swapped)


def test_names_are_unique():
    with pytest.raises(ArgumentError, match="two passes named 'cse'"):
        check_order([*PIPELINE, pass_named("cse")])


def test_a_misspelt_name_answers_with_the_nearest():
    with pytest.raises(ArgumentError, match="there is no pass 'fues'") as caught:
        pass_named("fues")
    assert "did you mean 'fuse'?" in str(caught.value)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({}, ["cse", "mine", "fuse"]),
        ({"after": "cse"}, ["cse", "mine", "fuse"]),
        ({"before": "prune"}, ["join", "mine", "prune"]),
        ({"after": "unify", "before": "stabilize"}, ["unify", "mine", "join"]),
        ({"after": "fuse"}, ["cse", "fuse", "mine"]),
    ],
)
def test_a_users_pass_stands_where_it_was_put(place, expected):
    before = names()
    with register_pass("mine", nothing, **place):
        at = names().index("mine")
        assert expected == [name for name in names()[max(at - 2, 0) : at + 2] if name in expected]
    assert names() == before


def test_a_users_pass_runs_in_every_function():
    seen = []

    def spy(given):
        seen.append(given.name)
        return given

    with register_pass("spy", spy, after="fold"):
        trace = optimised(graph("%x: f32[n]", "%0 = exp %x : f32[n]"))
    assert "f" in seen and "spy" in [stage.name for stage in trace.stages]


def test_wrong_places_are_refused():
    with pytest.raises(ArgumentError, match="cse does not come before fold"):
        register_pass("mine", nothing, after="cse", before="fold")
    with pytest.raises(ArgumentError, match="there is no pass 'sce'"):
        register_pass("mine", nothing, after="sce")
    with pytest.raises(ArgumentError, match="a pass named 'cse' already"):
        register_pass("cse", nothing)


def test_a_registration_is_removed_once():
    added = register_pass("mine", nothing)
    added.remove()
    added.remove()
    assert "mine" not in names()


def test_a_pass_is_data():
    assert Pass("mine", nothing).takes == () and not Pass("mine", nothing).required
