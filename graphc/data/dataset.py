"""`Dataset`: a stream of tuples of arrays, described once and gone through epoch by epoch.

Invariant: what an epoch gives depends on the description and the epoch's number alone. So a position is the pair
(epoch, items taken), `state()` is plain JSON data, and `restore` continues with exactly the items that were left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

import graphc as gc
from graphc.data.counters import checked_seed
from graphc.data.prefetch import Prefetched
from graphc.data.stages import (
    Arrays,
    Batched,
    Cached,
    Cut,
    Generated,
    Item,
    Mapped,
    Repeated,
    Shuffled,
    Stage,
    Zipped,
    shuffled,
)

State = dict[str, int | None]


class Dataset:
    """A stream of tuples of arrays; made by `from_arrays` or `from_generator`, and by the methods of another one.

    Each `for` over it is one epoch: a shuffled stream comes in another order each time, which the epoch's number
    determines. A `for` that is left early counts as an epoch too. Methods return new datasets and change nothing.

    >>> import numpy as np
    >>> import graphc as gc
    >>> data = gc.data.from_arrays(np.arange(5), np.arange(5) * 10).shuffle(seed=0).batch(2)
    >>> len(data)
    3
    >>> for x, y in data:
    ...     print(x, y)
    [0 2] [ 0 20]
    [1 4] [10 40]
    [3] [30]
    >>> for x, y in data:
    ...     print(x, y)
    ...     break
    [3 2] [30 20]
    >>> state = data.state(); state
    {'epoch': 1, 'position': 1, 'length': 3}
    >>> data.restore(state)
    >>> [x.tolist() for x, y in data]
    [[4, 1], [0]]
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._epoch = 0  # of the iterator made last
        self._position = 0  # items that it gave
        self._next: tuple[int, int] = (0, 0)  # where the next iterator starts

    def __iter__(self) -> Iterator[Item]:
        epoch, position = self._next
        self._epoch, self._position = epoch, position
        self._next = (epoch + 1, 0)
        return self._items(epoch, position)

    def _items(self, epoch: int, start: int) -> Iterator[Item]:
        position = start
        for _, item in self._stage.items(epoch, start):
            position += 1
            if self._epoch == epoch:
                self._position = position
            yield item
        if self._epoch == epoch:
            self._epoch, self._position = epoch + 1, 0

    def __len__(self) -> int:
        if self._stage.length is None:
            raise TypeError("this dataset's length is not known before it is gone through")
        return self._stage.length

    @property
    def length(self) -> int | None:
        """The number of items of an epoch, or None where it is not known."""
        return self._stage.length

    # position -------------------------------------------------------------------------------------------------

    def state(self) -> State:
        """The position of the iterator made last, as JSON data: how many items were taken from it."""
        return {"epoch": self._epoch, "position": self._position, "length": self._stage.length}

    def restore(self, state: Any) -> None:
        """Let the next `for` go on at a position that `state` gave, of a dataset described in the same way.

        Raises:
            ArgumentError: it is no such state, or that of a stream of another length.
        """
        whole = isinstance(state, dict) and all(
            type(state.get(key)) is int and state[key] >= 0 for key in ("epoch", "position")
        )
        if not whole:
            raise gc.ArgumentError(f"restore: {state!r} is no state of a dataset: a dict with epoch and position")
        if state.get("length") != self._stage.length:
            raise gc.ArgumentError(
                f"restore: the state is that of a stream of {state.get('length')} items, "
                f"this one has {self._stage.length}"
            )
        self._next = (state["epoch"], state["position"])
        self._epoch, self._position = self._next

    # transformations ------------------------------------------------------------------------------------------

    def shuffle(self, seed: int = 0, buffer: int = 1024) -> Dataset:
        """The items in random order, another one for each epoch.

        Args:
            seed: what determines the orders.
            buffer: how many items to draw from at a time. Rows of arrays that come straight from `from_arrays`
                are shuffled as a whole, so that this does not matter there.

        Raises:
            ArgumentError: no seed, or a buffer of less than 1.
        """
        seed = checked_seed("shuffle", seed)
        size = _count("shuffle", "buffer", buffer, least=1)
        if isinstance(self._stage, Arrays):
            return Dataset(self._stage.then(shuffled(seed)))
        return Dataset(Shuffled(self._stage, seed, size))

    def batch(self, size: int, drop_last: bool = False) -> Dataset:
        """Items stacked along a new first axis; the last batch of an epoch may be smaller, or is left out."""
        return Dataset(Batched(self._stage, _count("batch", "size", size, least=1), bool(drop_last)))

    def map(self, function: Callable[..., Any], indexed: bool = False) -> Dataset:
        """`function(*arrays)` of each item: a tuple of arrays, or one.

        Args:
            function: must give the same result for the same arguments, so that a stream can be resumed.
            indexed: whether to call it as `function(*arrays, index=..., epoch=...)`, with the sample's number in
                the source (an array of numbers for a batch) and the epoch's. Augmentations take both.

        Raises:
            ArgumentError: `function` cannot be called.
        """
        if not callable(function):
            raise gc.ArgumentError(f"map: expected a function, not {type(function).__name__}")
        return Dataset(Mapped(self._stage, function, bool(indexed)))

    def prefetch(self, depth: int = 2) -> Dataset:
        """The same items, of which a thread makes up to `depth` ahead."""
        return Dataset(Prefetched(self._stage, _count("prefetch", "depth", depth, least=1)))

    def repeat(self, count: int | None = None) -> Dataset:
        """`count` epochs as one, or epochs without end."""
        return Dataset(Repeated(self._stage, None if count is None else _count("repeat", "count", count, least=0)))

    def take(self, count: int) -> Dataset:
        """The first `count` items."""
        count = _count("take", "count", count, least=0)
        if isinstance(self._stage, Arrays):
            return Dataset(self._stage.then(lambda order, _: order[:count]))
        return Dataset(Cut(self._stage, 0, count))

    def skip(self, count: int) -> Dataset:
        """All but the first `count` items."""
        count = _count("skip", "count", count, least=0)
        if isinstance(self._stage, Arrays):
            return Dataset(self._stage.then(lambda order, _: order[count:]))
        return Dataset(Cut(self._stage, count, None))

    def zip(self, *others: Dataset) -> Dataset:
        """Items with the arrays of this stream's and the others' items; as long as the shortest."""
        for other in others:
            if not isinstance(other, Dataset):
                raise gc.ArgumentError(f"zip: expected datasets, not {type(other).__name__}")
        return Dataset(Zipped((self._stage, *(other._stage for other in others))))

    def cache(self) -> Dataset:
        """The items of the first epoch, kept in memory and given again in each; shuffle after it, not before."""
        return Dataset(Cached(self._stage))

    def __repr__(self) -> str:
        length = "unknown length" if self._stage.length is None else f"{self._stage.length} items"
        return f"<Dataset of {length}>"


def from_arrays(*arrays: Any) -> Dataset:
    """A stream of the rows of arrays: one item for each index of the first axis.

    The arrays are not copied. Batches that are runs of rows are read-only views of them.

    Args:
        arrays: arrays, or what `np.asarray` takes, of one length.

    Raises:
        ArgumentError: there are none. ShapeError: they differ in length, or have no axes.

    >>> import graphc as gc
    >>> list(gc.data.from_arrays([[1, 2], [3, 4], [5, 6]], [0, 1, 0]).batch(2))[1]
    (array([[5, 6]]), array([0]))
    """
    if not arrays:
        raise gc.ArgumentError("from_arrays: at least one array is needed")
    views = tuple(_read_only(array) for array in arrays)
    for place, array in enumerate(views):
        if array.ndim == 0:
            raise gc.ShapeError(f"from_arrays: array {place} is a single number; it has no rows")
        if len(array) != len(views[0]):
            raise gc.ShapeError(f"from_arrays: array 0 has {len(views[0])} rows, array {place} has {len(array)}")
    return Dataset(Arrays(views))


def from_generator(source: Callable[[], Iterable[Any]] | Iterable[Any], length: int | None = None) -> Dataset:
    """A stream of what a function's iterators give.

    Args:
        source: a function without arguments, called at the start of each epoch, that returns an iterable of
            tuples of arrays (or single arrays); or something that can be iterated over again and again. To be
            resumable it must give the same items each time; those before the position are gone through.
        length: the number of items, if it is known.

    Raises:
        ArgumentError: `source` is neither, such as a generator object, which gives its items only once.

    >>> import graphc as gc
    >>> def squares():
    ...     for i in range(5):
    ...         yield i, i * i
    >>> [x.tolist() for x, y in gc.data.from_generator(squares).batch(2)]
    [[0, 1], [2, 3], [4]]
    """
    if isinstance(source, Iterator) or not (callable(source) or isinstance(source, Iterable)):
        raise gc.ArgumentError(
            f"from_generator: expected a function that returns an iterator, not a {type(source).__name__}",
            hint="pass the generator function itself, without calling it",
        )
    known = None if length is None else _count("from_generator", "length", length, least=0)
    if callable(source):
        return Dataset(Generated(source, known))
    iterable = source
    return Dataset(Generated(lambda: iterable, known))


def _read_only(value: Any) -> np.ndarray:
    view = np.asarray(value).view()
    view.flags.writeable = False
    return view


def _count(function: str, argument: str, value: Any, least: int) -> int:
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= least:
        return int(value)
    raise gc.ArgumentError(f"{function}: {argument} must be a whole number from {least} on, not {value!r}")
