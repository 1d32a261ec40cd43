"""The values of many variables at one moment, and their replacement all together.

Invariant: a call that updates variables happens before or after a snapshot, never in the middle of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import numpy as np

import graphc as gc


def values_of(variables: Mapping[str, gc.Variable]) -> dict[str, np.ndarray]:
    """Copies of the variables' values."""
    with _all_locked(variables):
        return {name: variable.value for name, variable in variables.items()}


def assign_all(variables: Mapping[str, gc.Variable], values: Mapping[str, np.ndarray], what: str) -> None:
    """Give each variable the value of its name; all of them, or none.

    Raises:
        ModelFileError: names, shapes or dtypes are not the same.
    """
    missing, surplus = sorted(variables.keys() - values.keys()), sorted(values.keys() - variables.keys())
    if missing or surplus:
        parts = [f"it lacks {_listed(missing)}"] if missing else []
        parts += [f"it also has {_listed(surplus)}"] if surplus else []
        raise gc.ModelFileError(f"{what} does not fit the variables: {'; '.join(parts)}")
    for name, variable in variables.items():
        value = values[name]
        if value.shape != variable.shape or value.dtype != variable.dtype:
            raise gc.ModelFileError(
                f"{what} does not fit the variables: {name!r} is {variable.type!r}, "
                f"it has {value.dtype}{list(value.shape)}"
            )
    with _all_locked(variables):
        for name, variable in variables.items():
            variable.assign(values[name])


def checked_variables(function: str, variables: object) -> dict[str, gc.Variable]:
    """`variables`, checked to be variables by name.

    Raises:
        ArgumentError: they are not.
    """
    if not isinstance(variables, Mapping):
        raise gc.ArgumentError(f"{function}: variables must be a dict of variables by name")
    for name, variable in variables.items():
        if not isinstance(name, str) or not isinstance(variable, gc.Variable):
            raise gc.ArgumentError(f"{function}: {name!r} is {type(variable).__name__}, not a variable by name")
    return dict(variables)


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:5]))
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


@contextlib.contextmanager
def _all_locked(variables: Mapping[str, gc.Variable]) -> Iterator[None]:
    distinct = sorted(set(variables.values()), key=id)  # in one order everywhere, as calls take them
    with contextlib.ExitStack() as stack:
        for variable in distinct:
            stack.enter_context(variable.lock)
        # A native call takes no locks, but gives way to who takes them where a variable is busy.
        for variable in distinct:
            variable.busy[0] += 1
        try:
            yield
        finally:
            for variable in distinct:
                variable.busy[0] -= 1
