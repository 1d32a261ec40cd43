"""Every exception that graphc raises.

Two families. *Yours*: the caller can mend it, so the text names the operation or argument, the value, the
limit and the caller's own line, and holds no internal words. *Ours* (`InternalError`): a pass or a backend
broke a rule of the house; the text says which one and how to replay it.

Invariant: everything raised on purpose is a `GraphcError`, and also the built-in exception that NumPy users
would expect in its place (`ValueError`, `TypeError`, `IndexError`, ...).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphc.ir.location import Location


class GraphcError(Exception):
    """Base of all errors of graphc.

    Args:
        message: one line: the operation or argument, the rule, the values.
        location: the caller's line that made the offending tensor, if there is one.
        origins: where the operands came from, as `name -> "placeholder, file:line"`.
        hint: one suggestion, only where it is certain to help.
    """

    def __init__(
        self,
        message: str,
        *,
        location: Location | None = None,
        origins: Mapping[str, str] | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.location = location
        self.origins = dict(origins or {})
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.message]
        if self.location is not None:
            lines += self.location.excerpt()
        if self.origins:
            lines.append("  " + "        ".join(f"{name}: {origin}" for name, origin in self.origins.items()))
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class ShapeError(GraphcError, ValueError):
    """Shapes, axes or sizes that an operation cannot take."""


class DTypeError(GraphcError, TypeError):
    """A dtype that an operation does not take, or a value that its dtype cannot hold."""


class ArgumentError(GraphcError, ValueError):
    """A keyword or option outside its allowed values."""


class IndexOutOfBoundsError(GraphcError, IndexError):
    """An index that a gather, a scatter or a slice met at run time lies outside its axis."""


class SymbolicUseError(GraphcError, TypeError):
    """A symbolic tensor was used as if it held a value: `bool(t)`, `len(t)`, `np.asarray(t)`, iteration."""


class FeedError(GraphcError, ValueError):
    """A call's arrays do not fit the function's inputs: number, name, dtype, shape."""


class GradientError(GraphcError, ValueError):
    """A gradient was asked of something that has none, or along a path that does not exist."""


class GraphError(GraphcError, ValueError):
    """Inputs, outputs and updates that do not close over a graph."""


class ParseError(GraphcError, ValueError):
    """Text that is not the textual IR; names the line."""


class ModelFileError(GraphcError, ValueError):
    """A saved model, weights or a checkpoint that cannot be read: absent, damaged, hostile, or of another kind."""


class CheckError(GraphcError, ArithmeticError):
    """An `assert` or `check_finite` op fired while a function ran."""


class LinearAlgebraError(GraphcError, ValueError):
    """A matrix that a decomposition cannot take: singular, or not positive definite."""


class FlagError(ArgumentError):
    """A `GRAPHC_*` environment variable or option with a value outside its range."""


class InternalError(GraphcError, RuntimeError):
    """A defect of graphc itself; please report it with the reproducer that the text names."""


class VerifyError(InternalError):
    """A graph breaks the IR's rules."""


class PassError(InternalError):
    """A pass failed, or made a graph that does not verify or has other values than its input."""


class CodegenError(InternalError):
    """The LLVM backend produced code that LLVM rejects, or that needs a symbol outside the allow-list."""


class CacheWarning(RuntimeWarning):
    """The disk cache of compiled code is damaged, unsafe or full; what it should have held is compiled anew."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """A hint for a misspelt name: the closest known one, or None.

    >>> nearest("fues", ["fuse", "fold"])
    "did you mean 'fuse'?"
    """
    matches = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {matches[0]!r}?" if matches else None
