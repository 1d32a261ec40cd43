"""The workloads in numexpr: elementwise expressions and sums, compiled once and evaluated again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numexpr
import numpy as np

from benchmarks.program import Program, Programs
from benchmarks.workload import Inputs, Sizes

LIBRARIES = ("numexpr", "numpy")


def evaluated(text: Callable[[Sizes], str], into: str | None = None) -> Callable[[Inputs, Sizes], Program]:
    """The program of an expression; the result goes into an array like the input `into`."""

    def program(inputs: Inputs, sizes: Sizes) -> Program:
        out: dict[str, Any] = {"out": np.empty_like(inputs.data[into])} if into else {}
        numexpr.evaluate(text(sizes), local_dict=inputs.data, **out)
        call = partial(numexpr.re_evaluate, local_dict=inputs.data)
        return Program(call, lambda last: [np.asarray(last)])

    return program


def total(sizes: Sizes) -> str:
    """The text of a sum."""
    return "sum(x)" if sizes["axis"] is None else f"sum(x, axis={sizes['axis']})"


PROGRAMS: Programs = {
    "add": evaluated(lambda sizes: "x + y", into="x"),
    "expression": evaluated(lambda sizes: "tanh(a * b + c) * exp(-a * a) + log1p(abs(b))", into="a"),
    "sum": evaluated(total),
}
