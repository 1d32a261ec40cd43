"""What a user adds to the passes, and how it is taken away again.

Invariant: removing a registration leaves the tables as they were before it was made.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from graphc.errors import ArgumentError, nearest
from graphc.ir.opdef import op_named
from graphc.passes.rewrite import FAMILIES, Rewriting, Rule


class Registration:
    """A pass or rule that was added; remove it by `remove()`, or by leaving a `with` block.

    >>> from graphc.passes import register_rule
    >>> def negative_of_abs(t):
    ...     '''abs(negative(x)) -> abs(x)'''
    >>> with register_rule(negative_of_abs, "abs") as added:
    ...     added.name
    'simplify.negative_of_abs'
    """

    def __init__(self, name: str, undo: Callable[[], None]) -> None:
        self.name = name
        self._undo: Callable[[], None] | None = undo

    def remove(self) -> None:
        """Take it away; a second call does nothing."""
        if self._undo is not None:
            self._undo()
            self._undo = None

    def __enter__(self) -> Registration:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def register_rule(
    function: Rewriting, *ops: str, family: str = "simplify", fast_math: bool = False
) -> Registration:
    """Add a rewrite rule; `passes/rewrite.py` states what a rule must obey.

    Args:
        function: a tensor -> its replacement, or None for "no opinion". Its name is the rule's name.
        ops: the names of the ops to ask it about.
        family: the pass to add it to: "simplify", or "stabilize" for more accurate values.
        fast_math: whether it may change values; it then runs only where the user allows that.

    Raises:
        ArgumentError: there is no such op or family, no op is named, or the rule's name is taken.

    >>> import graphc as gc
    >>> def exp_of_sum(t):
    ...     '''exp(x) * exp(y) -> exp(x + y)'''
    ...     if all(operand.op.name == "exp" for operand in t.inputs):
    ...         (x,), (y,) = (operand.inputs for operand in t.inputs)
    ...         return gc.exp(x + y)
    >>> x = gc.placeholder(("n",), name="x")
    >>> with gc.register_rule(exp_of_sum, "multiply", fast_math=True):
    ...     f = gc.function([x], gc.exp(x) * gc.exp(-x), backend="numpy", fast_math=True)
    >>> f.trace.fired["simplify.exp_of_sum"]
    1
    """
    if family not in FAMILIES:
        raise ArgumentError(f"register_rule: there is no family {family!r}", hint=nearest(family, FAMILIES))
    if not ops:
        raise ArgumentError("register_rule: name at least one op to ask the rule about")
    for op in ops:
        op_named(op)
    rule = Rule(family, function.__name__, ops, function, fast_math)
    rules = FAMILIES[family]
    rules.add(rule)
    return Registration(rule.full_name, lambda: rules.rules.remove(rule))
