"""Callbacks from plain functions.

Invariant: a hook without a function costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.training.callbacks.base import Callback


class LambdaCallback(Callback):
    """Calls a function in each hook that is given one, with the hook's own arguments.

    >>> seen = []
    >>> callback = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"]))
    >>> callback.on_epoch_end(0, {"loss": 0.5}); seen
    [0.5]
    """

    def __init__(
        self,
        *,
        on_train_begin: Callable[[], Any] | None = None,
        on_epoch_begin: Callable[[int], Any] | None = None,
        on_batch_begin: Callable[[int], Any] | None = None,
        on_batch_end: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_end: Callable[[], Any] | None = None,
    ) -> None:
        given = {
            "on_train_begin": on_train_begin,
            "on_epoch_begin": on_epoch_begin,
            "on_batch_begin": on_batch_begin,
            "on_batch_end": on_batch_end,
            "on_epoch_end": on_epoch_end,
            "on_train_end": on_train_end,
        }
        vars(self).update({name: function for name, function in given.items() if function is not None})


__all__ = ["LambdaCallback"]
