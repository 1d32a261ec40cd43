"""Arrays by name, as the bytes of a safetensors file.

Invariant: bytes reach the safetensors library, and memory is taken for arrays, only after the header was checked
against the number of bytes that are there, in Python's integers: each array of a dtype that graphc has, each byte
in exactly one array.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

import graphc as gc
from graphc.io import strict_json

COUNT_LIMIT = 100_000  # arrays in one file
NAME_LIMIT = 1000  # characters of an array's name
AXES_LIMIT = 64  # NumPy's own
_DTYPES = {
    "BOOL": 1, "I8": 1, "I16": 2, "I32": 4, "I64": 8, "U8": 1, "U16": 2, "U32": 4, "U64": 8, "F32": 4, "F64": 8,
}  # fmt: skip


def tensor_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The safetensors file of arrays by name.

    Raises:
        ArgumentError: there are more of them, or longer names, than `read_tensors` takes.
    """
    # Native order in memory: the library swaps bytes where the machine's order is not the file's.
    data = save({name: np.require(a, a.dtype.newbyteorder("="), "C") for name, a in arrays.items()})
    try:
        check_tensors(data, "what is to be saved")
    except gc.ModelFileError as error:
        raise gc.ArgumentError(error.message) from None
    return data


def read_tensors(data: bytes, what: str) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, by name.

    Raises:
        ModelFileError: the bytes are not exactly such a file.
    """
    header, start = check_tensors(data, what)
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "BOOL":
            begin, end = entry["data_offsets"]
            if data[start + begin : start + end].strip(b"\0\1"):
                raise gc.ModelFileError(f"{what}: the array {name[:80]!r} holds booleans that are neither 0 nor 1")
    try:
        return load(data)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise gc.ModelFileError(f"{what}: not a safetensors file: {str(error)[:200]}") from None


def check_tensors(data: bytes, what: str) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, checked against its bytes, and where the arrays' bytes start.

    Raises:
        ModelFileError: it does not fit them.
    """
    header, start = _header(data, what)
    _check_layout(header, len(data) - start, what)
    return header, start


def _header(data: bytes, what: str) -> tuple[dict[str, Any], int]:
    """The header, and where the arrays' bytes start."""
    if len(data) < 8:
        raise gc.ModelFileError(f"{what}: {len(data)} bytes are no safetensors file")
    (length,) = struct.unpack("<Q", data[:8])
    if length > len(data) - 8 or length > strict_json.SIZE_LIMIT:
        raise gc.ModelFileError(
            f"{what}: its header should have {length} bytes; there are {len(data) - 8}, "
            f"and at most {strict_json.SIZE_LIMIT} are read"
        )
    header = strict_json.decode(data[8 : 8 + length], f"{what}: header")
    if not isinstance(header, dict) or len(header) > COUNT_LIMIT:
        raise gc.ModelFileError(f"{what}: its header is no list of at most {COUNT_LIMIT} arrays")
    return header, 8 + length


def _check_layout(header: dict[str, Any], available: int, what: str) -> None:
    """Each entry is well-formed, and the arrays fill the bytes without gaps or overlaps."""
    spans: list[tuple[int, int]] = []
    for name, entry in header.items():
        if name == "__metadata__":
            if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
                raise gc.ModelFileError(f"{what}: its metadata are not texts by name")
            continue
        problem = _entry_problem(entry)
        if problem or len(name) > NAME_LIMIT:
            raise gc.ModelFileError(f"{what}: the array {name[:80]!r}: {problem or 'its name is too long'}")
        spans.append(tuple(entry["data_offsets"]))
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise gc.ModelFileError(f"{what}: the arrays' bytes overlap, or leave a gap, at byte {position}")
        position = end
    if position != available:
        raise gc.ModelFileError(f"{what}: its arrays need {position} bytes, {available} are there")


def _entry_problem(entry: Any) -> str | None:
    """What is wrong with the description of one array; None if nothing."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        return "its description does not consist of dtype, shape and data_offsets"
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        return f"the dtype {str(dtype)[:40]!r} is not supported; supported are {', '.join(_DTYPES)}"
    if not _are_sizes(shape) or len(shape) > AXES_LIMIT:
        return "its shape is no list of sizes"
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        return "its data_offsets are no pair of positions"
    needed = _DTYPES[dtype]
    for extent in shape:
        needed *= extent
    if needed != offsets[1] - offsets[0]:
        return f"{dtype}{shape} needs {str(needed)[:40]} bytes, it has {offsets[1] - offsets[0]}"
    return None


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)
