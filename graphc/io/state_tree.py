"""Nested data with arrays in it, as JSON beside a set of named arrays; and back.

Invariant: an array is written as `{"$array": name}`, and no other key starts with a dollar sign.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gc
from graphc.io import strict_json

_MARK = "$array"


def separate(what: str, tree: Any, arrays: dict[str, np.ndarray], prefix: str) -> Any:
    """`tree` as JSON data; its arrays go into `arrays`, named by where they stand.

    Raises:
        ArgumentError: something in it is neither an array of a supported dtype nor JSON data.
    """
    if isinstance(tree, np.ndarray):
        if tree.dtype.kind not in "biuf" or tree.dtype.itemsize > 8 or tree.dtype == np.float16:
            raise gc.ArgumentError(f"{what}: an array of {tree.dtype} cannot be saved")
        arrays[prefix] = tree
        return {_MARK: prefix}
    if isinstance(tree, dict):
        for key in tree:
            if not isinstance(key, str) or key.startswith("$"):
                raise gc.ArgumentError(f"{what}: {key!r} is no key: keys are strings that do not start with '$'")
        return {key: separate(what, item, arrays, f"{prefix}.{key}") for key, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [separate(what, item, arrays, f"{prefix}.{place}") for place, item in enumerate(tree)]
    return strict_json.plain(what, tree)


def join(what: str, data: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The tree that `separate` took apart.

    Raises:
        ModelFileError: it names an array that is not there.
    """
    if isinstance(data, dict):
        if _MARK in data:
            name = data[_MARK]
            if len(data) != 1 or not isinstance(name, str) or name not in arrays:
                raise gc.ModelFileError(f"{what}: there is no array {str(name)[:80]!r}")
            return arrays[name]
        return {key: join(what, item, arrays) for key, item in data.items()}
    if isinstance(data, list):
        return [join(what, item, arrays) for item in data]
    return data
