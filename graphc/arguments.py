"""Arguments that a user got wrong: a name that is not in a table, a keyword that there is not, one that is missing.

Layers, optimisers, transformers, metrics and callbacks are `Checked`: where Python would refuse a call of their
constructors with a `TypeError` about `__init__`, the user gets an `ArgumentError` that knows what other libraries
call the same thing. It is public as `gc.arguments`.

Invariant: every refusal is an `ArgumentError` on the user's own line, and costs nothing where nothing is wrong.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from graphc.errors import ArgumentError, nearest
from graphc.ir.location import here

T = TypeVar("T")
_Function = TypeVar("_Function", bound=Callable[..., Any])

#: What Keras, PyTorch or scikit-learn call something -> what it may be called here.
SYNONYMS: dict[str, tuple[str, ...]] = {
    # layers
    "kernel_size": ("window",),
    "pool_size": ("window",),
    "stride": ("strides",),
    "dilation_rate": ("dilation",),
    "out_channels": ("filters",),
    "out_features": ("units",),
    "hidden_size": ("units",),
    "hidden_dim": ("units",),
    "data_format": ("layout",),
    "kernel_initializer": ("weight_init",),
    "embeddings_initializer": ("weight_init",),
    "recurrent_initializer": ("recurrent_init",),
    "bias_initializer": ("bias_init",),
    "bias": ("use_bias",),
    "num_heads": ("heads",),
    "key_dim": ("head_units",),
    "value_dim": ("value_units",),
    "p": ("rate",),
    "eps": ("epsilon",),
    "num_groups": ("groups",),
    "input_dim": ("count",),
    "num_embeddings": ("count",),
    "output_dim": ("units",),
    "embedding_dim": ("units",),
    "scale_factor": ("scale",),
    "merge_mode": ("merge",),
    # optimisers and schedules
    "lr": ("learning_rate",),
    "initial_learning_rate": ("learning_rate",),
    "beta_1": ("beta1",),
    "beta_2": ("beta2",),
    "betas": ("beta1",),
    "clipnorm": ("clip_norm",),
    "clipvalue": ("clip_value",),
    "global_clipnorm": ("global_clip_norm",),
    "gradient_accumulation_steps": ("accumulation_steps",),
    "steps": ("decay_steps", "every"),
    "T_max": ("decay_steps",),
    "step_size": ("every",),
    "gamma": ("factor", "decay_rate"),
    "alpha": ("end",),
    "eta_min": ("end",),
    # data
    "test_size": ("fractions",),
    "train_size": ("fractions",),
    "random_state": ("seed",),
    "shuffle": ("ordered",),
    "n_splits": ("count",),
    "sequence_length": ("length",),
    "with_std": ("with_deviation",),
    "fill_value": ("constant",),
    "handle_unknown": ("unknown",),
    # models
    "nb_epoch": ("epochs",),
    "num_epochs": ("epochs",),
    "n_epochs": ("epochs",),
    "val_data": ("validation_data",),
    "weighted_metrics": ("metrics",),
    "k": ("count",),
}


def refusal(message: str, hint: str | None = None) -> ArgumentError:
    """An argument error on the user's line.

    >>> import graphc as gc
    >>> gc.arguments.refusal("sgd: momentum must be positive", "0.9 is usual").hint
    '0.9 is usual'
    """
    return ArgumentError(message, location=here(), hint=hint)


def choose(kind: str, table: Mapping[str, T], name: Any, also: Iterable[str] = ()) -> T:
    """The entry of `table` called `name`.

    Args:
        kind: what it would be, for the message.
        table: the entries by name.
        name: what the user gave.
        also: further names that may have been meant.

    Raises:
        ArgumentError: there is none; it lists what there is and suggests what may have been meant.

    >>> import graphc as gc
    >>> gc.arguments.choose("activation", {"relu": 1}, "relu")
    1
    """
    if isinstance(name, str) and name in table:
        return table[name]
    raise refusal(f"{name!r} is no {kind}; there are {', '.join(sorted(table))}", _meant(str(name), [*table, *also]))


def _meant(name: str, known: list[str]) -> str | None:
    here_called = next((word for word in SYNONYMS.get(name, ()) if word in known), None)
    return f"did you mean {here_called!r}?" if here_called else nearest(name, known)


def constructor_arguments(cls: type) -> list[str]:
    """Their names, the class's own first, then those that `**options` passes on to the class above.

    >>> import graphc as gc
    >>> gc.arguments.constructor_arguments(gc.nn.Activation)
    ['activation', 'name', 'dtype', 'seed', 'trainable']
    """
    names: dict[str, None] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base) or base is object:
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]  # type: ignore[misc]
        kinds = {p.kind for p in parameters}
        names.update(dict.fromkeys(p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)))
        if not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}:
            break
    return list(names)


class Checked:
    """Base of classes whose constructors refuse wrong arguments in the user's words.

    >>> import graphc as gc
    >>> try:
    ...     gc.nn.Conv2D(4, kernel_size=3)
    ... except gc.ArgumentError as error:
    ...     print(error.hint)
    did you mean 'window'?
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            setattr(cls, "__init__", checked(vars(cls)["__init__"]))  # noqa: B010 - mypy: methods are not assigned

    @classmethod
    def argument_names(cls) -> list[str]:
        """The names of all arguments of the constructor."""
        return constructor_arguments(cls)


def checked(function: _Function) -> _Function:
    """Decorator: a call that does not fit the function's arguments is refused by an `ArgumentError`.

    >>> import graphc as gc
    >>> @gc.arguments.checked
    ... def scale(x, factor):
    ...     return factor * x
    >>> try:
    ...     scale(3.0)
    ... except gc.ArgumentError as error:
    ...     print(error.message)
    scale: the argument 'factor' is missing
    """

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except TypeError:
            error = _misfit(function, arguments, named)
            if error is None:
                raise
        raise error

    return call  # type: ignore[return-value]


def _misfit(function: Callable[..., Any], arguments: tuple[Any, ...], named: Mapping[str, Any]) -> ArgumentError | None:
    """What is wrong with a call; None where its arguments fit, and the error came from elsewhere."""
    signature = inspect.signature(function)
    try:
        signature.bind(*arguments, **named)
    except TypeError as misfit:
        problem = str(misfit)
    else:
        return None
    parameters = signature.parameters
    known = [p.name for p in parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    what = function.__name__
    if what == "__init__" and isinstance(arguments[0], Checked):
        known, what = type(arguments[0]).argument_names(), type(arguments[0]).__name__
    known = [name for name in known if name != "self"]
    for name in named:
        if name not in known:
            listed = ", ".join(known)
            return refusal(f"{name!r} is no argument of {what}; there are {listed}", _meant(name, known))
    given = set(list(parameters)[: len(arguments)]) | set(named)
    missing = [p.name for p in parameters.values() if p.default is p.empty and p.name in known and p.name not in given]
    if missing:
        return refusal(f"{what}: the argument {missing[0]!r} is missing")
    if "too many positional" in problem:
        places = [p.name for p in parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        places = [name for name in places if name != "self"]
        count = len(arguments) - len(list(parameters)[:1]) if "self" in parameters else len(arguments)
        if not places:
            return refusal(f"{what}: takes arguments by name only", f"they are {', '.join(known)}")
        by_name = f"{what}: takes {len(places)} arguments without a name ({', '.join(places)}), not {count}"
        return refusal(by_name, "give the others by name")
    return refusal(f"{what}: {problem}")
