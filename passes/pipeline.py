"""The passes, in order: read the table aloud.

Invariant: `MUST_PRECEDE` holds for `PIPELINE`; it is checked when this module is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphc.errors import ArgumentError, nearest
from graphc.ir.graph import Graph
from graphc.passes.batch import batch
from graphc.passes.cse import cse
from graphc.passes.decompose import decompose
from graphc.passes.defer import defer
from graphc.passes.fold import fold
from graphc.passes.fuse import fuse
from graphc.passes.hoist import hoist
from graphc.passes.join import join
from graphc.passes.layout import layout
from graphc.passes.prune import prune
from graphc.passes.registration import Registration
from graphc.passes.simplify import simplify
from graphc.passes.sink import sink
from graphc.passes.stabilize import stabilize
from graphc.passes.unify import unify
from graphc.passes.value_check import Values


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass.

    Attributes:
        name: what flags, dumps and errors call it.
        function: `Graph -> Graph`; it neither prints, nor reads a flag, nor sees a backend.
        takes: the names of the facts that it is given as keywords: "native", "fast_math", "fired".
        required: whether a backend relies on it, so that it cannot be skipped.
        values: what it may do to values: keep them to the bit, round differently, or make them more accurate.
        inside: whether it is also run on the bodies of loops and branches, the innermost first; a pass that is
            not sees to them itself.
    """

    name: str
    function: Callable[..., Graph]
    takes: tuple[str, ...] = ()
    required: bool = False
    values: Values = "rounded"
    inside: bool = True


PIPELINE: tuple[Pass, ...] = (
    Pass("unify", unify, required=True, values="same", inside=False),  # one name for each size
    Pass("join", join, values="same"),  # loops that step alike become one
    Pass("prune", prune, values="same", inside=False),  # only what the outputs need
    Pass("stabilize", stabilize.run, ("fast_math", "fired"), values="better"),  # log(1 + x) -> log1p(x)
    Pass("decompose", decompose, ("native", "fired"), required=True),  # what a backend lacks, by simpler ops
    Pass("layout", layout),  # images keep their channels last from one convolution to the next
    Pass("fold", fold),  # constants in, constant out
    Pass("hoist", hoist),  # what is the same in every step of a loop is computed before it
    Pass("batch", batch),  # products of a loop's sequences are one product before it
    Pass("defer", defer),  # what a loop only adds up or puts out is computed after it
    Pass("sink", sink),  # cheap arithmetic on a loop's sequences is done in it
    Pass("simplify", simplify.run, ("fast_math", "fired")),  # x * 1 -> x
    Pass("cse", cse, values="same"),  # what is computed twice is computed once
    Pass("fuse", fuse),  # clusters become one `fused` tensor with a body graph
)

MUST_PRECEDE: tuple[tuple[str, str, str], ...] = (
    ("unify", "stabilize", "a rule compares types, and types are equal only when equal sizes have one name"),
    ("unify", "fold", "a size that is required to be 64 is a constant only once it is written as 64"),
    ("join", "prune", "of two loops that step alike, prune may take different states away"),
    ("prune", "stabilize", "no work for what nothing needs"),
    ("stabilize", "decompose", "stabilize makes log_softmax and its like, which a backend may lack"),
    ("stabilize", "simplify", "simplify rewrites the very patterns that stabilize looks for"),
    ("decompose", "layout", "what an expansion puts between two convolutions is to be computed channels last, too"),
    ("layout", "fold", "the transpose of a constant is a constant"),
    ("layout", "simplify", "it leaves reshapes and transposes behind"),
    ("decompose", "fold", "expansions bring constants of their own"),
    ("decompose", "simplify", "expansions are written for all cases; simplify removes what this case lacks"),
    ("decompose", "cse", "the expansions of softmax(x) and log_softmax(x) share most of their tensors"),
    ("prune", "defer", "what nobody reads of a gradient must not keep a product in the loop"),
    ("hoist", "batch", "a matrix that is transposed in the loop is an invariant once that is done before it"),
    ("hoist", "defer", "an output that is a product by a matrix transposed in the loop is deferred only then"),
    ("batch", "simplify", "it leaves reshapes and transposes behind"),
    ("defer", "simplify", "it leaves reshapes and transposes behind"),
    ("batch", "sink", "what is added to a product of a sequence is next to the loop once the product is before it"),
    ("sink", "simplify", "it brings together what was computed before a loop and in it"),
    ("fold", "simplify", "most rules look for constants"),
    ("simplify", "cse", "rules leave equal tensors behind, made at different places"),
    ("cse", "fuse", "a tensor that is computed twice would be fused twice"),
)


def check_order(pipeline: Sequence[Pass]) -> None:
    """Check a table against `MUST_PRECEDE`.

    Raises:
        ArgumentError: a name is there twice, or a pass stands before one that must precede it.
    """
    places: dict[str, int] = {}
    for place, entry in enumerate(pipeline):
        if entry.name in places:
            raise ArgumentError(f"there are two passes named {entry.name!r}")
        places[entry.name] = place
    for first, second, reason in MUST_PRECEDE:
        if first in places and second in places and places[first] > places[second]:
            raise ArgumentError(f"pass {first} must come before {second}: {reason}")


check_order(PIPELINE)

_current: list[Pass] = list(PIPELINE)


def current_pipeline() -> tuple[Pass, ...]:
    """The table with the passes that users have registered."""
    return tuple(_current)


def pass_named(name: str) -> Pass:
    """The pass called `name`.

    Raises:
        ArgumentError: there is none.

    >>> pass_named("cse").required
    False
    """
    for entry in _current:
        if entry.name == name:
            return entry
    names = [entry.name for entry in _current]
    raise ArgumentError(
        f"there is no pass {name!r}; passes are {', '.join(names)}", hint=nearest(name, names)
    )


def register_pass(
    name: str, function: Callable[[Graph], Graph], *, after: str | None = None, before: str | None = None
) -> Registration:
    """Add a pass of your own to every function compiled from now on.

    Args:
        name: its name in flags, dumps and errors.
        function: `Graph -> Graph`, with the same inputs and outputs; `Graph.rebuild` is the usual way.
        after: the pass to place it behind.
        before: the pass to place it in front of; by default "fuse".

    Returns:
        A handle whose `remove()` takes the pass away, and which a `with` statement takes.

    Raises:
        ArgumentError: the name is taken, there is no such neighbour, or the two neighbours leave no place.

    >>> from graphc.passes import register_pass
    >>> with register_pass("nothing", lambda graph: graph, after="cse"):
    ...     [entry.name for entry in current_pipeline()][-2:]
    ['nothing', 'fuse']
    """
    names = [entry.name for entry in _current]
    if name in names:
        raise ArgumentError(f"register_pass: there is a pass named {name!r} already")
    for neighbour in (after, before):
        if neighbour is not None:
            pass_named(neighbour)
    if after is not None and before is not None and names.index(after) >= names.index(before):
        raise ArgumentError(f"register_pass: {after} does not come before {before}")
    added = Pass(name, function)
    place = names.index(after) + 1 if after is not None else names.index(before or "fuse")
    _current.insert(place, added)
    return Registration(name, lambda: _current.remove(added))
