"""What an op is: a name and everything that is true of it, in one `define(...)` call.

The facts that stand here are an op's *meaning*: its type rule, its NumPy evaluation, its gradient, its
expansion into simpler ops. How a backend runs it and how passes rewrite it are not; see `docs/adding_an_op.md`.

Invariant: the registry is closed once `graphc` is imported, except for ops that a user defines by
`gc.define_op`; a name is never defined twice.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from graphc.errors import ArgumentError, nearest

if TYPE_CHECKING:
    from graphc.ir.tensor import Tensor
    from graphc.ir.types import Type


class Trait(enum.Enum):
    """A fact about an op that passes and backends ask for."""

    ELEMENTWISE = "each output element depends on the operands' elements at the same (broadcast) position"
    COMMUTATIVE = "the two operands may be swapped"
    MOVEMENT = "each output element is one input element, or a constant: no arithmetic"
    REDUCTION = "folds the axes in its `axis` attribute; has `axis` (a tuple) and `keepdims`"
    SOURCE = "has no operands"
    EFFECT = "does something besides making its result; never merged, folded or reordered away"
    FALLIBLE = "may fail at run time on the values of its operands"
    BODY = "has body graphs among its attributes; `eval` also receives `sizes` and `run`, see `evaluate_tensor`"
    LIBRARY = "runs in a library (LAPACK through NumPy); backends may run it as a host step"

    # Members are equal only to themselves; the hash of an Enum is a function in Python, and traits are asked for
    # very often.
    __hash__ = object.__hash__


#: What `vjp=` says of an op whose result has no gradient by nature (comparisons, argsort, rounding to int).
NOT_DIFFERENTIABLE: Final = "not differentiable"

Infer = Callable[..., "Type"]
Evaluate = Callable[..., Any]
GradientRule = Callable[..., "tuple[Tensor | None, ...]"]


@dataclass(frozen=True, slots=True, eq=False)
class OpDef:
    """One op.

    Attributes:
        name: as in the array API standard or NumPy.
        operands: the operands' names, for messages; a name that starts with `*` takes any number.
        attrs: the attributes' names, in printing order.
        infer: `infer(*types, **attrs) -> type`. The only place where the op's shapes and dtypes are checked:
            the front end, the parser and the verifier all run it. Raises `ShapeError`, `DTypeError` or
            `ArgumentError` with a message that states the rule; who and where is added by `build.apply`.
        eval: `eval(*arrays, **attrs) -> array`, or a tuple of arrays for several results. NumPy; the meaning
            of the op. Sizes in `attrs` are numbers by then. Must neither write to its arrays nor keep them.
        vjp: `vjp(g, y, *inputs, **attrs) -> (cotangent of each input, or None)`, where `g` is the cotangent
            of the result `y`, written with other ops; for several results `g` and `y` are tuples and an
            unused `g` is None. `NOT_DIFFERENTIABLE` where there is none by nature. An elementwise rule need
            not undo broadcasting: the walk does.
        expand: `expand(*inputs, **attrs) -> tensor`, the same value by simpler ops, for backends that lack
            this one; None where there is no such form.
        traits: facts for passes and backends.
        doc: one line.
    """

    name: str
    operands: tuple[str, ...]
    attrs: tuple[str, ...]
    infer: Infer
    eval: Evaluate
    vjp: GradientRule | str
    expand: Callable[..., Any] | None = None
    traits: frozenset[Trait] = field(default_factory=frozenset)
    doc: str = ""

    def has(self, trait: Trait) -> bool:
        """Whether the op has `trait`."""
        return trait in self.traits

    def operand_name(self, position: int) -> str:
        """The name of the operand at `position`, for messages."""
        last = self.operands[-1] if self.operands else ""
        if last.startswith("*") and position >= len(self.operands) - 1:
            return f"{last[1:]}[{position - len(self.operands) + 1}]"
        return self.operands[position] if position < len(self.operands) else f"operand {position}"

    def __repr__(self) -> str:
        return f"<op {self.name}>"


#: Every op by name. Read it; add to it only through `define`.
OPS: dict[str, OpDef] = {}

#: Public functions by name, so that `Tensor`'s operators and methods can reach those defined above them.
FUNCTIONS: dict[str, Callable[..., Any]] = {}


def define(
    name: str,
    *,
    operands: tuple[str, ...] = (),
    attrs: tuple[str, ...] = (),
    infer: Infer,
    eval: Evaluate,
    vjp: GradientRule | str,
    expand: Callable[..., Any] | None = None,
    traits: frozenset[Trait] | set[Trait] = frozenset(),
    doc: str = "",
) -> OpDef:
    """Register an op; the fields are those of `OpDef`.

    Raises:
        ArgumentError: the name is taken.
    """
    if name in OPS:
        raise ArgumentError(f"an op named {name!r} is already defined")
    op = OpDef(name, operands, attrs, infer, eval, vjp, expand, frozenset(traits), doc)
    OPS[name] = op
    return op


def op_named(name: str) -> OpDef:
    """The op called `name`.

    Raises:
        ArgumentError: there is none.
    """
    try:
        return OPS[name]
    except KeyError:
        raise ArgumentError(f"there is no op named {name!r}", hint=nearest(name, OPS)) from None


def public(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: make a function reachable as an operator or method of `Tensor` by its own name."""
    FUNCTIONS[function.__name__.rstrip("_")] = function
    return function


Attrs = Mapping[str, Any]
