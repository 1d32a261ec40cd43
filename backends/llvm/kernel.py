"""`Kernel`: one native function of a program, and what its caller must know to call it.

Every kernel has the same calling convention, so that the program's entry needs no special cases:

    [i64] @kernel(ptr input..., ptr output..., [ptr scratch], i64 size..., [i64 low, i64 high], [ptr error])

Inputs and outputs are C-contiguous arrays in the operands' dtypes, bool as one byte. `scratch` is there if
`scratch_bytes` is not 0; it holds nothing between calls. The sizes are the run-time values of `sizes`.
`low` and `high` are there if the kernel has a `split`: it then does only those turns of its outermost loop,
so that threads can share them. A kernel with `sites` may fail: it then writes (site number, index, extent) as
three i64 to `error` and returns 1; it returns 0 if all went well. A kernel without sites returns void.

Invariant: a kernel knows pointers and extents, never graphs or other kernels; and its text depends only on
what it computes, so kernels of equal text are one function, whose symbol is a hash of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar, cast

from graphc.backends.llvm.emitter import Builder, Value
from graphc.ir.dims import Size
from graphc.ir.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Site:
    """A place in a kernel that may fail at run time: the op to blame, and the axis that it indexes."""

    tensor: Tensor
    axis: int = 0


@dataclass(frozen=True, slots=True)
class Split:
    """The loop that threads may share; which thread does which turns never changes a bit of the result.

    Parts write different elements; nothing is combined across them. A reduction that keeps no loop to share is
    two kernels, and two steps of the plan: one makes partial results of fixed blocks, which threads share, and
    one combines those (`kernels/total_reductions.py`).

    Attributes:
        extents: how many turns it has: the product of these.
        granule: parts begin at multiples of this many turns.
        weight: about how long one turn takes, in sixteenths of a nanosecond.
    """

    extents: tuple[Size, ...]
    granule: int
    weight: Size


@dataclass(frozen=True, slots=True)
class Kernel:
    """A finished function and its calling convention; see the module docstring.

    Attributes:
        function: the function, complete.
        sizes: what the caller passes as i64 arguments, in order.
        scratch_bytes: how much scratch memory it needs.
        sites: what may fail, by site number.
        helpers: functions that `function` calls. A helper's name is derived from its text
            (`named_by_content`), so the program adds each name once and kernels share them.
        split: the loop that threads may share.
        is_product: whether its helpers are tiles of a product, for which good code counts most.
    """

    function: Builder
    sizes: tuple[Size, ...] = ()
    scratch_bytes: Size = 0
    sites: tuple[Site, ...] = ()
    helpers: tuple[Builder, ...] = ()
    split: Split | None = None
    is_product: bool = False


def fail_if(b: Builder, condition: Value, error: Value, site: int, index: Value, extent: Value) -> None:
    """Leave the kernel with an error record if a scalar condition holds (expected not to)."""
    with b.if_(condition, likely=False):
        for slot, value in enumerate((b.i64(site), index, extent)):
            b.store(value, b.gep(error, slot, "i64"))
        b.ret(b.i64(1))


def named_by_content(function: Builder) -> Builder:
    """The function, renamed so that functions of equal text have equal names, and others different ones.

    A program adds each helper of its kernels once, by name.
    """
    function.name = f"{function.name}_{function.digest[:16]}"
    return function


P = ParamSpec("P")
R = TypeVar("R", Builder, Kernel)

#: How many results of each builder a process keeps for programs to come. They take about 10 kB each.
KEPT = 64

_memories: list[Callable[[], None]] = []


def remembered(build: Callable[P, R]) -> Callable[P, R]:
    """A builder of kernels without sites, or of helpers, that gives for equal arguments what it gave lately.

    It may look at nothing but its arguments.
    """

    @lru_cache(KEPT)
    def finished(*args: P.args, **kwargs: P.kwargs) -> R:
        made = build(*args, **kwargs)
        (made.function if isinstance(made, Kernel) else made).text()  # now, and not by two threads at once
        return made

    _memories.append(finished.cache_clear)
    return cast("Callable[P, R]", wraps(build)(finished))


def forget() -> None:
    """Build all anew from now on: for tests, which change builders."""
    for clear in _memories:
        clear()
