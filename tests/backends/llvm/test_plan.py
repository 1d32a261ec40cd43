"""The plan: steps in order, buffers and whose memory they are, updates in place only where nothing is lost."""

import numpy as np
import pytest

import graphc as gc
from graphc.backends.llvm import plan as module
from graphc.backends.llvm.plan import describe_plan, plan, single_op_body
from graphc.ir.close import close
from graphc.ir.graph import topological_order
from graphc.ir.tensor import Tensor
from graphc.passes.fuse import fuse


def planned(outputs=(), updates=()):
    roots = [*outputs, *(value for _, value in updates)]
    inputs = [t for t in topological_order(roots) if t.op.name == "placeholder"]
    return plan(fuse(close("f", inputs, list(outputs), list(updates))))


def variable(name, shape=(4,)):
    return gc.variable(np.ones(shape, "float32"), name=name)


def x_of(shape=(4,), name="x"):
    return gc.placeholder(shape, "float32", name=name)


def where(found):
    """For each update: "in place", or "copied"."""
    targets = {copy.target.label for copy in found.after if copy.target.kind == "variable"}
    return {v.hint: "copied" if v.hint in targets else "in place" for v, _ in found.graph.updates}


def check_reads_follow_writes(found):
    """Each step reads what was written before; the invariant of the module."""
    made = {b for step in found.steps for b in step.results}
    written = {b for b in found.buffers if b.kind in ("input", "constant", "variable") and b not in made}
    written |= {copy.target for copy in found.before}
    for step in found.steps:
        assert all(b in written for b in step.operands), step.tensor
        written.update(step.results)
    for copy in found.after:
        assert copy.source in written
        written.add(copy.target)
    assert {b.number for b in found.buffers if b.kind == "output"} == set(range(len(found.graph.outputs)))
    assert all(b in written for b in found.buffers if b.kind == "output")


# ---- buffers -----------------------------------------------------------------------------------------------


def test_results_are_written_where_they_are_returned():
    x = x_of()
    y = gc.cumsum(x * 2, axis=0)
    found = planned([y, gc.sort(y, axis=0)])
    assert [b.kind for step in found.steps for b in step.results] == ["arena", "output", "output"]
    assert not found.before and not found.after
    check_reads_follow_writes(found)


def test_a_result_that_exists_already_is_copied():
    x, w = x_of(), variable("w")
    y = x * 2
    found = planned([x, w, gc.constant([1.0, 2.0]), y, y])
    assert [(c.source.kind, c.target.kind) for c in found.before] == [
        ("input", "output"), ("variable", "output"), ("constant", "output"),
    ]  # fmt: skip
    assert [(c.source.kind, c.target.kind) for c in found.after] == [("output", "output")]
    check_reads_follow_writes(found)


def test_a_reshape_is_the_same_buffer():
    x = x_of((4, 6))
    found = planned([gc.sort(gc.reshape(gc.sort(x, axis=0), (6, 4)), axis=1)])
    assert [step.tensor.op.name for step in found.steps] == ["sort", "sort"]
    assert found.steps[0].results == found.steps[1].operands


def test_a_transpose_that_only_products_read_is_no_step():
    x = x_of((4, 6))
    product = gc.matmul(x, gc.permute_dims(x, (1, 0)))
    assert [step.tensor.op.name for step in planned([product]).steps] == ["matmul"]
    t = gc.permute_dims(x, (1, 0))
    assert [step.tensor.op.name for step in planned([gc.matmul(x, t), t]).steps] == ["permute_dims", "matmul"]
    y = x_of((2, 3, 4), "y")
    other = gc.matmul(gc.permute_dims(y, (1, 0, 2)), x)
    assert [step.tensor.op.name for step in planned([other]).steps] == ["permute_dims", "matmul"]


def test_lifetimes_span_from_the_first_to_the_last_use():
    x = x_of()
    a = gc.cumsum(x, axis=0)
    b = gc.sort(a, axis=0)
    c = gc.cumsum(b, axis=0)
    found = planned([gc.sort(c, axis=0) * a])
    by_step = {step.results[0]: number for number, step in enumerate(found.steps)}
    lifetimes = found.lifetimes()
    assert [lifetimes[b] for b in by_step if b in lifetimes] == [(0, 4), (1, 2), (2, 3), (3, 4)]


def test_a_single_op_takes_scalar_constants_along():
    x = x_of()
    body, operands = single_op_body(x * gc.constant(2.0, "float32"))
    assert operands == [x]
    assert [t.op.name for t in body.tensors] == ["placeholder", "const", "multiply"]
    square, operands = single_op_body(x * x)
    assert (len(square.inputs), operands) == (1, [x])


# ---- host steps --------------------------------------------------------------------------------------------


def test_host_steps_are_listed():
    x = x_of((3, 3))
    found = planned([gc.linalg.inv(gc.print(x + 1, "x"))])
    assert [s.tensor.op.name for s in found.host_steps] == ["print", "inv"]
    text = describe_plan(found)
    assert text.startswith("plan of f: 3 steps, 2 of them host steps\n")
    assert "host    1: arena1 = print arena0    # " in text
    assert "call    0: arena0 = add" in text


# ---- updates -----------------------------------------------------------------------------------------------


def test_an_update_at_the_same_positions_is_in_place():
    w, g = variable("w"), x_of(name="g")
    found = planned(updates=[(w, w - g * 0.1)])
    assert where(found) == {"w": "in place"}
    check_reads_follow_writes(found)


def test_an_update_that_reads_other_positions_is_not():
    w = variable("w")
    assert where(planned(updates=[(w, w[::-1] * 2)])) == {"w": "copied"}
    assert where(planned(updates=[(w, w + gc.sum(w))])) == {"w": "copied"}
    m = variable("m", (3, 3))
    assert where(planned(updates=[(m, m + m.T)])) == {"m": "copied"}
    assert where(planned(updates=[(m, m + m[:1])])) == {"m": "copied"}
    assert where(planned(updates=[(m, gc.matmul(m, m))])) == {"m": "copied"}
    assert where(planned(updates=[(m, gc.sort(m, axis=0))])) == {"m": "copied"}


def test_a_matrix_product_goes_straight_into_another_variable():
    m = variable("m", (3, 3))
    x = x_of((3, 3))
    assert where(planned(updates=[(m, gc.matmul(x, x))])) == {"m": "in place"}


def test_an_update_whose_old_value_is_read_later_is_not_in_place():
    w, v = variable("w"), variable("v", (3,))
    w_next = gc.cumsum(w, axis=0)
    later = gc.sort(w_next, axis=0)[:3] * gc.sort(w, axis=0)[:3]
    found = planned([later], updates=[(w, w_next), (v, v + 1)])
    assert where(found) == {"w": "copied", "v": "in place"}
    check_reads_follow_writes(found)


def test_updates_that_nothing_reads_run_last():
    w = variable("w")
    x = x_of()
    found = planned([gc.cumsum(gc.sort(w * x, axis=0), axis=0)], updates=[(w, gc.exp(x) * 2)])
    assert found.steps[-1].results[0].kind == "variable"
    assert where(found) == {"w": "in place"}


def test_nothing_is_in_place_before_a_step_that_may_fail():
    w, x, i = variable("w"), x_of(), gc.placeholder((2,), "int64", name="i")
    new = w - x
    found = planned([gc.take(gc.sort(new, axis=0), i, axis=0)], updates=[(w, new)])
    assert where(found) == {"w": "copied"}
    found = planned([gc.print(gc.sort(new, axis=0), "new")], updates=[(w, new)])
    assert where(found) == {"w": "copied"}
    found = planned([gc.take(x, i, axis=0)], updates=[(w, new)])
    assert where(found) == {"w": "in place"}
    found = planned(updates=[(w, gc.take(w * 1, gc.concat([i, i]), axis=0))])
    assert where(found) == {"w": "copied"}


def test_variables_that_trade_places_are_kept_first():
    w, v = variable("w"), variable("v")
    found = planned(updates=[(w, v), (v, w)])
    assert [(c.source.label, c.target.kind) for c in found.before] == [("v", "arena"), ("w", "arena")]
    assert [(c.source.kind, c.target.label) for c in found.after] == [("arena", "w"), ("arena", "v")]


def test_one_value_for_two_variables_and_an_output():
    w, v = variable("w"), variable("v")
    x = x_of()
    new = x * 2
    found = planned(updates=[(w, new), (v, new)])
    assert where(found) == {"w": "in place", "v": "copied"}
    found = planned([new], updates=[(w, new)])
    assert where(found) == {"w": "copied"}
    check_reads_follow_writes(found)


def test_a_variable_that_becomes_itself_is_left_alone():
    w = variable("w")
    found = planned([w * 2], updates=[(w, w)])
    assert not found.after


# ---- random plans ------------------------------------------------------------------------------------------


def random_program(rng):
    """Updates and outputs over shared tensors, with steps that may fail among them."""
    shape = (5,)
    variables = [gc.variable(rng.integers(-3, 4, shape).astype("float32"), name=f"v{i}") for i in range(3)]
    x = gc.placeholder(shape, "float32", name="x")
    i = gc.placeholder(shape, "int64", name="i")
    pool: list[Tensor] = [*variables, x]

    def pick():
        return pool[rng.integers(len(pool))]

    makers = [
        lambda: pick() + pick(), lambda: pick() * 2.0, lambda: pick()[::-1], lambda: gc.sort(pick(), axis=0),
        lambda: gc.cumsum(pick(), axis=0), lambda: gc.take(pick(), i, axis=0), lambda: pick() - gc.sum(pick()),
        lambda: gc.maximum(pick(), gc.abs(pick())), lambda: gc.reshape(gc.reshape(pick(), (5, 1)), (5,)),
    ]  # fmt: skip
    for _ in range(rng.integers(2, 12)):
        pool.append(makers[rng.integers(len(makers))]())
    updates = [(v, pick()) for v in variables if rng.random() < 0.8]
    outputs = [pick() for _ in range(rng.integers(0, 3))]
    return [x, i], outputs, updates


def check_random(seeds):
    """Compiled updates against interpreted ones; a call that fails changes nothing."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        inputs, outputs, updates = random_program(rng)
        variables = [v for v, _ in updates]
        start = [v.value for v in variables]
        x = rng.integers(-3, 4, 5).astype("float32")
        runs = []
        for backend in ("numpy", "llvm"):
            for v, value in zip(variables, start):
                v.assign(value)
            f = gc.function(inputs, outputs, updates=updates, backend=backend)
            results = [f(x, rng_index(seed, 0)), f(x + 1, rng_index(seed, 1))]
            before = [v.value for v in variables]
            try:
                f(x, np.full(5, 9))
            except gc.errors.IndexOutOfBoundsError:
                assert all((v.value == b).all() for v, b in zip(variables, before)), "a failed call changed a variable"
            runs.append([*results[0], *results[1], *before])
        for one, two in zip(*runs):
            np.testing.assert_array_equal(one, two)


def rng_index(seed, number):
    return np.random.default_rng([seed, number]).integers(-5, 5, 5)


def test_random_programs_update_as_the_interpreter_does():
    check_random(range(25))


def check_random_plans(seeds):
    for seed in seeds:
        _, outputs, updates = random_program(np.random.default_rng(seed))
        check_reads_follow_writes(planned(outputs, updates))


def test_random_plans_read_what_was_written():
    check_random_plans(range(150))


def test_a_forgotten_later_reader_is_caught(monkeypatch):
    monkeypatch.setattr(module._Planner, "_fits_in_place", lambda self, value, variable: True)
    with pytest.raises((AssertionError, gc.errors.GraphcError)):
        check_random(range(25))


def test_a_position_that_is_not_looked_at_is_caught(monkeypatch):
    monkeypatch.setattr(module, "reads_in_place", lambda body, parameter: True)
    with pytest.raises(AssertionError):
        test_an_update_that_reads_other_positions_is_not()


def test_a_traded_variable_that_is_not_kept_is_caught(monkeypatch):
    def planted(self):
        for variable, value in self.graph.updates:
            self.found.after.append(module.Copy(self.place[value], self.place[variable]))

    monkeypatch.setattr(module._Planner, "_place_updates", planted)
    with pytest.raises(AssertionError):
        check_random(range(25))
