"""`gc.draw`: a graph as an SVG picture, without any other program.

A box is a tensor: what makes it, its name and its type, coloured by kind; a fused tensor lists the ops in it, and
scalar constants stand inside the box that uses them. The user's line shows when the pointer rests on a box.

Invariant: the picture is valid XML that needs nothing from outside, and the same graph gives the same bytes.
"""

from __future__ import annotations

import itertools
import os
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from graphc.errors import ArgumentError
from graphc.inspect.debug import body_ops
from graphc.inspect.layout import Layout, Point, lay_out
from graphc.ir.graph import Graph
from graphc.ir.opdef import Trait
from graphc.ir.tensor import Tensor
from graphc.ir.text import format_attr, tensor_names
from graphc.ir.types import TensorType

#: Tensors that are drawn at most; more make a picture that nobody can read, and browsers slow.
LIMIT = 600

_CHARACTER, _LINE = 7.3, 17.0  # of 12 px monospace text
_PADDING_X, _PADDING_Y = 14.0, 9.0
_MARGIN, _HEADER, _LEGEND = 24.0, 46.0, 40.0
_WRAP = 30
_OPS_LINES = 6

#: kind -> fill, border and text colour
_COLOURS = {
    "input": ("#dbeafe", "#3b82f6", "#1e3a8a"),
    "variable": ("#ede9fe", "#8b5cf6", "#4c1d95"),
    "constant": ("#f1f5f9", "#94a3b8", "#334155"),
    "elementwise": ("#dcfce7", "#22c55e", "#14532d"),
    "reduction": ("#ffedd5", "#f97316", "#7c2d12"),
    "movement": ("#cffafe", "#06b6d4", "#164e63"),
    "matrix": ("#ffe4e6", "#f43f5e", "#881337"),
    "fused": ("#fef9c3", "#eab308", "#713f12"),
    "other": ("#f5f5f4", "#78716c", "#292524"),
    "result": ("#1e293b", "#1e293b", "#f8fafc"),
}
_MATRIX = frozenset({
    "matmul", "conv", "conv_planes", "conv_planes_weights", "conv_transpose", "conv_weights", "solve", "cholesky",
    "inv", "det", "slogdet", "svd", "eigh", "qr",
})  # fmt: skip
#: All that is not a `Char` of XML 1.0, section 2.2.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


@dataclass(frozen=True)
class Drawing:
    """A picture; the last line of a notebook cell shows it.

    Attributes:
        svg: the text of the SVG file.
        width, height: in pixels.
    """

    svg: str = field(repr=False)
    width: int
    height: int

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to an `.svg` file.

        Raises:
            ArgumentError: the file's name has another ending.
        """
        if Path(path).suffix != ".svg":
            raise ArgumentError(f"save: the picture is SVG, so name the file so: {Path(path).with_suffix('.svg')}")
        Path(path).write_text(self.svg, encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.svg


@dataclass
class _Box:
    """One box: its lines of text, and what it says of itself when pointed at."""

    kind: str
    lines: list[str]
    tooltip: str = ""
    typed: bool = False

    @property
    def size(self) -> tuple[float, float]:
        longest = max(len(line) for line in self.lines)
        return longest * _CHARACTER + 2 * _PADDING_X, len(self.lines) * _LINE + 2 * _PADDING_Y


def draw(graph: Graph) -> Drawing:
    """A picture of a graph: inputs at the top, results at the bottom.

    Args:
        graph: `f.graph` as written or `f.optimized` after the passes, or one from `gc.parse`. Of a graph with
            more than `LIMIT` tensors the last ones are drawn, and the picture says so.

    Raises:
        ArgumentError: it is not a graph.

    >>> import graphc as gc
    >>> x = gc.placeholder(("n",), name="x")
    >>> gc.draw(gc.function([x], gc.exp(x) * 2).graph).svg[:4]
    '<svg'
    """
    if not isinstance(graph, Graph):
        raise ArgumentError(
            f"draw: expected a graph, not a {type(graph).__name__}",
            hint="pass f.graph (as written) or f.optimized (after the passes)" if hasattr(graph, "graph") else None,
        )
    picture = _Picture(graph)
    layout = lay_out([box.size for box in picture.boxes], [(a, b) for a, b, _ in picture.edges])
    width, height = max(layout.width, 420.0) + 2 * _MARGIN, layout.height + _HEADER + _LEGEND + 2 * _MARGIN
    return Drawing("\n".join(_svg(picture, layout, width, height)), round(width), round(height))


class _Picture:
    """The boxes and edges of a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.names = tensor_names(graph)
        self.boxes: list[_Box] = []
        self.edges: list[tuple[int, int, bool]] = []  # from, to, dashed
        self.left_out = 0
        self._number: dict[Tensor, int] = {}
        self._add_tensors()
        self._add_results()

    def _add_tensors(self) -> None:
        given = set(self.graph.inputs)
        shown = [t for t in self.graph.tensors if t in given or not _is_inlined(t)]
        self.left_out = max(0, len(shown) - LIMIT)
        for tensor in shown[self.left_out :]:
            self._number[tensor] = self._add(self._box(tensor, tensor in given))
            for operand in dict.fromkeys(tensor.inputs):
                if operand in self._number:
                    self.edges.append((self._number[operand], self._number[tensor], False))

    def _add_results(self) -> None:
        for position, tensor in enumerate(self.graph.outputs):
            self._result(tensor, f"output {position}", dashed=False)
        for variable, value in self.graph.updates:
            self._result(value, f"new {self.names.get(variable, variable.hint or 'variable')}", dashed=True)

    def _result(self, tensor: Tensor, label: str, *, dashed: bool) -> None:
        lines = [label] if tensor in self._number else [label, _scalar(tensor) or "not drawn"]
        number = self._add(_Box("result", lines, f"{label}: {_plain(repr(tensor.type))}"))
        if tensor in self._number:
            self.edges.append((self._number[tensor], number, dashed))

    def _add(self, box: _Box) -> int:
        self.boxes.append(box)
        return len(self.boxes) - 1

    def _box(self, tensor: Tensor, is_input: bool) -> _Box:
        kind = "input" if is_input else _kind(tensor)
        name = f"%{self.names[tensor]}"
        if kind in ("input", "variable"):
            lines = [name]
        else:
            scalars = [_scalar(t) for t in tensor.inputs]
            lines = [" ".join([f"{name} = {tensor.op.name}", *(s for s in scalars if s)])]
        if tensor.op.name == "fused":
            wrapped = textwrap.wrap(" ".join(body_ops(tensor.attrs["body"])), _WRAP)
            lines += wrapped[:_OPS_LINES] + (["..."] if len(wrapped) > _OPS_LINES else [])
        typed = isinstance(tensor.type, TensorType)
        if typed:
            lines.append(repr(tensor.type))
        return _Box(kind, [_plain(line) for line in lines], _plain(self._tooltip(tensor)), typed)

    def _tooltip(self, tensor: Tensor) -> str:
        operands = ", ".join(f"%{self.names[t]}" for t in tensor.inputs)
        attrs = ", ".join(
            f"{key}={_short(format_attr(value))}" for key, value in tensor.attrs.items() if not isinstance(value, Graph)
        )
        text = f"%{self.names[tensor]} = {tensor.op.name} {operands}".rstrip()
        text += f" {{{attrs}}}" if attrs else ""
        return "\n".join([f"{text} : {tensor.type!r}", *tensor.location.excerpt()])


def _plain(text: str) -> str:
    """A type without the numbers that tell fresh symbolic sizes apart: `x_0'7` as `x_0`."""
    return re.sub(r"(?<=\w)'\d+", "", text)


def _text(text: str) -> str:
    """Text for XML: markup escaped, and characters that XML cannot hold at all replaced."""
    return _FORBIDDEN.sub("\ufffd", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _is_inlined(tensor: Tensor) -> bool:
    """Whether a tensor has no box of its own: scalar constants and sizes stand in those of their users."""
    return bool(_scalar(tensor))


def _scalar(tensor: Tensor) -> str:
    """A scalar constant or size as text; empty for anything else."""
    if tensor.op.name == "const" and tensor.tensor_type.size == 1:
        return str(tensor.attrs["value"].reshape(())[()])
    return str(tensor.attrs["size"]) if tensor.op.name == "dim" else ""


def _kind(tensor: Tensor) -> str:
    op = tensor.op
    if op.name in ("fused", "variable"):
        return op.name
    if op.has(Trait.SOURCE):
        return "constant"
    if op.name in _MATRIX:
        return "matrix"
    if op.name == "get":
        return "movement"
    traits = {"elementwise": Trait.ELEMENTWISE, "reduction": Trait.REDUCTION, "movement": Trait.MOVEMENT}
    return next((kind for kind, trait in traits.items() if op.has(trait)), "other")


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


# ---- the picture as text ---------------------------------------------------------------------------------


def _svg(picture: _Picture, layout: Layout, width: float, height: float) -> Iterator[str]:
    left, top = (width - layout.width) / 2, _MARGIN + _HEADER
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="{_FONT}" font-size="12">'
    )
    yield f"<title>{_text(picture.graph.name)}</title>"
    yield (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0.5 L8,4 L0,7.5 z" fill="#94a3b8"/></marker></defs>'
    )
    yield f'<rect width="{width:.0f}" height="{height:.0f}" rx="12" fill="#ffffff"/>'
    yield from _header(picture)
    yield f'<g transform="translate({left:.1f},{top:.1f})">'
    for (_, _, dashed), route in zip(picture.edges, layout.routes):
        yield _edge(route, dashed)
    for box, centre in zip(picture.boxes, layout.centres):
        yield from _box(box, centre)
    yield "</g>"
    yield from _legend(picture, height)
    yield "</svg>\n"


def _header(picture: _Picture) -> Iterator[str]:
    graph = picture.graph
    symbols = f", sizes {_plain(', '.join(graph.symbols))}" if graph.symbols else ""
    yield (
        f'<text x="{_MARGIN}" y="{_MARGIN + 12}" font-size="16" font-weight="600" fill="#0f172a">'
        f"{_text('@' + graph.name)}</text>"
    )
    text = f"{len(graph.tensors)} tensors{symbols}"
    if picture.left_out:
        text += f"; the first {picture.left_out} are left out, since nobody can read so large a picture"
    yield f'<text x="{_MARGIN}" y="{_MARGIN + 31}" fill="#64748b">{_text(text)}</text>'


def _edge(route: Sequence[Point], dashed: bool) -> str:
    """A smooth curve that leaves and enters its points downwards."""
    path = f"M{route[0][0]:.1f},{route[0][1]:.1f}"
    for (x0, y0), (x1, y1) in itertools.pairwise(route):
        middle = (y0 + y1) / 2
        path += f" C{x0:.1f},{middle:.1f} {x1:.1f},{middle:.1f} {x1:.1f},{y1:.1f}"
    style = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<path d="{path}" fill="none" stroke="#94a3b8" stroke-width="1.4"{style} marker-end="url(#arrow)"/>'


def _box(box: _Box, centre: Point) -> Iterator[str]:
    width, height = box.size
    x, y = centre[0] - width / 2, centre[1] - height / 2
    fill, border, ink = _COLOURS[box.kind]
    radius = height / 2 if box.kind in ("input", "variable", "result") else 7
    yield f"<g><title>{_text(box.tooltip)}</title>"
    yield (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{min(radius, 22):.1f}" '
        f'fill="{fill}" stroke="{border}" stroke-width="1.3"/>'
    )
    for number, line in enumerate(box.lines):
        baseline = y + _PADDING_Y + number * _LINE + 12.5
        last = number == len(box.lines) - 1 and box.typed
        weight = ' font-weight="600"' if number == 0 else ""
        faint = ' fill-opacity="0.72"' if last else ""
        yield (
            f'<text x="{centre[0]:.1f}" y="{baseline:.1f}" text-anchor="middle" fill="{ink}"{weight}{faint}>'
            f"{_text(line)}</text>"
        )
    yield "</g>"


def _legend(picture: _Picture, height: float) -> Iterator[str]:
    kinds = dict.fromkeys(box.kind for box in picture.boxes)
    x, y = _MARGIN, height - _MARGIN
    for kind in (k for k in _COLOURS if k in kinds and k != "result"):
        fill, border, _ = _COLOURS[kind]
        swatch = f'x="{x:.0f}" y="{y - 10:.0f}" width="12" height="12" rx="3"'
        yield f'<rect {swatch} fill="{fill}" stroke="{border}"/>'
        yield f'<text x="{x + 18:.0f}" y="{y:.0f}" font-size="11" fill="#475569">{kind}</text>'
        x += 38 + len(kind) * 7.0


__all__ = ["LIMIT", "Drawing", "draw"]
