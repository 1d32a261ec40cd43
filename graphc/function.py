"""`gc.function`: from inputs, outputs and updates to something that can be called.

Invariant: a `Function` is compiled once, when it is made; calls with any sizes run that same code, from any
number of threads. Only arrays that lie otherwise in memory may get code of their own (`strided`), for any sizes too.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc import flags
from graphc.assembling import Updates, build_graph
from graphc.backends import Backend, Executable, StepTime, backend_named
from graphc.errors import ArgumentError, nearest
from graphc.feed import Feeder
from graphc.inspect.debug import print_debug
from graphc.ir.collector import holding
from graphc.ir.graph import Graph
from graphc.ir.location import here
from graphc.ir.tensor import Tensor, Variable
from graphc.ir.text import print_graph, tensor_names
from graphc.passes.manager import Trace, optimise
from graphc.passes.why import explain
from graphc.results import Results
from graphc.strided import StridedInputs
from graphc.structure import Structure, unflatten

if TYPE_CHECKING:
    from graphc.inspect.profile import Profile



class Function:
    """A compiled graph; call it with arrays, by position or by name. Made by `gc.function`.

    Attributes:
        graph: the graph as the user wrote it.
        optimized: the graph after all passes, which the backend compiled.
        trace: the graph after each pass, with times.
        backend: the backend's name.
        compilations: how many times code was generated for this function so far: once, and once more for each
            layout of large arrays that are not C-contiguous which calls bring again and again, at most 8.
        compile_milliseconds: how long the backend took.
    """

    def __init__(
        self, graph: Graph, structure: Structure, backend: Backend, trace: Trace, opt_level: int | None = None
    ) -> None:
        self.graph = graph
        self.trace = trace
        self.optimized = trace.graph
        self.backend = backend.name
        self.compilations = 0
        self._structure = structure
        self._feeder = Feeder(graph)
        # Locks in one order for all functions, so that two calls never wait for each other.
        self._variables = sorted((v for v in graph.variables if isinstance(v, Variable)), key=id)
        start = time.perf_counter()
        self._executable = self._compile(self.optimized, backend, opt_level)
        self.compile_milliseconds = 1e3 * (time.perf_counter() - start)

        def variant(graph: Graph) -> tuple[Executable, Callable[..., Any]]:
            executable = self._compile(graph, backend, opt_level)
            call = functools.partial(self._run, executable)
            return executable, self._native_call(executable, call) or call

        self._strided = StridedInputs(self.optimized, backend, variant)

    def _compile(self, graph: Graph, backend: Backend, opt_level: int | None) -> Executable:
        executable = backend.compile(graph, _container(self._structure), opt_level)
        self.compilations += 1
        return executable

    @property
    def name(self) -> str:
        """The function's name, as printed in dumps and errors."""
        return self.graph.name

    @property
    def structure(self) -> Structure:
        """What a call returns, with the tensors of `graph.outputs` in place of their arrays."""
        return self._structure

    @property
    def artifacts(self) -> Mapping[str, str]:
        """Texts of the compiled code: "plan" always; "llvm", "asm" and "cache" from the LLVM backend."""
        return self._executable.artifacts

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs; see `call`. Where there is a native call, `_with_native_call` puts that here instead."""
        return self.call(*args, **kwargs)

    def call(self, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        """The outputs for these arrays, in the structure that was asked for; updates are stored.

        Args:
            args, kwargs: the inputs, by position or by name.
            out: arrays for the results, nested as the outputs are; they are what is returned. Where one is not
                C-contiguous, or shares memory with an input, the result is computed elsewhere and copied.

        Raises:
            FeedError, ShapeError, DTypeError: an argument does not fit its input, or an array its output.
            IndexOutOfBoundsError, CheckError: an op refuses the values; no variable has changed then.

        >>> import graphc as gc, numpy as np
        >>> x = gc.placeholder(("n",), "float64", name="x")
        >>> doubled, place = gc.function([x], 2 * x), np.empty(3)
        >>> doubled([1.0, 2.0, 3.0], out=place) is place, place
        (True, array([2., 4., 6.]))
        """
        if out is not None and self._feeder.has_input("out"):
            kwargs, out = {**kwargs, "out": out}, None
        if out is None and not kwargs and (plan := self._strided.known(args)) is not None:
            return plan(args)
        arrays = self._feeder.arrays(args, kwargs)
        results = None if out is None else Results(self.graph, self._structure, out, arrays)
        executable = self._executable
        if not all(array.flags.c_contiguous for array in arrays):
            executable, arrays = self._strided.prepared(executable, arrays, args)
        return self._run(executable, *arrays, results=results)

    def _run(self, executable: Executable, *arrays: np.ndarray, results: Results | None = None) -> Any:
        """What a program computes from its arguments, in the structure that was asked for."""
        with self._locked() if self._variables else contextlib.nullcontext():
            outputs = executable(arrays, None if results is None else results.places)
        if results is not None:
            return results.finish(outputs)
        if isinstance(self._structure, Tensor):
            return outputs[0]
        return unflatten(self._structure, outputs)

    def _native_call(self, executable: Executable, fallback: Callable[..., Any]) -> Callable[..., Any] | None:
        """The program as a builtin, where the structure is one that machine code can make."""
        structure = self._structure
        flat = isinstance(structure, Tensor) or (
            type(structure) in (list, tuple) and all(isinstance(t, Tensor) for t in structure)
        )
        return executable.native_call(fallback) if flat else None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for variable in self._variables:
                stack.enter_context(variable.lock)
            yield

    def dump(self, stage: str = "input", *, diff: tuple[str, str] | None = None, locations: bool = True) -> str:
        """The graph as text: as written, after a pass, or the difference between two of those.

        Args:
            stage: "input", the name of a pass, or "final".
            diff: two stages; the result is a unified diff of their texts.
            locations: whether lines end with the user's source line.

        Raises:
            ArgumentError: there is no such stage.
        """
        if diff is None:
            return print_graph(self._stage(stage), locations=locations)
        if isinstance(diff, str) or len(diff) != 2:
            raise ArgumentError(f"dump: diff takes the names of two stages, not {diff!r}", location=here())
        before, after = (print_graph(self._stage(s), locations=locations).splitlines() for s in diff)
        return "\n".join(difflib.unified_diff(before, after, *diff, lineterm=""))

    def _stage(self, name: str) -> Graph:
        stages = {"input": self.graph, **{s.name: s.graph for s in self.trace.stages}, "final": self.optimized}
        if name not in stages:
            raise ArgumentError(
                f"dump: there is no stage {name!r}; stages are {', '.join(stages)}", hint=nearest(name, stages)
            )
        return stages[name]

    def profile(self, *args: Any, calls: int | None = None, **kwargs: Any) -> Profile:
        """Where the time of a call with these arguments goes: by kernel, op and line; print the result.

        The function is run some hundred times or, if `calls` says so, that many; its variables are as before then.

        Raises:
            FeedError, ShapeError, DTypeError: an argument does not fit its input.

        >>> import graphc as gc
        >>> x = gc.placeholder(("n",), "float32", name="x")
        >>> found = gc.function([x], gc.tanh(x) * 2).profile([1.0, 2.0], calls=3)
        >>> [step.name for step in found.steps], found.calls
        (['fused(tanh multiply)'], 3)
        """
        from graphc.inspect.profile import profile  # loads what only reports need

        return profile(self, args, kwargs, calls)

    def feed(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[np.ndarray]:
        """These arguments as the arrays that a call with them computes on, in the order of `graph.inputs`.

        Raises:
            FeedError, ShapeError, DTypeError: an argument does not fit its input.
        """
        return self._strided.copied(self._feeder.arrays(args, kwargs))

    def timed(self, arrays: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[StepTime]]:
        """The outputs for arrays that `feed` gave, flat, and the time of each step; variables are updated."""
        with self._locked():
            return self._executable.timed(arrays)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The variables that a call reads or updates."""
        return tuple(v for v in self.graph.variables if isinstance(v, Variable))

    def arena_bytes(self, sizes: Mapping[str, int]) -> int:
        """The peak of memory for intermediates in a call with these values of the symbolic sizes."""
        return self._executable.arena_bytes(sizes)

    def why(self, first: str | Tensor, second: str | Tensor) -> str:
        """Why two tensors run in one kernel, or in two.

        Args:
            first, second: names, as `dump("fuse")` or the graph before it prints them, or the tensors.

        Raises:
            ArgumentError: a name is not in the graph.
        """
        return explain(self.trace, self._name(first), self._name(second))

    def _name(self, tensor: str | Tensor) -> str:
        if isinstance(tensor, str):
            return tensor.removeprefix("%")
        before = [s.graph for s, after in itertools.pairwise(self.trace.stages) if after.name == "fuse"]
        names = tensor_names(before[0]) if before else {}
        return names.get(tensor) or tensor.hint or repr(tensor)

    def __repr__(self) -> str:
        inputs = ", ".join(f"{t.hint or i}: {t.type!r}" for i, t in enumerate(self.graph.inputs))
        outputs = ", ".join(repr(t.type) for t in self.graph.outputs)
        return f"<Function {self.name}({inputs}) -> {outputs}, backend {self.backend!r}>"


def _container(structure: Structure) -> type | None:
    """What a native call returns for the structure: an array, or a flat list or tuple of them."""
    if isinstance(structure, Tensor):
        return None
    return tuple if type(structure) is tuple else list


def _with_native_call(function: Function) -> Function:
    """The function, called without Python in between where its executable can be.

    `step(x)` looks `__call__` up in the class, so each such function has a class of its own, in which that is
    the builtin. What the builtin cannot take comes back to `Function.call`.
    """
    native = function._native_call(function._executable, function.call)
    if native is not None:
        function.__class__ = type("Function", (Function,), {"__call__": native, "__doc__": Function.__doc__})
    return function


@holding
def function(
    inputs: Sequence[Tensor],
    outputs: Structure = None,
    updates: Updates | None = None,
    givens: Mapping[Tensor, Any] | None = None,
    *,
    backend: str | None = None,
    name: str = "f",
    skip: str | Iterable[str] = (),
    check: int | None = None,
    debug: int | None = None,
    fast_math: bool = False,
    opt_level: int | None = None,
) -> Function:
    """Compile a graph.

    Args:
        inputs: the placeholders (or any tensors, which are then fed) in call order.
        outputs: a tensor, or lists, tuples and dicts of them; a call returns arrays in the same structure.
        updates: new values of variables, stored together when a call has computed everything.
        givens: tensors to replace before compiling, each with the tensor or array to put in its place.
        backend: "llvm" (the default) or "numpy".
        name: for dumps and errors.
        skip: passes to leave out: their names, or a text as in `GRAPHC_SKIP`.
        check: how much to verify, as `GRAPHC_CHECK`.
        debug: how much to print to the standard error stream, as `GRAPHC_DEBUG`.
        fast_math: allow rewrites that change values by rounding, or for NaN and infinities.
        opt_level: how much LLVM's code generator optimises: 0 compiles fastest, 2 runs fastest; by default 2,
            and 0 for most kernels of a graph that has very many.

    Returns:
        A function of as many arrays as `inputs` has entries.

    Raises:
        GraphError: a placeholder is missing from the inputs, or a variable is updated twice.
        ShapeError, DTypeError: an update or a given does not fit.
        ArgumentError: an argument is not what it should be.

    >>> import graphc as gc
    >>> x = gc.placeholder(("n",), "float64", name="x")
    >>> total = gc.variable(0.0, name="total")
    >>> step = gc.function([x], gc.sum(x), updates={total: total + gc.sum(x)}, backend="numpy")
    >>> step([1.0, 2.0]), step(x=[3.0]), total.value
    (array(3.), array(3.), array(6.))
    """
    settings = flags.read()
    if opt_level not in (None, 0, 1, 2) or isinstance(opt_level, bool):
        raise ArgumentError(f"function: opt_level is 0, 1, 2 or None, not {opt_level!r}", location=here())
    chosen = backend_named(settings.backend if backend is None else backend)
    graph, structure = build_graph(inputs, outputs, updates, givens, name)
    trace = optimise(
        graph,
        native=chosen.native,
        skip=settings.skip | flags.pass_names(skip),
        check=settings.check if check is None else flags.level_of_check(check),
        fast_math=fast_math,
        dump=settings.dump,
    )
    compiled = _with_native_call(Function(graph, structure, chosen, trace, opt_level))
    print_debug(compiled, settings.debug if debug is None else debug)
    return compiled


__all__ = ["Function", "function"]
