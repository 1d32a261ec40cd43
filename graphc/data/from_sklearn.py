"""Transformers of scikit-learn as transformers of this package, which can be saved without pickle.

Invariant: a conversion gives the same values, or is refused; scikit-learn is never imported.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gc
from graphc.data.encoding import OneHotEncoder, OrdinalEncoder
from graphc.data.missing import CategoryImputer, Imputer
from graphc.data.pipeline import Pipeline
from graphc.data.scaling import MinMaxScaler, RobustScaler, StandardScaler
from graphc.data.transformer import CONVERSIONS, Transformer, converted


def from_sklearn(transformer: Any) -> Transformer:
    """The transformer of this package that does what a fitted one of scikit-learn does.

    Args:
        transformer: a StandardScaler, MinMaxScaler, RobustScaler, SimpleImputer, OneHotEncoder, OrdinalEncoder,
            LabelEncoder, or a Pipeline of such.

    Raises:
        ArgumentError: there is no counterpart, or not of its options; or it is not fitted.

    >>> import sklearn.preprocessing
    >>> import graphc as gc
    >>> theirs = sklearn.preprocessing.MinMaxScaler().fit([[0.0], [10.0]])
    >>> gc.data.from_sklearn(theirs).transform([[5.0]])
    array([[0.5]])
    """
    return converted(transformer)


def _refuse(transformer: Any, what: str) -> gc.ArgumentError:
    return gc.ArgumentError(f"{type(transformer).__name__}: {what} has no counterpart in gc.data")


def _standard(theirs: Any) -> StandardScaler:
    ours = StandardScaler(with_mean=bool(theirs.with_mean), with_deviation=bool(theirs.with_std))
    count = theirs.n_features_in_
    ours.mean = _floats(theirs.mean_) if theirs.with_mean else np.zeros(count)
    ours.deviation = _floats(theirs.scale_) if theirs.with_std else np.ones(count)
    return ours


def _min_max(theirs: Any) -> MinMaxScaler:
    low, high = theirs.feature_range
    ours = MinMaxScaler((float(low), float(high)), clip=bool(theirs.clip))
    ours.minimum, ours.maximum = _floats(theirs.data_min_), _floats(theirs.data_max_)
    return ours


def _robust(theirs: Any) -> RobustScaler:
    if theirs.unit_variance:
        raise _refuse(theirs, "unit_variance")
    low, high = theirs.quantile_range
    ours = RobustScaler((float(low), float(high)))
    count = theirs.n_features_in_
    ours.center = _floats(theirs.center_) if theirs.with_centering else np.zeros(count)
    ours.scale = _floats(theirs.scale_) if theirs.with_scaling else np.ones(count)
    return ours


def _imputer(theirs: Any) -> Imputer | CategoryImputer:
    if theirs.add_indicator or not isinstance(theirs.missing_values, float) or not np.isnan(theirs.missing_values):
        raise _refuse(theirs, "add_indicator, or a missing value that is not NaN,")
    found = np.asarray(theirs.statistics_).tolist()
    if isinstance(theirs.strategy, str) and found and all(isinstance(value, str) for value in found):
        categories = CategoryImputer(theirs.strategy)
        categories.values = found
        return categories
    try:
        values = _floats(found)
    except (TypeError, ValueError):
        values = np.array(np.nan)
    if np.isnan(values).any() or not isinstance(theirs.strategy, str):
        raise _refuse(theirs, "what it fills in (strings and numbers, or a feature without any value)")
    constant = theirs.fill_value if theirs.strategy == "constant" and theirs.fill_value is not None else 0.0
    ours = Imputer(theirs.strategy, float(constant))
    ours.values = values
    return ours


def _one_hot(theirs: Any) -> OneHotEncoder:
    if theirs.drop is not None or theirs.min_frequency is not None or theirs.max_categories is not None:
        raise _refuse(theirs, "drop, min_frequency or max_categories")
    unknown = {"error": "error", "ignore": "zeros"}.get(theirs.handle_unknown)
    if unknown is None:
        raise _refuse(theirs, f"handle_unknown={theirs.handle_unknown!r}")
    dtype = np.dtype(theirs.dtype).name
    ours = OneHotEncoder(unknown, dtype if dtype in ("float32", "float64") else "float64")
    ours.categories, ours.flat = _categories(theirs), False
    return ours


def _ordinal(theirs: Any) -> OrdinalEncoder:
    known = theirs.handle_unknown == "error" or theirs.unknown_value == -1
    if not known or theirs.min_frequency is not None or theirs.max_categories is not None:
        raise _refuse(theirs, "an unknown_value other than -1, min_frequency or max_categories")
    ours = OrdinalEncoder("error" if theirs.handle_unknown == "error" else "minus_one")
    ours.categories, ours.flat = _categories(theirs), False
    return ours


def _label(theirs: Any) -> OrdinalEncoder:
    ours = OrdinalEncoder()
    ours.categories, ours.flat = [theirs.classes_.tolist()], True
    return ours


def _pipeline(theirs: Any) -> Pipeline:
    return Pipeline([converted(step) for _, step in theirs.steps if step not in (None, "passthrough")])


def _categories(theirs: Any) -> list[list[Any]]:
    columns = [column.tolist() for column in theirs.categories_]
    if any(value is None or value != value for column in columns for value in column):
        raise _refuse(theirs, "a category for missing values")
    return columns


def _floats(values: Any) -> np.ndarray:
    return np.array(values, np.float64)


CONVERSIONS.update(
    StandardScaler=_standard,
    MinMaxScaler=_min_max,
    RobustScaler=_robust,
    SimpleImputer=_imputer,
    OneHotEncoder=_one_hot,
    OrdinalEncoder=_ordinal,
    LabelEncoder=_label,
    Pipeline=_pipeline,
)
