"""Splits: every sample once, shares as asked, scikit-learn's folds where they are defined."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, TimeSeriesSplit

import graphc as gc

RANDOM = np.random.default_rng(2)


def parts_of(*args, **kwargs):
    return [x.tolist() for (x,) in gc.data.split(*args, **kwargs)]


@pytest.mark.parametrize("count", [0, 1, 2, 10, 103])
@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.1), (0.5, 0.5), (1.0,), (1 / 3, 1 / 3, 1 / 3)])
def test_every_sample_is_in_one_part(count, fractions):
    parts = parts_of(np.arange(count), fractions=fractions)
    assert sorted(sum(parts, [])) == list(range(count))
    assert all(abs(len(part) - share * count) <= 1 for part, share in zip(parts, fractions))


def test_splits_are_seeded_and_rows_stay_together():
    x, y = np.arange(50), np.arange(50) * 2
    first = gc.data.split(x, y, seed=1)
    assert all((b == 2 * a).all() for a, b in first)
    assert parts_of(x, seed=1) == parts_of(x, seed=1) != parts_of(x, seed=2)
    assert parts_of(x)[0] != sorted(parts_of(x)[0])


def test_stratified_parts_have_their_share_of_each_label():
    y = RANDOM.choice(["a", "b", "c"], p=[0.7, 0.25, 0.05], size=200)
    fractions = (0.6, 0.2, 0.2)
    parts = gc.data.split(np.arange(200), y, fractions=fractions, stratify=y)
    assert sorted(np.concatenate([x for x, _ in parts]).tolist()) == list(range(200))
    for label in "abc":
        total = (y == label).sum()
        for (_, labels), share in zip(parts, fractions):
            assert abs((labels == label).sum() - share * total) <= 2
    assert [len(x) for x, _ in parts] == [120, 40, 40]
    # The labels are not in blocks.
    assert (parts[0][1][:20] != parts[0][1][0]).any()


def test_groups_stay_together():
    groups = RANDOM.integers(0, 20, size=300)
    parts = gc.data.split(groups, fractions=(0.7, 0.15, 0.15), groups=groups)
    sets = [set(g.tolist()) for (g,) in parts]
    assert sum(map(len, sets)) == len(set.union(*sets))
    assert abs(len(parts[0][0]) - 210) < 40


def test_time_is_cut_in_order():
    assert parts_of(np.arange(10), fractions=(0.5, 0.3, 0.2), ordered=True) == [[0, 1, 2, 3, 4], [5, 6, 7], [8, 9]]


def pairs(folds):
    return [(train.tolist(), test.tolist()) for train, test in folds]


@pytest.mark.parametrize("count", [2, 3, 5, 7])
def test_folds_are_scikit_learns(count):
    x = np.arange(31)
    y = np.concatenate([RANDOM.permutation(np.r_[np.zeros(8), np.ones(14)]), np.full(9, 2.0)])
    groups = RANDOM.choice(9, size=31, p=np.arange(1, 10) / 45)
    assert pairs(gc.data.folds(31, count)) == pairs(KFold(count).split(x))
    assert pairs(gc.data.folds(x, count, stratify=y)) == pairs(StratifiedKFold(count).split(x, y))
    assert pairs(gc.data.folds(x, count, ordered=True)) == pairs(TimeSeriesSplit(count).split(x))
    groups[:9] = np.arange(9)
    assert pairs(gc.data.folds(x, count, groups=groups)) == pairs(GroupKFold(count).split(x, y, groups))


def test_shuffled_folds():
    folds = pairs(gc.data.folds(20, 4, seed=3))
    assert sorted(sum((test for _, test in folds), [])) == list(range(20))
    assert folds != pairs(gc.data.folds(20, 4)) and folds == pairs(gc.data.folds(20, 4, seed=3))
    y = np.arange(20) % 2
    for train, test in gc.data.folds(20, 5, stratify=y, seed=3):
        assert y[test].sum() == 2 and not set(train) & set(test)


WRONG = {
    "fractions": lambda: gc.data.split([1, 2], fractions=(0.5, 0.4)),
    "negative": lambda: gc.data.split([1, 2], fractions=(1.5, -0.5)),
    "no arrays": lambda: gc.data.split(),
    "lengths": lambda: gc.data.split([1, 2], [1]),
    "labels": lambda: gc.data.split([1, 2], stratify=[1]),
    "both": lambda: gc.data.split([1, 2], stratify=[1, 2], groups=[1, 2]),
    "seed": lambda: gc.data.split([1, 2], seed=-1),
    "one fold": lambda: gc.data.folds(10, 1),
    "too many folds": lambda: gc.data.folds(3, 4),
    "rare labels": lambda: gc.data.folds(4, 3, stratify=[0, 0, 1, 1]),
    "few groups": lambda: gc.data.folds(4, 3, groups=[0, 0, 1, 1]),
    "ordered and seeded": lambda: gc.data.folds(4, 2, ordered=True, seed=0),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use(name):
    with pytest.raises(gc.GraphcError):
        WRONG[name]()
