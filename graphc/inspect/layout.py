"""Where boxes and edges go in a drawing: a layered layout, top to bottom.

After K. Sugiyama, S. Tagawa and M. Toda, "Methods for visual understanding of hierarchical system structures"
(IEEE Trans. SMC 11(2), 1981), in four steps:

    layers    by the longest path, so that every edge runs downwards; sources sit just above their first user
    bends     an edge that passes other layers gets a place in each, so that boxes leave room for it
    order     within each layer by the mean place of the neighbours above, then below, in sweeps
    places    each layer as near to its neighbours as its order allows, by least squares

Invariant: boxes never overlap; the same input gives the same drawing; time is linear but for sorting.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Point = tuple[float, float]

_GAP_X, _GAP_Y = 22.0, 44.0
_BEND_WIDTH = 6.0
_SWEEPS = 8
#: Edges that pass more layers than this run straight: a bend in each layer would make the layout quadratic.
_BENDS = 24


@dataclass(frozen=True, slots=True)
class Layout:
    """The result.

    Attributes:
        centres: of each box.
        routes: for each edge, the points that it runs through, from the box above to the box below.
        width, height: of everything.
    """

    centres: list[Point]
    routes: list[list[Point]]
    width: float
    height: float


def lay_out(sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]]) -> Layout:
    """Place boxes of these sizes (width, height), joined by edges from lower to higher numbers.

    >>> found = lay_out([(40, 20), (40, 20)], [(0, 1)])
    >>> found.centres
    [(20.0, 10.0), (20.0, 74.0)]
    """
    layers = _layers(len(sizes), edges)
    widths = [width for width, _ in sizes]
    chains = []
    for above, below in edges:
        bends = range(layers[above] + 1, layers[below])
        chain = [above]
        if len(bends) <= _BENDS:
            chain += range(len(widths), len(widths) + len(bends))
            widths += [_BEND_WIDTH] * len(bends)
            layers += bends
        chains.append([*chain, below])
    rows = _ordered(layers, chains)
    xs = _places(rows, widths, _neighbours(len(widths), chains))
    heights = [max((sizes[i][1] for i in row if i < len(sizes)), default=0.0) for row in rows]
    tops = [sum(heights[:n]) + n * _GAP_Y for n in range(len(rows))]
    left = min((x - width / 2 for x, width in zip(xs, widths)), default=0.0)
    right = max((x + width / 2 for x, width in zip(xs, widths)), default=0.0)
    bands = [(x - left, tops[layer], tops[layer] + heights[layer]) for x, layer in zip(xs, layers)]
    centres = [(x, (top + bottom) / 2) for x, top, bottom in bands[: len(sizes)]]
    routes = []
    for chain in chains:
        (x0, y0), (x1, y1) = centres[chain[0]], centres[chain[-1]]
        start, end = (x0, y0 + sizes[chain[0]][1] / 2), (x1, y1 - sizes[chain[-1]][1] / 2)
        routes.append(_without_repeats([start, *_between([bands[point] for point in chain]), end]))
    return Layout(centres, routes, right - left, tops[-1] + heights[-1] if rows else 0.0)


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The layer of each box: one below its lowest operand; sources one above their highest user."""
    layers = [0] * count
    fed: set[int] = set()
    for above, below in sorted(edges, key=lambda edge: edge[1]):
        layers[below] = max(layers[below], layers[above] + 1)
        fed.add(below)
    first: dict[int, int] = {}
    for above, below in edges:
        if above not in fed:
            first[above] = min(first.get(above, layers[below]), layers[below])
    for source, user in first.items():
        layers[source] = user - 1
    return layers


def _neighbours(count: int, chains: Iterable[Sequence[int]]) -> tuple[list[list[int]], list[list[int]]]:
    """The points above and below each point."""
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for chain in chains:
        for a, b in itertools.pairwise(chain):
            above[b].append(a)
            below[a].append(b)
    return above, below


def _ordered(layers: Sequence[int], chains: Sequence[Sequence[int]]) -> list[list[int]]:
    """The points of each layer from left to right, with few crossings."""
    rows: list[list[int]] = [[] for _ in range(max(layers, default=-1) + 1)]
    for point, layer in enumerate(layers):
        rows[layer].append(point)
    above, below = _neighbours(len(layers), chains)
    place = {point: float(i) for row in rows for i, point in enumerate(row)}

    def mean_place(near: list[list[int]]) -> Callable[[int], float]:
        return lambda p: sum(place[q] for q in near[p]) / len(near[p]) if near[p] else place[p]

    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            row.sort(key=mean_place(above if down else below))
            for i, point in enumerate(row):  # as a fraction, since layers differ in length
                place[point] = (i + 0.5) / len(row)
    return rows


def _places(
    rows: Sequence[Sequence[int]], widths: Sequence[float], neighbours: tuple[list[list[int]], list[list[int]]]
) -> list[float]:
    """The x of each point: as near to the mean of its neighbours as the order and the widths allow."""
    xs = [0.0] * len(widths)
    offsets = []
    for row in rows:
        at, offset = 0.0, []
        for before, point in zip([None, *row], row):
            if before is not None:
                at += (widths[before] + widths[point]) / 2 + _GAP_X
            offset.append(at)
        offsets.append(offset)
        for point, x in zip(row, offset):
            xs[point] = x - at / 2
    for sweep in range(_SWEEPS):
        near = neighbours[sweep % 2]
        numbers = range(len(rows)) if sweep % 2 == 0 else range(len(rows) - 1, -1, -1)
        for n in numbers:
            wish = [sum(xs[q] for q in near[p]) / len(near[p]) if near[p] else xs[p] for p in rows[n]]
            for point, x in zip(rows[n], _nearest_in_order(wish, offsets[n])):
                xs[point] = x
    return xs


def _nearest_in_order(wish: Sequence[float], offsets: Sequence[float]) -> list[float]:
    """The places nearest to those wished for, in least squares, that keep the distances of `offsets`.

    Less their offsets the places must not decrease: isotonic regression, by pooling adjacent violators (R. E.
    Barlow et al., "Statistical Inference under Order Restrictions", 1972).

    >>> _nearest_in_order([5.0, 0.0], [0.0, 10.0])
    [-2.5, 7.5]
    """
    pools: list[tuple[float, int]] = []  # the sum and the number of their members
    for value, offset in zip(wish, offsets):
        total, count = value - offset, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            before, number = pools.pop()
            total, count = total + before, count + number
        pools.append((total, count))
    means = [total / count for total, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets)]


def _between(bands: Sequence[tuple[float, float, float]]) -> list[Point]:
    """The points of an edge through bands (x, top, bottom): straight down inside each, sideways only between."""
    inside = [point for x, top, bottom in bands for point in ((x, top), (x, bottom))]
    return inside[1:-1]


def _without_repeats(points: Iterable[Point]) -> list[Point]:
    return list(dict.fromkeys(points))
