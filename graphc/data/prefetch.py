"""Items made ahead by a thread, while the consumer works on those before.

Invariant: when the consumer's iterator ends, is closed, or is dropped, the thread has ended; and an exception in the
thread reaches the consumer at the place of the item that failed, with the traceback of where it was raised.
"""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from graphc.data.stages import Items, Numbered, Stage

_PATIENCE = 5.0  # seconds; a thread that waits for its source longer than this ends when the source gives way


class Prefetched:
    """A stream of which up to `depth` items are made ahead."""

    def __init__(self, source: Stage, depth: int) -> None:
        self.source = source
        self.depth = depth
        self.length = source.length

    def items(self, epoch: int, start: int) -> Items:
        """The source's items, in its order."""
        channel = _Channel(self.depth)
        source = functools.partial(self.source.items, epoch, start)
        worker = threading.Thread(target=_produce, args=(source, channel), name="graphc prefetch", daemon=True)
        worker.start()
        try:
            while (item := channel.take()) is not None:
                yield item
        finally:
            channel.close()
            if worker is not threading.current_thread():
                worker.join(_PATIENCE)
        if channel.error is not None:
            channel.error.add_note("raised in the thread that prefetches the items of a gc.data.Dataset")
            raise channel.error


class _Channel:
    """A bounded queue from one thread to another that either end can close."""

    def __init__(self, depth: int) -> None:
        self._items: deque[Numbered] = deque()
        self._depth = depth
        self._changed = threading.Condition()
        self._closed = False
        self.error: BaseException | None = None

    def put(self, item: Numbered) -> bool:
        """Wait for room and append; False when the channel is closed instead."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._depth)
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()
            return not self._closed

    def take(self) -> Numbered | None:
        """Wait for an item; None when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._items))
            if not self._items:
                return None
            self._changed.notify_all()
            return self._items.popleft()

    def close(self, error: BaseException | None = None) -> None:
        """Say that nothing more will be put, or taken."""
        with self._changed:
            self._closed = True
            self.error = error if self.error is None else self.error
            self._changed.notify_all()


def _produce(source: Callable[[], Any], channel: _Channel) -> None:
    """Put the source's items until it or the channel ends. Whatever it raises goes through the channel."""
    error = None
    try:
        items = source()
        try:
            for item in items:
                if not channel.put(item):
                    break
        finally:
            if hasattr(items, "close"):
                items.close()
    except BaseException as raised:  # a KeyboardInterrupt raised by the source belongs to the consumer too
        error = raised
    channel.close(error)
