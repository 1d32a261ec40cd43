"""The plan of a program: its steps in order, and the buffer that each tensor lives in.

Steps are kernels, copies, and host steps (ops that run in Python, listed as such). Buffers are the inputs',
variables', constants' and outputs' own memory, or places in the arena that are shared by buffers whose
lifetimes do not overlap.

Invariant: a step reads only what earlier steps wrote or the call brought; a variable's memory is written only
after its last read and after everything that can fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from graphc.analysis.loops import fusible
from graphc.analysis.users import users
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.kernels import KERNELS
from graphc.backends.llvm.kernels.loop_shape import reads_in_place
from graphc.backends.llvm.kernels.loops import build_loops
from graphc.backends.llvm.kernels.matmul import matmul_kernel
from graphc.backends.llvm.kernels.total_reductions import in_two_steps
from graphc.ir.dims import Size
from graphc.ir.graph import Graph, with_inputs
from graphc.ir.opdef import OPS
from graphc.ir.tensor import Tensor
from graphc.ir.types import TensorType, TupleType


@dataclass(eq=False)
class Buffer:
    """A stretch of memory that holds one tensor, and others that are reshapes of it.

    Attributes:
        type: dtype and shape of what was first put there.
        kind: whose memory it is: "input", "variable", "constant", "output" or "arena".
        number: which input, variable, ... it is.
        label: the tensor's name in the plan's text.
    """

    type: TensorType
    kind: str
    number: int
    label: str = ""

    @property
    def nbytes(self) -> Size:
        """How many bytes it has."""
        return self.type.size * self.type.dtype.itemsize


@dataclass(eq=False)
class Step:
    """A kernel call or a host step.

    Attributes:
        tensor: what is computed.
        operands: where its operands are.
        results: where its results go.
        kernel: the native function; None for a host step.
        body: the loop nest's graph, for kernels made from one.
    """

    tensor: Tensor
    operands: list[Buffer]
    results: list[Buffer]
    kernel: Kernel | None
    body: Graph | None = None

    @property
    def may_fail(self) -> bool:
        """Whether a call of the step can end in an error."""
        return self.kernel is None or bool(self.kernel.sites)


@dataclass(eq=False)
class Copy:
    """Bytes moved between buffers."""

    source: Buffer
    target: Buffer


@dataclass
class Plan:
    """Steps and buffers of a graph; see the module docstring.

    Attributes:
        before: copies that must run before the steps: results that are inputs, variables or constants.
        steps: kernels and host steps, in order.
        after: copies that run when everything is computed: doubled results, and updates.
        buffers: every buffer, each once.
    """

    graph: Graph
    before: list[Copy] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    after: list[Copy] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)

    @property
    def host_steps(self) -> list[Step]:
        """The steps that run in Python."""
        return [s for s in self.steps if s.kernel is None]

    def lifetimes(self) -> dict[Buffer, tuple[int, int]]:
        """For each arena buffer, the first and the last step that need it."""
        found: dict[Buffer, tuple[int, int]] = {}

        def touch(buffer: Buffer, at: int) -> None:
            if buffer.kind == "arena":
                first, last = found.get(buffer, (at, at))
                found[buffer] = (min(first, at), max(last, at))

        for copy in self.before:
            touch(copy.target, 0)
        for number, step in enumerate(self.steps):
            for buffer in (*step.operands, *step.results):
                touch(buffer, number)
        for copy in self.after:
            touch(copy.source, len(self.steps))
        return found


def plan(graph: Graph) -> Plan:
    """The plan of an optimised graph."""
    return _Planner(graph).run()


class _Planner:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.users = users(graph)
        self.roots = set(graph.roots)
        self.found = Plan(graph)
        self.place: dict[Tensor, Buffer] = {}
        self.items: dict[Tensor, list[Buffer]] = {}
        self.counts: dict[str, int] = {}

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
        return self.found

    def _buffer(self, type_: TensorType, kind: str, label: str) -> Buffer:
        number = self.counts[kind] = self.counts.get(kind, -1) + 1
        buffer = Buffer(type_, kind, number, label)
        self.found.buffers.append(buffer)
        return buffer

    def _put(self, tensor: Tensor) -> None:
        name = tensor.op.name
        if name == "const":
            self.place[tensor] = self._buffer(tensor.tensor_type, "constant", tensor.hint or "")
        elif name == "get":
            self.place[tensor] = self.items[tensor.inputs[0]][tensor.attrs["index"]]
        elif name == "reshape":
            self.place[tensor] = self.place[tensor.inputs[0]]
        elif not self._is_view(tensor):
            self._add_step(tensor)

    def _is_view(self, tensor: Tensor) -> bool:
        """A transpose of the last two axes that only matrix products read: they take it as it lies."""
        if tensor.op.name != "permute_dims" or tensor in self.roots:
            return False
        axes, rank = tensor.attrs["axes"], tensor.ndim
        swaps = rank >= 2 and tuple(axes) == (*range(rank - 2), rank - 1, rank - 2)
        using = self.users[tensor]
        return swaps and bool(using) and all(u.op.name == "matmul" for u in using)

    def _add_step(self, tensor: Tensor) -> None:
        kernel, body, operands = self._kernel(tensor)
        types = tensor.type.items if isinstance(tensor.type, TupleType) else (tensor.type,)
        # A body may give one tensor as several results; it is computed and stored once.
        keys = tensor.attrs["body"].outputs if tensor.op.name == "fused" else range(len(types))
        made = dict(zip(keys, types))
        buffers = {key: self._buffer(type_, "arena", tensor.hint or "") for key, type_ in made.items()}
        results = list(buffers.values())
        if isinstance(tensor.type, TupleType):
            self.items[tensor] = [buffers[key] for key in keys]
        else:
            self.place[tensor] = results[0]
        self.found.steps.append(Step(tensor, operands, results, kernel, body))

    def _kernel(self, tensor: Tensor) -> tuple[Kernel | None, Graph | None, list[Buffer]]:
        name = tensor.op.name
        if name == "matmul":
            plain = [t.inputs[0] if t not in self.place else t for t in tensor.inputs]
            swapped = [t not in self.place for t in tensor.inputs]
            kernel = matmul_kernel(
                plain[0].tensor_type, plain[1].tensor_type, tensor.tensor_type,
                transpose_x=swapped[0], transpose_y=swapped[1],
            )  # fmt: skip
            return kernel, None, [self.place[t] for t in plain]
        if name == "fused":
            body = tensor.attrs["body"]
            body = replace(body, outputs=tuple(dict.fromkeys(body.outputs)))
            return self._nest(tensor, body, [self.place[t] for t in tensor.inputs])
        if fusible(tensor):
            body, operands = single_op_body(tensor)
            return self._nest(tensor, body, [self.place[t] for t in operands])
        operands = list(tensor.inputs)
        builder = KERNELS.get(name)
        return builder(tensor) if builder else None, None, [self.place[t] for t in operands]

    def _nest(self, tensor: Tensor, body: Graph, operands: list[Buffer]) -> tuple[Kernel, Graph, list[Buffer]]:
        """The kernel of a loop nest; of a reduction in two steps, the second one, after a step for the first."""
        steps = in_two_steps(body)
        if steps is None:
            return build_loops(body), body, operands
        partials = [self._buffer(type_, "arena", "partial") for type_ in steps.partials]
        self.found.steps.append(Step(tensor, operands, partials, steps.part, body))
        return build_loops(steps.finish), steps.finish, [*(operands[i] for i in steps.operands), *partials]

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
            copies = self.found.after if source.kind == "output" else self.found.before
            copies.append(Copy(source, target))

    def _place_updates(self) -> None:
        written = {self.place[variable] for variable, _ in self.graph.updates}
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
        steps = self.found.steps
        number = next(i for i, s in enumerate(steps) if value in s.results)
        step = steps[number]
        if any(s.may_fail for s in steps[number:]) or any(variable in s.operands for s in steps[number + 1 :]):
            return False
        if any(copy.source is variable for copy in self.found.after):
            return False
        reads = [i for i, operand in enumerate(step.operands) if operand is variable]
        return all(step.body is not None and reads_in_place(step.body, step.body.inputs[i]) for i in reads)


def single_op_body(tensor: Tensor) -> tuple[Graph, list[Tensor]]:
    """A tensor as a body of its own, scalar constants included; and the operands that it takes from outside."""
    inside: dict[Tensor, Tensor] = {}
    operands: list[Tensor] = []
    parameters: list[Tensor] = []
    for operand in dict.fromkeys(tensor.inputs):
        if operand.op.name == "dim" or (operand.op.name == "const" and fusible(operand)):
            inside[operand] = operand
            continue
        parameter = Tensor(
            OPS["placeholder"], (), {}, operand.type, operand.location, f"p{len(operands)}"
        )
        inside[operand] = parameter
        parameters.append(parameter)
        operands.append(operand)
    result = with_inputs(tensor, tuple(inside[t] for t in tensor.inputs))
    return Graph("body", tuple(parameters), (result,)), operands


def describe_plan(found: Plan) -> str:
    """The plan as text: buffers with lifetimes, then steps, with host steps marked."""
    lines = [f"plan of {found.graph.name}: {len(found.steps)} steps, {len(found.host_steps)} of them host steps"]
    lines += _buffer_lines(found)
    names = {id(b): _buffer_name(b) for b in found.buffers}

    def listed(buffers: Sequence[Buffer]) -> str:
        return ", ".join(names[id(b)] for b in buffers)

    lines += [f"  copy  {names[id(c.source)]} -> {names[id(c.target)]}" for c in found.before]
    for number, step in enumerate(found.steps):
        where = "host" if step.kernel is None else "call"
        what = step.tensor.op.name
        if step.body is not None:
            what += f" ({', '.join(_body_ops(step.body))})"
        operands = listed(step.operands)
        lines.append(f"  {where} {number:4d}: {listed(step.results)} = {what} {operands}    # {step.tensor.location}")
    lines += [f"  copy  {names[id(c.source)]} -> {names[id(c.target)]}" for c in found.after]
    return "\n".join(lines) + "\n"


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
        yield f"  {_buffer_name(buffer)}: {buffer.type!r}, {buffer.nbytes} bytes{life}"


def _body_ops(body: Graph) -> list[str]:
    given = set(body.inputs)
    return [t.op.name for t in body.tensors if t not in given and t.op.name not in ("const", "dim")]
