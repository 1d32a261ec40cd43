"""What a plan is made of: buffers, steps, copies; and loops and branches, which are steps that hold plans.

All buffers of a program, those of bodies too, are in one list, so that each has a slot in one table of addresses.
All steps have a number, in the order in which they stand:

    0  matmul
    1  scan  begins          what a loop reads or writes at every turn is needed from its first number to its last
    2    matmul
    3    fused
    4  scan  ends
    5  fused

Invariant: a step of a body runs between the first and the last number of the loop, so lifetimes are intervals of
numbers, inside loops as outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from graphc.backends.llvm.kernel import Kernel
from graphc.ir.dims import Size, product
from graphc.ir.graph import Graph
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType


@dataclass(eq=False)
class Buffer:
    """A stretch of memory that holds one tensor, and others that are reshapes of it.

    Attributes:
        type: dtype and shape of what was first put there.
        kind: whose memory it is: "input", "variable", "constant", "output" or "arena"; or "bound", a part of
            another buffer, at an address that the loop or branch around it sets.
        number: which input, variable, ... it is.
        label: the tensor's name in the plan's text.
        within: the arena buffer that a bound one is a part of for good; it lives as long.
        copies: how many there are, one behind the other: one for each part of a loop that threads share.
    """

    type: TensorType
    kind: str
    number: int
    label: str = ""
    within: Buffer | None = None
    copies: int = 1

    @property
    def nbytes(self) -> Size:
        """How many bytes it has; each of them, where there are copies."""
        return self.type.size * self.type.dtype.itemsize

    @property
    def row_bytes(self) -> Size:
        """How many bytes one entry of its first axis has."""
        return product(self.type.shape[1:]) * self.type.dtype.itemsize


@dataclass(eq=False)
class Step:
    """A kernel call, a host step, or a loop or branch.

    Attributes:
        tensor: what is computed.
        operands: where its operands are.
        results: where its results go.
        kernel: the native function; None for a host step, and for a loop or branch.
        body: the loop nest's graph, for kernels made from one.
        nested: what a loop or branch does.
    """

    tensor: Tensor
    operands: list[Buffer]
    results: list[Buffer]
    kernel: Kernel | None
    body: Graph | None = None
    nested: Nested | None = None

    @property
    def is_host(self) -> bool:
        """Whether it runs in Python."""
        return self.kernel is None and self.nested is None

    @property
    def writes_variables(self) -> bool:
        """Whether it stores the new value of a variable in place."""
        return any(buffer.kind == "variable" for buffer in self.results)

    @property
    def numbers(self) -> int:
        """How many numbers it takes, with what is in it."""
        if self.nested is None:
            return 1
        return 2 + sum(step.numbers for plan in self.nested.plans for step in plan.steps)

    @property
    def may_fail(self) -> bool:
        """Whether a call of the step can end in an error."""
        if self.nested is not None:
            return any(step.may_fail for plan in self.nested.plans for step in plan.steps)
        return self.kernel is None or bool(self.kernel.sites)


@dataclass(eq=False)
class Copy:
    """Bytes moved between buffers."""

    source: Buffer
    target: Buffer


@dataclass(eq=False)
class State:
    """A state of a loop.

    Attributes:
        first: where it is before the loop.
        present: where a step reads it: bound.
        new: where a step writes it: bound.
        spare: two buffers that take turns to hold the new state; none where that is in a stack, or is what another
            state has spare buffers for.
        last: where to put it after the loop; None if nothing reads it.
        history: where all its values are, the first one too, if the old states are wanted; None if they are not.
    """

    first: Buffer
    present: Buffer
    new: Buffer
    spare: tuple[Buffer, ...] = ()
    last: Buffer | None = None
    history: Buffer | None = None


@dataclass(eq=False)
class View:
    """A bound buffer that is part of a history: all rows but the last one, or but the first."""

    history: Buffer
    buffer: Buffer
    skips_first: bool


@dataclass(eq=False)
class Parts:
    """How threads share a loop whose steps do to each row what they do to it alone: a part is all steps of some rows.

    The plan of the step is for `share` rows. Where they do not come out even, the last part begins earlier, and
    computes some rows once more: the same bits for the same places.

    Attributes:
        extent: how many rows there are.
        share: how many a part has.
        count: how many parts there are at most.
        flat: the steps' rows of sequences that are the same for all parts.
        outside: pairs of an operand that does not change from step to step, and the bound buffer that is a part of it.
        own: the buffers of which each part has its own copy.
        stacks: the stacks that lie part by part; see `stacks.py`.
    """

    extent: Size
    share: Size
    count: int
    flat: frozenset[Buffer]
    outside: list[tuple[Buffer, Buffer]]
    own: list[Buffer] = field(default_factory=list)
    stacks: set[Buffer] = field(default_factory=set)


@dataclass(eq=False)
class Scan:
    """A loop of a known number of steps.

    Attributes:
        plan: one step.
        length, is_reversed: which steps.
        states: what is carried.
        slices: pairs of a sequence, or a stack to be written, and the bound buffer that is its row of this step.
        views: histories, of one row more than there are steps, and the bound buffers that are all rows of them but
            the last, or but the first.
        parts: how threads share it; None where they share its steps, if anything.
    """

    plan: Plan
    length: Size
    is_reversed: bool
    states: list[State]
    slices: list[tuple[Buffer, Buffer]]
    views: list[View]
    parts: Parts | None = None

    names: ClassVar = ("step",)

    @property
    def turns(self) -> Size:
        """How often the plan runs: each step, once for each part."""
        return self.length * (1 if self.parts is None else self.parts.count)

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The plans of the bodies, in the order of their steps' numbers."""
        return (self.plan,)


@dataclass(eq=False)
class While:
    """A loop that runs as long as a condition holds, and at most `limit` times.

    Attributes:
        condition: the plan that computes `go`.
        plan: one step.
        states: what is carried.
        go: where the condition is.
    """

    condition: Plan
    plan: Plan
    states: list[State]
    go: Buffer
    limit: int | None

    names: ClassVar = ("condition", "step")

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The plans of the bodies, in the order of their steps' numbers."""
        return (self.condition, self.plan)


@dataclass(eq=False)
class Cond:
    """One of two plans.

    Attributes:
        pred: where the condition is.
        then, otherwise: the plans.
        bound: for each plan, pairs of a result and the bound buffer that is the same memory.
    """

    pred: Buffer
    then: Plan
    otherwise: Plan
    bound: tuple[list[tuple[Buffer, Buffer]], list[tuple[Buffer, Buffer]]]

    names: ClassVar = ("then", "otherwise")

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The plans of the branches, in the order of their steps' numbers."""
        return (self.then, self.otherwise)


Nested = Scan | While | Cond


def spare_buffers(nested: Nested) -> list[Buffer]:
    """The buffers of a loop's own."""
    if isinstance(nested, Cond):
        return []
    histories = (state.history for state in nested.states if state.history is not None)
    own = nested.parts.own if isinstance(nested, Scan) and nested.parts is not None else ()
    return [*(buffer for state in nested.states for buffer in state.spare), *histories, *own]


@dataclass
class Plan:
    """Steps and buffers of a graph; see `plan.py`.

    Attributes:
        before: copies that must run before the steps: results that are inputs, variables or constants.
        steps: kernels, host steps, loops and branches, in order.
        after: copies that run when everything is computed: doubled results, and updates.
        buffers: every buffer, each once; a body shares the list of the program.
    """

    graph: Graph
    before: list[Copy] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    after: list[Copy] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)

    @property
    def host_steps(self) -> list[Step]:
        """The steps that run in Python."""
        return [s for s in self.steps if s.is_host]

    @property
    def numbered(self) -> list[Step]:
        """All steps by their number, those of bodies included; a loop or branch is there twice."""
        return [step for step, _ in _numbered(self)]

    @property
    def kernels(self) -> list[Kernel]:
        """The kernels of all steps, each once."""
        return list(dict.fromkeys(s.kernel for s in self.numbered if s.kernel is not None))

    @property
    def steps_in_parts(self) -> list[Step]:
        """The steps of loops that threads share by parts."""
        loops = [step.nested for step in self.numbered if isinstance(step.nested, Scan)]
        return [step for loop in loops if loop.parts is not None for step in loop.plan.steps]

    def lifetimes(self) -> dict[Buffer, tuple[int, int]]:
        """For each arena buffer, the first and the last step that need it."""
        found: dict[Buffer, tuple[int, int]] = {}

        def touch(buffer: Buffer, at: int) -> None:
            if buffer.within is not None:
                buffer = buffer.within
            if buffer.kind == "arena":
                first, last = found.get(buffer, (at, at))
                found[buffer] = (min(first, at), max(last, at))

        steps = list(_numbered(self))
        for copy in self.before:
            touch(copy.target, 0)
        for number, (step, plans) in enumerate(steps):
            own = spare_buffers(step.nested) if step.nested is not None else []
            for buffer in (*step.operands, *step.results, *own):
                touch(buffer, number)
            for plan in plans:  # copies inside bodies happen before the loop's last number
                for copy in (*plan.before, *plan.after):
                    touch(copy.source, number)
                    touch(copy.target, number)
        for copy in self.after:
            touch(copy.source, len(steps))
        return found


def _numbered(plan: Plan) -> Iterator[tuple[Step, tuple[Plan, ...]]]:
    """The steps by number; with those of loops and branches, the plans that they hold."""
    for step in plan.steps:
        if step.nested is None:
            yield step, ()
            continue
        yield step, step.nested.plans
        for inner in step.nested.plans:
            yield from _numbered(inner)
        yield step, step.nested.plans
