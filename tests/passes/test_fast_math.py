"""Rules for real numbers: right on ordinary values, and off by default."""

import pytest
from checking import canonical, rules_of

from graphc.ir.parse import parse
from graphc.passes.rewrite import FAMILIES, all_rules
from graphc.passes.value_check import difference, sample

FAST = [rule for rule in all_rules() if rule.fast_math]


@pytest.mark.parametrize("rule", FAST, ids=lambda rule: rule.name)
def test_it_says_what_it_gets_wrong(rule):
    assert any(word in rule.algebra for word in ("wrong", "rounds", "picks"))


@pytest.mark.parametrize("rule", FAST, ids=lambda rule: rule.name)
def test_off_by_default(rule):
    given = parse(rule.example)
    found = rules_of(FAMILIES[rule.family])(given)
    assert canonical(found) == canonical(given)


@pytest.mark.parametrize("rule", FAST, ids=lambda rule: rule.name)
def test_right_on_ordinary_values(rule):
    given = parse(rule.example)
    found = rules_of(FAMILIES[rule.family], fast_math=True)(given)
    for seed in range(3):
        samples = sample(given, seed)
        for array in samples.arrays:
            array[...] = abs(array) + 0.5  # within the domain of log and sqrt
        assert difference(given, found, samples, "rounded") is None
