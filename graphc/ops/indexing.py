"""`x[key]` and `x.at[key]`: NumPy's index expressions, written with slices, takes and gathers.

A key is read in three steps: slices and integers cut, integer arrays gather, and the axes are put in NumPy's
order:

    x[2, :, rows, None, ::2]     2, :, ::2       the slice op, then a reshape without the integer's axis
                                 rows            take (one array) or gather (several, axes moved to the front)
                                 None            a reshape that adds the axis

Where the arrays of positions stand side by side, the axes they make stand in their place; where anything
stands between them, those axes come first. Integers count as arrays if there is any array.

Invariant: the sizes of a result never depend on values; so boolean masks are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import DTypeError, IndexOutOfBoundsError, ShapeError
from graphc.ir.broadcast import broadcast_shapes
from graphc.ir.build import TensorLike, apply, as_tensor, constant
from graphc.ir.dims import Dim, Size
from graphc.ir.location import here
from graphc.ir.opdef import FUNCTIONS, OPS, public
from graphc.ir.tensor import Tensor
from graphc.ir.types import BOOL, DTYPES
from graphc.ops.arguments import is_integer
from graphc.ops.gathering import as_indices, check_constant
from graphc.ops.movement import broadcast_to, permuted, reshape
from graphc.ops.scattering import like
from graphc.ops.slicing import resolve_slice, spread, strided


@dataclass(frozen=True)
class _Key:
    """A key against a shape.

    Attributes:
        start, size, step: what the slice op takes of each axis; size 1 for an integer.
        entries: what the key makes of the axes, in order: "new", "integer", "slice" or "array"; and "gap" for
            an ellipsis that stands for no axis, which still keeps two arrays apart.
        arrays: the arrays of positions, by their axis.
    """

    start: tuple[Size, ...]
    size: tuple[Size, ...]
    step: tuple[int, ...]
    entries: tuple[str, ...]
    arrays: dict[int, Tensor]

    @property
    def kept(self) -> tuple[Size, ...]:
        """The sizes left when the integers' axes are gone."""
        axes = [entry for entry in self.entries if entry not in ("new", "gap")]
        return tuple(size for size, entry in zip(self.size, axes) if entry != "integer")

    @property
    def basic_shape(self) -> tuple[Size, ...]:
        """The result's shape where there are no arrays."""
        kept = iter(self.kept)
        return tuple(1 if entry == "new" else next(kept) for entry in self.entries if entry not in ("integer", "gap"))


def _read(x: Tensor, key: Any) -> _Key:
    """Check `key` against the shape of `x`."""
    items = _without_ellipsis(x, key if isinstance(key, tuple) else (key,))
    start: list[Size] = []
    size: list[Size] = []
    step: list[int] = []
    entries: list[str] = []
    arrays: dict[int, Tensor] = {}
    for item in items:
        if item is None or item is Ellipsis:
            entries.append("new" if item is None else "gap")
            continue
        axis = len(size)
        extent = x.shape[axis]
        taken: tuple[Size, Size, int] = (0, extent, 1)
        if isinstance(item, slice):
            taken = resolve_slice(item, extent, axis)
            entries.append("slice")
        elif isinstance(item, Dim) or is_integer(item):
            taken = (_place(item, extent, axis), 1, 1)
            entries.append("integer")
        else:
            arrays[axis] = _positions(item, extent, axis)
            entries.append("array")
        start.append(taken[0])
        size.append(taken[1])
        step.append(taken[2])
    return _Key(tuple(start), tuple(size), tuple(step), tuple(entries), arrays)


def _without_ellipsis(x: Tensor, items: tuple[Any, ...]) -> list[Any]:
    """The items with as many full slices as the rank needs, where the ellipsis stands or at the end.

    An ellipsis that stands for none stays.
    """
    places = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(places) > 1:
        raise ShapeError("getitem: an index can have only one ellipsis ('...')", location=here())
    missing = x.ndim - sum(item is not None and item is not Ellipsis for item in items)
    if missing < 0:
        raise ShapeError(
            f"getitem: {x.ndim - missing} indices for {x.type!r}, which has rank {x.ndim}", location=here()
        )
    at = places[0] if places else len(items)
    full: list[Any] = [slice(None)] * missing or [Ellipsis] * len(places)
    return [*items[:at], *full, *items[at + 1 :]]


def _place(index: Any, extent: Size, axis: int) -> Size:
    """An integer index counted from the front."""
    if isinstance(index, Dim):
        return index
    number = int(index)
    if isinstance(extent, int) and not -extent <= number < extent:
        raise IndexOutOfBoundsError(
            f"getitem: index {number} is out of bounds for axis {axis} with size {extent}", location=here()
        )
    return extent + number if number < 0 else number


def _positions(item: Any, extent: Size, axis: int) -> Tensor:
    if isinstance(item, (bool, np.bool_)):
        raise DTypeError(
            f"getitem: axis {axis}: {item} is a boolean mask, which would make a size that depends on values",
            location=here(),
            hint="choose elementwise with gc.where(mask, x, other)",
        )
    if not isinstance(item, (Tensor, np.ndarray, list, tuple)):
        raise DTypeError(
            f"getitem: axis {axis}: {item!r} is no index; use integers, slices, None, ... or integer arrays",
            location=here(),
        )
    positions = as_indices("getitem", item)
    check_constant("getitem", positions, axis, extent)
    return positions


# reading --------------------------------------------------------------------------------------------------


@public
def getitem(x: TensorLike, key: Any) -> Tensor:
    """The part of `x` that `key` selects, as NumPy selects it: `x[key]`.

    Args:
        x: any tensor.
        key: integers, slices, None, an ellipsis, and arrays, lists or tensors of integers, or a tuple of
            such. The bounds of a slice may be symbolic sizes.

    Raises:
        ShapeError: more indices than axes, or a bound that is no size.
        DTypeError: an index that is none of the above, boolean masks among them: use `gc.where`.
        IndexOutOfBoundsError: an integer outside its axis; at the call, where it is not known before.

    >>> import graphc as gc
    >>> x = gc.placeholder(("batch", 28, 28), name="x")
    >>> x[0].type, x[:, ::2, 1:-1].type, x[..., None].type, x[:, [3, 1, 1]].type
    (f32[28,28], f32[batch,14,26], f32[batch,28,28,1], f32[batch,3,28])
    """
    tensor = as_tensor(x)
    read = _read(tensor, key)
    cut = strided(tensor, read.start, read.size, read.step)
    if not read.arrays:
        return reshape(cut, read.basic_shape)
    return _gathered(reshape(cut, read.kept), read)


def _gathered(x: Tensor, read: _Key) -> Tensor:
    """The arrays applied to what the slices and integers left, and the axes in NumPy's order."""
    kinds = [entry for entry in read.entries if entry in ("slice", "array")]  # one for each axis of x
    axes = tuple(i for i, kind in enumerate(kinds) if kind == "array")
    others = tuple(i for i, kind in enumerate(kinds) if kind != "array")
    arrays = list(read.arrays.values())
    if len(arrays) == 1:
        result = apply(OPS["take"], x, arrays[0], axis=axes[0])
        count, made_at = arrays[0].ndim, axes[0]
    else:
        in_front = permuted(x, axes + others)
        result = apply(OPS["gather"], in_front, *arrays)
        count, made_at = result.ndim - len(others), 0

    layout = _layout(read.entries)
    position = 0  # where the made axes go, among the kept ones
    for entry in layout:
        if entry == "arrays":
            break
        position += entry == "slice"
    made = tuple(range(made_at, made_at + count))
    kept = tuple(i for i in range(result.ndim) if i not in made)
    result = permuted(result, kept[:position] + made + kept[position:])

    sizes = iter(result.shape)
    shape: list[Size] = []
    for entry in layout:
        if entry == "new":
            shape.append(1)
        else:
            shape += [next(sizes) for _ in range(count if entry == "arrays" else 1)]
    return reshape(result, shape)


def _layout(entries: tuple[str, ...]) -> list[str]:
    """The result's axes in order: "new", "slice", and once "arrays" for all that the arrays make."""
    advanced = [i for i, entry in enumerate(entries) if entry in ("array", "integer")]
    side_by_side = advanced[-1] - advanced[0] == len(advanced) - 1
    at = advanced[0] if side_by_side else 0
    basic = [(i, entry) for i, entry in enumerate(entries) if entry in ("new", "slice")]
    before, after = [e for i, e in basic if i < at], [e for i, e in basic if i >= at]
    return [*before, "arrays", *after]


# writing --------------------------------------------------------------------------------------------------


class At:
    """`x.at`: awaits a key. See `IndexedUpdate`."""

    def __init__(self, x: Tensor) -> None:
        self._x = x

    def __getitem__(self, key: Any) -> IndexedUpdate:
        return IndexedUpdate(self._x, key, _read(self._x, key))


class IndexedUpdate:
    """`x.at[key]`: tensors that equal `x` but for the elements that `key` selects; `x` itself never changes.

    >>> import graphc as gc
    >>> x, i = gc.placeholder((5, 3), name="x"), gc.placeholder(("k",), "int64", name="i")
    >>> x.at[i].add(1.0).type, x.at[1:3, 0].set(0.0).type
    (f32[5,3], f32[5,3])
    """

    def __init__(self, x: Tensor, key: Any, read: _Key) -> None:
        self._x = x
        self._key = key
        self._read = read

    def get(self) -> Tensor:
        """`x[key]`."""
        return getitem(self._x, self._key)

    def set(self, values: TensorLike) -> Tensor:
        """The selected elements replaced by `values`, which broadcast; where a place repeats, the last stays.

        Raises:
            ShapeError: `values` do not broadcast to `x[key]`.
            DTypeError: they do not fit the dtype of `x`.
        """
        return self._updated("scatter_set", values)

    def add(self, values: TensorLike) -> Tensor:
        """`values`, which broadcast, added to the selected elements; all are added where a place repeats.

        Raises:
            ShapeError: `values` do not broadcast to `x[key]`.
            DTypeError: they do not fit the dtype of `x`, or `x` is bool.
        """
        return self._updated("scatter_add", values)

    def multiply(self, values: TensorLike) -> Tensor:
        """The selected elements multiplied by `values`, which broadcast; for keys without arrays.

        Raises:
            ShapeError: `values` do not broadcast to `x[key]`, or the key holds an array.
            DTypeError: they do not fit the dtype of `x`.
        """
        if self._read.arrays:
            raise ShapeError("at: multiply takes slices and integers only: places might repeat", location=here())
        return self.set(like("at", self._x, FUNCTIONS["multiply"](self.get(), values)))

    def _updated(self, op: str, values: TensorLike) -> Tensor:
        x, read = self._x, self._read
        if op == "scatter_add" and x.dtype == BOOL:
            raise DTypeError("at: bool has no addition", location=here(), hint="use .set with a logical_or")
        updates = like("at", x, values)
        if not read.arrays:
            return self._in_slices(op, broadcast_to(updates, read.basic_shape))
        leading = self._leading_arrays()
        if leading is not None:
            shape = broadcast_shapes(*(i.shape for i in leading)) + x.shape[len(leading) :]
            return apply(OPS[op], x, broadcast_to(updates, shape), *leading)
        # The same key on the elements' numbers tells where each update goes.
        numbers = apply(OPS["iota"], size=x.size, dtype=DTYPES["i64"])
        places = getitem(reshape(numbers, x.shape), self._key)
        flat = apply(OPS[op], reshape(x, (x.size,)), broadcast_to(updates, places.shape), places)
        return reshape(flat, x.shape)

    def _leading_arrays(self) -> list[Tensor] | None:
        """The arrays, where the key is nothing but arrays on the first axes: what a scatter takes."""
        count = len(self._read.arrays)
        whole = all(entry == ("array" if i < count else "slice") for i, entry in enumerate(self._read.entries)) and all(
            s == 0 and t == 1 for s, t in zip(self._read.start, self._read.step)
        )
        return list(self._read.arrays.values()) if whole and self._read.size == self._x.shape else None

    def _in_slices(self, op: str, updates: Tensor) -> Tensor:
        """The update as a choice between two arrays: so it fuses, and untouched elements keep their bits."""
        x, read = self._x, self._read
        values = reshape(updates, read.size)
        if read.size == x.shape and all(s == 0 for s in read.start) and all(s == 1 for s in read.step):
            return values if op == "scatter_set" else FUNCTIONS["add"](x, values)
        chosen = spread(broadcast_to(constant(True), read.size), x.shape, read.start, read.step, False)
        placed = spread(values, x.shape, read.start, read.step)
        return apply(OPS["where"], chosen, FUNCTIONS["add"](x, placed) if op == "scatter_add" else placed, x)


@public
def at(x: TensorLike) -> At:
    """`x.at[key].set(v)`, `.add(v)`, `.multiply(v)`: see `IndexedUpdate`.

    >>> import graphc as gc
    >>> gc.constant([1.0, 2.0]).at[0].set(5.0).type
    f64[2]
    """
    return At(as_tensor(x))
