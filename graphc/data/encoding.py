"""Categories as numbers: one-hot and ordinal.

Invariant: the categories of a column are what `fit` saw in it, sorted; so codes do not depend on the order of
the samples. The definitions are scikit-learn's.
"""

from __future__ import annotations

import itertools
from typing import Any, ClassVar, Self

import numpy as np

import graphc as gc
from graphc.data.entries import flag, one_of, option, scalars
from graphc.data.samples import as_table, require_samples
from graphc.data.transformer import Transformer, registered

_FLOATS = one_of("float32", "float64")


def _lists(value: Any) -> list[list[Any]]:
    if not isinstance(value, list):
        raise ValueError("it is no list of columns")
    return [scalars(column) for column in value]


class _Encoder(Transformer):
    """What both encoders share: the categories of each column."""

    categories: list[list[Any]]
    flat: bool
    unknown: str

    def fit(self, x: Any) -> Self:
        """Learn the categories of each column."""
        array = as_table(type(self).__name__, x)
        require_samples(type(self).__name__, array)
        self.flat = np.ndim(x) == 1
        self.categories = [_categories(type(self).__name__, column, i) for i, column in enumerate(array.T)]
        return self

    def _codes(self, x: Any) -> np.ndarray:
        """The number of each value among its column's categories; -1 for others, where they are allowed."""
        self._require_fitted()
        array = as_table(type(self).__name__, x)
        if array.shape[1] != len(self.categories):
            raise gc.ShapeError(
                f"{type(self).__name__}: it learned {len(self.categories)} columns, the array has {array.shape[1]}"
            )
        codes = np.empty(array.shape, np.int64)
        for place, (column, categories) in enumerate(zip(array.T, self.categories)):
            number = {category: code for code, category in enumerate(categories)}
            try:
                codes[:, place] = [number.get(value, -1) for value in column.tolist()]
            except TypeError:
                raise gc.DTypeError(
                    f"{type(self).__name__}: column {place} holds what is no string or number"
                ) from None
            strange = codes[:, place] < 0
            if self.unknown == "error" and strange.any():
                raise gc.ArgumentError(
                    f"{type(self).__name__}: {column[strange].tolist()[0]!r} in column {place} was not seen in fit",
                    hint="choose what becomes of such values by unknown=",
                )
        return codes

    def _values(self, codes: np.ndarray) -> np.ndarray:
        """The categories of codes, of shape (samples, columns); flat where `fit` saw a flat array."""
        columns = [np.asarray(categories)[codes[:, i]] for i, categories in enumerate(self.categories)]
        if self.flat and len(columns) == 1:
            return columns[0]
        kinds = {column.dtype.kind for column in columns}
        table = np.empty(codes.shape, object) if len(kinds) > 1 else np.empty(codes.shape, np.result_type(*columns))
        for place, column in enumerate(columns):
            table[:, place] = column
        return table

    def _check_state(self) -> None:
        if not all(self.categories):
            raise gc.ArgumentError(f"{type(self).__name__}: a column of its state has no categories")


@registered
class OneHotEncoder(_Encoder):
    """Each category becomes a column that is 1 where the sample is of it, and 0 elsewhere.

    Attributes:
        categories: of each column, sorted; learned.

    >>> import graphc as gc
    >>> encoder = gc.data.OneHotEncoder().fit(["red", "green", "red"])
    >>> encoder.transform(["green", "red"])
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    >>> encoder.inverse_transform([[0.0, 1.0]]).tolist()
    ['red']
    """

    fields: ClassVar = {"unknown": one_of("error", "zeros"), "dtype": _FLOATS, "flat": flag, "categories": _lists}
    learned = ("categories", "flat")

    def __init__(self, unknown: str = "error", dtype: str = "float32") -> None:
        """Say what becomes of values that `fit` did not see: an "error", or "zeros" in all columns."""
        self.unknown = option("OneHotEncoder", "unknown", one_of("error", "zeros"), unknown)
        self.dtype = option("OneHotEncoder", "dtype", _FLOATS, dtype)

    def transform(self, x: Any) -> np.ndarray:
        """(samples, categories of all columns)."""
        codes = self._codes(x)
        blocks = [codes[:, i, None] == np.arange(len(known)) for i, known in enumerate(self.categories)]
        return np.concatenate(blocks, axis=1).astype(self.dtype)

    def inverse_transform(self, x: Any) -> np.ndarray:
        """The category of the greatest entry of each column's block."""
        self._require_fitted()
        array = np.asarray(x)
        edges = np.cumsum([0, *map(len, self.categories)])
        if array.ndim != 2 or array.shape[1] != edges[-1]:
            raise gc.ShapeError(f"OneHotEncoder: expected (samples, {edges[-1]}), not {array.shape}")
        blocks = [array[:, a:b].argmax(axis=1) for a, b in itertools.pairwise(edges)]
        return self._values(np.stack(blocks, axis=1))


@registered
class OrdinalEncoder(_Encoder):
    """Each category becomes its number: 0 for the first in sorted order. For labels too: of (samples,).

    Attributes:
        categories: of each column, sorted; learned.

    >>> import graphc as gc
    >>> encoder = gc.data.OrdinalEncoder().fit(["cat", "dog", "ant"])
    >>> encoder.transform(["dog", "ant"]), encoder.inverse_transform([2, 0]).tolist()
    (array([2, 0]), ['dog', 'ant'])
    """

    fields: ClassVar = {"unknown": one_of("error", "minus_one"), "flat": flag, "categories": _lists}
    learned = ("categories", "flat")

    def __init__(self, unknown: str = "error") -> None:
        """Say what becomes of values that `fit` did not see: an "error", or "minus_one" for their number."""
        self.unknown = option("OrdinalEncoder", "unknown", one_of("error", "minus_one"), unknown)

    def transform(self, x: Any) -> np.ndarray:
        """int64 numbers, of the shape of `x`."""
        codes = self._codes(x)
        return codes[:, 0] if np.ndim(x) == 1 else codes

    def inverse_transform(self, x: Any) -> np.ndarray:
        """The categories of numbers."""
        self._require_fitted()
        codes = as_table("OrdinalEncoder", x)
        for place, known in enumerate(self.categories[: codes.shape[1]]):
            if (
                codes.shape[1] != len(self.categories)
                or not ((codes >= 0) & (codes[:, place, None] < len(known))).all()
            ):
                raise gc.ArgumentError(f"OrdinalEncoder: column {place} holds a number that is none of its categories'")
        return self._values(codes.astype(np.int64))


def _categories(owner: str, column: np.ndarray, place: int) -> list[Any]:
    values = set(column.tolist())
    if any(value is None or value != value for value in values):
        raise gc.ArgumentError(f"{owner}: column {place} has missing values", hint="impute or drop them first")
    try:
        return sorted(scalars(list(values)))
    except (TypeError, ValueError):
        raise gc.DTypeError(f"{owner}: column {place} does not consist of either strings or numbers") from None
