"""Nothing is forgotten: every op and every public function is met by random graphs, or left out by name."""

from collections import Counter

import pytest

from graphc.ir.opdef import FUNCTIONS, OPS, Trait

from . import recipes
from .generate import generate
from .recipes import LEFT_OUT, RECIPES, WANTED_OPS

SEEDS = 1500


@pytest.fixture(scope="module")
def met():
    """How often each op and each public function is met, and what recipes were refused."""
    ops, taken, refused = Counter(), Counter(), Counter()
    for seed in range(SEEDS):
        case = generate(seed, RECIPES)
        ops.update(t.op.name for t in case.graph.tensors)
        taken.update(case.taken)
        refused.update(case.refused)
    return ops, taken, refused


def test_every_op_is_met(met):
    ops = met[0]
    assert [name for name in WANTED_OPS if ops[name] < 3] == []


def test_recipes_are_seldom_refused(met):
    _, taken, refused = met
    often = {name: (count, taken[name]) for name, count in refused.items() if count > taken[name]}
    assert not often, "these recipes are refused more often than they are taken"


def test_every_public_function_is_called_or_left_out():
    with open(recipes.__file__, encoding="utf-8") as file:
        source = file.read()
    library = {name for name, op in OPS.items() if op.has(Trait.LIBRARY)} | {"eigvalsh", "svdvals"}
    missing = [
        name for name in FUNCTIONS
        if name not in LEFT_OUT and name not in library and name not in OPS
        and f"gc.{name}" not in source and f'"{name}"' not in source and f"gc.{name}_" not in source
    ]  # fmt: skip
    assert missing == []


def test_a_seed_gives_one_graph():
    from graphc.ir.text import print_graph

    for seed in (1, 2, 3, 50):
        first, second = generate(seed, RECIPES), generate(seed, RECIPES)
        assert print_graph(first.graph, locations=False) == print_graph(second.graph, locations=False)
        for one, other in zip(first.runs, second.runs):
            assert [a.tobytes() for a in one.arrays] == [a.tobytes() for a in other.arrays]
