"""A copy of a model's weights that can be taken, put back, and stored in a checkpoint.

Invariant: a snapshot holds copies in variables of its own; the model's variables are written by `restore` only.
"""

from __future__ import annotations

from collections.abc import Mapping

import graphc as gc


class Snapshot:
    """A copy of the values of named variables.

    >>> w = gc.variable([1.0, 2.0], name="w")
    >>> kept = Snapshot({"w": w})
    >>> w.assign([0.0, 0.0]); kept.restore(); w.value
    array([1., 2.])
    """

    def __init__(self, variables: Mapping[str, gc.Variable]) -> None:
        self._variables = dict(variables)
        self.copies = {name: gc.variable(v.value, name=name) for name, v in self._variables.items()}

    def take(self) -> None:
        """Copy the present values."""
        for name, variable in self._variables.items():
            self.copies[name].assign(variable.value)

    def restore(self) -> None:
        """Put the copied values back."""
        for name, variable in self._variables.items():
            variable.assign(self.copies[name].value)


__all__ = ["Snapshot"]
