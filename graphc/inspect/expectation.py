"""What a graph should give for given values: the interpreter's results, and the means to judge other ones.

Invariant: the costly parts, the graph in float64 and the noise of rounding, are computed only for values that
differ.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from graphc.analysis.rounding import Noise, rounding_noise
from graphc.errors import GraphcError
from graphc.inspect.agreement import Agreement, agree, same_bits
from graphc.inspect.widen import widen, widen_array
from graphc.ir.evaluate import Value, bind_symbols, evaluate
from graphc.ir.graph import Graph
from graphc.ir.tensor import Tensor, Variable

_NOISY_RUNS = (8, 64)


class Expectation:
    """What the roots of a graph should be, for these values of its inputs and variables.

    Attributes:
        values: the interpreter's values of the roots; empty if it failed.
        error: what the interpreter raised, or None.
    """

    def __init__(
        self,
        graph: Graph,
        arrays: Sequence[np.ndarray],
        variables: Mapping[Tensor, np.ndarray] | None = None,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        self.graph = graph
        self.arrays = arrays
        self.variables = variables
        self.sizes = bind_symbols(graph.inputs, arrays) if sizes is None else sizes
        self.values: list[Value] = []
        self.error: GraphcError | None = None
        try:
            self.values = evaluate(graph, arrays, variables, sizes=self.sizes)
        except GraphcError as error:
            self.error = error

    @functools.cached_property
    def reference(self) -> list[Value]:
        """The roots in float64; the interpreter's values where that cannot be had."""
        try:
            wide, variables = widen(self.graph)
            known = {
                new: widen_array(self._value_of(old))
                for old, new in variables.items()
            }
            return evaluate(wide, [widen_array(a) for a in self.arrays], known, sizes=self.sizes)
        except GraphcError:  # an op that takes float32 only, or an index that float64 moved out of bounds
            return self.values

    def _value_of(self, variable: Tensor) -> np.ndarray:
        if self.variables is not None:
            return self.variables[variable]
        assert isinstance(variable, Variable)
        return variable.storage

    def noise(self, *, rewritten: bool, runs: int) -> list[Noise]:
        """What rounding can move; see `rounding_noise`."""
        graph, arrays, values, variables, sizes = (
            self.graph, self.arrays, self.values, self.variables, self.sizes,
        )  # fmt: skip
        return rounding_noise(
            graph, arrays, values, variables=variables, sizes=sizes, rewritten=rewritten, runs=runs
        )

    def check(self, found: Sequence[Value], *, rewritten: bool = False) -> list[Agreement]:
        """The verdict on each root.

        Args:
            found: values of the roots, computed in another way.
            rewritten: whether they come from a graph that passes made of this one, which may round elsewhere.
        """
        values = [np.asarray(v) for v in self.values]
        if len(values) == len(found) and all(_equal(a, np.asarray(b)) for a, b in zip(values, found)):
            return [Agreement(True, 0.0, 0.0) for _ in values]
        verdicts: list[Agreement] = []
        for runs in _NOISY_RUNS:  # a chaotic graph needs many to show what it can do; others agree after few
            noise = self.noise(rewritten=rewritten, runs=runs)
            verdicts = [
                agree(reference, value, np.asarray(other), each, may_improve=rewritten)
                for reference, value, other, each in zip(self.reference, values, found, noise)
            ]
            if all(verdict.ok for verdict in verdicts):
                break
        return verdicts


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and bool(same_bits(a, b).all())
