"""The operators and methods of `Tensor`: `x + y`, `x @ w`, `x[1:, ::2]`, `x.sum()`, `x.at[i].add(v)`.

Each is one line that calls the public function of the same meaning through the registry, since those
functions live in a room above this one.

Invariant: nothing here computes; and what would need a value (`bool`, `len`, iteration, `np.asarray`) raises
`SymbolicUseError` with the way out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from graphc.errors import SymbolicUseError
from graphc.ir.location import here
from graphc.ir.opdef import FUNCTIONS

if TYPE_CHECKING:
    from graphc.ir.tensor import Tensor

Axis = int | tuple[int, ...] | None


class Operators:
    """Mixin of `Tensor`; see the module docstring."""

    __slots__ = ()
    # NumPy asks these before it treats the tensor as an object scalar: `ndarray * tensor` then calls __rmul__.
    __array_ufunc__ = None
    __array_priority__ = 1000.0
    __hash__ = object.__hash__

    # arithmetic
    def __add__(self, other: Any) -> Tensor:
        return FUNCTIONS["add"](self, other)

    def __radd__(self, other: Any) -> Tensor:
        return FUNCTIONS["add"](other, self)

    def __sub__(self, other: Any) -> Tensor:
        return FUNCTIONS["subtract"](self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return FUNCTIONS["subtract"](other, self)

    def __mul__(self, other: Any) -> Tensor:
        return FUNCTIONS["multiply"](self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return FUNCTIONS["multiply"](other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return FUNCTIONS["divide"](self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return FUNCTIONS["divide"](other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return FUNCTIONS["floor_divide"](self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return FUNCTIONS["floor_divide"](other, self)

    def __mod__(self, other: Any) -> Tensor:
        return FUNCTIONS["remainder"](self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return FUNCTIONS["remainder"](other, self)

    def __pow__(self, other: Any) -> Tensor:
        return FUNCTIONS["pow"](self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return FUNCTIONS["pow"](other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return FUNCTIONS["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return FUNCTIONS["matmul"](other, self)

    def __neg__(self) -> Tensor:
        return FUNCTIONS["negative"](self)

    def __pos__(self) -> Tensor:
        return FUNCTIONS["positive"](self)

    def __abs__(self) -> Tensor:
        return FUNCTIONS["abs"](self)

    # bits
    def __invert__(self) -> Tensor:
        return FUNCTIONS["bitwise_invert"](self)

    def __and__(self, other: Any) -> Tensor:
        return FUNCTIONS["bitwise_and"](self, other)

    def __rand__(self, other: Any) -> Tensor:
        return FUNCTIONS["bitwise_and"](other, self)

    def __or__(self, other: Any) -> Tensor:
        return FUNCTIONS["bitwise_or"](self, other)

    def __ror__(self, other: Any) -> Tensor:
        return FUNCTIONS["bitwise_or"](other, self)

    def __xor__(self, other: Any) -> Tensor:
        return FUNCTIONS["bitwise_xor"](self, other)

    def __rxor__(self, other: Any) -> Tensor:
        return FUNCTIONS["bitwise_xor"](other, self)

    def __lshift__(self, other: Any) -> Tensor:
        return FUNCTIONS["bitwise_left_shift"](self, other)

    def __rlshift__(self, other: Any) -> Tensor:
        return FUNCTIONS["bitwise_left_shift"](other, self)

    def __rshift__(self, other: Any) -> Tensor:
        return FUNCTIONS["bitwise_right_shift"](self, other)

    def __rrshift__(self, other: Any) -> Tensor:
        return FUNCTIONS["bitwise_right_shift"](other, self)

    # order. `==` and `!=` compare identity, so that tensors can be dict keys and set members;
    # elementwise equality is `gc.equal` and `gc.not_equal`.
    def __lt__(self, other: Any) -> Tensor:
        return FUNCTIONS["less"](self, other)

    def __le__(self, other: Any) -> Tensor:
        return FUNCTIONS["less_equal"](self, other)

    def __gt__(self, other: Any) -> Tensor:
        return FUNCTIONS["greater"](self, other)

    def __ge__(self, other: Any) -> Tensor:
        return FUNCTIONS["greater_equal"](self, other)

    # indexing and shape
    def __getitem__(self, key: Any) -> Tensor:
        return FUNCTIONS["getitem"](self, key)

    @property
    def at(self) -> Any:
        """`x.at[index].add(v)` and `x.at[index].set(v)`: a new tensor with those elements changed."""
        return FUNCTIONS["at"](self)

    @property
    def T(self) -> Tensor:  # noqa: N802 - NumPy's name
        """The tensor with its axes reversed."""
        return FUNCTIONS["permute_dims"](self, None)

    @property
    def mT(self) -> Tensor:  # noqa: N802 - the array API's name
        """The tensor with its last two axes swapped."""
        return FUNCTIONS["matrix_transpose"](self)

    def astype(self, dtype: Any) -> Tensor:
        """The tensor cast to `dtype`, as NumPy casts."""
        return FUNCTIONS["astype"](self, dtype)

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape; one extent may be -1."""
        return FUNCTIONS["reshape"](self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Tensor:
        """The tensor with its axes permuted; reversed without arguments."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
        return FUNCTIONS["permute_dims"](self, order)

    def flatten(self) -> Tensor:
        """The elements in one axis."""
        return FUNCTIONS["reshape"](self, (-1,))

    # reductions
    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See `gc.sum`."""
        return FUNCTIONS["sum"](self, axis=axis, keepdims=keepdims)

    def prod(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See `gc.prod`."""
        return FUNCTIONS["prod"](self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See `gc.mean`."""
        return FUNCTIONS["mean"](self, axis=axis, keepdims=keepdims)

    def var(self, axis: Axis = None, keepdims: bool = False, correction: float = 0) -> Tensor:
        """See `gc.var`."""
        return FUNCTIONS["var"](self, axis=axis, keepdims=keepdims, correction=correction)

    def std(self, axis: Axis = None, keepdims: bool = False, correction: float = 0) -> Tensor:
        """See `gc.std`."""
        return FUNCTIONS["std"](self, axis=axis, keepdims=keepdims, correction=correction)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See `gc.max`."""
        return FUNCTIONS["max"](self, axis=axis, keepdims=keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See `gc.min`."""
        return FUNCTIONS["min"](self, axis=axis, keepdims=keepdims)

    def all(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See `gc.all`."""
        return FUNCTIONS["all"](self, axis=axis, keepdims=keepdims)

    def any(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See `gc.any`."""
        return FUNCTIONS["any"](self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """See `gc.argmax`."""
        return FUNCTIONS["argmax"](self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """See `gc.argmin`."""
        return FUNCTIONS["argmin"](self, axis=axis, keepdims=keepdims)

    # what a symbolic tensor cannot do
    def __bool__(self) -> NoReturn:
        _refuse("bool(tensor)", "it has no value before the graph runs; use gc.where or gc.logical_and to choose")

    def __len__(self) -> NoReturn:
        _refuse("len(tensor)", "use tensor.shape[0], which may be a symbolic size")

    def __iter__(self) -> NoReturn:
        _refuse("iterating over a tensor", "use gc.unstack(x, axis) for a static axis")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        _refuse("np.asarray(tensor)", "compile it with gc.function, or call the gc function of the same name")

    def __float__(self) -> NoReturn:
        _refuse("float(tensor)", "compile it with gc.function, or cast it by x.astype('float64')")

    def __int__(self) -> NoReturn:
        _refuse("int(tensor)", "compile it with gc.function, or cast it by x.astype('int64')")

    def __index__(self) -> NoReturn:
        _refuse("a tensor used as an index", "use gc.take(array, tensor) to gather by a tensor")

    def __contains__(self, _: Any) -> NoReturn:
        _refuse("'in' on a tensor", "use gc.any(gc.equal(x, value))")


def _refuse(use: str, way_out: str) -> NoReturn:
    raise SymbolicUseError(f"{use}: the tensor is symbolic", location=here(), hint=way_out)
