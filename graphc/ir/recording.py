"""Which tensors were made while a user's function ran: what tells the inside of a loop's body from its outside.

Invariant: a tensor is recorded once, by the innermost recording of the thread that made it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphc.ir.tensor import Tensor


class _Recorder(threading.local):
    made: set[Tensor] | None = None


_recorder = _Recorder()


def record(tensor: Tensor) -> Tensor:
    """Note that `tensor` was made now; returns it."""
    if _recorder.made is not None:
        _recorder.made.add(tensor)
    return tensor


@contextlib.contextmanager
def recording() -> Iterator[set[Tensor]]:
    """The tensors that this thread makes in the block, without those of recordings inside it."""
    before, _recorder.made = _recorder.made, set()
    try:
        yield _recorder.made
    finally:
        _recorder.made = before
