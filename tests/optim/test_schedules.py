"""Schedules against their formulas, as numbers and inside compiled steps."""

import numpy as np
import pytest

import graphc as gc

K = np.arange(60)
HALF = np.pi * np.minimum(K, 40) / 40


def restarts(step, rate, first, factor, peak_factor, end):
    """By adding up periods."""
    start, length, peak = 0, first, rate
    while step >= start + length:
        start, length, peak = start + length, length * factor, peak * peak_factor
    return end + (peak - end) * (1 + np.cos(np.pi * (step - start) / length)) / 2


CASES = [
    (gc.optim.Constant(0.1), 0.1 + 0 * K),
    (gc.optim.PiecewiseConstant([10, 30], [0.3, 0.2, 0.1]), np.select([K < 10, K < 30], [0.3, 0.2], 0.1)),
    (gc.optim.StepDecay(0.1, 7, 0.5), 0.1 * 0.5 ** (K // 7)),
    (gc.optim.ExponentialDecay(0.1, 10, 0.9), 0.1 * 0.9 ** (K / 10)),
    (gc.optim.ExponentialDecay(0.1, 10, 0.9, staircase=True), 0.1 * 0.9 ** (K // 10)),
    (gc.optim.InverseTimeDecay(0.1, 10, 0.7), 0.1 / (1 + 0.7 * K / 10)),
    (gc.optim.PolynomialDecay(0.1, 40, 0.01, 2.0), 0.01 + 0.09 * (1 - np.minimum(K, 40) / 40) ** 2),
    (gc.optim.CosineDecay(0.1, 40, 0.01), 0.01 + 0.09 * (1 + np.cos(HALF)) / 2),
    (gc.optim.CosineDecayRestarts(0.1, 8), [restarts(k, 0.1, 8, 1, 1, 0) for k in K]),
    (gc.optim.CosineDecayRestarts(0.1, 4, 2.0, 0.5, 0.01), [restarts(k, 0.1, 4, 2, 0.5, 0.01) for k in K]),
    (gc.optim.CosineDecayRestarts(0.1, 2, 3.0), [restarts(k, 0.1, 2, 3, 1, 0) for k in K]),
    (gc.optim.Warmup(0.1, 20, 0.02), np.where(K < 20, 0.02 + 0.08 * K / 20, 0.1)),
    (gc.optim.Warmup(gc.optim.ExponentialDecay(0.1, 10, 0.9), 20),
     np.where(K < 20, 0.1 * K / 20, 0.1 * 0.9 ** ((K - 20) / 10))),
]  # fmt: skip


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize(("schedule", "wanted"), CASES)
def test_formula(schedule, wanted, backend):
    step = gc.placeholder((), "int64", name="step")
    rate = schedule(step)
    assert repr(rate.type) == "f64[]"
    f = gc.function([step], rate, backend=backend)
    np.testing.assert_allclose([f(k) for k in K], wanted, rtol=1e-12, atol=1e-16)
    if backend == "numpy":
        np.testing.assert_array_equal(schedule.at(K), [f(k) for k in K])


@pytest.mark.parametrize(("schedule", "wanted"), CASES)
def test_config_makes_the_same_schedule(schedule, wanted):
    again = gc.optim.SGD(schedule).config()["learning_rate"]
    made = gc.optim.get("sgd", learning_rate=again).learning_rate
    assert repr(made) == repr(schedule) and made is not schedule
    np.testing.assert_array_equal(made.at(K), schedule.at(K))


def test_every_schedule_has_a_formula():
    schedules = {v for v in vars(gc.optim).values() if isinstance(v, type) and issubclass(v, gc.optim.Schedule)}
    assert schedules == {type(schedule) for schedule, _ in CASES} | {gc.optim.Schedule}


def test_restarts_begin_on_the_step_however_many_there_were():
    schedule = gc.optim.CosineDecayRestarts(1.0, 10, 2.0)
    starts = 10 * (2 ** np.arange(20) - 1)
    np.testing.assert_allclose(schedule.at(starts), 1.0)
    assert (schedule.at(starts[1:] - 1) < 0.03).all()


def test_refusals():
    for make, message in (
        (lambda: gc.optim.CosineDecay(0.1, 0), "cosine_decay: decay_steps must be a whole number, at least 1, not 0"),
        (lambda: gc.optim.ExponentialDecay(-0.1, 1, 0.5), "learning_rate must be a number not negative"),
        (lambda: gc.optim.PiecewiseConstant([2, 1], [1.0, 2.0, 3.0]), "increasing boundaries"),
        (lambda: gc.optim.PiecewiseConstant([2], [1.0]), "one rate more"),
        (lambda: gc.optim.CosineDecayRestarts(0.1, 5, 0.5), "period_factor must be a number at least 1"),
    ):
        with pytest.raises(gc.ArgumentError, match=message):
            make()
