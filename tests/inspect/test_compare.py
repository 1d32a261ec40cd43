"""`gc.compare` and `gc.bisect_passes`: agreement where there is, and planted bugs found where they are."""

import numpy as np
import pytest

import graphc as gc
import graphc.inspect.compare as compare_module
from graphc.backends import backend_named
from graphc.backends.llvm.elementwise import LOWERINGS, Lowering
from graphc.errors import FeedError

RNG = np.random.default_rng(0)
ARRAY = RNG.normal(size=(20, 6)).astype("f4")


def network(backend="llvm", skip=()):
    x = gc.placeholder((None, 6), "float32", name="x")
    t = gc.placeholder((x.shape[0],), "int64", name="t")
    w = gc.variable(RNG.normal(0, 0.3, (6, 4)).astype("f4"), name="w")
    loss = gc.mean(gc.cross_entropy(gc.tanh(x @ w), t))
    (dw,) = gc.grad(loss, [w])
    f = gc.function([x, t], {"loss": loss}, updates={w: w - 0.1 * dw}, backend=backend, name="step", skip=skip)
    return f, w


@pytest.fixture
def wrong_exp(monkeypatch):
    """The LLVM backend's exp is off by a hundred-thousandth."""
    right = LOWERINGS["exp"].floating
    wrong = Lowering(floating=lambda b, x: b.fmul(right(b, x), 1.00001))
    monkeypatch.setitem(LOWERINGS, "exp", wrong)


@pytest.mark.parametrize("backend", ["llvm", "numpy"])
@pytest.mark.parametrize("skip", [(), ("fuse",)])
def test_a_training_step_agrees(backend, skip):
    f, w = network(backend, skip)
    before = w.value
    report = gc.compare(f, ARRAY, t=RNG.integers(0, 4, 20))
    assert report.ok and bool(report) and report.first_divergence is None, str(report)
    assert [r.name for r in report.results] == ["output 0", "update of 'w'"]
    assert (w.value == before).all()
    assert any(t.op == "matmul" for t in report.tensors) and report.seconds.keys() == {"numpy", "llvm"}
    assert report.blame().guilty is None


def test_the_first_diverging_tensor_is_the_one_that_makes_the_error(wrong_exp):
    x = gc.placeholder((None, 6), "float32", name="x")
    y = gc.exp(x)
    z = gc.sin(y * 2.0) + y
    report = gc.compare(gc.function([x], [z, x * 2.0], skip=["fuse"]), ARRAY)
    found = report.first_divergence
    assert not report.ok and found.op == "exp"
    assert [t.agreement.ok for t in report.tensors if t.op in ("sin", "multiply", "add")] == [True] * 4
    assert any(t.drift.max_ulp > 4 for t in report.tensors if t.op == "sin")  # it flows through all the same
    assert [r.program.ok for r in report.results] == [False, True]
    text = str(report)
    assert "DIFFERENT" in text and "first diverging tensor: " in text and "y = gc.exp(x)" in text


def test_a_fused_tensor_is_looked_into(wrong_exp):
    x = gc.placeholder((None, 6), "float32", name="x")
    report = gc.compare(gc.function([x], gc.sum(gc.tanh(gc.exp(x) * 0.5), axis=1)), ARRAY)
    assert report.first_divergence.op == "fused"
    assert "= exp : " in report.first_divergence.inside[0]
    assert "inside it" in str(report)


def test_a_fault_of_the_plan_is_told_from_one_of_a_kernel(monkeypatch):
    class Wrong:
        name, native = "llvm", backend_named("llvm").native

        def compile(self, graph, **options):
            executable = backend_named("llvm").compile(graph)
            return lambda arrays: [output + 1 for output in executable(arrays)]

    def named(name):
        return Wrong() if name == "llvm" else backend_named(name)

    monkeypatch.setattr(compare_module, "backend_named", named)
    x = gc.placeholder((None, 6), "float32", name="x")
    report = gc.compare(gc.function([x], gc.exp(x)), ARRAY)
    assert not report.ok and report.first_divergence is None
    assert "the fault is in the plan" in str(report)


def test_a_wrong_rule_is_blamed():
    def forget_abs(t):
        """abs(x) -> x"""
        return t.inputs[0]

    x = gc.placeholder((None, 6), "float32", name="x")
    with gc.register_rule(forget_abs, "abs"):
        f = gc.function([x], gc.sqrt(gc.abs(x)) + 1.0)
    report = gc.compare(f, ARRAY)
    assert not report.ok and report.first_divergence is None
    assert "the passes changed the values" in str(report)
    blame = report.blame()
    assert blame.guilty == gc.bisect_passes(f, ARRAY).guilty == "simplify"
    assert "simplify.forget_abs 1" in str(blame)


def test_a_rounding_rewrite_is_not_blamed():
    x = gc.placeholder((None, 6), "float32", name="x")
    f = gc.function([x], gc.log(gc.sum(gc.exp(x), axis=1)) + gc.log(gc.softmax(x))[:, 0])
    assert gc.bisect_passes(f, ARRAY * 100).guilty is None
    assert gc.compare(f, ARRAY * 100).ok


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_values_agree(dtype):
    x = gc.placeholder(("n",), dtype, name="x")
    with np.errstate(over="ignore"):
        array = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-310, 1e-40, 1e300, 88.0, -745.0]).astype(dtype)
    outputs = [gc.exp(x), gc.logsumexp(x), gc.softmax(x), gc.max(x), gc.cumsum(x), x / 0.0, gc.floor(x).astype("int32")]
    report = gc.compare(gc.function([x], outputs), array)
    assert report.ok, str(report)


def test_errors_are_compared_too():
    x, i = gc.placeholder(("n",), name="x"), gc.placeholder((), "int64", name="i")
    w = gc.variable(1.0, name="w")
    f = gc.function([x, i], gc.take(x, i), updates={w: w + 1.0})
    report = gc.compare(f, ARRAY[0], 7)
    assert report.ok and set(report.errors) == {"interpreter", "optimised", "llvm"}
    assert "index 7 is out of bounds" in str(report) and w.value == 1.0


def test_a_failed_call_that_changes_a_variable_is_no_agreement(monkeypatch):
    class Hasty:
        name, native = "llvm", backend_named("llvm").native

        def compile(self, graph, **options):
            def run(arrays):
                for variable, _ in graph.updates:
                    variable.storage[...] = 7.0
                raise gc.IndexOutOfBoundsError("too late")

            return run

    def named(name):
        return Hasty() if name == "llvm" else backend_named(name)

    x, i = gc.placeholder(("n",), name="x"), gc.placeholder((), "int64", name="i")
    w = gc.variable(1.0, name="w")
    f = gc.function([x, i], gc.take(x, i), updates={w: w + 1.0}, backend="numpy")
    monkeypatch.setattr(compare_module, "backend_named", named)
    report = gc.compare(f, ARRAY[0], 7)
    assert not report.ok and "changed 'w' and then raised: IndexOutOfBoundsError" in str(report)


def test_tuples_host_steps_prints_and_bare_results(capfd):
    x = gc.placeholder((4, 4), "float64", name="x")
    w = gc.variable(np.arange(3.0), name="w")
    q, r = gc.linalg.qr(x)
    z = gc.print(gc.sort(x, axis=1), "never shown")
    f = gc.function([x], [q @ r, gc.argmax(z, axis=1), x, w, gc.constant(2.0)], updates={w: w[::-1]})
    report = gc.compare(f, RNG.normal(size=(4, 4)))
    assert report.ok, str(report)
    assert {"qr", "sort"} <= {t.op for t in report.tensors} and capfd.readouterr().out == ""
    assert (w.value == np.arange(3.0)).all()


def test_size_zero_and_no_inputs():
    x = gc.placeholder(("n", 3), name="x")
    assert gc.compare(gc.function([x], [gc.sum(x), gc.exp(x)]), np.zeros((0, 3), "f4")).ok
    assert gc.compare(gc.function([], gc.exp(gc.constant([1.0, 2.0])))).ok


def test_random_numbers_are_the_same():
    seed = gc.variable(np.uint64(5), name="seed")
    f = gc.function([], gc.random.normal((50,), seed=seed), updates={seed: seed + 1})
    assert gc.compare(f).ok and seed.value == 5


def test_long_reports_show_the_place_of_the_error(wrong_exp):
    x = gc.placeholder((3,), name="x")
    y = x
    for i in range(120):
        y = gc.exp(y * 0.1) if i == 100 else gc.sin(y)
    text = str(gc.compare(gc.function([x], y, skip=["fuse"]), [0.1, 0.2, 0.3]))
    assert "81 more tensors" in text and " exp " in text and len(text.splitlines()) < 60


def test_wrong_arguments_are_refused():
    f, _ = network("numpy")
    with pytest.raises(FeedError, match="no value for t"):
        gc.compare(f, ARRAY)
