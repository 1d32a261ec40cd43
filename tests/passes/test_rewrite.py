"""The rule driver: fixed point, types, lines, effects, and what it does with broken rules."""

import time
from collections import Counter

import numpy as np
import pytest
from checking import canonical, check, graph, same_values

from graphc.errors import ArgumentError, PassError
from graphc.ir.opdef import Trait
from graphc.passes.patterns import make, scalar
from graphc.passes.rewrite import Family


def family(*rules, fast=()):
    made = Family("test")
    for ops, function in rules:
        made(*ops, fast_math=function in fast)(function)
    return made


def run(rules, fast_math=False, fired=None):
    fired = Counter() if fired is None else fired
    return lambda given: rules.run(given, fast_math=fast_math, fired=fired)


def twice(t):
    """--x -> x"""
    (x,) = t.inputs
    return x.inputs[0] if x.op.name == "negative" else None


def double(t):
    """x + x -> x * 2"""
    x, y = t.inputs
    return make("multiply", x, scalar(2, t.dtype)) if x is y else None


def sine(t):
    """cos(x) -> sin(-(-x)), which is wrong, but shows that made tensors are rewritten too"""
    return make("sin", make("negative", make("negative", t.inputs[0])))


def test_rules_run_to_a_fixed_point():
    fired = Counter()
    body = "\n".join(["%0 = negative %x : f32[n]"] + [f"%{i} = negative %{i - 1} : f32[n]" for i in range(1, 7)])
    check(run(family((["negative"], twice)), fired=fired), "%x: f32[n]", body, "%0 = negative %x : f32[n]")
    assert fired == {"test.twice": 3}


def test_what_a_rule_makes_is_rewritten_too():
    rules = family((["negative"], twice), (["cos"], sine))
    found = run(rules)(graph("%x: f32[n]", "%0 = cos %x : f32[n]"))
    assert canonical(found) == canonical(graph("%x: f32[n]", "%0 = sin %x : f32[n]"))


def test_a_rule_for_a_trait_is_asked_about_all_ops_that_have_it():
    asked = []

    def note(t):
        asked.append(t.op.name)

    run(family(([Trait.ELEMENTWISE], note)))(
        graph("%x: f32[n]", "%0 = sin %x : f32[n]\n%1 = reshape %0 {shape=(n, 1)} : f32[n,1]\n%2 = exp %1 : f32[n,1]")
    )
    assert asked == ["sin", "exp"]


def test_fast_math_rules_need_leave():
    rules = family((["add"], double), fast=(double,))
    given = graph("%x: f32[n]", "%0 = add %x, %x : f32[n]")
    assert canonical(run(rules)(given)) == canonical(given)
    assert "multiply" in canonical(run(rules, fast_math=True)(given))


def test_lines_and_names_are_inherited():
    given = graph("%x: f32[n]", "%h = add %x, %x : f32[n]  # model.py:12")
    output = run(family((["add"], double)))(given).outputs[0]
    assert str(output.location) == "model.py:12, via test.double"
    assert output.hint == "h"


def test_a_users_name_does_not_replace_another():
    given = graph("%x: f32[n]", "%a = negative %x : f32[n]\n%b = negative %a : f32[n]\n%c = exp %b : f32[n]")
    assert run(family((["negative"], twice)))(given).outputs[0].inputs[0] is given.inputs[0]


# Effects


PRINTED = """
    %0 = print %x {message=""} : i32[n]
    %1 = subtract %0, %0 : i32[n]
    """


def zero(t):
    """x - x -> 0, of integers"""
    x, y = t.inputs
    if x is not y:
        return None
    return make("broadcast_to", scalar(0, t.dtype), shape=t.shape)


def test_an_operand_with_an_effect_is_not_lost():
    given = graph("%x: i32[n]", PRINTED)
    assert canonical(run(family((["subtract"], zero)))(given)) == canonical(given)


def test_an_operand_that_may_fail_is_not_lost_from_further_up():
    body = """
        %0 = take %x, %i {axis=0} : i32[m]
        %1 = negative %0 : i32[m]
        %2 = subtract %1, %1 : i32[m]
        """
    given = graph("%x: i32[n], %i: i64[m]", body)
    assert canonical(run(family((["subtract"], zero)))(given)) == canonical(given)


def test_an_effect_that_stays_is_no_obstacle():
    def negative_sum(t):
        """x + x -> -(-x - x): keeps x"""
        x, y = t.inputs
        return make("multiply", x, scalar(2, t.dtype)) if x is y else None

    given = graph("%x: i32[n]", PRINTED.replace("subtract", "add"))
    assert "multiply" in canonical(run(family((["add"], negative_sum)))(given))


# Broken rules


def wrong_shape(t):
    """sin(x) -> sum(sin(x)): another type"""
    return make("sum", t, axis=(0,), keepdims=False)


def raises(t):
    """sin(x) -> nothing good"""
    return t.inputs[7]


def no_tensor(t):
    """sin(x) -> a text"""
    return "sin"


def inside_itself(t):
    """sin(x) -> exp(sin(x)): contains what it replaces"""
    return make("exp", t)


def grows(t):
    """sin(x) -> sin(-x), and so on"""
    return make("sin", make("negative", t.inputs[0]))


def refused(t):
    """sin(x) -> x @ x: refused by the type rule"""
    return make("matmul", t.inputs[0], t.inputs[0])


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (wrong_shape, r"rule test.wrong_shape gave sum : f32\[\], another type, at 'h' = sin : f32\[n\]"),
        (raises, r"rule test.raises failed: IndexError: .*, at 'h' = sin : f32\[n\]"),
        (no_tensor, "rule test.no_tensor gave a str, not a tensor"),
        (inside_itself, "rule test.inside_itself gave a tensor that needs the very one it replaces, 'h'"),
        (grows, "rules undo each other: test.grows, at 'h'"),
        (refused, "rule test.refused failed: .*, at 'h'"),
    ],
)
def test_a_broken_rule_is_named_with_the_tensor_and_the_users_line(rule, message):
    given = graph("%x: f32[n]", "%h = sin %x : f32[n]  # model.py:12")
    with pytest.raises(PassError, match=message) as caught:
        run(family((["sin"], rule)))(given)
    assert caught.value.location.file == "model.py" and caught.value.location.line == 12


def test_rules_that_undo_each_other_are_named():
    def to_sub(t):
        """x + y -> x - (-y)"""
        return make("subtract", t.inputs[0], make("negative", t.inputs[1]))

    def to_add(t):
        """x - y -> x + (-y)"""
        return make("add", t.inputs[0], make("negative", t.inputs[1]))

    with pytest.raises(PassError, match=r"rules undo each other: test.to_add, test.to_sub"):
        run(family((["add"], to_sub), (["subtract"], to_add)))(graph("%x: f32[n]", "%0 = add %x, %x : f32[n]"))


def test_names_are_unique_in_a_family():
    rules = family((["negative"], twice))
    with pytest.raises(ArgumentError, match="already has a rule named 'twice'"):
        rules("negative")(twice)


# Size


def test_a_long_chain_takes_linear_time_and_no_recursion():
    def seconds_per_op(length):
        lines = ["%0 = negative %x : f32[n]", *(f"%{i} = negative %{i - 1} : f32[n]" for i in range(1, length))]
        given = graph("%x: f32[n]", "\n".join(lines))
        assert len(given.tensors) == length + 1
        start = time.process_time()
        found = run(family((["negative"], twice)))(given)
        assert found.outputs[0] is found.inputs[0]
        return (time.process_time() - start) / length

    ratios = []
    for _ in range(3):
        ratios.append(seconds_per_op(50_000) / min(seconds_per_op(1000) for _ in range(3)))
        if ratios[-1] < 2:
            break
    assert min(ratios) < 3, ratios


def test_the_example_values_agree():
    given = graph("%x: f32[n]", "%0 = add %x, %x : f32[n]")
    same_values(given, run(family((["add"], double)))(given))
    assert np.float32(2) == 2
