"""One name for each size: sizes that the graph requires to be equal are written alike.

`close` lists the equalities that the type rules rely on (`n == 64`, `n == m`); a call checks them before
anything runs. So from here on the later symbol may be replaced by the earlier, or by the number, everywhere:
types that differ by such a symbol become the same type, and rules need not ask whether `n` is `m`. Symbols
that `placeholder((None, 64))` made fresh, as `x_0'7`, become plain `x_0`, so that the text of a graph does
not depend on what was built before it.

Invariant: every symbol left is a bare extent of some input, as before; the inputs keep their order, those of
another type are new tensors; `constraints` keeps what cannot be expressed by replacing symbols.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from graphc.ir import dims
from graphc.ir.dims import Size
from graphc.ir.graph import Graph
from graphc.ir.resize import resized


def unify(graph: Graph) -> Graph:
    """`graph` with one name for each size.

    >>> import graphc as gc
    >>> graph = gc.parse('''
    ... graph @f(%x: f32[n], %y: f32[m]) {
    ...   require n == m by add
    ...   %0 = add %x, %y : f32[n]
    ...   return %0
    ... }''')
    >>> print(unify(graph).inputs[1].type)
    f32[n]
    """
    solution = solve(graph)
    names = _plain_names(graph.symbols)
    values: dict[str, Size] = {name: dims.symbol(plain) for name, plain in names.items() if plain != name}
    values |= {name: dims.substitute(size, values) for name, size in solution.items()}
    return resized(graph, lambda size: dims.substitute(size, values)) if values else graph


def solve(graph: Graph) -> dict[str, Size]:
    """What the graph's constraints make of its symbols: symbol -> a number, or a size of other symbols.

    A number is preferred, then a name that the user gave, then the name that comes first in the inputs. Nothing,
    if the constraints contradict each other (`n == 2`, `n == 3`): then every call is refused anyway.
    """
    rank = {name: ("'" in name, position) for position, name in enumerate(graph.symbols)}
    values: dict[str, Size] = {}
    for constraint in graph.constraints:
        left, right = _resolve(constraint.left, values), _resolve(constraint.right, values)
        if left == right:
            continue
        if isinstance(left - right, int):
            return {}
        options = []
        for size, other in ((left, right), (right, left)):
            name = dims.bare_symbol(size)
            if name in rank and name not in dims.symbols_of(other):
                options.append((name, other))
        if options:  # of two bare symbols, the later one goes
            name, size = max(options, key=lambda option: rank[option[0]])
            values[name] = size
    # What was no equation for a bare symbol may have become a contradiction: n - 3 == max(n-3, 0) with n == 1.
    for constraint in graph.constraints:
        difference = _resolve(constraint.left - constraint.right, values)
        if isinstance(difference, int) and difference != 0:
            return {}
    return {name: _resolve(size, values) for name, size in values.items()}


def _resolve(size: Size, values: Mapping[str, Size]) -> Size:
    """`size` with symbols replaced until none of them has a value."""
    while any(name in values for name in dims.symbols_of(size)):
        size = dims.substitute(size, values)
    return size


def _plain_names(symbols: Iterable[str]) -> dict[str, str]:
    """A name without a prime for each symbol, where one is free; the same for the same inputs."""
    names = list(symbols)
    taken = {name for name in names if "'" not in name}
    plain = {}
    for name in names:
        base, prime, _ = name.partition("'")
        candidate, number = base, 1
        while prime and candidate in taken:
            number += 1
            candidate = f"{base}_{number}"
        taken.add(candidate)
        plain[name] = candidate
    return plain
