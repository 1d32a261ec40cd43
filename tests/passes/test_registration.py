import pytest
from checking import canonical, graph, optimised

from graphc.errors import ArgumentError, PassError
from graphc.passes import register_rule
from graphc.passes.patterns import make
from graphc.passes.rewrite import simplify


def sin_of_negative(t):
    """sin(-x) -> -sin(x)"""
    (x,) = t.inputs
    return make("negative", make("sin", x.inputs[0])) if x.op.name == "negative" else None


GIVEN = ("%x: f32[n]", "%0 = negative %x : f32[n]\n%1 = sin %0 : f32[n]")


def test_a_users_rule_runs_until_it_is_removed():
    with register_rule(sin_of_negative, "sin") as added:
        assert added.name == "simplify.sin_of_negative"
        trace = optimised(graph(*GIVEN), skip={"fuse"})
        assert trace.fired["simplify.sin_of_negative"] == 1
        assert trace.graph.outputs[0].op.name == "negative"
    assert optimised(graph(*GIVEN), skip={"fuse"}).graph.outputs[0].op.name == "sin"
    assert all(rule.name != "sin_of_negative" for rule in simplify.rules)


def test_a_fast_rule_needs_leave():
    with register_rule(sin_of_negative, "sin", fast_math=True):
        assert not optimised(graph(*GIVEN)).fired
        assert optimised(graph(*GIVEN), fast_math=True).fired


def test_a_wrong_rule_of_a_user_is_caught_by_the_value_check():
    def sin_is_odd_they_say(t):
        """sin(-x) -> sin(x)"""
        (x,) = t.inputs
        return make("sin", x.inputs[0]) if x.op.name == "negative" else None

    with register_rule(sin_is_odd_they_say, "sin"), pytest.raises(PassError, match="pass simplify: output 0"):
        optimised(graph(*GIVEN))


def test_what_cannot_be_registered():
    with pytest.raises(ArgumentError, match="no family 'simplfy'") as caught:
        register_rule(sin_of_negative, "sin", family="simplfy")
    assert "did you mean 'simplify'?" in str(caught.value)
    with pytest.raises(ArgumentError, match="name at least one op"):
        register_rule(sin_of_negative)
    with pytest.raises(ArgumentError, match="no op named 'sine'"):
        register_rule(sin_of_negative, "sine")
    with register_rule(sin_of_negative, "sin"), pytest.raises(ArgumentError, match="already has a rule named"):
        register_rule(sin_of_negative, "sin")
    assert "sin" in canonical(graph(*GIVEN))
