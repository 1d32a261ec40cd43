"""Data on its way to a net: streams, cleaning, encoding, scaling, augmentation, splits."""

from graphc.data.augment import (
    Affine,
    Augmentation,
    Brightness,
    Contrast,
    Crop,
    Cutout,
    Flip,
    Noise,
    Rotate,
    Shift,
    Zoom,
)
from graphc.data.dataset import Dataset, from_arrays, from_generator
from graphc.data.duplicates import drop_duplicates
from graphc.data.encoding import OneHotEncoder, OrdinalEncoder
from graphc.data.from_sklearn import from_sklearn
from graphc.data.missing import (
    CategoryImputer,
    Imputer,
    drop_missing,
    fill_backward,
    fill_forward,
    interpolate,
    is_missing,
)
from graphc.data.outliers import OutlierClipper, drop_outliers
from graphc.data.pipeline import ColumnTransformer, Pipeline
from graphc.data.scaling import MinMaxScaler, Rescale, RobustScaler, StandardScaler
from graphc.data.smoothing import moving_average, moving_median
from graphc.data.splitting import folds, split
from graphc.data.transformer import Transformer, loaded_transformer, saved_transformer
from graphc.data.vocabulary import Vocabulary
from graphc.data.windows import windows

__all__ = [
    "Affine",
    "Augmentation",
    "Brightness",
    "CategoryImputer",
    "ColumnTransformer",
    "Contrast",
    "Crop",
    "Cutout",
    "Dataset",
    "Flip",
    "Imputer",
    "MinMaxScaler",
    "Noise",
    "OneHotEncoder",
    "OrdinalEncoder",
    "OutlierClipper",
    "Pipeline",
    "Rescale",
    "RobustScaler",
    "Rotate",
    "Shift",
    "StandardScaler",
    "Transformer",
    "Vocabulary",
    "Zoom",
    "drop_duplicates",
    "drop_missing",
    "drop_outliers",
    "fill_backward",
    "fill_forward",
    "folds",
    "from_arrays",
    "from_generator",
    "from_sklearn",
    "interpolate",
    "is_missing",
    "loaded_transformer",
    "moving_average",
    "moving_median",
    "saved_transformer",
    "split",
    "windows",
]
