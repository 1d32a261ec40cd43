"""`Tensor`, the one node class from the user's hand to the backend, and `Variable`.

Invariant: a tensor never changes after it is made, is compared by identity, and points only at tensors made
before it; so a graph has no cycles, and passes share the parts that they keep.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from graphc.errors import DTypeError, FeedError, GraphcError, ShapeError
from graphc.ir.acceptance import accept
from graphc.ir.dims import Size
from graphc.ir.location import Location, here
from graphc.ir.opdef import Attrs, OpDef
from graphc.ir.operators import Operators
from graphc.ir.types import TensorType, TupleType, Type


class Tensor(Operators):
    """A symbolic array: the result of `op` applied to `inputs`.

    Attributes:
        op: what makes it.
        inputs: its operands.
        attrs: the op's attributes; treat as frozen.
        type: dtype and shape (`TensorType`), or a `TupleType` for an op with several results.
        location: the user's line that made it.
        hint: the user's name for it, or None.
    """

    __slots__ = ("__weakref__", "attrs", "hint", "inputs", "location", "op", "type")
    op: OpDef
    inputs: tuple[Tensor, ...]
    attrs: Attrs
    type: Type
    location: Location
    hint: str | None

    def __init__(
        self,
        op: OpDef,
        inputs: tuple[Tensor, ...],
        attrs: Attrs,
        type: Type,
        location: Location,
        hint: str | None = None,
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.attrs = attrs
        self.type = type
        self.location = location
        self.hint = hint

    @property
    def tensor_type(self) -> TensorType:
        """The type of a tensor that is one array.

        Raises:
            DTypeError: the tensor is a tuple of several results.
        """
        if isinstance(self.type, TupleType):
            raise DTypeError(
                f"{describe(self)} is a tuple of {len(self.type.items)} results, not one array", location=here()
            )
        return self.type

    @property
    def shape(self) -> tuple[Size, ...]:
        """The extents: ints, or `Dim`s where they are symbolic."""
        return self.tensor_type.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type."""
        return self.tensor_type.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.tensor_type.shape)

    @property
    def size(self) -> Size:
        """The number of elements."""
        return self.tensor_type.size

    @property
    def name(self) -> str | None:
        """The user's name for the tensor, or None."""
        return self.hint

    def __repr__(self) -> str:
        label = f" {self.hint!r}" if self.hint else ""
        return f"<Tensor{label}: {self.op.name} {self.type!r}, {self.location}>"


class Variable(Tensor):
    """A tensor bound to storage that lives between calls; changed only by `assign` and by updates.

    Attributes:
        lock: held while a call reads or updates the storage, so that concurrent calls see whole values.
        busy: not 0 while a call under `lock` runs without the GIL; calls that only hold the GIL look here.
    """

    __slots__ = ("_storage", "busy", "lock")

    def __init__(self, op: OpDef, storage: np.ndarray, type: TensorType, location: Location, hint: str | None) -> None:
        super().__init__(op, (), {}, type, location, hint)
        self._storage = storage
        self.lock = threading.RLock()
        self.busy = np.zeros(1, np.int64)

    @property
    def storage(self) -> np.ndarray:
        """The live array itself, C-contiguous; backends read and write it in place under `lock`."""
        return self._storage

    @property
    def value(self) -> np.ndarray:
        """A copy of the present value.

        >>> import graphc as gc
        >>> gc.variable([1.0, 2.0]).value
        array([1., 2.])
        """
        with self.lock:
            return self._storage.copy()

    def assign(self, value: Any) -> None:
        """Overwrite the stored value now.

        Args:
            value: Python numbers that the dtype can hold, or an array that NumPy casts to it by `same_kind`; of
                exactly the variable's shape.

        Raises:
            ShapeError: another shape.
            DTypeError: a dtype that would lose values.
            FeedError: not an array.

        >>> import graphc as gc
        >>> w = gc.variable([1.0, 2.0], name="w")
        >>> w.assign([3.0, 4.0]); w.value
        array([3., 4.])
        """
        what = f"assign to {describe(self)}: {self.type!r}"
        try:
            array = accept(value, self._storage.dtype, "same_kind")
        except GraphcError as error:
            raise type(error)(f"{what} {error.message}", location=here(), hint=error.hint) from None
        except (TypeError, ValueError) as error:
            raise FeedError(f"{what} cannot take what is not an array: {error}", location=here()) from None
        if array.shape != self._storage.shape:
            raise ShapeError(f"{what} cannot take an array of shape {array.shape}", location=here())
        with self.lock:
            self._storage[...] = array


def describe(tensor: Tensor) -> str:
    """The tensor's name for messages: the user's own, else what made it.

    >>> import graphc as gc
    >>> describe(gc.placeholder((2,), "f32", name="x")), describe(gc.constant(1.0))
    ("'x'", 'a const')
    """
    if tensor.hint:
        return repr(tensor.hint)
    return f"{'an' if tensor.op.name[0] in 'aeiou' else 'a'} {tensor.op.name}"
