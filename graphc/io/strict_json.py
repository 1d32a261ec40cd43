"""JSON that means one thing: no doubled keys, no NaN or infinities, no depth without end.

Invariant: what `encode` writes, `decode` reads back as equal data; and bytes that anybody may have written give
plain data or a `ModelFileError`.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

import numpy as np

import graphc as gc

SIZE_LIMIT = 16 * 2**20  # bytes of one JSON text
DEPTH_LIMIT = 64  # brackets in brackets
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def encode(value: Any) -> bytes:
    """Plain data as JSON to be read by people too; keys stay in their order.

    Raises:
        ArgumentError: it is more than `decode` takes.
    """
    data = (json.dumps(value, allow_nan=False, indent=1) + "\n").encode("ascii")
    if len(data) > SIZE_LIMIT:
        raise gc.ArgumentError(f"{len(data)} bytes of JSON cannot be saved; at most {SIZE_LIMIT} are read")
    return data


def canonical(value: Any) -> bytes:
    """Plain data in the one form that checksums are taken of."""
    return json.dumps(value, allow_nan=False, sort_keys=True, separators=(",", ":")).encode("ascii")


def plain(what: str, value: Any, depth: int = 0) -> Any:
    """`value` as what JSON reads back equal: tuples become lists, NumPy's numbers Python's.

    Raises:
        ArgumentError: something in it has no such form: an array, an object, NaN, a key that is no string.
    """
    if depth > DEPTH_LIMIT // 2:
        raise gc.ArgumentError(f"{what}: data nests deeper than {DEPTH_LIMIT // 2}")
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int) and abs(value) < 2**1024:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, (list, tuple)):
        return [plain(what, item, depth + 1) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {str(key): plain(what, item, depth + 1) for key, item in value.items()}
    raise gc.ArgumentError(
        f"{what}: {_shown(value)} is no JSON data: None, booleans, finite numbers, strings, lists, "
        "and dicts with strings for keys",
        hint="save arrays as variables" if isinstance(value, np.ndarray) else None,
    )


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, float) else f"a value of type {type(value).__name__}"


def decode(data: bytes, what: str) -> Any:
    """The data that JSON bytes hold.

    Raises:
        ModelFileError: they are too many, not UTF-8, not JSON, or not strictly so.
    """
    if len(data) > SIZE_LIMIT:
        raise gc.ModelFileError(f"{what}: {len(data)} bytes of JSON; at most {SIZE_LIMIT} are read")
    try:
        text = data.decode("utf-8")
        _check_depth(text)
        return json.loads(text, object_pairs_hook=_object, parse_float=_finite, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise gc.ModelFileError(f"{what}: not valid JSON: {str(error)[:200]}") from None


def _check_depth(text: str) -> None:
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > DEPTH_LIMIT:
            raise ValueError(f"it nests deeper than {DEPTH_LIMIT}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        double = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {double[:80]!r} occurs twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is beyond the range of numbers")
    return number


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")
