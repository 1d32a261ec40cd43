"""Every registered rule: it says what it does, and fires on its own example in the whole pipeline."""

import pytest
from checking import graph, optimised, rules_of

from graphc.ir.opdef import OPS, Trait
from graphc.ir.parse import parse
from graphc.ir.text import print_graph
from graphc.passes import fast_math, stabilize
from graphc.passes.rewrite import FAMILIES, Rule, all_rules
from graphc.passes.simplify import RULE_MODULES
from graphc.passes.value_check import compare_values

RULES = list(all_rules())


def every(test):
    return pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.full_name)(test)


@every
def test_it_states_its_algebra(rule: Rule):
    assert "->" in rule.algebra and len(rule.algebra) < 120


@every
def test_it_names_ops_that_exist(rule: Rule):
    assert all(isinstance(op, Trait) or op in OPS for op in rule.ops)


@every
def test_it_fires_on_its_example_in_the_whole_pipeline(rule: Rule):
    assert rule.example is not None
    trace = optimised(parse(rule.example), fast_math=rule.fast_math, check=2 if rule.fast_math else 3)
    assert trace.fired[rule.full_name]


@every
def test_the_example_has_the_same_values_after_the_rule_alone(rule: Rule):
    given = parse(rule.example)
    found = rules_of(FAMILIES[rule.family], fast_math=rule.fast_math)(given)
    assert print_graph(found) != print_graph(given)
    if not rule.fast_math:
        values = "same" if rule.family == "simplify" else "better"
        for seed in range(6):
            assert compare_values(given, found, values, seed) is None


@pytest.mark.parametrize("rule", FAMILIES["simplify"].rules, ids=lambda rule: rule.full_name)
def test_it_is_no_worse(rule: Rule):
    given = parse(rule.example)
    found = rules_of(FAMILIES[rule.family], fast_math=rule.fast_math)(given)
    assert cost(found) <= cost(given)


#: Rough work per element; other ops count 1.
WORK = {
    "const": 0, "reshape": 0, "broadcast_to": 0, "slice": 0, "placeholder": 0,
    "exp": 8, "log": 8, "softplus": 16, "divide": 3, "pow": 20, "matmul": 2,
}  # fmt: skip


def cost(of):
    return sum(WORK.get(t.op.name, 1) for t in of.tensors)


def test_rules_that_change_values_are_in_fast_math():
    for rule in RULES:
        assert rule.fast_math == (rule.function.__module__ == fast_math.__name__)


def test_rules_are_in_the_modules_that_the_passes_import():
    homes = {module.__name__ for module in (*RULE_MODULES, stabilize)}
    assert {rule.function.__module__ for rule in RULES} <= homes


@pytest.mark.parametrize(
    "body",
    [
        "%0 = const {value=0.0} : f32[]\n%1 = add %x, %0 : f32[n]",  # -0.0 + 0.0 is 0.0
        "%0 = const {value=-0.0} : f32[]\n%1 = subtract %x, %0 : f32[n]",
        "%0 = const {value=0.0} : f32[]\n%1 = subtract %0, %x : f32[n]",
        "%0 = const {value=0.0} : f32[]\n%1 = multiply %x, %0 : f32[n]",  # inf * 0.0 is NaN
        "%0 = subtract %x, %x : f32[n]",  # inf - inf is NaN
        "%0 = divide %x, %x : f32[n]",
        "%0 = const {value=3.0} : f32[]\n%1 = divide %x, %0 : f32[n]",  # 1/3 is rounded
        "%0 = const {value=1e-40} : f32[]\n%1 = divide %x, %0 : f32[n]",  # 1/1e-40 overflows
        "%0 = less %x, %x : bool[n]\n%1 = logical_not %0 : bool[n]\n%2 = equal %x, %x : bool[n]",
        "%0 = const {value=3.0} : f32[]\n%1 = pow %x, %0 : f32[n]",
        "%0 = log %x : f32[n]\n%1 = exp %0 : f32[n]",
        "%0 = multiply %x, %x : f32[n]\n%1 = sqrt %0 : f32[n]",
        "%0 = cast %x {dtype=i32} : i32[n]\n%1 = cast %0 {dtype=f32} : f32[n]",
        "%0 = subtract %x, %x : f32[n]\n%1 = negative %0 : f32[n]",
    ],
)
def test_what_is_true_of_numbers_but_not_of_floats_is_left_alone(body):
    given = graph("%x: f32[n]", body)
    found = rules_of(FAMILIES["simplify"])(given)
    assert print_graph(found) == print_graph(given)
