"""Names of layers: one for each in a process, counted by type: "dense", "dense_1", "dense_2".

Invariant: a name that was made here was not made here before, until `reset_names`.
"""

from __future__ import annotations

import collections
import re
import threading
from typing import Any

import graphc as gc

_counts: collections.Counter[str] = collections.Counter()
_lock = threading.Lock()


def unique_name(base: str) -> str:
    """`base`, followed by a count from the second time on."""
    with _lock:
        count = _counts[base]
        _counts[base] += 1
    return f"{base}_{count}" if count else base


def reset_names() -> None:
    """Begin counting anew: the next layers get the names, and so the first parameters, of a fresh process.

    >>> import graphc as gc
    >>> gc.nn.reset_names()
    >>> gc.nn.Dense(3).name, gc.nn.Dense(3).name, gc.nn.Conv2D(3, 3).name
    ('dense', 'dense_1', 'conv2d')
    """
    with _lock:
        _counts.clear()


def snake_case(name: str) -> str:
    """A class's name in lower case.

    >>> snake_case("Conv2DTranspose"), snake_case("SimpleRNN"), snake_case("BatchNorm")
    ('conv2d_transpose', 'simple_rnn', 'batch_norm')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])", "_", name).lower()


def checked_name(name: Any) -> str:
    """A name that the user gave.

    Raises:
        ArgumentError: it is no word of letters, digits, underscores and dots.
    """
    if isinstance(name, str) and re.fullmatch(r"[A-Za-z_][\w.]*", name):
        return name
    raise gc.ArgumentError(
        f"a layer's name is a word of letters, digits, underscores and dots, not {name!r}", location=gc.location.here()
    )
