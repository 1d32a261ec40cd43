"""What a system makes of a workload: something to call, and a way to see what it computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.workload import Inputs, Sizes


class Program(NamedTuple):
    """A workload, written in one system, compiled where that system compiles.

    Attributes:
        call: one call, with the arrays already in the system's own form.
        results: NumPy arrays of what the last call returned, and of the parameters it changed.
        finish: waits until everything that was called has been computed; gets what the last call returned.
    """

    call: Callable[[], Any]
    results: Callable[[Any], list[np.ndarray]]
    finish: Callable[[Any], object] = lambda last: None


#: How a system writes its programs: one function for each.
Programs = dict[str, Callable[[Inputs, Sizes], Program]]


class NotThereError(Exception):
    """The system cannot run this program; the text says why."""
