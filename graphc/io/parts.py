"""What can be saved: functions, and the variables, transformers and facts that go with them.

Invariant: `Parts` holds what a file will; whether all of it can be saved is known before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import graphc as gc

NAME_LIMIT = 100  # characters of a function's name


@dataclass(frozen=True)
class Parts:
    """The parts of a model.

    Attributes:
        functions: compiled functions by name; `predict` is the one that `LoadedModel.predict` calls.
        variables: variables by name; those that the functions use and that are not here go by their own names.
        preprocessing: fitted transformers of `gc.data` (or of scikit-learn, where `gc.data.from_sklearn` knows
            them), which `predict` applies to its first input in this order.
        metadata: JSON data of the user's own.
        target_preprocessing: likewise, what the labels went through; `predict` undoes it in its output.

    >>> import graphc as gc
    >>> x = gc.placeholder(("n",), "float64", name="x")
    >>> parts = gc.io.Parts({"predict": gc.function([x], 2.0 * x, backend="numpy")}, metadata={"author": "me"})
    >>> parts.functions["predict"]([1.0])
    array([2.])
    """

    functions: Mapping[str, gc.Function]
    variables: Mapping[str, gc.Variable] = field(default_factory=dict)
    preprocessing: Sequence[Any] = ()
    metadata: Any = None
    target_preprocessing: Sequence[Any] = ()


def parts_of(thing: Any) -> Parts:
    """The parts of a function, of functions by name, or of an object that has `saved_parts()`.

    Raises:
        ArgumentError: it is none of these, or its parts are not what they should be.
    """
    if isinstance(thing, gc.Function):
        parts = Parts({"predict": thing})
    elif isinstance(thing, Mapping):
        parts = Parts(thing)
    elif isinstance(thing, Parts):
        parts = thing
    elif hasattr(thing, "saved_parts"):
        parts = thing.saved_parts()
    else:
        raise gc.ArgumentError(
            f"save: {type(thing).__name__} cannot be saved",
            hint="save a function made by gc.function, a dict of such by name, gc.io.Parts, or a model",
        )
    _check(parts)
    return parts


def _check(parts: Any) -> None:
    if not isinstance(parts, Parts):
        raise gc.ArgumentError(f"save: saved_parts() must give gc.io.Parts, not {type(parts).__name__}")
    lowered: dict[str, str] = {}
    for name, function in parts.functions.items():
        if not isinstance(function, gc.Function):
            raise gc.ArgumentError(f"save: {name!r} is {type(function).__name__}, not a function made by gc.function")
        if not is_function_name(name):
            raise gc.ArgumentError(f"save: {name!r} is no name for a saved function: letters, digits and underscores")
        twin = lowered.setdefault(name.lower(), name)
        if twin != name:
            raise gc.ArgumentError(f"save: {twin!r} and {name!r} would be one file where case makes no difference")
    for name, variable in parts.variables.items():
        if not isinstance(name, str) or not isinstance(variable, gc.Variable):
            raise gc.ArgumentError(f"save: variables must be variables by name; {name!r} is {type(variable).__name__}")


def is_function_name(name: Any) -> bool:
    """Whether a saved function may have this name, which becomes a file's."""
    return isinstance(name, str) and name.isascii() and name.isidentifier() and len(name) <= NAME_LIMIT
