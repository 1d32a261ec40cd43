"""Drawings: valid XML, nothing overlaps, edges run downwards, and big graphs stay quick."""

import itertools
import re
import time
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import graphc as gc
from graphc.errors import ArgumentError
from graphc.inspect.draw import LIMIT
from graphc.inspect.layout import lay_out

SVG = "{http://www.w3.org/2000/svg}"


def step(skip=()):
    x = gc.placeholder((None, 6), "float32", name="x")
    w = gc.variable(np.ones((6, 4), "f4"), name="w")
    loss = gc.sum(gc.tanh(x @ w * 0.5))
    (dw,) = gc.grad(loss, [w])
    return gc.function([x], loss, updates={w: w - 0.1 * dw}, backend="numpy", name="step", skip=skip)


def texts(drawing):
    return [t.text for t in ET.fromstring(drawing.svg).iter(f"{SVG}text")]


def test_it_is_a_picture_in_a_notebook_and_a_file(tmp_path):
    drawing = gc.draw(step().graph)
    assert drawing._repr_svg_() == drawing.svg
    drawing.save(tmp_path / "step.svg")
    root = ET.parse(tmp_path / "step.svg").getroot()
    assert root.tag == f"{SVG}svg" and int(root.get("width")) == drawing.width
    assert len(repr(drawing)) < 100
    with pytest.raises(ArgumentError, match=r"name the file so: .*step\.svg"):
        drawing.save(tmp_path / "step.png")


def test_what_it_shows():
    shown = texts(gc.draw(step().graph))
    assert {"@step", "%x", "%w", "output 0", "new w", "f32[x_0,6]", "f32[6,4]"} <= set(shown)
    assert any(line.endswith("= multiply 0.5") for line in shown)  # scalar constants stand with their users
    assert {"input", "variable", "elementwise", "reduction", "movement", "matrix"} <= set(shown)
    fused = texts(gc.draw(step().optimized))
    assert any(line.endswith("= fused") for line in fused) and any("tanh" in line for line in fused)


def test_tooltips_give_the_users_line():
    titles = [t.text for t in ET.fromstring(gc.draw(step().graph).svg).iter(f"{SVG}title")]
    (matmul,) = [t for t in titles if re.match(r"%\d+ = matmul %x, %w", t)]
    assert "test_draw.py:" in matmul and "loss = gc.sum(gc.tanh(x @ w * 0.5))" in matmul


def test_text_is_escaped():
    x = gc.placeholder((2,), name='<b>&"x"</b>')
    drawing = gc.draw(gc.function([x], gc.print(x, "<&>"), backend="numpy", name="a").graph)
    assert "_b" in "".join(texts(drawing)) and "<b>" not in drawing.svg
    odd = gc.Graph("a\x01\ud800<", (x,), (x,))
    assert "@a\ufffd\ufffd<" in texts(gc.draw(odd))


def test_the_same_graph_gives_the_same_bytes():
    f = step()
    assert gc.draw(f.graph).svg == gc.draw(f.graph).svg


def test_several_results_constants_and_nothing():
    x = gc.placeholder((3, 3), "float64", name="x")
    q, r = gc.linalg.qr(x)
    assert ET.fromstring(gc.draw(gc.function([x], [q, r, x, gc.constant(2.0)], backend="numpy").graph).svg) is not None
    for graph in (gc.function([], gc.constant(3.0), backend="numpy").graph, gc.Graph("empty", (), ())):
        assert ET.fromstring(gc.draw(graph).svg) is not None
    assert "3.0" in texts(gc.draw(gc.function([], gc.constant(3.0), backend="numpy").graph))


def test_a_function_is_refused_with_the_way_out():
    with pytest.raises(ArgumentError, match=r"pass f\.graph"):
        gc.draw(step())


def test_big_graphs_are_cut_and_say_so():
    x = gc.placeholder((), name="x")
    y = x
    for _ in range(30_000):
        y = gc.sin(y)
    graph = gc.Graph("deep", (x,), (y,))
    start = time.perf_counter()
    drawing = gc.draw(graph)
    assert time.perf_counter() - start < 10
    assert any("the first 29401 are left out" in (t or "") for t in texts(drawing))
    assert len(list(ET.fromstring(drawing.svg).iter(f"{SVG}g"))) == LIMIT + 2


@pytest.mark.parametrize("seed", range(20))
def test_layouts_of_random_graphs(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 60))
    sizes = [(float(w), float(h)) for w, h in rng.integers(10, 200, (count, 2))]
    edges = sorted({(int(a), int(b)) for a, b in rng.integers(0, count, (2 * count, 2)) if a < b})
    layout = lay_out(sizes, edges)
    boxes = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for (x, y), (w, h) in zip(layout.centres, sizes)]
    for a, b in itertools.combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert all(l >= -1e-6 and t >= 0 and r <= layout.width + 1e-6 and b <= layout.height + 1e-6 for l, t, r, b in boxes)
    for (above, below), route in zip(edges, layout.routes):
        assert boxes[above][3] < boxes[below][1]
        assert route[0][1] == boxes[above][3] and route[-1][1] == boxes[below][1]
        assert all(a[1] < b[1] for a, b in itertools.pairwise(route))


@pytest.mark.parametrize("seed", range(10))
def test_edges_pass_no_box(seed):
    """Inside a row an edge runs straight down at its own place; rows are as high as their highest box."""
    rng = np.random.default_rng(seed)
    sizes = [(60.0, 30.0)] * 30
    edges = sorted({(int(a), int(b)) for a, b in rng.integers(0, 30, (40, 2)) if a < b})
    layout = lay_out(sizes, edges)
    for (above, below), route in zip(edges, layout.routes):
        for (x0, y0), (x1, y1) in itertools.pairwise(route):
            for i, (x, y) in enumerate(layout.centres):
                if i not in (above, below) and x0 == x1:
                    assert not (abs(x - x0) < 30 and y - 15 < (y0 + y1) / 2 < y + 15)
