"""The variables of an optimiser by name, and the names of the parameters that they belong to.

    adam.step                   a scalar of the optimiser
    adam.dense1.weight.m        the slot "m" of the parameter "dense1.weight"

Invariant: names depend only on the optimiser's name, those of the parameters, and the order in which parameters of one
name came; so a program that is run again finds the values that it saved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import graphc as gc

Parameters = Mapping[str, gc.Variable] | Sequence[gc.Variable]


class State:
    """Variables that are made when they are first asked for.

    Args:
        name: the first part of their names.

    Attributes:
        variables: all of them, by name, in the order in which they were made.
        labels: the parameters that were met, with their names.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.variables: dict[str, gc.Variable] = {}
        self.labels: dict[gc.Variable, str] = {}

    def scalar(self, name: str, first: float, dtype: str = "float64") -> gc.Variable:
        """The optimiser's own scalar of this name; `first` is what it begins with."""
        return self._made(f"{self.name}.{name}", np.asarray(first, dtype))

    def slot(self, parameter: gc.Variable, slot: str, first: np.ndarray) -> gc.Variable:
        """A parameter's variable of this name, which begins with `first`, an array of its shape and dtype."""
        return self._made(f"{self.name}.{self.labels[parameter]}.{slot}", first)

    def _made(self, name: str, first: np.ndarray) -> gc.Variable:
        if name not in self.variables:
            self.variables[name] = gc.variable(first, name=name)
        return self.variables[name]

    def meet(self, parameters: Parameters) -> list[gc.Variable]:
        """The parameters as a list, each with a name from now on.

        Raises:
            ArgumentError: there are none, one is listed twice, or is no float variable.
        """
        if isinstance(parameters, Mapping):
            named: list[tuple[str | None, gc.Variable]] = list(parameters.items())
        elif isinstance(parameters, (list, tuple)):
            named = [(getattr(parameter, "name", None), parameter) for parameter in parameters]
        else:
            found = type(parameters).__name__
            raise gc.arguments.refusal(f"{self.name}: parameters are a dict or a list of variables, not {found}")
        if not named:
            raise gc.arguments.refusal(f"{self.name}: there are no parameters")
        seen: set[Any] = set()
        for _, parameter in named:
            if not isinstance(parameter, gc.Variable):
                raise gc.arguments.refusal(f"{self.name}: parameters are variables, not {parameter!r}")
            if parameter.dtype.kind != "f":
                raise gc.arguments.refusal(f"{self.name}: parameters are floats, {parameter!r} is not")
            if parameter in seen:
                raise gc.arguments.refusal(f"{self.name}: the parameter {parameter!r} is listed twice")
            seen.add(parameter)
        for label, parameter in named:
            if parameter not in self.labels:
                self.labels[parameter] = self._unique(label or f"parameter{len(self.labels)}")
        return [parameter for _, parameter in named]

    def _unique(self, label: str) -> str:
        taken, count, unique = set(self.labels.values()), 1, label
        while unique in taken:
            unique, count = f"{label}_{count}", count + 1
        return unique

    def by_parameter(self, option: str, entries: Mapping[Any, Any]) -> dict[gc.Variable, Any]:
        """An option that is given by variables or by names, by variables.

        Raises:
            ArgumentError: no parameter has such a name.
        """
        named = {label: parameter for parameter, label in self.labels.items()}
        kind = f"parameter ({option} of {self.name})"
        choose = gc.arguments.choose
        return {
            key if isinstance(key, gc.Variable) else choose(kind, named, key): entry for key, entry in entries.items()
        }

    def label(self, parameter: gc.Variable | str) -> str:
        """The name of a parameter that is given by variable or by name."""
        return parameter if isinstance(parameter, str) else self.labels.get(parameter) or str(parameter.name)
