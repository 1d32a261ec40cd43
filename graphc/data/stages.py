"""The stages of a stream: where samples come from, and what is done to them on their way.

Invariant: `items(epoch, start)` gives the same items for the same epoch whenever it is asked, from number `start`
on; a stage keeps no position. So a position in a stream is two numbers, and going there needs no replay
where the stage can count.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any, Protocol

import numpy as np

import graphc as gc
from graphc.data.counters import permutation, philox

Item = tuple[Any, ...]
#: A sample's number in its source (an array of them for a batch), and its arrays.
Numbered = tuple[Any, Item]
Items = Iterator[Numbered]


class Stage(Protocol):
    """A stream of numbered items.

    Attributes:
        length: how many items an epoch has, or None where that is not known before.
    """

    @property
    def length(self) -> int | None:
        """How many items an epoch has, or None."""
        ...

    def items(self, epoch: int, start: int) -> Items:
        """The items of an epoch from number `start` on."""
        ...


class Arrays:
    """The rows of arrays of one length, in an order that `steps` makes of 0..n-1 for each epoch."""

    def __init__(self, arrays: Item, steps: tuple[Callable[[np.ndarray, int], np.ndarray], ...] = ()) -> None:
        self.arrays = arrays
        self.steps = steps
        self.length: int | None = len(self.order(0))

    def then(self, step: Callable[[np.ndarray, int], np.ndarray]) -> Arrays:
        """The same rows with one more step of reordering or selection."""
        return Arrays(self.arrays, (*self.steps, step))

    def order(self, epoch: int) -> np.ndarray:
        """The rows' numbers in the order of the epoch."""
        order = np.arange(len(self.arrays[0]), dtype=np.int64)
        for step in self.steps:
            order = step(order, epoch)
        return order

    def items(self, epoch: int, start: int) -> Items:
        """One row at a time."""
        for row in self.order(epoch)[start:].tolist():
            yield row, tuple(array[row] for array in self.arrays)

    def rows(self, numbers: np.ndarray) -> Item:
        """Several rows, gathered; a view where they stand in one run."""
        first, count = int(numbers[0]), len(numbers)
        if count == 1 or (int(numbers[-1]) - first == count - 1 and bool((np.diff(numbers) == 1).all())):
            return tuple(array[first : first + count] for array in self.arrays)
        return tuple(array[numbers] for array in self.arrays)


def shuffled(seed: int) -> Callable[[np.ndarray, int], np.ndarray]:
    """The step that puts rows into the order of the seed and epoch."""
    return lambda order, epoch: order[permutation(seed, epoch, len(order))]


class Generated:
    """What an iterable gives, or what a function that returns iterators gives, called anew for each epoch."""

    def __init__(self, source: Callable[[], Iterable[Any]], length: int | None) -> None:
        self.source = source
        self.length = length

    def items(self, epoch: int, start: int) -> Items:
        """The items, numbered as they come."""
        iterator = iter(self.source())
        try:
            for number, item in enumerate(itertools.islice(iterator, start, None), start):
                yield number, as_item(item)
        finally:
            if hasattr(iterator, "close"):
                iterator.close()


class Shuffled:
    """A stream in random order: each item is drawn from a buffer, which the next one of the stream refills."""

    def __init__(self, source: Stage, seed: int, buffer: int) -> None:
        self.source = source
        self.seed = seed
        self.buffer = buffer
        self.length = source.length

    def items(self, epoch: int, start: int) -> Items:
        """The items; those before `start` are drawn too, since the buffer depends on them."""
        return itertools.islice(self._drawn(epoch), start, None)

    def _drawn(self, epoch: int) -> Items:
        words = philox(self.seed, epoch)
        kept: list[Numbered] = []
        with closing(_generator(self.source.items(epoch, 0))) as source:
            for item in source:
                if len(kept) < self.buffer:
                    kept.append(item)
                    continue
                place = words.random_raw() % self.buffer
                kept[place], drawn = item, kept[place]
                yield drawn
        while kept:
            place = words.random_raw() % len(kept)
            kept[place], kept[-1] = kept[-1], kept[place]
            yield kept.pop()


class Batched:
    """Items stacked along a new first axis, `size` at a time."""

    def __init__(self, source: Stage, size: int, drop_last: bool) -> None:
        self.source = source
        self.size = size
        self.drop_last = drop_last
        count = source.length
        self.length = None if count is None else count // size if drop_last else -(-count // size)

    def items(self, epoch: int, start: int) -> Items:
        """The batches; of arrays, by one gather each."""
        if isinstance(self.source, Arrays):
            yield from self._gathered(self.source, epoch, start)
            return
        with closing(_generator(self.source.items(epoch, start * self.size))) as source:
            while group := list(itertools.islice(source, self.size)):
                if len(group) < self.size and self.drop_last:
                    return
                numbers, items = zip(*group)
                yield np.array(numbers), stacked(items)

    def _gathered(self, source: Arrays, epoch: int, start: int) -> Items:
        order = source.order(epoch)
        for begin in range(start * self.size, len(order), self.size):
            numbers = order[begin : begin + self.size]
            if len(numbers) == self.size or not self.drop_last:
                yield numbers, source.rows(numbers)


class Mapped:
    """A function of each item."""

    def __init__(self, source: Stage, function: Callable[..., Any], indexed: bool) -> None:
        self.source = source
        self.function = function
        self.indexed = indexed
        self.length = source.length

    def items(self, epoch: int, start: int) -> Items:
        """What the function makes of each item; it is not called for items before `start`."""
        with closing(_generator(self.source.items(epoch, start))) as source:
            for number, item in source:
                result = self.function(*item, index=number, epoch=epoch) if self.indexed else self.function(*item)
                yield number, as_item(result)


class Cut:
    """The items from number `first` to before number `last`."""

    def __init__(self, source: Stage, first: int, last: int | None) -> None:
        self.source = source
        self.first = first
        self.last = last
        known = source.length
        self.length = None if known is None else max(0, min(known, known if last is None else last) - first)

    def items(self, epoch: int, start: int) -> Items:
        """Those items."""
        begin = self.first + start
        wanted = None if self.last is None else max(0, self.last - begin)
        return itertools.islice(self.source.items(epoch, begin), wanted)


class Repeated:
    """The epochs of a stream one after the other: each of them is one epoch of the source."""

    def __init__(self, source: Stage, count: int | None) -> None:
        self.source = source
        self.count = count
        known = source.length
        self.length = None if known is None or count is None else known * count

    def items(self, epoch: int, start: int) -> Items:
        """`count` epochs of the source, or epochs without end."""
        known = self.source.length
        if known == 0:
            return
        turn, left = divmod(start, known) if known is not None else (0, start)
        first = epoch << 32 if self.count is None else epoch * self.count
        while self.count is None or turn < self.count:
            seen = 0
            # Of a source without a length, what comes before `start` is counted by going through it.
            for item in self.source.items(first + turn, left if known is not None else 0):
                seen += 1
                if known is not None or seen > left:
                    yield item
            if known is None:
                if not seen:
                    return
                left = max(0, left - seen)
            else:
                left = 0
            turn += 1


class Zipped:
    """Several streams side by side, as long as the shortest; numbered as the first."""

    def __init__(self, sources: tuple[Stage, ...]) -> None:
        self.sources = sources
        known = [s.length for s in sources if s.length is not None]
        self.length = min(known) if len(known) == len(sources) else None

    def items(self, epoch: int, start: int) -> Items:
        """The streams' arrays in one tuple."""
        for group in zip(*(source.items(epoch, start) for source in self.sources)):
            yield group[0][0], tuple(array for _, item in group for array in item)


class Cached:
    """The items of the source's first epoch, kept in memory for all epochs."""

    def __init__(self, source: Stage) -> None:
        self.source = source
        self.length = source.length
        self._kept: list[Numbered] | None = None

    def items(self, epoch: int, start: int) -> Items:
        """The kept items; the first call goes through the whole source."""
        if self._kept is None:
            self._kept = list(self.source.items(0, 0))
        return iter(self._kept[start:])


def as_item(value: Any) -> Item:
    """A tuple as it is; anything else as a tuple of one."""
    return value if isinstance(value, tuple) else tuple(value) if isinstance(value, list) else (value,)


def stacked(items: tuple[Item, ...]) -> Item:
    """Items of one structure as one item of stacked arrays.

    Raises:
        ShapeError: their arrays differ in number or shape.
    """
    counts = sorted({len(item) for item in items})
    if len(counts) > 1:
        raise gc.ShapeError(f"batch: items must have the same number of arrays; there are some of {counts}")
    columns = [[np.asarray(value) for value in column] for column in zip(*items)]
    for place, column in enumerate(columns):
        shapes = sorted({array.shape for array in column})
        if len(shapes) > 1:
            raise gc.ShapeError(
                f"batch: array {place} of the items must have one shape; there are {shapes[0]} and {shapes[1]}",
                hint="pad or crop them first, in map",
            )
    return tuple(np.stack(column) for column in columns)


def _generator(items: Items) -> Any:
    """`items` as something that can be closed: iterators of the standard library cannot."""
    return items if hasattr(items, "close") else (item for item in items)
