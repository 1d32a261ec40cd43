"""Kernels are built once for what is alike: how often, and that each blames its own tensors."""

import numpy as np
import pytest

import graphc as gc
from graphc.backends.llvm import kernel
from graphc.backends.llvm.emitter import Builder
from graphc.backends.llvm.kernels import KERNELS, matmul, microkernel
from graphc.backends.llvm.kernels.alike import KernelsAlike
from graphc.backends.llvm.natives import NATIVE
from graphc.backends.llvm.plan import plan
from graphc.backends.llvm.target import host_target
from graphc.ir.build import apply
from graphc.ir.close import close
from graphc.ir.graph import Graph
from graphc.ir.opdef import OPS
from graphc.passes.manager import optimise


@pytest.fixture
def built(monkeypatch):
    """How many functions are written."""
    counts = {"functions": 0}
    right = Builder.__init__

    def counted(self, *args, **kwargs):
        counts["functions"] += 1
        right(self, *args, **kwargs)

    monkeypatch.setattr(Builder, "__init__", counted)
    return counts


def step_of(layers, width=16, batch="n"):
    """The plan of an SGD step of a net of equal layers."""
    x, t = (gc.placeholder((batch, width), "float32", name=name) for name in "xt")
    variables, y = [], x
    for number in range(layers):
        w = gc.variable(np.zeros((width, width), "float32"), name=f"w{number}")
        b = gc.variable(np.zeros(width, "float32"), name=f"b{number}")
        variables += [w, b]
        y = gc.tanh(y @ w + b)
    loss = gc.mean((y - t) ** 2)
    updates = [(v, v - 0.1 * g) for v, g in zip(variables, gc.grad(loss, variables))]
    graph = close("step", [x, t], [loss], updates)
    return plan(optimise(graph, native=NATIVE).graph)


def test_equal_layers_build_as_many_kernels_as_a_few(built):
    counts = []
    for layers in (6, 24):
        kernel.forget()
        built["functions"] = 0
        found = step_of(layers)
        counts.append((built["functions"], len(found.kernels)))
    assert counts[0] == counts[1]


def test_a_second_program_writes_no_product_anew(built):
    step_of(3)
    first = built["functions"]
    built["functions"] = 0
    step_of(3)
    assert built["functions"] < first / 2


def test_what_differs_to_the_bit_is_built_apart():
    kernels, x = KernelsAlike(), gc.placeholder((8,), "float32", name="x")

    def of(y, *inputs):
        return kernels.nest(Graph("body", inputs or (x,), (y,)))

    assert of(x + 0.5) is of(x + 0.5)
    distinct = [x + 0.5, x + 0.25, x - 0.5, x + 0.0, x + -0.0, gc.sum(x, axis=0)]
    assert len({of(y).function.digest for y in distinct}) == len(distinct)
    z = gc.placeholder((8,), "float64", name="x")
    assert of(z + 0.5, z) is not of(x + 0.5)


def test_names_of_sizes_are_part_of_a_kernel():
    kernels = KernelsAlike()
    made = []
    for name in "mn":
        x = gc.placeholder((name,), "float32", name="x")
        made.append(kernels.nest(Graph("body", (x,), (x * 2,))))
    assert [str(size) for each in made for size in each.sizes] == ["m", "n"]
    assert made[0].function.digest == made[1].function.digest


def test_each_kernel_blames_its_own_tensors():
    kernels = KernelsAlike()
    x, i = gc.placeholder((5,), "float32", name="x"), gc.placeholder((3,), "int64", name="i")
    taken = [gc.take(x, i, axis=0) for _ in range(2)]
    first, second = (kernels.nest(Graph("body", (x, i), (t,))) for t in taken)
    assert first.function is second.function
    assert [k.sites[0].tensor for k in (first, second)] == taken
    values = gc.placeholder((3,), "float32", name="values")
    added = [apply(OPS["scatter_add"], x, values, i) for _ in range(2)]
    first, second = (kernels.of_op(t, KERNELS["scatter_add"]) for t in added)
    assert first.function is second.function
    assert [k.sites[0].tensor for k in (first, second)] == added


def test_a_process_keeps_a_limited_number():
    target = host_target()
    shapes = [microkernel.Blocking("float", 4, 4, 2, depth, 64) for depth in range(1, kernel.KEPT + 10)]
    first = [microkernel.tile(shape, 4, target) for shape in shapes]
    assert microkernel.tile(shapes[-1], 4, target) is first[-1]
    assert microkernel.tile(shapes[0], 4, target) is not first[0]
    kernel.forget()
    assert microkernel.tile(shapes[-1], 4, target) is not first[-1]


def test_a_key_that_forgets_attributes_is_caught(monkeypatch):
    monkeypatch.setattr("graphc.ir.sameness.attributes_key", lambda attrs: ())
    with pytest.raises(AssertionError):
        test_what_differs_to_the_bit_is_built_apart()


def test_products_of_other_layouts_are_others():
    x = gc.placeholder((64, 64), "float32", name="x").tensor_type
    made = {matmul.matmul_kernel(x, x, x, transpose_x=a, transpose_y=b).function.digest for a in (0, 1) for b in (0, 1)}
    assert len(made) == 4
