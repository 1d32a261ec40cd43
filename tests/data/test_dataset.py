"""Streams: order, batches, resumption at every position, threads, errors."""

from __future__ import annotations

import json
import threading
import time
import traceback

import numpy as np
import pytest

import graphc as gc
from graphc.data import from_arrays, from_generator
from graphc.data.counters import mix, permutation

X = np.arange(23)
Y = X * 10


def items(dataset):
    return [tuple(np.asarray(a).tolist() for a in item) for item in dataset]


def numbers():
    """A function whose iterators give 0..16."""

    def generate():
        for i in range(17):
            yield i, -i

    return generate


PIPELINES = {
    "rows": lambda: from_arrays(X, Y),
    "batches": lambda: from_arrays(X, Y).batch(4),
    "shuffled": lambda: from_arrays(X, Y).shuffle(5).batch(4, drop_last=True),
    "shuffled batches": lambda: from_arrays(X, Y).batch(4).shuffle(1),
    "taken": lambda: from_arrays(X).shuffle(2).skip(3).take(11).batch(3),
    "cut batches": lambda: from_arrays(X).batch(2).skip(1).take(7),
    "mapped": lambda: from_arrays(X, Y).shuffle(1).map(lambda x, y: (x + y, x)).batch(5),
    "indexed": lambda: from_arrays(X).shuffle(1).batch(5).map(
        lambda x, *, index, epoch: (x, index * 100 + epoch), indexed=True
    ),
    "prefetched": lambda: from_arrays(X).shuffle(1).batch(5).prefetch(2),
    "repeated": lambda: from_arrays(X).shuffle(1).repeat(3).batch(10),
    "repeated generator": lambda: from_generator(numbers()).repeat(2).batch(5),
    "repeated batches": lambda: from_arrays(X).shuffle(1).batch(10).repeat(2),
    "generated": lambda: from_generator(numbers()).batch(4),
    "generated and shuffled": lambda: from_generator(numbers()).shuffle(3, buffer=5).batch(4).prefetch(1),
    "zipped": lambda: from_arrays(X).shuffle(1).zip(from_generator(numbers())),
    "cached": lambda: from_generator(numbers()).cache().shuffle(1, buffer=4).batch(3),
}  # fmt: skip


@pytest.mark.parametrize("name", PIPELINES)
def test_a_stream_is_resumed_at_every_position(name):
    dataset = PIPELINES[name]()
    epochs = [items(dataset) for _ in range(3)]
    assert [items(fresh) for fresh in [PIPELINES[name]()] * 3] == epochs  # the same epochs again
    if dataset.length is not None:
        assert len(dataset) == len(epochs[0])
    for position in range(len(epochs[1]) + 1):
        dataset = PIPELINES[name]()
        items(dataset)
        stream = iter(dataset)
        for _ in range(position):
            next(stream)
        state = json.loads(json.dumps(dataset.state()))
        del stream
        resumed = PIPELINES[name]()
        resumed.restore(state)
        assert items(resumed) == epochs[1][position:]
        assert items(resumed) == epochs[2]


@pytest.mark.parametrize("name", PIPELINES)
def test_leaving_early_leaves_no_thread(name):
    before = threading.active_count()
    for _ in PIPELINES[name]():
        break
    stream = iter(PIPELINES[name]())
    next(stream)
    stream.close()
    assert threading.active_count() == before


def test_every_row_comes_once_in_each_epoch_and_in_another_order():
    dataset = from_arrays(X, Y).shuffle(7)
    first, second = items(dataset), items(dataset)
    assert sorted(first) == sorted(second) == list(zip(X.tolist(), Y.tolist()))
    assert first != second
    buffered = from_generator(numbers()).shuffle(7, buffer=4)
    first, second = items(buffered), items(buffered)
    assert sorted(first) == sorted(second) and first != second
    # A buffer of 4 cannot bring an item forward by more than it holds.
    assert all(i - place <= 4 for place, (i, _) in enumerate(first))


def test_orders_are_fixed_for_good():
    """These must never change: they say what a resumed run goes on with."""
    assert permutation(0, 0, 5).tolist() == [0, 2, 1, 4, 3]
    assert permutation(2**63, 1, 5).tolist() == [3, 4, 1, 0, 2]
    assert mix(1, 2, 3) == 7702586659592502839


def test_batches_are_gathered_as_rows_are():
    dataset = from_arrays(X, Y).shuffle(3)
    by_row = items(dataset.map(lambda *row: row).batch(4))
    assert items(from_arrays(X, Y).shuffle(3).batch(4)) == by_row


def test_batches_keep_dtypes_and_shapes():
    images = np.zeros((5, 2, 3), "float32")
    (x, y) = next(iter(from_arrays(images, np.arange(5, dtype="uint8")).shuffle(0).batch(2)))
    assert x.dtype == np.float32 and x.shape == (2, 2, 3) and y.dtype == np.uint8


def test_arrays_are_never_written():
    x = np.zeros(6)
    (batch,) = next(iter(from_arrays(x).batch(3)))
    with pytest.raises(ValueError, match="read-only"):
        batch[0] = 1
    x[0] = 1  # the caller's own array stays his


def test_prefetching_runs_ahead_and_keeps_order():
    made = []

    def slow(x):
        made.append(int(x))
        return x

    stream = iter(from_arrays(X).map(slow).prefetch(3))
    next(stream)
    deadline = time.monotonic() + 5
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert made == [0, 1, 2, 3, 4]  # one taken, three in the queue, one in hand
    assert [int(x) for (x,) in stream] == list(range(1, 23))


def test_an_exception_comes_after_the_items_before_it_and_with_its_origin():
    def fail(x):
        if x == 3:
            raise KeyError("the origin")
        return x

    taken = []
    before = threading.active_count()
    with pytest.raises(KeyError, match="the origin") as caught:
        for (x,) in from_arrays(X).map(fail).prefetch(2):
            taken.append(int(x))
    assert taken == [0, 1, 2]
    assert "raise KeyError" in "".join(traceback.format_exception(caught.value))
    assert any("prefetches" in note for note in caught.value.__notes__)
    assert threading.active_count() == before


def test_a_stream_of_itself_in_threads():
    """Two consumers of one description do not disturb each other."""
    dataset = from_arrays(X).shuffle(1).batch(4).prefetch(2)
    first, second = iter(dataset), iter(dataset)
    a, b = [], []
    for _ in range(6):
        a.append(next(first)[0].tolist())
        b.append(next(second)[0].tolist())
    again = from_arrays(X).shuffle(1).batch(4)
    assert a == [x.tolist() for (x,) in again] and b == [x.tolist() for (x,) in again]


def test_an_endless_stream():
    dataset = from_arrays(np.arange(3)).shuffle(1).repeat()
    stream = iter(dataset)
    taken = [int(next(stream)[0]) for _ in range(9)]
    assert all(sorted(taken[i : i + 3]) == [0, 1, 2] for i in (0, 3, 6))
    assert dataset.length is None
    with pytest.raises(TypeError):
        len(dataset)
    assert items(from_arrays(np.arange(0)).repeat()) == []
    assert items(from_generator(list).repeat()) == []


def test_generators_of_single_arrays_and_lists():
    assert items(from_generator([1, 2, 3])) == [(1,), (2,), (3,)]
    assert items(from_generator(lambda: [[1, 2], [3, 4]]).batch(2)) == [([1, 3], [2, 4])]


WRONG = {
    "no arrays": (lambda: from_arrays(), gc.ArgumentError),
    "lengths": (lambda: from_arrays([1, 2], [1]), gc.ShapeError),
    "a number": (lambda: from_arrays(3), gc.ShapeError),
    "a generator": (lambda: from_generator(i for i in range(3)), gc.ArgumentError),
    "no source": (lambda: from_generator(3), gc.ArgumentError),
    "batch 0": (lambda: from_arrays(X).batch(0), gc.ArgumentError),
    "batch of True": (lambda: from_arrays(X).batch(True), gc.ArgumentError),
    "seed": (lambda: from_arrays(X).shuffle(-1), gc.ArgumentError),
    "seed as text": (lambda: from_arrays(X).shuffle("x"), gc.ArgumentError),
    "map": (lambda: from_arrays(X).map(3), gc.ArgumentError),
    "zip": (lambda: from_arrays(X).zip([1]), gc.ArgumentError),
    "take": (lambda: from_arrays(X).take(-1), gc.ArgumentError),
    "ragged": (lambda: items(from_generator([np.ones(2), np.ones(3)]).batch(2)), gc.ShapeError),
    "counts": (lambda: items(from_generator([(1,), (1, 2)]).batch(2)), gc.ShapeError),
    "state": (lambda: from_arrays(X).restore({"epoch": 1}), gc.ArgumentError),
    "state of another": (lambda: from_arrays(X).restore(from_arrays(Y[:3]).state()), gc.ArgumentError),
    "state with a boolean": (lambda: from_arrays(X).restore({"epoch": True, "position": 0}), gc.ArgumentError),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use(name):
    act, error = WRONG[name]
    with pytest.raises(error):
        act()


@pytest.mark.parametrize("shape", [(20,), (20, 2)])
@pytest.mark.parametrize(("length", "horizon", "stride"), [(1, 1, 1), (5, 1, 1), (4, 3, 2), (10, 10, 1)])
def test_windows(shape, length, horizon, stride):
    series = np.random.default_rng(0).normal(size=shape)
    x, y = gc.data.windows(series, length, horizon, stride)
    starts = range(0, 20 - length - horizon + 1, stride)
    assert len(x) == len(y) == len(starts)
    for i, start in enumerate(starts):
        assert np.array_equal(x[i], series[start : start + length])
        assert np.array_equal(y[i], series[start + length + horizon - 1])


def test_windows_of_what_is_too_short():
    with pytest.raises(gc.ShapeError, match="at least 11"):
        gc.data.windows(np.zeros(10), 10)
    with pytest.raises(gc.ArgumentError):
        gc.data.windows(np.zeros(10), 0)
