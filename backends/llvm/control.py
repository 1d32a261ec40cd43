"""Structured control flow: loops, branches, early returns, and text sections that code can be hoisted into.

Invariant: a section that is not terminated has one open block, and values leave a region only through the
phis written here, so a kernel author never names a block.

        before:  start < stop ? --------------.         The preheader runs once, only if the loop runs at all:
        preheader: (hoisted code)             |         at(loop.preheader) adds to it from inside the body.
        head:    index, carried = phi  <--.   |
                 body                     |   |
                 index + step < stop ? ---'   |
        done:    results = phi  <-------------'         Zero trips: the results are the initial values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from graphc.backends.llvm.values import Operand, Value
from graphc.errors import CodegenError

_LIKELY = ', !prof !{!"branch_weights", i32 2000, i32 1}'
_UNLIKELY = ', !prof !{!"branch_weights", i32 1, i32 2000}'


class Section:
    """A stretch of text, with the sections inside it; ``label`` is the block that new text would land in."""

    def __init__(self, label: str) -> None:
        self.label: str | None = label
        self.closed = False
        self._parts: list[str | Section] = []

    @property
    def terminated(self) -> bool:
        """Has the last block returned, so that nothing can follow?"""
        return self.label is None

    def append(self, line: str) -> None:
        """Add one instruction to the open block."""
        if self.closed or self.label is None:
            why = "its loop or function has ended" if self.closed else "its block has returned"
            raise CodegenError(f"emitter: no code can be added here, {why}: {line}")
        self._parts.append("  " + line)

    def terminate(self, line: str) -> None:
        """End the open block."""
        self.append(line)
        self.label = None

    def open(self, label: str) -> None:
        """Begin a block."""
        if self.label is not None:
            raise CodegenError(f"emitter: block {self.label} still needs a terminator")
        self._parts.append(f"{label}:")
        self.label = label

    def close(self) -> None:
        """Take no more text, and forget what there is: it has been rendered."""
        self.closed = True
        self._parts = []

    def insert(self, section: Section) -> None:
        """Put a section here, to be filled later."""
        self._parts.append(section)

    def render(self, lines: list[str]) -> None:
        """Append all text to the lines, without recursion."""
        stack: list[Iterator[str | Section]] = [iter(self._parts)]
        while stack:
            for part in stack[-1]:
                if isinstance(part, Section):
                    stack.append(iter(part._parts))
                    break
                lines.append(part)
            else:
                stack.pop()


Exit = tuple[str, tuple[Value, ...]]  # the block that leaves, and the values that it brings


class Loop:
    """A loop under construction: ``index`` and ``carried`` inside, ``results`` after it."""

    _done: str

    def __init__(
        self, control: Control, preheader: Section, index: Value, carried: tuple[Value, ...]
    ) -> None:
        self.preheader = preheader
        self.index = index
        self.carried = carried
        self._control = control
        self._next: tuple[Value, ...] | None = None
        self._exits: list[Exit] = []
        self._results: tuple[Value, ...] | None = None

    def next(self, *values: Value) -> None:
        """The carried values of the next trip (and, after the last, the results). Say it once, at the end."""
        self._check(values)
        if self._next is not None:
            raise CodegenError("emitter: loop.next was said twice")
        self._next = values

    def exit_if(self, condition: Value, *values: Value, likely: bool | None = None) -> None:
        """Leave the loop now if the condition holds; without values, the carried ones are the results."""
        values = values or self.carried
        self._check(values)
        control = self._control
        stay = control.fresh_label("stay")
        self._exits.append((control.block, values))
        control.section.terminate(f"br {condition}, label %{self._done}, label %{stay}{_hint(likely)}")
        control.section.open(stay)

    @property
    def results(self) -> tuple[Value, ...]:
        """What the carried values are after the loop."""
        if self._results is None:
            raise CodegenError("emitter: a loop has results after its block only")
        return self._results

    def _check(self, values: Sequence[Value]) -> None:
        if [value.type for value in values] != [value.type for value in self.carried]:
            raise CodegenError(
                f"emitter: the loop carries {[str(value) for value in self.carried]}, "
                f"not {[str(value) for value in values]}"
            )


class Arm:
    """One side of a branch; ``give`` says the values that it merges into the results."""

    def __init__(self) -> None:
        self._given: tuple[Value, ...] = ()

    def give(self, *values: Value) -> None:
        """The values of the results if this side runs."""
        self._given = values


class If(Arm):
    """A branch with one side."""

    results: tuple[Value, ...] = ()


class IfElse:
    """A branch with two sides, each a context: ``with choice.then: ... choice.give(x)``."""

    results: tuple[Value, ...] = ()

    def __init__(self, control: Control, condition: Value, hint: str) -> None:
        self._control = control
        self._labels = control.fresh_label("then"), control.fresh_label("else")
        self._exits: list[Exit] = []
        self._given: tuple[Value, ...] = ()
        self._written = 0
        then, otherwise = self._labels
        control.section.terminate(f"br {condition}, label %{then}, label %{otherwise}{hint}")
        self._merge = control.fresh_label("merge")

    def give(self, *values: Value) -> None:
        """The values of the results if the side being written runs."""
        self._given = values

    @property
    def then(self) -> _Side:
        """The side that runs if the condition holds; write it first."""
        return _Side(self, 0)

    @property
    def otherwise(self) -> _Side:
        """The side that runs if it does not."""
        return _Side(self, 1)


class _Side:
    """The context of one side of an ``IfElse``."""

    def __init__(self, choice: IfElse, number: int) -> None:
        self._choice, self._number = choice, number

    def __enter__(self) -> None:
        choice = self._choice
        if choice._written != self._number:
            raise CodegenError("emitter: write then first and otherwise second, each once")
        choice._written += 1
        choice._given = ()
        choice._control.section.open(choice._labels[self._number])

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        choice, section = self._choice, self._choice._control.section
        if error is None and not section.terminated:
            choice._exits.append((choice._control.block, choice._given))
            section.terminate(f"br label %{choice._merge}")


class Control:
    """The control flow of a builder."""

    section: Section
    result: str

    def emit(self, type_: str, instruction: str) -> Value:
        """Append one instruction that gives a result of this type."""
        raise NotImplementedError

    def fresh(self, type_: str) -> Value:
        """A register that nothing defines yet."""
        raise NotImplementedError

    def fresh_label(self, stem: str) -> str:
        """A block name that nothing uses yet."""
        raise NotImplementedError

    @property
    def block(self) -> str:
        """The label of the block being written."""
        if self.section.label is None:
            raise CodegenError("emitter: no code can follow a return")
        return self.section.label

    @contextmanager
    def at(self, section: Section) -> Iterator[None]:
        """Write into another section: a loop's preheader, or the function's entry."""
        before, self.section = self.section, section
        try:
            yield
        finally:
            self.section = before

    def ret(self, value: Value | None = None) -> None:
        """Return from the function; the block ends here."""
        if (value.type if value else "void") != self.result:
            raise CodegenError(f"emitter: the function returns {self.result}, not {value}")
        self.section.terminate(f"ret {value}" if value else "ret void")

    def unreachable(self) -> None:
        """Say that control never comes here."""
        self.section.terminate("unreachable")

    # ---- loops -----------------------------------------------------------------------------------------

    @contextmanager
    def loop(
        self,
        start: Operand,
        stop: Operand,
        step: Operand = 1,
        carried: Sequence[Value] = (),
        *,
        at_least_once: bool = False,
    ) -> Iterator[Loop]:
        """Count from start while below stop (signed, step > 0); ``at_least_once`` skips the first test."""
        type_ = next((x.type for x in (start, stop, step) if isinstance(x, Value)), "i64")
        lower, upper, stride = (
            x if isinstance(x, Value) else Value(type_, str(int(x))) for x in (start, stop, step)
        )
        if isinstance(start, int) and isinstance(stop, int):
            at_least_once = at_least_once or start < stop
        done, before = self.fresh_label("done"), self.fresh_label("before")
        skipped: list[Exit] = []
        if at_least_once:
            self.section.terminate(f"br label %{before}")
        else:
            runs = self.emit("i1", f"icmp slt {lower}, {upper.name}")
            skipped.append((self.block, tuple(carried)))
            self.section.terminate(f"br {runs}, label %{before}, label %{done}")
        index = self.fresh(type_)
        with self._loop(before, done, skipped, tuple(carried), index, lower) as (loop, advance):
            yield loop
            if not self.section.terminated:
                following = self.emit(type_, f"add nsw {index}, {stride.name}")
                again = self.emit("i1", f"icmp slt {following}, {upper.name}")
                advance(again, following)

    @contextmanager
    def forever(self, carried: Sequence[Value] = ()) -> Iterator[Loop]:
        """Repeat until ``loop.exit_if`` or a return."""
        done, before = self.fresh_label("done"), self.fresh_label("before")
        self.section.terminate(f"br label %{before}")
        with self._loop(before, done, [], tuple(carried), None, None) as (loop, advance):
            yield loop
            if not self.section.terminated:
                advance(None, None)

    @contextmanager
    def _loop(  # type: ignore[no-untyped-def]
        self,
        before: str,
        done: str,
        skipped: list[Exit],
        initial: tuple[Value, ...],
        index: Value | None,
        lower: Value | None,
    ):
        """The skeleton that both loops share; ``advance`` closes the trip."""
        outer = self.section
        outer.open(before)
        preheader = Section(before)
        outer.insert(preheader)
        head = self.fresh_label("loop")
        outer.terminate(f"br label %{head}")
        outer.open(head)
        phis = Section(head)
        outer.insert(phis)
        states = tuple(self.fresh(value.type) for value in initial)
        loop = Loop(self, preheader, index or Value("void", ""), states)
        loop._done = done
        loop._exits.extend(skipped)
        latch: list[tuple[str, Value | None]] = []

        def advance(again: Value | None, following: Value | None) -> None:
            if loop._next is None and states:
                raise CodegenError("emitter: a loop that carries values needs loop.next(...) at its end")
            latch.append((self.block, following))
            if again is None:
                outer.terminate(f"br label %{head}")
            else:
                loop._exits.append((self.block, loop._next or ()))
                outer.terminate(f"br {again}, label %{head}, label %{done}")

        yield loop, advance
        if self.section is not outer:
            raise CodegenError("emitter: a loop must end in the section that it began in")
        if preheader.label is None:
            raise CodegenError("emitter: a loop's preheader cannot return")
        rows = list(zip(states, initial, loop._next or states))
        if index is not None and lower is not None:
            rows.insert(0, (index, lower, (latch[0][1] if latch else None) or index))
        for state, first, later in rows:
            incoming = f"[ {first.name}, %{preheader.label} ]"
            if latch:
                incoming += f", [ {later.name}, %{latch[0][0]} ]"
            phis.append(f"{state.name} = phi {state.type} {incoming}")
        preheader.closed = True
        if loop._exits:
            outer.open(done)
            loop._results = self._merge(loop._exits)
        else:
            loop._results = ()

    def _merge(self, exits: Sequence[Exit]) -> tuple[Value, ...]:
        """One phi for each value that differs between the ways that lead here."""
        counts = {len(values) for _, values in exits}
        if len(counts) != 1:
            raise CodegenError("emitter: the sides of a branch give different numbers of values")
        results = []
        for options in zip(*(values for _, values in exits)):
            types = {option.type for option in options}
            if len(types) != 1:
                raise CodegenError(f"emitter: cannot merge {', '.join(map(str, options))}")
            if len(set(options)) == 1:
                results.append(options[0])
                continue
            incoming = ", ".join(f"[ {value.name}, %{label} ]" for (label, _), value in zip(exits, options))
            results.append(self.emit(options[0].type, f"phi {options[0].type} {incoming}"))
        return tuple(results)

    # ---- branches --------------------------------------------------------------------------------------

    @contextmanager
    def if_(
        self, condition: Value, default: Sequence[Value] = (), *, likely: bool | None = None
    ) -> Iterator[If]:
        """Run the block if the condition holds; the results are what it gives, else ``default``."""
        arm, then, merge = If(), self.fresh_label("then"), self.fresh_label("merge")
        exits: list[Exit] = [(self.block, tuple(default))]
        self.section.terminate(f"br {condition}, label %{then}, label %{merge}{_hint(likely)}")
        self.section.open(then)
        yield arm
        if not self.section.terminated:
            exits.append((self.block, arm._given))
            self.section.terminate(f"br label %{merge}")
        self.section.open(merge)
        arm.results = self._merge(exits)

    @contextmanager
    def if_else(self, condition: Value, *, likely: bool | None = None) -> Iterator[IfElse]:
        """Two sides: ``with choice.then: ...; choice.give(x)`` and ``with choice.otherwise: ...``."""
        choice = IfElse(self, condition, _hint(likely))
        yield choice
        if choice._written != 2:
            raise CodegenError("emitter: if_else needs both sides; if_ has one")
        if choice._exits:
            self.section.open(choice._merge)
            choice.results = self._merge(choice._exits)


def _hint(likely: bool | None) -> str:
    return "" if likely is None else (_LIKELY if likely else _UNLIKELY)
