"""`assign`, the TensorFlow 1.x spelling of an update.

Invariant: an `assign` never reaches a pass or a backend: `lift_assignments` turns it into an update of the
graph (variable -> new value), which is the only form that changes a variable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.errors import ArgumentError, DTypeError, GraphError, ShapeError
from graphc.ir.build import apply, stored_value
from graphc.ir.graph import topological_order
from graphc.ir.location import here
from graphc.ir.opdef import NOT_DIFFERENTIABLE, Trait, define
from graphc.ir.substitute import substitute
from graphc.ir.tensor import Tensor, Variable, describe
from graphc.ir.types import TensorType
from graphc.ir.verify import require_equal


def _assign_type(variable: TensorType, value: TensorType) -> TensorType:
    if variable.dtype != value.dtype:
        raise DTypeError("the variable and its new value differ in dtype")
    if variable.rank != value.rank:
        raise ShapeError("the variable and its new value differ in rank")
    for left, right in zip(variable.shape, value.shape):
        require_equal(left, right, "the variable and its new value differ in shape")
    return variable


_ASSIGN = define(
    "assign", operands=("variable", "value"), infer=_assign_type, eval=lambda variable, value: value,
    vjp=NOT_DIFFERENTIABLE, traits={Trait.EFFECT}, doc="store a value in a variable when the run ends",
)


def assign(variable: Tensor, value: Any) -> Tensor:
    """A tensor whose fetch stores `value` in `variable` at the end of the run, and whose value is `value`.

    All reads of the variable in the same run see its old value.

    Raises:
        ArgumentError: the first argument is no variable.
        ShapeError, DTypeError: the value does not fit the variable; there is no broadcasting.

    >>> import graphc as gc
    >>> w = gc.variable([1.0, 2.0])
    >>> with gc.Session(backend="numpy") as session:
    ...     session.run(gc.assign(w, w * 10.0))
    array([10., 20.])
    >>> w.value
    array([10., 20.])
    """
    if not isinstance(variable, Variable):
        raise ArgumentError("assign: the first argument must be a variable", location=here())
    return apply(_ASSIGN, variable, stored_value(f"assign to {describe(variable)}", value, variable.dtype))


def assign_add(variable: Tensor, value: Any) -> Tensor:
    """`assign(variable, variable + value)`, in the variable's dtype.

    >>> import graphc as gc
    >>> n = gc.variable(0, name="n")
    >>> with gc.Session(backend="numpy") as session:
    ...     _ = session.run(gc.assign_add(n, 2))
    >>> n.value
    array(2)
    """
    return assign(variable, variable + value)


def assign_sub(variable: Tensor, value: Any) -> Tensor:
    """`assign(variable, variable - value)`, in the variable's dtype.

    >>> import graphc as gc
    >>> n = gc.variable(5, name="n")
    >>> with gc.Session(backend="numpy") as session:
    ...     _ = session.run(gc.assign_sub(n, 2))
    >>> n.value
    array(3)
    """
    return assign(variable, variable - value)


def lift_assignments(roots: Sequence[Tensor]) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
    """The roots without `assign` ops, and the updates that those stood for.

    Raises:
        GraphError: one variable is assigned twice.
    """
    found = [t for t in topological_order(roots) if t.op is _ASSIGN]
    if not found:
        return list(roots), []
    new: dict[Tensor, Tensor] = {}
    for tensor in found:  # operands first, so a value that itself holds an assign is done by then
        new[tensor] = substitute([tensor.inputs[1]], new)[0]
    updates: dict[Tensor, Tensor] = {}
    for tensor in found:
        variable = tensor.inputs[0]
        if variable in updates:
            raise GraphError(f"{describe(variable)} is assigned twice in one run", location=tensor.location)
        updates[variable] = new[tensor]
    return substitute(roots, new), list(updates.items())


__all__ = ["assign", "assign_add", "assign_sub", "lift_assignments"]
