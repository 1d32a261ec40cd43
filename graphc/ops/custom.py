"""`define_op`: ops that a user defines by a NumPy body, a type rule and a gradient.

Invariant: a user's body cannot break a graph: it sees read-only arrays, and its result is checked against its
own type rule at every run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, GraphcError, ShapeError
from graphc.ir.build import TensorLike, apply, as_tensor, unpack
from graphc.ir.dims import Dim
from graphc.ir.location import here
from graphc.ir.opdef import NOT_DIFFERENTIABLE, OPS, OpDef, Trait, define
from graphc.ir.tensor import Tensor
from graphc.ir.types import SHORT_NAMES, TensorType, TupleType, Type

CustomOp = Callable[..., Any]


def define_op(
    name: str,
    *,
    eval: Callable[..., Any] | None = None,
    infer: Callable[..., Any],
    vjp: Callable[..., Any] | str | None = None,
    attrs: Sequence[str] = (),
    doc: str = "",
) -> Any:
    """Define an op of your own; without `eval`, a decorator of the function that evaluates it.

    Args:
        name: letters, digits, underscores and dots; new among all ops.
        eval: `eval(*arrays, **attrs)`, the value in NumPy: an array, or a tuple of them for several results.
            The operands are read-only.
        infer: `infer(*types, **attrs)`, the type of the result, or a tuple of types for several. A type has
            `dtype`, `shape` (ints, or symbolic sizes that calculate), `with_shape` and `with_dtype`. It may
            raise `gc.errors.ShapeError` and the like to refuse operands.
        vjp: `vjp(g, y, *inputs, **attrs)`, the cotangent of each input, or None for one without: a tensor for
            a single input, else a tuple. `g` is the cotangent of the result `y`; both are tuples for several
            results, and entries of `g` may be None. Without a rule, a gradient through the op is an error;
            "not differentiable" makes it zero instead.
        attrs: the names of the op's keyword arguments; by default the keyword-only parameters of `eval`.
            Their values are numbers, strings, dtypes, sizes, None, or tuples of such.
        doc: one line.

    Returns:
        A function of tensors (and keyword arguments) that gives a tensor, or a tuple of them.

    Raises:
        ArgumentError: the name is taken or malformed, or `eval`, `infer` or `vjp` cannot be called.

    >>> import numpy as np
    >>> import graphc as gc
    >>> cube = gc.define_op(
    ...     "doc.cube", eval=lambda x: x**3, infer=lambda x: x, vjp=lambda g, y, x: 3 * g * x * x)
    >>> x = gc.placeholder(("n",), "float64", name="x")
    >>> cube(x).type
    f64[n]

    >>> @gc.define_op("doc.peak", infer=lambda x, *, width: x)
    ... def peak(x, *, width):
    ...     return np.exp(-(x / width) ** 2)
    """
    if eval is None:
        return lambda function: define_op(
            name,
            eval=function,
            infer=infer,
            vjp=vjp,
            attrs=attrs or _keywords(function),
            doc=doc or function.__doc__ or "",
        )
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][\w.]*", name):
        raise ArgumentError(f"define_op: {name!r} is not a name: letters, digits, underscores, dots", location=here())
    for role, function in (("eval", eval), ("infer", infer), ("vjp", vjp)):
        if not callable(function) and not (role == "vjp" and function in (None, NOT_DIFFERENTIABLE)):
            raise ArgumentError(f"define_op: {role} of {name} must be a function, not {function!r}", location=here())
    if name in OPS:
        raise ArgumentError(f"define_op: an op named {name!r} is already defined", location=here())
    names = tuple(attrs) or tuple(_keywords(eval))
    rule = _type_rule(name, infer)
    op = define(
        name,
        operands=("*operands",),
        attrs=names,
        infer=rule,
        eval=_checked_body(name, eval, rule),
        vjp=_gradient_rule(name, vjp),
        traits={Trait.LIBRARY, Trait.FALLIBLE},
        doc=doc.strip().split("\n")[0],
    )
    return _maker(op)


def _keywords(function: Callable[..., Any]) -> tuple[str, ...]:
    """The keyword-only parameters of a Python function: an op's attributes, where it says nothing else."""
    code = getattr(function, "__code__", None)
    if code is None:
        return ()
    return tuple(code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount])


def _maker(op: OpDef) -> CustomOp:
    def make(*operands: TensorLike, **attrs: Any) -> Any:
        if set(attrs) != set(op.attrs):
            wanted = ", ".join(op.attrs) or "none"
            raise ArgumentError(f"{op.name}: keyword arguments are {wanted}; given: {sorted(attrs)}", location=here())
        values = {key: _attribute(op.name, key, attrs[key]) for key in op.attrs}
        result = apply(op, *(as_tensor(x) for x in operands), **values)
        return unpack(result) if isinstance(result.type, TupleType) else result

    make.__name__ = make.__qualname__ = op.name
    make.__doc__ = op.doc
    return make


def _attribute(name: str, key: str, value: Any) -> Any:
    """A keyword argument as an attribute that prints and parses back."""
    if isinstance(value, (list, tuple)):
        return tuple(_attribute(name, key, item) for item in value)
    if isinstance(value, np.generic) and value.dtype in SHORT_NAMES:
        value = value.item()
    if (
        value is None
        or isinstance(value, (bool, int, float, str, Dim))
        or (isinstance(value, np.dtype) and value in SHORT_NAMES)
    ):
        return value
    raise ArgumentError(
        f"{name}: {key} must be a number, string, dtype, size, None or a tuple of such, not {value!r}",
        location=here(),
        hint="pass arrays as operands" if isinstance(value, (np.ndarray, Tensor)) else None,
    )


def _type_rule(name: str, infer: Callable[..., Any]) -> Callable[..., Type]:
    def rule(*types: TensorType, **attrs: Any) -> Type:
        found = infer(*types, **attrs)
        if isinstance(found, (tuple, list)) and all(isinstance(item, TensorType) for item in found) and found:
            return TupleType(tuple(found))
        if not isinstance(found, (TensorType, TupleType)):
            raise ArgumentError(f"its infer must give a type or a tuple of types, not {found!r}")
        return found

    return rule


def _checked_body(name: str, body: Callable[..., Any], rule: Callable[..., Type]) -> Callable[..., Any]:
    def evaluate(*arrays: np.ndarray, **attrs: Any) -> Any:
        try:
            result = body(*(_read_only(array) for array in arrays), **attrs)
        except GraphcError:
            raise
        except Exception as error:
            error.add_note(f"in eval of the op {name}, which define_op made")
            raise
        declared = rule(*(TensorType(array.dtype, array.shape) for array in arrays), **attrs)
        if not isinstance(declared, TupleType):
            return _checked("its eval", result, declared, arrays)
        if not isinstance(result, (tuple, list)) or len(result) != len(declared.items):
            raise ShapeError(f"its eval must give {len(declared.items)} arrays, as its infer says")
        return tuple(
            _checked(f"result {i} of its eval", r, t, arrays) for i, (r, t) in enumerate(zip(result, declared.items))
        )

    return evaluate


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _checked(what: str, result: Any, declared: TensorType, operands: Sequence[np.ndarray]) -> np.ndarray:
    """A user's result as a plain array of its own memory and of the declared type."""
    array = np.array(result, order="C", copy=None, subok=False)
    if array.dtype.newbyteorder("=") != declared.dtype:
        raise DTypeError(f"{what} is of {array.dtype}, its infer says {declared!r}")
    if array.shape != declared.shape:
        raise ShapeError(f"{what} has shape {array.shape}, its infer says {declared!r}")
    if not array.dtype.isnative or any(np.may_share_memory(array, operand) for operand in operands):
        return array.astype(declared.dtype, order="C", copy=True)
    return array


def _gradient_rule(name: str, vjp: Callable[..., Any] | str | None) -> Callable[..., Any] | str:
    if vjp is None:
        return "define_op was given no vjp for it"
    if isinstance(vjp, str):
        return vjp

    def rule(g: Any, y: Any, *inputs: Tensor, **attrs: Any) -> tuple[Tensor | None, ...]:
        sent = vjp(g, y, *inputs, **attrs)
        return (sent,) if len(inputs) == 1 and not isinstance(sent, (tuple, list)) else tuple(sent)

    return rule
