"""The arena's layout: live buffers never share bytes, dead ones do."""

import numpy as np
import pytest

import graphc as gc
from graphc.backends.llvm import memory
from graphc.backends.llvm.blueprint import Blueprint, Place, Scratch
from graphc.backends.llvm.kernel import Kernel
from graphc.backends.llvm.memory import ALIGNMENT, aligned_bytes
from graphc.backends.llvm.steps import Buffer, Copy, Plan, Step
from graphc.ir import dims
from graphc.ir.types import DTYPES, TensorType

SIZES = {"n": 100}


def buffer(size, number=0, kind="arena"):
    return Buffer(TensorType(DTYPES["f32"], (size,)), kind, number)


def random_plan(seed, steps=60):
    """Each step makes a buffer or two and reads some earlier ones."""
    rng = np.random.default_rng(seed)
    found = Plan(None)
    for _ in range(steps):
        sizes = [int(rng.choice([0, 1, 16, 1000, 5000])) for _ in range(rng.integers(1, 3))]
        results = [buffer(dims.symbol("n") * s if rng.random() < 0.3 else s) for s in sizes]
        near = found.buffers[-8:] if rng.random() < 0.8 else found.buffers
        operands = [near[i] for i in rng.integers(0, len(near), 2)] if near else []
        found.steps.append(Step(None, operands, results, None))
        found.buffers += results
    found.after = [Copy(found.buffers[i], buffer(1, kind="output")) for i in rng.integers(0, len(found.buffers), 3)]
    return found


def layout(found, sizes):
    """The layout of a plan's buffers, by buffer; a step's kernel may be None."""
    buffers = list(dict.fromkeys([*found.buffers, *found.lifetimes()]))
    lives = found.lifetimes()
    places = tuple(Place(b.kind, b.number, b.type, lives.get(b)) for b in buffers)
    scratch = tuple(Scratch(s.kernel.scratch_bytes, False) for s in found.steps if s.kernel is not None)
    placed = memory.layout(Blueprint(places, scratch, (), 0, False), sizes)
    return memory.Layout({buffers[slot]: at for slot, at in placed.offsets.items()}, placed.scratch, placed.total)


def size_of(b):
    return dims.evaluate(b.nbytes, SIZES)


def check_no_overlap(found):
    placed = layout(found, SIZES)
    lifetimes = list(found.lifetimes().items())
    for i, (one, (first, last)) in enumerate(lifetimes):
        start, end = placed.offsets[one], placed.offsets[one] + size_of(one)
        assert start % ALIGNMENT == 0
        assert end <= placed.scratch <= placed.total
        for two, (begin, stop) in lifetimes[:i]:
            if first <= stop and begin <= last and size_of(one) and size_of(two):
                low = placed.offsets[two]
                assert end <= low or low + size_of(two) <= start, "two live buffers share bytes"


def peak_of(found):
    lifetimes = found.lifetimes()
    return max(
        sum(size_of(b) for b, (first, last) in lifetimes.items() if first <= number <= last)
        for number in range(len(found.steps) + 1)
    )


@pytest.mark.parametrize("seed", range(20))
def test_live_buffers_never_overlap(seed):
    check_no_overlap(random_plan(seed))


def test_dead_buffers_memory_is_used_again():
    for seed in range(20):
        found = random_plan(seed)
        total, everything = layout(found, SIZES).total, sum(map(size_of, found.lifetimes()))
        slack = 4 * ALIGNMENT * len(found.buffers)  # what alignment and staggering add
        assert peak_of(found) <= total <= 1.5 * peak_of(found) + slack
        assert total < everything


def test_a_chain_needs_two_buffers():
    found = Plan(None)
    previous = []
    for _ in range(50):
        result = buffer(100_000)
        found.steps.append(Step(None, previous, [result], None))
        found.buffers.append(result)
        previous = [result]
    assert layout(found, SIZES).total < 2.1 * 400_000


def test_what_is_copied_first_or_last_lives_until_then():
    kept, late, other = buffer(1000), buffer(1000), buffer(1000)
    found = Plan(None, buffers=[kept, late, other])
    found.before = [Copy(buffer(1000, kind="variable"), kept)]
    found.steps = [Step(None, [], [late], None), Step(None, [], [other], None)]
    found.after = [Copy(kept, buffer(1000, kind="variable")), Copy(late, buffer(1000, kind="output"))]
    assert found.lifetimes() == {kept: (0, 2), late: (0, 2), other: (1, 1)}
    check_no_overlap(found)


def test_only_the_arena_is_laid_out():
    other = buffer(10, kind="input")
    found = Plan(None, steps=[Step(None, [other], [buffer(10, kind="output")], None)])
    assert not layout(found, SIZES).offsets


def test_scratch_holds_the_largest_need_of_a_step():
    needs = (1000, dims.symbol("n") * 30, 8)
    steps = [Step(None, [], [buffer(16)], Kernel(None, scratch_bytes=need)) for need in needs]
    placed = layout(Plan(None, steps=steps), SIZES)
    assert placed.scratch % ALIGNMENT == 0
    assert placed.total - placed.scratch >= 3000


def test_aligned_bytes():
    for count in (1, 63, 64, 1_000_000):
        found = aligned_bytes(count)
        assert (found.size, found.ctypes.data % ALIGNMENT) == (count, 0)


def test_a_call_that_does_not_fit_fails_before_any_work():
    x = gc.placeholder(("n",), "float32", name="x")
    w = gc.variable(np.zeros((), "float32"), name="w")
    big = gc.sort(gc.broadcast_to(x, (1 << 22, x.shape[0])) + 1, axis=1)
    f = gc.function([x], gc.sum(gc.sort(big, axis=0)), updates={w: w + 1}, backend="llvm")
    with pytest.raises(MemoryError):
        f(np.zeros(1 << 24, "float32"))
    assert w.value == 0


def test_a_layout_that_forgets_who_is_alive_is_caught(monkeypatch):
    monkeypatch.setattr(memory._FreeSpace, "take", lambda self, size: 0)
    with pytest.raises(AssertionError):
        check_no_overlap(random_plan(0))


def test_a_buffer_that_is_freed_one_step_early_is_caught(monkeypatch):
    right = Plan.lifetimes
    short = random_plan(0)
    wanted = right(short)
    monkeypatch.setattr(Plan, "lifetimes", lambda self: {b: (f, max(f, e - 1)) for b, (f, e) in right(self).items()})
    placed = layout(short, SIZES)
    monkeypatch.setattr(Plan, "lifetimes", lambda self: wanted)
    monkeypatch.setitem(globals(), "layout", lambda found, sizes: placed)
    with pytest.raises(AssertionError):
        check_no_overlap(short)
