"""Splits: training, validation and test sets, and folds.

Invariant: every sample is in exactly one part. A split depends on its arguments and the seed alone; where
scikit-learn defines the same split without randomness (KFold, StratifiedKFold, GroupKFold, TimeSeriesSplit), the
parts are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import graphc as gc
from graphc.data.counters import checked_seed, permutation
from graphc.data.samples import same_length

Fold = tuple[np.ndarray, np.ndarray]


@gc.arguments.checked
def split(
    *arrays: Any,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    stratify: Any = None,
    groups: Any = None,
    ordered: bool = False,
    seed: int = 0,
) -> list[tuple[np.ndarray, ...]]:
    """Divide samples into parts, such as for training, validation and test.

    Args:
        arrays: of one length, samples along the first axis.
        fractions: the share of each part; together 1.
        stratify: labels, one a sample: each part gets its share of each label.
        groups: labels, one a sample: samples of one group stay in one part.
        ordered: cut the samples as they come, without shuffling, so that the past is in the first part.
        seed: what determines the order otherwise.

    Returns:
        For each fraction the tuple of the arrays' samples.

    Raises:
        ArgumentError: fractions that are not positive or do not add up to 1, or options that exclude each other.
        ShapeError: arrays or labels of different lengths.

    >>> import numpy as np
    >>> import graphc as gc
    >>> (x, y), (xv, yv), (xt, yt) = gc.data.split(np.arange(10), np.arange(10) % 2, fractions=(0.6, 0.2, 0.2))
    >>> len(x), len(xv), len(xt)
    (6, 2, 2)
    """
    given = same_length("split", arrays)
    shares = _shares(fractions)
    if sum((stratify is not None, groups is not None, bool(ordered))) > 1:
        raise gc.ArgumentError("split: stratify, groups and ordered exclude each other")
    count = len(given[0])
    order = permutation(checked_seed("split", seed), 0, count)
    if ordered:
        part = _by_place(np.arange(count), shares)
    elif stratify is not None:
        part = _stratified(_codes("split: stratify", stratify, count), order, shares)
    elif groups is not None:
        part = _grouped(_codes("split: groups", groups, count), seed, shares)
    else:
        part = _by_place(order, shares)
    members = [np.flatnonzero(part == number) for number in range(len(shares))]
    if not ordered and groups is None:
        place = np.empty(count, np.int64)
        place[order] = np.arange(count)
        members = [rows[np.argsort(place[rows])] for rows in members]
    return [tuple(array[rows] for array in given) for rows in members]


def _shares(fractions: Sequence[float]) -> np.ndarray:
    shares = np.asarray(fractions, np.float64)
    if shares.ndim != 1 or not len(shares) or not (shares > 0).all() or abs(shares.sum() - 1.0) > 1e-9:
        raise gc.ArgumentError(f"split: fractions must be positive and add up to 1, not {fractions!r}")
    return shares


def _edges(shares: np.ndarray, count: int) -> np.ndarray:
    """Where each part ends among `count` samples."""
    return np.floor(np.cumsum(shares) * count + 0.5).astype(np.int64)


def _by_place(order: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The part of each sample: the first in the order go to the first part."""
    part = np.empty(len(order), np.int64)
    part[order] = np.searchsorted(_edges(shares, len(order))[:-1], np.arange(len(order)), side="right")
    return part


def _stratified(codes: np.ndarray, order: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Samples in the order of their labels are dealt to the parts like cards, in proportion to the shares.

    So a part's number of each label is within one of its share, and its size is that of an unstratified split.
    """
    sequence = order[np.argsort(codes[order], kind="stable")]
    sizes = np.diff(_edges(shares, len(order)), prepend=0)
    # The place of the i-th card of a part among all: (i + 1/2) / size; ties go to the earlier part.
    places = np.concatenate([(np.arange(size) + 0.5) / max(size, 1) for size in sizes])
    owners = np.repeat(np.arange(len(sizes)), sizes)
    part = np.empty(len(order), np.int64)
    part[sequence] = owners[np.argsort(places, kind="stable")]
    return part


def _grouped(codes: np.ndarray, seed: int, shares: np.ndarray) -> np.ndarray:
    """Groups in random order, each to the part that lacks most of its share."""
    sizes = np.bincount(codes)
    lacking = shares * len(codes)
    owner = np.empty(len(sizes), np.int64)
    for group in permutation(seed, 0, len(sizes)):
        owner[group] = int(np.argmax(lacking))
        lacking[owner[group]] -= sizes[group]
    return owner[codes]


def _codes(what: str, labels: Any, count: int) -> np.ndarray:
    """Labels as numbers in the order of their first occurrence."""
    array = np.asarray(labels)
    if array.shape != (count,):
        raise gc.ShapeError(f"{what}: expected one label for each of {count} samples, not shape {array.shape}")
    _, first, codes = np.unique(array, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[codes]


@gc.arguments.checked
def folds(
    samples: Any,
    count: int = 5,
    *,
    stratify: Any = None,
    groups: Any = None,
    ordered: bool = False,
    seed: int | None = None,
) -> Iterator[Fold]:
    """Cross-validation: each sample is tested once, by a model that was trained on other folds.

    Args:
        samples: how many there are, or an array of them.
        count: the number of folds.
        stratify: labels: each fold gets its share of each label.
        groups: labels: samples of one group stay in one fold.
        ordered: test on what follows the training samples: fold i trains on the first i stretches of time.
        seed: shuffle the samples by it first; by default they stay as they are.

    Yields:
        Numbers of training and test samples.

    Raises:
        ArgumentError: too few folds, samples or groups, or options that exclude each other.

    >>> import graphc as gc
    >>> [test.tolist() for train, test in gc.data.folds(5, 2)]
    [[0, 1, 2], [3, 4]]
    """
    total = int(samples) if isinstance(samples, (int, np.integer)) else len(samples)
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or not 2 <= count <= max(total - ordered, 1):
        raise gc.ArgumentError(f"folds: {count!r} folds of {total} samples: at least 2 folds and a sample for each")
    if sum((stratify is not None, groups is not None, bool(ordered))) > 1 or (ordered and seed is not None):
        raise gc.ArgumentError("folds: stratify, groups and ordered exclude each other, and ordered a seed")
    if ordered:
        return _time_folds(total, int(count))
    order = np.arange(total) if seed is None else permutation(checked_seed("folds", seed), 0, total)
    if stratify is not None:
        fold = _stratified_folds(_codes("folds: stratify", stratify, total), int(count), order)
    elif groups is not None:
        fold = _group_folds(np.asarray(groups), total, int(count))
    else:
        fold = np.empty(total, np.int64)
        fold[order] = np.concatenate([np.full(len(part), i) for i, part in enumerate(np.array_split(order, count))])
    return ((np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(int(count)))


def _stratified_folds(codes: np.ndarray, count: int, order: np.ndarray) -> np.ndarray:
    """scikit-learn's allocation: the sorted labels dealt in turn say how many of each label a fold gets."""
    classes = int(codes.max()) + 1
    if np.bincount(codes).max() < count:
        raise gc.ArgumentError(f"folds: no label has as many samples as there are folds ({count})")
    dealt = np.sort(codes)
    allocation = np.stack([np.bincount(dealt[i::count], minlength=classes) for i in range(count)])
    fold = np.empty(len(codes), np.int64)
    for label in range(classes):
        members = order[codes[order] == label]
        fold[members] = np.repeat(np.arange(count), allocation[:, label])
    return fold


def _group_folds(groups: np.ndarray, total: int, count: int) -> np.ndarray:
    """scikit-learn's: the largest group first, each to the fold that has fewest samples."""
    if groups.shape != (total,):
        raise gc.ShapeError(f"folds: groups: expected one label for each of {total} samples, not shape {groups.shape}")
    names, codes = np.unique(groups, return_inverse=True)
    if len(names) < count:
        raise gc.ArgumentError(f"folds: {count} folds of {len(names)} groups: at least one group for each")
    sizes = np.bincount(codes)
    filled = np.zeros(count, np.int64)
    owner = np.empty(len(sizes), np.int64)
    for group in np.argsort(sizes, kind="stable")[::-1]:
        owner[group] = int(np.argmin(filled))
        filled[owner[group]] += sizes[group]
    return owner[codes]


def _time_folds(total: int, count: int) -> Iterator[Fold]:
    size = total // (count + 1)
    rows = np.arange(total)
    return (
        (rows[: total - size * left], rows[total - size * left : total - size * (left - 1)])
        for left in range(count, 0, -1)
    )
