"""Scaling, encoding, imputing, clipping: scikit-learn's values, states that come back, data that does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import impute, pipeline, preprocessing

import graphc as gc

RANDOM = np.random.default_rng(0)
PLAIN = RANDOM.normal(size=(40, 5)) * [1, 10, 0.01, 1e6, 1] + [0, 5, 0, -1e6, 1]
PLAIN[:, 4] = 3.25  # a constant feature
HOLES = np.where(RANDOM.random(PLAIN.shape) < 0.2, np.nan, PLAIN)
WORDS = RANDOM.choice(["red", "green", "blue"], size=(40, 2))
HOLED_WORDS = np.where(RANDOM.random(WORDS.shape) < 0.2, np.nan, WORDS.astype(object))
MIXED = np.array([[w, int(i)] for w, i in zip(WORDS[:, 0], RANDOM.integers(0, 4, 40))], object)
NUMBERS = RANDOM.integers(-3, 4, size=(40, 2))

PAIRS = {
    "standard": (gc.data.StandardScaler, preprocessing.StandardScaler, PLAIN),
    "standard with holes": (gc.data.StandardScaler, preprocessing.StandardScaler, HOLES),
    "standard without mean": (
        lambda: gc.data.StandardScaler(with_mean=False), lambda: preprocessing.StandardScaler(with_mean=False), PLAIN,
    ),
    "standard without deviation": (
        lambda: gc.data.StandardScaler(with_deviation=False),
        lambda: preprocessing.StandardScaler(with_std=False), PLAIN,
    ),
    "min-max": (gc.data.MinMaxScaler, preprocessing.MinMaxScaler, PLAIN),
    "min-max with holes": (gc.data.MinMaxScaler, preprocessing.MinMaxScaler, HOLES),
    "min-max in a range": (
        lambda: gc.data.MinMaxScaler((-2, 5), clip=True), lambda: preprocessing.MinMaxScaler((-2, 5), clip=True), PLAIN,
    ),
    "robust": (gc.data.RobustScaler, preprocessing.RobustScaler, PLAIN),
    "robust with holes": (gc.data.RobustScaler, preprocessing.RobustScaler, HOLES),
    "robust in a range": (
        lambda: gc.data.RobustScaler((10, 80)), lambda: preprocessing.RobustScaler(quantile_range=(10, 80)), PLAIN,
    ),
    "one-hot": (
        lambda: gc.data.OneHotEncoder(dtype="float64"), lambda: preprocessing.OneHotEncoder(sparse_output=False), WORDS,
    ),
    "one-hot of objects": (
        lambda: gc.data.OneHotEncoder(dtype="float64"), lambda: preprocessing.OneHotEncoder(sparse_output=False), MIXED,
    ),
    "ordinal": (gc.data.OrdinalEncoder, preprocessing.OrdinalEncoder, NUMBERS),
    "ordinal of objects": (gc.data.OrdinalEncoder, preprocessing.OrdinalEncoder, MIXED),
    "labels": (gc.data.OrdinalEncoder, preprocessing.LabelEncoder, WORDS[:, 0]),
    "imputer of categories": (
        gc.data.CategoryImputer,
        lambda: impute.SimpleImputer(strategy="most_frequent", missing_values=np.nan), HOLED_WORDS,
    ),
    **{
        f"imputer {strategy}": (
            lambda strategy=strategy: gc.data.Imputer(strategy),
            lambda strategy=strategy: impute.SimpleImputer(strategy=strategy),
            np.round(HOLES, 1),
        )
        for strategy in ("mean", "median", "most_frequent", "constant")
    },
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_values_are_scikit_learns(name):
    ours, theirs, data = PAIRS[name]
    train, test = data[:30], data[30:]
    mine, reference = ours().fit(train), theirs().fit(train)
    known = test if not isinstance(mine, (gc.data.OneHotEncoder, gc.data.OrdinalEncoder)) else train
    assert_same(mine.transform(known), reference.transform(known))
    if hasattr(reference, "inverse_transform") and "mputer" not in type(mine).__name__:
        back = reference.inverse_transform(reference.transform(known))
        found = mine.inverse_transform(mine.transform(known))
        assert found.tolist() == back.tolist() if back.dtype.kind in "OU" else np.allclose(found, back, equal_nan=True)
    converted = gc.data.from_sklearn(reference)
    assert type(converted) is type(mine)
    assert_same(converted.transform(known), reference.transform(known))


def assert_same(found, expected):
    if expected.dtype.kind == "O":
        assert found.tolist() == expected.tolist()
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", PAIRS)
def test_a_state_comes_back(name):
    ours, _, data = PAIRS[name]
    fitted = ours().fit(data)
    kind, state = gc.data.saved_transformer(fitted)
    again = gc.data.loaded_transformer(kind, state)
    np.testing.assert_array_equal(again.transform(data), fitted.transform(data))
    assert repr(again) == repr(fitted)


@pytest.mark.parametrize("name", ["standard", "min-max", "robust", "imputer mean"])
def test_dtypes_and_shapes(name):
    ours = PAIRS[name][0]
    single = PLAIN.astype("float32")
    assert ours().fit(single).transform(single).dtype == np.float32
    np.testing.assert_allclose(ours().fit(single).transform(single), ours().fit(single * 1.0).transform(single))
    assert ours().fit(NUMBERS).transform(NUMBERS).dtype == np.float64
    series = PLAIN[:, 0]  # one feature without an axis of its own
    np.testing.assert_allclose(ours().fit(series).transform(series), ours().fit(PLAIN).transform(PLAIN)[:, 0])
    images = PLAIN.reshape(10, 4, 5)
    flat = images.reshape(10, 20)
    scaled = ours().fit(images).transform(images)
    np.testing.assert_array_equal(scaled.reshape(10, 20), ours().fit(flat).transform(flat))


def test_what_fit_did_not_see():
    with pytest.raises(gc.ArgumentError, match="'pink' in column 0"):
        gc.data.OneHotEncoder().fit(WORDS).transform([["pink", "red"]])
    zeros = gc.data.OneHotEncoder(unknown="zeros").fit(WORDS).transform([["pink", "red"]])
    assert zeros.tolist() == [[0, 0, 0, 0, 0, 1]]
    assert gc.data.OrdinalEncoder(unknown="minus_one").fit(["a", "b"]).transform(["c", "b"]).tolist() == [-1, 1]


WRONG = {
    "not fitted": (lambda: gc.data.StandardScaler().transform(PLAIN), gc.ArgumentError),
    "not fitted encoder": (lambda: gc.data.OneHotEncoder().transform(WORDS), gc.ArgumentError),
    "not fitted state": (lambda: gc.data.saved_transformer(gc.data.MinMaxScaler()), gc.ArgumentError),
    "other features": (lambda: gc.data.StandardScaler().fit(PLAIN).transform(PLAIN[:, :2]), gc.ShapeError),
    "other columns": (lambda: gc.data.OneHotEncoder().fit(WORDS).transform(WORDS[:, :1]), gc.ShapeError),
    "no samples": (lambda: gc.data.StandardScaler().fit(PLAIN[:0]), gc.ShapeError),
    "a number": (lambda: gc.data.StandardScaler().fit(3.0), gc.ShapeError),
    "words": (lambda: gc.data.StandardScaler().fit(WORDS), gc.DTypeError),
    "words as objects": (lambda: gc.data.StandardScaler().fit(MIXED), gc.DTypeError),
    "missing categories": (lambda: gc.data.OneHotEncoder().fit(np.array(["a", None], object)), gc.ArgumentError),
    "mixed categories": (lambda: gc.data.OrdinalEncoder().fit(np.array(["a", 1], object)), gc.DTypeError),
    "a code that is none": (lambda: gc.data.OrdinalEncoder().fit(["a"]).inverse_transform([1]), gc.ArgumentError),
    "a feature of holes": (lambda: gc.data.Imputer().fit([[np.nan], [np.nan]]), gc.ArgumentError),
    "a column of holes": (lambda: gc.data.CategoryImputer().fit(np.array([None, None], object)), gc.ArgumentError),
    "mixed categories to impute": (
        lambda: gc.data.CategoryImputer().fit(np.array(["a", 1], object)), gc.DTypeError,
    ),
    "strategy": (lambda: gc.data.Imputer("mode"), gc.ArgumentError),
    "range": (lambda: gc.data.MinMaxScaler((1, 0)), gc.ArgumentError),
    "method": (lambda: gc.data.OutlierClipper("sigma"), gc.ArgumentError),
    "quantiles": (lambda: gc.data.RobustScaler((50, 120)), gc.ArgumentError),
    "inverse of imputing": (lambda: gc.data.Imputer().fit(PLAIN).inverse_transform(PLAIN), gc.ArgumentError),
    "no step": (lambda: gc.data.Pipeline([3]), gc.ArgumentError),
    "a class for a step": (lambda: gc.data.Pipeline([gc.data.StandardScaler]), gc.ArgumentError),
    "columns": (lambda: gc.data.ColumnTransformer([("a", gc.data.StandardScaler())]), gc.ArgumentError),
    "a column that is not there": (
        lambda: gc.data.ColumnTransformer([([9], gc.data.StandardScaler())]).fit(PLAIN), gc.ShapeError,
    ),
    "not scikit-learn's": (lambda: gc.data.from_sklearn(object()), gc.ArgumentError),
    "scikit-learn's, not fitted": (lambda: gc.data.from_sklearn(preprocessing.StandardScaler()), gc.ArgumentError),
    "scikit-learn's without counterpart": (
        lambda: gc.data.from_sklearn(preprocessing.QuantileTransformer()), gc.ArgumentError,
    ),
    "scikit-learn's with drop": (
        lambda: gc.data.from_sklearn(preprocessing.OneHotEncoder(drop="first").fit(WORDS)), gc.ArgumentError,
    ),
    "vocabulary of numbers": (lambda: gc.data.Vocabulary().fit([3]), gc.ArgumentError),
    "tokens beyond": (lambda: gc.data.Vocabulary().fit("ab").inverse_transform([3]), gc.ArgumentError),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use(name):
    act, error = WRONG[name]
    with pytest.raises(error):
        act()


STATES = [
    None, [], {}, {"mean": 1}, {"with_mean": True, "with_deviation": True, "mean": np.ones(2), "deviation": np.ones(3)},
    {"with_mean": 1, "with_deviation": True, "mean": np.ones(2), "deviation": np.ones(2)},
    {"with_mean": True, "with_deviation": True, "mean": [1.0], "deviation": np.ones(1)},
    {"with_mean": True, "with_deviation": True, "mean": np.ones(1, "float32"), "deviation": np.ones(1)},
]  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_states_that_make_no_sense(state):
    with pytest.raises(gc.ArgumentError):
        gc.data.loaded_transformer("StandardScaler", state)


def test_a_pipeline_of_scikit_learns_and_ours():
    steps = [impute.SimpleImputer(strategy="median"), gc.data.OutlierClipper("iqr"), preprocessing.StandardScaler()]
    ours = gc.data.Pipeline(steps).fit(HOLES)
    again = gc.data.loaded_transformer(*gc.data.saved_transformer(ours))
    np.testing.assert_allclose(again.transform(HOLES), ours.transform(HOLES), atol=1e-12)
    theirs = pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.MinMaxScaler()).fit(HOLES)
    np.testing.assert_allclose(gc.data.from_sklearn(theirs).transform(HOLES), theirs.transform(HOLES), atol=1e-12)
    with pytest.raises(gc.ArgumentError, match="PowerTransformer"):
        gc.data.saved_transformer(gc.data.Pipeline([preprocessing.PowerTransformer()]).fit(PLAIN))


def test_columns_side_by_side():
    table = np.concatenate([MIXED, NUMBERS.astype(object)], axis=1)
    columns = gc.data.ColumnTransformer(
        [([0], gc.data.OneHotEncoder()), ([2, 1], preprocessing.StandardScaler())], rest="keep"
    ).fit(table)
    result = columns.transform(table)
    assert result.shape == (40, 3 + 2 + 1)
    reference = preprocessing.StandardScaler().fit_transform(table[:, [2, 1]].astype(float))
    np.testing.assert_allclose(result[:, 3:5].astype(float), reference)
    assert (result[:, 5] == NUMBERS[:, 1]).all()
    again = gc.data.loaded_transformer(*gc.data.saved_transformer(columns))
    np.testing.assert_allclose(again.transform(table).astype(float), result.astype(float), atol=1e-12)


@pytest.mark.parametrize(("method", "threshold"), [("zscore", 2.0), ("iqr", 1.5), ("mad", 3.5)])
def test_outliers(method, threshold):
    data = np.concatenate([RANDOM.normal(size=(200, 2)), [[50.0, 0.0], [0.0, -50.0], [np.nan, 0.0]]])
    clipper = gc.data.OutlierClipper(method, threshold).fit(data)
    column = data[~np.isnan(data[:, 0]), 0]
    if method == "zscore":
        low, high = column.mean() - 2 * column.std(), column.mean() + 2 * column.std()
    elif method == "iqr":
        q1, q3 = np.percentile(column, [25, 75])
        low, high = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)
    else:
        from scipy.stats import median_abs_deviation

        reach = 3.5 * median_abs_deviation(column, scale="normal")
        low, high = np.median(column) - reach, np.median(column) + reach
    np.testing.assert_allclose([clipper.lower[0], clipper.upper[0]], [low, high], rtol=1e-4)
    clipped = clipper.transform(data)
    assert np.nanmax(clipped[:, 0]) <= high + 1e-3 and np.isnan(clipped[-1, 0])
    kept, numbers = gc.data.drop_outliers(data, np.arange(len(data)), method=method, threshold=threshold)
    assert len(kept) == len(numbers) < len(data) and 200 not in numbers and 201 not in numbers and 202 in numbers


def test_words_and_characters():
    words = gc.data.Vocabulary("word", limit=3).fit(["the cat, the cat", "the end , ."])
    assert words.tokens == [",", "cat", "the"]
    assert words.transform("the dog, the cat").tolist() == [3, 0, 1, 3, 2]
    assert words.inverse_transform([3, 2, 0]) == "the cat ?"
    text = "hello, wörld\n"
    characters = gc.data.Vocabulary().fit(text)
    assert characters.inverse_transform(characters.transform(text)) == text
    again = gc.data.loaded_transformer(*gc.data.saved_transformer(characters))
    assert again.transform("held").tolist() == characters.transform("held").tolist()


SCALERS = [gc.data.StandardScaler, gc.data.MinMaxScaler, gc.data.RobustScaler]


@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize(("shape", "axis"), [((6, 3, 4, 5), (0, 2, 3)), ((6, 7, 3), (0, 1)), ((6, 4, 5, 3), (0, 1, 2))])
def test_scaling_over_more_axes_is_that_of_the_moved_array(scaler, shape, axis):
    x = np.random.default_rng(0).normal(size=shape)
    x[0, ..., 0] = np.nan
    (kept,) = set(range(len(shape))) - set(axis)
    rows = np.moveaxis(x, kept, -1).reshape(-1, shape[kept])
    expected = np.moveaxis(scaler().fit_transform(rows).reshape(*np.delete(shape, kept), shape[kept]), -1, kept)
    made = scaler(axis=axis).fit(x)
    found = made.transform(x)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(made.inverse_transform(found), x, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(scaler.from_state(made.state()).transform(x), found)
    more = np.concatenate([x, x], axis=axis[-1])  # any extent along an axis that was learned over
    assert made.transform(more).shape == more.shape
    with pytest.raises(gc.ShapeError, match="it learned samples of shape"):
        made.transform(np.concatenate([x, x], axis=kept))


@pytest.mark.parametrize("axis", [1, (1, 2), (0, -1), (0, 0), "0", (0, 1.5), True])
def test_axes_that_are_none(axis):
    with pytest.raises(gc.ArgumentError, match="StandardScaler: axis: "):
        gc.data.StandardScaler(axis=axis)


def test_an_axis_that_is_not_there():
    with pytest.raises(gc.ShapeError, match=r"there is no axis 2 in an array of shape \(2, 2\)"):
        gc.data.StandardScaler(axis=(0, 2)).fit([[1.0, 2.0], [3.0, 4.0]])


def test_a_fixed_scale():
    pixels = np.array([[0, 51, 255]], "uint8")
    rescale = gc.data.Rescale(1 / 255, offset=-0.5)
    found = rescale.transform(pixels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[-0.5, -0.3, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(rescale.inverse_transform(found), pixels, atol=1e-4)
    assert gc.data.Rescale.from_state(rescale.state()).state() == rescale.state()
    with pytest.raises(gc.ArgumentError, match="factor must not be 0"):
        gc.data.Rescale(0)
