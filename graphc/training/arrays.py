"""Reading what a user gives as x, y and weights into arrays of the model's types.

Invariant: what leaves here has the dtype and rank of the placeholder that it is for, is C-contiguous, and fits its
known extents; every refusal names the argument, the shape it has and the shape that is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import graphc as gc


def as_array(what: str, value: Any) -> np.ndarray:
    """`value` as an array of numbers: an array, nested lists, or a frame that NumPy can read.

    Raises:
        FeedError: it is a symbolic tensor, or NumPy makes no array of numbers of it.
        ShapeError: it is a single number.

    >>> as_array("fit: x", [[1, 2], [3, 4]]).shape
    (2, 2)
    """
    if isinstance(value, gc.Tensor):
        raise gc.FeedError(f"{what}: a symbolic tensor was given where an array is needed", location=value.location)
    try:
        array = np.asarray(value)
        if array.dtype == object:
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise gc.FeedError(f"{what}: not an array of numbers: {error}", hint=_ENCODERS) from None
    if array.dtype.kind not in "biuf":
        raise gc.FeedError(f"{what}: an array of {array.dtype} holds no numbers", hint=_ENCODERS)
    if array.ndim == 0:
        raise gc.ShapeError(f"{what}: a single number has no rows")
    return array


_ENCODERS = "gc.data has encoders for categories and texts"


def as_input(what: str, array: np.ndarray, placeholder: gc.Tensor) -> np.ndarray:
    """An array of examples in the placeholder's dtype.

    Raises:
        ShapeError: its examples have another shape.
        DTypeError: it holds floats where whole numbers are needed.
    """
    wanted = placeholder.shape[1:]
    if array.ndim != placeholder.ndim or not _fit(wanted, array.shape[1:]):
        shape = ", ".join(["rows", *map(str, wanted)])
        single = _fit(wanted, array.shape)
        raise gc.ShapeError(
            f"{what}: the model takes arrays of shape ({shape}), this one has shape {array.shape}",
            location=placeholder.location,
            hint="one example x is the batch x[None]" if single else None,
        )
    if placeholder.dtype.kind in "iub" and array.dtype.kind == "f":
        raise gc.DTypeError(
            f"{what}: the model takes {placeholder.dtype}, an array of {array.dtype} would lose values",
            location=placeholder.location,
            hint=f"x.astype({placeholder.dtype.name!r}) drops the fractions",
        )
    return np.ascontiguousarray(array, placeholder.dtype)


def _fit(wanted: Sequence[Any], found: Sequence[int]) -> bool:
    """Whether extents are those that are wanted, some of which may be symbolic."""
    return len(wanted) == len(found) and all(
        not isinstance(size, int) or size == extent for size, extent in zip(wanted, found)
    )


def check_classes(what: str, labels: np.ndarray, prediction: gc.Tensor) -> None:
    """Refuse labels that are no indices of the classes that the model tells apart.

    Raises:
        ArgumentError: one is negative, or there are not so many classes.
    """
    classes = prediction.shape[-1] if prediction.ndim else None
    if not isinstance(classes, int) or labels.ndim != prediction.ndim - 1 or labels.dtype.kind not in "iu":
        return
    least, most = int(labels.min()), int(labels.max())
    if least >= 0 and most < classes:
        return
    wrong = least if least < 0 else most
    hint = f"labels are whole numbers from 0 to {classes - 1}"
    hint += "; y - 1 has these" if least == 1 and most == classes else ""
    raise gc.ArgumentError(f"{what} holds the label {wrong}, but the model has {classes} classes", hint=hint)


def as_target(array: np.ndarray, prediction: gc.Tensor, dtype: Any = None) -> np.ndarray:
    """Labels with the axes that losses want for these predictions: floats in their dtype, whole numbers as int64.

    Another dtype than that can be asked for.

    A column (n, 1) and a row of numbers (n,) stand for each other:

        labels (n,)  for predictions (n, 1)            -> (n, 1)
        labels (n, 1), whole, for predictions (n, k)   -> (n,), indices of classes
    """
    wanted = np.dtype(dtype or (prediction.dtype if array.dtype.kind == "f" else np.int64))
    column = prediction.ndim > 0 and prediction.shape[-1] == 1
    if column and array.ndim == prediction.ndim - 1:
        array = array[..., np.newaxis]
    elif not column and array.ndim == prediction.ndim > 1 and array.shape[-1] == 1 and array.dtype.kind in "iub":
        array = array[..., 0]
    return np.ascontiguousarray(array, wanted)


def flat(what: str, kind: str, value: Any, names: Sequence[str]) -> list[Any]:
    """One value for each name: the value itself for a single name, else a list or a dict of them.

    Raises:
        ArgumentError: another number of values, or a name that there is not.

    >>> flat("fit: x", "input", {"b": 2, "a": 1}, ["a", "b"]), flat("fit: x", "input", 1, ["a"])
    ([1, 2], [1])
    """
    if isinstance(value, Mapping):
        for name in value:
            if name not in names:
                known = ", ".join(names)
                raise gc.ArgumentError(
                    f"{what}: there is no {kind} {name!r}; {kind}s are {known}",
                    hint=gc.errors.nearest(str(name), names),
                )
        missing = [name for name in names if name not in value]
        if missing:
            raise gc.ArgumentError(f"{what}: nothing is given for the {kind} {missing[0]!r}")
        return [value[name] for name in names]
    if len(names) == 1:
        alone = isinstance(value, (list, tuple)) and len(value) == 1 and hasattr(value[0], "shape")
        return [value[0] if alone else value]
    if not isinstance(value, (list, tuple)) or len(value) != len(names):
        count = len(value) if isinstance(value, (list, tuple)) else 1
        raise gc.ArgumentError(
            f"{what}: the model has {len(names)} {kind}s ({', '.join(names)}), {count} given",
            hint=f"pass a list, or a dict by the names of the {kind}s",
        )
    return list(value)


def same_length(function: str, named: Sequence[tuple[str, np.ndarray]]) -> int:
    """The number of rows that all arrays have.

    Raises:
        ShapeError: they differ, or there is no row.
    """
    (first, array), *others = named
    for name, other in others:
        if len(other) != len(array):
            raise gc.ShapeError(f"{function}: {first} has {len(array)} rows, {name} has {len(other)}")
    if len(array) == 0:
        raise gc.ShapeError(f"{function}: {first} has no rows: shape {array.shape}")
    return len(array)


__all__ = ["as_array", "as_input", "as_target", "check_classes", "flat", "same_length"]
