"""The benchmark's workloads at small sizes: well described, and computed rightly by graphc and by NumPy."""

import numpy as np
import pytest

from benchmarks import by_hand
from benchmarks.program import NotThereError
from benchmarks.systems import EAGER, IMPORTS, MODULES, load
from benchmarks.workload import Tolerance, Workload
from benchmarks.workloads import EVERY


@pytest.mark.parametrize("workload", EVERY.values(), ids=EVERY)
def test_a_workload_is_consistent(workload):
    assert set(workload.small) <= set(workload.sizes)
    first, second = workload.inputs(small=True), workload.inputs(small=True)
    for name, array in {**first.data, **first.parameters}.items():
        again = {**second.data, **second.parameters}[name]
        assert array.dtype == again.dtype
        assert np.array_equal(array, again), "inputs must be the same in every process"
    wanted = workload.wanted(small=True)
    assert all(result.dtype == np.float64 for result in wanted)
    assert workload.faults(wanted, wanted) == []
    assert workload.flops(workload.sizes) or workload.bytes(workload.sizes) or workload.program in ("deep_sgd", "chain")


def test_every_program_is_one_of_graphcs():
    assert {workload.program for workload in EVERY.values()} == set(load("graphc").PROGRAMS)


def test_systems_are_named_alike():
    assert set(EAGER) <= set(MODULES)
    assert set(IMPORTS) <= set(MODULES)


@pytest.mark.parametrize("system", ["graphc", "numpy"])
@pytest.mark.parametrize("workload", EVERY.values(), ids=EVERY)
def test_results_are_right(system, workload):
    programs = load(system).PROGRAMS
    if workload.program not in programs:
        pytest.skip(f"not written in {system}")
    try:
        program = programs[workload.program](workload.inputs(small=True), workload.sizes_of(small=True))
    except NotThereError as error:
        pytest.skip(str(error))
    for _ in range(workload.calls):
        last = program.call()
    program.finish(last)
    assert workload.faults(program.results(last), workload.wanted(small=True)) == []


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        ([np.ones(3), np.ones(3)], "2 results instead of 1"),
        ([np.ones((3, 1))], "result 0: shape (3, 1) instead of (3,)"),
        ([np.array([1, np.nan, 1])], "result 0: not finite"),
        ([np.array([1, 1, 1.1])], "result 0: relative error 5.8e-02 (at worst 1.0e-01)"),
        ([np.array([1, 1, 1 + 1e-9])], None),
    ],
)
def test_wrong_results_are_described(found, fault):
    row = Workload("row", "row", {}, {}, None, None, None, tolerance=Tolerance(1e-6, 1e-6))
    assert row.faults(found, [np.ones(3)]) == ([] if fault is None else [fault])


def derivative(loss, parameters, number, index, data):
    """The central difference of a loss by one element of one parameter."""
    values = []
    for step in (1e-5, -1e-5):
        moved = [p.copy() for p in parameters]
        moved[number][index] += step
        values.append(loss(moved, *data)[0])
    return (values[0] - values[1]) / 2e-5


@pytest.mark.parametrize(
    ("name", "gradients"),
    [
        ("SGD step of 784-128-10, batch 32", by_hand.dense_gradients),
        ("SGD step of a VAE 784-400-20, batch 128", by_hand.autoencoder_gradients),
        ("SGD step of a CNN on 32x32, batch 32", by_hand.digits_gradients),
        ("SGD step of LSTM(50) on (32,10,1)", by_hand.sequence_gradients),
    ],
)
def test_gradients_by_hand_are_those_of_the_loss(name, gradients):
    inputs = EVERY[name].inputs(small=True)
    data = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in inputs.data.values()]
    parameters = [p.astype(np.float64) for p in inputs.parameters.values()]
    _, slopes = gradients(parameters, *data)
    rng = np.random.default_rng(1)
    for number, slope in enumerate(slopes):
        index = tuple(rng.integers(0, extent) for extent in slope.shape)
        wanted = derivative(gradients, parameters, number, index, data)
        assert slope[index] == pytest.approx(wanted, rel=1e-4, abs=1e-7), (number, index)
