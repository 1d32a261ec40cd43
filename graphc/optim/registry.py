"""Optimisers by name, as `compile(optimizer="adam")` and saved models have them.

Invariant: the registry is closed: a name or settings in a file can make an optimiser of this list and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import graphc as gc
from graphc.optim.adam import Adam, AdamW
from graphc.optim.adaptive import Adadelta, Adagrad, RMSProp
from graphc.optim.descent import SGD, GradientDescent
from graphc.optim.nonsmooth import ProximalGradient, Subgradient
from graphc.optim.optimizer import Optimizer
from graphc.optim.penalties import penalty_from
from graphc.optim.schedules import schedule_from

_OPTIMIZERS: dict[str, type[Optimizer]] = {
    optimizer.kind: optimizer
    for optimizer in (GradientDescent, SGD, Adagrad, RMSProp, Adadelta, Adam, AdamW, Subgradient, ProximalGradient)
}


def names() -> tuple[str, ...]:
    """The names that `get` knows.

    >>> import graphc as gc
    >>> gc.optim.names()[:3]
    ('adadelta', 'adagrad', 'adam')
    """
    return tuple(sorted(_OPTIMIZERS))


def get(optimizer: str | Mapping[str, Any] | Optimizer, **settings: Any) -> Optimizer:
    """A new optimiser of this name; or of these settings, as `config()` gives them. An optimiser is returned as it is.

    Args:
        optimizer: one of `names()`, the settings, or an optimiser.
        settings: keywords of the optimiser, where a name is given.

    Raises:
        ArgumentError: there is no such optimiser, or it takes no such settings.

    >>> import graphc as gc
    >>> gc.optim.get("sgd", learning_rate=0.1)
    SGD(learning_rate=0.1, momentum=0.0, nesterov=False)
    """
    if isinstance(optimizer, Optimizer) and not settings:
        return optimizer
    if isinstance(optimizer, Mapping):
        settings = {**optimizer, **settings}
        optimizer = settings.pop("optimizer", None)
    elif not isinstance(optimizer, str):
        raise gc.arguments.refusal(f"an optimiser is a name, settings or an optimiser, not {optimizer!r} with settings")
    chosen = gc.arguments.choose("optimiser", _OPTIMIZERS, optimizer)
    for setting in settings:
        gc.arguments.choose(f"setting of {chosen.kind}", chosen.settings(), setting)
    return chosen(**{setting: _made(value) for setting, value in settings.items()})


def _made(value: Any) -> Any:
    """A setting with the schedules and penalties that its plain data stand for."""
    if not isinstance(value, Mapping):
        return value
    if "schedule" in value:
        return schedule_from(value)
    if "penalty" in value:
        return penalty_from(value)
    return {key: _made(entry) for key, entry in value.items()}
