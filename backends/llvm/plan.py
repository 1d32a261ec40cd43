"""The plan of a program: its steps in order, and the buffer that each tensor lives in.

Steps are kernels, copies, and host steps (ops that run in Python, listed as such). Buffers are the inputs',
variables', constants' and outputs' own memory, or places in the arena that are shared by buffers whose
lifetimes do not overlap.

Invariant: a step reads only what earlier steps wrote or the call brought; a variable's memory is written only
after its last read and after everything that can fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from graphc.analysis.loops import fusible
from graphc.analysis.users import users
from graphc.backends.llvm.finished import finished_products, single_op_body
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.kernels import KERNELS
from graphc.backends.llvm.kernels.alike import KernelsAlike
from graphc.backends.llvm.kernels.finishing import overwrites
from graphc.backends.llvm.kernels.loop_shape import reads_in_place
from graphc.backends.llvm.kernels.matmul import lying_product_kernel, matmul_kernel
from graphc.backends.llvm.kernels.stages import Stage
from graphc.backends.llvm.kernels.transposition import transposition_kernel
from graphc.backends.llvm.nesting import Nesting
from graphc.backends.llvm.stacks import lay_part_by_part
from graphc.backends.llvm.steps import Buffer, Cond, Copy, Nested, Plan, Scan, Step
from graphc.ir.graph import Graph
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType, TupleType


def plan(graph: Graph, threads: int = 1) -> Plan:
    """The plan of an optimised graph, for so many threads."""
    return _Planner(graph, threads).run()


class _Planner:
    """Plans a graph, or a body of one of its loops and branches, which is `inside` the planner of the program."""

    def __init__(self, graph: Graph, threads: int, inside: _Planner | None = None) -> None:
        self.graph = graph
        self.threads = threads
        self.users = users(graph)
        self.roots = set(graph.roots)
        self.found = Plan(graph)
        self.place: dict[Tensor, Buffer] = {}
        self.items: dict[Tensor, list[Buffer]] = {}
        self.counts: dict[str, int] = {}
        self.kernels = KernelsAlike()
        self.order = _Order(())
        #: Results of the tensor that is being placed which an earlier step of it makes.
        self.early: dict[Tensor, Buffer] = {}
        if inside is not None:
            self.counts, self.found.buffers, self.kernels = inside.counts, inside.found.buffers, inside.kernels
        self.finished = finished_products(graph, self.users, self._factors, self.kernels)
        self.waiting = {finished.product for finished in self.finished.values()}

    def run(self) -> Plan:
        graph = self.graph
        for variable in graph.variables:
            self.place[variable] = self._buffer(variable.tensor_type, "variable", variable.hint or "")
        for tensor in graph.inputs:
            self.place[tensor] = self._buffer(tensor.tensor_type, "input", tensor.hint or "")
        for tensor in graph.tensors:
            if tensor not in self.place:
                self._put(tensor)
        self._sink_updates()
        self._place_outputs()
        self._place_updates()
        lay_part_by_part(self.found)
        return self.found

    def _buffer(self, type_: TensorType, kind: str, label: str) -> Buffer:
        buffer = Buffer(type_, kind, self._number(kind), label)
        self.found.buffers.append(buffer)
        return buffer

    def _number(self, kind: str) -> int:
        number = self.counts[kind] = self.counts.get(kind, -1) + 1
        return number

    def _put(self, tensor: Tensor) -> None:
        name = tensor.op.name
        if name == "const":
            self.place[tensor] = self._buffer(tensor.tensor_type, "constant", tensor.hint or "")
        elif name == "get":
            self.place[tensor] = self.items[tensor.inputs[0]][tensor.attrs["index"]]
        elif name == "reshape":
            self.place[tensor] = self.place[tensor.inputs[0]]
        elif not self._is_view(tensor) and tensor not in self.waiting:  # for the nest that finishes it
            self._add_step(tensor)

    def _is_view(self, tensor: Tensor) -> bool:
        """A transpose of the last two axes that only matrix products read: they take it as it lies."""
        if tensor.op.name != "permute_dims" or tensor in self.roots:
            return False
        axes, rank = tensor.attrs["axes"], tensor.ndim
        swaps = rank >= 2 and tuple(axes) == (*range(rank - 2), rank - 1, rank - 2)
        using = self.users[tensor]
        return swaps and bool(using) and all(u.op.name == "matmul" for u in using)

    def _factors(self, product: Tensor) -> tuple[list[Tensor], list[bool]]:
        """The operands of a matmul as they lie, and whether it reads each one's transpose."""
        swapped = [self._is_view(t) for t in product.inputs]
        return [t.inputs[0] if view else t for t, view in zip(product.inputs, swapped)], swapped

    def _add_step(self, tensor: Tensor) -> None:
        if tensor.op.name in ("scan", "while_loop", "cond"):
            self._add_nested(tensor)
            return
        self.early = {}
        kernel, body, operands = self._kernel(tensor)
        types = tensor.type.items if isinstance(tensor.type, TupleType) else (tensor.type,)
        # A body may give one tensor as several results; it is computed and stored once.
        keys = tensor.attrs["body"].outputs if tensor.op.name == "fused" else range(len(types))
        made = dict(zip(keys, types))
        label = tensor.hint or ""
        late = {key: self._buffer(type_, "arena", label) for key, type_ in made.items() if key not in self.early}
        buffers, results = {**self.early, **late}, list(late.values())
        if isinstance(tensor.type, TupleType):
            self.items[tensor] = [buffers[key] for key in keys]
        else:
            self.place[tensor] = results[0]
        finished = self.finished.get(tensor)
        self.found.steps.append(Step(finished.whole if finished else tensor, operands, results, kernel, body))

    def _add_nested(self, tensor: Tensor) -> None:
        """The step of a loop or branch; a host step if its body holds one."""
        assert isinstance(tensor.type, TupleType)
        read = {user.attrs["index"] for user in self.users[tensor]}
        operands = [self.place[t] for t in tensor.inputs]
        places = {i: self._buffer(type_, "arena", tensor.hint or "") for i, type_ in enumerate(tensor.type.items)}
        self.items[tensor] = list(places.values())
        count = len(self.found.buffers)
        used = {i: place for i, place in places.items() if i in read}
        nested = Nesting(operands, used, self._buffer, self._bind, self._plan_body, self.threads).of(tensor)
        if any(plan.host_steps for plan in nested.plans):
            del self.found.buffers[count:]
            for place in places.values():
                place.kind, place.within = "arena", None
            self.found.steps.append(Step(tensor, operands, list(places.values()), None))
        else:
            self.found.steps.append(Step(tensor, operands, list(used.values()), None, None, nested))

    def _bind(self, buffer: Buffer) -> None:
        """Let what is around a body set the address of a buffer that was to be in the arena."""
        buffer.kind, buffer.number = "bound", self._number("bound")

    def _plan_body(self, body: Graph, parameters: Sequence[Buffer]) -> tuple[Plan, list[Buffer]]:
        """The plan of a body whose parameters are in these buffers, and where its results are."""
        planner = _Planner(body, self.threads, self)
        planner.place.update(zip(body.inputs, parameters))
        for tensor in body.tensors:
            if tensor not in planner.place:
                planner._put(tensor)
        return planner.found, [planner.place[output] for output in body.outputs]

    def _kernel(self, tensor: Tensor) -> tuple[Kernel | None, Graph | None, list[Buffer]]:
        name = tensor.op.name
        if (finished := self.finished.get(tensor)) is not None:
            return finished.kernel, finished.body, [self.place[t] for t in finished.operands]
        if name == "matmul":
            (x, y), (swaps_x, swaps_y) = self._factors(tensor)
            types = x.tensor_type, y.tensor_type, tensor.tensor_type
            kernel = matmul_kernel(*types, transpose_x=swaps_x, transpose_y=swaps_y)
            return kernel, None, [self.place[x], self.place[y]]
        if name == "fused":
            body = tensor.attrs["body"]
            if (lying := lying_product_kernel(body)) is not None:
                return lying, body, [self.place[t] for t in tensor.inputs]
            body = replace(body, outputs=tuple(dict.fromkeys(body.outputs)))
            return self._nest(tensor, body, [self.place[t] for t in tensor.inputs])
        if name == "permute_dims" and (transposition := transposition_kernel(tensor)):
            return transposition, None, [self.place[tensor.inputs[0]]]
        if fusible(tensor):
            body, operands = single_op_body(tensor)
            return self._nest(tensor, body, [self.place[t] for t in operands])
        operands = list(tensor.inputs)
        builder = KERNELS.get(name)
        built = self.kernels.of_op(tensor, builder) if builder else None
        if isinstance(built, tuple):
            return self._staged(tensor, built)
        return built, None, [self.place[t] for t in operands]

    def _staged(self, tensor: Tensor, stages: Sequence[Stage]) -> tuple[Kernel, None, list[Buffer]]:
        """The last kernel of an op that takes several, after a step for each of the others."""
        known = [self.place[t] for t in tensor.inputs]
        for stage in stages[:-1]:
            made = self._buffer(stage.result, "arena", "stage")
            self.found.steps.append(Step(tensor, [known[i] for i in stage.operands], [made], stage.kernel))
            known.append(made)
        return stages[-1].kernel, None, [known[i] for i in stages[-1].operands]

    def _nest(self, tensor: Tensor, body: Graph, operands: list[Buffer]) -> tuple[Kernel, Graph, list[Buffer]]:
        """The kernel of a loop nest; of a reduction in two steps, the second one, after a step for the first."""
        steps = self.kernels.two_steps(body)
        if steps is None:
            return self.kernels.nest(body), body, operands
        partials = [self._buffer(type_, "arena", "partial") for type_ in steps.partials]
        direct = [body.outputs[number] for number in steps.direct]
        self.early = {t: self._buffer(t.tensor_type, "arena", tensor.hint or "") for t in direct}
        self.found.steps.append(Step(tensor, operands, [*partials, *self.early.values()], steps.part, body))
        return self.kernels.nest(steps.finish), steps.finish, [*(operands[i] for i in steps.operands), *partials]

    # ---- results and updates -----------------------------------------------------------------------------

    def _sink_updates(self) -> None:
        """Steps that make nothing but new values of variables run last, so that they can write in place."""
        read = {b for s in self.found.steps for b in s.operands}
        outputs = {self.place[t] for t in self.graph.outputs}
        last = [
            s for s in self.found.steps
            if not s.may_fail and not any(b in read or b in outputs for b in s.results)
        ]  # fmt: skip
        rest = set(last)
        self.found.steps = [s for s in self.found.steps if s not in rest] + last

    def _place_outputs(self) -> None:
        for number, tensor in enumerate(self.graph.outputs):
            source = self.place[tensor]
            if source.kind == "arena":
                source.kind, source.number = "output", number
                continue
            target = Buffer(tensor.tensor_type, "output", number, tensor.hint or "")
            self.found.buffers.append(target)
            copies = self.found.after if source.kind in ("output", "bound") else self.found.before
            copies.append(Copy(source, target))

    def _place_updates(self) -> None:
        written = {self.place[variable] for variable, _ in self.graph.updates}
        self.order = _Order(self.found.steps)
        for variable, value in self.graph.updates:
            source, target = self.place[value], self.place[variable]
            if source is target:
                continue
            if source.kind == "arena" and self._fits_in_place(source, target):
                source.kind, source.number = "variable", target.number
                continue
            if source in written:  # another variable's old value, which may be overwritten before it is read
                kept = self._buffer(source.type, "arena", source.label)
                self.found.before.append(Copy(source, kept))
                source = kept
            self.found.after.append(Copy(source, target))

    def _fits_in_place(self, value: Buffer, variable: Buffer) -> bool:
        """Whether the step that makes `value` may write to the variable's memory at once."""
        order = self.order
        number = order.made[value]
        step = self.found.steps[number]
        if order.last_failing >= number or order.last_read.get(variable, -1) > number:
            return False
        if any(copy.source is variable for copy in self.found.after):
            return False
        reads = [i for i, operand in enumerate(step.operands) if operand is variable]
        in_place = overwrites if step.kernel is not None and step.kernel.is_product else reads_in_place
        return all(step.body is not None and in_place(step.body, step.body.inputs[i]) for i in reads)


class _Order:
    """Where steps stand.

    Attributes:
        made: the number of the step that writes to a buffer.
        last_read: that of the last one that reads it.
        last_failing: that of the last one that may fail, or -1.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        numbered = list(enumerate(steps))
        self.made = {buffer: number for number, step in reversed(numbered) for buffer in step.results}
        self.last_read = {buffer: number for number, step in numbered for buffer in step.operands}
        self.last_failing = max((number for number, step in numbered if step.may_fail), default=-1)


def describe_plan(found: Plan) -> str:
    """The plan as text: buffers with lifetimes, then steps, with host steps marked."""
    lines = [f"plan of {found.graph.name}: {len(found.steps)} steps, {len(found.host_steps)} of them host steps"]
    lines += _buffer_lines(found)
    names = {id(b): _buffer_name(b) for b in found.buffers}

    def listed(buffers: Sequence[Buffer]) -> str:
        return ", ".join(names[id(b)] for b in buffers)

    lines += [f"  copy  {names[id(c.source)]} -> {names[id(c.target)]}" for c in found.before]
    _describe_steps(found.steps, 0, "  ", lines, listed)
    lines += [f"  copy  {names[id(c.source)]} -> {names[id(c.target)]}" for c in found.after]
    return "\n".join(lines) + "\n"


def _describe_steps(
    steps: Sequence[Step], number: int, indent: str, lines: list[str], listed: Callable[[Sequence[Buffer]], str]
) -> int:
    """Add the lines of some steps, of which the first has this number, and of what is in them; the next number."""
    for step in steps:
        where = "host" if step.is_host else "call" if step.nested is None else "loop"
        what = step.tensor.op.name
        if step.body is not None:
            what += f" ({', '.join(_body_ops(step.body))})"
        operands = listed(step.operands)
        text = f"{indent}{where} {number:4d}: {listed(step.results)} = {what} {operands}"
        lines.append(f"{text}    # {step.tensor.location}")
        number += 1
        if step.nested is not None:
            lines += _binding_lines(step.nested, indent + "  ", listed)
            for inner, name in zip(step.nested.plans, step.nested.names):
                lines.append(f"{indent}  {name}:")
                number = _describe_steps(inner.steps, number, indent + "    ", lines, listed)
                lines += [f"{indent}    copy  {listed([c.source])} -> {listed([c.target])}" for c in inner.after]
            number += 1
    return number


def _binding_lines(
    nested: Nested, indent: str, listed: Callable[[Sequence[Buffer]], str]
) -> Iterator[str]:
    """What a loop carries, and where its rows are."""
    if isinstance(nested, Scan):
        order = ", backwards" if nested.is_reversed else ""
        yield f"{indent}{nested.length} steps{order}"
        if nested.parts is not None:
            yield f"{indent}in parts of {nested.parts.share} of {nested.parts.extent} rows, which threads share"
            for whole, part in nested.parts.outside:
                yield f"{indent}part  {listed([part])} of {listed([whole])}"
        stacks = nested.parts.stacks if nested.parts is not None else ()
        for whole, row in nested.slices:
            yield f"{indent}row   {listed([row])} of {listed([whole])}{', part by part' if whole in stacks else ''}"
    if isinstance(nested, Cond):
        return
    for state in nested.states:
        spare = f", in turn in {listed(state.spare)}" if state.spare else ""
        last = f", then {listed([state.last])}" if state.last else ""
        moves = " -> ".join(listed([buffer]) for buffer in (state.first, state.present, state.new))
        yield f"{indent}state {moves}{spare}{last}"


def _buffer_name(buffer: Buffer) -> str:
    label = f":{buffer.label}" if buffer.label else ""
    return f"{buffer.kind}{buffer.number}{label}"


def _buffer_lines(found: Plan) -> Iterator[str]:
    lifetimes = found.lifetimes()
    for buffer in found.buffers:
        life = ""
        if buffer in lifetimes:
            first, last = lifetimes[buffer]
            life = f", live {first}..{last}"
        copies = f" x {buffer.copies}" if buffer.copies > 1 else ""
        yield f"  {_buffer_name(buffer)}: {buffer.type!r}, {buffer.nbytes} bytes{copies}{life}"


def _body_ops(body: Graph) -> list[str]:
    given = set(body.inputs)
    return [t.op.name for t in body.tensors if t not in given and t.op.name not in ("const", "dim")]
