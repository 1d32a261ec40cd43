"""What a benchmark computes, apart from who computes it: inputs from a seed, the right results, the bar.

Invariant: nothing here or in `workloads/` knows a system; a system gets the same arrays and owes the same results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Sizes = Mapping[str, Any]
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Inputs:
    """What a program starts from.

    Attributes:
        data: arrays that each call takes.
        parameters: what a training step changes, in the order in which results list them.
    """

    data: Arrays
    parameters: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Tolerance:
    """How far results may be from the reference, relative to the reference itself.

    Attributes:
        norm: of the difference as a whole (Euclidean norms).
        worst: of any one element, relative to the greatest element.
    """

    norm: float
    worst: float


#: Sums of a few hundred float32 terms and functions of a few units in the last place stay well below these.
SINGLE = Tolerance(2e-6, 5e-6)
DOUBLE = Tolerance(1e-13, 1e-12)


Make = Callable[[np.random.Generator, Sizes], Inputs]
Reference = Callable[[Inputs, Sizes], Sequence[np.ndarray]]


@dataclass(frozen=True)
class Workload:
    """One row of the table.

    Attributes:
        name: as the table has it.
        program: which program of each system computes it.
        sizes: extents, and other words that a program needs (`dtype`, `axis`).
        small: what to change in them so that a test takes milliseconds.
        make: the inputs of some sizes, from a random generator.
        reference: the results in float64, after `calls` calls.
        bar: how many times the best peer's time must be ours; None where a row only informs.
        flops: arithmetic of a call, counting functions as one; 0 where memory is what counts.
        bytes: what a call must at least read and write.
        calls: how many calls come before results are compared; steps of training change their parameters.
        tolerance: how far from the reference results may be.
        remark: what a reader should know about the row.
    """

    name: str
    program: str
    sizes: Sizes
    small: Sizes
    make: Make
    reference: Reference
    bar: float | None
    flops: Callable[[Sizes], int] = lambda sizes: 0
    bytes: Callable[[Sizes], int] = lambda sizes: 0
    calls: int = 1
    tolerance: Tolerance = SINGLE
    remark: str = ""

    def sizes_of(self, small: bool) -> Sizes:
        """The sizes of the table, or those of a test."""
        return {**self.sizes, **self.small} if small else self.sizes

    def inputs(self, small: bool = False) -> Inputs:
        """The arrays, the same in every process."""
        return self.make(np.random.default_rng(0), self.sizes_of(small))

    def wanted(self, small: bool = False) -> list[np.ndarray]:
        """The results that every system owes, in float64."""
        sizes = self.sizes_of(small)
        inputs = self.make(np.random.default_rng(0), sizes)
        wide = Inputs(*(dict(zip(group, map(widened, group.values()))) for group in (inputs.data, inputs.parameters)))
        return [np.asarray(result) for result in self.reference(wide, sizes)]

    def faults(self, found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> list[str]:
        """What is wrong with the results, in words; empty where nothing is."""
        if len(found) != len(wanted):
            return [f"{len(found)} results instead of {len(wanted)}"]
        faults = (self._fault(np.asarray(f), w) for f, w in zip(found, wanted))
        return [f"result {number}: {fault}" for number, fault in enumerate(faults) if fault]

    def _fault(self, found: np.ndarray, wanted: np.ndarray) -> str:
        if found.shape != wanted.shape:
            return f"shape {found.shape} instead of {wanted.shape}"
        difference = found.astype(np.float64) - wanted
        if not np.isfinite(difference).all():
            return "not finite"
        norm = float(np.linalg.norm(difference.ravel()) / max(np.linalg.norm(wanted.ravel()), 1e-30))
        worst = float(np.abs(difference).max(initial=0) / max(np.abs(wanted).max(initial=0), 1e-30))
        if norm <= self.tolerance.norm and worst <= self.tolerance.worst:
            return ""
        return f"relative error {norm:.1e} (at worst {worst:.1e})"


def widened(array: np.ndarray) -> np.ndarray:
    """Floats as float64; integers as they are."""
    return array.astype(np.float64) if array.dtype.kind == "f" else array
