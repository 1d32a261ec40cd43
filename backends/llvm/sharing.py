"""How an entry has a step done: by the caller alone, or in parts by the thread pool, if there is enough to do.

    i64 @share(ptr step, ptr buffers, ptr sizes, ptr row, i64 turns, i64 granule, i64 work, i64 part, i64 polls)

`step` is a function that does some of a step's turns: `void(ptr buffers, ptr sizes, ptr row, i64 low, i64 high,
i64 worker)`. The tables are the entry's, `row` is the step's own, if it has one. The result is 1 if a signal's handler
has raised meanwhile.

Invariant: every module of entries has these two functions at most once, and they know nothing of any step, so each
step costs the compiler one short function and one call.
"""

from __future__ import annotations

from graphc.backends.llvm.emitter import Builder, Value
from graphc.backends.llvm.kernel import Split

#: A part that threads share should take about 4 us, in the units of `Split.weight`.
PART = 1 << 16
#: In a loop the threads are awake from the turn before, so that less pays: about 2 us.
PART_IN_LOOP = 1 << 15
#: ... and a long kernel's parts no longer than about 2 ms, since it can be interrupted only between them.
LONGEST_PART = 1 << 25
#: More parts than threads let a thread that is held up leave the rest to the others.
PARTS_PER_THREAD = 8

#: The arguments of a function that does some turns of a step.
STEP = (("buffers", "ptr"), ("sizes", "ptr"), ("row", "ptr"), ("low", "i64"), ("high", "i64"), ("worker", "i64"))
_NAME, _PART_NAME = "share", "share_part"
_CONTEXT = ("step", "buffers", "sizes", "row", "turns", "granule")


def is_worth_sharing(split: Split, part: int) -> bool:
    """Whether there may be two parts or more; that there are not is known only where all sizes are numbers."""
    work = split.weight
    for extent in split.extents:
        work = work * extent
    return not isinstance(work, int) or work >= 2 * part


def sharing_code(threads: int) -> list[Builder]:
    """The two functions, for so many threads. With one, too: between parts, a long kernel can be interrupted."""
    return [_share_part(), _share(threads)]


def _share(threads: int) -> Builder:
    params = [(name, "ptr") for name in _CONTEXT[:4]]
    params += [(name, "i64") for name in ("turns", "granule", "work", "part", "polls")]
    b = Builder(_NAME, params, "i64", linkage="internal")
    b.globals["graphc_pool"] = "@graphc_pool = external global i8"
    turns, granule, work, part = (b.param(name) for name in ("turns", "granule", "work", "part"))
    most = PARTS_PER_THREAD * threads if threads > 1 else 0
    with b.if_(b.icmp("sge", work, b.mul(part, 2))):
        granules = b.udiv(b.add(turns, b.sub(granule, 1)), granule)
        shared = b.intrinsic("smin", b.udiv(work, part), most) if most else b.i64(0)
        long = b.udiv(work, LONGEST_PART)
        parts = b.intrinsic("smin", granules, b.intrinsic("smax", shared, long))
        with b.if_(b.icmp("sgt", parts, 1)):
            polls = b.select(b.icmp("sgt", long, most), b.param("polls"), 0)
            context = b.alloca("i64", len(_CONTEXT))
            for place, name in enumerate(_CONTEXT):
                b.store(b.param(name), b.gep(context, place, "i64"))
            pool = Value("ptr", "@graphc_pool")
            b.ret(b.call("i64", "graphc_parallel", pool, b.function(_PART_NAME), context, parts, polls))
    b.call_pointer("void", *(b.param(name) for name in _CONTEXT[:4]), b.i64(0), turns, b.i64(0))
    b.ret(b.i64(0))
    return b


def _share_part() -> Builder:
    """The function that the pool calls for one part: void(context, part, parts, worker)."""
    params = [("context", "ptr"), ("part", "i64"), ("parts", "i64"), ("worker", "i64")]
    b = Builder(_PART_NAME, params, linkage="internal")
    places = [b.gep(b.param("context"), place, "i64") for place in range(len(_CONTEXT))]
    pointers = [b.load("ptr", place) for place in places[:4]]
    turns, granule = (b.load("i64", place) for place in places[4:])
    granules = b.udiv(b.add(turns, b.sub(granule, 1)), granule)

    def bound(part: Value) -> Value:
        first = b.udiv(b.mul(granules, part), b.param("parts"))
        return b.intrinsic("smin", b.mul(first, granule), turns)

    low, high = bound(b.param("part")), bound(b.add(b.param("part"), 1))
    b.call_pointer("void", *pointers, low, high, b.param("worker"))
    return b


def share(
    b: Builder, step: Builder, row: Value, turns: Value, split: Split, weight: Value, part: int, polls: Value
) -> Value:
    """The call of `share`; whether a handler has raised."""
    arguments = (b.function(step.name), b.param("buffers"), b.param("sizes"), row, turns, b.i64(split.granule))
    return b.call("i64", _NAME, *arguments, b.mul(turns, weight), b.i64(part), polls)


__all__ = [
    "LONGEST_PART",
    "PART",
    "PARTS_PER_THREAD",
    "PART_IN_LOOP",
    "STEP",
    "is_worth_sharing",
    "share",
    "sharing_code",
]
