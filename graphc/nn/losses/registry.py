"""Losses by name, as `compile(loss="mse")` and saved models have them.

Invariant: the registry is closed: a name in a file can choose a loss of this list and nothing else.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import graphc as gc
from graphc.nn.losses import distributions, margins, regression

Loss = Callable[..., gc.Tensor]

_LOSSES: dict[str, Loss] = {
    function.__name__: function
    for function in (
        distributions.binary_crossentropy,
        distributions.categorical_crossentropy,
        distributions.kl_divergence,
        distributions.log_loss,
        distributions.poisson,
        distributions.sparse_categorical_crossentropy,
        margins.categorical_hinge,
        margins.hinge,
        margins.squared_hinge,
        regression.huber,
        regression.log_cosh,
        regression.mean_absolute_error,
        regression.mean_absolute_percentage_error,
        regression.mean_squared_error,
        regression.mean_squared_logarithmic_error,
    )
}
_SHORT = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
}

_LOGITS = "_from_logits"


def names() -> tuple[str, ...]:
    """The names that `get` knows, short ones left out.

    >>> import graphc as gc
    >>> gc.nn.losses.names()[:2]
    ('binary_crossentropy', 'categorical_crossentropy')
    """
    return tuple(sorted(_LOSSES))


def get(loss: str | Loss, **options: Any) -> Loss:
    """The loss of this name, with options set; a function comes back as it is.

    Args:
        loss: one of `names()`, a short form such as "mse", or any function `(y_true, y_pred, ...)`. With
            "_from_logits" at its end it is the loss of logits: "sparse_categorical_crossentropy_from_logits".
        options: keywords to call it with, such as `from_logits=True`.

    Raises:
        ArgumentError: there is no such loss, or it has no such option.

    >>> import graphc as gc
    >>> gc.nn.losses.get("mse").__name__
    'mean_squared_error'
    >>> loss = gc.nn.losses.get("binary_crossentropy", from_logits=True)
    >>> loss = gc.nn.losses.get("bce_from_logits")  # the same
    """
    if not isinstance(loss, str) and not callable(loss):
        raise gc.arguments.refusal(f"a loss is a name or a function, not {type(loss).__name__}")
    if isinstance(loss, str) and loss.endswith(_LOGITS):
        loss, options = loss.removesuffix(_LOGITS), {**options, "from_logits": True}
    function = loss if callable(loss) else gc.arguments.choose("loss", _LOSSES, _SHORT.get(loss, loss), _SHORT)
    known = inspect.signature(function).parameters if options else {}
    for option in options:
        gc.arguments.choose(f"option of {getattr(function, '__name__', 'the loss')}", known, option)
    return functools.partial(function, **options) if options else function
