"""Windows over a time series: stretches of the past, each with the value to be foretold.

Invariant: no window reaches the time of its own target.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gc


@gc.arguments.checked
def windows(series: Any, length: int, horizon: int = 1, stride: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Stretches of a series, and the value that comes `horizon` steps after the end of each.

    ```text
    series   s0 s1 s2 s3 s4 s5         length 3, horizon 2
    x[0]    [s0 s1 s2]    y[0] = s4
    x[1]       [s1 s2 s3]    y[1] = s5
    ```

    Args:
        series: (time,) or (time, features, ...).
        length: steps in a window.
        horizon: how far after the window's last step the target lies.
        stride: steps from the start of a window to that of the next.

    Returns:
        x of shape (windows, length, ...) and y of shape (windows, ...), both copies, for `from_arrays(*...)`.

    Raises:
        ArgumentError: a number below 1. ShapeError: the series is shorter than one window with its target.

    >>> import numpy as np
    >>> import graphc as gc
    >>> x, y = gc.data.windows(np.arange(6.0), length=3, horizon=2)
    >>> x.tolist(), y.tolist()
    ([[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]], [4.0, 5.0])
    """
    array = np.asarray(series)
    for name, value in (("length", length), ("horizon", horizon), ("stride", stride)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise gc.ArgumentError(f"windows: {name} must be a whole number from 1 on, not {value!r}")
    needed = length + horizon
    if array.ndim == 0 or len(array) < needed:
        raise gc.ShapeError(
            f"windows: windows of {length} with a target {horizon} later need a series of at least {needed} steps; "
            f"its shape is {array.shape}"
        )
    views = np.lib.stride_tricks.sliding_window_view(array[: len(array) - horizon], length, axis=0)
    x = np.moveaxis(views, -1, 1)[::stride]
    y = array[needed - 1 :: stride]
    return np.ascontiguousarray(x), y.copy()
