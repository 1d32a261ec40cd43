"""The rule driver: rewriting a graph by local rules, to a fixed point.

The contract of a rule. A rule is a function of one tensor, registered for the ops it looks at. It gives a
tensor to take the place of that one, or None ("no opinion"). It must

1. preserve the value of every element for every input, NaN, infinities and -0.0 included; the sign and
   payload of a NaN are not part of its value (IEEE 754-2019, 6.3). A rule that does not is marked
   `fast_math=True` and says why. (The rules of `stabilize` may give a *more accurate* value, nothing else.)
2. give a tensor of the same type, and be no worse: no more work, no more memory, no fewer known sizes;
3. move towards a normal form: two rules must not undo each other, and none merely swaps operands;
4. show its pattern: it looks only at the tensor, its operands and theirs, never at users or names;
5. state the algebra in the first line of its docstring, and below it the smallest graph on which it fires:
   the parameters, then lines of IR, of which the last is the result. A test runs it in the whole pipeline.

What a rule need not care about, because the driver does: the user's line (what a rule makes inherits that of
the matched tensor, "via simplify.multiply_one"), the user's name, and effects: a rewrite that would lose an
operand that prints or may fail does not happen.

Invariant: when a tensor is settled, its operands are, and no rule fires on it; so one sweep, operands first,
reaches the fixed point, and each rule is asked once per settled tensor and firing.
"""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from graphc.errors import ArgumentError, PassError
from graphc.ir.bodies import does
from graphc.ir.graph import Graph, with_inputs
from graphc.ir.location import inherit
from graphc.ir.opdef import OPS, OpDef, Trait
from graphc.ir.tensor import Tensor, describe

Rewriting = Callable[[Tensor], Tensor | None]

#: So many rewrites for one tensor of the graph mean that rules undo each other.
_FIRINGS_LIMIT = 10_000
#: How far to look for an effect that a rewrite may lose, before it is left alone.
_EFFECT_SEARCH_LIMIT = 64


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule; see the module docstring for what it must obey.

    Attributes:
        family: the pass that it belongs to.
        name: unique in the family.
        ops: the ops that it is asked about: names, or a trait for all ops that have it.
        function: tensor -> replacement or None.
        fast_math: whether it changes values, and so needs the user's leave.
    """

    family: str
    name: str
    ops: tuple[str | Trait, ...]
    function: Rewriting
    fast_math: bool = False

    @property
    def full_name(self) -> str:
        """What dumps and errors call it: `simplify.multiply_one`."""
        return f"{self.family}.{self.name}"

    def op_names(self) -> list[str]:
        """The names of the ops that it is asked about, traits resolved."""
        names: dict[str, None] = {}
        for wanted in self.ops:
            if isinstance(wanted, str):
                names[wanted] = None
            else:
                names.update(dict.fromkeys(op.name for op in OPS.values() if op.has(wanted)))
        return list(names)

    @property
    def algebra(self) -> str:
        """The first line of its docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    @property
    def example(self) -> str | None:
        """The graph in its docstring, as text; None where there is none."""
        _, _, text = inspect.cleandoc(self.function.__doc__ or "").partition("\n\n")
        if not text:
            return None
        parameters, *lines = [line.strip() for line in text.splitlines()]
        if not lines:
            return None
        result = lines[-1].partition(" ")[0]
        body = "\n".join(f"  {line}" for line in lines)
        return f"graph @example({parameters}) {{\n{body}\n  return {result}\n}}"


class Family:
    """The rules of one pass. Call it to register a rule; its `run` is the pass.

    >>> tidy = Family("tidy")
    >>> @tidy("negative")
    ... def negative_twice(t):
    ...     '''negative(negative(x)) -> x'''
    ...     (x,) = t.inputs
    ...     return x.inputs[0] if x.op.name == "negative" else None
    >>> [rule.full_name for rule in tidy.rules]
    ['tidy.negative_twice']
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.rules: list[Rule] = []

    def __call__(self, *ops: str | Trait, fast_math: bool = False) -> Callable[[Rewriting], Rewriting]:
        """Decorator: register a function as a rule for `ops`."""

        def register(function: Rewriting) -> Rewriting:
            self.add(Rule(self.name, function.__name__, ops, function, fast_math))
            return function

        return register

    def add(self, rule: Rule) -> None:
        """Register a rule.

        Raises:
            ArgumentError: the family has one of that name.
        """
        if any(known.name == rule.name for known in self.rules):
            raise ArgumentError(f"the pass {self.name} already has a rule named {rule.name!r}")
        self.rules.append(rule)

    def run(self, graph: Graph, *, fast_math: bool, fired: Counter[str]) -> Graph:
        """The pass: `graph` with these rules applied to a fixed point."""
        active = [rule for rule in self.rules if fast_math or not rule.fast_math]
        by_op: dict[str, list[Rule]] = {}
        for rule in active:
            for op in rule.op_names():
                by_op.setdefault(op, []).append(rule)
        return rewrite(graph, by_op, fired)


def rewrite(graph: Graph, rules: Mapping[str, Sequence[Rule]], fired: Counter[str]) -> Graph:
    """`graph` with `rules` (by op name) applied until none fires; counts in `fired` how often each did.

    Raises:
        PassError: a rule failed, gave something of another type, or rules undo each other.
    """
    sweep = _Sweep(rules, fired)
    for tensor in graph.tensors:
        sweep.settle(tensor)
    return graph.with_roots(sweep.settled[root] for root in graph.roots)


class _Sweep:
    def __init__(self, rules: Mapping[str, Sequence[Rule]], fired: Counter[str]) -> None:
        self.rules = rules
        self.fired = fired
        #: From any tensor met so far to what stands in its place; settled tensors map to themselves.
        self.settled: dict[Tensor, Tensor] = {}
        #: Settled tensors that print or may fail, or need one that does.
        self.effectful: set[Tensor] = set()

    def settle(self, start: Tensor) -> None:
        """Rewrite `start` and what rules make in its place, operands first, without recursion."""
        replacement: dict[Tensor, Tensor] = {}
        firings: list[str] = []
        stack = [start]
        while stack:
            tensor = stack[-1]
            if tensor in self.settled:
                stack.pop()
                continue
            if tensor in replacement:  # that was put above it on the stack, so is settled now
                if replacement[tensor] not in self.settled:
                    raise PassError(
                        f"rule {firings[-1]} gave a tensor that needs the very one it replaces, "
                        f"{describe(tensor)}",
                        location=tensor.location,
                    )
                self.settled[tensor] = self.settled[replacement[tensor]]
                continue
            waiting = [operand for operand in tensor.inputs if operand not in self.settled]
            if waiting:
                stack += reversed(waiting)
                continue
            current = with_inputs(tensor, tuple(self.settled[operand] for operand in tensor.inputs))
            result = self.fire(current, firings)
            if result is None:
                self.settled[tensor] = self.settled[current] = current
                self.note_effects(current)
            else:
                replacement[tensor] = result
                stack.append(result)

    def fire(self, tensor: Tensor, firings: list[str]) -> Tensor | None:
        """What the first rule with an opinion makes of `tensor`."""
        for rule in self.rules.get(tensor.op.name, ()):
            result = _apply(rule, tensor)
            if result is None or result is tensor or self.loses_effect(tensor, result):
                continue
            self.fired[rule.full_name] += 1
            firings.append(rule.full_name)
            if len(firings) > _FIRINGS_LIMIT:
                culprits = ", ".join(sorted(set(firings[-20:])))
                raise PassError(
                    f"rules undo each other: {culprits}, at {describe(tensor)}", location=tensor.location
                )
            if tensor.hint and not result.hint and result not in self.settled:
                result = Tensor(
                    result.op, result.inputs, result.attrs, result.type, result.location, tensor.hint
                )
            return result
        return None

    def note_effects(self, tensor: Tensor) -> None:
        if _has_effect(tensor) or any(operand in self.effectful for operand in tensor.inputs):
            self.effectful.add(tensor)

    def loses_effect(self, before: Tensor, after: Tensor) -> bool:
        """Whether an operand of `before` that prints or may fail is not needed by `after`.

        The matched tensor itself is the rule's own business (`take(x, iota)` never fails).
        """
        search = [operand for operand in before.inputs if operand in self.effectful]
        if not search:
            return False
        kept: set[Tensor] = set()
        fresh = [after]
        while fresh:  # from the result down to the settled tensors that it uses
            tensor = fresh.pop()
            if tensor not in kept:
                kept.add(tensor)
                if tensor not in self.settled:
                    fresh += tensor.inputs
        seen: set[Tensor] = set()
        while search:
            tensor = search.pop()
            if tensor in kept or tensor in seen:
                continue
            seen.add(tensor)
            if _has_effect(tensor) or len(seen) > _EFFECT_SEARCH_LIMIT:
                return True
            search += (operand for operand in tensor.inputs if operand in self.effectful)
        return False


def _has_effect(tensor: Tensor) -> bool:
    if tensor.op.has(Trait.BODY):
        return does(tensor, Trait.EFFECT) or does(tensor, Trait.FALLIBLE)
    return _op_has_effect(tensor.op)


@functools.cache  # asked for every tensor of every sweep
def _op_has_effect(op: OpDef) -> bool:
    return op.has(Trait.EFFECT) or op.has(Trait.FALLIBLE)


def _apply(rule: Rule, tensor: Tensor) -> Tensor | None:
    """Ask one rule, and check its answer."""
    try:
        with inherit(tensor.location, f"via {rule.full_name}"):
            result = rule.function(tensor)
    except Exception as error:
        raise _blamed(rule, f"failed: {type(error).__name__}: {_first_line(error)}", tensor) from error
    if result is None:
        return None
    if not isinstance(result, Tensor):
        raise _blamed(rule, f"gave a {type(result).__name__}, not a tensor", tensor)
    if result.type != tensor.type:
        raise _blamed(rule, f"gave {result.op.name} : {result.type!r}, another type", tensor)
    return result


def _blamed(rule: Rule, what: str, tensor: Tensor) -> PassError:
    where = f"{describe(tensor)} = {tensor.op.name} : {tensor.type!r}"
    return PassError(f"rule {rule.full_name} {what}, at {where}", location=tensor.location)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


#: Rewrites into a more accurate form; see `passes/stabilize.py`.
stabilize = Family("stabilize")
#: Rewrites into a cheaper form of the same value; see `passes/simplify.py`.
simplify = Family("simplify")

FAMILIES: Mapping[str, Family] = {family.name: family for family in (stabilize, simplify)}


def all_rules() -> Iterable[Rule]:
    """Every registered rule."""
    return [rule for family in FAMILIES.values() for rule in family.rules]


__all__ = ["FAMILIES", "Family", "Rewriting", "Rule", "all_rules", "rewrite", "simplify", "stabilize"]
