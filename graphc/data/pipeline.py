"""Transformers one after the other, and side by side on the columns of a table.

Invariant: a step is anything with `fit` and `transform`, scikit-learn's included; whether all of it can be saved
is decided when it is saved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np

import graphc as gc
from graphc.data.entries import one_of, option
from graphc.data.transformer import Transformer, loaded_transformer, registered, saved_transformer

_REST = one_of("drop", "keep")


def _steps(value: Any) -> list[Any]:
    if not isinstance(value, list) or not all(isinstance(step, list) and len(step) == 2 for step in value):
        raise ValueError("it is no list of names and states")
    if not all(isinstance(name, str) for name, _ in value):
        raise ValueError("a step's name is no string")
    return [loaded_transformer(name, state) for name, state in value]


def _require_step(owner: str, step: Any) -> Any:
    if isinstance(step, type) or not (hasattr(step, "fit") and hasattr(step, "transform")):
        raise gc.ArgumentError(f"{owner}: a step must have fit and transform; {step!r} has not")
    return step


@registered
class Pipeline(Transformer):
    """Transformers one after the other: each learns from what those before it make of the data.

    >>> import graphc as gc
    >>> pipeline = gc.data.Pipeline([gc.data.Imputer("mean"), gc.data.MinMaxScaler()])
    >>> pipeline.fit_transform([[0.0], [4.0], [float("nan")]]).ravel()
    array([0. , 1. , 0.5])
    """

    fields: ClassVar = {"steps": _steps}

    def __init__(self, steps: Sequence[Any]) -> None:
        """Put transformers (of this package, or with scikit-learn's methods) in a row.

        Raises:
            ArgumentError: one of them has no `fit` and `transform`.
        """
        self.steps = [_require_step("Pipeline", step) for step in steps]

    def fit(self, x: Any) -> Self:
        """Let each step learn."""
        for place, step in enumerate(self.steps):
            step.fit(x)
            x = step.transform(x) if place < len(self.steps) - 1 else x
        return self

    def transform(self, x: Any) -> Any:
        """What the last step makes of what those before it make of `x`."""
        for step in self.steps:
            x = step.transform(x)
        return x

    def inverse_transform(self, x: Any) -> Any:
        """Undo the steps, the last one first."""
        for step in reversed(self.steps):
            x = step.inverse_transform(x)
        return x

    def state(self) -> dict[str, Any]:
        """The names and states of the steps."""
        return {"steps": [list(saved_transformer(step)) for step in self.steps]}


def undone(steps: Sequence[Any], x: Any) -> np.ndarray:
    """What the steps, one after the other, made `x` of. Steps that learned from (n,) take (n, 1) for it.

    >>> import numpy as np
    >>> import graphc as gc
    >>> undone([gc.data.StandardScaler().fit([0.0, 4.0])], np.array([[1.0]]))
    array([[4.]])
    """
    for step in reversed(steps):
        x = as_column(step.inverse_transform, x)
    return np.asarray(x)


def as_column(function: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    """`function` of an array; of (n, 1) as (n,), where it refuses it as it is."""
    try:
        return np.asarray(function(x))
    except (gc.ShapeError, gc.DTypeError):
        if x.ndim < 2 or x.shape[-1] != 1:
            raise
        return np.asarray(function(x[..., 0]))[..., np.newaxis]


@registered
class ColumnTransformer(Transformer):
    """Transformers side by side: each gets some columns of a table; the results are joined in that order.

    >>> import numpy as np
    >>> import graphc as gc
    >>> table = np.array([["red", 1.0], ["green", 3.0]], object)
    >>> columns = gc.data.ColumnTransformer([([0], gc.data.OneHotEncoder()), ([1], gc.data.MinMaxScaler())])
    >>> columns.fit_transform(table)
    array([[0., 1., 0.],
           [1., 0., 1.]])
    """

    fields: ClassVar = {
        "columns": lambda value: [_columns(item) for item in _list(value)], "steps": _steps, "rest": _REST,
    }  # fmt: skip

    def __init__(self, parts: Sequence[tuple[Sequence[int], Any]], rest: str = "drop") -> None:
        """Give each transformer its columns.

        Args:
            parts: pairs of column numbers and a transformer.
            rest: whether to "drop" columns that none gets, or "keep" them at the end.

        Raises:
            ArgumentError: a part is no such pair.
        """
        try:
            self.columns = [_columns(columns) for columns, _ in parts]
        except (TypeError, ValueError) as error:
            raise gc.ArgumentError(
                f"ColumnTransformer: parts are pairs of columns and a transformer: {error}"
            ) from None
        self.steps = [_require_step("ColumnTransformer", step) for _, step in parts]
        self.rest = option("ColumnTransformer", "rest", _REST, rest)

    def fit(self, x: Any) -> Self:
        """Let each transformer learn from its columns."""
        table = self._table(x)
        for columns, step in zip(self.columns, self.steps):
            step.fit(table[:, columns])
        return self

    def transform(self, x: Any) -> np.ndarray:
        """The transformed columns, (samples, columns)."""
        table = self._table(x)
        blocks = [_dense(step.transform(table[:, columns])) for columns, step in zip(self.columns, self.steps)]
        if self.rest == "keep":
            given = {column for columns in self.columns for column in columns}
            blocks.append(table[:, [column for column in range(table.shape[1]) if column not in given]])
        return np.concatenate(blocks, axis=1) if blocks else table[:, :0]

    def state(self) -> dict[str, Any]:
        """The columns, and the names and states of the transformers."""
        steps = [list(saved_transformer(step)) for step in self.steps]
        return {"columns": self.columns, "steps": steps, "rest": self.rest}

    def _table(self, x: Any) -> np.ndarray:
        table = np.asarray(x)
        highest = max((column for columns in self.columns for column in columns), default=-1)
        if table.ndim != 2 or table.shape[1] <= highest:
            raise gc.ShapeError(
                f"ColumnTransformer: expected (samples, columns) with a column {highest}, not {table.shape}"
            )
        return table

    def _check_state(self) -> None:
        if len(self.columns) != len(self.steps):
            raise gc.ArgumentError("ColumnTransformer: its state has not one list of columns for each transformer")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("it is no list")
    return value


def _columns(value: Any) -> list[int]:
    columns = [int(column) for column in value if isinstance(column, (int, np.integer)) and 0 <= column < 2**31]
    if len(columns) != len(value):
        raise ValueError(f"{value!r} is no list of column numbers")
    return columns


def _dense(block: Any) -> np.ndarray:
    """A transformed block with two axes; scikit-learn's may be sparse."""
    array = np.asarray(block.toarray() if hasattr(block, "toarray") else block)
    return array[:, None] if array.ndim == 1 else array
