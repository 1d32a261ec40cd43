"""Holding Python's cyclic garbage collector still while many tensors are made.

Graphs are made of many small objects that live on and have no cycles. The collector, which goes by the number
of new objects, would walk all of them over and over: with 100,000 tensors, a third of the time.

Invariant: the collector runs afterwards if it ran before, also when threads hold it at the same time.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def held() -> Iterator[None]:
    """No cyclic collection in this block, unless another thread ends such a block of its own meanwhile.

    >>> import gc
    >>> with held():
    ...     gc.isenabled()
    False
    >>> gc.isenabled()
    True
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def holding(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: the function runs inside `held`."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with held():
            return function(*args, **kwargs)

    return wrapped
