"""Weights alone: a safetensors file, as other programs read and write them too.

Invariant: loading changes all the variables, or none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import graphc as gc
from graphc.io.atomic import write_atomically
from graphc.io.container import as_path, read_plain
from graphc.io.snapshot import assign_all, checked_variables, values_of
from graphc.io.tensor_file import read_tensors, tensor_bytes


def save_weights(path: Any, variables: Mapping[str, gc.Variable]) -> None:
    """Save the values of variables as a safetensors file, in place of an older one.

    Args:
        path: the file, such as "weights.safetensors".
        variables: variables by name.

    Raises:
        ArgumentError: they are no variables. OSError: the disk does not take them; the old file is there then.

    >>> import graphc as gc
    >>> w = gc.variable([1.0, 2.0], name="w")
    >>> gc.io.save_weights("w.safetensors", {"w": w})
    >>> w.assign([0.0, 0.0])
    >>> gc.io.load_weights("w.safetensors", {"w": w}); w.value
    array([1., 2.])
    """
    values = values_of(checked_variables("save_weights", variables))
    write_atomically(as_path("save_weights", path), tensor_bytes(values))


def load_weights(path: Any, variables: Mapping[str, gc.Variable]) -> None:
    """Give variables the values of a safetensors file.

    Args:
        path: the file.
        variables: variables by name: exactly those of the file, with their shapes and dtypes.

    Raises:
        ModelFileError: there is no such file, it is damaged, or does not fit the variables, which are unchanged.
    """
    named = checked_variables("load_weights", variables)
    assign_all(named, read_weights(path), f"{path}")


def read_weights(path: Any) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, by name.

    Raises:
        ModelFileError: there is no such file, or it is damaged.
    """
    source = as_path("read_weights", path)
    return read_tensors(read_plain(source), str(source))
