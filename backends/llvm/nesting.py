"""Loops and branches in a plan: where their bodies' operands and results are.

Nothing is copied that need not be. A slice of a sequence is an address in it, a stacked result is written to its
row at once, and an operand that does not change is the buffer outside itself. A state is read where the step
before has written it: in its row, if its history is stacked, else in one of two buffers that take turns. Where
the old states are wanted too, as gradients do, both stacks are one, with a row more:

    history   h_0  h_1  h_2  h_3          old states: all rows but the last; new ones: all but the first

Invariant: a body's plan has no updates, and writes only to buffers of its own and to bound ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.backends.llvm.loop_parts import StepOfPart, step_of_part
from graphc.backends.llvm.steps import Buffer, Cond, Copy, Nested, Parts, Plan, Scan, State, View, While
from graphc.ir.dims import Size
from graphc.ir.graph import Graph
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType

#: Makes a buffer: its type, kind and label.
MakeBuffer = Callable[[TensorType, str, str], Buffer]
#: Makes a buffer a bound one: its address is set by what is around it.
Bind = Callable[[Buffer], None]
#: Plans a body whose parameters are in these buffers: the plan, and where its results are.
PlanBody = Callable[[Graph, Sequence[Buffer]], tuple[Plan, list[Buffer]]]


class Nesting:
    """Makes the nested step of a scan, while_loop or cond.

    Args:
        operands: where the operands are.
        results: where the results go, by number; those that nothing reads are not there.
        make: makes a buffer.
        bind: makes an arena buffer a bound one.
        plan: plans a body.
        threads: how many may share a loop.
    """

    def __init__(
        self,
        operands: Sequence[Buffer],
        results: dict[int, Buffer],
        make: MakeBuffer,
        bind: Bind,
        plan: PlanBody,
        threads: int,
    ) -> None:
        self.operands = operands
        self.results = results
        self.make = make
        self.bind = bind
        self.plan = plan
        self.threads = threads

    def of(self, tensor: Tensor) -> Nested:
        """What the tensor's op does."""
        makers: dict[str, Callable[..., Nested]] = {"scan": self._scan, "while_loop": self._while, "cond": self._cond}
        return makers[tensor.op.name](**tensor.attrs)

    def _scan(self, *, length: Size, sequences: int, states: int, reverse: bool, body: Graph) -> Scan:
        whole = body
        part = step_of_part(body, length, sequences, states, self.threads)
        if part is not None:
            body = part.body
        rows = self._bound(body.inputs[:sequences])
        present = self._bound(body.inputs[sequences : sequences + states])
        outside = self.operands[sequences + states :]
        parts = None
        if part is not None:
            flat = frozenset(row for row, is_part in zip(rows, part.inputs) if not is_part)
            parts = Parts(part.extent, part.share, self.threads, flat, [])
            outside = self._outside_parts(part, parts)
        plan, places = self.plan(body, (*rows, *present, *outside))
        first, targets = self.operands[sequences:], _Targets(plan, self.make, self.bind)
        slices, views = list(zip(self.operands, rows)), []
        stacked = {number: buffer for number, buffer in self.results.items() if number >= states}
        histories: dict[int, State] = {}
        for number in [n for n in stacked if places[n] in present]:  # old states: from row to row of a history
            i = present.index(places[number])
            if i in histories or number not in stacked:
                continue
            type_ = whole.outputs[i].tensor_type
            history = self.make(type_.with_shape((length + 1, *type_.shape)), "arena", body.inputs[i].hint or "")
            old = stacked.pop(number)
            twin = next((n for n in stacked if body.outputs[n] is body.outputs[i]), None)
            stack = type_.with_shape((length, *type_.shape))
            new = self.make(stack, "bound", "") if twin is None else stacked.pop(twin)
            for buffer, skips_first in ((old, reverse), (new, not reverse)):
                if buffer.kind != "bound":
                    self.bind(buffer)
                buffer.within = history
                views.append(View(history, buffer, skips_first))
            row = targets.bind(places[i], body.outputs[i])
            slices.append((new, row))
            histories[i] = State(first[i], present[i], row, (), self.results.get(i), history)
        for number, buffer in stacked.items():
            slices.append((buffer, targets.bind(places[number], body.outputs[number])))
        carried = self._states(body, places, first, present, targets, histories)
        if parts is not None:
            made = [buffer for step in plan.steps for buffer in step.results]
            copied = [*made, *(copy.target for copy in plan.after), *(b for s in carried for b in s.spare)]
            parts.own = [buffer for buffer in dict.fromkeys(copied) if buffer.kind == "arena"]
            for buffer in parts.own:
                buffer.copies = parts.count
        return Scan(plan, length, reverse, carried, slices, views, parts)

    def _outside_parts(self, part: StepOfPart, parts: Parts) -> list[Buffer]:
        """Where a part's steps read the operands that do not change."""
        found = list(self.operands)
        for number, (tensor, is_part) in enumerate(zip(part.body.inputs, part.inputs)):
            if is_part and number >= part.invariants:
                (found[number],) = self._bound([tensor])
                parts.outside.append((self.operands[number], found[number]))
        return found[part.invariants :]

    def _while(self, *, states: int, limit: int | None, condition: Graph, body: Graph) -> While:
        present = self._bound(body.inputs[:states])
        outside = self.operands[states:]
        test, (go,) = self.plan(condition, (*present, *outside))
        plan, places = self.plan(body, (*present, *outside))
        targets = _Targets(plan, self.make, self.bind)
        return While(test, plan, self._states(body, places, self.operands, present, targets, {}), go, limit)

    def _cond(self, *, then: Graph, otherwise: Graph) -> Cond:
        pred, *outside = self.operands
        plans, bound = [], []
        for branch in (then, otherwise):
            plan, places = self.plan(branch, outside)
            targets = _Targets(plan, self.make, self.bind)
            bound.append([(result, targets.bind(places[i], branch.outputs[i])) for i, result in self.results.items()])
            plans.append(plan)
        return Cond(pred, plans[0], plans[1], (bound[0], bound[1]))

    def _bound(self, tensors: Sequence[Tensor]) -> list[Buffer]:
        return [self.make(t.tensor_type, "bound", t.hint or "") for t in tensors]

    def _states(
        self,
        body: Graph,
        places: Sequence[Buffer],
        first: Sequence[Buffer],
        present: Sequence[Buffer],
        targets: _Targets,
        known: dict[int, State],
    ) -> list[State]:
        """The states of a loop. Where the new one is bound already, in a stack or for another state, it is there."""
        found = []
        for number, (buffer, output, place) in enumerate(zip(present, body.outputs, places)):
            if number in known:
                found.append(known[number])
                continue
            new, spare = place, tuple[Buffer, ...]()
            if place not in targets.bound:
                new = targets.bind(place, output)
                spare = tuple(self.make(new.type, "arena", new.label) for _ in range(2))
            found.append(State(first[number], buffer, new, spare, self.results.get(number)))
        return found


class _Targets:
    """Results of a body, each in a bound buffer.

    Attributes:
        bound: the buffers that steps of the body write to that are bound now.
    """

    def __init__(self, plan: Plan, make: MakeBuffer, bind: Bind) -> None:
        self.plan = plan
        self.make = make
        self._bind = bind
        self.own = {b for step in plan.steps for b in step.results if b.kind == "arena"}
        self.bound: set[Buffer] = set()

    def bind(self, place: Buffer, tensor: Tensor) -> Buffer:
        """A bound buffer that holds a result: the very one that a step writes to, or a copy."""
        if place in self.own and place not in self.bound:
            self._bind(place)
            self.bound.add(place)
            return place
        copy = self.make(tensor.tensor_type, "bound", tensor.hint or "")
        self.plan.after.append(Copy(place, copy))
        return copy
