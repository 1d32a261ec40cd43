"""`with training() as updates:` and `with inference() as updates:`, the one way to say how layers act.

Invariant: the innermost block counts; outside of all blocks layers act as in inference and change nothing.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass, field

import graphc as gc

#: Variable -> its value after a call.
Updates = dict[gc.Variable, gc.Tensor]


@dataclass(frozen=True)
class Block:
    """What the layers called inside a `with` read and fill."""

    training: bool
    updates: Updates = field(default_factory=dict)


_block: contextvars.ContextVar[Block | None] = contextvars.ContextVar("graphc.nn block", default=None)


def current_block() -> Block | None:
    """The innermost block around this place, in this thread."""
    return _block.get()


@contextlib.contextmanager
def _inside(block: Block) -> Iterator[Updates]:
    token = _block.set(block)
    try:
        yield block.updates
    finally:
        _block.reset(token)


def training() -> contextlib.AbstractContextManager[Updates]:
    """A block in which layers act as in training: dropout drops, batch norm uses the moments of the batch.

    Returns:
        A context that gives a dict, which is filled with the new values of the layers' state (running moments,
        seeds of dropout, carried states); pass it on to `gc.function(..., updates=...)`.

    >>> import graphc as gc
    >>> x, drop = gc.nn.Input((3,)), gc.nn.Dropout(0.5, name="drop")
    >>> with gc.nn.training() as updates:
    ...     y = drop(x)
    >>> [variable.name for variable in updates]
    ['drop.seed']
    >>> step = gc.function([x], y, updates=updates)
    """
    return _inside(Block(training=True))


def inference() -> contextlib.AbstractContextManager[Updates]:
    """A block in which layers act as in inference; its dict is filled only with states that are carried over.

    That is what layers do outside of all blocks, where nobody asks for the new states of stateful ones.

    >>> import graphc as gc
    >>> x, drop = gc.nn.Input((3,)), gc.nn.Dropout(0.5)
    >>> with gc.nn.inference() as updates:
    ...     y = drop(x)
    >>> updates
    {}
    """
    return _inside(Block(training=False))
