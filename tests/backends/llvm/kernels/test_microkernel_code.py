"""The machine code of the matmul micro-kernels: fused multiply-adds throughout, and nothing spilled to the stack."""

import re
from dataclasses import dataclass

import pytest

import graphc as gc
from graphc.backends.llvm.target import host_target

pytestmark = pytest.mark.skipif(
    not host_target().triple.startswith(("x86_64", "amd64")) or not host_target().has_fma,
    reason="reads the assembly of x86-64 with fused multiply-adds",
)


@dataclass
class Loop:
    """A basic block that jumps back to its own label."""

    lines: list[str]

    def count(self, pattern):
        return sum(bool(re.search(pattern, line)) for line in self.lines)

    @property
    def multiply_adds(self):
        return self.count(r"\bvfn?m(add|sub)\d+[ps]")

    @property
    def separate(self):
        return self.count(r"\bv(mul|add)p[sd]\b")

    @property
    def spills(self):
        return self.count(r"\d*\(%r[sb]p\b")


def loops_of(assembly):
    """The innermost loops: blocks whose last jump goes to their own label."""
    found, label, lines = [], "", []
    for line in assembly.splitlines():
        text = line.split("#")[0].strip()
        if match := re.match(r"(\.\w+):$", text):
            label, lines = match[1], []
        elif text and not text.startswith("."):
            lines.append(text)
            if re.match(rf"j\w+\s+{re.escape(label)}$", text) and label:
                found.append(Loop(lines))
                lines = []
    return found


def hot_loops(shapes, dtype, transpose=(False, False)):
    """The loops of a product that do most of its work: those with at least eight multiply-adds."""
    x, y = (gc.placeholder(shape, dtype, name=name) for name, shape in zip("xy", shapes))
    left, right = (t.T if swap else t for t, swap in zip((x, y), transpose))
    f = gc.function([x, y], left @ right, opt_level=2)
    return [loop for loop in loops_of(f.artifacts["asm"]) if loop.multiply_adds >= 8]


SHAPES = [((256, 256), (256, 256)), ((1024, 1024), (1024, 1024)), ((32, 128), (128, 64)), ((128, 784), (784, 512))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_no_spill_and_fused_throughout(shapes, dtype):
    loops = hot_loops(shapes, dtype)
    assert loops
    for loop in loops:
        assert loop.spills == 0, loop.lines
        assert loop.separate == 0, loop.lines


@pytest.mark.parametrize("transpose", [(True, False), (False, True)], ids=["TN", "NT"])
def test_transposed_operands_too(transpose):
    loops = hot_loops(((256, 256), (256, 256)), "float32", transpose)
    assert loops
    assert all(loop.spills == 0 and loop.separate == 0 for loop in loops)


def test_registers_are_used():
    """Enough accumulators that the latency of a multiply-add (4 cycles, 2 a cycle) is hidden."""
    best = max(hot_loops(SHAPES[0], "float32"), key=lambda loop: loop.multiply_adds)
    accumulators = {m[1] for line in best.lines if (m := re.search(r"vfn?m\w+\s.*(%[xyz]mm\d+)$", line))}
    assert len(accumulators) >= 8


def test_a_spill_is_seen():
    text = ".LBB0_1:\n vmovaps 64(%rsp), %zmm3\n" + " vfmadd231ps %zmm1, %zmm2, %zmm3\n" * 8 + " jne .LBB0_1\n"
    (loop,) = loops_of(text)
    assert loop.spills == 1 and loop.multiply_adds == 8
