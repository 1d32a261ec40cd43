"""The emitter's control flow, lanes and memory, each by running what it emits."""

import ctypes

import numpy as np
import pytest

from graphc.backends.llvm.codegen import emit_object
from graphc.backends.llvm.emitter import Builder, Module, constant, like, memory_type, register_type, vector
from graphc.backends.llvm.jit import compile_module
from graphc.backends.llvm.target import Target, host_target
from graphc.errors import CodegenError

_C_TYPES = {
    "i64": ctypes.c_int64,
    "double": ctypes.c_double,
    "ptr": ctypes.c_void_p,
    "void": None,
    "i1": ctypes.c_bool,
}


def run(builder, *arguments):
    """Compile one function of i64, double and pointer parameters, and call it."""
    module = Module()
    module.add(builder)
    library = compile_module(module.text(), [builder.name])
    types = [_C_TYPES[value.type] for value in builder.params]
    function = library.function(builder.name, _C_TYPES[builder.result], *types)
    return function(*(a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments))


def counted(start, stop, step=1, initial=100):
    """initial + the sum of range(start, stop, step), by an emitted loop."""
    b = Builder("f", [("start", "i64"), ("stop", "i64")], "i64")
    with b.loop(*b.params, step, carried=[b.i64(initial)]) as loop:
        loop.next(b.add(loop.carried[0], loop.index))
    b.ret(*loop.results)
    return run(b, start, stop)


@pytest.mark.parametrize(
    "start,stop,step", [(0, 0, 1), (5, 5, 1), (7, 3, 1), (0, 1, 1), (0, 9, 1), (2, 11, 4), (-3, 3, 2)]
)
def test_a_loop_runs_as_range_does(start, stop, step):
    assert counted(start, stop, step) == 100 + sum(range(start, stop, step))


def test_at_least_once_skips_the_first_test_only():
    b = Builder("f", [("n", "i64")], "i64")
    with b.loop(0, b.params[0], carried=[b.i64(0)], at_least_once=True) as loop:
        loop.next(b.add(loop.carried[0], 1))
    b.ret(*loop.results)
    assert [run(b, n) for n in (1, 2, 5)] == [1, 2, 5]


def test_carried_values_are_swapped_together():
    """Fibonacci: a next value that refers to another carried one sees this trip's, not the next one's."""
    b = Builder("f", [("n", "i64")], "i64")
    with b.loop(0, b.params[0], carried=[b.i64(0), b.i64(1)]) as loop:
        low, high = loop.carried
        loop.next(high, b.add(low, high))
    b.ret(loop.results[0])
    assert [run(b, n) for n in range(8)] == [0, 1, 1, 2, 3, 5, 8, 13]


def test_nested_loops_carry_through_both():
    b = Builder("f", [("n", "i64"), ("m", "i64")], "i64")
    n, m = b.params
    with b.loop(0, n, carried=[b.i64(0)]) as outer:
        with b.loop(0, m, carried=outer.carried) as inner:
            inner.next(b.add(inner.carried[0], b.mul(outer.index, inner.index)))
        outer.next(*inner.results)
    b.ret(*outer.results)
    for n, m in ((0, 3), (3, 0), (4, 5)):
        assert run(b, n, m) == sum(i * j for i in range(n) for j in range(m))


def test_hoisting_goes_to_the_preheader_and_runs_once():
    """Code put into the outer preheader from the innermost body; its control flow moves the phis' edges."""
    calls = np.zeros(1, np.int64)
    b = Builder("f", [("n", "i64"), ("calls", "ptr")], "i64")
    n, place = b.params
    with b.loop(0, n, carried=[b.i64(0)]) as outer:
        with b.loop(0, n, carried=outer.carried) as inner:
            with b.at(outer.preheader):
                b.store(b.add(b.load("i64", place), 1), place)
                with b.if_else(b.icmp("sgt", n, 2)) as choice:
                    with choice.then:
                        choice.give(b.i64(10))
                    with choice.otherwise:
                        choice.give(b.i64(20))
                (scale,) = choice.results
            with b.at(inner.preheader):
                row = b.mul(outer.index, scale)
            inner.next(b.add(inner.carried[0], row))
        outer.next(*inner.results)
    b.ret(*outer.results)
    assert run(b, 3, calls) == 3 * 10 * (0 + 1 + 2)
    assert run(b, 2, calls) == 2 * 20 * (0 + 1)
    assert run(b, 0, calls) == 0
    assert calls[0] == 2, "not at all for zero trips"


def test_hoisting_after_the_loop_is_refused():
    b = Builder("f", [("n", "i64")])
    with b.loop(0, b.params[0]) as loop:
        pass
    with pytest.raises(CodegenError, match="its loop or function has ended"), b.at(loop.preheader):
        b.add(b.params[0], 1)


def test_leaving_a_loop_early_gives_the_values_of_that_moment():
    b = Builder("f", [("n", "i64"), ("limit", "i64")], "i64")
    n, limit = b.params
    with b.loop(0, n, carried=[b.i64(0)]) as loop:
        total = b.add(loop.carried[0], loop.index)
        loop.exit_if(b.icmp("sgt", total, limit), b.sub(b.i64(0), total))
        loop.next(total)
    b.ret(*loop.results)
    assert (run(b, 5, 100), run(b, 5, 4), run(b, 0, 4)) == (10, -6, 0)


def test_forever_ends_by_its_exit():
    b = Builder("f", [("n", "i64")], "i64")
    with b.forever(carried=[b.params[0], b.i64(0)]) as loop:
        n, steps = loop.carried
        loop.exit_if(b.icmp("eq", n, 1))
        odd = b.icmp("eq", b.and_(n, 1), 1)
        loop.next(b.select(odd, b.add(b.mul(n, 3), 1), b.lshr(n, 1)), b.add(steps, 1))
    b.ret(loop.results[1])
    assert run(b, 27) == 111


def test_if_without_else_keeps_the_default():
    b = Builder("f", [("x", "i64")], "i64")
    (x,) = b.params
    with b.if_(b.icmp("slt", x, 0), default=[x], likely=False) as negative:
        with b.if_(b.icmp("slt", x, -10), default=[b.i64(1)]) as far:
            far.give(b.i64(2))
        negative.give(*far.results)
    b.ret(*negative.results)
    assert [run(b, x) for x in (5, -5, -50)] == [5, 1, 2]


def test_early_returns_need_no_merge():
    b = Builder("f", [("x", "i64")], "i64")
    (x,) = b.params
    with b.if_(b.icmp("eq", x, 0)):
        b.ret(b.i64(-1))
    with b.if_else(b.icmp("slt", x, 0)) as choice:
        with choice.then:
            b.ret(b.i64(-2))
        with choice.otherwise:
            choice.give(b.mul(x, 2))
    b.ret(*choice.results)
    assert [run(b, x) for x in (0, -7, 7)] == [-1, -2, 14]


def test_both_sides_may_return():
    b = Builder("f", [("x", "i64")], "i64")
    with b.if_else(b.icmp("slt", b.params[0], 0)) as choice:
        with choice.then:
            b.ret(b.i64(1))
        with choice.otherwise:
            b.ret(b.i64(2))
    assert (run(b, -1), run(b, 1)) == (1, 2)


def test_a_return_inside_a_loop():
    b = Builder("f", [("x", "ptr"), ("n", "i64")], "i64")
    x, n = b.params
    with b.loop(0, n) as loop, b.if_(b.icmp("eq", b.load("i64", b.gep(x, loop.index, "i64")), 0)):
        b.ret(loop.index)
    b.ret(b.i64(-1))
    assert run(b, np.array([3, 1, 0, 4]), 4) == 2
    assert run(b, np.array([3, 1, 0, 4]), 2) == -1


@pytest.mark.parametrize(
    "mistake,words",
    [
        (lambda b, loop: loop.next(), "carries"),
        (lambda b, loop: loop.next(b.const("float", 0)), "carries"),
        (lambda b, loop: (loop.next(loop.carried[0]), loop.next(loop.carried[0])), "twice"),
        (lambda b, loop: None, "needs loop.next"),
        (lambda b, loop: b.add(loop.index, b.const("i32", 1)), "different types"),
        (lambda b, loop: loop.results, "after its block"),
        (lambda b, loop: (b.ret(), b.add(loop.index, 1)), "has returned"),
    ],
)
def test_mistakes_are_named(mistake, words):
    b = Builder("f", [("n", "i64")])
    with pytest.raises(CodegenError, match=words), b.loop(0, b.params[0], carried=[b.i64(0)]) as loop:
        mistake(b, loop)


def test_a_function_must_return_its_value():
    with pytest.raises(CodegenError, match="without returning"):
        Builder("f", (), "i64").text()
    with pytest.raises(CodegenError, match="returns i64"):
        Builder("f", (), "i64").ret()


# ---- lanes and memory ----------------------------------------------------------------------------------


def on_vectors(dtype, lanes, count, body, result=None):
    """Load ``count`` vectors from an array, apply the body, store its result into another."""
    b = Builder("f", [("x", "ptr"), ("y", "ptr")])
    x, y = b.params
    element = register_type(dtype)
    step = lanes * np.dtype(dtype).itemsize
    values = [b.load_dtype(dtype, b.offset(x, i * step), lanes) for i in range(count)]
    assert all(value.type == vector(element, lanes) for value in values)
    b.store_dtype(body(b, *values), y, result or dtype)
    source = np.arange(1, lanes * count + 1).astype(dtype)
    target = np.zeros(lanes * count, result or dtype)
    run(b, source, target)
    return source, target


@pytest.mark.parametrize("dtype", ["f4", "f8", "i1", "u2", "i4", "i8"])
@pytest.mark.parametrize("lanes", [1, 4, 32])
def test_lanes_hold_elements_in_order(dtype, lanes):
    source, target = on_vectors(dtype, lanes, 1, lambda b, x: b.reverse(x))
    assert np.array_equal(target, source[::-1])
    source, target = on_vectors(dtype, lanes, 2, lambda b, x, y: b.concat(y, x))
    assert np.array_equal(target, np.concatenate([source[lanes:], source[:lanes]]))


@pytest.mark.parametrize("lanes", [1, 8])
def test_bool_is_a_byte_in_memory_and_a_bit_in_registers(lanes):
    assert (memory_type("bool"), register_type("bool")) == ("i8", "i1")
    source, target = on_vectors("bool", lanes, 1, lambda b, x: b.not_(x))
    assert source.all() and not target.any()
    _, target = on_vectors("f4", lanes, 1, lambda b, x: b.fcmp("ogt", x, 3.5), "bool")
    assert np.array_equal(target, np.arange(1, lanes + 1) > 3.5)


@pytest.mark.parametrize("lanes", [1, 2, 16, 64])
def test_reductions(lanes):
    b = Builder("f", [("x", "ptr")], "double")
    x = b.load(vector("double", lanes), b.params[0])
    total = b.reduce(x, b.fadd)
    largest = b.reduce(x, lambda p, q: b.select(b.fcmp("ogt", p, q), p, q))
    b.ret(b.fma(largest, 1000.0, total))
    data = np.random.default_rng(0).permutation(lanes).astype("f8")
    assert run(b, data) == data.max() * 1000 + data.sum()


@pytest.mark.parametrize("lanes", [1, 8, 32])
def test_any_and_all(lanes):
    b = Builder("f", [("x", "ptr")], "i64")
    mask = b.load_dtype("bool", b.params[0], lanes)
    b.ret(b.add(b.zext(b.any(mask), "i64"), b.mul(b.zext(b.all(mask), "i64"), 10)))
    one = np.arange(lanes) == lanes - 1
    assert run(b, np.zeros(lanes, bool)) == 0
    assert run(b, one) == (11 if lanes == 1 else 1)
    assert run(b, np.ones(lanes, bool)) == 11


@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_gather_and_scatter_touch_only_the_masked_lanes(lanes):
    b = Builder("f", [("x", "ptr"), ("y", "ptr"), ("index", "ptr")])
    x, y, place = b.params
    index = b.load(vector("i64", lanes), place)
    mask = b.icmp("sge", index, 0)
    pointers = b.gep(b.splat(x, lanes), index, "float") if lanes > 1 else b.gep(x, index, "float")
    value = b.gather("float", pointers, mask, -1.0)
    b.store(value, y)
    b.scatter(b.fadd(value, 100.0), pointers, mask)
    for first in (3, -(10**12)):
        data = np.arange(40, dtype="f4")
        out = np.zeros(lanes, "f4")
        rows = np.array([first, -(10**12), 7, 39, *range(12, 24)])[:lanes]
        run(b, data, out, rows)
        assert np.array_equal(out, np.where(rows >= 0, rows, -1))
        expected = np.arange(40, dtype="f4")
        expected[rows[rows >= 0]] += 100
        assert np.array_equal(data, expected)


@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_masked_load_and_store(lanes):
    b = Builder("f", [("x", "ptr"), ("y", "ptr"), ("n", "i64")])
    x, y, n = b.params
    mask = b.icmp("slt", b.iota("i64", lanes), b.splat(n, lanes))
    b.masked_store(b.masked_load(vector("float", lanes), x, mask, 9.0), y, mask)
    out = np.zeros(lanes, "f4")
    for count in (0, 1, 3):
        out[:] = 0
        run(b, np.ones(lanes, "f4"), out, count)
        assert np.array_equal(out, np.arange(lanes) < count)


def test_block_copies_tables_and_stack():
    b = Builder("f", [("y", "ptr")])
    (y,) = b.params
    table = b.table("float", [1.5, -0.0, float("inf"), 0.1])
    with b.loop(0, 3) as loop:
        scratch = b.alloca("float", 4)  # hoisted: the stack does not grow with the trips
        b.memset(scratch, 0, 16)
        b.memcpy(scratch, table, 16)
        b.memcpy(b.gep(y, b.mul(loop.index, 4), "float"), scratch, 16)
    assert b.text().index("alloca") < b.text().index("br label %start.")
    out = np.full(12, 7, "f4")
    run(b, out)
    assert np.array_equal(out.view("u4"), np.tile(np.array([1.5, -0.0, np.inf, 0.1], "f4"), 3).view("u4"))


def test_atomics():
    b = Builder("f", [("p", "ptr")], "i64")
    (p,) = b.params
    old = b.atomic_update("add", p, b.i64(5))
    seen, done = b.compare_exchange(p, b.add(old, 5), b.i64(1))
    b.fence()
    b.atomic_store(b.add(b.atomic_load("i64", p), seen), p)
    b.ret(b.zext(done, "i64"))
    cell = np.array([10])
    assert run(b, cell) == 1
    assert cell[0] == 16


@pytest.mark.parametrize(
    "value", [0.0, -0.0, 1 / 3, 1e-45, -1e-40, 3.4e38, 1e39, float("inf"), float("-inf"), 5e-324]
)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_constants_are_exact(dtype, value):
    b = Builder("f", [("y", "ptr")])
    b.store(b.const(vector(register_type(dtype), 4), value), b.params[0])
    out = np.ones(4, dtype)
    run(b, out)
    with np.errstate(over="ignore"):
        expected = np.full(4, value, dtype)
    assert out.tobytes() == expected.tobytes()


def test_types():
    assert vector("float", 1) == "float"
    assert like("<8 x float>", "i1") == "<8 x i1>"
    assert str(constant("<4 x i32>", -1)) == "<4 x i32> splat (i32 -1)"
    with pytest.raises(CodegenError, match="float16"):
        register_type("float16")
    with pytest.raises(CodegenError, match="not a constant"):
        constant("i64", 1.5)


# ---- functions and modules -----------------------------------------------------------------------------


def test_no_name_of_a_parameter_can_meet_one_made_here():
    b = Builder("f", [("start", "i64"), ("entry", "i64"), ("v1", "i64")], "i64")
    b.ret(b.add(b.add(*b.params[:2]), b.param("v1")))
    assert run(b, 1, 10, 100) == 111
    with pytest.raises(CodegenError, match="hold no dot"):
        Builder("f", [("a.1", "i64")])
    with pytest.raises(CodegenError, match="no parameter y"):
        b.param("y")


def doubler(name, factor=2):
    b = Builder(name, [("x", "i64")], "i64", linkage="internal")
    b.ret(b.mul(b.params[0], factor))
    return b


def test_equal_functions_are_kept_once():
    module = Module()
    assert module.add(doubler("first"), deduplicate=True) == "first"
    assert module.add(doubler("second"), deduplicate=True) == "first"
    assert module.add(doubler("third", 3), deduplicate=True) == "third"
    assert module.functions == ("first", "third")
    with pytest.raises(CodegenError, match="already has"):
        module.add(doubler("third"))


def test_functions_call_each_other_and_pass_pointers():
    module = Module()
    module.add(doubler("twice"))
    b = Builder("f", [("x", "i64")], "i64")
    once = b.call("i64", "twice", b.params[0])
    b.ret(b.call_pointer("i64", b.function("twice"), once))
    module.add(b)
    assert "declare" not in module.text()
    library = compile_module(module.text(), ["f"])
    assert library.function("f", ctypes.c_int64, ctypes.c_int64)(5) == 20


def test_the_same_code_gives_the_same_text():
    assert doubler("a").text() == doubler("a").text()


def test_text_is_linear_in_the_code():
    b = Builder("f", [("x", "i64")], "i64")
    value = b.params[0]
    for _ in range(100_000):
        value = b.add(value, 1)
    b.ret(value)
    assert b.text().count("\n") == 100_000 + 6


# ---- targets -------------------------------------------------------------------------------------------

X86 = "x86_64-unknown-linux-gnu"
TARGETS = {
    "baseline": Target.of(X86, "x86-64"),
    "avx2": Target.of(X86, "x86-64-v3", "+avx2,+fma"),
    "avx512": Target.of(X86, "x86-64-v4", "+avx2,+fma,+avx512f,+avx512vl,+avx512bw,+avx512dq"),
    "neon": Target.of("aarch64-unknown-linux-gnu", "generic"),
}


def test_vector_units():
    facts = {name: (t.vector_bits, t.vector_registers, t.has_fma) for name, t in TARGETS.items()}
    assert facts == {
        "baseline": (128, 16, False),
        "avx2": (256, 16, True),
        "avx512": (512, 32, True),
        "neon": (128, 32, True),
    }
    assert Target.of("riscv64-unknown-linux-gnu", "generic").lanes("f4") == 1
    assert host_target() is host_target()


def test_lanes():
    lanes = [TARGETS["avx2"].lanes(dtype) for dtype in ("f4", "f8", "i1", "u2", "bool")]
    assert lanes == [32, 16, 128, 64, 128]
    assert TARGETS["avx512"].lanes("f4", heavy=True) == 16
    assert TARGETS["avx512"].lanes("f4", "f8") == 16
    assert TARGETS["baseline"].lanes("f4") == 16
    assert TARGETS["avx512"].native_lanes("f8") == 8


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_gets_code(name):
    target = TARGETS[name]
    b = Builder("f", [("x", "ptr"), ("n", "i64")], target=target)
    x, n = b.params
    lanes = target.lanes("f4")
    with b.loop(0, n, lanes) as loop:
        place = b.gep(x, loop.index, "float")
        value = b.load(vector("float", lanes), place)
        b.store(b.fma(value, value, 1.0), place)
    module = Module()
    module.add(b)
    assert ("llvm.fma." in module.text()) == target.has_fma, "without it: a library call a lane"
    try:
        assert emit_object(module.text(), target=target)
    except CodegenError as error:  # an llvmlite may be built without that processor
        assert "no code generator" in str(error)
